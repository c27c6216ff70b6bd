//! `--engine spark`: the pipeline on a Spark cluster. The sinks, the progress file and the messages are the local
//! engine's; the crate `spark` does the rest.

use super::spark_board::Board;
use super::spark_ends::SourceEnds;
use super::spark_scaling::Scaler;
use crate::args::{RunOptions, SparkOptions};
use crate::observer::{JsonLinesFile, Readers, RunObserver, TextLog};
use crate::usage::UsageLog;
use crate::{signals, wiring};
use arrow_array::RecordBatch;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use tidemill_driver::{Job, Observer, Summary, Supervisor};
use tidemill_flow::ports::Sink;
use tidemill_model::pipeline::{Autoscale, ScaleMode, SourceKind, Trigger};
use tidemill_model::progress::Progress;
use tidemill_model::status::Command;
use tidemill_model::{Error, Pipeline, Result, Secret, counted};
use tidemill_os::output;
use tidemill_spark::refuse::{self, Reach};
use tidemill_spark::server::{Master, Server, ServerOptions, is_local, kafka_connector, spark_home};
use tidemill_spark::workers::{ForeignWorkers, HookWorkers, LocalWorkers, WorkerOptions, Workers};
use tidemill_spark::{Host, Remote, RestApi, Run, Session, SparkQuery};

/// `tidemill check --engine spark`.
pub(crate) fn check(job: &Job) -> Result<()> {
    refuse::check(&job.pipeline, &job.plan, Reach::SameMachine)?;
    let query = SparkQuery::new(&job.pipeline, &job.plan, job.trigger, &std::env::current_dir()?);
    output::line(query.to_string().trim_end());
    Ok(())
}

/// `tidemill run --engine spark`.
pub(crate) fn run(options: &RunOptions) -> Result<()> {
    let job = wiring::load(&options.pipeline, &super::run::set(options)?)?;
    let (commands, inbox) = channel();
    let stop = commands.clone();
    signals::on_interrupt(move || drop(stop.send(Command::Stop)))?;
    let quiet = options.quiet;
    let say = move |text: &str| {
        if !quiet {
            output::error_line(text);
        }
    };
    let named = options.checkpoint.as_ref().map(|dir| dir.to_string_lossy().into_owned());
    let plan = Plan::of(&job, &options.spark, named, options.detach)?;
    say(&format!("checkpoint in {}", plan.place.checkpoint));
    let mut supervisor = Supervisor::default();
    let listen = job.pipeline.dashboard.as_deref();
    let dashboard = listen.map(|listen| wiring::dashboard(listen, &commands, &mut supervisor)).transpose()?;
    if let Some(dashboard) = &dashboard {
        say(&format!("dashboard on {}", dashboard.url()));
    }
    let observer = RunObserver {
        progress: options.progress.as_deref().map(JsonLinesFile::open).transpose()?,
        decisions: options.decisions.as_deref().map(JsonLinesFile::open).transpose()?,
        dashboard,
        readers: Some(Readers::new(super::run::streams(&job, quiet), commands.clone())),
        usage: plan.place.folder().map(|dir| UsageLog::new(&dir)),
        log: Some(TextLog::new(true, say)),
        ..RunObserver::default()
    };
    let (trigger, scales) = (job.trigger, job.pipeline.autoscale.is_written);
    let (summary, address) = drive(Drive { job, plan, trigger, commands, inbox, observer })?;
    say(&match options.detach {
        true => detached(options, &address, scales),
        false => ended(&summary, &address),
    });
    Ok(())
}

/// What a run is given.
struct Drive {
    job: Job,
    plan: Plan,
    trigger: Trigger,
    commands: Sender<Command>,
    inbox: Receiver<Command>,
    observer: RunObserver,
}

/// Where a run finds Spark, and what is there.
struct Plan {
    spark: SparkOptions,
    remote: Option<Remote>,
    place: Place,
    detach: bool,
}

