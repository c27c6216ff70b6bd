//! The console sink: a table per batch, or one JSON object per row. A table shows the first rows, so only these come here.
//!
//! If the reader of the output goes away (`tidemill run … | head`), the sink stops printing and calls a hook. `cli`
//! uses the hook to end the run.

use crate::table::write_table;
use crate::writer::FormatWriter;
use arrow_schema::SchemaRef;
use std::io::{self, Write};
use tidemill_flow::encoded_rows::{self, Kept, RowsWriter};
use tidemill_flow::ports::{SinkCommitter, SinkWriter};
use tidemill_model::pipeline::SinkFormat;
use tidemill_model::{Error, Result, SinkPart};
use tidemill_sql::zone::{WallClock, Zone};

/// Options of a [`ConsoleSink`].
pub struct ConsoleOptions {
    /// Print one JSON object per row instead of tables.
    pub json: bool,
    /// Most rows of a table; a line counts the rest. Does not apply to JSON.
    pub rows_max: usize,
    /// Time zone of printed timestamps.
    pub zone: Zone,
    /// The columns of the rows.
    pub schema: SchemaRef,
    /// The output. Written and flushed once per batch.
    pub writer: Box<dyn Write + Send>,
}

/// Encodes rows for a [`ConsoleSink`] with the same options.
pub fn console_writer(json: bool, rows_max: usize, zone: Zone) -> Box<dyn SinkWriter> {
    match json {
        true => Box::new(FormatWriter::new(SinkFormat::Json, zone, false)),
        false => Box::new(RowsWriter::new(Kept::First(rows_max))),
    }
}

/// Prints each batch.
pub struct ConsoleSink {
    options: ConsoleOptions,
    on_closed: Option<Box<dyn FnOnce() + Send>>,
    closed: bool,
}

impl ConsoleSink {
    /// A sink with these options.
    pub fn new(options: ConsoleOptions) -> ConsoleSink {
        ConsoleSink { options, on_closed: None, closed: false }
    }

    /// Sets the hook that is called once when the reader of the output has gone away.
    #[must_use]
    pub fn on_closed(mut self, hook: impl FnOnce() + Send + 'static) -> ConsoleSink {
        self.on_closed = Some(Box::new(hook));
        self
    }

    fn render(&self, batch_id: u64, parts: &[SinkPart], replayed: bool) -> Result<Vec<u8>> {
        if self.options.json {
            return Ok(parts.iter().flat_map(|part| &part.bytes.0).copied().collect());
        }
        let mut out = String::new();
        let count = parts.iter().map(|part| part.rows).sum::<u64>() as usize;
        if count == 0 {
            return Ok(Vec::new());
        }
        let rows = encoded_rows::decode(&self.options.schema, parts)?;
        out.push_str(&header(batch_id, count, replayed));
        write_table(&mut out, &rows, self.options.rows_max, &WallClock::new(self.options.zone));
        let more = count.saturating_sub(self.options.rows_max);
        if more > 0 {
            out.push_str(&format!("… and {}\n", count_rows(more, "more ")));
        }
        out.push('\n');
        Ok(out.into_bytes())
    }
}

impl SinkCommitter for ConsoleSink {
    fn description(&self) -> String {
        "Console".into()
    }

    fn commit(&mut self, batch_id: u64, parts: &[SinkPart], replayed: bool) -> Result<()> {
        if self.closed {
            return Ok(());
        }
        let text = self.render(batch_id, parts, replayed)?;
        let writer = &mut self.options.writer;
        match writer.write_all(&text).and_then(|()| writer.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                if let Some(hook) = self.on_closed.take() {
                    hook();
                }
                Ok(())
            }
            Err(error) => Err(Error::external(format!(
                "cannot print batch {batch_id}: {error}; see where the output goes, then start again: the run goes on \
                 with this batch"
            ))),
        }
    }
}

/// `batch 12 · 1,025 rows · replayed, may have been shown before`.
fn header(batch_id: u64, rows: usize, replayed: bool) -> String {
    let rows = count_rows(rows, "");
    let mark = if replayed { " · replayed, may have been shown before" } else { "" };
    format!("batch {batch_id} · {rows}{mark}\n")
}

/// `1,235 more rows`; `kind` is empty or a word with a space after it.
fn count_rows(count: usize, kind: &str) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{text} {kind}{}", if count == 1 { "row" } else { "rows" })
}
