//! The golden file of the examples, and when two answers are equal.

use serde::Deserialize;
use std::path::Path;

/// An example of Spark's documentation.
#[derive(Clone, Debug)]
pub struct Example {
    /// The functions that document it.
    pub functions: Vec<String>,
    /// The statement.
    pub sql: String,
    /// The inline table that it reads.
    pub table: Option<Table>,
    /// `None` if the answer does not depend on the function alone.
    pub answer: Option<Answer>,
}

/// An inline table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its text in FROM.
    pub text: String,
    /// Its columns, as a source's schema.
    pub schema: String,
    /// Its rows in JSON.
    pub records: Vec<String>,
}

/// The answer to a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The error condition.
    Error(String),
    /// Values as `show` prints them, sorted by text.
    Rows {
        /// Names of the columns.
        names: Vec<String>,
        /// Types of the columns, as in Spark's schemas.
        types: Vec<String>,
        /// One text per column.
        rows: Vec<Vec<String>>,
    },
}

#[derive(Deserialize)]
struct Line {
    functions: Vec<String>,
    sql: String,
    inline: Option<String>,
    schema: Option<String>,
    records: Option<Vec<String>>,
    skipped: Option<String>,
    error: Option<String>,
    names: Option<Vec<String>>,
    types: Option<Vec<String>>,
    rows: Option<Vec<Vec<String>>>,
}

/// All examples, in the order of the file.
///
/// # Panics
/// If the file is damaged.
pub fn examples() -> Vec<Example> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/function_examples.jsonl");
    let text = std::fs::read_to_string(path).expect("the golden file of the examples");
    text.lines().map(|line| example(serde_json::from_str(line).expect("a line of the golden file"))).collect()
}

fn example(line: Line) -> Example {
    let table = line.inline.map(|text| Table {
        text,
        schema: line.schema.expect("an inline table has columns"),
        records: line.records.expect("an inline table has rows"),
    });
    let answer = match (line.skipped, line.error) {
        (Some(_), _) => None,
        (None, Some(condition)) => Some(Answer::Error(condition)),
        (None, None) => {
            Some(Answer::rows(line.names.expect("names"), line.types.expect("types"), line.rows.expect("rows")))
        }
    };
    Example { functions: line.functions, sql: line.sql, table, answer }
}

impl Answer {
    /// An answer from rows in any order.
    pub fn rows(names: Vec<String>, types: Vec<String>, mut rows: Vec<Vec<String>>) -> Answer {
        rows.sort();
        Answer::Rows { names, types, rows }
    }

    /// The names of the result's columns.
    pub fn names(&self) -> &[String] {
        match self {
            Answer::Error(_) => &[],
            Answer::Rows { names, .. } => names,
        }
    }

    /// Whether two answers are equal, apart from column names, the subclass of an error, and the last digits of FLOAT
    /// and DOUBLE.
    pub fn matches(&self, spark: &Answer) -> bool {
        let class = |condition: &str| condition.split('.').next().unwrap_or_default().to_owned();
        match (self, spark) {
            (Answer::Error(ours), Answer::Error(wanted)) => wanted == "Py4JJavaError" || class(ours) == class(wanted),
            (Answer::Rows { types, rows, .. }, Answer::Rows { types: kinds, rows: wanted, .. }) => {
                let same = |(ours, wanted): (&Vec<String>, &Vec<String>)| {
                    ours.iter().zip(wanted).zip(types).all(|((ours, wanted), kind)| same_value(ours, wanted, kind))
                };
                types == kinds && rows.len() == wanted.len() && rows.iter().zip(wanted).all(same)
            }
            _ => false,
        }
    }
}

fn same_value(ours: &str, wanted: &str, kind: &str) -> bool {
    if ours == wanted {
        return true;
    }
    let between = |c: char| "[]{}, ".contains(c);
    let (ours, wanted): (Vec<&str>, Vec<&str>) = (ours.split(between).collect(), wanted.split(between).collect());
    (kind.contains("double") || kind.contains("float"))
        && ours.len() == wanted.len()
        && ours.iter().zip(&wanted).all(|(ours, wanted)| ours == wanted || near(ours, wanted))
}

/// Whether two numbers differ only by rounding.
fn near(ours: &str, wanted: &str) -> bool {
    match (ours.parse::<f64>(), wanted.parse::<f64>()) {
        (Ok(x), Ok(y)) => wanted.contains(['.', 'E']) && (x - y).abs() <= 1e-14 * y.abs(),
        _ => false,
    }
}
