//! Real Spark servers, and rows of both engines side by side.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use tidemill_model::Secret;
use tidemill_spark::server::{Server, ServerOptions, spark_home};

/// Floating-point sums depend on the order of additions, which Spark does not define.
const TOLERANCE: f64 = 1e-9;

pub(crate) const FILE_MANAGER: &str =
    "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager";

/// The folder with Spark, if there is one.
pub(crate) fn spark() -> Option<String> {
    let venv = std::env::var("TIDEMILL_SPARK_VENV").unwrap_or_else(|_| {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/references/spark-venv").display().to_string()
    });
    match spark_home(&venv) {
        Ok(_) => Some(venv),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

pub(crate) fn server(folder: &str, conf: &[(&str, &str)]) -> Server {
    server_at(folder, conf, 0, None)
}

/// A server on a port, 0 for a free one; with a token, or with a generated one.
pub(crate) fn server_at(folder: &str, conf: &[(&str, &str)], port: u16, token: Option<&str>) -> Server {
    let conf = conf.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    let (folder, token) = (folder.into(), token.map(Secret::new));
    let options = ServerOptions { folder, master: "local[2]".into(), conf, port, token, secret: None };
    tidemill_spark::block_on(Server::start(&options, &mut |note| eprintln!("{note}"))).unwrap().unwrap()
}

/// Small and quick to start.
pub(crate) const SMALL: [(&str, &str); 3] = [
    ("spark.driver.memory", "1g"),
    ("spark.sql.shuffle.partitions", "1"),
    ("spark.driver.extraJavaOptions", "-Xss4m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"),
];

pub(crate) fn signal(signal: &str, target: &str) {
    assert!(Command::new("kill").args([signal, "--", target]).status().unwrap().success());
}

/// The rows of each batch, sorted.
pub(crate) fn batches(dir: &Path) -> BTreeMap<u64, Vec<Value>> {
    let mut found = BTreeMap::new();
    for batch in tidemill_files::read_batches(dir).unwrap() {
        let (id, mut rows) = batch.unwrap();
        rows.sort_by_key(Value::to_string);
        found.insert(id, rows);
    }
    found
}

pub(crate) fn same(local: &BTreeMap<u64, Vec<Value>>, spark: &BTreeMap<u64, Vec<Value>>) -> Result<bool, String> {
    if local.keys().ne(spark.keys()) {
        return Err(format!("batches {:?}, on Spark {:?}", local.keys(), spark.keys()));
    }
    for (id, rows) in local {
        let others = &spark[id];
        if rows.len() != others.len() || !rows.iter().zip(others).all(|(one, other)| is_close(one, other)) {
            let shown = |rows: &[Value]| rows.iter().map(Value::to_string).collect::<Vec<_>>().join(" ");
            return Err(format!("batch {id}:\n  local {}\n  spark {}", shown(rows), shown(others)));
        }
    }
    Ok(true)
}

fn is_close(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_close(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| is_close(a, b)))
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())
        }
        (one, other) => one == other,
    }
}
