//! Functions of dates and times: their parts, moving dates, cutting, counting between. A TIMESTAMP's parts are what the
//! session's clock shows.

use super::numbers::overflow;
use super::{Arguments, Function, Param, ZONED, build};
use crate::eval::arithmetic::{OVERFLOW, pow10, zip};
use crate::eval::cast::time::{MICROS_PER_DAY, MICROS_PER_SECOND};
use crate::eval::cast::{doubles, to_long};
use crate::eval::{Column, RowErrors};
use crate::expr::Expr;
use crate::types;
use crate::value::Value;
use crate::zone::WallClock;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::i256;
use arrow_schema::DataType;
use std::sync::Arc;
use tidemill_model::time::{civil_from_days, days_from_civil, days_of_date};

const INT_OF_DATE: Function = Function { params: &[Param::Date], gives: |_| DataType::Int32, ..Function::BLANK };

const INT_OF_TIME: Function = Function { params: &[Param::Clock], zoned: ZONED, ..INT_OF_DATE };

const LONG_OF_TIME: Function =
    Function { params: &[Param::Timestamp], gives: |_| DataType::Int64, zoned: None, ..INT_OF_TIME };

const DATE_DAYS: Function =
    Function { params: &[Param::Date, Param::Int], required: 2, gives: |_| DataType::Date32, ..Function::BLANK };

