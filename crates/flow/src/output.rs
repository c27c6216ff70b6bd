//! Groups → output rows: builds the aggregate row from keys and accumulators, then evaluates HAVING and the output
//! expressions.
//!
//! Does not know which groups go out ([`crate::merge`] selects them) or where to.

use crate::fold::accumulate::double_of;
use crate::fold::pick::pick;
use crate::fold::{boxed, distinct, moments};
use crate::key;
use crate::positions;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal32Type, Decimal64Type, Decimal128Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Decimal32Array, Decimal64Array, Decimal128Array, Float64Array, Int64Array,
    PrimitiveArray, RecordBatch, StructArray, TimestampMicrosecondArray,
};
use arrow_buffer::{NullBuffer, i256};
use arrow_schema::{DataType, Schema, SchemaRef};
use std::cmp::Ordering;
use std::sync::Arc;
use tidemill_model::pipeline::OnError;
use tidemill_model::{Error, Result};
use tidemill_sql::eval::{EvalContext, RowErrors, evaluate, matches, order_of, take};
use tidemill_sql::expr::Expr;
use tidemill_sql::plan::{AggregateCall, AggregateFunction, AggregatePlan};
use tidemill_sql::text::json;
use tidemill_sql::types;
use tidemill_sql::zone::{WallClock, Zone};
use tidemill_state::{Groups, OVERFLOWN, Object};

/// Rows of a batch, ready for the sinks.
#[derive(Clone, Debug)]
pub struct Output {
    /// The rows, over the plan's `output_schema`, in the order of the groups.
    pub rows: RecordBatch,
    /// For each row left out because an output expression failed (`on_error = "drop"`): the error and the group, as
    /// text.
    pub failed: Vec<String>,
}

/// The output rows of an aggregation's groups.
///
/// # Errors
/// External: an aggregate overflowed its type (always fails the query, rule T1), or an output expression failed under
/// `on_error = "fail"`.
pub fn group_rows(
    plan: &AggregatePlan,
    schema: &SchemaRef,
    groups: &Groups,
    on_error: OnError,
    context: &EvalContext,
) -> Result<Output> {
    let rows = aggregate_rows(plan, groups, context)?;
    let mut errors = RowErrors::default();
    let mut keep = vec![true; rows.num_rows()];
    if let Some(having) = &plan.having {
        let holds = evaluate(having, &rows, context, &mut errors);
        let holds = holds.as_boolean();
        keep.iter_mut().enumerate().for_each(|(row, keep)| *keep = holds.is_valid(row) && holds.value(row));
        errors.iter().for_each(|(row, _)| keep[row] = true);
    }
    let columns: Vec<ArrayRef> = plan.output.iter().map(|expr| evaluate(expr, &rows, context, &mut errors)).collect();
    let sorted_by: Vec<ArrayRef> =
        plan.order.iter().map(|key| evaluate(&key.expr, &rows, context, &mut errors)).collect();
    let mut counted = errors_of_aggregates(plan, &rows, context);
    counted.absorb(errors, |row| keep[row]);
    let mut failed = Vec::new();
    for (row, error) in counted.iter() {
        if on_error == OnError::Fail {
            return Err(Error::external(format!(
                "an output row failed: {error} (group {row} of the batch); correct the query, or set on_error = \"drop\" to count and leave out such rows"
            )));
        }
        failed.push(format!("{error}; group {}", group_text(plan, &rows, row, context.zone)));
    }
    counted.iter().for_each(|(row, _)| keep[row] = false);
    let order = order(plan, &sorted_by, &keep);
    Ok(Output { rows: picked(schema, columns, order), failed })
}

/// The errors of aggregate functions themselves (`corr` where all values are the same): they count for groups that HAVING
/// leaves out, too, as in Spark, which computes aggregates before and what the select list makes of them behind it.
fn errors_of_aggregates(plan: &AggregatePlan, rows: &RecordBatch, context: &EvalContext) -> RowErrors {
    let mut errors = RowErrors::default();
    if plan.having.is_some() {
        plan.output.iter().for_each(|expr| finish_aggregates(expr, rows, context, &mut errors));
    }
    errors
}

fn finish_aggregates(expr: &Expr, rows: &RecordBatch, context: &EvalContext, errors: &mut RowErrors) {
    match expr {
        Expr::Call(function, ..) if function.finishes_aggregate() => {
            evaluate(expr, rows, context, errors);
        }
        other => other.children(&mut |child| finish_aggregates(child, rows, context, errors)),
    }
}

