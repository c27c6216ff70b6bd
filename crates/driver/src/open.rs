//! Opens a run: reads the checkpoint, starts the threads, and continues where the last run stopped.

use crate::commit::{self, CommitTargets};
use crate::committing::Committing;
use crate::event::{Event, watch};
use crate::execution::Execution;
use crate::facts::Busy;
use crate::finish::Watermarks;
use crate::fleet::Fleet;
use crate::planning::{Planning, QueryPosition};
use crate::report::Identity;
use crate::reporter::Reporter;
use crate::run::QueryRun;
use crate::scaling::Scaling;
use crate::snapshots::{self, Desk, Snapshots};
use crate::sources::Sources;
use crate::supervisor::{Role, Supervisor};
use crate::watching::Watching;
use crate::{Job, SnapshotWriter, Source, Wiring};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;
use tidemill_checkpoint::{Checkpoint, Query};
use tidemill_flow::ports::{DeadLetterCommitter, Sink, Watch};
use tidemill_flow::setup::{Access, Setup};
use tidemill_flow::state::State;
use tidemill_link::{EncodedSetup, ToExecutor, VERSION};
use tidemill_model::fingerprint::labelled;
use tidemill_model::pipeline::Trigger;
use tidemill_model::{Offsets, RawBytes, Result, random};
use tidemill_os::clock;
use tidemill_scale::{Prior, Settings};
use uuid::Uuid;

/// Opens the checkpoint. Returns the run and its inbox.
pub(crate) fn open(job: Job, mut wiring: Wiring) -> Result<(QueryRun, Receiver<Event>)> {
    let mut supervisor = std::mem::take(&mut wiring.supervisor);
    let inbox = supervisor.take_inbox();
    let described: Vec<String> = wiring.sources.iter().map(|source| source.description.clone()).collect();
    let fingerprint = job.plan.fingerprint(described.clone());
    let query = Query { id: Uuid::new_v4().to_string(), text: query_text(&described, &job), fingerprint };
    let Checkpoint { query, changes, plans, commits, recovered } =
        Checkpoint::open(wiring.disk, query, wiring.snapshot_bytes_min)?;
    let state = State::restore(&job.plan, threads(), recovered.snapshot, recovered.deltas)?;
    let sinks = begin(&mut wiring.sinks, &mut wiring.dead_letters, &query.id)?;
    let keeps_dead_letters = wiring.dead_letters.is_some();
    // The checkpoint keeps the id: a batch that runs again has the same random values.
    let seed = random::seed_of(&query.id);
    let (run_id, name) = (Uuid::new_v4().to_string(), job.pipeline.name.clone());
    let identity = Identity { id: query.id, run_id, name, sources: described, sinks };
    let settings = Settings::from(&job.pipeline.autoscale);
    let committed = recovered.committed.as_ref();
    let positions = committed.map(|record| record.end_offsets.clone()).or(recovered.start);
    let next_batch = committed.map_or(0, |record| record.batch_id + 1);
    let committed = recovered.committed.unwrap_or_default();
    let wants_snapshot = commits.wants_snapshot();
    resume(&mut wiring.sources, recovered.replay.last().map(|plan| &plan.end_offsets).or(positions.as_ref()))?;
    let (sources, watches, level) = Sources::new(wiring.sources);
    let (bounded, sink_count) = (job.trigger == Trigger::AvailableNow, wiring.sinks.len());
    let snapshots = snapshots(wiring.snapshot_writer, &mut supervisor)?;
    let places =
        CommitTargets { sinks: wiring.sinks, dead_letters: wiring.dead_letters, log: commits, snapshots, bounded };
    let (committer, asks) = start_threads(watches, places, wiring.commands, &mut supervisor)?;
    let standing = QueryPosition {
        positions,
        next_batch,
        watermark: committed.next_watermark,
        late_watermark: committed.watermark,
        replay: recovered.replay.into(),
    };
    let fleet = Fleet::new(wiring.spawn, hello(&job, wiring.access, &settings), settings.cores, task_timeout(&job));
    let query = QueryRun {
        watching: Watching::new(sources, asks, bounded),
        planning: Planning::new(&job, plans, level, standing),
        execution: Execution::new(fleet, keeps_dead_letters, seed),
        state,
        watermarks: Watermarks::new(&job.plan),
        committing: Committing::new(committer, sink_count, wants_snapshot, committed.records),
        changed_bytes: 0,
        part_bytes_min: wiring.snapshot_part_bytes_min,
        scaling: Scaling::new(settings, job.pipeline.autoscale.mode, job.trigger, prior(committed.capacity)),
        reporter: Reporter::new(identity, wiring.observer, keeps_dead_letters),
        supervisor,
        limits: wiring.limits,
        changes,
        busy: Busy::default(),
        stopping: false,
        idle: false,
        job,
    };
    Ok((query, inbox))
}

