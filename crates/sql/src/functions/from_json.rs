//! `from_json(text, schema[, options])`: JSON as a value, read by the decoder of JSON sources, whole columns at a time.
//!
//! The planner has put the schema's type into the call and the options behind the schema, as pairs of constants sorted by
//! name. A blank text is NULL; what is not JSON is a STRUCT of NULLs, or NULL in place of an ARRAY or MAP; a field that does
//! not fit its type is NULL (rules J1 to J12). With mode FAILFAST these rows fail.

use super::time_text::Pattern;
use super::{Arguments, Function, Param, ZONED, json_options};
use crate::expr::Expr;
use crate::zone::{WallClock, Zone};
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, StructArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Schema};
use std::sync::Arc;
use tidemill_decode::{Decoded, Decoder, Formats, TextReader};
use tidemill_model::Micros;

pub(super) const FUNCTIONS: &[Function] = &[Function {
    name: FROM_JSON,
    usage: "from_json(json, schema[, options])",
    about: "The STRUCT, ARRAY or MAP that a JSON text holds, by a constant schema such as `'a INT, b ARRAY<STRING>'`; fields \
            that do not fit are NULL. The options, `map('mode', 'FAILFAST')`, are in docs/sql.md.",
    example: "from_json('{\"a\":1, \"b\":0.8}', 'a INT, b DOUBLE')",
    params: &[Param::String, Param::String, Param::Any],
    required: 2,
    zoned: ZONED,
    kernel: from_json,
    ..Function::BLANK
}];

/// Its name in the table.
pub(crate) const FROM_JSON: &str = "from_json";

/// The options of Spark's JSON that can be set.
const SETTABLE: [&str; 6] =
    ["mode", "columnNameOfCorruptRecord", "timestampFormat", "timestampNTZFormat", "dateFormat", "timeZone"];

/// Options that are accepted with the one value that they have here.
const FIXED: [(&str, &str); 9] = [
    ("allowComments", "false"),
    ("allowUnquotedFieldNames", "false"),
    ("allowSingleQuotes", "true"),
    ("allowNumericLeadingZeros", "false"),
    ("allowNonNumericNumbers", "true"),
    ("allowBackslashEscapingAnyCharacter", "false"),
    ("allowUnquotedControlChars", "false"),
    ("enableDateTimeParsingFallback", "false"),
    ("locale", "en-US"),
];

/// Options of Spark's JSON that do not touch a text read by a schema.
const WITHOUT_EFFECT: [&str; 8] = [
    "multiLine",
    "lineSep",
    "encoding",
    "charset",
    "primitivesAsString",
    "prefersDecimal",
    "samplingRatio",
    "dropFieldIfAllNull",
];

/// The options of a call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JsonOptions {
    /// Whether a text that is not JSON, or a field that does not fit, fails the row.
    pub fail_fast: bool,
    /// The field that takes the texts of corrupt records, if the schema has it.
    pub corrupt_column: String,
    timestamp: Option<String>,
    timestamp_ntz: Option<String>,
    date: Option<String>,
    zone: Option<Zone>,
}

