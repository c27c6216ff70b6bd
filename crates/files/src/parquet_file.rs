//! Writes rows as a Parquet file with Spark's schema: every column optional, strings as STRING, dates as DATE,
//! TIMESTAMP as INT64 microseconds adjusted to UTC (Spark's default is still INT96; it reads both alike), TIMESTAMP_NTZ
//! the same but local, decimals in the smallest type that holds them, lists and maps in three levels.
//!
//! Snappy, one row group for each piece that was written at once. The same pieces give the same bytes.

use crate::dremel::{INT32_DIGITS, INT64_DIGITS, Values, decimal_bytes, shred};
use arrow_array::RecordBatch;
use arrow_schema::{DataType, FieldRef, Fields, Schema, TimeUnit};
use bytes::Bytes;
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit as Unit, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::column::writer::{ColumnCloseResult, ColumnWriter, ColumnWriterImpl};
use parquet::data_type::DataType as ParquetType;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{Type, TypePtr};
use std::sync::Arc;

/// Rows of a column that [`join`] copies at once.
const COPIED_ROWS: usize = 8_192;

/// The first column whose type Parquet cannot hold.
pub fn refused(schema: &Schema) -> Option<&FieldRef> {
    fn is_refused(data_type: &DataType) -> bool {
        match data_type {
            // VOID and the intervals.
            DataType::Null | DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Interval(_) => true,
            DataType::Struct(fields) => fields.iter().any(|field| is_refused(field.data_type())),
            DataType::List(inner) | DataType::Map(inner, _) => is_refused(inner.data_type()),
            _ => false,
        }
    }
    schema.fields().iter().find(|field| is_refused(field.data_type()))
}

/// The file for these rows, which come in pieces of one schema. It is compressed unless it is a part for [`join`].
///
/// # Panics
/// On a type that no plan has, or that is [`refused`]. Without pieces.
pub fn write(pieces: &[RecordBatch], compressed: bool) -> Vec<u8> {
    let compression = if compressed { Compression::SNAPPY } else { Compression::UNCOMPRESSED };
    try_write(pieces, compression).expect("memory takes a file whose columns are built by its schema")
}

/// The files of parts of one schema as one file: their row groups as they are.
///
/// # Errors
/// A part is damaged.
///
/// # Panics
/// Without parts.
pub fn append(parts: &[&[u8]]) -> Result<Vec<u8>, ParquetError> {
    let read = |part: &&[u8]| {
        let bytes = Bytes::copy_from_slice(part);
        Ok((SerializedFileReader::new(bytes.clone())?, bytes))
    };
    let parts: Vec<(SerializedFileReader<Bytes>, Bytes)> =
        parts.iter().map(read).collect::<Result<_, ParquetError>>()?;
    let schema = parts[0].0.metadata().file_metadata().schema_descr().root_schema_ptr();
    let mut file = begin(schema, Compression::SNAPPY)?;
    for (part, bytes) in &parts {
        for part_group in part.metadata().row_groups() {
            let mut group = file.next_row_group()?;
            for column in part_group.columns() {
                let close = ColumnCloseResult {
                    bytes_written: column.compressed_size() as u64,
                    rows_written: part_group.num_rows() as u64,
                    metadata: column.clone(),
                    bloom_filter: None,
                    column_index: None,
                    offset_index: None,
                };
                group.append_column(bytes, close)?;
            }
            group.close()?;
        }
    }
    file.into_inner()
}

/// The file for the rows of all parts, which have one schema, in one row group.
///
/// # Errors
/// A part is damaged.
///
/// # Panics
/// Without parts.
pub fn join(parts: Vec<Vec<u8>>) -> Result<Vec<u8>, ParquetError> {
    let parts: Vec<_> =
        parts.into_iter().map(|part| SerializedFileReader::new(Bytes::from(part))).collect::<Result<_, _>>()?;
    let schema = parts[0].metadata().file_metadata().schema_descr().root_schema_ptr();
    let mut file = begin(schema, Compression::SNAPPY)?;
    let mut group = file.next_row_group()?;
    for index in 0.. {
        let Some(mut column) = group.next_column()? else { break };
        for part in &parts {
            for part_group in 0..part.num_row_groups() {
                copy_column(part.get_row_group(part_group)?.get_column_reader(index)?, column.untyped())?;
            }
        }
        column.close()?;
    }
    group.close()?;
    file.into_inner()
}

