//! Decodes CSV lines into Arrow columns, as Spark's CSV source in PERMISSIVE mode with default options.
//!
//! Values belong to columns by position. An empty value is NULL, quoted or not. A value that does not fit its type is
//! NULL and the others are kept. Values beyond the schema are ignored. One row per line, in order.

use super::cells::{Cells, CsvForm};
use super::column::{Column, Fixed};
use super::corrupt::CorruptRecords;
use super::decimal::decimal;
use super::intervals;
use super::java::{java_float, java_integer};
use super::text::push_decoded;
use super::time::{self, Defaults, Formats};
use super::{Decoded, Options};
use crate::values::Values;
use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{Fields, SchemaRef};
use tidemill_model::{Micros, RecordFault};

/// Decodes chunks of CSV lines. One per worker thread.
#[derive(Debug)]
pub struct CsvDecoder {
    schema: SchemaRef,
    corrupt: CorruptRecords,
    /// The fields of the schema but for that of corrupt records.
    data_fields: Fields,
    columns: Vec<Column>,
    places: Vec<usize>,
    /// Number of values of a whole line; `None`: a line may have more than it has columns.
    width: Option<usize>,
    /// Whether the last line is corrupt. One that ends before a column is not, unless its width counts, as in Spark.
    is_corrupt: bool,
    cells: Cells,
    text: String,
    defaults: Defaults,
    formats: Formats,
}

impl CsvDecoder {
    /// A decoder for the wanted columns; `places` holds each column's position in a line, without the column of corrupt
    /// records. With a `width`, a line of another number of values is corrupt.
    ///
    /// # Panics
    /// If a column has a type that CSV cannot hold, or `places` and columns differ in number: a bug in the planner.
    pub fn new(
        schema: &SchemaRef,
        places: &[usize],
        width: Option<usize>,
        separator: char,
        options: Options,
    ) -> CsvDecoder {
        let corrupt = CorruptRecords::new(options.corrupt_record);
        let data_fields = corrupt.data_fields(schema);
        assert_eq!(data_fields.len(), places.len(), "each column has its place");
        CsvDecoder {
            schema: schema.clone(),
            columns: data_fields.iter().map(|field| Column::new(field.data_type())).collect(),
            corrupt,
            data_fields,
            places: places.to_vec(),
            width,
            is_corrupt: false,
            cells: Cells::new(separator),
            text: String::new(),
            defaults: options.defaults(),
            formats: Formats::default(),
        }
    }

    /// With lines of another form.
    pub fn with_form(mut self, form: &CsvForm) -> CsvDecoder {
        self.cells = Cells::of(form);
        self
    }

    /// With other readers of times.
    pub fn with_formats(mut self, formats: Formats) -> CsvDecoder {
        self.formats = formats;
        self
    }

    /// Sets the timestamp of the next batch.
    pub fn set_now(&mut self, now: Micros) {
        self.defaults.now = Some(now);
    }

    /// Decodes a chunk's lines, one row each. A line is never malformed as a whole. An absent or empty one has only NULLs, and
    /// is no fault.
    pub fn decode(&mut self, chunk: &(impl Values + ?Sized)) -> Decoded {
        let rows = chunk.len();
        let (mut faults, mut unfit) = (Vec::new(), Vec::new());
        for row in 0..rows {
            let value = chunk.value(row);
            let columns = match value {
                None | Some([]) => self.no_line(),
                // A line alone may have its end.
                Some(line) => self.line(line.strip_suffix(b"\n").unwrap_or(line)),
            };
            self.corrupt.push(value, self.is_corrupt);
            if let Some(columns) = columns {
                faults.resize(rows, None);
                faults[row] = Some(RecordFault::WrongType);
                unfit.push((row, self.corrupt.schema_bits(columns)));
            }
        }
        let columns = self.columns.iter_mut().zip(&self.data_fields);
        let mut columns = columns.map(|(column, field)| column.finish(field.data_type())).collect();
        self.corrupt.insert(&mut columns);
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options);
        let batch = batch.expect("columns are built by the schema");
        Decoded { batch, malformed: 0, wrong_type: unfit.len() as u64, faults, empty: Vec::new(), unfit }
    }

    /// Appends a row of NULLs.
    fn no_line(&mut self) -> Option<u64> {
        self.is_corrupt = false;
        self.columns.iter_mut().for_each(Column::push_null);
        None
    }

    /// Appends a row. Returns a bit set of the columns (of the first 64) whose value does not fit; `None` if all fit.
    fn line(&mut self, line: &[u8]) -> Option<u64> {
        self.cells.cut(line);
        self.is_corrupt = self.width.is_some_and(|width| width != self.cells.len());
        let mut unfit = self.is_corrupt.then_some(0);
        for (number, (column, place)) in self.columns.iter_mut().zip(&self.places).enumerate() {
            let fit = match self.cells.get(*place) {
                Some([]) => {
                    column.push_null();
                    true
                }
                Some(bytes) => {
                    self.text.clear();
                    push_decoded(bytes, &mut self.text);
                    let fit = put_text(column, &self.text, &self.defaults, &self.formats);
                    self.is_corrupt |= !fit;
                    fit
                }
                None => {
                    column.push_null();
                    false
                }
            };
            if !fit {
                *unfit.get_or_insert(0) |= 1u64.checked_shl(number as u32).unwrap_or_default();
            }
        }
        unfit
    }
}

/// Appends a value to a column. If it does not fit, appends NULL and returns false.
fn put_text(column: &mut Column, said: &str, defaults: &Defaults, formats: &Formats) -> bool {
    match column {
        Column::String(values) | Column::Binary(values) => {
            values.push(said.as_bytes());
            true
        }
        Column::Boolean(values) => put(values, boolean(said)),
        Column::Byte(values) => put(values, java_integer(said)),
        Column::Short(values) => put(values, java_integer(said)),
        Column::Int(values) => put(values, java_integer(said)),
        Column::Long(values) => put(values, java_integer(said)),
        Column::Float(values) => put(values, java_float(word(said))),
        Column::Double(values) => put(values, java_float(word(said))),
        Column::Decimal { precision, scale, values } => {
            put(values, decimal(&said.replace(',', ""), *precision, *scale))
        }
        Column::Date(values) => put(values, date(said, formats)),
        Column::Timestamp(values) => put(values, formats.timestamp(said, defaults)),
        Column::TimestampNtz(values) => put(values, formats.timestamp_ntz(said)),
        Column::Months { data_type, values } => {
            put(values, intervals::of_text(said, data_type).map(|months| months as i32))
        }
        Column::Micros { data_type, values } => put(values, intervals::of_text(said, data_type)),
        Column::Struct(_) | Column::List(_) | Column::Map(_) => {
            panic!("the plan refuses types that CSV does not hold")
        }
    }
}

fn date(said: &str, formats: &Formats) -> Option<i32> {
    match &formats.date {
        Some(read) => read(said)?.try_into().ok(),
        None => time::date_without_number(said),
    }
}

fn put<T: Copy + Default>(values: &mut Fixed<T>, value: Option<T>) -> bool {
    match value {
        Some(value) => values.push(value),
        None => values.push_null(),
    }
    value.is_some()
}

fn boolean(said: &str) -> Option<bool> {
    let is = |word: &str| said.eq_ignore_ascii_case(word);
    is("true").then_some(true).or_else(|| is("false").then_some(false))
}

/// Translates Spark's words for infinity to Java's.
fn word(said: &str) -> &str {
    match said {
        "Inf" => "Infinity",
        "-Inf" => "-Infinity",
        other => other,
    }
}
