//! Runs one task: read → decode → filter → fold, one chunk at a time, strictly in offset order. Faulty records go to
//! the dead letters on the way.

use crate::dead_letters::DeadLetters;
use crate::limit::Limit;
use crate::progress::Progress;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidemill_flow::fold::Fold;
use tidemill_flow::ports::{self, Chunk};
use tidemill_flow::records::Records;
use tidemill_link::{Frame, FromExecutor, Task, TaskCost};
use tidemill_model::limits::{FRAME_BYTES_MAX, PARTIAL_BYTES_MAX, TASK_BYTES_MAX};
use tidemill_model::pipeline::OnError;
use tidemill_model::{Error, OffsetRange, Partial, RecordFault, Result};
use tidemill_sql::plan::BranchPlan;

/// Records decoded and folded at once: few enough to keep the columns in the cache, enough to spread the overhead.
const CHUNK_RECORDS: usize = 2_048;

/// Resolution of the reported record times, in ms.
const TIME_STEP_MS: i64 = 10;

/// A worker's reader and decoder for one source of the query.
pub(crate) struct Input {
    plan: Arc<BranchPlan>,
    reader: Box<dyn ports::Read>,
    decoder: Records,
}

impl Input {
    pub(crate) fn new(reader: Box<dyn ports::Read>, plan: Arc<BranchPlan>) -> Input {
        Input { reader, decoder: Records::new(&plan), plan }
    }
}

/// One worker thread's readers, decoders and buffers, kept between tasks.
pub(crate) struct Worker {
    /// By source number.
    inputs: Vec<Input>,
    on_error: OnError,
    dead_letters: Option<DeadLetters>,
    limit: Limit,
    chunk: Chunk,
    progress: Progress,
}

impl Worker {
    pub(crate) fn new(
        inputs: Vec<Input>,
        dead_letters: Option<Box<dyn ports::DeadLetterWriter>>,
        on_error: OnError,
        limit: Option<f64>,
    ) -> Worker {
        let dead_letters = dead_letters.map(DeadLetters::new);
        Worker {
            inputs,
            on_error,
            dead_letters,
            limit: Limit::new(limit),
            chunk: Chunk::default(),
            progress: Progress::default(),
        }
    }

    /// Its progress, for another thread.
    pub(crate) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Runs a task and returns the encoded answer. If the partial is too large to send, the answer says so and the
    /// driver splits the task.
    pub(crate) fn answer(&mut self, task: &Task) -> Frame {
        let answer = self.run(task);
        let may_split = task.range.len() > 1 && matches!(answer, FromExecutor::Done { .. });
        let bytes_max = if may_split { PARTIAL_BYTES_MAX } else { FRAME_BYTES_MAX };
        if let Some(frame) = Frame::of(&answer).filter(|frame| frame.message_bytes() <= bytes_max) {
            return frame;
        }
        let instead = match may_split {
            true => FromExecutor::TooLarge { id: task.id },
            false => FromExecutor::Failed { id: task.id, message: too_large(task), retry: false },
        };
        Frame::of(&instead).expect("a short message")
    }

    fn run(&mut self, task: &Task) -> FromExecutor {
        let started = Instant::now();
        let mut cost = TaskCost::default();
        let result = if task.set_aside { self.set_aside(task).map(Some) } else { self.fold(task, &mut cost) };
        match result {
            Ok(None) => FromExecutor::TooLarge { id: task.id },
            Ok(Some(partial)) => {
                cost.total_us = started.elapsed().as_micros() as u64;
                FromExecutor::Done { id: task.id, partial, cost }
            }
            Err(error) => FromExecutor::Failed { id: task.id, message: error.to_string(), retry: error.retry },
        }
    }

