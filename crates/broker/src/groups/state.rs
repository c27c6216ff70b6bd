//! One consumer group as a pure state machine. Time is an argument, and nothing waits here.
//!
//! ```text
//!          join                    all joined, or the deadline             leader's assignment
//!  Empty ───────► PreparingRebalance ───────────► CompletingRebalance ───────────► Stable
//!                        ▲                                 │ join, leave, expiry          │
//!                        └─────────────────────────────────┴──────────────────────────────┘
//! ```
//! [`Group::tick`] advances the time. Every access to the group calls it first, so there is no timer.

use super::member::{Join, Joined, Member, Phase};
use bytes::Bytes;
use kafka_protocol::ResponseError as Code;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// The protocol type of consumers.
const CONSUMER: &str = "consumer";

/// Most bytes that the members of a group may store about themselves.
const GROUP_BYTES_MAX: usize = 16 << 20;
/// Most member ids that may be issued and not yet used.
const PENDING_MAX: usize = 10_000;

/// One consumer group.
#[derive(Debug)]
pub(crate) struct Group {
    pub phase: Phase,
    pub generation: i32,
    pub protocol_type: String,
    /// The assignment strategy that all members support.
    pub protocol: Option<String>,
    pub leader: Option<String>,
    pub members: BTreeMap<String, Member>,
    /// Member ids that are issued and not yet used, and when they expire.
    pending: BTreeMap<String, Instant>,
    /// The current phase ends at this time even if members are missing.
    deadline: Option<Instant>,
}

impl Group {
    /// A group without members.
    pub fn new() -> Group {
        Group {
            phase: Phase::Empty,
            generation: 0,
            protocol_type: String::new(),
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            pending: BTreeMap::new(),
            deadline: None,
        }
    }

    /// Advances the time: removes silent members and ends an overdue rebalance.
    pub fn tick(&mut self, now: Instant) {
        self.pending.retain(|_, lapses| *lapses > now);
        let silent = |member: &Member| !member.joining && !member.syncing && member.expires <= now;
        let gone: Vec<String> = self.members.iter().filter(|(_, m)| silent(m)).map(|(id, _)| id.clone()).collect();
        for id in gone {
            self.remove(&id, now);
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            match self.phase {
                Phase::PreparingRebalance => self.complete_join(now),
                Phase::CompletingRebalance => {
                    // The leader sends heartbeats but no assignment.
                    if let Some(leader) = self.leader.clone() {
                        self.remove(&leader, now);
                    }
                }
                Phase::Empty | Phase::Stable => self.deadline = None,
            }
        } else if self.phase == Phase::PreparingRebalance {
            self.complete_join_if_all_joined(now);
        }
    }

    /// The next time at which [`Group::tick`] may change something.
    pub fn next_tick(&self) -> Option<Instant> {
        let silent = self.members.values().filter(|m| !m.joining && !m.syncing).map(|m| m.expires);
        silent.chain(self.pending.values().copied()).chain(self.deadline).min()
    }

