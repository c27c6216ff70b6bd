//! Decides where to go on: a pure function of the segments and snapshots that exist.

use crate::log::CommitRecord;
use crate::record::{Base, Kind, Record, u64_at};
use crate::segment::{self, Contents, WAY_OUT};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use tidemill_model::{BatchPlan, Error, Offsets, Result};

/// Where a pipeline goes on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovered {
    /// Where the query started; `None` if that was never decided.
    pub start: Option<Offsets>,
    /// The last committed batch, if any.
    pub committed: Option<CommitRecord>,
    /// The parts of a snapshot, with the batch of the first one; `None`: start with an empty state.
    pub snapshot: Option<(u64, Vec<Bytes>)>,
    /// The change of each later batch up to the committed one, in order.
    pub deltas: Vec<(u64, Bytes)>,
    /// Plans that were logged but not committed. They run again, in order, before anything new.
    pub replay: Vec<BatchPlan>,
}

impl Recovered {
    /// Bytes of the state in the snapshot.
    pub fn snapshot_bytes(&self) -> u64 {
        self.snapshot.iter().flat_map(|(_, parts)| parts).map(|part| part.len() as u64).sum()
    }
}

/// What the segments hold.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Found {
    /// The base of the next segment.
    pub(crate) base: Base,
    /// Number of the newest segment that counts, and its length.
    pub(crate) newest: Option<(u64, u64)>,
    /// The segments that count, each with the last batch whose change is in it.
    pub(crate) segments: Vec<(u64, Option<u64>)>,
    /// Each batch's change; the newest one if the batch was replayed.
    pub(crate) deltas: BTreeMap<u64, Bytes>,
}

/// Reads segments in ascending order. The newest one may be incomplete from a crash; then it does not count.
///
/// # Errors
/// User: another format version. External: damage.
pub(crate) fn read_segments(files: &[(u64, Bytes)]) -> Result<Found> {
    let mut read = Vec::new();
    let mut sealed = None;
    for (number, bytes) in files.iter().rev() {
        let name = segment::name(*number);
        if let Some((expected, _)) = sealed
            && expected != *number
        {
            return Err(missing(expected));
        }
        let contents = segment::read(&name, bytes, sealed.map(|(_, length)| length))?;
        if contents.records.is_empty() && sealed.is_none() {
            continue;
        }
        let base = base(&name, &contents)?;
        sealed = Some(base.previous.unwrap_or((u64::MAX, 0)));
        read.push((*number, bytes, base, contents));
    }
    let mut found = Found::default();
    for (number, bytes, base, contents) in read.into_iter().rev() {
        found.base = base;
        let last = apply(&segment::name(number), bytes, &contents.records[1..], &mut found)?;
        found.segments.push((number, last));
        found.newest = Some((number, contents.length));
    }
    Ok(found)
}

/// The segment's first record.
fn base(name: &str, contents: &Contents<'_>) -> Result<Base> {
    match contents.records.first() {
        Some(record) if record.kind == Kind::Base => parse(name, record),
        _ => Err(Error::external(format!("`{name}` does not begin as a segment does; {WAY_OUT}"))),
    }
}

/// Applies the other records of a segment. Returns the last batch whose change is among them.
fn apply(name: &str, file: &Bytes, records: &[Record<'_>], found: &mut Found) -> Result<Option<u64>> {
    let mut last = None;
    for record in records {
        match record.kind {
            Kind::Base => return Err(Error::external(format!("`{name}` begins twice; {WAY_OUT}"))),
            Kind::Start => found.base.start = Some(parse(name, record)?),
            Kind::Plan => found.base.plans.push(parse(name, record)?),
            Kind::Delta => {
                let change = record.payload.get(8..).ok_or_else(|| unreadable(name, &"a change without a batch"))?;
                let batch = u64_at(record.payload, 0);
                found.deltas.insert(batch, file.slice_ref(change));
                last = Some(batch);
            }
            Kind::Commit => {
                let record: CommitRecord = parse(name, record)?;
                found.base.plans.retain(|plan| plan.batch_id > record.batch_id);
                found.base.committed = Some(record);
            }
        }
    }
    Ok(last)
}

fn parse<T: DeserializeOwned>(name: &str, record: &Record<'_>) -> Result<T> {
    serde_json::from_slice(record.payload).map_err(|error| unreadable(name, &error))
}

fn unreadable(name: &str, why: &dyn std::fmt::Display) -> Error {
    Error::external(format!("a record of `{name}` has a valid checksum but cannot be decoded: {why}; {WAY_OUT}"))
}

fn missing(segment: u64) -> Error {
    match segment {
        u64::MAX => damaged("there are segments from before the log began"),
        _ => damaged(&format!("`{}` is missing", segment::name(segment))),
    }
}

/// The batches whose changes rebuild the state after the committed batch: all since the newest usable snapshot.
///
/// # Errors
/// External: one of them is missing.
pub(crate) fn state_chain(
    committed: Option<u64>,
    snapshots: &[u64],
    deltas: &BTreeMap<u64, Bytes>,
) -> Result<(Option<u64>, Vec<u64>)> {
    let Some(committed) = committed else { return Ok((None, Vec::new())) };
    let snapshot = snapshots.iter().copied().filter(|batch| *batch <= committed).max();
    let chain: Vec<u64> = (snapshot.map_or(0, |batch| batch + 1)..=committed).collect();
    match chain.iter().find(|batch| !deltas.contains_key(batch)) {
        Some(missing) => Err(damaged(&format!("the state change of batch {missing} is missing"))),
        None => Ok((snapshot, chain)),
    }
}

/// Checks that the plans to replay follow the last committed batch without a gap.
///
/// # Errors
/// External: a plan is missing, or there are more than a driver ever leaves uncommitted.
pub(crate) fn check_plans(committed: Option<u64>, plans: &[BatchPlan]) -> Result<()> {
    let first = committed.map_or(0, |batch| batch + 1);
    for (expected, plan) in (first..).zip(plans) {
        if plan.batch_id != expected {
            return Err(damaged(&format!("the plan of batch {expected} is missing")));
        }
    }
    if plans.len() > tidemill_model::limits::UNCOMMITTED_PLANS_MAX {
        return Err(damaged(&format!("{} plans follow the last committed batch", plans.len())));
    }
    Ok(())
}

pub(crate) fn damaged(what: &str) -> Error {
    Error::external(format!("the checkpoint is damaged: {what}; {WAY_OUT}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_chains() {
        let check = |committed, snapshots: &[u64], deltas: &[u64]| {
            let deltas = deltas.iter().map(|batch| (*batch, Bytes::new())).collect();
            state_chain(committed, snapshots, &deltas).ok()
        };
        assert_eq!(check(None, &[], &[]), Some((None, vec![])));
        assert_eq!(check(None, &[0], &[1]), Some((None, vec![])));
        assert_eq!(check(Some(0), &[0], &[]), Some((Some(0), vec![])));
        assert_eq!(check(Some(1), &[], &[0, 1]), Some((None, vec![0, 1])));
        assert_eq!(check(Some(4), &[0, 3], &[1, 2, 4, 5]), Some((Some(3), vec![4])));
        assert_eq!(check(Some(2), &[0, 3], &[1, 2]), Some((Some(0), vec![1, 2])));
        assert_eq!(check(Some(2), &[0, 3], &[1]), None);
        assert_eq!(check(Some(2), &[3], &[1, 2]), None);
    }
}
