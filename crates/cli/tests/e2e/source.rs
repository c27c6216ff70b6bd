//! What a Kafka source reads and from where, as Spark's options say it.

use crate::support::{Testbed, records, until};
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::time::Duration;
use tidemill_kafka::admin;

const THEN: i64 = 1_700_000_000;

/// A testbed whose source has these lines instead of its topic and its start.
fn reading(lines: &str) -> Testbed {
    let testbed = Testbed::new();
    let path = testbed.path("p.toml");
    let text = std::fs::read_to_string(&path).expect("the pipeline file");
    let changed = text.replace("topic = \"logs\"\nstarting_offsets = \"earliest\"", lines);
    assert_ne!(changed, text);
    std::fs::write(path, changed).expect("written");
    testbed
}

#[test]
fn a_topic_that_matches_is_found_while_running() {
    let testbed = reading("subscribe_pattern = 'logs|more-\\d+'\nstarting_offsets = \"earliest\"");
    testbed.send(records(THEN, 100));
    testbed.send_to("more-x", records(THEN, 7));
    let run = testbed.start_run(&["--quiet"]);
    until("the first topic", || (testbed.records_read() == 100).then_some(()));
    testbed.send_to("more-1", records(THEN, 50));
    until("the new topic", || (testbed.records_read() == 150).then_some(()));
    run.signal("INT");
    assert_eq!(run.end().code, Some(0));
    assert_eq!(testbed.rows(), testbed.expected_with("more-1"));
    let source = &testbed.progress()[0].sources[0];
    assert_eq!(source.description, "KafkaV2[SubscribePattern[logs|more-\\d+]]");
}

