//! What aggregates of SQL make of what the state keeps of a group: of all its values (`percentile`, `mode`, `listagg`) or of its
//! moments (`corr`, `skewness`). The planner alone calls them, and gives them their types.

use super::lists::{DistinctValues, ListBuilder, Lists, is_null, is_same};
use super::{Arguments, Function, Param, build};
use crate::eval::compare::order_at;
use crate::eval::{Order, take_or_null};
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Float64Array, ListArray, StructArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, TimeUnit};
use std::cmp::Ordering;
use std::sync::Arc;

const INTERNAL: Function = Function { params: &[Param::Any, Param::Any], required: 1, ..Function::BLANK };

pub(super) const FUNCTIONS: &[Function] = &[
    // A STRUCT of two values, NULL where one is.
    Function { name: "a pair", order: Order::Whole, kernel: pair, ..INTERNAL },
    Function { name: "collect_set of", kernel: set, ..INTERNAL },
    Function { name: "percentile of", kernel: |a| percentile(a, share_of), ..INTERNAL },
    Function { name: "percentile_cont of", kernel: |a| percentile(a, share_of), ..INTERNAL },
    Function { name: "percentile_disc of", kernel: |a| percentile(a, rank_of), ..INTERNAL },
    Function { name: "percentile_approx of", kernel: percentile_approx, ..INTERNAL },
    Function { name: "mode of", kernel: mode, ..INTERNAL },
    Function { name: "in order of", kernel: in_order, ..INTERNAL },
    Function { name: "listagg of", kernel: listagg, ..INTERNAL },
    Function { name: "histogram_numeric of", kernel: histogram, ..INTERNAL },
    Function { name: "skewness of", kernel: |a| of_moments(a, skewness), ..INTERNAL },
    Function { name: "kurtosis of", kernel: |a| of_moments(a, kurtosis), ..INTERNAL },
    Function { name: "covar_pop of", kernel: |a| of_moments(a, |m| Ok(Some(m[XY] / m[COUNT]))), ..INTERNAL },
    Function { name: "covar_samp of", kernel: |a| of_moments(a, covar_samp), ..INTERNAL },
    Function { name: "corr of", kernel: |a| of_moments(a, corr), ..INTERNAL },
    // Of regressions the first argument is the dependent variable.
    Function { name: "regr_sxx of", kernel: |a| of_moments(a, |m| Ok(Some(m[YY]))), ..INTERNAL },
    Function { name: "regr_syy of", kernel: |a| of_moments(a, |m| Ok(Some(m[XX]))), ..INTERNAL },
    Function { name: "regr_sxy of", kernel: |a| of_moments(a, |m| Ok(Some(m[XY]))), ..INTERNAL },
    Function { name: "regr_slope of", kernel: |a| of_moments(a, |m| Ok(slope(m))), ..INTERNAL },
    Function { name: "regr_intercept of", kernel: |a| of_moments(a, |m| Ok(intercept(m))), ..INTERNAL },
    Function { name: "regr_r2 of", kernel: |a| of_moments(a, r2), ..INTERNAL },
];

/// Places of the moments of two columns.
const COUNT: usize = 0;
const MEAN_X: usize = 1;
const MEAN_Y: usize = 2;
const XY: usize = 3;
const XX: usize = 4;
const YY: usize = 5;

/// A result, NULL, or a division by zero.
type Computed = Result<Option<f64>, ()>;

/// A DOUBLE of each group's moments; NULL of a group without rows.
fn of_moments(arguments: &mut Arguments, compute: fn(&[f64]) -> Computed) -> ArrayRef {
    let lists = Lists::of(&arguments.columns[0]);
    let numbers = lists.values().as_primitive::<Float64Type>();
    let errors = &mut *arguments.errors;
    let value = |row: usize| {
        let range = lists.range(row).filter(|range| !range.is_empty())?;
        compute(&numbers.values()[range]).unwrap_or_else(|()| {
            let message = || "division by zero: all values are the same; filter such groups".to_string();
            errors.record(row, "DIVIDE_BY_ZERO", message);
            None
        })
    };
    Arc::new(build::numbers::<Float64Type>(arguments.rows, value))
}

