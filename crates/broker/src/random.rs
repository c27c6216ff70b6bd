//! Ids that no one else has: from the standard library's per-process random keys, so that no generator is needed.

use std::hash::{BuildHasher, RandomState};
use uuid::Uuid;

/// A fresh random id (version 4), fit for telling topics and members apart, not for secrets.
pub(crate) fn uuid() -> Uuid {
    let half = || RandomState::new().hash_one(std::time::SystemTime::now());
    uuid::Builder::from_random_bytes((u128::from(half()) << 64 | u128::from(half())).to_be_bytes()).into_uuid()
}
