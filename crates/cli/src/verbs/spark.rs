//! `--engine spark`: the pipeline on a Spark cluster. The sinks, the progress file and the messages are the local
//! engine's; the crate `spark` does the rest.

use super::spark_board::Board;
use crate::args::{RunOptions, SparkOptions};
use crate::observer::JsonLinesFile;
use crate::{signals, wiring};
use arrow_array::RecordBatch;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use tidemill_driver::{Job, Supervisor};
use tidemill_flow::ports::Sink;
use tidemill_model::progress::Progress;
use tidemill_model::status::Command;
use tidemill_model::{Error, Result, counted};
use tidemill_os::output::{self, Stream};
use tidemill_spark::refuse::{self, Reach};
use tidemill_spark::server::{Server, ServerOptions};
use tidemill_spark::{Host, Remote, Run, Session, SparkQuery};

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
    let remote = options.spark.spark_remote.as_deref().map(remote_of).transpose()?;
    let reach = match &remote {
        Some(remote) if !remote.is_loopback() => Reach::Elsewhere,
        _ => Reach::SameMachine,
    };
    if remote.is_none() && options.spark.spark_local.is_none() {
        return Err(Error::user(
            "--engine spark needs a Spark: --spark-remote sc://HOST:PORT, or --spark-local auto for one on this machine",
        ));
    }
    if options.detach && options.spark.spark_local.is_some() {
        return Err(Error::user("--detach needs --spark-remote: the server of --spark-local ends with the run"));
    }
    refuse::check(&job.pipeline, &job.plan, reach)?;
    let place = Place::of(options, &job, reach)?;
    tidemill_spark::block_on(started(options, &job, remote, place))?
}

/// The address, with its references resolved: a token does not belong on a command line.
fn remote_of(text: &str) -> Result<Remote> {
    let text = wiring::substituted(text).map_err(|message| Error::user(format!("--spark-remote: {message}")))?;
    Remote::parse(text.expose())
}

async fn started(options: &RunOptions, job: &Job, remote: Option<Remote>, place: Place) -> Result<()> {
    let (commands, inbox) = channel();
    let stop = commands.clone();
    signals::on_interrupt(move || drop(stop.send(Command::Stop)))?;
    let quiet = options.quiet;
    let mut say = move |text: &str| {
        if !quiet {
            output::error_line(text);
        }
    };
    say(&format!("checkpoint in {}", place.checkpoint));
    let mut supervisor = Supervisor::default();
    let listen = job.pipeline.dashboard.as_deref();
    let dashboard = listen.map(|listen| wiring::dashboard(listen, &commands, &mut supervisor)).transpose()?;
    if let Some(dashboard) = &dashboard {
        say(&format!("dashboard on {}", dashboard.url()));
    }
    let mut server = None;
    let remote = match remote {
        Some(remote) => remote,
        None => server.insert(Server::start(&server_options(&options.spark), &mut say).await?).remote(),
    };
    let session = session(&remote, &place).await?;
    let trigger = wiring::trigger(job, options.available_now);
    let query = SparkQuery::new(&job.pipeline, &job.plan, trigger, &std::env::current_dir()?);
    let run = Run {
        session: session.clone(),
        query,
        schema: job.plan.output_schema.clone(),
        checkpoint: place.checkpoint.clone(),
        detach: options.detach,
    };
    let mut host = RunHost {
        sinks: if options.detach { Vec::new() } else { wiring::sinks(job, &commands)? },
        progress: options.progress.as_deref().map(JsonLinesFile::open).transpose()?,
        streams: super::run::streams(job, quiet),
        say: Box::new(say),
        inbox,
        stopping: false,
        board: Board::new(job, dashboard),
        batches: 0,
        rows: 0,
    };
    let result = run.run(&mut host).await;
    if options.detach {
        result?;
        (host.say)(&detached(options, &session));
        return Ok(());
    }
    if let Err(error) = result.and_then(|()| host.publish(true)) {
        // Where the server has ended, its log says why.
        return Err(server.as_mut().and_then(Server::end).unwrap_or(error));
    }
    drop(session.release().await);
    (host.say)(&format!(
        "ended: {} in {}, {} out · on Spark at {}",
        counted(host.board.status.records, "record"),
        counted(host.batches, "batch"),
        counted(host.rows, "row"),
        remote.address()
    ));
    Ok(())
}

