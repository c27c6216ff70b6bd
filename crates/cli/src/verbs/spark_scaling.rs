//! The autoscaler of a run on Spark: the local engine's policy, with Workers of the cluster as executors.
//!
//! ```text
//!   sources' ends, Spark's batches, REST API ─► Facts ─► tidemill_scale::decide ─► Workers
//! ```
//! Runs beside the query on the same thread. So a query that waits for an executor gets one.

use super::spark_board::Board;
use super::spark_ends::Waiting;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::time::{Duration, Instant};
use tidemill_driver::{Observer, Scaling};
use tidemill_model::pipeline::{Autoscale, Trigger};
use tidemill_model::status::{Command, Status};
use tidemill_scale::{Facts, Policy, Prior, Settings, Work};
use tidemill_spark::workers::{News, Sizes, Workers};
use tidemill_spark::{Executor, Listing, QueryState, RestApi};

/// Interval of the decisions.
const TICK: Duration = Duration::from_millis(250);
/// Interval at which Spark is asked for its executors.
const LIST_EVERY: Duration = Duration::from_millis(750);

/// How long the REST API may be silent before the user is told.
const PATIENCE: Duration = Duration::from_secs(20);

/// The autoscaler of a run.
pub(super) struct Scaler {
    scaling: Scaling,
    /// Without `[autoscale]` executors are shown, and nothing is decided.
    decides: bool,
    workers: Box<dyn Workers>,
    api: RestApi,
    listing: Listing,
    listed: Option<Instant>,
    /// When it last listed them, or the run began.
    answered: Instant,
    ledger: Ledger,
    /// What last was known to wait.
    backlog: u64,
    began: Instant,
    /// The trouble that was last told.
    told: String,
}

/// The policy's constants for Spark, where a start costs many seconds and a batch at least a few tenths of one.
fn policy() -> Policy {
    Policy {
        // Until a start was seen here.
        assumed_start_ms: 20_000,
        // Until work was seen here.
        assumed_per_core: 50_000.0,
        // A shorter task is mostly Spark's fixed cost, which grows not with the load.
        task_min_ms: 500.0,
        // Several batches, so that one long batch does not look like a standstill.
        assess_s: 60.0,
        ..Policy::default()
    }
}

impl Scaler {
    pub(super) fn new(autoscale: &Autoscale, workers: Box<dyn Workers>, api: RestApi) -> Scaler {
        let settings = Settings { policy: policy(), ..Settings::from(autoscale) };
        Scaler {
            scaling: Scaling::new(settings, autoscale.mode, Trigger::AsSoonAsPossible, Prior::default()),
            decides: autoscale.is_written,
            workers,
            api,
            listing: Listing::default(),
            listed: None,
            answered: Instant::now(),
            ledger: Ledger::default(),
            backlog: 0,
            began: Instant::now(),
            told: String::new(),
        }
    }

    /// Decides and acts for as long as it is polled.
    pub(super) async fn run(
        &mut self,
        state: &RefCell<QueryState>,
        board: &RefCell<Board>,
        commands: &RefCell<VecDeque<Command>>,
    ) -> Infallible {
        while self.listing.app.is_empty() && self.began.elapsed() < PATIENCE {
            self.list(board).await;
            tidemill_spark::pause(TICK).await;
        }
        self.scaling.found(self.workers.found(&self.listing));
        if self.decides {
            board.borrow_mut().observer.deciding(self.scaling.settings(), self.scaling.state());
        }
        loop {
            self.list(board).await;
            let asked = std::mem::take(&mut *commands.borrow_mut());
            asked.into_iter().for_each(|command| self.obey(command, board));
            let state = state.borrow().clone();
            self.step(&state, &mut board.borrow_mut());
            tidemill_spark::pause(TICK).await;
        }
    }

    /// Ends the Workers; the executor-seconds of the run.
    pub(super) fn end(self) -> f64 {
        let Scaler { workers, .. } = self;
        let used = workers.executor_seconds(Instant::now());
        drop(workers);
        used
    }

    /// Asks Spark for its executors, when it is time.
    async fn list(&mut self, board: &RefCell<Board>) {
        if self.listed.is_some_and(|at| at.elapsed() < LIST_EVERY) {
            return;
        }
        self.listed = Some(Instant::now());
        match self.api.executors().await {
            Ok(listing) => {
                self.ledger.see(&listing.executors, board.borrow().records());
                self.listing = listing;
                self.answered = Instant::now();
                self.told.clear();
            }
            // The page of a driver that has just started, or is busy, answers late.
            Err(_) if self.answered.elapsed() < PATIENCE => {}
            Err(error) => self.tell(&mut board.borrow_mut(), &error.to_string()),
        }
    }