/// The kept rows in the plan's order, up to its limit; those of one place in the order of the groups. `None`: all as they are.
fn order(plan: &AggregatePlan, sorted_by: &[ArrayRef], keep: &[bool]) -> Option<Vec<usize>> {
    if plan.order.is_empty() && plan.limit.is_none() && keep.iter().all(|keep| *keep) {
        return None;
    }
    let mut rows: Vec<usize> = (0..keep.len()).filter(|row| keep[*row]).collect();
    let compare = |i: &usize, j: &usize| {
        let keys = plan.order.iter().zip(sorted_by);
        let orders = keys.map(|(key, values)| {
            let order = order_of(values, *i, *j);
            let has_null = values.data_type().is_null() || values.is_null(*i) || values.is_null(*j);
            let turned = if has_null { key.nulls_last } else { key.descending };
            if turned { order.reverse() } else { order }
        });
        orders.fold(Ordering::Equal, Ordering::then)
    };
    rows.sort_by(compare);
    rows.truncate(plan.limit.unwrap_or(rows.len()));
    Some(rows)
}

/// Window and keys of an aggregate row as JSON.
fn group_text(plan: &AggregatePlan, rows: &RecordBatch, row: usize, zone: Zone) -> String {
    let columns = plan.place() - plan.aggregates.len();
    let group = rows.project(&(0..columns).collect::<Vec<_>>()).expect("window and keys come first");
    let mut text = String::new();
    json::write_row(&mut text, &group, row, &WallClock::new(zone));
    text
}

/// The first of some rows.
pub(crate) fn first_rows(rows: RecordBatch, most: usize) -> RecordBatch {
    if rows.num_rows() <= most {
        return rows;
    }
    rows.slice(0, most)
}

pub(crate) fn record_batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> RecordBatch {
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).expect("columns have the plan's types")
}

/// Some rows, in this order. Free if all are kept, the common case.
fn picked(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: Option<Vec<usize>>) -> RecordBatch {
    let count = columns.first().map_or(0, |column| column.len());
    let Some(rows) = rows else { return record_batch(schema, columns, count) };
    record_batch(schema, columns.iter().map(|column| take(column, &rows)).collect(), rows.len())
}

/// The aggregate row of every group: window, keys, aggregates, place.
fn aggregate_rows(plan: &AggregatePlan, groups: &Groups, context: &EvalContext) -> Result<RecordBatch> {
    let mut columns = group_columns(plan, &groups.windows(), &groups.keys());
    if let Some(session) = &plan.session {
        columns.insert(session.key, spans(&groups.windows(), groups.ends()));
    }
    for (number, call) in plan.aggregates.iter().enumerate() {
        columns.push(finish(call, groups, number)?);
    }
    if plan.placed {
        columns.push(positions::of_groups(&groups.windows(), &groups.keys(), context.timestamp));
    }
    Ok(record_batch(&plan.row_schema, columns, groups.len()))
}

/// For each group, whether `filter` over window and keys refuses it. A group on which the filter fails is not refused:
/// HAVING is evaluated again on output.
pub(crate) fn refused(
    plan: &AggregatePlan,
    filter: &Expr,
    windows: &[i64],
    keys: &[&[u8]],
    context: &EvalContext,
) -> Vec<bool> {
    let columns = group_columns(plan, windows, keys);
    let fields = plan.row_schema.fields()[..columns.len()].to_vec();
    let rows = record_batch(&Arc::new(Schema::new(fields)), columns, windows.len());
    let mut errors = RowErrors::default();
    let holds = matches(filter, &rows, context, &mut errors);
    (0..windows.len()).map(|row| !holds.value(row) && errors.get(row).is_none()).collect()
}

/// The columns of the aggregate row that need no accumulator, but for a session: window and keys.
fn group_columns(plan: &AggregatePlan, windows: &[i64], keys: &[&[u8]]) -> Vec<ArrayRef> {
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(plan.row_schema.fields().len());
    if let Some(window) = &plan.window {
        columns.push(spans(windows, windows.iter().map(|start| window.spec.end(*start)).collect()));
    }
    let mut cursors: Vec<Option<&[u8]>> = keys.iter().map(|key| Some(*key)).collect();
    let session = plan.session.map(|session| session.key);
    let keys = plan.keys.iter().enumerate().filter(|(number, _)| Some(*number) != session);
    columns.extend(keys.map(|(_, key)| key::decode(&mut cursors, &key.expr.data_type())));
    columns
}

/// A column of windows.
fn spans(starts: &[i64], ends: Vec<i64>) -> ArrayRef {
    let DataType::Struct(fields) = types::window() else { panic!("a window is a struct") };
    let times = |values: Vec<i64>| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(values).with_data_type(types::timestamp()))
    };
    let columns = vec![times(starts.to_vec()), times(ends)];
    Arc::new(StructArray::try_new_with_length(fields, columns, None, starts.len()).expect("start and end are times"))
}

