//! The committed offsets of all groups, in memory and in an append-only file.
//!
//! A commit costs one append. The file is rewritten when it exceeds four times the size needed at the last rewrite. So
//! the cost of a rewrite is spread over many commits.
//!
//! Offsets that a transaction commits are pending until it ends. They are in the same file, so the order of all commits
//! is the same after a restart. A `Position` is a committed offset.

use crate::disk::FrameFile;
use crate::stderr::log_line;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use tidemill_wire::STRING_BYTES_MAX;

/// The file is rewritten when it exceeds both this and [`STALE_FACTOR`] times the size needed.
const REWRITE_BYTES: u64 = 1 << 20;
const STALE_FACTOR: u64 = 4;

/// Kinds of entries. The kind follows the names. In order: a removed position, a position without a commit time (from
/// older versions), a position with its commit time, a group's protocol type, a pending position of a transaction, the
/// end of a transaction. The last has no names.
const FORGOTTEN: u8 = 0;
const UNTIMED: u8 = 1;
const TIMED: u8 = 2;
const PROTOCOL_TYPE: u8 = 3;
const PENDING: u8 = 4;
const SETTLED: u8 = 5;

/// A group's committed offset in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: String,
    /// When it was committed, in milliseconds since 1970.
    pub time_ms: i64,
}

type Positions = BTreeMap<(String, i32), Committed>;

/// All committed offsets.
#[derive(Debug)]
pub(crate) struct Offsets {
    table: Table,
    file: FrameFile,
    /// File size from which on the file is rewritten.
    rewrite_at: u64,
    sync: bool,
    /// A change could not be written to the file. The file is rewritten as soon as that works.
    behind: bool,
}

#[derive(Debug, Default)]
struct Table {
    groups: BTreeMap<String, Group>,
    /// The positions that open transactions commit, by producer and group.
    pending: BTreeMap<i64, BTreeMap<String, Positions>>,
}

#[derive(Debug, Default)]
struct Group {
    positions: Positions,
    /// The members' protocol type, usually `consumer`. Empty if the group never had members.
    protocol_type: String,
    /// When the group last had members, in ms since 1970.
    alive_ms: i64,
}

impl Offsets {
    /// Reads or creates the file. With `sync` each commit is on the disk before it is acknowledged.
    pub fn open(path: PathBuf, sync: bool, now_ms: i64) -> io::Result<Offsets> {
        let mut table = Table::default();
        let file = FrameFile::open(path, |frame| table.apply(frame, now_ms))?;
        // Older versions of this broker accepted ids that are too long for some answers.
        table.groups.retain(|group, _| group.len() <= STRING_BYTES_MAX);
        // The file does not record how long a group has had no members.
        table.groups.values_mut().for_each(|group| group.alive_ms = now_ms);
        let mut offsets = Offsets { table, file, rewrite_at: REWRITE_BYTES, sync, behind: false };
        offsets.rewrite_if_stale()?;
        Ok(offsets)
    }

    /// Stores positions of one group.
    pub fn commit(
        &mut self,
        name: &str,
        protocol_type: &str,
        positions: Vec<((String, i32), Committed)>,
    ) -> io::Result<()> {
        let mut frame = Vec::new();
        let is_new_type = self.put_new_protocol_type(&mut frame, name, protocol_type);
        for ((topic, partition), committed) in &positions {
            put(&mut frame, name, topic, *partition, Some(committed));
        }
        self.file.append(&frame, self.sync)?;
        let group = self.table.groups.entry(name.to_owned()).or_default();
        if is_new_type {
            protocol_type.clone_into(&mut group.protocol_type);
        }
        group.positions.extend(positions);
        self.rewrite_if_stale()
    }

    /// Stores positions that a producer's transaction commits in one group. They take effect with [`Offsets::settle`].
    pub fn commit_pending(
        &mut self,
        producer_id: i64,
        name: &str,
        protocol_type: &str,
        positions: Vec<((String, i32), Committed)>,
    ) -> io::Result<()> {
        let mut frame = Vec::new();
        let is_new_type = self.put_new_protocol_type(&mut frame, name, protocol_type);
        for ((topic, partition), committed) in &positions {
            put_pending(&mut frame, producer_id, name, topic, *partition, committed);
        }
        self.file.append(&frame, self.sync)?;
        if is_new_type {
            protocol_type.clone_into(&mut self.table.groups.entry(name.to_owned()).or_default().protocol_type);
        }
        let of_producer = self.table.pending.entry(producer_id).or_default();
        of_producer.entry(name.to_owned()).or_default().extend(positions);
        self.rewrite_if_stale()
    }