    /// Tells of trouble once.
    fn tell(&mut self, board: &mut Board, trouble: &str) {
        if self.told != trouble {
            board.observer.note(trouble);
            self.told = trouble.to_owned();
        }
    }

    fn obey(&mut self, command: Command, board: &RefCell<Board>) {
        let mut board = board.borrow_mut();
        match command {
            Command::Stop => return,
            Command::Pin(size) => self.scaling.pin(Some(size)),
            Command::Unpin => self.scaling.pin(None),
            Command::Scale(change) => match self.scaling.change(&change) {
                Ok(()) => board.observer.note(&self.scaling.described()),
                Err(why) => {
                    board.observer.note(&format!("the autoscaler goes on as it was: {why}"));
                    return;
                }
            },
        }
        board.observer.deciding(self.scaling.settings(), self.scaling.state());
    }

    fn step(&mut self, state: &QueryState, board: &mut Board) {
        let now = Instant::now();
        let news = self.workers.hold(self.scaling.keep(), &self.listing, now).unwrap_or_else(|error| {
            self.tell(board, &error.to_string());
            News::default()
        });
        news.notes.iter().for_each(|note| board.observer.note(note));
        let waiting = board.ends.as_ref().and_then(|ends| match self.is_first_job(state) {
            true => ends.end_total().map(|end_total| Waiting { backlog: 0, end_total, age_ms: 0 }),
            false => ends.waiting(state.reached.as_deref()),
        });
        if let Some(lost) = board.ends.as_ref().and_then(|ends| ends.lost()) {
            self.tell(board, &lost);
        }
        self.backlog = waiting.map_or(self.backlog, |waiting| waiting.backlog);
        if self.decides {
            let facts = self.facts(state, waiting, &news, now);
            let decision = self.scaling.rescale(&facts, None);
            board.decided(&facts, decision);
        }
        board.now(self.status(state, now));
        board.publish();
    }

    /// What waits is unknown until a job on Spark has read where the batches end, and that job waits for an executor.
    fn is_first_job(&self, state: &QueryState) -> bool {
        state.reading && state.reached.is_none() && self.workers.sizes() == Sizes::default()
    }

    fn facts(&mut self, state: &QueryState, waiting: Option<Waiting>, news: &News, now: Instant) -> Facts {
        let sizes = self.workers.sizes();
        let millis = |times: &[Duration]| times.iter().map(|time| time.as_millis() as u64).collect();
        let pending = state.in_batch || state.reading;
        Facts {
            now_ms: now.saturating_duration_since(self.began).as_millis() as u64,
            age_ms: waiting.map_or(0, |waiting| waiting.age_ms),
            backlog: waiting.map(|waiting| waiting.backlog),
            end_total: waiting.map(|waiting| waiting.end_total),
            job: pending,
            all_committed: !pending,
            ready: sizes.ready,
            starting: sizes.starting,
            draining: sizes.draining,
            work: self.ledger.take(&self.listing.executors),
            start_ms: millis(&news.starts),
            start_cost_ms: millis(&news.costs),
            crashes: news.crashes,
            ..Facts::default()
        }
    }

    fn status(&self, state: &QueryState, now: Instant) -> Status {
        let mut status = if self.decides { self.scaling.status() } else { Status::default() };
        if let Some(decision) = self.scaling.decision().filter(|_| !self.workers.follows()) {
            status.executors_target = decision.to;
        }
        status.executors = self.workers.status(&self.ledger.done);
        status.executor_seconds = self.workers.executor_seconds(now);
        status.backlog = self.backlog;
        status.limits = "Spark's own".into();
        let alone = self.workers.sizes().ready == 0;
        status.activity = match (state.in_batch, state.reading, alone) {
            (true, _, true) => "a batch waits for an executor".into(),
            (true, _, false) => "a batch on Spark".into(),
            (false, true, _) => "rows are read from Spark".into(),
            (false, false, _) => "idle".into(),
        };
        status
    }
}

/// Which executor has done how much. Spark tells the time of each one's tasks, and the records of the whole batch: they are
/// shared out by time.
#[derive(Default)]
struct Ledger {
    /// What Spark last said of each executor that lives.
    seen: BTreeMap<u64, Executor>,
    records_seen: u64,
    /// Work that no call of the policy has had yet.
    pending: BTreeMap<u64, Work>,
    /// Records so far.
    done: BTreeMap<u64, u64>,
}

