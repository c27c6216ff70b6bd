//! Runs one task: read → decode → filter → fold, one chunk at a time, strictly in offset order. Faulty records go to
//! the dead letters on the way.

use crate::dead_letters::DeadLetters;
use crate::limit::Limit;
use crate::output::Output;
use crate::progress::Progress;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tidemill_flow::fold::Fold;
use tidemill_flow::ports::{self, Chunk};
use tidemill_flow::records::Records;
use tidemill_link::{Frame, FromExecutor, Task, TaskCost};
use tidemill_model::limits::{FRAME_BYTES_MAX, PARTIAL_BYTES_MAX, TASK_BYTES_MAX};
use tidemill_model::pipeline::OnError;
use tidemill_model::{DeadLetterFile, Error, OffsetRange, Partial, PartitionId, RecordFault, Result};
use tidemill_os::clock;
use tidemill_sql::eval::EvalContext;
use tidemill_sql::plan::BranchPlan;

/// Records decoded and folded at once: few enough to keep the columns in the cache, enough to spread the overhead.
const CHUNK_RECORDS: usize = 2_048;

/// Record times are reported in so many runs at most.
const TIME_RUNS_MAX: usize = 500;

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
    output: Output,
    on_error: OnError,
    dead_letters: Option<DeadLetters>,
    limit: Limit,
    chunk: Chunk,
    /// The partitions of the chunk's records, each with its first one.
    parts: Vec<(usize, PartitionId)>,
    progress: Progress,
}

