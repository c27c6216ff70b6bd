//! Decodes Kafka messages from untrusted peers, within a limit on memory. The embedded broker decodes requests with it,
//! and the client decodes responses.
//!
//! kafka-protocol's decoder reserves memory for as many elements as an array claims to have. A claim of two billion
//! would end the process. So [`decode`] reads through [`BoundedBuf`], which refuses lengths that exceed the frame:
//!
//! - A varint is nearly always a length. One that is too large ends the decoding.
//! - A fixed-size number may be a length, a limit or a timeout. If it is larger than any possible length, it is
//!   first read as a smaller number. If it is a length, decoding then fails, since the frame is too short even for the
//!   smaller number. Otherwise decoding succeeds, and the frame is decoded a second time with the real numbers.
//!
//! One byte on the wire may become a structure of hundreds of bytes in memory. Each number, string and array that is
//! read is charged [`Bounds::read_bytes`]: the most that it costs, in the request and in its answer. A frame may cost
//! four times its own size, or [`SMALL_FRAME_BYTES`] if that is more. A frame that costs more is malformed.

pub mod batch;

use bytes::{Buf, Bytes, TryGetError};
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::buf::ByteBuf;
use std::ops::Range;

/// Numbers up to this are read unchanged. It is the longest string, and reserving memory for this many elements is
/// harmless.
const HARMLESS: usize = 32 << 10;
/// The longest string that every version of the protocol can carry.
pub const STRING_BYTES_MAX: usize = i16::MAX as usize;

/// Memory that any frame may cost, however small it is.
const SMALL_FRAME_BYTES: usize = 4 << 20;
/// Memory that a frame may cost besides its own bytes, as a multiple of its size.
const COST_FACTOR: usize = 3;

/// Limits of a message, on the wire and in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of the whole frame.
    pub frame_bytes: usize,
    /// Most memory that a number, string or array costs, as an average over the fields of the longest list. Measured by
    /// the broker's `tests/memory.rs`.
    pub read_bytes: usize,
    /// Whether the message has a field of bytes, which may be longer than a string.
    pub holds_bytes: bool,
}

impl Bounds {
    /// Requests that carry record batches. The limit is that of Apache Kafka's `socket.request.max.bytes`.
    pub const RECORDS: Bounds = Bounds { frame_bytes: 100 << 20, read_bytes: 96, holds_bytes: true };
    /// Requests that name partitions.
    pub const PARTITIONS: Bounds = Bounds { frame_bytes: 8 << 20, read_bytes: 96, holds_bytes: false };
    /// Requests that name topics, groups or settings.
    pub const NAMES: Bounds = Bounds { frame_bytes: 4 << 20, read_bytes: 96, holds_bytes: false };
    /// Requests with data that the members of a group exchange.
    pub const MEMBERS: Bounds = Bounds { frame_bytes: 1 << 20, read_bytes: 96, holds_bytes: true };

    /// Number of reads that a frame of this size may cost.
    pub fn reads(self, frame_bytes: usize) -> usize {
        (COST_FACTOR * frame_bytes).max(SMALL_FRAME_BYTES) / self.read_bytes
    }
}

/// Decodes a message from an untrusted peer. `None` if it is malformed or exceeds `bounds`.
pub fn decode<T: Decodable>(body: &mut Bytes, version: i16, bounds: Bounds) -> Option<T> {
    let mut guarded = BoundedBuf::new(body, bounds, false);
    let mut message = T::decode(&mut guarded, version).ok()?;
    if guarded.clamped {
        // Use the same reader type, so that each message's decoder is compiled only once.
        drop(message);
        guarded = BoundedBuf::new(body, bounds, true);
        message = T::decode(&mut guarded, version).ok()?;
    }
    if guarded.over {
        return None;
    }
    *body = guarded.inner;
    Some(message)
}

struct BoundedBuf {
    inner: Bytes,
    /// Value so far of a varint that continues in the next byte.
    varint: u64,
    varint_bytes: u32,
    /// The structure is known to be valid: fixed-size numbers are read unchanged.
    sound: bool,
    /// Some fixed-size number was read as a smaller one.
    clamped: bool,
    /// Number of reads before the bounds are exceeded.
    reads_left: usize,
    holds_bytes: bool,
    /// The bounds are exceeded. All further reads fail.
    over: bool,
}

impl BoundedBuf {
    fn new(body: &Bytes, bounds: Bounds, sound: bool) -> BoundedBuf {
        let inner = body.clone();
        let reads_left = bounds.reads(body.len());
        let holds_bytes = bounds.holds_bytes;
        BoundedBuf { inner, varint: 0, varint_bytes: 0, sound, clamped: false, reads_left, holds_bytes, over: false }
    }

    fn charge(&mut self) {
        self.over |= self.reads_left == 0;
        self.reads_left = self.reads_left.saturating_sub(1);
    }

    /// The largest possible length at this point. Compact lengths are stored plus one.
    fn limit(&self) -> usize {
        let remaining = self.inner.remaining();
        // Each element costs a read, so an array cannot have more elements than there are reads left.
        let elements = if self.holds_bytes { remaining } else { remaining.min(self.reads_left) };
        HARMLESS.max(elements + 1)
    }

    fn refuse_when_over(&self) -> Result<(), TryGetError> {
        if self.over { Err(TryGetError { requested: 1, available: 0 }) } else { Ok(()) }
    }

