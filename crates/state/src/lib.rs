//! The state of an aggregation: columnar tables of groups, sharded by key.
//!
//! ```text
//!  executor  rows ─► Table ─► part: a section for each shard ──┐ pipe
//!  driver    Store ─► 16 shards ◄── merged in parallel ◄───────┘
//!                        ├─► Groups   what goes out, by window and key
//!                        └─► bytes    what the batch changed, or all: sections again
//!  a shard   keys (hash index) · slots (key, slice) · a typed column per aggregate · slots by slice
//! ```
//! - A **slot** is a (key, slice). Rows are folded by slice at any width and slide. A window is built from its slices
//!   on output ([`Grid`], `windows`), with a constant number of merges per window however many slices it has.
//! - A **session** has no place in a grid: it grows and merges. Its slot has an end of its own (`sessions`).
//! - **Order**: parts are merged in the order in which they are passed in, one after the other within a shard and slot.
//!   A window's slices are merged in an order that depends only on the slices. So floating-point sums are the same in
//!   every run, at any number of threads.
//! - **Memory** follows the live groups: freed space is reused, and a shard that is mostly empty is rewritten. A group
//!   of one BIGINT key, a count and an exact sum takes about 85 bytes.
//!
//! To add an aggregate: one with a fixed-width accumulator is a [`Kind`], a [`Column`] and a [`Slots`] (see `sum.rs`).
//! Any other is a variant of [`Object`] and a [`Rule`] that merges two of them (see `registers.rs`). Storing, sending,
//! merging and checkpoints then work. `tidemill_flow::fold` adds rows to it; `tidemill_flow::output` builds its result.
//!
//! Does not know what keys and values mean (they are bytes that compare correctly), nor plans, disks or clocks.

#![forbid(unsafe_code)]
#![deny(clippy::modulo_arithmetic, clippy::iter_over_hash_type)]

mod any_shard;
mod boxed;
mod bytes;
mod column;
mod extreme;
mod hash;
mod index;
mod keys;
mod layout;
mod moments;
mod object;
mod output;
mod pick;
mod registers;
mod section;
mod sessions;
mod shard;
mod store;
mod sum;
mod table;
mod windows;

pub use boxed::{Bits, Boxed, Collected, Comoments, HighMoments};
pub use column::{Column, Kind, Slots};
pub use extreme::Extremes;
pub use hash::SHARDS;
pub use layout::{Grid, KeyTime, Layout};
pub use moments::{AllMoments, Moments};
pub use object::{Object, Objects, Rule};
pub use output::Groups;
pub use pick::{Pick, PickRule, Position, beats};
pub use registers::{Registers, rank_of, register_of};
pub use section::Section;
pub use sessions::Spans;
pub use store::{Batch, Emit, Merged, Store, Unreadable};
pub use sum::{Counts, DoubleSums, ExactSums, OVERFLOWN};
pub use table::Table;
