//! Tests the kafka crate against brokers: always the embedded one, and Apache Kafka if `TIDEMILL_TEST_KAFKA=host:port`
//! names one.

mod oauth;
mod produce;
mod read;
mod secure;
mod sink;
mod source;
mod suite;
mod support;
mod transactions;
mod watch;
