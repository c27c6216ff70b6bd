//! Builds the parts of a pipeline from its file: typed plan, watched sources, sinks and readers.

use crate::group_offsets::GroupOffsets;
use arrow_schema::Schema;
use std::env::VarError;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;
use tidemill_config::Reference;
use tidemill_dash::Dashboard;
use tidemill_driver::{Job, Role, Source, Supervisor};
use tidemill_files::{ConsoleOptions, ConsoleSink, FilesSink, FormatWriter, NoneSink, Roll, console_writer};
use tidemill_files::{FilesDeadLetterCommitter, FilesDeadLetterWriter, FilesOptions, FilesReader, FilesWatch};
use tidemill_flow::kafka_columns;
use tidemill_flow::ports::{self, DeadLetterCommitter, DeadLetterWriter, Sink, SinkCommitter, SinkWriter};
use tidemill_flow::setup::{Access, DeadLetterFiles, Encoding, Input, Setup};
use tidemill_kafka::choice::{self, Chosen, ClientChoice};
use tidemill_kafka::dead_letters as letters;
use tidemill_kafka::sink::{Layout, Target};
use tidemill_kafka::{
    Group, KafkaDeadLetterCommitter, KafkaOptions, KafkaReader, KafkaSink, KafkaWatch, RecordsWriter,
};
use tidemill_kafka::{properties, subscription};
use tidemill_model::diagnostic::Located;
use tidemill_model::pipeline::{
    self, DeadLetterTarget, Delivery, FilesSource, KafkaConnection, KafkaFormat, Position, SinkKind, SourceFormat,
    SourceKind, StartingOffsets, Topics,
};
use tidemill_model::status::Command as UserCommand;
use tidemill_model::{Diagnostics, Error, Pipeline, Result, Secret};
use tidemill_os::output;
use tidemill_sql::plan::{BranchPlan, QueryPlan};
use tidemill_sql::types;

/// Reads and plans a pipeline file.
///
/// # Errors
/// User: the file cannot be read, or has mistakes. The error lists all of them with their positions.
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
    let pipeline = tidemill_config::parse_with(file, text, set, &look_up)?;
    check_clients(&pipeline)?;
    let plan = tidemill_sql::plan(&pipeline)?;
    for sink in &pipeline.sinks {
        refuse_columns(&pipeline, sink, &plan.output_schema)?;
    }
    Ok(Job { trigger: pipeline.query.trigger, plan: Arc::new(plan), pipeline: Arc::new(pipeline) })
}

/// Resolves a reference in a pipeline file.
fn look_up(reference: Reference<'_>) -> std::result::Result<Secret, String> {
    match reference {
        Reference::Env(name) => match std::env::var(name) {
            Ok(value) => Ok(Secret::new(value)),
            Err(VarError::NotPresent) => {
                Err(format!("the environment variable `{name}` is not set; set it, or write the value here"))
            }
            Err(VarError::NotUnicode(_)) => {
                Err(format!("the environment variable `{name}` is not UTF-8; set it again"))
            }
        },
        Reference::File(path) => match std::fs::read_to_string(path) {
            Ok(text) => {
                let line = text.strip_suffix('\n').unwrap_or(&text);
                Ok(Secret::new(line.strip_suffix('\r').unwrap_or(line)))
            }
            Err(error) => Err(format!("the file `{path}` cannot be read: {error}; give the path of a text file")),
        },
    }
}

/// A text of the command line with its references resolved.
pub(crate) fn substituted(text: &str) -> std::result::Result<Secret, String> {
    tidemill_config::substituted(text, &look_up)
}

