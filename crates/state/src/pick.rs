//! A row picked by an aggregate, with its position, so that the order of merging does not matter.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// Which of two rows is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PickRule {
    /// The one with the first position.
    First,
    /// The one with the last position.
    Last,
    /// The one with the least order value; of equal ones the first.
    Min,
    /// The one with the greatest order value; of equal ones the first.
    Max,
    /// The one with the least order value; of equal ones the last.
    MinBy,
    /// The one with the greatest order value; of equal ones the last.
    MaxBy,
}

/// A row's position: by batch, by task (in order of topic, partition and offset), by row in the task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// The batch; 0 in a partial.
    pub batch_id: u64,
    /// Number of the task in its batch; 0 in a partial.
    pub task: u32,
    /// Number of the record in its task.
    pub row: u64,
}

/// The row picked so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pick {
    /// Its position.
    pub at: Position,
    /// The order value, as bytes that compare as the values do; empty for `first` and `last`.
    pub order: Vec<u8>,
    /// The aggregate's result; empty if it equals `order`.
    pub result: Vec<u8>,
}

impl Pick {
    /// The aggregate's result.
    pub fn value(&self) -> &[u8] {
        if self.result.is_empty() { &self.order } else { &self.result }
    }
}

/// Whether a row replaces the best so far; `later` says whether it is after it.
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