const TIME_OF_LONG: Function = Function { params: &[Param::Long], gives: |_| types::timestamp(), ..Function::BLANK };

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "year",
        usage: "year(date)",
        about: "The year.",
        example: "year('2016-07-30')",
        kernel: |a| of_date(a, |day| civil_from_days(day).0),
        ..INT_OF_DATE
    },
    Function {
        name: "quarter",
        usage: "quarter(date)",
        about: "The quarter, 1 to 4.",
        example: "quarter('2016-08-31')",
        kernel: |a| of_date(a, |day| (i64::from(civil_from_days(day).1) + 2) / 3),
        ..INT_OF_DATE
    },
    Function {
        name: "month",
        usage: "month(date)",
        about: "The month, 1 to 12.",
        example: "month('2016-07-30')",
        kernel: |a| of_date(a, |day| civil_from_days(day).1.into()),
        ..INT_OF_DATE
    },
    Function {
        name: "day",
        aliases: &["dayofmonth"],
        usage: "day(date)",
        about: "The day of the month.",
        example: "day('2009-07-30')",
        kernel: |a| of_date(a, |day| civil_from_days(day).2.into()),
        ..INT_OF_DATE
    },
    Function {
        name: "dayofyear",
        usage: "dayofyear(date)",
        about: "The day of the year.",
        example: "dayofyear('2016-04-09')",
        kernel: |a| of_date(a, day_of_year),
        ..INT_OF_DATE
    },
    // 1 is Sunday.
    Function {
        name: "dayofweek",
        usage: "dayofweek(date)",
        about: "The day of the week: 1 is Sunday, 7 is Saturday.",
        example: "dayofweek('2009-07-30')",
        kernel: |a| of_date(a, |day| weekday(day + 1) + 1),
        ..INT_OF_DATE
    },
    // 0 is Monday.
    Function {
        name: "weekday",
        usage: "weekday(date)",
        about: "The day of the week: 0 is Monday, 6 is Sunday.",
        example: "weekday('2009-07-30')",
        kernel: |a| of_date(a, weekday),
        ..INT_OF_DATE
    },
    Function {
        name: "weekofyear",
        usage: "weekofyear(date)",
        about: "The week of the year by ISO 8601.",
        example: "weekofyear('2008-02-20')",
        kernel: |a| of_date(a, week_of_year),
        ..INT_OF_DATE
    },
    Function { name: "extract yearofweek", kernel: |a| of_date(a, year_of_week), ..INT_OF_DATE },
    Function { name: "extract dayofweek_iso", kernel: |a| of_date(a, |day| weekday(day) + 1), ..INT_OF_DATE },
    Function {
        name: "unix_date",
        usage: "unix_date(date)",
        about: "Days since 1970-01-01.",
        example: "unix_date(DATE '1970-01-02')",
        kernel: |a| of_date(a, |day| day),
        ..INT_OF_DATE
    },
    Function {
        name: "hour",
        usage: "hour(time)",
        about: "The hour by the session's clock.",
        example: "hour('2009-07-30 12:58:59')",
        kernel: |a| of_time(a, |micros| micros.div_euclid(3_600 * MICROS_PER_SECOND).rem_euclid(24)),
        ..INT_OF_TIME
    },
    Function {
        name: "minute",
        usage: "minute(time)",
        about: "The minute.",
        example: "minute('2009-07-30 12:58:59')",
        kernel: |a| of_time(a, |micros| micros.div_euclid(60 * MICROS_PER_SECOND).rem_euclid(60)),
        ..INT_OF_TIME
    },
    Function {
        name: "second",
        usage: "second(time)",
        about: "The second.",
        example: "second('2009-07-30 12:58:59')",
        kernel: |a| of_time(a, |micros| micros.div_euclid(MICROS_PER_SECOND).rem_euclid(60)),
        ..INT_OF_TIME
    },
    Function {
        name: "unix_seconds",
        usage: "unix_seconds(time)",
        about: "Whole seconds since 1970.",
        example: "unix_seconds(TIMESTAMP '1970-01-01 00:00:01Z')",
        kernel: |a| long_of_time(a, MICROS_PER_SECOND),
        ..LONG_OF_TIME
    },
    Function {
        name: "unix_millis",
        usage: "unix_millis(time)",
        about: "Whole milliseconds since 1970.",
        example: "unix_millis(TIMESTAMP '1970-01-01 00:00:01Z')",
        kernel: |a| long_of_time(a, 1_000),
        ..LONG_OF_TIME
    },
    Function {
        name: "unix_micros",
        usage: "unix_micros(time)",
        about: "Microseconds since 1970.",
        example: "unix_micros(TIMESTAMP '1970-01-01 00:00:01Z')",
        kernel: |a| long_of_time(a, 1),
        ..LONG_OF_TIME
    },
    // `unix_timestamp(time)`: truncated where `unix_seconds` floors; a TIMESTAMP_NTZ counts as it stands.
    Function { name: "unix_timestamp of time", params: &[Param::Clock], kernel: unix_timestamp, ..LONG_OF_TIME },
    Function {
        name: "timestamp_seconds",
        usage: "timestamp_seconds(seconds)",
        about: "The TIMESTAMP so many seconds, with a fraction or none, after 1970 began in UTC.",
        example: "timestamp_seconds(1230219000)",
        params: &[Param::Number],
        kernel: seconds,
        ..TIME_OF_LONG
    },
    Function {
        name: "timestamp_millis",
        usage: "timestamp_millis(millis)",
        about: "The TIMESTAMP so many milliseconds after 1970 began in UTC.",
        example: "timestamp_millis(1230219000123)",
        kernel: |a| time_of_long(a, 1_000),
        params: &[Param::Integral],
        ..TIME_OF_LONG
    },
    Function {
        name: "timestamp_micros",
        usage: "timestamp_micros(micros)",
        about: "The TIMESTAMP so many microseconds after 1970 began in UTC.",
        example: "timestamp_micros(1230219000123123)",
        kernel: |a| time_of_long(a, 1),
        params: &[Param::Integral],
        ..TIME_OF_LONG
    },
    // The seconds with their fraction, for EXTRACT(SECOND FROM …).
    Function {
        name: "extract second",
        gives: |_| DataType::Decimal128(8, 6),
        kernel: seconds_of_minute,
        ..INT_OF_TIME
    },
    Function {
        name: "date_add",
        usage: "date_add(date, days)",
        about: "The DATE so many days later.",
        example: "date_add('2016-07-30', 1)",
        kernel: |a| add_days(a, i32::wrapping_add),
        params: &[Param::Date, Param::SmallInt],
        ..DATE_DAYS
    },
    Function {
        name: "date_sub",
        usage: "date_sub(date, days)",
        about: "The DATE so many days earlier.",
        example: "date_sub('2016-07-30', 1)",
        kernel: |a| add_days(a, i32::wrapping_sub),
        params: &[Param::Date, Param::SmallInt],
        ..DATE_DAYS
    },
    Function {
        name: "add_months",
        usage: "add_months(date, months)",
        about: "The DATE so many months later, or the last day of that month if it is shorter.",
        example: "add_months('2016-08-31', 1)",
        kernel: months_later,
        ..DATE_DAYS
    },
    Function {
        name: "date_from_unix_date",
        usage: "date_from_unix_date(days)",
        about: "The DATE so many days after 1970-01-01.",
        example: "date_from_unix_date(1)",
        params: &[Param::Int],
        required: 1,
        kernel: date_of_days,
        ..DATE_DAYS
    },
    Function {
        name: "last_day",
        usage: "last_day(date)",
        about: "The last day of the date's month.",
        example: "last_day('2009-01-12')",
        params: &[Param::Date],
        required: 1,
        kernel: last_day,
        ..DATE_DAYS
    },
    Function {
        name: "next_day",
        usage: "next_day(date, weekday)",
        about: "The next such day after the date; an unknown weekday fails the row.",
        example: "next_day('2015-01-14', 'TU')",
        params: &[Param::Date, Param::String],
        kernel: next_day,
        ..DATE_DAYS
    },
    Function {
        name: "make_date",
        usage: "make_date(year, month, day)",
        about: "A DATE of its parts; parts that make none fail the row.",
        example: "make_date(2013, 7, 15)",
        params: &[Param::Int, Param::Int, Param::Int],
        required: 3,
        kernel: make_date,
        ..DATE_DAYS
    },
    Function {
        name: "datediff",
        aliases: &["date_diff"],
        usage: "datediff(to, from)",
        about: "The days from one date to another.",
        example: "datediff('2009-07-31', '2009-07-30')",
        params: &[Param::Date, Param::Date],
        gives: |_| DataType::Int32,
        kernel: datediff,
        ..DATE_DAYS
    },
    Function {
        name: "trunc",
        usage: "trunc(date, unit)",
        about: "The first day of the date's week, month, quarter or year.",
        example: "trunc('2019-08-04', 'quarter')",
        params: &[Param::Date, Param::String],
        kernel: trunc,
        ..DATE_DAYS
    },
    Function {
        name: "date_trunc",
        usage: "date_trunc(unit, time)",
        about: "The start of the time's year, quarter, month, week, day, hour, minute, second, millisecond or microsecond.",
        example: "date_trunc('HOUR', '2015-03-05T09:32:05.359')",
        params: &[Param::String, Param::Timestamp],
        required: 2,
        check: check_date_trunc,
        zoned: ZONED,
        kernel: date_trunc,
        ..TIME_OF_LONG
    },
];

