//! The native client: what any broker may answer.

use super::{Target, signature};
use tidemill_client::fuzz::{Shape, answer, batches, fetch_answer};

/// The records of a partition. The first byte says whether only committed ones are wanted.
pub const BATCHES: Target = Target {
    name: "client-batches",
    about: "a partition's record batches as the client reads them, under each codec",
    input_bytes_max: 16 << 10,
    memory_mib_max: 256,
    start: || Box::new(|input| shape(input, |mode, bytes| batches(bytes, mode & 1 == 1))),
};

/// An answer to Fetch. The first byte says whether topics have ids, and whether only committed records are wanted.
pub const FETCHES: Target = Target {
    name: "client-fetches",
    about: "an answer to Fetch, up to the records and their headers",
    input_bytes_max: 16 << 10,
    memory_mib_max: 256,
    start: || {
        Box::new(|input| {
            shape(input, |mode, bytes| fetch_answer(bytes, if mode & 2 == 0 { 12 } else { 13 }, mode & 1 == 1))
        })
    },
};

/// Any other answer. The first bytes are its kind and its version.
pub const ANSWERS: Target = Target {
    name: "client-answers",
    about: "an answer to any other request of the client, in every version",
    input_bytes_max: 16 << 10,
    memory_mib_max: 256,
    start: || {
        Box::new(|input| {
            let [kind, version, body @ ..] = input else { return 0 };
            let text = answer(*kind, i16::from(*version), body);
            // Answers of the same kind, version and length are much the same.
            signature((kind, version, text.map(|text| text.len() / 16)))
        })
    },
};

/// Reads what follows the first byte, the mode. Errors differ by their words without the numbers in them.
fn shape(input: &[u8], read: impl FnOnce(u8, &[u8]) -> Result<Shape, String>) -> u64 {
    let Some((mode, bytes)) = input.split_first() else { return 0 };
    let read = read(*mode, bytes);
    let words = |error: String| error.replace(|letter: char| letter.is_ascii_digit(), "");
    signature(read.map(|(records, bytes, headers)| (records, bytes.next_power_of_two(), headers)).map_err(words))
}
