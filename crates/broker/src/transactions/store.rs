//! The file of the transactional ids: one frame per change, in order. It is rewritten when it exceeds four times the
//! size needed.
//!
//! ```text
//! time i64 | transactional id | kind u8 | the change's fields      a length precedes each text
//! ```

use super::state::{Change, Producer, Transaction};
use crate::disk::FrameFile;
use crate::log::transactions::Outcome;
use crate::stderr::log_line;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use uuid::Uuid;

/// The file is rewritten when it exceeds both this and [`STALE_FACTOR`] times the size needed.
const REWRITE_BYTES: u64 = 1 << 20;
const STALE_FACTOR: u64 = 4;

const INIT: u8 = 0;
const ADD: u8 = 1;
const PREPARE: u8 = 2;
const COMPLETE: u8 = 3;
const FORGET: u8 = 4;

/// The file, and the states that its changes lead to.
#[derive(Debug)]
pub(super) struct Store {
    states: BTreeMap<String, Transaction>,
    file: FrameFile,
    rewrite_at: u64,
    sync: bool,
}

impl Store {
    /// Opens or creates the file.
    pub fn open(path: PathBuf, sync: bool) -> io::Result<Store> {
        let mut states = BTreeMap::new();
        let file = FrameFile::open(path, |frame| {
            let (now_ms, id, change) = decode(frame);
            apply(&mut states, now_ms, &id, &change);
        })?;
        let mut store = Store { states, file, rewrite_at: REWRITE_BYTES, sync };
        store.rewrite_if_stale()?;
        Ok(store)
    }

    /// The state of every id.
    pub fn states(&self) -> &BTreeMap<String, Transaction> {
        &self.states
    }

    /// Writes a change to the file.
    pub fn append(&mut self, now_ms: i64, id: &str, change: &Change) -> io::Result<()> {
        self.file.append(&encode(now_ms, id, change), self.sync)?;
        apply(&mut self.states, now_ms, id, change);
        // The change is in the file. The rewrite only saves space, so its failure is no error.
        if let Err(error) = self.rewrite_if_stale() {
            log_line(&format!("cannot shorten the file of transactions: {error}; the broker tries again"));
        }
        Ok(())
    }

    fn rewrite_if_stale(&mut self) -> io::Result<()> {
        if self.file.bytes() < self.rewrite_at {
            return Ok(());
        }
        let changes =
            self.states.iter().flat_map(|(id, state)| state.history().into_iter().map(move |change| (id, change)));
        let frames: Vec<Vec<u8>> = changes.map(|(id, (now_ms, change))| encode(now_ms, id, &change)).collect();
        let needed: u64 = frames.iter().map(|frame| frame.len() as u64).sum();
        self.rewrite_at = REWRITE_BYTES.max(STALE_FACTOR * needed);
        if self.file.bytes() < self.rewrite_at { Ok(()) } else { self.file.rewrite(frames.iter().map(Vec::as_slice)) }
    }
}

fn apply(states: &mut BTreeMap<String, Transaction>, now_ms: i64, id: &str, change: &Change) {
    if *change == Change::Forget {
        states.remove(id);
    } else {
        states.entry(id.to_owned()).or_insert_with(|| Transaction::new(now_ms)).apply(now_ms, change);
    }
}

fn encode(now_ms: i64, id: &str, change: &Change) -> Vec<u8> {
    let mut frame = now_ms.to_be_bytes().to_vec();
    put_text(&mut frame, id);
    match change {
        Change::Init { producer, previous, timeout_ms } => {
            frame.push(INIT);
            put_producer(&mut frame, *producer);
            put_producer(&mut frame, *previous);
            frame.extend(timeout_ms.to_be_bytes());
        }
        Change::Add { partitions, groups } => {
            frame.push(ADD);
            frame.extend((partitions.len() as u32).to_be_bytes());
            for ((topic_id, partition), name) in partitions {
                frame.extend(topic_id.as_bytes());
                frame.extend(partition.to_be_bytes());
                put_text(&mut frame, name);
            }
            frame.extend((groups.len() as u32).to_be_bytes());
            groups.iter().for_each(|group| put_text(&mut frame, group));
        }
        Change::Prepare { outcome, epoch } => {
            frame.extend([PREPARE, *outcome as u8]);
            frame.extend(epoch.to_be_bytes());
        }
        Change::Complete => frame.push(COMPLETE),
        Change::Forget => frame.push(FORGET),
    }
    frame
}

fn decode(mut frame: &[u8]) -> (i64, String, Change) {
    let frame = &mut frame;
    let now_ms = i64::from_be_bytes(take(frame));
    let id = take_text(frame);
    let change = match take(frame) {
        [INIT] => {
            let (producer, previous) = (take_producer(frame), take_producer(frame));
            Change::Init { producer, previous, timeout_ms: i32::from_be_bytes(take(frame)) }
        }
        [ADD] => {
            let count = u32::from_be_bytes(take(frame));
            let place = |frame: &mut &[u8]| {
                let place = (Uuid::from_bytes(take(frame)), i32::from_be_bytes(take(frame)));
                (place, take_text(frame))
            };
            let partitions = (0..count).map(|_| place(frame)).collect();
            let count = u32::from_be_bytes(take(frame));
            Change::Add { partitions, groups: (0..count).map(|_| take_text(frame)).collect() }
        }
        [PREPARE] => {
            let [outcome] = take(frame);
            let outcome = if outcome == Outcome::Commit as u8 { Outcome::Commit } else { Outcome::Abort };
            Change::Prepare { outcome, epoch: i16::from_be_bytes(take(frame)) }
        }
        [COMPLETE] => Change::Complete,
        [kind] => {
            assert!(kind == FORGET, "a frame whose checksum is right was written by us");
            Change::Forget
        }
    };
    (now_ms, id, change)
}

fn put_text(frame: &mut Vec<u8>, text: &str) {
    frame.extend((text.len() as u32).to_be_bytes());
    frame.extend(text.as_bytes());
}

fn put_producer(frame: &mut Vec<u8>, (id, epoch): Producer) {
    frame.extend(id.to_be_bytes());
    frame.extend(epoch.to_be_bytes());
}

fn take_producer(frame: &mut &[u8]) -> Producer {
    (i64::from_be_bytes(take(frame)), i16::from_be_bytes(take(frame)))
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
