//! A pipeline as one streaming query of Spark: a value that can be printed, made without Spark.
//!
//! ```text
//!  DataSource ─► view tidemill_raw_NAME ─► SELECT from_json … AS event time ─► WithWatermark ─► view NAME
//!                                                     the pipeline's SQL over the views, word for word ─┘─► sink
//! ```
//! Values are read as by the local engine, whose rules were taken from these same calls.

use crate::relation::{self, DataSource, identifier, quoted};
use spark_connect_proto as proto;
use std::fmt::{self, Write as _};
use std::path::Path;
use tidemill_model::Pipeline;
use tidemill_model::pipeline::{
    FilesSource, KafkaSource, Position, SinkKind, Source, SourceFormat, SourceKind, Topics, Trigger, ValueFormat,
};
use tidemill_sql::plan::QueryPlan;

/// Longer than any file is old: a file never becomes too old to be read.
const FILE_AGE_MAX: &str = "36500d";

/// The streaming query.
#[derive(Clone, Debug)]
pub struct SparkQuery {
    /// The pipeline's name.
    pub name: String,
    /// Options of the session.
    pub options: Vec<(&'static str, String)>,
    /// The sources, in the file's order.
    pub views: Vec<View>,
    /// The pipeline's SQL.
    pub sql: String,
    /// Number of columns of the result.
    pub columns: usize,
    /// `append`, `update`, `complete`.
    pub output_mode: &'static str,
    /// When batches are due.
    pub trigger: Trigger,
    /// Whether the rows are needed. If not, Spark drops them.
    pub needs_rows: bool,
}

/// A source as a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The name that the pipeline's SQL reads.
    pub name: String,
    /// What Spark reads.
    pub raw: DataSource,
    /// The SELECT over [`View::raw_name`].
    pub select: String,
    /// The column of the event time and its expression. It takes the place of a column of this name.
    pub event_time: Option<(String, String)>,
    /// Column and delay of the watermark.
    pub watermark: Option<(String, String)>,
}

impl View {
    /// The view of the source as Spark reads it.
    pub fn raw_name(&self) -> String {
        format!("tidemill_raw_{}", self.name)
    }

    /// The view's plan.
    pub(crate) fn relation(&self) -> proto::Relation {
        let mut rows = relation::sql(&self.select);
        if let Some((column, expression)) = &self.event_time {
            rows = relation::with_column(rows, column, expression);
        }
        match &self.watermark {
            Some((column, delay)) => relation::with_watermark(rows, column, delay),
            None => rows,
        }
    }
}

impl SparkQuery {
    /// The query of a pipeline. Relative paths of sources are taken from `directory`.
    pub fn new(pipeline: &Pipeline, plan: &QueryPlan, trigger: Trigger, directory: &Path) -> SparkQuery {
        let options = vec![
            ("spark.sql.session.timeZone", pipeline.session_time_zone.text.clone()),
            ("spark.sql.ansi.enabled", "true".into()),
            ("spark.sql.streaming.noDataMicroBatches.enabled", pipeline.query.no_data_batches.to_string()),
            ("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS".into()),
            ("spark.sql.parquet.datetimeRebaseModeInWrite", "CORRECTED".into()),
            ("spark.sql.parquet.datetimeRebaseModeInRead", "CORRECTED".into()),
        ];
        SparkQuery {
            name: pipeline.name.clone(),
            options,
            views: pipeline.sources.iter().map(|source| view(source, plan, directory)).collect(),
            sql: pipeline.query.sql.text.clone(),
            columns: plan.output_schema.fields().len(),
            output_mode: plan.output_mode.name(),
            trigger,
            needs_rows: pipeline.sinks.iter().any(|sink| sink.kind != SinkKind::None),
        }
    }

    /// The result, with columns named by position: names may repeat in a result, and must not in files.
    pub(crate) fn relation(&self) -> proto::Relation {
        relation::to_df(relation::sql(&self.sql), (0..self.columns).map(column_name).collect())
    }