impl Plan {
    /// Checks that this can run there.
    ///
    /// # Errors
    /// User: it cannot, and why.
    fn of(job: &Job, spark: &SparkOptions, checkpoint: Option<String>, detach: bool) -> Result<Plan> {
        let remote = spark.spark_remote.as_deref().map(remote_of).transpose()?;
        let reach = match &remote {
            Some(remote) if !remote.is_loopback() => Reach::Elsewhere,
            _ => Reach::SameMachine,
        };
        if remote.is_none() && spark.spark_local.is_none() {
            return Err(Error::user(
                "--engine spark needs a Spark: --spark-remote sc://HOST:PORT, or --spark-local auto for one on this machine",
            ));
        }
        if detach && spark.spark_local.is_some() {
            return Err(Error::user("--detach needs --spark-remote: the server of --spark-local ends with the run"));
        }
        refuse::check(&job.pipeline, &job.plan, reach)?;
        let place = Place::of(checkpoint.or_else(|| job.pipeline.checkpoint.clone()), detach, reach)?;
        Ok(Plan { spark: spark.clone(), remote, place, detach })
    }
}

/// The address, with its references resolved: a token does not belong on a command line.
fn remote_of(text: &str) -> Result<Remote> {
    let text = wiring::substituted(text).map_err(|message| Error::user(format!("--spark-remote: {message}")))?;
    Remote::parse(text.expose())
}

/// A run that is ready to begin.
pub(crate) type Runner = Box<dyn FnOnce(RunObserver) -> Result<Summary> + Send>;

/// A run of a job, for the demo.
///
/// # Errors
/// User: it cannot run on Spark, and why.
pub(crate) fn runner(
    job: Job,
    spark: &SparkOptions,
    checkpoint: &Path,
    commands: Sender<Command>,
    inbox: Receiver<Command>,
) -> Result<Runner> {
    let checkpoint = checkpoint.to_string_lossy().into_owned();
    let (plan, trigger) = (Plan::of(&job, spark, Some(checkpoint), false)?, job.trigger);
    Ok(Box::new(move |observer| {
        let (summary, _) = drive(Drive { job, plan, trigger, commands, inbox, observer })?;
        Ok(summary)
    }))
}

/// Runs the query until it ends or is stopped; the totals, and the address at which it ran.
///
/// # Errors
/// Spark or a sink fails.
fn drive(drive: Drive) -> Result<(Summary, String)> {
    tidemill_spark::block_on(started(drive))?
}

async fn started(drive: Drive) -> Result<(Summary, String)> {
    let Drive { job, plan, trigger, commands, inbox, mut observer } = drive;
    // In this order: the server ends first, then the Workers, and the Master last.
    let mut spark = SparkHere::default();
    let mut workers = None;
    let remote = match &plan.remote {
        Some(remote) => remote.clone(),
        None => spark.start(&job, &plan.spark, &mut workers, &mut |note| observer.note(note)).await?,
    };
    let is_kept = plan.place.temporary.is_none();
    let session = Session::of_checkpoint(&remote, Some(plan.place.checkpoint.as_str()).filter(|_| is_kept)).await?;
    let mut scaler = match plan.detach {
        true => None,
        false => scaler(&job, &plan, workers, spark.page(), &session, &mut observer).await?,
    };
    let ends = match &scaler {
        Some(_) if job.pipeline.autoscale.is_written => Some(SourceEnds::watch(wiring::sources(&job)?)?),
        _ => None,
    };
    let run = Run {
        session,
        query: SparkQuery::new(&job.pipeline, &job.plan, trigger, &std::env::current_dir()?),
        schema: job.plan.output_schema.clone(),
        checkpoint: plan.place.checkpoint.clone(),
        is_kept,
        is_here: plan.remote.is_none(),
        detach: plan.detach,
        state: Rc::default(),
    };
    let state = run.state.clone();
    let (board, asked) = (RefCell::new(Board::new(&job, observer, ends)), RefCell::default());
    let mut host = RunHost {
        sinks: if plan.detach { Vec::new() } else { wiring::sinks(&job, &commands)? },
        inbox,
        asked: &asked,
        stopping: false,
        scales: scaler.is_some(),
        board: &board,
    };
    let run = async {
        match &mut scaler {
            Some(scaler) => tidemill_spark::beside(run.run(&mut host), scaler.run(&state, &board, &asked)).await,
            None => run.run(&mut host).await,
        }
    };
    let result = match &mut spark.server {
        Some(server) => {
            let mut note = |text: &str| board.borrow_mut().observer.note(text);
            tidemill_spark::unless(run, server.keep(&mut note)).await
        }
        None => run.await,
    };
    let session = match result.and_then(|session| host.publish(true).map(|()| session)) {
        Ok(session) => session,
        // Where the server has ended, its log says why.
        Err(error) => return Err(spark.end().unwrap_or(error)),
    };
    if plan.detach {
        return Ok((Summary::default(), session.address()));
    }
    drop(session.release().await);
    spark.server = None;
    let used = scaler.map(Scaler::end);
    let mut summary = board.borrow().summary();
    summary.executor_seconds = used.unwrap_or(0.0);
    Ok((summary, remote.address()))
}

