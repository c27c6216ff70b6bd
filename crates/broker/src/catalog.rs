//! The topics: names, ids, settings and partitions, in memory and in the file `topics`.
//!
//! One line per topic: `NAME ID PARTITIONS [SETTING=VALUE…]`. The file is replaced atomically. Data is stored under the
//! topic's id. So a topic that is deleted and created again never sees old records, and the next start recognises the
//! remains of an interrupted deletion.

use crate::config::BrokerConfig;
use crate::handles;
use crate::log::Log;
use crate::partition::Partition;
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::stderr::{ThrottledLog, log_line};
use kafka_protocol::ResponseError as Code;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard};
use std::time::{Duration, UNIX_EPOCH};
use uuid::Uuid;

/// Most partitions of a topic. Each keeps a file open.
pub(crate) const MAX_PARTITIONS: i32 = 100_000;
/// File handles reserved for segments that are being read, the broker's own files, and the rest of the process.
const SPARE_HANDLES: u64 = 100;
/// Names of Apache Kafka's internal topics.
const INTERNAL: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__cluster_metadata"];
/// The internal topic that Apache Kafka never shows as a topic.
const METADATA_LOG: &str = "__cluster_metadata";
/// Apache Kafka's `producer.id.expiration.ms`.
const PRODUCER_EXPIRATION_MS: i64 = 24 * 3600 * 1000;
/// Extension of the directory of a deleted topic.
const DELETED: &str = ".deleted";
const MAX_NAME_BYTES: usize = 249;

/// All topics.
#[derive(Debug)]
pub(crate) struct Catalog {
    dir: PathBuf,
    config: BrokerConfig,
    topics: RwLock<Topics>,
    /// Held while the topics change. Readers do not take it, so they do not wait for disk writes.
    change_lock: Mutex<()>,
    /// Most files and connections that the process may have open.
    handles_max: Option<u64>,
}

type Topics = BTreeMap<String, Arc<Topic>>;

/// One topic.
#[derive(Debug)]
pub(crate) struct Topic {
    pub name: String,
    pub id: Uuid,
    settings: RwLock<Settings>,
    partitions: RwLock<Vec<Arc<Partition>>>,
}

