//! The native client's side of the crate: the reader, the alarm, and requests for topics and offsets.

mod alarm;
mod ask;
mod read;

pub(crate) use alarm::NativeAlarm;
pub(crate) use ask::ask;
pub(crate) use read::NativeReader;