/// Spark's processes that this run has started.
#[derive(Default)]
struct SparkHere {
    server: Option<Server>,
    _master: Option<Master>,
}

impl SparkHere {
    /// Starts a Connect server. With `[autoscale]` it is on a cluster: of this run's own, or the given one.
    async fn start(
        &mut self,
        job: &Job,
        spark: &SparkOptions,
        workers: &mut Option<Box<dyn Workers>>,
        note: &mut dyn FnMut(&str),
    ) -> Result<Remote> {
        let autoscale = &job.pipeline.autoscale;
        let folder = spark.spark_local.clone().unwrap_or_default();
        let home = spark_home(&folder)?;
        let scales = autoscale.is_written && reads_kafka(&job.pipeline);
        let (master, secret) = match &spark.spark_master {
            Some(master) => (master.clone(), None),
            None if scales => {
                let master = self._master.insert(Master::start(&home).await?);
                (master.url(), Some(master.secret().clone()))
            }
            None => (LOCAL.to_owned(), None),
        };
        let mut conf = Vec::new();
        if scales && !is_local(&master) {
            let options = worker_options(autoscale, home.clone(), master.clone(), secret.clone());
            conf = options.conf(autoscale.max_executors);
            *workers = Some(Box::new(LocalWorkers::new(options)));
        }
        if job.pipeline.sources.iter().any(|source| matches!(source.kind, SourceKind::Kafka(_))) {
            conf.extend(kafka_connector(&home, &spark.spark_conf));
        }
        conf.extend(spark.spark_conf.iter().cloned());
        let options = ServerOptions { folder, master, conf, port: 0, token: None, secret };
        let remote = self.server.insert(Server::start(&options, note).await?).remote();
        Ok(Remote { is_kept: true, ..remote })
    }

    fn page(&self) -> Option<RestApi> {
        self.server.as_ref()?.page()
    }

    /// How the server ended, if it has.
    fn end(&mut self) -> Option<Error> {
        self.server.as_mut()?.end()
    }
}

/// The master where nothing else is said.
const LOCAL: &str = "local[2]";
/// Memory of an executor where `executor_memory` is not set, MB.
const EXECUTOR_MB: u64 = 512;

fn worker_options(autoscale: &Autoscale, home: PathBuf, master: String, secret: Option<Secret>) -> WorkerOptions {
    let memory_mb = autoscale.executor_memory_bytes.map_or(EXECUTOR_MB, |bytes| (bytes >> 20).max(EXECUTOR_MB));
    WorkerOptions { home, master, cores: autoscale.executor_cores, memory_mb, secret }
}

