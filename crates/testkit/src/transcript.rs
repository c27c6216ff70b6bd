//! A transcript of drivers' runs: every decision with its facts, every progress record, every row and every message, in
//! order, as text. The ids of query and run are drawn at random; the transcript leaves them out.

use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard};
use tidemill_model::progress::Progress;
use tidemill_scale::{Decision, Facts, Record, Settings, State};

/// The transcript. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Transcript(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    text: String,
    decisions: Vec<(Facts, Decision)>,
    batches: Vec<Progress>,
}

impl Transcript {
    /// The text.
    pub fn text(&self) -> String {
        self.inner().text.clone()
    }

    /// Every decision, with its facts.
    pub fn decisions(&self) -> Vec<(Facts, Decision)> {
        self.inner().decisions.clone()
    }

    /// Every progress record.
    pub fn batches(&self) -> Vec<Progress> {
        self.inner().batches.clone()
    }

    pub(crate) fn begin(&self, settings: &Settings, state: &State) {
        self.write("decision", &json(&Record::Begin { settings: settings.clone(), state: state.clone() }));
    }

    pub(crate) fn decision(&self, facts: &Facts, decision: &Decision) {
        self.write("decision", &json(&Record::Step { facts: facts.clone(), decision: decision.clone() }));
        self.inner().decisions.push((facts.clone(), decision.clone()));
    }

    pub(crate) fn batch(&self, progress: &Progress, rows: &[String]) {
        let known = Progress { id: "query".into(), run_id: "run".into(), ..progress.clone() };
        self.write("batch", &json(&known));
        rows.iter().for_each(|row| self.write("row", row));
        self.inner().batches.push(known);
    }

    pub(crate) fn note(&self, note: &str) {
        self.write("note", note);
    }

    fn write(&self, what: &str, line: &str) {
        let _ = writeln!(self.inner().text, "{what} {line}");
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no holder panics")
    }
}

fn json(record: &impl serde::Serialize) -> String {
    serde_json::to_string(record).expect("plain data")
}
