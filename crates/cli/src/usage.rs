//! The usage log of a run, kept beside its checkpoint in `DIR/usage/`, for `tidemill cost` and `tidemill simulate
//! --from`.
//!
//! ```text
//! load.jsonl        a line for every five seconds with arrivals or a living executor, and one for each pause
//! decisions.jsonl   the changes of size
//! days.jsonl        daily sums of removed lines
//! ```
//! The first two are bounded: at 4 MB a file becomes `….1.jsonl`; the previous file of that name is summed up and
//! removed.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use tidemill_model::status::Status;
use tidemill_model::{Error, Result};
use tidemill_os::output;
use tidemill_scale::{Decision, Facts};

const FOLDER: &str = "usage";
const LOAD: &str = "load";
const DECISIONS: &str = "decisions";
const DAYS: &str = "days.jsonl";
/// Largest size of a file of lines, bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Length of a line's period while something happens, ms.
const LINE_MS: i64 = 5_000;
/// Length of a line's period while nothing happens, ms.
const REST_MS: i64 = 600_000;
const DAY_MS: i64 = 86_400_000;

/// A period of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct UsagePeriod {
    /// When it began, ms since 1970.
    pub(crate) at_ms: i64,
    pub(crate) seconds: f64,
    /// Records that arrived at the source.
    pub(crate) arrived: u64,
    pub(crate) executor_seconds: f64,
    /// `max_executors` at that time.
    pub(crate) max: u32,
}

/// A change of size.
#[derive(Serialize)]
struct Change<'a> {
    at_ms: i64,
    from: u32,
    to: u32,
    reason: &'a str,
}

/// The log of a run. A failed write is reported once, and the run goes on.
pub(crate) struct UsageLog {
    dir: PathBuf,
    present: UsagePeriod,
    /// The source's total and the executor-seconds at the start of the current period.
    total_before: Option<u64>,
    used_before: f64,
    total: Option<u64>,
    used: f64,
    until_ms: i64,
    broken: bool,
}

impl UsageLog {
    /// For the run of this checkpoint.
    pub(crate) fn new(checkpoint: &Path) -> UsageLog {
        UsageLog {
            dir: checkpoint.join(FOLDER),
            present: UsagePeriod::default(),
            total_before: None,
            used_before: 0.0,
            total: None,
            used: 0.0,
            until_ms: 0,
            broken: false,
        }
    }

    pub(crate) fn decision(&mut self, at_ms: i64, facts: &Facts, decision: &Decision) {
        if let Some(total) = facts.end_total {
            self.total = Some(total);
            self.total_before.get_or_insert(total);
        }
        if decision.acts() {
            self.write(DECISIONS, &Change { at_ms, from: decision.from, to: decision.to, reason: &decision.reason });
        }
    }

    pub(crate) fn status(&mut self, status: &Status) {
        (self.used, self.until_ms) = (status.executor_seconds, status.now_ms);
        if self.present.at_ms == 0 {
            (self.present.at_ms, self.present.max) = (status.now_ms, status.executors_max);
        }
        let length_ms = status.now_ms - self.present.at_ms;
        let busy = self.arrived() > 0 || self.used > self.used_before;
        if length_ms >= REST_MS || (busy && length_ms >= LINE_MS) {
            self.end_stretch(status.executors_max);
        }
    }

    fn arrived(&self) -> u64 {
        self.total.unwrap_or(0).saturating_sub(self.total_before.unwrap_or(0))
    }

    fn end_stretch(&mut self, max: u32) {
        let period = UsagePeriod {
            seconds: (self.until_ms - self.present.at_ms).max(0) as f64 / 1000.0,
            arrived: self.arrived(),
            executor_seconds: ((self.used - self.used_before) * 1000.0).round() / 1000.0,
            ..self.present.clone()
        };
        self.write(LOAD, &period);
        (self.total_before, self.used_before) = (self.total, self.used);
        self.present = UsagePeriod { at_ms: self.until_ms, max, ..UsagePeriod::default() };
    }

    fn write(&mut self, name: &str, line: &impl Serialize) {
        if self.broken {
            return;
        }
        if let Err(error) = append(&self.dir, name, line) {
            self.broken = true;
            let dir = self.dir.display();
            output::error_line(&format!("cannot record the usage of the run in {dir}: {error}; the run continues"));
        }
    }
}

impl Drop for UsageLog {
    fn drop(&mut self) {
        if self.until_ms > self.present.at_ms && self.present.at_ms > 0 {
            self.end_stretch(self.present.max);
        }
    }
}

fn append(dir: &Path, name: &str, line: &impl Serialize) -> std::io::Result<()> {
    fs::create_dir_all(dir)?;
    let path = dir.join(format!("{name}.jsonl"));
    if fs::metadata(&path).is_ok_and(|data| data.len() >= FILE_BYTES_MAX) {
        let before = dir.join(format!("{name}.1.jsonl"));
        if name == LOAD && before.exists() {
            sum_up(&before, &dir.join(DAYS))?;
        }
        fs::rename(&path, before)?;
    }
    append_line(&path, line)
}

