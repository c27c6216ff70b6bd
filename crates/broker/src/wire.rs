//! An answer to a client: encoded bytes with pieces of segment files between them. The pieces are never decoded.

use crate::log::{Slice, read_exact_at};
use bytes::{BufMut, BytesMut};
use kafka_protocol::protocol::{Encodable, HeaderVersion};
use std::io::{self, Write};

const LENGTH_BYTES: usize = 4;
/// Bytes that are read from a file and written to the socket at a time.
const SEND_BUFFER_BYTES: usize = 256 << 10;

/// One framed answer.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Space for the frame's length, then everything except the bytes of the files.
    bytes: BytesMut,
    /// Pieces of files, each with its position in `bytes`.
    slices: Vec<(usize, Slice)>,
}

impl Answer {
    /// An answer with its header and no body.
    pub fn begin<T: HeaderVersion>(correlation_id: i32, version: i16) -> Answer {
        let mut bytes = BytesMut::with_capacity(256);
        bytes.put_i32(0);
        bytes.put_i32(correlation_id);
        if T::header_version(version) >= 1 {
            bytes.put_u8(0);
        }
        Answer { bytes, slices: Vec::new() }
    }

    /// A complete answer.
    pub fn of<T: Encodable + HeaderVersion>(body: &T, correlation_id: i32, version: i16) -> Answer {
        let mut answer = Answer::begin::<T>(correlation_id, version);
        answer.put(body, version);
        answer
    }

    /// Adds a part of the body.
    pub fn put<T: Encodable>(&mut self, part: &T, version: i16) {
        part.encode(&mut self.bytes, version).expect("the answer can be encoded in the requested version");
    }

    /// A complete answer that ends with a long list. The elements are encoded one by one, so they are never all in
    /// memory. `body` is the answer with an empty list. `behind` of its bytes follow the list, before the tags.
    pub fn listed<T: Encodable + HeaderVersion, E: Encodable>(
        (body, behind): (&T, usize),
        elements: impl ExactSizeIterator<Item = E>,
        correlation_id: i32,
        version: i16,
    ) -> Answer {
        let mut answer = Answer::of(body, correlation_id, version);
        // An answer has tags if its header has them.
        let has_tags = T::header_version(version) >= 1;
        let said_none = if has_tags { [1].as_slice() } else { [0; 4].as_slice() };
        let tail = answer.bytes.split_off(answer.bytes.len() - behind - usize::from(has_tags));
        assert!(answer.bytes.ends_with(said_none), "the list is empty, and only {behind} bytes follow it");
        answer.bytes.truncate(answer.bytes.len() - said_none.len());
        answer.put_count(has_tags, elements.len());
        for element in elements {
            answer.put(&element, version);
        }
        answer.bytes.extend_from_slice(&tail);
        answer
    }

    /// Adds the length of a list.
    pub fn put_count(&mut self, compact: bool, count: usize) {
        if compact {
            self.put_varint(count as u32 + 1);
        } else {
            self.bytes.put_i32(count as i32);
        }
    }

    /// The encoded bytes, to add to.
    pub fn bytes(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// Adds a piece of a file.
    pub fn put_slice(&mut self, slice: Slice) {
        self.slices.push((self.bytes.len(), slice));
    }

    /// Adds an unsigned varint.
    pub fn put_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.bytes.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.put_u8(value as u8);
    }

    /// Sends the frame. The bytes of files pass through a buffer of fixed size.
    pub fn send(mut self, to: &mut impl Write) -> io::Result<()> {
        let total = self.bytes.len() + self.slices.iter().map(|(_, slice)| slice.bytes).sum::<usize>();
        self.bytes[..LENGTH_BYTES].copy_from_slice(&((total - LENGTH_BYTES) as u32).to_be_bytes());
        if self.slices.is_empty() {
            return to.write_all(&self.bytes);
        }
        let mut buffer = SendBuffer { bytes: vec![0; total.min(SEND_BUFFER_BYTES)], filled: 0, to };
        let mut taken = 0;
        for (before, slice) in &self.slices {
            buffer.put(&self.bytes[taken..*before])?;
            taken = *before;
            buffer.put_slice(slice)?;
        }
        buffer.put(&self.bytes[taken..])?;
        buffer.flush()
    }
}

/// Collects small pieces, so that writes to the socket are large.
struct SendBuffer<W> {
    bytes: Vec<u8>,
    filled: usize,
    to: W,
}

impl<W: Write> SendBuffer<W> {
    fn put(&mut self, mut piece: &[u8]) -> io::Result<()> {
        while !piece.is_empty() {
            let (now, rest) = piece.split_at(self.room(piece.len())?);
            self.bytes[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            piece = rest;
        }
        Ok(())
    }

    fn put_slice(&mut self, slice: &Slice) -> io::Result<()> {
        let (mut position, mut left) = (slice.position, slice.bytes);
        while left > 0 {
            let count = self.room(left)?;
            read_exact_at(&slice.file, &mut self.bytes[self.filled..self.filled + count], position)?;
            self.filled += count;
            position += count as u64;
            left -= count;
        }
        Ok(())
    }

    /// How many of `wanted` bytes fit in the buffer. Flushes the buffer if none do.
    fn room(&mut self, wanted: usize) -> io::Result<usize> {
        if self.filled == self.bytes.len() {
            self.flush()?;
        }
        Ok(wanted.min(self.bytes.len() - self.filled))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.write_all(&self.bytes[..self.filled])?;
        self.filled = 0;
        Ok(())
    }
}
