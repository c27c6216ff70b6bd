//! Runs a load from its first record to its summary.

use crate::control::{Control, Counters};
use crate::pace::Rate;
use crate::producer::Producer;
use crate::records;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};
use tidemill_kafka::{KafkaOptions, admin::ensure_topic};
use tidemill_model::{Error, Micros, Result};

/// What to send, where to, and how fast.
#[derive(Clone, Debug)]
pub struct Options {
    /// The cluster.
    pub kafka: KafkaOptions,
    /// The topic; created if it does not exist.
    pub topic: String,
    /// Total rate at the start; [`Control`] changes it.
    pub rate: Rate,
    /// Ends after this many records in total.
    pub count: Option<u64>,
    /// Ends after this time.
    pub duration: Option<Duration>,
    /// Number of producers at the start, each with its own connection; at least 1.
    pub producers: usize,
    /// Partitions of a new topic; `None` for the cluster's default.
    pub partitions: Option<i32>,
    /// The same seed gives the same records.
    pub seed: u64,
    /// Shares of late and malformed records.
    pub records: records::Options,
    /// Event time of the first record; the others follow at `rate` (at 100,000 per second for [`Rate::Max`]). `None`:
    /// the wall clock when the record is made.
    pub start_time: Option<Micros>,
}

impl Options {
    /// One producer, without an end, at the maximum rate, with sound records only.
    pub fn new(kafka: KafkaOptions, topic: impl Into<String>) -> Options {
        Options {
            kafka,
            topic: topic.into(),
            rate: Rate::Max,
            count: None,
            duration: None,
            producers: 1,
            partitions: None,
            seed: 0,
            records: records::Options::default(),
            start_time: None,
        }
    }

    /// The control to run it with.
    pub fn control(&self) -> Control {
        Control::new(self.rate, self.producers)
    }
}

/// Progress of a load.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Since the first record.
    pub elapsed: Duration,
    /// Records so far.
    pub counters: Counters,
    /// Records per second since the last report.
    pub per_second: f64,
}

/// Result of a load.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    /// Records handed to the client.
    pub sent: u64,
    /// Records confirmed by the broker.
    pub acknowledged: u64,
    /// Records given up. The broker may have them or not.
    pub failed: u64,
    /// From the first record until the last was acknowledged or given up.
    pub seconds: f64,
    /// Partitions of the topic.
    pub partitions: i32,
}

/// Sends until the count, the time or [`Control::stop`] ends it, and waits until each record is acknowledged or given
/// up (`delivery.timeout.ms` after it was sent, by default 2 minutes). Calls `progress` about once a second.
///
/// # Errors
/// User: wrong options. Transient: no broker answers at the start. External: the broker refuses. Records that fail
/// later are counted; they are not errors.
pub fn run(options: &Options, control: &Control, mut progress: impl FnMut(&Progress)) -> Result<Summary> {
    let partitions = prepare(options)?;
    let start = Instant::now();
    let mut last = Progress { elapsed: Duration::ZERO, counters: control.counters(), per_second: 0.0 };
    thread::scope(|scope| {
        let (mut running, mut started) = (Vec::new(), 0);
        let mut result = Ok(());
        loop {
            // A count is divided among a fixed number of producers.
            let wanted = if options.count.is_some() { options.producers } else { control.producers() };
            while started < wanted.max(1) && !control.is_stopped() {
                let index = started;
                started += 1;
                let since = if index < options.producers { Duration::ZERO } else { start.elapsed() };
                running
                    .push(scope.spawn(move || Producer::new(index, options, control, partitions)?.run(start, since)));
            }
            for producer in running.extract_if(.., |producer: &mut ScopedJoinHandle<_>| producer.is_finished()) {
                let ended: Result<()> = producer.join().unwrap_or_else(|_| Err(Error::internal(PANICKED)));
                if ended.is_err() {
                    // Otherwise the other producers would go on sending unseen.
                    control.stop();
                }
                result = result.and(ended);
            }
            if running.is_empty() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
            if start.elapsed() - last.elapsed >= Duration::from_secs(1) {
                last = next_progress(&last, start.elapsed(), control);
                progress(&last);
            }
        }
        result
    })?;
    let Counters { sent, acknowledged, failed } = control.counters();
    Ok(Summary { sent, acknowledged, failed, seconds: start.elapsed().as_secs_f64(), partitions })
}

/// The error if a thread of the load panicked. The panic's message is on stderr already.
const PANICKED: &str = "a producer panicked; this is a bug in Tidemill, please report it";

fn prepare(options: &Options) -> Result<i32> {
    if options.producers == 0 {
        return Err(Error::user("`producers` is 0; at least one producer is needed"));
    }
    if options.rate == Rate::PerSecond(0.0)
        && options.count.is_some_and(|count| count > 0)
        && options.duration.is_none()
    {
        return Err(Error::user(
            "at a rate of 0 the count is never reached; give a --rate, or a --duration after which to end",
        ));
    }
    if options.partitions.is_some_and(|partitions| partitions < 1) {
        return Err(Error::user("`partitions` is less than 1; a topic has at least one partition"));
    }
    let found = ensure_topic(&options.kafka, &options.topic, options.partitions)?;
    match options.partitions {
        Some(wanted) if wanted != found => Err(Error::user(format!(
            "topic `{}` has {found} partitions already, not {wanted}; leave `partitions` out or choose another topic",
            options.topic
        ))),
        _ => Ok(found),
    }
}

fn next_progress(last: &Progress, elapsed: Duration, control: &Control) -> Progress {
    let counters = control.counters();
    let per_second = (counters.sent - last.counters.sent) as f64 / (elapsed - last.elapsed).as_secs_f64();
    Progress { elapsed, counters, per_second }
}
