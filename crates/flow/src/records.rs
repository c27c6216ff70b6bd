//! The decoder of a source: its value by the format, then Kafka's own columns, then those of its position, then what is parsed from the texts of these.

use crate::kafka_columns::Builder;
use crate::ports::Chunk;
use crate::positions;
use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{Schema, SchemaRef};
use std::sync::Arc;
use tidemill_decode::{CsvDecoder, Decoded, Decoder, Options};
use tidemill_model::{Micros, Millis, PartitionId};
use tidemill_sql::eval::{EvalContext, RowErrors, evaluate};
use tidemill_sql::plan::{BranchPlan, Format, ParsedColumn};

/// Decodes the records of a branch, in the source's format. One per worker thread.
#[derive(Debug)]
pub struct Records {
    value: Value,
    kafka_columns: Option<Builder>,
    positions: Option<positions::Builder>,
    parsed: Option<Parsed>,
}

/// The columns that are parsed from those before.
#[derive(Debug)]
struct Parsed {
    columns: Vec<ParsedColumn>,
    /// The columns before, then these.
    schema: SchemaRef,
    context: EvalContext,
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
        let own = plan.decode_schema.fields().iter().chain(plan.kafka_columns.iter().flat_map(|own| &own.fields));
        let before = Schema::new(own.cloned().collect::<Vec<_>>());
        let positions = (!plan.positions.is_empty()).then(|| positions::Builder::new(&plan.positions, &before));
        let parsed = (!plan.parsed.is_empty()).then(|| Parsed::new(plan));
        Records { value, kafka_columns, positions, parsed }
    }

    /// Sets the timestamp of the next batch.
    pub fn set_now(&mut self, now: Micros) {
        match &mut self.value {
            Value::Json(decoder) => decoder.set_now(now),
            Value::Csv(decoder) => decoder.set_now(now),
            Value::Raw => {}
        }
        if let Some(parsed) = &mut self.parsed {
            parsed.context.timestamp = now.floor_millis();
        }
    }

    /// Whether all records of a chunk must be of the partition that was set.
    pub fn needs_partition(&self) -> bool {
        self.kafka_columns.is_some() || self.positions.is_some()
    }

    /// Sets the partition of the next chunks.
    pub fn set_partition(&mut self, partition: &PartitionId) {
        if let Some(columns) = &mut self.kafka_columns {
            columns.set_partition(partition);
        }
        if let Some(columns) = &mut self.positions {
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
        if let Some(columns) = &self.positions {
            decoded.batch = columns.append(&decoded.batch, chunk);
        }
        if let Some(parsed) = &self.parsed {
            decoded.batch = parsed.append(&decoded.batch);
        }
        decoded
    }
}

impl Parsed {
    fn new(plan: &BranchPlan) -> Parsed {
        let before_event_time = plan.row_schema.fields().len() - usize::from(plan.event_time.is_some());
        let fields = plan.row_schema.fields().iter().take(before_event_time).cloned();
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Parsed { columns: plan.parsed.clone(), schema, context: plan.context(Millis(0)) }
    }

    /// The rows with the columns appended.
    fn append(&self, rows: &RecordBatch) -> RecordBatch {
        let mut errors = RowErrors::default();
        let parsed = self.columns.iter().map(|column| evaluate(&column.expr, rows, &self.context, &mut errors));
        let columns = rows.columns().iter().cloned().chain(parsed.collect::<Vec<_>>()).collect();
        assert!(errors.is_empty(), "a parsed column fails no row");
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .expect("columns are built by the schema")
    }
}
