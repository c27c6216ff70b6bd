//! Groups → output rows: the aggregate row is built from keys and accumulators, then HAVING and the output expressions run.
//!
//! Does not know which groups go out ([`crate::merge`] chose them), nor where to.

use crate::key;
use crate::merge::{GroupId, GroupRows};
use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch, StructArray, TimestampMicrosecondArray,
};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, SchemaRef};
use std::sync::Arc;
use tidemill_model::pipeline::OnError;
use tidemill_model::{Accumulator, Error, Result};
use tidemill_sql::eval::{EvalContext, RowErrors, evaluate};
use tidemill_sql::expr::Expr;
use tidemill_sql::plan::{AggregateCall, AggregateFunction, AggregatePlan};

/// Rows of a batch, ready for the sinks.
#[derive(Clone, Debug)]
pub struct Output {
    /// The rows, over the plan's `output_schema`, in the groups' order.
    pub rows: RecordBatch,
    /// Rows left out because an output expression failed (`on_error = "drop"`).
    pub failed: u64,
}

/// The output rows of an aggregation's groups.
///
/// # Errors
/// External: an aggregate overflowed its type (always fails the query, rule T1), or an output expression failed under
/// `on_error = "fail"`.
pub fn group_rows(
    plan: &AggregatePlan,
    schema: &SchemaRef,
    groups: &GroupRows,
    on_error: OnError,
    context: &EvalContext,
) -> Result<Output> {
    let rows = aggregate_rows(plan, groups)?;
    let mut errors = RowErrors::default();
    let mut keep = vec![true; rows.num_rows()];
    if let Some(having) = &plan.having {
        let holds = evaluate(having, &rows, context, &mut errors);
        let holds = holds.as_boolean();
        keep.iter_mut().enumerate().for_each(|(row, keep)| *keep = holds.is_valid(row) && holds.value(row));
        errors.iter().for_each(|(row, _)| keep[row] = true);
    }
    let columns: Vec<ArrayRef> = plan.output.iter().map(|expr| evaluate(expr, &rows, context, &mut errors)).collect();
    let mut failed = 0;
    for (row, error) in errors.iter().filter(|(row, _)| keep[*row]) {
        if on_error == OnError::Fail {
            return Err(Error::external(format!(
                "an output row failed: {error} (group {row} of the batch); mend the query, or set on_error = \"drop\" to count and leave out such rows"
            )));
        }
        failed += 1;
    }
    errors.iter().for_each(|(row, _)| keep[row] = false);
    Ok(Output { rows: filtered(schema, columns, &keep), failed })
}

/// The output rows of a query without an aggregate, from the partials' encoded rows.
pub fn projected_rows<'a>(columns: &[Expr], schema: &SchemaRef, rows: impl Iterator<Item = &'a [u8]>) -> RecordBatch {
    let mut cursors: Vec<Option<&[u8]>> = rows.map(Some).collect();
    let columns = columns.iter().map(|expr| key::decode(&mut cursors, &expr.data_type())).collect();
    record_batch(schema, columns, cursors.len())
}

pub(crate) fn record_batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> RecordBatch {
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).expect("columns have the plan's types")
}

/// The kept rows; all of them in the common case, which costs nothing.
fn filtered(schema: &SchemaRef, columns: Vec<ArrayRef>, keep: &[bool]) -> RecordBatch {
    let all = record_batch(schema, columns, keep.len());
    if keep.iter().all(|keep| *keep) {
        return all;
    }
    let encoders: Vec<key::Encoder<'_>> =
        all.columns().iter().map(|c| key::Encoder::new(c, key::Zeros::Keep)).collect();
    let encode = |row: usize| {
        let mut bytes = Vec::new();
        encoders.iter().for_each(|encoder| encoder.encode(row, &mut bytes));
        bytes
    };
    let kept: Vec<Vec<u8>> = (0..keep.len()).filter(|row| keep[*row]).map(encode).collect();
    let mut cursors: Vec<Option<&[u8]>> = kept.iter().map(|row| Some(row.as_slice())).collect();
    let columns = schema.fields().iter().map(|field| key::decode(&mut cursors, field.data_type())).collect();
    record_batch(schema, columns, kept.len())
}

/// The aggregate row of every group: window, keys, aggregates.
fn aggregate_rows(plan: &AggregatePlan, groups: &GroupRows) -> Result<RecordBatch> {
    let mut columns = group_columns(plan, &groups.iter().map(|(group, _)| group).collect::<Vec<_>>());
    for (index, call) in plan.aggregates.iter().enumerate() {
        let accumulators = groups.iter().map(|(_, accumulators)| &accumulators[index]);
        columns.push(finish(call, accumulators)?);
    }
    Ok(record_batch(&plan.row_schema, columns, groups.len()))
}

