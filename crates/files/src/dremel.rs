//! Converts rows to the leaf columns of a Parquet file: values, and the levels that encode rows, lists and NULLs.
//!
//! ```text
//!   l ARRAY<STRUCT<x: INT>>          repetition  definition  value
//!   row 0: [{x: 1}, {x: NULL}]       0           4           1
//!                                    1           3           –       x is NULL
//!   row 1: []                        0           1           –       the list exists and is empty
//!   row 2: NULL                      0           0           –
//! ```
//! Every column, member, element and map value may be NULL and takes a level; a map's key may not. Knows no files.

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use parquet::data_type::{ByteArray, FixedLenByteArray};

/// Decimal digits that fit in 4 bytes.
pub const INT32_DIGITS: u8 = 9;
/// Decimal digits that fit in 8 bytes.
pub const INT64_DIGITS: u8 = 18;

/// One leaf column.
#[derive(Debug)]
pub struct Leaf {
    /// The values that are not NULL.
    pub values: Values,
    /// Definition levels, one per value or NULL: how much of the path to the value exists.
    pub definitions: Vec<i16>,
    /// Repetition levels, one per value or NULL: the list of the path at which the value continues.
    pub repetitions: Vec<i16>,
}

/// Values of one physical type.
#[derive(Debug, PartialEq)]
pub enum Values {
    /// BOOLEAN.
    Boolean(Vec<bool>),
    /// INT32.
    Int32(Vec<i32>),
    /// INT64.
    Int64(Vec<i64>),
    /// FLOAT.
    Float(Vec<f32>),
    /// DOUBLE.
    Double(Vec<f64>),
    /// BYTE_ARRAY.
    Bytes(Vec<ByteArray>),
    /// FIXED_LEN_BYTE_ARRAY.
    Fixed(Vec<FixedLenByteArray>),
}

/// The structure of a type.
enum Node {
    Leaf(usize),
    Struct(Vec<Node>),
    /// Element, and the number of lists around it, including this one.
    List(Box<Node>, i16),
    Map(Box<Node>, Box<Node>, i16),
}

/// The leaves of these rows, which come in pieces of one schema, in its order.
///
/// # Panics
/// On a type that no plan has, or that [`super::parquet_file::refused`] refuses.
pub fn shred(pieces: &[RecordBatch]) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    let fields = pieces.first().map(|piece| piece.schema_ref().fields().iter()).into_iter().flatten();
    for (number, field) in fields.enumerate() {
        let node = plan(field.data_type(), 0, &mut leaves);
        for column in pieces.iter().map(|piece| piece.column(number)) {
            for row in 0..column.len() {
                put(&mut leaves, &node, column, row, 0, 0);
            }
        }
    }
    leaves
}

/// The fewest bytes that hold a decimal of `precision` digits with its sign.
pub fn decimal_bytes(precision: u8) -> usize {
    let greatest = 10i128.pow(u32::from(precision)) - 1;
    let bits = 128 - greatest.leading_zeros() as usize + 1;
    bits.div_ceil(8)
}

fn plan(data_type: &DataType, lists: i16, leaves: &mut Vec<Leaf>) -> Node {
    let values = match data_type {
        DataType::Struct(fields) => {
            return Node::Struct(fields.iter().map(|field| plan(field.data_type(), lists, leaves)).collect());
        }
        DataType::List(item) => return Node::List(Box::new(plan(item.data_type(), lists + 1, leaves)), lists + 1),
        DataType::Map(entries, _) => {
            let DataType::Struct(fields) = entries.data_type() else { panic!("a map's entries are structs") };
            let mut part = |at: usize| Box::new(plan(fields[at].data_type(), lists + 1, leaves));
            return Node::Map(part(0), part(1), lists + 1);
        }
        DataType::Boolean => Values::Boolean(Vec::new()),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Date32 => Values::Int32(Vec::new()),
        DataType::Int64 | DataType::Timestamp(TimeUnit::Microsecond, _) => Values::Int64(Vec::new()),
        DataType::Float32 => Values::Float(Vec::new()),
        DataType::Float64 => Values::Double(Vec::new()),
        DataType::Utf8 | DataType::Binary => Values::Bytes(Vec::new()),
        DataType::Decimal128(..=INT32_DIGITS, _) => Values::Int32(Vec::new()),
        DataType::Decimal128(..=INT64_DIGITS, _) => Values::Int64(Vec::new()),
        DataType::Decimal128(_, _) => Values::Fixed(Vec::new()),
        other => panic!("no plan has columns of type {other}"),
    };
    leaves.push(Leaf { values, definitions: Vec::new(), repetitions: Vec::new() });
    Node::Leaf(leaves.len() - 1)
}

/// Appends a nullable value. `defined` levels of its path exist; it continues at list `repeated`.
fn put(leaves: &mut [Leaf], node: &Node, array: &dyn Array, row: usize, defined: i16, repeated: i16) {
    if array.is_null(row) {
        put_nothing(leaves, node, defined, repeated);
    } else {
        put_value(leaves, node, array, row, defined + 1, repeated);
    }
}

fn put_nothing(leaves: &mut [Leaf], node: &Node, defined: i16, repeated: i16) {
    match node {
        Node::Leaf(number) => leaves[*number].level(defined, repeated),
        Node::Struct(members) => members.iter().for_each(|member| put_nothing(leaves, member, defined, repeated)),
        Node::List(item, _) => put_nothing(leaves, item, defined, repeated),
        Node::Map(key, value, _) => {
            put_nothing(leaves, key, defined, repeated);
            put_nothing(leaves, value, defined, repeated);
        }
    }
}

