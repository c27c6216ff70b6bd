//! Accumulators without a fixed width, as [`Object`]s: values as bytes, picked rows, sketches.
//!
//! An object is shared, not copied, when it moves (into a window of one slice, into an output row). Changing a shared
//! object copies it first.

use crate::boxed::Boxed;
use crate::bytes::{put_u32, take, take_u32};
use crate::column::Slots;
use crate::pick::{self, Pick, PickRule, Position};
use crate::registers::Registers;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::sync::Arc;

/// How two objects of a column are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The least bytes.
    Least,
    /// The greatest bytes.
    Greatest,
    /// One of the two rows.
    Pick(PickRule),
    /// The union of two sketches of 2^precision registers.
    Distinct {
        /// log₂ of the number of registers.
        precision: u8,
    },
    /// Everything of both.
    Boxed,
}

/// One accumulator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Object {
    /// A least or greatest value, as bytes that compare as the values do.
    Bytes(Vec<u8>),
    /// A picked row.
    Pick(Pick),
    /// A sketch.
    Registers(Registers),
    /// All values, moments or bits.
    Boxed(Boxed),
}

impl Object {
    /// Merges a later object.
    fn merge(&mut self, rule: Rule, later: &Object) {
        match (rule, &mut *self, later) {
            (Rule::Least | Rule::Greatest, Object::Bytes(best), Object::Bytes(other)) => {
                let wanted = if rule == Rule::Least { Ordering::Less } else { Ordering::Greater };
                if other.as_slice().cmp(best) == wanted {
                    best.clone_from(other);
                }
            }
            (Rule::Pick(rule), Object::Pick(best), Object::Pick(other)) => {
                // Rows without a position come in the order in which they are merged.
                if pick::beats(rule, &other.order, &best.order, other.at >= best.at) {
                    best.clone_from(other);
                }
            }
            (Rule::Distinct { precision }, Object::Registers(into), Object::Registers(from)) => {
                into.merge(precision, from);
            }
            (Rule::Boxed, Object::Boxed(into), Object::Boxed(from)) => into.merge(from),
            (rule, one, other) => panic!("by {rule:?} no object is made of {one:?} and {other:?}"),
        }
    }

    /// Approximate size in bytes.
    fn bytes(&self) -> usize {
        let inside = match self {
            Object::Bytes(bytes) => bytes.len(),
            Object::Pick(pick) => pick.order.len() + pick.result.len(),
            Object::Registers(registers) => registers.bytes(),
            Object::Boxed(boxed) => boxed.bytes(),
        };
        size_of::<Object>() + 2 * size_of::<usize>() + inside
    }
}

/// The objects of a column.
#[derive(Clone, Debug)]
pub struct Objects {
    rule: Rule,
    objects: Vec<Option<Arc<Object>>>,
    /// Bytes of all objects.
    elsewhere: usize,
}

impl Objects {
    pub(crate) fn new(rule: Rule) -> Objects {
        Objects { rule, objects: Vec::new(), elsewhere: 0 }
    }

    /// How two objects are merged.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// A slot's object.
    pub fn at(&self, slot: usize) -> Option<&Object> {
        self.objects[slot].as_deref()
    }

    /// Changes a slot's object; creates it with `fresh` if there is none.
    #[inline]
    pub fn change(&mut self, slot: usize, fresh: impl FnOnce() -> Object, change: impl FnOnce(&mut Object)) {
        let place = &mut self.objects[slot];
        let before = place.as_ref().map_or(0, |object| object.bytes());
        let object = Arc::make_mut(place.get_or_insert_with(|| Arc::new(fresh())));
        change(object);
        self.elsewhere = self.elsewhere + object.bytes() - before;
    }

    /// Adds a value as bytes. The bytes are copied only if they win.
    #[inline]
    pub fn see(&mut self, slot: usize, bytes: &[u8]) {
        let wanted = if self.rule == Rule::Least { Ordering::Less } else { Ordering::Greater };
        let is_best = match self.at(slot) {
            Some(Object::Bytes(best)) => bytes.cmp(best) == wanted,
            Some(other) => panic!("bytes meet {other:?}"),
            None => true,
        };
        if is_best {
            self.set(slot, Some(Arc::new(Object::Bytes(bytes.to_vec()))));
        }
    }

    /// Bytes of all objects.
    pub(crate) fn elsewhere(&self) -> usize {
        self.elsewhere
    }

    pub(crate) fn place(&mut self, batch_id: u64, task: u32) {
        for object in self.objects.iter_mut().flatten() {
            match Arc::make_mut(object) {
                Object::Pick(pick) => (pick.at.batch_id, pick.at.task) = (batch_id, task),
                Object::Boxed(Boxed::Collected(values)) => values.place(batch_id, task),
                _ => {}
            }
        }
    }

    pub(crate) fn forget_places(&mut self) {
        for object in self.objects.iter_mut().flatten() {
            match Arc::make_mut(object) {
                Object::Pick(pick) => pick.at = Position::default(),
                Object::Boxed(Boxed::Collected(values)) => values.forget_places(),
                _ => {}
            }
        }
    }
}

impl Slots for Objects {
    /// `None` without a value.
    type Value = Option<Arc<Object>>;

    fn grow(&mut self, slots: usize) {
        self.objects.resize(slots, None);
    }

    fn get(&self, slot: usize) -> Option<Arc<Object>> {
        self.objects[slot].clone()
    }

    fn set(&mut self, slot: usize, value: Option<Arc<Object>>) {
        let bytes = |object: &Option<Arc<Object>>| object.as_ref().map_or(0, |object| object.bytes());
        self.elsewhere += bytes(&value);
        self.elsewhere -= bytes(&std::mem::replace(&mut self.objects[slot], value));
    }

    fn add(&mut self, slot: usize, later: Option<Arc<Object>>) {
        let Some(later) = later else { return };
        let Some(object) = &mut self.objects[slot] else { return self.set(slot, Some(later)) };
        let before = object.bytes();
        let object = Arc::make_mut(object);
        object.merge(self.rule, &later);
        self.elsewhere = self.elsewhere + object.bytes() - before;
    }

    fn write(&self, slots: &[u32], out: &mut Vec<u8>) {
        for slot in slots {
            let bytes = postcard::to_stdvec(&self.objects[*slot as usize].as_deref()).expect("an object serialises");
            put_u32(out, u32::try_from(bytes.len()).expect("an object is smaller than a message"));
            out.extend_from_slice(&bytes);
        }
    }

    fn read(&mut self, count: usize, bytes: &mut &[u8]) -> Option<()> {
        self.grow(count);
        for slot in 0..count {
            let length = take_u32(bytes)? as usize;
            let object: Option<Object> = postcard::from_bytes(take(bytes, length)?).ok()?;
            self.set(slot, object.map(Arc::new));
        }
        Some(())
    }

    fn width(&self) -> usize {
        size_of::<Option<Arc<Object>>>()
    }
}
