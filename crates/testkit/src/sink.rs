//! A sink in memory that checks its caller: batches come in order, and replays have the same rows.

use arrow_array::RecordBatch;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tidemill_flow::ports::Sink;
use tidemill_model::{Error, Result};
use tidemill_sql::text::json;
use tidemill_sql::zone::WallClock;

/// The rows of every batch, one JSON object per row (rule S1). Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemorySink {
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    first: u64,
    batches: BTreeMap<u64, Vec<String>>,
    replays: Vec<u64>,
}

impl MemorySink {
    /// The first batch to expect; earlier batches were written elsewhere.
    pub fn expect_from(&self, first: u64) {
        self.taken().first = first;
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

impl Sink for MemorySink {
    fn description(&self) -> String {
        "MemorySink".into()
    }

    fn write(&mut self, batch_id: u64, rows: &RecordBatch, replayed: bool) -> Result<()> {
        let mut taken = self.taken();
        let rows = texts(rows);
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
