//! Two sources in one query: two topics, and a topic with a directory of files.

use crate::support::{TOPIC, Testbed, records, until};
use std::collections::BTreeMap;
use std::fs;

const THEN: i64 = 1_700_000_000;
const MORE: &str = "more";

/// Adds a second source to the testbed's query.
fn add_source(testbed: &Testbed, options: &str) {
    let old = fs::read_to_string(testbed.path("p.toml")).unwrap();
    let source = format!(
        r#"[sources.more]
{options}
schema = "timestamp DOUBLE, course STRING, lines_of_code BIGINT"
event_time = {{ column = "at", expression = "CAST(timestamp AS TIMESTAMP)", watermark = "2 minutes" }}

[query]"#
    );
    let both = "FROM (SELECT event_time, course, lines_of_code FROM logs UNION ALL SELECT at, course, lines_of_code FROM more) b";
    let new = old.replace("[query]", &source).replace("FROM logs", both);
    fs::write(testbed.path("p.toml"), new).unwrap();
}

fn add_topic(testbed: &Testbed) {
    add_source(
        testbed,
        &format!(
            "type = \"kafka\"\nbootstrap_servers = \"{}\"\ntopic = \"{MORE}\"\nstarting_offsets = \"earliest\"",
            testbed.address()
        ),
    );
}

/// Number of records of each source, by its name in progress records.
fn by_source(testbed: &Testbed) -> BTreeMap<String, u64> {
    let mut records = BTreeMap::new();
    for source in testbed.progress().into_iter().flat_map(|batch| batch.sources) {
        *records.entry(source.description).or_default() += source.num_input_rows;
    }
    records
}

#[test]
fn two_topics_are_counted_together_though_the_driver_is_killed() {
    let testbed = Testbed::holding(records(THEN, 900).chain(["{".into()]));
    testbed.send_to(MORE, records(THEN + 3, 500).chain(["{".into(), "[".into()]));
    add_topic(&testbed);
    let dead_letters = ["--set", "dead_letter.type=files", "--set", "dead_letter.path=letters"];
    let bounds =
        ["--set", "sources.logs.max_offsets_per_trigger=200", "--set", "sources.more.max_offsets_per_trigger=100"];
    let slow = ["--set", "autoscale.max_records_per_second_per_core=400"];
    let driver = testbed.start_run(&[&dead_letters[..], &bounds, &slow].concat());
    until("two batches", || (testbed.progress().len() >= 2).then_some(()));
    driver.kill();
    testbed.run_now(&dead_letters);
    assert_eq!(testbed.rows(), testbed.expected_with(MORE));

    testbed.send(records(THEN + 40, 300));
    testbed.send_to(MORE, records(THEN + 40, 100));
    testbed.run_now(&dead_letters);
    assert_eq!(testbed.rows(), testbed.expected_with(MORE));
    let batches = tidemill_files::read_batches(&testbed.path("letters")).unwrap();
    let topics = batches.flat_map(|batch| batch.unwrap().1).map(|letter| letter["topic"].as_str().unwrap().to_owned());
    let mut topics: Vec<String> = topics.collect();
    topics.sort();
    assert_eq!(topics, [TOPIC, MORE, MORE]);
}

#[test]
fn a_topic_and_a_directory_are_counted_together() {
    let testbed = Testbed::holding(records(THEN, 400));
    add_source(&testbed, "type = \"files\"\npath = \"in\"\nmax_files_per_trigger = 1");
    fs::create_dir(testbed.path("in")).unwrap();
    for (file, start) in [("1.jsonl", THEN), ("2.jsonl", THEN + 9)] {
        let lines: Vec<String> = records(start, 150).collect();
        fs::write(testbed.path("in").join(file), lines.join("\n") + "\n").unwrap();
        testbed.send_to(MORE, lines);
    }
    testbed.run_now(&[]);
    assert_eq!(testbed.rows(), testbed.expected_with(MORE));
    let expected = [("FileStreamSource[in]".to_owned(), 300), (format!("KafkaV2[Subscribe[{TOPIC}]]"), 400)];
    assert_eq!(by_source(&testbed), expected.into());
}

#[test]
fn a_topic_that_is_missing_is_waited_for() {
    let testbed = Testbed::holding(records(THEN, 50));
    add_topic(&testbed);
    let ended = testbed.tidemill(&["run", "p.toml", "--available-now"]);
    assert_eq!(ended.code, Some(2));
    let words = "topic `more` does not exist; create it, or correct its name in the pipeline file";
    assert_eq!(ended.stderr.lines().last(), Some(words));
    let run = testbed.start_run(&[]);
    run.says("topic `more` does not exist yet; waiting for it");
    until("the records of the topic that is there", || (testbed.records_read() == 50).then_some(()));
    testbed.send_to(MORE, records(THEN, 30));
    until("the records of the other one", || (testbed.records_read() == 80).then_some(()));
    run.signal("INT");
    assert_eq!(run.end().code, Some(0));
    assert_eq!(testbed.rows(), testbed.expected_with(MORE));
}

#[test]
fn check_prints_the_branches() {
    let testbed = Testbed::without_broker();
    add_topic(&testbed);
    let checked = testbed.tidemill(&["check", "p.toml"]);
    let lines: Vec<&str> = checked.stdout.lines().filter(|line| line.starts_with(['b', 'u', 's'])).collect();
    let expected = [
        "branch       1 of 2",
        "source       logs",
        "branch       2 of 2",
        "source       more",
        "union all    2 branches",
    ];
    assert_eq!(lines, expected, "{}", checked.stderr);
}
