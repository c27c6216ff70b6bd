//! The set of executors: starts, drains and replaces them, and gives them tasks. Follows a target size; does not choose
//! it.

use crate::batch::TaskAssignment;
use crate::deadlines::{LateReason, Pace, TaskClock};
use crate::executor::{Executor, Running};
use crate::supervisor::Supervisor;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::{Duration, Instant};
use tidemill_link::{Beat, Task, TaskCost, ToExecutor};
use tidemill_model::batch::task_len;
use tidemill_model::status::ExecutorStatus;
use tidemill_model::{Error, OffsetRange, Result};
use tidemill_os::clock;

/// Starts an executor.
pub type Spawn = Box<dyn FnMut() -> Result<Spawned> + Send>;

/// A started executor.
pub struct Spawned {
    /// Takes messages for the executor. The executor ends when this is dropped.
    pub input: Box<dyn Write + Send>,
    /// Gives the executor's messages. Ends when the executor ends.
    pub output: Box<dyn Read + Send>,
    /// The process, or a thread in tests.
    pub handle: Box<dyn Handle>,
}

/// An executor as the operating system sees it: a process, or a thread in tests.
pub trait Handle: Send {
    /// Process id.
    fn pid(&self) -> u32;
    /// Ends it at once. Does nothing if it has ended already.
    fn kill(&mut self);
    /// Waits for its end and says how it ended. Call it after its input was dropped or after `kill`.
    fn wait(&mut self) -> String;
}

/// An executor that is not ready after this time counts as dead.
const START_TIMEOUT: Duration = Duration::from_secs(15);

/// An executor without tasks that was asked to end counts as dead after this time.
const END_TIMEOUT: Duration = Duration::from_secs(3);

/// If two checks are further apart than this, the driver itself was stopped. Silence before the check then means
/// nothing.
const STALL: Duration = Duration::from_secs(1);

/// The run ends when this many executors in a row end before they are ready: the next would fail too.
const FAILED_STARTS_MAX: u32 = 3;

/// The living executors, by id.
pub(crate) struct Fleet {
    spawn: Spawn,
    hello: ToExecutor,
    cores: usize,
    pace: Pace,
    executors: BTreeMap<u64, Executor>,
    next_id: u64,
    next_task: u64,
    failed_starts: u32,
    /// Total lifetime of the executors that have ended.
    past: Duration,
    /// Times from spawn to ready, since [`Fleet::take_starts`].
    starts: Vec<Duration>,
    /// When the executors were last checked, and since when silence counts.
    checked: Instant,
    trusted: Instant,
    /// Costs of starts since [`Fleet::take_start_costs`].
    start_costs: Vec<Duration>,
}

/// Work since the last call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) tasks: u64,
    pub(crate) records: u64,
    pub(crate) busy_us: u64,
    pub(crate) fetch_us: u64,
}

/// Number of executors in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) ready: u32,
    pub(crate) starting: u32,
    pub(crate) draining: u32,
}

/// An executor that has ended.
pub(crate) struct ExitedExecutor {
    pub(crate) id: u64,
    /// The pieces that it was running.
    pub(crate) pieces: Vec<RunningPiece>,
    /// Whether it was asked to end.
    pub(crate) expected: bool,
}

/// A piece that an executor runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunningPiece {
    pub(crate) batch_id: u64,
    pub(crate) number: u64,
    /// It was late and already runs elsewhere.
    pub(crate) late: bool,
}

/// An executor that the driver replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReplacedExecutor {
    pub(crate) id: u64,
    /// Its pieces, which also run elsewhere.
    pub(crate) pieces: Vec<RunningPiece>,
    pub(crate) why: ReplaceReason,
}

/// Why the driver replaces an executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplaceReason {
    /// It was silent for this long. It is killed.
    Silent(Duration),
    /// A task of this many records is late.
    Late(u64, LateReason),
}

impl Fleet {
    pub(crate) fn new(spawn: Spawn, hello: ToExecutor, cores: u32, task_timeout: Duration) -> Fleet {
        let now = clock::now();
        Fleet {
            spawn,
            hello,
            cores: cores as usize,
            pace: Pace::new(task_timeout),
            executors: BTreeMap::new(),
            next_id: 1,
            next_task: 0,
            failed_starts: 0,
            past: Duration::ZERO,
            starts: Vec::new(),
            checked: now,
            trusted: now,
            start_costs: Vec::new(),
        }
    }

