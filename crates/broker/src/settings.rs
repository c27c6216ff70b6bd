//! Settings of a topic, under Kafka's names. A name or value that would have no effect is refused.

use crate::config::BrokerConfig;
use crate::log::LogConfig;
use std::fmt;
use std::time::Duration;

const MAX_SEGMENT_BYTES: u64 = 2 << 30;

/// A topic's own settings; all others come from the broker's config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// In the order of [`KEYS`]; −1 means no limit.
    values: [Option<i64>; 4],
}

/// Names and smallest values.
const KEYS: [(&str, i64); 4] =
    [("retention.bytes", -1), ("retention.ms", -1), ("segment.bytes", 1024), ("max.message.bytes", 0)];

/// One setting as DescribeConfigs shows it.
pub(crate) struct Described {
    pub name: &'static str,
    pub value: String,
    /// Whether the topic has set it itself.
    pub own: bool,
    /// Whether CreateTopics refuses it.
    pub read_only: bool,
}

impl Settings {
    /// Sets one setting. The error says what is wrong and what is allowed.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        // The two fixed settings may be stated with their fixed values.
        if let ("cleanup.policy", "delete") | ("message.timestamp.type", "CreateTime") = (name, value) {
            return Ok(());
        }
        let Some(index) = KEYS.iter().position(|(key, _)| *key == name) else {
            let known: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
            return Err(format!("`{name}={value}` is not offered by this broker; use {}", known.join(", ")));
        };
        match value.parse() {
            Ok(number) if number >= KEYS[index].1 => self.values[index] = Some(number),
            _ => return Err(format!("`{name}` must be a whole number of at least {}, not `{value}`", KEYS[index].1)),
        }
        Ok(())
    }

    /// The log's settings: the topic's own over the broker's.
    pub fn log_config(&self, broker: &BrokerConfig) -> LogConfig {
        let limit = |value: Option<i64>, default: Option<u64>| match value {
            Some(value) => u64::try_from(value).ok(),
            None => default,
        };
        let [retention_bytes, retention_ms, segment_bytes, max_message_bytes] = self.values;
        let age_ms = broker.retention_age.map(|age| age.as_millis() as u64);
        LogConfig {
            retention_bytes: limit(retention_bytes, broker.retention_bytes),
            retention_age: limit(retention_ms, age_ms).map(Duration::from_millis),
            segment_bytes: segment_bytes.map_or(broker.segment_bytes, |bytes| bytes as u64).min(MAX_SEGMENT_BYTES),
            max_message_bytes: max_message_bytes.map_or(broker.max_message_bytes, |bytes| bytes as u64),
            durability: broker.durability,
        }
    }

    /// All settings of a topic with these own settings.
    pub fn describe(&self, broker: &BrokerConfig) -> Vec<Described> {
        let log = self.log_config(broker);
        let limit = |limit: Option<u64>| limit.map_or("-1".to_owned(), |limit| limit.to_string());
        let values = [
            limit(log.retention_bytes),
            limit(log.retention_age.map(|age| age.as_millis() as u64)),
            log.segment_bytes.to_string(),
            log.max_message_bytes.to_string(),
        ];
        let own = self.values.iter().map(Option::is_some);
        let settable = KEYS.iter().zip(values).zip(own);
        let fixed =
            [("cleanup.policy", "delete"), ("compression.type", "producer"), ("message.timestamp.type", "CreateTime")];
        settable
            .map(|(((name, _), value), own)| Described { name, value, own, read_only: false })
            .chain(fixed.map(|(name, value)| Described { name, value: value.to_owned(), own: false, read_only: true }))
            .collect()
    }
}

/// ` name=value` for each setting, as in the topics file.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((name, _), value) in KEYS.iter().zip(self.values) {
            if let Some(value) = value {
                write!(f, " {name}={value}")?;
            }
        }
        Ok(())
    }
}
