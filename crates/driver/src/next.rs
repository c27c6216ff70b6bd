//! What the next batch may read: what is there, what of it is due, and how much of it.

use crate::level::Unanswered;
use crate::plan;
use crate::run::Driver;
use crate::sources::Share;
use std::time::Instant;
use tidemill_model::limits::BATCH_TARGET_MS;
use tidemill_model::pipeline::Trigger;
use tidemill_model::{OffsetRange, PartitionId};

impl Driver {
    /// What there is to read: up to the ends, or up to where an available-now run stops.
    pub(crate) fn backlog(&self) -> Vec<(PartitionId, OffsetRange)> {
        match (&self.positions, self.until.as_ref().or(self.extents.as_ref())) {
            (Some(positions), Some(extents)) => plan::backlog(positions, extents),
            _ => Vec::new(),
        }
    }

    /// What of the backlog the sources let into one batch.
    pub(crate) fn admitted(&self) -> Vec<(PartitionId, OffsetRange)> {
        match (&self.positions, self.until.as_ref().or(self.extents.as_ref())) {
            (Some(positions), Some(extents)) => {
                let mut admitted = extents.clone();
                self.sources.admit(positions, &mut admitted);
                plan::backlog(positions, &admitted)
            }
            _ => Vec::new(),
        }
    }

    /// What executors are needed for now: between two triggers only what the last batch had to leave.
    pub(crate) fn due_backlog(&self) -> u64 {
        let all = plan::total(&self.backlog());
        match self.next_trigger {
            Some(at) if Instant::now() < at => all.min(self.left_over),
            _ => all,
        }
    }

    /// What the next batch reads: as much of what the sources admit as the pipeline allows and the executors can do. Where
    /// that is not all of it, the partitions advance together by their records' timestamps: those of one source that has a
    /// bound of its own, and those of all that share what the executors can do.
    ///
    /// # Errors
    /// A source was asked about timestamps, and failed.
    pub(crate) fn next_ranges(
        &mut self,
        admitted: &[(PartitionId, OffsetRange)],
    ) -> Result<Vec<OffsetRange>, Unanswered> {
        let (mut ranges, mut shared) = (Vec::new(), Vec::new());
        for of_source in admitted.chunk_by(|(a, _), (b, _)| a.source == b.source) {
            match self.sources.share(of_source[0].0.source) {
                Share::Whole => ranges.extend(plan::ranges(of_source, None)),
                Share::Own(most) => ranges.extend(self.cut(of_source, most)?),
                Share::Capacity => shared.extend_from_slice(of_source),
            }
        }
        if !shared.is_empty() {
            ranges.extend(self.cut(&shared, self.capacity_of_a_batch())?);
        }
        ranges.sort_unstable();
        Ok(ranges)
    }

    fn cut(&mut self, backlog: &[(PartitionId, OffsetRange)], budget: u64) -> Result<Vec<OffsetRange>, Unanswered> {
        match plan::total(backlog) > budget && self.level.cuts(backlog) {
            true => self.level.ranges(backlog, budget),
            false => Ok(plan::ranges(backlog, Some(budget))),
        }
    }

    /// Offsets that the executors can do in the time that a batch aims at: half a second, or until the next trigger.
    fn capacity_of_a_batch(&self) -> u64 {
        let capacity = self.decision.as_ref().map_or(&[][..], |decision| &decision.terms.capacity);
        let size = (self.keep.max(1) as usize).min(capacity.len().saturating_sub(1));
        let per_second = capacity.get(size).copied().unwrap_or_default();
        let target_ms = match self.job.trigger {
            Trigger::Every(ms) => BATCH_TARGET_MS.max(ms as i64),
            Trigger::AsSoonAsPossible | Trigger::AvailableNow => BATCH_TARGET_MS,
        };
        (per_second * target_ms as f64 / 1_000.0).max(1_000.0) as u64
    }
}
