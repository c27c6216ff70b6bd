//! The choice of the worker for each task.

use crate::progress::Progress;
use std::collections::VecDeque;
use std::sync::mpsc::Sender;
use tidemill_link::{Beat, Task};
use tidemill_model::{OffsetRange, PartitionId};

/// The workers and the tasks that wait for one.
#[derive(Default)]
pub(crate) struct Pool {
    workers: Vec<Slot>,
    waiting: VecDeque<Task>,
}

/// The pool's view of one worker.
struct Slot {
    tasks: Sender<Task>,
    /// The task that it runs.
    task: Option<u64>,
    progress: Progress,
    /// The positions of its readers, or what they will be after its task; at most one per source.
    positions: Vec<(PartitionId, i64)>,
}

impl Pool {
    /// Adds a worker, which takes its tasks from the other end of this channel.
    pub(crate) fn add(&mut self, tasks: Sender<Task>, progress: Progress) {
        self.workers.push(Slot { tasks, task: None, progress, positions: Vec::new() });
    }

    /// Gives the workers no more tasks: they end.
    pub(crate) fn close(&mut self) {
        self.workers.clear();
        self.waiting.clear();
    }

    /// Whether any worker has a task.
    pub(crate) fn is_busy(&self) -> bool {
        self.workers.iter().any(|slot| slot.task.is_some())
    }

    /// Progress of each running task.
    pub(crate) fn beats(&self) -> Vec<Beat> {
        self.workers.iter().filter_map(|slot| Some(slot.progress.beat(slot.task?))).collect()
    }

    /// Gives a task to a worker, or queues it until one is free.
    pub(crate) fn take(&mut self, task: Task) {
        self.waiting.push_back(task);
        self.assign();
    }

    /// A worker has ended its task.
    pub(crate) fn ended(&mut self, worker: usize) {
        // None after [`Pool::close`].
        if let Some(slot) = self.workers.get_mut(worker) {
            slot.task = None;
        }
        self.assign();
    }

    fn assign(&mut self) {
        while let Some(task) = self.waiting.front() {
            let free = self.workers.iter_mut().filter(|slot| slot.task.is_none());
            let Some(slot) = free.min_by_key(|slot| loss(&slot.positions, &task.ranges[0])) else { return };
            slot.task = Some(task.id);
            slot.progress.begin();
            slot.positions.retain(|(partition, _)| partition.source as usize != task.source());
            // Of several ranges nothing is fetched ahead.
            if let [range] = &task.ranges[..] {
                slot.positions.push((range.partition.clone(), range.end));
            }
            let task = self.waiting.pop_front().expect("looked at above");
            // If the worker is gone, it panicked; its last event is in the inbox.
            let _ = slot.tasks.send(task);
        }
    }
}

/// Prefetched data that is lost when a worker at these positions gets the range: 0 none and it continues, 1 none, 2
/// some.
fn loss(positions: &[(PartitionId, i64)], range: &OffsetRange) -> u8 {
    match positions.iter().find(|(partition, _)| partition.source == range.partition.source) {
        Some((partition, offset)) if *partition == range.partition && *offset == range.start => 0,
        None => 1,
        Some(_) => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, channel};
    use tidemill_model::Millis;

    fn task(id: u64, range: OffsetRange) -> Task {
        Task {
            id,
            batch_id: 0,
            ranges: vec![range],
            late_watermark: Millis(0),
            timestamp: Millis(0),
            seed: 0,
            set_aside: false,
        }
    }

    fn pool(workers: usize) -> (Pool, Vec<Receiver<Task>>) {
        let mut pool = Pool::default();
        let add = |_| {
            let (tasks, queue) = channel();
            pool.add(tasks, Progress::default());
            queue
        };
        let queues = (0..workers).map(add).collect();
        (pool, queues)
    }

    /// The worker that gets each range `(partition, start, end)` when every worker answers at once. Partitions from 10
    /// on belong to the second source.
    fn check(workers: usize, ranges: &[(i32, i64, i64)], expected: &[usize]) {
        let (mut pool, queues) = pool(workers);
        let got: Vec<usize> = ranges
            .iter()
            .map(|(partition, start, end)| {
                let source = u32::from(*partition >= 10);
                let partition = PartitionId { source, topic: "t".into(), partition: *partition };
                let range = OffsetRange { partition, start: *start, end: *end };
                pool.take(task(0, range));
                let worker = queues.iter().position(|queue| queue.try_recv().is_ok()).expect("a free worker");
                pool.ended(worker);
                worker
            })
            .collect();
        assert_eq!(got, expected, "{ranges:?}");
    }

    #[test]
    fn a_worker_goes_on_where_it_has_read() {
        check(2, &[(0, 0, 5), (1, 0, 5), (1, 5, 9), (0, 5, 9), (1, 9, 12)], &[0, 1, 1, 0, 1]);
        check(2, &[(0, 0, 5), (0, 5, 9), (0, 20, 30), (0, 9, 12), (0, 30, 31)], &[0, 0, 1, 0, 1]);
        check(1, &[(0, 0, 5), (3, 7, 9)], &[0, 0]);
        let two_sources = [(0, 0, 5), (0, 20, 25), (10, 0, 5), (10, 7, 9), (0, 25, 30), (10, 9, 12), (10, 5, 6)];
        check(2, &two_sources, &[0, 1, 0, 1, 1, 1, 0]);
    }

    #[test]
    fn a_task_waits_for_a_worker() {
        let (mut pool, queues) = pool(1);
        let partition = PartitionId { source: 0, topic: "t".into(), partition: 0 };
        for id in 0..3 {
            let range = OffsetRange { partition: partition.clone(), start: 0, end: 1 };
            pool.take(task(id, range));
        }
        for id in 0..3 {
            assert_eq!(queues[0].try_recv().map(|task| task.id), Ok(id));
            assert!(queues[0].try_recv().is_err());
            pool.ended(0);
        }
    }
}
