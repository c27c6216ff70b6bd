//! The same pipeline file on the local engine and on real Spark: the same rows in the same batches.
//!
//! Needs the feature `spark`, and pyspark where `TIDEMILL_SPARK_VENV` or `target/references/spark-venv` says; without, the
//! tests say so and pass. The cases are scenarios (tests/spark/scenarios.py says what those are): of `TIDEMILL_SPARK_CASES`,
//! folders separated by commas, or some of tests/scenarios. Each is written as a pipeline file over files; both engines run it to the
//! end of its input. `cargo xtask spark compare` runs many.
#![cfg(feature = "spark")]

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};
use tidemill_model::Secret;
use tidemill_spark::Session;
use tidemill_spark::server::{Server, ServerOptions, spark_home};

/// Every so many-th scenario of tests/scenarios is run without `TIDEMILL_SPARK_CASES`.
const STEP: usize = 20;
/// Floating-point sums depend on the order of additions, which Spark does not define.
const TOLERANCE: f64 = 1e-9;

/// The folder with Spark, if there is one.
fn spark() -> Option<String> {
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

fn server(folder: &str, conf: &[(&str, &str)]) -> Server {
    server_at(folder, conf, 0, None)
}

/// A server on a port, 0 for a free one; with a token, or with a generated one.
fn server_at(folder: &str, conf: &[(&str, &str)], port: u16, token: Option<&str>) -> Server {
    let conf = conf.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    let (folder, token) = (folder.into(), token.map(Secret::new));
    let options = ServerOptions { folder, master: "local[2]".into(), conf, port, token, secret: None };
    tidemill_spark::block_on(Server::start(&options, &mut |note| eprintln!("{note}"))).unwrap().unwrap()
}

/// Small and quick to start.
const SMALL: [(&str, &str); 3] = [
    ("spark.driver.memory", "1g"),
    ("spark.sql.shuffle.partitions", "1"),
    ("spark.driver.extraJavaOptions", "-Xss4m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"),
];

#[test]
fn streams_end_early_and_mistakes_end_in_sentences() {
    let Some(folder) = spark() else { return };
    let large = ("spark.connect.execute.reattachable.senderMaxStreamSize", "1m");
    let long = ("spark.connect.execute.reattachable.senderMaxStreamDuration", "1s");
    let server = server(&folder, &[&SMALL[..], &[large, long]].concat());
    // A result that takes longer than a stream may last.
    let select = async {
        let session = Session::open(&server.remote()).await?;
        session.select("SELECT count(hash(a.id, b.id)) FROM range(20000) AS a CROSS JOIN range(20000) AS b").await
    };
    let (batches, reattached) = tidemill_spark::block_on(select).unwrap().unwrap();
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
    assert!(reattached >= 1, "no stream ended early");
    // 32 MB in streams of one.
    let select = async {
        let session = Session::open(&server.remote()).await?;
        session.select("SELECT id, repeat('x', 1000) FROM range(32000)").await
    };
    let (batches, reattached) = tidemill_spark::block_on(select).unwrap().unwrap();
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 32_000);
    assert!(reattached >= 2, "the server ended {reattached} streams early");

    let place = tempfile::tempdir().unwrap();
    let kafka = "[sources.t]\ntype = \"kafka\"\nbootstrap_servers = \"127.0.0.1:1\"\ntopic = \"t\"\n\
                 [query]\nsql = \"SELECT value FROM t\"\n[sinks.none]\ntype = \"none\"\n";
    fs::write(place.path().join("kafka.toml"), kafka).unwrap();
    let run = |remote: &str| {
        let args = ["run", "kafka.toml", "--engine", "spark", "--spark-remote", remote];
        let output =
            Command::new(env!("CARGO_BIN_EXE_tidemill")).current_dir(place.path()).args(args).output().unwrap();
        assert!(!output.status.success(), "{remote}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let check = |remote: &str, part: &str| {
        let said = run(remote);
        assert!(said.contains(part), "{remote}: {said}");
    };
    check(&server.remote().address_with_token(), "start the Connect server with --packages");
    let mut other = server.remote();
    other.token = Some(Secret::new("wrong"));
    check(&other.address_with_token(), "refuses the credentials");
    other.tls = true;
    check(&other.address_with_token(), "may not use TLS");
    check("sc://127.0.0.1:1", "does not answer");
}

const KILLED: &str = r#"
[sources.t]
type = "files"
path = "in"
max_files_per_trigger = 1
schema = "ts TIMESTAMP, k STRING, v INT"

[sources.t.event_time]
column = "at"
expression = "ts"
watermark = "10 seconds"

[query]
sql = "SELECT window.start, k, count(*) AS n, sum(v) AS total FROM t GROUP BY window(at, '10 seconds'), k"
output_mode = "update"
no_data_batches = false

[sinks.out]
type = "files"
path = "out"

[checkpoint]
path = "checkpoint"
"#;

/// A pipeline that follows a folder, on Spark or here.
struct Following(tempfile::TempDir);

impl Following {
    fn new() -> Following {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("p.toml"), KILLED).unwrap();
        fs::create_dir(place.path().join("in")).unwrap();
        Following(place)
    }

    fn put(&self, file: u64) {
        let record = |n: u64| {
            let (second, key) = ((file * 7 + n) % 60, n % 3);
            format!("{{\"ts\":\"2026-01-01T00:{:02}:{second:02}Z\",\"k\":\"k{key}\",\"v\":{n}}}\n", file)
        };
        let aside = self.0.path().join("aside");
        fs::write(&aside, (0..50).map(record).collect::<String>()).unwrap();
        let time = UNIX_EPOCH + Duration::from_secs(1_700_000_000 + file);
        fs::File::options().write(true).open(&aside).unwrap().set_modified(time).unwrap();
        fs::rename(aside, self.0.path().join(format!("in/{file:03}.jsonl"))).unwrap();
    }

    fn start(&self, args: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.current_dir(self.0.path()).args(["run", "p.toml"]).args(args).spawn().unwrap()
    }

    /// Waits until the sink has so many batches.
    fn wait_for(&self, batches: usize, child: &mut Child) {
        let manifest = self.0.path().join("out/_manifest.jsonl");
        let began = Instant::now();
        while fs::read_to_string(&manifest).map_or(0, |text| text.lines().count()) < batches {
            assert!(child.try_wait().unwrap().is_none(), "the run has ended before batch {batches}");
            assert!(began.elapsed() < Duration::from_secs(180), "batch {batches} does not come");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn rows(&self) -> BTreeMap<u64, Vec<Value>> {
        batches(&self.0.path().join("out"))
    }
}

fn signal(signal: &str, target: &str) {
    assert!(Command::new("kill").args([signal, "--", target]).status().unwrap().success());
}

#[test]
fn a_killed_server_and_a_killed_client_lose_nothing() {
    let Some(folder) = spark() else { return };
    let (here, there) = (Following::new(), Following::new());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let file_manager = ("spark.sql.streaming.checkpointFileManagerClass", FILE_MANAGER);
    let conf = [&SMALL[..], &[file_manager]].concat();
    let mut server = server_at(&folder, &conf, port, Some("some-token"));
    let remote = server.remote().address_with_token();
    let args = ["--engine", "spark", "--spark-remote", &remote];

    let mut client = there.start(&args);
    (0..2).for_each(|file| there.put(file));
    there.wait_for(2, &mut client);
    // The server dies and comes back: the same client goes on.
    signal("-KILL", &format!("-{}", server.process_group()));
    drop(server);
    there.put(2);
    server = server_at(&folder, &conf, port, Some("some-token"));
    there.put(3);
    there.wait_for(4, &mut client);
    // The client dies, the query goes on: the next client takes it over.
    client.kill().unwrap();
    client.wait().unwrap();
    (4..6).for_each(|file| there.put(file));
    let mut client = there.start(&args);
    there.wait_for(6, &mut client);
    signal("-INT", &client.id().to_string());
    assert!(client.wait().unwrap().success());
    drop(server);

    (0..6).for_each(|file| here.put(file));
    assert!(here.start(&["--available-now"]).wait().unwrap().success());
    assert_eq!(same(&here.rows(), &there.rows()), Ok(true));
}

/// Passes bytes on to a port of this machine, until it is cut.
struct Cable {
    port: u16,
    is_cut: Arc<AtomicBool>,
}

impl Cable {
    fn to(target: u16) -> Cable {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let cable = Cable { port: listener.local_addr().unwrap().port(), is_cut: Arc::default() };
        let is_cut = cable.is_cut.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // Who is not let in sees the connection end.
                if is_cut.load(Ordering::Relaxed) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to, is_cut) = (from.try_clone().unwrap(), to.try_clone().unwrap(), is_cut.clone());
                    thread::spawn(move || pass(from, to, &is_cut));
                }
            }
        });
        cable
    }

    fn cut_for(&self, time: Duration) {
        self.is_cut.store(true, Ordering::Relaxed);
        thread::sleep(time);
        self.is_cut.store(false, Ordering::Relaxed);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, is_cut: &AtomicBool) {
    from.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut bytes = [0; 1 << 16];
    while !is_cut.load(Ordering::Relaxed) {
        match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) if to.write_all(&bytes[..count]).is_ok() => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Ok(_) | Err(_) => break,
        }
    }
    drop((from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both)));
}

