//! CSV as a value: `from_csv`, `to_csv` and `schema_of_csv`.
//!
//! `from_csv` is read by the decoder of CSV sources, whole columns at a time: the planner has put the schema's type into the
//! call and the options behind the schema, as pairs of constants. A value that does not fit is NULL; with mode FAILFAST the
//! row fails then.

use super::from_json::text_formats;
use super::time_text::Pattern;
use super::{Arguments, Function, Param, ZONED, build, json_options};
use crate::eval::RowErrors;
use crate::eval::cast::{self, time::MICROS_PER_DAY};
use crate::expr::{CastMode, Expr};
use crate::text::csv::write_text;
use crate::text::{json, show};
use crate::types;
use crate::value::Value;
use crate::zone::{WallClock, Zone};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, StringArray, StructArray};
use arrow_schema::{DataType, Fields, Schema, TimeUnit};
use std::sync::Arc;
use tidemill_decode::{CsvDecoder, CsvForm, Formats, split_csv};
use tidemill_model::Micros;

/// Its name in the table.
pub(crate) const FROM_CSV: &str = "from_csv";
/// Its name in the table.
pub(crate) const TO_CSV: &str = "to_csv";
/// Its name in the table.
pub(crate) const SCHEMA_OF_CSV: &str = "schema_of_csv";

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: FROM_CSV,
        usage: "from_csv(csv, schema[, options])",
        about: "The STRUCT that a line of CSV holds, by a constant schema such as `'a INT, b STRING'`; values that do not fit \
                are NULL. Options: `map('sep', ';')`, `quote`, `escape`, `mode`, `columnNameOfCorruptRecord`, `timestampFormat`, \
                `timestampNTZFormat`, `dateFormat`, `timeZone`.",
        example: "from_csv('1, 0.8', 'a INT, b DOUBLE')",
        params: &[Param::String, Param::String, Param::Any],
        required: 2,
        zoned: ZONED,
        kernel: from_csv,
        ..Function::BLANK
    },
    Function {
        name: TO_CSV,
        usage: "to_csv(struct[, options])",
        about: "The fields of a STRUCT as a line of CSV; NULL for a single NULL. Options: `map('sep', ';')`, `nullValue`, \
                `quoteAll`, `timestampFormat`, `timestampNTZFormat`, `dateFormat`, `timeZone`.",
        example: "to_csv(named_struct('a', 1, 'b', 'x,y'))",
        params: &[Param::Any, Param::Any],
        required: 1,
        check: check_struct,
        zoned: ZONED,
        kernel: to_csv,
        ..Function::BLANK
    },
    Function {
        name: SCHEMA_OF_CSV,
        usage: "schema_of_csv(csv[, options])",
        about: "The schema of a constant line of CSV, as `from_csv` takes it. Options: `map('sep', ';')`, `quote`, `escape`.",
        example: "schema_of_csv('1,abc')",
        params: &[Param::String, Param::Any],
        required: 1,
        check: check_constant,
        kernel: schema_of_csv,
        ..Function::BLANK
    },
];

/// The options of a call of `from_csv` or `schema_of_csv`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CsvReading {
    /// Whether a row that does not fit the schema fails.
    fail_fast: bool,
    /// The field that takes the texts of corrupt records, if the schema has it.
    pub corrupt_column: String,
    form: CsvForm,
    timestamp: Option<String>,
    timestamp_ntz: Option<String>,
    date: Option<String>,
    zone: Option<Zone>,
}

impl CsvReading {
    /// Reads pairs of names and values.
    ///
    /// # Errors
    /// Which option is wrong, and what to do.
    pub fn of(pairs: &[(String, String)]) -> Result<CsvReading, String> {
        let mut options = CsvReading {
            fail_fast: false,
            corrupt_column: "_corrupt_record".into(),
            form: CsvForm::default(),
            timestamp: None,
            timestamp_ntz: None,
            date: None,
            zone: None,
        };
        for (name, value) in pairs {
            let format = || Pattern::parse_for_reading(value).map(|_| Some(value.clone()));
            match name.to_ascii_lowercase().as_str() {
                "sep" | "delimiter" => options.form.separator = separator(value)?,
                "quote" => options.form.quote = character(name, value)?,
                "escape" => options.form.escape = character(name, value)?,
                "mode" => options.fail_fast = json_options::fails_fast(value)?,
                "columnnameofcorruptrecord" => options.corrupt_column = value.clone(),
                "timestampformat" => options.timestamp = format()?,
                "timestampntzformat" => options.timestamp_ntz = format()?,
                "dateformat" => options.date = format()?,
                "timezone" => options.zone = Some(json_options::zone(value)?),
                "nullvalue" if value.is_empty() => {}
                // Of files, not of a line.
                "header" | "inferschema" | "encoding" | "charset" | "multiline" | "samplingratio" => {}
                _ => {
                    let known = "sep, quote, escape, mode, columnNameOfCorruptRecord, timestampFormat, timestampNTZFormat, \
                                 dateFormat, timeZone";
                    return Err(format!("the option `{name}` is not supported; the options are {known}"));
                }
            }
        }
        match options.form.quote == options.form.escape {
            true => Err("the options quote and escape are the same character; give them different ones".into()),
            false => Ok(options),
        }
    }

