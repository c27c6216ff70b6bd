//! Decodes JSON and CSV records into Arrow columns, exactly as Spark in PERMISSIVE mode. Also parses times and time zones,
//! and prints numbers as Java does.
//!
//! ```text
//!  record ─token→ members ─shape: same bytes as last time?→ field ─value→ column ─finish→ RecordBatch
//!                                     └no: parse, remember┘  └unknown: skip, but validate (rule J2)
//! ```
//! Each record gives one row, in order: rules J1 to J12. Values are appended directly to the columns' buffers; the row
//! of a record that turns out malformed is removed again. Cost: no allocation per record, and about a nanosecond per
//! byte or less (`examples/decode_bench.rs`). Reads no clock (the time is part of [`Options`]) and does no I/O.
//! Does not know where the bytes come from.

#![deny(clippy::modulo_arithmetic, clippy::iter_over_hash_type)]

mod cells;
mod column;
mod corrupt;
mod csv;
mod decimal;
pub mod intervals;
mod java;
pub mod java_double;
mod number;
mod quick;
mod rewrite;
mod scan;
mod shape;
mod text;
mod time;
pub mod times;
mod token;
mod value;
mod values;
pub mod zone;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
pub use cells::{CsvForm, split_csv};
use column::{Column, Struct};
use corrupt::CorruptRecords;
pub use csv::CsvDecoder;
use std::sync::Arc;
use tidemill_model::{Micros, RecordFault};
use time::Defaults;
pub use time::{Formats, TextReader};
use token::Reader;
use value::Fit;
pub use values::Values;
use zone::{WallClock, Zone};

/// A string of more UTF-16 units than this makes its field NULL (rule J11).
const STRING_MAX: usize = 20_000_000;

/// Settings of decoding beside the schema.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Zone of timestamp strings without a zone: Spark's session time zone.
    pub session_zone: Zone,
    /// The batch's timestamp. Its date completes timestamp strings that have only a time (rule J9).
    pub now: Micros,
    /// The index of the STRING column that takes the texts of corrupt records, if the schema has one.
    pub corrupt_record: Option<usize>,
}

impl Default for Options {
    fn default() -> Options {
        Options { session_zone: Zone::UTC, now: Micros(0), corrupt_record: None }
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
    /// Records that are not JSON objects: all their columns are NULL (rules J1, J2, J7). Absent and blank values do not
    /// count.
    pub malformed: u64,
    /// Records with a field, or a value inside a field, that is NULL because it does not fit its type (rules J3, J4,
    /// J10).
    pub wrong_type: u64,
    /// The fault of each record: [`RecordFault::Malformed`], [`RecordFault::WrongType`] or none. Empty if no record of
    /// the chunk has a fault.
    pub faults: Vec<Option<RecordFault>>,
    /// The rows of JSON records that are absent or blank, ascending.
    pub empty: Vec<usize>,
    /// For each record of a wrong type: its row, and a bit set of the columns whose value does not fit. Columns from
    /// the 65th on are not included.
    unfit: Vec<(usize, u64)>,
}

impl Decoded {
    /// Rows of records whose values are not read.
    pub fn without_columns(rows: usize) -> Decoded {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options);
        let batch = batch.expect("a batch without columns");
        Decoded { batch, malformed: 0, wrong_type: 0, faults: Vec::new(), empty: Vec::new(), unfit: Vec::new() }
    }

    /// The columns that are NULL, wholly or partly, because the row's values do not fit them.
    pub fn unfit_columns(&self, row: usize) -> impl Iterator<Item = &FieldRef> {
        let of_row = self.unfit.binary_search_by_key(&row, |(row, _)| *row);
        let bits = of_row.map_or(0, |at| self.unfit[at].1);
        let fields = self.batch.schema_ref().fields().iter().take(64).enumerate();
        fields.filter(move |(column, _)| bits >> column & 1 == 1).map(|(_, field)| field)
    }
}

/// Decodes chunks of JSON records. One per worker thread: it remembers the shape of records.
#[derive(Debug)]
pub struct Decoder {
    schema: SchemaRef,
    corrupt: CorruptRecords,
    /// The fields of the schema but for that of corrupt records.
    data_fields: Fields,
    root: Struct,
    /// Whether a record is the value of the only column, not an object of columns.
    is_value: bool,
    scratch: Scratch,
}

