//! Counts the list elements of a request before the request is decoded.
//!
//! The decoder reserves memory for as many elements as a list claims to have. So a list needs a limit, but a field of
//! bytes may be as long as its frame. A length on the wire does not tell which of the two it belongs to. For the few
//! requests that have both, this module describes the fields and walks them first.

use kafka_protocol::messages::ApiKey;

/// One field of a request.
#[derive(Clone, Debug)]
enum Field {
    /// This many bytes.
    Fixed(usize),
    Text,
    Bytes,
    List(Vec<Field>),
    Tags,
}
use Field::{Bytes, Fixed, List, Tags, Text};

/// The number of elements in all lists of a request; 0 for a request that carries no bytes. `None` if the request is
/// malformed or has more than `elements_max` elements.
pub(crate) fn elements(key: ApiKey, version: i16, body: &[u8], elements_max: usize) -> Option<usize> {
    let (fields, first_compact_version) = fields(key, version);
    let compact = version >= first_compact_version;
    let mut walk = Walk { rest: body, compact, elements: 0, elements_max };
    walk.fields(&fields)?;
    Some(walk.elements)
}

/// The fields of a request, and the first version with compact lengths and tags. No fields if it carries no bytes.
fn fields(key: ApiKey, version: i16) -> (Vec<Field>, i16) {
    let from = |first: i16, field: Field| (version >= first).then_some(field);
    match key {
        ApiKey::Produce => {
            let topic = vec![Text, List(vec![Fixed(4), Bytes, Tags]), Tags];
            (vec![Text, Fixed(2), Fixed(4), List(topic), Tags], 9)
        }
        ApiKey::JoinGroup => {
            let head = [Some(Text), Some(Fixed(4)), from(1, Fixed(4)), Some(Text), from(5, Text), Some(Text)];
            let tail = [Some(List(vec![Text, Bytes, Tags])), from(8, Text), Some(Tags)];
            (head.into_iter().chain(tail).flatten().collect(), 6)
        }
        ApiKey::SyncGroup => {
            let head = [Some(Text), Some(Fixed(4)), Some(Text), from(3, Text), from(5, Text), from(5, Text)];
            let tail = [Some(List(vec![Text, Bytes, Tags])), Some(Tags)];
            (head.into_iter().chain(tail).flatten().collect(), 4)
        }
        _ => (Vec::new(), 0),
    }
}

struct Walk<'a> {
    rest: &'a [u8],
    compact: bool,
    elements: usize,
    elements_max: usize,
}

impl Walk<'_> {
    fn fields(&mut self, fields: &[Field]) -> Option<()> {
        fields.iter().try_for_each(|field| self.field(field))
    }

    fn field(&mut self, field: &Field) -> Option<()> {
        match field {
            Fixed(count) => self.skip(*count),
            Text => self.length(2).and_then(|length| self.skip(length)),
            Bytes => self.length(4).and_then(|length| self.skip(length)),
            List(element) => {
                let count = self.length(4)?;
                self.elements = self.elements.checked_add(count).filter(|elements| *elements <= self.elements_max)?;
                (0..count).try_for_each(|_| self.fields(element))
            }
            Tags if self.compact => {
                let count = self.varint()?;
                (0..count).try_for_each(|_| {
                    self.varint()?;
                    let length = self.varint()?;
                    self.skip(usize::try_from(length).ok()?)
                })
            }
            Tags => Some(()),
        }
    }

    /// Reads a length: compact, or of this many bytes. The length of null is 0.
    fn length(&mut self, bytes: usize) -> Option<usize> {
        if self.compact {
            return usize::try_from(self.varint()?.saturating_sub(1)).ok();
        }
        let (length, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        let value = length.iter().fold(0i64, |value, byte| value << 8 | i64::from(*byte));
        let is_negative = length[0] >= 0x80;
        Some(if is_negative { 0 } else { usize::try_from(value).ok()? })
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.rest = self.rest.get(count..)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `conformance.py` sends every version. This test covers both encodings, truncated requests and too many elements.
    #[test]
    fn elements_are_counted() {
        let check = |key, version, parts: &[&[u8]], expected: usize| {
            let body = parts.concat();
            let count = |body: &[u8], max| elements(key, version, body, max);
            assert_eq!(count(&body, 100), Some(expected), "{key:?} {version}");
            assert_eq!(count(&body[..body.len() - 1], 100), None, "{key:?} {version}, truncated");
            assert_eq!(count(&body, expected - 1), None, "{key:?} {version}, too many");
        };
        let partition: &[u8] = &[0, 0, 0, 7, 0, 0, 0, 2, 9, 9];
        let topic = [&[0, 1, b't', 0, 0, 0, 2], partition, partition].concat();
        check(ApiKey::Produce, 3, &[&[0xff, 0xff, 0, 1, 0, 0, 1, 0], &[0, 0, 0, 2], &topic, &topic], 6);
        let partition: &[u8] = &[0, 0, 0, 7, 3, 9, 9, 0];
        let topic = [&[2, b't', 3], partition, partition, &[0]].concat();
        check(ApiKey::Produce, 9, &[&[0, 0, 1, 0, 0, 1, 0], &[3], &topic, &topic, &[0]], 6);
        let tags: &[u8] = &[1, 5, 2, 8, 8];
        check(ApiKey::JoinGroup, 0, &[&[0, 1, b'g'], &[0; 4], &[0; 4], &[0, 0, 0, 1], &[0, 1, b's', 0, 0, 0, 1, 7]], 1);
        check(ApiKey::JoinGroup, 9, &[&[2, b'g'], &[0; 8], &[1, 0, 1, 2], &[2, b's', 2, 7], tags, &[0], tags], 1);
        check(
            ApiKey::SyncGroup,
            3,
            &[&[0, 1, b'g'], &[0; 4], &[0, 0, 0xff, 0xff], &[0, 0, 0, 1], &[0, 0, 0, 0, 0, 1, 7]],
            1,
        );
        check(ApiKey::SyncGroup, 5, &[&[2, b'g'], &[0; 4], &[1, 0, 0, 0], &[2, 1, 2, 7], tags, tags], 1);
    }

    #[test]
    fn a_list_is_never_longer_than_its_bound() {
        let long = [0xff, 0xff, 0, 1, 0, 0, 1, 0, 0x7f, 0xff, 0xff, 0xff];
        assert_eq!(elements(ApiKey::Produce, 3, &long, 100), None);
        assert_eq!(elements(ApiKey::Metadata, 12, &[0xff; 9], 0), Some(0), "a request that carries no bytes");
    }
}