    /// Ends a producer's transaction: its positions take effect, or are dropped. No error if it has none.
    pub fn settle(&mut self, producer_id: i64, commit: bool) -> io::Result<()> {
        if !self.table.pending.contains_key(&producer_id) {
            return Ok(());
        }
        let mut frame = Vec::new();
        put_names(&mut frame, "", "", -1);
        frame.push(SETTLED);
        frame.extend(producer_id.to_be_bytes());
        frame.push(u8::from(commit));
        self.file.append(&frame, self.sync)?;
        self.table.settle(producer_id, commit);
        self.rewrite_if_stale()
    }

    /// Producers with pending positions.
    pub fn pending_producers(&self) -> Vec<i64> {
        self.table.pending.keys().copied().collect()
    }

    /// Whether an open transaction commits a position in this partition.
    pub fn is_pending(&self, group: &str, topic: &str, partition: i32) -> bool {
        let place = (topic.to_owned(), partition);
        let mut of_group = self.table.pending.values().filter_map(|groups| groups.get(group));
        of_group.any(|positions| positions.contains_key(&place))
    }

    /// Adds the group's protocol type to a frame if the file does not have it.
    fn put_new_protocol_type(&self, frame: &mut Vec<u8>, name: &str, protocol_type: &str) -> bool {
        let group = self.table.groups.get(name);
        let is_new = !protocol_type.is_empty() && group.is_none_or(|group| group.protocol_type != protocol_type);
        if is_new {
            put_protocol_type(frame, name, protocol_type);
        }
        is_new
    }

    /// One position.
    pub fn get(&self, group: &str, topic: &str, partition: i32) -> Option<&Committed> {
        self.table.groups.get(group)?.positions.get(&(topic.to_owned(), partition))
    }

    /// All positions of a group.
    pub fn of_group(&self, group: &str) -> impl Iterator<Item = (&(String, i32), &Committed)> {
        self.table.groups.get(group).into_iter().flat_map(|group| &group.positions)
    }

    /// The protocol type of a group with offsets.
    pub fn protocol_type(&self, group: &str) -> Option<&str> {
        self.table.groups.get(group).map(|group| group.protocol_type.as_str())
    }

    /// Groups with committed offsets.
    pub fn groups(&self) -> impl Iterator<Item = &String> {
        self.table.groups.keys()
    }

    /// Deletes a group.
    pub fn delete_group(&mut self, group: &str) -> io::Result<()> {
        let places: BTreeSet<&(String, i32)> = self.table.positions(group).flat_map(BTreeMap::keys).collect();
        let goes = places.into_iter().map(|(topic, partition)| (group.to_owned(), topic.clone(), *partition)).collect();
        self.delete(goes)
    }

    /// Deletes positions of a group.
    pub fn delete_positions(&mut self, group: &str, places: Vec<(String, i32)>) -> io::Result<()> {
        self.delete(places.into_iter().map(|(topic, partition)| (group.to_owned(), topic, partition)).collect())
    }

    /// Deletes a topic's positions in every group. On a full disk the file is updated later.
    pub fn delete_topic(&mut self, topic: &str) {
        let mut goes = Vec::new();
        for (group, positions) in self.table.all_positions() {
            let first = (topic.to_owned(), i32::MIN);
            let of_topic = positions.range(first..).take_while(|((name, _), _)| name == topic);
            goes.extend(of_topic.map(|((topic, partition), _)| (group.clone(), topic.clone(), *partition)));
        }
        self.force_delete(goes);
    }

    /// Removes positions that are older than the retention, in groups that had no members for that long.
    pub fn expire(&mut self, now_ms: i64, retention_ms: i64, is_alive: impl Fn(&str) -> bool) {
        let before_ms = now_ms - retention_ms;
        let mut goes = Vec::new();
        let Table { groups, pending } = &mut self.table;
        for (name, group) in groups {
            if is_alive(name) {
                group.alive_ms = now_ms;
            }
            if pending.values().any(|of_producer| of_producer.contains_key(name)) {
                continue;
            }
            let without_members = group.protocol_type.is_empty() || group.alive_ms < before_ms;
            let old = group.positions.iter().filter(|(_, committed)| without_members && committed.time_ms < before_ms);
            goes.extend(old.map(|((topic, partition), _)| (name.clone(), topic.clone(), *partition)));
        }
        self.force_delete(goes);
    }

