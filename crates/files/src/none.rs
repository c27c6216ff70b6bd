//! The sink that drops rows. It serves to measure everything before the sinks.

use arrow_array::RecordBatch;
use tidemill_flow::ports::Sink;
use tidemill_model::Result;

/// Drops rows.
#[derive(Clone, Copy, Debug)]
pub struct NoneSink;

impl Sink for NoneSink {
    fn description(&self) -> String {
        "NoneSink".into()
    }

    fn write(&mut self, _batch_id: u64, _rows: &RecordBatch, _replayed: bool) -> Result<()> {
        Ok(())
    }
}
