//! What a pipeline is wired of: its file becomes a typed plan, a watched source, sinks and readers.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use tidemill_driver::Job;
use tidemill_files::{ConsoleOptions, ConsoleSink, FilesSink};
use tidemill_flow::ports::{self, Sink, Watch};
use tidemill_kafka::{KafkaOptions, KafkaReader, KafkaWatch};
use tidemill_model::pipeline::{KafkaSource, SinkKind, SourceKind, Trigger};
use tidemill_model::status::Command as UserCommand;
use tidemill_model::{Error, Pipeline, Result};

/// Reads and plans a pipeline file.
///
/// # Errors
/// User: the file cannot be read, or has mistakes: all of them, each at its place.
pub(crate) fn load(path: &Path, set: &[(String, String)]) -> Result<Job> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::user(format!("{}: {error}; give the path of a pipeline file", path.display())))?;
    plan(&path.display().to_string(), &text, set)
}

/// Plans a pipeline's text.
///
/// # Errors
/// As [`load`].
pub(crate) fn plan(file: &str, text: &str, set: &[(String, String)]) -> Result<Job> {
    let environment = |name: &str| std::env::var(name).ok();
    let pipeline = Pipeline::parse_with(file, text, set, &environment)?;
    let plan = tidemill_sql::plan(&pipeline)?;
    let SourceKind::Kafka(kafka) = &pipeline.sources[0].kind;
    Ok(Job {
        trigger: pipeline.query.trigger,
        starting_offsets: kafka.starting_offsets,
        max_offsets_per_trigger: kafka.max_offsets_per_trigger,
        plan: Arc::new(plan),
        pipeline: Arc::new(pipeline),
    })
}

/// A source, watched, and what progress records call it.
pub(crate) fn watch(pipeline: &Pipeline) -> Result<(Box<dyn Watch>, String)> {
    let SourceKind::Kafka(kafka) = &pipeline.sources[0].kind;
    let watch = KafkaWatch::new(&kafka_options(kafka), &kafka.topic)?;
    Ok((Box::new(watch), format!("KafkaV2[Subscribe[{}]]", kafka.topic)))
}

/// A reader of the source, for one worker thread of an executor.
pub(crate) fn reader(pipeline: &Pipeline) -> Result<Box<dyn ports::Read>> {
    let SourceKind::Kafka(kafka) = &pipeline.sources[0].kind;
    Ok(Box::new(KafkaReader::new(&kafka_options(kafka))?))
}

fn kafka_options(kafka: &KafkaSource) -> KafkaOptions {
    KafkaOptions { bootstrap_servers: kafka.bootstrap_servers.clone(), client_options: kafka.client_options.clone() }
}

/// The pipeline's sinks. When the console's reader goes away, `commands` is told to stop.
pub(crate) fn sinks(pipeline: &Pipeline, commands: &Sender<UserCommand>) -> Result<Vec<Box<dyn Sink>>> {
    let sink = |sink: &tidemill_model::pipeline::Sink| -> Result<Box<dyn Sink>> {
        Ok(match &sink.kind {
            SinkKind::Console { json, rows_max } => {
                let options = ConsoleOptions { json: *json, rows_max: *rows_max, writer: Box::new(std::io::stdout()) };
                let commands = commands.clone();
                let stop = move || drop(commands.send(UserCommand::Stop));
                Box::new(ConsoleSink::new(options).on_closed(stop))
            }
            SinkKind::Files { path } => Box::new(FilesSink::new(path)?),
        })
    };
    pipeline.sinks.iter().map(sink).collect()
}

/// The trigger that a run uses: `--available-now` goes before the file's.
pub(crate) fn trigger(job: &Job, available_now: bool) -> Trigger {
    if available_now { Trigger::AvailableNow } else { job.trigger }
}