#[test]
fn a_cut_network_and_an_expired_session_lose_nothing() {
    let Some(folder) = spark() else { return };
    let (here, there) = (Following::new(), Following::new());
    let own = [
        ("spark.sql.streaming.checkpointFileManagerClass", FILE_MANAGER),
        ("spark.connect.session.manager.defaultSessionTimeout", "10s"),
        ("spark.connect.session.manager.maintenanceInterval", "1s"),
    ];
    let server = server(&folder, &[&SMALL[..], &own].concat());
    let cable = Cable::to(server.remote().port);
    let mut remote = server.remote();
    remote.port = cable.port;
    let mut client = there.start(&["--engine", "spark", "--spark-remote", &remote.address_with_token()]);
    (0..2).for_each(|file| there.put(file));
    there.wait_for(2, &mut client);
    // Shorter than a session lives without its client: the query has gone on.
    there.put(2);
    cable.cut_for(Duration::from_secs(5));
    there.wait_for(3, &mut client);
    // Longer: the server stops the query, and the client starts it again in another session.
    let stopped = client.id().to_string();
    signal("-STOP", &stopped);
    there.put(3);
    thread::sleep(Duration::from_secs(25));
    signal("-CONT", &stopped);
    there.put(4);
    there.wait_for(5, &mut client);
    signal("-INT", &stopped);
    assert!(client.wait().unwrap().success());

    (0..5).for_each(|file| here.put(file));
    assert!(here.start(&["--available-now"]).wait().unwrap().success());
    assert_eq!(same(&here.rows(), &there.rows()), Ok(true));
}