impl Catalog {
    /// Opens every topic of the directory and recovers its logs.
    pub fn open(config: &BrokerConfig, handles_max: Option<u64>) -> io::Result<Catalog> {
        let catalog = Catalog {
            dir: config.dir.clone(),
            config: config.clone(),
            topics: RwLock::default(),
            change_lock: Mutex::default(),
            handles_max,
        };
        let deleted = catalog.deleted()?;
        let text = match std::fs::read_to_string(catalog.file()) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let mut topics = BTreeMap::new();
        for line in text.lines() {
            let (name, id, count, settings) = parse_line(line).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{}: bad line `{line}`", catalog.file().display()))
            })?;
            if !deleted.contains(&id) {
                topics.insert(name.clone(), Arc::new(catalog.load(name, id, count, settings)?));
            }
        }
        if topics.len() < text.lines().count() {
            catalog.save(&topics)?;
        }
        catalog.remove_leftovers(&topics)?;
        catalog.publish(topics);
        Ok(catalog)
    }

    /// The topic with this name.
    pub fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.read().get(name).cloned()
    }

    /// The topic with this id.
    pub fn get_by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        self.read().values().find(|topic| topic.id == id).cloned()
    }

    /// All topics by name.
    pub fn all(&self) -> Vec<Arc<Topic>> {
        self.read().values().cloned().collect()
    }

    /// Checks whether a topic could be created.
    pub fn check_new(&self, name: &str, partitions: i32) -> Result<(), Refusal> {
        self.check_new_name(name)?;
        self.check_room(0, partitions)
    }

    /// Checks whether a topic with this name could be created.
    pub fn check_new_name(&self, name: &str) -> Result<(), Refusal> {
        check_legal(name)?;
        if INTERNAL.contains(&name) {
            // Apache Kafka creates the two others when it needs them.
            let code = if name == METADATA_LOG { Code::InvalidRequest } else { Code::TopicAlreadyExists };
            let why = format!("`{name}` is an internal topic of Apache Kafka; choose another name");
            return Err(Refusal::new(code, why));
        }
        let topics = self.read();
        if topics.contains_key(name) {
            return Err(Refusal::new(Code::TopicAlreadyExists, format!("topic `{name}` already exists")));
        }
        let metric = |name: &str| name.replace('.', "_");
        let (own, mixed) = (metric(name), name.contains(['.', '_']));
        match topics.keys().find(|other| mixed && metric(other) == own) {
            None => Ok(()),
            Some(other) => {
                let why = format!("topic `{name}` collides with `{other}`: `.` and `_` are equal in metric names");
                Err(Refusal::new(Code::InvalidTopicException, why))
            }
        }
    }

    /// Checks whether a topic that has `before` partitions may have `count`.
    fn check_room(&self, before: i32, count: i32) -> Result<(), Refusal> {
        if !(1..=MAX_PARTITIONS).contains(&count) {
            let why = format!("{count} partitions; a topic has 1 to {MAX_PARTITIONS}");
            return Err(Refusal::new(Code::InvalidPartitions, why));
        }
        let Some(handles) = self.handles_max else { return Ok(()) };
        let taken: usize = self.read().values().map(|topic| topic.partitions().len()).sum();
        let free = handles.saturating_sub(self.config.max_connections as u64 + SPARE_HANDLES + taken as u64);
        if (count - before) as u64 <= free {
            return Ok(());
        }
        let why = format!(
            "{} more partitions need a file handle each; {free} of this process's {handles} are left; \
             raise the limit (`ulimit -n`) or lower --connections-max",
            count - before
        );
        Err(Refusal::new(Code::InvalidPartitions, why))
    }

    /// Creates a topic.
    pub fn create(&self, name: &str, partitions: i32, settings: Settings) -> Result<Arc<Topic>, Refusal> {
        let _guard = self.lock_changes();
        self.check_new(name, partitions)?;
        let topic = self.load(name.to_owned(), Uuid::new_v4(), partitions, settings).map_err(storage_error)?;
        let topic = Arc::new(topic);
        let mut topics = self.read().clone();
        topics.insert(name.to_owned(), Arc::clone(&topic));
        self.save(&topics).map_err(storage_error)?;
        self.publish(topics);
        Ok(topic)
    }

    /// Deletes a topic with its records. Works on a full disk: a renamed directory marks the topic as deleted, and
    /// removing the records frees the space for the new list of topics.
    pub fn delete(&self, name: &str) -> Result<(), Refusal> {
        let _guard = self.lock_changes();
        let mut topics = self.read().clone();
        let topic = topics.remove(name).ok_or(Code::UnknownTopicOrPartition)?;
        let marked = self.dir.join("data").join(format!("{}{DELETED}", topic.id));
        std::fs::rename(self.data_dir(topic.id), &marked).map_err(storage_error)?;
        self.publish(topics.clone());
        topic.partitions().iter().for_each(|partition| partition.mark_deleted());
        // The next start removes what cannot be removed now.
        for entry in std::fs::read_dir(&marked).into_iter().flatten().flatten() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
        // The mark stays until the list without this topic is written.
        if self.save(&topics).is_ok() {
            let _ = std::fs::remove_dir(&marked);
        }
        Ok(())
    }

    /// Adds partitions up to `count`. With `validate_only` it only checks.
    pub fn grow(&self, name: &str, count: i32, validate_only: bool) -> Result<(), Refusal> {
        let _guard = self.lock_changes();
        let topic = self.get(name).ok_or(Code::UnknownTopicOrPartition)?;
        let before = topic.partitions().len();
        if i64::from(count) <= before as i64 {
            let why = format!("topic `{name}` already has {before} partitions; {count} is not more");
            return Err(Refusal::new(Code::InvalidPartitions, why));
        }
        self.check_room(before as i32, count)?;
        if validate_only {
            return Ok(());
        }
        let mut added = Vec::new();
        for index in before as i32..count {
            added.push(self.open_partition(topic.id, index, &topic.settings()).map_err(storage_error)?);
        }
        topic.partitions.write().expect("no panic under this lock").extend(added);
        self.save(&self.read().clone()).map_err(|error| {
            topic.partitions.write().expect("no panic under this lock").truncate(before);
            storage_error(error).into()
        })
    }

    /// Changes a topic's settings. With `validate_only` it only checks. If `change` fails, nothing changes.
    pub fn alter(
        &self,
        name: &str,
        validate_only: bool,
        change: impl FnOnce(&mut Settings) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let _guard = self.lock_changes();
        let topic = self.get(name).ok_or(Code::UnknownTopicOrPartition)?;
        let before = topic.settings();
        let mut settings = before.clone();
        change(&mut settings)?;
        if validate_only || settings == before {
            return Ok(());
        }
        topic.set_settings(settings.clone());
        if let Err(error) = self.save(&self.read().clone()) {
            topic.set_settings(before);
            return Err(storage_error(error).into());
        }
        let config = settings.log_config(&self.config);
        topic.partitions().iter().for_each(|partition| partition.with_log(|log| log.set_config(config.clone())));
        Ok(())
    }

    /// Applies retention at `now_ms` in every partition: removes old segments and forgets silent producers.
    pub fn enforce_retention(&self, now_ms: i64) {
        let now = UNIX_EPOCH + Duration::from_millis(now_ms.max(0) as u64);
        for topic in self.all() {
            for (index, partition) in topic.partitions().iter().enumerate() {
                let enforced = partition.with_log(|log| {
                    log.forget_producers(now_ms - PRODUCER_EXPIRATION_MS);
                    log.enforce_retention(now)
                });
                if let Err(error) = enforced {
                    log_line(&format!("cannot remove old records of {}-{index}: {error}", topic.name));
                }
            }
        }
    }

    /// Compacts every partition for which it is due. `going` says whether the broker still runs.
    pub fn compact(&self, now_ms: i64, going: &dyn Fn() -> bool) {
        for topic in self.all() {
            for (index, partition) in topic.partitions().iter().enumerate() {
                if let Err(error) = partition.compact(now_ms, going) {
                    log_line(&format!("cannot compact {}-{index}: {error}", topic.name));
                }
            }
        }
    }

    fn load(&self, name: String, id: Uuid, count: i32, settings: Settings) -> io::Result<Topic> {
        let partitions =
            (0..count).map(|index| self.open_partition(id, index, &settings)).collect::<io::Result<_>>()?;
        Ok(Topic { name, id, settings: RwLock::new(settings), partitions: RwLock::new(partitions) })
    }

    fn open_partition(&self, id: Uuid, index: i32, settings: &Settings) -> io::Result<Arc<Partition>> {
        let dir = self.data_dir(id).join(index.to_string());
        let log = Log::open(&dir, settings.log_config(&self.config))
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", dir.display())))?;
        Ok(Arc::new(Partition::new(log)))
    }

    fn save(&self, topics: &Topics) -> io::Result<()> {
        let line = |topic: &Arc<Topic>| {
            format!("{} {} {}{}\n", topic.name, topic.id, topic.partitions().len(), topic.settings())
        };
        tidemill_os::disk::replace(&self.file(), topics.values().map(line).collect::<String>().as_bytes())
    }

    fn remove_leftovers(&self, topics: &Topics) -> io::Result<()> {
        for entry in std::fs::read_dir(self.dir.join("data"))? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_str().map(|name| name.strip_suffix(DELETED).unwrap_or(name));
            let id = name.and_then(|name| Uuid::try_parse(name).ok());
            if id.is_some_and(|id| topics.values().all(|topic| topic.id != id)) {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    /// Ids of deleted topics, even if the list of topics still has them.
    fn deleted(&self) -> io::Result<BTreeSet<Uuid>> {
        let data = self.dir.join("data");
        std::fs::create_dir_all(&data)?;
        let entries = std::fs::read_dir(data)?.collect::<io::Result<Vec<_>>>()?;
        let id = |name: &str| Uuid::try_parse(name.strip_suffix(DELETED)?).ok();
        Ok(entries.iter().filter_map(|entry| id(entry.file_name().to_str()?)).collect())
    }

    fn file(&self) -> PathBuf {
        self.dir.join("topics")
    }

    fn data_dir(&self, id: Uuid) -> PathBuf {
        self.dir.join("data").join(id.to_string())
    }

    fn read(&self) -> RwLockReadGuard<'_, Topics> {
        self.topics.read().expect("no panic under this lock")
    }

    fn publish(&self, topics: Topics) {
        *self.topics.write().expect("no panic under this lock") = topics;
    }

    fn lock_changes(&self) -> MutexGuard<'_, ()> {
        self.change_lock.lock().expect("no panic under this lock")
    }
}