    /// Whether the group has no members and expects none.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Empty && self.members.is_empty() && self.pending.is_empty()
    }

    /// A member joins, comes back, or changes its subscription.
    pub fn join(&mut self, join: Join, now: Instant) -> Result<Joined, Code> {
        self.tick(now);
        if join.protocols.is_empty() || join.protocol_type.is_empty() || !self.accepts(&join) {
            return Err(Code::InconsistentGroupProtocol);
        }
        if !self.has_room_for(&join) {
            return Err(Code::GroupMaxSizeReached);
        }
        let id = match self.resolve(&join)? {
            Some(id) => id,
            None if join.id_required && join.instance.is_none() => {
                self.pending.insert(join.fresh_id.clone(), now + join.session_timeout);
                return Ok(Joined::IdRequired(join.fresh_id));
            }
            None => join.fresh_id.clone(),
        };
        self.pending.remove(&id);
        self.protocol_type.clone_from(&join.protocol_type);
        let known = self.members.get(&id);
        let unchanged = known.is_some_and(|member| member.protocols == join.protocols);
        let is_leader = self.leader.as_ref() == Some(&id);
        // A member that joins again has lost its answer and gets it again. A known leader wants a new assignment.
        let settled = match self.phase {
            Phase::Stable => unchanged && (!is_leader || join.member_id.is_empty()),
            Phase::CompletingRebalance => unchanged,
            Phase::Empty | Phase::PreparingRebalance => false,
        };
        let assignment = known.map(|member| member.assignment.clone()).unwrap_or_default();
        self.members.insert(id.clone(), Member::new(join, assignment, !settled, now));
        if !settled {
            self.prepare_rebalance(now);
        }
        Ok(Joined::Wait(id))
    }

    /// The member that a join request is for. `None` for a new member.
    fn resolve(&mut self, join: &Join) -> Result<Option<String>, Code> {
        let static_id = join.instance.as_ref().and_then(|instance| self.static_member(instance));
        if join.member_id.is_empty() {
            // A restarted static member replaces its old self under a new id. This fences the old one.
            if let Some(old) = static_id {
                let member = self.members.remove(&old).expect("a static member is a member");
                self.members.insert(join.fresh_id.clone(), member);
                if self.leader.as_ref() == Some(&old) {
                    self.leader = Some(join.fresh_id.clone());
                }
                return Ok(Some(join.fresh_id.clone()));
            }
            return Ok(None);
        }
        self.check_instance(&join.member_id, join.instance.as_deref())?;
        let known = self.members.contains_key(&join.member_id) || self.pending.contains_key(&join.member_id);
        if known { Ok(Some(join.member_id.clone())) } else { Err(Code::UnknownMemberId) }
    }

    /// Whether the rebalance that this member waits for is over; an error if the member is gone.
    pub fn join_is_done(&self, member_id: &str) -> Result<bool, Code> {
        self.members.get(member_id).map(|member| !member.joining).ok_or(Code::UnknownMemberId)
    }

    /// The leader sends assignments. A follower asks for its own. Then call [`Group::assignment`] until it answers.
    pub fn sync(
        &mut self,
        id: &str,
        generation: i32,
        assignments: Vec<(String, Bytes)>,
        now: Instant,
    ) -> Result<(), Code> {
        self.check_member(id, generation, now)?;
        if self.phase == Phase::PreparingRebalance {
            return Err(Code::RebalanceInProgress);
        }
        if self.phase == Phase::CompletingRebalance {
            if self.leader.as_deref() == Some(id) {
                for (member_id, assignment) in assignments {
                    if let Some(member) = self.members.get_mut(&member_id) {
                        member.assignment = assignment;
                    }
                }
                self.phase = Phase::Stable;
                self.deadline = None;
            } else {
                self.member(id).syncing = true;
            }
        }
        Ok(())
    }

    /// A member's assignment in this generation. `None` until the leader has sent it.
    pub fn assignment(&mut self, id: &str, generation: i32, now: Instant) -> Result<Option<Bytes>, Code> {
        if !self.members.contains_key(id) {
            return Err(Code::UnknownMemberId);
        }
        if self.generation != generation || self.phase == Phase::PreparingRebalance {
            self.member(id).heard(now);
            return Err(Code::RebalanceInProgress);
        }
        if self.phase != Phase::Stable {
            return Ok(None);
        }
        let member = self.member(id);
        member.heard(now);
        Ok(Some(member.assignment.clone()))
    }

    /// Takes a heartbeat.
    pub fn heartbeat(&mut self, id: &str, generation: i32, now: Instant) -> Result<(), Code> {
        self.check_member(id, generation, now)?;
        if self.phase == Phase::PreparingRebalance { Err(Code::RebalanceInProgress) } else { Ok(()) }
    }

    /// Removes a member. A static member may leave by its instance name alone.
    pub fn leave(&mut self, id: &str, instance: Option<&str>, now: Instant) -> Result<(), Code> {
        self.tick(now);
        let id = match instance.and_then(|instance| self.static_member(instance)) {
            Some(found) if id.is_empty() => found,
            _ => id.to_owned(),
        };
        if self.pending.remove(&id).is_some() {
            return Ok(());
        }
        self.check_instance(&id, instance)?;
        if !self.members.contains_key(&id) {
            return Err(Code::UnknownMemberId);
        }
        self.remove(&id, now);
        Ok(())
    }

    /// The topics that the group's consumers subscribe to. `None` if their metadata does not tell. An error if the
    /// members are not consumers.
    pub fn subscribed(&self) -> Result<Option<BTreeSet<String>>, Code> {
        if !self.members.is_empty() && self.protocol_type != CONSUMER {
            return Err(Code::NonEmptyGroup);
        }
        let metadata = self.members.values().flat_map(|member| &member.protocols).map(|(_, metadata)| metadata);
        let topics: Option<Vec<Vec<String>>> = metadata.map(|metadata| subscription(metadata)).collect();
        Ok(topics.map(|topics| topics.into_iter().flatten().collect()))
    }

    /// Checks whether this member may commit offsets. A client that is no member (`generation` −1) may do so only while
    /// the group has no members.
    pub fn check_commit(&mut self, id: &str, generation: i32, now: Instant) -> Result<(), Code> {
        self.tick(now);
        if generation < 0 && self.members.is_empty() {
            return Ok(());
        }
        self.check_member(id, generation, now)?;
        if self.phase == Phase::CompletingRebalance { Err(Code::RebalanceInProgress) } else { Ok(()) }
    }

    /// Refuses a static member that another process with the same instance name has replaced.
    pub fn check_instance(&self, id: &str, instance: Option<&str>) -> Result<(), Code> {
        let Some(instance) = instance else { return Ok(()) };
        match self.static_member(instance) {
            Some(holder) if holder != id => Err(Code::FencedInstanceId),
            Some(_) => Ok(()),
            None => Err(Code::UnknownMemberId),
        }
    }

    /// Checks that this is a member of this generation, and records that it is alive.
    pub fn check_member(&mut self, id: &str, generation: i32, now: Instant) -> Result<(), Code> {
        self.tick(now);
        let group_generation = self.generation;
        let member = self.members.get_mut(id).ok_or(Code::UnknownMemberId)?;
        if generation != group_generation {
            return Err(Code::IllegalGeneration);
        }
        member.expires = now + member.session_timeout;
        Ok(())
    }

    fn static_member(&self, instance: &str) -> Option<String> {
        let found = self.members.iter().find(|(_, member)| member.instance.as_deref() == Some(instance));
        found.map(|(id, _)| id.clone())
    }

    /// Whether the group stays within its memory limit.
    fn has_room_for(&self, join: &Join) -> bool {
        let others = self.members.iter().filter(|(id, _)| **id != join.member_id).map(|(_, member)| &member.protocols);
        let kept: usize = others.chain([&join.protocols]).map(|protocols| protocol_bytes(protocols)).sum();
        kept <= GROUP_BYTES_MAX && self.pending.len() < PENDING_MAX
    }

    /// Whether the joining member shares a strategy with all other members.
    fn accepts(&self, join: &Join) -> bool {
        let itself = |id: &String, member: &Member| {
            *id == join.member_id || (join.instance.is_some() && member.instance == join.instance)
        };
        let others = self.members.iter().filter(|(id, member)| !itself(id, member));
        let others: Vec<&Member> = others.map(|(_, member)| member).collect();
        let known = |name: &String| others.iter().all(|member| member.protocols.iter().any(|(n, _)| n == name));
        others.is_empty()
            || (self.protocol_type == join.protocol_type && join.protocols.iter().any(|(name, _)| known(name)))
    }

    fn remove(&mut self, id: &str, now: Instant) {
        self.members.remove(id);
        if self.leader.as_deref() == Some(id) {
            self.leader = None;
        }
        match self.phase {
            Phase::Stable | Phase::CompletingRebalance => self.prepare_rebalance(now),
            Phase::PreparingRebalance => self.complete_join_if_all_joined(now),
            Phase::Empty => {}
        }
    }

    fn prepare_rebalance(&mut self, now: Instant) {
        let longest = self.members.values().map(|member| member.rebalance_timeout).max().unwrap_or_default();
        if self.phase != Phase::PreparingRebalance {
            self.phase = Phase::PreparingRebalance;
            self.deadline = Some(now + longest);
            self.members.values_mut().filter(|member| member.syncing).for_each(|member| member.heard(now));
        }
        self.complete_join_if_all_joined(now);
    }

    fn complete_join_if_all_joined(&mut self, now: Instant) {
        if self.pending.is_empty() && self.members.values().all(|member| member.joining) {
            self.complete_join(now);
        }
    }

    fn complete_join(&mut self, now: Instant) {
        self.members.retain(|_, member| member.joining);
        self.generation += 1;
        self.deadline = None;
        if self.members.is_empty() {
            self.phase = Phase::Empty;
            (self.protocol, self.leader) = (None, None);
            return;
        }
        self.phase = Phase::CompletingRebalance;
        self.deadline = self.members.values().map(|member| now + member.rebalance_timeout).max();
        self.protocol = Some(self.vote());
        if self.leader.as_ref().is_none_or(|leader| !self.members.contains_key(leader)) {
            self.leader = self.members.keys().next().cloned();
        }
        for member in self.members.values_mut() {
            member.joining = false;
            member.heard(now);
            member.assignment = Bytes::new();
        }
    }

    /// Each member votes for the first of its strategies that all members support. The most votes win. Ties go to the
    /// first name.
    fn vote(&self) -> String {
        let common = |name: &str| self.members.values().all(|member| member.protocols.iter().any(|(n, _)| n == name));
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let choice = member.protocols.iter().find(|(name, _)| common(name));
            *votes.entry(&choice.expect("a member without a common strategy was refused").0).or_default() += 1;
        }
        let most = votes.iter().max_by_key(|(name, count)| (**count, std::cmp::Reverse(**name)));
        (*most.expect("a vote has members").0).to_owned()
    }

    fn member(&mut self, id: &str) -> &mut Member {
        self.members.get_mut(id).expect("the caller knows that the member is there")
    }
}

