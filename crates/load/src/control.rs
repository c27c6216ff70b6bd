//! What another thread can read and change while a load runs.

use crate::pace::Rate;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// The control of a running load, shared between threads. Each call takes effect within 10 ms.
#[derive(Debug)]
pub struct Control {
    /// Bits of the rate in records per second; infinite for [`Rate::Max`].
    per_second: AtomicU64,
    producers: AtomicUsize,
    /// Records requested beside the rate and not yet taken.
    extra: AtomicU64,
    stopped: AtomicBool,
    sent: AtomicU64,
    acknowledged: AtomicU64,
    failed: AtomicU64,
}

/// Records counted since the start. `acknowledged + failed ≤ sent`; the others are in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Handed to the client.
    pub sent: u64,
    /// Confirmed by the broker.
    pub acknowledged: u64,
    /// Given up. The broker may have them or not.
    pub failed: u64,
}

impl Control {
    /// A control with a total rate and a number of producers.
    pub fn new(rate: Rate, producers: usize) -> Control {
        Control {
            per_second: AtomicU64::new(bits(rate)),
            producers: AtomicUsize::new(producers),
            extra: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// Changes the total rate.
    pub fn set_rate(&self, rate: Rate) {
        self.per_second.store(bits(rate), Relaxed);
    }

    /// The requested total rate.
    pub fn rate(&self) -> Rate {
        match f64::from_bits(self.per_second.load(Relaxed)) {
            rate if rate.is_finite() => Rate::PerSecond(rate),
            _ => Rate::Max,
        }
    }

    /// Changes the number of producers. Each has its own connection and an equal share of the rate. A load with a
    /// `count` keeps its first number, since the count is divided at the start.
    pub fn set_producers(&self, producers: usize) {
        self.producers.store(producers, Relaxed);
    }

    /// The requested number of producers.
    pub fn producers(&self) -> usize {
        self.producers.load(Relaxed)
    }

    /// Requests this many records at once, beside the rate. A load that ends first does not send them.
    pub fn send_now(&self, records: u64) {
        self.extra.fetch_add(records, Relaxed);
    }

    /// Takes the records requested beside the rate.
    pub(crate) fn take_extra(&self) -> u64 {
        self.extra.swap(0, Relaxed)
    }

    /// Ends the load. It still waits for what was sent.
    pub fn stop(&self) {
        self.stopped.store(true, Relaxed);
    }

    /// Whether the load was asked to end.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Relaxed)
    }

    /// The counters at this moment.
    pub fn counters(&self) -> Counters {
        // In this order, so that records acknowledged meanwhile do not exceed those sent.
        let (failed, acknowledged) = (self.failed.load(Relaxed), self.acknowledged.load(Relaxed));
        Counters { sent: self.sent.load(Relaxed).max(failed + acknowledged), acknowledged, failed }
    }

    pub(crate) fn add(&self, more: Counters) {
        self.sent.fetch_add(more.sent, Relaxed);
        self.acknowledged.fetch_add(more.acknowledged, Relaxed);
        self.failed.fetch_add(more.failed, Relaxed);
    }
}

fn bits(rate: Rate) -> u64 {
    match rate {
        Rate::PerSecond(rate) => rate.max(0.0).to_bits(),
        Rate::Max => f64::INFINITY.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_read() {
        let control = Control::new(Rate::PerSecond(10.0), 2);
        assert_eq!((control.rate(), control.producers(), control.is_stopped()), (Rate::PerSecond(10.0), 2, false));
        control.set_rate(Rate::Max);
        control.set_producers(4);
        control.send_now(2);
        assert_eq!((control.take_extra(), control.take_extra()), (2, 0));
        control.stop();
        assert_eq!((control.rate(), control.producers(), control.is_stopped()), (Rate::Max, 4, true));
        let counters = Counters { sent: 5, acknowledged: 3, failed: 1 };
        control.add(counters);
        assert_eq!(control.counters(), counters);
    }
}
