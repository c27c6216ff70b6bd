//! Kafka's own columns of a chunk's records, without a schema and beside one.

use arrow_array::{Array, RecordBatch};
use tidemill_decode::zone::{WallClock, Zone};
use tidemill_flow::kafka_columns::parts;
use tidemill_flow::ports::{Chunk, RecordMetadata};
use tidemill_flow::records::Records;
use tidemill_model::PartitionId;
use tidemill_sql::plan::BranchPlan;
use tidemill_sql::text::json;

fn plan(source: &str, sql: &str) -> BranchPlan {
    let text = format!(
        "[sources.t]\ntype = \"kafka\"\nbootstrap_servers = \"h:1\"\ntopic = \"t\"\n{source}\n\
         [query]\nsql = \"{sql}\"\n[sinks.out]\ntype = \"console\"\n",
    );
    let plan = tidemill_sql::plan(&tidemill_config::parse("p.toml", &text, &[]).unwrap()).unwrap();
    plan.branches[0].as_ref().clone()
}

/// Two records: one with everything, one with nothing. Only the wanted parts are delivered.
fn chunk(parts: RecordMetadata) -> Chunk {
    let mut chunk = Chunk::default();
    chunk.push(7, 1_500, Some(br#"{"a":1}"#));
    chunk.push(9, -1, None);
    if parts.keys {
        chunk.keys.push(Some(b"k"));
        chunk.keys.push(None);
    }
    if parts.timestamp_types {
        chunk.timestamp_types.extend([1, -1]);
    }
    if parts.headers {
        for (name, value) in [("h", Some(&b"v"[..])), ("h", None)] {
            chunk.header_names.push(Some(name.as_bytes()));
            chunk.header_values.push(value);
        }
        chunk.header_ends.extend([2, 2]);
    }
    chunk
}

/// The source rows as JSON lines.
fn rows(source: &str, sql: &str) -> Vec<String> {
    let plan = plan(source, sql);
    let mut records = Records::new(&plan);
    records.set_partition(&PartitionId { source: 0, topic: "orders".into(), partition: 3 });
    let decoded = records.decode(&chunk(parts(plan.kafka_columns.as_ref())));
    assert_eq!((decoded.malformed, decoded.wrong_type), (0, 0));
    assert_eq!(decoded.batch.schema().fields(), plan.row_schema.fields());
    lines(&decoded.batch)
}

fn lines(rows: &RecordBatch) -> Vec<String> {
    let clock = WallClock::new(Zone::UTC);
    let line = |row| {
        let mut line = String::new();
        json::write_row(&mut line, rows, row, &clock);
        line.trim_end().to_owned()
    };
    (0..rows.num_rows()).map(line).collect()
}

#[test]
fn without_a_schema() {
    assert_eq!(
        rows("include_headers = true", "SELECT * FROM t"),
        [
            r#"{"key":"aw==","value":"eyJhIjoxfQ==","topic":"orders","partition":3,"offset":7,"timestamp":"1970-01-01T00:00:01.500Z","timestampType":1,"headers":[{"key":"h","value":"dg=="},{"key":"h"}]}"#,
            r#"{"topic":"orders","partition":3,"offset":9,"timestamp":"1969-12-31T23:59:59.999Z","timestampType":-1}"#,
        ]
    );
    assert_eq!(rows("", "SELECT offset + 1 AS o FROM t"), [r#"{"offset":7}"#, r#"{"offset":9}"#]);
}

#[test]
fn the_value_as_text() {
    assert_eq!(
        rows("format = \"text\"", "SELECT value, key, offset FROM t"),
        [r#"{"key":"aw==","value":"{\"a\":1}","offset":7}"#, r#"{"offset":9}"#]
    );
    assert_eq!(rows("format = \"raw\"", "SELECT value FROM t"), rows("", "SELECT value FROM t"));
}

#[test]
fn values_of_csv_beside_kafkas_own() {
    let source = "format = \"csv\"\nsep = \";\"\nschema = \"a INT, b STRING, c DOUBLE, bad STRING\"\n\
                  column_name_of_corrupt_record = \"bad\"\nmetadata_column = \"kafka\"";
    let plan = plan(source, "SELECT a, b, c, bad, kafka.offset FROM t");
    let mut chunk = Chunk::default();
    // With its line end; a value of another type; too few and too many values; nothing, twice.
    let values = ["1;x;2.5", "2;\"y;z\";1\n", "x;y;3", "4;y", "5;y;1;z", ""];
    for (offset, value) in (0..).zip(values) {
        chunk.push(offset, 0, Some(value.as_bytes()));
    }
    chunk.push(6, 0, None);
    let mut records = Records::new(&plan);
    records.set_partition(&PartitionId { source: 0, topic: "orders".into(), partition: 3 });
    let decoded = records.decode(&chunk);
    assert_eq!((decoded.malformed, decoded.wrong_type), (0, 3));
    assert_eq!(
        lines(&decoded.batch),
        [
            r#"{"a":1,"b":"x","c":2.5,"kafka":{"offset":0}}"#,
            r#"{"a":2,"b":"y;z","c":1.0,"kafka":{"offset":1}}"#,
            r#"{"b":"y","c":3.0,"bad":"x;y;3","kafka":{"offset":2}}"#,
            r#"{"a":4,"b":"y","bad":"4;y","kafka":{"offset":3}}"#,
            r#"{"a":5,"b":"y","c":1.0,"bad":"5;y;1;z","kafka":{"offset":4}}"#,
            r#"{"kafka":{"offset":5}}"#,
            r#"{"kafka":{"offset":6}}"#,
        ]
    );
}

#[test]
fn beside_a_schema_only_what_is_used_is_filled() {
    let source = "schema = \"a INT, offset STRING\"\nmetadata_column = \"kafka\"";
    assert_eq!(
        rows(source, "SELECT a, kafka.offset, kafka.topic FROM t"),
        [r#"{"a":1,"kafka":{"topic":"orders","offset":7}}"#, r#"{"kafka":{"topic":"orders","offset":9}}"#]
    );
    assert_eq!(rows(source, "SELECT a FROM t"), [r#"{"a":1}"#, "{}"]);
}

#[test]
fn a_reader_delivers_what_the_query_uses() {
    let delivered = |source: &str, sql: &str| parts(plan(source, sql).kafka_columns.as_ref());
    assert_eq!(delivered("", "SELECT value, timestamp FROM t"), RecordMetadata::default());
    assert_eq!(delivered("", "SELECT key FROM t"), RecordMetadata { keys: true, ..RecordMetadata::default() });
    let beside = "schema = \"a INT\"\nmetadata_column = \"k\"\ninclude_headers = true";
    assert_eq!(delivered(beside, "SELECT a FROM t"), RecordMetadata::default());
    assert_eq!(
        delivered(beside, "SELECT k.headers FROM t"),
        RecordMetadata { headers: true, ..RecordMetadata::default() }
    );
    assert_eq!(
        delivered(beside, "SELECT k FROM t"),
        RecordMetadata { keys: true, timestamp_types: true, headers: true }
    );
}

#[test]
fn what_the_query_parses_follows() {
    let parsed = "SELECT d.a, d.b FROM (SELECT from_json(CAST(value AS STRING), 'a INT, b STRING, c INT') AS d FROM t)";
    assert_eq!(rows("", parsed), [r#"{"value":"eyJhIjoxfQ==","json":{"a":1}}"#, "{}"]);
}

/// What Spark 4.1.1 gives for records of Apache Kafka 4.1.0. It fails at the last one; here its time is NULL.
#[test]
fn timestamps_and_parts_as_spark_gives_them() {
    let plan = plan("include_headers = true", "SELECT key, value, timestamp, headers FROM t");
    let mut records = Records::new(&plan);
    records.set_partition(&PartitionId { source: 0, topic: "create".into(), partition: 0 });
    let mut chunk = Chunk::default();
    let times = [1_500, 0, 1_700_000_000_123, 9_223_372_036_854_775, 9_223_372_036_854_776];
    let keys: [Option<&[u8]>; 5] = [Some(b"k"), None, Some(b""), Some(b"\xff\x00"), None];
    let values: [Option<&[u8]>; 5] = [Some(b"{}"), Some(b""), None, Some(b"\xff\xfe"), None];
    for (offset, ((time, key), value)) in times.into_iter().zip(keys).zip(values).enumerate() {
        chunk.push(offset as i64, time, value);
        chunk.keys.push(key);
        if offset == 0 {
            for value in [Some(&b"v"[..]), None, Some(b"")] {
                chunk.header_names.push(Some(b"h"));
                chunk.header_values.push(value);
            }
        }
        chunk.header_ends.push(3);
    }
    let batch = records.decode(&chunk).batch;
    let text = |column: usize, row: usize| {
        let clock = WallClock::new(Zone::UTC);
        let is_null = batch.column(column).is_null(row);
        if is_null { "NULL".to_owned() } else { tidemill_sql::text::show::cast(batch.column(column), row, &clock) }
    };
    let column = |column: usize| (0..5).map(|row| text(column, row)).collect::<Vec<_>>();
    assert_eq!(column(0), ["k", "NULL", "", "\u{fffd}\0", "NULL"]);
    assert_eq!(column(1), ["{}", "", "NULL", "\u{fffd}\u{fffd}", "NULL"]);
    assert_eq!(
        column(2),
        [
            "1970-01-01 00:00:01.5",
            "1970-01-01 00:00:00",
            "2023-11-14 22:13:20.123",
            "+294247-01-10 04:00:54.775",
            "NULL"
        ]
    );
    assert_eq!(column(3), ["[{h, v}, {h, null}, {h, }]", "NULL", "NULL", "NULL", "NULL"]);
}
