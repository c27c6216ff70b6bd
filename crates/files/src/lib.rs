//! Where rows go that stay on this machine: the console and files of JSON lines, one per batch.
//!
//! ```text
//!   driver ─Sink::write(batch_id, rows)─► console   a table per batch, or one JSON object per line
//!                                       └► files    DIR/batch-<id>.json, then a line in DIR/_manifest.jsonl
//! ```
//! Each call hands a whole batch to the system before it returns; nothing is queued here. Knows no Kafka, plan,
//! checkpoint or clock. How a value looks as text is `tidemill_sql::text`.

mod batches;
mod console;
mod durable;
mod line_log;
mod manifest;
mod source;
mod table;

pub use batches::{FilesSink, read_batches};
pub use console::{ConsoleOptions, ConsoleSink};
pub use source::{FilesOptions, FilesReader, FilesWatch};
pub use tidemill_sql::text;
