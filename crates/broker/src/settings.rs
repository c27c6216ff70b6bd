//! The settings of a topic, under Kafka's names. A setting that makes no difference on a single broker is accepted and
//! shown ([`TEXTS`]). A value that this broker cannot honour is refused.

use crate::config::BrokerConfig;
use crate::log::LogConfig;
use crate::log::compact::Rules;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

const MAX_SEGMENT_BYTES: u64 = 2 << 30;

/// The settings that a topic overrides. All others come from the broker's config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// In the order of [`KEYS`]; −1 means no limit.
    values: [Option<i64>; KEYS.len()],
    /// Settings from [`TEXTS`] that the topic sets.
    texts: BTreeMap<&'static str, String>,
}

/// Names and smallest values.
const KEYS: [(&str, i64); 8] = [
    ("retention.bytes", -1),
    ("retention.ms", -1),
    ("segment.bytes", 1024),
    ("max.message.bytes", 0),
    ("segment.ms", 1),
    ("delete.retention.ms", 0),
    ("min.compaction.lag.ms", 0),
    ("max.compaction.lag.ms", 1),
];

const POLICY: &str = "cleanup.policy";
const DELETE: &str = "delete";
const COMPACT: &str = "compact";
const DIRTY_RATIO: &str = "min.cleanable.dirty.ratio";

/// Apache Kafka's defaults.
const SEGMENT_MS: i64 = 7 * 24 * 3600 * 1000;
const DELETE_RETENTION_MS: i64 = 24 * 3600 * 1000;
const DEFAULT_DIRTY_RATIO: &str = "0.5";

/// The values that a setting may have.
enum Values {
    /// A whole number between a minimum and a maximum.
    Number(i64, i64),
    /// A number between 0 and 1.
    Ratio,
    OneOf(&'static [&'static str]),
    /// Some of these, separated by commas, none twice.
    SomeOf(&'static [&'static str]),
    Any,
}
use Values::{Any, Number, OneOf, Ratio, SomeOf};

const BOOLEAN: Values = OneOf(&["true", "false"]);
const MAX: i64 = i64::MAX;

/// Settings that are no whole numbers, and those that make no difference to the clients of a single broker, with their
/// allowed values. The latter control replication, index files, and the storage format.
const TEXTS: [(&str, Values); 20] = [
    (POLICY, SomeOf(&[DELETE, COMPACT])),
    ("compression.gzip.level", Number(-1, 9)),
    ("compression.lz4.level", Number(1, 17)),
    ("compression.type", OneOf(&["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"])),
    ("compression.zstd.level", Number(-131_072, 22)),
    ("file.delete.delay.ms", Number(0, MAX)),
    ("follower.replication.throttled.replicas", Any),
    ("index.interval.bytes", Number(0, MAX)),
    ("leader.replication.throttled.replicas", Any),
    ("local.retention.bytes", Number(-2, MAX)),
    ("local.retention.ms", Number(-2, MAX)),
    ("message.timestamp.after.max.ms", OneOf(&["3600000"])),
    ("message.timestamp.type", OneOf(&["CreateTime"])),
    (DIRTY_RATIO, Ratio),
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
            SomeOf(values) => {
                let named: Vec<&str> = value.split(',').map(str::trim).collect();
                let fits = |(index, item): (usize, &&str)| values.contains(item) && !named[..index].contains(item);
                (!named.iter().enumerate().all(fits)).then(|| format!("{} or both", values.join(" or ")))
            }
            OneOf(values) => (!values.contains(&value)).then(|| values.join(" or ")),
            // The topics file separates settings by spaces.
            Any => value.contains(char::is_whitespace).then(|| "a text without spaces".to_owned()),
        }
    }
}

