//! Sessions: spans of time of a key that grow and merge as rows come.
//!
//! ```text
//!  rows            10   12        20          each is a session of its own, [time, time + gap)
//!  with gap 5      [10 ─────17)   [20──25)    those of a key that overlap or touch are one
//!  then 16         [10 ────────────────25)    a row between two makes one of them
//! ```
//! - [`Spans`] is the executor's half: the rows of a task by key and span.
//! - `SessionShard` is the driver's half: drops late spans, merges what is left with the sessions of the state, evicts by end.
//! - `joined` says which spans are one session; both halves use it.
//!
//! A session in a delta or a snapshot replaces every stored one of its key that it meets: those were merged into it. So a
//! delta does not list what a batch removed.

mod joined;
mod shard;
mod spans;

pub(crate) use shard::SessionShard;
pub use spans::Spans;
