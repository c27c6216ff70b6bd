//! Members of a group, their join requests, and the phases of a rebalance.

use bytes::Bytes;
use std::time::{Duration, Instant};

/// The state of a group, named as DescribeGroups shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
}

/// One member of a group.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub instance: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub protocols: Vec<(String, Bytes)>,
    pub assignment: Bytes,
    pub session_timeout: Duration,
    pub rebalance_timeout: Duration,
    /// The member is removed at this time unless it sends something.
    pub expires: Instant,
    /// The member waits for the rebalance to complete.
    pub joining: bool,
    /// The member waits for its assignment.
    pub syncing: bool,
}

/// A member's join request.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    /// Empty for a new member.
    pub member_id: String,
    pub instance: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout: Duration,
    pub rebalance_timeout: Duration,
    pub protocol_type: String,
    pub protocols: Vec<(String, Bytes)>,
    /// The id for a member that has none.
    pub fresh_id: String,
    /// Whether a new member must join again with its new id (JoinGroup 4 and later).
    pub id_required: bool,
}

/// The result of a join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// The member must join again with this id.
    IdRequired(String),
    /// Wait until [`Group::join_is_done`] for this member id.
    Wait(String),
}

impl Member {
    /// The member for a join request, new or replaced.
    pub fn new(join: Join, assignment: Bytes, joining: bool, now: Instant) -> Member {
        Member {
            instance: join.instance,
            client_id: join.client_id,
            client_host: join.client_host,
            protocols: join.protocols,
            assignment,
            expires: now + join.session_timeout,
            session_timeout: join.session_timeout,
            rebalance_timeout: join.rebalance_timeout,
            joining,
            syncing: false,
        }
    }

    /// The member's metadata for a strategy.
    pub fn metadata(&self, protocol: Option<&str>) -> Bytes {
        let given = self.protocols.iter().find(|(name, _)| Some(name.as_str()) == protocol);
        given.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    /// Records that the member sent something.
    pub fn heard(&mut self, now: Instant) {
        self.syncing = false;
        self.expires = now + self.session_timeout;
    }
}

impl Phase {
    /// The name that clients know.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Empty => "Empty",
            Phase::PreparingRebalance => "PreparingRebalance",
            Phase::CompletingRebalance => "CompletingRebalance",
            Phase::Stable => "Stable",
        }
    }
}