fn of_date(arguments: &mut Arguments, part: fn(i64) -> i64) -> ArrayRef {
    let input = arguments.columns[0].numbers::<Date32Type>();
    Arc::new(build::numbers::<Int32Type>(arguments.rows, |row| Some(part(input.get(row)?.into()) as i32)))
}

fn of_time(arguments: &mut Arguments, part: fn(i64) -> i64) -> ArrayRef {
    let shown = arguments.shown(0);
    let input = shown.numbers::<TimestampMicrosecondType>();
    Arc::new(build::numbers::<Int32Type>(arguments.rows, |row| Some(part(input.get(row)?) as i32)))
}

fn long_of_time(arguments: &mut Arguments, unit: i64) -> ArrayRef {
    let input = arguments.columns[0].numbers::<TimestampMicrosecondType>();
    Arc::new(build::numbers::<Int64Type>(arguments.rows, |row| Some(input.get(row)?.div_euclid(unit))))
}

fn unix_timestamp(arguments: &mut Arguments) -> ArrayRef {
    let input = arguments.columns[0].numbers::<TimestampMicrosecondType>();
    Arc::new(build::numbers::<Int64Type>(arguments.rows, |row| Some(input.get(row)? / MICROS_PER_SECOND)))
}

fn time_of_long(arguments: &mut Arguments, unit: i64) -> ArrayRef {
    micros_of(&arguments.columns[0], unit, arguments.rows, arguments.errors)
}

