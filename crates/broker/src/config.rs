//! The configuration of a broker.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Settings of a broker. `BrokerConfig { dir, ..Default::default() }` is a good start.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// Address to listen on. Port 0 takes any free port. There is no authentication: everyone who can reach the port
    /// can read and write everything. Use loopback unless that is acceptable.
    pub listen: SocketAddr,
    /// Host and port that clients are told to connect to. Default: the address at which each client reached the broker.
    pub advertised: Option<(String, u16)>,
    /// The data directory. Created if missing; locked while the broker runs.
    pub dir: PathBuf,
    /// Partitions of a topic that is created on first use or with a count of −1.
    pub default_partitions: i32,
    /// Whether a topic is created when a client first asks for it. The client must allow it too.
    pub auto_create_topics: bool,
    /// Largest size of a segment file; at most 2 GiB.
    pub segment_bytes: u64,
    /// Largest accepted record batch in bytes (Kafka's `message.max.bytes`).
    pub max_message_bytes: u64,
    /// Bytes kept per partition. Only whole segments are removed, and never the open one. `None` keeps all.
    pub retention_bytes: Option<u64>,
    /// A segment is removed when nothing was appended to it for this long. The file's modification time counts, not the
    /// records' timestamps, so replayed old records are kept. `None` keeps all.
    pub retention_age: Option<Duration>,
    /// Interval between two looks for partitions to compact (Kafka's `log.cleaner.backoff.ms`).
    pub compaction_interval: Duration,
    /// A group's offsets are removed when they are older than this and the group had no members for this long. An
    /// idempotent producer is forgotten a day after its last batch.
    pub offsets_retention: Duration,
    /// When a record counts as stored.
    pub durability: Durability,
    /// Most connections at a time. Further ones are closed at once.
    pub max_connections: usize,
}

/// When a record counts as stored and is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When the operating system has it. Survives a crash or SIGKILL of the broker, but not a power loss.
    PageCache,
    /// When the disk has it (`fsync` before each acknowledgement). Survives a power loss; costs a flush per request.
    Disk,
}

impl Default for BrokerConfig {
    fn default() -> BrokerConfig {
        BrokerConfig {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            advertised: None,
            dir: PathBuf::from("broker-data"),
            default_partitions: 4,
            auto_create_topics: true,
            segment_bytes: 128 << 20,
            max_message_bytes: 1_048_588,
            retention_bytes: None,
            retention_age: Some(Duration::from_secs(7 * 24 * 3600)),
            compaction_interval: Duration::from_secs(15),
            offsets_retention: Duration::from_secs(7 * 24 * 3600),
            durability: Durability::PageCache,
            max_connections: 1000,
        }
    }
}
