//! What the autoscaler is told.

use crate::fleet::Fleet;
use tidemill_flow::ports::Extents;
use tidemill_scale::{Facts, Work};

/// What is known of one moment, but for the executors.
pub(crate) struct Moment<'a> {
    pub(crate) now_ms: u64,
    /// What the sources hold, seen `age_ms` ago; `None` while one cannot be reached: `backlog` and arrivals are then unknown.
    pub(crate) extents: Option<&'a Extents>,
    pub(crate) age_ms: u64,
    pub(crate) backlog: u64,
    pub(crate) unfinished: u64,
    pub(crate) all_committed: bool,
    pub(crate) crashes: u32,
}

/// The facts of one moment.
pub(crate) fn facts(moment: Moment<'_>, fleet: &mut Fleet) -> Facts {
    let Moment { now_ms, extents, age_ms, backlog, unfinished, all_committed, crashes } = moment;
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
