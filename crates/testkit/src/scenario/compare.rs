//! Compares two results of a scenario and describes the first difference.

use super::{BatchResult, Comparison, RunResult};
use serde_json::Value;

/// Doubles are equal within this relative tolerance (rule O4: sums depend on the order).
const TOLERANCE: f64 = 1e-12;

/// What the rounding of a difference may leave: `regr_intercept(x, x)` is 0, or 3.6e-15 in another order.
const REST: f64 = 1e-12;

pub(super) fn compare(ours: &RunResult, spark: &RunResult, sql: &str) -> Result<Comparison, String> {
    // A query that fails in Spark's first batch may be refused here.
    let never_ran = spark.refused.is_some() || (spark.error.is_some() && spark.batches.is_empty());
    match (&ours.refused, &spark.refused) {
        (Some(_), _) if never_ran => return Ok(Comparison::default()),
        (Some(refused), _) => return Err(format!("we refuse what Spark runs: {refused}")),
        (None, Some(refused)) => return Err(format!("we run what Spark refuses with {refused}")),
        (None, None) => {}
    }
    if ours.columns != spark.columns {
        return Err(format!("columns: ours {:?}, Spark's {:?}", ours.columns, spark.columns));
    }
    match (&ours.error, &spark.error) {
        (Some(error), None) => return Err(format!("we fail where Spark goes on: {error}")),
        (None, Some(error)) => return Err(format!("we go on where Spark fails with {error}")),
        _ => {}
    }
    let failed = ours.error.is_some();
    let (mut compared, open) = (Comparison::default(), left_open(spark, sql));
    for (at, batch) in spark.batches.iter().enumerate() {
        match ours.batches.get(at) {
            Some(own) => same_batch(own, batch, &open)?,
            // A failed run may lack the batches just before the failure.
            None if failed => break,
            None => return Err(format!("Spark ran batch {} and we did not: {batch:?}", batch.id)),
        }
        compared.batches += 1;
        compared.rows += batch.rows.len() as u64;
    }
    match ours.batches.get(spark.batches.len()) {
        Some(more) => Err(format!("we ran batch {} and Spark did not: {more:?}", more.id)),
        None => Ok(compared),
    }
}

/// Columns whose value depends on the order of rows. Spark's sort by key swaps rows when a key is NULL, so another row
/// of a group may be the first.
fn left_open(spark: &RunResult, sql: &str) -> Vec<usize> {
    let Some((items, rest)) = sql.strip_prefix("SELECT ").and_then(|sql| sql.split_once(" FROM ")) else {
        return Vec::new();
    };
    let mut depth = 0;
    let items = items.split(|c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    });
    let items: Vec<&str> = items.map(str::trim).collect();
    let keys = rest.split_once(" GROUP BY ").map_or("", |(_, keys)| keys);
    let is_key = |item: &str| keys.contains(item.split(" AS ").next().unwrap_or(item));
    let is_null = |column: usize| spark.batches.iter().flat_map(|batch| &batch.rows).any(|row| row[column].is_null());
    if items.len() != spark.columns.len() || !(0..items.len()).any(|column| is_key(items[column]) && is_null(column)) {
        return Vec::new();
    }
    const CALLS: [&str; 6] = ["first(", "last(", "max_by(", "min_by(", "collect_list(", "listagg("];
    let depends = |item: &str| CALLS.iter().any(|call| item.starts_with(call));
    (0..items.len()).filter(|column| depends(items[*column])).collect()
}

fn same_batch(ours: &BatchResult, spark: &BatchResult, open: &[usize]) -> Result<(), String> {
    let figures = |batch: &BatchResult| {
        let known = |figure: &Option<u64>| figure.map_or("-".to_owned(), |figure| figure.to_string());
        format!(
            "batch {}, {} records, watermark {}, event times {:?}, {} state rows, {} dropped",
            batch.id,
            known(&batch.input_rows),
            batch.watermark.as_deref().unwrap_or("-"),
            batch.event_times,
            known(&batch.state_rows),
            known(&batch.dropped)
        )
    };
    // Spark writes no progress record for the last batch before an error.
    if spark.input_rows.is_some() && figures(ours) != figures(spark) {
        return Err(format!("ours: {}; Spark's: {}", figures(ours), figures(spark)));
    }
    // A source that two branches read is one source in Spark and two here.
    if spark.source_rows.len() == ours.source_rows.len() && spark.source_rows != ours.source_rows {
        let (ours, spark) = (&ours.source_rows, &spark.source_rows);
        return Err(format!("batch: records by source: ours {ours:?}, Spark's {spark:?}"));
    }
    let mut left: Vec<&Vec<Value>> = spark.rows.iter().collect();
    let mut surplus = Vec::new();
    for row in &ours.rows {
        match left.iter().position(|other| same_values(row, other, open)) {
            Some(found) => drop(left.swap_remove(found)),
            None => surplus.push(row),
        }
    }
    if left.is_empty() && surplus.is_empty() {
        return Ok(());
    }
    let lines =
        |rows: &[&Vec<Value>]| rows.iter().map(|row| Value::from((*row).clone()).to_string()).collect::<Vec<_>>();
    Err(format!(
        "batch {}: only ours: {}; only Spark's: {}",
        spark.id,
        lines(&surplus).join(" "),
        lines(&left).join(" ")
    ))
}

