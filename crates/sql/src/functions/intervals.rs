//! `time + INTERVAL …`: months and days on the session's clock, what is left on any.
//!
//! As Java's `ZonedDateTime`: a time that falls into a gap is moved forward by its length, and one that comes twice keeps
//! the offset that it had.

use super::numbers::overflow;
use super::times::add_months;
use super::{Arguments, Function, Param, ZONED, build};
use crate::eval::cast::time::{MICROS_PER_DAY, MICROS_PER_SECOND};
use crate::types;
use arrow_array::ArrayRef;
use arrow_array::types::{Date32Type, Int64Type, TimestampMicrosecondType};
use arrow_schema::DataType;
use std::sync::Arc;
use tidemill_model::WallClock;

pub(super) const FUNCTIONS: &[Function] = &[
    // Of months and microseconds, whole days among them; the planner alone can name it.
    Function {
        name: "+ interval",
        params: &[Param::Any, Param::Long, Param::Long],
        required: 3,
        gives: |arguments| arguments[0].data_type(),
        zoned: ZONED,
        kernel: add_interval,
        ..Function::BLANK
    },
];

/// Months first, to the same day of the month or its last one; then microseconds.
fn add_interval(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let (months, micros) = (columns[1].numbers::<Int64Type>(), columns[2].numbers::<Int64Type>());
    if columns[0].array.data_type() == &DataType::Date32 {
        let dates = columns[0].numbers::<Date32Type>();
        let value = |row: usize| {
            let date = i64::from(dates.get(row)?);
            let moved = add_months(date, months.value(row))? + micros.value(row).div_euclid(MICROS_PER_DAY);
            let moved = i32::try_from(moved).ok();
            moved.is_none().then(|| overflow(arguments.errors, row));
            moved
        };
        return Arc::new(build::numbers::<Date32Type>(arguments.rows, value));
    }
    let times = columns[0].numbers::<TimestampMicrosecondType>();
    let clock = &arguments.times.clock;
    let has_zone = columns[0].array.data_type() == &types::timestamp() && !clock.zone().is_utc();
    let value = |row: usize| {
        let (time, months, micros) = (times.get(row)?, months.value(row), micros.value(row));
        let moved = match has_zone {
            true => moved_on(clock, time, months, micros),
            false => months_later(time, months).and_then(|time| time.checked_add(micros)),
        };
        moved.is_none().then(|| overflow(arguments.errors, row));
        moved
    };
    let array = build::numbers::<TimestampMicrosecondType>(arguments.rows, value);
    Arc::new(array.with_data_type(columns[0].array.data_type().clone()))
}

/// An instant, moved by months, then days, as a clock shows them, then by what is left of the microseconds.
fn moved_on(clock: &WallClock, time: i64, months: i64, micros: i64) -> Option<i64> {
    let (days, rest) = (micros / MICROS_PER_DAY, micros - micros / MICROS_PER_DAY * MICROS_PER_DAY);
    let mut time = time;
    for move_shown in [&|shown| months_later(shown, months), &|shown: i64| shown.checked_add(days * MICROS_PER_DAY)]
        as [&dyn Fn(i64) -> Option<i64>; 2]
    {
        let shown = clock.shows(time);
        time = clock.instant_of_preferring(move_shown(shown)?, (shown - time) / MICROS_PER_SECOND);
    }
    time.checked_add(rest)
}

/// A time of day on the same day of another month, or on its last one.
fn months_later(micros: i64, months: i64) -> Option<i64> {
    let (day, of_day) = (micros.div_euclid(MICROS_PER_DAY), micros.rem_euclid(MICROS_PER_DAY));
    add_months(day, months)?.checked_mul(MICROS_PER_DAY)?.checked_add(of_day)
}