/// Whether all sources are topics, whose ends can be seen without Spark.
fn reads_kafka(pipeline: &Pipeline) -> bool {
    pipeline.sources.iter().all(|source| matches!(source.kind, SourceKind::Kafka(_)))
}

/// What shows the executors, and with `[autoscale]` decides about them; `None` where there is nothing to show.
async fn scaler(
    job: &Job,
    plan: &Plan,
    workers: Option<Box<dyn Workers>>,
    page: Option<RestApi>,
    session: &Session,
    observer: &mut RunObserver,
) -> Result<Option<Scaler>> {
    let autoscale = &job.pipeline.autoscale;
    let mut autoscale = autoscale.clone();
    if autoscale.is_written && !reads_kafka(&job.pipeline) {
        observer.note("[autoscale] needs sources of type kafka on Spark, so the cluster keeps its size");
        autoscale.is_written = false;
    }
    let api = match (&plan.spark.spark_ui, page, &plan.remote) {
        (Some(address), ..) => RestApi::parse(address)?,
        (None, Some(page), _) => page,
        (None, None, Some(remote)) => {
            let port = session.option("spark.ui.port").await?.and_then(|port| port.parse().ok());
            RestApi::at(&remote.host, port.unwrap_or(RestApi::default_port()))
        }
        (None, None, None) => return Ok(None),
    };
    let workers = match (workers, &autoscale.hooks) {
        (Some(workers), _) => workers,
        (None, Some(hooks)) if autoscale.is_written && autoscale.mode != ScaleMode::Advisory => {
            Box::new(HookWorkers::new(hooks.clone())) as Box<dyn Workers>
        }
        _ => {
            if autoscale.is_written && autoscale.mode != ScaleMode::Advisory {
                observer.note(
                    "[autoscale] has no scale_up and scale_down, so the cluster keeps its size, and decisions are only shown",
                );
            }
            Box::new(ForeignWorkers::default())
        }
    };
    Ok(Some(Scaler::new(&autoscale, workers, api)))
}

/// The run's last message.
fn ended(summary: &Summary, address: &str) -> String {
    format!(
        "ended: {} in {}, {} out · age p50 {} ms, p99 {} ms · {:.1} executor-seconds · on Spark at {address}",
        counted(summary.records, "record"),
        counted(summary.batches, "batch"),
        counted(summary.rows, "row"),
        summary.age_p50_ms,
        summary.age_p99_ms,
        summary.executor_seconds
    )
}

fn detached(options: &RunOptions, address: &str, scales: bool) -> String {
    let file = options.pipeline.display();
    let checkpoint = options.checkpoint.as_ref().map(|dir| format!(" --checkpoint '{}'", dir.display()));
    let checkpoint = checkpoint.unwrap_or_default();
    let workers =
        if scales { "the cluster keeps its size until then: no client runs that would change it\n" } else { "" };
    format!(
        "the query runs on Spark; its rows wait in the checkpoint's outbox\n\
         take it over:  tidemill run {file} --engine spark --spark-remote '{address}'{checkpoint}\n\
         stop it:       the same, then Ctrl-C\n\
         {workers}\
         Spark stops it when no client has asked for it within the server's session timeout (60 minutes by default): start the \
         Connect server with spark.connect.session.manager.defaultSessionTimeout=-1 to let it run"
    )
}

/// Where the query's checkpoint is.
struct Place {
    /// A path or URI that Spark reaches.
    checkpoint: String,
    /// Removed at the end.
    temporary: Option<tempfile::TempDir>,
}