/// Where the demo finds the Kafka connector, if it has been fetched.
fn root_with_connector(folder: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let jars = spark_home(folder).unwrap().join("jars");
    let has = |name: &str| {
        fs::read_dir(root.join("target/kafka")).into_iter().flatten().flatten().any(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .strip_prefix("spark-")
                .is_some_and(|version| name.ends_with(&format!("-{version}.jar")))
        })
    };
    let mut names = fs::read_dir(jars).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    match names.any(|name| name.starts_with("spark-core_") && has(&name)) {
        true => Some(root),
        false => {
            eprintln!("skipped: no Kafka connector in target/kafka; cargo xtask spark start fetches it");
            None
        }
    }
}

/// What is left in a folder for temporary files, and of processes that name it.
fn left_in(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let ours = files.filter(|name| name.starts_with("tidemill-spark-") || name.starts_with("tidemill-workers-"));
    let list = Command::new("ps").args(["-ww", "-eo", "args"]).output().unwrap();
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    let processes = list.lines().filter(|line| line.contains(&*folder.to_string_lossy())).map(str::to_owned);
    ours.chain(processes).collect()
}

#[test]
fn workers_follow_the_load_and_nothing_stays() {
    let Some(folder) = spark() else { return };
    let Some(root) = root_with_connector(&folder) else { return };
    let temporary = tempfile::tempdir().unwrap();
    let report = temporary.path().join("report.json");
    let demo = |duration: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.current_dir(&root).env("TMPDIR", temporary.path());
        command.args(["demo", "--engine", "spark", "--spark-local", &folder, "--headless", "--duration", duration]);
        command
    };
    // A client that is killed takes its Spark along, executors and files included.
    let mut killed = demo("60s").stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(killed.stdout.take().unwrap()).lines();
    let ready = lines.map_while(Result::ok).find(|line| line.contains("executors 0 -> 1 ready"));
    assert!(ready.is_some(), "no Worker got an executor");
    killed.kill().unwrap();
    killed.wait().unwrap();
    let began = Instant::now();
    while !left_in(temporary.path()).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", left_in(temporary.path()));
        thread::sleep(Duration::from_millis(200));
    }

    assert!(demo("60s").arg("--report").arg(&report).status().unwrap().success());
    let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    let number = |name: &str| report[name].as_f64().unwrap_or(f64::NAN);
    assert_eq!([number("lost"), number("duplicated"), number("rows_wrong")], [0.0; 3], "{report}");
    assert!(number("max_executors_seen") > 1.0 && number("min_executors_seen") == 0.0, "{report}");
    assert!(number("executor_seconds") > 0.0 && number("cold_start_ms") > 0.0, "{report}");
    let last = report["decisions"].as_array().unwrap().last().unwrap();
    assert_eq!(last["to"], 0, "{report}");
    assert_eq!(left_in(temporary.path()), [""; 0]);
}