impl Ledger {
    fn see(&mut self, executors: &[Executor], records: u64) {
        let mut gained: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        for executor in executors {
            let before = self.seen.get(&executor.number());
            let (busy_ms, tasks) = before.map_or((0, 0), |before| (before.busy_ms, before.ended_tasks));
            gained.insert(
                executor.number(),
                (executor.busy_ms.saturating_sub(busy_ms), executor.ended_tasks.saturating_sub(tasks)),
            );
        }
        self.seen = executors.iter().map(|executor| (executor.number(), executor.clone())).collect();
        for (executor, (busy_ms, tasks)) in &gained {
            let work = self.pending.entry(*executor).or_insert(Work { executor: *executor, ..Work::default() });
            work.busy_us += busy_ms * 1_000;
            work.tasks += tasks;
        }
        // The records of a batch are known when it is committed: a little later than the time of its tasks.
        let all_us: u64 = self.pending.values().map(|work| work.busy_us).sum();
        let records = records.saturating_sub(self.records_seen);
        if records == 0 || all_us == 0 {
            return;
        }
        self.records_seen += records;
        for work in self.pending.values_mut() {
            work.records = (u128::from(records) * u128::from(work.busy_us) / u128::from(all_us)) as u64;
            *self.done.entry(work.executor).or_default() += work.records;
        }
    }

    /// The work since the last call: of batches that are committed, so that records and time belong together.
    fn take(&mut self, executors: &[Executor]) -> Vec<Work> {
        let committed = self.pending.values().any(|work| work.records > 0);
        let done = if committed { std::mem::take(&mut self.pending) } else { BTreeMap::new() };
        let work = |executor: &Executor| {
            let number = executor.number();
            done.get(&number).copied().unwrap_or(Work { executor: number, ..Work::default() })
        };
        executors.iter().map(work).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn executor(id: u64, busy_ms: u64, ended_tasks: u64) -> Executor {
        Executor { id: id.to_string(), active_tasks: 0, ended_tasks, busy_ms }
    }

    #[test]
    fn the_first_job_gets_an_executor() {
        let workers = Box::new(tidemill_spark::workers::ForeignWorkers::default());
        let autoscale = Autoscale { is_written: true, ..Autoscale::default() };
        let mut scaler = Scaler::new(&autoscale, workers, RestApi::at("127.0.0.1", 1));
        let reading = QueryState { reading: true, ..QueryState::default() };
        assert!(scaler.is_first_job(&reading) && !scaler.is_first_job(&QueryState::default()));
        let nothing = Waiting { backlog: 0, end_total: 7, age_ms: 0 };
        let facts = scaler.facts(&reading, Some(nothing), &News::default(), Instant::now());
        assert_eq!(scaler.scaling.rescale(&facts, None).to, 1);
    }

    #[test]
    fn a_batch_that_waits_is_no_record() {
        let in_batch = QueryState { in_batch: true, ..QueryState::default() };
        for (backlog, expected) in [
            (0, "a job without records waits without an executor"),
            (1, "1 record waits without an executor"),
            (11, "11 records wait without an executor"),
        ] {
            let workers = Box::new(tidemill_spark::workers::ForeignWorkers::default());
            let mut scaler = Scaler::new(&Autoscale::default(), workers, RestApi::at("127.0.0.1", 1));
            let waiting = Waiting { backlog, end_total: 11, age_ms: 0 };
            let facts = scaler.facts(&in_batch, Some(waiting), &News::default(), Instant::now());
            let decision = scaler.scaling.rescale(&facts, None);
            let said = decision.reason.split(": ").next();
            assert_eq!((decision.to, said), (1, Some(expected)));
        }
    }

    #[test]
    fn records_are_shared_out_by_time() {
        let mut ledger = Ledger::default();
        let list = [executor(0, 300, 3), executor(1, 100, 1)];
        ledger.see(&list, 0);
        let idle = |executor| Work { executor, ..Work::default() };
        assert_eq!(ledger.take(&list), [idle(0), idle(1)], "no batch is committed yet");
        ledger.see(&list, 1_000);
        let work = |executor, tasks, records, busy_us| Work { executor, tasks, records, busy_us, fetch_us: 0 };
        assert_eq!(ledger.take(&list), [work(0, 3, 750, 300_000), work(1, 1, 250, 100_000)]);
        assert_eq!(ledger.take(&list), [idle(0), idle(1)]);
        let list = [executor(0, 400, 4)];
        ledger.see(&list, 1_500);
        assert_eq!(ledger.take(&list), [work(0, 1, 500, 100_000)]);
        assert_eq!(ledger.done, BTreeMap::from([(0, 1_250), (1, 250)]));
    }
}