#[test]
fn a_bounded_run_reads_between_offsets() {
    let start = r#"'{"logs":{"0":5,"1":-2,"2":-1,"3":20}}'"#;
    let end = r#"'{"logs":{"0":15,"1":-1,"2":-1,"3":20}}'"#;
    let lines = format!("topic = \"logs\"\nstarting_offsets = {start}\nending_offsets = {end}");
    let testbed = reading(&lines);
    testbed.send(records(THEN, 100));
    let available = ["--set", "query.trigger=available now"];
    testbed.run_now(&available);
    // 10 of partition 0, all of partition 1, none of the others.
    assert_eq!(testbed.records_read(), 35);
    // `--available-now` says the same.
    testbed.run_now(&[]);
    assert_eq!(testbed.records_read(), 35, "the end is reached");
    let refused = testbed.tidemill(&["check", "p.toml"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("`ending_offsets` does not apply to a query without an end"), "{}", refused.stderr);
}

#[test]
fn a_batch_waits_for_enough_records_or_for_long_enough() {
    let testbed = reading(
        "topic = \"logs\"\nstarting_offsets = \"earliest\"\nmin_offsets_per_trigger = 50\nmax_trigger_delay = \"4 seconds\"",
    );
    testbed.send(records(THEN, 10));
    let run = testbed.start_run(&["--quiet", "--set", "sources.logs.max_trigger_delay=1 hour"]);
    until("the first batch does not wait", || (testbed.records_read() == 10).then_some(()));
    testbed.send(records(THEN, 20));
    testbed.send(records(THEN, 40));
    until("there are enough", || (testbed.records_read() == 70).then_some(()));
    run.signal("INT");
    assert_eq!(run.end().code, Some(0));
    let run = testbed.start_run(&["--quiet"]);
    testbed.send(records(THEN, 3));
    until("they have waited for long enough", || (testbed.records_read() == 73).then_some(()));
    run.signal("INT");
    assert_eq!(run.end().code, Some(0));
    let sizes: Vec<u64> =
        testbed.progress().iter().map(|batch| batch.num_input_rows).filter(|rows| *rows > 0).collect();
    assert_eq!(sizes.iter().sum::<u64>(), 73);
    assert_eq!((sizes[0], *sizes.last().unwrap()), (10, 3));
    assert!(sizes[1..sizes.len() - 1].iter().all(|rows| *rows >= 50), "{sizes:?}");
}

#[test]
fn lost_records_end_the_run_or_are_passed_over() {
    let testbed = Testbed::holding(records(THEN, 40));
    testbed.run_now(&[]);
    testbed.send(records(THEN, 40));
    let admin: AdminClient<_> = testbed.kafka().config(&[], &[]).create().expect("an admin client");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("logs", 0, rdkafka::Offset::Offset(14)).expect("an offset");
    admin::wait(admin.delete_records(&list, &AdminOptions::new())).expect("deleted");
    let ended = testbed.start_run(&["--available-now"]).end();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let words = ["logs-0", "4 records were deleted before they were read", "fail_on_data_loss = false"];
    assert!(words.iter().all(|word| ended.stderr.contains(word)), "{}", ended.stderr);
    let ended = testbed.run_now(&["--set", "sources.logs.fail_on_data_loss=false"]);
    assert!(ended.stderr.contains("it is read on from offset 14"), "{}", ended.stderr);
    assert_eq!(testbed.records_read(), 76);
}

#[test]
fn the_offsets_of_the_group_follow_the_batches() {
    for client in ["native", "librdkafka"] {
        let testbed = Testbed::holding(records(THEN, 42));
        let client = format!("sources.logs.client={client}");
        let ended = testbed.run_now(&["--set", "sources.logs.group_id=lag", "--set", &client]);
        let consumer: BaseConsumer = testbed.kafka().config(&[], &[("group.id", "lag")]).create().expect("a consumer");
        let mut list = TopicPartitionList::new();
        list.add_partition_range("logs", 0, 3);
        let found = consumer.committed_offsets(list, Duration::from_secs(30)).expect("offsets");
        let found: Vec<_> = found.elements().iter().map(|element| element.offset()).collect();
        assert_eq!(found, [11, 11, 10, 10].map(rdkafka::Offset::Offset), "{}", ended.stderr);
    }
}

/// Runs `kafka-consumer-groups --describe` if `TIDEMILL_TEST_KAFKA_JARS` names the jars of Apache Kafka. On Apache Kafka too, if
/// there is one.
#[test]
fn the_tool_for_groups_shows_the_lag() {
    let Ok(jars) = std::env::var("TIDEMILL_TEST_KAFKA_JARS") else {
        eprintln!("skipped: TIDEMILL_TEST_KAFKA_JARS names no jars of Apache Kafka");
        return;
    };
    let apache = std::env::var("TIDEMILL_TEST_KAFKA").ok();
    for testbed in [Some(Testbed::new()), apache.map(|address| Testbed::at(&address))].into_iter().flatten() {
        let name = format!("lag-{}", std::process::id());
        testbed.send_to(&name, records(THEN, 42));
        let settings = ["topic", "group_id"].map(|key| format!("sources.logs.{key}={name}"));
        testbed.run_now(&["--set", &settings[0], "--set", &settings[1]]);
        testbed.send_to(&name, records(THEN, 10));
        let tool = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
        let mut command = std::process::Command::new("java");
        command.args(["-cp", &jars, tool, "--bootstrap-server", testbed.address(), "--describe", "--group", &name]);
        let output = command.output().expect("java runs");
        let text = String::from_utf8(output.stdout).expect("text");
        // GROUP, TOPIC, PARTITION, CURRENT-OFFSET, LOG-END-OFFSET, LAG, …
        let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let mut rows: Vec<String> =
            rows.filter(|row| row.len() > 5 && row[0] == name).map(|row| row[2..6].join(" ")).collect();
        rows.sort();
        let expected = ["0 11 14 3", "1 11 14 3", "2 10 12 2", "3 10 12 2"];
        assert_eq!(rows, expected, "{text}{}", String::from_utf8_lossy(&output.stderr));
    }
}
