//! Damaged, truncated and random bytes: the fast decoder agrees with the slow one and never panics.

use crate::case::schema;
use crate::reference::{self, Verdict};
use crate::show;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use tidemill_decode::{Decoder, Options};
use tidemill_model::RecordFault;

const RECORDS: [(&str, &str); 4] = [
    (
        "timestamp DOUBLE, course STRING, activity STRING, lines_of_code INT, cpu_usage_pct DOUBLE",
        r#"{"timestamp": 1700000000.123, "student_id": "CS-2023689", "student_name": "Zoha Ñ", "course": "Web Engineering", "activity": "coding", "tool_used": "Vim", "lines_of_code": 87, "last_error": "None", "cpu_usage_pct": 73.80612345}"#,
    ),
    (
        "s STRUCT<x: INT, y: STRING, z: ARRAY<STRUCT<w: BIGINT>>>, l ARRAY<INT>, m MAP<STRING, DOUBLE>, b BOOLEAN, t TINYINT",
        r#"{"s":{"x":1,"y":"p\u00e9😀","z":[{"w":7},{"w":null}]},"l":[1,2,3],"m":{"k":1.5,"q":"NaN"},"b":true,"t":200,"z":[{"a":null}]}"#,
    ),
    (
        "a STRING, b STRING, c STRING, d STRUCT<e: STRING>",
        r#"{"a":1.50,"b":{"x":[true,-7e5,"\ud83d\n"],'y':'"'},"c":[NaN,+INF,1e400,2e23],"d":{"e":{"f":-0}},"z":[1,{"y":"\\"}]}"#,
    ),
    (
        "a SMALLINT, l ARRAY<ARRAY<STRING>>, m MAP<STRING, MAP<STRING, INT>>",
        r#" { "a" : 12 , "l" : [ [ "x" , 1 ] , [ ] , null ] , "m" : { "k" : { "q" : 1 } , "k" : { } } , "a" : 13, "l":[["y"]] } rest"#,
    ),
];

/// Decodes all records as one chunk and compares each with the reference.
fn check(ddl: &str, records: &[Vec<u8>]) {
    let schema = schema(ddl);
    let chunk: Vec<Option<&Vec<u8>>> = records.iter().map(Some).collect();
    let decoded = Decoder::new(&schema, Options::default()).decode(chunk.as_slice());
    assert_eq!(decoded.batch.num_rows(), records.len());
    let mut counts = (0, 0);
    for (row, record) in records.iter().enumerate() {
        let nulls = schema.fields().iter().map(|_| serde_json::Value::Null).collect();
        let (expected, fault) = match reference::decode(&schema, record) {
            Verdict::Row(values, false) => (values, None),
            Verdict::Row(values, true) => (values, Some(RecordFault::WrongType)),
            Verdict::Malformed => (nulls, Some(RecordFault::Malformed)),
            Verdict::Blank => (nulls, None),
        };
        counts.0 += u64::from(fault == Some(RecordFault::Malformed));
        counts.1 += u64::from(fault == Some(RecordFault::WrongType));
        let ours = (show::row(&decoded.batch, row), decoded.faults.get(row).copied().flatten());
        assert_eq!(ours, (expected, fault), "{ddl}\n{}", record.escape_ascii());
    }
    assert_eq!((decoded.malformed, decoded.wrong_type), counts);
}

#[test]
fn j2_a_record_cut_at_any_byte() {
    for (ddl, record) in RECORDS {
        let cuts: Vec<Vec<u8>> = (0..=record.len()).map(|end| record.as_bytes()[..end].to_vec()).collect();
        check(ddl, &cuts);
        let whole_between: Vec<Vec<u8>> = cuts.iter().flat_map(|cut| [cut.clone(), record.into()]).collect();
        check(ddl, &whole_between);
    }
}

#[test]
fn every_byte_replaced_by_every_mark() {
    for (ddl, record) in RECORDS {
        let mut damaged = Vec::new();
        for at in 0..record.len() {
            for mark in *b"\"'\\{}[]:,-+.e0 9nNI/\n\0\x7f\x80\xe2\xff" {
                let mut bytes = record.as_bytes().to_vec();
                bytes[at] = mark;
                damaged.push(bytes);
            }
        }
        check(ddl, &damaged);
    }
}

