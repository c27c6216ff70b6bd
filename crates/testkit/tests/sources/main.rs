//! Every source passes one suite: memory, files, Kafka with each client.

mod files;
mod kafka;
mod memory;
mod suite;
