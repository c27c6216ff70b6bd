//! Ages of records: the time from a record's Kafka timestamp until `sink.write` has returned for its batch.

use hdrhistogram::Histogram;

/// Distribution of ages of a batch or a run, in ms, to two significant digits.
pub struct Ages {
    histogram: Histogram<u64>,
}

/// Without records.
impl Default for Ages {
    fn default() -> Ages {
        Ages { histogram: Histogram::new(2).expect("two digits are allowed") }
    }
}

impl Ages {
    /// Adds records. `times` holds (timestamp in ms, number of records); `out_ms` is when their results were out.
    pub fn add(&mut self, times: &[(i64, u64)], out_ms: i64) {
        for (at, records) in times {
            let age = u64::try_from(out_ms - at).unwrap_or(0);
            self.histogram.record_n(age, *records).expect("the histogram grows by itself");
        }
    }

    /// Adds the records of another one.
    pub fn merge(&mut self, other: &Ages) {
        self.histogram.add(&other.histogram).expect("the histogram grows by itself");
    }

    /// The age in ms that this share of the records does not exceed; 0 without records.
    pub fn quantile(&self, share: f64) -> u64 {
        if self.histogram.is_empty() { 0 } else { self.histogram.value_at_quantile(share) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_ages() {
        let mut ages = Ages::default();
        assert_eq!(ages.quantile(0.5), 0);
        ages.add(&[(10_000, 98), (0, 2)], 10_010);
        assert_eq!(ages.quantile(0.5), 10);
        assert!((9_900..=10_100).contains(&ages.quantile(0.99)), "{}", ages.quantile(0.99));
        let mut run = Ages::default();
        run.merge(&ages);
        assert_eq!(run.quantile(0.5), 10);
    }
}
