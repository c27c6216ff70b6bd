//! Creates the native client's producer from Kafka options.

use crate::choice::settings;
use crate::options::KafkaOptions;
pub use tidemill_client::produce::{Counts, NewRecord, Producer};
use tidemill_model::Result;

/// A producer with its own connections, for partitions 0 to `partitions` − 1 of a topic. It connects on the first poll.
///
/// # Errors
/// User: a wrong option.
pub fn producer(options: &KafkaOptions, topic: &str, partitions: i32) -> Result<Producer> {
    Producer::new(settings(options)?, topic, partitions)
}