fn micros_of(column: &Column, unit: i64, rows: usize, errors: &mut RowErrors) -> ArrayRef {
    let input = column.numbers::<Int64Type>();
    let value = |row| {
        let micros = input.get(row)?.checked_mul(unit);
        micros.is_none().then(|| overflow(errors, row));
        micros
    };
    Arc::new(build::numbers::<TimestampMicrosecondType>(rows, value).with_timezone("UTC"))
}

fn date_of_days(arguments: &mut Arguments) -> ArrayRef {
    let input = arguments.columns[0].numbers::<Int32Type>();
    Arc::new(build::numbers::<Date32Type>(arguments.rows, |row| input.get(row)))
}

/// Numbers of any type as seconds; doubles that are not finite give NULL, too large ones the last time there is. A decimal
/// with more than six digits behind the point fails its row.
fn seconds(arguments: &mut Arguments) -> ArrayRef {
    let column = &arguments.columns[0];
    let mut errors = RowErrors::default();
    if types::is_integral(column.array.data_type()) {
        let array = to_long(&column.array, &mut errors);
        let column = Column { array, constant: column.constant };
        return micros_of(&column, MICROS_PER_SECOND, arguments.rows, arguments.errors);
    }
    if let DataType::Decimal128(_, scale) = *column.array.data_type() {
        let input = column.numbers::<Decimal128Type>();
        let value = |row| exact_micros(row, input.get(row)?, scale, arguments.errors);
        return Arc::new(build::numbers::<TimestampMicrosecondType>(arguments.rows, value).with_timezone("UTC"));
    }
    let doubles = Column { array: Arc::new(doubles(&column.array)), constant: column.constant };
    let input = doubles.numbers::<Float64Type>();
    let value = |row| input.get(row).filter(|x| x.is_finite()).map(|x| (x * 1e6) as i64);
    Arc::new(build::numbers::<TimestampMicrosecondType>(arguments.rows, value).with_timezone("UTC"))
}

/// Microseconds of a decimal number of seconds.
fn exact_micros(row: usize, seconds: i128, scale: i8, errors: &mut RowErrors) -> Option<i64> {
    let micros = i256::from_i128(seconds).wrapping_mul(pow10(6));
    let unit = pow10(scale.into());
    if micros.wrapping_rem(unit) != i256::ZERO {
        let message = || "a time has six digits behind the second and no more; round the seconds".to_string();
        errors.record(row, "ROUNDING_NECESSARY", message);
        return None;
    }
    let micros = micros.wrapping_div(unit).to_i128().and_then(|micros| i64::try_from(micros).ok());
    micros.is_none().then(|| overflow(errors, row));
    micros
}

fn seconds_of_minute(arguments: &mut Arguments) -> ArrayRef {
    let shown = arguments.shown(0);
    let input = shown.numbers::<TimestampMicrosecondType>();
    let value = |row| Some(input.get(row)?.rem_euclid(60 * MICROS_PER_SECOND).into());
    let array = build::numbers::<Decimal128Type>(arguments.rows, value);
    Arc::new(array.with_data_type(arguments.data_type.clone()))
}

/// 0 is Monday; day 0 was a Thursday.
pub(super) fn weekday(day: i64) -> i64 {
    (day + 3).rem_euclid(7)
}

pub(super) fn day_of_year(day: i64) -> i64 {
    day - days_from_civil(civil_from_days(day).0, 1, 1) + 1
}

/// ISO weeks: the week belongs to the year of its Thursday.
/// The year that the week's Thursday is in.
fn year_of_week(day: i64) -> i64 {
    civil_from_days(day - weekday(day) + 3).0
}

fn week_of_year(day: i64) -> i64 {
    let thursday = day - weekday(day) + 3;
    (day_of_year(thursday) - 1) / 7 + 1
}

/// Beyond the last day that there is it goes on with the first, as in Spark.
fn add_days(arguments: &mut Arguments, add: fn(i32, i32) -> i32) -> ArrayRef {
    let [date, days] = arguments.columns else {
        panic!("two arguments");
    };
    let add = |date, days| Ok(add(date, days));
    Arc::new(zip::<Date32Type, Int32Type, Date32Type>(date, days, arguments.rows, arguments.errors, add))
}

