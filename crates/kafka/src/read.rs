//! The executor's reader, on either client.

use crate::choice;
use crate::librdkafka;
use crate::native::NativeReader;
use crate::options::KafkaOptions;
use std::time::Duration;
use tidemill_flow::ports::{Chunk, Read, RecordMetadata};
use tidemill_model::{Error, OffsetRange, Result};

/// A range may make no progress for this long (a broker restarts). Then it is an error.
const STILL_MAX: Duration = Duration::from_secs(30);

/// The error for missing offsets. `what` names them. `there` is the start and the end of the log.
pub(crate) fn lost(what: String, there: Result<(i64, i64)>) -> Error {
    match there {
        Ok((start, end)) => Error::external(format!(
            "{what}: the log holds {start} to {} (retention removed the others, or the topic was created again); \
             start with a new checkpoint, keep records longer, or write fail_on_data_loss = false",
            end - 1
        )),
        Err(error) => error.context(what),
    }
}

/// Where a range is read on whose offsets from `offset` on do not exist, given the start of the log: at the first record
/// that is left of it, or at its end.
pub(crate) fn after_loss(range: &OffsetRange, offset: i64, log_start: i64) -> i64 {
    if offset < log_start { log_start.min(range.end) } else { range.end }
}

/// How a reader goes about its ranges, whichever client it has.
pub(crate) struct ReaderSettings {
    /// Records that are gone are passed over. Otherwise they are an error.
    pub(crate) passes_over_lost: bool,
    /// These parts of each record are delivered too.
    pub(crate) parts: RecordMetadata,
    /// A range may make no progress for this long. Then it is a transient error.
    pub(crate) still_max: Duration,
}

impl Default for ReaderSettings {
    fn default() -> ReaderSettings {
        ReaderSettings { passes_over_lost: false, parts: RecordMetadata::default(), still_max: STILL_MAX }
    }
}

/// A client's reader.
pub(crate) trait RangeReader: Read {
    fn settings(&mut self) -> &mut ReaderSettings;
}

/// Reads ranges of Kafka partitions.
pub struct KafkaReader(Box<dyn RangeReader>);

impl KafkaReader {
    /// A reader with its own client, which connects when it is first used.
    ///
    /// # Errors
    /// User: a wrong option.
    pub fn new(options: &KafkaOptions) -> Result<KafkaReader> {
        Ok(KafkaReader(match choice::chosen(options).is_native {
            true => Box::new(NativeReader::new(options)?),
            false => librdkafka::reader(options)?,
        }))
    }

    /// Makes the reader also deliver these parts of each record.
    #[must_use]
    pub fn with_parts(mut self, parts: RecordMetadata) -> KafkaReader {
        self.0.settings().parts = parts;
        self
    }

    /// Sets how long a range may make no progress before a transient error.
    #[must_use]
    pub fn with_still_max(mut self, still_max: Duration) -> KafkaReader {
        self.0.settings().still_max = still_max;
        self
    }

    /// Makes the reader pass over records that are gone (`fail_on_data_loss = false`). Otherwise they are an error.
    #[must_use]
    pub fn passing_over_lost(mut self, passes: bool) -> KafkaReader {
        self.0.settings().passes_over_lost = passes;
        self
    }
}

impl Read for KafkaReader {
    fn expect(&mut self, ranges: &[OffsetRange]) {
        self.0.expect(ranges);
    }

    fn open(&mut self, range: &OffsetRange) -> Result<()> {
        self.0.open(range)
    }

    fn append(&mut self, chunk: &mut Chunk, records_max: usize) -> Result<bool> {
        self.0.append(chunk, records_max)
    }

    fn waited(&mut self) -> Duration {
        self.0.waited()
    }
}