/// Fails if a client property is unknown or has an invalid value, or if the properties do not go together.
fn check_clients(pipeline: &Pipeline) -> Result<()> {
    let mut faults = Vec::new();
    for source in &pipeline.sources {
        if let SourceKind::Kafka(kafka) = &source.kind
            && let Topics::Matching(pattern) = &kafka.topics
            && let Err(why) = subscription::compiled(&pattern.text)
        {
            let (message, help) = why.split_once("; ").expect("it says what to do");
            faults.push(pipeline.source_text.diagnostic(pattern.span.clone(), message, help));
        }
    }
    for (span, kafka) in connections(pipeline) {
        let (options, before) = (kafka_options(kafka), faults.len());
        if options.client == ClientChoice::Librdkafka && !choice::HAS_LIBRDKAFKA {
            let (what, help) = choice::WITHOUT_LIBRDKAFKA;
            faults.push(pipeline.source_text.diagnostic(span.clone(), format!("client = \"librdkafka\" {what}"), help));
            continue;
        }
        for option in &kafka.client_options {
            let Some(refused) = properties::refused(&options, &option.name, &option.value) else { continue };
            let span = if refused.is_value { &option.value_span } else { &option.key_span };
            let message = format!("`{}` {}", option.key, refused.what);
            faults.push(pipeline.source_text.diagnostic(span.clone(), message, refused.help));
        }
        if let Some(why) = properties::refused_together(&options).filter(|_| faults.len() == before) {
            let (message, help) = why.split_once("; ").unwrap_or((&why, "correct the options"));
            let of_security = |option: &&pipeline::ClientOption| option.name == "security.protocol";
            let place = kafka.client_options.iter().find(of_security).or(kafka.client_options.first());
            let span = place.map_or(span.clone(), |option| option.key_span.clone());
            faults.push(pipeline.source_text.diagnostic(span, message, help));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Diagnostics(faults).into()) }
}

/// Each Kafka cluster that the pipeline names, and where the name of the table stands.
fn connections(pipeline: &Pipeline) -> Vec<(&Range<usize>, &KafkaConnection)> {
    let sources = pipeline.sources.iter().filter_map(|source| match &source.kind {
        SourceKind::Kafka(kafka) => Some((&source.span, &kafka.connection)),
        SourceKind::Files(_) => None,
    });
    let sinks = pipeline.sinks.iter().filter_map(|sink| match &sink.kind {
        SinkKind::Kafka(kafka) => Some((&sink.span, &kafka.connection)),
        SinkKind::Console { .. } | SinkKind::Files { .. } | SinkKind::None => None,
    });
    let dead_letters = pipeline.dead_letter.iter().filter_map(|target| match target {
        DeadLetterTarget::Kafka(kafka) => Some((&kafka.span, &kafka.connection)),
        DeadLetterTarget::Files { .. } => None,
    });
    sources.chain(sinks).chain(dead_letters).collect()
}

/// Fails if a sink cannot take a column of the result.
fn refuse_columns(pipeline: &Pipeline, sink: &pipeline::Sink, schema: &Schema) -> Result<()> {
    let fault = |span: &Range<usize>, message: String, help: &str| {
        Err(Diagnostics(vec![pipeline.source_text.diagnostic(span.clone(), message, help)]).into())
    };
    let (format, format_span) = match &sink.kind {
        SinkKind::Files { format, format_span, .. } => (format, format_span),
        SinkKind::Kafka(kafka) => {
            return match Layout::of(&kafka.format, kafka.topic.as_deref(), schema) {
                Ok(_) => Ok(()),
                Err(unfit) => {
                    fault(unfit.span.as_ref().unwrap_or(&pipeline.query.sql.span), unfit.message, &unfit.help)
                }
            };
        }
        SinkKind::Console { .. } | SinkKind::None => return Ok(()),
    };
    if let Some(field) = tidemill_files::unheld(*format, schema) {
        let (name, kind) = (format.name(), types::name(field.data_type()));
        let message = format!("{name} cannot store `{}`, which is {kind}", field.name());
        return fault(format_span, message, "select it as columns of other types, or write format = \"json\"");
    }
    let mut names: Vec<String> = schema.fields().iter().map(|field| field.name().to_lowercase()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            let message = format!("two columns of the result are called `{}`, and files need a name for each", pair[0]);
            fault(&pipeline.query.sql.span, message, "give one of them another name with AS")
        }
        None => Ok(()),
    }
}