    fn end_varint(&mut self) {
        (self.varint, self.varint_bytes) = (0, 0);
    }
}

impl Buf for BoundedBuf {
    fn remaining(&self) -> usize {
        if self.over { 0 } else { self.inner.remaining() }
    }

    fn chunk(&self) -> &[u8] {
        if self.over { &[] } else { self.inner.chunk() }
    }

    fn advance(&mut self, count: usize) {
        self.end_varint();
        self.charge();
        self.inner.advance(count);
    }

    fn try_get_i32(&mut self) -> Result<i32, TryGetError> {
        self.end_varint();
        self.refuse_when_over()?;
        self.charge();
        let value = self.inner.try_get_i32()?;
        let limit = if self.sound { i32::MAX } else { i32::try_from(self.limit()).unwrap_or(i32::MAX) };
        self.clamped |= value > limit;
        Ok(value.min(limit))
    }

    fn try_get_u8(&mut self) -> Result<u8, TryGetError> {
        self.refuse_when_over()?;
        let byte = self.inner.try_get_u8()?;
        self.varint |= u64::from(byte & 0x7f) << (7 * self.varint_bytes).min(56);
        self.varint_bytes += 1;
        if self.varint > self.limit() as u64 {
            return Err(TryGetError { requested: self.varint as usize, available: self.inner.remaining() });
        }
        if byte & 0x80 == 0 {
            self.end_varint();
            self.charge();
        }
        Ok(byte)
    }
}

impl ByteBuf for BoundedBuf {
    fn peek_bytes(&mut self, range: Range<usize>) -> Bytes {
        self.inner.slice(range)
    }

    fn get_bytes(&mut self, size: usize) -> Bytes {
        self.end_varint();
        self.charge();
        self.over |= size > STRING_BYTES_MAX && !self.holds_bytes;
        self.inner.split_to(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::{DescribeGroupsRequest, FetchRequest, HeartbeatRequest};

    fn check<T: Decodable>(version: i16, frame: &[u8], sound: bool) {
        let decoded = decode::<T>(&mut Bytes::copy_from_slice(frame), version, Bounds::NAMES);
        assert_eq!(decoded.is_some(), sound, "version {version}, {frame:x?}");
    }

    #[test]
    fn impossible_lengths_are_malformed_and_large_numbers_are_not() {
        // An empty list of groups, and lists that claim far too many.
        check::<DescribeGroupsRequest>(0, &[0, 0, 0, 0], true);
        check::<DescribeGroupsRequest>(0, &[0x7f, 0xff, 0xff, 0xff], false);
        check::<DescribeGroupsRequest>(0, &[0x10, 0, 0, 0, 0, 1, b'g'], false);
        check::<DescribeGroupsRequest>(5, &[1, 0, 0], true);
        check::<DescribeGroupsRequest>(5, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0], false);
        check::<DescribeGroupsRequest>(5, &[0xff, 0xff, 0xff, 0x7f, 0, 0], false);
        // A generation and a byte limit are not lengths.
        let beat = &[0, 1, b'g', 0x7f, 0xff, 0xff, 0xff, 0, 1, b'm'];
        check::<HeartbeatRequest>(0, beat, true);
        let read = decode::<HeartbeatRequest>(&mut Bytes::from_static(beat), 0, Bounds::NAMES).unwrap();
        assert_eq!((read.generation_id, read.member_id.as_str()), (i32::MAX, "m"));
        let fetch = [&[0xff; 4][..], &[0, 0, 1, 0], &[0, 0, 0, 1], &[0x7f, 0xff, 0xff, 0xff], &[0], &[0; 4]].concat();
        check::<FetchRequest>(4, &fetch, true);
        check::<FetchRequest>(4, &fetch[..fetch.len() - 1], false);
    }

    #[test]
    fn what_costs_more_memory_than_its_bounds_is_malformed() {
        // Empty ids: one byte on the wire, some 300 in memory.
        let empty_ids = |count: u32| {
            let mut frame = Vec::new();
            let mut length = count + 1;
            while length >= 0x80 {
                frame.push(length as u8 | 0x80);
                length >>= 7;
            }
            frame.push(length as u8);
            frame.resize(frame.len() + count as usize, 1);
            frame.extend([0, 0]);
            frame
        };
        check::<DescribeGroupsRequest>(5, &empty_ids(10_000), true);
        check::<DescribeGroupsRequest>(5, &empty_ids(100_000), false);
        let plain_ids = |count: usize| [&(count as i32).to_be_bytes()[..], &vec![0; 2 * count]].concat();
        check::<DescribeGroupsRequest>(0, &plain_ids(10_000), true);
        check::<DescribeGroupsRequest>(0, &plain_ids(100_000), false);
        // An id that is too long for versions without compact strings.
        let long_id = |bytes: usize| {
            let length = bytes as u32 + 1;
            let varint = [length as u8 | 0x80, (length >> 7) as u8 | 0x80, (length >> 14) as u8];
            [&[2][..], &varint, &vec![b'g'; bytes], &[0, 0]].concat()
        };
        check::<DescribeGroupsRequest>(5, &long_id(STRING_BYTES_MAX), true);
        check::<DescribeGroupsRequest>(5, &long_id(STRING_BYTES_MAX + 1), false);
    }
}
