//! The executor's reader, on either client.

use crate::choice;
use crate::librdkafka_read::LibrdkafkaReader;
use crate::native::NativeReader;
use crate::options::KafkaOptions;
use std::time::Duration;
use tidemill_flow::ports::{Chunk, Read, RecordMetadata};
use tidemill_model::{Error, OffsetRange, Result};

/// A range may make no progress for this long (a broker restarts). Then it is an error.
pub(crate) const STILL_MAX: Duration = Duration::from_secs(30);

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

/// Reads ranges of Kafka partitions.
pub struct KafkaReader(Inner);

enum Inner {
    Native(Box<NativeReader>),
    Librdkafka(LibrdkafkaReader),
}

impl KafkaReader {
    /// A reader with its own client, which connects when it is first used.
    ///
    /// # Errors
    /// User: a wrong option.
    pub fn new(options: &KafkaOptions) -> Result<KafkaReader> {
        Ok(KafkaReader(match choice::chosen(options).is_native {
            true => Inner::Native(Box::new(NativeReader::new(options)?)),
            false => Inner::Librdkafka(LibrdkafkaReader::new(options)?),
        }))
    }

    /// Makes the reader also deliver these parts of each record.
    #[must_use]
    pub fn with_parts(self, parts: RecordMetadata) -> KafkaReader {
        KafkaReader(match self.0 {
            Inner::Native(reader) => Inner::Native(Box::new(reader.with_parts(parts))),
            Inner::Librdkafka(reader) => Inner::Librdkafka(reader.with_parts(parts)),
        })
    }

    /// Sets how long a range may make no progress before a transient error.
    #[must_use]
    pub fn with_still_max(self, still_max: Duration) -> KafkaReader {
        KafkaReader(match self.0 {
            Inner::Native(reader) => Inner::Native(Box::new(reader.with_still_max(still_max))),
            Inner::Librdkafka(reader) => Inner::Librdkafka(reader.with_still_max(still_max)),
        })
    }

    /// Makes the reader pass over records that are gone (`fail_on_data_loss = false`). Otherwise they are an error.
    #[must_use]
    pub fn passing_over_lost(self, passes: bool) -> KafkaReader {
        KafkaReader(match self.0 {
            Inner::Native(reader) => Inner::Native(Box::new(reader.passing_over_lost(passes))),
            Inner::Librdkafka(reader) => Inner::Librdkafka(reader.passing_over_lost(passes)),
        })
    }

    fn inner(&mut self) -> &mut dyn Read {
        match &mut self.0 {
            Inner::Native(reader) => reader.as_mut(),
            Inner::Librdkafka(reader) => reader,
        }
    }
}

impl Read for KafkaReader {
    fn expect(&mut self, ranges: &[OffsetRange]) {
        self.inner().expect(ranges);
    }

    fn open(&mut self, range: &OffsetRange) -> Result<()> {
        self.inner().open(range)
    }

    fn next(&mut self, chunk: &mut Chunk, records_max: usize) -> Result<bool> {
        self.inner().next(chunk, records_max)
    }

    fn waited(&mut self) -> Duration {
        self.inner().waited()
    }
}
