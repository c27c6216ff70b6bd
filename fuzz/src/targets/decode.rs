//! The decoders of records: lines of JSON and of CSV, by schemas of every type.
//!
//! Two decoders take each input: one that has seen all inputs before it, and a fresh one. They must agree, as what a
//! decoder remembers of earlier records may change its speed and nothing else.

use super::{Target, signature};
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use std::sync::Arc;
use tidemill_decode::{CsvDecoder, Decoded, Decoder, Options};
use tidemill_flow::ports::Chunk;

/// Records of JSON.
pub const JSON: Target = Target {
    name: "json",
    about: "lines of JSON, decoded by a flat and by a nested schema",
    input_bytes_max: 4 << 10,
    memory_mib_max: 128,
    start: || {
        let schemas = [flat(true), nested()];
        let mut used = schemas.each_ref().map(json);
        Box::new(move |input| {
            let chunk = lines(input);
            signature(schemas.each_ref().map(|schema| {
                let used = &mut used[usize::from(*schema == schemas[1])];
                compare(used.decode(&chunk), json(schema).decode(&chunk))
            }))
        })
    },
};

/// Lines of CSV.
pub const CSV: Target = Target {
    name: "csv",
    about: "lines of CSV, decoded by a schema of every type",
    input_bytes_max: 4 << 10,
    memory_mib_max: 128,
    start: || {
        let schema = flat(false);
        let mut used = csv(&schema);
        Box::new(move |input| {
            let chunk = lines(input);
            signature(compare(used.decode(&chunk), csv(&schema).decode(&chunk)))
        })
    },
};

/// A record a line.
fn lines(input: &[u8]) -> Chunk {
    let mut chunk = Chunk::default();
    input.split(|byte| *byte == b'\n').for_each(|line| chunk.push(0, -1, Some(line)));
    chunk
}

/// What became of the records, by rows and columns, if both decoders say the same.
fn compare(used: Decoded, fresh: Decoded) -> Vec<u64> {
    let [used, fresh] = [used, fresh].map(|decoded| (shown(&decoded.batch), decoded.faults));
    assert_eq!(used, fresh, "a decoder that has seen other records decodes these differently");
    let (columns, faults) = used;
    let kinds = columns.iter().map(|(nulls, text)| (*nulls as u64) << 8 | u64::from(text.len().max(1).ilog2()));
    kinds.chain(faults.iter().take(4).map(|fault| signature(format!("{fault:?}")))).collect()
}

/// Each column's number of NULLs and its values as text: floats compare by what they print, NaN included.
fn shown(batch: &RecordBatch) -> Vec<(usize, String)> {
    batch.columns().iter().map(|column| (column.null_count(), format!("{column:?}"))).collect()
}

fn json(schema: &SchemaRef) -> Decoder {
    Decoder::new(schema, Options::default())
}

fn csv(schema: &SchemaRef) -> CsvDecoder {
    let places: Vec<usize> = (0..schema.fields().len()).collect();
    CsvDecoder::new(schema, &places, None, ',', Options::default())
}

/// A column of every plain type; the values of CSV cannot be binary.
fn flat(with_binary: bool) -> SchemaRef {
    let mut types = vec![
        DataType::Int32,
        DataType::Utf8,
        DataType::Float64,
        timestamp(true),
        DataType::Date32,
        DataType::Boolean,
        DataType::Int64,
        DataType::Decimal128(10, 2),
        DataType::Decimal128(38, 18),
        timestamp(false),
        DataType::Float32,
        DataType::Int16,
        DataType::Int8,
    ];
    types.extend(with_binary.then_some(DataType::Binary));
    let names = 'a'..='z';
    let fields: Fields = names.zip(types).map(|(name, kind)| Field::new(name.to_string(), kind, true)).collect();
    Arc::new(Schema::new(fields))
}

/// Structs, lists and maps in one another.
fn nested() -> SchemaRef {
    let field = |name: &str, kind| Field::new(name, kind, true);
    let list = |kind| DataType::List(Arc::new(field("element", kind)));
    let inner = DataType::Struct(Fields::from(vec![field("w", DataType::Int64), field("x", list(DataType::Utf8))]));
    let object = DataType::Struct(Fields::from(vec![
        field("x", DataType::Int32),
        field("y", DataType::Utf8),
        field("z", list(inner.clone())),
    ]));
    let map = |value| {
        let entries = Fields::from(vec![Field::new("key", DataType::Utf8, false), field("value", value)]);
        DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries), false)), false)
    };
    Arc::new(Schema::new(vec![
        field("s", object),
        field("l", list(list(DataType::Decimal128(10, 2)))),
        field("m", map(map(DataType::Float64))),
        field("n", map(inner)),
        field("t", list(timestamp(true))),
    ]))
}

fn timestamp(of_an_instant: bool) -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, of_an_instant.then(|| "UTC".into()))
}
