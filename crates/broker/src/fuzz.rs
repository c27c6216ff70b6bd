//! The broker's decoders without a socket, for fuzzing.

use crate::api::{self, Client, Shared};
use crate::catalog::Catalog;
use crate::config::BrokerConfig;
use crate::groups::Groups;
use crate::log::batch::{self, Rules};
use crate::partition::Signal;
use crate::producer_ids::ProducerIds;
use crate::transactions::Transactions;
use bytes::Bytes;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// With so few handles no input can create more than a few hundred partitions.
const HANDLES: u64 = 400;

/// A broker without connections. Nothing waits: a fetch or a join is answered at once.
#[derive(Debug)]
pub struct FrameServer {
    shared: Shared,
    stopping: AtomicBool,
}

impl FrameServer {
    /// Serves an empty directory.
    pub fn start(dir: &Path) -> FrameServer {
        let config = BrokerConfig { dir: dir.to_owned(), max_connections: 0, ..BrokerConfig::default() };
        let shared = Shared {
            catalog: Catalog::open(&config, Some(HANDLES)).expect("an empty directory"),
            groups: Groups::open(dir.join("offsets"), false).expect("an empty directory"),
            producer_ids: ProducerIds::open(dir.join("producer-ids")).expect("an empty directory"),
            transactions: Transactions::open(dir.join("transactions"), false).expect("an empty directory"),
            cluster_id: "fuzz".to_owned(),
            config,
        };
        shared.groups.stop();
        FrameServer { shared, stopping: AtomicBool::new(true) }
    }

    /// The answer to one frame without its length; `None` if the connection would end or no answer is wanted.
    pub fn answer(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let key = i16::from_be_bytes(*frame.first_chunk()?);
        if frame.len() > api::bounds(key)?.frame_bytes {
            return None;
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 9092));
        let client = Client {
            shared: &self.shared,
            stopping: &self.stopping,
            local: address,
            peer: address,
            signal: Arc::new(Signal::default()),
        };
        let answer = api::answer(&client, Bytes::copy_from_slice(frame)).ok()??;
        let mut sent = Vec::new();
        answer.send(&mut sent).expect("files that were just written can be read");
        Some(sent)
    }
}

/// Checks a produced batch after correcting its checksum. Returns the error, or the number of records.
pub fn check_batch(bytes: &[u8]) -> Result<i32, String> {
    let mut bytes = bytes.to_vec();
    if bytes.len() >= batch::HEADER_BYTES {
        batch::seal(&mut bytes);
    }
    check_sealed_batch(&bytes)
}

/// Checks a produced batch as it is.
pub fn check_sealed_batch(bytes: &[u8]) -> Result<i32, String> {
    let rules = Rules { max_bytes: 1 << 20, now_ms: 1_700_000_000_000, keyed: false };
    batch::check_produced(bytes, rules).map(|header| header.record_count).map_err(|refusal| refusal.why)
}
