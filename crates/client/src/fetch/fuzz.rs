//! Reads answers to Fetch without a socket, for fuzzing.

use super::Fetcher;
use super::transactions::Aborted;
use super::wire::{self, PartitionAnswer};
use crate::settings::Settings;
use std::sync::Arc;

/// What was read: records, bytes of their keys and values, headers.
pub type Shape = (u64, usize, u64);

/// Reads an answer to Fetch. The records of partition 0 are delivered, whatever their topic is called.
///
/// # Errors
/// What the client says of it.
pub fn fetch_answer(answer: &[u8], version: i16, committed_only: bool) -> Result<Shape, String> {
    let mut parts = Vec::new();
    let head = wire::read(answer, version, |_, part, aborted| {
        if part.partition == 0 {
            parts.push((part, Aborted::new(aborted)));
        }
    });
    head.map_err(|_| "it does not decode".to_owned())?;
    deliver(answer, parts, committed_only)
}

/// Reads a partition's batches, from offset 0 on.
///
/// # Errors
/// What the client says of them.
pub fn batches(bytes: &[u8], committed_only: bool) -> Result<Shape, String> {
    let (code, log_start, records) = (0, 0, 0..bytes.len());
    let part =
        PartitionAnswer { partition: 0, code, high_watermark: i64::MAX, last_stable: i64::MAX, log_start, records };
    deliver(bytes, vec![(part, Aborted::new(&[(1, 0)]))], committed_only)
}

fn deliver(frame: &[u8], parts: Vec<(PartitionAnswer, Aborted)>, committed_only: bool) -> Result<Shape, String> {
    let mut settings = Settings::new("localhost:1");
    // An input with a right checksum is never found.
    (settings.fetch.check_crcs, settings.fetch.committed_only) = (false, committed_only);
    let mut fetcher = Fetcher::new(settings).map_err(|error| error.to_string())?;
    let slot = fetcher.add("t", 0, 0, i64::MAX);
    fetcher.frame = Arc::new(frame.to_vec());
    for (part, aborted) in parts {
        let asked = Some(fetcher.position(slot));
        fetcher.take_part(slot, part, aborted, asked, 0).map_err(|fault| format!("{fault:?}"))?;
    }
    let (mut records, mut bytes, mut headers) = (0, 0, 0);
    while fetcher.next_batch(slot).map_err(|error| error.to_string())? {
        let mut counted = Ok(());
        let read = fetcher.each_record(i64::MAX, |record| {
            records += 1;
            bytes += record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
            counted = record.each_header(|name, value| {
                headers += 1;
                bytes += name.len() + value.map_or(0, <[u8]>::len);
            });
            counted.is_ok()
        });
        read.map_err(|error| error.to_string())?;
        counted.map_err(|_| "a header is malformed".to_owned())?;
    }
    Ok((records, bytes, headers))
}
