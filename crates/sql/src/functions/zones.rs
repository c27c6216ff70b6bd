//! Functions that name a time zone, or make a time in the session's.

use super::{Arguments, Function, Param, ZONED, build};
use crate::eval::cast::time::{MICROS_PER_DAY, MICROS_PER_SECOND};
use crate::eval::{Column, RowErrors, Texts};
use crate::expr::Expr;
use crate::types;
use crate::value::Value;
use crate::zone::{WallClock, Zone};
use arrow_array::ArrayRef;
use arrow_array::types::{Date32Type, Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};
use std::sync::Arc;
use tidemill_model::time::days_of_date;

const SHIFT: Function = Function {
    params: &[Param::Timestamp, Param::String],
    required: 2,
    gives: |_| types::timestamp(),
    check: |arguments| check_zone(arguments.get(1)),
    ..Function::BLANK
};

const SECONDS: Param = Param::Seconds(16);

/// Of year, month, day, hour, minute and second, without a zone.
const OF_PARTS: Function = Function {
    params: &[Param::Int, Param::Int, Param::Int, Param::Int, Param::Int, SECONDS],
    required: 6,
    gives: |_| types::timestamp_ntz(),
    ..Function::BLANK
};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "from_utc_timestamp",
        usage: "from_utc_timestamp(time, zone)",
        about: "What a zone's clock shows when UTC shows the time.",
        example: "from_utc_timestamp('2016-08-31', 'Asia/Seoul')",
        kernel: |a| shifted(a, WallClock::shows),
        ..SHIFT
    },
    Function {
        name: "to_utc_timestamp",
        usage: "to_utc_timestamp(time, zone)",
        about: "What UTC shows when a zone's clock shows the time.",
        example: "to_utc_timestamp('2016-08-31', 'Asia/Seoul')",
        kernel: |a| shifted(a, WallClock::instant_of),
        ..SHIFT
    },
    Function {
        name: "make_timestamp",
        aliases: &["make_timestamp_ltz"],
        usage: "make_timestamp(year, month, day, hour, minute, second[, zone])",
        about: "A TIMESTAMP of its parts, by the session's clock or a zone's; parts that make none fail the row. Or of a DATE and a constant TIME: `make_timestamp(date, TIME '6:30'[, zone])`.",
        example: "make_timestamp(2014, 12, 28, 6, 30, 45.887)",
        params: &[Param::Int, Param::Int, Param::Int, Param::Int, Param::Int, SECONDS, Param::String],
        required: 6,
        check: |arguments| check_zone(arguments.get(6)),
        zoned: ZONED,
        kernel: |a| make_timestamp(a, TimestampKind::Instant, true),
        ..SHIFT
    },
    Function {
        name: "try_make_timestamp",
        aliases: &["try_make_timestamp_ltz"],
        usage: "try_make_timestamp(year, month, day, hour, minute, second[, zone])",
        about: "As `make_timestamp`, but NULL for parts that make none.",
        example: "try_make_timestamp(2014, 13, 28, 6, 30, 45)",
        params: &[Param::Int, Param::Int, Param::Int, Param::Int, Param::Int, SECONDS, Param::String],
        required: 6,
        check: |arguments| check_zone(arguments.get(6)),
        zoned: ZONED,
        kernel: |a| make_timestamp(a, TimestampKind::Instant, false),
        ..SHIFT
    },
    Function {
        name: "make_timestamp_ntz",
        usage: "make_timestamp_ntz(year, month, day, hour, minute, second)",
        about: "A TIMESTAMP_NTZ of its parts; parts that make none fail the row. Or of a DATE and a constant TIME: `make_timestamp_ntz(date, TIME '6:30')`.",
        example: "make_timestamp_ntz(2014, 12, 28, 6, 30, 45.887)",
        kernel: |a| make_timestamp(a, TimestampKind::Shown, true),
        ..OF_PARTS
    },
    Function {
        name: "try_make_timestamp_ntz",
        usage: "try_make_timestamp_ntz(year, month, day, hour, minute, second)",
        about: "As `make_timestamp_ntz`, but NULL for parts that make none.",
        example: "try_make_timestamp_ntz(2014, 13, 28, 6, 30, 45)",
        kernel: |a| make_timestamp(a, TimestampKind::Shown, false),
        ..OF_PARTS
    },
    Function { name: "make_timestamp of date", kernel: |a| of_date(a, TimestampKind::Instant, true), ..OF_DATE },
    Function {
        name: "make_timestamp_ntz of date",
        gives: |_| types::timestamp_ntz(),
        kernel: |a| of_date(a, TimestampKind::Shown, true),
        ..OF_DATE
    },
    Function {
        name: "try_make_timestamp_ntz of date",
        gives: |_| types::timestamp_ntz(),
        kernel: |a| of_date(a, TimestampKind::Shown, false),
        ..OF_DATE
    },
];

/// What the planner makes of `make_timestamp(date, TIME '…'[, zone])`: a DATE, microseconds of the day, a zone.
const OF_DATE: Function = Function {
    params: &[Param::Date, Param::Long, Param::String],
    required: 2,
    check: |arguments| check_zone(arguments.get(2)),
    zoned: ZONED,
    ..SHIFT
};

/// Refuses a constant that names no zone.
pub(super) fn check_zone(argument: Option<&Expr>) -> Result<(), String> {
    match argument {
        Some(Expr::Literal(Value::String(name), _)) if Zone::parse(name).is_none() => Err(unknown(name)),
        _ => Ok(()),
    }
}

