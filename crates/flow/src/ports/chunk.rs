//! Records on their way from a reader to the decoder.

use std::ops::Range;
use std::sync::Arc;
use tidemill_decode::Values;

/// A chunk that holds so many bytes of values takes no further record.
pub const CHUNK_BYTES: usize = 8 << 20;

/// Values in one buffer, some of them absent.
#[derive(Debug, Default)]
pub struct ByteColumn {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    absent: Vec<bool>,
}

impl ByteColumn {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// One value; `None` if absent.
    pub fn get(&self, at: usize) -> Option<&[u8]> {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        (!self.absent[at]).then(|| &self.bytes[start..self.ends[at]])
    }

    /// Appends a value.
    pub fn push(&mut self, value: Option<&[u8]>) {
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.ends.push(self.bytes.len());
        self.absent.push(value.is_none());
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.absent.clear();
    }
}

/// What a reader delivers of each record beside value, offset and timestamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordMetadata {
    /// [`Chunk::keys`].
    pub keys: bool,
    /// [`Chunk::timestamp_types`].
    pub timestamp_types: bool,
    /// [`Chunk::header_names`] and the like.
    pub headers: bool,
}

/// Records of one partition in offset order. Their values are in the buffers that they arrived in, or in one of the
/// chunk's own.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Values that were copied.
    own: Vec<u8>,
    /// Buffers that hold values.
    held: Vec<Arc<Vec<u8>>>,
    values: Vec<ValueAt>,
    /// Bytes of all values.
    value_bytes: usize,
    /// Each record's offset, ascending.
    pub offsets: Vec<i64>,
    /// Each record's Kafka timestamp in ms; −1 if it has none.
    pub timestamps: Vec<i64>,
    /// Each record's key. This and the columns below are empty unless the reader delivers them ([`RecordMetadata`]).
    pub keys: ByteColumn,
    /// Who set each record's timestamp: 0 the producer, 1 the broker, −1 nobody.
    pub timestamp_types: Vec<i32>,
    /// End of each record's headers in `header_names` and `header_values`.
    pub header_ends: Vec<usize>,
    /// Names of the headers.
    pub header_names: ByteColumn,
    /// Values of the headers.
    pub header_values: ByteColumn,
}

/// A buffer that holds values of a [`Chunk`]: one of those it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer(u32);

impl Buffer {
    /// The chunk's own.
    const OWN: Buffer = Buffer(u32::MAX);
    /// There is no value.
    const NONE: Buffer = Buffer(u32::MAX - 1);
}

#[derive(Clone, Copy, Debug)]
struct ValueAt {
    buffer: Buffer,
    start: usize,
    end: usize,
}

impl Chunk {
    /// Whether it may take one more record, of at most so many.
    #[inline]
    pub fn has_room(&self, records_max: usize) -> bool {
        self.len() < records_max && self.byte_size() < CHUNK_BYTES
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether it holds no record.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Value of one record; `None` if absent.
    #[inline]
    pub fn value(&self, record: usize) -> Option<&[u8]> {
        let ValueAt { buffer, start, end } = self.values[record];
        let bytes = match buffer {
            Buffer::OWN => &self.own,
            Buffer::NONE => return None,
            Buffer(held) => &*self.held[held as usize],
        };
        Some(&bytes[start..end])
    }

    /// Appends a record; copies its value.
    pub fn push(&mut self, offset: i64, timestamp: i64, value: Option<&[u8]>) {
        let start = self.own.len();
        self.own.extend_from_slice(value.unwrap_or_default());
        let buffer = if value.is_some() { Buffer::OWN } else { Buffer::NONE };
        self.push_held(offset, timestamp, buffer, start..self.own.len());
    }

    /// Keeps a buffer until the chunk is cleared, so that values need not be copied out of it.
    pub fn hold(&mut self, buffer: &Arc<Vec<u8>>) -> Buffer {
        if self.held.last().is_none_or(|last| !Arc::ptr_eq(last, buffer)) {
            self.held.push(Arc::clone(buffer));
        }
        Buffer(self.held.len() as u32 - 1)
    }

    /// Appends a record whose value is at this place of a buffer from [`Chunk::hold`].
    #[inline]
    pub fn push_held(&mut self, offset: i64, timestamp: i64, buffer: Buffer, place: Range<usize>) {
        self.value_bytes += place.len();
        self.values.push(ValueAt { buffer, start: place.start, end: place.end });
        self.offsets.push(offset);
        self.timestamps.push(timestamp);
    }

    /// Removes all records; keeps the memory.
    pub fn clear(&mut self) {
        self.own.clear();
        self.held.clear();
        self.values.clear();
        self.value_bytes = 0;
        self.offsets.clear();
        self.timestamps.clear();
        self.keys.clear();
        self.timestamp_types.clear();
        self.header_ends.clear();
        self.header_names.clear();
        self.header_values.clear();
    }

    /// Bytes of all values.
    pub fn value_bytes(&self) -> usize {
        self.value_bytes
    }

    /// Bytes of all values, keys and headers.
    #[inline]
    pub fn byte_size(&self) -> usize {
        self.value_bytes + self.keys.bytes.len() + self.header_names.bytes.len() + self.header_values.bytes.len()
    }
}

impl Values for Chunk {
    fn len(&self) -> usize {
        self.len()
    }

    #[inline]
    fn value(&self, record: usize) -> Option<&[u8]> {
        self.value(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_copied_or_held() {
        let frames = [Arc::new(b"-first-second-".to_vec()), Arc::new(b"third".to_vec())];
        let mut chunk = Chunk::default();
        for _ in 0..2 {
            let first = chunk.hold(&frames[0]);
            chunk.push_held(3, 30, first, 1..6);
            chunk.push(4, 40, Some(b"copied"));
            chunk.push(5, 50, None);
            assert_eq!(chunk.hold(&frames[0]), first, "a buffer is held once");
            chunk.push_held(6, 60, first, 7..13);
            let second = chunk.hold(&frames[1]);
            chunk.push_held(7, 70, second, 0..5);
            chunk.push_held(8, 80, second, 5..5);
            let values: Vec<Option<&str>> =
                (0..chunk.len()).map(|at| chunk.value(at).map(|value| str::from_utf8(value).unwrap())).collect();
            assert_eq!(values, [Some("first"), Some("copied"), None, Some("second"), Some("third"), Some("")]);
            assert_eq!((&chunk.offsets[..], chunk.timestamps[5]), (&[3, 4, 5, 6, 7, 8][..], 80));
            assert_eq!((chunk.value_bytes(), chunk.byte_size()), (22, 22));
            assert_eq!(Arc::strong_count(&frames[1]), 2);
            chunk.clear();
            assert_eq!((chunk.len(), chunk.byte_size(), Arc::strong_count(&frames[0])), (0, 0, 1));
        }
    }
}