fn copy_column(from: ColumnReader, to: &mut ColumnWriter<'_>) -> Result<(), ParquetError> {
    use {ColumnReader as Reader, ColumnWriter as Writer};
    match (from, to) {
        (Reader::BoolColumnReader(from), Writer::BoolColumnWriter(to)) => copy_values(from, to),
        (Reader::Int32ColumnReader(from), Writer::Int32ColumnWriter(to)) => copy_values(from, to),
        (Reader::Int64ColumnReader(from), Writer::Int64ColumnWriter(to)) => copy_values(from, to),
        (Reader::FloatColumnReader(from), Writer::FloatColumnWriter(to)) => copy_values(from, to),
        (Reader::DoubleColumnReader(from), Writer::DoubleColumnWriter(to)) => copy_values(from, to),
        (Reader::ByteArrayColumnReader(from), Writer::ByteArrayColumnWriter(to)) => copy_values(from, to),
        (Reader::FixedLenByteArrayColumnReader(from), Writer::FixedLenByteArrayColumnWriter(to)) => {
            copy_values(from, to)
        }
        _ => Err(ParquetError::General("a part has other columns than the first".to_owned())),
    }
}

fn copy_values<T: ParquetType>(
    mut from: ColumnReaderImpl<T>,
    to: &mut ColumnWriterImpl<'_, T>,
) -> Result<(), ParquetError> {
    let (mut values, mut definitions, mut repetitions) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let (rows, ..) = from.read_records(COPIED_ROWS, Some(&mut definitions), Some(&mut repetitions), &mut values)?;
        if rows == 0 {
            return Ok(());
        }
        // Without lists there are no repetitions.
        let repeated = (!repetitions.is_empty()).then_some(&repetitions[..]);
        to.write_batch(&values, Some(&definitions), repeated)?;
        values.clear();
        definitions.clear();
        repetitions.clear();
    }
}

fn begin(schema: TypePtr, compression: Compression) -> Result<SerializedFileWriter<Vec<u8>>, ParquetError> {
    let created_by = concat!("tidemill version ", env!("CARGO_PKG_VERSION")).to_owned();
    let properties = WriterProperties::builder().set_compression(compression).set_created_by(created_by).build();
    SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))
}

fn try_write(pieces: &[RecordBatch], compression: Compression) -> Result<Vec<u8>, ParquetError> {
    let schema = fields(pieces[0].schema_ref().fields())?;
    let schema = Type::group_type_builder("spark_schema").with_fields(schema).build()?;
    let mut file = begin(Arc::new(schema), compression)?;
    let mut group = file.next_row_group()?;
    for leaf in shred(pieces) {
        let mut column = group.next_column()?.expect("a column for each leaf");
        let (definitions, repetitions) = (Some(&leaf.definitions[..]), Some(&leaf.repetitions[..]));
        match (column.untyped(), &leaf.values) {
            (ColumnWriter::BoolColumnWriter(to), Values::Boolean(values)) => {
                to.write_batch(values, definitions, repetitions)?
            }
            (ColumnWriter::Int32ColumnWriter(to), Values::Int32(values)) => {
                to.write_batch(values, definitions, repetitions)?
            }
            (ColumnWriter::Int64ColumnWriter(to), Values::Int64(values)) => {
                to.write_batch(values, definitions, repetitions)?
            }
            (ColumnWriter::FloatColumnWriter(to), Values::Float(values)) => {
                to.write_batch(values, definitions, repetitions)?
            }
            (ColumnWriter::DoubleColumnWriter(to), Values::Double(values)) => {
                to.write_batch(values, definitions, repetitions)?
            }
            (ColumnWriter::ByteArrayColumnWriter(to), Values::Bytes(values)) => {
                to.write_batch(values, definitions, repetitions)?
            }
            (ColumnWriter::FixedLenByteArrayColumnWriter(to), Values::Fixed(values)) => {
                to.write_batch(values, definitions, repetitions)?
            }
            (_, values) => panic!("the schema has another type than {values:?}"),
        };
        column.close()?;
    }
    group.close()?;
    file.into_inner()
}

fn fields(fields: &Fields) -> Result<Vec<TypePtr>, ParquetError> {
    fields.iter().map(|field| column(field.name(), field.data_type(), Repetition::OPTIONAL)).collect()
}