impl Worker {
    pub(crate) fn new(
        inputs: Vec<Input>,
        output: Output,
        dead_letters: Option<Box<dyn ports::DeadLetterWriter>>,
        on_error: OnError,
        limit: Option<f64>,
    ) -> Worker {
        let dead_letters = dead_letters.map(DeadLetters::new);
        Worker {
            inputs,
            output,
            on_error,
            dead_letters,
            limit: Limit::new(limit),
            chunk: Chunk::default(),
            parts: Vec::new(),
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
        let may_split = task.records() > 1 && matches!(answer, FromExecutor::Done { .. });
        let bytes_max = if may_split { PARTIAL_BYTES_MAX } else { FRAME_BYTES_MAX };
        if let Some(frame) = Frame::of(&answer).filter(|frame| frame.message_bytes() <= bytes_max) {
            return frame;
        }
        if let FromExecutor::Done { partial, .. } = &answer {
            self.output.withdraw(&partial.output);
        }
        let instead = match may_split {
            true => FromExecutor::TooLarge { id: task.id },
            false => FromExecutor::Failed { id: task.id, message: too_large(task), retry: false },
        };
        Frame::of(&instead).expect("a short message")
    }

    fn run(&mut self, task: &Task) -> FromExecutor {
        let started = clock::now();
        let mut cost = TaskCost::default();
        let result = if task.set_aside { self.set_aside(task).map(Some) } else { self.fold(task, &mut cost) };
        match result {
            Ok(None) => FromExecutor::TooLarge { id: task.id },
            Ok(Some(partial)) => {
                cost.total_us = clock::since(started).as_micros() as u64;
                FromExecutor::Done { id: task.id, partial, cost }
            }
            Err(error) => FromExecutor::Failed { id: task.id, message: error.to_string(), retry: error.retry },
        }
    }

    /// The task's partial; `None` if its records are larger than a task may hold.
    fn fold(&mut self, task: &Task, cost: &mut TaskCost) -> Result<Option<Partial>> {
        let Input { plan, reader, decoder } = &mut self.inputs[task.source()];
        let context = EvalContext { seed: task.seed, ..plan.context(task.timestamp) };
        let mut fold = Fold::new(plan.clone(), self.on_error, context, task.late_watermark.0);
        decoder.set_now(task.timestamp.to_micros());
        self.output.begin();
        if self.dead_letters.is_some() {
            fold.note_faults();
        }
        reader.expect(&task.ranges);
        let shares = self.dead_letters.is_none() && !decoder.needs_partition();
        let mut taken = Taken { may_split: task.records() > 1, shares, ..Taken::default() };
        let mut files = Vec::new();
        self.chunk.clear();
        self.parts.clear();
        for range in &task.ranges {
            self.open(task.batch_id, range)?;
            if !self.fold_range(range, &mut fold, &mut taken)? {
                return Ok(None);
            }
            files.extend(self.close()?);
        }
        if !self.chunk.is_empty() && !self.fold_chunk(task.source(), &mut fold, &mut taken)? {
            return Ok(None);
        }
        cost.limit_wait_us = micros(taken.limit_wait);
        cost.fetch_wait_us = micros(self.inputs[task.source()].reader.waited());
        let partial = Partial { output: self.output.finish(), ..fold.finish() };
        Ok(Some(taken.times.into_partial(partial, files)))
    }

    /// Folds the range that is open; false where the task has come to be too large. What a small range leaves in the
    /// chunk is folded with the ranges that follow: a chunk costs its overhead once.
    fn fold_range(&mut self, range: &OffsetRange, fold: &mut Fold, taken: &mut Taken) -> Result<bool> {
        let source = range.partition.source as usize;
        self.inputs[source].decoder.set_partition(&range.partition);
        self.parts.push((self.chunk.len(), range.partition.clone()));
        let chunk_records = self.limit.chunk_records(CHUNK_RECORDS);
        let is_small = range.len() < chunk_records as i64;
        loop {
            let Input { reader, .. } = &mut self.inputs[source];
            if !self.progress.waiting(|| reader.append(&mut self.chunk, chunk_records))? {
                return Ok(true);
            }
            let waits = taken.shares && is_small && self.chunk.has_room(chunk_records);
            if !waits && !self.fold_chunk(source, fold, taken)? {
                return Ok(false);
            }
        }
    }

    /// Folds the chunk and empties it; false where the task has come to be too large.
    fn fold_chunk(&mut self, source: usize, fold: &mut Fold, taken: &mut Taken) -> Result<bool> {
        let Input { reader, decoder, .. } = &mut self.inputs[source];
        taken.bytes += self.chunk.byte_size();
        if taken.bytes > TASK_BYTES_MAX && taken.may_split {
            return Ok(false);
        }
        taken.times.add(&self.chunk.timestamps);
        let decoded = decoder.decode(&self.chunk);
        fold.partial_mut().faults.malformed += decoded.malformed;
        fold.partial_mut().faults.wrong_type += decoded.wrong_type;
        fold.push(&decoded.batch, &decoded.faults, &self.chunk.timestamps).map_err(|failure| {
            let offset = self.chunk.offsets[failure.row];
            let record = match reader.place(offset) {
                Some(place) => format!("{}:{}", place.file, place.line),
                None => format!("record {} at offset {offset}", partition_of(&self.parts, failure.row)),
            };
            let help = "correct the query or the data, or set on_error = \"drop\" to count such records and go on";
            Error::external(format!("{record}: {}; {help}", failure.error))
        })?;
        self.output.take(fold)?;
        if let Some(dead_letters) = &mut self.dead_letters {
            dead_letters.add(reader.as_mut(), &self.chunk, &decoded, fold.take_faulty())?;
        }
        self.progress.add(self.chunk.len());
        taken.limit_wait += self.limit.pay(self.chunk.len());
        self.chunk.clear();
        self.parts.drain(..self.parts.len() - 1);
        self.parts[0].0 = 0;
        Ok(true)
    }

    /// Writes the task's records to the dead letters without decoding them.
    fn set_aside(&mut self, task: &Task) -> Result<Partial> {
        let mut partial = Partial::default();
        let mut times = RecordTimes::default();
        let mut files = Vec::new();
        for range in &task.ranges {
            self.open(task.batch_id, range)?;
            let reader = &mut self.inputs[task.source()].reader;
            while self.progress.waiting(|| reader.next(&mut self.chunk, CHUNK_RECORDS))? {
                times.add(&self.chunk.timestamps);
                partial.records += self.chunk.len() as u64;
                partial.leave_out(RecordFault::Malformed, self.chunk.len() as u64);
                let dead_letters = self.dead_letters.as_mut().expect("who sets records aside has a place for them");
                dead_letters.set_aside(reader.as_mut(), &self.chunk)?;
                self.progress.add(self.chunk.len());
            }
            files.extend(self.close()?);
        }
        Ok(times.into_partial(partial, files))
    }

    fn open(&mut self, batch_id: u64, range: &OffsetRange) -> Result<()> {
        if let Some(dead_letters) = &mut self.dead_letters {
            dead_letters.begin(batch_id, range);
        }
        let reader = &mut self.inputs[range.partition.source as usize].reader;
        self.progress.waiting(|| reader.open(range))
    }

    fn close(&mut self) -> Result<Option<DeadLetterFile>> {
        Ok(self.dead_letters.as_mut().map(DeadLetters::finish).transpose()?.flatten())
    }
}

/// The partition of a chunk's record, from the partitions and their first records.
fn partition_of(parts: &[(usize, PartitionId)], record: usize) -> &PartitionId {
    let part = parts.iter().rev().find(|(start, _)| *start <= record);
    &part.expect("the first part starts at 0").1
}

/// What a task has taken so far.
#[derive(Default)]
struct Taken {
    may_split: bool,
    /// Ranges may share a chunk: nothing needs to know the partition of a record.
    shares: bool,
    /// Of the records' values.
    bytes: usize,
    times: RecordTimes,
    limit_wait: Duration,
}

/// Why a task that cannot be split is given up.
fn too_large(task: &Task) -> String {
    let OffsetRange { partition, start, .. } = &task.ranges[0];
    format!(
        "the record {partition} at offset {start} alone needs more than {} MB, the limit of a task; filter it \
         out, or select less of it",
        FRAME_BYTES_MAX >> 20
    )
}

/// Kafka timestamps as runs of some milliseconds each.
struct RecordTimes {
    runs: BTreeMap<i64, u64>,
    /// Width of a run, ms.
    step_ms: i64,
    oldest: Option<i64>,
}

impl Default for RecordTimes {
    fn default() -> RecordTimes {
        RecordTimes { runs: BTreeMap::new(), step_ms: 1, oldest: None }
    }
}

impl RecordTimes {
    fn add(&mut self, timestamps: &[i64]) {
        let mut at = 0;
        while let Some(&first) = timestamps.get(at) {
            let step = first.div_euclid(self.step_ms);
            let same = timestamps[at..].iter().take_while(|ms| ms.div_euclid(self.step_ms) == step).count();
            if first >= 0 {
                *self.runs.entry(step * self.step_ms).or_default() += same as u64;
                let least = timestamps[at..at + same].iter().copied().min();
                self.oldest = self.oldest.into_iter().chain(least).min();
            }
            at += same;
            if self.runs.len() > TIME_RUNS_MAX {
                self.widen();
            }
        }
    }