fn skewness(m: &[f64]) -> Computed {
    let (count, second, third) = (m[0], m[2], m[3]);
    Ok((second != 0.0).then(|| count.sqrt() * third / (second * second * second).sqrt()))
}

fn kurtosis(m: &[f64]) -> Computed {
    let (count, second, fourth) = (m[0], m[2], m[4]);
    Ok((second != 0.0).then(|| count * fourth / (second * second) - 3.0))
}

fn covar_samp(m: &[f64]) -> Computed {
    Ok((m[COUNT] > 1.0).then(|| m[XY] / (m[COUNT] - 1.0)))
}

fn corr(m: &[f64]) -> Computed {
    let divisor = (m[XX] * m[YY]).sqrt();
    match m[COUNT] > 1.0 {
        true if divisor == 0.0 => Err(()),
        true => Ok(Some(m[XY] / divisor)),
        false => Ok(None),
    }
}

fn slope(m: &[f64]) -> Option<f64> {
    (m[YY] != 0.0).then(|| m[XY] / m[YY])
}

fn intercept(m: &[f64]) -> Option<f64> {
    Some(m[MEAN_X] - slope(m)? * m[MEAN_Y])
}

fn r2(m: &[f64]) -> Computed {
    // So has Spark it: NULL where the dependent variable is constant.
    if m[XX] == 0.0 {
        return Ok(None);
    }
    if m[YY] == 0.0 {
        return Ok(Some(1.0));
    }
    let corr = m[XY] / (m[XX] * m[YY]).sqrt();
    Ok(Some(corr * corr))
}

fn pair(arguments: &mut Arguments) -> ArrayRef {
    let DataType::Struct(fields) = arguments.data_type else {
        panic!("a pair is a struct");
    };
    let rows = arguments.rows;
    let columns: Vec<ArrayRef> = arguments.columns.iter().map(|column| column.clone().into_rows(rows)).collect();
    let nulls = NullBuffer::union(columns[0].logical_nulls().as_ref(), columns[1].logical_nulls().as_ref());
    Arc::new(StructArray::new(fields.clone(), columns, nulls))
}

/// The wanted shares: one, or an array of them. They are constants.
fn shares(arguments: &Arguments) -> Vec<f64> {
    let column = &arguments.columns[1];
    match column.array.as_list_opt::<i32>() {
        Some(list) => list.value(0).as_primitive::<Float64Type>().values().to_vec(),
        None => vec![column.numbers::<Float64Type>().value(0)],
    }
}

/// One result per share: of a constant array an ARRAY, else the one.
fn shared_out(arguments: &Arguments, values: &ArrayRef, places: Vec<Option<Vec<usize>>>) -> ArrayRef {
    match arguments.data_type {
        DataType::List(field) if arguments.columns[1].array.as_list_opt::<i32>().is_some() => {
            let flat: Vec<Option<usize>> = places.iter().flatten().flatten().map(|place| Some(*place)).collect();
            let lengths = places.iter().map(|places| places.as_ref().map_or(0, Vec::len));
            let nulls = NullBuffer::from(places.iter().map(Option::is_some).collect::<Vec<_>>());
            let offsets = OffsetBuffer::from_lengths(lengths);
            Arc::new(ListArray::new(field.clone(), offsets, take_or_null(values, &flat), Some(nulls)))
        }
        _ => {
            let places: Vec<Option<usize>> = places.into_iter().map(|places| Some(places?[0])).collect();
            take_or_null(values, &places)
        }
    }
}

/// Whether a constant argument is there and true.
fn is_told(arguments: &Arguments, index: usize) -> bool {
    arguments.columns.get(index).is_some_and(|column| column.array.as_boolean().value(0))
}

