//! Positions in topics as JSON text, as Spark writes them: `{"orders":{"0":23,"1":-1}}` and `{"orders":[0,1]}`.
//!
//! Errors have the form `what is wrong; what to do`, without the key at their beginning.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tidemill_model::kafka_source::{EARLIEST, LATEST, PerPartition, Position, Topics};

type Result<T> = std::result::Result<T, String>;

/// `earliest`, `latest`, or offsets as JSON.
pub(crate) fn parse_position(text: &str, is_end: bool) -> Result<Position> {
    match text.trim().to_ascii_lowercase().as_str() {
        "earliest" if is_end => Err("is \"earliest\", and a query cannot end before its start; \
                                     write \"latest\", or an offset of each partition"
            .into()),
        "earliest" => Ok(Position::Earliest),
        "latest" => Ok(Position::Latest),
        json if json.starts_with('{') => {
            let offsets = parse_numbers(text, EARLIEST)?;
            let is_first = |number: &i64| *number == EARLIEST;
            match is_end && offsets.values().flat_map(BTreeMap::values).any(is_first) {
                true => Err(format!(
                    "holds {EARLIEST}, and a query cannot end at the first offset; write {LATEST} for the end"
                )),
                false => Ok(Position::Offsets(offsets)),
            }
        }
        _ => Err(format!(
            "is \"{text}\"; choose {}\"latest\", or an offset of each partition as {EXAMPLE}",
            if is_end { "" } else { "\"earliest\", " }
        )),
    }
}

const EXAMPLE: &str = r#"'{"orders":{"0":23,"1":-1}}'"#;

/// A number of at least `least` for each partition of each topic.
pub(crate) fn parse_numbers(text: &str, least: i64) -> Result<PerPartition> {
    let mut found = PerPartition::new();
    for (topic, of_topic) in object(text, EXAMPLE)? {
        let Value::Object(of_topic) = of_topic else { return Err(unlike(text, EXAMPLE)) };
        let partitions = found.entry(topic).or_default();
        for (partition, number) in of_topic {
            let partition = partition.parse::<i32>().ok().filter(|number| *number >= 0);
            let partition = partition.ok_or_else(|| unlike(text, EXAMPLE))?;
            match number.as_i64() {
                Some(number) if number >= least => partitions.insert(partition, number),
                Some(number) => return Err(format!("holds {number}; the least number is {least}")),
                None => return Err(unlike(text, EXAMPLE)),
            };
        }
    }
    Ok(found)
}

/// Partitions of topics.
pub(crate) fn parse_partitions(text: &str) -> Result<BTreeMap<String, BTreeSet<i32>>> {
    const EXAMPLE: &str = r#"'{"orders":[0,1]}'"#;
    let mut found: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    for (topic, partitions) in object(text, EXAMPLE)? {
        let Value::Array(partitions) = partitions else { return Err(unlike(text, EXAMPLE)) };
        for partition in partitions {
            let number = partition.as_i64().and_then(|number| i32::try_from(number).ok()).filter(|number| *number >= 0);
            found.entry(topic.clone()).or_default().insert(number.ok_or_else(|| unlike(text, EXAMPLE))?);
        }
    }
    if found.is_empty() {
        return Err(format!("names no partition; write, for instance, {EXAMPLE}"));
    }
    Ok(found)
}

/// Fails if numbers are missing, or given for what is not read. Which partitions a topic has is known when the query
/// starts, so that is checked then.
pub(crate) fn check_complete(given: &PerPartition, topics: Option<&Topics>, meaning: &str) -> Result<()> {
    let incomplete = |what: String| Err(format!("{what}; name each partition that is read and no other ({meaning})"));
    let read: BTreeMap<&String, Option<&BTreeSet<i32>>> = match topics {
        Some(Topics::Named(topics)) => topics.iter().map(|topic| (topic, None)).collect(),
        Some(Topics::Assigned(partitions)) => {
            partitions.iter().map(|(topic, numbers)| (topic, Some(numbers))).collect()
        }
        Some(Topics::Matching(_)) | None => return Ok(()),
    };
    if let Some(topic) = given.keys().find(|topic| !read.contains_key(topic)) {
        return incomplete(format!("names topic `{topic}`, which is not read"));
    }
    for (topic, numbers) in read {
        let Some(of_topic) = given.get(topic) else { return incomplete(format!("lacks topic `{topic}`")) };
        let Some(numbers) = numbers else { continue };
        if let Some(number) = numbers.iter().find(|number| !of_topic.contains_key(number)) {
            return incomplete(format!("lacks partition {number} of `{topic}`"));
        }
        if let Some(number) = of_topic.keys().find(|number| !numbers.contains(number)) {
            return incomplete(format!("names partition {number} of `{topic}`, which is not read"));
        }
    }
    Ok(())
}

fn object(text: &str, example: &str) -> Result<serde_json::Map<String, Value>> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(unlike(text, example)),
    }
}

fn unlike(text: &str, example: &str) -> String {
    format!("is `{text}`; write JSON such as {example}")
}
