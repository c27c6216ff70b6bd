//! What stays on this machine: a directory of files as a source; the console, files, one per batch, and nowhere as sinks.
//!
//! ```text
//!   DIR/*.jsonl, DIR/*.csv ─FilesWatch─► which offsets there are ─driver─► ranges ─FilesReader─► lines (executors)
//!   driver ─Sink::write(batch_id, rows)─► console   a table per batch, or one JSON object per line
//!                                       └► files    DIR/batch-<id>.<format>, then a line in DIR/_manifest.jsonl
//!   executors ─DeadLetterWriter─► dead letters of a task, a file; driver ─DeadLetterCommitter─► which of these are a batch's
//! ```
//! Each write hands a whole batch to the system before it returns; nothing is queued here. Knows no Kafka, plan or clock,
//! and of the checkpoint a directory to keep its log of files in. How a value looks as text is `tidemill_sql::text`.

#![forbid(unsafe_code)]

mod batches;
mod console;
mod dead_letters;
mod dremel;
mod durable;
mod line_log;
mod manifest;
mod none;
mod owner;
mod parquet_file;
mod source;
mod table;

pub use batches::{FilesSink, read_batches, unheld};
pub use console::{ConsoleOptions, ConsoleSink};
pub use dead_letters::{FilesDeadLetterCommitter, FilesDeadLetterWriter};
pub use none::NoneSink;
pub use source::{FilesOptions, FilesReader, FilesWatch};
pub use tidemill_sql::text;
