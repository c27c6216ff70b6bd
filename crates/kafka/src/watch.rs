//! The driver's watch: reports what a topic holds, and wakes when it holds more.
//!
//! The watch notices an append in one of two ways, depending on the rate:
//! - *Armed*, at a low rate. A fetch waits at the end of every partition. The broker answers it within a millisecond of
//!   an append. Its few records are thrown away. At rest this costs one fetch every 5 s and one poll a second. Until a
//!   fetch waits for every partition, the watch polls too.
//! - *Polling*, at a high rate. When the driver asks, one ListOffsets for all partitions finds what was appended since
//!   the last one. If it finds nothing, it is repeated after a pause. A fetch would be answered at every append, needed
//!   or not.
//!
//! The reported offsets always come from ListOffsets. They are last stable offsets, so open transactions do not count.

use crate::alarm::{self, Alarm};
use crate::ask::{self, Ask, At};
use crate::options::KafkaOptions;
use crate::positions::Finder;
use crate::subscription::Subscription;
use std::thread;
use std::time::{Duration, Instant};
use tidemill_flow::ports::{Extent, Extents, Positions, Timeline, Watch};
use tidemill_model::pipeline::{KafkaSource, Position, Topics};
use tidemill_model::{PartitionId, Result};

/// The pause between two polls that find nothing is a fraction of the quiet time, within these limits.
const PAUSE_MIN: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(20);
/// The watch arms below this rate (records/s) and disarms above twice this rate. While armed, each record may be an
/// append of its own, which costs a fetch and a poll. At higher rates the driver's own requests notice as much.
const TRICKLE_PER_SECOND: f64 = 100.0;
/// With more partitions than this, the arming rate is lower, since every waiting fetch names all partitions.
const TRICKLE_PARTITIONS: f64 = 64.0;
/// Time constant of the rate's moving average, in seconds.
const RATE_SECONDS: f64 = 0.1;
/// Time between two polls while armed, in case a fetch or the broker is lost.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Interval between checks for new partitions.
const PARTITIONS_INTERVAL: Duration = Duration::from_secs(3);
/// Interval between checks for a missing topic.
const MISSING_INTERVAL: Duration = Duration::from_millis(100);
/// Interval between reads of the first offsets, which only retention moves.
const STARTS_INTERVAL: Duration = Duration::from_secs(10);
/// Longest wait for an answer of a broker.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Watches topics.
pub struct KafkaWatch {
    options: KafkaOptions,
    subscription: Subscription,
    /// Where a query starts and ends, with the key that says so. `None`: the driver knows.
    starting: Option<Boundary>,
    ending: Option<Boundary>,
    fail_on_data_loss: bool,
    source: u32,
    asks: Box<dyn Ask>,
    /// The waiting fetches, while armed.
    alarm: Box<dyn Alarm>,
    partitions: Timestamped<Vec<PartitionId>>,
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

/// A position where a query starts or ends.
#[derive(Clone)]
struct Boundary {
    position: Position,
    key: &'static str,
    takes_end_without_match: bool,
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
    /// A watch of one topic, with its own clients, which connect in the background.
    ///
    /// # Errors
    /// User: a wrong option.
    pub fn new(options: &KafkaOptions, topic: &str) -> Result<KafkaWatch> {
        KafkaWatch::over(options, Topics::Named(vec![topic.to_owned()]))
    }

    /// A watch of a pipeline's source.
    ///
    /// # Errors
    /// As [`KafkaWatch::new`].
    pub fn of(options: &KafkaOptions, source: &KafkaSource) -> Result<KafkaWatch> {
        let key = match source.starting {
            Position::Earliest | Position::Latest | Position::Offsets(_) => "starting_offsets",
            Position::Timestamp(_) => "starting_timestamp",
            Position::Timestamps(_) => "starting_offsets_by_timestamp",
        };
        let takes_end_without_match = source.starts_at_end_without_match;
        let starting = Boundary { position: source.starting.clone(), key, takes_end_without_match };
        // Of several topics, all must exist before the start is decided.
        let is_one = match &source.topics {
            Topics::Named(topics) => topics.len() == 1,
            Topics::Matching(_) => true,
            Topics::Assigned(_) => false,
        };
        let is_simple = is_one && matches!(source.starting, Position::Earliest | Position::Latest);
        // An end after the last record is the end.
        let ending = |ending: &tidemill_model::pipeline::Ending| Boundary {
            position: ending.position.clone(),
            key: ending.key,
            takes_end_without_match: true,
        };
        Ok(KafkaWatch {
            starting: Some(starting).filter(|_| !is_simple),
            ending: source.ending.as_ref().map(ending),
            fail_on_data_loss: source.fail_on_data_loss,
            ..KafkaWatch::over(options, source.topics.clone())?
        })
    }

