//! The real program, run as its users run it: processes, signals, files, and a broker of its own for each test.
//!
//! One test binary, so that it is linked once. What must come out is counted from the topic itself, a row at a time
//! (`support/reference.rs`). Waiting is for a condition, never for a time; a condition that does not come fails the test.
#![cfg(unix)]

mod apache;
mod available_now;
mod broker;
mod closed_outputs;
mod dead_letters;
mod demo;
mod examples;
mod executors;
mod faults;
mod mistakes;
mod produce;
mod signals;
mod support;
mod union;
mod zero;
