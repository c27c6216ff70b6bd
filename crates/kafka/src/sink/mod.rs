//! Writes the rows of batches as records.
//!
//! ```text
//!  rows ─Layout─► key, value, headers, topic, partition ─BatchWriter─► a transaction per batch ─► topics
//! ```
//! With exactly-once delivery a reader of committed records sees each batch's rows once, whatever is killed and when.
//! With at-least-once delivery a batch is written again after a crash between the write and the commit record.

mod layout;
pub(crate) mod partitioner;
mod writer;

pub use layout::{Layout, Unfit};
pub use writer::{BatchWriter, Target};

use arrow_array::RecordBatch;
use tidemill_flow::ports::Sink;
use tidemill_model::pipeline::KafkaFormat;
use tidemill_model::{Error, Result};
use tidemill_sql::zone::{WallClock, Zone};

/// A sink of `type = "kafka"`.
pub struct KafkaSink {
    target: Target,
    /// `None` before a run begins.
    writer: Option<BatchWriter>,
    topic: Option<String>,
    format: KafkaFormat,
    clock: WallClock,
    layout: Option<Layout>,
}

impl KafkaSink {
    /// A sink for rows in this format. `topic` is where all rows go; `None` if each row names its topic. `zone` is the
    /// time zone of timestamps written as text. It connects when a run begins.
    pub fn new(target: Target, topic: Option<String>, format: KafkaFormat, zone: Zone) -> KafkaSink {
        KafkaSink { target, writer: None, topic, format, clock: WallClock::new(zone), layout: None }
    }
}

impl Sink for KafkaSink {
    fn description(&self) -> String {
        format!("KafkaSink[{}]", self.topic.as_deref().unwrap_or("topic by row"))
    }

    fn begin(&mut self, query_id: &str) -> Result<()> {
        let writer = self.writer.insert(BatchWriter::new(&self.target, query_id)?);
        writer.begin(self.topic.as_deref())
    }

    fn write(&mut self, batch_id: u64, rows: &RecordBatch, _replayed: bool) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        if self.layout.is_none() {
            let layout = Layout::of(&self.format, self.topic.as_deref(), rows.schema_ref());
            self.layout = Some(layout.map_err(|unfit| Error::user(format!("{}; {}", unfit.message, unfit.help)))?);
        }
        let layout = self.layout.as_ref().expect("made above");
        let writer = self.writer.as_mut().expect("a run begins before it writes");
        let mut records = layout.records(rows, &self.clock);
        writer.write(batch_id, layout.topic(rows, 0)?, &mut |writer| records.put_all(writer))
    }

    fn is_remote(&self) -> bool {
        true
    }
}
