//! The embedded broker: any frame of any client, and any record batch whose checksum is right.

use super::{Target, signature};
use tempfile::TempDir;
use tidemill_broker::fuzz::{FrameServer, check_batch};

/// Decoding, serving and answering of requests.
pub const FRAMES: Target = Target {
    name: "broker-frames",
    about: "a request to the embedded broker, and the answer to it",
    input_bytes_max: 64 << 10,
    memory_mib_max: 256,
    start: || {
        let dir: TempDir = tempfile::tempdir().expect("a temporary directory");
        let server = FrameServer::start(dir.path());
        Box::new(move |input| {
            // The directory lives as long as the server.
            let _dir = &dir;
            let answer = server.answer(input);
            // Which request it was, and the answer's size and first bytes.
            let kind = input.get(..4);
            signature((
                kind,
                answer.as_ref().map(|answer| (answer.len().ilog2(), answer.get(8..24).map(<[u8]>::to_vec))),
            ))
        })
    },
};

/// The checks of a produced batch.
pub const BATCHES: Target = Target {
    name: "broker-batches",
    about: "a record batch as a producer sends it, under each codec",
    input_bytes_max: 16 << 10,
    memory_mib_max: 128,
    start: || Box::new(|input| signature(check_batch(input))),
};