    fn delete(&mut self, goes: Vec<(String, String, i32)>) -> io::Result<()> {
        if goes.is_empty() {
            return Ok(());
        }
        let mut frame = Vec::new();
        goes.iter().for_each(|(group, topic, partition)| put(&mut frame, group, topic, *partition, None));
        self.file.append(&frame, self.sync)?;
        goes.into_iter().for_each(|(group, topic, partition)| self.table.forget(&group, topic, partition));
        self.rewrite_if_stale()
    }

    /// Deletes in memory even if the file cannot be written. The file is then updated later.
    fn force_delete(&mut self, goes: Vec<(String, String, i32)>) {
        if let Err(error) = self.delete(goes.clone()) {
            log_line(&format!("cannot write that offsets are deleted: {error}; the broker tries again"));
            goes.into_iter().for_each(|(group, topic, partition)| self.table.forget(&group, topic, partition));
            self.behind = true;
        }
        if self.behind && self.rewrite().is_ok() {
            self.behind = false;
        }
    }

    fn rewrite_if_stale(&mut self) -> io::Result<()> {
        if self.file.bytes() < self.rewrite_at {
            return Ok(());
        }
        let needed: u64 = self.table.frames().map(|frame| frame.len() as u64).sum();
        self.rewrite_at = REWRITE_BYTES.max(STALE_FACTOR * needed);
        if self.file.bytes() < self.rewrite_at { Ok(()) } else { self.rewrite() }
    }

    fn rewrite(&mut self) -> io::Result<()> {
        let frames: Vec<Vec<u8>> = self.table.frames().collect();
        self.file.rewrite(frames.iter().map(Vec::as_slice))
    }
}

fn group_frame(name: &str, group: &Group) -> Vec<u8> {
    let mut frame = Vec::new();
    if !group.protocol_type.is_empty() {
        put_protocol_type(&mut frame, name, &group.protocol_type);
    }
    for ((topic, partition), committed) in &group.positions {
        put(&mut frame, name, topic, *partition, Some(committed));
    }
    frame
}

fn pending_frame(producer_id: i64, groups: &BTreeMap<String, Positions>) -> Vec<u8> {
    let mut frame = Vec::new();
    for (name, positions) in groups {
        for ((topic, partition), committed) in positions {
            put_pending(&mut frame, producer_id, name, topic, *partition, committed);
        }
    }
    frame
}

/// Encodes an entry: group, topic, partition, kind, and the position if there is one. A length precedes each text.
fn put(frame: &mut Vec<u8>, group: &str, topic: &str, partition: i32, committed: Option<&Committed>) {
    put_names(frame, group, topic, partition);
    frame.push(if committed.is_some() { TIMED } else { FORGOTTEN });
    if let Some(committed) = committed {
        put_position(frame, committed);
    }
}

fn put_pending(frame: &mut Vec<u8>, producer_id: i64, group: &str, topic: &str, partition: i32, committed: &Committed) {
    put_names(frame, group, topic, partition);
    frame.push(PENDING);
    frame.extend(producer_id.to_be_bytes());
    put_position(frame, committed);
}

fn put_position(frame: &mut Vec<u8>, committed: &Committed) {
    frame.extend(committed.offset.to_be_bytes());
    frame.extend(committed.leader_epoch.to_be_bytes());
    put_text(frame, &committed.metadata);
    frame.extend(committed.time_ms.to_be_bytes());
}

fn put_protocol_type(frame: &mut Vec<u8>, group: &str, protocol_type: &str) {
    put_names(frame, group, "", -1);
    frame.push(PROTOCOL_TYPE);
    put_text(frame, protocol_type);
}

fn put_names(frame: &mut Vec<u8>, group: &str, topic: &str, partition: i32) {
    put_text(frame, group);
    put_text(frame, topic);
    frame.extend(partition.to_be_bytes());
}

fn put_text(frame: &mut Vec<u8>, text: &str) {
    frame.extend((text.len() as u32).to_be_bytes());
    frame.extend(text.as_bytes());
}

impl Table {
    /// Applies the entries of a frame.
    fn apply(&mut self, mut frame: &[u8], now_ms: i64) {
        while !frame.is_empty() {
            let (name, topic) = (take_text(&mut frame), take_text(&mut frame));
            let partition = i32::from_be_bytes(take(&mut frame));
            match take::<1>(&mut frame) {
                [FORGOTTEN] => self.forget(&name, topic, partition),
                [PROTOCOL_TYPE] => self.groups.entry(name).or_default().protocol_type = take_text(&mut frame),
                [PENDING] => {
                    let producer_id = i64::from_be_bytes(take(&mut frame));
                    let committed = take_position(&mut frame, None);
                    let of_producer = self.pending.entry(producer_id).or_default();
                    of_producer.entry(name).or_default().insert((topic, partition), committed);
                }
                [SETTLED] => {
                    let producer_id = i64::from_be_bytes(take(&mut frame));
                    let [commit] = take(&mut frame);
                    self.settle(producer_id, commit != 0);
                }
                [kind] => {
                    assert!(kind == UNTIMED || kind == TIMED, "a frame whose checksum is right was written by us");
                    let committed = take_position(&mut frame, (kind == UNTIMED).then_some(now_ms));
                    self.groups.entry(name).or_default().positions.insert((topic, partition), committed);
                }
            }
        }
    }

