//! The envelope of every checkpoint file: a magic word, the format's version, the length and a checksum.
//!
//! ```text
//! "TDML" | kind: u8 | version: u8 | length: u64 LE | payload | crc32c(payload): u32 LE
//! ```
//! A file of a newer version is refused with the way out; a damaged file is an error that names it.

use tidemill_model::{Error, Result};

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Identity and plan of the query (JSON).
    Metadata = 1,
    /// Plan record of a batch (JSON).
    Plan = 2,
    /// Commit record of a batch (JSON).
    Commit = 3,
    /// State, whole.
    Snapshot = 4,
    /// State, what a batch changed.
    Delta = 5,
    /// Positions at which the query began (JSON).
    Start = 6,
}

/// The version that this program writes, of every kind.
pub const VERSION: u8 = 1;

const MAGIC: &[u8; 4] = b"TDML";
pub(crate) const HEADER: usize = 4 + 1 + 1 + 8;

/// Wraps a payload.
pub fn seal(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + payload.len() + 4);
    out.extend_from_slice(MAGIC);
    out.push(kind as u8);
    out.push(VERSION);
    out.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    out
}

/// Unwraps a file's payload; `name` is for the message.
///
/// # Errors
/// User: written by a newer version. External: not such a file, or damaged.
pub fn open<'a>(kind: Kind, name: &str, bytes: &'a [u8]) -> Result<&'a [u8]> {
    let damaged = |what: &str| {
        Error::external(format!(
            "checkpoint file `{name}` {what}; restore the checkpoint directory from a copy, or start with a new one"
        ))
    };
    if bytes.len() < HEADER + 4 || &bytes[..4] != MAGIC || bytes[4] != kind as u8 {
        return Err(damaged("is not what its name says, or is cut off"));
    }
    if bytes[5] > VERSION {
        return Err(Error::user(format!(
            "checkpoint file `{name}` has format version {}, this program knows up to {VERSION}; use the newer program that wrote it",
            bytes[5]
        )));
    }
    let length = u64::from_le_bytes(bytes[6..HEADER].try_into().expect("eight bytes"));
    let payload = &bytes[HEADER..bytes.len() - 4];
    if payload.len() as u64 != length {
        return Err(damaged("is cut off"));
    }
    let crc = u32::from_le_bytes(bytes[bytes.len() - 4..].try_into().expect("four bytes"));
    if crc32c::crc32c(payload) != crc {
        return Err(damaged("fails its checksum"));
    }
    Ok(payload)
}

/// Whether a file of this kind is the beginning of one, or nothing at all.
pub fn is_cut_off(kind: Kind, bytes: &[u8]) -> bool {
    let begins_well = bytes.iter().zip(MAGIC.iter().chain([&(kind as u8)])).all(|(byte, expected)| byte == expected);
    let length = bytes.get(6..HEADER).map(|length| u64::from_le_bytes(length.try_into().expect("eight bytes")));
    let whole = length.and_then(|length| length.checked_add(HEADER as u64 + 4));
    begins_well && whole.is_none_or(|whole| (bytes.len() as u64) < whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_damage_is_seen() {
        let sealed = seal(Kind::Plan, b"payload");
        assert_eq!(open(Kind::Plan, "p", &sealed).unwrap(), b"payload");
        assert!(open(Kind::Commit, "p", &sealed).is_err());
        assert!(!is_cut_off(Kind::Plan, &sealed) && !is_cut_off(Kind::Commit, &sealed[..8]));
        for cut in 0..sealed.len() {
            assert!(open(Kind::Plan, "p", &sealed[..cut]).is_err(), "cut at {cut}");
            assert!(is_cut_off(Kind::Plan, &sealed[..cut]), "cut at {cut}");
        }
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 0x40;
            assert!(open(Kind::Plan, "p", &flipped).is_err(), "flipped at {at}");
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut sealed = seal(Kind::Plan, b"payload");
        sealed[5] = VERSION + 1;
        let error = open(Kind::Plan, "plans/7", &sealed).unwrap_err();
        assert!(error.message().contains("`plans/7` has format version 2"), "{error}");
    }
}
