//! Every case that real Spark answered (`tests/spark/from_json.py`) gives the same row and the same verdict.

use crate::case::{schema, value};
use crate::reference;
use crate::show;
use serde_json::Value;
use std::path::Path;
use tidemill_decode::zone::Zone;
use tidemill_decode::{Decoder, Options};
use tidemill_model::RecordFault;

/// Spark's answer to one case.
struct Answer {
    case: String,
    /// Corrupt in Spark's terms: malformed, or a field of the wrong type.
    bad: bool,
    row: Value,
}

fn golden(name: &str) -> (String, Vec<Answer>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/from_json");
    let cases = std::fs::read_to_string(folder.join(format!("{name}.txt"))).unwrap();
    let answers = std::fs::read_to_string(folder.join(format!("{name}.jsonl"))).unwrap();
    let mut lines = answers.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert_eq!(lines.next().unwrap()["spark"], "4.1.1");
    let answers = lines
        .map(|line| Answer {
            case: line["case"].as_str().unwrap().to_string(),
            bad: line["bad"].as_bool().unwrap(),
            row: line["row"].clone(),
        })
        .collect();
    (cases, answers)
}

/// Decodes each run of cases as one chunk, twice: the second time every shape is known. Cases in which Spark continues
/// after an error inside a value (rule J12) are malformed here; returns their number.
fn check(name: &str) -> usize {
    let (cases, answers) = golden(name);
    let mut answers = answers.into_iter();
    let mut wrong = Vec::new();
    let mut outside_contract = 0;
    for run in cases.split("\n@").map(|run| run.trim_start_matches('@')).filter(|run| !run.starts_with('#')) {
        let (ddl, lines) = run.split_once('\n').unwrap();
        let cases: Vec<&str> = lines.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        let bracketed = ddl.trim().strip_prefix('[').and_then(|ddl| ddl.split_once("] "));
        let (zone, ddl) = bracketed.unwrap_or(("UTC", ddl.trim()));
        let options = Options { session_zone: Zone::parse(zone).unwrap(), ..Options::default() };
        let schema = schema(ddl);
        let chunk: Vec<Option<Vec<u8>>> = cases.iter().map(|case| value(case)).collect();
        let mut decoder = Decoder::new(&schema, options);
        decoder.decode(chunk.as_slice());
        let decoded = decoder.decode(chunk.as_slice());
        for (row, case) in cases.iter().enumerate() {
            let answer = answers.next().unwrap();
            assert_eq!(answer.case, *case, "{name}.jsonl is not of {name}.txt");
            let fault = decoded.faults.get(row).copied().flatten();
            let ours = show::row(&decoded.batch, row);
            if ours == answer.row && fault.is_some() == answer.bad {
                continue;
            }
            let malformed = fault == Some(RecordFault::Malformed);
            if malformed && answer.bad && reference::error_inside_wanted_value(&schema, &value(case).unwrap()) {
                outside_contract += 1;
                continue;
            }
            wrong
                .push(format!("{ddl}\n  {case:.300}\n  Spark {} {}\n  ours  {fault:?} {ours}", answer.bad, answer.row));
        }
    }
    assert!(answers.next().is_none(), "{name}.jsonl has more cases than {name}.txt");
    assert!(wrong.is_empty(), "{} cases differ:\n{}", wrong.len(), wrong.join("\n"));
    outside_contract
}

#[test]
fn j1_to_j11_as_spark_answers() {
    assert_eq!(check("cases"), 0);
}

#[test]
fn j9_times_in_a_zone_as_spark_answers() {
    assert_eq!(check("zones"), 0);
}

#[test]
fn wounded_records_as_spark_answers() {
    let outside_contract = check("mutated");
    assert!(outside_contract < 200, "{outside_contract}");
}
