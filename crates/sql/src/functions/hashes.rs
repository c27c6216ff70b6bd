//! Checksums and hashes: of bytes (`md5`, `sha1`, `sha2`, `crc32`), and Spark's hashes of values (`hash`, `xxhash64`).
//!
//! `hash` is Murmur3 (x86, 32 bits, seed 42) and `xxhash64` is XXH64 (seed 42). Each value's hash is the seed of the
//! next; NULL keeps the seed. Spark's Murmur3 mixes the remaining bytes of a text one by one, as signed numbers; the
//! original combines them.

use super::{Arguments, Function, Param, build};
use crate::eval::{Column, Order};
use crate::expr::Expr;
use crate::types;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, Int32Array, Int64Array};
use arrow_schema::DataType;
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};
use std::sync::Arc;

const DIGEST: Function = Function { params: &[Param::Binary], ..Function::BLANK };

const VALUES: Function =
    Function { params: &[Param::Any], repeats: true, order: Order::Whole, check: check_values, ..Function::BLANK };

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "md5",
        usage: "md5(bytes)",
        about: "The MD5 digest in hexadecimal digits.",
        example: "md5('Spark')",
        kernel: |a| digest(a, |bytes| lower_hex(&Md5::digest(bytes))),
        ..DIGEST
    },
    Function {
        name: "sha1",
        aliases: &["sha"],
        usage: "sha1(bytes)",
        about: "The SHA-1 digest in hexadecimal digits.",
        example: "sha1('Spark')",
        kernel: |a| digest(a, |bytes| lower_hex(&Sha1::digest(bytes))),
        ..DIGEST
    },
    Function {
        name: "sha2",
        usage: "sha2(bytes, bits)",
        about: "The SHA-2 digest of 224, 256 (or 0), 384 or 512 bits in hexadecimal digits.",
        example: "sha2('Spark', 256)",
        params: &[Param::Binary, Param::Int],
        required: 2,
        kernel: sha2,
        ..DIGEST
    },
    Function {
        name: "crc32",
        usage: "crc32(bytes)",
        about: "The CRC-32 checksum, a BIGINT.",
        example: "crc32('Spark')",
        gives: |_| DataType::Int64,
        kernel: crc32,
        ..DIGEST
    },
    Function {
        name: "hash",
        usage: "hash(value, …)",
        about: "Spark's Murmur3 hash of the values, an INT.",
        example: "hash('Spark', 123, 2)",
        gives: |_| DataType::Int32,
        kernel: murmur3,
        ..VALUES
    },
    Function {
        name: "xxhash64",
        usage: "xxhash64(value, …)",
        about: "The xxHash64 of the values, a BIGINT, with seed 42.",
        example: "xxhash64('Spark', 123, 2)",
        gives: |_| DataType::Int64,
        kernel: xxhash64,
        ..VALUES
    },
];

