//! Reports a run: progress and decision records to files, lines to stderr, snapshots to dashboard and view.

use crate::group_offsets::GroupOffsets;
use crate::usage::UsageLog;
use crate::wiring::ABANDONED;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tidemill_dash::Dashboard;
use tidemill_driver::Observer;
use tidemill_model::progress::Progress;
use tidemill_model::status::{Command, Status};
use tidemill_model::{Error, FaultCounts, RecordFault, Result, counted};
use tidemill_os::clock::wall_ms;
use tidemill_os::output::{self, Stream};
use tidemill_scale::{Changes, Decision, Facts, Record, Settings, State};

/// A JSON lines file that a run appends to.
pub(crate) struct JsonLinesFile {
    /// Name in messages.
    name: String,
    file: Box<dyn Write + Send>,
    /// Records that could not be written since the last success.
    lost: u64,
    /// A line may be incomplete; the next write first ends it.
    torn: bool,
}

impl JsonLinesFile {
    /// Opens a file for appending; `-` is stderr.
    pub(crate) fn open(path: &Path) -> Result<JsonLinesFile> {
        if path.as_os_str() == "-" {
            return Ok(JsonLinesFile::new("stderr".into(), Box::new(std::io::stderr())));
        }
        let cannot = |error| Error::user(format!("cannot write `{}`: {error}; give another path", path.display()));
        let mut file = File::options().create(true).read(true).append(true).open(path).map_err(cannot)?;
        end_last_line(&mut file).map_err(cannot)?;
        Ok(JsonLinesFile::new(format!("`{}`", path.display()), Box::new(file)))
    }

    fn new(name: String, file: Box<dyn Write + Send>) -> JsonLinesFile {
        JsonLinesFile { name, file, lost: 0, torn: false }
    }

    pub(crate) fn write(&mut self, record: &impl serde::Serialize) {
        let mut line = if self.torn { vec![b'\n'] } else { Vec::new() };
        serde_json::to_writer(&mut line, record).expect("records serialise");
        line.push(b'\n');
        let JsonLinesFile { name, lost, .. } = self;
        // A log that cannot be written must not stop the run, and is reported only once.
        match write_counted(&mut self.file, &line) {
            (_, Ok(())) => {
                if *lost > 0 {
                    output::error_line(&format!("{name} accepts records again; it lacks {}", counted(*lost, "record")));
                }
                (*lost, self.torn) = (0, false);
            }
            (count, Err(error)) => {
                if *lost == 0 {
                    output::error_line(&format!(
                        "cannot write to {name}: {error}; the run continues, but records are lost until there is space again"
                    ));
                }
                *lost += 1;
                self.torn |= count > 0;
            }
        }
    }
}

/// Writes all bytes. Also returns how many were written before an error.
fn write_counted(file: &mut dyn Write, bytes: &[u8]) -> (usize, std::io::Result<()>) {
    let mut count = 0;
    while count < bytes.len() {
        match file.write(&bytes[count..]) {
            Ok(0) => return (count, Err(std::io::ErrorKind::WriteZero.into())),
            Ok(more) => count += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return (count, Err(error)),
        }
    }
    (count, Ok(()))
}

/// Ends a line that a killed run may have left incomplete.
fn end_last_line(file: &mut File) -> std::io::Result<()> {
    let mut last = [b'\n'];
    if file.metadata()?.is_file() && file.metadata()?.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    if last == [b'\n'] { Ok(()) } else { file.write_all(b"\n") }
}

/// Everything that gets reports of a run.
#[derive(Default)]
pub(crate) struct RunObserver {
    pub(crate) progress: Option<JsonLinesFile>,
    pub(crate) decisions: Option<JsonLinesFile>,
    pub(crate) dashboard: Option<Arc<Dashboard>>,
    /// The newest snapshot, shared with another thread.
    pub(crate) latest: Option<Arc<Mutex<Status>>>,
    /// The usage log, for `tidemill cost`.
    pub(crate) usage: Option<UsageLog>,
    /// Text for the user.
    pub(crate) log: Option<TextLog>,
    /// The readers of stdout and stderr; the run ends without them.
    pub(crate) readers: Option<Readers>,
    /// Consumer groups whose offsets follow the batches.
    pub(crate) groups: Vec<GroupOffsets>,
}

/// The readers of the output. When one goes away, the run is stopped.
pub(crate) struct Readers {
    streams: Vec<Stream>,
    commands: Sender<Command>,
}

impl Readers {
    pub(crate) fn new(streams: Vec<Stream>, commands: Sender<Command>) -> Readers {
        Readers { streams, commands }
    }

    /// Whether all readers are there. Stops the run if not.
    fn look(&self) -> bool {
        let abandoned = self.streams.iter().any(|stream| stream.is_abandoned());
        if abandoned {
            output::error_line(ABANDONED);
            // A run that has ended needs no command.
            let _ = self.commands.send(Command::Stop);
        }
        !abandoned
    }
}

