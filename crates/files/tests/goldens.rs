//! Compares with real Spark on the same files: `goldens/*.jsonl`, made by `tests/spark/files.py`.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tidemill_decode::{CsvDecoder, Decoder, Options};
use tidemill_files::{FilesOptions, FilesReader, FilesSink, FilesWatch, FormatWriter};
use tidemill_flow::ports::{Chunk, Extents, Read, Sink, Watch};
use tidemill_flow::records::Records;
use tidemill_model::OffsetRange;
use tidemill_model::pipeline::SinkFormat;
use tidemill_sql::text::{csv, json, show};
use tidemill_sql::zone::{WallClock, Zone};

/// The Parquet file that Spark read. Set `TIDEMILL_BLESS` to write it anew, then run the script.
const PARQUET: &str = "tests/goldens/parquet.parquet";

/// The cases of a golden file, without its first line.
fn goldens(name: &str) -> Vec<Value> {
    let path = Path::new("tests/goldens").join(name);
    let text = fs::read_to_string(&path).unwrap();
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert_eq!(lines.next().unwrap()["spark"], "4.1.1");
    lines.collect()
}

/// A case's bytes.
fn content(case: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = if case == "<empty>" { "" } else { case };
    while let Some(at) = rest.find('%') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        bytes.push(u8::from_str_radix(&rest[at + 1..at + 3], 16).unwrap());
        rest = &rest[at + 3..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// The records of a file.
fn records(bytes: &[u8], csv: bool, header: bool) -> Chunk {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("in")).unwrap();
    fs::write(dir.path().join("in/file"), bytes).unwrap();
    let options = FilesOptions {
        source: 0,
        path: dir.path().join("in").to_str().unwrap().into(),
        csv,
        header,
        max_files_per_trigger: None,
        log_dir: dir.path().join("sources"),
    };
    let extents = FilesWatch::new(options.clone()).unwrap().watch(&Extents::new(), Duration::ZERO).unwrap();
    let (partition, extent) = extents.into_iter().next().unwrap();
    let mut reader = FilesReader::new(&options.log_dir, options.source, options.csv, options.header);
    reader.open(&OffsetRange { partition, start: extent.start, end: extent.end }).unwrap();
    let mut chunk = Chunk::default();
    reader.next(&mut chunk, usize::MAX).unwrap();
    chunk
}

/// A schema's columns, parsed as in a pipeline.
fn schema(ddl: &str) -> SchemaRef {
    let text = format!(
        "[sources.t]\ntype = \"files\"\npath = \"in\"\nschema = \"{ddl}\"\n[query]\nsql = \"SELECT * FROM t\"\n[sinks.s]\ntype = \"console\"\n"
    );
    let pipeline = tidemill_config::parse("p.toml", &text, &[]).unwrap();
    tidemill_sql::plan(&pipeline).unwrap_or_else(|faults| panic!("{ddl}: {faults}")).branches[0].decode_schema.clone()
}

/// Every value as the script's `shown` formats it.
fn shown(rows: &RecordBatch) -> Value {
    let cell = |column: &dyn Array, row: usize| match column.data_type() {
        _ if column.is_null(row) => Value::Null,
        DataType::Date32 => json!(column.as_primitive::<Date32Type>().value(row).to_string()),
        DataType::Timestamp(_, _) => json!(column.as_primitive::<TimestampMicrosecondType>().value(row).to_string()),
        _ => json!(show::value(column, row, &WallClock::utc())),
    };
    let row = |row: usize| -> Vec<Value> { rows.columns().iter().map(|column| cell(column, row)).collect() };
    (0..rows.num_rows()).map(row).collect()
}

#[test]
fn s2_lines_as_sparks_text_source_cuts_them() {
    for golden in goldens("lines.jsonl") {
        let case = golden["case"].as_str().unwrap();
        let chunk = records(&content(case), false, false);
        let hex = |line: &[u8]| line.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
        let lines: Vec<String> = (0..chunk.len()).map(|record| hex(chunk.value(record).unwrap())).collect();
        assert_eq!(json!(lines), golden["lines"], "{case}");
    }
}

/// The `zone=` option of a group.
fn zone(group: &str) -> Zone {
    let named = group.split('|').find_map(|option| option.trim().strip_prefix("zone="));
    Zone::parse(named.unwrap_or("UTC")).unwrap()
}

#[test]
fn s2_csv_as_spark_reads_it() {
    for golden in goldens("csv.jsonl").into_iter().chain(goldens("csv-zones.jsonl")) {
        let (case, group) = (golden["case"].as_str().unwrap(), golden["group"].as_str().unwrap());
        let mut parts = group.split('|').map(|part| part.trim_matches(' '));
        let schema = schema(parts.next().unwrap());
        let options: Vec<&str> = parts.collect();
        let separator = options.iter().find_map(|option| option.strip_prefix("sep=")).unwrap_or(",");
        let separator = String::from_utf8(content(separator)).unwrap().chars().next().unwrap();
        let places: Vec<usize> = (0..schema.fields().len()).collect();
        let decode = Options { session_zone: zone(group), ..Options::default() };
        let mut decoder = CsvDecoder::new(&schema, &places, None, separator, decode);
        let rows = decoder.decode(&records(&content(case), true, options.contains(&"header"))).batch;
        assert_eq!(shown(&rows), golden["rows"], "{case:?} as {group}");
    }
}

/// All cases in one file: each is one line, or a blank one.
#[test]
fn s2_csv_quotes_that_lie() {
    let goldens = goldens("csv-mutated.jsonl");
    let text: Vec<Vec<u8>> = goldens.iter().map(|golden| content(golden["case"].as_str().unwrap())).collect();
    let schema = schema("a STRING, b STRING, c STRING");
    let mut decoder = CsvDecoder::new(&schema, &[0, 1, 2], None, ',', Options::default());
    let Value::Array(rows) = shown(&decoder.decode(&records(&text.join(&b'\n'), true, false)).batch) else { panic!() };
    let mut rows = rows.into_iter();
    for golden in goldens {
        let expected = golden["rows"].as_array().unwrap();
        let found: Vec<Value> = rows.by_ref().take(expected.len()).collect();
        assert_eq!(&found, expected, "{}", golden["case"]);
    }
    assert_eq!(rows.next(), None);
}

/// Columns that the query does not use are not decoded; the others are found by position.
#[test]
fn s2_csv_columns_have_places() {
    let field = |name: &str| Field::new(name, DataType::Utf8, true);
    let schema = Arc::new(Schema::new(vec![field("b"), field("d")]));
    let mut decoder = CsvDecoder::new(&schema, &[1, 3], None, ',', Options::default());
    let decoded = decoder.decode(&records(b"1,2,3,4,5\n1,2,3\n1,,3,\n", true, false));
    assert_eq!(shown(&decoded.batch), json!([["2", "4"], ["2", null], [null, null]]));
    assert_eq!((decoded.wrong_type, decoded.malformed, decoded.faults.len()), (1, 0, 3));
}

/// The column of corrupt records, by the columns that the query uses.
#[test]
fn s2_corrupt_records_as_spark_reads_them() {
    let mut corrupt = 0;
    for golden in goldens("corrupt.jsonl") {
        let (case, group) = (golden["case"].as_str().unwrap(), golden["group"].as_str().unwrap());
        let parts: Vec<&str> = group.split('|').map(str::trim).collect();
        let &[ddl, format, columns] = parts.as_slice() else { panic!("{group}") };
        let mut options = String::new();
        for option in format.split(' ').skip(1) {
            options += &match option.split_once('=') {
                Some(("column", name)) => format!("column_name_of_corrupt_record = \"{name}\"\n"),
                Some((name, value)) => format!("{name} = \"{value}\"\n"),
                None => format!("{option} = true\n"),
            };
        }
        let format = format.split(' ').next().unwrap();
        let text = format!(
            "[sources.t]\ntype = \"files\"\npath = \"in\"\nformat = \"{format}\"\n{options}schema = \"{ddl}\"\n\
             [query]\nsql = \"SELECT {columns} FROM t\"\n[sinks.s]\ntype = \"console\"\n"
        );
        let pipeline = tidemill_config::parse("p.toml", &text, &[]).unwrap();
        let plan = tidemill_sql::plan(&pipeline).unwrap_or_else(|faults| panic!("{group}: {faults}"));
        let chunk = records(&content(case), format == "csv", options.contains("header"));
        let rows = Records::new(&plan.branches[0]).decode(&chunk).batch;
        // A cast to STRING writes `null` inside of values, the console `NULL`.
        let found: Value = serde_json::from_str(&shown(&rows).to_string().replace("NULL", "null")).unwrap();
        assert_eq!(found, golden["rows"], "{case:?} as {group}");
        let texts = rows.column_by_name("_corrupt_record").or(rows.column_by_name("bad"));
        corrupt += texts.map_or(0, |texts| texts.len() - texts.null_count());
    }
    assert!(corrupt > 30, "{corrupt} corrupt records");
}

#[test]
fn s1_json_and_csv_as_spark_writes_them() {
    for golden in goldens("write.jsonl").into_iter().chain(goldens("write-zones.jsonl")) {
        let (case, group) = (golden["case"].as_str().unwrap(), golden["schema"].as_str().unwrap());
        let schema = schema(group.split('|').next().unwrap().trim());
        let clock = WallClock::new(zone(group));
        let options = Options { session_zone: clock.zone(), ..Options::default() };
        let rows = Decoder::new(&schema, options).decode(&records(&content(case), false, false)).batch;
        let mut text = String::new();
        json::write_row(&mut text, &rows, 0, &clock);
        assert_eq!(json!(text), golden["json"], "{case}");
        let mut text = String::new();
        let refused = csv::refused(&schema).is_some();
        if !refused {
            csv::write_row(&mut text, &rows, 0, &clock);
        }
        assert_eq!(if refused { Value::Null } else { json!(text) }, golden["csv"], "{case}");
    }
}

/// The bytes are those that Spark read, and Spark found in them what was written.
#[test]
fn s1_parquet_as_spark_reads_it() {
    let text = fs::read_to_string("tests/goldens/parquet.txt").unwrap();
    let ddl = text.lines().find_map(|line| line.strip_prefix("@ ")).unwrap();
    let cases: Vec<&str> = text.lines().filter(|line| line.starts_with('{')).collect();
    let schema = schema(ddl);
    let lines = cases.join("\n");
    let rows = Decoder::new(&schema, Options::default()).decode(&records(lines.as_bytes(), false, false)).batch;
    let dir = tempfile::tempdir().unwrap();
    let writer = FormatWriter::new(SinkFormat::Parquet, Zone::UTC, false);
    let committer = FilesSink::new(dir.path(), SinkFormat::Parquet).unwrap();
    Sink::new(writer, committer).write(0, &rows, false).unwrap();
    let bytes = fs::read(dir.path().join("batch-00000000000000000000.parquet")).unwrap();
    if std::env::var_os("TIDEMILL_BLESS").is_some() {
        fs::write(PARQUET, &bytes).unwrap();
    }
    assert!(bytes == fs::read(PARQUET).unwrap(), "other bytes than Spark was shown");
    let goldens = goldens("parquet.jsonl");
    assert_eq!(goldens.len(), cases.len());
    for (row, golden) in goldens.iter().enumerate() {
        let mut text = String::new();
        json::write_row(&mut text, &rows, row, &WallClock::utc());
        assert_eq!((json!(cases[row]), json!(text)), (golden["case"].clone(), golden["json"].clone()));
        let squeezed = |ddl: &str| ddl.to_lowercase().replace(' ', "");
        assert_eq!(squeezed(golden["schema"].as_str().unwrap()), squeezed(ddl));
    }
}
