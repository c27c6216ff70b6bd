//! The driver's side: reports what a topic holds, and wakes when it holds more.
//!
//! It notices appends in one of two ways:
//! - Quiet topic or few records: *armed*. A fetch waits at the end of every partition and is answered within a
//!   millisecond of an append; its few records are dropped. When idle this costs one fetch every 5 s and one poll a
//!   second.
//! - Busy topic: *polling*. One ListOffsets for all partitions, every 10 ms at most. Fetching would transfer the whole
//!   stream once more.
//!
//! The answer always comes from ListOffsets: last stable offsets, so open transactions are not counted.

use crate::client::Handle;
use crate::fetch::Fetch;
use crate::options::KafkaOptions;
use rdkafka::Offset;
use std::thread;
use std::time::{Duration, Instant};
use tidemill_flow::ports::{Extent, Extents, Timeline, Watch};
use tidemill_model::{PartitionId, Result};

/// Interval of polls while records arrive.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// After this time without new records the watch is armed.
const QUIET_AFTER: Duration = Duration::from_millis(50);
/// Rate in records per second up to which the watch stays armed; about 1 MB/s is then fetched for nothing.
const TRICKLE_PER_SECOND: f64 = 4_000.0;
/// Interval of polls while armed, in case a fetch or the broker is lost.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Interval of looking for new partitions.
const PARTITIONS_INTERVAL: Duration = Duration::from_secs(3);
/// Interval of looking for a topic that does not exist.
const MISSING_INTERVAL: Duration = Duration::from_millis(100);
/// Interval of reading the first offsets, which only retention moves.
const STARTS_INTERVAL: Duration = Duration::from_secs(10);
/// Longest wait for an answer of a broker.
const ANSWER_MAX: Duration = Duration::from_secs(2);

const ISOLATION: (&str, &str) = ("isolation.level", "read_committed");

/// Watches one topic.
pub struct KafkaWatch {
    options: KafkaOptions,
    topic: String,
    source: u32,
    /// The client for requests. It is a separate client because a broker answers the requests of a connection in order:
    /// a request behind a waiting fetch would wait with it.
    asks: Handle,
    /// The waiting fetches, while armed.
    fetch: Fetch,
    partitions: Timestamped<Vec<i32>>,
    starts: Timestamped<Vec<i64>>,
    /// Result and time of the last poll.
    seen: Timestamped<Extents>,
    /// When a poll last found new records.
    news_at: Instant,
    armed: bool,
    /// A waiting fetch was answered.
    woken: bool,
}

/// A value and the time at which it was set.
struct Timestamped<T> {
    value: T,
    at: Option<Instant>,
}

impl<T> Timestamped<T> {
    fn set(&mut self, value: T) {
        self.value = value;
        self.at = Some(Instant::now());
    }

    /// Time until the value is `age` old.
    fn fresh_for(&self, age: Duration) -> Duration {
        self.at.map_or(Duration::ZERO, |at| age.saturating_sub(at.elapsed()))
    }

    fn is_older(&self, age: Duration) -> bool {
        self.fresh_for(age).is_zero()
    }
}

impl<T: Default> Timestamped<T> {
    fn never() -> Timestamped<T> {
        Timestamped { value: T::default(), at: None }
    }
}

impl KafkaWatch {
    /// A watch with its own clients, which connect in the background.
    ///
    /// # Errors
    /// User: a wrong option.
    pub fn new(options: &KafkaOptions, topic: &str) -> Result<KafkaWatch> {
        let defaults = [
            ISOLATION,
            ("fetch.wait.max.ms", "5000"),
            ("fetch.min.bytes", "1"),
            ("fetch.message.max.bytes", "1024"),
            ("queued.max.messages.kbytes", "256"),
            ("fetch.queue.backoff.ms", "50"),
        ];
        let must = [("enable.partition.eof", "true"), ("auto.offset.reset", "error")];
        Ok(KafkaWatch {
            options: options.clone(),
            topic: topic.to_owned(),
            source: 0,
            asks: Handle::new(options, &[ISOLATION], &[])?,
            fetch: Fetch::new(Handle::new(options, &defaults, &must)?),
            partitions: Timestamped::never(),
            starts: Timestamped::never(),
            seen: Timestamped::never(),
            news_at: Instant::now(),
            armed: false,
            woken: false,
        })
    }

    /// Sets the source's number in the query, if it is not the first.
    #[must_use]
    pub fn of_source(self, source: u32) -> KafkaWatch {
        KafkaWatch { source, ..self }
    }

