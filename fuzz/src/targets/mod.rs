//! What is fuzzed: a file each.

mod broker;
mod checkpoint;
mod client;
mod decode;
mod sql;

/// One thing that takes input from anybody.
pub struct Target {
    /// As in `cargo xtask fuzz NAME` and `fuzz/corpus/NAME.*`.
    pub name: &'static str,
    /// What reads the input.
    pub about: &'static str,
    /// Inputs are not made longer than this.
    pub input_bytes_max: usize,
    /// The process may hold this much at its peak.
    pub memory_mib_max: u64,
    /// Makes the function that takes one input and returns a signature of what that did.
    pub start: fn() -> Box<dyn FnMut(&[u8]) -> u64>,
}

/// All targets.
pub const ALL: &[Target] = &[
    decode::JSON,
    decode::CSV,
    sql::QUERIES,
    checkpoint::SEGMENTS,
    broker::BATCHES,
    broker::FRAMES,
    client::BATCHES,
    client::FETCHES,
    client::ANSWERS,
];

/// A signature of some bytes and numbers.
pub fn signature(parts: impl std::hash::Hash) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}
