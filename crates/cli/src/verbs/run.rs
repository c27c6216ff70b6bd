//! `tidemill run FILE`: runs a pipeline until Ctrl-C or until its trigger ends it.

use crate::args::RunOptions;
use crate::observer::{JsonLinesFile, Readers, RunObserver, TextLog};
use crate::usage::UsageLog;
use crate::{children, signals, wiring};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use tidemill_checkpoint::SNAPSHOT_BYTES_MIN;
use tidemill_checkpoint::disk::OsDisk;
use tidemill_driver::{Job, SNAPSHOT_PART_BYTES_MIN, SnapshotWriter, Summary, Supervisor, Wiring};
use tidemill_model::pipeline::SinkKind;
use tidemill_model::status::Command;
use tidemill_model::{Error, Result, counted};
use tidemill_os::output::{self, Stream};

pub(crate) fn run(options: &RunOptions) -> Result<()> {
    if options.engine == "spark" {
        return super::spark::run(options);
    }
    refuse_options_of_spark(options)?;
    let mut set = set(options)?;
    let job = wiring::load(&options.pipeline, &set)?;
    let (dir, temporary) = checkpoint(options, &job)?;
    // Executors of a files source read its log in the checkpoint, so they need the path.
    set.push(("checkpoint.path".into(), toml_string(&dir)?));
    let job = wiring::load(&options.pipeline, &set)?;
    let (commands, inbox) = channel();
    let stop = commands.clone();
    signals::on_interrupt(move || drop(stop.send(Command::Stop)))?;
    let quiet = options.quiet;
    let say = move |text: &str| {
        if !quiet {
            output::error_line(text);
        }
    };
    match &temporary {
        Some(_) => say("no --checkpoint given: the run uses a temporary one and deletes it at the end"),
        None => say(&format!("checkpoint in {}", dir.display())),
    }
    // Locked first: a sink may hold what another driver is writing.
    let disk = Arc::new(OsDisk::open(&dir)?);
    let sinks = wiring::sinks(&job, &commands)?;
    let dead_letters = wiring::dead_letter_committer(&job.pipeline)?;
    let mut supervisor = Supervisor::default();
    let dashboard = job.pipeline.dashboard.as_deref();
    let dashboard = dashboard.map(|listen| wiring::dashboard(listen, &commands, &mut supervisor)).transpose()?;
    if let Some(dashboard) = &dashboard {
        say(&format!("dashboard on {}", dashboard.url()));
    }
    let observer = RunObserver {
        progress: options.progress.as_deref().map(JsonLinesFile::open).transpose()?,
        decisions: options.decisions.as_deref().map(JsonLinesFile::open).transpose()?,
        dashboard,
        readers: Some(Readers::new(streams(&job, quiet), commands)),
        usage: temporary.is_none().then(|| UsageLog::new(&dir)),
        log: Some(TextLog::new(true, say)),
        groups: wiring::groups(&job, say)?,
        ..RunObserver::default()
    };
    let sources = wiring::sources(&job)?;
    let (spawn, limits) = children::spawn(&job.pipeline.autoscale)?;
    say(&format!("limits of an executor: {limits}"));
    let wiring = Wiring {
        sources,
        sinks,
        dead_letters,
        access: wiring::access(&job),
        disk,
        snapshot_bytes_min: SNAPSHOT_BYTES_MIN,
        snapshot_part_bytes_min: SNAPSHOT_PART_BYTES_MIN,
        snapshot_writer: SnapshotWriter::Thread,
        spawn,
        limits: limits.clone(),
        commands: inbox,
        observer: Box::new(observer),
        supervisor,
    };
    let summary = tidemill_driver::run(job, wiring)?;
    say(&ended(&summary, &limits));
    Ok(())
}

fn refuse_options_of_spark(options: &RunOptions) -> Result<()> {
    let spark = &options.spark;
    let given = spark.spark_remote.is_some() || spark.spark_local.is_some() || !spark.spark_conf.is_empty();
    match given || options.detach {
        true => Err(Error::user("--spark-… and --detach are for Spark; add --engine spark")),
        false => Ok(()),
    }
}

/// The run's last message.
fn ended(summary: &Summary, limits: &str) -> String {
    let dead_letters = match summary.dead_letters {
        0 => String::new(),
        count => format!(" · {}", counted(count, "dead letter")),
    };
    format!(
        "ended: {} in {}, {} out{dead_letters} · age p50 {} ms, p99 {} ms · {:.1} executor-seconds · limits: \
         {limits}",
        counted(summary.records, "record"),
        counted(summary.batches, "batch"),
        counted(summary.rows, "row"),
        summary.age_p50_ms,
        summary.age_p99_ms,
        summary.executor_seconds
    )
}

/// The streams that must have a reader. Without one, the run has no purpose.
pub(super) fn streams(job: &Job, quiet: bool) -> Vec<Stream> {
    let console = job.pipeline.sinks.iter().any(|sink| matches!(sink.kind, SinkKind::Console { .. }));
    [(console, Stream::Out), (!quiet, Stream::Err)]
        .into_iter()
        .filter_map(|(used, stream)| used.then_some(stream))
        .collect()
}

/// The `--set` values. `--json` sets the json option of every console sink.
pub(super) fn set(options: &RunOptions) -> Result<Vec<(String, String)>> {
    let mut set = options.set.clone();
    if options.available_now {
        set.push(("query.trigger".into(), "available now".into()));
    }
    if options.json {
        let pipeline = wiring::load(&options.pipeline, &set)?.pipeline;
        let consoles = pipeline.sinks.iter().filter(|sink| matches!(sink.kind, SinkKind::Console { .. }));
        set.extend(consoles.map(|sink| (format!("sinks.{}.json", sink.name), "true".into())));
    }
    Ok(set)
}

/// A path as the text of a TOML string.
fn toml_string(path: &Path) -> Result<String> {
    let text = path.to_str().ok_or_else(|| {
        Error::user(format!("the checkpoint's path {} is not UTF-8; name another directory", path.display()))
    })?;
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// The checkpoint directory: from the option, from the file, or a temporary one that lives as long as the second value.
fn checkpoint(options: &RunOptions, job: &Job) -> Result<(PathBuf, Option<tempfile::TempDir>)> {
    let named = options.checkpoint.clone().or_else(|| job.pipeline.checkpoint.as_ref().map(PathBuf::from));
    if let Some(dir) = named {
        return Ok((dir, None));
    }
    let temporary = tempfile::Builder::new().prefix("tidemill-checkpoint-").tempdir()?;
    Ok((temporary.path().to_owned(), Some(temporary)))
}
