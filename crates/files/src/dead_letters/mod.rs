//! Dead letters as files: one JSON line per fault of a record.
//!
//! ```text
//!   DIR/batch-00000000000000000007-0-1500-1750.jsonl   batch 7, partition 0, offsets 1500 to 1749   (executors)
//!   DIR/batch-00000000000000000007-s1-0-0-250.jsonl    the same for the query's second source
//!   DIR/batch-00000000000000000007-driver.jsonl        the driver's own dead letters
//!   DIR/_manifest.jsonl                                the files of each batch
//!   DIR/_owner                                         the query that the directory belongs to
//! ```
//! The manifest has the format of a directory of batches; [`crate::read_batches`] reads it. A batch without dead
//! letters has no line and costs nothing. A file's name contains all that the file depends on, so a task that runs
//! again replaces its file, and two tasks never share one. Files that no batch names (of killed, split or replayed
//! tasks) are removed when the next run begins.

mod committer;
mod line;
mod write;

pub use committer::FilesDeadLetterCommitter;
pub use write::FilesDeadLetterWriter;

/// The batch in a file's name.
fn batch_of(name: &str) -> Option<u64> {
    let (batch_id, rest) = name.strip_prefix("batch-")?.split_once('-')?;
    batch_id.parse().ok().filter(|id| name.starts_with(&prefix(*id)) && rest.ends_with(".jsonl"))
}

/// Start of the names of a batch's files.
fn prefix(batch_id: u64) -> String {
    format!("batch-{batch_id:020}-")
}
