//! The real program, run as users run it: processes, signals, files, and a separate broker for each test.
//!
//! There is one test binary, so that it is linked once. Expected rows are counted from the topic itself, row by row
//! (`support/reference.rs`). Tests wait for conditions, never for a time; a condition that does not come fails the
//! test.
#![cfg(unix)]

mod apache;
mod available_now;
mod broker;
mod closed_outputs;
mod ctl;
mod dead_letters;
mod demo;
mod examples;
mod executors;
mod faults;
mod full_disk;
mod functions;
mod kafka_columns;
mod kafka_sink;
mod mistakes;
mod produce;
mod secrets;
mod secure;
mod signals;
mod source;
mod support;
mod union;
mod zero;
