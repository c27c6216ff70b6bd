//! A sink in memory that checks its caller: batches come in order, and replays have the same rows.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tidemill_flow::encoded_rows;
use tidemill_flow::ports::SinkCommitter;
use tidemill_model::{Error, Result, SinkPart};
use tidemill_sql::text::json;
use tidemill_sql::zone::WallClock;

/// The rows of every batch, one JSON object per row (rule S1). Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemorySink {
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    /// The columns of the rows; `None` before a run.
    schema: Option<SchemaRef>,
    first: u64,
    batches: BTreeMap<u64, Vec<String>>,
    /// The rows of the newest batch.
    newest: Option<RecordBatch>,
    replays: Vec<u64>,
}

impl MemorySink {
    /// The first batch to expect; earlier batches were written elsewhere.
    pub fn expect_from(&self, first: u64) {
        self.taken().first = first;
    }

    /// The columns of the rows that come.
    pub fn expect_columns(&self, schema: SchemaRef) {
        self.taken().schema = Some(schema);
    }

    /// The rows of the newest batch as they came.
    ///
    /// # Panics
    /// There was none.
    pub fn newest(&self) -> RecordBatch {
        self.taken().newest.clone().expect("a batch was committed")
    }

    /// All batches with their rows.
    pub fn batches(&self) -> BTreeMap<u64, Vec<String>> {
        self.taken().batches.clone()
    }

    /// Rows of one batch. Panics if it was not written.
    pub fn rows(&self, batch_id: u64) -> Vec<String> {
        self.taken().batches[&batch_id].clone()
    }

    /// Batches that were written again, in order.
    pub fn replays(&self) -> Vec<u64> {
        self.taken().replays.clone()
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().expect("no holder panics")
    }
}

impl SinkCommitter for MemorySink {
    fn description(&self) -> String {
        "MemorySink".into()
    }

    fn commit(&mut self, batch_id: u64, parts: &[SinkPart], replayed: bool) -> Result<()> {
        let mut taken = self.taken();
        let table = encoded_rows::decode(taken.schema.as_ref().expect("a run tells its columns"), parts)?;
        let rows = texts(&table);
        let next = taken.batches.last_key_value().map_or(taken.first, |(last, _)| last + 1);
        match taken.batches.get(&batch_id) {
            Some(_) if !replayed => {
                return Err(Error::internal(format!("batch {batch_id} was written again, and not as a replay")));
            }
            Some(before) if *before != rows => {
                return Err(Error::internal(format!(
                    "batch {batch_id} was replayed with other rows: {rows:?} instead of {before:?}"
                )));
            }
            None if batch_id != next => {
                return Err(Error::internal(format!("batch {batch_id} was written where {next} is due")));
            }
            Some(_) => taken.replays.push(batch_id),
            None => {}
        }
        taken.batches.insert(batch_id, rows);
        taken.newest = Some(table);
        Ok(())
    }
}

fn texts(rows: &RecordBatch) -> Vec<String> {
    let text = |row| {
        let mut text = String::new();
        json::write_row(&mut text, rows, row, &WallClock::utc());
        text
    };
    (0..rows.num_rows()).map(text).collect()
}