impl Observer for RunObserver {
    fn batch(&mut self, progress: &Progress) {
        if let Some(lines) = &mut self.progress {
            lines.write(progress);
        }
        if let Some(log) = &mut self.log {
            log.batch(progress);
        }
        self.groups.iter().for_each(|group| group.batch(progress));
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
        if let Some(usage) = &mut self.usage {
            usage.decision(wall_ms(), facts, decision);
        }
        if let Some(log) = &mut self.log {
            log.decision(decision);
        }
    }

    fn status(&mut self, status: &Status) {
        self.readers.take_if(|readers| !readers.look());
        if let Some(log) = &mut self.log {
            log.tell_batches(false);
        }
        if let Some(usage) = &mut self.usage {
            usage.status(status);
        }
        if let Some(dashboard) = &self.dashboard {
            dashboard.publish(status);
        }
        if let Some(latest) = &self.latest {
            latest.lock().unwrap_or_else(PoisonError::into_inner).clone_from(status);
        }
    }

    fn note(&mut self, note: &str) {
        if let Some(log) = &mut self.log {
            log.note(note);
        }
    }
}

/// Notes as text; and also decisions and batches, for a run that is not watched by its snapshots.
pub(crate) struct TextLog {
    say: Box<dyn FnMut(&str) + Send>,
    every_step: bool,
    /// Batches that were not reported yet.
    waiting: PendingBatches,
    changes: Changes,
}

impl TextLog {
    pub(crate) fn new(every_step: bool, say: impl FnMut(&str) + Send + 'static) -> TextLog {
        TextLog { say: Box::new(say), every_step, waiting: PendingBatches::default(), changes: Changes::default() }
    }

    fn note(&mut self, note: &str) {
        self.tell_batches(true);
        (self.say)(note);
    }

    fn batch(&mut self, progress: &Progress) {
        if self.every_step && progress.num_input_rows > 0 {
            self.waiting.add(progress);
            self.tell_batches(false);
        }
    }

    fn decision(&mut self, decision: &Decision) {
        if self.every_step
            && let Some(reason) = self.changes.line(decision)
        {
            self.note(&format!("executors {} → {}: {reason}", decision.from, decision.to));
        }
    }

    /// Reports the pending batches when due, or before another message.
    fn tell_batches(&mut self, at_once: bool) {
        if let Some(line) = self.waiting.line(at_once) {
            (self.say)(&line);
        }
    }
}

impl Drop for TextLog {
    fn drop(&mut self) {
        self.tell_batches(true);
    }
}

/// Least interval between lines about batches; small batches share a line.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// Batches with records that were not reported yet, and the time of the last line.
#[derive(Default)]
pub(crate) struct PendingBatches {
    of: Option<(u64, u64)>,
    records: u64,
    ms: u64,
    rows: u64,
    faults: FaultCounts,
    age_p99_ms: u64,
    backlog: u64,
    executors: u32,
    told: Option<Instant>,
}

impl PendingBatches {
    fn add(&mut self, progress: &Progress) {
        let tidemill = &progress.tidemill;
        self.of = Some((self.of.map_or(progress.batch_id, |(first, _)| first), progress.batch_id));
        self.records += progress.num_input_rows;
        self.ms += progress.batch_duration;
        self.rows += progress.sink.num_output_rows;
        self.faults.merge(&tidemill.faults);
        self.age_p99_ms = self.age_p99_ms.max(tidemill.age_p99_ms);
        (self.backlog, self.executors) = (tidemill.backlog, tidemill.executors);
    }

    /// The line, if it is due.
    fn line(&mut self, at_once: bool) -> Option<String> {
        if !at_once && self.told.is_some_and(|told| told.elapsed() < LINE_EVERY) {
            return None;
        }
        let (first, last) = self.of?;
        let batches = if first == last { format!("batch {first}") } else { format!("batches {first}–{last}") };
        let mut line = format!(
            "{batches}: {} in {} ms · {} · backlog {} · executors {} · age p99 {} ms",
            counted(self.records, "record"),
            self.ms,
            counted(self.rows, "row"),
            self.backlog,
            self.executors,
            self.age_p99_ms
        );
        for fault in RecordFault::ALL.into_iter().filter(|fault| self.faults.get(*fault) > 0) {
            line.push_str(&format!(" · {} {}", self.faults.get(fault), fault.name()));
        }
        *self = PendingBatches { told: Some(Instant::now()), ..PendingBatches::default() };
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_batches_share_a_line() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let heard = lines.clone();
        let mut log = TextLog::new(true, move |line| heard.lock().unwrap().push(line.to_owned()));
        for batch_id in 4..8 {
            let progress = Progress { batch_id, num_input_rows: 10, batch_duration: 2, ..Progress::default() };
            log.batch(&progress);
        }
        assert_eq!(lines.lock().unwrap().len(), 1);
        drop(log);
        let rest = "rows · backlog 0 · executors 0 · age p99 0 ms";
        let expected =
            [format!("batch 4: 10 records in 2 ms · 0 {rest}"), format!("batches 5–7: 30 records in 6 ms · 0 {rest}")];
        assert_eq!(*lines.lock().unwrap(), expected);
    }
}
