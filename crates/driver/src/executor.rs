//! One executor as the driver sees it: its process, its two pipes, its tasks, and the positions of its cores.
//!
//! ```text
//!  loop ──channel──► thread `executor N in`  ──pipe──► executor     a stopped executor blocks this thread, not the
//!  loop
//!  loop ◄──events─── thread `executor N out` ◄──pipe── executor     each byte is a sign of life
//! ```

use crate::deadlines::{LateReason, Pace, TaskClock};
use crate::event::Event;
use crate::fleet::{Handle, Spawn, Spawned, Work};
use crate::supervisor::{Role, Supervisor};
use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use tidemill_link::{FromExecutor, ToExecutor, receive, send};
use tidemill_model::{OffsetRange, PartitionId, Result};
use tidemill_os::clock;

pub(crate) struct Executor {
    handle: Box<dyn Handle>,
    /// `None` once the executor was asked to end.
    input: Option<Sender<ToExecutor>>,
    pub(crate) spawned: Instant,
    /// Time without work: until it was ready, and until its first task had records.
    pub(crate) unused: Duration,
    /// When it was asked to end.
    pub(crate) told_to_end: Option<Instant>,
    pub(crate) ready: bool,
    /// Since when it gets no more tasks.
    pub(crate) draining: Option<Instant>,
    /// It is being replaced: its tasks also run elsewhere.
    pub(crate) given_up: bool,
    pub(crate) running: BTreeMap<u64, Running>,
    heard: LastOutput,
    /// Where its cores have read up to, or will: task, partition, offset. The newest is last; at most one per core and
    /// source.
    positions: Vec<(u64, PartitionId, i64)>,
    pub(crate) work: Work,
    pub(crate) records: u64,
}

/// A task that the executor runs.
pub(crate) struct Running {
    pub(crate) batch_id: u64,
    /// Number of the piece in its batch.
    pub(crate) piece: u64,
    pub(crate) records: u64,
    /// Nothing else runs on the executor.
    pub(crate) alone: bool,
    pub(crate) clock: TaskClock,
}

/// When the executor last sent something, in ms since it was spawned.
#[derive(Clone, Debug, Default)]
struct LastOutput(Arc<AtomicU64>);

impl Executor {
    /// Starts a process, sends it the hello message, and starts the threads of its pipes.
    ///
    /// # Errors
    /// External: the system has no process or no thread left.
    pub(crate) fn start(
        id: u64,
        spawn: &mut Spawn,
        hello: ToExecutor,
        supervisor: &mut Supervisor,
    ) -> Result<Executor> {
        let (start, heard) = (clock::now(), LastOutput::default());
        let Spawned { input, output, handle } = spawn()?;
        let (to_executor, messages) = channel();
        // Created first: when an error below drops it, the process ends.
        let mut executor = Executor {
            handle,
            input: Some(to_executor),
            spawned: start,
            unused: Duration::ZERO,
            told_to_end: None,
            ready: false,
            draining: None,
            given_up: false,
            running: BTreeMap::new(),
            heard: heard.clone(),
            positions: Vec::new(),
            work: Work::default(),
            records: 0,
        };
        executor.send(hello);
        let events = supervisor.events();
        let threads = supervisor
            .spawn(format!("executor {id} in"), Role::Passing, move || {
                forward(input, &messages);
                Ok(())
            })
            .and_then(|()| {
                supervisor.spawn(format!("executor {id} out"), Role::Passing, move || {
                    listen(id, LivenessReader { stream: output, start, heard }, &events);
                    Ok(())
                })
            });
        match threads {
            Ok(()) => Ok(executor),
            Err(error) => {
                executor.end();
                Err(error)
            }
        }
    }

    /// Sends a message. A broken pipe shows up as the end of the output.
    pub(crate) fn send(&mut self, message: ToExecutor) {
        if let Some(input) = &self.input {
            let _ = input.send(message);
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.handle.pid()
    }

    pub(crate) fn state(&self) -> &'static str {
        match (self.draining.is_some(), self.ready) {
            (true, _) => "draining",
            (false, true) => "ready",
            (false, false) => "starting",
        }
    }