impl Place {
    /// A checkpoint that is named, or a temporary one.
    fn of(named: Option<String>, detach: bool, reach: Reach) -> Result<Place> {
        match (named, reach) {
            (Some(checkpoint), _) if checkpoint.contains("://") => Ok(Place { checkpoint, temporary: None }),
            (Some(checkpoint), Reach::SameMachine) => {
                let dir = std::path::absolute(PathBuf::from(checkpoint))?;
                refuse_local_checkpoint(&dir)?;
                Ok(Place { checkpoint: dir.to_string_lossy().into_owned(), temporary: None })
            }
            (Some(checkpoint), Reach::Elsewhere) if checkpoint.starts_with('/') => {
                Ok(Place { checkpoint, temporary: None })
            }
            (None, Reach::SameMachine) if !detach => {
                let temporary = tempfile::Builder::new().prefix("tidemill-checkpoint-").tempdir()?;
                let checkpoint = temporary.path().to_string_lossy().into_owned();
                Ok(Place { checkpoint, temporary: Some(temporary) })
            }
            _ => Err(Error::user(
                "Spark needs a checkpoint that every machine of the cluster reaches: give --checkpoint an absolute path on a \
                 shared disk, or a URI such as hdfs://… or s3a://…",
            )),
        }
    }
}

impl Place {
    /// Its folder on this machine, if it stays.
    fn folder(&self) -> Option<PathBuf> {
        let stays = self.temporary.is_none() && !self.checkpoint.contains("://");
        Some(PathBuf::from(&self.checkpoint)).filter(|dir| stays && dir.is_dir())
    }
}

/// The folder of the usage log, in a checkpoint.
const USAGE: &str = "usage";

/// The two engines' checkpoints cannot be read by one another.
fn refuse_local_checkpoint(dir: &Path) -> Result<()> {
    let mut names = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.file_name());
    match names.any(|name| name != "spark" && name != "outbox" && name != USAGE) {
        true => Err(Error::user(format!(
            "{} holds something else than a checkpoint of the Spark engine; name another directory with --checkpoint: the \
             engines do not read each other's checkpoints",
            dir.display()
        ))),
        false => Ok(()),
    }
}

/// Takes the batches of a run.
struct RunHost<'a> {
    sinks: Vec<Sink>,
    inbox: Receiver<Command>,
    /// Commands for the autoscaler.
    asked: &'a RefCell<VecDeque<Command>>,
    stopping: bool,
    /// Whether somebody hears the commands and shows the board.
    scales: bool,
    board: &'a RefCell<Board>,
}

impl RunHost<'_> {
    /// Publishes what the sinks have gathered: what is due, or `all`.
    fn publish(&mut self, all: bool) -> Result<()> {
        self.sinks.iter_mut().try_for_each(|sink| sink.committer.publish(all).map(drop))
    }
}

impl Host for RunHost<'_> {
    fn begin(&mut self, query_id: &str) -> Result<()> {
        self.sinks.iter_mut().try_for_each(|sink| sink.committer.begin(query_id))
    }

    fn batch(&mut self, progress: &Progress, rows: Option<&RecordBatch>) -> Result<()> {
        if let Some(rows) = rows {
            self.sinks.iter_mut().try_for_each(|sink| sink.write(progress.batch_id, rows, false))?;
            self.publish(false)?;
        }
        let mut record = progress.clone();
        if rows.is_some() {
            record.sink.description =
                self.sinks.iter().map(|sink| sink.committer.description()).collect::<Vec<_>>().join(", ");
        }
        self.board.borrow_mut().batch(record, rows);
        Ok(())
    }

    fn note(&mut self, text: &str) {
        self.board.borrow_mut().observer.note(text);
    }

    fn wants_stop(&mut self) -> bool {
        for command in self.inbox.try_iter() {
            match command {
                Command::Stop => self.stopping = true,
                command => self.asked.borrow_mut().push_back(command),
            }
        }
        if !self.scales {
            let mut board = self.board.borrow_mut();
            if self.asked.borrow_mut().drain(..).next().is_some() {
                board.observer.note("Spark's cluster keeps its size: there is no [autoscale] in the file");
            }
            board.publish();
        }
        self.stopping
    }
}