/// The sources of the plan's branches, watched.
pub(crate) fn sources(job: &Job) -> Result<Vec<Source>> {
    each_source(&job.pipeline, &job.plan).map(|(number, source)| watched(&job.pipeline, number, source)).collect()
}

fn watched(pipeline: &Pipeline, number: u32, source: &pipeline::Source) -> Result<Source> {
    Ok(match &source.kind {
        SourceKind::Kafka(kafka) => Source {
            watch: Box::new(KafkaWatch::of(&kafka_options(&kafka.connection), kafka)?.of_source(number)),
            description: format!("KafkaV2[{}]", kafka.topics.description()),
            starting_offsets: match kafka.starting {
                Position::Earliest => StartingOffsets::Earliest,
                // Other positions come from the watch.
                _ => StartingOffsets::Latest,
            },
            max_offsets_per_trigger: kafka.max_offsets_per_trigger,
            min_offsets: kafka.min_offsets,
            fail_on_data_loss: kafka.fail_on_data_loss,
        },
        SourceKind::Files(files) => {
            let watch = FilesWatch::new(files_options(pipeline, number, files))?;
            Source {
                description: watch.description(),
                watch: Box::new(watch),
                starting_offsets: StartingOffsets::Earliest,
                max_offsets_per_trigger: None,
                min_offsets: None,
                fail_on_data_loss: true,
            }
        }
    })
}

/// Readers for the sources of the plan's branches, for one worker thread of an executor.
pub(crate) fn readers(setup: &Setup) -> Result<Vec<Box<dyn ports::Read>>> {
    let reader = |(number, input): (u32, &Input)| -> Result<Box<dyn ports::Read>> {
        Ok(match input {
            Input::Kafka { bootstrap_servers, client, properties, whole_records, passes_over_lost } => {
                let options = KafkaOptions {
                    client_options: properties.clone(),
                    client: *client,
                    ..KafkaOptions::new(bootstrap_servers)
                };
                // The driver was let in before it gave out the first task.
                options.let_in.note();
                let mut parts = kafka_columns::parts(setup.plan.branches[number as usize].kafka_columns.as_ref());
                if *whole_records {
                    (parts.keys, parts.headers) = (true, true);
                }
                Box::new(KafkaReader::new(&options)?.with_parts(parts).passing_over_lost(*passes_over_lost))
            }
            Input::Files { csv, header, log_dir } => Box::new(FilesReader::new(log_dir, number, *csv, *header)),
        })
    };
    (0..).zip(&setup.access.inputs).map(reader).collect()
}

/// What the executors of a job read and write themselves.
pub(crate) fn access(job: &Job) -> Access {
    let (pipeline, plan) = (&job.pipeline, &job.plan);
    Access {
        inputs: each_source(pipeline, plan).map(|(_, source)| input(pipeline, source)).collect(),
        encodings: if plan.is_stateless() { pipeline.sinks.iter().map(encoding).collect() } else { Vec::new() },
        dead_letters: pipeline.dead_letter.as_ref().map(|target| match target {
            DeadLetterTarget::Files { path } => DeadLetterFiles::Lines(path.into()),
            DeadLetterTarget::Kafka(_) => DeadLetterFiles::Frames(dead_letters_on_their_way(pipeline)),
        }),
    }
}

fn input(pipeline: &Pipeline, source: &pipeline::Source) -> Input {
    match &source.kind {
        SourceKind::Kafka(kafka) => {
            let options = kafka_options(&kafka.connection);
            Input::Kafka {
                bootstrap_servers: options.bootstrap_servers,
                client: options.client,
                properties: options.client_options,
                whole_records: matches!(pipeline.dead_letter, Some(DeadLetterTarget::Kafka(_))),
                passes_over_lost: !kafka.fail_on_data_loss,
            }
        }
        SourceKind::Files(files) => {
            let options = files_options(pipeline, 0, files);
            Input::Files { csv: options.csv, header: options.header, log_dir: options.log_dir }
        }
    }
}