    /// Starts or drains executors until `target` are starting or ready. It drains those that are still starting first,
    /// then the newest.
    ///
    /// # Errors
    /// External: no executor can be started.
    pub(crate) fn follow(&mut self, target: u32, supervisor: &mut Supervisor) -> Result<()> {
        while self.staying() < target {
            self.start(supervisor)?;
        }
        while self.staying() > target {
            let staying = self.executors.iter_mut().filter(|(_, executor)| executor.draining.is_none());
            let (_, executor) =
                staying.max_by_key(|(id, executor)| (!executor.ready, **id)).expect("more than the target stay");
            executor.drain();
        }
        Ok(())
    }

    /// Gives tasks to free cores while `next` has any. `next` is asked with whether a task goes on where a free core of
    /// the executor has read up to, and whether the executor runs nothing else.
    pub(crate) fn dispatch(
        &mut self,
        mut next: impl FnMut(&dyn Fn(&[OffsetRange]) -> bool, bool) -> Option<TaskAssignment>,
        task: impl Fn(u64, TaskAssignment) -> Task,
    ) {
        loop {
            let free =
                |executor: &Executor| executor.ready && executor.draining.is_none() && executor.has_room(self.cores);
            // The least loaded executor first: a few tasks spread over all executors.
            let Some(executor) =
                self.executors.values_mut().filter(|e| free(e)).min_by_key(|executor| executor.running.len())
            else {
                return;
            };
            let Some(taken) = next(&|ranges| executor.stands_at(ranges), executor.running.is_empty()) else { return };
            let id = self.next_task;
            self.next_task += 1;
            executor.remember(id, &taken.ranges, self.cores);
            let records = task_len(&taken.ranges) as u64;
            let (piece, alone, clock) = (taken.number, taken.alone, TaskClock::start(records, clock::now()));
            let task = task(id, taken);
            executor.running.insert(id, Running { batch_id: task.batch_id, piece, records, alone, clock });
            executor.send(ToExecutor::Task(task));
        }
    }

    /// The executor is ready to take tasks.
    pub(crate) fn ready(&mut self, id: u64) {
        self.failed_starts = 0;
        if let Some(executor) = self.executors.get_mut(&id) {
            executor.ready = true;
            executor.unused = clock::since(executor.spawned);
            self.starts.push(executor.unused);
        }
    }

    /// A task has ended; returns its piece. `cost` is set if it succeeded.
    pub(crate) fn ended(&mut self, id: u64, task: u64, cost: Option<TaskCost>) -> Option<RunningPiece> {
        let executor = self.executors.get_mut(&id)?;
        let running = executor.running.remove(&task)?;
        if let Some(cost) = cost {
            if executor.records == 0 {
                executor.unused += Duration::from_micros(cost.fetch_wait_us);
            }
            executor.work.tasks += 1;
            executor.work.records += running.records;
            executor.work.busy_us += cost.busy_us();
            executor.work.fetch_us += cost.fetch_wait_us;
            executor.records += running.records;
            self.pace.learn(running.records, Duration::from_micros(cost.total_us.saturating_sub(cost.fetch_wait_us)));
        }
        executor.end_when_idle();
        Some(RunningPiece { batch_id: running.batch_id, number: running.piece, late: executor.given_up })
    }

    /// Takes heartbeats: how far the executor's tasks are.
    pub(crate) fn beat(&mut self, id: u64, beats: &[Beat]) {
        let Some(executor) = self.executors.get_mut(&id) else { return };
        for beat in beats {
            if let Some(running) = executor.running.get_mut(&beat.task) {
                running.clock.beat(beat, clock::now());
            }
        }
    }

