//! The topics: names, ids, settings and partitions, in memory and in the file `topics`.
//!
//! One line per topic: `NAME ID PARTITIONS [SETTING=VALUE…]`. The file is replaced as a whole; data lie under the topic's
//! id, so a topic that is deleted and made again never sees the old one's records, and leftovers of a crash between the
//! two steps of a deletion are known for what they are.

use crate::config::BrokerConfig;
use crate::log::Log;
use crate::partition::Partition;
use crate::settings::Settings;
use kafka_protocol::ResponseError as Code;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant, SystemTime};
use uuid::Uuid;

/// Partitions one topic may have; each keeps a file open.
pub(crate) const MAX_PARTITIONS: i32 = 1000;
const MAX_NAME_BYTES: usize = 249;
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(5);

/// All topics.
#[derive(Debug)]
pub(crate) struct Catalog {
    dir: PathBuf,
    config: BrokerConfig,
    topics: RwLock<Topics>,
    /// Changes take turns here, so that nobody who only reads waits for their disk writes.
    turn: Mutex<()>,
}

type Topics = BTreeMap<String, Arc<Topic>>;

/// One topic.
#[derive(Debug)]
pub(crate) struct Topic {
    pub name: String,
    pub id: Uuid,
    pub settings: Settings,
    partitions: RwLock<Vec<Arc<Partition>>>,
}

impl Catalog {
    /// Opens every topic of the directory and recovers its logs.
    pub fn open(config: &BrokerConfig) -> io::Result<Catalog> {
        let catalog = Catalog {
            dir: config.dir.clone(),
            config: config.clone(),
            topics: RwLock::default(),
            turn: Mutex::default(),
        };
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
            topics.insert(name.clone(), Arc::new(catalog.load(name, id, count, settings)?));
        }
        catalog.remove_leftovers(&topics)?;
        catalog.publish(topics);
        Ok(catalog)
    }

    /// The topic of that name.
    pub fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.read().get(name).cloned()
    }

    /// The topic of that id.
    pub fn get_by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        self.read().values().find(|topic| topic.id == id).cloned()
    }

    /// All topics by name.
    pub fn all(&self) -> Vec<Arc<Topic>> {
        self.read().values().cloned().collect()
    }

    /// Whether a topic could be created so.
    pub fn check_new(&self, name: &str, partitions: i32) -> Result<(), Code> {
        if !is_legal(name) {
            return Err(Code::InvalidTopicException);
        }
        if self.get(name).is_some() {
            return Err(Code::TopicAlreadyExists);
        }
        if (1..=MAX_PARTITIONS).contains(&partitions) { Ok(()) } else { Err(Code::InvalidPartitions) }
    }

    /// Makes a topic.
    pub fn create(&self, name: &str, partitions: i32, settings: Settings) -> Result<Arc<Topic>, Code> {
        let _turn = self.turn();
        self.check_new(name, partitions)?;
        let topic = self.load(name.to_owned(), Uuid::new_v4(), partitions, settings).map_err(storage_error)?;
        let topic = Arc::new(topic);
        let mut topics = self.read().clone();
        topics.insert(name.to_owned(), Arc::clone(&topic));
        self.save(&topics).map_err(storage_error)?;
        self.publish(topics);
        Ok(topic)
    }

    /// Deletes a topic with its records.
    pub fn delete(&self, name: &str) -> Result<(), Code> {
        let _turn = self.turn();
        let mut topics = self.read().clone();
        let topic = topics.remove(name).ok_or(Code::UnknownTopicOrPartition)?;
        self.save(&topics).map_err(storage_error)?;
        self.publish(topics);
        topic.partitions().iter().for_each(|partition| partition.mark_deleted());
        // What cannot be removed now is a leftover, which the next start removes.
        let _ = std::fs::remove_dir_all(self.data_dir(topic.id));
        Ok(())
    }

    /// Adds partitions up to `count`; with `validate_only` only says whether it could be done.
    pub fn grow(&self, name: &str, count: i32, validate_only: bool) -> Result<(), Code> {
        let _turn = self.turn();
        let topic = self.get(name).ok_or(Code::UnknownTopicOrPartition)?;
        let before = topic.partitions().len();
        if count > MAX_PARTITIONS || count as i64 <= before as i64 {
            return Err(Code::InvalidPartitions);
        }
        if validate_only {
            return Ok(());
        }
        let mut added = Vec::new();
        for index in before as i32..count {
            added.push(self.open_partition(topic.id, index, &topic.settings).map_err(storage_error)?);
        }
        topic.partitions.write().expect("no panic under this lock").extend(added);
        self.save(&self.read().clone()).map_err(|error| {
            topic.partitions.write().expect("no panic under this lock").truncate(before);
            storage_error(error)
        })
    }

    /// Drops what is beyond retention, in every partition.
    pub fn enforce_retention(&self) {
        for topic in self.all() {
            for (index, partition) in topic.partitions().iter().enumerate() {
                if let Err(error) = partition.with_log(|log| log.enforce_retention(SystemTime::now())) {
                    tidemill_os::output::error_line(&format!(
                        "broker: cannot drop old records of {}-{index}: {error}",
                        topic.name
                    ));
                }
            }
        }
    }

    fn load(&self, name: String, id: Uuid, count: i32, settings: Settings) -> io::Result<Topic> {
        let partitions =
            (0..count).map(|index| self.open_partition(id, index, &settings)).collect::<io::Result<_>>()?;
        Ok(Topic { name, id, settings, partitions: RwLock::new(partitions) })
    }

    fn open_partition(&self, id: Uuid, index: i32, settings: &Settings) -> io::Result<Arc<Partition>> {
        let dir = self.data_dir(id).join(index.to_string());
        let log = Log::open(&dir, settings.log_config(&self.config))
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", dir.display())))?;
        Ok(Arc::new(Partition::new(log)))
    }

    fn save(&self, topics: &Topics) -> io::Result<()> {
        let line = |topic: &Arc<Topic>| {
            format!("{} {} {}{}\n", topic.name, topic.id, topic.partitions().len(), topic.settings)
        };
        tidemill_os::disk::replace(&self.file(), topics.values().map(line).collect::<String>().as_bytes())
    }

    fn remove_leftovers(&self, topics: &Topics) -> io::Result<()> {
        let data = self.dir.join("data");
        std::fs::create_dir_all(&data)?;
        for entry in std::fs::read_dir(data)? {
            let entry = entry?;
            let id = entry.file_name().to_str().and_then(|name| Uuid::try_parse(name).ok());
            if id.is_some_and(|id| topics.values().all(|topic| topic.id != id)) {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
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

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().expect("a change that fails does not panic")
    }
}

impl Topic {
    /// The partition of that number.
    pub fn partition(&self, index: i32) -> Option<Arc<Partition>> {
        let index = usize::try_from(index).ok()?;
        self.partitions.read().expect("no panic under this lock").get(index).cloned()
    }

    /// All partitions in order.
    pub fn partitions(&self) -> Vec<Arc<Partition>> {
        self.partitions.read().expect("no panic under this lock").clone()
    }
}

/// The answer to a client when our disk fails; said on stderr with the cause, once in a while as clients try again.
pub(crate) fn storage_error(error: io::Error) -> Code {
    static LAST_SAID: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = LAST_SAID.lock().expect("no panic under this lock");
    if last.is_none_or(|last| last.elapsed() >= COMPLAINT_INTERVAL) {
        *last = Some(Instant::now());
        tidemill_os::output::error_line(&format!(
            "broker: the disk refuses: {error}; free some space or check the directory"
        ));
    }
    Code::KafkaStorageError
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
