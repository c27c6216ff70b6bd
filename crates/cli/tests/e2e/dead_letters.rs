//! Each broken record becomes one dead letter, whatever is killed, and the dead letters match the progress records.

use crate::support::{self, Dashboard, TOPIC, Testbed, WITH_DASHBOARD, records, until};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;
use tidemill_flow::ports::{Chunk, Read, RecordMetadata};
use tidemill_kafka::{KafkaReader, admin};
use tidemill_model::{FaultCounts, OffsetRange, RecordFault};

const THEN: i64 = 1_700_000_000;
const DEAD_LETTERS: [&str; 4] = ["--set", "dead_letter.type=files", "--set", "dead_letter.path=letters"];

/// A query in which `lines_of_code` must not be 0.
const DIVIDES: [&str; 2] = [
    "--set",
    "query.sql=SELECT window.start, course, count(*) AS events, sum(100 DIV lines_of_code) AS lines FROM logs GROUP BY window(event_time, '10 seconds', '5 seconds'), course",
];

/// All dead letters that count.
fn dead_letters(testbed: &Testbed) -> Vec<Value> {
    let batches = tidemill_files::read_batches(&testbed.path("letters")).expect("a directory of dead letters");
    batches.flat_map(|batch| batch.expect("a whole batch").1).collect()
}

/// `(partition, offset, reason)` → the rest of the dead letter. Panics on a duplicate.
type ByRecord = BTreeMap<(i64, i64, String), Value>;

fn by_record(dead_letters: Vec<Value>) -> ByRecord {
    let mut found = ByRecord::new();
    for letter in dead_letters {
        assert_eq!(letter["topic"], TOPIC, "{letter}");
        let number = |name: &str| letter[name].as_i64().unwrap_or_else(|| panic!("{name} in {letter}"));
        let id = (number("partition"), number("offset"), letter["reason"].as_str().expect("a reason").to_owned());
        assert!(found.insert(id, letter.clone()).is_none(), "twice: {letter}");
    }
    found
}

