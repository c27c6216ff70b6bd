//! Appends Kafka's own columns to a chunk's decoded rows.
//!
//! Only the columns that the query uses are built. Does not know where the records come from.

use crate::ports::{Chunk, RecordMetadata};
use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::{
    ArrayRef, Int32Array, Int64Array, ListArray, RecordBatch, RecordBatchOptions, StringArray, StructArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;
use tidemill_model::PartitionId;
use tidemill_sql::kafka::{KafkaColumn, KafkaColumns};

/// What a reader has to deliver beside values, offsets and timestamps.
pub fn parts(columns: Option<&KafkaColumns>) -> RecordMetadata {
    let uses = |column| columns.is_some_and(|columns| columns.used.contains(&column));
    RecordMetadata {
        keys: uses(KafkaColumn::Key),
        timestamp_types: uses(KafkaColumn::TimestampType),
        headers: uses(KafkaColumn::Headers),
    }
}

/// Builds the columns, chunk by chunk.
#[derive(Debug)]
pub(crate) struct Builder {
    columns: KafkaColumns,
    /// The decoder's columns, then these.
    schema: SchemaRef,
    topic: Arc<str>,
    partition: i32,
}

impl Builder {
    pub(crate) fn new(columns: &KafkaColumns, decode_schema: &Schema) -> Builder {
        let fields = decode_schema.fields().iter().chain(&columns.fields).cloned();
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Builder { columns: columns.clone(), schema, topic: Arc::from(""), partition: 0 }
    }

    /// Sets the partition of the next chunks.
    pub(crate) fn set_partition(&mut self, partition: &PartitionId) {
        self.topic.clone_from(&partition.topic);
        self.partition = partition.partition;
    }

    /// The rows with the columns appended.
    pub(crate) fn append(&self, decoded: &RecordBatch, chunk: &Chunk) -> RecordBatch {
        let mut all = decoded.columns().to_vec();
        if self.columns.is_struct {
            all.push(self.members(chunk));
        } else {
            let fields = self.columns.fields.iter().zip(&self.columns.used);
            all.extend(fields.map(|(field, column)| self.column(*column, field, chunk)));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(chunk.len()));
        RecordBatch::try_new_with_options(self.schema.clone(), all, &options).expect("columns are built by the schema")
    }

    /// The STRUCT. Members that are not used are NULL.
    fn members(&self, chunk: &Chunk) -> ArrayRef {
        let DataType::Struct(fields) = self.columns.fields[0].data_type() else { panic!("the plan makes a STRUCT") };
        let member = |(field, column): (&Arc<Field>, &KafkaColumn)| match self.columns.used.contains(column) {
            true => self.column(*column, field, chunk),
            false => new_null_array(field.data_type(), chunk.len()),
        };
        let members = fields.iter().zip(&KafkaColumn::ALL).map(member).collect();
        Arc::new(StructArray::new(fields.clone(), members, None))
    }

    fn column(&self, column: KafkaColumn, field: &Field, chunk: &Chunk) -> ArrayRef {
        let rows = chunk.len();
        match column {
            KafkaColumn::Key => binary((0..rows).map(|row| chunk.keys.get(row))),
            KafkaColumn::Value if *field.data_type() == DataType::Utf8 => {
                let texts = (0..rows).map(|row| chunk.value(row).map(String::from_utf8_lossy));
                Arc::new(texts.collect::<StringArray>())
            }
            KafkaColumn::Value => binary((0..rows).map(|row| chunk.value(row))),
            KafkaColumn::Topic => Arc::new(StringArray::from_iter_values((0..rows).map(|_| &*self.topic))),
            KafkaColumn::Partition => Arc::new(Int32Array::from(vec![self.partition; rows])),
            KafkaColumn::Offset => Arc::new(Int64Array::from(chunk.offsets.clone())),
            KafkaColumn::Timestamp => {
                // A time that microseconds cannot hold is NULL; Spark's query fails at such a record.
                let micros: TimestampMicrosecondArray =
                    chunk.timestamps.iter().map(|ms| ms.checked_mul(1_000)).collect();
                Arc::new(micros.with_data_type(field.data_type().clone()))
            }
            KafkaColumn::TimestampType => Arc::new(Int32Array::from(chunk.timestamp_types.clone())),
            KafkaColumn::Headers => headers(field, chunk),
        }
    }
}

fn binary<'a>(values: impl Iterator<Item = Option<&'a [u8]>>) -> ArrayRef {
    let mut column = BinaryBuilder::new();
    values.for_each(|value| column.append_option(value));
    Arc::new(column.finish())
}

/// The headers of each record; NULL if it has none, as in Spark.
fn headers(field: &Field, chunk: &Chunk) -> ArrayRef {
    let DataType::List(element) = field.data_type() else { panic!("headers are an ARRAY") };
    let DataType::Struct(members) = element.data_type() else { panic!("a header is a STRUCT") };
    let count = chunk.header_names.len();
    let mut names = StringBuilder::new();
    for at in 0..count {
        names.append_value(String::from_utf8_lossy(chunk.header_names.get(at).unwrap_or_default()));
    }
    let values = binary((0..count).map(|at| chunk.header_values.get(at)));
    let headers = StructArray::new(members.clone(), vec![Arc::new(names.finish()), values], None);
    let starts = [0].into_iter().chain(chunk.header_ends.iter().copied());
    let lengths: Vec<usize> = starts.zip(&chunk.header_ends).map(|(start, end)| end - start).collect();
    let nulls: NullBuffer = lengths.iter().map(|length| *length > 0).collect();
    let offsets = OffsetBuffer::from_lengths(lengths);
    Arc::new(ListArray::new(element.clone(), offsets, Arc::new(headers), Some(nulls)))
}
