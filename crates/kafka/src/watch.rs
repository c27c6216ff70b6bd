//! The driver's side: reports what a topic holds, and wakes when it holds more.
//!
//! Two ways to notice an append, chosen by what flows:
//! - quiet or a trickle: *armed*. A fetch waits at the end of every partition and is answered within a millisecond of an append;
//!   the few records that it carries are thrown away. At rest this is one fetch every 5 s and one look a second.
//! - busy: *looking*. One ListOffsets for all partitions, when the driver asks: it finds what has come since the last one. Only
//!   where it finds nothing it is repeated after a pause. A fetch would be answered at every append, needed or not.
//!
//! The answer always comes from ListOffsets: last stable offsets, so open transactions are not counted.

use crate::client::Handle;
use crate::fetch::Fetch;
use crate::options::KafkaOptions;
use rdkafka::Offset;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tidemill_flow::ports::{Extent, Extents, Timeline, Watch};
use tidemill_model::{PartitionId, Result};

/// Time between two looks that find nothing: a part of the time that it has been quiet for, within these.
const PAUSE_MIN: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(20);
/// Records per second below which the watch is armed; one that is armed stays so up to twice as many. Each may be an append,
/// which costs a fetch and a look; above, the driver's own questions find as much.
const TRICKLE_PER_SECOND: f64 = 100.0;
/// A fetch that waits names every partition each time: with more than so many, it must pay for fewer appends.
const TRICKLE_PARTITIONS: f64 = 64.0;
/// The rate is that of about so many seconds.
const RATE_SECONDS: f64 = 0.1;
/// Time between two looks while armed, in case a fetch is lost or the broker is.
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
    topic: Arc<str>,
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
    /// Records per second.
    rate: f64,
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
            topic: topic.into(),
            source: 0,
            asks: Handle::new(options, &[ISOLATION], &[])?,
            fetch: Fetch::new(Handle::new(options, &defaults, &must)?),
            partitions: Timestamped::never(),
            starts: Timestamped::never(),
            seen: Timestamped::never(),
            news_at: Instant::now(),
            rate: 0.0,
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
        let mut records = 0;
        if found != self.seen.value {
            let end = |extents: &Extents| extents.values().map(|extent| extent.end).sum::<i64>();
            // What was there before the first look says nothing about what flows.
            records = if self.seen.at.is_some() { end(&found) - end(&self.seen.value) } else { 0 };
            self.news_at = Instant::now();
        }
        let elapsed = self.seen.at.map_or(Duration::ZERO, |at| at.elapsed());
        self.rate = rate_after(self.rate, records, elapsed);
        if self.armed && self.rate >= 2.0 * self.trickle() {
            self.disarm();
        }
        self.seen.set(found);
    }

    /// Records per second that are a trickle.
    fn trickle(&self) -> f64 {
        TRICKLE_PER_SECOND * (TRICKLE_PARTITIONS / self.partitions.value.len() as f64).min(1.0)
    }

    /// Time between two looks.
    fn interval(&self) -> Duration {
        match () {
            () if self.woken => Duration::ZERO,
            () if self.armed => CHECK_INTERVAL,
            () if self.partitions.value.is_empty() => MISSING_INTERVAL,
            () => (self.news_at.elapsed() / 4).clamp(PAUSE_MIN, PAUSE_MAX),
        }
    }

    /// Waits until a poll is due, at most `wait`.
    fn wait(&mut self, wait: Duration) {
        let now = rate_after(self.rate, 0, self.seen.at.map_or(Duration::ZERO, |at| at.elapsed()));
        if !self.armed && !self.partitions.value.is_empty() && now < self.trickle() {
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
            thread::sleep(wait.min(self.seen.fresh_for(self.interval())));
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
            // Who asks wants to know what is there now; while a fetch waits, that is what was seen last.
            let asked = !looked && (known.is_empty() || !self.armed) && !self.partitions.value.is_empty();
            if asked || self.seen.is_older(self.interval()) {
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

/// Records per second, after so many more have come in a time. Older ones count less; what falls behind is a topic made anew.
fn rate_after(rate: f64, records: i64, elapsed: Duration) -> f64 {
    let weight = (-elapsed.as_secs_f64() / RATE_SECONDS).exp();
    rate * weight + records.max(0) as f64 / RATE_SECONDS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks `(records found, ms since the look before)` → records per second after them.
    fn check(looks: &[(i64, u64)], expected: std::ops::Range<f64>) {
        let rate = looks.iter().fold(0.0, |rate, (found, ms)| rate_after(rate, *found, Duration::from_millis(*ms)));
        assert!(expected.contains(&rate), "{rate} of {looks:?}");
    }

    #[test]
    fn the_rate_is_that_of_the_last_moments() {
        check(&[(0, 0), (0, 1_000)], 0.0..0.1);
        check(&[(1, 1_000)], 9.0..11.0);
        check(&vec![(1, 10); 100], 100.0..110.0);
        check(&vec![(10, 10); 100], 1_000.0..1_100.0);
        check(&[&vec![(10, 10); 100][..], &[(0, 300)]].concat(), 40.0..60.0);
        check(&[(-500, 10), (0, 10)], 0.0..0.1);
    }
}