#[test]
fn both_engines_give_the_same_rows() {
    let Some(folder) = spark() else { return };
    let conf = [
        ("spark.driver.memory", "1g"),
        ("spark.sql.shuffle.partitions", "1"),
        ("spark.sql.adaptive.enabled", "false"),
        ("spark.sql.codegen.wholeStage", "false"),
        ("spark.driver.extraJavaOptions", "-Xss4m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"),
        ("spark.sql.streaming.checkpointFileManagerClass", FILE_MANAGER),
    ];
    let server = server(&folder, &conf);
    let remote = server.remote().address_with_token();
    let (mut same, mut skipped, mut differ) = (0, 0, Vec::new());
    for file in cases() {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        match compare(&file, &remote) {
            Ok(true) => same += 1,
            Ok(false) => skipped += 1,
            Err(difference) => {
                eprintln!("{name}: {difference}");
                differ.push(name);
            }
        }
        if (same + skipped + differ.len()).is_multiple_of(10) {
            eprintln!("{same} same, {} differ, {skipped} refused by the file's rules or by check", differ.len());
        }
    }
    eprintln!("{same} same, {} differ, {skipped} refused by the file's rules or by check", differ.len());
    assert!(differ.is_empty(), "{differ:?}");
    assert!(same > 0);
}

const FILE_MANAGER: &str =
    "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager";

fn cases() -> Vec<PathBuf> {
    let own = std::env::var("TIDEMILL_SPARK_CASES").ok();
    let folders = own.clone().unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/scenarios").into());
    let mut files: Vec<PathBuf> = folders
        .split(',')
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    files.into_iter().step_by(if own.is_some() { 1 } else { STEP }).collect()
}

/// Whether a case gives the same on both engines; `false` where it is no pipeline of both.
fn compare(file: &Path, remote: &str) -> Result<bool, String> {
    let Ok(case) = serde_json::from_slice::<Value>(&fs::read(file).unwrap()) else { return Ok(false) };
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    if !lay(&case, place.path()) {
        return Ok(false);
    }
    let tidemill = |args: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_tidemill")).current_dir(place.path()).args(args).output().unwrap()
    };
    // Two files, since each engine has its own sink and checkpoint.
    if !tidemill(&["check", "local.toml"]).status.success() {
        return Ok(false);
    }
    let checked = tidemill(&["check", "spark.toml", "--engine", "spark"]);
    if !checked.status.success() {
        return Ok(false);
    }
    let local = tidemill(&["run", "local.toml", "--available-now"]);
    let spark = tidemill(&["run", "spark.toml", "--available-now", "--engine", "spark", "--spark-remote", remote]);
    match (local.status.success(), spark.status.success()) {
        (true, true) => {}
        (false, false) => return Ok(true),
        (is_local, _) => {
            let (who, failed) = if is_local { ("Spark", spark) } else { ("the local engine", local) };
            return Err(format!("only {who} fails: {}", said(&failed)));
        }
    }
    same(&batches(&at("out-local")), &batches(&at("out-spark")))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).lines().rev().take(3).collect::<Vec<_>>().join(" | ")
}

