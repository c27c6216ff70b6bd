//! The exact output of the console sink.

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use std::io::{self, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use tidemill_files::{ConsoleOptions, ConsoleSink, console_writer};
use tidemill_flow::ports::Sink;
use tidemill_sql::zone::Zone;

#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An output whose reader or disk is gone.
struct Failing(io::ErrorKind);

impl Write for Failing {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn rows() -> RecordBatch {
    let start = TimestampMicrosecondArray::from(vec![1_767_225_605_000_000; 3]).with_timezone("UTC");
    RecordBatch::try_from_iter_with_nullable([
        ("start", Arc::new(start) as ArrayRef, true),
        ("course", Arc::new(StringArray::from(vec![Some("数据结构"), None, Some("a\nb\u{1b}[31m")])), true),
        ("loc", Arc::new(Int64Array::from(vec![Some(87), None, Some(1_234)])), true),
        ("cpu", Arc::new(Float64Array::from(vec![73.5, 1e7, f64::NAN])), true),
    ])
    .unwrap()
}

fn sink(
    json: bool,
    rows_max: usize,
    rows: &RecordBatch,
    writer: Box<dyn Write + Send>,
    on_closed: impl FnOnce() + Send + 'static,
) -> Sink {
    let options = ConsoleOptions { json, rows_max, zone: Zone::UTC, schema: rows.schema(), writer };
    let committer = ConsoleSink::new(options).on_closed(on_closed);
    Sink { writer: console_writer(json, rows_max, Zone::UTC), committer: Box::new(committer) }
}

fn check(json: bool, rows_max: usize, rows: &RecordBatch, replayed: bool, expected: &str) {
    let screen = Screen::default();
    let mut sink = sink(json, rows_max, rows, Box::new(screen.clone()), || {});
    sink.write(12, rows, replayed).unwrap();
    assert_eq!(String::from_utf8(screen.0.lock().unwrap().clone()).unwrap(), expected);
}

#[test]
fn a_table_per_batch() {
    check(
        false,
        20,
        &rows(),
        false,
        "\
batch 12 · 3 rows
start                course           loc    cpu
───────────────────  ──────────────  ────  ─────
2026-01-01 00:00:05  数据结构          87   73.5
2026-01-01 00:00:05  NULL            NULL  1.0E7
2026-01-01 00:00:05  a\\nb\\u{1b}[31m  1234    NaN

",
    );
}

#[test]
fn rows_beyond_the_greatest_number_are_counted() {
    let loc: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1_236));
    let many = RecordBatch::try_from_iter([("loc", loc)]).unwrap();
    check(false, 1, &many, false, "batch 12 · 1,236 rows\nloc\n───\n  0\n… and 1,235 more rows\n\n");
}

#[test]
fn a_batch_without_rows_is_not_shown() {
    let none = rows().slice(0, 0);
    check(false, 20, &none, false, "");
    check(false, 20, &none, true, "");
}

#[test]
fn long_cells_are_cut() {
    let long: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(61)]));
    let expected = format!("batch 12 · 1 row\ntext\n{}\n{}…\n\n", "─".repeat(60), "x".repeat(59));
    check(false, 20, &RecordBatch::try_from_iter([("text", long)]).unwrap(), false, &expected);
}

#[test]
fn json_is_one_object_per_row_and_nothing_else() {
    let expected = "\
{\"start\":\"2026-01-01T00:00:05.000Z\",\"course\":\"数据结构\",\"loc\":87,\"cpu\":73.5}
{\"start\":\"2026-01-01T00:00:05.000Z\",\"cpu\":1.0E7}
{\"start\":\"2026-01-01T00:00:05.000Z\",\"course\":\"a\\nb\\u001B[31m\",\"loc\":1234,\"cpu\":\"NaN\"}
";
    check(true, 1, &rows(), true, expected);
}

#[test]
fn a_reader_that_goes_away_ends_the_printing_quietly() {
    let calls = Arc::new(AtomicU32::new(0));
    let counter = calls.clone();
    let writer = Box::new(Failing(io::ErrorKind::BrokenPipe));
    let mut sink = sink(false, 20, &rows(), writer, move || {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    sink.write(1, &rows(), false).unwrap();
    sink.write(2, &rows(), false).unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[test]
fn an_output_that_fails_is_an_error_that_says_what_to_do() {
    let writer = Box::new(Failing(io::ErrorKind::StorageFull));
    let mut sink = sink(false, 20, &rows(), writer, || {});
    let error = sink.write(3, &rows(), false).unwrap_err();
    assert!(error.message().starts_with("cannot print batch 3: "), "{error}");
    assert_eq!(error.exit_code(), 1);
}