impl Topic {
    /// The partition with this number.
    pub fn partition(&self, index: i32) -> Option<Arc<Partition>> {
        let index = usize::try_from(index).ok()?;
        self.partitions.read().expect("no panic under this lock").get(index).cloned()
    }

    /// The settings that the topic overrides.
    pub fn settings(&self) -> Settings {
        self.settings.read().expect("no panic under this lock").clone()
    }

    fn set_settings(&self, settings: Settings) {
        *self.settings.write().expect("no panic under this lock") = settings;
    }

    /// All partitions in order.
    pub fn partitions(&self) -> Vec<Arc<Partition>> {
        self.partitions.read().expect("no panic under this lock").clone()
    }
}

/// The error code for a disk failure. Logs the cause, but not each time, since clients retry.
pub(crate) fn storage_error(error: io::Error) -> Code {
    static REFUSED: ThrottledLog = ThrottledLog::new();
    REFUSED.log_line(|| {
        if handles::none_left(&error) {
            return format!("no file handle is left: {error}; raise the limit (`ulimit -n`) or use fewer partitions");
        }
        format!("writing to the disk failed: {error}; free some space or check the directory")
    });
    Code::KafkaStorageError
}

/// Checks whether a topic may have this name.
pub(crate) fn check_legal(name: &str) -> Result<(), Refusal> {
    if is_legal(name) {
        return Ok(());
    }
    let rule = "a topic's name has 1 to 249 letters, digits, `.`, `_` and `-`, and is not `.` or `..`";
    Err(Refusal::new(Code::InvalidTopicException, rule))
}

