//! A checkpoint whose log is one segment. Checksums are corrected first, so that mutations reach what is behind them.

use super::{Target, signature};
use std::io;
use std::sync::Arc;
use tidemill_checkpoint::disk::{Disk, DiskFile};
use tidemill_checkpoint::{inspect, record, segment};

/// Reading a checkpoint.
pub const SEGMENTS: Target = Target {
    name: "checkpoint",
    about: "a segment of a checkpoint's log, with valid checksums",
    input_bytes_max: 16 << 10,
    memory_mib_max: 128,
    start: || {
        Box::new(|input| {
            let mut bytes = input.to_vec();
            segment::reseal(&mut bytes);
            let records = segment::records("log/0", &bytes).unwrap_or_default();
            let kinds: Vec<u8> = records.iter().map(|(kind, _)| *kind as u8).collect();
            let batches: Vec<bool> =
                records.iter().map(|(kind, payload)| record::batch(*kind, payload).is_some()).collect();
            match inspect(&OneSegment(bytes)) {
                Ok(found) => {
                    let (deltas, plans) = (found.recovered.deltas.len(), found.recovered.replay.len());
                    signature((kinds, batches, deltas, plans, found.recovered.committed.is_some()))
                }
                // Without figures: they differ from place to place.
                Err(error) => {
                    let message = error.message().replace(|c: char| c.is_ascii_digit(), "");
                    signature((kinds, batches, message))
                }
            }
        })
    },
};

/// A disk with one file, the first segment. It is only read.
struct OneSegment(Vec<u8>);

const SEGMENT: &str = "00000000000000000000";

impl Disk for OneSegment {
    fn place(&self, name: &str) -> String {
        name.to_owned()
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        Ok(if folder == segment::FOLDER { vec![SEGMENT.to_owned()] } else { Vec::new() })
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(name.ends_with(SEGMENT).then(|| self.0.clone()))
    }

    fn make_folder(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn create(&self, _: &str) -> io::Result<Arc<dyn DiskFile>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_folder(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
