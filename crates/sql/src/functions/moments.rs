//! Moving times by units, counting units between them, and sequences: `timestampadd`, `timestampdiff`, `months_between`,
//! `convert_timezone`, `sequence`.

use super::intervals::moved;
use super::lists::ELEMENTS_MAX;
use super::times::add_months;
use super::zones::{Clocks, check_zone};
use super::{Arguments, Function, Param, ZONED, build};
use crate::eval::Order;
use crate::eval::cast::interval::counts;
use crate::eval::cast::to_long;
use crate::eval::{Column, RowErrors};
use crate::intervals::{self, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND};
use crate::types;
use crate::zone::WallClock;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType,
    TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef, Int64Array, ListArray, TimestampMicrosecondArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::DataType;
use std::sync::Arc;
use tidemill_model::time::civil_from_days;

const OF_UNIT: Function =
    Function { params: &[Param::String, Param::Long, Param::Clock], required: 3, zoned: ZONED, ..Function::BLANK };

pub(super) const FUNCTIONS: &[Function] = &[
    // The planner has checked the unit, and takes `dateadd(unit, …)` and the like for the same.
    Function {
        name: "timestampadd",
        usage: "timestampadd(unit, count, time)",
        about: "The time moved by so many units: MICROSECOND, MILLISECOND, SECOND, MINUTE, HOUR, DAY, WEEK, MONTH, QUARTER or YEAR. `dateadd` and `date_add` with a unit are the same.",
        example: "timestampadd(HOUR, 8, TIMESTAMP_NTZ '2024-02-28 20:00:00')",
        gives: |arguments| arguments[2].data_type(),
        kernel: add,
        ..OF_UNIT
    },
    Function {
        name: "timestampdiff",
        aliases: &["timediff"],
        usage: "timestampdiff(unit, from, to)",
        about: "The whole units between two times. `datediff` and `date_diff` with a unit are the same.",
        example: "timestampdiff(MONTH, TIMESTAMP '2024-01-15 00:00:00', TIMESTAMP '2024-03-14 00:00:00')",
        params: &[Param::String, Param::Timestamp, Param::Timestamp],
        gives: |_| DataType::Int64,
        kernel: difference,
        ..OF_UNIT
    },
    Function {
        name: "months_between",
        usage: "months_between(to, from[, rounded])",
        about: "The months between two times, with a fraction of 31 days to the month; rounded to 8 places unless `false` is given.",
        example: "months_between('1997-02-28 10:30:00', '1996-10-30')",
        params: &[Param::Timestamp, Param::Timestamp, Param::Boolean],
        required: 2,
        gives: |_| DataType::Float64,
        kernel: months_between,
        ..OF_UNIT
    },
    Function {
        name: "convert_timezone",
        usage: "convert_timezone([from, ]to, time)",
        about: "A TIMESTAMP_NTZ of one zone's clock as another zone's clock shows it; `from` is the session's zone by default.",
        example: "convert_timezone('Europe/Brussels', 'America/Los_Angeles', TIMESTAMP_NTZ '2021-12-06 00:00:00')",
        params: &[Param::String, Param::String, Param::WallTime],
        gives: |_| types::timestamp_ntz(),
        check: |arguments| check_zone(arguments.first()).and_then(|()| check_zone(arguments.get(1))),
        kernel: convert_timezone,
        ..OF_UNIT
    },
    // The planner has brought the bounds to one type, and gives times a step.
    Function {
        name: "sequence",
        usage: "sequence(start, stop[, step])",
        about: "An ARRAY from start to stop, both included: of integral numbers, or of times with an INTERVAL as the step.",
        example: "sequence(1, 5, 2)",
        params: &[Param::Any, Param::Any, Param::Any],
        gives: |arguments| types::array(arguments[0].data_type()),
        order: Order::InTurn,
        kernel: sequence,
        ..OF_UNIT
    },
];

/// A unit by name: months or microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Months(i64),
    Micros(i64),
}

