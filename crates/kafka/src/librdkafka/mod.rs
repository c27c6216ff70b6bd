//! librdkafka's side of the crate: for Kerberos and for properties that only it has. All of it is behind the cargo feature
//! `librdkafka`.

mod ahead;
mod alarm;
mod ask;
mod client;
mod config;
mod fetch;
mod group;
mod properties;
mod read;
mod scan;

use crate::alarm::Alarm;
use crate::ask::Ask;
use crate::group::SetOffsets;
use crate::options::KafkaOptions;
use crate::read::RangeReader;
use alarm::LibrdkafkaAlarm;
pub use client::ErrorContext;
use client::Handle;
use group::LibrdkafkaGroup;
pub(crate) use properties::{refused, unspoken};
use read::LibrdkafkaReader;
pub(crate) use scan::scan;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use tidemill_model::Result;

pub(crate) fn reader(options: &KafkaOptions) -> Result<Box<dyn RangeReader>> {
    Ok(Box::new(LibrdkafkaReader::new(options)?))
}

pub(crate) fn alarm(options: &KafkaOptions) -> Result<Box<dyn Alarm>> {
    Ok(Box::new(LibrdkafkaAlarm::new(options)?))
}

pub(crate) fn ask(options: &KafkaOptions) -> Result<Box<dyn Ask>> {
    Ok(Box::new(Handle::new(options, &[("isolation.level", "read_committed")], &[])?))
}

pub(crate) fn group(options: &KafkaOptions, name: &str) -> Result<Box<dyn SetOffsets>> {
    Ok(Box::new(LibrdkafkaGroup::new(options, name)?))
}

/// Waits for one of rdkafka's futures on this thread.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    struct ThreadWaker(Thread);
    impl Wake for ThreadWaker {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(ThreadWaker(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}