/// A value and how often it counts: ascending, or in descending order if argument 3 says so.
fn weighted(arguments: &mut Arguments, row: usize) -> Option<Vec<(f64, i64)>> {
    let lists = Lists::of(&arguments.columns[0]);
    let range = lists.range(row)?;
    let mut values: Vec<(f64, i64)> = match lists.values().as_struct_opt() {
        Some(pairs) => {
            let (x, count) =
                (pairs.column(0).as_primitive::<Float64Type>(), pairs.column(1).as_primitive::<Int64Type>());
            let given = range.filter(|at| x.is_valid(*at) && count.is_valid(*at));
            given.map(|at| (x.value(at), count.value(at))).collect()
        }
        None => {
            let x = lists.values().as_primitive::<Float64Type>();
            range.map(|at| (x.value(at), 1)).collect()
        }
    };
    if let Some((_, count)) = values.iter().find(|(_, count)| *count < 0) {
        let message = || format!("the frequency {count} is negative; give 0 or more");
        arguments.errors.record(row, "NEGATIVE_VALUES_IN_FREQUENCY_EXPRESSION", message);
        return None;
    }
    values.retain(|(_, count)| *count > 0);
    values.sort_by(|l, r| crate::eval::compare::order_doubles(l.0, r.0));
    if is_told(arguments, 2) {
        values.reverse();
    }
    (!values.is_empty()).then_some(values)
}

/// `percentile(x, share[, frequency])` and its like, by what is taken of the sorted values at a share.
fn percentile(arguments: &mut Arguments, take: fn(&[(f64, i64)], f64) -> f64) -> ArrayRef {
    let shares = shares(arguments);
    let mut results = Vec::new();
    let mut places = Vec::with_capacity(arguments.rows);
    for row in 0..arguments.rows {
        places.push(weighted(arguments, row).map(|values| {
            let first = results.len();
            results.extend(shares.iter().map(|share| take(&values, *share)));
            (first..results.len()).collect()
        }));
    }
    shared_out(arguments, &(Arc::new(Float64Array::from(results)) as ArrayRef), places)
}

/// The value of the share's rank, rounded up.
fn rank_of(values: &[(f64, i64)], share: f64) -> f64 {
    let total: i64 = values.iter().map(|(_, count)| count).sum();
    value_at(values, ((total as f64 * share).ceil() as i64 - 1).max(0))
}

fn value_at(values: &[(f64, i64)], place: i64) -> f64 {
    let mut seen = 0;
    let found = values.iter().find(|(_, count)| {
        seen += count;
        seen > place
    });
    found.expect("the place is one of the values").0
}

/// Between the two nearest values in proportion.
fn share_of(values: &[(f64, i64)], share: f64) -> f64 {
    let total: i64 = values.iter().map(|(_, count)| count).sum();
    let position = (total - 1) as f64 * share;
    let (lower, higher) = (position.floor() as i64, position.ceil() as i64);
    let (low, high) = (value_at(values, lower), value_at(values, higher));
    if lower == higher || low == high {
        return low;
    }
    (higher as f64 - position) * low + (position - lower as f64) * high
}

/// The value whose rank among all is the share's, rounded up.
fn percentile_approx(arguments: &mut Arguments) -> ArrayRef {
    let shares = shares(arguments);
    let lists = Lists::of(&arguments.columns[0]);
    let values = lists.values();
    let place = |row: usize| {
        let mut order: Vec<usize> = lists.range(row)?.collect();
        order.sort_by(|l, r| order_at(values, *l, values, *r));
        let rank = |share: &f64| ((share * order.len() as f64).ceil() as usize).clamp(1, order.len()) - 1;
        (!order.is_empty()).then(|| shares.iter().map(|share| order[rank(share)]).collect::<Vec<_>>())
    };
    let places = (0..arguments.rows).map(place).collect();
    shared_out(arguments, &through_double(values), places)
}

/// Spark keeps the values as DOUBLE: of more than 15 digits the last ones may change.
fn through_double(values: &ArrayRef) -> ArrayRef {
    let whole = |x: i64| x as f64 as i64;
    match values.data_type() {
        DataType::Int64 => Arc::new(values.as_primitive::<Int64Type>().unary::<_, Int64Type>(whole)),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let times = values.as_primitive::<TimestampMicrosecondType>();
            let times = times.unary::<_, TimestampMicrosecondType>(whole);
            Arc::new(times.with_data_type(values.data_type().clone()))
        }
        DataType::Decimal128(_, scale) => {
            let decimals = values.as_primitive::<Decimal128Type>();
            let decimals = decimals.unary::<_, Decimal128Type>(|x| decimal_through_double(x, *scale));
            Arc::new(decimals.with_data_type(values.data_type().clone()))
        }
        _ => Arc::clone(values),
    }
}

