//! One producer: a thread with its own connection that generates records and sends them when they are due.

use crate::control::{Control, Counters};
use crate::outlet::{self, Block, Outlet};
use crate::pace::{Pace, Rate};
use crate::produce::Options;
use crate::records::Generator;
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use tidemill_model::{Micros, Result};

/// Most records generated at once: 250 kB, which fit in a core's cache.
const BLOCK_RECORDS: u64 = 1_000;
/// Longest delay until a change of the rate is noticed.
const TICK: Duration = Duration::from_millis(10);
/// Records of event time per second at `--rate max` with `--start-time`.
const SCHEDULE_PER_SECOND: f64 = 100_000.0;

pub struct Producer<'a> {
    index: u64,
    options: &'a Options,
    control: &'a Control,
    generator: Generator,
    outlet: Box<dyn Outlet>,
    /// Counters of this producer.
    counted: Counters,
    /// Records left to send; `None`: no end.
    left: Option<u64>,
}

impl<'a> Producer<'a> {
    pub fn new(index: usize, options: &'a Options, control: &'a Control, partitions: i32) -> Result<Producer<'a>> {
        let producers = options.producers as u64;
        let index = index as u64;
        Ok(Producer {
            index,
            options,
            control,
            generator: Generator::new(options.seed, index, &options.records),
            outlet: outlet::open(&options.kafka, &options.topic, partitions)?,
            counted: Counters::default(),
            left: options.count.map(|count| count / producers + u64::from(index < count % producers)),
        })
    }

    /// Sends until it is stopped, or until time or records run out, then waits until all records are acknowledged or given
    /// up. The load began at `start`; this producer joined `since` later.
    pub fn run(mut self, start: Instant, since: Duration) -> Result<()> {
        let result = self.send_all(start, since);
        self.outlet.abandon();
        // Ends within `message.timeout.ms`, when each record is acknowledged or given up.
        while self.counted.acknowledged + self.counted.failed < self.counted.sent {
            let settled = self.outlet.flush(Duration::from_millis(5)).and_then(|()| self.settle());
            if settled.is_err() {
                return result.and(settled);
            }
        }
        result
    }

    fn send_all(&mut self, start: Instant, since: Duration) -> Result<()> {
        let mut pace = Pace::new(0.0);
        pace.set(self.rate().per_second(), since);
        let mut block = Block::default();
        let end = self.options.duration.unwrap_or(Duration::MAX);
        let mut extra = 0;
        while !self.control.is_stopped() && self.left != Some(0) {
            let now = start.elapsed().min(end);
            let rate = self.rate();
            pace.set(rate.per_second(), now);
            extra += self.control.take_extra();
            let paced = match rate {
                Rate::Max if now == end => 0,
                Rate::Max => BLOCK_RECORDS,
                Rate::PerSecond(_) => pace.due(now).min(BLOCK_RECORDS),
            };
            let due = (paced + extra).min(BLOCK_RECORDS);
            let records = due.min(self.left.unwrap_or(u64::MAX));
            if records > 0 {
                self.send(records, &mut block)?;
                let of_extra = records.min(extra);
                extra -= of_extra;
                pace.sent(if rate == Rate::Max { 0 } else { records - of_extra });
            } else if now == end {
                break;
            }
            self.settle()?;
            if due < BLOCK_RECORDS {
                thread::sleep(pace.sleep(now, TICK).min(end - now));
            }
        }
        Ok(())
    }

    /// This producer's share of the rate.
    fn rate(&self) -> Rate {
        let active = if self.left.is_some() { self.options.producers } else { self.control.producers() };
        match self.control.rate() {
            _ if self.index >= active as u64 => Rate::PerSecond(0.0),
            Rate::PerSecond(all) => Rate::PerSecond(all / active as f64),
            Rate::Max => Rate::Max,
        }
    }

    fn send(&mut self, records: u64, block: &mut Block) -> Result<()> {
        block.clear();
        let first = self.counted.sent;
        for index in first..first + records {
            self.generator.write(index, self.event_time(index), &mut block.bytes);
            block.ends.push(block.bytes.len());
        }
        // Each producer starts at another partition, so that a few records per second are spread evenly too.
        self.outlet.begin(block, first + self.index);
        loop {
            let (taken, all) = self.outlet.push(block)?;
            self.count(Counters { sent: taken, ..Counters::default() });
            if all || self.control.is_stopped() {
                self.left = self.left.map(|left| left.saturating_sub(records));
                return Ok(());
            }
            // The queue is full: the broker is slower than this producer.
            self.outlet.work(Duration::from_millis(2))?;
            self.settle()?;
        }
    }

    fn event_time(&self, index: u64) -> Micros {
        match self.options.start_time {
            Some(start) => {
                let per_second = match self.options.rate {
                    Rate::PerSecond(rate) if rate > 0.0 => rate,
                    _ => SCHEDULE_PER_SECOND,
                };
                let turn = index * self.options.producers as u64 + self.index;
                Micros(start.0 + (turn as f64 * 1e6 / per_second) as i64)
            }
            None => now(),
        }
    }

    /// Counts delivered and failed records and updates the control.
    fn settle(&mut self) -> Result<()> {
        self.outlet.work(Duration::ZERO)?;
        let (failed, on_their_way) = (self.outlet.failed(), self.outlet.on_their_way());
        let acknowledged = self.counted.sent.saturating_sub(failed + on_their_way).max(self.counted.acknowledged);
        self.count(Counters {
            sent: 0,
            acknowledged: acknowledged - self.counted.acknowledged,
            failed: failed - self.counted.failed,
        });
        Ok(())
    }

    fn count(&mut self, more: Counters) {
        self.counted.sent += more.sent;
        self.counted.acknowledged += more.acknowledged;
        self.counted.failed += more.failed;
        self.control.add(more);
    }
}

fn now() -> Micros {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Micros(since_epoch.expect("the clock is past 1970").as_micros() as i64)
}
