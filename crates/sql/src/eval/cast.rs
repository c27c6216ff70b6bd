//! Casts (rule T4).

use super::RowErrors;
use crate::expr::CastMode;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, TimestampMicrosecondArray};
use arrow_schema::{DataType, TimeUnit};
use std::sync::Arc;

/// `input` as another type.
pub fn cast(input: &ArrayRef, to: &DataType, mode: CastMode, errors: &mut RowErrors) -> ArrayRef {
    match (input.data_type(), to) {
        (DataType::Float64, DataType::Timestamp(TimeUnit::Microsecond, zone @ Some(_))) => {
            let input = input.as_primitive::<Float64Type>();
            let values: Vec<i64> = input.values().iter().map(|seconds| (seconds * 1e6) as i64).collect();
            let limit = 9_223_372_036_854_775_808.0;
            let fits = |seconds: &f64| (seconds * 1e6).abs() <= limit;
            if mode == CastMode::Ansi && !input.values().iter().all(fits) {
                for (row, seconds) in input.values().iter().enumerate() {
                    if input.is_valid(row) && !fits(seconds) {
                        errors.record(row, "CAST_OVERFLOW", || format!("{seconds} does not fit in a TIMESTAMP"));
                    }
                }
            }
            Arc::new(
                TimestampMicrosecondArray::new(values.into(), input.nulls().cloned()).with_timezone_opt(zone.clone()),
            )
        }
        (from, to) => panic!("a cast of {from} to {to}"),
    }
}