/// The shortest digits that read as the same DOUBLE, at the decimal's scale.
fn decimal_through_double(unscaled: i128, scale: i8) -> i128 {
    const EXACT: u128 = 1_000_000_000_000_000;
    if unscaled.unsigned_abs() < EXACT {
        return unscaled;
    }
    let double: f64 = format!("{unscaled}e{}", -i32::from(scale)).parse().expect("a number");
    let text = format!("{double:e}");
    let (digits, exponent) = text.split_once('e').expect("a power of ten");
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mantissa: i128 = format!("{whole}{fraction}").parse().expect("at most 17 digits");
    let exponent: i32 = exponent.parse().expect("a number");
    let power = exponent - fraction.len() as i32 + i32::from(scale);
    match u32::try_from(power) {
        Ok(power) => mantissa.saturating_mul(10i128.saturating_pow(power)),
        // More digits than the scale: the decimal had them not, so they round to it.
        Err(_) => unscaled,
    }
}

/// The most frequent value; of several the least, or the greatest if argument 2 says so.
fn mode(arguments: &mut Arguments) -> ArrayRef {
    let lists = Lists::of(&arguments.columns[0]);
    let (values, greatest) = (lists.values(), is_told(arguments, 1));
    let best = |row: usize| {
        let mut order: Vec<usize> = lists.range(row)?.collect();
        order.sort_by(|l, r| order_at(values, *l, values, *r));
        if greatest {
            order.reverse();
        }
        let runs = order.chunk_by(|l, r| is_same((values, *l), (values, *r)));
        let longest = runs.reduce(|best, run| if run.len() > best.len() { run } else { best })?;
        Some(longest[0])
    };
    let places: Vec<Option<usize>> = (0..arguments.rows).map(best).collect();
    take_or_null(values, &places)
}

/// Each value once. As in Spark's set of objects a NaN is never another one, and −0.0 is 0.0.
fn set(arguments: &mut Arguments) -> ArrayRef {
    let lists = Lists::of(&arguments.columns[0]);
    let sources = [lists.values()];
    let is_nan = |at: usize| match sources[0].data_type() {
        DataType::Float32 => sources[0].as_primitive::<Float32Type>().value(at).is_nan(),
        DataType::Float64 => sources[0].as_primitive::<Float64Type>().value(at).is_nan(),
        _ => false,
    };
    let out = ListBuilder::rows(arguments.rows, |out, row| {
        let mut seen = DistinctValues::with_one_zero(&sources);
        lists.range(row)?.filter(|at| is_nan(*at) || seen.add(0, *at)).for_each(|at| out.push(0, at));
        Some(())
    });
    out.finish(&sources, arguments.data_type)
}

/// The first fields of structs, sorted by the other fields. Argument 2 says how, with two letters for each: `A` or `D` for the
/// direction, `F` or `L` for the place of NULLs.
fn in_order(arguments: &mut Arguments) -> ArrayRef {
    let lists = Lists::of(&arguments.columns[0]);
    let rows = lists.values().as_struct();
    let directions: Vec<u8> = arguments.columns[1].bytes(0).unwrap_or_default().to_vec();
    let order = |l: usize, r: usize| {
        let keys = rows.columns()[1..].iter().zip(directions.chunks(2));
        let mut compared = keys.map(|(key, direction)| {
            let nulls = if direction[1] == b'F' { Ordering::Less } else { Ordering::Greater };
            match (is_null(key, l), is_null(key, r)) {
                (true, true) => Ordering::Equal,
                (true, false) => nulls,
                (false, true) => nulls.reverse(),
                _ if direction[0] == b'D' => order_at(key, r, key, l),
                _ => order_at(key, l, key, r),
            }
        });
        compared.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    };
    let out = ListBuilder::rows(arguments.rows, |out, row| {
        let mut places: Vec<usize> = lists.range(row)?.collect();
        places.sort_by(|l, r| order(*l, *r));
        places.into_iter().for_each(|at| out.push(0, at));
        Some(())
    });
    out.finish(&[rows.column(0)], arguments.data_type)
}

