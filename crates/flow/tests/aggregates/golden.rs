//! Golden files: blocks of a schema, records, and queries with their results; and when two results are equal.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A table, and the queries on it with their answers.
pub struct Block {
    pub schema: String,
    pub records: Vec<String>,
    pub queries: Vec<(String, Golden)>,
}

/// A query's result.
#[derive(Clone, Debug, PartialEq)]
pub enum Golden {
    /// The query was refused, with Spark's condition or our message.
    Refused(String),
    /// The run failed with this condition.
    Error(String),
    Rows {
        names: Vec<String>,
        types: Vec<String>,
        /// Values as text; rows sorted by their text.
        rows: Vec<Vec<Option<String>>>,
    },
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/aggregates")
}

/// The golden files that there are.
pub fn names() -> Vec<String> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let goldens = files.filter(|path| path.extension().is_some_and(|extension| extension == "golden"));
    goldens.map(|path| path.file_stem().unwrap().to_str().unwrap().to_string()).collect()
}

pub fn blocks(name: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(folder().join(format!("{name}.golden"))).unwrap();
    let mut blocks: Vec<Block> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(schema) = line.strip_prefix("schema ") {
            blocks.push(Block { schema: schema.into(), records: Vec::new(), queries: Vec::new() });
            continue;
        }
        let block = blocks.last_mut().expect("a schema stands first");
        if line.starts_with("SELECT ") {
            block.queries.push(query(line));
        } else if let Some(repeated) = line.strip_prefix("repeat ") {
            let (count, record) = repeated.split_once(' ').unwrap();
            let numbers = 0..count.parse::<usize>().unwrap();
            block.records.extend(numbers.map(|number| record.replace('$', &number.to_string())));
        } else {
            block.records.push(line.into());
        }
    }
    blocks
}

/// Queries whose results differ from Spark's on purpose, with our results.
pub fn deviations() -> BTreeMap<String, Golden> {
    let text = std::fs::read_to_string(folder().join("deviations.txt")).unwrap();
    text.lines().filter(|line| line.starts_with("SELECT ")).map(query).collect()
}

fn query(line: &str) -> (String, Golden) {
    let (query, result) = line.split_once(" => ").unwrap_or_else(|| panic!("`{line}` has no result yet"));
    let result: Value = serde_json::from_str(result).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_string();
    let list = |key: &str| result[key].as_array().unwrap().clone();
    let golden = if let Some(condition) = result.get("refused") {
        Golden::Refused(text(condition))
    } else if let Some(condition) = result.get("error") {
        Golden::Error(text(condition))
    } else {
        let row =
            |row: &Value| row.as_array().unwrap().iter().map(|value| value.as_str().map(str::to_string)).collect();
        Golden::rows(
            list("names").iter().map(text).collect(),
            list("types").iter().map(text).collect(),
            list("rows").iter().map(row).collect(),
        )
    };
    (query.into(), golden)
}

impl Golden {
    pub fn rows(names: Vec<String>, types: Vec<String>, mut rows: Vec<Vec<Option<String>>>) -> Golden {
        rows.sort();
        Golden::Rows { names, types, rows }
    }

    /// Whether two results are equal, apart from the text of a refusal, the subclass of an error, and the rounding of
    /// doubles (rule O4).
    pub fn matches(&self, expected: &Golden) -> bool {
        let class = |condition: &str| condition.split('.').next().unwrap_or_default().to_string();
        match (self, expected) {
            (Golden::Refused(ours), Golden::Refused(wanted)) => !wanted.contains(' ') || ours == wanted,
            (Golden::Error(ours), Golden::Error(wanted)) => class(ours) == class(wanted),
            (Golden::Rows { names, types, rows }, Golden::Rows { names: others, types: kinds, rows: wanted }) => {
                let same_row = |(ours, wanted): (&Vec<Option<String>>, &Vec<Option<String>>)| {
                    let values = ours.iter().zip(wanted).zip(types);
                    values.into_iter().all(|((ours, wanted), kind)| same_value(ours, wanted, kind))
                };
                names == others && types == kinds && rows.len() == wanted.len() && rows.iter().zip(wanted).all(same_row)
            }
            _ => false,
        }
    }
}

fn same_value(ours: &Option<String>, wanted: &Option<String>, kind: &str) -> bool {
    let number = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<f64>().ok());
    match (number(ours), number(wanted)) {
        (Some(x), Some(y)) if kind == "double" && x.is_finite() && y.is_finite() => {
            (x - y).abs() <= 1e-12 * y.abs() && x.is_sign_negative() == y.is_sign_negative()
        }
        _ => ours == wanted,
    }
}