    /// Ten times the width: an age of so many different ones is not asked for to the millisecond.
    fn widen(&mut self) {
        self.step_ms *= 10;
        for (ms, records) in std::mem::take(&mut self.runs) {
            *self.runs.entry(ms.div_euclid(self.step_ms) * self.step_ms).or_default() += records;
        }
    }

    fn into_partial(self, partial: Partial, dead_letters: Vec<DeadLetterFile>) -> Partial {
        let record_times = self.runs.into_iter().collect();
        Partial { record_times, oldest_record_ms: self.oldest, dead_letters, ..partial }
    }
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_times_are_kept_to_the_millisecond_or_in_wider_runs() {
        let mut times = RecordTimes::default();
        times.add(&[1_003, 1_009, 1_009, -1, 1_001]);
        times.add(&[1_003]);
        assert_eq!(
            times.runs.iter().map(|(ms, records)| (*ms, *records)).collect::<Vec<_>>(),
            [(1_001, 1), (1_003, 2), (1_009, 2)]
        );
        assert_eq!(times.oldest, Some(1_001));
        times.add(&(2_000..9_000).collect::<Vec<i64>>());
        assert_eq!((times.step_ms, times.runs.values().sum::<u64>()), (100, 7_005));
        assert_eq!(times.runs.keys().next(), Some(&1_000));
    }
}
