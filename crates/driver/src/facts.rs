//! What the autoscaler is told.

use crate::fleet::Fleet;
use tidemill_flow::ports::Extents;
use tidemill_scale::{Facts, Work};

/// The facts of one moment. `extents`, seen `age_ms` ago, is `None` while the source cannot be reached: `backlog` and
/// arrivals are then unknown.
#[expect(clippy::too_many_arguments, reason = "facts are many, and each is named where it is used")]
pub(crate) fn facts(
    now_ms: u64,
    extents: Option<&Extents>,
    age_ms: u64,
    backlog: u64,
    unfinished: u64,
    all_committed: bool,
    crashes: u32,
    fleet: &mut Fleet,
) -> Facts {
    let sizes = fleet.sizes();
    let work = |(executor, work): (u64, crate::fleet::Work)| Work {
        executor,
        tasks: work.tasks,
        records: work.records,
        busy_us: work.busy_us,
    };
    Facts {
        now_ms,
        age_ms,
        backlog: extents.map(|_| backlog),
        end_total: extents.map(|extents| extents.values().map(|extent| extent.end.max(0) as u64).sum()),
        unfinished,
        all_committed,
        ready: sizes.ready,
        starting: sizes.starting,
        draining: sizes.draining,
        work: fleet.take_work().into_iter().map(work).collect(),
        start_ms: fleet.take_starts().iter().map(|start| start.as_millis() as u64).collect(),
        crashes,
    }
}
