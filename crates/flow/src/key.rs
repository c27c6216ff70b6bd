//! The key encoding: bytes that compare as the values do.
//!
//! Group keys and values picked by aggregates are stored in it. Equal values give equal bytes; NULL sorts first, NaN
//! last; so sorting the bytes sorts the rows. The encoding is part of the checkpoint format and changes only with the
//! checkpoint's version.
//!
//! ```text
//! NULL               00
//! present            01, then
//!   BOOLEAN          00 | 01
//!   integers, dates, timestamps, decimals     big-endian, sign bit flipped
//!   FLOAT, DOUBLE    big-endian IEEE bits; sign bit flipped when positive, all bits when negative; one NaN
//!   STRING, BINARY   each byte, 00 as 00 FF; ended by 00 00
//!   STRUCT           its fields, one after the other
//!   ARRAY            each element after 01; ended by 00
//!   MAP              each entry after 01: key, value; ended by 00. Can be decoded, but has no order
//! ```
//! Does not know what a group is.

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal32Type, Decimal64Type, Decimal128Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef, ListArray, MapArray, PrimitiveArray, StructArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, TimeUnit};
use std::borrow::Cow;
use std::sync::Arc;

/// Whether −0.0 is written as 0.0 (group keys, rule W4) or kept (winners of `min` and `max`, rule T2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zeros {
    /// −0.0 becomes 0.0.
    Normalize,
    /// −0.0 stays.
    Keep,
}

/// A column with its type resolved once, so that encoding a row costs one branch.
pub struct Encoder<'a> {
    nulls: Option<&'a NullBuffer>,
    values: Values<'a>,
    zeros: Zeros,
}