fn unknown(name: &str) -> String {
    match Zone::nearest(name).as_slice() {
        [] => format!("'{name}' is no time zone; write for instance 'Europe/Paris' or '+05:30'"),
        near => format!("'{name}' is no time zone; did you mean '{}'?", near.join("' or '")),
    }
}

/// The clock of each row's zone; it is made anew only where the name changes.
pub(super) struct Clocks<'a> {
    names: Texts<'a>,
    last: Option<(&'a str, WallClock)>,
}

impl<'a> Clocks<'a> {
    pub fn of(names: &'a Column) -> Clocks<'a> {
        Clocks { names: names.texts(), last: None }
    }

    /// `None` where the name is NULL, or none of a zone: then the row fails.
    pub fn get(&mut self, row: usize, errors: &mut RowErrors) -> Option<&WallClock> {
        let name = self.names.get(row)?;
        if self.last.as_ref().is_none_or(|(last, _)| *last != name) {
            let Some(zone) = Zone::parse(name) else {
                errors.record(row, "INVALID_TIMEZONE", || unknown(name));
                return None;
            };
            self.last = Some((name, WallClock::new(zone)));
        }
        self.last.as_ref().map(|(_, clock)| clock)
    }
}

fn shifted(arguments: &mut Arguments, shift: fn(&WallClock, i64) -> i64) -> ArrayRef {
    let columns = arguments.columns;
    let (times, mut clocks) = (columns[0].numbers::<TimestampMicrosecondType>(), Clocks::of(&columns[1]));
    let value = |row| {
        let time = times.get(row)?;
        Some(shift(clocks.get(row, arguments.errors)?, time))
    };
    Arc::new(build::numbers::<TimestampMicrosecondType>(arguments.rows, value).with_timezone("UTC"))
}

/// What the parts make.
#[derive(Clone, Copy, PartialEq)]
enum TimestampKind {
    /// When the clock of the zone shows them.
    Instant,
    /// What a clock shows.
    Shown,
}

/// `make_timestamp(year, month, day, hour, minute, second[, zone])`; second 60 is the next minute's first. Parts of no time
/// fail the row, or give NULL.
fn make_timestamp(arguments: &mut Arguments, made: TimestampKind, fails: bool) -> ArrayRef {
    let columns = arguments.columns;
    let parts: [_; 5] = std::array::from_fn(|part| columns[part].numbers::<Int32Type>());
    let seconds = columns[5].numbers::<Decimal128Type>();
    let mut clocks = columns.get(6).map(Clocks::of);
    let value = |row| {
        let [year, month, day, hour, minute] = parts.each_ref().map(|part| part.get(row).map(i64::from));
        let date = (year?, month?, day?);
        let (hour, minute, micros) = (hour?, minute?, seconds.get(row)?);
        let clock = match &mut clocks {
            Some(clocks) => clocks.get(row, arguments.errors)?,
            None => &arguments.times.clock,
        };
        let day = days_of_date(date.0, date.1, date.2);
        let shown = day.zip(micros_of_day(hour, minute, micros)).and_then(|(day, of_day)| {
            // The first day that there is begins before the first time.
            i64::try_from(i128::from(day) * i128::from(MICROS_PER_DAY) + i128::from(of_day)).ok()
        });
        if shown.is_none() && fails {
            let (year, month, day) = date;
            let message = || format!("there is no time {year}-{month}-{day} {hour}:{minute}; check the parts");
            arguments.errors.record(row, "DATETIME_FIELD_OUT_OF_BOUNDS", message);
        }
        if made == TimestampKind::Shown { shown } else { shown.map(|shown| clock.instant_of(shown)) }
    };
    let times = build::numbers::<TimestampMicrosecondType>(arguments.rows, value);
    Arc::new(times.with_data_type(arguments.data_type.clone()))
}

/// A DATE and a time of the day; none beyond the last time that there is.
fn of_date(arguments: &mut Arguments, made: TimestampKind, fails: bool) -> ArrayRef {
    let columns = arguments.columns;
    let (dates, times) = (columns[0].numbers::<Date32Type>(), columns[1].numbers::<Int64Type>());
    let mut clocks = columns.get(2).map(Clocks::of);
    let value = |row| {
        let (date, time) = (dates.get(row)?, times.get(row)?);
        let clock = match &mut clocks {
            Some(clocks) => clocks.get(row, arguments.errors)?,
            None => &arguments.times.clock,
        };
        let shown = i64::from(date).checked_mul(MICROS_PER_DAY).and_then(|day| day.checked_add(time));
        if shown.is_none() && fails {
            let message = || "the date is beyond the last TIMESTAMP; use an earlier one".to_string();
            arguments.errors.record(row, "DATETIME_OVERFLOW", message);
        }
        if made == TimestampKind::Shown { shown } else { shown.map(|shown| clock.instant_of(shown)) }
    };
    let times = build::numbers::<TimestampMicrosecondType>(arguments.rows, value);
    Arc::new(times.with_data_type(arguments.data_type.clone()))
}

fn micros_of_day(hour: i64, minute: i64, micros: i128) -> Option<i64> {
    const MINUTE: i64 = 60 * MICROS_PER_SECOND;
    let micros = i64::try_from(micros).ok()?;
    let known = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=MINUTE).contains(&micros);
    known.then_some((hour * 60 + minute) * MINUTE + micros)
}
