//! Rows from Spark: Arrow streams in responses → one batch with the types and names of the local plan.
//!
//! Spark's Arrow types differ from the plan's in names only: of time zones, and of the parts of lists and maps. The
//! buffers are the same.

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, make_array};
use arrow_data::ArrayData;
use arrow_ipc::reader::StreamReader;
use arrow_schema::{ArrowError, DataType, SchemaRef, TimeUnit};
use spark_connect_proto::execute_plan_response::ResponseType;
use std::io::Cursor;
use tidemill_model::{Error, Result};

/// All rows of an execution's responses, as they came.
///
/// # Errors
/// External: the server sent something that is no Arrow stream.
pub(crate) fn batches(responses: &[ResponseType]) -> Result<Vec<RecordBatch>> {
    let mut found = Vec::new();
    for response in responses {
        let ResponseType::ArrowBatch(batch) = response else { continue };
        let reader = StreamReader::try_new(Cursor::new(&batch.data), None).map_err(broken)?;
        for rows in reader {
            found.push(rows.map_err(broken)?);
        }
    }
    Ok(found)
}

/// All rows as one batch of a schema.
///
/// # Errors
/// External: the server's types are others.
pub(crate) fn conformed(batches: &[RecordBatch], schema: &SchemaRef) -> Result<RecordBatch> {
    let count = batches.iter().map(RecordBatch::num_rows).sum();
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for (index, field) in schema.fields().iter().enumerate() {
        let parts = batches.iter().map(|batch| match batch.columns().get(index) {
            Some(column) => Ok(make_array(retyped(&column.to_data(), field.data_type()).map_err(broken)?)),
            None => Err(Error::external("Spark's result has fewer columns than the query")),
        });
        let parts: Vec<ArrayRef> = parts.collect::<Result<_>>()?;
        let parts: Vec<&dyn arrow_array::Array> = parts.iter().map(AsRef::as_ref).collect();
        columns.push(match parts.is_empty() {
            true => arrow_array::new_empty_array(field.data_type()),
            false => arrow_select::concat::concat(&parts).map_err(broken)?,
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(broken)
}

/// The same values under another name of the type.
fn retyped(data: &ArrayData, to: &DataType) -> std::result::Result<ArrayData, ArrowError> {
    let inner: Vec<&DataType> = match to {
        DataType::Struct(fields) => fields.iter().map(|field| field.data_type()).collect(),
        DataType::List(item) | DataType::Map(item, _) => vec![item.data_type()],
        _ => Vec::new(),
    };
    if data.child_data().len() != inner.len() || !is_alike(data.data_type(), to) {
        return Err(ArrowError::SchemaError(format!("a column is {}, not {to}", data.data_type())));
    }
    let children: std::result::Result<Vec<ArrayData>, ArrowError> =
        data.child_data().iter().zip(inner).map(|(child, to)| retyped(child, to)).collect();
    data.clone().into_builder().data_type(to.clone()).child_data(children?).build()
}

/// Whether two types have the same layout and meaning, their children apart.
fn is_alike(one: &DataType, other: &DataType) -> bool {
    const MICROS: TimeUnit = TimeUnit::Microsecond;
    match (one, other) {
        (DataType::Timestamp(MICROS, a), DataType::Timestamp(MICROS, b)) => a.is_some() == b.is_some(),
        (DataType::Struct(_), DataType::Struct(_))
        | (DataType::List(_), DataType::List(_))
        | (DataType::Map(..), DataType::Map(..)) => true,
        (one, other) => one == other,
    }
}

fn broken(error: ArrowError) -> Error {
    Error::external(format!("Spark's rows cannot be read: {error}; the server may be of another version than 4.x"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Array, Int32Array, StructArray, TimestampMicrosecondArray};
    use arrow_schema::{Field, Fields, Schema};
    use std::sync::Arc;

    #[test]
    fn spark_names_types_otherwise() {
        let times = TimestampMicrosecondArray::from(vec![Some(1), None]).with_timezone("Europe/Paris");
        let inner = Fields::from(vec![Field::new("start", times.data_type().clone(), true)]);
        let window = StructArray::new(inner, vec![Arc::new(times)], None);
        let schema = Schema::new(vec![Field::new("c0", window.data_type().clone(), true)]);
        let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(window)]).unwrap();

        let wanted = Schema::new(vec![Field::new("window", tidemill_sql::types::window(), true)]);
        assert!(
            conformed(std::slice::from_ref(&batch), &Arc::new(wanted)).is_err(),
            "the plan has two times in a window"
        );
        let utc = Fields::from(vec![Field::new("start", tidemill_sql::types::timestamp(), true)]);
        let wanted = Arc::new(Schema::new(vec![Field::new("w", DataType::Struct(utc), true)]));
        let found = conformed(&[batch.clone(), batch], &wanted).unwrap();
        assert_eq!((found.schema(), found.num_rows()), (wanted, 4));
        let ints = RecordBatch::try_from_iter([("c0", Arc::new(Int32Array::from(vec![1])) as ArrayRef)]).unwrap();
        let longs = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        assert!(conformed(&[ints], &longs).is_err());
        assert_eq!(conformed(&[], &longs).unwrap().num_rows(), 0);
    }
}
