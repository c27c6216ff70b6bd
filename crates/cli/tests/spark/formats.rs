//! Sources in CSV, and sinks in JSON, CSV and Parquet: the same bytes on both engines.

use crate::support::{FILE_MANAGER, SMALL, server, spark};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

/// One row in a batch, since the rows of a batch are in no order.
const PIPELINE: &str = r#"
on_error = "fail"

[sources.t]
type = "files"
path = "in"
format = "csv"
header = true
sep = ";"
max_files_per_trigger = 1
schema = "ts TIMESTAMP, k STRING, v INT, price DECIMAL(8,2), ratio DOUBLE, day DATE, ok BOOLEAN"

[sources.t.event_time]
column = "at"
expression = "ts"
watermark = "10 seconds"

[query]
sql = """
  SELECT window.start, k, count(*) AS n, sum(v) AS total, max(price) AS price, min(ratio) AS ratio, max(day) AS day,
    bool_or(ok) AS ok, max(CAST(k AS BINARY)) AS bytes NESTED
  FROM t GROUP BY window(at, '10 seconds'), k
"""
output_mode = "update"
no_data_batches = false

[sinks.out]
type = "files"
path = "out"
format = "FORMAT"

[checkpoint]
path = "checkpoint"
"#;

/// Columns that CSV does not have.
const NESTED: &str =
    ", collect_list(v) AS list, max(named_struct('k', k, 'v', v)) AS pair, map(coalesce(k, ''), count(v)) AS by_key";

/// Texts that CSV must quote, numbers at their limits, values that are missing or broken.
const FILES: [&str; 5] = [
    "ts;k;v;price;ratio;day;ok\n2026-01-01T00:00:01Z;a;1;1.50;0.1;2026-01-01;true\n2026-01-01T00:00:02Z;a;2;;;;\n",
    "ts;k;v;price;ratio;day;ok\n2026-01-01T00:00:11.123456Z;\"b;, \"\"c\"\"\";2147483647;999999.99;1e300;9999-12-31;false\n",
    "ts;k;v;price;ratio;day;ok\n2026-01-01T00:00:21Z;\u{e9}\u{1f600};-5;-0.01;-0.0;1969-12-31;\n2026-01-01T00:00:22Z;\u{e9}\u{1f600};;;NaN;;\n",
    "ts;k;v;price;ratio;day;ok\n2026-01-01T00:00:31Z;;x;y;z;w;v\n2026-01-01T00:00:32Z\n",
    "ts;k;v;price;ratio;day;ok\n",
];

/// The files of the sink, by name, without the owner mark.
fn output(engine: &[&str], format: &str) -> BTreeMap<String, Vec<u8>> {
    let place = tempfile::tempdir().unwrap();
    let nested = if format == "csv" { "" } else { NESTED };
    fs::write(place.path().join("p.toml"), PIPELINE.replace("FORMAT", format).replace(" NESTED", nested)).unwrap();
    fs::create_dir(place.path().join("in")).unwrap();
    for (number, text) in FILES.iter().enumerate() {
        let path = place.path().join(format!("in/{number}.csv"));
        fs::write(&path, text).unwrap();
        let time = UNIX_EPOCH + Duration::from_secs(1_700_000_000 + number as u64);
        fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.current_dir(place.path()).args(["run", "p.toml", "--available-now"]).args(engine);
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{format}: {}", String::from_utf8_lossy(&ran.stderr));
    files(&place.path().join("out"))
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let named = paths.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap()));
    named.filter(|(name, _)| name != "_owner").collect()
}

#[test]
fn files_are_the_same_in_every_format() {
    let Some(folder) = spark() else { return };
    let file_manager = ("spark.sql.streaming.checkpointFileManagerClass", FILE_MANAGER);
    let server = server(&folder, &[&SMALL[..], &[file_manager]].concat());
    let remote = server.remote().address_with_token();
    for format in ["json", "csv", "parquet"] {
        let here = output(&[], format);
        let there = output(&["--engine", "spark", "--spark-remote", &remote], format);
        assert_eq!(here.keys().collect::<Vec<_>>(), there.keys().collect::<Vec<_>>(), "{format}");
        // A file for each batch with a row, and the manifest.
        assert!(here.len() >= FILES.len(), "{format}: {:?}", here.keys());
        for (name, bytes) in &here {
            let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert_eq!(bytes, &there[name], "{format}, {name}:\n{}\n{}", shown(bytes), shown(&there[name]));
        }
    }
}
