//! Builds what a run reports: progress records, status snapshots, the summary.

use crate::ages::Ages;
use crate::commit::Committed;
use crate::finish::Finished;
use arrow_array::RecordBatch;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tidemill_flow::ports::Extents;
use tidemill_flow::state::StateSize;
use tidemill_model::limits::ROWS_SHOWN;
use tidemill_model::progress::{
    Progress, SinkProgress, SourceMetrics, SourceProgress, StateOperatorProgress, TidemillProgress,
};
use tidemill_model::status::{DecisionLine, ResultRows};
use tidemill_model::time::iso_millis;
use tidemill_model::{Millis, Offsets};
use tidemill_scale::{Changes, Decision};
use tidemill_sql::plan::QueryPlan;
use tidemill_sql::text::show;
use tidemill_sql::zone::{WallClock, Zone};

/// Number of decisions in a status.
const DECISIONS_SHOWN: usize = 20;

/// Identifies a run.
pub(crate) struct Identity {
    pub(crate) id: String,
    pub(crate) run_id: String,
    pub(crate) name: String,
    /// Name of each source in progress records.
    pub(crate) sources: Vec<String>,
    pub(crate) sinks: String,
}

/// Figures of a batch that are known when it goes to the committer.
pub(crate) struct BatchStats {
    pub(crate) finished: Finished,
    /// The size of each aggregation's state, from the sources up.
    pub(crate) state_sizes: Vec<StateSize>,
    pub(crate) start: StartTimes,
    /// Milliseconds per step after the start.
    pub(crate) dispatch_ms: u64,
    pub(crate) merge_ms: u64,
}

/// Times of the steps that start a batch.
#[derive(Clone, Copy)]
pub(crate) struct StartTimes {
    /// Time since the start of the batch before, in this run.
    pub(crate) since_last: Option<Duration>,
    /// Milliseconds per step: finding what there is to read, planning, encoding tasks, logging the plan.
    pub(crate) latest_ms: u64,
    pub(crate) planning_ms: u64,
    pub(crate) layout_ms: u64,
    pub(crate) log_ms: u64,
}

/// The progress record of a committed batch. Its fields are Spark's; see `model::progress`.
pub(crate) fn progress(
    identity: &Identity,
    query: &QueryPlan,
    stats: &BatchStats,
    committed: &Committed,
    ages: &Ages,
    latest: &Extents,
    now: (u32, u64),
) -> Progress {
    let finished = &stats.finished;
    let add_batch = stats.dispatch_ms + stats.merge_ms + committed.sink_time.as_millis() as u64;
    let commit_ms = committed.commit_time.as_millis() as u64;
    let start = &stats.start;
    let total = start.latest_ms + start.planning_ms + start.layout_ms + start.log_ms + add_batch + commit_ms;
    let steps = [
        ("latestOffset", start.latest_ms),
        ("queryPlanning", start.planning_ms),
        ("getBatch", start.layout_ms),
        ("walCommit", start.log_ms),
        ("addBatch", add_batch),
        ("commitOffsets", commit_ms),
        ("triggerExecution", total),
    ];
    let latest = Offsets(latest.iter().map(|(partition, extent)| (partition.clone(), extent.end)).collect());
    let sources = identity.sources.iter().zip(0..);
    let sources = sources.map(|(described, number)| source(described, number, stats, &latest, total)).collect();
    let (executors, backlog) = now;
    Progress {
        id: identity.id.clone(),
        run_id: identity.run_id.clone(),
        name: identity.name.clone(),
        timestamp: iso_millis(finished.plan.timestamp),
        batch_id: finished.plan.batch_id,
        batch_duration: total,
        num_input_rows: finished.records,
        input_rows_per_second: arriving(finished.records, start),
        processed_rows_per_second: per_second(finished.records, Duration::from_millis(total)),
        duration_ms: steps.map(|(step, ms)| (step.to_owned(), ms)).into(),
        event_time: event_time(query, finished),
        state_operators: state_operators(stats, commit_ms),
        sources,
        sink: SinkProgress { description: identity.sinks.clone(), num_output_rows: finished.output.count() },
        tidemill: TidemillProgress {
            faults: finished.faults,
            rows: finished.kept,
            filtered: finished.filtered,
            left_out: finished.left_out,
            tasks: finished.tasks,
            tasks_retried: finished.retried,
            executors,
            backlog,
            age_p50_ms: ages.quantile(0.5),
            age_p99_ms: ages.quantile(0.99),
            age_max_ms: ages.quantile(1.0),
            replayed: finished.replayed,
        },
    }
}

