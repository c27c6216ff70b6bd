//! The cost of a run and the service it gave.

/// Width of a bin of ages, ms.
const BIN_MS: u64 = 50;
/// Number of bins; the last one holds all ages from two hours on.
const BINS: usize = 144_000;

/// The figures of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Spawn → exit of all executors.
    pub executor_seconds: f64,
    /// Executors started.
    pub starts: u64,
    /// Changes of size: (ms, from, to).
    pub actions: Vec<(u64, u32, u32)>,
    /// Records that arrived.
    pub records: f64,
    /// Records not done at the end.
    pub left: f64,
    /// Share of the records older than the service level when their result was out.
    pub late: f64,
    /// Age of a record when its result was out, ms.
    pub age_p50_ms: u64,
    /// 99th percentile of it.
    pub age_p99_ms: u64,
    /// Greatest of it.
    pub age_max_ms: u64,
    /// From the arrival of the first record until it was done, ms; `None`: it never was.
    pub first_record_ms: Option<u64>,
    /// The state at the end of each second.
    pub samples: Vec<Sample>,
}

/// The state at the end of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Executors that are paid.
    pub size: u32,
    /// Records that wait.
    pub backlog: f64,
    /// How long the oldest record has waited, ms.
    pub oldest_ms: u64,
}

impl Outcome {
    /// Adds a change of size.
    pub fn note(&mut self, now_ms: u64, from: u32, to: u32) {
        self.actions.push((now_ms, from, to));
    }

    /// Opposite changes of size within `window_s`.
    pub fn reversals(&self, window_s: u64) -> usize {
        let reverses = |pair: &&[(u64, u32, u32)]| {
            let [(before_ms, a, b), (after_ms, c, d)] = pair else { return false };
            (b > a) != (d > c) && after_ms - before_ms < window_s * 1000
        };
        self.actions.windows(2).filter(reverses).count()
    }

    /// Cost in executor-seconds if a start costs `start_s`.
    pub fn cost(&self, start_s: f64) -> f64 {
        self.executor_seconds + self.starts as f64 * start_s
    }
}

/// A histogram of ages, weighted by records.
pub(super) struct Ages {
    slo_ms: u64,
    bins: Vec<f64>,
    records: f64,
    late: f64,
    max_ms: u64,
}

impl Ages {
    pub fn new(slo_ms: u64) -> Ages {
        Ages { slo_ms, bins: Vec::new(), records: 0.0, late: 0.0, max_ms: 0 }
    }

    pub fn add(&mut self, age_ms: u64, records: f64) {
        let bin = ((age_ms / BIN_MS) as usize).min(BINS - 1);
        if bin >= self.bins.len() {
            self.bins.resize(bin + 1, 0.0);
        }
        self.bins[bin] += records;
        self.records += records;
        self.max_ms = self.max_ms.max(age_ms);
        if age_ms > self.slo_ms {
            self.late += records;
        }
    }

    pub fn report(&self, outcome: &mut Outcome) {
        outcome.late = if self.records > 0.0 { self.late / self.records } else { 0.0 };
        outcome.age_p50_ms = self.percentile(0.5);
        outcome.age_p99_ms = self.percentile(0.99);
        outcome.age_max_ms = self.max_ms;
    }

    fn percentile(&self, share: f64) -> u64 {
        let mut below = 0.0;
        for (bin, records) in self.bins.iter().enumerate() {
            below += records;
            if below >= share * self.records && *records > 0.0 {
                return (bin as u64 + 1) * BIN_MS;
            }
        }
        0
    }
}
