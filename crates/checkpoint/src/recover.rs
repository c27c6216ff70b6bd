//! What to do with a checkpoint that was found: a pure function of the names in it and the records behind them.

use crate::log::CommitRecord;
use tidemill_model::{BatchPlan, Error, Offsets, Result};

/// Where a pipeline goes on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovered {
    /// Where the query began; `None` where that was never decided.
    pub start: Option<Offsets>,
    /// The last committed batch; `None`: nothing was ever committed.
    pub committed: Option<CommitRecord>,
    /// State files to load, in order: a snapshot, then deltas.
    pub state: Vec<(u64, Vec<u8>)>,
    /// Plans that were logged but not committed, to be carried out again in order before anything new.
    pub replay: Vec<BatchPlan>,
}

/// Which state files rebuild the state after batch `committed`: the newest snapshot not after it, and every delta since.
/// Batches that changed nothing still wrote a delta, so a gap is damage.
///
/// # Errors
/// External: a file of the chain is missing.
pub(crate) fn state_chain(
    committed: Option<u64>,
    snapshots: &[u64],
    deltas: &[u64],
) -> Result<Option<(u64, Vec<u64>)>> {
    let Some(committed) = committed else { return Ok(None) };
    let Some(snapshot) = snapshots.iter().copied().filter(|batch| *batch <= committed).max() else {
        return Err(damaged(&format!(
            "batch {committed} is committed, but there is no state snapshot at or before it"
        )));
    };
    let chain: Vec<u64> = (snapshot + 1..=committed).collect();
    match chain.iter().find(|batch| !deltas.contains(batch)) {
        Some(missing) => Err(damaged(&format!("the state change of batch {missing} is missing"))),
        None => Ok(Some((snapshot, chain))),
    }
}

/// Which plans to carry out again: those after the last committed batch, without a gap.
///
/// # Errors
/// External: a plan between is missing, or more are open than the driver ever leaves open.
pub(crate) fn open_plans(committed: Option<u64>, plans: &[u64]) -> Result<Vec<u64>> {
    let first = committed.map_or(0, |batch| batch + 1);
    let mut open: Vec<u64> = plans.iter().copied().filter(|batch| *batch >= first).collect();
    open.sort_unstable();
    for (position, batch) in open.iter().enumerate() {
        if *batch != first + position as u64 {
            return Err(damaged(&format!("the plan of batch {} is missing", first + position as u64)));
        }
    }
    if open.len() > tidemill_model::limits::UNCOMMITTED_PLANS_MAX {
        return Err(damaged(&format!("{} plans follow the last committed batch", open.len())));
    }
    Ok(open)
}

pub(crate) fn damaged(what: &str) -> Error {
    Error::external(format!(
        "the checkpoint is damaged: {what}; restore the directory from a copy, or start with a new one"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_chains() {
        let check = |committed, snapshots: &[u64], deltas: &[u64]| state_chain(committed, snapshots, deltas).ok();
        assert_eq!(check(None, &[], &[]), Some(None));
        assert_eq!(check(None, &[0], &[1]), Some(None));
        assert_eq!(check(Some(0), &[0], &[]), Some(Some((0, vec![]))));
        assert_eq!(check(Some(4), &[0, 3], &[1, 2, 4, 5]), Some(Some((3, vec![4]))));
        assert_eq!(check(Some(2), &[0, 3], &[1, 2]), Some(Some((0, vec![1, 2]))));
        assert_eq!(check(Some(2), &[0], &[1]), None);
        assert_eq!(check(Some(2), &[3], &[1, 2]), None);
    }

    #[test]
    fn plans_to_replay() {
        let check = |committed, plans: &[u64]| open_plans(committed, plans).ok();
        assert_eq!(check(None, &[]), Some(vec![]));
        assert_eq!(check(None, &[0]), Some(vec![0]));
        assert_eq!(check(Some(3), &[2, 3, 4, 5]), Some(vec![4, 5]));
        assert_eq!(check(Some(3), &[2, 3]), Some(vec![]));
        assert_eq!(check(Some(3), &[5]), None);
        assert_eq!(check(Some(3), &[4, 5, 6]), None);
    }
}