fn append_line(path: &Path, line: &impl Serialize) -> std::io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    OpenOptions::new().create(true).append(true).open(path)?.write_all(&bytes)
}

/// Sums up the periods of a file by day.
fn sum_up(path: &Path, days: &Path) -> std::io::Result<()> {
    for day in by_day(read_lines(path)?).into_values() {
        append_line(days, &day)?;
    }
    Ok(())
}

/// The periods in a checkpoint, oldest first; with `fine`, without the daily sums.
///
/// # Errors
/// User: there are none.
pub(crate) fn read(checkpoint: &Path, fine: bool) -> Result<Vec<UsagePeriod>> {
    let dir = checkpoint.join(FOLDER);
    let mut periods = Vec::new();
    let names = [DAYS.to_owned(), format!("{LOAD}.1.jsonl"), format!("{LOAD}.jsonl")];
    for name in &names[usize::from(fine)..] {
        let path = dir.join(name);
        if path.exists() {
            let cannot = |error| Error::user(format!("cannot read {}: {error}", path.display()));
            periods.extend(read_lines(&path).map_err(cannot)?);
        }
    }
    if periods.is_empty() {
        let dir = checkpoint.display();
        return Err(Error::user(format!("{dir} has no `usage` of a run; name the checkpoint directory of one")));
    }
    Ok(periods)
}

/// Reads lines. Skips a last line that a killed run left incomplete.
fn read_lines(path: &Path) -> std::io::Result<Vec<UsagePeriod>> {
    let mut periods = Vec::new();
    for line in BufReader::new(File::open(path)?).lines() {
        periods.extend(serde_json::from_str::<UsagePeriod>(&line?));
    }
    Ok(periods)
}

/// The sums by day (UTC).
pub(crate) fn by_day(periods: Vec<UsagePeriod>) -> BTreeMap<i64, UsagePeriod> {
    let mut days: BTreeMap<i64, UsagePeriod> = BTreeMap::new();
    for period in periods {
        let number = period.at_ms.div_euclid(DAY_MS);
        let day = days.entry(number).or_insert(UsagePeriod { at_ms: number * DAY_MS, ..UsagePeriod::default() });
        day.seconds += period.seconds;
        day.arrived += period.arrived;
        day.executor_seconds += period.executor_seconds;
        day.max = day.max.max(period.max);
    }
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(now_ms: i64, executor_seconds: f64) -> Status {
        Status { now_ms, executor_seconds, executors_max: 4, ..Status::default() }
    }

    fn facts(total: u64) -> Facts {
        Facts { end_total: Some(total), ..Facts::default() }
    }

    fn hold() -> Decision {
        serde_json::from_value(
            serde_json::json!({"at_ms": 0, "from": 1, "to": 1, "keep": 1, "kind": "hold", "reason": "",
            "terms": tidemill_scale::Terms::default()}),
        )
        .expect("a decision")
    }

    #[test]
    fn a_run_is_kept_in_stretches_and_read_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = UsageLog::new(dir.path());
        let start_ms = 1_800_000_000_000;
        for tick in 0..80 {
            log.decision(start_ms, &facts(1_000 + tick * 25), &hold());
            log.status(&status(start_ms + tick as i64 * 250, tick as f64 * 0.25));
        }
        drop(log);
        let periods = read(dir.path(), true).expect("what was written");
        let sums: (u64, f64) =
            (periods.iter().map(|s| s.arrived).sum(), periods.iter().map(|s| s.executor_seconds).sum());
        assert_eq!((periods.len(), sums), (4, (79 * 25, 19.75)), "{periods:?}");
        assert_eq!(
            periods[0],
            UsagePeriod { at_ms: start_ms, seconds: 5.0, arrived: 500, executor_seconds: 5.0, max: 4 }
        );
        assert!(read(&dir.path().join("none"), true).is_err());
    }

    #[test]
    fn the_log_is_bounded_and_its_sums_stay() {
        let dir = tempfile::tempdir().expect("a directory");
        let folder = dir.path().join(FOLDER);
        let line = |number: i64| UsagePeriod {
            at_ms: number * 5_000,
            seconds: 5.0,
            arrived: 10,
            executor_seconds: 2.5,
            max: 4,
        };
        let many = 200_000;
        for number in 0..many {
            append(&folder, LOAD, &line(number)).expect("it can be written");
        }
        let bytes: u64 = fs::read_dir(&folder).expect("there").map(|e| e.unwrap().metadata().unwrap().len()).sum();
        assert!(bytes < 3 * FILE_BYTES_MAX, "{bytes}");
        let days = by_day(read(dir.path(), false).expect("lines"));
        assert_eq!(days.values().map(|day| day.arrived).sum::<u64>(), 10 * many as u64);
        assert_eq!(days[&0].executor_seconds, 17_280.0 * 2.5);
    }
}
