//! The sink that drops rows. It serves to measure everything before the sinks.

use arrow_array::RecordBatch;
use tidemill_flow::ports::{SinkCommitter, SinkWriter};
use tidemill_model::{Result, SinkPart};

/// Drops rows, and counts them. Both halves of the sink.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoneSink {
    rows: u64,
}

impl SinkWriter for NoneSink {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.rows += rows.num_rows() as u64;
        Ok(())
    }

    fn finish(&mut self) -> SinkPart {
        SinkPart { rows: std::mem::take(&mut self.rows), ..SinkPart::default() }
    }
}

impl SinkCommitter for NoneSink {
    fn description(&self) -> String {
        "NoneSink".into()
    }

    fn commit(&mut self, _batch_id: u64, _parts: &[SinkPart], _replayed: bool) -> Result<()> {
        Ok(())
    }
}