/// The source of each branch, and the branch's number.
fn each_source<'a>(pipeline: &'a Pipeline, plan: &'a QueryPlan) -> impl Iterator<Item = (u32, &'a pipeline::Source)> {
    let source = |table: &str| pipeline.sources.iter().find(|source| source.name == table);
    let of = move |branch: &BranchPlan| source(&branch.table).expect("a plan reads the pipeline's sources");
    (0..).zip(plan.branches.iter().map(move |branch| of(branch)))
}

/// The consumer groups whose offsets follow the batches.
pub(crate) fn groups(job: &Job, say: impl FnMut(&str) + Clone + Send + 'static) -> Result<Vec<GroupOffsets>> {
    let mut groups = Vec::new();
    for (number, source) in each_source(&job.pipeline, &job.plan) {
        if let SourceKind::Kafka(kafka) = &source.kind
            && let Some(name) = &kafka.group_id
        {
            let group = Group::new(&kafka_options(&kafka.connection), &name.text)?;
            groups.push(GroupOffsets::start(number as usize, group, say.clone())?);
        }
    }
    Ok(groups)
}

/// A dead-letter writer for one worker thread of an executor. Executors start in the driver's directory, so a relative
/// path means the same to both.
pub(crate) fn dead_letters(setup: &Setup) -> Option<Box<dyn DeadLetterWriter>> {
    Some(Box::new(match setup.access.dead_letters.as_ref()? {
        DeadLetterFiles::Lines(dir) => FilesDeadLetterWriter::new(dir),
        DeadLetterFiles::Frames(dir) => FilesDeadLetterWriter::encoded(dir, letters::write_frame, "frames"),
    }))
}

/// Where executors write dead letters that the driver sends to a topic.
fn dead_letters_on_their_way(pipeline: &Pipeline) -> PathBuf {
    let checkpoint = pipeline.checkpoint.as_ref().expect("a run puts its checkpoint into the pipeline");
    Path::new(checkpoint).join("dead-letters")
}

/// The driver's side of the dead letters.
pub(crate) fn dead_letter_committer(pipeline: &Pipeline) -> Result<Option<Box<dyn DeadLetterCommitter>>> {
    Ok(match &pipeline.dead_letter {
        None => None,
        Some(DeadLetterTarget::Files { path }) => Some(Box::new(FilesDeadLetterCommitter::new(path)?)),
        Some(DeadLetterTarget::Kafka(kafka)) => {
            let target = Target {
                name: letters::NAME.into(),
                options: kafka_options(&kafka.connection),
                new_topic: kafka.new_topic.clone(),
                delivery: Delivery::ExactlyOnce,
            };
            let dir = dead_letters_on_their_way(pipeline);
            Some(Box::new(KafkaDeadLetterCommitter::new(target, &kafka.topic, &pipeline.name, dir)?))
        }
    })
}

/// Which client reads each Kafka source, by the source's name.
pub(crate) fn clients(pipeline: &Pipeline) -> Vec<(&str, Chosen)> {
    let chosen = |source: &'_ pipeline::Source| match &source.kind {
        SourceKind::Kafka(kafka) => Some(choice::chosen(&kafka_options(&kafka.connection))),
        SourceKind::Files(_) => None,
    };
    pipeline.sources.iter().filter_map(|source| Some((source.name.as_str(), chosen(source)?))).collect()
}

/// The cluster of the first Kafka source, if there is one.
pub(crate) fn first_source(pipeline: &Pipeline) -> Option<KafkaOptions> {
    pipeline.sources.iter().find_map(|source| match &source.kind {
        SourceKind::Kafka(kafka) => Some(kafka_options(&kafka.connection)),
        SourceKind::Files(_) => None,
    })
}

pub(crate) fn kafka_options(kafka: &KafkaConnection) -> KafkaOptions {
    let options = kafka.client_options.iter().map(|option| (option.name.clone(), option.value.clone()));
    KafkaOptions {
        bootstrap_servers: kafka.bootstrap_servers.clone(),
        client_options: options.collect(),
        client: kafka.client,
        ..KafkaOptions::default()
    }
}

