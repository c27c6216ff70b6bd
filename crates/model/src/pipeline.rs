//! A parsed pipeline file: names, options and texts, each with its position in the file.
//!
//! The crate `config` parses TOML into these types and refuses unknown keys. DDL, SQL and expressions stay text here
//! ([`Located`]); the crate `sql` parses them.

use crate::diagnostic::{Located, SourceText};
use crate::interval::Interval;
pub use crate::kafka_source::{Ending, KafkaSource, MinOffsets, Position, Topics, ValueFormat};
use crate::secret::Secret;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A pipeline file.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// The file and the `--set` values, for messages.
    pub source_text: SourceText,
    /// `name`, defaults to the file's stem.
    pub name: String,
    /// `session_time_zone`, default `UTC`; the crate `sql` resolves the name.
    pub session_time_zone: Located,
    /// `on_error`.
    pub on_error: OnError,
    /// `[sources.NAME]`, in the file's order; at least one.
    pub sources: Vec<Source>,
    /// `[query]`.
    pub query: Query,
    /// `[sinks.NAME]`, in the file's order; at least one.
    pub sinks: Vec<Sink>,
    /// `[dead_letter]`: where broken records go. Without it they are only counted.
    pub dead_letter: Option<DeadLetterTarget>,
    /// `[checkpoint] path`.
    pub checkpoint: Option<String>,
    /// `[state] memory_max` in bytes: the run ends when the state takes more. `None`: no limit.
    pub state_bytes_max: Option<u64>,
    /// `[dashboard] listen`.
    pub dashboard: Option<String>,
    /// `[autoscale]`.
    pub autoscale: Autoscale,
}

/// What happens to a row whose expression fails under ANSI rules (rule T3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnError {
    /// `"drop"`: the row is counted, set aside and left out.
    #[default]
    Drop,
    /// `"fail"`: the query fails, as Spark's does.
    Fail,
}

/// `[sources.NAME]`.
#[derive(Clone, Debug)]
pub struct Source {
    /// The table name that the query reads.
    pub name: String,
    /// Where the name stands in the file.
    pub span: Range<usize>,
    /// `type` with the options of that type.
    pub kind: SourceKind,
    /// `schema`: Spark DDL of the value's columns. `None`: a Kafka source whose columns are Kafka's own.
    pub schema: Option<Located>,
    /// `column_name_of_corrupt_record`, default `_corrupt_record`: the column of the schema that holds the text of a record
    /// that does not suit the others.
    pub corrupt_record_column: Located,
    /// `[sources.NAME.event_time]`.
    pub event_time: Option<EventTime>,
}

/// The kinds of source, with their options.
#[derive(Clone, Debug)]
pub enum SourceKind {
    /// `type = "kafka"`.
    Kafka(KafkaSource),
    /// `type = "files"`.
    Files(FilesSource),
}

/// `client`: which Kafka client is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientChoice {
    /// `auto`: the native client, but for what only librdkafka can.
    #[default]
    Auto,
    /// `native`
    Native,
    /// `librdkafka`
    Librdkafka,
}

impl ClientChoice {
    /// The choices by name.
    pub const NAMES: [(&'static str, ClientChoice); 3] =
        [("auto", ClientChoice::Auto), ("native", ClientChoice::Native), ("librdkafka", ClientChoice::Librdkafka)];
}

/// A Kafka cluster, and how to connect to it. Sources, sinks and dead letters have the same keys for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaConnection {
    /// `bootstrap_servers`: `host:port[,host:port…]`.
    pub bootstrap_servers: String,
    /// `client`: which client is used.
    pub client: ClientChoice,
    /// `options`: the client's properties.
    pub client_options: Vec<ClientOption>,
}

/// A property of a client. Many properties are secrets, so no value is ever shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientOption {
    /// Its name.
    pub name: String,
    /// The key as written in the file, including its table: `options.ssl.key.password`.
    pub key: String,
    /// Where the key stands in the file.
    pub key_span: Range<usize>,
    /// Its value.
    pub value: Secret,
    /// Where the value stands in the file.
    pub value_span: Range<usize>,
}

/// Options of `type = "files"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesSource {
    /// `path`: a directory, or a glob.
    pub path: String,
    /// `format`, with the options of that format.
    pub format: SourceFormat,
    /// `max_files_per_trigger`: most files in a batch; without it, all new files.
    pub max_files_per_trigger: Option<u64>,
}