fn put_value(leaves: &mut [Leaf], node: &Node, array: &dyn Array, row: usize, defined: i16, repeated: i16) {
    match node {
        Node::Leaf(number) => {
            leaves[*number].level(defined, repeated);
            leaves[*number].values.push(array, row);
        }
        Node::Struct(members) => {
            for (member, column) in members.iter().zip(array.as_struct().columns()) {
                put(leaves, member, column, row, defined, repeated);
            }
        }
        Node::List(item, level) => {
            let items = array.as_list::<i32>().value(row);
            for at in 0..items.len() {
                put(leaves, item, &items, at, defined + 1, if at == 0 { repeated } else { *level });
            }
            if items.is_empty() {
                put_nothing(leaves, node, defined, repeated);
            }
        }
        Node::Map(key, value, level) => {
            let entries = array.as_map().value(row);
            for at in 0..entries.len() {
                let repeated = if at == 0 { repeated } else { *level };
                put_value(leaves, key, entries.column(0), at, defined + 1, repeated);
                put(leaves, value, entries.column(1), at, defined + 1, repeated);
            }
            if entries.is_empty() {
                put_nothing(leaves, node, defined, repeated);
            }
        }
    }
}

impl Leaf {
    fn level(&mut self, defined: i16, repeated: i16) {
        self.definitions.push(defined);
        self.repetitions.push(repeated);
    }
}

impl Values {
    fn push(&mut self, array: &dyn Array, row: usize) {
        match (self, array.data_type()) {
            (Values::Boolean(values), _) => values.push(array.as_boolean().value(row)),
            (Values::Int32(values), DataType::Int8) => {
                values.push(i32::from(array.as_primitive::<Int8Type>().value(row)));
            }
            (Values::Int32(values), DataType::Int16) => {
                values.push(i32::from(array.as_primitive::<Int16Type>().value(row)));
            }
            (Values::Int32(values), DataType::Int32) => values.push(array.as_primitive::<Int32Type>().value(row)),
            (Values::Int32(values), DataType::Date32) => values.push(array.as_primitive::<Date32Type>().value(row)),
            (Values::Int32(values), _) => values.push(array.as_primitive::<Decimal128Type>().value(row) as i32),
            (Values::Int64(values), DataType::Int64) => values.push(array.as_primitive::<Int64Type>().value(row)),
            (Values::Int64(values), DataType::Timestamp(_, _)) => {
                values.push(array.as_primitive::<TimestampMicrosecondType>().value(row));
            }
            (Values::Int64(values), _) => values.push(array.as_primitive::<Decimal128Type>().value(row) as i64),
            (Values::Float(values), _) => values.push(array.as_primitive::<Float32Type>().value(row)),
            (Values::Double(values), _) => values.push(array.as_primitive::<Float64Type>().value(row)),
            (Values::Bytes(values), DataType::Utf8) => values.push(array.as_string::<i32>().value(row).into()),
            (Values::Bytes(values), _) => values.push(array.as_binary::<i32>().value(row).to_vec().into()),
            (Values::Fixed(values), DataType::Decimal128(precision, _)) => {
                let bytes = array.as_primitive::<Decimal128Type>().value(row).to_be_bytes();
                values.push(bytes[bytes.len() - decimal_bytes(*precision)..].to_vec().into());
            }
            (Values::Fixed(_), other) => panic!("{other} has no fixed length"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::builder::{Int32Builder, ListBuilder, MapBuilder, StringBuilder};
    use arrow_array::{ArrayRef, StructArray};
    use arrow_schema::Field;
    use std::sync::Arc;

    fn levels(column: ArrayRef) -> Vec<(Vec<i16>, Vec<i16>)> {
        let leaves = shred(&[RecordBatch::try_from_iter_with_nullable([("c", column, true)]).unwrap()]);
        leaves.into_iter().map(|leaf| (leaf.repetitions, leaf.definitions)).collect()
    }

    #[test]
    fn lists_and_maps_have_levels() {
        let mut list = ListBuilder::new(Int32Builder::new());
        list.append_value([Some(1), None]);
        list.append_value([]);
        list.append(false);
        let list: ArrayRef = Arc::new(list.finish());
        assert_eq!(levels(list.clone()), [(vec![0, 1, 0, 0], vec![3, 2, 1, 0])]);
        let within = StructArray::from(vec![(Arc::new(Field::new("l", list.data_type().clone(), true)), list)]);
        assert_eq!(levels(Arc::new(within)), [(vec![0, 1, 0, 0], vec![4, 3, 2, 1])]);

        let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
        for (key, value) in [("a", Some(1)), ("b", None)] {
            map.keys().append_value(key);
            map.values().append_option(value);
        }
        map.append(true).unwrap();
        map.append(true).unwrap();
        map.append(false).unwrap();
        let (key, value) = ((vec![0, 1, 0, 0], vec![2, 2, 1, 0]), (vec![0, 1, 0, 0], vec![3, 2, 1, 0]));
        assert_eq!(levels(Arc::new(map.finish())), [key, value]);
    }

    #[test]
    fn decimals_take_as_few_bytes_as_hold_them() {
        assert_eq!([1, 2, 9, 18, 19, 20, 38].map(decimal_bytes), [1, 1, 4, 8, 9, 9, 16]);
    }
}