/// Whether the values are equal, except in the open columns.
fn same_values(ours: &[Value], spark: &[Value], open: &[usize]) -> bool {
    let pairs = ours.iter().zip(spark).enumerate();
    ours.len() == spark.len() && pairs.into_iter().all(|(column, (a, b))| open.contains(&column) || same(a, b))
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => same_values(a, b, &[]),
        (Value::String(a), Value::String(b)) => a == b || close(a, b),
        _ => a == b,
    }
}

/// Whether both are floating-point numbers (with a point, as Java writes them) and nearly equal.
fn close(a: &str, b: &str) -> bool {
    let number = |text: &str| text.contains('.').then(|| text.parse::<f64>().ok()).flatten();
    match (number(a), number(b)) {
        (Some(x), Some(y)) => (x - y).abs() <= TOLERANCE * x.abs().max(y.abs()) || is_rest(x) && is_rest(y),
        _ => false,
    }
}

/// Whether a number is no more than what is left of two nearly equal ones.
fn is_rest(x: f64) -> bool {
    x.abs() < REST
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether two batches of one text column are equal.
    fn check(ours: &[&str], spark: &[&str]) -> bool {
        let batch = |rows: &[&str]| BatchResult {
            id: 1,
            rows: rows.iter().map(|text| vec![Value::from(*text)]).collect(),
            input_rows: Some(1),
            source_rows: Vec::new(),
            watermark: None,
            event_times: Vec::new(),
            state_rows: None,
            dropped: None,
        };
        same_batch(&batch(ours), &batch(spark), &[]).is_ok()
    }

    #[test]
    fn first_is_left_open_where_a_key_is_null() {
        let check = |sql: &str, key: Value, expected: &[usize]| {
            let text = || "x".to_owned();
            let batch = BatchResult {
                id: 0,
                rows: vec![vec![Value::from("1"), key, Value::from("2")]],
                input_rows: None,
                source_rows: Vec::new(),
                watermark: None,
                event_times: Vec::new(),
                state_rows: None,
                dropped: None,
            };
            let columns = vec![(text(), text()), (text(), text()), (text(), text())];
            let spark = RunResult { columns, batches: vec![batch], ..RunResult::default() };
            assert_eq!(left_open(&spark, sql), expected, "{sql}");
        };
        check("SELECT first(v) AS a, b, max(v) FROM t GROUP BY b", Value::Null, &[0]);
        check("SELECT first(v) AS a, b, max(v) FROM t GROUP BY b", Value::from("k"), &[]);
        check("SELECT first(v) AS a, max(v), b FROM t GROUP BY b", Value::Null, &[]);
        check("SELECT max(v), upper(b) AS k, max_by(k, v) FROM t GROUP BY upper(b)", Value::Null, &[2]);
    }

    #[test]
    fn o4_rows_are_multisets_and_doubles_are_compared_by_value() {
        assert!(check(&["a", "b", "a"], &["a", "a", "b"]));
        assert!(!check(&["a", "b", "b"], &["a", "a", "b"]));
        assert!(!check(&["a"], &["a", "a"]));
        assert!(check(&["0.30000000000000004"], &["0.3"]));
        assert!(!check(&["0.3000001"], &["0.3"]));
        assert!(check(&["0.0"], &["3.552713678800501E-15"]));
        assert!(!check(&["0.0"], &["1.0E-9"]));
        assert!(!check(&["3"], &["3.0"]));
        assert!(!check(&["NaN"], &["1.0"]));
    }
}
