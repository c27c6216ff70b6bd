//! A segment: one file of the log. Records are appended only to the newest segment.
//!
//! ```text
//! "TIDEMILL" | version: u8 | record | record | …
//! ```

use crate::record::{self, Kind, Record, decode, encode};
use tidemill_model::{Error, Result};

/// The folder of the segments.
pub const FOLDER: &str = "log";

/// Format version of segments, records and snapshots that this program writes.
pub const VERSION: u8 = 4;

const MAGIC: &[u8; 8] = b"TIDEMILL";

/// Bytes before the first record.
pub(crate) const HEADER: usize = MAGIC.len() + 1;

/// The bytes before the first record.
pub(crate) fn header() -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.push(VERSION);
    header
}

/// The segment's file name.
pub(crate) fn name(number: u64) -> String {
    format!("{FOLDER}/{number:020}")
}

/// The records of a segment that count.
#[derive(Debug, PartialEq)]
pub(crate) struct Contents<'a> {
    pub(crate) records: Vec<Record<'a>>,
    /// Bytes up to the end of the last record that counts; 0 if not even the header does.
    pub(crate) length: u64,
}

/// Reads a segment. `sealed` is the number of its bytes that count, as the next segment states it. Without it, the
/// segment is the newest: its end may be broken, because the machine died while it was written and nobody relied on it.
///
/// # Errors
/// User: another format version. External: damage to durable bytes.
pub(crate) fn read<'a>(name: &str, bytes: &'a [u8], sealed: Option<u64>) -> Result<Contents<'a>> {
    let counted = match sealed {
        Some(length) => usize::try_from(length).ok().and_then(|length| bytes.get(..length)).ok_or_else(|| cut(name))?,
        None => bytes,
    };
    if !begins_well(counted) {
        return Err(Error::external(format!("`{name}` is no segment of a log; {WAY_OUT}")));
    }
    match counted.get(MAGIC.len()) {
        None if sealed.is_none() => return Ok(Contents { records: Vec::new(), length: 0 }),
        None => return Err(cut(name)),
        Some(version) => check_version(name, *version)?,
    }
    let mut records = Vec::new();
    let mut at = HEADER;
    while let Some(record) = decode(counted, at) {
        at = record.end;
        records.push(record);
    }
    if at < counted.len() && (sealed.is_some() || relied_on(counted, at)) {
        return Err(Error::external(format!("`{name}` fails its checksum at byte {at}; {WAY_OUT}")));
    }
    Ok(Contents { records, length: at as u64 })
}

/// Refuses a file of another format.
pub(crate) fn check_version(name: &str, version: u8) -> Result<()> {
    let way_out = match version {
        VERSION => return Ok(()),
        newer if newer > VERSION => "use the newer program that wrote it",
        _ => "start with a new directory",
    };
    Err(Error::user(format!(
        "checkpoint file `{name}` has format version {version}, this program reads version {VERSION}; {way_out}"
    )))
}

/// What a user can do about damage.
pub(crate) const WAY_OUT: &str = "restore the checkpoint directory from a copy, or start with a new one";

fn cut(name: &str) -> Error {
    Error::external(format!("`{name}` is cut off; {WAY_OUT}"))
}

/// The records of a whole segment, for tools that show or build a log.
///
/// # Errors
/// User: another format version. External: damage.
pub fn records(name: &str, bytes: &[u8]) -> Result<Vec<(Kind, Vec<u8>)>> {
    let contents = read(name, bytes, None)?;
    Ok(contents.records.iter().map(|record| (record.kind, record.payload.to_vec())).collect())
}

