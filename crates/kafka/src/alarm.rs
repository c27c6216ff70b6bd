//! The alarm: a fetch that waits at the end of every partition, so that the watch notices an append at once.

use crate::choice;
use crate::librdkafka;
use crate::native::NativeAlarm;
use crate::options::KafkaOptions;
use std::time::Duration;
use tidemill_flow::ports::Extents;
use tidemill_model::Result;

/// Wakes at an append to any of some partitions.
pub(crate) trait Alarm: Send {
    /// Waits at these ends from now on.
    fn set(&mut self, seen: &Extents);

    /// Moves the alarm to these ends, since a poll has seen more records.
    fn advance(&mut self, seen: &Extents);

    /// Waits up to `wait` for an append. Returns whether there was one.
    ///
    /// # Errors
    /// Errors that waiting does not solve: no right to read the topic.
    fn wait(&mut self, wait: Duration) -> Result<bool>;

    /// Whether a fetch waits for every partition, so that no append is missed.
    fn is_set(&self) -> bool;

    /// Stops waiting.
    fn disarm(&mut self);
}

/// An alarm with its own client. A broker answers the requests of a connection in order, so another request behind a
/// waiting fetch would wait too.
///
/// # Errors
/// User: a wrong option.
pub(crate) fn open(options: &KafkaOptions) -> Result<Box<dyn Alarm>> {
    Ok(match choice::chosen(options).is_native {
        true => Box::new(NativeAlarm::new(options)?),
        false => librdkafka::alarm(options)?,
    })
}