/// The text is not JSON or not an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Malformed;

/// Buffers reused from record to record.
#[derive(Debug)]
struct Scratch {
    text: String,
    bytes: Vec<u8>,
    defaults: Defaults,
    formats: Formats,
}

/// The outcome of a record.
enum Row {
    /// Decoded, and how well its values fit.
    Members(Fit),
    /// Nothing but white space.
    Blank,
}

impl Decoder {
    /// A decoder for the wanted columns. Other fields of the records are validated and skipped.
    ///
    /// # Panics
    /// If the schema has a type that no schema text can give, or a field, element or map value that is not nullable: a
    /// bug in the planner (rule J10).
    pub fn new(schema: &SchemaRef, options: Options) -> Decoder {
        let (text, bytes, formats) = (String::new(), Vec::new(), Formats::default());
        let scratch = Scratch { text, bytes, defaults: options.defaults(), formats };
        let corrupt = CorruptRecords::new(options.corrupt_record);
        let data_fields = corrupt.data_fields(schema);
        let root = Struct::new(&data_fields);
        Decoder { schema: schema.clone(), corrupt, root, data_fields, is_value: false, scratch }
    }

    /// A decoder of records that are an ARRAY or a MAP: the only column of the rows. As in Spark, an object is an ARRAY of
    /// one STRUCT.
    pub fn of_value(data_type: &DataType, options: Options) -> Decoder {
        let schema = Arc::new(Schema::new(vec![Field::new("value", data_type.clone(), true)]));
        Decoder { is_value: true, ..Decoder::new(&schema, options) }
    }

    /// Reads the texts of times by these formats.
    pub fn with_formats(mut self, formats: Formats) -> Decoder {
        self.scratch.formats = formats;
        self
    }

    /// Sets the timestamp of the next batch.
    pub fn set_now(&mut self, now: Micros) {
        self.scratch.defaults.now = Some(now);
    }

    /// Decodes a chunk's records, one row each.
    pub fn decode(&mut self, chunk: &(impl Values + ?Sized)) -> Decoded {
        let rows = chunk.len();
        self.root.reserve(rows);
        let (mut malformed, mut faults, mut empty, mut unfit) = (0, Vec::new(), Vec::new(), Vec::new());
        for row in 0..rows {
            let value = chunk.value(row);
            let fault = value.and_then(|value| self.record(value, row));
            if self.root.len() == row {
                self.root.push_null();
                if fault.is_none() {
                    empty.push(row);
                }
            }
            self.corrupt.push(value, fault.is_some());
            if let Some(fault) = fault {
                faults.resize(rows, None);
                faults[row] = Some(fault);
                let columns = self.corrupt.schema_bits(self.root.take_unfit());
                match fault {
                    RecordFault::Malformed => malformed += 1,
                    _ => unfit.push((row, columns)),
                }
            }
        }
        let mut columns = self.root.finish_columns(&self.data_fields);
        self.corrupt.insert(&mut columns);
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options);
        let batch = batch.expect("columns are built by the schema");
        Decoded { batch, malformed, wrong_type: unfit.len() as u64, faults, empty, unfit }
    }

    /// Decodes one record. Appends a row unless the record is absent or blank.
    #[inline]
    fn record(&mut self, value: &[u8], row: usize) -> Option<RecordFault> {
        let mut reader = Reader { bytes: value, at: 0, depth: 0, scratch: &mut self.scratch };
        let read = if self.is_value { reader.value_root(&mut self.root) } else { reader.root(&mut self.root) };
        match read {
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
    /// Reads the record's object. What follows it is not read (rule J2).
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

    /// Reads the record's ARRAY or MAP. What follows it is not read.
    fn value_root(&mut self, root: &mut Struct) -> Result<Row, Malformed> {
        let first = self.skip_space();
        if self.at == self.bytes.len() {
            return Ok(Row::Blank);
        }
        root.begin_row();
        root.is_first(0);
        let fit = match (&mut root.columns[0], first) {
            (Column::List(list), b'{') if matches!(list.elements, Column::Struct(_)) => {
                let fit = self.value(&mut list.elements)?;
                list.end_row();
                fit
            }
            (column @ Column::List(_), b'[') | (column @ Column::Map(_), b'{') => self.value(column)?,
            _ => return Err(Malformed),
        };
        root.end_row();
        Ok(Row::Members(fit))
    }
}