/// Threads that merge a large batch: one per core.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// What earlier runs have learnt about capacity; the default if it cannot be read.
fn prior(capacity: Option<serde_json::Value>) -> Prior {
    capacity.and_then(|json| serde_json::from_value(json).ok()).unwrap_or_default()
}

/// The text of the query that the checkpoint keeps.
fn query_text(sources: &[String], job: &Job) -> String {
    let inputs: String = sources.iter().map(|source| labelled("input", source) + "\n").collect();
    format!("{inputs}{}", job.plan.describe())
}

/// A task without progress for this long is late.
fn task_timeout(job: &Job) -> Duration {
    Duration::from_millis(job.pipeline.autoscale.task_timeout_ms)
}

/// The first message to each executor.
fn hello(job: &Job, access: Access, settings: &Settings) -> ToExecutor {
    let setup = Setup { plan: job.plan.clone(), on_error: job.pipeline.on_error, access };
    ToExecutor::Hello {
        version: VERSION,
        setup: EncodedSetup(RawBytes(setup.to_bytes())),
        cores: settings.cores,
        max_records_per_second_per_core: settings.max_records_per_second_per_core,
    }
}

/// Tells the sources where the query's plans end, if there are any.
fn resume(sources: &mut [Source], planned: Option<&Offsets>) -> Result<()> {
    let Some(planned) = planned else { return Ok(()) };
    sources.iter_mut().try_for_each(|source| source.watch.resume(planned))
}

/// Opens sinks and dead letters for a query. Returns the name of the sinks in progress records.
fn begin(
    sinks: &mut [Sink],
    dead_letters: &mut Option<Box<dyn DeadLetterCommitter>>,
    query_id: &str,
) -> Result<String> {
    dead_letters.iter_mut().try_for_each(|committer| committer.begin(query_id))?;
    sinks.iter_mut().try_for_each(|sink| sink.committer.begin(query_id))?;
    let descriptions: Vec<String> = sinks.iter().map(|sink| sink.committer.description()).collect();
    Ok(descriptions.join(", "))
}

/// Where snapshots are written, with the thread for it.
fn snapshots(writer: SnapshotWriter, supervisor: &mut Supervisor) -> Result<Snapshots> {
    let desk = Desk::new(supervisor.events());
    if writer == SnapshotWriter::Inline {
        return Ok(Snapshots::Inline(desk));
    }
    let (parts, work) = channel();
    // Ends with its sender, the committer.
    supervisor.spawn(snapshots::THREAD, Role::Passing, move || desk.serve(&work))?;
    Ok(Snapshots::Beside(parts))
}

/// Name of the committer thread.
pub(crate) const COMMITTER: &str = "committer";

fn start_threads(
    sources: Vec<Box<dyn Watch>>,
    targets: CommitTargets,
    commands: Receiver<tidemill_model::status::Command>,
    supervisor: &mut Supervisor,
) -> Result<(Sender<commit::Work>, Vec<SyncSender<()>>)> {
    let mut asks = Vec::new();
    for (number, source) in sources.into_iter().enumerate() {
        let (name, events) = (format!("watch {}", source.name()), supervisor.events());
        // One question is enough: its answer is all that there is.
        let (ask, asked) = sync_channel(1);
        asks.push(ask);
        supervisor.spawn(name, Role::Needed, move || {
            watch(number, source, &asked, &events);
            Ok(())
        })?;
    }
    let (committer, jobs) = channel();
    let events = supervisor.events();
    supervisor.spawn(COMMITTER, Role::Needed, move || {
        commit::run(&jobs, targets, &events);
        Ok(())
    })?;
    let events = supervisor.events();
    // Ends with its sender or with the run.
    supervisor.spawn("commands", Role::Passing, move || {
        while let Some(command) = clock::receive(&commands)
            && events.send(Event::Command(command)).is_ok()
        {}
        Ok(())
    })?;
    Ok((committer, asks))
}
