//! Random values and numbers of rows. What is random is drawn at a record's place, a hidden column of the source row, so that a
//! batch that is computed again has the same values, whatever its tasks.
//!
//! ```text
//!   key    the given seed; without one, the place of the call in the query with the query's own seed
//!   draw   128 bits of (key, place): for one key, no two places have the same
//! ```
//! The planner adds the key and the place (`analyze/random.rs`); the rows below with a space in the name compute. Not for
//! secrets.

use super::{Arguments, Function, Param, build, forms};
use crate::eval::{Order, take_or_null};
use crate::expr::Expr;
use crate::plan::PositionColumn;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Decimal128Array, ListArray};
use arrow_schema::DataType;
use std::sync::Arc;
use tidemill_model::random::{Random, STEP, below, mix};

/// What is drawn at a place: a key, whether it is joined with the query's seed, and the place; then the function's own.
const DRAWN: Function =
    Function { params: &[Param::Any], required: 3, repeats: true, order: Order::Whole, ..Function::BLANK };

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "rand",
        aliases: &["random"],
        usage: "rand([seed])",
        about: "A random DOUBLE from 0 to 1, without 1. A record keeps its value when its batch is computed again.",
        example: "rand(7) < 1",
        params: &[Param::Any],
        ..forms::NOTHING
    },
    Function {
        name: "randn",
        usage: "randn([seed])",
        about: "A random DOUBLE of the standard normal distribution.",
        example: "randn(7) IS NOT NULL",
        params: &[Param::Any],
        ..forms::NOTHING
    },
    Function {
        name: "uniform",
        usage: "uniform(least, most[, seed])",
        about: "A random number between two constants, of their common type; of an integer the fraction is cut off.",
        example: "uniform(10, 20, 7) BETWEEN 10 AND 19",
        params: &[Param::Any, Param::Any, Param::Any],
        required: 2,
        ..forms::FORM
    },
    Function {
        name: "randstr",
        usage: "randstr(length[, seed])",
        about: "A random STRING of so many of the characters `0-9`, `a-z` and `A-Z`. The length is a constant.",
        example: "length(randstr(5, 7))",
        params: &[Param::Any, Param::Any],
        ..forms::FORM
    },
    Function {
        name: "uuid",
        usage: "uuid([seed])",
        about: "A random UUID (version 4) as text, another one for each row.",
        example: "length(uuid())",
        params: &[Param::Any],
        ..forms::NOTHING
    },
    Function {
        name: "shuffle",
        usage: "shuffle(array[, seed])",
        about: "The array with its elements in a random order.",
        example: "array_sort(shuffle(array(1, 3, 2), 7))",
        params: &[Param::Any, Param::Any],
        ..forms::FORM
    },
    Function {
        name: "monotonically_increasing_id",
        usage: "monotonically_increasing_id()",
        about: "A BIGINT that no other row of the source has: the partition above 33 bits of the offset. It grows with the \
                offset.",
        example: "monotonically_increasing_id() >= 0",
        ..forms::NOTHING
    },
    Function { name: "rand at", gives: |_| DataType::Float64, kernel: rand, ..DRAWN },
    Function { name: "randn at", gives: |_| DataType::Float64, kernel: randn, ..DRAWN },
    Function { name: "randstr at", kernel: randstr, ..DRAWN },
    Function { name: "uuid at", kernel: uuid, ..DRAWN },
    Function { name: "shuffle at", gives: |arguments: &[Expr]| arguments[3].data_type(), kernel: shuffle, ..DRAWN },
    Function {
        name: "place within",
        params: &[Param::Any],
        required: 2,
        repeats: true,
        gives: |_| PositionColumn::place_type(),
        kernel: place_within,
        ..Function::BLANK
    },
];

/// Spreads the bits of a place; for one key, no two places give the same.
fn draw(key: u64, place: i128) -> [u64; 2] {
    let (mut high, mut low) = ((place >> 64) as u64, place as u64);
    low = mix(low ^ mix(high.wrapping_add(key)));
    high = mix(high ^ mix(low.wrapping_add(key.wrapping_add(STEP))));
    low = mix(low ^ mix(high.wrapping_add(key)));
    [high, low]
}