    /// The trigger's message.
    pub(crate) fn trigger(&self) -> proto::write_stream_operation_start::Trigger {
        use proto::write_stream_operation_start::Trigger as Message;
        match self.trigger {
            Trigger::AsSoonAsPossible => Message::ProcessingTimeInterval("0 seconds".into()),
            Trigger::Every(ms) => Message::ProcessingTimeInterval(format!("{ms} milliseconds")),
            Trigger::AvailableNow => Message::AvailableNow(true),
        }
    }
}

/// Prints what Spark is told. Values of Kafka's options are hidden: they may be passwords.
impl fmt::Display for SparkQuery {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |label: &str, text: &str| writeln!(out, "{label:<12} {}", text.trim().replace('\n', " "));
        for (key, value) in &self.options {
            line("set", &format!("{key} = {value}"))?;
        }
        for view in &self.views {
            let DataSource { format, schema, options, paths } = &view.raw;
            let mut text = format!("{} = {format}", view.raw_name());
            for path in paths {
                write!(text, " {path}")?;
            }
            for (key, value) in options {
                let is_hidden = key.starts_with("kafka.") && key != "kafka.bootstrap.servers";
                write!(text, " {key}={}", if is_hidden { "***" } else { value })?;
            }
            if let Some(schema) = schema {
                write!(text, " ({})", schema.trim())?;
            }
            line("read stream", &text)?;
            line("view", &format!("{} = {}", view.name, view.select))?;
            if let Some((column, expression)) = &view.event_time {
                line("event time", &format!("{column} = {expression}"))?;
            }
            if let Some((column, delay)) = &view.watermark {
                line("watermark", &format!("{delay} behind {column}"))?;
            }
        }
        line("query", &self.sql)?;
        line("mode", self.output_mode)
    }
}

/// The name of a column in the outbox.
pub(crate) fn column_name(index: usize) -> String {
    format!("c{index}")
}

fn view(source: &Source, plan: &QueryPlan, directory: &Path) -> View {
    let name = source.name.clone();
    let (raw, rows) = match &source.kind {
        SourceKind::Kafka(kafka) => (kafka_source(kafka), kafka_rows(source, kafka)),
        SourceKind::Files(files) => (files_source(source, files, directory), files_rows(source, files)),
    };
    let raw_name = format!("tidemill_raw_{name}");
    let select = rows.replace("{raw}", &identifier(&raw_name));
    let event_time = source.event_time.as_ref();
    let event_time = event_time.map(|time| (time.column.text.clone(), time.expression.text.clone()));
    let delay = plan.branches.iter().find(|branch| branch.table == name);
    let watermark = delay.and_then(|branch| {
        let time = branch.event_time.as_ref()?;
        Some((time.name.clone(), format!("{} milliseconds", time.delay_ms?)))
    });
    View { name, raw, select, event_time, watermark }
}

fn kafka_source(kafka: &KafkaSource) -> DataSource {
    let topics = match &kafka.topics {
        Topics::Named(topics) => ("subscribe", topics.join(",")),
        Topics::Matching(pattern) => ("subscribePattern", pattern.text.clone()),
        Topics::Assigned(partitions) => ("assign", serde_json::json!(partitions).to_string()),
    };
    let starting = match &kafka.starting {
        Position::Earliest => ("startingOffsets", "earliest".into()),
        Position::Latest => ("startingOffsets", "latest".into()),
        Position::Offsets(offsets) => ("startingOffsets", serde_json::json!(offsets).to_string()),
        Position::Timestamp(timestamp) => ("startingTimestamp", timestamp.to_string()),
        Position::Timestamps(timestamps) => ("startingOffsetsByTimestamp", serde_json::json!(timestamps).to_string()),
    };
    let servers = ("kafka.bootstrap.servers", kafka.connection.bootstrap_servers.clone());
    let mut options: Vec<(String, String)> =
        [servers, topics, starting].map(|(name, value)| (name.to_owned(), value)).into();
    let mut set = |name: &str, value: String| options.push((name.to_owned(), value));
    if kafka.starts_at_end_without_match {
        set("startingOffsetsByTimestampStrategy", "latest".into());
    }
    if let Some(offsets) = kafka.max_offsets_per_trigger {
        set("maxOffsetsPerTrigger", offsets.to_string());
    }
    if let Some(least) = kafka.min_offsets {
        set("minOffsetsPerTrigger", least.offsets.to_string());
        set("maxTriggerDelay", format!("{}ms", least.delay_max_ms));
    }
    if !kafka.fail_on_data_loss {
        set("failOnDataLoss", "false".into());
    }
    if kafka.include_headers {
        set("includeHeaders", "true".into());
    }
    options.extend(crate::kafka_options::for_java(&kafka.connection.client_options));
    DataSource { format: "kafka".into(), options, ..DataSource::default() }
}

