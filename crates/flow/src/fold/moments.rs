//! `stddev`, `variance` and similar: Welford's update for a row, Chan's formula for merging, as in Spark.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use tidemill_sql::plan::AggregateFunction;
use tidemill_state::{AllMoments, Moments};

/// Adds the rows of a DOUBLE column: `pairs` are (row, group).
pub(super) fn update(column: &mut AllMoments, input: &dyn Array, pairs: &[(u32, u32)]) {
    let input = input.as_primitive::<Float64Type>();
    for (row, group) in pairs.iter().filter(|(row, _)| input.is_valid(*row as usize)) {
        column.at(*group as usize).see(input.value(*row as usize));
    }
}

/// A function's result (rule T2): NULL without rows; for sample functions also with one row.
pub(crate) fn result(function: AggregateFunction, moments: &Moments) -> Option<f64> {
    use AggregateFunction::{StddevPop, StddevSamp, VarPop, VarSamp};
    let of = match function {
        VarPop | StddevPop => moments.seen as f64,
        VarSamp | StddevSamp => moments.seen as f64 - 1.0,
        other => panic!("{other:?} is no function of moments"),
    };
    let variance = moments.squares / of;
    (of > 0.0).then(|| if matches!(function, StddevPop | StddevSamp) { variance.sqrt() } else { variance })
}
