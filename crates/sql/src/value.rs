//! Constants.

use crate::types;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal32Type, Decimal64Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal32Array, Decimal64Array, Decimal128Array,
    Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow_schema::{DataType, TimeUnit};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A constant's value; its type stands beside it in [`crate::expr::Expr::Literal`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Value {
    /// NULL of any type.
    Null,
    /// BOOLEAN.
    Boolean(bool),
    /// TINYINT … BIGINT, DATE (days), TIMESTAMP, TIMESTAMP_NTZ and day-time intervals (microseconds), year-month ones (months).
    Integer(i64),
    /// FLOAT, DOUBLE.
    Double(f64),
    /// DECIMAL, unscaled.
    Decimal(i128),
    /// STRING.
    String(String),
    /// BINARY.
    Binary(Vec<u8>),
}

/// As Spark compares constants: NaN is itself, and 0.0 is not −0.0.
impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Boolean(l), Value::Boolean(r)) => l == r,
            (Value::Integer(l), Value::Integer(r)) => l == r,
            (Value::Double(l), Value::Double(r)) => l.to_bits() == r.to_bits() || (l.is_nan() && r.is_nan()),
            (Value::Decimal(l), Value::Decimal(r)) => l == r,
            (Value::String(l), Value::String(r)) => l == r,
            (Value::Binary(l), Value::Binary(r)) => l == r,
            _ => false,
        }
    }
}

impl Value {
    /// The first value of an array; `None` for a type that constants do not have.
    pub fn from_array(array: &dyn Array) -> Option<Value> {
        let value = match array.data_type() {
            DataType::Null => Value::Null,
            _ if array.is_null(0) => Value::Null,
            DataType::Boolean => Value::Boolean(array.as_boolean().value(0)),
            DataType::Int8 => Value::Integer(array.as_primitive::<Int8Type>().value(0).into()),
            DataType::Int16 => Value::Integer(array.as_primitive::<Int16Type>().value(0).into()),
            DataType::Int32 => Value::Integer(array.as_primitive::<Int32Type>().value(0).into()),
            DataType::Int64 => Value::Integer(array.as_primitive::<Int64Type>().value(0)),
            DataType::Date32 => Value::Integer(array.as_primitive::<Date32Type>().value(0).into()),
            DataType::Decimal32(..) => Value::Integer(array.as_primitive::<Decimal32Type>().value(0).into()),
            DataType::Decimal64(..) => Value::Integer(array.as_primitive::<Decimal64Type>().value(0)),
            DataType::Timestamp(..) => Value::Integer(array.as_primitive::<TimestampMicrosecondType>().value(0)),
            DataType::Float32 => Value::Double(array.as_primitive::<Float32Type>().value(0).into()),
            DataType::Float64 => Value::Double(array.as_primitive::<Float64Type>().value(0)),
            DataType::Decimal128(..) => Value::Decimal(array.as_primitive::<Decimal128Type>().value(0)),
            DataType::Utf8 => Value::String(array.as_string::<i32>().value(0).into()),
            DataType::Binary => Value::Binary(array.as_binary::<i32>().value(0).into()),
            _ => return None,
        };
        Some(value)
    }

    /// The constant as an array of one row.
    pub fn to_array(&self, data_type: &DataType) -> ArrayRef {
        let integer = || match self {
            Value::Integer(x) => *x,
            other => panic!("{other:?} is no {data_type}"),
        };
        match (data_type, self) {
            (_, Value::Null) => new_null_array(data_type, 1),
            (DataType::Boolean, Value::Boolean(x)) => Arc::new(BooleanArray::from(vec![*x])),
            (DataType::Int8, _) => Arc::new(Int8Array::from(vec![integer() as i8])),
            (DataType::Int16, _) => Arc::new(Int16Array::from(vec![integer() as i16])),
            (DataType::Int32, _) => Arc::new(Int32Array::from(vec![integer() as i32])),
            (DataType::Int64, _) => Arc::new(Int64Array::from(vec![integer()])),
            (DataType::Decimal32(..), _) => {
                Arc::new(Decimal32Array::from(vec![integer() as i32]).with_data_type(data_type.clone()))
            }
            (DataType::Decimal64(..), _) => {
                Arc::new(Decimal64Array::from(vec![integer()]).with_data_type(data_type.clone()))
            }
            (DataType::Date32, _) => Arc::new(Date32Array::from(vec![integer() as i32])),
            (DataType::Timestamp(TimeUnit::Microsecond, zone), _) => {
                Arc::new(TimestampMicrosecondArray::from(vec![integer()]).with_timezone_opt(zone.clone()))
            }
            (DataType::Float32, Value::Double(x)) => Arc::new(Float32Array::from(vec![*x as f32])),
            (DataType::Float64, Value::Double(x)) => Arc::new(Float64Array::from(vec![*x])),
            (DataType::Decimal128(..), Value::Decimal(x)) => {
                Arc::new(Decimal128Array::from(vec![*x]).with_data_type(data_type.clone()))
            }
            (DataType::Utf8, Value::String(x)) => Arc::new(StringArray::from(vec![x.as_str()])),
            (DataType::Binary, Value::Binary(x)) => Arc::new(BinaryArray::from(vec![x.as_slice()])),
            (other, value) => panic!("{value:?} is no {}", types::name(other)),
        }
    }
}
