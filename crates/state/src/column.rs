//! Accumulators in columns, one column per aggregate: fixed-width values in vectors, all others as objects.
//!
//! Each kind of column implements [`Slots`]. Operations on whole columns are written once, here, and select the kind
//! once for all rows. Merging is associative; the caller chooses the order.

use crate::extreme::Extremes;
use crate::moments::AllMoments;
use crate::object::{Objects, Rule};
use crate::sum::{Counts, DoubleSums, ExactSums};
use crate::windows::Step;

/// The kind of accumulator of an aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Number of counted rows.
    Count,
    /// An exact sum of integers, and their number.
    ExactSum,
    /// A floating-point sum, and the number of values.
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
    /// Any accumulator without a fixed width.
    Object(Rule),
}

impl Kind {
    /// Whether the result depends on the order in which rows are merged.
    pub(crate) fn depends_on_order(self) -> bool {
        matches!(self, Kind::Object(Rule::Pick(_) | Rule::Boxed))
    }
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

/// Operations of every kind of column. A fresh accumulator is the default value.
pub trait Slots {
    /// One accumulator, as passed between columns.
    type Value: Default;

    /// Grows to this many slots; new ones are fresh.
    fn grow(&mut self, slots: usize);
    /// A slot's accumulator.
    fn get(&self, slot: usize) -> Self::Value;
    /// Replaces a slot's accumulator.
    fn set(&mut self, slot: usize, value: Self::Value);
    /// Merges a later accumulator into a slot.
    fn add(&mut self, slot: usize, later: Self::Value);
    /// Appends the accumulators of some slots.
    fn write(&self, slots: &[u32], out: &mut Vec<u8>);
    /// Takes this many accumulators from the front of the bytes. The column must be empty.
    fn read(&mut self, count: usize, bytes: &mut &[u8]) -> Option<()>;
    /// Bytes per slot, without heap data.
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

    /// Grows to this many slots; new ones are fresh.
    pub fn grow(&mut self, slots: usize) {
        each_kind!(self, column => column.grow(slots));
    }

    /// Makes slots fresh again.
    pub(crate) fn reset(&mut self, slots: &[u32]) {
        each_kind!(self, column => slots.iter().for_each(|slot| column.set(*slot as usize, Default::default())));
    }

    /// Merges the accumulators of `later`, each into the slot that `into` gives; skips those without one.
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

    /// Runs merge steps on this column. `state` is the input, `scratch` holds intermediate results.
    pub(crate) fn run(&mut self, steps: &[Step], state: &Column, scratch: &mut Column) {
        same_kind!((self, state, scratch), (out, state, scratch) => {
            steps.iter().for_each(|step| step.run(out, state, scratch));
        });
    }

    /// Sets the batch and task of the objects' rows.
    pub(crate) fn place(&mut self, batch_id: u64, task: u32) {
        if let Column::Objects(objects) = self {
            objects.place(batch_id, task);
        }
    }

    /// Forgets the positions of the objects' rows: from now on they have the order in which they are merged.
    pub(crate) fn forget_places(&mut self) {
        if let Column::Objects(objects) = self {
            objects.forget_places();
        }
    }

    /// Appends the accumulators of some slots.
    pub(crate) fn write(&self, slots: &[u32], out: &mut Vec<u8>) {
        each_kind!(self, column => column.write(slots, out));
    }

    /// Takes a column of this many slots from the front of the bytes.
    pub(crate) fn read(kind: Kind, count: usize, bytes: &mut &[u8]) -> Option<Column> {
        let mut column = Column::new(kind);
        each_kind!(&mut column, column => column.read(count, bytes))?;
        Some(column)
    }

    /// Bytes of this many slots, including heap data.
    pub(crate) fn bytes(&self, slots: usize) -> usize {
        let elsewhere = if let Column::Objects(objects) = self { objects.elsewhere() } else { 0 };
        each_kind!(self, column => column.width()) * slots + elsewhere
    }
}
