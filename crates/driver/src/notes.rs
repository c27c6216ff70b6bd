//! What a user should know, in words: records that kill, and watermarks that jump.

use crate::batch::Lost;
use crate::finish::Finished;
use tidemill_model::time::iso_millis;

/// An event time so far ahead of the wall clock is worth a warning when it moves the watermark, ms.
const AHEAD_MS: i64 = 3_600_000;

/// A record that is given up; `None` where none is.
pub(crate) fn given_up(lost: &Lost, keeps_letters: bool) -> Option<String> {
    let (range, what) = match lost {
        Lost::Again | Lost::Split => return None,
        Lost::Poison(range) if keeps_letters => (range, "is set aside in the dead letters"),
        Lost::Poison(range) => (range, "is left out"),
        Lost::Unreadable(range) => (range, "cannot even be read: it is left out, its value is not in the dead letters"),
    };
    Some(format!(
        "the record {} at offset {} kills every executor that works on it: it {what}, and counted as malformed",
        range.partition, range.start
    ))
}

/// A batch of the source `table` that has moved the watermark beyond the clock.
pub(crate) fn jump(finished: &Finished, table: &str) -> Option<String> {
    let ahead_ms = finished.event_time.max_ms.saturating_sub(finished.plan.timestamp.0);
    let jumps = finished.next_watermark > finished.plan.watermark && ahead_ms > AHEAD_MS;
    jumps.then(|| {
        format!(
            "warning: a record with an event time {} s ahead of the clock moved the watermark to {}: everything older is late \
             from now on; max_event_time_ahead in [sources.{table}.event_time] refuses such records",
            ahead_ms / 1_000,
            iso_millis(finished.next_watermark)
        )
    })
}
