//! Damaged, truncated and random bytes: the fast decoder agrees with the slow one and never panics.

use crate::case::schema;
use crate::reference::{self, Verdict};
use crate::show;
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
        let mut wounded = Vec::new();
        for at in 0..record.len() {
            for mark in *b"\"'\\{}[]:,-+.e0 9nNI/\n\0\x7f\x80\xe2\xff" {
                let mut bytes = record.as_bytes().to_vec();
                bytes[at] = mark;
                wounded.push(bytes);
            }
        }
        check(ddl, &wounded);
    }
}

#[test]
fn many_wounds() {
    let mut random = Random(20_240_209);
    for (ddl, record) in RECORDS {
        let wounded: Vec<Vec<u8>> = (0..20_000).map(|_| random.wound(record.as_bytes())).collect();
        check(ddl, &wounded);
    }
}

#[test]
fn random_bytes_and_random_marks() {
    let mut random = Random(7);
    let marks = b"{}[]\",:\\'0123456789.eE+-aslmtrufNI \xc3\xa9\xed\xa0\x00\n";
    for (ddl, _) in RECORDS {
        let bytes = |random: &mut Random, alphabet: Option<&[u8]>| -> Vec<u8> {
            let length = random.below(60);
            let pick = |random: &mut Random| alphabet.map_or(random.below(256) as u8, |of| of[random.below(of.len())]);
            std::iter::once(b'{').chain((0..length).map(|_| pick(random))).collect()
        };
        let records: Vec<Vec<u8>> =
            (0..40_000).map(|n| bytes(&mut random, (n % 4 != 0).then_some(&marks[..]))).collect();
        check(ddl, &records);
    }
}

#[test]
fn objects_of_random_members() {
    let mut random = Random(99);
    for (ddl, _) in RECORDS {
        let schema = schema(ddl);
        let names: Vec<&str> =
            schema.fields().iter().map(|field| field.name().as_str()).chain(["other", "x"]).collect();
        let records: Vec<Vec<u8>> = (0..20_000).map(|_| random.object(&names, 3).into_bytes()).collect();
        check(ddl, &records);
    }
}

/// A pseudo-random sequence, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn wound(&mut self, record: &[u8]) -> Vec<u8> {
        let mut bytes = record.to_vec();
        for _ in 0..1 + self.below(3) {
            let at = self.below(bytes.len());
            let end = (at + 1 + self.below(9)).min(bytes.len());
            match self.below(5) {
                0 => drop(bytes.drain(at..end)),
                1 => bytes[at] = self.below(256) as u8,
                2 => bytes.insert(at, b"\"\\{}[],:0 .-e'nx"[self.below(16)]),
                3 => bytes[at..end].reverse(),
                _ => bytes = [&bytes[..end], &bytes[at..]].concat(),
            }
            bytes.extend((bytes.is_empty()).then_some(b'{'));
        }
        bytes
    }

    fn object(&mut self, names: &[&str], depth: usize) -> String {
        let members: Vec<String> = (0..self.below(6))
            .map(|_| format!("\"{}\":{}", names[self.below(names.len())], self.value(depth)))
            .collect();
        format!("{{{}}}", members.join([",", ", ", " ,"][self.below(3)]))
    }

    fn value(&mut self, depth: usize) -> String {
        let scalars = [
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
        match self.below(if depth == 0 { 3 } else { 6 }) {
            0..=2 => scalars[self.below(scalars.len())].to_string(),
            3 => {
                let elements: Vec<String> = (0..self.below(4)).map(|_| self.value(depth - 1)).collect();
                format!("[{}]", elements.join(","))
            }
            _ => self.object(&["x", "y", "z", "w", "e", "k", "k"], depth - 1),
        }
    }
}
