//! Messages to the user: records that kill executors, replaced executors, watermarks that jump.

use crate::batch::PieceOutcome;
use crate::deadlines::LateReason;
use crate::finish::Finished;
use crate::fleet::{ReplaceReason, ReplacedExecutor};
use tidemill_model::counted;
use tidemill_model::time::iso_millis;
use tidemill_sql::plan::{Body, QueryPlan};

/// An event time further ahead of the wall clock than this, in ms, is worth a warning when it moves the watermark.
const AHEAD_MS: i64 = 3_600_000;

/// About a record that is left out or set aside; `None` if there is none.
pub(crate) fn given_up(lost: &PieceOutcome, keeps_dead_letters: bool) -> Option<String> {
    let (range, what) = match lost {
        PieceOutcome::Again | PieceOutcome::Split => return None,
        PieceOutcome::Poison(range) if keeps_dead_letters => (range, "is set aside in the dead letters"),
        PieceOutcome::Poison(range) => (range, "is left out"),
        PieceOutcome::Unreadable(range) => {
            (range, "cannot be read: it is left out, and the dead letters do not hold its value")
        }
    };
    Some(format!(
        "the record {} at offset {} kills every executor that works on it: it {what}, and counted as malformed",
        range.partition, range.start
    ))
}

/// About an executor that is replaced.
pub(crate) fn replaced(given_up: &ReplacedExecutor) -> String {
    let why = match given_up.why {
        ReplaceReason::Silent(silence) => {
            let tasks = counted(given_up.pieces.len() as u64, "task");
            format!("has sent nothing for {:.1} s while it has {tasks} to run, and is killed", silence.as_secs_f64())
        }
        ReplaceReason::Late(records, LateReason::Stuck(still)) => {
            format!("has made no progress with a task of {records} records for {:.1} s", still.as_secs_f64())
        }
        ReplaceReason::Late(records, LateReason::Slow(took, expected)) => format!(
            "has worked on a task of {records} records for {:.1} s; {:.1} s are usual",
            took.as_secs_f64(),
            expected.as_secs_f64()
        ),
    };
    format!("executor {} {why}; it is replaced, and its tasks run elsewhere", given_up.id)
}

/// About a batch that has moved the watermark beyond the clock, and a source that caused it.
pub(crate) fn jump(finished: &Finished, query: &QueryPlan) -> Option<String> {
    // A watermark that drops nothing needs no warning.
    let drops = matches!(query.body(), Body::Aggregate(plan) if plan.watermarked);
    if !drops || finished.next_watermark <= finished.plan.watermark {
        return None;
    }
    let moved_to = |delay_ms: i64| finished.next_watermark.0.saturating_add(delay_ms);
    let mut sources = query.branches.iter().zip(query.delays_ms()).zip(&finished.sources);
    sources.find_map(|((branch, delay_ms), seen)| {
        // Limited by the other sources' watermarks.
        let ahead_ms = moved_to(delay_ms?).min(seen.event_time.max_ms).saturating_sub(finished.plan.timestamp.0);
        if seen.event_time.count == 0 || ahead_ms <= AHEAD_MS {
            return None;
        }
        let table = &branch.table;
        Some(format!(
            "warning: a record with an event time {} s ahead of the clock moved the watermark to {}: everything older is late \
             from now on; max_event_time_ahead in [sources.{table}.event_time] refuses such records",
            ahead_ms / 1_000,
            iso_millis(finished.next_watermark)
        ))
    })
}
