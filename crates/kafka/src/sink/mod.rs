//! Writes the rows of batches as records.
//!
//! ```text
//!  rows ─Layout─► key, value, headers, topic, partition ─RecordsWriter─► parts ─BatchWriter─► a transaction per batch ─► topics
//! ```
//! With exactly-once delivery a reader of committed records sees each batch's rows once, whatever is killed and when.
//! With at-least-once delivery a batch is written again after a crash between the write and the commit record.

mod layout;
pub(crate) mod partitioner;
mod parts;
mod writer;

pub use layout::{Layout, Unfit};
pub use parts::RecordsWriter;
pub use writer::{BatchWriter, Target};

use parts::Records;
use tidemill_flow::ports::SinkCommitter;
use tidemill_model::{Error, Result, SinkPart};

/// A sink of `type = "kafka"`: the half that commits what a [`RecordsWriter`] encodes.
pub struct KafkaSink {
    target: Target,
    /// `None` before a run begins.
    writer: Option<BatchWriter>,
    topic: Option<String>,
}

impl KafkaSink {
    /// A sink. `topic` is where all rows go; `None` if each row names its topic. It connects when a run begins.
    pub fn new(target: Target, topic: Option<String>) -> KafkaSink {
        KafkaSink { target, writer: None, topic }
    }
}

impl SinkCommitter for KafkaSink {
    fn description(&self) -> String {
        format!("KafkaSink[{}]", self.topic.as_deref().unwrap_or("topic by row"))
    }

    fn begin(&mut self, query_id: &str) -> Result<()> {
        let writer = self.writer.insert(BatchWriter::new(&self.target, query_id)?);
        writer.begin(self.topic.as_deref())
    }

    fn commit(&mut self, batch_id: u64, parts: &[SinkPart], _replayed: bool) -> Result<()> {
        let topic = self.topic.as_deref();
        let Some((named, ..)) = Records::of(parts).next()? else { return Ok(()) };
        let first = topic_of(topic, named)?;
        let writer = self.writer.as_mut().expect("a run begins before it commits");
        writer.write(batch_id, first, &mut |writer| {
            let mut records = Records::of(parts);
            while let Some((named, partition, record)) = records.next()? {
                writer.put(topic_of(topic, named)?, partition, &record)?;
            }
            Ok(())
        })
    }

    fn is_remote(&self) -> bool {
        true
    }
}

/// The topic of a record: that of all, or the one that it names.
fn topic_of<'a>(all: Option<&'a str>, named: Option<&'a str>) -> Result<&'a str> {
    all.or(named).ok_or_else(|| Error::internal("a record without a topic"))
}