/// Whether a setting is a list, so that APPEND and SUBTRACT apply to it.
pub(crate) fn is_list(name: &str) -> bool {
    name == POLICY || name.ends_with(".replication.throttled.replicas")
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
        if let Some((name, values)) = TEXTS.iter().find(|(text, _)| *text == name) {
            return match values.refuse(value) {
                Some(allowed) => Err(format!("`{name}` must be {allowed} on this broker, not `{value}`")),
                None => {
                    // The topics file separates settings by spaces.
                    self.texts.insert(name, value.split_whitespace().collect());
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
        self.texts.remove(name);
        if let Some(index) = KEYS.iter().position(|(key, _)| *key == name) {
            self.values[index] = None;
        }
    }

    /// The topic's value of a list.
    pub fn value(&self, name: &str) -> Option<String> {
        self.texts.get(name).cloned().or_else(|| (name == POLICY).then(|| DELETE.to_owned()))
    }

    /// The settings of the topic's logs. The topic's own settings override the broker's.
    pub fn log_config(&self, broker: &BrokerConfig) -> LogConfig {
        let limit = |value: Option<i64>, default: Option<u64>| match value {
            Some(value) => u64::try_from(value).ok(),
            None => default,
        };
        let [retention_bytes, retention_ms, segment_bytes, max_message_bytes, ..] = self.values;
        let [.., segment_ms, delete_retention_ms, lag_ms, lag_ms_max] = self.values;
        let has = |policy: &str| self.text(POLICY, DELETE).split(',').any(|named| named == policy);
        let rules = Rules {
            lag_ms: lag_ms.unwrap_or(0),
            lag_ms_max: lag_ms_max.unwrap_or(MAX),
            delete_retention_ms: delete_retention_ms.unwrap_or(DELETE_RETENTION_MS),
            dirty_ratio: self.text(DIRTY_RATIO, DEFAULT_DIRTY_RATIO).parse().expect("it was checked when it was set"),
        };
        let compact = has(COMPACT).then_some(rules);
        let segment_ms = segment_ms.unwrap_or(SEGMENT_MS);
        let age_ms = broker.retention_age.map(|age| age.as_millis() as u64);
        LogConfig {
            retention_bytes: limit(retention_bytes, broker.retention_bytes),
            retention_age: limit(retention_ms, age_ms).map(Duration::from_millis),
            segment_bytes: segment_bytes.map_or(broker.segment_bytes, |bytes| bytes as u64).min(MAX_SEGMENT_BYTES),
            max_message_bytes: max_message_bytes.map_or(broker.max_message_bytes, |bytes| bytes as u64),
            delete: has(DELETE),
            // Only closed segments are compacted.
            segment_ms: compact.map_or(segment_ms, |rules| segment_ms.min(rules.lag_ms_max)),
            compact,
            durability: broker.durability,
        }
    }

    fn text<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.texts.get(name).map_or(default, String::as_str)
    }

    /// All settings of the topic: its own, and the defaults.
    pub fn describe(&self, broker: &BrokerConfig) -> Vec<Described> {
        let log = self.log_config(broker);
        let limit = |limit: Option<u64>| limit.map_or("-1".to_owned(), |limit| limit.to_string());
        let number = |index: usize, default: i64| self.values[index].unwrap_or(default).to_string();
        let values = [
            limit(log.retention_bytes),
            limit(log.retention_age.map(|age| age.as_millis() as u64)),
            log.segment_bytes.to_string(),
            log.max_message_bytes.to_string(),
            number(4, SEGMENT_MS),
            number(5, DELETE_RETENTION_MS),
            number(6, 0),
            number(7, MAX),
        ];
        let own = self.values.iter().map(Option::is_some);
        let settable = KEYS.iter().zip(values).zip(own);
        let fixed = [
            (POLICY, DELETE, false),
            ("compression.type", "producer", true),
            ("message.timestamp.type", "CreateTime", true),
            (DIRTY_RATIO, DEFAULT_DIRTY_RATIO, false),
            ("min.insync.replicas", "1", true),
        ];
        let unstated = fixed.into_iter().filter(|(name, ..)| !self.texts.contains_key(name));
        let unstated =
            unstated.map(|(name, value, read_only)| Described { name, value: value.to_owned(), own: false, read_only });
        let texts = self.texts.iter();
        settable
            .map(|(((name, _), value), own)| Described { name, value, own, read_only: false })
            .chain(texts.map(|(name, value)| Described { name, value: value.clone(), own: true, read_only: false }))
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
        self.texts.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_says_what_is_done() {
        let check = |policy: &str, deletes: bool, compacts: bool| {
            let mut settings = Settings::default();
            settings.set("cleanup.policy", policy).unwrap();
            settings.set("max.compaction.lag.ms", "1000").unwrap();
            let config = settings.log_config(&BrokerConfig::default());
            assert_eq!((config.delete, config.compact.is_some()), (deletes, compacts), "{policy}");
            assert_eq!(config.segment_ms, if compacts { 1000 } else { SEGMENT_MS }, "{policy}");
        };
        check("delete", true, false);
        check("compact", false, true);
        check("delete, compact", true, true);
    }

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
        check("cleanup.policy", "compact", true);
        check("cleanup.policy", "compact,delete", true);
        check("cleanup.policy", "delete,delete", false);
        check("cleanup.policy", "shred", false);
        check("cleanup.policy", "", false);
        check("segment.ms", "1000", true);
        check("segment.ms", "0", false);
        check("delete.retention.ms", "0", true);
        check("message.timestamp.type", "LogAppendTime", false);
        check("min.cleanable.dirty.ratio", "0.5", true);
        check("min.cleanable.dirty.ratio", "2", false);
        check("follower.replication.throttled.replicas", "0:1,1:2", true);
        check("follower.replication.throttled.replicas", "a b", false);
        check("preallocate", "maybe", false);
        check("no.such.setting", "1", false);
    }
}