/// A session whose id follows from the checkpoint: whoever runs the same file finds the query of a client that died.
async fn session(remote: &Remote, place: &Place) -> Result<Session> {
    for attempt in 0..8 {
        let mut remote = remote.clone();
        if remote.session_id.is_none() && place.temporary.is_none() {
            remote.session_id = Some(Session::id_of(&place.checkpoint, attempt));
        }
        let session = Session::open(&remote).await?;
        match session.check_version().await {
            Ok(()) => return Ok(session),
            // The server does not take the id of an expired session again.
            Err(error) if error.message().contains("SESSION_CLOSED") => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::external("the Connect server has closed this query's sessions; restart it, or name a session_id"))
}

fn server_options(options: &SparkOptions) -> ServerOptions {
    ServerOptions {
        folder: options.spark_local.clone().unwrap_or_default(),
        master: options.spark_master.clone(),
        conf: options.spark_conf.clone(),
        port: 0,
        token: None,
    }
}

fn detached(options: &RunOptions, session: &Session) -> String {
    let file = options.pipeline.display();
    let address = session.address();
    format!(
        "the query runs on Spark; its rows wait in the checkpoint's outbox\n\
         take it over:  tidemill run {file} --engine spark --spark-remote '{address}'\n\
         stop it:       the same, then Ctrl-C\n\
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
    fn of(options: &RunOptions, job: &Job, reach: Reach) -> Result<Place> {
        let named = options.checkpoint.as_ref().map(|dir| dir.to_string_lossy().into_owned());
        match (named.or_else(|| job.pipeline.checkpoint.clone()), reach) {
            (Some(checkpoint), _) if checkpoint.contains("://") => Ok(Place { checkpoint, temporary: None }),
            (Some(checkpoint), Reach::SameMachine) => {
                let dir = std::path::absolute(PathBuf::from(checkpoint))?;
                refuse_local_checkpoint(&dir)?;
                Ok(Place { checkpoint: dir.to_string_lossy().into_owned(), temporary: None })
            }
            (Some(checkpoint), Reach::Elsewhere) if checkpoint.starts_with('/') => {
                Ok(Place { checkpoint, temporary: None })
            }
            (None, Reach::SameMachine) if !options.detach => {
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

/// The two engines' checkpoints cannot be read by one another.
fn refuse_local_checkpoint(dir: &Path) -> Result<()> {
    let mut names = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.file_name());
    match names.any(|name| name != "spark" && name != "outbox") {
        true => Err(Error::user(format!(
            "{} holds something else than a checkpoint of the Spark engine; name another directory with --checkpoint: the \
             engines do not read each other's checkpoints",
            dir.display()
        ))),
        false => Ok(()),
    }
}

/// Takes the batches of a run.
struct RunHost {
    sinks: Vec<Sink>,
    progress: Option<JsonLinesFile>,
    /// The streams that must have a reader.
    streams: Vec<Stream>,
    say: Box<dyn FnMut(&str)>,
    inbox: Receiver<Command>,
    stopping: bool,
    board: Board,
    batches: u64,
    rows: u64,
}

/// The message about a batch; `None` where there is nothing to tell.
fn batch_line(progress: &Progress) -> Option<String> {
    let (id, rows) = (progress.batch_id, counted(progress.sink.num_output_rows, "row"));
    // Spark keeps the figures of the newest batches only, and none when it is started again.
    if progress.timestamp.is_empty() {
        return Some(format!(
            "batch {id}: {rows} · committed while no client followed, so its records are not counted"
        ));
    }
    let (records, ms, backlog) = (progress.num_input_rows, progress.batch_duration, progress.tidemill.backlog);
    (records > 0 || progress.sink.num_output_rows > 0)
        .then(|| format!("batch {id}: {} in {ms} ms · {rows} · backlog {backlog}", counted(records, "record")))
}

impl RunHost {
    /// Publishes what the sinks have gathered: what is due, or `all`.
    fn publish(&mut self, all: bool) -> Result<()> {
        self.sinks.iter_mut().try_for_each(|sink| sink.committer.publish(all).map(drop))
    }
}

impl Host for RunHost {
    fn begin(&mut self, query_id: &str) -> Result<()> {
        self.sinks.iter_mut().try_for_each(|sink| sink.committer.begin(query_id))
    }

    fn batch(&mut self, progress: &Progress, rows: Option<&RecordBatch>) -> Result<()> {
        if let Some(rows) = rows {
            self.sinks.iter_mut().try_for_each(|sink| sink.write(progress.batch_id, rows, false))?;
            self.publish(false)?;
        }
        self.batches += 1;
        self.rows += progress.sink.num_output_rows;
        let mut record = progress.clone();
        if rows.is_some() {
            record.sink.description =
                self.sinks.iter().map(|sink| sink.committer.description()).collect::<Vec<_>>().join(", ");
        }
        if let Some(lines) = &mut self.progress {
            lines.write(&record);
        }
        self.board.batch(&record, rows);
        if let Some(line) = batch_line(progress) {
            (self.say)(&line);
        }
        Ok(())
    }

    fn note(&mut self, text: &str) {
        (self.say)(text);
    }

    fn wants_stop(&mut self) -> bool {
        self.stopping |= self.inbox.try_iter().any(|command| matches!(command, Command::Stop));
        if !self.stopping && self.streams.iter().any(|stream| stream.is_abandoned()) {
            output::error_line(wiring::ABANDONED);
            self.stopping = true;
        }
        self.board.publish();
        self.stopping
    }
}
