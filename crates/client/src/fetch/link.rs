//! A broker that the fetcher reads from: its connection, its fetch session, and when to ask it again.

use super::wire::{self, Forgotten, Head, Terms, Wanted};
use super::{Partition, Slot, Topic};
use crate::cluster::{Address, Cluster};
use crate::connection::Connection;
use crate::fault::Fault;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::VersionRange;
use std::collections::{HashMap, HashSet};
use std::net::TcpStream;
use std::ops::Range;
use std::time::{Duration, Instant};
use tidemill_os::retry::Retry;

const VERSIONS: VersionRange = VersionRange { min: 12, max: 13 };

/// A broker that the fetcher reads from.
#[derive(Default)]
pub(super) struct Link {
    connection: Option<Connection>,
    pub(super) version: i16,
    session: Session,
    /// The partitions and offsets of the request in flight. `None` if none is in flight.
    under_way: Option<HashMap<Slot, i64>>,
    answer_due: Option<Instant>,
    failures: u32,
    not_before: Option<Instant>,
}

/// The fetch session: what the broker remembers of our partitions.
#[derive(Default)]
struct Session {
    id: i32,
    /// Epoch of the next request. 0 begins a session.
    epoch: i32,
    /// What each partition was last requested with.
    known: HashMap<Slot, Told>,
}

/// The offset, the byte limit and the leader's epoch in a request. A partition is named again when one of them changes; the
/// broker would answer for an old epoch with an error again and again.
type Told = (i64, u32, i32);

impl Link {
    /// Whether a request may be sent now.
    pub(super) fn is_ready(&self) -> bool {
        let muted = self.connection.as_ref().and_then(Connection::muted_until);
        self.under_way.is_none() && muted.or(self.not_before).is_none_or(|at| at <= Instant::now())
    }

    /// When to check the link again, even without an answer.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        match self.under_way {
            Some(_) => self.answer_due,
            None => {
                let muted = self.connection.as_ref().and_then(Connection::muted_until);
                // A time in the past must not wake the caller: a broker that leads none of our partitions stays unused.
                muted.or(self.not_before).filter(|at| *at > Instant::now())
            }
        }
    }

    /// The socket to wait for, while a request is in flight.
    pub(super) fn socket(&self) -> Option<&TcpStream> {
        self.under_way.as_ref()?;
        self.connection.as_ref().map(Connection::socket)
    }

    /// Whether the request in flight is answered as soon as the partition has a record from the offset on.
    pub(super) fn waits_for(&self, slot: Slot, offset: i64) -> bool {
        self.under_way.as_ref().and_then(|asked| asked.get(&slot)).is_some_and(|asked| *asked <= offset)
    }

    pub(super) fn name(&self) -> &str {
        self.connection.as_ref().map_or("a broker", |connection| &connection.broker)
    }

    /// Sends a request for all our partitions that the broker leads. In a session it names only those that changed.
    pub(super) fn ask(
        &mut self,
        cluster: &Cluster,
        address: &Address,
        broker: i32,
        topics: &[Topic],
        slots: &[Partition],
    ) -> Result<(), Fault> {
        let settings = cluster.settings();
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => {
                let connection = Connection::open(&cluster.shared, (&address.0, address.1))?;
                self.version = connection.version(ApiKey::Fetch, VERSIONS)?;
                self.session = Session::default();
                self.connection.insert(connection)
            }
        };
        let is_ours = |slot: &Partition| slot.is_active() && slot.leader.is_some_and(|(leader, _)| leader == broker);
        let ours: Vec<Slot> = (0..slots.len()).filter(|slot| is_ours(&slots[*slot])).collect();
        let wanted = |slot: &Slot| {
            let partition = &slots[*slot];
            Wanted {
                topic: &topics[partition.topic].name,
                topic_id: topics[partition.topic].id,
                partition: partition.number,
                leader_epoch: partition.epoch(),
                offset: partition.offset,
                bytes_max: partition.bytes_max,
            }
        };
        let session = &mut self.session;
        let state = |slot: &Slot| (slots[*slot].offset, slots[*slot].bytes_max, slots[*slot].epoch());
        let changed = ours.iter().filter(|slot| session.known.get(slot) != Some(&state(slot)));
        let wanted: Vec<Wanted<'_>> = changed.map(wanted).collect();
        let kept: HashSet<Slot> = ours.iter().copied().collect();
        let gone: Vec<Slot> = session.known.keys().copied().filter(|slot| !kept.contains(slot)).collect();
        let forgotten: Vec<Forgotten> = gone
            .iter()
            .map(|slot| {
                let topic = &topics[slots[*slot].topic];
                (topic.name.clone(), topic.id, slots[*slot].number)
            })
            .collect();
        let fetch = &settings.fetch;
        let terms = Terms {
            wait_max_ms: fetch.wait_max.as_millis() as i32,
            bytes_min: fetch.bytes_min as i32,
            bytes_max: fetch.bytes_max as i32,
            committed_only: fetch.committed_only,
            session_id: session.id,
            // A session saves nothing for a single partition. Name it each time.
            session_epoch: if session.id == 0 && ours.len() == 1 { -1 } else { session.epoch },
        };
        let deadline = Instant::now() + fetch.wait_max + settings.answer_max;
        let version = self.version;
        connection.send_by_hand(ApiKey::Fetch, version, deadline, |out| {
            wire::write(out, version, &terms, &wanted, &forgotten);
        })?;
        session.known.retain(|slot, _| kept.contains(slot));
        session.known.extend(ours.iter().map(|slot| (*slot, state(slot))));
        self.under_way = Some(ours.into_iter().map(|slot| (slot, slots[slot].offset)).collect());
        self.answer_due = Some(deadline);
        Ok(())
    }

    /// Receives the answer into `frame` if it is complete. Returns the position of its body there.
    pub(super) fn receive(&mut self, frame: &mut Vec<u8>) -> Result<Option<Range<usize>>, Fault> {
        if self.under_way.is_none() {
            return Ok(None);
        }
        let connection = self.connection.as_mut().expect("a request in flight has a connection");
        let body = connection.receive_into(frame)?;
        if body.is_none() && self.answer_due.is_some_and(|due| due <= Instant::now()) {
            return Err(Fault::Lost(format!("{} did not answer a Fetch request in time", connection.broker)));
        }
        Ok(body)
    }

    /// Records that the request is answered. Returns the partitions and offsets that it asked for.
    pub(super) fn answered(&mut self, head: Head) -> HashMap<Slot, i64> {
        (self.failures, self.not_before) = (0, None);
        if let Some(connection) = &mut self.connection {
            connection.throttle(head.throttle_ms);
        }
        if head.session_id == 0 {
            self.reset();
        } else {
            // 1 follows the largest epoch, since 0 begins a session.
            let next = self.session.epoch.checked_add(1).unwrap_or(1);
            (self.session.id, self.session.epoch) = (head.session_id, next);
        }
        self.under_way.take().unwrap_or_default()
    }

    /// Drops the session. The next request names all partitions.
    pub(super) fn reset(&mut self) {
        self.session = Session::default();
    }

    /// Closes the connection. The next attempt waits for a pause.
    pub(super) fn close(&mut self, backoff: Retry) {
        (self.connection, self.under_way) = (None, None);
        self.reset();
        self.failures += 1;
        self.not_before = Some(Instant::now() + backoff.pause_after(self.failures).max(Duration::from_millis(1)));
    }
}
