//! The settings of a topic, under Kafka's names. A setting that makes no difference on a single broker is accepted and
//! shown ([`INERT`]). A value that this broker cannot honour is refused.

use crate::config::BrokerConfig;
use crate::log::LogConfig;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

const MAX_SEGMENT_BYTES: u64 = 2 << 30;

/// The settings that a topic overrides. All others come from the broker's config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// In the order of [`KEYS`]; −1 means no limit.
    values: [Option<i64>; 4],
    /// Settings from [`INERT`] that the topic sets.
    inert: BTreeMap<&'static str, String>,
}

/// Names and smallest values.
const KEYS: [(&str, i64); 4] =
    [("retention.bytes", -1), ("retention.ms", -1), ("segment.bytes", 1024), ("max.message.bytes", 0)];

/// The values that an inert setting may have.
enum Values {
    /// A whole number between a minimum and a maximum.
    Number(i64, i64),
    /// A number between 0 and 1.
    Ratio,
    OneOf(&'static [&'static str]),
    Any,
}
use Values::{Any, Number, OneOf, Ratio};

const BOOLEAN: Values = OneOf(&["true", "false"]);
const MAX: i64 = i64::MAX;

/// Settings that make no difference to the clients of a single broker, with their allowed values. They control
/// replication, compaction, index files, and the storage format.
const INERT: [(&str, Values); 23] = [
    ("cleanup.policy", OneOf(&["delete"])),
    ("compression.gzip.level", Number(-1, 9)),
    ("compression.lz4.level", Number(1, 17)),
    ("compression.type", OneOf(&["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"])),
    ("compression.zstd.level", Number(-131_072, 22)),
    ("delete.retention.ms", Number(0, MAX)),
    ("file.delete.delay.ms", Number(0, MAX)),
    ("follower.replication.throttled.replicas", Any),
    ("index.interval.bytes", Number(0, MAX)),
    ("leader.replication.throttled.replicas", Any),
    ("local.retention.bytes", Number(-2, MAX)),
    ("local.retention.ms", Number(-2, MAX)),
    ("max.compaction.lag.ms", Number(1, MAX)),
    ("message.timestamp.after.max.ms", OneOf(&["3600000"])),
    ("message.timestamp.type", OneOf(&["CreateTime"])),
    ("min.cleanable.dirty.ratio", Ratio),
    ("min.compaction.lag.ms", Number(0, MAX)),
    ("min.insync.replicas", Number(1, 1)),
    ("preallocate", BOOLEAN),
    ("remote.storage.enable", OneOf(&["false"])),
    ("segment.index.bytes", Number(4, MAX)),
    ("segment.jitter.ms", Number(0, MAX)),
    ("unclean.leader.election.enable", BOOLEAN),
];

impl Values {
    /// Describes the allowed values if `value` is not one of them.
    fn refuse(&self, value: &str) -> Option<String> {
        match self {
            Number(least, most) => {
                let fits = value.parse::<i64>().is_ok_and(|number| (*least..=*most).contains(&number));
                let upper = if *most == MAX { String::new() } else { format!(" and at most {most}") };
                (!fits).then(|| format!("a whole number of at least {least}{upper}"))
            }
            Ratio => {
                let fits = value.parse::<f64>().is_ok_and(|ratio| (0.0..=1.0).contains(&ratio));
                (!fits).then(|| "a number between 0 and 1".to_owned())
            }
            OneOf(values) => (!values.contains(&value)).then(|| values.join(" or ")),
            // The topics file separates settings by spaces.
            Any => value.contains(char::is_whitespace).then(|| "a text without spaces".to_owned()),
        }
    }
}

/// Whether a setting is a list, so that APPEND and SUBTRACT apply to it.
pub(crate) fn is_list(name: &str) -> bool {
    name == "cleanup.policy" || name.ends_with(".replication.throttled.replicas")
}

/// One setting as DescribeConfigs shows it.
pub(crate) struct Described {
    pub name: &'static str,
    pub value: String,
    /// Whether the topic overrides it.
    pub own: bool,
    /// Whether CreateTopics refuses it.
    pub read_only: bool,
}

impl Settings {
    /// Sets one setting. The error says what is wrong and what is allowed.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        if let Some((name, values)) = INERT.iter().find(|(inert, _)| *inert == name) {
            return match values.refuse(value) {
                Some(allowed) => Err(format!("`{name}` must be {allowed} on this broker, not `{value}`")),
                None => {
                    self.inert.insert(name, value.to_owned());
                    Ok(())
                }
            };
        }
        let Some(index) = KEYS.iter().position(|(key, _)| *key == name) else {
            let known: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
            return Err(format!("`{name}={value}` is not supported by this broker; choose from {}", known.join(", ")));
        };
        match value.parse() {
            Ok(number) if number >= KEYS[index].1 => self.values[index] = Some(number),
            _ => return Err(format!("`{name}` must be a whole number of at least {}, not `{value}`", KEYS[index].1)),
        }
        Ok(())
    }

    /// Returns one setting to its default.
    pub fn unset(&mut self, name: &str) {
        self.inert.remove(name);
        if let Some(index) = KEYS.iter().position(|(key, _)| *key == name) {
            self.values[index] = None;
        }
    }

    /// The topic's value of an inert setting.
    pub fn value(&self, name: &str) -> Option<String> {
        self.inert.get(name).cloned()
    }

    /// The settings of the topic's logs. The topic's own settings override the broker's.
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

    /// All settings of the topic: its own, and the defaults.
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
        let fixed = [
            ("cleanup.policy", "delete"),
            ("compression.type", "producer"),
            ("message.timestamp.type", "CreateTime"),
            ("min.insync.replicas", "1"),
        ];
        let unstated = fixed.into_iter().filter(|(name, _)| !self.inert.contains_key(name));
        let unstated =
            unstated.map(|(name, value)| Described { name, value: value.to_owned(), own: false, read_only: true });
        let inert = self.inert.iter();
        settable
            .map(|(((name, _), value), own)| Described { name, value, own, read_only: false })
            .chain(inert.map(|(name, value)| Described { name, value: value.clone(), own: true, read_only: false }))
            .chain(unstated)
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
        self.inert.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_taken_shown_and_written_down_or_refused() {
        let check = |name: &str, value: &str, taken: bool| {
            let mut settings = Settings::default();
            let set = settings.set(name, value);
            assert_eq!(set.is_ok(), taken, "{name}={value}: {set:?}");
            let shown = settings.describe(&BrokerConfig::default());
            let shown = shown.iter().find(|described| described.name == name && described.own);
            assert_eq!(shown.map(|described| described.value.as_str()), taken.then_some(value), "{name}");
            assert_eq!(settings.to_string(), if taken { format!(" {name}={value}") } else { String::new() });
        };
        check("retention.ms", "1000", true);
        check("retention.ms", "x", false);
        check("min.insync.replicas", "1", true);
        check("min.insync.replicas", "2", false);
        check("compression.type", "producer", true);
        check("compression.type", "rar", false);
        check("cleanup.policy", "delete", true);
        check("cleanup.policy", "compact", false);
        check("message.timestamp.type", "LogAppendTime", false);
        check("min.cleanable.dirty.ratio", "0.5", true);
        check("min.cleanable.dirty.ratio", "2", false);
        check("follower.replication.throttled.replicas", "0:1,1:2", true);
        check("follower.replication.throttled.replicas", "a b", false);
        check("preallocate", "maybe", false);
        check("no.such.setting", "1", false);
    }
}