    fn settle(&mut self, producer_id: i64, commit: bool) {
        for (name, positions) in self.pending.remove(&producer_id).into_iter().flatten() {
            if commit {
                self.groups.entry(name).or_default().positions.extend(positions);
            } else if self.groups.get(&name).is_some_and(|group| group.positions.is_empty()) {
                self.groups.remove(&name);
            }
        }
    }

    /// Removes a position, also where it is pending. Removes the group with its last position.
    fn forget(&mut self, name: &str, topic: String, partition: i32) {
        let place = (topic, partition);
        for groups in self.pending.values_mut() {
            if let Some(positions) = groups.get_mut(name) {
                positions.remove(&place);
            }
        }
        let Some(group) = self.groups.get_mut(name) else { return };
        if group.positions.remove(&place).is_some() && group.positions.is_empty() {
            self.groups.remove(name);
        }
    }

    /// The positions of one group: those in effect, and the pending ones of each transaction.
    fn positions(&self, name: &str) -> impl Iterator<Item = &Positions> {
        let pending = self.pending.values().filter_map(|groups| groups.get(name));
        self.groups.get(name).map(|group| &group.positions).into_iter().chain(pending)
    }

    /// The positions of all groups: those in effect, and the pending ones of each transaction.
    fn all_positions(&self) -> impl Iterator<Item = (&String, &Positions)> {
        let pending = self.pending.values().flatten();
        self.groups.iter().map(|(name, group)| (name, &group.positions)).chain(pending)
    }

    /// The frames that the file must hold.
    fn frames(&self) -> impl Iterator<Item = Vec<u8>> {
        let pending = self.pending.iter().map(|(producer_id, groups)| pending_frame(*producer_id, groups));
        self.groups.iter().map(|(name, group)| group_frame(name, group)).chain(pending)
    }
}

/// Decodes a position. `untimed` is the commit time if the entry has none.
fn take_position(frame: &mut &[u8], untimed: Option<i64>) -> Committed {
    let offset = i64::from_be_bytes(take(frame));
    let leader_epoch = i32::from_be_bytes(take(frame));
    let metadata = take_text(frame);
    let time_ms = untimed.unwrap_or_else(|| i64::from_be_bytes(take(frame)));
    Committed { offset, leader_epoch, metadata, time_ms }
}

fn take<const N: usize>(frame: &mut &[u8]) -> [u8; N] {
    let (first, rest) = frame.split_first_chunk().expect("a frame whose checksum is right was written by us");
    *frame = rest;
    *first
}