impl Arguments<'_> {
    /// What is drawn for each row.
    fn drawn(&self) -> impl Fn(usize) -> [u64; 2] {
        let key = mix(self.columns[0].numbers::<Int64Type>().value(0) as u64);
        let is_own = self.columns[1].array.as_boolean().value(0);
        let key = if is_own { mix(key ^ self.seed) } else { key };
        let places = self.columns[2].numbers::<Decimal128Type>();
        move |row| draw(key, places.value(row))
    }

    /// A source of numbers for each row.
    fn sources(&self) -> impl Fn(usize) -> Random {
        let drawn = self.drawn();
        move |row| {
            let [high, low] = drawn(row);
            Random::new(high ^ mix(low))
        }
    }
}

fn rand(arguments: &mut Arguments) -> ArrayRef {
    let sources = arguments.sources();
    Arc::new(build::numbers::<Float64Type>(arguments.rows, |row| Some(sources(row).unit())))
}

/// By the polar method (Marsaglia).
fn randn(arguments: &mut Arguments) -> ArrayRef {
    let sources = arguments.sources();
    let normal = |row| {
        let mut source = sources(row);
        loop {
            let (x, y) = (2.0 * source.unit() - 1.0, 2.0 * source.unit() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                return Some(x * (-2.0 * square.ln() / square).sqrt());
            }
        }
    };
    Arc::new(build::numbers::<Float64Type>(arguments.rows, normal))
}

fn randstr(arguments: &mut Arguments) -> ArrayRef {
    const CHARACTERS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let sources = arguments.sources();
    let length = arguments.columns[3].numbers::<Int32Type>();
    build::texts(arguments.rows, |row| {
        let mut source = sources(row);
        let character = |_| char::from(CHARACTERS[below(source.bits(), CHARACTERS.len() as u64) as usize]);
        Some((0..length.get(row)?).map(character).collect::<String>())
    })
}

fn uuid(arguments: &mut Arguments) -> ArrayRef {
    let drawn = arguments.drawn();
    build::texts(arguments.rows, |row| {
        let [high, low] = drawn(row);
        let (high, low) = (high & !0xf000 | 0x4000, low & (u64::MAX >> 2) | 1 << 63);
        let (first, second, third) = (high >> 32, high >> 16 & 0xffff, high & 0xffff);
        Some(format!("{first:08x}-{second:04x}-{third:04x}-{:04x}-{:012x}", low >> 48, low & 0xffff_ffff_ffff))
    })
}

/// Fisher and Yates's: each order is as likely.
fn shuffle(arguments: &mut Arguments) -> ArrayRef {
    let lists = arguments.columns[3].clone().into_rows(arguments.rows);
    let lists = lists.as_list::<i32>();
    let sources = arguments.sources();
    let mut places: Vec<Option<usize>> = Vec::with_capacity(lists.values().len());
    let mut lengths = Vec::with_capacity(lists.len());
    for row in 0..lists.len() {
        let offsets = lists.value_offsets();
        let (begin, end) = (offsets[row] as usize, offsets[row + 1] as usize);
        let elements = if lists.is_valid(row) { begin..end } else { begin..begin };
        lengths.push(elements.len());
        let first = places.len();
        places.extend(elements.map(Some));
        let mut source = sources(row);
        for last in (1..places.len() - first).rev() {
            places.swap(first + last, first + below(source.bits(), last as u64 + 1) as usize);
        }
    }
    let DataType::List(field) = arguments.data_type else { panic!("an array is given") };
    let offsets = arrow_buffer::OffsetBuffer::from_lengths(lengths);
    Arc::new(ListArray::new(field.clone(), offsets, take_or_null(lists.values(), &places), lists.nulls().cloned()))
}

/// The place of one of the rows that are made of a row: by the number of an element, or by the start of a window.
fn place_within(arguments: &mut Arguments) -> ArrayRef {
    let places = arguments.columns[0].numbers::<Decimal128Type>();
    let within = &arguments.columns[1];
    let number = |row: usize| -> i64 {
        match within.array.data_type() {
            DataType::Int32 => within.numbers::<Int32Type>().value(row).into(),
            _ => within.numbers::<TimestampMicrosecondType>().value(row),
        }
    };
    let place = |row| {
        let [high, low] = draw(number(row) as u64, places.value(row));
        (i128::from(high as i64) << 64) | i128::from(low)
    };
    let made: Decimal128Array = (0..arguments.rows).map(|row| Some(place(row))).collect();
    Arc::new(made.with_data_type(PositionColumn::place_type()))
}