fn files_options(pipeline: &Pipeline, source: u32, files: &FilesSource) -> FilesOptions {
    let checkpoint = pipeline.checkpoint.as_ref().expect("a run puts its checkpoint into the pipeline");
    FilesOptions {
        source,
        path: files.path.clone(),
        csv: matches!(files.format, SourceFormat::Csv { .. }),
        header: matches!(files.format, SourceFormat::Csv { header: true, .. }),
        max_files_per_trigger: files.max_files_per_trigger,
        log_dir: Path::new(checkpoint).join("sources"),
    }
}

/// The message of a run whose output has no reader any more.
pub(crate) const ABANDONED: &str =
    "the reader of the output is gone, so the run ends; rows that were not shown will not be shown again";

/// The pipeline's sinks. When the console's reader goes away, a stop command is sent to `commands`.
pub(crate) fn sinks(job: &Job, commands: &Sender<UserCommand>) -> Result<Vec<Sink>> {
    let encodings: Vec<Encoding> = job.pipeline.sinks.iter().map(encoding).collect();
    let writers = writers(&encodings, &job.plan)?.into_iter();
    let committers = job.pipeline.sinks.iter().map(|sink| committer(job, sink, commands));
    writers.zip(committers).map(|(writer, committer)| Ok(Sink { writer, committer: committer? })).collect()
}

/// A worker thread's halves of the sinks.
pub(crate) fn sink_writers(setup: &Setup) -> Result<Vec<Box<dyn SinkWriter>>> {
    writers(&setup.access.encodings, &setup.plan)
}

/// How a sink's rows are encoded, by an executor or by the driver.
fn encoding(sink: &pipeline::Sink) -> Encoding {
    match &sink.kind {
        SinkKind::Console { json, rows_max } => Encoding::Console { json: *json, rows_max: *rows_max },
        SinkKind::None => Encoding::None,
        SinkKind::Files { path, format, roll_bytes, roll_ms, .. } => {
            let gathers = roll(*roll_bytes, *roll_ms).is_some();
            Encoding::Files { format: *format, staged_in: (!gathers).then(|| path.clone()) }
        }
        SinkKind::Kafka(kafka) => match &kafka.format {
            KafkaFormat::Json { key_column } => Encoding::KafkaJson {
                topic: kafka.topic.clone(),
                key_column: key_column.as_ref().map(|column| column.text.clone()),
            },
            KafkaFormat::Raw => Encoding::KafkaRaw { topic: kafka.topic.clone() },
        },
    }
}

/// What encodes a query's rows for each sink.
fn writers(encodings: &[Encoding], plan: &QueryPlan) -> Result<Vec<Box<dyn SinkWriter>>> {
    let zone = plan.zone();
    let records = |format: &KafkaFormat, topic: &Option<String>| -> Result<Box<dyn SinkWriter>> {
        let writer = RecordsWriter::new(format, topic.as_deref(), &plan.output_schema, zone);
        Ok(Box::new(writer.map_err(|unfit| Error::user(format!("{}; {}", unfit.message, unfit.help)))?))
    };
    let writer = |encoding: &Encoding| -> Result<Box<dyn SinkWriter>> {
        Ok(match encoding {
            Encoding::Console { json, rows_max } => console_writer(*json, *rows_max, zone),
            Encoding::None => Box::new(NoneSink::default()),
            Encoding::Files { format, staged_in } => {
                let writer = FormatWriter::new(*format, zone, staged_in.is_none());
                Box::new(match staged_in {
                    Some(dir) => writer.staged_in(dir),
                    None => writer,
                })
            }
            Encoding::KafkaJson { topic, key_column } => {
                let key_column = key_column.as_deref().map(Located::unplaced);
                records(&KafkaFormat::Json { key_column }, topic)?
            }
            Encoding::KafkaRaw { topic } => records(&KafkaFormat::Raw, topic)?,
        })
    };
    encodings.iter().map(writer).collect()
}

