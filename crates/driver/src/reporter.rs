//! Reporting: counts what the run has done and passes it to the observer.

use crate::ages::Ages;
use crate::commit::Committed;
use crate::report::{BatchStats, DoneRate, Identity, RecentOutput, progress};
use crate::{Observer, Summary};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tidemill_flow::ports::Extents;
use tidemill_model::Offsets;
use tidemill_model::status::Status;
use tidemill_os::clock;
use tidemill_scale::{Decision, Facts, Settings, State};
use tidemill_sql::plan::QueryPlan;

/// A status shows the ages of this many batches.
const RECENT_BATCHES: usize = 10;

pub(crate) struct Reporter {
    identity: Identity,
    observer: Box<dyn Observer>,
    keeps_dead_letters: bool,
    started: Instant,
    summary: Summary,
    ages: Ages,
    recent_ages: VecDeque<Ages>,
    recent: RecentOutput,
    done: DoneRate,
}

impl Reporter {
    pub(crate) fn new(identity: Identity, observer: Box<dyn Observer>, keeps_dead_letters: bool) -> Reporter {
        Reporter {
            identity,
            observer,
            keeps_dead_letters,
            started: clock::now(),
            summary: Summary::default(),
            ages: Ages::default(),
            recent_ages: VecDeque::new(),
            recent: RecentOutput::default(),
            done: DoneRate::default(),
        }
    }

    /// Passes on a message to the user.
    pub(crate) fn note(&mut self, note: &str) {
        self.observer.note(note);
    }

    pub(crate) fn uptime_ms(&self) -> u64 {
        clock::since(self.started).as_millis() as u64
    }

    /// A task of this many records is done.
    pub(crate) fn task_done(&mut self, records: u64) {
        self.done.add(records);
    }

    pub(crate) fn deciding(&mut self, settings: &Settings, state: &State) {
        self.observer.deciding(settings, state);
    }

    pub(crate) fn decided(&mut self, facts: &Facts, decision: &Decision) {
        self.recent.decision(clock::wall_ms(), decision);
        self.observer.decision(facts, decision);
    }

    /// A batch is committed. `latest` is what the sources hold; `now` is the number of ready executors and the backlog.
    pub(crate) fn committed(
        &mut self,
        query: &QueryPlan,
        stats: &BatchStats,
        committed: &Committed,
        latest: &Extents,
        now: (u32, u64),
    ) {
        let out_ms = clock::wall_ms() - clock::since(committed.out_at).as_millis() as i64;
        let mut ages = Ages::default();
        ages.add(&stats.finished.record_times, out_ms);
        self.summary.batches += 1;
        self.summary.records += stats.finished.records;
        self.summary.rows += stats.finished.output.count();
        self.summary.faults.merge(&stats.finished.faults);
        if self.keeps_dead_letters {
            self.summary.dead_letters += stats.finished.dead_letters.count();
        }
        self.recent.take_rows(stats.finished.output.last(), query.zone());
        let progress = progress(&self.identity, query, stats, committed, &ages, latest, now);
        self.ages.merge(&ages);
        if stats.finished.records > 0 {
            self.recent_ages.push_back(ages);
            if self.recent_ages.len() > RECENT_BATCHES {
                self.recent_ages.pop_front();
            }
        }
        self.observer.batch(&progress);
    }

    pub(crate) fn idle(&mut self, positions: &Offsets) {
        self.observer.idle(positions);
    }

    /// Completes a status and passes it on.
    pub(crate) fn status(&mut self, rest: Status) {
        let mut recent = Ages::default();
        self.recent_ages.iter().for_each(|ages| recent.merge(ages));
        let uptime_ms = self.uptime_ms();
        let status = Status {
            name: self.identity.name.clone(),
            now_ms: clock::wall_ms(),
            uptime_ms,
            rate_done: self.done.rate(uptime_ms),
            age_p50_ms: recent.quantile(0.5),
            age_p99_ms: recent.quantile(0.99),
            faults: self.summary.faults,
            decisions: self.recent.decisions(),
            windows: self.recent.rows().clone(),
            ..rest
        };
        self.observer.status(&status);
    }

    /// Totals of the run, once it has ended.
    pub(crate) fn summary(&self, executors: Duration) -> Summary {
        Summary {
            executor_seconds: executors.as_secs_f64(),
            age_p50_ms: self.ages.quantile(0.5),
            age_p99_ms: self.ages.quantile(0.99),
            ..self.summary.clone()
        }
    }
}
