//! The executors: spawned, greeted, given tasks, drained, noticed when they die. Follows a target; decides none.

use crate::batch::Taken;
use crate::event::Event;
use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};
use tidemill_link::{FromExecutor, Task, TaskCost, ToExecutor, receive, send};
use tidemill_model::status::ExecutorStatus;
use tidemill_model::{Error, OffsetRange, PartitionId, Result};

/// Starts an executor, or says why it cannot.
pub type Spawn = Box<dyn FnMut() -> Result<Spawned> + Send>;

/// A started executor.
pub struct Spawned {
    /// Where its messages go; it ends when this is dropped.
    pub input: Box<dyn Write + Send>,
    /// Where its answers come from; ends with it.
    pub output: Box<dyn Read + Send>,
    /// What it is to the system.
    pub handle: Box<dyn Handle>,
}

/// What an executor is to the system: a process, or in tests a thread.
pub trait Handle: Send {
    /// The system's number for it.
    fn pid(&self) -> u32;
    /// Ends it at once, whatever it is doing; nothing when it is gone already.
    fn kill(&mut self);
    /// Waits for its end and says how it ended. Its input is dropped, or it was killed.
    fn wait(&mut self) -> String;
}

/// An executor that is not ready after so long is taken for dead.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// So many executors in a row that end before they are ready end the run: the next would not fare better.
const FAILED_STARTS_MAX: u32 = 3;

/// The living executors, by number.
pub(crate) struct Fleet {
    spawn: Spawn,
    hello: ToExecutor,
    cores: usize,
    events: Sender<Event>,
    executors: BTreeMap<u64, Executor>,
    next_id: u64,
    next_task: u64,
    failed_starts: u32,
    /// Lifetimes of the executors that are gone.
    past: Duration,
    /// Spawn → ready since [`Fleet::take_starts`].
    starts: Vec<Duration>,
}

struct Executor {
    handle: Box<dyn Handle>,
    /// `None` once it is told to end.
    input: Option<Box<dyn Write + Send>>,
    spawned: Instant,
    ready: bool,
    draining: bool,
    running: BTreeMap<u64, Running>,
    /// Where its cores have read up to, or will: task, partition, offset; newest last, at most one per core and source.
    positions: Vec<(u64, PartitionId, i64)>,
    work: Work,
    records: u64,
}

struct Running {
    /// The piece of the batch.
    piece: u64,
    records: u64,
    /// Nothing runs beside it.
    alone: bool,
}

/// Work since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) tasks: u64,
    pub(crate) records: u64,
    pub(crate) busy_us: u64,
}

/// How many executors are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) ready: u32,
    pub(crate) starting: u32,
    pub(crate) draining: u32,
}

/// An executor that is gone.
pub(crate) struct Departed {
    pub(crate) id: u64,
    /// The pieces it was running.
    pub(crate) pieces: Vec<u64>,
    /// Whether it was told to go.
    pub(crate) expected: bool,
}

impl Fleet {
    pub(crate) fn new(spawn: Spawn, hello: ToExecutor, cores: u32, events: Sender<Event>) -> Fleet {
        Fleet {
            spawn,
            hello,
            cores: cores as usize,
            events,
            executors: BTreeMap::new(),
            next_id: 1,
            next_task: 0,
            failed_starts: 0,
            past: Duration::ZERO,
            starts: Vec::new(),
        }
    }

    /// Starts or drains executors until `target` are starting or ready. Those that still start go first, then the newest.
    ///
    /// # Errors
    /// External: no executor can be started.
    pub(crate) fn follow(&mut self, target: u32) -> Result<()> {
        while self.staying() < target {
            self.start()?;
        }
        while self.staying() > target {
            let staying = self.executors.iter_mut().filter(|(_, executor)| !executor.draining);
            let (_, executor) =
                staying.max_by_key(|(id, executor)| (!executor.ready, **id)).expect("more than the target stay");
            executor.draining = true;
            executor.end_when_idle();
        }
        Ok(())
    }

    /// Gives tasks to free cores while `next` has any. `next` is asked with whether a range goes on where a free core of
    /// the executor has read up to, and whether the executor runs nothing else.
    pub(crate) fn dispatch(
        &mut self,
        mut next: impl FnMut(&dyn Fn(&OffsetRange) -> bool, bool) -> Option<Taken>,
        task: impl Fn(u64, Taken) -> Task,
    ) {
        loop {
            let free = |executor: &Executor| executor.ready && !executor.draining && executor.has_room(self.cores);
            // The least loaded first, so that a few tasks spread over all executors.
            let Some(executor) =
                self.executors.values_mut().filter(|e| free(e)).min_by_key(|executor| executor.running.len())
            else {
                return;
            };
            let Some(taken) = next(&|range| executor.stands_at(range), executor.running.is_empty()) else { return };
            let id = self.next_task;
            self.next_task += 1;
            executor.remember(id, &taken.range, self.cores);
            executor
                .running
                .insert(id, Running { piece: taken.number, records: taken.range.len() as u64, alone: taken.alone });
            if let Some(input) = &mut executor.input {
                // A broken pipe shows as the end of its output, which brings the task back.
                let _ = send(input, &ToExecutor::Task(task(id, taken)));
            }
        }
    }

    /// The executor takes tasks from now on.
    pub(crate) fn ready(&mut self, id: u64) {
        self.failed_starts = 0;
        if let Some(executor) = self.executors.get_mut(&id) {
            executor.ready = true;
            self.starts.push(executor.spawned.elapsed());
        }
    }