    pub(crate) fn has_room(&self, cores: usize) -> bool {
        self.running.len() < cores && !self.running.values().any(|running| running.alone)
    }

    /// Stops giving it tasks. It ends when its current tasks are done.
    pub(crate) fn drain(&mut self) {
        self.draining.get_or_insert_with(clock::now);
        self.end_when_idle();
    }

    pub(crate) fn end_when_idle(&mut self) {
        if self.draining.is_some() && self.running.is_empty() {
            self.told_to_end.get_or_insert_with(clock::now);
            self.input = None;
        }
    }

    /// Kills the process. The end of its output reports it.
    pub(crate) fn kill(&mut self) {
        self.handle.kill();
    }

    /// Kills the process, waits for it, and says how it ended.
    pub(crate) fn end(&mut self) -> String {
        self.input = None;
        self.handle.kill();
        self.handle.wait()
    }

    /// How long the executor has been silent although it has tasks; counted from `trusted` at the earliest.
    pub(crate) fn silence(&self, trusted: Instant, now: Instant) -> Duration {
        let heard = self.spawned + Duration::from_millis(self.heard.0.load(Ordering::Relaxed));
        // Without tasks it has nothing to send.
        let asked = self.running.values().map(|running| running.clock.started()).min().unwrap_or(now);
        now.saturating_duration_since(heard.max(asked).max(trusted))
    }

    /// A late task, if there is one: its number of records, and why it is late.
    pub(crate) fn late(&self, pace: &Pace, now: Instant) -> Option<(u64, LateReason)> {
        self.running.values().find_map(|running| Some((running.records, pace.late(&running.clock, now)?)))
    }

    /// Whether a core that runs nothing has read up to where a task begins. Of several ranges nothing is fetched ahead.
    pub(crate) fn stands_at(&self, ranges: &[OffsetRange]) -> bool {
        let [range] = ranges else { return false };
        let mut free = self.positions.iter().filter(|(task, ..)| !self.running.contains_key(task));
        free.any(|(_, partition, offset)| *partition == range.partition && *offset == range.start)
    }

    /// A free core goes on with a task: the one that stands at its begin, or the one that has stood still the longest.
    pub(crate) fn remember(&mut self, task: u64, ranges: &[OffsetRange], cores: usize) {
        let range = &ranges[0];
        let free = |position: &(u64, PartitionId, i64)| !self.running.contains_key(&position.0);
        let begin = |position: &(u64, PartitionId, i64)| position.1 == range.partition && position.2 == range.start;
        let same = self.positions.iter().position(|position| free(position) && begin(position));
        let of_source = |position: &&(u64, PartitionId, i64)| position.1.source == range.partition.source;
        let full = self.positions.iter().filter(of_source).count() >= cores;
        let oldest = || self.positions.iter().position(|p| of_source(&p) && free(p)).filter(|_| full);
        if let Some(left) = same.or_else(oldest) {
            self.positions.remove(left);
        }
        if ranges.len() == 1 {
            self.positions.push((task, range.partition.clone(), range.end));
        }
    }
}

/// Writes messages until there are no more or the pipe is broken; then closes the pipe.
fn forward(mut input: Box<dyn Write + Send>, messages: &Receiver<ToExecutor>) {
    while let Some(message) = clock::receive(messages) {
        if send(&mut input, &message).is_err() {
            return;
        }
    }
}

/// Turns the executor's output into events, until it ends or is not a message.
fn listen(id: u64, output: LivenessReader, events: &Sender<Event>) {
    let mut output = BufReader::with_capacity(64 << 10, output);
    loop {
        let event = match receive::<FromExecutor>(&mut output).transpose() {
            Some(message) => Event::Executor(id, message),
            None => Event::Gone(id),
        };
        let last = matches!(event, Event::Gone(_) | Event::Executor(_, Err(_)));
        if events.send(event).is_err() || last {
            return;
        }
    }
}

/// A reader that records when it last got something.
struct LivenessReader {
    stream: Box<dyn Read + Send>,
    start: Instant,
    heard: LastOutput,
}

impl Read for LivenessReader {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let count = self.stream.read(bytes)?;
        self.heard.0.store(clock::since(self.start).as_millis() as u64, Ordering::Relaxed);
        Ok(count)
    }
}
