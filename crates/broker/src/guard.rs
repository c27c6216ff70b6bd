//! Reads a request's fields without believing its lengths.
//!
//! The decoder reserves memory for as many elements as an array claims to have; a claim of two thousand million would end
//! the process. [`decode`] therefore decodes through [`Guarded`], which knows that nothing in a frame is longer than the
//! frame. Variable-length numbers are nearly always lengths: one that is too large ends the decoding. A plain number may
//! also be a limit or a timeout, so it is read smaller than it is: if it was a length, decoding fails, as the frame is too
//! short even for that; if not, the structure is now known to be sound, and the frame is decoded once more as it stands.

use bytes::{Buf, Bytes, TryGetError};
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::buf::ByteBuf;
use std::ops::Range;

/// Numbers up to this are taken as they are: room for so many elements can be reserved without harm.
const HARMLESS: usize = 1 << 20;

/// Decodes a message that may come from anyone; `None` when it is malformed.
pub(crate) fn decode<T: Decodable>(body: &mut Bytes, version: i16) -> Option<T> {
    let mut guarded = Guarded { inner: body.clone(), varint: 0, varint_bytes: 0, sound: false, clamped: false };
    let mut message = T::decode(&mut guarded, version).ok()?;
    if guarded.clamped {
        // The same reader again, so that each message is compiled for one reader only.
        guarded = Guarded { inner: body.clone(), varint: 0, varint_bytes: 0, sound: true, clamped: false };
        message = T::decode(&mut guarded, version).ok()?;
    }
    *body = guarded.inner;
    Some(message)
}

struct Guarded {
    inner: Bytes,
    /// The value so far of a number that goes on in the next byte.
    varint: u64,
    varint_bytes: u32,
    /// The structure is known to be sound: plain numbers are taken as they are.
    sound: bool,
    /// Some plain number was read smaller than it is.
    clamped: bool,
}

impl Guarded {
    /// The largest length that can be meant here: compact lengths are one more than the bytes that follow.
    fn limit(&self) -> usize {
        HARMLESS.max(self.inner.remaining() + 1)
    }

    fn end_varint(&mut self) {
        (self.varint, self.varint_bytes) = (0, 0);
    }
}

impl Buf for Guarded {
    fn remaining(&self) -> usize {
        self.inner.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.inner.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.end_varint();
        self.inner.advance(count);
    }

    fn try_get_i32(&mut self) -> Result<i32, TryGetError> {
        self.end_varint();
        let value = self.inner.try_get_i32()?;
        let limit = if self.sound { i32::MAX } else { i32::try_from(self.limit()).unwrap_or(i32::MAX) };
        self.clamped |= value > limit;
        Ok(value.min(limit))
    }

    fn try_get_u8(&mut self) -> Result<u8, TryGetError> {
        let byte = self.inner.try_get_u8()?;
        self.varint |= u64::from(byte & 0x7f) << (7 * self.varint_bytes).min(56);
        self.varint_bytes += 1;
        if self.varint > self.limit() as u64 {
            return Err(TryGetError { requested: self.varint as usize, available: self.inner.remaining() });
        }
        if byte & 0x80 == 0 {
            self.end_varint();
        }
        Ok(byte)
    }
}

impl ByteBuf for Guarded {
    fn peek_bytes(&mut self, range: Range<usize>) -> Bytes {
        self.inner.slice(range)
    }

    fn get_bytes(&mut self, size: usize) -> Bytes {
        self.end_varint();
        self.inner.split_to(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::{DescribeGroupsRequest, FetchRequest, HeartbeatRequest};

    fn check<T: Decodable>(version: i16, frame: &[u8], sound: bool) {
        let decoded = decode::<T>(&mut Bytes::copy_from_slice(frame), version);
        assert_eq!(decoded.is_some(), sound, "version {version}, {frame:x?}");
    }

    #[test]
    fn impossible_lengths_are_malformed_and_large_numbers_are_not() {
        // An empty list of groups, and claims of far too many.
        check::<DescribeGroupsRequest>(0, &[0, 0, 0, 0], true);
        check::<DescribeGroupsRequest>(0, &[0x7f, 0xff, 0xff, 0xff], false);
        check::<DescribeGroupsRequest>(0, &[0x10, 0, 0, 0, 0, 1, b'g'], false);
        check::<DescribeGroupsRequest>(5, &[1, 0, 0], true);
        check::<DescribeGroupsRequest>(5, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0], false);
        check::<DescribeGroupsRequest>(5, &[0xff, 0xff, 0xff, 0x7f, 0, 0], false);
        // A generation is not a length, nor is a byte limit.
        let beat = &[0, 1, b'g', 0x7f, 0xff, 0xff, 0xff, 0, 1, b'm'];
        check::<HeartbeatRequest>(0, beat, true);
        let read = decode::<HeartbeatRequest>(&mut Bytes::from_static(beat), 0).unwrap();
        assert_eq!((read.generation_id, read.member_id.as_str()), (i32::MAX, "m"));
        let fetch = [&[0xff; 4][..], &[0, 0, 1, 0], &[0, 0, 0, 1], &[0x7f, 0xff, 0xff, 0xff], &[0], &[0; 4]].concat();
        check::<FetchRequest>(4, &fetch, true);
        check::<FetchRequest>(4, &fetch[..fetch.len() - 1], false);
    }
}