fn months_later(arguments: &mut Arguments) -> ArrayRef {
    let [date, months] = arguments.columns else {
        panic!("two arguments");
    };
    let add = |date: i32, months: i32| {
        let moved = add_months(date.into(), months.into()).and_then(|day| i32::try_from(day).ok());
        moved.ok_or(OVERFLOW)
    };
    Arc::new(zip::<Date32Type, Int32Type, Date32Type>(date, months, arguments.rows, arguments.errors, add))
}

fn datediff(arguments: &mut Arguments) -> ArrayRef {
    let [end, start] = arguments.columns else {
        panic!("two arguments");
    };
    let between = |end: i32, start: i32| Ok(end.wrapping_sub(start));
    Arc::new(zip::<Date32Type, Date32Type, Int32Type>(end, start, arguments.rows, arguments.errors, between))
}

fn last_day(arguments: &mut Arguments) -> ArrayRef {
    let input = arguments.columns[0].numbers::<Date32Type>();
    let value = |row| {
        let (year, month, _) = civil_from_days(input.get(row)?.into());
        Some((first_of_next_month(year, month) - 1) as i32)
    };
    Arc::new(build::numbers::<Date32Type>(arguments.rows, value))
}

fn first_of_next_month(year: i64, month: u32) -> i64 {
    if month == 12 { days_from_civil(year + 1, 1, 1) } else { days_from_civil(year, month + 1, 1) }
}

/// The first such day of the week after a date.
fn next_day(arguments: &mut Arguments) -> ArrayRef {
    const DAYS: [&str; 7] = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"];
    let columns = arguments.columns;
    let (date, name) = (columns[0].numbers::<Date32Type>(), columns[1].texts());
    let value = |row| {
        let (date, name) = (i64::from(date.get(row)?), name.get(row)?.to_ascii_uppercase());
        let is_named = |day: &str| *day == name || day[..3] == *name || day[..2] == *name;
        let Some(wanted) = DAYS.iter().position(|day| is_named(day)) else {
            let message = || format!("`{name}` is no day of the week; write for instance 'Mon' or 'Monday'");
            arguments.errors.record(row, "ILLEGAL_DAY_OF_WEEK", message);
            return None;
        };
        let ahead = (wanted as i64 - weekday(date) - 1).rem_euclid(7) + 1;
        Some((date + ahead) as i32)
    };
    Arc::new(build::numbers::<Date32Type>(arguments.rows, value))
}

fn make_date(arguments: &mut Arguments) -> ArrayRef {
    let [year, month, day] = [0, 1, 2].map(|index: usize| arguments.columns[index].numbers::<Int32Type>());
    let value = |row| {
        let (y, m, d) = (i64::from(year.get(row)?), month.get(row)?, day.get(row)?);
        let days = days_of_date(y, m.into(), d.into()).and_then(|days| i32::try_from(days).ok());
        if days.is_none() {
            let message = || format!("there is no date {y}-{m}-{d}; check the parts");
            arguments.errors.record(row, "DATETIME_FIELD_OUT_OF_BOUNDS", message);
        }
        days
    };
    Arc::new(build::numbers::<Date32Type>(arguments.rows, value))
}

/// The first day of a date's week, month, quarter or year; NULL for another unit.
fn trunc(arguments: &mut Arguments) -> ArrayRef {
    let (date, unit) = (arguments.columns[0].numbers::<Date32Type>(), arguments.columns[1].texts());
    let value = |row| {
        let day = i64::from(date.get(row)?);
        let unit = Unit::parse(unit.get(row)?).filter(|unit| *unit >= Unit::Week)?;
        Some(unit.first_day(day) as i32)
    };
    Arc::new(build::numbers::<Date32Type>(arguments.rows, value))
}

fn check_date_trunc(arguments: &[Expr]) -> Result<(), String> {
    match &arguments[0] {
        Expr::Literal(Value::String(unit), _) if Unit::parse(unit).is_none() => {
            Err(format!("'{unit}' is no unit of time; write for instance 'hour' or 'day' (the unit comes first)"))
        }
        _ => Ok(()),
    }
}

