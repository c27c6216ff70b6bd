//! Scenarios: a streaming query, its input batch by batch, and the result of real Spark, in one JSON file.
//!
//! `tests/spark/scenarios.py` documents the members of the file and writes Spark's result. [`Scenario::check`] runs the
//! query on the real driver and requires the same result: the same batches, the same rows as multisets (doubles within
//! a relative 1e-12, rule O4), the same watermark, state rows and dropped groups; or the same refusal or error.

mod compare;
mod data;
mod generate;
mod kafka;
mod queries;
mod run;
mod value;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A case and Spark's result.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows, a sentence.
    pub about: String,
    /// DDL of the records' columns. Without it (and without `sources`) they are Kafka's own, and a line holds a record's
    /// key, value, headers and timestamp.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub schema: String,
    /// The event time, if there is one.
    #[serde(default)]
    pub event_time: Option<EventTime>,
    /// The watermark's delay; `None`: no watermark.
    #[serde(default)]
    pub watermark: Option<String>,
    /// The tables of the query, instead of the three members above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
    /// The query. Its table is `events` unless `sources` names others.
    pub sql: String,
    /// The output mode.
    pub mode: String,
    /// How the batches come.
    pub run: Run,
    /// Where the query stops and starts again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restarts: Vec<Restart>,
    /// Whether batches without data run (rule M4).
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub no_data_batches: bool,
    /// The session's time zone; `None`: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The records of every batch, one per line.
    pub batches: Vec<Lines>,
    /// Spark's result; `None` if Spark was not asked yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spark: Option<RunResult>,
}

fn yes() -> bool {
    true
}

fn is_yes(no_data_batches: &bool) -> bool {
    *no_data_batches
}

/// A table of a scenario that has several.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// As [`Scenario::schema`].
    pub schema: String,
    /// As [`Scenario::event_time`].
    pub event_time: Option<EventTime>,
    /// As [`Scenario::watermark`].
    pub watermark: Option<String>,
}

/// The records of a batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Lines {
    /// Of the only table.
    All(Vec<String>),
    /// By table. A table that is not named gets nothing, not even an empty file.
    BySource(BTreeMap<String, Vec<String>>),
}

/// The event-time column of a scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventTime {
    /// Its name.
    pub column: String,
    /// Its expression over the schema's columns.
    pub expression: String,
}

/// How batches come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Run {
    /// Each batch is processed, with the no-data batches that it makes due, before the next one arrives.
    Drained,
    /// All batches are there at the start of an available-now run.
    Backlog,
    /// Spark runs no stream: it reads all records as a table. Quicker, and enough where nothing is about batches or time.
    Table,
}

/// A restart.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// It happens before the batch of this number.
    pub before: usize,
    /// Number of newest commit records that are lost.
    #[serde(default)]
    pub lost_commits: usize,
}

/// The result of an engine.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunResult {
    /// The engine's version.
    pub version: String,
    /// Names and types of the result's columns.
    #[serde(default)]
    pub columns: Vec<(String, String)>,
    /// Why the query did not start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Why the query failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The batches that ran. A replay occurs again under its number.
    pub batches: Vec<BatchResult>,
}

/// A batch that ran.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchResult {
    /// Its number.
    pub id: u64,
    /// Its rows: a value for each column, as `tests/spark/scenarios.py` says.
    pub rows: Vec<Vec<Value>>,
    /// Records read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_rows: Option<u64>,
    /// Records read from each source, if there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source_rows: Vec<u64>,
    /// wm(N), in the progress record's form; `None` without a watermark, or without progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<String>,
    /// Least and greatest event time, in the progress record's form (rule M5); empty where no row came to the watermark.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub event_times: Vec<String>,
    /// Groups in the state; `None` without state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_rows: Option<u64>,
    /// Distinct late groups (rule L3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<u64>,
}

/// What a check compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Batches that both engines ran.
    pub batches: u64,
    /// Rows in them.
    pub rows: u64,
}

impl Scenario {
    /// Parses a scenario.
    ///
    /// # Errors
    /// The text is not a scenario; says where.
    pub fn parse(text: &str) -> Result<Scenario, String> {
        serde_json::from_str(text).map_err(|error| format!("no scenario: {error}"))
    }

    /// Generates the case of this number from this seed.
    pub fn generate(seed: u64, number: u64) -> Scenario {
        let seed = seed.wrapping_mul(1_000_003).wrapping_add(number);
        match number % 4 {
            0 => generate::generate(seed),
            _ => queries::generate(seed),
        }
    }

    /// The case of this number among those that [`Scenario::generate`] makes of all functions, as a query over a table.
    pub fn generate_table(seed: u64, number: u64) -> Scenario {
        let number = number / 3 * 4 + number % 3 + 1;
        let mut made = Scenario::generate(seed, number);
        made.about = format!("Case {number} of seed {seed}.");
        made.run = Run::Table;
        made.watermark = None;
        made.sources.iter_mut().for_each(|source| source.watermark = None);
        let all = |lines: Lines| match lines {
            Lines::All(lines) => lines,
            Lines::BySource(_) => Vec::new(),
        };
        if made.sources.is_empty() {
            made.batches = vec![Lines::All(made.batches.into_iter().flat_map(all).collect())];
        }
        made
    }

    fn has_kafka_columns(&self) -> bool {
        self.schema.is_empty() && self.sources.is_empty()
    }

    /// Runs the case on the real driver.
    pub fn run(&self) -> RunResult {
        run::run(self)
    }

    /// Runs the case and compares it with Spark's result.
    ///
    /// # Errors
    /// The first difference.
    pub fn check(&self) -> Result<Comparison, String> {
        let spark = self.spark.as_ref().ok_or("Spark was not asked yet; run tests/spark/scenarios.py")?;
        compare::compare(&self.run(), spark, &self.sql)
    }
}