/// The part of one source in a batch of `total` ms.
fn source(description: &str, number: u32, stats: &BatchStats, latest: &Offsets, total: u64) -> SourceProgress {
    let plan = &stats.finished.plan;
    let [start_offsets, end_offsets, latest] =
        [&plan.start_offsets, &plan.end_offsets, latest].map(|offsets| of_source(offsets, number));
    let records = stats.finished.sources[number as usize].records;
    SourceProgress {
        description: description.to_owned(),
        start_offset: by_topic(&start_offsets),
        end_offset: by_topic(&end_offsets),
        latest_offset: by_topic(&latest),
        num_input_rows: records,
        input_rows_per_second: arriving(records, &stats.start),
        processed_rows_per_second: per_second(records, Duration::from_millis(total)),
        metrics: behind(&end_offsets, &latest),
    }
}

/// Records per second since the start of the batch before.
fn arriving(records: u64, start: &StartTimes) -> f64 {
    start.since_last.map_or(0.0, |time| per_second(records, time))
}

fn per_second(records: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { records as f64 / time.as_secs_f64() }
}

fn event_time(query: &QueryPlan, finished: &Finished) -> BTreeMap<String, String> {
    let mut entries = BTreeMap::new();
    if !query.has_watermark() {
        return entries;
    }
    entries.insert("watermark".into(), iso_millis(finished.plan.watermark));
    // With several sources Spark reports the first one that had rows.
    let seen = query.delays_ms().zip(&finished.sources).filter(|(delay, _)| delay.is_some());
    if let Some(seen) = seen.map(|(_, totals)| &totals.event_time).find(|seen| seen.count > 0) {
        // Truncated towards zero, as Spark truncates its double.
        let average = (seen.sum_ms / i128::from(seen.count)) as i64;
        for (name, ms) in [("min", seen.min_ms), ("max", seen.max_ms), ("avg", average)] {
            entries.insert(name.into(), iso_millis(Millis(ms)));
        }
    }
    entries
}

/// The operators that keep a state, the last one of the query first, as Spark lists them.
fn state_operators(stats: &BatchStats, commit_ms: u64) -> Vec<StateOperatorProgress> {
    let limit = stats.finished.let_out.map(|count| limit(count, stats, commit_ms));
    let groups = stats.finished.merged.iter().zip(&stats.state_sizes).rev();
    let groups = groups.map(|(merged, size)| StateOperatorProgress {
        operator_name: "stateStoreSave".into(),
        num_rows_total: size.rows,
        num_rows_updated: merged.updated,
        all_updates_time_ms: stats.merge_ms,
        num_rows_removed: merged.removed,
        all_removals_time_ms: 0,
        commit_time_ms: commit_ms,
        memory_used_bytes: size.bytes,
        num_rows_dropped_by_watermark: merged.dropped,
        num_shuffle_partitions: 1,
        num_state_store_instances: 1,
        custom_metrics: BTreeMap::new(),
    });
    limit.into_iter().chain(groups).collect()
}

/// A LIMIT over all batches: its state is the number of rows that have gone out, a row once there is one.
fn limit(let_out: u64, stats: &BatchStats, commit_ms: u64) -> StateOperatorProgress {
    let rows = u64::from(let_out > 0);
    StateOperatorProgress {
        operator_name: "globalLimit".into(),
        num_rows_total: rows,
        num_rows_updated: u64::from(stats.finished.output.count() > 0),
        commit_time_ms: commit_ms,
        memory_used_bytes: rows * size_of::<u64>() as u64,
        num_shuffle_partitions: 1,
        num_state_store_instances: 1,
        ..StateOperatorProgress::default()
    }
}

