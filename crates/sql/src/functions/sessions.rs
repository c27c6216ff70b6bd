//! The session of a row, which `session_window` is made of.

use super::intervals::later;
use super::numbers::overflow;
use super::{Arguments, Function, Param, ZONED};
use crate::types;
use arrow_array::cast::AsArray;
use arrow_array::types::{IntervalMonthDayNanoType, TimestampMicrosecondType};
use arrow_array::{ArrayRef, PrimitiveArray, StructArray};
use arrow_schema::DataType;
use std::sync::Arc;
use tidemill_model::CalendarInterval;

/// The function's name in the table: the planner alone can name it.
pub(crate) const SESSION: &str = "session window";

pub(super) const FUNCTIONS: &[Function] = &[Function {
    name: SESSION,
    params: &[Param::Any, Param::Any],
    required: 2,
    gives: |_| types::window(),
    zoned: ZONED,
    kernel: session,
    ..Function::BLANK
}];

/// Months, days and microseconds.
type Gap = (i64, i64, i64);

fn gap(text: &str) -> Option<Gap> {
    CalendarInterval::parse(text).ok().map(|gap| (gap.months, gap.days, gap.micros))
}

/// From the time to the time plus the gap, which is a text or an interval. A text that is none gives no end.
fn session(arguments: &mut Arguments) -> ArrayRef {
    let [times, gaps] = arguments.columns else { panic!("two arguments") };
    let of_row: Box<dyn Fn(usize) -> Option<Gap>> = match gaps.array.data_type() {
        DataType::Utf8 if gaps.constant => {
            let gap = gaps.texts().get(0).and_then(gap);
            Box::new(move |_| gap)
        }
        DataType::Utf8 => Box::new(|row| gaps.texts().get(row).and_then(gap)),
        _ => Box::new(|row| {
            let gap = gaps.numbers::<IntervalMonthDayNanoType>().get(row)?;
            // An interval holds microseconds in this place.
            Some((gap.months.into(), gap.days.into(), gap.nanoseconds))
        }),
    };
    let clock = &arguments.times.clock;
    let starts = times.numbers::<TimestampMicrosecondType>();
    let end = |row: usize| {
        let (start, (months, days, micros)) = (starts.get(row)?, of_row(row)?);
        // Days are those of the clock, but 25 hours are 25 hours.
        let end = later(start, (months, days, 0), Some(clock)).and_then(|end| end.checked_add(micros));
        end.is_none().then(|| overflow(arguments.errors, row));
        end
    };
    let ends: PrimitiveArray<TimestampMicrosecondType> = (0..arguments.rows).map(end).collect();
    let starts = times.clone().into_rows(arguments.rows);
    let ends = ends.with_data_type(types::timestamp());
    let DataType::Struct(fields) = types::window() else { panic!("a window is a struct") };
    let starts = starts.as_primitive::<TimestampMicrosecondType>().clone();
    Arc::new(StructArray::new(fields, vec![Arc::new(starts), Arc::new(ends)], None))
}