fn column(name: &str, data_type: &DataType, repetition: Repetition) -> Result<TypePtr, ParquetError> {
    let group = |logical: Option<LogicalType>, fields: Vec<TypePtr>| {
        let group = Type::group_type_builder(name).with_repetition(repetition).with_logical_type(logical);
        group.with_fields(fields).build()
    };
    let repeated = |name: &str, fields: Vec<TypePtr>| {
        Type::group_type_builder(name).with_repetition(Repetition::REPEATED).with_fields(fields).build().map(Arc::new)
    };
    let built = match data_type {
        DataType::Struct(members) => group(None, fields(members)?)?,
        DataType::List(item) => {
            let element = column("element", item.data_type(), Repetition::OPTIONAL)?;
            group(Some(LogicalType::List), vec![repeated("list", vec![element])?])?
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(parts) = entries.data_type() else { panic!("a map's entries are structs") };
            let key = column("key", parts[0].data_type(), Repetition::REQUIRED)?;
            let value = column("value", parts[1].data_type(), Repetition::OPTIONAL)?;
            group(Some(LogicalType::Map), vec![repeated("key_value", vec![key, value])?])?
        }
        scalar => {
            let (physical, logical) = scalar_types(scalar);
            let mut builder = Type::primitive_type_builder(name, physical).with_repetition(repetition);
            builder = builder.with_logical_type(logical);
            if let DataType::Decimal128(precision, scale) = scalar {
                builder = builder.with_precision(i32::from(*precision)).with_scale(i32::from(*scale));
                if physical == Physical::FIXED_LEN_BYTE_ARRAY {
                    builder = builder.with_length(decimal_bytes(*precision) as i32);
                }
            }
            builder.build()?
        }
    };
    Ok(Arc::new(built))
}

fn scalar_types(data_type: &DataType) -> (Physical, Option<LogicalType>) {
    match data_type {
        DataType::Boolean => (Physical::BOOLEAN, None),
        DataType::Int8 => (Physical::INT32, Some(LogicalType::integer(8, true))),
        DataType::Int16 => (Physical::INT32, Some(LogicalType::integer(16, true))),
        DataType::Int32 => (Physical::INT32, None),
        DataType::Int64 => (Physical::INT64, None),
        DataType::Float32 => (Physical::FLOAT, None),
        DataType::Float64 => (Physical::DOUBLE, None),
        DataType::Utf8 => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        DataType::Binary => (Physical::BYTE_ARRAY, None),
        DataType::Date32 => (Physical::INT32, Some(LogicalType::Date)),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            (Physical::INT64, Some(LogicalType::timestamp(zone.is_some(), Unit::MICROS)))
        }
        DataType::Decimal128(precision, scale) => {
            let physical = if *precision <= INT32_DIGITS {
                Physical::INT32
            } else if *precision <= INT64_DIGITS {
                Physical::INT64
            } else {
                Physical::FIXED_LEN_BYTE_ARRAY
            };
            (physical, Some(LogicalType::decimal(i32::from(*scale), i32::from(*precision))))
        }
        other => panic!("no plan has columns of type {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Int64Array, StringArray};

    /// Rows `n` and `t`, every third NULL.
    fn rows(numbers: std::ops::Range<i64>) -> RecordBatch {
        let n: ArrayRef = Arc::new(Int64Array::from_iter(numbers.clone().map(|n| (n % 3 != 0).then_some(n))));
        let t: ArrayRef =
            Arc::new(StringArray::from_iter(numbers.map(|n| (n % 3 != 0).then(|| format!("t{}", n % 7)))));
        RecordBatch::try_from_iter_with_nullable([("n", n, true), ("t", t, true)]).unwrap()
    }

    /// The rows of each row group, as text.
    fn read(file: Vec<u8>) -> Vec<Vec<String>> {
        let file = SerializedFileReader::new(Bytes::from(file)).unwrap();
        let group = |number| {
            let group = file.get_row_group(number).unwrap();
            group.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect()
        };
        (0..file.num_row_groups()).map(group).collect()
    }

    #[test]
    fn parts_become_row_groups_or_one_group() {
        let whole = |numbers| read(write(&[rows(numbers)], true)).concat();
        let part = |numbers, compressed| write(&[rows(numbers)], compressed);
        let (one, two) = (part(0..10, true), write(&[rows(10..11), rows(11..9_000)], true));
        let expected = [whole(0..10), whole(10..9_000)];
        assert_eq!(expected[0][..2], ["{n: null, t: null}", "{n: 1, t: \"t1\"}"]);
        let appended = append(&[&one, &two]).unwrap();
        assert_eq!(read(appended.clone()), expected);
        assert_eq!(read(append(&[&appended, &one]).unwrap()), [&expected[..], &expected[..1]].concat());
        let joined = join(vec![part(0..10, false), append(&[&part(10..20, false), &part(20..9_000, false)]).unwrap()]);
        assert_eq!(read(joined.unwrap()), [expected.concat()]);
        assert!(append(&[&one, &two[..two.len() - 9]]).is_err());
    }
}
