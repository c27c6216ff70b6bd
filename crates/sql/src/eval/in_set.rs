//! The values of `x IN (…)`. Many constants become a hash set at the first batch, and stay one for the query's life.

use super::Column;
use crate::expr::Expr;
use crate::value::Value;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrowPrimitiveType};
use arrow_buffer::BooleanBuffer;
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// So many constants, and more, are looked up by their hash.
const SET_MIN: usize = 10;

/// The values of IN, all of one type.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "Vec<Expr>", into = "Vec<Expr>")]
pub struct InList {
    values: Vec<Expr>,
    /// Made of the values when it is first asked for.
    set: OnceLock<Option<Arc<ConstantSet>>>,
}

impl InList {
    /// A list of these values.
    pub fn new(values: Vec<Expr>) -> InList {
        InList { values, set: OnceLock::new() }
    }

    /// The values.
    pub fn values(&self) -> &[Expr] {
        &self.values
    }

    /// The values, to change them.
    pub fn values_mut(&mut self) -> &mut [Expr] {
        self.set = OnceLock::new();
        &mut self.values
    }

    /// The values as a set, if they are many constants of a type that has one form for each value.
    pub(super) fn set(&self) -> Option<&ConstantSet> {
        self.set.get_or_init(|| ConstantSet::of(&self.values).map(Arc::new)).as_deref()
    }
}

impl From<Vec<Expr>> for InList {
    fn from(values: Vec<Expr>) -> InList {
        InList::new(values)
    }
}

impl From<InList> for Vec<Expr> {
    fn from(list: InList) -> Vec<Expr> {
        list.values
    }
}

impl PartialEq for InList {
    fn eq(&self, other: &InList) -> bool {
        self.values == other.values
    }
}

impl fmt::Debug for InList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.values.fmt(f)
    }
}

/// Constants, hashed.
pub(super) struct ConstantSet {
    numbers: HashSet<i64>,
    texts: HashSet<String>,
    /// Whether NULL is among them.
    pub has_null: bool,
}

impl ConstantSet {
    fn of(list: &[Expr]) -> Option<ConstantSet> {
        let data_type = list.first()?.data_type();
        let is_number = matches!(
            data_type,
            DataType::Int8
                | DataType::Int16
                | DataType::Int32
                | DataType::Int64
                | DataType::Date32
                | DataType::Timestamp(..)
        );
        if list.len() < SET_MIN || !is_number && data_type != DataType::Utf8 {
            return None;
        }
        let mut set = ConstantSet { numbers: HashSet::new(), texts: HashSet::new(), has_null: false };
        for value in list {
            match value {
                Expr::Literal(Value::Null, _) => set.has_null = true,
                Expr::Literal(Value::Integer(value), _) if is_number => drop(set.numbers.insert(*value)),
                Expr::Literal(Value::String(value), _) if !is_number => drop(set.texts.insert(value.clone())),
                _ => return None,
            }
        }
        Some(set)
    }

    /// Which rows' values are among them; none of those that are not `given`.
    pub fn found(&self, x: &Column, given: &BooleanBuffer) -> BooleanBuffer {
        match x.array.data_type() {
            DataType::Utf8 => {
                let texts = x.array.as_string::<i32>();
                BooleanBuffer::collect_bool(given.len(), |row| {
                    given.value(row) && self.texts.contains(texts.value(x.at(row)))
                })
            }
            DataType::Int8 => self.numbers::<Int8Type>(x, given),
            DataType::Int16 => self.numbers::<Int16Type>(x, given),
            DataType::Int32 => self.numbers::<Int32Type>(x, given),
            DataType::Date32 => self.numbers::<Date32Type>(x, given),
            DataType::Timestamp(..) => self.numbers::<TimestampMicrosecondType>(x, given),
            _ => self.numbers::<Int64Type>(x, given),
        }
    }

    fn numbers<T: ArrowPrimitiveType<Native: Into<i64>>>(&self, x: &Column, given: &BooleanBuffer) -> BooleanBuffer {
        let numbers = x.array.as_primitive::<T>();
        BooleanBuffer::collect_bool(given.len(), |row| {
            given.value(row) && self.numbers.contains(&numbers.value(x.at(row)).into())
        })
    }
}