    /// A task ended; returns its piece. `cost` is given when it succeeded.
    pub(crate) fn ended(&mut self, id: u64, task: u64, cost: Option<TaskCost>) -> Option<u64> {
        let executor = self.executors.get_mut(&id)?;
        let running = executor.running.remove(&task)?;
        if let Some(cost) = cost {
            executor.work.tasks += 1;
            executor.work.records += running.records;
            executor.work.busy_us += cost.busy_us();
            executor.records += running.records;
        }
        if executor.draining {
            executor.end_when_idle();
        }
        Some(running.piece)
    }

    /// Takes an executor whose output has ended off the list.
    ///
    /// # Errors
    /// External: too many in a row ended before they were ready.
    pub(crate) fn gone(&mut self, id: u64) -> Result<Option<Departed>> {
        let Some(mut executor) = self.executors.remove(&id) else { return Ok(None) };
        // It may have closed its output and live on: nothing to wait for.
        let how = executor.end();
        self.past += executor.spawned.elapsed();
        if !executor.ready && !executor.draining {
            self.failed_starts += 1;
            if self.failed_starts >= FAILED_STARTS_MAX {
                return Err(Error::external(format!(
                    "{} executors in a row ended before they were ready (the last with {how}); what they wrote to stderr stands above",
                    self.failed_starts
                )));
            }
        }
        let pieces = executor.running.into_values().map(|running| running.piece).collect();
        Ok(Some(Departed { id, pieces, expected: executor.draining }))
    }

    /// Ends executors that take too long to start; their output's end reports them.
    pub(crate) fn end_stuck_starts(&mut self) {
        for executor in self.executors.values_mut().filter(|e| !e.ready && e.spawned.elapsed() > START_TIMEOUT) {
            executor.handle.kill();
        }
    }

    pub(crate) fn sizes(&self) -> Sizes {
        let mut sizes = Sizes::default();
        for executor in self.executors.values() {
            match (executor.draining, executor.ready) {
                (true, _) => sizes.draining += 1,
                (false, true) => sizes.ready += 1,
                (false, false) => sizes.starting += 1,
            }
        }
        sizes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.executors.is_empty()
    }

    /// Work of each living executor since the last call.
    pub(crate) fn take_work(&mut self) -> Vec<(u64, Work)> {
        self.executors.iter_mut().map(|(id, executor)| (*id, std::mem::take(&mut executor.work))).collect()
    }

    /// Spawn → ready of the executors that became ready since the last call.
    pub(crate) fn take_starts(&mut self) -> Vec<Duration> {
        std::mem::take(&mut self.starts)
    }

    /// Spawn → exit of all executors so far, summed.
    pub(crate) fn lifetime(&self) -> Duration {
        self.past + self.executors.values().map(|executor| executor.spawned.elapsed()).sum::<Duration>()
    }

    pub(crate) fn status(&self) -> Vec<ExecutorStatus> {
        let status = |(id, executor): (&u64, &Executor)| ExecutorStatus {
            id: *id,
            pid: executor.handle.pid(),
            state: match (executor.draining, executor.ready) {
                (true, _) => "draining".into(),
                (false, true) => "ready".into(),
                (false, false) => "starting".into(),
            },
            tasks_running: executor.running.len() as u32,
            records: executor.records,
        };
        self.executors.iter().map(status).collect()
    }

    fn staying(&self) -> u32 {
        self.executors.values().filter(|executor| !executor.draining).count() as u32
    }

    fn start(&mut self) -> Result<()> {
        let id = self.next_id;
        self.next_id += 1;
        let spawned = Instant::now();
        let Spawned { mut input, output, handle } = (self.spawn)()?;
        // One that is already gone shows as the end of its output.
        let _ = send(&mut input, &self.hello);
        listen(id, output, self.events.clone());
        let executor = Executor {
            handle,
            input: Some(input),
            spawned,
            ready: false,
            draining: false,
            running: BTreeMap::new(),
            positions: Vec::new(),
            work: Work::default(),
            records: 0,
        };
        self.executors.insert(id, executor);
        Ok(())
    }
}

impl Executor {
    fn has_room(&self, cores: usize) -> bool {
        self.running.len() < cores && !self.running.values().any(|running| running.alone)
    }

    fn end_when_idle(&mut self) {
        if self.running.is_empty() {
            self.input = None;
        }
    }

    /// Ends it now, and says how it ended.
    fn end(&mut self) -> String {
        self.input = None;
        self.handle.kill();
        self.handle.wait()
    }

    /// Whether a core that runs nothing has read up to where the range begins.
    fn stands_at(&self, range: &OffsetRange) -> bool {
        let mut free = self.positions.iter().filter(|(task, ..)| !self.running.contains_key(task));
        free.any(|(_, partition, offset)| *partition == range.partition && *offset == range.start)
    }

    /// A free core goes on with a range: the one that stands at its begin, or the one that has stood still the longest.
    fn remember(&mut self, task: u64, range: &OffsetRange, cores: usize) {
        let free = |position: &(u64, PartitionId, i64)| !self.running.contains_key(&position.0);
        let begin = |position: &(u64, PartitionId, i64)| position.1 == range.partition && position.2 == range.start;
        let same = self.positions.iter().position(|position| free(position) && begin(position));
        let of_source = |position: &&(u64, PartitionId, i64)| position.1.source == range.partition.source;
        let full = self.positions.iter().filter(of_source).count() >= cores;
        let oldest = || self.positions.iter().position(|p| of_source(&p) && free(p)).filter(|_| full);
        if let Some(left) = same.or_else(oldest) {
            self.positions.remove(left);
        }
        self.positions.push((task, range.partition.clone(), range.end));
    }
}

impl Drop for Fleet {
    /// No executor outlives the driver, however the run ended.
    fn drop(&mut self) {
        for executor in self.executors.values_mut() {
            executor.end();
        }
    }
}

fn listen(id: u64, output: Box<dyn Read + Send>, events: Sender<Event>) {
    std::thread::spawn(move || {
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
    });
}
