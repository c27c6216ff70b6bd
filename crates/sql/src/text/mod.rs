//! Values as text, as Spark writes them: [`show`] for people, [`json`] for `to_json` and JSON
//! files, [`csv`] for CSV files (rule S1).
//!
//! Takes the Arrow types of [`crate::plan`] and no others; another type is a mistake of our own and panics.
//! Instants are written as a zone's clock shows them. Knows no files, tables or widths.

pub mod csv;
pub mod json;
pub mod show;

pub use tidemill_decode::{java_double, times};

use crate::zone::WallClock;
use std::fmt::Write;
use tidemill_model::time::civil_from_days;

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// `2026-01-01`; years outside 0000–9999 carry their sign.
fn write_date(out: &mut String, days: i64) {
    let (year, month, day) = civil_from_days(days);
    let sign = if year < 0 {
        "-"
    } else if year > 9_999 {
        "+"
    } else {
        ""
    };
    write!(out, "{sign}{:04}-{month:02}-{day:02}", year.abs()).expect("a String takes any text");
}

/// Date, `separator`, time to the second, `offset` seconds east of UTC; returns the microseconds left.
fn write_date_time(out: &mut String, micros: i64, offset: i64, separator: char) -> i64 {
    let seconds = micros.div_euclid(MICROS_PER_SECOND) + offset;
    let of_day = seconds.rem_euclid(SECONDS_PER_DAY);
    write_date(out, seconds.div_euclid(SECONDS_PER_DAY));
    let (hour, minute, second) = (of_day / 3_600, (of_day / 60).rem_euclid(60), of_day.rem_euclid(60));
    write!(out, "{separator}{hour:02}:{minute:02}:{second:02}").expect("a String takes any text");
    micros.rem_euclid(MICROS_PER_SECOND)
}

/// The offset of a clock at a time: none for a TIMESTAMP_NTZ.
fn offset_of(micros: i64, zoned: bool, clock: &WallClock) -> i64 {
    if zoned { clock.offset_at(micros.div_euclid(MICROS_PER_SECOND)) } else { 0 }
}

/// A decimal in plain notation, with all digits of its scale: `-0.050`.
fn write_decimal(out: &mut String, unscaled: i128, scale: i8) {
    let scale = usize::try_from(scale).expect("Spark's scales are not negative");
    if unscaled < 0 {
        out.push('-');
    }
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    out.push_str(whole);
    if scale > 0 {
        out.push('.');
        out.push_str(fraction);
    }
}

