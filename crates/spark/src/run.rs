//! One run of a query on Spark: starts it or finds it running, follows it batch by batch, stops it.
//!
//! ```text
//!   Spark ─ batch N ─► CHECKPOINT/outbox/batch-N ─ committed in CHECKPOINT/spark/commits ─► read over Connect ─► sinks
//!                                    ▲── deleted after ── CHECKPOINT/outbox/acknowledged ◄──────── written ──────┘
//! ```
//! Sinks get only batches that Spark has committed, in order, and each is acknowledged after all sinks have it. Sinks
//! are idempotent by batch id, so a batch that is read twice is in them once. The query survives this process: whoever
//! runs the same file again takes it over.

use crate::checkpoint::{ByPartition, Checkpoint};
use crate::progress;
use crate::query::SparkQuery;
use crate::relation;
use crate::remote::Remote;
use crate::rows;
use crate::session::{Session, is_expired};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use spark_connect_proto as proto;
use spark_connect_proto::execute_plan_response::ResponseType;
use spark_connect_proto::streaming_query_command::Command as Ask;
use spark_connect_proto::streaming_query_command_result::ResultType as Told;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tidemill_model::progress::Progress;
use tidemill_model::{Error, Result};

/// The jar with the sink `tidemill.Outbox`; `crates/spark/sink` has its source.
const JAR: &[u8] = include_bytes!("../sink/outbox.jar");
const JAR_NAME: &str = "tidemill-outbox-1.jar";

/// Pause between two looks at a query: short after news, longer while there are none.
const LOOK_MIN: Duration = Duration::from_millis(50);
const LOOK_MAX: Duration = Duration::from_millis(500);
/// An acknowledgement is a job on Spark: at most one in this time, and one at the end.
const ACKNOWLEDGE_EVERY: Duration = Duration::from_secs(5);
/// How long a stop waits for the end of the batch.
const BATCH_END_MAX: Duration = Duration::from_secs(60);
/// How often a query is started again in one run, when the server has lost it, within [`LOST_WITHIN`].
const LOST_MAX: u32 = 5;
const LOST_WITHIN: Duration = Duration::from_secs(600);

/// What a run tells, and asks.
pub trait Host {
    /// The query's id, kept in the checkpoint. Called once, before the first batch.
    ///
    /// # Errors
    /// A sink belongs to another query.
    fn begin(&mut self, query_id: &str) -> Result<()>;
    /// A batch is committed on Spark: its rows go to the sinks now. `None` where the query has no sinks.
    ///
    /// # Errors
    /// A sink fails; the run ends, the query goes on.
    fn batch(&mut self, progress: &Progress, rows: Option<&RecordBatch>) -> Result<()>;
    /// A message to the user, one sentence.
    fn note(&mut self, text: &str);
    /// Called a few times a second: whether the run is to end.
    fn wants_stop(&mut self) -> bool;
}

/// What is run.
pub struct Run {
    /// The session.
    pub session: Session,
    /// The query.
    pub query: SparkQuery,
    /// Names and types of the result.
    pub schema: SchemaRef,
    /// The directory for Spark's checkpoint and the outbox: a path or URI that Spark reaches.
    pub checkpoint: String,
    /// Whether the checkpoint stays after the run, so that another one may find the query.
    pub is_kept: bool,
    /// Whether Spark is of this run and on this machine, so that the checkpoint's files are read here.
    pub is_here: bool,
    /// Start the query, or find it, and leave it running.
    pub detach: bool,
    /// What the autoscaler wants to know.
    pub state: Rc<RefCell<QueryState>>,
}

/// What a query does, for the autoscaler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryState {
    /// Where the committed batches end, by source; `None`: unknown yet. Empty before the first batch.
    pub reached: Option<Vec<ByPartition>>,
    /// A batch is under way on Spark, or waits for an executor.
    pub in_batch: bool,
    /// The client reads by jobs on Spark, which need an executor.
    pub reading: bool,
}

/// What Spark's status says while a batch is under way, with records and without.
const IN_BATCH: [&str; 2] = ["Processing new data", "No new data but cleaning up state"];

/// How following a query ended.
enum End {
    /// The query has ended by its trigger, or was stopped.
    Done,
    /// The server does not know the query any more.
    Lost,
}

