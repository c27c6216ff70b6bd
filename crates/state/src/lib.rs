//! The state of an aggregation: columnar group tables, sharded by key.
//!
//! ```text
//!  executor  rows ─► Table ─► part: a section for each shard ──┐ pipe
//!  driver    Store ─► 16 shards ◄── merged in parallel ◄───────┘
//!                        ├─► Groups   what goes out, by window and key
//!                        └─► bytes    what the batch changed, or all: sections again
//!  a shard   keys (arena, hash index) · slots (key, slice) · a typed column per aggregate · slots by slice
//! ```
//! - A **slot** is a (key, slice). Rows are folded by slice at any width and slide; a window is made of its slices when it
//!   goes out ([`Grid`], `windows`), with a constant number of merges however many slices it has.
//! - **Order**: parts are merged in the order in which they are handed over, within a shard and a slot one after the other;
//!   a window's slices are merged in an order that only they decide. So sums in floating point are the same in every run,
//!   with any number of threads.
//! - **Memory** follows the live groups: what goes is used again, and a shard that is mostly empty is written anew. A group
//!   of one BIGINT key, a count and an exact sum takes about 85 bytes.
//!
//! A new aggregate: one whose state has a fixed width is a [`Kind`], a [`Column`] and a [`Slots`] (as `sum.rs`); any other
//! is a variant of [`Object`] and a [`Rule`] that says how two of them become one (as `registers.rs`). Then it is stored,
//! sent, merged, and written to checkpoints. What a row does to it is the fold's business (`tidemill_flow::fold`), what
//! comes of it the output's (`tidemill_flow::output`).
//!
//! Does not know what keys and values mean (they are bytes that compare as they must), nor plans, disks or clocks.

#![forbid(unsafe_code)]
#![deny(clippy::modulo_arithmetic, clippy::iter_over_hash_type)]

mod boxed;
mod bytes;
mod column;
mod extreme;
mod hash;
mod keys;
mod layout;
mod moments;
mod object;
mod output;
mod pick;
mod registers;
mod section;
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
pub use store::{Batch, Emit, Merged, Store, Unreadable};
pub use sum::{Counts, DoubleSums, ExactSums, OVERFLOWN};
pub use table::Table;
