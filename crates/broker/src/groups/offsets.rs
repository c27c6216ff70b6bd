//! Committed offsets of all groups, in memory and in an append-only file that is rewritten when most of it is obsolete.
//!
//! A commit costs one append. The file is rewritten when it has grown to four times the size needed at the last
//! rewrite, so the cost is spread over many commits.

use crate::disk::FrameFile;
use crate::stderr::log_line;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use tidemill_wire::STRING_BYTES_MAX;

/// The file is rewritten when it is larger than this and than [`STALE_FACTOR`] times what is needed.
const REWRITE_BYTES: u64 = 1 << 20;
const STALE_FACTOR: u64 = 4;

/// Kinds of entries, after the names: a removed position, a position without time (older versions), a position with the
/// time of its commit, the group's protocol type.
const FORGOTTEN: u8 = 0;
const UNTIMED: u8 = 1;
const TIMED: u8 = 2;
const PROTOCOL_TYPE: u8 = 3;

/// A group's position in one partition.
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
    groups: BTreeMap<String, Group>,
    file: FrameFile,
    /// File size at which to check whether most of it is obsolete.
    rewrite_at: u64,
    sync: bool,
    /// A change could not be written. The file is rewritten as soon as that works.
    behind: bool,
}

#[derive(Debug, Default)]
struct Group {
    positions: Positions,
    /// The members' protocol type, mostly `consumer`; empty if the group never had members.
    protocol_type: String,
    /// When it last had members, in milliseconds since 1970.
    alive_ms: i64,
}

impl Offsets {
    /// Reads or creates the file. With `sync` each commit is on the disk before it is acknowledged.
    pub fn open(path: PathBuf, sync: bool, now_ms: i64) -> io::Result<Offsets> {
        let mut groups = BTreeMap::new();
        let file = FrameFile::open(path, |frame| apply(&mut groups, frame, now_ms))?;
        // Older versions accepted ids that answers in older formats cannot carry.
        groups.retain(|group, _| group.len() <= STRING_BYTES_MAX);
        // The file does not record how long a group has had no members.
        groups.values_mut().for_each(|group| group.alive_ms = now_ms);
        let mut offsets = Offsets { groups, file, rewrite_at: REWRITE_BYTES, sync, behind: false };
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
        let group = self.groups.get(name);
        let is_new_type = !protocol_type.is_empty() && group.is_none_or(|group| group.protocol_type != protocol_type);
        if is_new_type {
            put_protocol_type(&mut frame, name, protocol_type);
        }
        for ((topic, partition), committed) in &positions {
            put(&mut frame, name, topic, *partition, Some(committed));
        }
        self.file.append(&frame, self.sync)?;
        let group = self.groups.entry(name.to_owned()).or_default();
        if is_new_type {
            protocol_type.clone_into(&mut group.protocol_type);
        }
        group.positions.extend(positions);
        self.rewrite_if_stale()
    }

    /// One position.
    pub fn get(&self, group: &str, topic: &str, partition: i32) -> Option<&Committed> {
        self.groups.get(group)?.positions.get(&(topic.to_owned(), partition))
    }

    /// All positions of a group.
    pub fn of_group(&self, group: &str) -> impl Iterator<Item = (&(String, i32), &Committed)> {
        self.groups.get(group).into_iter().flat_map(|group| &group.positions)
    }

    /// The protocol type of a group with offsets.
    pub fn protocol_type(&self, group: &str) -> Option<&str> {
        self.groups.get(group).map(|group| group.protocol_type.as_str())
    }

    /// Groups with committed offsets.
    pub fn groups(&self) -> impl Iterator<Item = &String> {
        self.groups.keys()
    }

    /// Deletes a group.
    pub fn delete_group(&mut self, group: &str) -> io::Result<()> {
        let positions = self.groups.get(group).into_iter().flat_map(|found| found.positions.keys());
        let goes = positions.map(|(topic, partition)| (group.to_owned(), topic.clone(), *partition)).collect();
        self.delete(goes)
    }

    /// Deletes a topic's positions in every group. On a full disk the file is updated later.
    pub fn delete_topic(&mut self, topic: &str) {
        let mut goes = Vec::new();
        for (group, found) in &self.groups {
            let first = (topic.to_owned(), i32::MIN);
            let of_topic = found.positions.range(first..).take_while(|((name, _), _)| name == topic);
            goes.extend(of_topic.map(|((topic, partition), _)| (group.clone(), topic.clone(), *partition)));
        }
        self.delete_at_last(goes);
    }