/// The leading columns of the aggregate row, which need no accumulator: window and keys.
pub(crate) fn group_columns(plan: &AggregatePlan, groups: &[&GroupId]) -> Vec<ArrayRef> {
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(plan.row_schema.fields().len());
    if let Some(window) = &plan.window {
        let DataType::Struct(fields) = plan.row_schema.field(0).data_type() else {
            panic!("the first column of a windowed aggregate row is the window");
        };
        let times = |f: &dyn Fn(i64) -> i64, data_type: &DataType| -> ArrayRef {
            let values: Vec<i64> = groups.iter().map(|(start, _)| f(*start)).collect();
            Arc::new(TimestampMicrosecondArray::from(values).with_data_type(data_type.clone()))
        };
        let start = times(&|start| start, fields[0].data_type());
        let end = times(&|start| window.spec.end(start), fields[1].data_type());
        let window = StructArray::try_new_with_length(fields.clone(), vec![start, end], None, groups.len());
        columns.push(Arc::new(window.expect("start and end have their fields' types")));
    }
    let mut cursors: Vec<Option<&[u8]>> = groups.iter().map(|(_, key)| Some(&**key)).collect();
    columns.extend(plan.keys.iter().map(|key| key::decode(&mut cursors, &key.expr.data_type())));
    columns
}

/// The results of one aggregate.
fn finish<'a>(call: &AggregateCall, accumulators: impl Iterator<Item = &'a Accumulator>) -> Result<ArrayRef> {
    match (call.function, &call.data_type) {
        (AggregateFunction::Count | AggregateFunction::CountIf, _) => {
            let count = |accumulator: &Accumulator| match accumulator {
                Accumulator::Count(count) => *count,
                other => panic!("a count is not {other:?}"),
            };
            Ok(Arc::new(Int64Array::from_iter_values(accumulators.map(count))))
        }
        (AggregateFunction::Min | AggregateFunction::Max, data_type) => {
            let winner = |accumulator: &'a Accumulator| match accumulator {
                Accumulator::Extreme(winner) => winner.as_deref(),
                other => panic!("a minimum or maximum is not {other:?}"),
            };
            let mut cursors: Vec<Option<&[u8]>> = accumulators.map(winner).collect();
            Ok(key::decode(&mut cursors, data_type))
        }
        (AggregateFunction::Sum, DataType::Int64) => {
            let sums: Result<Vec<Option<i64>>> = accumulators
                .map(|accumulator| match exact(accumulator) {
                    (_, 0) => Ok(None),
                    (sum, _) => i64::try_from(sum).map(Some).map_err(|_| overflow("sum", "BIGINT", sum)),
                })
                .collect();
            Ok(Arc::new(Int64Array::from(sums?)))
        }
        (function, DataType::Decimal128(precision, scale)) => {
            let input_scale = match call.inputs[0].data_type() {
                DataType::Decimal128(_, scale) => scale,
                other => panic!("a decimal aggregate takes decimals, not {other}"),
            };
            let raise = 10i128.pow(u32::try_from(scale - input_scale).expect("results have no smaller scale"));
            let values: Result<Vec<Option<i128>>> = accumulators
                .map(|accumulator| match exact(accumulator) {
                    (_, 0) => Ok(None),
                    (sum, seen) => decimal(function, sum, seen, raise, *precision).map(Some),
                })
                .collect();
            let array = Decimal128Array::from(values?).with_data_type(call.data_type.clone());
            Ok(Arc::new(array))
        }
        (function, _) => {
            let (values, valid): (Vec<f64>, Vec<bool>) = accumulators
                .map(|accumulator| match accumulator {
                    Accumulator::SumDouble { seen: 0, .. } => (0.0, false),
                    Accumulator::SumDouble { sum, .. } if function == AggregateFunction::Sum => (*sum, true),
                    Accumulator::SumDouble { sum, seen } => (sum / *seen as f64, true),
                    other => panic!("a sum of doubles is not {other:?}"),
                })
                .unzip();
            Ok(Arc::new(Float64Array::new(values.into(), Some(NullBuffer::from(valid)))))
        }
    }
}

fn exact(accumulator: &Accumulator) -> (i128, u64) {
    match accumulator {
        Accumulator::SumInt { sum, seen } => (*sum, *seen),
        other => panic!("an exact sum is not {other:?}"),
    }
}

/// A decimal sum, or average rounded HALF_UP (rule T1), as the unscaled value of the result's scale.
fn decimal(function: AggregateFunction, sum: i128, seen: u64, raise: i128, precision: u8) -> Result<i128> {
    let name = if function == AggregateFunction::Sum { "sum" } else { "avg" };
    let too_big = || overflow(name, &format!("DECIMAL({precision})"), sum);
    let raised = sum.checked_mul(raise).ok_or_else(too_big)?;
    let value = match function {
        AggregateFunction::Sum => raised,
        _ => {
            let seen = i128::from(seen);
            let (quotient, remainder) = (raised.div_euclid(seen), raised.rem_euclid(seen));
            // HALF_UP is away from zero: below zero a half stays with the floor.
            let up = if raised >= 0 { remainder * 2 >= seen } else { remainder * 2 > seen };
            quotient + i128::from(up)
        }
    };
    if value.unsigned_abs() >= 10u128.pow(u32::from(precision)) { Err(too_big()) } else { Ok(value) }
}

fn overflow(function: &str, data_type: &str, sum: i128) -> Error {
    Error::external(format!(
        "[ARITHMETIC_OVERFLOW] {function} gave {sum}, which does not fit in {data_type}; cast its argument to a wider type (DOUBLE, DECIMAL)"
    ))
}