impl Run {
    /// Runs it until its trigger ends it or the host wants it to stop; the session, which may be another one by then.
    ///
    /// # Errors
    /// The server cannot be reached, refuses the query, or the query fails; or a sink fails.
    pub async fn run(self, host: &mut dyn Host) -> Result<Session> {
        let mut follower = Follower {
            checkpoint: Checkpoint::new(&self.session, &self.checkpoint, self.is_here),
            run: self,
            next: None,
            acknowledged: None,
            figures: BTreeMap::new(),
            begun: false,
        };
        let (mut lost, mut since) = (0, Instant::now());
        loop {
            let end = match follower.run.started(host).await {
                Err(error) if is_expired(&error) => {
                    follower.reopen(host).await?;
                    continue;
                }
                // The server was started again meanwhile.
                Err(error) if is_forgotten(&error) => End::Lost,
                Ok(_) if follower.run.detach => End::Done,
                started => follower.begin_and_follow(&started?, host).await?,
            };
            match end {
                End::Done => return Ok(follower.run.session),
                End::Lost => {
                    if since.elapsed() > LOST_WITHIN {
                        (lost, since) = (0, Instant::now());
                    }
                    lost += 1;
                    if lost > LOST_MAX {
                        return Err(Error::external(format!(
                            "Spark lost the query {LOST_MAX} times within {} minutes; see its log (memory?), then \
                             start again: the query goes on from its checkpoint",
                            LOST_WITHIN.as_secs() / 60
                        )));
                    }
                    host.note("Spark does not run the query any more; starting it again from its checkpoint");
                }
            }
        }
    }

    /// The running query of the session with our name, or a new one.
    async fn started(&self, host: &mut dyn Host) -> Result<proto::StreamingQueryInstanceId> {
        self.session.check_version().await?;
        if let Some(id) = self.running().await? {
            host.note(&format!("the query `{}` runs already; taking it over", self.query.name));
            return Ok(id);
        }
        let options: Vec<(&str, &str)> = self.query.options.iter().map(|(key, value)| (*key, value.as_str())).collect();
        self.session.configure(&options).await?;
        if self.query.needs_rows {
            self.session.add_jar(JAR_NAME, JAR).await?;
        }
        for view in &self.query.views {
            let raw = relation::read(&view.raw, true);
            self.session.execute(relation::create_view(&view.raw_name(), raw)).all().await?;
            self.session.execute(relation::create_view(&view.name, view.relation())).all().await?;
        }
        let mut options = HashMap::from([("checkpointLocation".to_owned(), format!("{}/spark", self.checkpoint))]);
        let format = match self.query.needs_rows {
            true => "tidemill.Outbox",
            false => "noop",
        };
        options.insert("path".into(), format!("{}/outbox", self.checkpoint));
        let (mode, trigger) = (self.query.output_mode, self.query.trigger());
        let plan = relation::start(self.query.relation(), format, options, mode, trigger, &self.query.name);
        for response in self.session.execute(plan).all().await? {
            if let ResponseType::WriteStreamOperationStartResult(started) = response {
                return started.query_id.ok_or_else(|| self.session.unexpected("the query's id"));
            }
        }
        Err(self.session.unexpected("the query's id"))
    }

    async fn running(&self) -> Result<Option<proto::StreamingQueryInstanceId>> {
        use proto::streaming_query_manager_command_result::ResultType;
        for response in self.session.execute(relation::active_queries()).all().await? {
            let ResponseType::StreamingQueryManagerCommandResult(found) = response else { continue };
            let Some(ResultType::Active(active)) = found.result_type else { continue };
            let ours = active.active_queries.into_iter().find(|query| query.name() == self.query.name);
            return Ok(ours.and_then(|query| query.id));
        }
        Ok(None)
    }