    /// Returns executors that became silent or late. Kills those replaced a while ago, and those that do not start or
    /// end in time.
    pub(crate) fn check(&mut self, now: Instant) -> Vec<ReplacedExecutor> {
        if now.saturating_duration_since(std::mem::replace(&mut self.checked, now)) > STALL {
            self.trusted = now;
        }
        let mut given_up = Vec::new();
        for (id, executor) in &mut self.executors {
            let draining = executor.draining.map(|since| now.saturating_duration_since(since));
            if executor.running.is_empty() {
                let stuck_start = !executor.ready && clock::since(executor.spawned) > START_TIMEOUT;
                if stuck_start || draining > Some(END_TIMEOUT) {
                    executor.kill();
                }
                continue;
            }
            if executor.given_up {
                if draining >= Some(self.pace.grace()) {
                    executor.kill();
                }
                continue;
            }
            let silence = executor.silence(self.trusted, now);
            let silent = (silence >= self.pace.silence_max()).then_some(ReplaceReason::Silent(silence));
            let late = || executor.late(&self.pace, now).map(|(records, late)| ReplaceReason::Late(records, late));
            let Some(why) = silent.or_else(late) else { continue };
            let piece =
                |running: &Running| RunningPiece { batch_id: running.batch_id, number: running.piece, late: false };
            given_up.push(ReplacedExecutor { id: *id, pieces: executor.running.values().map(piece).collect(), why });
            executor.given_up = true;
            executor.drain();
            if matches!(why, ReplaceReason::Silent(_)) {
                executor.kill();
            }
        }
        given_up
    }

    /// Removes an executor whose output has ended.
    ///
    /// # Errors
    /// External: too many executors in a row ended before they were ready.
    pub(crate) fn gone(&mut self, id: u64) -> Result<Option<ExitedExecutor>> {
        let Some(mut executor) = self.executors.remove(&id) else { return Ok(None) };
        if let Some(told) = executor.told_to_end.filter(|_| executor.ready) {
            self.start_costs.push(executor.unused + clock::since(told));
        }
        // It may have closed its output and be alive: kill it instead of waiting.
        let how = executor.end();
        self.past += clock::since(executor.spawned);
        if !executor.ready && executor.draining.is_none() {
            self.failed_starts += 1;
            if self.failed_starts >= FAILED_STARTS_MAX {
                return Err(Error::external(format!(
                    "{} executors in a row ended before they were ready (the last with {how}); see their messages above",
                    self.failed_starts
                )));
            }
        }
        let piece = |running: &Running| RunningPiece {
            batch_id: running.batch_id,
            number: running.piece,
            late: executor.given_up,
        };
        let pieces = executor.running.values().map(piece).collect();
        Ok(Some(ExitedExecutor { id, pieces, expected: executor.draining.is_some() }))
    }

    pub(crate) fn sizes(&self) -> Sizes {
        let mut sizes = Sizes::default();
        for executor in self.executors.values() {
            match (executor.draining.is_some(), executor.ready) {
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

    /// Times from spawn to ready, for executors that became ready since the last call.
    pub(crate) fn take_starts(&mut self) -> Vec<Duration> {
        std::mem::take(&mut self.starts)
    }

    /// Costs of the starts of executors that ended since the last call: their time without work.
    pub(crate) fn take_start_costs(&mut self) -> Vec<Duration> {
        std::mem::take(&mut self.start_costs)
    }

    /// Time from spawn to exit, summed over all executors so far.
    pub(crate) fn lifetime(&self) -> Duration {
        self.past + self.executors.values().map(|executor| clock::since(executor.spawned)).sum::<Duration>()
    }

    /// Operating system process ids of the living executors.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.executors.values().map(Executor::pid).collect()
    }

    pub(crate) fn status(&self) -> Vec<ExecutorStatus> {
        let status = |(id, executor): (&u64, &Executor)| ExecutorStatus {
            id: *id,
            pid: executor.pid(),
            state: executor.state().into(),
            tasks_running: executor.running.len() as u32,
            records: executor.records,
        };
        self.executors.iter().map(status).collect()
    }

    fn staying(&self) -> u32 {
        self.executors.values().filter(|executor| executor.draining.is_none()).count() as u32
    }

    fn start(&mut self, supervisor: &mut Supervisor) -> Result<()> {
        let id = self.next_id;
        self.next_id += 1;
        self.executors.insert(id, Executor::start(id, &mut self.spawn, self.hello.clone(), supervisor)?);
        Ok(())
    }
}

impl Drop for Fleet {
    /// No executor outlives the driver, however the run ends.
    fn drop(&mut self) {
        for executor in self.executors.values_mut() {
            executor.end();
        }
    }
}