    /// Removes positions committed before a time, in groups without members since then.
    pub fn expire(&mut self, now_ms: i64, retention_ms: i64, is_alive: impl Fn(&str) -> bool) {
        let before_ms = now_ms - retention_ms;
        let mut goes = Vec::new();
        for (name, group) in &mut self.groups {
            if is_alive(name) {
                group.alive_ms = now_ms;
            }
            let without_members = group.protocol_type.is_empty() || group.alive_ms < before_ms;
            let old = group.positions.iter().filter(|(_, committed)| without_members && committed.time_ms < before_ms);
            goes.extend(old.map(|((topic, partition), _)| (name.clone(), topic.clone(), *partition)));
        }
        self.delete_at_last(goes);
    }

    fn delete(&mut self, goes: Vec<(String, String, i32)>) -> io::Result<()> {
        if goes.is_empty() {
            return Ok(());
        }
        let mut frame = Vec::new();
        goes.iter().for_each(|(group, topic, partition)| put(&mut frame, group, topic, *partition, None));
        self.file.append(&frame, self.sync)?;
        goes.into_iter().for_each(|(group, topic, partition)| forget(&mut self.groups, &group, topic, partition));
        self.rewrite_if_stale()
    }

    /// Deletes in memory in any case; the file is updated when possible.
    fn delete_at_last(&mut self, goes: Vec<(String, String, i32)>) {
        if let Err(error) = self.delete(goes.clone()) {
            log_line(&format!("cannot record that offsets have expired: {error}; the broker tries again"));
            goes.into_iter().for_each(|(group, topic, partition)| forget(&mut self.groups, &group, topic, partition));
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
        let needed: u64 = self.groups.iter().map(|(name, group)| group_frame(name, group).len() as u64).sum();
        self.rewrite_at = REWRITE_BYTES.max(STALE_FACTOR * needed);
        if self.file.bytes() < self.rewrite_at { Ok(()) } else { self.rewrite() }
    }

    fn rewrite(&mut self) -> io::Result<()> {
        let frames: Vec<Vec<u8>> = self.groups.iter().map(|(name, group)| group_frame(name, group)).collect();
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

/// Encodes an entry: group, topic, partition, kind, and the position if there is one. Texts follow their length.
fn put(frame: &mut Vec<u8>, group: &str, topic: &str, partition: i32, committed: Option<&Committed>) {
    put_names(frame, group, topic, partition);
    frame.push(if committed.is_some() { TIMED } else { FORGOTTEN });
    if let Some(committed) = committed {
        frame.extend(committed.offset.to_be_bytes());
        frame.extend(committed.leader_epoch.to_be_bytes());
        put_text(frame, &committed.metadata);
        frame.extend(committed.time_ms.to_be_bytes());
    }
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

fn apply(groups: &mut BTreeMap<String, Group>, mut frame: &[u8], now_ms: i64) {
    while !frame.is_empty() {
        let (name, topic) = (take_text(&mut frame), take_text(&mut frame));
        let partition = i32::from_be_bytes(take(&mut frame));
        match take::<1>(&mut frame) {
            [FORGOTTEN] => forget(groups, &name, topic, partition),
            [PROTOCOL_TYPE] => groups.entry(name).or_default().protocol_type = take_text(&mut frame),
            [kind] => {
                assert!(kind == UNTIMED || kind == TIMED, "a frame whose checksum is right was written by us");
                let offset = i64::from_be_bytes(take(&mut frame));
                let leader_epoch = i32::from_be_bytes(take(&mut frame));
                let metadata = take_text(&mut frame);
                let time_ms = if kind == TIMED { i64::from_be_bytes(take(&mut frame)) } else { now_ms };
                let committed = Committed { offset, leader_epoch, metadata, time_ms };
                groups.entry(name).or_default().positions.insert((topic, partition), committed);
            }
        }
    }
}

/// Removes a position, and the group if it was its last.
fn forget(groups: &mut BTreeMap<String, Group>, name: &str, topic: String, partition: i32) {
    let Some(group) = groups.get_mut(name) else { return };
    group.positions.remove(&(topic, partition));
    if group.positions.is_empty() {
        groups.remove(name);
    }
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
        assert_eq!(shown(&offsets), "g: a=1\nold: a=7\n", "an id that is too long for ListGroups is left behind");
        assert_eq!((offsets.protocol_type("g"), offsets.protocol_type("old")), (Some("consumer"), Some("")));
        assert_eq!(offsets.get("old", "a", 0).unwrap().time_ms, 5000);
    }
}