/// `format` of a files source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceFormat {
    /// `"json"`: a value per line.
    Json,
    /// `"csv"`: a record per line.
    Csv {
        /// `header`: whether the first line of each file is skipped; default false.
        header: bool,
        /// `sep`: the character between values; default a comma.
        separator: char,
    },
}

/// Where a query without a checkpoint begins in a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartingOffsets {
    /// At the first offsets.
    Earliest,
    /// At the ends.
    Latest,
}

/// `[sources.NAME.event_time]`.
#[derive(Clone, Debug)]
pub struct EventTime {
    /// `column`: the name that the query sees.
    pub column: Located,
    /// `expression` over the schema's columns, of type TIMESTAMP.
    pub expression: Located,
    /// `watermark`: the delay; without it there is no watermark.
    pub watermark: Option<Interval>,
    /// `max_event_time_ahead` in ms: a record whose event time is further ahead of its own timestamp is refused.
    pub max_ahead_ms: Option<u64>,
}

/// `[query]`.
#[derive(Clone, Debug)]
pub struct Query {
    /// `sql`.
    pub sql: Located,
    /// `output_mode`.
    pub output_mode: OutputMode,
    /// Where the mode stands in the file, for errors about it.
    pub output_mode_span: Range<usize>,
    /// `trigger`.
    pub trigger: Trigger,
    /// `no_data_batches`, default true: whether a batch without data runs when the watermark has moved (rule M4).
    pub no_data_batches: bool,
}

/// `output_mode` (rules O1–O3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutputMode {
    /// `"append"`, Spark's default: each group comes out once, when the watermark has passed it.
    #[default]
    Append,
    /// `"update"`: every group that the batch touched.
    Update,
    /// `"complete"`: the whole result in every data batch.
    Complete,
}

impl OutputMode {
    /// The word in the pipeline file.
    pub fn name(self) -> &'static str {
        match self {
            OutputMode::Append => "append",
            OutputMode::Update => "update",
            OutputMode::Complete => "complete",
        }
    }
}

/// `trigger`: when a batch is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trigger {
    /// `"as soon as possible"`: when the batch before is committed and there is something to read.
    #[default]
    AsSoonAsPossible,
    /// `"5 seconds"`: at most one batch per interval, in milliseconds.
    Every(u64),
    /// `"available now"`: reads what is there at the start, in as many batches as needed, then ends.
    AvailableNow,
}

/// `[sinks.NAME]`.
#[derive(Clone, Debug)]
pub struct Sink {
    /// The sink's name, for messages.
    pub name: String,
    /// Where the name stands in the file.
    pub span: Range<usize>,
    /// `type` with the options of that type.
    pub kind: SinkKind,
}

/// The kinds of sink, with their options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkKind {
    /// `type = "console"`: a table per batch, or `json = true` for one line per row.
    Console {
        /// One JSON object per row instead of a table.
        json: bool,
        /// Most rows printed per batch; a line counts the rest.
        rows_max: usize,
    },
    /// `type = "none"`: computes rows and drops them, for measuring. As Spark's `noop`.
    None,
    /// `type = "files"`: each batch's rows in `batch-<id>.<format>` under a directory.
    Files {
        /// The directory.
        path: String,
        /// `format`.
        format: SinkFormat,
        /// Where the format stands in the file, for errors about it.
        format_span: Range<usize>,
        /// `roll_size`: rows of several batches become one file of about so many bytes.
        roll_bytes: Option<u64>,
        /// `roll_interval`: they do so after this time, ms.
        roll_ms: Option<u64>,
    },
    /// `type = "kafka"`: each row becomes a record.
    Kafka(KafkaSink),
}

/// Options of a sink of `type = "kafka"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaSink {
    /// The cluster.
    pub connection: KafkaConnection,
    /// `topic`: where all rows go. `None`: each row names its topic.
    pub topic: Option<String>,
    /// `partitions`, `topic_options`: how a missing topic is created; `None`: it is not.
    pub new_topic: Option<NewTopic>,
    /// `format`.
    pub format: KafkaFormat,
    /// `delivery`.
    pub delivery: Delivery,
}

/// How a topic is created that does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its number of partitions.
    pub partitions: i32,
    /// Its settings, by Kafka's names.
    pub options: Vec<(String, String)>,
}