fn lower_hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from(b"0123456789abcdef"[usize::from(half)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn digest(arguments: &mut Arguments, compute: fn(&[u8]) -> String) -> ArrayRef {
    let input = &arguments.columns[0];
    build::texts(arguments.rows, |row| input.bytes(row).map(compute))
}

/// By length in bits. 0 means 256; an unsupported length gives NULL.
fn sha2(arguments: &mut Arguments) -> ArrayRef {
    let (input, bits) = (&arguments.columns[0], arguments.columns[1].numbers::<Int32Type>());
    build::texts(arguments.rows, |row| {
        let (bytes, bits) = (input.bytes(row)?, bits.get(row)?);
        match bits {
            224 => Some(lower_hex(&Sha224::digest(bytes))),
            0 | 256 => Some(lower_hex(&Sha256::digest(bytes))),
            384 => Some(lower_hex(&Sha384::digest(bytes))),
            512 => Some(lower_hex(&Sha512::digest(bytes))),
            _ => None,
        }
    })
}

/// The CRC-32 of zip and Ethernet, bit by bit: polynomial 0x04c11db7, reflected.
fn crc32(arguments: &mut Arguments) -> ArrayRef {
    let input = &arguments.columns[0];
    let value = |row| {
        let step = |crc: u32, byte: &u8| {
            let shift = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
            (0..8).fold(crc ^ u32::from(*byte), shift)
        };
        Some(i64::from(!input.bytes(row)?.iter().fold(!0, step)))
    };
    Arc::new(build::numbers::<Int64Type>(arguments.rows, value))
}

fn check_values(arguments: &[Expr]) -> Result<(), String> {
    match arguments.iter().map(Expr::data_type).find(|data_type| !types::is_orderable(data_type)) {
        Some(other) => Err(format!("hashes do not take {}; hash map_entries(…) of it", types::name(&other))),
        None => Ok(()),
    }
}

/// A hash of values, each of which takes the hash before it as its seed. NULL keeps the seed.
trait Hasher {
    type Hash: Copy;

    fn int(seed: Self::Hash, x: i32) -> Self::Hash;
    fn long(seed: Self::Hash, x: i64) -> Self::Hash;
    fn bytes(seed: Self::Hash, bytes: &[u8]) -> Self::Hash;

    /// −0.0 is hashed as 0.0, and every NaN as one.
    fn float(seed: Self::Hash, x: f32) -> Self::Hash {
        let bits = if x == 0.0 { 0 } else { if x.is_nan() { f32::NAN } else { x }.to_bits() };
        Self::int(seed, bits as i32)
    }

    /// As [`Hasher::float`].
    fn double(seed: Self::Hash, x: f64) -> Self::Hash {
        let bits = if x == 0.0 { 0 } else { if x.is_nan() { f64::NAN } else { x }.to_bits() };
        Self::long(seed, bits as i64)
    }

    /// An unscaled DECIMAL: a long where its precision lets it be one, else the shortest two's complement, high byte first.
    fn decimal(seed: Self::Hash, unscaled: i128, precision: u8) -> Self::Hash {
        if precision <= 18 {
            Self::long(seed, unscaled as i64)
        } else {
            Self::bytes(seed, shortest(&unscaled.to_be_bytes()))
        }
    }
}

// The one NaN that Java has.
const _: () = assert!(f32::NAN.to_bits() == 0x7fc0_0000 && f64::NAN.to_bits() == 0x7ff8_0000_0000_0000);

/// The hashes of the rows: each column takes those of the columns before it as its seeds.
fn of_rows<H: Hasher>(arguments: &Arguments, seed: H::Hash) -> Vec<H::Hash> {
    let mut hashes = vec![seed; arguments.rows];
    arguments.columns.iter().for_each(|column| add_column::<H>(&mut hashes, column));
    hashes
}

/// The type is looked at once, not in each row.
fn add_column<H: Hasher>(hashes: &mut [H::Hash], column: &Column) {
    fn numbers<H: Hasher, T: ArrowPrimitiveType>(
        hashes: &mut [H::Hash],
        column: &Column,
        hash: impl Fn(H::Hash, T::Native) -> H::Hash,
    ) {
        let values: &[T::Native] = column.array.as_primitive::<T>().values();
        add_values(hashes, column, |seed, at| hash(seed, values[at]));
    }
    match column.array.data_type() {
        DataType::Int32 => numbers::<H, Int32Type>(hashes, column, H::int),
        DataType::Int64 => numbers::<H, Int64Type>(hashes, column, H::long),
        DataType::Date32 => numbers::<H, Date32Type>(hashes, column, H::int),
        DataType::Timestamp(..) => numbers::<H, TimestampMicrosecondType>(hashes, column, H::long),
        DataType::Float64 => numbers::<H, Float64Type>(hashes, column, H::double),
        DataType::Decimal128(precision, _) => {
            numbers::<H, Decimal128Type>(hashes, column, |seed, x| H::decimal(seed, x, *precision));
        }
        DataType::Utf8 => {
            let texts = column.array.as_string::<i32>();
            add_values(hashes, column, |seed, at| H::bytes(seed, texts.value(at).as_bytes()));
        }
        _ => add_values(hashes, column, |seed, at| of_value::<H>(seed, &column.array, at)),
    }
}

fn add_values<S: Copy>(hashes: &mut [S], column: &Column, hash: impl Fn(S, usize) -> S) {
    let add = |(row, value): (usize, &mut S)| *value = hash(*value, column.at(row));
    match column.nulls(hashes.len()).filter(|nulls| nulls.null_count() > 0) {
        None => hashes.iter_mut().enumerate().for_each(add),
        Some(nulls) => hashes.iter_mut().enumerate().filter(|(row, _)| nulls.is_valid(*row)).for_each(add),
    }
}

/// Hash of one value. A STRUCT, ARRAY or MAP is hashed part by part.
fn of_value<H: Hasher>(seed: H::Hash, array: &ArrayRef, at: usize) -> H::Hash {
    if array.data_type().is_null() || array.is_null(at) {
        return seed;
    }
    match array.data_type() {
        DataType::Struct(_) => {
            array.as_struct().columns().iter().fold(seed, |seed, member| of_value::<H>(seed, member, at))
        }
        DataType::List(_) => {
            let elements = array.as_list::<i32>().value(at);
            (0..elements.len()).fold(seed, |seed, element| of_value::<H>(seed, &elements, element))
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(at);
            let entry =
                |seed, entry| entries.columns().iter().fold(seed, |seed, part| of_value::<H>(seed, part, entry));
            (0..entries.len()).fold(seed, entry)
        }
        DataType::Boolean => H::int(seed, array.as_boolean().value(at).into()),
        DataType::Int8 => H::int(seed, array.as_primitive::<Int8Type>().value(at).into()),
        DataType::Int16 => H::int(seed, array.as_primitive::<Int16Type>().value(at).into()),
        DataType::Int32 => H::int(seed, array.as_primitive::<Int32Type>().value(at)),
        DataType::Date32 => H::int(seed, array.as_primitive::<Date32Type>().value(at)),
        DataType::Int64 => H::long(seed, array.as_primitive::<Int64Type>().value(at)),
        DataType::Timestamp(..) => H::long(seed, array.as_primitive::<TimestampMicrosecondType>().value(at)),
        DataType::Float32 => H::float(seed, array.as_primitive::<Float32Type>().value(at)),
        DataType::Float64 => H::double(seed, array.as_primitive::<Float64Type>().value(at)),
        DataType::Decimal128(precision, _) => {
            H::decimal(seed, array.as_primitive::<Decimal128Type>().value(at), *precision)
        }
        DataType::Utf8 => H::bytes(seed, array.as_string::<i32>().value(at).as_bytes()),
        DataType::Binary => H::bytes(seed, array.as_binary::<i32>().value(at)),
        other => panic!("{other} is not hashed"),
    }
}

/// As Java's `BigInteger.toByteArray`.
fn shortest(bytes: &[u8; 16]) -> &[u8] {
    let redundant = |at: usize| {
        let sign = if bytes[at + 1] & 0x80 == 0 { 0 } else { 0xff };
        bytes[at] == sign
    };
    &bytes[(0..15).take_while(|at| redundant(*at)).count()..]
}

struct Murmur3;

impl Hasher for Murmur3 {
    type Hash = u32;

    fn int(seed: u32, x: i32) -> u32 {
        murmur_end(murmur_step(seed, x as u32), 4)
    }

    fn long(seed: u32, x: i64) -> u32 {
        murmur_end(murmur_step(murmur_step(seed, x as u32), (x >> 32) as u32), 8)
    }

    fn bytes(seed: u32, bytes: &[u8]) -> u32 {
        murmur_bytes(seed, bytes)
    }
}

fn murmur3(arguments: &mut Arguments) -> ArrayRef {
    let hashes = of_rows::<Murmur3>(arguments, 42);
    Arc::new(Int32Array::from_iter_values(hashes.into_iter().map(|hash| hash as i32)))
}

/// `hash(text)`, which is also the `hashCode` of Spark's strings.
pub(super) fn hash_text(text: &str) -> i32 {
    murmur_bytes(42, text.as_bytes()) as i32
}

fn murmur_bytes(seed: u32, bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<4>();
    let hash = words.iter().fold(seed, |hash, word| murmur_step(hash, u32::from_le_bytes(*word)));
    let hash = rest.iter().fold(hash, |hash, byte| murmur_step(hash, *byte as i8 as u32));
    murmur_end(hash, bytes.len() as u32)
}

fn murmur_step(hash: u32, word: u32) -> u32 {
    let mixed = word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    (hash ^ mixed).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
}

fn murmur_end(hash: u32, length: u32) -> u32 {
    let hash = hash ^ length;
    let hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    let hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

const PRIME1: u64 = 0x9e37_79b1_85eb_ca87;
const PRIME2: u64 = 0xc2b2_ae3d_27d4_eb4f;
const PRIME3: u64 = 0x1656_67b1_9e37_79f9;
const PRIME4: u64 = 0x85eb_ca77_c2b2_ae63;
const PRIME5: u64 = 0x27d4_eb2f_1656_67c5;

struct XxHash64;

impl Hasher for XxHash64 {
    type Hash = u64;

    fn int(seed: u64, x: i32) -> u64 {
        xx_end(xx_word(seed.wrapping_add(PRIME5).wrapping_add(4), x as u32))
    }

    fn long(seed: u64, x: i64) -> u64 {
        xx_end(xx_long(seed.wrapping_add(PRIME5).wrapping_add(8), x as u64))
    }

    fn bytes(seed: u64, bytes: &[u8]) -> u64 {
        xx_bytes(seed, bytes)
    }
}

fn xxhash64(arguments: &mut Arguments) -> ArrayRef {
    let hashes = of_rows::<XxHash64>(arguments, 42);
    Arc::new(Int64Array::from_iter_values(hashes.into_iter().map(|hash| hash as i64)))
}

/// `xxhash64` of one value of any type. NULL gives the seed.
pub fn xxhash64_of(seed: u64, array: &ArrayRef, at: usize) -> u64 {
    of_value::<XxHash64>(seed, array, at)
}

fn xx_bytes(seed: u64, bytes: &[u8]) -> u64 {
    let (stripes, rest) = bytes.as_chunks::<32>();
    let mut hash = if stripes.is_empty() {
        seed.wrapping_add(PRIME5)
    } else {
        let mut lanes = [
            seed.wrapping_add(PRIME1).wrapping_add(PRIME2),
            seed.wrapping_add(PRIME2),
            seed,
            seed.wrapping_sub(PRIME1),
        ];
        for stripe in stripes {
            for (lane, word) in lanes.iter_mut().zip(stripe.as_chunks::<8>().0) {
                *lane = xx_round(*lane, u64::from_le_bytes(*word));
            }
        }
        let turned = [1, 7, 12, 18].iter().zip(lanes).map(|(turn, lane)| lane.rotate_left(*turn));
        let joined = turned.fold(0, u64::wrapping_add);
        let merge = |hash: u64, lane| (hash ^ xx_round(0, lane)).wrapping_mul(PRIME1).wrapping_add(PRIME4);
        lanes.into_iter().fold(joined, merge)
    };
    hash = hash.wrapping_add(bytes.len() as u64);
    let (longs, rest) = rest.as_chunks::<8>();
    hash = longs.iter().fold(hash, |hash, long| xx_long(hash, u64::from_le_bytes(*long)));
    let (words, rest) = rest.as_chunks::<4>();
    hash = words.iter().fold(hash, |hash, word| xx_word(hash, u32::from_le_bytes(*word)));
    let last =
        |hash: u64, byte: &u8| (hash ^ u64::from(*byte).wrapping_mul(PRIME5)).rotate_left(11).wrapping_mul(PRIME1);
    xx_end(rest.iter().fold(hash, last))
}

fn xx_round(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(PRIME2)).rotate_left(31).wrapping_mul(PRIME1)
}

fn xx_long(hash: u64, long: u64) -> u64 {
    (hash ^ xx_round(0, long)).rotate_left(27).wrapping_mul(PRIME1).wrapping_add(PRIME4)
}

fn xx_word(hash: u64, word: u32) -> u64 {
    let mixed = u64::from(word).wrapping_mul(PRIME1);
    (hash ^ mixed).rotate_left(23).wrapping_mul(PRIME2).wrapping_add(PRIME3)
}

fn xx_end(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 33).wrapping_mul(PRIME2);
    let hash = (hash ^ hash >> 29).wrapping_mul(PRIME3);
    hash ^ hash >> 32
}
