//! Rules that golden files cannot hold, because Spark's answer depends on the day or is undefined; and what decode
//! reports beside the rows.

use crate::case::schema;
use crate::show;
use serde_json::json;
use tidemill_decode::zone::Zone;
use tidemill_decode::{Decoder, Options};
use tidemill_model::{Micros, RecordFault};

/// Decodes one record and compares its row and fault.
fn check(record: &str, ddl: &str, options: Options, row: serde_json::Value, fault: Option<RecordFault>) {
    let decoded = Decoder::new(&schema(ddl), options).decode([Some(record)].as_slice());
    let found = (show::row(&decoded.batch, 0), decoded.faults.first().copied().flatten());
    assert_eq!(found, (row, fault), "{record}");
}

#[test]
fn j1_absent_and_blank_are_not_faults() {
    let values = [None, Some(""), Some(" \t\r\n"), Some("null"), Some("{"), Some(r#"{"a":"x"}"#), Some(r#"{"a":1}"#)];
    let mut decoder = Decoder::new(&schema("a INT"), Options::default());
    let decoded = decoder.decode(values.as_slice());
    let rows: Vec<_> = (0..7).map(|row| show::row(&decoded.batch, row)[0].clone()).collect();
    assert_eq!(json!(rows), json!([null, null, null, null, null, null, "1"]));
    assert_eq!((decoded.malformed, decoded.wrong_type), (2, 1));
    let (malformed, wrong_type) = (Some(RecordFault::Malformed), Some(RecordFault::WrongType));
    assert_eq!(decoded.faults, [None, None, None, malformed, malformed, wrong_type, None]);
    assert_eq!(decoder.decode([Some("{}")].as_slice()).faults, []);
}

#[test]
fn j2_unknown_fields_are_validated_even_if_nothing_is_wanted() {
    let values = [r#"{"z":1}"#, r#"{"z":01}"#, r#"{"z":[}"#].map(Some);
    let decoded =
        Decoder::new(&schema("a INT").project(&[]).unwrap().into(), Options::default()).decode(values.as_slice());
    assert_eq!((decoded.batch.num_rows(), decoded.batch.num_columns(), decoded.malformed), (3, 0, 2));
}

#[test]
fn j9_a_time_alone_is_today_in_its_zone() {
    let noon = 1_707_480_000_000_000; // 2024-02-09T12:00:00Z
    let options = Options { now: Micros(noon), ..Options::default() };
    for (text, micros) in [
        ("12:00", noon),
        ("T12:00:00", noon),
        ("T1", noon - 11 * 3_600_000_000),
        ("1:2:3.5Z", noon - 10 * 3_600_000_000 - 3_476_500_000),
        ("00:00:00+14:00", noon - 2 * 3_600_000_000),
        ("00:00:00-13:00", noon - 23 * 3_600_000_000),
    ] {
        check(&format!(r#"{{"t":"{text}"}}"#), "t TIMESTAMP", options, json!([micros.to_string()]), None);
    }
    for text in [" T12:00", "T", "24:00", "1:60", "-1:30"] {
        check(&format!(r#"{{"t":"{text}"}}"#), "t TIMESTAMP", options, json!([null]), Some(RecordFault::WrongType));
    }
}

#[test]
fn j9_the_session_time_zone_is_that_of_texts_without_one() {
    let options = Options { session_zone: Zone::parse("Europe/Paris").unwrap(), ..Options::default() };
    check(r#"{"t":"1970-01-01"}"#, "t TIMESTAMP", options, json!(["-3600000000"]), None);
    check(r#"{"t":"1970-01-01T00:00:00Z"}"#, "t TIMESTAMP", options, json!(["0"]), None);
    check(r#"{"t":"1970-01-01"}"#, "t TIMESTAMP_NTZ", options, json!(["0"]), None);
}

#[test]
fn j12_an_error_inside_a_wanted_value_is_malformed() {
    for (record, ddl) in [
        (r#"{"s":"\q","b":2}"#, "s STRING, b INT"),
        (r#"{"s":"\q,"b":2}"#, "s STRING, b INT"),
        ("{\"s\":\"a\tb\",\"b\":2}", "s STRING, b INT"),
        (r#"{"b":2,"s":[01]}"#, "s ARRAY<INT>, b INT"),
        (r#"{"b":2,"s":{"x":tru}}"#, "s STRUCT<x: BOOLEAN>, b INT"),
        (r#"{"b":2,"s":{"x":1]}"#, "s STRING, b INT"),
    ] {
        check(record, ddl, Options::default(), json!([null, null]), Some(RecordFault::Malformed));
    }
}

#[test]
fn a_malformed_record_leaves_nothing_behind_in_nested_columns() {
    let ddl = "l ARRAY<STRUCT<x: STRING, y: MAP<STRING, INT>>>, s STRUCT<p: ARRAY<INT>>";
    let whole = r#"{"l":[{"x":"a","y":{"k":1}}],"s":{"p":[1,2]}}"#;
    let values: Vec<_> = (0..=whole.len()).flat_map(|end| [Some(&whole[..end]), Some(whole)]).collect();
    let decoded = Decoder::new(&schema(ddl), Options::default()).decode(values.as_slice());
    for row in (1..values.len()).step_by(2) {
        assert_eq!(show::row(&decoded.batch, row), json!([[["a", [["k", "1"]]]], [["1", "2"]]]));
    }
    assert_eq!(decoded.malformed, whole.len() as u64 - 1);
}