const UNITS: [(&str, Unit); 11] = [
    ("YEAR", Unit::Months(12)),
    ("QUARTER", Unit::Months(3)),
    ("MONTH", Unit::Months(1)),
    ("WEEK", Unit::Micros(7 * MICROS_PER_DAY)),
    ("DAY", Unit::Micros(MICROS_PER_DAY)),
    ("DAYOFYEAR", Unit::Micros(MICROS_PER_DAY)),
    ("HOUR", Unit::Micros(MICROS_PER_HOUR)),
    ("MINUTE", Unit::Micros(MICROS_PER_MINUTE)),
    ("SECOND", Unit::Micros(MICROS_PER_SECOND)),
    ("MILLISECOND", Unit::Micros(1_000)),
    ("MICROSECOND", Unit::Micros(1)),
];

/// The names of the units.
pub(crate) fn units() -> impl Iterator<Item = &'static str> {
    UNITS.iter().map(|(name, _)| *name)
}

fn unit(arguments: &Arguments) -> Unit {
    let name = arguments.columns[0].texts().get(0).expect("a constant").to_string();
    UNITS.iter().find(|(known, _)| *known == name).expect("the planner has checked it").1
}

fn add(arguments: &mut Arguments) -> ArrayRef {
    let unit = unit(arguments);
    let (count, time) = (arguments.columns[1].clone(), arguments.columns[2].clone());
    let counts = count.numbers::<Int64Type>();
    let mut errors = RowErrors::default();
    let columns = [time];
    let by = |row: usize| {
        let count = counts.get(row)?;
        match unit {
            Unit::Months(months) => Some((i64::from(i32::try_from(count.checked_mul(months)?).ok()?), 0, 0)),
            Unit::Micros(micros) => Some((0, 0, count.checked_mul(micros)?)),
        }
    };
    let mut inner = Arguments {
        columns: &columns,
        rows: arguments.rows,
        data_type: arguments.data_type,
        times: arguments.times,
        seed: arguments.seed,
        errors: &mut errors,
    };
    let result = moved(&mut inner, by, MICROS_PER_DAY);
    for row in 0..arguments.rows {
        let lost = !columns[0].is_null(row) && counts.get(row).is_some() && result.is_null(row);
        if lost {
            let message = || "the result is outside of the range of times; move it by less".to_string();
            arguments.errors.record(row, "DATETIME_OVERFLOW", message);
        }
    }
    result
}

/// Whole units from the second argument's time to the third's, as the session's clock shows them.
fn difference(arguments: &mut Arguments) -> ArrayRef {
    let unit = unit(arguments);
    let (from, to) = (arguments.shown(1), arguments.shown(2));
    let [from, to] = [&from, &to].map(|column| column.numbers::<TimestampMicrosecondType>());
    let value = |row: usize| {
        let (from, to) = (from.get(row)?, to.get(row)?);
        Some(match unit {
            Unit::Micros(micros) => to.saturating_sub(from) / micros,
            Unit::Months(months) => whole_months(from, to) / months,
        })
    };
    Arc::new(build::numbers::<Int64Type>(arguments.rows, value))
}

/// Whole months between two times on a clock, as Java counts them.
fn whole_months(from: i64, to: i64) -> i64 {
    let (from_day, from_time) = (from.div_euclid(MICROS_PER_DAY), from.rem_euclid(MICROS_PER_DAY));
    let (mut to_day, to_time) = (to.div_euclid(MICROS_PER_DAY), to.rem_euclid(MICROS_PER_DAY));
    if to_day > from_day && to_time < from_time {
        to_day -= 1;
    } else if to_day < from_day && to_time > from_time {
        to_day += 1;
    }
    let packed = |day: i64| {
        let (year, month, of_month) = civil_from_days(day);
        (year * 12 + i64::from(month) - 1) * 32 + i64::from(of_month)
    };
    (packed(to_day) - packed(from_day)) / 32
}

