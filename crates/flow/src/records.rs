//! The decoder of a source: its value by the format, then Kafka's own columns.

use crate::kafka_columns::Builder;
use crate::ports::Chunk;
use tidemill_decode::{CsvDecoder, Decoded, Decoder, Options};
use tidemill_model::{Micros, PartitionId};
use tidemill_sql::plan::{BranchPlan, Format};

/// Decodes the records of a branch, in the source's format. One per worker thread.
#[derive(Debug)]
pub struct Records {
    value: Value,
    kafka_columns: Option<Builder>,
}

#[derive(Debug)]
enum Value {
    Json(Decoder),
    Csv(CsvDecoder),
    Raw,
}

impl Records {
    /// A decoder for the branch's columns, in its time zone.
    pub fn new(plan: &BranchPlan) -> Records {
        let options = Options { session_zone: plan.zone, corrupt_record: plan.corrupt_record, ..Options::default() };
        let value = match &plan.format {
            Format::Raw => Value::Raw,
            Format::Json => Value::Json(Decoder::new(&plan.decode_schema, options)),
            Format::Csv { separator, places, width } => {
                Value::Csv(CsvDecoder::new(&plan.decode_schema, places, *width, *separator, options))
            }
        };
        let kafka_columns = plan.kafka_columns.as_ref().map(|columns| Builder::new(columns, &plan.decode_schema));
        Records { value, kafka_columns }
    }

    /// Sets the timestamp of the next batch.
    pub fn set_now(&mut self, now: Micros) {
        match &mut self.value {
            Value::Json(decoder) => decoder.set_now(now),
            Value::Csv(decoder) => decoder.set_now(now),
            Value::Raw => {}
        }
    }

    /// Sets the partition of the next chunks.
    pub fn set_partition(&mut self, partition: &PartitionId) {
        if let Some(columns) = &mut self.kafka_columns {
            columns.set_partition(partition);
        }
    }

    /// Decodes a chunk's records, one row each.
    pub fn decode(&mut self, chunk: &Chunk) -> Decoded {
        let mut decoded = match &mut self.value {
            Value::Json(decoder) => decoder.decode(chunk),
            Value::Csv(decoder) => decoder.decode(chunk),
            Value::Raw => Decoded::without_columns(chunk.len()),
        };
        if let Some(columns) = &self.kafka_columns {
            decoded.batch = columns.append(&decoded.batch, chunk);
        }
        decoded
    }
}