fn take_text(frame: &mut &[u8]) -> String {
    let length = u32::from_be_bytes(take(frame)) as usize;
    let (text, rest) = frame.split_at(length);
    *frame = rest;
    String::from_utf8(text.to_vec()).expect("a frame whose checksum is right was written by us")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(topic: &str, offset: i64) -> ((String, i32), Committed) {
        ((topic.to_owned(), 0), Committed { offset, leader_epoch: 0, metadata: "m".into(), time_ms: offset })
    }

    fn shown(offsets: &Offsets) -> String {
        let line = |group: &String| {
            let positions =
                offsets.of_group(group).map(|((topic, _), committed)| format!(" {topic}={}", committed.offset));
            format!("{group}:{}\n", positions.collect::<String>())
        };
        offsets.groups().map(line).collect()
    }

    #[test]
    fn offsets_are_the_same_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("offsets");
        let mut offsets = Offsets::open(path.clone(), false, 0).unwrap();
        offsets.commit("g", "consumer", vec![at("a", 1), at("b", 2)]).unwrap();
        offsets.commit("h", "", vec![at("a", 3)]).unwrap();
        offsets.commit("g", "consumer", vec![at("a", 4)]).unwrap();
        let check = |offsets: &Offsets, expected: &str| {
            assert_eq!(shown(offsets), expected);
            assert_eq!(shown(&Offsets::open(path.clone(), false, 0).unwrap()), expected, "after a restart");
        };
        check(&offsets, "g: a=4 b=2\nh: a=3\n");
        offsets.delete_topic("a");
        check(&offsets, "g: b=2\n");
        offsets.delete_group("g").unwrap();
        check(&offsets, "");
    }

    #[test]
    fn what_a_transaction_commits_counts_when_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("offsets");
        let mut offsets = Offsets::open(path.clone(), false, 0).unwrap();
        let check = |offsets: &mut Offsets, expected: &str| {
            for rewritten in [false, true] {
                if rewritten {
                    offsets.rewrite().unwrap();
                }
                assert_eq!(shown(offsets), expected);
                let reopened = Offsets::open(path.clone(), false, 0).unwrap();
                assert_eq!(shown(&reopened), expected, "after a restart; rewritten: {rewritten}");
                assert_eq!(reopened.pending_producers(), offsets.pending_producers());
            }
        };
        offsets.commit("g", "consumer", vec![at("a", 1)]).unwrap();
        offsets.commit_pending(7, "g", "consumer", vec![at("a", 2), at("b", 3)]).unwrap();
        offsets.commit_pending(7, "h", "", vec![at("a", 4)]).unwrap();
        offsets.commit_pending(8, "g", "consumer", vec![at("a", 5)]).unwrap();
        assert!(offsets.is_pending("g", "b", 0) && !offsets.is_pending("h", "b", 0));
        check(&mut offsets, "g: a=1\n");
        offsets.settle(7, true).unwrap();
        check(&mut offsets, "g: a=2 b=3\nh: a=4\n");
        offsets.commit("g", "consumer", vec![at("a", 6)]).unwrap();
        offsets.settle(7, true).unwrap();
        offsets.settle(8, false).unwrap();
        check(&mut offsets, "g: a=6 b=3\nh: a=4\n");
        offsets.commit_pending(9, "i", "consumer", vec![at("a", 7), at("b", 8)]).unwrap();
        offsets.delete_topic("a");
        check(&mut offsets, "g: b=3\ni:\n");
        offsets.settle(9, false).unwrap();
        check(&mut offsets, "g: b=3\n");
    }

    #[test]
    fn a_stale_file_is_rewritten() {
        let dir = tempfile::tempdir().unwrap();
        let mut offsets = Offsets::open(dir.path().join("offsets"), false, 0).unwrap();
        for offset in 0..30_000 {
            offsets.commit("group", "", vec![at("topic", offset)]).unwrap();
        }
        assert!(offsets.file.bytes() < REWRITE_BYTES);
        assert_eq!(shown(&offsets), "group: topic=29999\n");
    }

    #[test]
    fn offsets_expire_where_nobody_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("offsets");
        let mut offsets = Offsets::open(path.clone(), false, 0).unwrap();
        offsets.commit("alone", "", vec![at("a", 100), at("b", 900)]).unwrap();
        offsets.commit("left", "consumer", vec![at("a", 100)]).unwrap();
        offsets.commit("alive", "consumer", vec![at("a", 100)]).unwrap();
        let mut check = |now_ms, expected: &str| {
            offsets.expire(now_ms, 1000, |group| group == "alive");
            assert_eq!(shown(&offsets), expected, "at {now_ms}");
            assert_eq!(shown(&Offsets::open(path.clone(), false, now_ms).unwrap()), expected, "at {now_ms}, reopened");
        };
        check(1000, "alive: a=100\nalone: a=100 b=900\nleft: a=100\n");
        check(1101, "alive: a=100\nalone: b=900\n");
        check(5000, "alive: a=100\n");
    }

    #[test]
    fn the_members_kind_and_older_entries_are_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("offsets");
        let mut offsets = Offsets::open(path.clone(), false, 0).unwrap();
        offsets.commit("g", "consumer", vec![at("a", 1)]).unwrap();
        let mut old = Vec::new();
        put_names(&mut old, "old", "a", 0);
        old.push(UNTIMED);
        old.extend(7i64.to_be_bytes());
        old.extend(0i32.to_be_bytes());
        put_text(&mut old, "");
        put(&mut old, &"x".repeat(STRING_BYTES_MAX + 1), "a", 0, Some(&at("a", 1).1));
        offsets.file.append(&old, false).unwrap();
        let offsets = Offsets::open(path, false, 5000).unwrap();
        assert_eq!(shown(&offsets), "g: a=1\nold: a=7\n", "an id that is too long for ListGroups is dropped");
        assert_eq!((offsets.protocol_type("g"), offsets.protocol_type("old")), (Some("consumer"), Some("")));
        assert_eq!(offsets.get("old", "a", 0).unwrap().time_ms, 5000);
    }
}
