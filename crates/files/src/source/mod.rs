//! The files source: a growing directory of files, presented as one partition of numbered lines.
//!
//! ```text
//!   DIR/a.jsonl  3 lines ─┐  offsets 0 1 2, and 3 for its end
//!   DIR/b.jsonl  0 lines ─┼─ offset  4, its end               <checkpoint>/sources/N.jsonl, N the source: file →
//!   offsets
//!   DIR/c.jsonl  2 lines ─┘  offsets 5 6, and 7 for its end
//! ```
//! [`FilesWatch`] (driver) looks for new files a few times a second, counts their lines once, and appends them to the
//! log; they are durable before anyone hears of them. [`FilesReader`] (executors) finds an offset's file in the log. So
//! a plan holds one short range at any number of files, several tasks read a big file, and a replay reads the same
//! lines. A file has an offset for its end, so that a file without lines is still something to read (rule O7).
//! Cost: a file is read twice, once to count. The log has one line per file and is held in memory. Knows no decoding.

mod glob;
mod lines;
mod log;
mod read;
mod watch;

pub use read::FilesReader;
pub use watch::FilesWatch;

use std::path::PathBuf;
use tidemill_model::PartitionId;

/// Options of a files source.
#[derive(Clone, Debug)]
pub struct FilesOptions {
    /// Number of the source in its query.
    pub source: u32,
    /// A directory, or a glob.
    pub path: String,
    /// CSV: blank lines are not records, and with `header` neither is the first other line of each file.
    pub csv: bool,
    /// The first line of each file that is not blank is a header. Only with `csv`.
    pub header: bool,
    /// Most files in a batch.
    pub max_files_per_trigger: Option<u64>,
    /// The directory of the log of files: the checkpoint's `sources`.
    pub log_dir: PathBuf,
}

impl FilesOptions {
    fn partition(&self) -> PartitionId {
        PartitionId { source: self.source, topic: self.path.as_str().into(), partition: 0 }
    }
}
