//! Committed offsets of all groups, in memory and in an append-only file that is rewritten when most of it is stale.

use crate::disk::FrameFile;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

/// The file is rewritten when it is over this and over four times what is needed.
const REWRITE_BYTES: u64 = 1 << 20;

/// A group's position in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: String,
}

type Positions = BTreeMap<(String, i32), Committed>;

/// All committed offsets.
#[derive(Debug)]
pub(crate) struct Offsets {
    groups: BTreeMap<String, Positions>,
    file: FrameFile,
    sync: bool,
}

impl Offsets {
    /// Reads the file, or makes it. With `sync` each commit is on the disk when it is acknowledged.
    pub fn open(path: PathBuf, sync: bool) -> io::Result<Offsets> {
        let mut groups = BTreeMap::new();
        let file = FrameFile::open(path, |frame| apply(&mut groups, frame))?;
        let mut offsets = Offsets { groups, file, sync };
        offsets.rewrite_if_stale()?;
        Ok(offsets)
    }

    /// Keeps positions of one group.
    pub fn commit(&mut self, group: &str, positions: Vec<((String, i32), Committed)>) -> io::Result<()> {
        let mut frame = Vec::new();
        for ((topic, partition), committed) in &positions {
            put(&mut frame, group, topic, *partition, Some(committed));
        }
        self.file.append(&frame, self.sync)?;
        self.groups.entry(group.to_owned()).or_default().extend(positions);
        self.rewrite_if_stale()
    }

    /// One position.
    pub fn get(&self, group: &str, topic: &str, partition: i32) -> Option<&Committed> {
        self.groups.get(group)?.get(&(topic.to_owned(), partition))
    }

    /// All positions of a group.
    pub fn of_group(&self, group: &str) -> impl Iterator<Item = (&(String, i32), &Committed)> {
        self.groups.get(group).into_iter().flatten()
    }

    /// Groups that have committed something.
    pub fn groups(&self) -> impl Iterator<Item = &String> {
        self.groups.keys()
    }

    /// Forgets a group.
    pub fn delete_group(&mut self, group: &str) -> io::Result<()> {
        self.delete(|name, _| name == group)
    }

    /// Forgets a topic in every group.
    pub fn delete_topic(&mut self, topic: &str) -> io::Result<()> {
        self.delete(|_, name| name == topic)
    }

    fn delete(&mut self, goes: impl Fn(&str, &str) -> bool) -> io::Result<()> {
        let mut frame = Vec::new();
        for (group, positions) in &self.groups {
            for (topic, partition) in positions.keys().filter(|(topic, _)| goes(group, topic)) {
                put(&mut frame, group, topic, *partition, None);
            }
        }
        if !frame.is_empty() {
            self.file.append(&frame, self.sync)?;
            apply(&mut self.groups, &frame);
        }
        Ok(())
    }

    fn rewrite_if_stale(&mut self) -> io::Result<()> {
        if self.file.bytes() < REWRITE_BYTES {
            return Ok(());
        }
        let frames: Vec<Vec<u8>> = self.groups.iter().map(|(group, positions)| group_frame(group, positions)).collect();
        let needed: u64 = frames.iter().map(|frame| frame.len() as u64).sum();
        if self.file.bytes() < 4 * needed { Ok(()) } else { self.file.rewrite(frames.iter().map(Vec::as_slice)) }
    }
}

fn group_frame(group: &str, positions: &Positions) -> Vec<u8> {
    let mut frame = Vec::new();
    for ((topic, partition), committed) in positions {
        put(&mut frame, group, topic, *partition, Some(committed));
    }
    frame
}

/// An entry: group, topic, partition, then 1 and the position, or 0 when it is forgotten. Text goes with its length.
fn put(frame: &mut Vec<u8>, group: &str, topic: &str, partition: i32, committed: Option<&Committed>) {
    let text = |frame: &mut Vec<u8>, text: &str| {
        frame.extend((text.len() as u32).to_be_bytes());
        frame.extend(text.as_bytes());
    };
    text(frame, group);
    text(frame, topic);
    frame.extend(partition.to_be_bytes());
    frame.push(u8::from(committed.is_some()));
    if let Some(committed) = committed {
        frame.extend(committed.offset.to_be_bytes());
        frame.extend(committed.leader_epoch.to_be_bytes());
        text(frame, &committed.metadata);
    }
}

fn apply(groups: &mut BTreeMap<String, Positions>, mut frame: &[u8]) {
    while !frame.is_empty() {
        let (group, topic) = (take_text(&mut frame), take_text(&mut frame));
        let partition = i32::from_be_bytes(take(&mut frame));
        if take::<1>(&mut frame) == [1] {
            let offset = i64::from_be_bytes(take(&mut frame));
            let leader_epoch = i32::from_be_bytes(take(&mut frame));
            let committed = Committed { offset, leader_epoch, metadata: take_text(&mut frame) };
            groups.entry(group).or_default().insert((topic, partition), committed);
        } else if let Some(positions) = groups.get_mut(&group) {
            positions.remove(&(topic, partition));
            if positions.is_empty() {
                groups.remove(&group);
            }
        }
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
        ((topic.to_owned(), 0), Committed { offset, leader_epoch: 0, metadata: "m".into() })
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
        let mut offsets = Offsets::open(path.clone(), false).unwrap();
        offsets.commit("g", vec![at("a", 1), at("b", 2)]).unwrap();
        offsets.commit("h", vec![at("a", 3)]).unwrap();
        offsets.commit("g", vec![at("a", 4)]).unwrap();
        let check = |offsets: &Offsets, expected: &str| {
            assert_eq!(shown(offsets), expected);
            assert_eq!(shown(&Offsets::open(path.clone(), false).unwrap()), expected, "after a restart");
        };
        check(&offsets, "g: a=4 b=2\nh: a=3\n");
        offsets.delete_topic("a").unwrap();
        check(&offsets, "g: b=2\n");
        offsets.delete_group("g").unwrap();
        check(&offsets, "");
    }

    #[test]
    fn a_stale_file_is_rewritten() {
        let dir = tempfile::tempdir().unwrap();
        let mut offsets = Offsets::open(dir.path().join("offsets"), false).unwrap();
        for offset in 0..30_000 {
            offsets.commit("group", vec![at("topic", offset)]).unwrap();
        }
        assert!(offsets.file.bytes() < REWRITE_BYTES);
        assert_eq!(shown(&offsets), "group: topic=29999\n");
    }
}
