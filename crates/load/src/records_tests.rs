//! Checks records with `serde_json` as an independent reader.

use super::*;
use crate::fields::{ACTIVITIES, COURSES, ERRORS, TOOLS};
use serde_json::Value;
use std::collections::BTreeMap;

const START: Micros = Micros(1_700_000_000_123_456);

fn mixed() -> Options {
    Options { late: 0.2, malformed: 0.2, ..Options::default() }
}

fn records(generator: &Generator, count: u64) -> Vec<(Kind, Vec<u8>)> {
    let record = |index| {
        let mut bytes = Vec::new();
        (generator.write(index, Micros(START.0 + index as i64 * 1_000), &mut bytes), bytes)
    };
    (0..count).map(record).collect()
}

/// Parses a record, which must be JSON with the nine fields in order.
fn parse(bytes: &[u8]) -> Value {
    let text = std::str::from_utf8(bytes).expect("UTF-8");
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let names = "timestamp student_id student_name course activity tool_used lines_of_code last_error cpu_usage_pct";
    let mut rest = text;
    for name in names.split(' ') {
        let at = rest.find(&format!("\"{name}\": ")).unwrap_or_else(|| panic!("{name} in order in {text}"));
        rest = &rest[at..];
    }
    assert_eq!(value.as_object().unwrap().len(), 9, "{text}");
    value
}

#[test]
fn the_same_seed_and_producer_give_the_same_bytes() {
    let all = |seed, producer| records(&Generator::new(seed, producer, &mixed()), 2_000);
    assert_eq!(all(7, 0), all(7, 0));
    let same = |a: Vec<(Kind, Vec<u8>)>, b: Vec<(Kind, Vec<u8>)>| a.iter().zip(&b).filter(|(a, b)| a.1 == b.1).count();
    // Only the text that is not JSON occurs twice: in 5 % of the records of each.
    assert!(same(all(7, 0), all(7, 1)) < 40);
    assert!(same(all(7, 0), all(8, 0)) < 40);
}

#[test]
fn records_stay_what_they_are_from_one_version_to_the_next() {
    let mut bytes = Vec::new();
    Generator::new(42, 0, &Options::default()).write(0, START, &mut bytes);
    let expected = concat!(
        r#"{"timestamp": 1700000000.123456, "student_id": "CS-2021432", "student_name": "Maybell Adams", "#,
        r#""course": "Operating Systems", "activity": "coding", "tool_used": "VS Code", "lines_of_code": 145, "#,
        r#""last_error": "None", "cpu_usage_pct": 48.53419609}"#
    );
    assert_eq!(String::from_utf8(bytes).unwrap(), expected);
}

#[test]
fn each_field_keeps_its_rule() {
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_else(|| panic!("{name}")).to_owned();
    let mut names = BTreeMap::new();
    for (index, (kind, bytes)) in records(&Generator::new(1, 0, &Options::default()), 20_000).iter().enumerate() {
        assert_eq!(*kind, Kind::Sound);
        let value = parse(bytes);
        assert_eq!((value["timestamp"].as_f64().unwrap() * 1e6).round() as i64, START.0 + index as i64 * 1_000);
        let id = text(&value, "student_id");
        let number: u32 = id.strip_prefix("CS-").unwrap().parse().unwrap();
        assert!((2_021_000..=2_025_999).contains(&number));
        let name = text(&value, "student_name");
        assert!(name.len() > 4 && *names.entry(id).or_insert(name.clone()) == name, "one student, one name");
        assert!(COURSES.contains(&text(&value, "course").as_str()));
        assert!(TOOLS.contains(&text(&value, "tool_used").as_str()));
        let (activity, error) = (text(&value, "activity"), text(&value, "last_error"));
        assert!(ACTIVITIES.contains(&activity.as_str()) && ERRORS.contains(&error.as_str()));
        let lines = value["lines_of_code"].as_i64().unwrap();
        assert!(if activity == "coding" { (5..=150).contains(&lines) } else { lines == 0 }, "{activity} {lines}");
        assert!(error == "None" || activity == "debugging" || activity == "running_tests", "{activity} {error}");
        let cpu = value["cpu_usage_pct"].as_f64().unwrap();
        assert!((10.5..=95.0).contains(&cpu), "{cpu}");
    }
    assert!(names.len() > 4_800, "most of the 5,000 students are active");
}

#[test]
fn values_are_spread_evenly() {
    let count = 30_000;
    let mut seen: BTreeMap<(&str, String), f64> = BTreeMap::new();
    let (mut lines, mut cpu, mut bytes_sum) = (0.0, 0.0, 0);
    for (_, bytes) in records(&Generator::new(3, 0, &Options::default()), count) {
        bytes_sum += bytes.len();
        let value = parse(&bytes);
        for name in ["course", "activity", "tool_used", "last_error"] {
            *seen.entry((name, value[name].as_str().unwrap().to_owned())).or_default() += 1.0 / count as f64;
        }
        lines += value["lines_of_code"].as_f64().unwrap() / count as f64;
        cpu += value["cpu_usage_pct"].as_f64().unwrap() / count as f64;
    }
    let near = |value: f64, expected: f64| assert!((value / expected - 1.0).abs() < 0.1, "{value} for {expected}");
    for ((name, value), share) in seen {
        // Two of the five activities can fail, and one of the five errors is "None".
        near(
            share,
            match (name, value.as_str()) {
                ("tool_used", _) => 1.0 / 6.0,
                ("last_error", "None") => 0.68,
                ("last_error", _) => 0.08,
                _ => 0.2,
            },
        );
    }
    near(lines, 77.5 / 5.0);
    near(cpu, 52.75);
    near(bytes_sum as f64 / count as f64, 235.0);
}

#[test]
fn late_and_malformed_records_come_in_their_share_and_kind() {
    let count = 20_000;
    let mut seen = [0u32; 6];
    for (index, (kind, bytes)) in records(&Generator::new(5, 1, &mixed()), count).iter().enumerate() {
        let time = START.0 + index as i64 * 1_000;
        let behind = |value: &Value| time - (value["timestamp"].as_f64().unwrap() * 1e6).round() as i64;
        let place = match kind {
            Kind::Sound => {
                assert_eq!(behind(&parse(bytes)), 0);
                0
            }
            Kind::Late => {
                assert!((1..=120_000_000).contains(&behind(&parse(bytes))));
                1
            }
            Kind::Malformed(Malformed::Truncated) => {
                assert!(bytes.starts_with(b"{") && serde_json::from_slice::<Value>(bytes).is_err());
                2
            }
            Kind::Malformed(Malformed::WrongType) => {
                assert!(parse(bytes)["lines_of_code"].is_string());
                3
            }
            Kind::Malformed(Malformed::NullTime) => {
                assert!(parse(bytes)["timestamp"].is_null());
                4
            }
            Kind::Malformed(Malformed::Text) => {
                assert_eq!(bytes, b"segmentation fault (core dumped)");
                5
            }
        };
        seen[place] += 1;
    }
    for (place, share) in [0.6, 0.2, 0.05, 0.05, 0.05, 0.05].into_iter().enumerate() {
        let found = f64::from(seen[place]) / count as f64;
        assert!((found / share - 1.0).abs() < 0.1, "kind {place}: {found} for {share}");
    }
}