/// A segment of these records; none claims to be durable.
pub fn of_records(records: &[(Kind, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = header();
    records.iter().for_each(|(kind, payload)| encode(&mut bytes, *kind, 0, &[payload]));
    bytes
}

/// Corrects the header, and the checksum of every record. A length beyond the end becomes what is left. For fuzzing.
#[doc(hidden)]
pub fn reseal(bytes: &mut [u8]) {
    let header = header();
    let Some(begin) = bytes.get_mut(..HEADER) else { return };
    begin.copy_from_slice(&header);
    let mut at = HEADER;
    while let Some(end) = record::reseal(bytes, at) {
        at = end;
    }
}

/// Whether the bytes are a segment or the beginning of one.
fn begins_well(bytes: &[u8]) -> bool {
    bytes.iter().zip(MAGIC).all(|(byte, expected)| byte == expected)
}

/// Whether a record after a broken one states that the broken place was durable.
fn relied_on(bytes: &[u8], broken: usize) -> bool {
    (broken + 1..bytes.len()).any(|at| decode(bytes, at).is_some_and(|record| record.durable > broken as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three records, and where each ends. The last record states that the first is durable.
    fn segment() -> (Vec<u8>, Vec<usize>) {
        let mut bytes = header();
        let mut ends = Vec::new();
        for (kind, durable) in [(Kind::Base, 0), (Kind::Plan, 0), (Kind::Commit, 1)] {
            let durable = if durable == 0 { 0 } else { ends[0] as u64 };
            encode(&mut bytes, kind, durable, &[b"payload"]);
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn a_broken_end_does_not_count() {
        let (bytes, ends) = segment();
        let whole = read("s", &bytes, None).unwrap();
        assert_eq!((whole.records.len(), whole.length), (3, bytes.len() as u64));
        for cut in 0..bytes.len() {
            let read = read("s", &bytes[..cut], None).unwrap();
            assert_eq!(read.records.len(), ends.iter().filter(|end| **end <= cut).count(), "cut at {cut}");
        }
        let mut zeros = bytes.clone();
        zeros.extend_from_slice(&[0; 100]);
        assert_eq!(read("s", &zeros, None).unwrap(), whole);
    }

    #[test]
    fn what_was_durable_must_be_whole() {
        let (bytes, ends) = segment();
        let check = |at: usize, sealed: Option<u64>, expected: Result<usize, &str>| {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            let found = read("log/7", &flipped, sealed).map(|contents| contents.records.len());
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "at {at}"),
                (Err(error), Err(words)) => assert!(error.message().contains(words), "{error}"),
                (found, expected) => panic!("{found:?} instead of {expected:?} at {at}"),
            }
        };
        check(HEADER + 8, None, Err("`log/7` fails its checksum at byte 9; restore"));
        check(ends[0] + 3, None, Ok(1));
        check(ends[1] + 3, None, Ok(2));
        check(ends[1] + 3, Some(ends[2] as u64), Err("fails its checksum"));
        check(ends[1] + 3, Some(ends[1] as u64), Ok(2));
        check(0, None, Err("is no segment of a log"));
        assert!(read("s", &bytes, Some(bytes.len() as u64 + 1)).unwrap_err().message().contains("`s` is cut off"));
        assert!(read("s", b"", Some(0)).is_err());
    }

    #[test]
    fn a_resealed_segment_passes_every_checksum() {
        let (bytes, ends) = segment();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 2;
            reseal(&mut changed);
            let kinds_and_lengths = ends.iter().any(|end| (end - 7 - 17..end - 7).contains(&at));
            let found = read("s", &changed, None);
            assert!(kinds_and_lengths || found.unwrap().records.len() == 3, "changed at {at}");
        }
        (0..HEADER).for_each(|length| reseal(&mut vec![0xff; length]));
    }

    #[test]
    fn another_version_is_named() {
        let (mut bytes, _) = segment();
        for (version, way_out) in [(3, "start with a new directory"), (5, "use the newer program that wrote it")] {
            bytes[8] = version;
            let error = read("log/7", &bytes, None).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            let expected = format!("`log/7` has format version {version}, this program reads version 4; {way_out}");
            assert!(error.message().contains(&expected), "{error}");
        }
    }
}