/// The results of one aggregate, the `number`th of the plan.
fn finish(call: &AggregateCall, groups: &Groups, number: usize) -> Result<ArrayRef> {
    use AggregateFunction as F;
    match (call.function, &call.data_type) {
        (F::Count | F::CountIf, _) => Ok(Arc::new(Int64Array::from_iter_values(groups.counts(number)))),
        (F::Min | F::Max | F::First { .. } | F::Last { .. } | F::MinBy | F::MaxBy, data_type) => {
            Ok(winners(groups, number, data_type))
        }
        (function, data_type) if boxed::is_boxed(function) => Ok(boxed::finish(data_type, groups.objects(number))),
        (F::StddevSamp | F::StddevPop | F::VarSamp | F::VarPop, _) => {
            let results = groups.moments(number).map(|moments| moments::result(call.function, &moments));
            Ok(Arc::new(Float64Array::from_iter(results)))
        }
        (F::ApproxCountDistinct { precision }, _) => {
            let result = |object: Option<&Object>| match object {
                Some(Object::Registers(sketch)) => distinct::estimate(sketch, precision),
                None => 0,
                other => panic!("a sketch is not {other:?}"),
            };
            Ok(Arc::new(Int64Array::from_iter_values(groups.objects(number).map(result))))
        }
        (F::Sum | F::TrySum, DataType::Int64) => {
            let sum = |(sum, seen)| match i64::try_from(sum) {
                _ if seen == 0 => Ok(None),
                Ok(sum) => Ok(Some(sum)),
                Err(_) if call.function == F::TrySum => Ok(None),
                Err(_) => Err(overflow("ARITHMETIC_OVERFLOW", "sum", "BIGINT")),
            };
            let sums: Result<Vec<Option<i64>>> = groups.exact_sums(number).map(sum).collect();
            Ok(Arc::new(Int64Array::from(sums?)))
        }
        (_, DataType::Decimal32(..) | DataType::Decimal64(..)) => finish_intervals(call, groups.exact_sums(number)),
        (_, DataType::Decimal128(..)) => finish_decimals(call, groups.exact_sums(number)),
        (function, _) => {
            let sums_alone = matches!(function, F::Sum | F::TrySum);
            let (values, valid): (Vec<f64>, Vec<bool>) = groups
                .double_sums(number)
                .map(|(sum, seen)| match seen {
                    0 => (0.0, false),
                    _ if sums_alone => (sum, true),
                    _ => (sum / seen as f64, true),
                })
                .unzip();
            Ok(Arc::new(Float64Array::new(values.into(), Some(NullBuffer::from(valid)))))
        }
    }
}

/// The values that an aggregate picked.
fn winners(groups: &Groups, number: usize, data_type: &DataType) -> ArrayRef {
    if groups.has_objects(number) {
        let mut cursors: Vec<Option<&[u8]>> = groups.objects(number).map(|object| object.map(value_of)).collect();
        return key::decode(&mut cursors, data_type);
    }
    let values = groups.extremes(number);
    match data_type {
        DataType::Boolean => Arc::new(values.map(|value| value.map(|value| value == 1)).collect::<BooleanArray>()),
        DataType::Int8 => numbers::<Int8Type>(values, data_type, |value| value as i8),
        DataType::Int16 => numbers::<Int16Type>(values, data_type, |value| value as i16),
        DataType::Int32 => numbers::<Int32Type>(values, data_type, |value| value as i32),
        DataType::Date32 => numbers::<Date32Type>(values, data_type, |value| value as i32),
        DataType::Int64 => numbers::<Int64Type>(values, data_type, |value| value as i64),
        DataType::Timestamp(..) => numbers::<TimestampMicrosecondType>(values, data_type, |value| value as i64),
        DataType::Decimal128(..) => numbers::<Decimal128Type>(values, data_type, |value| value),
        DataType::Float32 => numbers::<Float32Type>(values, data_type, |value| key::f32_of(value as u32)),
        DataType::Float64 => numbers::<Float64Type>(values, data_type, |value| double_of(value as i64)),
        DataType::Decimal32(..) => numbers::<Decimal32Type>(values, data_type, |value| value as i32),
        DataType::Decimal64(..) => numbers::<Decimal64Type>(values, data_type, |value| value as i64),
        other => panic!("the least and greatest of {other} are not kept as numbers"),
    }
}

/// The value in an object, in the key encoding.
fn value_of(object: &Object) -> &[u8] {
    match object {
        Object::Bytes(bytes) => bytes,
        object => pick(object).value(),
    }
}

