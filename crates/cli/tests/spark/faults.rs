//! Servers and clients that die, networks that are cut, sessions that expire: nothing is lost, nothing comes twice.

use crate::support::{FILE_MANAGER, SMALL, batches, same, server, server_at, signal, spark};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

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
        // The first line is the manifest's own.
        while fs::read_to_string(&manifest).map_or(0, |text| text.lines().count()) <= batches {
            assert!(child.try_wait().unwrap().is_none(), "the run has ended before batch {batches}");
            assert!(began.elapsed() < Duration::from_secs(180), "batch {batches} does not come");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until Spark has committed a batch.
    fn wait_for_commit(&self, batch: u64) {
        let (commit, began) = (self.0.path().join(format!("checkpoint/spark/commits/{batch}")), Instant::now());
        while !commit.exists() {
            assert!(began.elapsed() < Duration::from_secs(60), "Spark does not commit batch {batch}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn rows(&self) -> BTreeMap<u64, Vec<Value>> {
        batches(&self.0.path().join("out"))
    }
}

#[test]
fn a_killed_server_and_a_killed_client_lose_nothing() {
    let Some(folder) = spark() else { return };
    let (here, there) = (Following::new(), Following::new());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let file_manager = ("spark.sql.streaming.checkpointFileManagerClass", FILE_MANAGER);
    let idle = ("spark.sql.streaming.noDataProgressEventInterval", "1000");
    let conf = [&SMALL[..], &[file_manager, idle]].concat();
    let mut server = server_at(&folder, &conf, port, Some("some-token"));
    let remote = server.remote().address_with_token();
    let args = ["--engine", "spark", "--spark-remote", &remote];

    let mut client = there.start(&args);
    (0..2).for_each(|file| there.put(file));
    there.wait_for(2, &mut client);
    // The client is away until Spark has nothing to do: its last word is of no batch.
    signal("-STOP", &client.id().to_string());
    there.put(2);
    there.wait_for_commit(2);
    thread::sleep(Duration::from_secs(5));
    signal("-CONT", &client.id().to_string());
    there.wait_for(3, &mut client);
    // The server dies and comes back: the same client goes on.
    signal("-KILL", &format!("-{}", server.process_group()));
    drop(server);
    there.put(3);
    server = server_at(&folder, &conf, port, Some("some-token"));
    there.put(4);
    there.wait_for(5, &mut client);
    // The client dies, the query goes on: the next client takes it over.
    client.kill().unwrap();
    client.wait().unwrap();
    (5..7).for_each(|file| there.put(file));
    let mut client = there.start(&args);
    there.wait_for(7, &mut client);
    signal("-INT", &client.id().to_string());
    assert!(client.wait().unwrap().success());
    drop(server);

    (0..7).for_each(|file| here.put(file));
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