/// The start of a time's unit on the session's clock; NULL for what is no unit.
fn date_trunc(arguments: &mut Arguments) -> ArrayRef {
    let (unit, time) = (arguments.columns[0].texts(), arguments.columns[1].numbers::<TimestampMicrosecondType>());
    let clock = &arguments.times.clock;
    let value = |row| {
        let (unit, micros) = (Unit::parse(unit.get(row)?)?, time.get(row)?);
        let start = match unit.micros() {
            // An offset is of whole seconds. Before the first time that there is, Spark goes on with the last one.
            Some(length) if unit <= Unit::Second => Some(micros.wrapping_sub(micros.rem_euclid(length))),
            Some(length) => start_on(clock, micros, length),
            None => {
                let day = unit.first_day(clock.shows(micros).div_euclid(MICROS_PER_DAY));
                clock.second_of_day(day).checked_mul(MICROS_PER_SECOND)
            }
        };
        start.is_none().then(|| overflow(arguments.errors, row));
        start
    };
    Arc::new(build::numbers::<TimestampMicrosecondType>(arguments.rows, value).with_timezone("UTC"))
}

/// The last time before, or at, an instant that a clock shows as a multiple of a length; `None` before the first time that
/// there is. Of an hour that comes twice, the one that the instant is in. In 128 bits: a clock may show what 64 do not hold.
fn start_on(clock: &WallClock, micros: i64, length: i64) -> Option<i64> {
    let offset = clock.offset_at(micros.div_euclid(MICROS_PER_SECOND));
    let shown = i128::from(micros) + i128::from(offset * MICROS_PER_SECOND);
    let start = i64::try_from(i128::from(micros) - shown.rem_euclid(length.into())).ok()?;
    if clock.offset_at(start.div_euclid(MICROS_PER_SECOND)) == offset {
        return Some(start);
    }
    Some(clock.instant_of(start.saturating_add(offset * MICROS_PER_SECOND)))
}

/// Units that times are cut to.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl Unit {
    fn parse(text: &str) -> Option<Unit> {
        match text.to_ascii_uppercase().as_str() {
            "MICROSECOND" => Some(Unit::Microsecond),
            "MILLISECOND" => Some(Unit::Millisecond),
            "SECOND" => Some(Unit::Second),
            "MINUTE" => Some(Unit::Minute),
            "HOUR" => Some(Unit::Hour),
            "DAY" | "DD" => Some(Unit::Day),
            "WEEK" => Some(Unit::Week),
            "MON" | "MONTH" | "MM" => Some(Unit::Month),
            "QUARTER" => Some(Unit::Quarter),
            "YEAR" | "YYYY" | "YY" => Some(Unit::Year),
            _ => None,
        }
    }

    /// Its length, where that is always the same and begins with the epoch.
    fn micros(self) -> Option<i64> {
        match self {
            Unit::Microsecond => Some(1),
            Unit::Millisecond => Some(1_000),
            Unit::Second => Some(MICROS_PER_SECOND),
            Unit::Minute => Some(60 * MICROS_PER_SECOND),
            Unit::Hour => Some(3_600 * MICROS_PER_SECOND),
            Unit::Day => Some(MICROS_PER_DAY),
            _ => None,
        }
    }

    /// First day of the unit that a day is in.
    fn first_day(self, day: i64) -> i64 {
        let (year, month, _) = civil_from_days(day);
        match self {
            Unit::Week => day - weekday(day),
            Unit::Month => days_from_civil(year, month, 1),
            Unit::Quarter => days_from_civil(year, (month - 1) / 3 * 3 + 1, 1),
            Unit::Year => days_from_civil(year, 1, 1),
            _ => day,
        }
    }
}

/// A day number moved by months; where the month is shorter, its last day.
pub(super) fn add_months(days: i64, months: i64) -> Option<i64> {
    let (year, month, day) = civil_from_days(days);
    // Spark's months are of 32 bits: with these the day number stays far from the ends of 64.
    let total = year * 12 + i64::from(month) - 1 + i64::from(i32::try_from(months).ok()?);
    let (year, month) = (total.div_euclid(12), total.rem_euclid(12) as u32 + 1);
    Some((days_from_civil(year, month, 1) + i64::from(day) - 1).min(first_of_next_month(year, month) - 1))
}