    /// The task's partial; `None` if its records are larger than a task may hold.
    fn fold(&mut self, task: &Task, cost: &mut TaskCost) -> Result<Option<Partial>> {
        self.open(task)?;
        let Input { plan, reader, decoder } = &mut self.inputs[task.range.partition.source as usize];
        let context = plan.context(task.timestamp);
        let mut fold = Fold::new(plan.clone(), self.on_error, context, task.late_watermark.0);
        let mut times = RecordTimes::default();
        let mut bytes = 0;
        let chunk_records = self.limit.chunk_records(CHUNK_RECORDS);
        decoder.begin(task.timestamp.to_micros(), &task.range.partition);
        if self.dead_letters.is_some() {
            fold.note_faults();
        }
        while self.progress.waiting(|| reader.next(&mut self.chunk, chunk_records))? {
            bytes += self.chunk.byte_size();
            if bytes > TASK_BYTES_MAX && task.range.len() > 1 {
                return Ok(None);
            }
            times.add(&self.chunk.timestamps);
            let decoded = decoder.decode(&self.chunk);
            fold.partial_mut().faults.malformed += decoded.malformed;
            fold.partial_mut().faults.wrong_type += decoded.wrong_type;
            fold.push(&decoded.batch, &decoded.faults, &self.chunk.timestamps).map_err(|failure| {
                let offset = self.chunk.offsets[failure.row];
                let record = match reader.place(offset) {
                    Some(place) => format!("{}:{}", place.file, place.line),
                    None => format!("record {} at offset {offset}", task.range.partition),
                };
                let help = "correct the query or the data, or set on_error = \"drop\" to count such records and go on";
                Error::external(format!("{record}: {}; {help}", failure.error))
            })?;
            if let Some(dead_letters) = &mut self.dead_letters {
                dead_letters.add(reader.as_mut(), &self.chunk, &decoded, fold.take_faulty())?;
            }
            self.progress.add(self.chunk.len());
            cost.limit_wait_us += micros(self.limit.pay(self.chunk.len()));
        }
        cost.fetch_wait_us += micros(reader.waited());
        self.close(fold.finish(), times).map(Some)
    }

    /// Writes the task's records to the dead letters without decoding them.
    fn set_aside(&mut self, task: &Task) -> Result<Partial> {
        let mut partial = Partial::default();
        let mut times = RecordTimes::default();
        self.open(task)?;
        let reader = &mut self.inputs[task.range.partition.source as usize].reader;
        while self.progress.waiting(|| reader.next(&mut self.chunk, CHUNK_RECORDS))? {
            times.add(&self.chunk.timestamps);
            partial.records += self.chunk.len() as u64;
            partial.leave_out(RecordFault::Malformed, self.chunk.len() as u64);
            let dead_letters = self.dead_letters.as_mut().expect("who sets records aside has a place for them");
            dead_letters.set_aside(reader.as_mut(), &self.chunk)?;
            self.progress.add(self.chunk.len());
        }
        self.close(partial, times)
    }

    fn open(&mut self, task: &Task) -> Result<()> {
        if let Some(dead_letters) = &mut self.dead_letters {
            dead_letters.begin(task);
        }
        let reader = &mut self.inputs[task.range.partition.source as usize].reader;
        self.progress.waiting(|| reader.open(&task.range))
    }

    fn close(&mut self, mut partial: Partial, times: RecordTimes) -> Result<Partial> {
        partial.record_times = times.runs.into_iter().collect();
        partial.oldest_record_ms = times.oldest;
        partial.dead_letters = self.dead_letters.as_mut().map(DeadLetters::finish).transpose()?.flatten();
        Ok(partial)
    }
}

/// The message for a task that is too large and cannot be split.
fn too_large(task: &Task) -> String {
    let OffsetRange { partition, start, .. } = &task.range;
    format!(
        "the record {partition} at offset {start} alone needs more than {} MB, the limit of a task; filter it \
         out, or select less of it",
        FRAME_BYTES_MAX >> 20
    )
}

/// Kafka timestamps, counted in steps of [`TIME_STEP_MS`].
#[derive(Default)]
struct RecordTimes {
    runs: BTreeMap<i64, u64>,
    oldest: Option<i64>,
}

impl RecordTimes {
    fn add(&mut self, timestamps: &[i64]) {
        let mut at = 0;
        while let Some(&first) = timestamps.get(at) {
            let step = first.div_euclid(TIME_STEP_MS);
            let same = timestamps[at..].iter().take_while(|ms| ms.div_euclid(TIME_STEP_MS) == step).count();
            if first >= 0 {
                *self.runs.entry(step * TIME_STEP_MS).or_default() += same as u64;
                let least = timestamps[at..at + same].iter().copied().min();
                self.oldest = self.oldest.into_iter().chain(least).min();
            }
            at += same;
        }
    }
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_times_in_steps_of_ten() {
        let mut times = RecordTimes::default();
        times.add(&[1_003, 1_009, 1_010, -1, 1_001]);
        times.add(&[1_011]);
        assert_eq!(times.runs.into_iter().collect::<Vec<_>>(), [(1_000, 3), (1_010, 2)]);
        assert_eq!(times.oldest, Some(1_001));
    }
}
