//! Where a producer's records go: a topic, by either client.

#[cfg(feature = "librdkafka")]
use crate::librdkafka::LibrdkafkaOutlet;
use crate::native::NativeOutlet;
use std::time::Duration;
use tidemill_kafka::{KafkaOptions, choice};
use tidemill_model::Result;

/// Records in one buffer.
#[derive(Default)]
pub struct Block {
    pub bytes: Vec<u8>,
    /// End of each record.
    pub ends: Vec<usize>,
}

impl Block {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// Writes records to the partitions of a topic. An error is what does not go away by itself.
pub trait Outlet: Send {
    /// Distributes a block's records over the partitions in turn, starting at number `first`.
    fn begin(&mut self, block: &Block, first: u64);

    /// Hands over the records that `begin` has distributed of this block, as many as there is room for. Returns how many, and
    /// whether that is all.
    fn push(&mut self, block: &Block) -> Result<(u64, bool)>;

    /// Drops the records that were not handed over.
    fn abandon(&mut self);

    /// Sends what is due and takes acknowledgements; waits up to `wait` for something to happen.
    fn work(&mut self, wait: Duration) -> Result<()>;

    /// The same, and sends all that there is.
    fn flush(&mut self, wait: Duration) -> Result<()>;

    /// Records given up.
    fn failed(&self) -> u64;

    /// Records handed over that are neither acknowledged nor given up.
    fn on_their_way(&self) -> u64;
}

/// An outlet with a connection of its own, which is made in the background or when it is first used.
///
/// # Errors
/// User: a wrong option.
pub fn open(options: &KafkaOptions, topic: &str, partitions: i32) -> Result<Box<dyn Outlet>> {
    Ok(match choice::chosen(options).is_native {
        true => Box::new(NativeOutlet::new(options, topic, partitions)?),
        #[cfg(feature = "librdkafka")]
        false => Box::new(LibrdkafkaOutlet::new(options, topic, partitions)?),
        #[cfg(not(feature = "librdkafka"))]
        false => return Err(choice::without_librdkafka()),
    })
}
