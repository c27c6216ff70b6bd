//! A row that an aggregate has picked, with the place where it stood: the order of merging does not matter.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// Which of two rows stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PickRule {
    /// The one that stood first.
    First,
    /// The one that stood last.
    Last,
    /// The one of the least order, the first of several.
    Min,
    /// The one of the greatest order, the first of several.
    Max,
    /// The one of the least order, the last of several.
    MinBy,
    /// The one of the greatest order, the last of several.
    MaxBy,
}

/// Where a row stood: in the order of batches, tasks (which is that of topic, partition and offset) and rows of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// The batch; 0 in a partial.
    pub batch_id: u64,
    /// Number of the task in its batch; 0 in a partial.
    pub task: u32,
    /// Number of the record in its task.
    pub row: u64,
}

/// The row that an aggregate has picked so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pick {
    /// Where it stood.
    pub at: Position,
    /// What it was picked by, as bytes that compare as the values do; empty for `first` and `last`.
    pub order: Vec<u8>,
    /// The aggregate's result; empty where it is `order`.
    pub result: Vec<u8>,
}

impl Pick {
    /// The aggregate's result.
    pub fn value(&self) -> &[u8] {
        if self.result.is_empty() { &self.order } else { &self.result }
    }
}

/// Whether a row, `later` or not than the best so far, takes its place.
pub fn beats(rule: PickRule, order: &[u8], best: &[u8], later: bool) -> bool {
    let compared = order.cmp(best);
    match rule {
        PickRule::First => !later,
        PickRule::Last => later,
        PickRule::Min => compared == Ordering::Less || compared.is_eq() && !later,
        PickRule::Max => compared == Ordering::Greater || compared.is_eq() && !later,
        PickRule::MinBy => compared == Ordering::Less || compared.is_eq() && later,
        PickRule::MaxBy => compared == Ordering::Greater || compared.is_eq() && later,
    }
}