/// `months_between(later, earlier[, rounded])`: a month has 31 days where the days of the month differ.
fn months_between(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let clock = &arguments.times.clock;
    let [left, right] = [0, 1].map(|at| columns[at].numbers::<TimestampMicrosecondType>());
    let value = |row: usize| {
        let (left, right) = (Moment::of(left.get(row)?, clock), Moment::of(right.get(row)?, clock));
        let rounded = match columns.get(2) {
            None => true,
            Some(column) if column.is_null(row) => return None,
            Some(column) => column.array.as_boolean().value(column.at(row)),
        };
        let months = (left.months - right.months) as f64;
        if left.day == right.day || left.is_last && right.is_last {
            return Some(months);
        }
        let seconds = (left.day - right.day) * 86_400 + left.second - right.second;
        let difference = months + seconds as f64 / (31.0 * 86_400.0);
        Some(if rounded { (difference * 1e8 + 0.5).floor() / 1e8 } else { difference })
    };
    Arc::new(build::numbers::<Float64Type>(arguments.rows, value))
}

/// A time as `months_between` sees it.
struct Moment {
    months: i64,
    day: i64,
    is_last: bool,
    /// Since the day began.
    second: i64,
}

impl Moment {
    fn of(instant: i64, clock: &WallClock) -> Moment {
        let date = clock.shows(instant).div_euclid(MICROS_PER_DAY);
        let (year, month, day) = civil_from_days(date);
        Moment {
            months: year * 12 + i64::from(month),
            day: day.into(),
            is_last: civil_from_days(date + 1).2 == 1,
            second: (instant - clock.start_of_day(date)) / MICROS_PER_SECOND,
        }
    }
}

/// `convert_timezone(from, to, time)`: what the clocks of one zone show when those of another show the time.
fn convert_timezone(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let times = columns[2].numbers::<TimestampMicrosecondType>();
    let (mut from, mut to) = (Clocks::of(&columns[0]), Clocks::of(&columns[1]));
    let value = |row| {
        let time = times.get(row)?;
        let instant = from.get(row, arguments.errors)?.instant_of(time);
        Some(to.get(row, arguments.errors)?.shows(instant))
    };
    let times: TimestampMicrosecondArray = build::numbers::<TimestampMicrosecondType>(arguments.rows, value);
    Arc::new(times)
}

/// A step of a sequence.
#[derive(Clone, Copy)]
struct Step {
    months: i64,
    days: i64,
    micros: i64,
}

/// `sequence(start, stop[, step])`: of integral numbers, dates or times.
fn sequence(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let DataType::List(field) = arguments.data_type else {
        panic!("a sequence is an array");
    };
    let bounds = [longs(&columns[0]), longs(&columns[1])];
    let bound =
        |side: usize, row: usize| (!columns[side].is_null(row)).then(|| bounds[side].value(columns[side].at(row)));
    let mut values: Vec<i64> = Vec::new();
    let mut offsets = vec![0];
    let mut valid = Vec::with_capacity(arguments.rows);
    for row in 0..arguments.rows {
        let made = bound(0, row).zip(bound(1, row)).and_then(|(start, stop)| {
            let step = match columns.get(2) {
                Some(column) if column.is_null(row) => return None,
                Some(column) => step_of(column, row),
                None => Step { months: 0, days: 0, micros: if start <= stop { 1 } else { -1 } },
            };
            match extend(&mut values, start, stop, step, field.data_type(), &arguments.times.clock) {
                Ok(()) => Some(()),
                Err((class, message)) => {
                    arguments.errors.record(row, class, || message);
                    None
                }
            }
        });
        if made.is_none() {
            values.truncate(offsets[row] as usize);
        }
        valid.push(made.is_some());
        offsets.push(values.len() as i32);
    }
    let values = typed(values, field.data_type());
    let nulls = Some(NullBuffer::from(valid)).filter(|nulls| nulls.null_count() > 0);
    Arc::new(ListArray::new(field.clone(), OffsetBuffer::new(offsets.into()), values, nulls))
}

/// Integral numbers, days or microseconds as they are.
fn longs(column: &Column) -> Int64Array {
    match column.array.data_type() {
        DataType::Date32 => column.array.as_primitive::<Date32Type>().unary(i64::from),
        DataType::Timestamp(..) => column.array.as_primitive::<TimestampMicrosecondType>().unary(|micros| micros),
        _ => to_long(&column.array, &mut RowErrors::default()).as_primitive::<Int64Type>().clone(),
    }
}

