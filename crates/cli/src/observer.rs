//! Tells what happens in a run: progress and decision records to files, lines to stderr, snapshots to dashboard and view.

use crate::tell;
use arrow_array::RecordBatch;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use tidemill_dash::Dashboard;
use tidemill_driver::Observer;
use tidemill_model::progress::Progress;
use tidemill_model::status::Status;
use tidemill_model::{Error, Result};
use tidemill_scale::{Decision, Facts, Record, Settings, State};

/// A JSON lines file that a run appends to.
pub(crate) struct Lines(Box<dyn Write>);

impl Lines {
    /// Opens a file for appending; `-` is stderr.
    pub(crate) fn open(path: &Path) -> Result<Lines> {
        if path.as_os_str() == "-" {
            return Ok(Lines(Box::new(std::io::stderr())));
        }
        let cannot = |error| Error::user(format!("cannot write `{}`: {error}; give another path", path.display()));
        let mut file = File::options().create(true).read(true).append(true).open(path).map_err(cannot)?;
        end_last_line(&mut file).map_err(cannot)?;
        Ok(Lines(Box::new(file)))
    }

    fn write(&mut self, record: &impl serde::Serialize) {
        let mut line = serde_json::to_vec(record).expect("records serialise");
        line.push(b'\n');
        // A log that cannot be written must not stop the stream that it is about.
        if let Err(error) = self.0.write_all(&line) {
            tell::err(&format!("a record could not be logged: {error}"));
        }
    }
}

/// A run that was killed may have left half a line: what follows must not be glued to it.
fn end_last_line(file: &mut File) -> std::io::Result<()> {
    let mut last = [b'\n'];
    if file.metadata()?.is_file() && file.metadata()?.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    if last == [b'\n'] { Ok(()) } else { file.write_all(b"\n") }
}

/// Who is told.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) progress: Option<Lines>,
    pub(crate) decisions: Option<Lines>,
    pub(crate) dashboard: Option<Arc<Dashboard>>,
    /// The newest snapshot, for another thread.
    pub(crate) latest: Option<Arc<Mutex<Status>>>,
    /// Notes as text.
    pub(crate) say: Option<Box<dyn FnMut(&str)>>,
    /// Decisions and batches with records as text too: for a run that nobody watches by its snapshots.
    pub(crate) every_step: bool,
}

impl Observer for Told {
    fn batch(&mut self, progress: &Progress, _rows: &RecordBatch) {
        if let Some(lines) = &mut self.progress {
            lines.write(progress);
        }
        if self.every_step && progress.num_input_rows > 0 {
            self.say(&batch_line(progress));
        }
    }

    fn deciding(&mut self, settings: &Settings, state: &State) {
        if let Some(lines) = &mut self.decisions {
            lines.write(&Record::Begin { settings: settings.clone(), state: state.clone() });
        }
    }

    fn decision(&mut self, facts: &Facts, decision: &Decision) {
        if let Some(lines) = &mut self.decisions {
            lines.write(&Record::Step { facts: facts.clone(), decision: decision.clone() });
        }
        if self.every_step && decision.acts() {
            self.say(&format!("executors {} → {}: {}", decision.from, decision.to, decision.reason));
        }
    }

    fn status(&mut self, status: &Status) {
        if let Some(dashboard) = &self.dashboard {
            dashboard.publish(status);
        }
        if let Some(latest) = &self.latest {
            latest.lock().expect("no holder panics").clone_from(status);
        }
    }

    fn note(&mut self, note: &str) {
        self.say(note);
    }
}

impl Told {
    fn say(&mut self, text: &str) {
        if let Some(say) = &mut self.say {
            say(text);
        }
    }
}

/// The one line of summary that a batch gets.
fn batch_line(progress: &Progress) -> String {
    let tidemill = &progress.tidemill;
    let faults = tidemill.faults;
    let mut line = format!(
        "batch {}: {} records in {} ms · {} rows · backlog {} · executors {} · age p99 {} ms",
        progress.batch_id,
        progress.num_input_rows,
        progress.batch_duration,
        progress.sink.num_output_rows,
        tidemill.backlog,
        tidemill.executors,
        tidemill.age_p99_ms
    );
    for fault in tidemill_model::RecordFault::ALL.into_iter().filter(|fault| faults.get(*fault) > 0) {
        line.push_str(&format!(" · {} {}", faults.get(fault), fault.name()));
    }
    line
}
