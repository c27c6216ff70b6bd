//! Encodes Fetch requests and decodes the answers by hand, so that the records of an answer are not copied. Versions 12
//! (topics by name) and 13 (by id).

use bytes::{BufMut, BytesMut};
use std::ops::Range;
use uuid::Uuid;

/// A partition in a request.
pub(super) struct Wanted<'a> {
    pub topic: &'a str,
    pub topic_id: Uuid,
    pub partition: i32,
    pub leader_epoch: i32,
    pub offset: i64,
    pub bytes_max: u32,
}

/// The fields of a request that apply to all partitions.
pub(super) struct Terms {
    pub wait_max_ms: i32,
    pub bytes_min: i32,
    pub bytes_max: i32,
    pub committed_only: bool,
    pub session_id: i32,
    pub session_epoch: i32,
}

/// A partition that the session must forget: name and id of the topic, number.
pub(super) type Forgotten = (String, Uuid, i32);

pub(super) fn write(out: &mut BytesMut, version: i16, terms: &Terms, wanted: &[Wanted<'_>], forgotten: &[Forgotten]) {
    out.put_i32(-1);
    out.put_i32(terms.wait_max_ms);
    out.put_i32(terms.bytes_min);
    out.put_i32(terms.bytes_max);
    out.put_u8(u8::from(terms.committed_only));
    out.put_i32(terms.session_id);
    out.put_i32(terms.session_epoch);
    put_length(out, wanted.chunk_by(|a, b| a.topic == b.topic).count());
    for group in wanted.chunk_by(|a, b| a.topic == b.topic) {
        put_topic(out, version, group[0].topic, group[0].topic_id);
        put_length(out, group.len());
        for partition in group {
            out.put_i32(partition.partition);
            out.put_i32(partition.leader_epoch);
            out.put_i64(partition.offset);
            // Last fetched epoch and log start, which only followers send.
            out.put_i32(-1);
            out.put_i64(-1);
            out.put_i32(partition.bytes_max as i32);
            out.put_u8(0);
        }
        out.put_u8(0);
    }
    put_length(out, forgotten.chunk_by(|a, b| a.0 == b.0).count());
    for group in forgotten.chunk_by(|a, b| a.0 == b.0) {
        put_topic(out, version, &group[0].0, group[0].1);
        put_length(out, group.len());
        group.iter().for_each(|(_, _, partition)| out.put_i32(*partition));
        out.put_u8(0);
    }
    // No rack, no tagged fields.
    out.put_u8(1);
    out.put_u8(0);
}

fn put_topic(out: &mut BytesMut, version: i16, name: &str, id: Uuid) {
    if version >= 13 {
        out.put_slice(id.as_bytes());
    } else {
        put_length(out, name.len());
        out.put_slice(name.as_bytes());
    }
}

/// Writes a compact length: the length plus one, as a varint.
fn put_length(out: &mut BytesMut, length: usize) {
    let mut value = length + 1;
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// The fields of an answer that apply to all partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub throttle_ms: i32,
    pub code: i16,
    pub session_id: i32,
}

/// A topic in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TopicKey<'a> {
    Name(&'a [u8]),
    Id(Uuid),
}

/// A partition in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartitionAnswer {
    pub partition: i32,
    pub code: i16,
    pub high_watermark: i64,
    pub last_stable: i64,
    pub log_start: i64,
    /// The position of the records in the answer.
    pub records: Range<usize>,
}

/// The answer has wrong lengths or does not end where it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Decodes an answer. Calls `part` for each partition with its topic and its aborted transactions (producer, first
/// offset).
pub(crate) fn read<'a>(
    bytes: &'a [u8],
    version: i16,
    mut part: impl FnMut(&TopicKey<'a>, PartitionAnswer, &[(i64, i64)]),
) -> Result<Head, Malformed> {
    let mut cursor = Cursor { bytes, at: 0 };
    let head = Head { throttle_ms: cursor.i32()?, code: cursor.i16()?, session_id: cursor.i32()? };
    let mut aborted = Vec::new();
    for _ in 0..cursor.length()?.unwrap_or(0) {
        let key = match version >= 13 {
            true => TopicKey::Id(Uuid::from_bytes(cursor.array()?)),
            false => {
                let length = cursor.length()?.ok_or(Malformed)?;
                TopicKey::Name(cursor.slice(length)?)
            }
        };
        for _ in 0..cursor.length()?.unwrap_or(0) {
            let (partition, code) = (cursor.i32()?, cursor.i16()?);
            let (high_watermark, last_stable, log_start) = (cursor.i64()?, cursor.i64()?, cursor.i64()?);
            aborted.clear();
            for _ in 0..cursor.length()?.unwrap_or(0) {
                aborted.push((cursor.i64()?, cursor.i64()?));
                cursor.tags()?;
            }
            // Skip the preferred replica, which is only for clients with a rack.
            cursor.i32()?;
            let length = cursor.length()?.unwrap_or(0);
            let start = cursor.at;
            cursor.slice(length)?;
            cursor.tags()?;
            let records = start..start + length;
            part(&key, PartitionAnswer { partition, code, high_watermark, last_stable, log_start, records }, &aborted);
        }
        cursor.tags()?;
    }
    cursor.tags()?;
    Ok(head)
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn slice(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(length).ok_or(Malformed)?;
        let slice = self.bytes.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(slice)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        Ok(self.slice(N)?.try_into().expect("the slice has N bytes"))
    }

    fn i16(&mut self) -> Result<i16, Malformed> {
        self.array().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    fn varint(&mut self) -> Result<usize, Malformed> {
        let mut value = 0usize;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    /// Reads a compact length. `None` for null. Refuses a length beyond the end of the answer.
    fn length(&mut self) -> Result<Option<usize>, Malformed> {
        match self.varint()? {
            0 => Ok(None),
            length if length - 1 <= self.bytes.len() - self.at => Ok(Some(length - 1)),
            _ => Err(Malformed),
        }
    }

    fn tags(&mut self) -> Result<(), Malformed> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let bytes = self.varint()?;
            self.slice(bytes)?;
        }
        Ok(())
    }
}
