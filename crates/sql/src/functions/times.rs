//! Functions of dates and times. The session time zone is UTC.

use super::{Arguments, Function, Param};
use crate::eval::arithmetic::{OVERFLOW, zip};
use crate::eval::cast::time::MICROS_PER_DAY;
use arrow_array::types::{Date32Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Date32Array, TimestampMicrosecondArray};
use arrow_schema::DataType;
use std::sync::Arc;
use tidemill_model::time::{civil_from_days, days_from_civil};

const DATE_DAYS: Function =
    Function { params: &[Param::Date, Param::Int], required: 2, gives: |_| DataType::Date32, ..Function::BLANK };

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "date_add", aliases: &["dateadd"], kernel: |a| add_days(a, i32::checked_add), ..DATE_DAYS },
    Function { name: "date_sub", kernel: |a| add_days(a, i32::checked_sub), ..DATE_DAYS },
    // `time + INTERVAL …`, of months and microseconds; the planner alone can name it.
    Function {
        name: "+ interval",
        params: &[Param::Any, Param::Long, Param::Long],
        required: 3,
        gives: |types| types[0].clone(),
        kernel: add_interval,
        ..Function::BLANK
    },
];

fn add_days(arguments: &mut Arguments, add: fn(i32, i32) -> Option<i32>) -> ArrayRef {
    let [date, days] = arguments.columns else {
        panic!("two arguments");
    };
    let add = |date, days| add(date, days).ok_or(OVERFLOW);
    Arc::new(zip::<Date32Type, Int32Type, Date32Type>(date, days, arguments.rows, arguments.errors, add))
}

/// Months first, to the same day of the month or its last one; then microseconds.
fn add_interval(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let (months, micros) = (columns[1].numbers::<Int64Type>(), columns[2].numbers::<Int64Type>());
    let failed = |row: usize, errors: &mut crate::eval::RowErrors| errors.record(row, OVERFLOW.0, || OVERFLOW.1.into());
    if columns[0].array.data_type() == &DataType::Date32 {
        let dates = columns[0].numbers::<Date32Type>();
        let value = |row: usize| {
            let date = i64::from(dates.get(row)?);
            let moved = add_months(date, months.value(row))? + micros.value(row).div_euclid(MICROS_PER_DAY);
            let moved = i32::try_from(moved).ok();
            moved.is_none().then(|| failed(row, arguments.errors));
            moved
        };
        return Arc::new((0..arguments.rows).map(value).collect::<Date32Array>());
    }
    let times = columns[0].numbers::<TimestampMicrosecondType>();
    let value = |row: usize| {
        let time = times.get(row)?;
        let (day, of_day) = (time.div_euclid(MICROS_PER_DAY), time.rem_euclid(MICROS_PER_DAY));
        let day = add_months(day, months.value(row))?;
        let moved =
            day.checked_mul(MICROS_PER_DAY).and_then(|start| start.checked_add(of_day)?.checked_add(micros.value(row)));
        moved.is_none().then(|| failed(row, arguments.errors));
        moved
    };
    let array: TimestampMicrosecondArray = (0..arguments.rows).map(value).collect();
    Arc::new(array.with_data_type(columns[0].array.data_type().clone()))
}

/// A day number moved by months; where the month is shorter, its last day.
pub(super) fn add_months(days: i64, months: i64) -> Option<i64> {
    let (year, month, day) = civil_from_days(days);
    let total = (year * 12 + i64::from(month) - 1).checked_add(months)?;
    let (year, month) = (total.div_euclid(12), total.rem_euclid(12) as u32 + 1);
    let next = if month == 12 { days_from_civil(year + 1, 1, 1) } else { days_from_civil(year, month + 1, 1) };
    let first = days_from_civil(year, month, 1);
    Some((first + i64::from(day) - 1).min(next - 1))
}