#[test]
fn several_damages() {
    check_chunks(|_, record| damaged(record).boxed());
}

#[test]
fn random_bytes_and_random_marks() {
    let marks = || vec(select(MARKS), 0..60);
    let bytes = prop_oneof![3 => marks(), 1 => vec(any::<u8>(), 0..60)];
    let record = bytes.prop_map(|bytes| [&b"{"[..], &bytes].concat()).boxed();
    check_chunks(|_, _| record.clone());
}

#[test]
fn objects_of_random_members() {
    check_chunks(|ddl, _| {
        let fields = schema(ddl).fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
        let names = [fields, vec_of(&["other", "x"])].concat();
        object(names, value()).prop_map(String::into_bytes).boxed()
    });
}

/// Characters with a meaning in JSON, and some without.
const MARKS: &[u8] = b"{}[]\",:\\'0123456789.eE+-aslmtrufNI \xc3\xa9\xed\xa0\x00\n";

const SCALARS: [&str; 23] = [
    "null",
    "true",
    "1",
    "-0",
    "127",
    "200",
    "32768",
    "2147483648",
    "9223372036854775808",
    "1.5",
    "1e3",
    "1E-7",
    "-0.0",
    "NaN",
    "-Infinity",
    "\"NaN\"",
    "\"\"",
    "\"x\"",
    "\"long enough to fill a block of sixteen\"",
    "'s'",
    "\"\\u00e9\\n\"",
    "\"é\"",
    "\"\\ud83d\"",
];

/// Checks 400 chunks of up to 100 records for each schema. The chunks are the same in every run; `cargo xtask fuzz json`
/// looks for others.
fn check_chunks(record: impl Fn(&'static str, &'static str) -> BoxedStrategy<Vec<u8>>) {
    for (ddl, valid) in RECORDS {
        let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let chunks = vec(record(ddl, valid), 1..100);
        let each = |chunk: Vec<Vec<u8>>| {
            check(ddl, &chunk);
            Ok(())
        };
        runner.run(&chunks, each).unwrap_or_else(|failure| panic!("{ddl}: {failure}"));
    }
}

/// A change of some bytes of a record.
#[derive(Clone, Debug)]
enum Damage {
    Remove,
    Set(u8),
    Insert(u8),
    Reverse,
    Repeat,
}

/// A record with one to three damages.
fn damaged(record: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let damage = prop_oneof![
        Just(Damage::Remove),
        any::<u8>().prop_map(Damage::Set),
        select(&b"\"\\{}[],:0 .-e'nx"[..]).prop_map(Damage::Insert),
        Just(Damage::Reverse),
        Just(Damage::Repeat),
    ];
    vec((any::<Index>(), 1..10_usize, damage), 1..4).prop_map(move |damages| {
        let mut bytes = record.as_bytes().to_vec();
        for (at, length, damage) in damages {
            let at = at.index(bytes.len());
            let end = (at + length).min(bytes.len());
            match damage {
                Damage::Remove => drop(bytes.drain(at..end)),
                Damage::Set(byte) => bytes[at] = byte,
                Damage::Insert(byte) => bytes.insert(at, byte),
                Damage::Reverse => bytes[at..end].reverse(),
                Damage::Repeat => bytes = [&bytes[..end], &bytes[at..]].concat(),
            }
            bytes.extend(bytes.is_empty().then_some(b'{'));
        }
        bytes
    })
}

/// Any value, up to three levels deep.
fn value() -> BoxedStrategy<String> {
    let scalar = select(&SCALARS[..]).prop_map(str::to_owned);
    let nested = |inner: BoxedStrategy<String>| {
        let array = vec(inner.clone(), 0..4).prop_map(|elements| format!("[{}]", elements.join(",")));
        prop_oneof![1 => array, 2 => object(vec_of(&["x", "y", "z", "w", "e", "k", "k"]), inner)]
    };
    scalar.prop_recursive(3, 24, 5, nested).boxed()
}

fn object(names: Vec<String>, value: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    let members = vec((select(names), value), 0..6);
    (members, select(&[",", ", ", " ,"][..])).prop_map(|(members, comma)| {
        let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(comma))
    })
}

fn vec_of(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
