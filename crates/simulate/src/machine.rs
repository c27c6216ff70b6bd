//! The fluid machine: arrivals flow into a queue, executors drain it, a scaler chooses their number.
//!
//! Records are a fluid in first-in-first-out order; a step is one tick of the scaler. As in the real engine, starts
//! take time, executors are paid from spawn to exit, capacity per executor shrinks with their number, and results come
//! out a batch later. Not modelled: partitions (ranges are split, so they limit nothing) and the length of a drain.

use crate::outcome::{Ages, Outcome, Sample};
use crate::scaler::{Observation, Scaler};
use crate::trace::Trace;
use std::collections::VecDeque;
use tidemill_scale::{Bottleneck, Facts, Work};

/// The constants of the machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Mechanism {
    /// Interval between two calls of the scaler, ms.
    pub tick_ms: u64,
    /// Spawn → ready, ms.
    pub start_ms: u64,
    /// Cost of a start beyond its time, executor-ms. The policy learns it; it is not added to what is paid.
    pub price_ms: u64,
    /// Time of a record in its batch, ms, beyond its wait in the queue.
    pub batch_ms: u64,
    /// Age of the source's facts, ms.
    pub stale_ms: u64,
    /// Records per second of one executor when alone.
    pub per_executor: f64,
    /// Cores of an executor.
    pub cores: u32,
    /// n executors do n·(1 − crowding·(n − 1)) times what one does.
    pub crowding: f64,
    /// Busy time is reported divided by this: 1.3 makes μ look 30 % too high.
    pub mu_error: f64,
    /// Upper limit of all executors together in records/s, and the bottleneck that causes it.
    pub limit: Option<(Bottleneck, f64)>,
}

impl Default for Mechanism {
    fn default() -> Mechanism {
        Mechanism {
            tick_ms: 250,
            start_ms: 25,
            price_ms: 0,
            batch_ms: 300,
            stale_ms: 0,
            per_executor: 10_000.0,
            cores: 2,
            crowding: 0.02,
            mu_error: 1.0,
            limit: None,
        }
    }
}

impl Mechanism {
    /// Starts that cost 15 executor-seconds and take 300 ms.
    pub fn dear() -> Mechanism {
        Mechanism { start_ms: 300, price_ms: 14_700, ..Mechanism::default() }
    }

    /// The price of a start, executor-seconds.
    pub fn price_s(&self) -> f64 {
        (self.start_ms + self.price_ms) as f64 / 1000.0
    }

    /// Records per second of `size` executors.
    pub fn able(&self, size: u32) -> f64 {
        let size = f64::from(size);
        self.per_executor * size * (1.0 - self.crowding * (size - 1.0).max(0.0))
    }
}

/// Runs a trace to its end.
pub fn run(trace: &Trace, mechanism: &Mechanism, slo_ms: u64, scaler: &mut dyn Scaler) -> Outcome {
    let mut machine = Machine::new(mechanism, slo_ms);
    let ticks = trace.seconds() as u64 * 1000 / mechanism.tick_ms;
    for tick in 0..ticks {
        let second = (tick * mechanism.tick_ms / 1000) as usize;
        let arrived = trace.arrivals[second] * mechanism.tick_ms as f64 / 1000.0;
        machine.tick(arrived, trace.is_out(second), scaler);
    }
    machine.finish()
}

struct Machine<'a> {
    mechanism: &'a Mechanism,
    now_ms: u64,
    arrived: f64,
    done: f64,
    /// Arrivals that are not done: (time, records).
    queue: VecDeque<(u64, f64)>,
    fleet: Vec<Executor>,
    spawned: u64,
    target: u32,
    /// Observations: (time, backlog, arrived).
    seen: VecDeque<(u64, u64, u64)>,
    facts: Facts,
    busy: f64,
    ages: Ages,
    outcome: Outcome,
}

struct Executor {
    id: u64,
    ready_ms: u64,
    announced: bool,
}

