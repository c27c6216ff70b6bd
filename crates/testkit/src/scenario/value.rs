//! Rows in the form used by scenarios: each value is null, a text, or a list.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use serde_json::Value;
use tidemill_sql::text::show;
use tidemill_sql::zone::WallClock;

/// A batch's rows.
pub(super) fn rows(table: &RecordBatch) -> Vec<Vec<Value>> {
    let row = |row| table.columns().iter().map(|column| value(column, row)).collect();
    (0..table.num_rows()).map(row).collect()
}

fn value(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) || array.data_type().is_null() {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Timestamp(..) => {
            Value::String(array.as_primitive::<TimestampMicrosecondType>().value(row).to_string())
        }
        DataType::Date32 => Value::String(array.as_primitive::<Date32Type>().value(row).to_string()),
        DataType::Binary => {
            let bytes = array.as_binary::<i32>().value(row);
            Value::String(bytes.iter().map(|byte| format!("{byte:02X}")).collect())
        }
        DataType::Struct(_) => array.as_struct().columns().iter().map(|field| value(field, row)).collect(),
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            (0..items.len()).map(|item| value(&items, item)).collect()
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            (0..entries.len())
                .map(|entry| Value::Array(entries.columns().iter().map(|part| value(part, entry)).collect()))
                .collect()
        }
        _ => Value::String(show::value(array, row, &WallClock::utc())),
    }
}
