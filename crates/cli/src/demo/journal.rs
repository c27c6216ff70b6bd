//! The demo's journal on disk: the phase reached, and what earlier runs used, so that a killed demo can continue.

use super::chaos;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tidemill_load::Counters;
use tidemill_model::status::Status;
use tidemill_model::{Error, Result};

/// Interval at which the file is written.
const WRITE_EVERY: Duration = Duration::from_millis(250);

/// The topic on the embedded broker. On another Kafka the demo uses a unique name.
const TOPIC: &str = "cs_student_logs";

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Record {
    topic: Option<String>,
    /// Number of runs, including this one.
    runs: u64,
    /// Time that all runs have covered, ms.
    elapsed_ms: u64,
    executor_seconds: f64,
    most_executors: u32,
    /// Fewest living executors since the first one started.
    least_executors: Option<u32>,
    executors_killed: u64,
    #[serde(default)]
    executors_stopped: u64,
    /// Records sent to the broker and acknowledged, as of the last write.
    sent: u64,
    acknowledged: u64,
    failed: u64,
}

/// The journal of one run.
pub(crate) struct Journal {
    path: PathBuf,
    /// The record that earlier runs left.
    before: Record,
    now: Record,
    written: Option<Instant>,
}

impl Journal {
    /// Reads the journal of earlier runs, if there is one.
    ///
    /// # Errors
    /// User: the file is not a journal.
    pub(crate) fn open(path: &Path) -> Result<Journal> {
        let before = match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                Error::user(format!("`{}` is not a demo's journal ({error}); give another --dir", path.display()))
            })?,
            Err(_) => Record::default(),
        };
        let mut journal = Journal { path: path.to_owned(), now: before.clone(), before, written: None };
        journal.now.runs += 1;
        Ok(journal)
    }

    /// The topic: that of the earlier runs, or a unique name on another Kafka.
    pub(crate) fn topic(&mut self, external: bool) -> String {
        let fresh = || if external { format!("tidemill-demo-{}", std::process::id()) } else { TOPIC.to_owned() };
        self.now.topic.get_or_insert_with(fresh).clone()
    }

    /// Records that this run has begun.
    ///
    /// # Errors
    /// External: the disk.
    pub(crate) fn run_begins(&mut self) -> Result<()> {
        self.write()
    }

    /// Number of this run, from 1.
    pub(crate) fn run(&self) -> u64 {
        self.now.runs
    }

    /// Elapsed time of the demo.
    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_millis(self.now.elapsed_ms)
    }

    /// Updates the journal: `since_start` is the age of this run.
    ///
    /// # Errors
    /// External: the disk.
    pub(crate) fn note(&mut self, since_start: Duration, status: &Status, counters: Counters) -> Result<()> {
        self.now.elapsed_ms = self.before.elapsed_ms + since_start.as_millis() as u64;
        self.now.executor_seconds = self.before.executor_seconds + status.executor_seconds;
        self.now.sent = self.before.sent + counters.sent;
        self.now.acknowledged = self.before.acknowledged + counters.acknowledged;
        self.now.failed = self.before.failed + counters.failed;
        let ready = status.executors.iter().filter(|executor| executor.state == "ready").count() as u32;
        self.now.most_executors = self.now.most_executors.max(ready);
        if self.now.most_executors > 0 {
            let living = status.executors.len() as u32;
            self.now.least_executors = Some(self.now.least_executors.map_or(living, |least| least.min(living)));
        }
        if self.written.is_none_or(|at| at.elapsed() >= WRITE_EVERY) {
            self.write()?;
        }
        Ok(())
    }

    /// An executor was killed or stopped on purpose.
    pub(crate) fn struck(&mut self, kind: chaos::Kind) {
        match kind {
            chaos::Kind::Kill => self.now.executors_killed += 1,
            chaos::Kind::Stop => self.now.executors_stopped += 1,
        }
    }

    pub(crate) fn stops(&self) -> u64 {
        self.now.executors_stopped
    }

    pub(crate) fn kills(&self) -> u64 {
        self.now.executors_killed
    }

    /// Most executors that were ready at once.
    pub(crate) fn most(&self) -> u32 {
        self.now.most_executors
    }

    /// Fewest living executors since the first one started.
    pub(crate) fn least(&self) -> u32 {
        self.now.least_executors.unwrap_or(0)
    }

    /// Executor-seconds of all runs; `this_run` is the final figure of this one.
    pub(crate) fn executor_seconds(&self, this_run: f64) -> f64 {
        self.before.executor_seconds + this_run
    }

    /// A message if the number of records in the topic contradicts the load: acknowledged ≤ topic ≤ sent. After a kill
    /// only the first half is checked, because the last sent records were not written down.
    pub(crate) fn check_counts(&self, in_topic: u64) -> Option<String> {
        let (least, most) = (self.now.acknowledged, self.now.sent);
        if in_topic < least {
            return Some(format!("the topic holds {in_topic} records, but {least} were acknowledged"));
        }
        (in_topic > most && self.now.runs == 1)
            .then(|| format!("the topic holds {in_topic} records, but only {most} were sent"))
    }

    /// Writes atomically: a partial journal would end the demo.
    fn write(&mut self) -> Result<()> {
        self.written = Some(Instant::now());
        let json = serde_json::to_vec(&self.now).expect("a journal serialises");
        tidemill_os::disk::replace(&self.path, &json).map_err(|error| {
            Error::external(format!("cannot write `{}`: {error}; is the disk full?", self.path.display()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_goes_on_where_the_first_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.json");
        let mut first = Journal::open(&path).unwrap();
        let topic = first.topic(true);
        first.run_begins().unwrap();
        let status = Status { executor_seconds: 3.0, ..Status::default() };
        let counters = Counters { sent: 10, acknowledged: 8, failed: 0 };
        first.note(Duration::from_secs(7), &status, counters).unwrap();
        first.write().unwrap();
        let mut second = Journal::open(&path).unwrap();
        assert_eq!((second.run(), second.elapsed(), second.topic(true)), (2, Duration::from_secs(7), topic));
        second.note(Duration::from_secs(1), &status, counters).unwrap();
        assert_eq!(second.elapsed(), Duration::from_secs(8));
        assert_eq!(second.executor_seconds(4.0), 7.0);
        assert!(second.check_counts(15).unwrap().contains("16 were acknowledged"));
        assert_eq!(second.check_counts(99), None);
        assert!(first.check_counts(12).unwrap().contains("only 10 were sent"));
    }
}
