//! Local inputs and outputs: a directory of files as a source; console, files and none as sinks; dead letters.
//!
//! ```text
//!   DIR/*.jsonl, DIR/*.csv ─FilesWatch─► offsets ─driver─► ranges ─FilesReader─► lines (executors)
//!   rows ─FormatWriter─► parts ─SinkCommitter─► console   a table per batch, or one JSON object per line
//!                                            └► files     DIR/batch-<id>.<format>, then a line in DIR/_manifest.jsonl
//!   executors ─DeadLetterWriter─► a file of dead letters per task; driver ─DeadLetterCommitter─► the files of each
//!   batch
//! ```
//! Each commit hands a whole batch to the system before it returns; nothing is queued here. Knows no Kafka and no plan. Of the checkpoint it knows the directory for its log of files. `tidemill_sql::text` formats values.

#![forbid(unsafe_code)]

mod batches;
mod console;
mod dead_letters;
mod dremel;
mod durable;
mod gathered;
mod line_log;
mod manifest;
mod none;
mod owner;
mod parquet_file;
mod source;
mod staged;
mod table;
mod writer;

pub use batches::{FilesSink, Roll, read_batches, unheld};
pub use console::{ConsoleOptions, ConsoleSink, console_writer};
pub use dead_letters::{FilesDeadLetterCommitter, FilesDeadLetterWriter};
pub use none::NoneSink;
pub use source::{FilesOptions, FilesReader, FilesWatch};
pub use tidemill_sql::text;
pub use writer::FormatWriter;
