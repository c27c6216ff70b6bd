//! Reads the keys of a source of `type = "kafka"`.
//!
//! A combination that Spark refuses is a mistake here too. So is a key that would have no effect.

use crate::build::{kafka_connection, separator};
use crate::positions::{check_complete, parse_partitions, parse_position};
use crate::reader::Section;
use tidemill_model::diagnostic::Located;
use tidemill_model::kafka_source::PerPartition;
use tidemill_model::pipeline::{ClientChoice, Ending, KafkaSource, MinOffsets, Position, Topics, ValueFormat};

/// Spark's default of `maxTriggerDelay`.
const TRIGGER_DELAY_MS: u64 = 15 * 60 * 1_000;

/// The keys that say what is read. A source has one of them.
const WHAT: [&str; 3] = ["topic", "subscribe_pattern", "assign"];

pub(crate) fn kafka_source(section: &Section) -> Option<KafkaSource> {
    let connection = kafka_connection(section, &ClientChoice::NAMES);
    let topics = topics(section);
    let (starting, starts_at_end_without_match) = starting(section, topics.as_ref());
    let ending = ending(section, topics.as_ref());
    let max_offsets_per_trigger = section.integer("max_offsets_per_trigger", 1).map(|count| count as u64);
    let min_offsets = min_offsets(section, max_offsets_per_trigger);
    let fail_on_data_loss = section.boolean("fail_on_data_loss").unwrap_or(true);
    let group_id = section.string("group_id").filter(|group| group_is_valid(section, group));
    let format = format(section);
    let metadata_column = section.string("metadata_column");
    let include_headers = section.boolean("include_headers");
    if include_headers == Some(true) && section.has("schema") && metadata_column.is_none() {
        let help = "add metadata_column = \"kafka\", or leave out `include_headers`";
        let message = "`include_headers` has no column to go to";
        section.fault(section.value_span("include_headers"), message, help);
    }
    Some(KafkaSource {
        connection: connection?,
        topics: topics?,
        starting,
        starts_at_end_without_match,
        ending,
        max_offsets_per_trigger,
        min_offsets,
        fail_on_data_loss,
        group_id: group_id.cloned(),
        format,
        metadata_column: metadata_column.cloned(),
        include_headers: include_headers.unwrap_or(false),
    })
}

/// `format` with `sep`. Without it, a value is JSON if there is a schema.
fn format(section: &Section) -> ValueFormat {
    let comma = ValueFormat::Csv { separator: ',' };
    let formats = [("json", ValueFormat::Json), ("csv", comma), ("text", ValueFormat::Text), ("raw", ValueFormat::Raw)];
    let format = section.word("format", &formats);
    let separator = section.string("sep").and_then(|text| separator(section, text));
    // Of a format that is none, nothing more is said.
    if section.has("sep") && format != Some(comma) && (format.is_some() || !section.has("format")) {
        let message = "`sep` applies to format = \"csv\" only";
        section.fault(section.value_span("sep"), message, "leave it out, or write format = \"csv\"");
    }
    let has_schema = section.has("schema");
    if let Some(ValueFormat::Text | ValueFormat::Raw) = format
        && has_schema
    {
        let message = "`schema` is for values of format = \"json\" and \"csv\"";
        let help = "leave it out: the columns are Kafka's own, such as key, value and topic; or write another format";
        section.fault(section.value_span("schema"), message, help);
    }
    match format {
        Some(ValueFormat::Csv { .. }) => ValueFormat::Csv { separator: separator.unwrap_or(',') },
        Some(format) => format,
        None if has_schema => ValueFormat::Json,
        None => ValueFormat::Raw,
    }
}

/// Reports what a source without a schema has no use for.
pub(crate) fn needs_schema(section: &Section, kafka: &KafkaSource) {
    let add = "add a schema, for instance schema = \"timestamp DOUBLE, course STRING\", or leave this out";
    if section.has("format") && matches!(kafka.format, ValueFormat::Json | ValueFormat::Csv { .. }) {
        let message = "`format` says how to read the columns of a schema, and there is none";
        section.fault(section.value_span("format"), message, add);
    }
    if section.has("column_name_of_corrupt_record") {
        let message = "`column_name_of_corrupt_record` names a column of the schema, and there is none";
        section.fault(section.value_span("column_name_of_corrupt_record"), message, add);
    }
    if let Some(column) = &kafka.metadata_column {
        let message = "`metadata_column` stands beside the columns of a schema, and there is none";
        section.fault(column.span.clone(), message, "leave it out: without a schema, Kafka's columns are the source's");
    }
}

fn topics(section: &Section) -> Option<Topics> {
    let (pattern, assign) = (section.string("subscribe_pattern"), section.string("assign"));
    let given: Vec<&str> = WHAT.into_iter().filter(|key| section.has(key)).collect();
    if let [first, second, ..] = given[..] {
        let message = format!("a source has `{first}` or `{second}`, not both");
        section.fault(section.value_span(second), message, "leave one of them out");
        section.string("topic");
        return None;
    }
    match (pattern, assign) {
        (Some(pattern), _) if pattern.text.trim().is_empty() => {
            let help = "give a regular expression that matches the names of the topics, such as \"logs-.*\"";
            section.fault(pattern.span.clone(), "`subscribe_pattern` is empty", help);
            None
        }
        (Some(pattern), _) => Some(Topics::Matching(pattern.clone())),
        (_, Some(assign)) => match parse_partitions(&assign.text) {
            Ok(partitions) => partitions
                .keys()
                .all(|topic| topic_is_valid(section, assign, topic))
                .then_some(Topics::Assigned(partitions)),
            Err(why) => {
                section.sentence(assign.span.clone(), &format!("`assign` {why}"));
                None
            }
        },
        _ if given.first().is_some_and(|key| *key != "topic") => None,
        _ => named(section, section.required_string("topic", "\"my_topic\"")?),
    }
}

