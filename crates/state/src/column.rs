//! Accumulators, a column per aggregate: values of a fixed width in vectors, all others as objects.
//!
//! Each kind of column is a [`Slots`]; what is done to whole columns is written once, here, and chooses the kind once for
//! all rows. Merging is associative; the order of merging is the caller's.

use crate::extreme::Extremes;
use crate::moments::AllMoments;
use crate::object::{Objects, Rule};
use crate::sum::{Counts, DoubleSums, ExactSums};
use crate::windows::Step;

/// What an aggregate keeps of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// How many rows counted.
    Count,
    /// An exact sum of integers, and how many there were.
    ExactSum,
    /// A sum in floating point, and how many there were.
    DoubleSum,
    /// Count, mean and sum of squared differences from it.
    Moments,
    /// The least of values that fit in 64 bits.
    Least,
    /// The greatest of values that fit in 64 bits.
    Greatest,
    /// The least of values that fit in 128 bits.
    LeastWide,
    /// The greatest of values that fit in 128 bits.
    GreatestWide,
    /// What has no fixed width.
    Object(Rule),
}

/// The accumulators of one aggregate, by slot.
#[derive(Clone, Debug)]
pub enum Column {
    /// [`Kind::Count`].
    Counts(Counts),
    /// [`Kind::ExactSum`].
    ExactSums(ExactSums),
    /// [`Kind::DoubleSum`].
    DoubleSums(DoubleSums),
    /// [`Kind::Moments`].
    Moments(AllMoments),
    /// [`Kind::Least`], [`Kind::Greatest`].
    Extremes(Extremes<i64>),
    /// [`Kind::LeastWide`], [`Kind::GreatestWide`].
    WideExtremes(Extremes<i128>),
    /// [`Kind::Object`].
    Objects(Objects),
}

/// What every kind of column does. A fresh accumulator is the default value.
pub trait Slots {
    /// One accumulator, as it is handed from one place to another.
    type Value: Default;

    /// Makes room for so many slots; new ones are fresh.
    fn grow(&mut self, slots: usize);
    /// A slot's accumulator.
    fn get(&self, slot: usize) -> Self::Value;
    /// Replaces a slot's accumulator.
    fn set(&mut self, slot: usize, value: Self::Value);
    /// Adds what came later to a slot's accumulator.
    fn add(&mut self, slot: usize, later: Self::Value);
    /// Appends the accumulators of some slots.
    fn write(&self, slots: &[u32], out: &mut Vec<u8>);
    /// Takes so many accumulators off the front; the column is empty before.
    fn read(&mut self, count: usize, bytes: &mut &[u8]) -> Option<()>;
    /// Bytes that a slot takes, without what it holds elsewhere.
    fn width(&self) -> usize;
}

/// Calls a method of the column's kind.
macro_rules! each_kind {
    ($column:expr, $slots:ident => $body:expr) => {
        match $column {
            Column::Counts($slots) => $body,
            Column::ExactSums($slots) => $body,
            Column::DoubleSums($slots) => $body,
            Column::Moments($slots) => $body,
            Column::Extremes($slots) => $body,
            Column::WideExtremes($slots) => $body,
            Column::Objects($slots) => $body,
        }
    };
}

/// Calls a method of columns of the same kind.
macro_rules! same_kind {
    (($($column:expr),+), ($($slots:ident),+) => $body:expr) => {
        match ($($column),+) {
            ($(Column::Counts($slots)),+) => $body,
            ($(Column::ExactSums($slots)),+) => $body,
            ($(Column::DoubleSums($slots)),+) => $body,
            ($(Column::Moments($slots)),+) => $body,
            ($(Column::Extremes($slots)),+) => $body,
            ($(Column::WideExtremes($slots)),+) => $body,
            ($(Column::Objects($slots)),+) => $body,
            other => panic!("columns of different kinds meet: {other:?}"),
        }
    };
}

impl Column {
    /// A column without slots.
    pub fn new(kind: Kind) -> Column {
        match kind {
            Kind::Count => Column::Counts(Counts::default()),
            Kind::ExactSum => Column::ExactSums(ExactSums::default()),
            Kind::DoubleSum => Column::DoubleSums(DoubleSums::default()),
            Kind::Moments => Column::Moments(AllMoments::default()),
            Kind::Least => Column::Extremes(Extremes::least()),
            Kind::Greatest => Column::Extremes(Extremes::greatest()),
            Kind::LeastWide => Column::WideExtremes(Extremes::least()),
            Kind::GreatestWide => Column::WideExtremes(Extremes::greatest()),
            Kind::Object(rule) => Column::Objects(Objects::new(rule)),
        }
    }

    /// Makes room for so many slots; new ones are fresh.
    pub fn grow(&mut self, slots: usize) {
        each_kind!(self, column => column.grow(slots));
    }

    /// Makes slots fresh again.
    pub(crate) fn reset(&mut self, slots: &[u32]) {
        each_kind!(self, column => slots.iter().for_each(|slot| column.set(*slot as usize, Default::default())));
    }

    /// Adds the accumulators of `later`, each to the slot that `into` says, or nowhere where it says none.
    pub(crate) fn add_all(&mut self, into: &[u32], later: &Column) {
        same_kind!((self, later), (column, later) => {
            for (row, slot) in into.iter().enumerate().filter(|(_, slot)| **slot != u32::MAX) {
                column.add(*slot as usize, later.get(row));
            }
        });
    }

    /// Replaces accumulators by those of another column: (slot here, slot there).
    pub(crate) fn set_all(&mut self, slots: impl Iterator<Item = (u32, u32)>, from: &Column) {
        same_kind!((self, from), (column, from) => {
            slots.for_each(|(slot, other)| column.set(slot as usize, from.get(other as usize)));
        });
    }

    /// Carries out steps on this column, with `state` as what is read and `scratch` as a place for what is halfway.
    pub(crate) fn run(&mut self, steps: &[Step], state: &Column, scratch: &mut Column) {
        same_kind!((self, state, scratch), (out, state, scratch) => {
            steps.iter().for_each(|step| step.run(out, state, scratch));
        });
    }

    /// Where its objects stood: a task's rows of a batch.
    pub(crate) fn place(&mut self, batch_id: u64, task: u32) {
        if let Column::Objects(objects) = self {
            objects.place(batch_id, task);
        }
    }

    /// Appends the accumulators of some slots.
    pub(crate) fn write(&self, slots: &[u32], out: &mut Vec<u8>) {
        each_kind!(self, column => column.write(slots, out));
    }

    /// Takes a column of so many slots off the front.
    pub(crate) fn read(kind: Kind, count: usize, bytes: &mut &[u8]) -> Option<Column> {
        let mut column = Column::new(kind);
        each_kind!(&mut column, column => column.read(count, bytes))?;
        Some(column)
    }

    /// Bytes that so many slots take, with what they hold elsewhere.
    pub(crate) fn bytes(&self, slots: usize) -> usize {
        let elsewhere = if let Column::Objects(objects) = self { objects.elsewhere() } else { 0 };
        each_kind!(self, column => column.width()) * slots + elsewhere
    }
}