#[cfg(test)]
mod tests {
    use super::{WallClock, json, show};
    use arrow_array::builder::{Date32Builder, ListBuilder, MapBuilder, StringBuilder};
    use arrow_array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array,
        Int64Array, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
    };
    use arrow_schema::Field;
    use std::sync::Arc;

    /// One row: a value's text in `show` and in JSON. The expected texts are Spark 4.1.1's.
    fn check(array: impl arrow_array::Array + 'static, shown: &str, written: &str) {
        let array: ArrayRef = Arc::new(array);
        assert_eq!(show::value(&array, 0, &WallClock::utc()), shown);
        let mut out = String::new();
        json::write_value(&mut out, &array, 0, &WallClock::utc());
        assert_eq!(out, written);
    }

    fn utc(micros: i64) -> TimestampMicrosecondArray {
        TimestampMicrosecondArray::from(vec![micros]).with_timezone("UTC")
    }

    fn decimal(unscaled: i128, scale: i8) -> Decimal128Array {
        Decimal128Array::from(vec![unscaled]).with_precision_and_scale(38, scale).unwrap()
    }

    fn pair(names: [&str; 2], values: [ArrayRef; 2]) -> StructArray {
        let fields = names.iter().zip(&values).map(|(name, v)| Field::new(*name, v.data_type().clone(), true));
        StructArray::new(fields.collect(), values.to_vec(), None)
    }

    #[test]
    fn s1_scalars() {
        check(BooleanArray::from(vec![true]), "true", "true");
        check(Int8Array::from(vec![-7]), "-7", "-7");
        check(Int64Array::from(vec![i64::MIN]), "-9223372036854775808", "-9223372036854775808");
        check(Float32Array::from(vec![0.1]), "0.1", "0.1");
        check(Float64Array::from(vec![1e7]), "1.0E7", "1.0E7");
        check(Float64Array::from(vec![f64::NAN]), "NaN", "\"NaN\"");
        check(Float64Array::from(vec![f64::NEG_INFINITY]), "-Infinity", "\"-Infinity\"");
        check(decimal(-50, 3), "-0.050", "-0.050");
        check(decimal(0, 18), "0.000000000000000000", "0E-18");
        check(decimal(1_000, 10), "0.0000001000", "1.000E-7");
        check(decimal(-15, 8), "-0.00000015", "-1.5E-7");
        check(BinaryArray::from(vec![&[0xca_u8, 0xfe][..]]), "[CA FE]", "\"yv4=\"");
        check(BinaryArray::from(vec![&b"abc"[..]]), "[61 62 63]", "\"YWJj\"");
        check(BinaryArray::from(vec![&b"a"[..]]), "[61]", "\"YQ==\"");
        check(Int64Array::from(vec![None]), "NULL", "null");
    }

    #[test]
    fn s1_times() {
        check(utc(1_767_225_605_000_000), "2026-01-01 00:00:05", "\"2026-01-01T00:00:05.000Z\"");
        check(utc(1_767_225_605_120_900), "2026-01-01 00:00:05.1209", "\"2026-01-01T00:00:05.120Z\"");
        check(utc(-1), "1969-12-31 23:59:59.999999", "\"1969-12-31T23:59:59.999Z\"");
        check(utc(253_402_300_800_000_000), "+10000-01-01 00:00:00", "\"+10000-01-01T00:00:00.000Z\"");
        check(utc(-62_198_755_200_000_000), "-0001-01-01 00:00:00", "\"-0001-01-01T00:00:00.000Z\"");
        check(TimestampMicrosecondArray::from(vec![0]), "1970-01-01 00:00:00", "\"1970-01-01T00:00:00.000\"");
        check(Date32Array::from(vec![-1]), "1969-12-31", "\"1969-12-31\"");
        check(Date32Array::from(vec![2_932_897]), "+10000-01-01", "\"+10000-01-01\"");
    }

    #[test]
    fn s1_strings_are_escaped_where_json_must() {
        check(StringArray::from(vec!["a/b<&>é😀"]), "a/b<&>é😀", "\"a/b<&>é😀\"");
        check(StringArray::from(vec!["\"\\\n\t\u{1}\u{1f}"]), "\"\\\n\t\u{1}\u{1f}", r#""\"\\\n\t\u0001\u001F""#);
    }

    #[test]
    fn s1_null_members_are_left_out_at_every_level() {
        let null: ArrayRef = Arc::new(Int64Array::from(vec![None]));
        let one: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let inner: ArrayRef = Arc::new(pair(["x", "y"], [null.clone(), one]));
        check(pair(["a", "b"], [inner, null.clone()]), "{{NULL, 1}, NULL}", r#"{"a":{"y":1}}"#);
        check(pair(["a", "b"], [null.clone(), null.clone()]), "{NULL, NULL}", "{}");
        let all_null: StructArray = pair(["a", "b"], [null.clone(), null]);
        let mut out = String::new();
        json::write_row(&mut out, &RecordBatch::from(all_null), 0, &WallClock::utc());
        assert_eq!(out, "{}");
    }

    #[test]
    fn s1_arrays_and_maps_keep_null() {
        let mut list = ListBuilder::new(StringBuilder::new());
        list.values().append_value("a");
        list.values().append_null();
        list.append(true);
        check(list.finish(), "[a, NULL]", r#"["a",null]"#);
        let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
        map.keys().append_value("k");
        map.values().append_null();
        map.append(true).unwrap();
        check(map.finish(), "{k -> NULL}", r#"{"k":null}"#);
        let mut map = MapBuilder::new(None, Date32Builder::new(), StringBuilder::new());
        map.keys().append_value(18_262);
        map.values().append_value("v");
        map.append(true).unwrap();
        check(map.finish(), "{2020-01-01 -> v}", r#"{"18262":"v"}"#);
    }

    #[test]
    fn rows_for_people_are_cut() {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let rows = RecordBatch::try_from_iter([("id", ids)]).unwrap();
        let shown = show::result_rows(&rows, 2, &WallClock::utc());
        assert_eq!((shown.columns, shown.rows), (vec!["id".into()], vec![vec!["1".into()], vec!["2".into()]]));
    }
}