/// How far the ends of a batch are behind the latest offsets.
fn behind(ends: &Offsets, latest: &Offsets) -> SourceMetrics {
    let behind: Vec<i64> =
        ends.0.iter().map(|(partition, end)| (latest.0.get(partition).unwrap_or(end) - end).max(0)).collect();
    let [Some(max), Some(min)] = [behind.iter().max(), behind.iter().min()] else { return SourceMetrics::default() };
    SourceMetrics {
        avg_offsets_behind_latest: format!("{:?}", behind.iter().sum::<i64>() as f64 / behind.len() as f64),
        max_offsets_behind_latest: max.to_string(),
        min_offsets_behind_latest: min.to_string(),
    }
}

fn of_source(offsets: &Offsets, source: u32) -> Offsets {
    let of_source = offsets.0.iter().filter(|(partition, _)| partition.source == source);
    Offsets(of_source.map(|(partition, offset)| (partition.clone(), *offset)).collect())
}

fn by_topic(offsets: &Offsets) -> BTreeMap<String, BTreeMap<String, i64>> {
    let mut topics: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
    for (partition, offset) in &offsets.0 {
        topics.entry(partition.topic.to_string()).or_default().insert(partition.partition.to_string(), *offset);
    }
    topics
}

/// The newest decisions and rows, for the status.
#[derive(Default)]
pub struct RecentOutput {
    decisions: VecDeque<DecisionLine>,
    changes: Changes,
    /// The last rows of a batch, until somebody looks: making text of them costs as much as a small batch.
    unread: Option<(RecordBatch, Zone)>,
    rows: ResultRows,
}

impl RecentOutput {
    /// A change that is worth a line: where two sizes take turns, not every one is.
    pub fn decision(&mut self, at_ms: i64, decision: &Decision) {
        let Some(reason) = self.changes.line(decision) else { return };
        self.decisions.push_back(DecisionLine { at_ms, from: decision.from, to: decision.to, reason });
        while self.decisions.len() > DECISIONS_SHOWN {
            self.decisions.pop_front();
        }
    }

    /// The newest decisions, newest last.
    pub fn decisions(&self) -> Vec<DecisionLine> {
        self.decisions.iter().cloned().collect()
    }

    /// Takes the last rows of a batch. Rows are in key order, so these are the newest windows.
    pub fn take_rows(&mut self, rows: &RecordBatch, zone: Zone) {
        if rows.num_rows() > 0 {
            let skip = rows.num_rows().saturating_sub(ROWS_SHOWN);
            self.unread = Some((rows.slice(skip, rows.num_rows() - skip), zone));
        }
    }

    /// The rows taken last, as text.
    pub fn rows(&mut self) -> &ResultRows {
        if let Some((rows, zone)) = self.unread.take() {
            self.rows = show::result_rows(&rows, ROWS_SHOWN, &WallClock::new(zone));
        }
        &self.rows
    }
}

/// Rate of records done over the last seconds.
#[derive(Default)]
pub(crate) struct DoneRate {
    samples: VecDeque<(u64, u64)>,
    total: u64,
}

/// The rate covers this many milliseconds.
const RATE_WINDOW_MS: u64 = 3_000;

impl DoneRate {
    pub(crate) fn add(&mut self, records: u64) {
        self.total += records;
    }

    /// Records per second over the last seconds.
    pub(crate) fn rate(&mut self, now_ms: u64) -> f64 {
        self.samples.push_back((now_ms, self.total));
        while self.samples.len() > 2 && self.samples[1].0 + RATE_WINDOW_MS <= now_ms {
            self.samples.pop_front();
        }
        let (then_ms, then) = self.samples[0];
        if now_ms > then_ms { (self.total - then) as f64 * 1_000.0 / (now_ms - then_ms) as f64 } else { 0.0 }
    }
}
