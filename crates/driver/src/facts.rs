//! Collects the facts for the autoscaler.

use crate::fleet::Fleet;
use std::time::{Duration, Instant};
use tidemill_flow::ports::Extents;
use tidemill_os::clock;
use tidemill_scale::{Facts, Work};

/// The facts that do not come from the executors.
pub(crate) struct FactInputs<'a> {
    pub(crate) now_ms: u64,
    /// What the sources hold, as seen `age_ms` ago. `None` while a source cannot be reached: backlog and arrivals are
    /// then unknown.
    pub(crate) extents: Option<&'a Extents>,
    pub(crate) age_ms: u64,
    pub(crate) backlog: u64,
    pub(crate) unfinished: u64,
    pub(crate) all_committed: bool,
    pub(crate) crashes: u32,
}

/// The facts at this moment.
pub(crate) fn facts(moment: FactInputs<'_>, busy: &mut Busy, fleet: &mut Fleet) -> Facts {
    let FactInputs { now_ms, extents, age_ms, backlog, unfinished, all_committed, crashes } = moment;
    let sizes = fleet.sizes();
    let (machine_busy, own_busy) = busy.machine(&fleet.pids());
    let work = |(executor, work): (u64, crate::fleet::Work)| Work {
        executor,
        tasks: work.tasks,
        records: work.records,
        busy_us: work.busy_us,
        fetch_us: work.fetch_us,
    };
    Facts {
        now_ms,
        age_ms,
        backlog: extents.map(|_| backlog),
        end_total: extents.map(|extents| extents.values().map(|extent| extent.end.max(0) as u64).sum()),
        unfinished,
        job: false,
        all_committed,
        ready: sizes.ready,
        starting: sizes.starting,
        draining: sizes.draining,
        work: fleet.take_work().into_iter().map(work).collect(),
        start_ms: fleet.take_starts().iter().map(|start| start.as_millis() as u64).collect(),
        start_cost_ms: fleet.take_start_costs().iter().map(|cost| cost.as_millis() as u64).collect(),
        driver_us: std::mem::take(&mut busy.driver).as_micros() as u64,
        sink_us: busy.take_commit().as_micros() as u64,
        machine_busy,
        own_busy,
        crashes,
    }
}

/// CPU ticks since the machine was started.
#[derive(Clone, Copy)]
struct Ticks {
    busy: u64,
    all: u64,
    /// Those of driver and executors; `None` if the system does not report them.
    own: Option<u64>,
}

/// Busy time since the last call of everything but the executors.
#[derive(Default)]
pub(crate) struct Busy {
    /// Of the driver's own thread.
    pub(crate) driver: Duration,
    /// Of sinks and checkpoint, in commits that have ended.
    commit: Duration,
    /// Start of the commit that is running, or when it was last counted.
    committing: Option<Instant>,
    /// CPU ticks at the last call.
    ticks: Option<Ticks>,
}

impl Busy {
    pub(crate) fn commit_begins(&mut self) {
        self.committing = Some(clock::now());
    }

    pub(crate) fn commit_ends(&mut self) {
        self.commit += self.committing.take().map_or(Duration::ZERO, clock::since);
    }

    /// Time of commits, including the one that is running.
    fn take_commit(&mut self) -> Duration {
        if let Some(since) = &mut self.committing {
            self.commit += clock::since(*since);
            *since = clock::now();
        }
        std::mem::take(&mut self.commit)
    }

    /// Busy share of this machine's cores, and the part of driver and executors, in thousandths; `None` on the first call
    /// and on systems that do not report it. In virtual time nothing is known of the machine.
    fn machine(&mut self, executors: &[u32]) -> (Option<u32>, Option<u32>) {
        let (Some(now), Some(before)) = self.take_ticks(executors) else { return (None, None) };
        let all = now.all.saturating_sub(before.all);
        let share = |ticks: u64| (all > 0).then(|| (ticks * 1000 / all) as u32);
        // An executor that has just ended is counted once the driver has waited for it.
        let own = now.own.zip(before.own).map(|(now, before)| now.saturating_sub(before));
        (now.busy.checked_sub(before.busy).and_then(share), own.and_then(share))
    }

    /// The ticks now and at the last call.
    fn take_ticks(&mut self, executors: &[u32]) -> (Option<Ticks>, Option<Ticks>) {
        if clock::is_virtual() {
            return (None, None);
        }
        let machine = std::fs::read_to_string("/proc/stat").ok().and_then(|stat| machine_ticks(&stat));
        let own = ["self".to_owned()].into_iter().chain(executors.iter().map(u32::to_string));
        let own = own.map(|process| process_ticks(&std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?));
        // An executor may end at any moment.
        let own = own.reduce(|sum, ticks| Some(sum? + ticks.unwrap_or(0))).flatten();
        let now = machine.map(|(busy, all)| Ticks { busy, all, own });
        (now, std::mem::replace(&mut self.ticks, now))
    }
}

/// Ticks of a process and of its children that have ended (fields 14 to 17, after the name in parentheses).
fn process_ticks(stat: &str) -> Option<u64> {
    let fields = stat.rsplit_once(')')?.1.split_whitespace();
    fields.skip(11).take(4).map(|ticks| ticks.parse::<u64>().ok()).sum()
}

/// Busy and total ticks from the kernel's counters (user, nice, system, idle, iowait, irq, softirq, steal).
fn machine_ticks(stat: &str) -> Option<(u64, u64)> {
    let counts = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().take(8);
    let counts: Vec<u64> = counts.map(|count| count.parse().ok()).collect::<Option<_>>()?;
    let all: u64 = counts.iter().sum();
    Some((all - counts.get(3)? - counts.get(4)?, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_counts_ticks() {
        let stat = "cpu  100 1 50 800 40 4 3 2 9 0\ncpu0 1 2 3\n";
        assert_eq!(machine_ticks(stat), Some((160, 1_000)));
        assert_eq!(machine_ticks("intr 5\n"), None);
        assert_eq!(process_ticks("7 (a) b) S 1 7 7 0 -1 4194560 9 0 0 0 10 20 3 4 20 0 1 0 99"), Some(37));
        assert_eq!(process_ticks(""), None);
    }
}
