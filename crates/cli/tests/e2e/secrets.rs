//! Secrets of a pipeline file are shown nowhere: not by the dashboard, nor in logs, progress, decisions, the checkpoint,
//! results, dead letters, or the command lines of processes.

use crate::support::{Dashboard, Ended, Process, Testbed, WITH_DASHBOARD, program, records};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

const THEN: i64 = 1_700_000_000;
/// From the environment, a file, the text of the pipeline file, and the command line.
const SECRETS: [&str; 4] = ["of-the-environment-6151", "of-a-file-6152", "in-the-text-6153", "of-set-6154"];
const OPTIONS: &str = r#"
[sources.logs.options]
"sasl.username" = "${ENV:TIDEMILL_TEST_SECRET}"
"sasl.password" = "${FILE:secret.txt}"
"client.rack" = "in-the-text-6153"
"#;
/// The stream of events does not end by itself.
const EVENTS_FOR: Duration = Duration::from_secs(2);
const SET: [&str; 2] = ["--set", "sources.logs.options.client.id=of-set-6154"];
const EVERYTHING: [&str; 12] = [
    "--set",
    "dead_letter.type=files",
    "--set",
    "dead_letter.path=letters",
    "--progress",
    "progress.jsonl",
    "--decisions",
    "decisions.jsonl",
    WITH_DASHBOARD[0],
    WITH_DASHBOARD[1],
    SET[0],
    SET[1],
];

/// Adds the secrets to the pipeline file.
fn add_secrets(testbed: &Testbed) {
    let text = fs::read_to_string(testbed.path("p.toml")).unwrap();
    fs::write(testbed.path("p.toml"), text + OPTIONS).unwrap();
    fs::write(testbed.path("secret.txt"), format!("{}\n", SECRETS[1])).unwrap();
}

fn start(testbed: &Testbed, args: &[&str]) -> Process {
    let mut command = program(&testbed.path(""));
    Process::start(command.env("TIDEMILL_TEST_SECRET", SECRETS[0]).args(args))
}

fn check(what: &str, bytes: &[u8]) {
    for secret in SECRETS {
        let shown = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!shown, "{what} shows the secret {secret}: {}", String::from_utf8_lossy(bytes));
    }
}

fn check_ended(what: &str, ended: &Ended) {
    check(what, ended.stdout.as_bytes());
    check(what, ended.stderr.as_bytes());
}

/// Checks all files below a folder, except those that hold the secrets. Returns their number.
fn check_files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let check_one = |path: &std::path::PathBuf| match path.is_dir() {
        true => check_files(path),
        false if path.ends_with("p.toml") || path.ends_with("secret.txt") => 0,
        false => {
            check(&path.display().to_string(), &fs::read(path).unwrap());
            1
        }
    };
    entries.map(|path| check_one(&path)).sum()
}

/// What the dashboard answers: heads and bodies. An endless answer is read for a moment.
fn answer(dashboard: &Dashboard, request: &str, body: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(dashboard.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let (address, length) = (dashboard.address(), body.len());
    let head = format!("{request} HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\n");
    let rest = format!("Content-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all((head + &rest).as_bytes()).unwrap();
    let (mut bytes, mut piece, start) = (Vec::new(), vec![0; 64 << 10], Instant::now());
    while start.elapsed() < EVENTS_FOR {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
        }
    }
    bytes
}

/// The command lines of a process and its children, on Linux.
fn command_lines(pids: impl Iterator<Item = u32>) -> Vec<Vec<u8>> {
    pids.filter_map(|pid| fs::read(format!("/proc/{pid}/cmdline")).ok()).collect()
}

#[test]
fn a_run_shows_no_secret() {
    let testbed = Testbed::holding(records(THEN, 100).chain(["{broken".to_owned()]));
    add_secrets(&testbed);
    let run = start(&testbed, &[&["run", "p.toml", "--set", "autoscale.min_executors=1"], &EVERYTHING[..]].concat());
    let dashboard = Dashboard::of(&run);
    let status = dashboard.wait("all is read", |status| status.records == 101 && !status.executors.is_empty());
    let lines = command_lines(status.executors.iter().map(|executor| executor.pid));
    lines.iter().for_each(|line| check("an executor's command line", line));

    let paths = ["/", "/app.js", "/api/status", "/api/history", "/api/decisions", "/metrics", "/events", "/nowhere"];
    for path in paths {
        let bytes = answer(&dashboard, &format!("GET {path}"), "");
        assert!(bytes.starts_with(b"HTTP/1.1 "), "{path}: {}", String::from_utf8_lossy(&bytes));
        check(path, &bytes);
    }
    check("a refused command", &answer(&dashboard, "POST /api/command", r#"{"set": "sources.logs.options"}"#));
    for args in [&["ctl", "status"][..], &["ctl", "status", "--json"], &["ctl", "stop"]] {
        check_ended("ctl", &testbed.tidemill(&[args, &["--dashboard", dashboard.address()]].concat()));
    }
    let ended = run.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    check_ended("the run", &ended);

    for args in [
        &["checkpoint", "show", "checkpoint"][..],
        &["checkpoint", "show", "checkpoint", "--json"],
        &["cost", "checkpoint"],
    ] {
        let ended = testbed.tidemill(args);
        assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.stderr);
        check_ended("the checkpoint", &ended);
    }
    let checked = start(&testbed, &["check", "p.toml", SET[0], SET[1]]).end();
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    check_ended("check", &checked);
    let letters = fs::read_dir(testbed.path("letters")).unwrap().count();
    assert!(letters > 0, "the broken record is a dead letter");
    let files = check_files(&testbed.path(""));
    assert!(files > 10, "{files} files were looked at");
}

/// A server that refuses the login: librdkafka repeats it until the run is stopped, the native client ends the run.
#[test]
fn a_refused_login_shows_no_secret() {
    let testbed = Testbed::holding(records(THEN, 10));
    add_secrets(&testbed);
    // The native client has other properties.
    let text = fs::read_to_string(testbed.path("p.toml")).unwrap();
    for (client, debug, words) in [
        ("librdkafka", &["--set", "sources.logs.options.debug=security,broker"][..], "did not answer"),
        ("native", &[], "the listener does not use authentication"),
    ] {
        let known = if client == "native" { "ssl.ca.pem" } else { "client.rack" };
        fs::write(testbed.path("p.toml"), text.replace("client.rack", known)).unwrap();
        let client = format!("sources.logs.client={client}");
        let mut args = vec!["run", "p.toml", "--set", &client];
        args.extend(["--set", "sources.logs.options.security.protocol=SASL_PLAINTEXT"]);
        args.extend(["--set", "sources.logs.options.sasl.mechanism=PLAIN"]);
        args.extend(debug);
        args.extend(EVERYTHING);
        let run = start(&testbed, &args);
        run.says(words);
        run.signal("TERM");
        let ended = run.end();
        check_ended("the run", &ended);
        check_files(&testbed.path(""));
    }
}
