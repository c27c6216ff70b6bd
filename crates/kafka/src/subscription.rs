//! Which partitions a source reads: those of named topics, of topics that match a pattern, or assigned ones.

use crate::ask::Ask;
use regex_lite::Regex;
use std::sync::Arc;
use std::time::Duration;
use tidemill_model::pipeline::Topics;
use tidemill_model::{Error, PartitionId, Result};

/// Topics, with their pattern compiled.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    topics: Topics,
    pattern: Option<Regex>,
}

/// The expression over whole names. An error has the form `what is wrong; what to do`.
pub fn compiled(pattern: &str) -> std::result::Result<Regex, String> {
    Regex::new(&format!("^(?:{pattern})$")).map_err(|error| {
        let error = error.to_string();
        let why = error.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
        format!(
            "`{pattern}` is not a regular expression that can be used: {why}; write a Java regular expression without \
             look-around, back references, possessive quantifiers and \\Q, such as \"logs-.*\""
        )
    })
}

impl Subscription {
    /// # Errors
    /// User: the pattern is no regular expression.
    pub(crate) fn new(topics: Topics) -> Result<Subscription> {
        let pattern = match &topics {
            Topics::Matching(pattern) => Some(compiled(&pattern.text).map_err(Error::user)?),
            Topics::Named(_) | Topics::Assigned(_) => None,
        };
        Ok(Subscription { topics, pattern })
    }

    /// The name for messages.
    pub(crate) fn name(&self) -> String {
        self.topics.name()
    }

    /// The partitions now, ascending. Empty while a named topic or an assigned partition does not exist, or no topic
    /// matches.
    ///
    /// # Errors
    /// As [`Ask::partitions`].
    pub(crate) fn partitions(&self, source: u32, asks: &mut dyn Ask, patience: Duration) -> Result<Vec<PartitionId>> {
        let mut found = Vec::new();
        let mut add = |topic: &str, numbers: &mut dyn Iterator<Item = i32>| {
            let topic: Arc<str> = topic.into();
            found.extend(numbers.map(|partition| PartitionId { source, topic: topic.clone(), partition }));
        };
        match &self.topics {
            Topics::Named(topics) => {
                for topic in topics {
                    let Some(numbers) = asks.partitions(topic, patience)? else { return Ok(Vec::new()) };
                    add(topic, &mut numbers.into_iter());
                }
            }
            Topics::Assigned(partitions) => {
                for (topic, numbers) in partitions {
                    let there = asks.partitions(topic, patience)?.unwrap_or_default();
                    if numbers.iter().any(|number| !there.contains(number)) {
                        return Ok(Vec::new());
                    }
                    add(topic, &mut numbers.iter().copied());
                }
            }
            Topics::Matching(_) => {
                let pattern = self.pattern.as_ref().expect("a pattern is compiled");
                for (topic, numbers) in asks.all_topics(patience)? {
                    if pattern.is_match(&topic) {
                        add(&topic, &mut numbers.into_iter());
                    }
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names() {
        for (pattern, name, matches) in [
            ("logs", "logs", true),
            ("logs", "logs-a", false),
            ("logs.*", "logs-a", true),
            ("a|logs", "xlogs", false),
            (r"a\.b", "a.b", true),
            (r"a\.b", "axb", false),
            (r"t\d{1,2}", "t12", true),
        ] {
            let found = compiled(pattern).map(|pattern| pattern.is_match(name));
            assert_eq!(found, Ok(matches), "{pattern} {name}");
        }
        for pattern in ["(", "a(?=b)", r"(a)\1"] {
            assert!(compiled(pattern).unwrap_err().contains("without look-around"), "{pattern}");
        }
    }
}
