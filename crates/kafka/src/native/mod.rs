//! The ports of `flow` on the native client.

mod read;

pub(crate) use read::NativeReader;
