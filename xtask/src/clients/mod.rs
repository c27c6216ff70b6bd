//! `clients`: the conformance suite. Clients of other makers, our own client, and applications check a broker: each must say
//! the same of Apache Kafka and of the embedded broker.
//!
//! ```text
//!  PROGRAMS ──install, one after the other──► run, several at a time, on both brokers ──► lines ──► table in docs/broker.md
//! ```
//! Each is a program in `crates/broker/tests/clients` with pinned packages. It gets a broker's address, and prints a line for
//! each thing that it tries: `CAPABILITY ok: DETAIL`, or `CAPABILITY none: WHY` if the client or the broker does not offer
//! it. It fails if something works otherwise than it should. What a machine lacks is skipped, with a line that says so.

mod programs;
mod table;

use crate::embedded::EmbeddedBroker;
use crate::kafka;
use crate::sh::{self, Outcome};
use programs::{PROGRAMS, Program};
use std::sync::Mutex;
use std::thread;
use table::{Row, Said};

/// Programs that run at a time. Most of their time they wait for members of groups and for timeouts.
const AT_A_TIME: usize = 4;

/// The verb: the programs of these names, or all, on both brokers, as a table. With `--bless` it goes into the docs.
///
/// # Errors
/// A broker does not start, or a program fails.
pub fn run(args: &[&str], kafka: &kafka::Broker) -> Outcome {
    let (flags, names): (Vec<&str>, Vec<&str>) = args.iter().partition(|arg| arg.starts_with("--"));
    let bless = flags == ["--bless"];
    if !flags.is_empty() && !bless || bless && !names.is_empty() {
        return Err("`clients [NAME…]` or `clients --bless`".into());
    }
    if let Some(name) = names.iter().find(|name| !PROGRAMS.iter().any(|program| program.name == **name)) {
        let known: Vec<&str> = PROGRAMS.iter().map(|program| program.name).collect();
        return Err(format!("`{name}` is none of {}", known.join(", ")));
    }
    kafka.start()?;
    let rows = ask_all(&names, Ok(&kafka.address()), true)?;
    print!("{}", table::text(&rows));
    let failed = table::failures(&rows);
    if !failed.is_empty() {
        return Err(failed.join("\n"));
    }
    if bless { table::write_down(&rows) } else { Ok(()) }
}

/// All programs, for the tests. Without an Apache Kafka, for which reason `kafka` says, the embedded broker is asked alone.
/// Returns a line per program.
///
/// # Errors
/// A program ran and fails, or the table in the docs says something else.
pub fn check(kafka: Result<&str, &str>) -> Outcome<Vec<String>> {
    let rows = ask_all(&[], kafka, false)?;
    let failed = table::failures(&rows);
    if !failed.is_empty() {
        return Err(failed.join("\n"));
    }
    table::compare(&rows)?;
    Ok(rows.iter().map(Row::summary).collect())
}

/// Installs the programs, and runs them on an embedded broker and on Apache Kafka.
fn ask_all(names: &[&str], kafka: Result<&str, &str>, patience: bool) -> Outcome<Vec<Row>> {
    let dir = sh::target().join("references/clients");
    let _ = std::fs::remove_dir_all(&dir);
    // Often, so that nobody waits for the compaction.
    let embedded = EmbeddedBroker::start_with(&dir, &["--compaction-interval", "500ms"])?;
    let programs: Vec<&'static Program> =
        PROGRAMS.iter().filter(|program| names.is_empty() || names.contains(&program.name)).collect();
    let mut asked = Vec::new();
    for (index, program) in programs.iter().enumerate() {
        let installed = program.install(patience);
        for (which, address) in [kafka, Ok(embedded.address())].into_iter().enumerate() {
            let line = match (&installed, address) {
                (Err(why), _) => Err(why.clone()),
                (_, Err(why)) => Err(format!("no Apache Kafka: {}", why.lines().next().unwrap_or_default())),
                (Ok(line), Ok(address)) => Ok((line.clone(), address)),
            };
            asked.push((2 * index + which, *program, line));
        }
    }
    let said: Mutex<Vec<(usize, Said)>> = Mutex::default();
    // The applications take longest. They begin, and the others fill the rest of the time.
    asked.sort_by_key(|(_, program, _)| program.is_application);
    let left = Mutex::new(asked);
    let work = || {
        while let Some((place, program, line)) = { left.lock().expect("no panic").pop() } {
            let found = match line {
                Ok((line, address)) => program.ask(&line, address),
                Err(why) => Said::Skipped(why),
            };
            said.lock().expect("no panic").push((place, found));
        }
    };
    thread::scope(|scope| (0..AT_A_TIME).for_each(|_| drop(scope.spawn(work))));
    let mut said = said.into_inner().expect("no panic");
    said.sort_by_key(|(place, _)| *place);
    let mut said = said.into_iter().map(|(_, said)| said);
    let mut next = || said.next().expect("each program is asked twice");
    Ok(programs.into_iter().map(|program| Row { program, on_kafka: next(), on_embedded: next() }).collect())
}