/// `format` of a Kafka sink: what of a row becomes which part of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KafkaFormat {
    /// `"json"`: the row as a JSON object is the value.
    Json {
        /// `key_column`: the column whose text is the key.
        key_column: Option<Located>,
    },
    /// `"raw"`: the columns `value`, `key`, `headers`, `topic` and `partition`, as Spark's Kafka sink takes them.
    Raw,
}

/// `delivery`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// `"exactly-once"`: a transaction for each batch.
    #[default]
    ExactlyOnce,
    /// `"at-least-once"`: after a crash a batch may be written again.
    AtLeastOnce,
}

/// `[dead_letter]`, by its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeadLetterTarget {
    /// `type = "files"`: a JSON line for each fault of a record, in files under a directory.
    Files {
        /// The directory. Nothing else uses it.
        path: String,
    },
    /// `type = "kafka"`: a record for each fault of a record, in a topic.
    Kafka(KafkaDeadLetters),
}

/// Options of dead letters of `type = "kafka"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaDeadLetters {
    /// Where the table stands in the file.
    pub span: Range<usize>,
    /// The cluster.
    pub connection: KafkaConnection,
    /// `topic`.
    pub topic: String,
    /// `partitions`, `topic_options`: how a missing topic is created; `None`: it is not.
    pub new_topic: Option<NewTopic>,
}

/// `format` of a files sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SinkFormat {
    /// `"json"`: an object per line.
    #[default]
    Json,
    /// `"csv"`: a record per row, no header.
    Csv,
    /// `"parquet"`.
    Parquet,
}

impl SinkFormat {
    /// The word in the pipeline file; also the extension of the files.
    pub fn name(self) -> &'static str {
        match self {
            SinkFormat::Json => "json",
            SinkFormat::Csv => "csv",
            SinkFormat::Parquet => "parquet",
        }
    }
}

/// `[autoscale]`. The names are Spark's where Spark has them.
#[derive(Clone, Debug, PartialEq)]
pub struct Autoscale {
    /// Whether the file has the section. On Spark, a cluster keeps its size without it.
    pub is_written: bool,
    /// `mode`.
    pub mode: ScaleMode,
    /// `min_executors`, default 0.
    pub min_executors: u32,
    /// `max_executors`, default 4.
    pub max_executors: u32,
    /// `executor_cores`: worker threads of an executor, default 2.
    pub executor_cores: u32,
    /// `slo` in ms: the greatest acceptable age of a record when its result is out; default 10 s.
    pub slo_ms: u64,
    /// `executor_idle_timeout` in ms: how long the last executor is kept when idle; default 10 s.
    pub executor_idle_timeout_ms: u64,
    /// `down_hold` in ms: how long a smaller size must have been enough before it is taken (W0 of the policy); default
    /// 15 s.
    pub down_hold_ms: u64,
    /// `task_timeout` in ms: an executor with a task that makes no progress for this long is replaced, and its tasks
    /// run elsewhere; default 10 s.
    pub task_timeout_ms: u64,
    /// `max_records_per_second_per_core`: limits executors, to protect a sink or a machine; default none.
    pub max_records_per_second_per_core: Option<f64>,
    /// `executor_memory`: what an executor may take, bytes, where the system can hold it to that; default none.
    pub executor_memory_bytes: Option<u64>,
    /// `scale_up` and `scale_down`: commands that change the number of Workers of a Spark cluster; default none.
    pub hooks: Option<ScaleHooks>,
}

/// Shell commands that are given the wanted number of Workers in the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScaleHooks {
    /// Run when more Workers are wanted.
    pub up: String,
    /// Run when fewer are wanted.
    pub down: String,
}

/// `[autoscale] mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleMode {
    /// `"active"`: decide and act.
    #[default]
    Active,
    /// `"advisory"`: decide and log, but keep `max_executors`.
    Advisory,
    /// `"pinned"`: keep `max_executors` executors.
    Pinned,
}

impl Default for Autoscale {
    fn default() -> Autoscale {
        Autoscale {
            is_written: false,
            mode: ScaleMode::Active,
            min_executors: 0,
            max_executors: 4,
            executor_cores: 2,
            slo_ms: 10_000,
            executor_idle_timeout_ms: 10_000,
            down_hold_ms: 15_000,
            task_timeout_ms: 10_000,
            max_records_per_second_per_core: None,
            executor_memory_bytes: None,
            hooks: None,
        }
    }
}