fn numbers<T: ArrowPrimitiveType>(
    values: impl Iterator<Item = Option<i128>>,
    data_type: &DataType,
    narrow: impl Fn(i128) -> T::Native,
) -> ArrayRef {
    let array: PrimitiveArray<T> = values.map(|value| value.map(&narrow)).collect();
    Arc::new(array.with_data_type(data_type.clone()))
}

/// Sums and averages of intervals; averages are rounded half up. The sum must fit as well, as in Spark.
fn finish_intervals(call: &AggregateCall, sums: impl Iterator<Item = (i128, u64)>) -> Result<ArrayRef> {
    use AggregateFunction as F;
    let is_average = matches!(call.function, F::Avg | F::TryAvg);
    let is_months = matches!(call.data_type, DataType::Decimal32(..));
    let fits = |sum: i128| if is_months { i32::try_from(sum).is_ok() } else { i64::try_from(sum).is_ok() };
    let value = |(sum, seen): (i128, u64)| -> Result<Option<i64>> {
        if seen == 0 {
            return Ok(None);
        }
        let sum = Some(sum).filter(|sum| fits(*sum));
        let result = if is_average { sum.and_then(|sum| average(sum, seen, 0)) } else { sum };
        match result.map(|result| result as i64) {
            None if !matches!(call.function, F::TrySum | F::TryAvg) => {
                Err(overflow("INTERVAL_ARITHMETIC_OVERFLOW", "sum", "an INTERVAL"))
            }
            result => Ok(result),
        }
    };
    let values: Result<Vec<Option<i64>>> = sums.map(value).collect();
    let values = Int64Array::from(values?);
    Ok(if is_months {
        let months: Decimal32Array = values.unary(|months| months as i32);
        Arc::new(months.with_data_type(call.data_type.clone()))
    } else {
        let micros: Decimal64Array = values.unary(|micros| micros);
        Arc::new(micros.with_data_type(call.data_type.clone()))
    })
}

/// Sums and averages of decimals (rule T1).
fn finish_decimals(call: &AggregateCall, sums: impl Iterator<Item = (i128, u64)>) -> Result<ArrayRef> {
    use AggregateFunction as F;
    let (name, is_average, gives_null) = match call.function {
        F::Sum => ("sum", false, false),
        F::TrySum => ("try_sum", false, true),
        F::Avg => ("avg", true, false),
        F::TryAvg => ("try_avg", true, true),
        other => panic!("{other:?} gives no decimal"),
    };
    let (DataType::Decimal128(input_precision, input_scale), DataType::Decimal128(precision, scale)) =
        (call.inputs[0].data_type(), &call.data_type)
    else {
        panic!("a decimal aggregate takes decimals");
    };
    let sum_precision = (input_precision + 10).min(38);
    let value = |(sum, seen): (i128, u64)| -> Result<Option<i128>> {
        if seen == 0 {
            return Ok(None);
        }
        let sum = Some(sum).filter(|sum| *sum != OVERFLOWN && fits(*sum, sum_precision));
        let result = match is_average {
            true => {
                sum.and_then(|sum| average(sum, seen, (scale - input_scale) as u32)).filter(|x| fits(*x, *precision))
            }
            false => sum,
        };
        match result {
            None if !gives_null => {
                Err(overflow("NUMERIC_VALUE_OUT_OF_RANGE", name, &format!("DECIMAL({precision},{scale})")))
            }
            result => Ok(result),
        }
    };
    let values: Result<Vec<Option<i128>>> = sums.map(value).collect();
    Ok(Arc::new(Decimal128Array::from(values?).with_data_type(call.data_type.clone())))
}

fn fits(unscaled: i128, precision: u8) -> bool {
    unscaled.unsigned_abs() < 10u128.pow(u32::from(precision))
}

/// sum · 10^raise ÷ seen, rounded HALF_UP: halves go away from zero. `None` beyond 128 bits.
fn average(sum: i128, seen: u64, raise: u32) -> Option<i128> {
    let raised = i256::from_i128(sum).wrapping_mul(i256::from_i128(10i128.pow(raise)));
    let seen = i256::from_i128(seen.into());
    let (quotient, rest) = (raised.wrapping_div(seen), raised.wrapping_rem(seen).wrapping_abs());
    let away = if rest.wrapping_add(rest) < seen { 0 } else { sum.signum() };
    quotient.wrapping_add(i256::from_i128(away)).to_i128()
}

fn overflow(class: &str, function: &str, data_type: &str) -> Error {
    Error::external(format!(
        "[{class}] the result of {function} does not fit in {data_type}; cast its argument to a wider type (DOUBLE, DECIMAL), or use try_{}",
        function.trim_start_matches("try_")
    ))
}
