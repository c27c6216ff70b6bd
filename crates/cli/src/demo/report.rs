//! The demo's report, as text and as JSON.

use serde::Serialize;
use std::path::Path;
use tidemill_model::FaultCounts;
use tidemill_model::{Error, Result};
use tidemill_scale::{Kind, Record};

/// The report. `--report` writes it as JSON.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) produced: u64,
    pub(crate) counted: u64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) set_aside: u64,
    pub(crate) late_window_updates: u64,
    pub(crate) rows_checked: u64,
    pub(crate) rows_wrong: u64,
    pub(crate) faults: FaultCounts,
    pub(crate) executor_seconds: f64,
    pub(crate) static_executor_seconds: f64,
    pub(crate) saved_percent: f64,
    pub(crate) age_p50_ms: u64,
    pub(crate) age_p99_ms: u64,
    pub(crate) cold_start_ms: Option<u64>,
    pub(crate) max_executors_seen: u32,
    pub(crate) min_executors_seen: u32,
    pub(crate) executors_killed: u64,
    pub(crate) executors_stopped: u64,
    pub(crate) runs: u64,
    pub(crate) decisions: Vec<Decided>,
}

/// A change of size.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Decided {
    /// Since the start of its run.
    at_ms: u64,
    from: u32,
    to: u32,
    kind: Kind,
    reason: String,
}

/// The changes of size in the decision log of all runs.
///
/// # Errors
/// External: the file cannot be read.
pub(crate) fn decisions(log: &Path) -> Result<Vec<Decided>> {
    let text = std::fs::read_to_string(log)
        .map_err(|error| Error::external(format!("cannot read `{}`: {error}", log.display())))?;
    // A killed run may have left half a line.
    let records = text.lines().filter_map(|line| serde_json::from_str::<Record>(line).ok());
    let decided = |record| match record {
        Record::Step { decision, .. } if decision.acts() => Some(Decided {
            at_ms: decision.at_ms,
            from: decision.from,
            to: decision.to,
            kind: decision.kind,
            reason: decision.reason,
        }),
        _ => None,
    };
    Ok(records.filter_map(decided).collect())
}

impl Report {
    /// Whether nothing was lost, nothing counted twice, and every row is right.
    pub(crate) fn holds(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.rows_wrong == 0 && self.rows_checked > 0
    }

    /// What the same load took on Spark and on the local engine.
    pub(crate) fn beside(spark: &Report, local: &Report) -> String {
        let line = |name: &str, figure: &dyn Fn(&Report) -> String| {
            format!("{name:<34}{:>14}{:>14}", figure(spark), figure(local))
        };
        let seconds = |ms: Option<u64>| ms.map_or("-".into(), |ms| format!("{:.2} s", ms as f64 / 1000.0));
        [
            format!("{:<34}{:>14}{:>14}", "", "Spark", "local engine"),
            line("records", &|report| report.produced.to_string()),
            line("lost, counted twice, rows wrong", &|report| {
                format!("{}, {}, {}", report.lost, report.duplicated, report.rows_wrong)
            }),
            line("executors", &|report| format!("{} to {}", report.min_executors_seen, report.max_executors_seen)),
            line("executor-seconds", &|report| format!("{:.1}", report.executor_seconds)),
            line("saved against 4 always on", &|report| format!("{:.1} %", report.saved_percent)),
            line("age p50", &|report| seconds(Some(report.age_p50_ms))),
            line("age p99", &|report| seconds(Some(report.age_p99_ms))),
            line("cold start: one record from zero", &|report| seconds(report.cold_start_ms)),
        ]
        .join("\n")
    }

    /// The report as lines.
    pub(crate) fn text(&self) -> String {
        let cold_start = self.cold_start_ms.map_or("not measured".into(), |ms| format!("{ms} ms"));
        [
            format!(
                "records   {:>10} produced, {} counted, {} set aside as broken",
                self.produced, self.counted, self.set_aside
            ),
            format!("          {:>10} lost, {} counted twice", self.lost, self.duplicated),
            format!("rows      {:>10} compared with a scan of the topic, {} wrong", self.rows_checked, self.rows_wrong),
            format!(
                "executors {:>10.1} executor-seconds used, {:.1} with 4 always on: {:.1} % saved ({} to {} executors)",
                self.executor_seconds,
                self.static_executor_seconds,
                self.saved_percent,
                self.min_executors_seen,
                self.max_executors_seen
            ),
            format!(
                "age       {:>10} ms p50, {} ms p99, from a record's timestamp to its result in the sink",
                self.age_p50_ms, self.age_p99_ms
            ),
            format!("cold start{cold_start:>13} from one record at zero executors to its result"),
        ]
        .join("\n")
    }
}
