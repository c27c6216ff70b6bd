//! An answer on its way to a client: bytes, with pieces of segment files in between that are never decoded.

use crate::log::{Slice, read_exact_at};
use bytes::{BufMut, BytesMut};
use kafka_protocol::protocol::{Encodable, HeaderVersion};
use std::io::{self, Write};

const LENGTH_BYTES: usize = 4;

/// One framed answer.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Everything but the files' bytes, behind room for the frame's length.
    bytes: BytesMut,
    /// Pieces of files, each with the place in `bytes` that it stands before.
    slices: Vec<(usize, Slice)>,
}

impl Answer {
    /// An answer that has its header and no body yet.
    pub fn begin<T: HeaderVersion>(correlation_id: i32, version: i16) -> Answer {
        let mut bytes = BytesMut::with_capacity(256);
        bytes.put_i32(0);
        bytes.put_i32(correlation_id);
        if T::header_version(version) >= 1 {
            bytes.put_u8(0);
        }
        Answer { bytes, slices: Vec::new() }
    }

    /// A whole answer.
    pub fn of<T: Encodable + HeaderVersion>(body: &T, correlation_id: i32, version: i16) -> Answer {
        let mut answer = Answer::begin::<T>(correlation_id, version);
        answer.put(body, version);
        answer
    }

    /// Adds a part of the body.
    pub fn put<T: Encodable>(&mut self, part: &T, version: i16) {
        part.encode(&mut self.bytes, version).expect("what we answer can be said in the version that was asked in");
    }

    /// The encoded bytes, to add to.
    pub fn bytes(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// Adds a piece of a file.
    pub fn put_slice(&mut self, slice: Slice) {
        self.slices.push((self.bytes.len(), slice));
    }

    /// Adds an unsigned number of variable length.
    pub fn put_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.bytes.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.put_u8(value as u8);
    }

    /// Sends the frame. `room` is memory that is kept for the next answer.
    pub fn send(mut self, to: &mut impl Write, room: &mut Vec<u8>) -> io::Result<()> {
        let total = self.bytes.len() + self.slices.iter().map(|(_, slice)| slice.bytes).sum::<usize>();
        self.bytes[..LENGTH_BYTES].copy_from_slice(&((total - LENGTH_BYTES) as u32).to_be_bytes());
        if self.slices.is_empty() {
            return to.write_all(&self.bytes);
        }
        if room.len() < total {
            room.resize(total, 0);
        }
        let (mut filled, mut taken) = (0, 0);
        for (before, slice) in &self.slices {
            let bytes = &self.bytes[taken..*before];
            room[filled..filled + bytes.len()].copy_from_slice(bytes);
            (filled, taken) = (filled + bytes.len(), *before);
            read_exact_at(&slice.file, &mut room[filled..filled + slice.bytes], slice.position)?;
            filled += slice.bytes;
        }
        let rest = &self.bytes[taken..];
        room[filled..total].copy_from_slice(rest);
        to.write_all(&room[..total])
    }
}