/// Writes a case as pipeline files with its input; `false` if it cannot be written.
fn lay(case: &Value, place: &Path) -> bool {
    let single = vec![case.clone()];
    let sources = case["sources"].as_array().unwrap_or(&single);
    let mut text = String::from("name = \"case\"\non_error = \"fail\"\n");
    if let Some(zone) = case["zone"].as_str() {
        writeln!(text, "session_time_zone = {}", quoted(zone)).unwrap();
    }
    for source in sources {
        let name = source["name"].as_str().unwrap_or("events");
        let schema = quoted(source["schema"].as_str().unwrap_or_default());
        writeln!(text, "[sources.{name}]\ntype = \"files\"\npath = \"in-{name}\"\nmax_files_per_trigger = 1").unwrap();
        writeln!(text, "schema = {schema}").unwrap();
        if let Some(time) = source["event_time"].as_object() {
            let part = |key: &str| quoted(time[key].as_str().unwrap_or_default());
            writeln!(text, "[sources.{name}.event_time]\ncolumn = {}", part("column")).unwrap();
            writeln!(text, "expression = {}", part("expression")).unwrap();
            if let Some(delay) = source["watermark"].as_str() {
                writeln!(text, "watermark = {}", quoted(delay)).unwrap();
            }
        }
        fs::create_dir(place.join(format!("in-{name}"))).unwrap();
    }
    let mode = case["mode"].as_str().unwrap_or("append");
    writeln!(text, "[query]\nsql = {}\noutput_mode = \"{mode}\"", quoted(case["sql"].as_str().unwrap_or_default()))
        .unwrap();
    writeln!(text, "no_data_batches = {}", case["no_data_batches"].as_bool().unwrap_or(true)).unwrap();
    for engine in ["local", "spark"] {
        let ends = format!(
            "[sinks.out]\ntype = \"files\"\npath = \"out-{engine}\"\n[checkpoint]\npath = \"checkpoint-{engine}\"\n"
        );
        fs::write(place.join(format!("{engine}.toml")), format!("{text}{ends}")).unwrap();
    }
    for (number, batch) in case["batches"].as_array().into_iter().flatten().enumerate() {
        let single = serde_json::Map::from_iter([("events".to_owned(), batch.clone())]);
        for (name, lines) in batch.as_object().unwrap_or(&single) {
            let lines = lines.as_array().into_iter().flatten().filter_map(Value::as_str);
            let content: String = lines.flat_map(|line| [line, "\n"]).collect();
            let path = place.join(format!("in-{name}/{number:06}.txt"));
            fs::write(&path, content).unwrap();
            let time = UNIX_EPOCH + Duration::from_secs(1_700_000_000 + number as u64);
            fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        }
    }
    true
}

/// A text as a string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => write!(out, "\\U{:08x}", u32::from(c)).unwrap(),
            c => out.push(c),
        }
    }
    out + "\""
}

/// The rows of each batch, sorted.
fn batches(dir: &Path) -> BTreeMap<u64, Vec<Value>> {
    let mut found = BTreeMap::new();
    for batch in tidemill_files::read_batches(dir).unwrap() {
        let (id, mut rows) = batch.unwrap();
        rows.sort_by_key(Value::to_string);
        found.insert(id, rows);
    }
    found
}

fn same(local: &BTreeMap<u64, Vec<Value>>, spark: &BTreeMap<u64, Vec<Value>>) -> Result<bool, String> {
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
