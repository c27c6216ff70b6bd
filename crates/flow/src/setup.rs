//! What an executor is told when it starts: the plan, and how it reaches what it reads and writes itself.
//!
//! Nothing else of the pipeline reaches an executor: neither the file's text nor the passwords of sinks, which only the
//! driver connects to.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use tidemill_model::pipeline::{ClientChoice, OnError, SinkFormat};
use tidemill_model::{Error, Result, Secret};
use tidemill_sql::plan::QueryPlan;

/// An executor's part of a pipeline.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    /// The plan.
    pub plan: Arc<QueryPlan>,
    /// What happens to a row that fails.
    pub on_error: OnError,
    /// Sources, sinks and dead letters.
    pub access: Access,
}

/// How an executor reaches what it reads and writes itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Access {
    /// The source of each branch, in the plan's order.
    pub inputs: Vec<Input>,
    /// How rows are encoded for each sink, in the pipeline's order. Empty if executors make no rows.
    pub encodings: Vec<Encoding>,
    /// Where dead letters are written, if they are kept.
    pub dead_letters: Option<DeadLetterFiles>,
}

/// How a source is read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Input {
    /// From a Kafka cluster.
    Kafka {
        /// `host:port[,host:port…]`.
        bootstrap_servers: String,
        /// Which client reads.
        client: ClientChoice,
        /// The client's properties.
        #[serde(with = "properties")]
        properties: Vec<(String, Secret)>,
        /// Whether keys and headers are read even if the query uses none: dead letters keep them.
        whole_records: bool,
        /// Whether records that are gone are passed over.
        passes_over_lost: bool,
    },
    /// From files that the driver lists.
    Files {
        /// Lines of CSV: blank ones are no records.
        csv: bool,
        /// The first line of each file is a header.
        header: bool,
        /// The directory of the list.
        log_dir: PathBuf,
    },
}

/// How rows are encoded for a sink.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Encoding {
    /// For the console.
    Console {
        /// One JSON object a row instead of a table.
        json: bool,
        /// Most rows that are printed of a batch.
        rows_max: usize,
    },
    /// Not at all.
    None,
    /// As a file's content.
    Files {
        /// The format.
        format: SinkFormat,
        /// The sink's directory: rows of large tasks are staged there. `None`: the sink gathers the rows of several batches.
        staged_in: Option<String>,
    },
    /// As Kafka records with a JSON value.
    KafkaJson {
        /// The topic of all rows.
        topic: Option<String>,
        /// The column whose text is the key.
        key_column: Option<String>,
    },
    /// As Kafka records from columns of their own.
    KafkaRaw {
        /// The topic of all rows; otherwise each row names its own.
        topic: Option<String>,
    },
}

/// The files that dead letters are written to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum DeadLetterFiles {
    /// JSON lines, for the user.
    Lines(PathBuf),
    /// Records in frames, which the driver sends to a topic.
    Frames(PathBuf),
}

/// What is sent of a setup. The plan's text tells whether both sides understand the plan alike.
#[derive(Serialize, Deserialize)]
struct Sent<S> {
    setup: S,
    text: String,
}

impl Setup {
    /// The setup as bytes. They may hold passwords.
    pub fn to_bytes(&self) -> Vec<u8> {
        let sent = Sent { setup: self, text: self.plan.describe() };
        postcard::to_stdvec(&sent).expect("a plan has no types that postcard lacks")
    }

    /// Reads what [`Setup::to_bytes`] has written.
    ///
    /// # Errors
    /// Internal: another build of the program has written them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Setup> {
        match postcard::from_bytes::<Sent<Setup>>(bytes) {
            Ok(sent) if sent.setup.plan.describe() == sent.text => Ok(sent.setup),
            _ => Err(Error::internal(
                "driver and executor understand the pipeline differently: was the program replaced while it ran? Start it again",
            )),
        }
    }
}

/// A secret does not implement `Serialize`. It is sent only here: over a pipe to a child process of the same user.
mod properties {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use tidemill_model::Secret;

    pub(super) fn serialize<S: Serializer>(named: &[(String, Secret)], serializer: S) -> Result<S::Ok, S::Error> {
        let shown: Vec<(&str, &str)> = named.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        shown.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, Secret)>, D::Error> {
        let shown = Vec::<(String, String)>::deserialize(deserializer)?;
        Ok(shown.into_iter().map(|(name, value)| (name, Secret::new(value))).collect())
    }
}
