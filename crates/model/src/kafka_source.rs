//! The options of a source of `type = "kafka"`. Names and meaning are those of Spark's Kafka source.

use crate::diagnostic::Located;
use crate::pipeline::KafkaConnection;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Options of `type = "kafka"`.
#[derive(Clone, Debug)]
pub struct KafkaSource {
    /// The cluster.
    pub connection: KafkaConnection,
    /// `topic`, `subscribe_pattern` or `assign`: what is read.
    pub topics: Topics,
    /// Where a query without a checkpoint begins.
    pub starting: Position,
    /// `starting_offsets_by_timestamp_strategy = "latest"`: a partition without a record that is as new as its starting
    /// timestamp is read from its end. Otherwise it is an error.
    pub starts_at_end_without_match: bool,
    /// Where a query ends that reads what is available now.
    pub ending: Option<Ending>,
    /// `max_offsets_per_trigger`: most offsets in a batch, over all partitions.
    pub max_offsets_per_trigger: Option<u64>,
    /// `min_offsets_per_trigger` with `max_trigger_delay`: what a batch waits for.
    pub min_offsets: Option<MinOffsets>,
    /// `fail_on_data_loss`, default true: whether the run ends when records are gone that it has not read.
    pub fail_on_data_loss: bool,
    /// `group_id`: the consumer group whose offsets are set after each batch.
    pub group_id: Option<Located>,
    /// `format`: what a record's value is.
    pub format: ValueFormat,
    /// `metadata_column`: the name of a STRUCT of Kafka's own columns, beside those of the schema.
    pub metadata_column: Option<Located>,
    /// `include_headers`: whether Kafka's own columns include `headers`.
    pub include_headers: bool,
}

/// `format` of a Kafka source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ValueFormat {
    /// `"json"`, the default with a schema: one JSON object.
    #[default]
    Json,
    /// `"csv"`: one line of CSV.
    Csv {
        /// `sep`: the character between values; default a comma.
        separator: char,
    },
    /// `"text"`: the columns are Kafka's own, and `value` is a STRING.
    Text,
    /// `"raw"`, the default without a schema: the columns are Kafka's own.
    Raw,
}

/// The topics, or the partitions, that a source reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topics {
    /// `topic`: all partitions of these topics.
    Named(Vec<String>),
    /// `subscribe_pattern`: all partitions of the topics that this regular expression matches as a whole.
    Matching(Located),
    /// `assign`: these partitions.
    Assigned(BTreeMap<String, BTreeSet<i32>>),
}

impl Topics {
    /// As Spark describes it: `Subscribe[t]`.
    pub fn description(&self) -> String {
        match self {
            Topics::Named(topics) => format!("Subscribe[{}]", topics.join(", ")),
            Topics::Matching(pattern) => format!("SubscribePattern[{}]", pattern.text),
            Topics::Assigned(partitions) => format!("Assign[{}]", assigned(partitions).join(", ")),
        }
    }

    /// For messages: ``topic `t` ``.
    pub fn name(&self) -> String {
        let quoted = |names: &[String]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        match self {
            Topics::Named(topics) if topics.len() == 1 => format!("topic `{}`", topics[0]),
            Topics::Named(topics) => format!("one of the topics {}", quoted(topics)),
            Topics::Matching(pattern) => format!("a topic that matches `{}`", pattern.text),
            Topics::Assigned(partitions) => format!("one of the partitions {}", quoted(&assigned(partitions))),
        }
    }
}

fn assigned(partitions: &BTreeMap<String, BTreeSet<i32>>) -> Vec<String> {
    let of_topic = |(topic, numbers): (&String, &BTreeSet<i32>)| -> Vec<String> {
        numbers.iter().map(|number| format!("{topic}-{number}")).collect()
    };
    partitions.iter().flat_map(of_topic).collect()
}

/// A number for each partition of each topic.
pub type PerPartition = BTreeMap<String, BTreeMap<i32, i64>>;

/// In [`Position::Offsets`]: the first offset of the partition.
pub const EARLIEST: i64 = -2;
/// In [`Position::Offsets`]: the end of the partition.
pub const LATEST: i64 = -1;

/// A position in each partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// `"earliest"`: the first offset.
    Earliest,
    /// `"latest"`: the end. Spark's default for streams.
    Latest,
    /// An offset of each partition, [`EARLIEST`] or [`LATEST`].
    Offsets(PerPartition),
    /// The first record with this timestamp or a later one, in ms, for all partitions.
    Timestamp(i64),
    /// The same with a timestamp of each partition.
    Timestamps(PerPartition),
}

/// Where a query ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The position.
    pub position: Position,
    /// The key that says so.
    pub key: &'static str,
    /// Where its value stands in the file.
    pub span: Range<usize>,
}

/// What a batch waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinOffsets {
    /// `min_offsets_per_trigger`: so many new offsets,
    pub offsets: u64,
    /// `max_trigger_delay`: or this time after the batch before, ms.
    pub delay_max_ms: u64,
}
