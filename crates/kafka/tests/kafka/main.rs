//! The kafka crate against brokers: the embedded one always, Apache Kafka where `TIDEMILL_TEST_KAFKA=host:port` names one.

mod read;
mod support;
mod transactions;
mod watch;