    /// What the server says of the query; `None` if it does not know it.
    async fn ask(&self, id: &proto::StreamingQueryInstanceId, ask: Ask) -> Result<Option<Told>> {
        match self.session.execute(relation::query_command(id, ask)).all().await {
            Ok(responses) => {
                for response in responses {
                    if let ResponseType::StreamingQueryCommandResult(found) = response {
                        return Ok(found.result_type);
                    }
                }
                Err(self.session.unexpected("the query's state"))
            }
            Err(error) if is_unknown(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether the server has forgotten the query: it was started again, or the session has expired.
fn is_unknown(error: &Error) -> bool {
    let said = error.message();
    is_forgotten(error) || said.contains("STREAMING_QUERY_NOT_FOUND") || said.contains("is not found")
}

/// Whether the server has forgotten what it was asked to do.
fn is_forgotten(error: &Error) -> bool {
    ["INVALID_HANDLE.SESSION", "INVALID_HANDLE.OPERATION"].iter().any(|part| error.message().contains(part))
}

/// Follows a query.
struct Follower {
    run: Run,
    checkpoint: Checkpoint,
    /// The first batch that the sinks do not have.
    next: Option<u64>,
    /// The last acknowledged batch, and when it was.
    acknowledged: Option<(u64, Instant)>,
    /// What Spark said of batches that the sinks do not have.
    figures: BTreeMap<u64, Progress>,
    begun: bool,
}

impl Follower {
    /// Goes on with a new session, since the server has closed this one; its query is stopped.
    async fn reopen(&mut self, host: &mut dyn Host) -> Result<()> {
        host.note("the session has expired: no request came for too long; going on from the checkpoint with a new one");
        let place = Some(self.run.checkpoint.as_str()).filter(|_| self.run.is_kept);
        // The address may name the session that has expired.
        let remote = Remote { session_id: None, ..self.run.session.remote.clone() };
        self.run.session = Session::of_checkpoint(&remote, place).await?;
        self.checkpoint = Checkpoint::new(&self.run.session, &self.run.checkpoint, self.run.is_here);
        Ok(())
    }

    async fn begin_and_follow(&mut self, id: &proto::StreamingQueryInstanceId, host: &mut dyn Host) -> Result<End> {
        if !self.begun {
            host.begin(&id.id)?;
            self.begun = true;
        }
        match self.follow(id, host).await {
            Err(error) if is_unknown(&error) => Ok(End::Lost),
            end => end,
        }
    }

    async fn follow(&mut self, id: &proto::StreamingQueryInstanceId, host: &mut dyn Host) -> Result<End> {
        let mut pause = LOOK_MIN;
        self.catch_up(host).await?;
        let mut stopping: Option<Instant> = None;
        loop {
            let Some(Told::Status(status)) = self.run.ask(id, Ask::Status(true)).await? else { return Ok(End::Lost) };
            self.run.state.borrow_mut().in_batch = IN_BATCH.contains(&status.status_message.as_str());
            let news = self.look(id, host).await?;
            if !status.is_active {
                return self.ended(id, host).await;
            }
            if host.wants_stop() && stopping.is_none() {
                stopping = Some(Instant::now());
            }
            if let Some(since) = stopping
                && (news || !status.is_trigger_active || since.elapsed() > BATCH_END_MAX)
            {
                self.run.ask(id, Ask::Stop(true)).await?;
                return self.ended(id, host).await;
            }
            pause = if news { LOOK_MIN } else { (pause * 2).min(LOOK_MAX) };
            tokio::time::sleep(pause).await;
        }
    }

    /// Takes the batches that were committed while nobody followed.
    async fn catch_up(&mut self, host: &mut dyn Host) -> Result<()> {
        // Until this is known, it may take a job on Spark.
        self.run.state.borrow_mut().reading = !self.run.is_here;
        match self.checkpoint.committed().await? {
            Some(committed) => self.drain(committed, host).await?,
            None => self.run.state.borrow_mut().reached = Some(Vec::new()),
        }
        self.run.state.borrow_mut().reading = false;
        Ok(())
    }

    /// Notes where a batch ends.
    async fn reach(&self, batch_id: u64) -> Result<()> {
        let sources = self.figures.get(&batch_id).map(|record| record.sources.iter());
        let known: Vec<ByPartition> = sources.into_iter().flatten().map(|source| source.end_offset.clone()).collect();
        let known = if known.is_empty() { self.checkpoint.offsets(batch_id).await? } else { known };
        self.run.state.borrow_mut().reached = Some(known);
        Ok(())
    }

    /// Takes new progress records; whether there was a new batch.
    async fn look(&mut self, id: &proto::StreamingQueryInstanceId, host: &mut dyn Host) -> Result<bool> {
        let Some(last) = self.ask_progress(id, Ask::LastProgress(true)).await?.pop() else { return Ok(false) };
        let next = self.next.unwrap_or(0);
        let Some(last) = progress::record(&last) else {
            // After ten seconds without data Spark's last record is of no batch. Those before it are not seen yet, if the
            // network was cut meanwhile or the sinks were slow.
            let is_behind = progress::upcoming(&last).is_some_and(|upcoming| upcoming > next);
            if is_behind {
                self.note_recent(id).await?;
                self.catch_up(host).await?;
            }
            return Ok(is_behind);
        };
        if last.batch_id < next {
            return Ok(false);
        }
        if last.batch_id > next || self.next.is_none() {
            self.note_recent(id).await?;
        }
        let batch_id = last.batch_id;
        self.figures.insert(batch_id, last);
        self.drain(batch_id, host).await?;
        Ok(true)
    }

    /// Keeps what Spark says of batches that the sinks do not have.
    async fn note_recent(&mut self, id: &proto::StreamingQueryInstanceId) -> Result<()> {
        let next = self.next.unwrap_or(0);
        let recent = self.ask_progress(id, Ask::RecentProgress(true)).await?;
        let batches = recent.iter().filter_map(|json| progress::record(json));
        self.figures.extend(batches.filter(|batch| batch.batch_id >= next).map(|batch| (batch.batch_id, batch)));
        Ok(())
    }

    async fn ask_progress(&self, id: &proto::StreamingQueryInstanceId, ask: Ask) -> Result<Vec<String>> {
        match self.run.ask(id, ask).await? {
            Some(Told::RecentProgress(found)) => Ok(found.recent_progress_json),
            _ => Ok(Vec::new()),
        }
    }

    /// Gives the sinks every batch up to a committed one.
    async fn drain(&mut self, committed: u64, host: &mut dyn Host) -> Result<()> {
        self.reach(committed).await?;
        if !self.run.query.needs_rows {
            let records = std::mem::take(&mut self.figures);
            self.next = Some(committed + 1);
            return records.into_values().try_for_each(|record| host.batch(&record, None));
        }
        let mut next = match self.next {
            Some(next) => next,
            None => self.checkpoint.acknowledged().await?.map_or(0, |last| last + 1),
        };
        self.next = Some(next);
        if next > committed {
            return Ok(());
        }
        self.run.state.borrow_mut().reading = true;
        while next <= committed {
            let rows = rows::conformed(&self.checkpoint.rows(next).await?, &self.run.schema)?;
            let mut record = match self.figures.remove(&next) {
                Some(record) => record,
                None => self.read_back(next).await?,
            };
            record.sink.num_output_rows = rows.num_rows() as u64;
            host.batch(&record, Some(&rows))?;
            next += 1;
            self.next = Some(next);
        }
        self.figures.retain(|batch_id, _| *batch_id >= next);
        if self.run.is_here || self.acknowledged.is_none_or(|(_, at)| at.elapsed() >= ACKNOWLEDGE_EVERY) {
            self.acknowledge().await?;
        }
        self.run.state.borrow_mut().reading = false;
        Ok(())
    }

    /// A batch of which Spark reports nothing, as it was committed by a server or for a client that died.
    async fn read_back(&self, batch_id: u64) -> Result<Progress> {
        let ends = self.checkpoint.offsets(batch_id).await?;
        let begins = self.checkpoint.begins(batch_id, ends.len()).await?;
        Ok(progress::of_offsets(batch_id, &self.run.query.name, &begins, &ends))
    }

    /// Tells the outbox which batches the sinks have.
    async fn acknowledge(&mut self) -> Result<()> {
        let Some(last) = self.next.and_then(|next| next.checked_sub(1)) else { return Ok(()) };
        if self.run.query.needs_rows && self.acknowledged.is_none_or(|(before, _)| before < last) {
            self.run.state.borrow_mut().reading = true;
            self.checkpoint.acknowledge(last).await?;
            self.run.state.borrow_mut().reading = false;
            self.acknowledged = Some((last, Instant::now()));
        }
        Ok(())
    }

    /// The query is not active any more.
    async fn ended(&mut self, id: &proto::StreamingQueryInstanceId, host: &mut dyn Host) -> Result<End> {
        let failure = self.run.ask(id, Ask::Exception(true)).await?;
        self.look(id, host).await?;
        self.catch_up(host).await?;
        self.acknowledge().await?;
        match failure {
            Some(Told::Exception(failure)) if failure.exception_message.is_some() => {
                let said = failure.exception_message.unwrap_or_default();
                if is_replay_fault(&said) {
                    return Ok(End::Lost);
                }
                Err(failed(&said, &self.run.checkpoint))
            }
            _ => Ok(End::Done),
        }
    }
}

/// SPARK-55271: the Kafka connector of Spark 4.1 fails in its metrics after a batch that was replayed at the start, since it
/// has not asked for the latest offsets then. The batch is committed; the next start has nothing to replay.
fn is_replay_fault(said: &str) -> bool {
    said.contains("scala.collection.IterableOps.map") && said.contains("\"scala.Option.get()\" is null")
}

/// The query has failed on Spark.
fn failed(said: &str, checkpoint: &str) -> Error {
    if let Some(error) = crate::retry::known(said) {
        return error;
    }
    let said = crate::retry::essence(said);
    Error::external(format!(
        "the query failed on Spark: {said}; correct the cause, then start again: the query goes on from its checkpoint in {checkpoint}"
    ))
}
