//! Decode: JSON records by a schema into Arrow columns, exactly as Spark's `from_json` in PERMISSIVE mode.
//!
//! ```text
//!  record ─token→ members ─shape: same bytes as last time?→ field ─value→ column ─finish→ RecordBatch
//!                                     └no: parse, remember┘  └unknown: skip, yet validate (rule J2)
//! ```
//! One row per record, in order, whatever the record holds: rules J1 to J12, each tested under its name. Values go
//! straight into the columns' buffers; text that turns out malformed takes its row back. Cost: no allocation per record
//! and about a nanosecond per byte or less (`examples/decode_bench.rs`).
//! Knows no clock (what time it is comes with [`Options`]) and no I/O.

mod cells;
mod column;
mod csv;
mod decimal;
mod java;
mod number;
mod quick;
mod records;
mod rewrite;
mod scan;
mod shape;
mod text;
mod time;
mod token;
mod value;

use crate::ports::Chunk;
use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{FieldRef, SchemaRef};
use column::Struct;
pub use csv::CsvDecoder;
pub use records::Records;
use tidemill_model::{Micros, RecordFault};
use tidemill_sql::zone::{WallClock, Zone};
use time::Defaults;
use token::Reader;
use value::Fit;

/// UTF-16 units in a string beyond which its field is NULL (rule J11).
const STRING_MAX: usize = 20_000_000;

/// What decoding depends on besides schema and records.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Zone of timestamp strings that name none: Spark's session time zone.
    pub session_zone: Zone,
    /// The batch's timestamp: its date completes timestamp strings that are a time alone (rule J9).
    pub now: Micros,
}

impl Default for Options {
    fn default() -> Options {
        Options { session_zone: Zone::UTC, now: Micros(0) }
    }
}

impl Options {
    fn defaults(self) -> Defaults {
        Defaults { clock: WallClock::new(self.session_zone), now: Some(self.now) }
    }
}

/// The rows of a chunk.
#[derive(Debug)]
pub struct Decoded {
    /// One row per record, in the records' order.
    pub batch: RecordBatch,
    /// Records that are no JSON object: all their columns are NULL (rules J1, J2, J7). Absent and blank values are not
    /// among them.
    pub malformed: u64,
    /// Records with a field, or something inside one, that is NULL because its value does not suit its type (rules J3, J4, J10).
    pub wrong_type: u64,
    /// What was wrong with each record: [`RecordFault::Malformed`], [`RecordFault::WrongType`] or nothing. Empty when no
    /// record of the chunk had a fault.
    pub faults: Vec<Option<RecordFault>>,
    /// For each record of a wrong type its row and, a bit each, the columns that its values did not suit; those from the
    /// 65th on are not named.
    unfit: Vec<(usize, u64)>,
}

impl Decoded {
    /// The columns that are NULL, in whole or in part, because the row's values do not suit them.
    pub fn unfit_columns(&self, row: usize) -> impl Iterator<Item = &FieldRef> {
        let of_row = self.unfit.binary_search_by_key(&row, |(row, _)| *row);
        let bits = of_row.map_or(0, |at| self.unfit[at].1);
        let fields = self.batch.schema_ref().fields().iter().take(64).enumerate();
        fields.filter(move |(column, _)| bits >> column & 1 == 1).map(|(_, field)| field)
    }
}

/// Decodes chunks of records of one schema. One per worker thread: it remembers what records look like.
#[derive(Debug)]
pub struct Decoder {
    schema: SchemaRef,
    root: Struct,
    scratch: Scratch,
}

/// The text is not JSON, or not an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Malformed;

/// Memory that one record leaves to the next.
#[derive(Debug)]
struct Scratch {
    text: String,
    bytes: Vec<u8>,
    defaults: Defaults,
}

/// What became of a record.
enum Row {
    /// Decoded; whether every value suited its column.
    Members(Fit),
    /// Nothing but white space.
    Blank,
}

impl Decoder {
    /// A decoder for the wanted columns; fields of the records that are not among them are validated and passed over.
    ///
    /// # Panics
    /// When the schema has a type that no schema text can give, or a field, element or map value that is not nullable: the
    /// plan made a mistake (rule J10).
    pub fn new(schema: &SchemaRef, options: Options) -> Decoder {
        let scratch = Scratch { text: String::new(), bytes: Vec::new(), defaults: options.defaults() };
        Decoder { schema: schema.clone(), root: Struct::new(schema.fields()), scratch }
    }

    /// Sets the timestamp of the batch that comes next.
    pub fn set_now(&mut self, now: Micros) {
        self.scratch.defaults.now = Some(now);
    }

    /// Decodes a chunk's records, one row each.
    pub fn decode(&mut self, chunk: &Chunk) -> Decoded {
        let rows = chunk.len();
        self.root.reserve(rows);
        let (mut malformed, mut faults, mut unfit) = (0, Vec::new(), Vec::new());
        for row in 0..rows {
            let fault = chunk.value(row).and_then(|value| self.record(value, row));
            if self.root.len() == row {
                self.root.push_null();
            }
            if let Some(fault) = fault {
                faults.resize(rows, None);
                faults[row] = Some(fault);
                let columns = self.root.take_unfit();
                match fault {
                    RecordFault::Malformed => malformed += 1,
                    _ => unfit.push((row, columns)),
                }
            }
        }
        let columns = self.root.finish_columns(self.schema.fields());
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options);
        let batch = batch.expect("columns are built by the schema");
        Decoded { batch, malformed, wrong_type: unfit.len() as u64, faults, unfit }
    }

    /// Decodes one record; adds a row unless it says nothing.
    #[inline]
    fn record(&mut self, value: &[u8], row: usize) -> Option<RecordFault> {
        let mut reader = Reader { bytes: value, at: 0, depth: 0, scratch: &mut self.scratch };
        match reader.root(&mut self.root) {
            Ok(Row::Members(Fit::Whole) | Row::Blank) => None,
            Ok(Row::Members(_)) => Some(RecordFault::WrongType),
            Err(Malformed) => {
                self.root.truncate(row);
                Some(RecordFault::Malformed)
            }
        }
    }
}

impl Reader<'_> {
    /// The record's object. What comes after it is not read (rule J2).
    #[inline]
    fn root(&mut self, root: &mut Struct) -> Result<Row, Malformed> {
        match self.skip_space() {
            b'{' => {
                self.open()?;
                self.members(root).map(Row::Members)
            }
            _ if self.at == self.bytes.len() => Ok(Row::Blank),
            _ => Err(Malformed),
        }
    }
}
