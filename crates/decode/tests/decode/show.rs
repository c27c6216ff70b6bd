//! A decoded row as the golden files write it: every scalar as text, structs and arrays as lists, maps as lists of pairs.

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use serde_json::Value;
use tidemill_decode::java_double::{java_double, java_float};

/// For longer strings only the length is kept.
const LONG: usize = 1_200;

/// A row of a batch.
pub fn row(batch: &RecordBatch, row: usize) -> Value {
    batch.columns().iter().map(|column| value(column, row)).collect()
}

fn value(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    Value::String(match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).to_string(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).to_string(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float32 => java_float(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => java_double(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(_, _) => array.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Date32 => array.as_primitive::<Date32Type>().value(row).to_string(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            array.as_primitive::<TimestampMicrosecondType>().value(row).to_string()
        }
        DataType::Binary => array.as_binary::<i32>().value(row).iter().map(|byte| format!("{byte:02X}")).collect(),
        DataType::Utf8 => match array.as_string::<i32>().value(row) {
            long if long.len() > LONG && long.chars().count() > LONG => format!("<length {}>", long.chars().count()),
            text => text.to_string(),
        },
        DataType::Struct(_) => return array.as_struct().columns().iter().map(|column| value(column, row)).collect(),
        DataType::List(_) => {
            let elements = array.as_list::<i32>().value(row);
            return (0..elements.len()).map(|row| value(&elements, row)).collect();
        }
        DataType::Map(_, _) => {
            let entries = array.as_map().value(row);
            return (0..entries.len()).map(|row| value(&entries, row)).collect();
        }
        other => panic!("no column of {other}"),
    })
}
