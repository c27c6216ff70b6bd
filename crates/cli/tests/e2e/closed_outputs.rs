//! The output of a run is closed, full, or has no reader: the run ends by itself or goes on. It never hangs, and it
//! leaves its checkpoint unlocked.

use crate::support::{Process, Testbed, records, until};
use std::io::Read;
use std::net::TcpStream;
use std::process::Command;

const THEN: i64 = 1_700_000_000;

/// Runs `tidemill run` in a shell with more arguments and redirections. Returns its exit code and its output.
fn shell(testbed: &Testbed, rest: &str) -> (i32, String) {
    let script = format!("( '{}' run p.toml {rest}", env!("CARGO_BIN_EXE_tidemill"));
    // The code is written before the pipe, whose own exit code is that of its last command.
    let (run, pipe) =
        script.split_once(" | ").map_or((script.as_str(), String::new()), |(run, to)| (run, format!(" | {to}")));
    let script = format!("{run}; echo $? > code ){pipe}");
    let ended = Process::start(Command::new("sh").args(["-c", &script]).current_dir(testbed.path(""))).end();
    let code = std::fs::read_to_string(testbed.path("code")).expect("the shell writes it");
    (code.trim().parse().expect("a code"), ended.stdout + &ended.stderr)
}

/// A run without end ends when nobody reads it any more, with or without rows to print.
#[test]
fn nobody_reads() {
    let abandoned = "the reader of the output is gone";
    for holding in [0, 200] {
        // Without rows, `head` would wait for a first line.
        let head = if holding > 0 { "--json | head -1" } else { "--json | true" };
        for rest in ["2>&1 | head -1", "2>&1 | true", "| true", "--quiet | true", head] {
            // Anew each time: a run before may have printed all rows before it noticed that nobody reads.
            let testbed = Testbed::holding(records(THEN, holding));
            let (code, written) = shell(&testbed, rest);
            assert_eq!(code, 0, "{holding} {rest}: {written}");
            // If stderr is read, it gives the reason.
            assert!(rest.contains("2>") || rest.contains("quiet") || written.contains(abandoned), "{rest}: {written}");
            testbed.run_now(&[]);
            assert_eq!(testbed.rows(), testbed.expected());
        }
    }
}

/// Without stdout there is nowhere to print: the run says so at the start. Without stderr a run is silent and works.
#[test]
fn closed_from_the_start() {
    let testbed = Testbed::holding(records(THEN, 200));
    let (code, written) = shell(&testbed, ">&-");
    assert_eq!(code, 2, "{written}");
    assert!(written.contains("the sink `screen` prints to stdout, which is closed"), "{written}");
    let (code, written) = shell(&testbed, "--available-now 2>&-");
    assert_eq!(code, 0, "{written}");
    assert!(written.contains("batch 0"), "{written}");
    assert_eq!(testbed.rows(), testbed.expected());
}

/// Failing to write progress records is reported once; failing to write rows ends the run.
#[test]
#[cfg(target_os = "linux")]
fn the_disk_is_full() {
    let testbed = Testbed::holding(records(THEN, 2_000));
    let batches = "--set sources.logs.max_offsets_per_trigger=200";
    let (code, written) =
        shell(&testbed, &format!("--available-now --progress /dev/full --decisions /dev/full {batches}"));
    assert_eq!(code, 0, "{written}");
    assert_eq!(written.matches("cannot write to `/dev/full`").count(), 2, "{written}");
    assert_eq!(testbed.rows(), testbed.expected());
    let testbed = Testbed::holding(records(THEN, 200));
    let (code, written) = shell(&testbed, "> /dev/full");
    assert_eq!(code, 1, "{written}");
    assert!(written.contains("sink Console: cannot print batch 0"), "{written}");
    testbed.finish_exactly();
}

/// A broker without stderr loses its log lines and nothing else; the same without stdout.
#[test]
fn a_broker_without_outputs() {
    for closed in ["2>&-", ">&-", ">&- 2>&-"] {
        let testbed = Testbed::without_broker();
        let address = testbed.address();
        let program = env!("CARGO_BIN_EXE_tidemill");
        let script = format!("exec '{program}' broker --listen {address} --dir broker --connections-max 8 {closed}");
        let broker = Process::start(Command::new("sh").args(["-c", &script]).current_dir(testbed.path("")));
        let connect = || until("a connection", || TcpStream::connect(address).ok());
        // Each connection over the limit makes the broker write to stderr.
        let clients: Vec<TcpStream> = (0..20).map(|_| connect()).collect();
        let refused = |mut client: &TcpStream| matches!(client.read(&mut [0]), Ok(0) | Err(_));
        assert!(clients[10..].iter().all(refused), "{closed}");
        drop(clients);
        testbed.send(records(THEN, 200));
        testbed.run_now(&[]);
        testbed.finish_exactly();
        broker.signal("TERM");
        assert_eq!(broker.end().code, Some(0), "{closed}");
    }
}
