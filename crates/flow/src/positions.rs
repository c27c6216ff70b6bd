//! Appends columns made of where each record stands: what random values are drawn at, and the number of
//! `monotonically_increasing_id`. They are the same whenever the record is read, in whatever task.
//!
//! ```text
//!   place  128 bits:  a hash of source, topic and partition (64) │ offset (64)
//!   group  128 bits:  hashes of window, key and the batch's timestamp
//!   id      64 bits:  0 │ source (10) │ partition (20) │ offset (33)
//! ```

use crate::ports::Chunk;
use arrow_array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, RecordBatchOptions};
use arrow_schema::{Schema, SchemaRef};
use std::sync::Arc;
use tidemill_model::{Millis, PartitionId, random};
use tidemill_sql::plan::PositionColumn;

/// Bits of the id that have the offset.
const OFFSET_BITS: u32 = 33;
/// Bits of the id that have the partition.
const PARTITION_BITS: u32 = 20;
/// Bits of the id that have the source.
const SOURCE_BITS: u32 = 10;
const _: () = assert!(OFFSET_BITS + PARTITION_BITS + SOURCE_BITS == 63, "an id is not negative");

/// The places of groups: each has its own in each batch.
pub(crate) fn of_groups(windows: &[i64], keys: &[&[u8]], batch: Millis) -> ArrayRef {
    let place = |(window, key): (&i64, &&[u8])| {
        let half = |start: i64| random::fold(random::mix(start as u64), key) ^ random::mix(*window as u64);
        let (high, low) = (half(batch.0), half(!batch.0));
        i128::from(high as i64) << 64 | i128::from(random::mix(low))
    };
    let places = Decimal128Array::from_iter_values(windows.iter().zip(keys).map(place));
    Arc::new(places.with_data_type(PositionColumn::place_type()))
}

/// Builds the columns, chunk by chunk.
#[derive(Debug)]
pub(crate) struct Builder {
    columns: Vec<PositionColumn>,
    /// The columns before, then these.
    schema: SchemaRef,
    /// What all places of the partition begin with.
    place: i128,
    /// What all ids of the partition begin with.
    id: i64,
}

impl Builder {
    /// `before` has the columns before.
    pub(crate) fn new(columns: &[PositionColumn], before: &Schema) -> Builder {
        let own = columns.iter().map(|column| Arc::new(column.field()));
        let fields: Vec<_> = before.fields().iter().cloned().chain(own).collect();
        Builder { columns: columns.to_vec(), schema: Arc::new(Schema::new(fields)), place: 0, id: 0 }
    }

    /// Sets the partition of the next chunks.
    pub(crate) fn set_partition(&mut self, partition: &PartitionId) {
        let PartitionId { source, topic, partition } = partition;
        let within = u64::from(*source) << 32 | u64::from(*partition as u32);
        let high = random::mix(random::seed_of(topic) ^ random::mix(within));
        self.place = i128::from(high as i64) << 64;
        let low = |value: u32, bits: u32| i64::from(value) & ((1 << bits) - 1);
        let source = low(*source, SOURCE_BITS) << PARTITION_BITS;
        self.id = (source | low(*partition as u32, PARTITION_BITS)) << OFFSET_BITS;
    }

    /// The rows with the columns appended.
    pub(crate) fn append(&self, rows: &RecordBatch, chunk: &Chunk) -> RecordBatch {
        let column = |column: &PositionColumn| -> ArrayRef {
            let offsets = chunk.offsets.iter();
            match column {
                PositionColumn::Place => {
                    let places = offsets.map(|offset| self.place | i128::from(*offset as u64));
                    let places = Decimal128Array::from_iter_values(places);
                    Arc::new(places.with_data_type(PositionColumn::place_type()))
                }
                PositionColumn::Id => {
                    let ids = offsets.map(|offset| self.id | offset & ((1 << OFFSET_BITS) - 1));
                    Arc::new(Int64Array::from_iter_values(ids))
                }
            }
        };
        let columns = rows.columns().iter().cloned().chain(self.columns.iter().map(column)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(chunk.len()));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options).expect("columns of one length")
    }
}
