//! A simple scan of a topic, record by record, from its first record to its end at the start of the scan.
//!
//! It is the reference in checks, so it shares no code with [`crate::KafkaReader`] but the clients. Of librdkafka it uses
//! rdkafka's consumer; of the native client a fetcher of its own.

use crate::admin;
use crate::choice;
use crate::librdkafka;
use crate::options::KafkaOptions;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use tidemill_client::fetch::Slot;
use tidemill_client::{Fetcher, Stop};
use tidemill_flow::ports::Extents;
use tidemill_model::{Error, Result};

/// The scan may make no progress for this long. Then it is an error.
pub(crate) const STILL_MAX: Duration = Duration::from_secs(30);

/// Calls `record(partition, offset, timestamp_ms, key, value)` for every record that the topic holds at the start of
/// the call, in the order of each partition, until the callback breaks. A record without a timestamp has −1. Returns
/// the extents.
///
/// # Errors
/// Transient: no broker answers. External: the topic cannot be read.
pub fn scan(
    options: &KafkaOptions,
    topic: &str,
    mut record: impl FnMut(i32, i64, i64, Option<&[u8]>, Option<&[u8]>) -> ControlFlow<()>,
) -> Result<Extents> {
    let extents = admin::extents(options, topic)?;
    match choice::chosen(options).is_native {
        true => native(options, topic, &extents, &mut record)?,
        false => librdkafka::scan(options, topic, &extents, &mut record)?,
    }
    Ok(extents)
}

/// [`scan`]'s callback.
pub(crate) type OnRecord<'a> = &'a mut dyn FnMut(i32, i64, i64, Option<&[u8]>, Option<&[u8]>) -> ControlFlow<()>;

fn native(options: &KafkaOptions, topic: &str, extents: &Extents, record: OnRecord<'_>) -> Result<()> {
    let mut fetcher = Fetcher::new(choice::settings(options)?)?;
    let there = extents.iter().filter(|(_, there)| there.start < there.end);
    let mut open: Vec<(i32, i64, Slot)> = there
        .map(|(id, there)| (id.partition, there.end, fetcher.add(topic, id.partition, there.start, there.end)))
        .collect();
    let (mut moved, mut before) = (Instant::now(), 0);
    while !open.is_empty() {
        fetcher.poll(Duration::from_millis(500))?;
        for (partition, end, slot) in &open {
            if fetcher.is_out_of_range(*slot) {
                return Err(Error::external(format!(
                    "topic `{topic}` cannot be read: records of partition {partition} are gone; try again"
                )));
            }
            while fetcher.next_batch(*slot)? {
                let stop = fetcher.each_record(*end, |found| {
                    record(*partition, found.offset, found.timestamp, found.key, found.value).is_continue()
                })?;
                if stop == Stop::Full {
                    return Ok(());
                }
            }
        }
        open.retain(|(_, end, slot)| fetcher.position(*slot) < *end);
        // An answer without records is no progress.
        let now: i64 = open.iter().map(|(_, _, slot)| fetcher.position(*slot)).sum();
        if now != before {
            (moved, before) = (Instant::now(), now);
        }
        if moved.elapsed() > STILL_MAX {
            return Err(fetcher.trouble().unwrap_or_else(|| options.unreachable("a scan", None)));
        }
    }
    Ok(())
}
