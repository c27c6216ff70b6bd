//! Segments of a checkpoint's log.

use super::{Target, signature};
use tidemill_checkpoint::segment;

/// Reading a segment's records.
pub const SEGMENTS: Target = Target {
    name: "checkpoint",
    about: "a segment of a checkpoint's log",
    input_bytes_max: 16 << 10,
    memory_mib_max: 128,
    start: || {
        Box::new(|input| match segment::records("log/0", input) {
            Ok(records) => signature(records.iter().map(|(kind, _)| *kind as u8).collect::<Vec<_>>()),
            // Without figures: they differ from place to place.
            Err(error) => signature(error.message().replace(|c: char| c.is_ascii_digit(), "")),
        })
    },
};