impl Machine<'_> {
    fn new(mechanism: &Mechanism, slo_ms: u64) -> Machine<'_> {
        Machine {
            mechanism,
            now_ms: 0,
            arrived: 0.0,
            done: 0.0,
            queue: VecDeque::new(),
            fleet: Vec::new(),
            spawned: 0,
            target: 0,
            seen: VecDeque::new(),
            facts: Facts::default(),
            busy: 0.0,
            ages: Ages::new(slo_ms),
            outcome: Outcome::default(),
        }
    }

    fn tick(&mut self, arrived: f64, out: bool, scaler: &mut dyn Scaler) {
        let tick_s = self.mechanism.tick_ms as f64 / 1000.0;
        if arrived > 0.0 {
            self.queue.push_back((self.now_ms + self.mechanism.tick_ms / 2, arrived));
        }
        self.arrived += arrived;
        self.now_ms += self.mechanism.tick_ms;
        self.outcome.executor_seconds += self.fleet.len() as f64 * tick_s;
        self.work(tick_s, out);
        self.observe(out);
        let size = scaler.size(&self.facts, &self.observation());
        self.resize(size);
        if self.now_ms / 1000 > self.outcome.samples.len() as u64 {
            let oldest_ms = self.queue.front().map_or(0, |&(at_ms, _)| self.now_ms.saturating_sub(at_ms));
            let backlog = self.queue.iter().map(|&(_, records)| records).sum();
            self.outcome.samples.push(Sample { size: self.fleet.len() as u32, backlog, oldest_ms });
        }
    }

    fn work(&mut self, tick_s: f64, out: bool) {
        let ready = self.fleet.iter().filter(|executor| executor.ready_ms < self.now_ms).count() as u32;
        let able = self.mechanism.able(ready);
        let limit = self.mechanism.limit.map_or(able, |(_, limit)| limit.min(able));
        let could = if out { 0.0 } else { limit * tick_s };
        let mut left = could;
        while left > 0.0 {
            let Some((at_ms, records)) = self.queue.front_mut() else { break };
            let taken = left.min(*records);
            let age_ms = self.now_ms - *at_ms + self.mechanism.batch_ms;
            self.ages.add(age_ms, taken);
            self.outcome.first_record_ms.get_or_insert(age_ms);
            *records -= taken;
            left -= taken;
            if *records <= 0.0 {
                self.queue.pop_front();
            }
        }
        let done = could - left;
        self.done += done;
        // On a full machine executors look busy: they share its cores.
        let full = matches!(self.mechanism.limit, Some((Bottleneck::Machine, _)));
        self.busy = if able > 0.0 { done / (if full { limit } else { able } * tick_s) } else { 0.0 };
        self.note_limit(if limit > 0.0 { done / (limit * tick_s) } else { 0.0 }, tick_s);
        self.report_work(ready, done, tick_s);
    }

    /// Records the busy share of the bottleneck.
    fn note_limit(&mut self, share: f64, tick_s: f64) {
        let us = (share * tick_s * 1e6) as u64;
        let limit = self.mechanism.limit.map(|(bottleneck, _)| bottleneck);
        let of = |bottleneck| if limit == Some(bottleneck) { us } else { 0 };
        (self.facts.driver_us, self.facts.sink_us) = (of(Bottleneck::Driver), of(Bottleneck::Sink));
        let machine = if limit == Some(Bottleneck::Machine) { share } else { 0.5 };
        self.facts.machine_busy = Some((machine * 1000.0) as u32);
    }

    fn report_work(&mut self, ready: u32, done: f64, tick_s: f64) {
        let facts = &mut self.facts;
        let busy_us = self.busy * tick_s * f64::from(self.mechanism.cores) * 1e6 / self.mechanism.mu_error;
        facts.work.clear();
        facts.start_ms.clear();
        facts.start_cost_ms.clear();
        for executor in self.fleet.iter_mut().filter(|executor| executor.ready_ms < self.now_ms) {
            if !executor.announced {
                executor.announced = true;
                facts.start_ms.push(self.mechanism.start_ms);
                facts.start_cost_ms.push(self.mechanism.start_ms + self.mechanism.price_ms);
            }
            let records = (done / f64::from(ready)).round() as u64;
            let tasks = if records > 0 { u64::from(self.mechanism.cores) } else { 0 };
            let waits = matches!(self.mechanism.limit, Some((Bottleneck::Source, _))) && self.busy > 0.0;
            let fetch_us =
                if waits { (tick_s * f64::from(self.mechanism.cores) * 1e6 - busy_us).max(0.0) } else { 0.0 };
            let (busy_us, fetch_us) = (busy_us as u64, fetch_us as u64);
            facts.work.push(Work { executor: executor.id, tasks, records, busy_us, fetch_us });
        }
        facts.ready = ready;
        facts.starting = self.fleet.len() as u32 - ready;
    }

    fn observe(&mut self, out: bool) {
        let backlog: f64 = self.queue.iter().map(|&(_, records)| records).sum();
        self.seen.push_back((self.now_ms, backlog.round() as u64, self.arrived.round() as u64));
        while self.seen.len() > 1 && self.seen[1].0 + self.mechanism.stale_ms <= self.now_ms {
            self.seen.pop_front();
        }
        let (seen_ms, backlog, arrived) = self.seen[0];
        self.facts.age_ms = self.now_ms - seen_ms;
        self.facts.now_ms = self.now_ms;
        self.facts.backlog = (!out).then_some(backlog);
        self.facts.end_total = (!out).then_some(arrived);
        self.facts.all_committed = true;
    }

    fn observation(&self) -> Observation {
        Observation {
            now_s: self.now_ms as f64 / 1000.0,
            backlog: self.facts.backlog.unwrap_or(0) as f64,
            arrived: self.seen[0].2 as f64,
            done: self.done,
            busy: self.busy,
            size: self.target,
            per_executor: self.mechanism.per_executor,
        }
    }

    fn resize(&mut self, size: u32) {
        if size != self.target {
            self.outcome.note(self.now_ms, self.target, size);
            self.target = size;
        }
        while (self.fleet.len() as u32) < size {
            self.spawned += 1;
            let ready_ms = self.now_ms + self.mechanism.start_ms;
            self.fleet.push(Executor { id: self.spawned, ready_ms, announced: false });
        }
        self.fleet.truncate(size as usize);
    }

    fn finish(mut self) -> Outcome {
        for &(at_ms, records) in &self.queue {
            self.ages.add(self.now_ms - at_ms, records);
            self.outcome.left += records;
        }
        self.outcome.starts = self.spawned;
        self.outcome.records = self.arrived;
        self.ages.report(&mut self.outcome);
        self.outcome
    }
}