fn kafka_rows(source: &Source, kafka: &KafkaSource) -> String {
    let headers = if kafka.include_headers { ", headers" } else { "" };
    let Some(schema) = &source.schema else {
        return match kafka.format {
            ValueFormat::Text => format!(
                "SELECT key, CAST(value AS STRING) AS value, topic, partition, offset, timestamp, timestampType{headers} \
                 FROM {{raw}}"
            ),
            _ => "SELECT * FROM {raw}".into(),
        };
    };
    let own = kafka.metadata_column.as_ref().map(|name| {
        let columns = "key, value, topic, partition, offset, timestamp, timestampType";
        (format!(", struct({columns}{headers}) AS own"), format!(", own AS {}", identifier(&name.text)))
    });
    let (inner, outer) = own.unwrap_or_default();
    let (text, corrupt) = ("CAST(value AS STRING)", &source.corrupt_record_column.text);
    let row = match kafka.format {
        ValueFormat::Csv { separator } => from_csv(text, &schema.text, separator, corrupt),
        _ => from_json(text, &schema.text, corrupt),
    };
    format!("SELECT row.*{outer} FROM (SELECT {row} AS row{inner} FROM {{raw}})")
}

fn files_source(source: &Source, files: &FilesSource, directory: &Path) -> DataSource {
    let path = match is_absolute(&files.path) {
        true => files.path.clone(),
        false => directory.join(&files.path).to_string_lossy().into_owned(),
    };
    let mut options = vec![("maxFileAge".to_owned(), FILE_AGE_MAX.to_owned())];
    if let Some(files) = files.max_files_per_trigger {
        options.push(("maxFilesPerTrigger".into(), files.to_string()));
    }
    let (format, schema) = match files.format {
        SourceFormat::Json => ("text", None),
        SourceFormat::Csv { header, separator } => {
            let corrupt = source.corrupt_record_column.text.clone();
            options.push(("header".into(), header.to_string()));
            options.push(("sep".into(), separator.to_string()));
            options.push(("mode".into(), "PERMISSIVE".into()));
            options.push(("columnNameOfCorruptRecord".into(), corrupt));
            ("csv", source.schema.as_ref().map(|schema| schema.text.clone()))
        }
    };
    DataSource { format: format.into(), schema, options, paths: vec![path] }
}

/// Whether a path means the same wherever it is read: it begins with `/`, or has a scheme as in `s3a://`.
pub(crate) fn is_absolute(path: &str) -> bool {
    path.starts_with('/') || path.contains("://")
}

fn files_rows(source: &Source, files: &FilesSource) -> String {
    match (&files.format, &source.schema) {
        (SourceFormat::Json, Some(schema)) => {
            let json = from_json("value", &schema.text, &source.corrupt_record_column.text);
            format!("SELECT row.* FROM (SELECT {json} AS row FROM {{raw}})")
        }
        _ => "SELECT * FROM {raw}".into(),
    }
}

fn from_csv(value: &str, schema: &str, separator: char, corrupt: &str) -> String {
    let separator = quoted(&separator.to_string());
    let options =
        format!("map('mode', 'PERMISSIVE', 'sep', {separator}, 'columnNameOfCorruptRecord', {})", quoted(corrupt));
    format!("from_csv({value}, {}, {options})", quoted(schema))
}

fn from_json(value: &str, schema: &str, corrupt: &str) -> String {
    let options = format!("map('mode', 'PERMISSIVE', 'columnNameOfCorruptRecord', {})", quoted(corrupt));
    format!("from_json({value}, {}, {options})", quoted(schema))
}