    fn decoder(&self, fields: &Fields, arguments: &Arguments) -> CsvDecoder {
        let session_zone = self.zone.unwrap_or(arguments.times.clock.zone());
        let now = arguments.times.now.unwrap_or(Micros(0));
        let corrupt_record = fields.iter().position(|field| *field.name() == self.corrupt_column);
        let options = tidemill_decode::Options { session_zone, now, corrupt_record };
        let width = fields.len() - usize::from(corrupt_record.is_some());
        let places: Vec<usize> = (0..width).collect();
        let schema = Arc::new(Schema::new(fields.clone()));
        let decoder = CsvDecoder::new(&schema, &places, Some(width), ',', options);
        decoder.with_form(&self.form).with_formats(self.formats(session_zone))
    }

    fn formats(&self, zone: Zone) -> Formats {
        text_formats([&self.timestamp, &self.timestamp_ntz, &self.date], zone)
    }
}

fn separator(value: &str) -> Result<String, String> {
    match value {
        "" => Err("the option sep is empty; write for instance ';'".into()),
        r"\t" => Ok("\t".into()),
        r"\\" => Ok("\\".into()),
        _ if value.starts_with('\\') => {
            Err(format!("the option sep: '{value}' is not supported; write '\\\\t' or ';'"))
        }
        _ => Ok(value.into()),
    }
}

fn character(name: &str, value: &str) -> Result<u8, String> {
    match value.as_bytes() {
        [byte] if byte.is_ascii_graphic() => Ok(*byte),
        _ => Err(format!("the option {name}: '{value}' is not supported; write one character of ASCII")),
    }
}

fn from_csv(arguments: &mut Arguments) -> ArrayRef {
    let options = CsvReading::of(&json_options::of_columns(&arguments.columns[2..])).expect("checked with the file");
    let DataType::Struct(fields) = arguments.data_type else { panic!("a STRUCT is given") };
    let records = &arguments.columns[0].array;
    let texts = records.as_string::<i32>();
    let decoded = options.decoder(fields, arguments).decode(texts);
    if options.fail_fast {
        // An empty text has no values, and is no corrupt record either; but it does not fit.
        let is_fault = |row: usize| decoded.faults.get(row).is_some_and(Option::is_some) || texts.value(row).is_empty();
        for row in (0..texts.len()).filter(|row| texts.is_valid(*row) && is_fault(*row)) {
            let message = || "the line does not fit the schema, and the mode is FAILFAST".to_string();
            arguments.errors.record(row, "MALFORMED_RECORD_IN_PARSING", message);
        }
    }
    let nulls = records.nulls().cloned();
    Arc::new(StructArray::new(fields.clone(), decoded.batch.columns().to_vec(), nulls))
}

/// The options of a call of `to_csv`.
pub(crate) struct CsvWriting {
    separator: String,
    null: String,
    quotes_all: bool,
    timestamp: Option<String>,
    timestamp_ntz: Option<String>,
    date: Option<String>,
    zone: Option<Zone>,
}

impl CsvWriting {
    /// Reads pairs of names and values.
    ///
    /// # Errors
    /// Which option is wrong, and what to do.
    pub fn of(pairs: &[(String, String)]) -> Result<CsvWriting, String> {
        let mut options = CsvWriting {
            separator: ",".into(),
            null: String::new(),
            quotes_all: false,
            timestamp: None,
            timestamp_ntz: None,
            date: None,
            zone: None,
        };
        for (name, value) in pairs {
            let format = || Pattern::parse(value).map(|_| Some(value.clone()));
            match name.to_ascii_lowercase().as_str() {
                "sep" | "delimiter" => options.separator = separator(value)?,
                "nullvalue" => options.null = value.clone(),
                "quoteall" => options.quotes_all = json_options::is_true(name, value)?,
                "timestampformat" => options.timestamp = format()?,
                "timestampntzformat" => options.timestamp_ntz = format()?,
                "dateformat" => options.date = format()?,
                "timezone" => options.zone = Some(json_options::zone(value)?),
                "header" | "encoding" | "charset" => {}
                _ => {
                    let known = "sep, nullValue, quoteAll, timestampFormat, timestampNTZFormat, dateFormat, timeZone";
                    return Err(format!("the option `{name}` is not supported; the options are {known}"));
                }
            }
        }
        Ok(options)
    }
}

fn check_struct(arguments: &[Expr]) -> Result<(), String> {
    match arguments[0].data_type() {
        DataType::Struct(_) => Ok(()),
        other => Err(format!("`to_csv` takes a STRUCT, not {}; write to_csv(struct(…))", types::name(&other))),
    }
}