/// `topic`: one or several, separated by commas, as Spark's `subscribe`.
fn named(section: &Section, text: &Located) -> Option<Topics> {
    let mut names: Vec<String> = Vec::new();
    for name in text.text.split(',').map(str::trim) {
        if !topic_is_valid(section, text, name) {
            return None;
        }
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    Some(Topics::Named(names))
}

/// The starting position, and whether a timestamp without a match means the end. Spark's precedence: a timestamp for all,
/// timestamps by partition, offsets.
fn starting(section: &Section, topics: Option<&Topics>) -> (Position, bool) {
    let offsets = position(section, "starting_offsets", topics, false);
    let each = per_partition(section, "starting_offsets_by_timestamp", topics);
    let all = section.integer("starting_timestamp", 0);
    let strategies = [("error", false), ("latest", true)];
    const STRATEGY: &str = "starting_offsets_by_timestamp_strategy";
    let strategy = section.word(STRATEGY, &strategies);
    let by_time = section.has("starting_timestamp") || section.has("starting_offsets_by_timestamp");
    if section.has(STRATEGY) && !by_time {
        let message = format!("`{STRATEGY}` is about timestamps without a match, and there is no starting timestamp");
        section.fault(section.value_span(STRATEGY), message, "add `starting_timestamp`, or leave this out");
    }
    let position = match (all, each) {
        (Some(timestamp), _) => Position::Timestamp(timestamp),
        (None, Some(timestamps)) => Position::Timestamps(timestamps),
        (None, None) => offsets.unwrap_or(Position::Latest),
    };
    (position, strategy.unwrap_or(false))
}

/// As [`starting`], for the end.
fn ending(section: &Section, topics: Option<&Topics>) -> Option<Ending> {
    let offsets = position(section, "ending_offsets", topics, true);
    let each = per_partition(section, "ending_offsets_by_timestamp", topics);
    let all = section.integer("ending_timestamp", 0);
    let (key, position) = match (all, each, offsets) {
        (Some(timestamp), ..) => ("ending_timestamp", Position::Timestamp(timestamp)),
        (None, Some(timestamps), _) => ("ending_offsets_by_timestamp", Position::Timestamps(timestamps)),
        (None, None, offsets) => ("ending_offsets", offsets?),
    };
    Some(Ending { position, key, span: section.value_span(key) })
}

/// `"earliest"`, `"latest"`, or an offset of each partition. A query cannot end at the first offsets.
fn position(section: &Section, key: &'static str, topics: Option<&Topics>, is_end: bool) -> Option<Position> {
    let text = section.string(key)?;
    let position = parse_position(&text.text, is_end).and_then(|position| {
        if let Position::Offsets(offsets) = &position {
            check_complete(offsets, topics, "-1 stands for the end, -2 for the first offset")?;
        }
        Ok(position)
    });
    position.map_err(|why| section.sentence(text.span.clone(), &format!("`{key}` {why}"))).ok()
}

/// A timestamp of each partition.
fn per_partition(section: &Section, key: &'static str, topics: Option<&Topics>) -> Option<PerPartition> {
    let text = section.string(key)?;
    let found = crate::positions::parse_numbers(&text.text, 0)
        .and_then(|found| check_complete(&found, topics, "a timestamp is in milliseconds").map(|()| found));
    found.map_err(|why| section.sentence(text.span.clone(), &format!("`{key}` {why}"))).ok()
}

fn min_offsets(section: &Section, max: Option<u64>) -> Option<MinOffsets> {
    let offsets = section.integer("min_offsets_per_trigger", 1).map(|count| count as u64);
    let delay_max_ms = section.millis("max_trigger_delay", 0);
    if section.has("max_trigger_delay") && !section.has("min_offsets_per_trigger") {
        let message = "`max_trigger_delay` limits how long `min_offsets_per_trigger` may hold a batch back";
        section.fault(
            section.value_span("max_trigger_delay"),
            message,
            "add `min_offsets_per_trigger`, or leave this out",
        );
    }
    if let (Some(least), Some(most)) = (offsets, max)
        && least > most
    {
        let message = format!("`min_offsets_per_trigger` {least} exceeds `max_offsets_per_trigger` {most}");
        section.fault(section.value_span("min_offsets_per_trigger"), message, "lower it, or raise the other");
    }
    Some(MinOffsets { offsets: offsets?, delay_max_ms: delay_max_ms.unwrap_or(TRIGGER_DELAY_MS) })
}

fn group_is_valid(section: &Section, group: &Located) -> bool {
    let is_valid = !group.text.trim().is_empty() && group.text.len() <= 249;
    if !is_valid {
        let message = format!("`{}` is not the name of a consumer group", group.text);
        section.fault(group.span.clone(), message, "give a name of 1 to 249 bytes, such as \"tidemill-orders\"");
    }
    is_valid
}

/// Whether this is the name of a topic. Reports one that is not.
pub(crate) fn topic_is_valid(section: &Section, text: &Located, topic: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_valid = (1..=249).contains(&topic.len()) && topic.bytes().all(legal) && topic != "." && topic != "..";
    if !is_valid {
        let message = format!("`{topic}` is not the name of a topic");
        section.fault(text.span.clone(), message, "use 1 to 249 letters, digits, `.`, `_` and `-`");
    }
    is_valid
}