    fn over(options: &KafkaOptions, topics: Topics) -> Result<KafkaWatch> {
        Ok(KafkaWatch {
            options: options.clone(),
            subscription: Subscription::new(topics)?,
            starting: None,
            ending: None,
            fail_on_data_loss: true,
            source: 0,
            asks: ask::open(options)?,
            alarm: alarm::open(options)?,
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

    fn positions(&self, boundary: &Boundary) -> Option<Positions> {
        let Boundary { position, key, takes_end_without_match } = boundary.clone();
        let (options, fail_on_data_loss) = (self.options.clone(), self.fail_on_data_loss);
        let mut finder = Finder { options, position, key, takes_end_without_match, fail_on_data_loss, client: None };
        Some(Box::new(move |extents| finder.find(extents)))
    }

    fn watch_for(&mut self, known: &Extents, deadline: Instant) -> Result<Extents> {
        let mut looked = false;
        loop {
            // The caller wants the current ends. While a fetch waits, the last result is current.
            let asked = !looked && (known.is_empty() || !self.is_armed()) && !self.partitions.value.is_empty();
            if asked || self.seen.is_older(self.interval()) {
                self.look()?;
                looked = true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if self.seen.value != *known || left.is_zero() || (known.is_empty() && looked) {
                return Ok(self.seen.value.clone());
            }
            self.wait(left)?;
        }
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
            self.starts.set(self.asks.bounds(partitions, At::Earliest, ANSWER_MAX)?);
        }
        let ends = self.asks.bounds(partitions, At::Latest, ANSWER_MAX)?;
        let extents = partitions.iter().zip(self.starts.value.iter().zip(ends)).map(|(id, (&start, end))| {
            // The start offset may be older. Retention can only have raised it since.
            (id.clone(), Extent { start: start.min(end), end })
        });
        self.see(extents.collect());
        Ok(())
    }

    fn look_for_partitions(&mut self) -> Result<()> {
        if !self.partitions.value.is_empty() && !self.partitions.is_older(PARTITIONS_INTERVAL) {
            return Ok(());
        }
        let found = self.subscription.partitions(self.source, &mut *self.asks, ANSWER_MAX)?;
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
            // Records from before the first poll do not count for the rate.
            records = if self.seen.at.is_some() { end(&found) - end(&self.seen.value) } else { 0 };
            self.news_at = Instant::now();
        }
        let elapsed = self.seen.at.map_or(Duration::ZERO, |at| at.elapsed());
        self.rate = rate_after(self.rate, records, elapsed);
        if self.armed && self.rate >= 2.0 * self.trickle() {
            self.disarm();
        }
        if self.armed {
            self.alarm.advance(&found);
        }
        self.seen.set(found);
    }

    /// The rate below which the watch arms, for the current number of partitions.
    fn trickle(&self) -> f64 {
        TRICKLE_PER_SECOND * (TRICKLE_PARTITIONS / self.partitions.value.len() as f64).min(1.0)
    }

    /// Time between two polls.
    fn interval(&self) -> Duration {
        if self.woken {
            Duration::ZERO
        } else if self.is_armed() {
            CHECK_INTERVAL
        } else if self.partitions.value.is_empty() {
            MISSING_INTERVAL
        } else {
            (self.news_at.elapsed() / 4).clamp(PAUSE_MIN, PAUSE_MAX)
        }
    }

    /// Waits until a poll is due, at most `wait`.
    fn wait(&mut self, wait: Duration) -> Result<()> {
        let now = rate_after(self.rate, 0, self.seen.at.map_or(Duration::ZERO, |at| at.elapsed()));
        if !self.armed && !self.partitions.value.is_empty() && now < self.trickle() {
            self.alarm.set(&self.seen.value);
            self.armed = true;
        }
        if self.armed {
            self.woken |= self.alarm.wait(wait.min(self.seen.fresh_for(self.interval())))?;
        } else {
            thread::sleep(wait.min(self.seen.fresh_for(self.interval())));
        }
        Ok(())
    }

    /// Whether a fetch waits for every partition, so that no append is missed.
    fn is_armed(&self) -> bool {
        self.armed && self.alarm.is_set()
    }

    fn disarm(&mut self) {
        self.alarm.disarm();
        self.armed = false;
    }
}

impl Watch for KafkaWatch {
    fn name(&self) -> String {
        self.subscription.name()
    }

    fn starting(&self) -> Option<Positions> {
        self.positions(self.starting.as_ref()?)
    }

    fn ending(&self) -> Option<Positions> {
        self.positions(self.ending.as_ref()?)
    }

    /// The timeline has its own client. It is created on first use, since most runs never have a backlog.
    fn timeline(&self) -> Option<Timeline> {
        let options = self.options.clone();
        let mut client = None;
        Some(Box::new(move |partitions, timestamp| {
            let asks = match &mut client {
                Some(asks) => asks,
                None => client.insert(ask::open(&options)?),
            };
            asks.offsets(partitions, At::Timestamp(timestamp), ANSWER_MAX)
        }))
    }

    fn watch(&mut self, known: &Extents, timeout: Duration) -> Result<Extents> {
        let result = self.watch_for(known, Instant::now() + timeout);
        if result.is_err() {
            // Leaders and partitions may have changed.
            self.disarm();
            self.partitions.at = None;
        }
        result
    }
}

/// The new rate after `records` more in `elapsed`: an exponential moving average. A negative number (the topic was
/// created again) counts as 0.
fn rate_after(rate: f64, records: i64, elapsed: Duration) -> f64 {
    let weight = (-elapsed.as_secs_f64() / RATE_SECONDS).exp();
    rate * weight + records.max(0) as f64 / RATE_SECONDS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Polls `(records found, ms since the previous poll)` → the rate after them.
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