    /// Polls the brokers.
    fn look(&mut self) -> Result<()> {
        self.woken = false;
        self.look_for_partitions()?;
        let partitions = &self.partitions.value;
        if partitions.is_empty() {
            self.see(Extents::new());
            return Ok(());
        }
        if self.starts.is_older(STARTS_INTERVAL) {
            self.starts.set(self.asks.offsets(&self.topic, partitions, Offset::Beginning, ANSWER_MAX)?);
        }
        let ends = self.asks.offsets(&self.topic, partitions, Offset::End, ANSWER_MAX)?;
        let extents = partitions.iter().zip(self.starts.value.iter().zip(ends)).map(|(&partition, (&start, end))| {
            // The start offset was read earlier; retention can only have raised it since.
            (
                PartitionId { source: self.source, topic: self.topic.clone(), partition },
                Extent { start: start.min(end), end },
            )
        });
        self.see(extents.collect());
        Ok(())
    }

    fn look_for_partitions(&mut self) -> Result<()> {
        if !self.partitions.value.is_empty() && !self.partitions.is_older(PARTITIONS_INTERVAL) {
            return Ok(());
        }
        let found = self.asks.partitions(&self.topic, ANSWER_MAX)?.unwrap_or_default();
        if found != self.partitions.value {
            self.disarm();
            self.starts.at = None;
        }
        self.partitions.set(found);
        Ok(())
    }

    /// Takes the result of a poll, and decides whether to stay armed.
    fn see(&mut self, found: Extents) {
        if found != self.seen.value {
            let end = |extents: &Extents| extents.values().map(|extent| extent.end).sum::<i64>();
            let records = end(&found) - end(&self.seen.value);
            if !is_trickle(records, self.seen.at.map_or(Duration::ZERO, |at| at.elapsed())) {
                self.disarm();
            }
            self.news_at = Instant::now();
        }
        self.seen.set(found);
    }

    fn look_is_due(&self) -> bool {
        let interval = match () {
            () if self.woken => Duration::ZERO,
            () if self.armed => CHECK_INTERVAL,
            () if self.partitions.value.is_empty() => MISSING_INTERVAL,
            () => LOOK_INTERVAL,
        };
        self.seen.is_older(interval)
    }

    /// Waits until a poll is due, at most `wait`.
    fn wait(&mut self, wait: Duration) {
        if !self.armed && !self.partitions.value.is_empty() && self.news_at.elapsed() >= QUIET_AFTER {
            self.arm();
        }
        if self.armed {
            let mut wait = wait.min(self.seen.fresh_for(CHECK_INTERVAL));
            while self.fetch.peek(wait).is_some() {
                self.fetch.consume();
                self.woken = true;
                wait = Duration::ZERO;
            }
            self.fetch.handle.drain_events();
        } else {
            let interval = if self.partitions.value.is_empty() { MISSING_INTERVAL } else { LOOK_INTERVAL };
            thread::sleep(wait.min(self.seen.fresh_for(interval)));
        }
    }

    fn arm(&mut self) {
        for (id, extent) in &self.seen.value {
            self.fetch.start(&self.topic, id.partition, extent.end);
        }
        self.armed = true;
    }

    fn disarm(&mut self) {
        self.fetch.stop();
        self.armed = false;
    }
}

impl Watch for KafkaWatch {
    fn name(&self) -> String {
        format!("topic `{}`", self.topic)
    }

    /// Has its own client, created when first used: most runs never have a backlog.
    fn timeline(&self) -> Option<Timeline> {
        let (options, topic) = (self.options.clone(), self.topic.clone());
        let mut client = None;
        Some(Box::new(move |partitions, timestamp| {
            let asks = match &client {
                Some(asks) => asks,
                None => client.insert(Handle::new(&options, &[ISOLATION], &[])?),
            };
            let numbers: Vec<i32> = partitions.iter().map(|id| id.partition).collect();
            asks.first_at(&topic, &numbers, timestamp, ANSWER_MAX)
        }))
    }

    fn watch(&mut self, known: &Extents, timeout: Duration) -> Result<Extents> {
        let deadline = Instant::now() + timeout;
        let mut looked = false;
        loop {
            if self.look_is_due() || (known.is_empty() && !looked && !self.seen.value.is_empty()) {
                if let Err(error) = self.look() {
                    // Leaders and partitions may have changed.
                    self.disarm();
                    self.partitions.at = None;
                    return Err(error);
                }
                looked = true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if self.seen.value != *known || left.is_zero() || (known.is_empty() && looked) {
                return Ok(self.seen.value.clone());
            }
            self.wait(left);
        }
    }
}

/// Whether so few records arrive that fetching them for nothing costs less than polling.
fn is_trickle(records: i64, elapsed: Duration) -> bool {
    // Fewer than 50 records do not give a rate.
    records >= 0 && (records as f64) < (elapsed.as_secs_f64() * TRICKLE_PER_SECOND).max(50.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_is_few_records_or_few_in_their_time() {
        for (records, ms, expected) in [
            (0, 0, true),
            (49, 0, true),
            (50, 0, false),
            (3_999, 1_000, true),
            (4_000, 1_000, false),
            (-1, 1_000, false),
        ] {
            assert_eq!(is_trickle(records, Duration::from_millis(ms)), expected, "{records} in {ms} ms");
        }
    }
}