enum Values<'a> {
    Null,
    Boolean(&'a arrow_array::BooleanArray),
    I8(&'a [i8]),
    I16(&'a [i16]),
    I32(&'a [i32]),
    I64(&'a [i64]),
    I128(&'a [i128]),
    F32(&'a [f32]),
    F64(&'a [f64]),
    Utf8(&'a arrow_array::StringArray),
    Binary(&'a arrow_array::BinaryArray),
    Struct(Vec<Encoder<'a>>),
    List(&'a [i32], Box<Encoder<'a>>),
    Map(&'a [i32], Box<[Encoder<'a>; 2]>),
    Interval(&'a [IntervalMonthDayNano]),
}

impl<'a> Encoder<'a> {
    /// Resolves a column's type. Panics on a type that no plan has.
    pub fn new(array: &'a dyn Array, zeros: Zeros) -> Encoder<'a> {
        let values = match array.data_type() {
            DataType::Null => Values::Null,
            DataType::Boolean => Values::Boolean(array.as_boolean()),
            DataType::Int8 => Values::I8(array.as_primitive::<Int8Type>().values()),
            DataType::Int16 => Values::I16(array.as_primitive::<Int16Type>().values()),
            DataType::Int32 => Values::I32(array.as_primitive::<Int32Type>().values()),
            DataType::Date32 => Values::I32(array.as_primitive::<Date32Type>().values()),
            DataType::Int64 => Values::I64(array.as_primitive::<Int64Type>().values()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Values::I64(array.as_primitive::<TimestampMicrosecondType>().values())
            }
            // Intervals: see tidemill_sql's `intervals`.
            DataType::Decimal32(..) => Values::I32(array.as_primitive::<Decimal32Type>().values()),
            DataType::Decimal64(..) => Values::I64(array.as_primitive::<Decimal64Type>().values()),
            DataType::Interval(_) => Values::Interval(array.as_primitive::<IntervalMonthDayNanoType>().values()),
            DataType::Decimal128(..) => Values::I128(array.as_primitive::<Decimal128Type>().values()),
            DataType::Float32 => Values::F32(array.as_primitive::<Float32Type>().values()),
            DataType::Float64 => Values::F64(array.as_primitive::<Float64Type>().values()),
            DataType::Utf8 => Values::Utf8(array.as_string()),
            DataType::Binary => Values::Binary(array.as_binary()),
            DataType::Struct(_) => {
                Values::Struct(array.as_struct().columns().iter().map(|child| Encoder::new(child, zeros)).collect())
            }
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                Values::List(list.value_offsets(), Box::new(Encoder::new(list.values(), zeros)))
            }
            DataType::Map(..) => {
                let map = array.as_map();
                let entries = [Encoder::new(map.keys(), zeros), Encoder::new(map.values(), zeros)];
                Values::Map(map.value_offsets(), Box::new(entries))
            }
            other => panic!("values of type {other} have no key encoding"),
        };
        Encoder { nulls: array.nulls(), values, zeros }
    }

    /// Whether a row's value is NULL.
    pub fn is_null(&self, row: usize) -> bool {
        matches!(self.values, Values::Null) || self.nulls.is_some_and(|nulls| nulls.is_null(row))
    }

    /// Appends a row's value to `out`.
    #[inline]
    pub fn encode(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return out.push(0);
        }
        out.push(1);
        match &self.values {
            Values::Null => unreachable!("handled as NULL above"),
            Values::Boolean(array) => out.push(u8::from(array.value(row))),
            Values::I8(values) => out.push(values[row] as u8 ^ 0x80),
            Values::I16(values) => out.extend_from_slice(&(values[row] as u16 ^ 1 << 15).to_be_bytes()),
            Values::I32(values) => out.extend_from_slice(&(values[row] as u32 ^ 1 << 31).to_be_bytes()),
            Values::I64(values) => out.extend_from_slice(&(values[row] as u64 ^ 1 << 63).to_be_bytes()),
            Values::I128(values) => out.extend_from_slice(&(values[row] as u128 ^ 1 << 127).to_be_bytes()),
            Values::F32(values) => out.extend_from_slice(&ordered_f32(values[row], self.zeros).to_be_bytes()),
            Values::F64(values) => out.extend_from_slice(&ordered_f64(values[row], self.zeros).to_be_bytes()),
            Values::Utf8(array) => escape(array.value(row).as_bytes(), out),
            Values::Binary(array) => escape(array.value(row), out),
            Values::Struct(children) => children.iter().for_each(|child| child.encode(row, out)),
            Values::List(offsets, child) => {
                for element in offsets[row] as usize..offsets[row + 1] as usize {
                    out.push(1);
                    child.encode(element, out);
                }
                out.push(0);
            }
            Values::Interval(values) => {
                let value = values[row];
                out.extend_from_slice(&value.months.to_be_bytes());
                out.extend_from_slice(&value.days.to_be_bytes());
                out.extend_from_slice(&value.nanoseconds.to_be_bytes());
            }
            Values::Map(offsets, entries) => {
                for entry in offsets[row] as usize..offsets[row + 1] as usize {
                    out.push(1);
                    entries.iter().for_each(|part| part.encode(entry, out));
                }
                out.push(0);
            }
        }
    }
}

/// A number that is ordered as Spark orders DOUBLEs: NaN, of which there is one, is the greatest.
pub(crate) fn ordered_f64(value: f64, zeros: Zeros) -> u64 {
    let value = if value.is_nan() {
        f64::NAN.abs()
    } else if value == 0.0 && zeros == Zeros::Normalize {
        0.0
    } else {
        value
    };
    let bits = value.to_bits();
    if bits >> 63 == 0 { bits ^ 1 << 63 } else { !bits }
}

/// The value that [`ordered_f64`] made a number of.
pub(crate) fn f64_of(ordered: u64) -> f64 {
    f64::from_bits(if ordered >> 63 == 1 { ordered ^ 1 << 63 } else { !ordered })
}

/// As [`ordered_f64`].
pub(crate) fn ordered_f32(value: f32, zeros: Zeros) -> u32 {
    let value = if value.is_nan() {
        f32::NAN.abs()
    } else if value == 0.0 && zeros == Zeros::Normalize {
        0.0
    } else {
        value
    };
    let bits = value.to_bits();
    if bits >> 31 == 0 { bits ^ 1 << 31 } else { !bits }
}

/// The value that [`ordered_f32`] made a number of.
pub(crate) fn f32_of(ordered: u32) -> f32 {
    f32::from_bits(if ordered >> 31 == 1 { ordered ^ 1 << 31 } else { !ordered })
}

fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    if bytes.contains(&0) {
        for byte in bytes {
            out.push(*byte);
            if *byte == 0 {
                out.push(0xff);
            }
        }
    } else {
        out.extend_from_slice(bytes);
    }
    out.extend_from_slice(&[0, 0]);
}

/// Decodes one column of `data_type` from the front of each cursor. A cursor that is `None` gives NULL and stays.
///
/// Panics on bytes that [`Encoder`] did not write. They come from our own partials and state files, whose checksums
/// hold.
pub fn decode(cursors: &mut [Option<&[u8]>], data_type: &DataType) -> ArrayRef {
    let present: Vec<bool> =
        cursors.iter_mut().map(|cursor| cursor.as_mut().is_some_and(|c| take::<1>(c)[0] == 1)).collect();
    match data_type {
        DataType::Null => Arc::new(arrow_array::NullArray::new(cursors.len())),
        DataType::Boolean => {
            let mut builder = BooleanBuilder::with_capacity(cursors.len());
            each(cursors, &present, |cursor| builder.append_option(cursor.map(|c| take::<1>(c)[0] == 1)));
            Arc::new(builder.finish())
        }
        DataType::Int8 => primitive::<Int8Type, 1>(cursors, &present, data_type, |b| (b[0] ^ 0x80) as i8),
        DataType::Int16 => {
            primitive::<Int16Type, 2>(cursors, &present, data_type, |b| (u16::from_be_bytes(b) ^ 1 << 15) as i16)
        }
        DataType::Int32 => primitive::<Int32Type, 4>(cursors, &present, data_type, i32_of),
        DataType::Date32 => primitive::<Date32Type, 4>(cursors, &present, data_type, i32_of),
        DataType::Int64 => primitive::<Int64Type, 8>(cursors, &present, data_type, i64_of),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            primitive::<TimestampMicrosecondType, 8>(cursors, &present, data_type, i64_of)
        }
        DataType::Decimal32(..) => primitive::<Decimal32Type, 4>(cursors, &present, data_type, i32_of),
        DataType::Decimal64(..) => primitive::<Decimal64Type, 8>(cursors, &present, data_type, i64_of),
        DataType::Interval(_) => primitive::<IntervalMonthDayNanoType, 16>(cursors, &present, data_type, |b| {
            let part = |at: usize| i32::from_be_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
            let micros = i64::from_be_bytes(b[8..].try_into().expect("eight bytes"));
            IntervalMonthDayNano::new(part(0), part(4), micros)
        }),
        DataType::Decimal128(..) => primitive::<Decimal128Type, 16>(cursors, &present, data_type, |b| {
            (u128::from_be_bytes(b) ^ 1 << 127) as i128
        }),
        DataType::Float32 => {
            primitive::<Float32Type, 4>(cursors, &present, data_type, |b| f32_of(u32::from_be_bytes(b)))
        }
        DataType::Float64 => {
            primitive::<Float64Type, 8>(cursors, &present, data_type, |b| f64_of(u64::from_be_bytes(b)))
        }
        DataType::Utf8 => {
            let mut builder = StringBuilder::with_capacity(cursors.len(), cursors.len() * 8);
            each(cursors, &present, |cursor| {
                let bytes = cursor.map(unescape);
                builder.append_option(bytes.as_deref().map(|b| std::str::from_utf8(b).expect("a STRING key is UTF-8")));
            });
            Arc::new(builder.finish())
        }
        DataType::Binary => {
            let mut builder = BinaryBuilder::new();
            each(cursors, &present, |cursor| builder.append_option(cursor.map(unescape)));
            Arc::new(builder.finish())
        }
        DataType::Struct(fields) => decode_struct(cursors, &present, fields),
        DataType::List(field) => decode_list(cursors, &present, field),
        DataType::Map(entries, _) => decode_map(cursors, &present, entries),
        other => panic!("values of type {other} have no key encoding"),
    }
}

fn decode_struct(cursors: &mut [Option<&[u8]>], present: &[bool], fields: &arrow_schema::Fields) -> ArrayRef {
    let mut inner: Vec<Option<&[u8]>> =
        cursors.iter().zip(present).map(|(cursor, present)| cursor.filter(|_| *present)).collect();
    let children = fields.iter().map(|field| decode(&mut inner, field.data_type())).collect();
    for (cursor, rest) in cursors.iter_mut().zip(inner) {
        if rest.is_some() {
            *cursor = rest;
        }
    }
    let nulls = NullBuffer::from(present.to_vec());
    Arc::new(
        StructArray::try_new_with_length(fields.clone(), children, Some(nulls), present.len())
            .expect("children match their fields"),
    )
}

fn decode_list(cursors: &mut [Option<&[u8]>], present: &[bool], field: &arrow_schema::FieldRef) -> ArrayRef {
    let (lengths, [values]) = decode_members(cursors, present, [field.data_type()]);
    let nulls = NullBuffer::from(present.to_vec());
    Arc::new(ListArray::new(field.clone(), OffsetBuffer::from_lengths(lengths), values, Some(nulls)))
}

fn decode_map(cursors: &mut [Option<&[u8]>], present: &[bool], field: &arrow_schema::FieldRef) -> ArrayRef {
    let DataType::Struct(entry) = field.data_type() else { panic!("a map has entries") };
    let (lengths, columns) = decode_members(cursors, present, [entry[0].data_type(), entry[1].data_type()]);
    let entries = StructArray::new(entry.clone(), columns.into(), None);
    let nulls = NullBuffer::from(present.to_vec());
    Arc::new(MapArray::new(field.clone(), OffsetBuffer::from_lengths(lengths), entries, Some(nulls), false))
}

/// The number of members in each row, and the members' parts in sequence.
fn decode_members<const PARTS: usize>(
    cursors: &mut [Option<&[u8]>],
    present: &[bool],
    types: [&DataType; PARTS],
) -> (Vec<usize>, [ArrayRef; PARTS]) {
    // Members of different rows are in different cursors, so each row's members are decoded separately.
    let mut lengths = Vec::with_capacity(present.len());
    let mut parts: [Vec<ArrayRef>; PARTS] = std::array::from_fn(|_| Vec::new());
    each(cursors, present, |cursor| {
        let mut length = 0;
        if let Some(cursor) = cursor {
            while take::<1>(cursor)[0] == 1 {
                let mut one = [Some(*cursor)];
                parts.iter_mut().zip(types).for_each(|(part, data_type)| part.push(decode(&mut one, data_type)));
                *cursor = one[0].expect("a cursor that was given stays");
                length += 1;
            }
        }
        lengths.push(length);
    });
    (lengths, std::array::from_fn(|part| concat(&parts[part], types[part])))
}

/// Joins single-row arrays by encoding them once more. Lists in keys are rare and short.
fn concat(parts: &[ArrayRef], data_type: &DataType) -> ArrayRef {
    let rows: Vec<Vec<u8>> = parts
        .iter()
        .map(|part| {
            let mut bytes = Vec::new();
            Encoder::new(part, Zeros::Keep).encode(0, &mut bytes);
            bytes
        })
        .collect();
    let mut cursors: Vec<Option<&[u8]>> = rows.iter().map(|row| Some(row.as_slice())).collect();
    decode(&mut cursors, data_type)
}

fn each<'a>(cursors: &mut [Option<&'a [u8]>], present: &[bool], mut f: impl FnMut(Option<&mut &'a [u8]>)) {
    for (cursor, present) in cursors.iter_mut().zip(present) {
        f(if *present { cursor.as_mut() } else { None });
    }
}

fn primitive<T: ArrowPrimitiveType, const N: usize>(
    cursors: &mut [Option<&[u8]>],
    present: &[bool],
    data_type: &DataType,
    read: impl Fn([u8; N]) -> T::Native,
) -> ArrayRef {
    let mut values = Vec::with_capacity(cursors.len());
    each(cursors, present, |cursor| values.push(cursor.map_or_else(T::Native::default, |c| read(take::<N>(c)))));
    let nulls = present.iter().any(|p| !p).then(|| NullBuffer::from(present.to_vec()));
    Arc::new(PrimitiveArray::<T>::new(values.into(), nulls).with_data_type(data_type.clone()))
}

fn i32_of(bytes: [u8; 4]) -> i32 {
    (u32::from_be_bytes(bytes) ^ 1 << 31) as i32
}

fn i64_of(bytes: [u8; 8]) -> i64 {
    (u64::from_be_bytes(bytes) ^ 1 << 63) as i64
}

fn take<const N: usize>(cursor: &mut &[u8]) -> [u8; N] {
    let (head, rest) = cursor.split_first_chunk::<N>().expect("a key holds what its type says");
    *cursor = rest;
    *head
}

fn unescape<'a>(cursor: &mut &'a [u8]) -> Cow<'a, [u8]> {
    let mut out = Cow::Borrowed(&[][..]);
    loop {
        let zero = cursor.iter().position(|byte| *byte == 0).expect("a string in a key is ended");
        let (part, escaped) = (&cursor[..zero], cursor[zero + 1] == 0xff);
        *cursor = &cursor[zero + 2..];
        match &mut out {
            Cow::Borrowed([]) if !escaped => return part.into(),
            out => out.to_mut().extend_from_slice(part),
        }
        if !escaped {
            return out;
        }
        out.to_mut().push(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::builder::{Int32Builder, ListBuilder};
    use arrow_array::{Float64Array, Int32Array, Int64Array, StringArray};
    use arrow_schema::{Field, Fields};

    fn encoded(array: &dyn Array, zeros: Zeros) -> Vec<Vec<u8>> {
        let encoder = Encoder::new(array, zeros);
        let encode = |row| {
            let mut out = Vec::new();
            encoder.encode(row, &mut out);
            out
        };
        (0..array.len()).map(encode).collect()
    }

    /// The array's values are ascending. Their bytes must be too, and must decode to the same array.
    fn check(array: ArrayRef) {
        let rows = encoded(&array, Zeros::Keep);
        assert!(rows.is_sorted(), "{array:?}: {rows:?}");
        let mut cursors: Vec<Option<&[u8]>> = rows.iter().map(|row| Some(row.as_slice())).collect();
        assert_eq!(&decode(&mut cursors, array.data_type()), &array);
        assert!(cursors.iter().all(|cursor| cursor.unwrap().is_empty()));
    }

    #[test]
    fn bytes_sort_as_values_and_read_back() {
        check(Arc::new(Int64Array::from(vec![None, Some(i64::MIN), Some(-1), Some(0), Some(7), Some(i64::MAX)])));
        check(Arc::new(Int32Array::from(vec![i32::MIN, -5, 0, 5, i32::MAX])));
        check(Arc::new(StringArray::from(vec![
            None,
            Some(""),
            Some("\0"),
            Some("\0a"),
            Some("a"),
            Some("a\0"),
            Some("a\u{1}"),
            Some("ab"),
            Some("é"),
        ])));
        check(Arc::new(arrow_array::BooleanArray::from(vec![None, Some(false), Some(true)])));
        check(Arc::new(
            arrow_array::Decimal128Array::from(vec![None, Some(-100), Some(0), Some(i128::MAX)])
                .with_data_type(DataType::Decimal128(38, 2)),
        ));
        check(Arc::new(arrow_array::TimestampMicrosecondArray::from(vec![-1, 0, 1]).with_timezone("UTC")));
        check(Arc::new(arrow_array::BinaryArray::from(vec![&b""[..], &b"\0\0"[..], &b"\xff"[..]])));
    }

    #[test]
    fn floats_sort_with_nan_last() {
        let array = Float64Array::from(vec![f64::NEG_INFINITY, -1.5, -0.0, 0.0, 1e-300, 2.0, f64::INFINITY, f64::NAN]);
        let rows = encoded(&array, Zeros::Keep);
        assert!(rows.is_sorted());
        let other_nan = f64::from_bits(0xfff8_0000_0000_0001);
        assert_eq!(encoded(&Float64Array::from(vec![other_nan]), Zeros::Keep)[0], rows[7]);
    }

    #[test]
    fn w4_minus_zero_is_zero_in_keys() {
        let rows = encoded(&Float64Array::from(vec![-0.0, 0.0]), Zeros::Normalize);
        assert_eq!(rows[0], rows[1]);
        let struct_fields = Fields::from(vec![Field::new("x", DataType::Float64, true)]);
        let in_struct = StructArray::new(struct_fields, vec![Arc::new(Float64Array::from(vec![-0.0, 0.0]))], None);
        let rows = encoded(&in_struct, Zeros::Normalize);
        assert_eq!(rows[0], rows[1]);
    }

    #[test]
    fn structs_and_lists() {
        let fields = Fields::from(vec![Field::new("a", DataType::Int32, true), Field::new("b", DataType::Utf8, true)]);
        check(Arc::new(StructArray::new(
            fields,
            vec![
                Arc::new(Int32Array::from(vec![None, None, Some(1), Some(1)])),
                Arc::new(StringArray::from(vec![None, None, Some("x"), Some("y")])),
            ],
            Some(NullBuffer::from(vec![false, true, true, true])),
        )));
        let mut lists = ListBuilder::new(Int32Builder::new());
        lists.append_null();
        lists.append(true);
        lists.append_value([None, Some(1)]);
        lists.append_value([Some(1)]);
        lists.append_value([Some(1), Some(2)]);
        check(Arc::new(lists.finish()));
        let mut nested = ListBuilder::new(ListBuilder::new(Int32Builder::new()));
        nested.append(true);
        nested.values().append_value([Some(1)]);
        nested.values().append_value([Some(2), None]);
        nested.append(true);
        check(Arc::new(nested.finish()));
    }
}