impl JsonOptions {
    /// Reads pairs of names and values.
    ///
    /// # Errors
    /// Which option is wrong, and what to do.
    pub fn of(pairs: &[(String, String)]) -> Result<JsonOptions, String> {
        let mut options = JsonOptions {
            fail_fast: false,
            corrupt_column: "_corrupt_record".into(),
            timestamp: None,
            timestamp_ntz: None,
            date: None,
            zone: None,
        };
        for (name, value) in pairs {
            options.set(name, value)?;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let format = || Pattern::parse_for_reading(value).map(|_| Some(value.to_string()));
        match name.to_ascii_lowercase().as_str() {
            "mode" => self.fail_fast = json_options::fails_fast(value)?,
            "columnnameofcorruptrecord" => self.corrupt_column = value.into(),
            "timestampformat" => self.timestamp = format()?,
            "timestampntzformat" => self.timestamp_ntz = format()?,
            "dateformat" => self.date = format()?,
            "timezone" => self.zone = Some(json_options::zone(value)?),
            _ => return is_fixed(name, value),
        }
        Ok(())
    }

    fn decoder(&self, data_type: &DataType, arguments: &Arguments) -> Decoder {
        let session_zone = self.zone.unwrap_or(arguments.times.clock.zone());
        let now = arguments.times.now.unwrap_or(Micros(0));
        let mut options = tidemill_decode::Options { session_zone, now, corrupt_record: None };
        let decoder = match data_type {
            DataType::Struct(fields) => {
                options.corrupt_record = fields.iter().position(|field| *field.name() == self.corrupt_column);
                Decoder::new(&Arc::new(Schema::new(fields.clone())), options)
            }
            other => Decoder::of_value(other, options),
        };
        decoder.with_formats(self.formats(session_zone))
    }

    fn formats(&self, zone: Zone) -> Formats {
        text_formats([&self.timestamp, &self.timestamp_ntz, &self.date], zone)
    }
}

/// Readers of times by patterns: of TIMESTAMP, TIMESTAMP_NTZ and DATE.
pub(super) fn text_formats([timestamp, timestamp_ntz, date]: [&Option<String>; 3], zone: Zone) -> Formats {
    let pattern = |text: &String| Pattern::parse_for_reading(text).expect("checked with the file");
    let local = |micros, clock: &WallClock| clock.shows(micros);
    Formats {
        timestamp: timestamp.as_ref().map(|text| reader(pattern(text), zone, |micros, _| micros)),
        timestamp_ntz: timestamp_ntz.as_ref().map(|text| reader(pattern(text), zone, local)),
        date: date.as_ref().map(|text| reader(pattern(text), zone, |micros, clock| day(clock.shows(micros)))),
    }
}

fn day(micros: i64) -> i64 {
    micros.div_euclid(crate::eval::cast::time::MICROS_PER_DAY)
}

fn reader(pattern: Pattern, zone: Zone, finish: fn(i64, &WallClock) -> i64) -> TextReader {
    let clock = WallClock::new(zone);
    Box::new(move |text| Some(finish(pattern.parse_text(text, &clock)?, &clock)))
}

/// Refuses an option that is not known, or known with another value.
fn is_fixed(name: &str, value: &str) -> Result<(), String> {
    if let Some((known, only)) = FIXED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        return match value.eq_ignore_ascii_case(only) {
            true => Ok(()),
            false => Err(format!("the option {known}: '{value}' is not supported; it is '{only}', leave it out")),
        };
    }
    if WITHOUT_EFFECT.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    Err(format!("the option `{name}` is not supported; the options are {}", SETTABLE.join(", ")))
}

/// The options of a call that is planned.
pub(crate) fn options_of(arguments: &[Expr]) -> JsonOptions {
    JsonOptions::of(&json_options::of_constants(&arguments[2..])).expect("checked with the file")
}

fn from_json(arguments: &mut Arguments) -> ArrayRef {
    let options = JsonOptions::of(&json_options::of_columns(&arguments.columns[2..])).expect("checked with the file");
    let mut decoder = options.decoder(arguments.data_type, arguments);
    let records = &arguments.columns[0].array;
    let decoded = match records.as_string_opt::<i32>() {
        Some(texts) => decoder.decode(texts),
        None => decoder.decode(records.as_binary::<i32>()),
    };
    if options.fail_fast {
        for (row, fault) in decoded.faults.iter().enumerate() {
            if fault.is_some() {
                let message = || "the text is not JSON of the schema, and the mode is FAILFAST".to_string();
                arguments.errors.record(row, "MALFORMED_RECORD_IN_PARSING", message);
            }
        }
    }
    value(decoded, arguments.data_type)
}

/// The decoded columns as one.
fn value(decoded: Decoded, data_type: &DataType) -> ArrayRef {
    let DataType::Struct(fields) = data_type else { return decoded.batch.column(0).clone() };
    let rows = decoded.batch.num_rows();
    let nulls = (!decoded.empty.is_empty()).then(|| {
        let mut valid = vec![true; rows];
        decoded.empty.iter().for_each(|row| valid[*row] = false);
        NullBuffer::from(valid)
    });
    match fields.is_empty() {
        true => Arc::new(StructArray::new_empty_fields(rows, nulls)),
        false => Arc::new(StructArray::new(fields.clone(), decoded.batch.columns().to_vec(), nulls)),
    }
}