fn to_csv(arguments: &mut Arguments) -> ArrayRef {
    let options = CsvWriting::of(&json_options::of_columns(&arguments.columns[1..])).expect("checked with the file");
    let values = arguments.columns[0].clone().into_rows(arguments.rows);
    let values = values.as_struct();
    let clock = WallClock::new(options.zone.unwrap_or(arguments.times.clock.zone()));
    let pattern =
        |text: &Option<String>| text.as_ref().map(|text| Pattern::parse(text).expect("checked with the file"));
    let patterns = [&options.timestamp, &options.timestamp_ntz, &options.date].map(pattern);
    build::texts(arguments.rows, |row| {
        if values.is_null(row) {
            return None;
        }
        let mut out = String::new();
        for (place, value) in values.columns().iter().enumerate() {
            if place > 0 {
                out.push_str(&options.separator);
            }
            if value.data_type().is_null() || value.is_null(row) {
                match options.quotes_all {
                    true => write_text(&mut out, &options.null, false, &options.separator, true),
                    false => out.push_str(&options.null),
                }
            } else {
                write_text(
                    &mut out,
                    &text(value, row, &clock, &patterns),
                    place == 0,
                    &options.separator,
                    options.quotes_all,
                );
            }
        }
        (!out.is_empty()).then_some(out)
    })
}

/// A value that is not NULL as text, without quotes.
fn text(value: &ArrayRef, row: usize, clock: &WallClock, patterns: &[Option<Pattern>; 3]) -> String {
    let (pattern, wall) = match value.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => (&patterns[0], false),
        DataType::Timestamp(..) => (&patterns[1], true),
        DataType::Date32 => (&patterns[2], true),
        DataType::Utf8 => return value.as_string::<i32>().value(row).to_string(),
        DataType::Binary => return show::value(value, row, clock),
        data_type if data_type.is_nested() => return show::bare(value, row, clock),
        _ => (&None, false),
    };
    if let Some(pattern) = pattern {
        let micros = match value.data_type() {
            DataType::Date32 => i64::from(value.as_primitive::<arrow_array::types::Date32Type>().value(row))
                .saturating_mul(MICROS_PER_DAY),
            _ => value.as_primitive::<arrow_array::types::TimestampMicrosecondType>().value(row),
        };
        let utc = WallClock::new(Zone::UTC);
        return pattern.format(micros, if wall { &utc } else { clock });
    }
    let mut out = String::new();
    json::write_value(&mut out, value, row, clock);
    match out.strip_prefix('"').and_then(|out| out.strip_suffix('"')) {
        Some(inner) => inner.to_string(),
        None => out,
    }
}

fn check_constant(arguments: &[Expr]) -> Result<(), String> {
    let is_null = matches!(arguments[0], Expr::Literal(Value::Null, _)) || arguments[0].data_type().is_null();
    match is_null || arguments[0].has_column(|_| true) {
        true => Err("the text is not a constant; write an example of the lines as a string".into()),
        false => Ok(()),
    }
}

fn schema_of_csv(arguments: &mut Arguments) -> ArrayRef {
    let options = CsvReading::of(&json_options::of_columns(&arguments.columns[1..])).expect("checked with the file");
    let texts = arguments.columns[0].texts();
    let mut fields = Vec::new();
    let errors = &mut *arguments.errors;
    let times = arguments.times;
    build::texts(arguments.rows, |row| {
        let text = texts.get(row)?;
        fields.clear();
        for (place, cell) in split_csv(text, &options.form).iter().enumerate() {
            fields.push(format!("_c{place}: {}", inferred(cell, times)));
        }
        if fields.is_empty() {
            errors.record(row, "MALFORMED_RECORD_IN_PARSING", || "an empty text has no schema".to_string());
            return None;
        }
        Some(format!("STRUCT<{}>", fields.join(", ")))
    })
}

/// The type that Spark's source of CSV infers.
fn inferred(cell: &str, times: &crate::text::times::Defaults) -> String {
    let array: ArrayRef = Arc::new(StringArray::from(vec![cell]));
    let reads = |to: &DataType| cast::cast(&array, to, CastMode::Try, times, &mut RowErrors::default()).is_valid(0);
    let digits = cell.strip_prefix(['+', '-']).unwrap_or(cell);
    let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if cell.is_empty() {
        "STRING".into()
    } else if is_whole && reads(&DataType::Int32) {
        "INT".into()
    } else if is_whole && reads(&DataType::Int64) {
        "BIGINT".into()
    } else if let Some(digits) = whole_digits(digits) {
        format!("DECIMAL({digits},0)")
    } else if reads(&DataType::Float64) {
        "DOUBLE".into()
    } else if is_date(cell) && reads(&DataType::Date32) {
        "DATE".into()
    } else if reads(&types::timestamp()) {
        "TIMESTAMP".into()
    } else if cell.eq_ignore_ascii_case("true") || cell.eq_ignore_ascii_case("false") {
        "BOOLEAN".into()
    } else {
        "STRING".into()
    }
}

/// How many digits a number has that is whole and fits no BIGINT, or ends in a point; `None` of others.
fn whole_digits(digits: &str) -> Option<usize> {
    let digits = digits.strip_suffix('.').unwrap_or(digits).trim_start_matches('0');
    let is_whole = digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_whole && (1..=38).contains(&digits.len())).then_some(digits.len())
}

/// `yyyy-MM-dd`
fn is_date(cell: &str) -> bool {
    cell.len() == 10
        && cell
            .bytes()
            .enumerate()
            .all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() })
}