/// The texts, with the separator between them; NULL of none.
fn listagg(arguments: &mut Arguments) -> ArrayRef {
    let lists = Lists::of(&arguments.columns[0]);
    let separators = &arguments.columns[1];
    let values = lists.values();
    if *arguments.data_type == DataType::Binary {
        return build::binaries(arguments.rows, |row| {
            let range = lists.range(row).filter(|range| !range.is_empty())?;
            let parts: Vec<&[u8]> = range.map(|at| values.as_binary::<i32>().value(at)).collect();
            Some(parts.join(separators.bytes(row).unwrap_or_default()))
        });
    }
    build::texts(arguments.rows, |row| {
        let range = lists.range(row).filter(|range| !range.is_empty())?;
        let parts: Vec<&str> = range.map(|at| values.as_string::<i32>().value(at)).collect();
        let separator = separators.bytes(row).and_then(|bytes| std::str::from_utf8(bytes).ok());
        Some(parts.join(separator.unwrap_or_default()))
    })
}

/// `histogram_numeric(x, bins)`: bins of `{x, y}`, of which the two nearest become one while there are too many.
fn histogram(arguments: &mut Arguments) -> ArrayRef {
    let DataType::List(field) = arguments.data_type else {
        panic!("a histogram is an array");
    };
    let DataType::Struct(fields) = field.data_type() else {
        panic!("of bins");
    };
    let lists = Lists::of(&arguments.columns[0]);
    let bins = arguments.columns[1].numbers::<Int32Type>().value(0).max(2) as usize;
    let values = lists.values().as_primitive::<Float64Type>();
    let (mut x, mut y, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in 0..arguments.rows {
        let made = histogram_of(lists.range(row).into_iter().flatten().map(|at| values.value(at)), bins);
        lengths.push(made.len());
        valid.push(!made.is_empty());
        for (at, count) in made {
            x.push(at);
            y.push(count);
        }
    }
    let x: ArrayRef = Arc::new(Float64Array::from(x));
    let times = arguments.times;
    let x = crate::eval::cast::cast(&x, fields[0].data_type(), crate::expr::CastMode::Ansi, times, arguments.errors);
    let y: ArrayRef = Arc::new(Float64Array::from(y));
    let elements = Arc::new(StructArray::new(fields.clone(), vec![x, y], None));
    let offsets = OffsetBuffer::from_lengths(lengths);
    Arc::new(ListArray::new(field.clone(), offsets, elements, Some(NullBuffer::from(valid))))
}

/// Ben-Haim and Tom-Tov's streaming histogram.
fn histogram_of(values: impl Iterator<Item = f64>, bins_max: usize) -> Vec<(f64, f64)> {
    let mut bins: Vec<(f64, f64)> = Vec::new();
    for value in values {
        let at = bins.partition_point(|(x, _)| *x < value);
        match bins.get_mut(at) {
            Some((x, count)) if *x == value => *count += 1.0,
            _ => bins.insert(at, (value, 1.0)),
        }
        if bins.len() > bins_max {
            let gap = |at: &usize| bins[at + 1].0 - bins[*at].0;
            let nearest = (0..bins.len() - 1).reduce(|best, at| if gap(&at) < gap(&best) { at } else { best });
            let nearest = nearest.expect("there are two bins at least");
            let ((x, count), (other, more)) = (bins[nearest], bins.remove(nearest + 1));
            bins[nearest] = ((x * count + other * more) / (count + more), count + more);
        }
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spark 4.1.1: percentile_approx(v, 0.5) of one value.
    #[test]
    fn values_are_kept_as_doubles() {
        assert_eq!(decimal_through_double(12_345_678_901_234_567_890, 0), 12_345_678_901_234_567_000);
        assert_eq!(decimal_through_double(-123_456, 3), -123_456);
        let values: ArrayRef = Arc::new(arrow_array::Int64Array::from(vec![-3_753_707_378_521_945_770]));
        assert_eq!(through_double(&values).as_primitive::<Int64Type>().value(0), -3_753_707_378_521_945_600);
    }
}
