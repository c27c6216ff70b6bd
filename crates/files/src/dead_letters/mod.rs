//! Dead letters as files: a JSON line for each fault of a record.
//!
//! ```text
//!   DIR/batch-00000000000000000007-0-1500-1750.jsonl   batch 7, partition 0, offsets 1500 to 1749   (executors)
//!   DIR/batch-00000000000000000007-s1-0-0-250.jsonl    the same of the query's second source
//!   DIR/batch-00000000000000000007-driver.jsonl        what the driver itself had to say
//!   DIR/_manifest.jsonl                                which of them are a batch's
//!   DIR/_owner                                         whose they are
//! ```
//! The manifest is that of a directory of batches ([`crate::read_batches`] reads it). A batch without dead letters has no line in
//! it and costs nothing. A file's name says all that it depends on, so a task that is run again replaces it, and two tasks
//! never meet in one; what no batch names (of killed, split or replayed tasks) is removed when the next run begins.

mod committer;
mod line;
mod write;

pub use committer::FilesDeadLetterCommitter;
pub use write::FilesDeadLetterWriter;

/// The batch that a file of dead letters says it is of.
fn batch_of(name: &str) -> Option<u64> {
    let (batch_id, rest) = name.strip_prefix("batch-")?.split_once('-')?;
    batch_id.parse().ok().filter(|id| name.starts_with(&prefix(*id)) && rest.ends_with(".jsonl"))
}

/// How the name of each file of a batch's dead letters begins.
fn prefix(batch_id: u64) -> String {
    format!("batch-{batch_id:020}-")
}