fn protocol_bytes(protocols: &[(String, Bytes)]) -> usize {
    protocols.iter().map(|(name, metadata)| size_of::<(String, Bytes)>() + name.len() + metadata.len()).sum()
}

/// The topics in a consumer's metadata: version i16, then a list of names. `None` if the metadata is malformed.
fn subscription(metadata: &[u8]) -> Option<Vec<String>> {
    fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
        let (taken, left) = rest.split_at_checked(count)?;
        *rest = left;
        Some(taken)
    }
    let (mut rest, mut topics) = (metadata.get(2..)?, Vec::new());
    for _ in 0..i32::from_be_bytes(take(&mut rest, 4)?.try_into().ok()?) {
        let length = u16::from_be_bytes(take(&mut rest, 2)?.try_into().ok()?);
        topics.push(String::from_utf8_lossy(take(&mut rest, length.into())?).into_owned());
    }
    Some(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_names_topics() {
        let check = |metadata: &[u8], expected: Option<&[&str]>| {
            let topics = subscription(metadata);
            let expected = expected.map(|topics| topics.iter().map(|topic| (*topic).to_owned()).collect());
            assert_eq!(topics, expected, "{metadata:?}");
        };
        check(&[0, 1, 0, 0, 0, 2, 0, 1, b'a', 0, 2, b'b', b'c', 9, 9], Some(&["a", "bc"]));
        check(&[0, 1, 0, 0, 0, 0], Some(&[]));
        check(&[0, 1, 0, 0, 0, 2, 0, 1, b'a', 0, 2, b'b'], None);
        check(&[0, 1, 0x7f, 0xff, 0xff, 0xff, 0, 0], None);
        check(b"m", None);
        check(b"", None);
    }
}
