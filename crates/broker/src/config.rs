//! What a broker is told at its start.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Settings of one broker. `BrokerConfig { dir, ..Default::default() }` is a sane start.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// Where to accept clients; port 0 takes any free port. There is no authentication: keep it on loopback unless
    /// everyone who can reach the port may read and write everything.
    pub listen: SocketAddr,
    /// Host and port that clients are told to connect to; by default the address that each client has reached.
    pub advertised: Option<(String, u16)>,
    /// Where everything is kept; made when missing, locked while the broker runs.
    pub dir: PathBuf,
    /// Partitions of a topic that is created on first use, or with a count of −1.
    pub default_partitions: i32,
    /// Whether a topic is created when a client first asks for it (and allows that).
    pub auto_create_topics: bool,
    /// A segment file is closed before it grows over this; at most 2 GiB.
    pub segment_bytes: u64,
    /// Largest record batch taken, in bytes (Kafka's `message.max.bytes`).
    pub max_message_bytes: u64,
    /// Bytes kept per partition, in whole segments and never less than the open one; `None` keeps all.
    pub retention_bytes: Option<u64>,
    /// A segment goes when nothing was appended to it for so long (by the file's clock, not by the records' timestamps:
    /// replayed history would vanish otherwise); `None` keeps all.
    pub retention_age: Option<Duration>,
    /// A group's offsets go when they are older than this and the group has had no members for so long; an idempotent
    /// producer is forgotten a day after its last batch in any case.
    pub offsets_retention: Duration,
    /// When a record counts as stored.
    pub durability: Durability,
    /// Connections beyond this are closed at once.
    pub max_connections: usize,
}

/// When a record counts as stored, and is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When the operating system has it: survives a crash or SIGKILL of the broker, not a power loss.
    PageCache,
    /// When the disk has it (`fsync` before each acknowledgement): survives a power loss, costs a disk flush per request.
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
            offsets_retention: Duration::from_secs(7 * 24 * 3600),
            durability: Durability::PageCache,
            max_connections: 1000,
        }
    }
}