#[test]
fn each_kind_with_its_raw_bytes() {
    let testbed = Testbed::holding(records(THEN, 100).filter(|record| !record.contains(r#""lines_of_code": 0"#)));
    let args =
        [&DEAD_LETTERS[..], &DIVIDES, &["--set", "sources.logs.event_time.max_event_time_ahead=1 hour"]].concat();
    let sound = testbed.run_now(&args);
    assert!(!sound.stderr.contains("dead letters"), "{}", sound.stderr);
    assert_eq!(dead_letters(&testbed), [Value::Null; 0]);

    let then = THEN + 60;
    let text = |text: String| Some(text.into_bytes());
    let far = 10_000_000_000_i64;
    // value, reason, content of the dead letter, name of the member that holds it
    let broken = [
        (text("{\"a".into()), "malformed", "value", "{\"a"),
        (Some(b"\xff\xfe\x00".to_vec()), "malformed", "value_base64", "//4A"),
        (
            text(format!(r#"{{"timestamp": {then}, "course": "c", "lines_of_code": "x"}}"#)),
            "wrong_type",
            "detail",
            "lines_of_code does not suit INT",
        ),
        (
            text(r#"{"course": "c", "lines_of_code": 1}"#.into()),
            "null_event_time",
            "value",
            r#"{"course": "c", "lines_of_code": 1}"#,
        ),
        (None, "null_event_time", "value", ""),
        (
            text(format!(r#"{{"timestamp": {then}, "lines_of_code": 0}}"#)),
            "ansi_error",
            "detail",
            "[DIVIDE_BY_ZERO] division by zero; use nullif(divisor, 0) to get NULL instead",
        ),
        (
            text(format!(r#"{{"timestamp": {far}, "lines_of_code": 1}}"#)),
            "event_time_ahead",
            "value",
            r#"{"timestamp": 10000000000, "lines_of_code": 1}"#,
        ),
    ];
    testbed.send_bytes(broken.iter().map(|(value, ..)| value.clone()));
    testbed.send(records(then + 60, 2).skip(1));
    let ended = testbed.run_now(&args);
    assert!(ended.stderr.contains(" · 7 dead letters · "), "{}", ended.stderr);
    assert!(!ended.stderr.contains("moved the watermark"), "{}", ended.stderr);
    // Two minutes behind: late once the watermark is known.
    testbed.send(records(THEN, 30).skip(1).take(2));
    testbed.run_now(&args);
    let late = "event time 2023-11-14T22:13:20.050Z, watermark ";

    let found = by_record(dead_letters(&testbed));
    let mut counts = FaultCounts::default();
    testbed.progress().iter().for_each(|batch| counts.merge(&batch.tidemill.faults));
    for fault in RecordFault::ALL {
        let of_reason = found.keys().filter(|(_, _, reason)| reason == fault.name()).count();
        assert_eq!(of_reason as u64, counts.get(fault), "{}", fault.name());
    }
    assert_eq!((found.len(), counts.late), (9, 2));
    for (_, reason, name, said) in broken {
        let is_it = |letter: &&Value| letter["reason"] == reason && letter[name].as_str().unwrap_or_default() == said;
        let letter = found.values().find(is_it).unwrap_or_else(|| panic!("{reason} {said} in {found:#?}"));
        assert!(letter["timestamp"].as_i64().is_some_and(|ms| ms > 1_600_000_000_000), "{letter}");
        assert_eq!(letter.get("value").is_some(), name != "value_base64" && !said.is_empty(), "{letter}");
    }
    assert!(found.values().any(|letter| letter["detail"].as_str().is_some_and(|detail| detail.starts_with(late))));
}

/// The records in the topic that cannot be decoded, found by `serde_json` alone.
fn expected(testbed: &Testbed) -> BTreeMap<(i64, i64, String), Option<String>> {
    let mut broken = BTreeMap::new();
    tidemill_kafka::scan(&testbed.kafka(), TOPIC, |partition, offset, _, _, value| {
        let text = value.map(|value| String::from_utf8(value.to_vec()).expect("text"));
        let parsed: Result<Value, _> = serde_json::from_str(text.as_deref().unwrap_or("null"));
        let reason = match &parsed {
            Err(_) => "malformed",
            Ok(row) if row["timestamp"].is_null() => "null_event_time",
            Ok(row) if row["lines_of_code"].is_string() => "wrong_type",
            Ok(_) => return ControlFlow::Continue(()),
        };
        broken.insert((i64::from(partition), offset, reason.to_owned()), text);
        ControlFlow::Continue(())
    })
    .expect("the topic is read");
    broken
}

#[test]
fn executors_and_drivers_are_killed_and_each_letter_is_there_once() {
    let break_some = |(number, record): (usize, String)| match number % 9 {
        2 => Some(record[..record.len() / 2].to_owned().into_bytes()),
        5 => Some(record.replace(r#""lines_of_code": "#, r#""lines_of_code": "a", "x": "#).into_bytes()),
        7 => (number % 2 == 0).then(|| record.replace("timestamp", "time").into_bytes()),
        _ => Some(record.into_bytes()),
    };
    let testbed = Testbed::new();
    testbed.send_bytes(records(THEN, 9_000).enumerate().map(break_some));
    let slow = [
        "--set",
        "sources.logs.max_offsets_per_trigger=900",
        "--set",
        "autoscale.max_records_per_second_per_core=700",
        "--set",
        "query.sql=SELECT window.start, course, count(*) AS events, sum(lines_of_code) AS lines FROM logs GROUP BY window(event_time, '10 seconds', '5 seconds'), course",
    ];
    let args = [&DEAD_LETTERS[..], &slow].concat();
    for round in 1..=3 {
        let run = testbed.start_run(&[&args[..], &WITH_DASHBOARD].concat());
        let dashboard = Dashboard::of(&run);
        let mut last = 0;
        for _ in 0..2 {
            let victim = dashboard.executor("one at work", |e| e.id > last && e.tasks_running > 0);
            assert!(support::signal(victim.pid, "KILL"));
            run.says(&format!("executor {} was lost", victim.id));
            last = victim.id;
        }
        until("batches", || (testbed.progress().len() >= round).then_some(()));
        assert_eq!(run.kill().code, None);
    }
    testbed.run_now(&[&args[..4], &args[8..]].concat());
    let found: BTreeMap<_, _> = by_record(dead_letters(&testbed))
        .into_iter()
        .map(|(id, letter)| (id, letter["value"].as_str().map(str::to_owned)))
        .collect();
    assert!(found == expected(&testbed), "{} dead letters of {}", found.len(), expected(&testbed).len());
    assert_eq!(found.len(), 3_000);
    let names = std::fs::read_dir(testbed.path("letters")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().all(|name| !name.to_string_lossy().ends_with(".tmp")));
}

/// A record with its headers: key, value, headers.
type Whole = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, String)>);

/// All committed records of a topic.
fn whole_records(testbed: &Testbed, topic: &str) -> Vec<Whole> {
    let parts = RecordMetadata { keys: true, headers: true, ..RecordMetadata::default() };
    let mut reader = KafkaReader::new(&testbed.kafka()).expect("a reader").with_parts(parts);
    let (mut chunk, mut found) = (Chunk::default(), Vec::new());
    for (partition, there) in admin::extents(&testbed.kafka(), topic).expect("extents") {
        reader.open(&OffsetRange { partition, start: there.start, end: there.end }).expect("opened");
        while reader.next(&mut chunk, 1_000).expect("read") {
            let mut start = 0;
            for record in 0..chunk.len() {
                let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).expect("text");
                let headers = (start..chunk.header_ends[record])
                    .map(|at| (text(chunk.header_names.get(at)), text(chunk.header_values.get(at))));
                let bytes = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
                found.push((bytes(chunk.keys.get(record)), bytes(chunk.value(record)), headers.collect()));
                start = chunk.header_ends[record];
            }
        }
    }
    found
}

#[test]
fn dead_letters_go_to_a_topic_once_and_can_be_sent_again() {
    let testbed = Testbed::new();
    // Every third record is broken: it has a key and a header of its own.
    admin::ensure_topic(&testbed.kafka(), TOPIC, Some(4)).expect("a topic");
    let producer: BaseProducer = testbed.kafka().config(&[("linger.ms", "1")], &[]).create().expect("a producer");
    let mut expected: Vec<Whole> = Vec::new();
    for (number, record) in records(THEN, 6_000).enumerate() {
        let broken = number % 3 == 0;
        let value = if broken { format!("broken {number}") } else { record };
        let (key, name) = (format!("key {number}"), format!("header {number}"));
        let headers = OwnedHeaders::new().insert(Header { key: &name, value: Some("its value") });
        let mut message = BaseRecord::to(TOPIC).key(&key).payload(&value).headers(headers);
        while let Err((_, unsent)) = producer.send(message) {
            producer.poll(Duration::from_millis(10));
            message = unsent;
        }
        if broken {
            let headers = vec![(name, "its value".to_owned())];
            expected.push((Some(key.into_bytes()), Some(value.into_bytes()), headers));
        }
    }
    producer.flush(Duration::from_secs(60)).expect("acknowledged");
    let server = format!("dead_letter.bootstrap_servers={}", testbed.address());
    let sets = ["dead_letter.type=kafka", &server, "dead_letter.topic=letters", "dead_letter.partitions=2"];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", *set]).collect();
    let slow = [
        "--set",
        "sources.logs.max_offsets_per_trigger=300",
        "--set",
        "autoscale.max_records_per_second_per_core=1000",
    ];
    for round in 1..=4 {
        let run = testbed.start_run(&[&sets[..], &slow, &WITH_DASHBOARD].concat());
        let dashboard = Dashboard::of(&run);
        if round % 2 == 0 {
            let victim = dashboard.executor("one at work", |e| e.tasks_running > 0);
            assert!(support::signal(victim.pid, "KILL"));
        }
        let before = testbed.progress().len();
        until("a batch", || (testbed.progress().len() > before).then_some(()));
        assert_eq!(run.kill().code, None);
    }
    assert!(testbed.records_read() < 6_000);
    testbed.run_now(&sets);

    let is_ours = |(name, _): &&(String, String)| name.starts_with("tidemill.");
    let mut found = whole_records(&testbed, "letters");
    let mut places = BTreeMap::new();
    for (_, value, headers) in &found {
        let ours: BTreeMap<&str, &str> =
            headers.iter().filter(is_ours).map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let names =
            ["offset", "partition", "pipeline", "reason", "timestamp", "topic"].map(|name| format!("tidemill.{name}"));
        assert!(ours.keys().eq(names.iter()), "{ours:?}");
        assert_eq!((ours["tidemill.reason"], ours["tidemill.topic"]), ("malformed", TOPIC));
        assert_eq!(ours["tidemill.pipeline"], "e2e");
        places.insert((ours["tidemill.partition"].to_owned(), ours["tidemill.offset"].to_owned()), value.clone());
    }
    let mut in_topic = BTreeMap::new();
    tidemill_kafka::scan(&testbed.kafka(), TOPIC, |partition, offset, _, _, value| {
        if value.is_some_and(|value| value.starts_with(b"broken")) {
            in_topic.insert((partition.to_string(), offset.to_string()), value.map(<[u8]>::to_vec));
        }
        ControlFlow::Continue(())
    })
    .expect("the topic is read");
    assert!(places == in_topic, "the headers say where each record is");
    found.iter_mut().for_each(|(_, _, headers)| headers.retain(|(name, _)| !name.starts_with("tidemill.")));
    found.sort();
    expected.sort();
    assert!(found == expected, "{} dead letters of {}", found.len(), expected.len());
    let left = std::fs::read_dir(testbed.path("checkpoint/dead-letters")).expect("a directory").count();
    assert_eq!(left, 0, "what is in the topic is no longer in files");

    admin::ensure_topic(&testbed.kafka(), "again", Some(3)).expect("a topic");
    let replay = ["dead-letters", "replay", "p.toml", "--to", "again"];
    let ended = testbed.tidemill(&[&replay[..], &sets].concat());
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), "2000 records sent to topic again\n"),
        "{}",
        ended.stderr
    );
    let mut again = whole_records(&testbed, "again");
    again.sort();
    assert!(again == expected, "{} records of {}", again.len(), expected.len());
    let ended = testbed.tidemill(&[&replay[..], &["--reason", "late"], &sets].concat());
    let words = "0 records sent to topic again; not sent: 2000 dead letters with other reasons\n";
    assert_eq!(ended.stdout, words, "{}", ended.stderr);
    let ended = testbed.tidemill(&["dead-letters", "replay", "p.toml", "--to", "again"]);
    assert!(ended.stderr.contains("the dead letters of this pipeline are not in a topic"), "{}", ended.stderr);
}

#[test]
fn what_cannot_be_is_said() {
    let testbed = Testbed::without_broker();
    let ended = testbed.tidemill(&[&["check", "p.toml"], &DEAD_LETTERS[..]].concat());
    let line = "dead letters each fault of a record, as JSON lines in letters";
    assert!(ended.stdout.lines().any(|told| told == line), "{}", ended.stdout);
    let check = |path: &str, code: i32, words: &str| {
        let set = format!("dead_letter.path={path}");
        let ended = testbed.tidemill(&["run", "p.toml", "--set", "dead_letter.type=files", "--set", &set]);
        let told = ended.stderr.lines().last().unwrap_or_default();
        assert!(ended.code == Some(code) && told.contains(words), "{:?} {}", ended.code, ended.stderr);
    };
    check("rows", 2, "`rows` is also the directory of `rows`, which the pipeline reads or writes");
    check("p.toml/letters", 1, "cannot create p.toml/letters: ");
    let ended = testbed.tidemill(&["dead-letters", "replay", "p.toml", "--to", "t", "--reason", "old"]);
    assert!(ended.stderr.contains("`old` is no reason; choose one of malformed, wrong_type, "), "{}", ended.stderr);
}