fn roll(bytes: Option<u64>, ms: Option<u64>) -> Option<Roll> {
    let roll = Roll { size: bytes, interval: ms.map(Duration::from_millis) };
    (roll.size.is_some() || roll.interval.is_some()).then_some(roll)
}

fn committer(job: &Job, sink: &pipeline::Sink, commands: &Sender<UserCommand>) -> Result<Box<dyn SinkCommitter>> {
    Ok(match &sink.kind {
        SinkKind::Console { .. } if output::stdout_was_closed() => {
            return Err(Error::user(format!(
                "the sink `{}` prints to stdout, which is closed; give it somewhere to go, for instance `> rows.txt`, \
                 or write to a sink of type \"files\"",
                sink.name
            )));
        }
        SinkKind::Console { json, rows_max } => {
            let (zone, schema) = (job.plan.zone(), job.plan.output_schema.clone());
            let writer = Box::new(std::io::stdout());
            let options = ConsoleOptions { json: *json, rows_max: *rows_max, zone, schema, writer };
            let commands = commands.clone();
            let stop = move || {
                output::error_line(ABANDONED);
                drop(commands.send(UserCommand::Stop));
            };
            Box::new(ConsoleSink::new(options).on_closed(stop))
        }
        SinkKind::None => Box::new(NoneSink::default()),
        SinkKind::Files { path, format, roll_bytes, roll_ms, .. } => {
            Box::new(FilesSink::new(path, *format)?.rolling(roll(*roll_bytes, *roll_ms)))
        }
        SinkKind::Kafka(kafka) => {
            let target = Target {
                name: sink.name.clone(),
                options: kafka_options(&kafka.connection),
                new_topic: kafka.new_topic.clone(),
                delivery: kafka.delivery,
            };
            Box::new(KafkaSink::new(target, kafka.topic.clone()))
        }
    })
}

/// A dashboard, served on a thread of the run.
pub(crate) fn dashboard(
    listen: &str,
    commands: &Sender<UserCommand>,
    supervisor: &mut Supervisor,
) -> Result<Arc<Dashboard>> {
    let (dashboard, server) = Dashboard::bind(listen, commands.clone())?;
    supervisor.spawn("dashboard", Role::Needed, || server.run())?;
    Ok(Arc::new(dashboard))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executors_learn_no_password_that_only_the_driver_uses() {
        let text = r#"
            [sources.t]
            type = "kafka"
            bootstrap_servers = "localhost:9092"
            topic = "in"
            schema = "k STRING"
            options = { "sasl.password" = "of-the-source" }
            [query]
            sql = "SELECT k FROM t"
            [sinks.out]
            type = "kafka"
            bootstrap_servers = "localhost:9092"
            topic = "out"
            format = "json"
            options = { "sasl.password" = "of-the-sink" }
            [dead_letter]
            type = "kafka"
            bootstrap_servers = "localhost:9092"
            topic = "letters"
            options = { "sasl.password" = "of-the-letters" }
            [checkpoint]
            path = "checkpoint"
        "#;
        let check = |sql: &str, encodings: usize| {
            let job = plan("p.toml", &text.replace("SELECT k FROM t", sql), &[]).unwrap();
            let setup = Setup { plan: job.plan.clone(), on_error: job.pipeline.on_error, access: access(&job) };
            let bytes = setup.to_bytes();
            let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
            assert_eq!(setup.access.encodings.len(), encodings, "{sql}");
            assert!(holds("of-the-source"), "{sql}");
            assert!(!holds("of-the-sink") && !holds("of-the-letters") && !holds("SELECT"), "{sql}");
            assert!(!format!("{setup:?}").contains("of-the-source"), "{sql}");
            let sent = Setup::from_bytes(&bytes).unwrap();
            assert_eq!(sent.plan.describe(), job.plan.describe(), "{sql}");
            assert!(Setup::from_bytes(&bytes[..bytes.len() / 2]).is_err(), "{sql}");
        };
        check("SELECT k FROM t", 1);
        check("SELECT k FROM t LIMIT 5", 0);
    }
}