fn typed(values: Vec<i64>, data_type: &DataType) -> ArrayRef {
    let values = Int64Array::from(values);
    match data_type {
        DataType::Int8 => Arc::new(values.unary::<_, Int8Type>(|value| value as i8)),
        DataType::Int16 => Arc::new(values.unary::<_, Int16Type>(|value| value as i16)),
        DataType::Int32 => Arc::new(values.unary::<_, Int32Type>(|value| value as i32)),
        DataType::Date32 => Arc::new(values.unary::<_, Date32Type>(|value| value as i32)),
        DataType::Timestamp(..) => {
            let times: TimestampMicrosecondArray = values.unary(|value| value);
            Arc::new(times.with_data_type(data_type.clone()))
        }
        _ => Arc::new(values),
    }
}

fn step_of(column: &Column, row: usize) -> Step {
    match intervals::kind(column.array.data_type()) {
        None => Step { months: 0, days: 0, micros: longs(column).value(column.at(row)) },
        Some(intervals::Kind::YearMonth(..)) => {
            Step { months: counts(&column.array).value(column.at(row)), days: 0, micros: 0 }
        }
        Some(intervals::Kind::DayTime(..)) => {
            let micros = counts(&column.array).value(column.at(row));
            let days = micros / MICROS_PER_DAY;
            Step { months: 0, days, micros: micros - days * MICROS_PER_DAY }
        }
        Some(intervals::Kind::Calendar) => {
            let value = column.numbers::<IntervalMonthDayNanoType>().value(row);
            Step { months: value.months.into(), days: value.days.into(), micros: value.nanoseconds }
        }
    }
}

/// Appends the values from `start` on, as far as `stop`.
fn extend(
    values: &mut Vec<i64>,
    start: i64,
    stop: i64,
    step: Step,
    data_type: &DataType,
    clock: &WallClock,
) -> Result<(), (&'static str, String)> {
    let is_date = *data_type == DataType::Date32;
    if is_date && step.micros != 0 {
        let message = "the step of a sequence of dates is of days, months or years; CAST them to TIMESTAMP".to_string();
        return Err(("_LEGACY_ERROR_TEMP_3242", message));
    }
    // About how far a step goes: a month is 28 days.
    let unit = if is_date { 1 } else { MICROS_PER_DAY };
    let length = (28 * step.months + step.days).saturating_mul(unit).saturating_add(step.micros);
    if length == 0 && start != stop || length > 0 && start > stop || length < 0 && start < stop {
        let message = "the sequence's step does not lead from its start to its stop; change its sign".to_string();
        return Err(("ILLEGAL_SEQUENCE_BOUNDARIES", message));
    }
    if length == 0 {
        values.push(start);
        return Ok(());
    }
    let count = (i128::from(stop) - i128::from(start)) / i128::from(length) + 1;
    if count > (ELEMENTS_MAX - values.len().min(ELEMENTS_MAX)) as i128 {
        let message = format!("a sequence of {count} elements is too large; make a shorter one");
        return Err(("COLLECTION_SIZE_LIMIT_EXCEEDED", message));
    }
    for number in 0.. {
        let next = after(start, step, number, data_type, clock);
        let next = next.filter(|next| if length > 0 { *next <= stop } else { *next >= stop });
        match next {
            Some(next) => values.push(next),
            None => break,
        }
    }
    Ok(())
}

/// The value that is so many steps behind the start; `None` out of its range.
fn after(start: i64, step: Step, number: i64, data_type: &DataType, clock: &WallClock) -> Option<i64> {
    let [months, days, micros] =
        [step.months.checked_mul(number)?, step.days.checked_mul(number)?, step.micros.checked_mul(number)?];
    match data_type {
        DataType::Date32 => add_months(start, months)?.checked_add(days)?.checked_add(micros),
        DataType::Timestamp(_, zone) => {
            super::intervals::later(start, (months, days, micros), zone.as_ref().map(|_| clock))
        }
        _ => start.checked_add(micros),
    }
}