fn is_legal(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(legal) && name != "." && name != ".."
}

fn parse_line(line: &str) -> Option<(String, Uuid, i32, Settings)> {
    let mut words = line.split(' ');
    let name = words.next()?.to_owned();
    let id = Uuid::try_parse(words.next()?).ok()?;
    let count = words.next()?.parse().ok()?;
    let mut settings = Settings::default();
    for word in words {
        let (key, value) = word.split_once('=')?;
        settings.set(key, value).ok()?;
    }
    Some((name, id, count, settings))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::AppendError;
    use crate::log::batch::sample::Sample;
    use crate::log::batch::{Rules, check_produced};

    #[test]
    fn producers_are_forgotten_a_day_after_their_last_batch() {
        let dir = tempfile::tempdir().unwrap();
        let config = BrokerConfig { dir: dir.path().to_owned(), retention_age: None, ..BrokerConfig::default() };
        let catalog = Catalog::open(&config, None).unwrap();
        let topic = catalog.create("t", 1, Settings::default()).unwrap();
        let append = |first_sequence| {
            let producer = (7, 0, first_sequence);
            let batch = Sample { timestamps: &[1], producer, ..Sample::default() }.build();
            let header = check_produced(&batch, Rules { max_bytes: 1 << 20, now_ms: i64::MAX, keyed: false }).unwrap();
            topic.partition(0).unwrap().append(&batch, &header).expect("the topic is there")
        };
        let before_ms = tidemill_os::clock::wall_ms();
        append(0).unwrap();
        let after_ms = tidemill_os::clock::wall_ms();
        catalog.enforce_retention(before_ms + PRODUCER_EXPIRATION_MS);
        assert!(matches!(append(9), Err(AppendError::Refused(Code::OutOfOrderSequenceNumber))), "still known");
        catalog.enforce_retention(after_ms + PRODUCER_EXPIRATION_MS + 1);
        append(9).expect("an unknown producer may begin with any sequence number");
    }

    #[test]
    fn changed_settings_hold_at_once_and_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let config = BrokerConfig { dir: dir.path().to_owned(), ..BrokerConfig::default() };
        let catalog = Catalog::open(&config, None).unwrap();
        let topic = catalog.create("t", 1, Settings::default()).unwrap();
        let set = |value: &'static str| {
            move |settings: &mut Settings| {
                settings.set("max.message.bytes", value).map_err(|why| Refusal::new(Code::InvalidConfig, why))
            }
        };
        let limit = |topic: &Topic| topic.partition(0).unwrap().with_log(|log| log.config().max_message_bytes);
        catalog.alter("t", true, set("7")).unwrap();
        assert_eq!(limit(&topic), config.max_message_bytes, "it was only checked");
        assert_eq!(catalog.alter("t", false, set("x")).unwrap_err().code, Code::InvalidConfig);
        catalog.alter("t", false, set("7")).unwrap();
        assert_eq!(limit(&topic), 7);
        let topic = Catalog::open(&config, None).unwrap().get("t").unwrap();
        assert_eq!(limit(&topic), 7);
    }
}
