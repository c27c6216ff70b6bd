//! `torture`: kills real processes of a pipeline in a sequence given by a seed. Every row must still be right.
//!
//! ```text
//!  demo of 1 s ──► directory ──► broker, load, driver and executors ──► demo again ──► report
//!  (topic, pipeline)               ▲ SIGKILL, pins, for M minutes        (scans the topic, checks
//!                                  └ actions (pure, from the seed)          each row of each batch)
//! ```
//! The reference is that of the demo: it computes each batch again, one row at a time, and compares. `sink` has another
//! pipeline and other books. Linux only.

mod actions;
mod brokers;
mod dashboard;
mod sink;
mod testbed;

use crate::embedded::binary;
use crate::json;
use crate::sh::{self, Outcome, cargo, command};
use actions::{Action, ActionSequence};
use brokers::Brokers;
use sink::Query;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use testbed::{Job, Testbed};

/// Default number of minutes.
const MINUTES: u64 = 5;

const USAGE: &str = "say `torture [--minutes M] [--seed S] [--broker WHICH | --sink WHICH [--query copy|windows]]` with WHICH one \
                     of embedded, apache and three";

/// Interval of progress lines.
const WORD: Duration = Duration::from_secs(60);

/// What has been done so far.
#[derive(Default)]
struct ActionCounts {
    executors: u64,
    drivers: u64,
    brokers: u64,
    pins: u64,
}

impl ActionCounts {
    fn kills(&self) -> u64 {
        self.executors + self.drivers + self.brokers
    }

    fn text(&self) -> String {
        let ActionCounts { executors, drivers, brokers, pins } = self;
        format!(
            "{} kills ({executors} executors, {drivers} drivers, {brokers} brokers), {pins} sizes pinned",
            self.kills()
        )
    }
}

/// Kills processes for some minutes. Afterwards no record may be lost, counted twice or wrong.
pub fn run(args: &[&str]) -> Outcome {
    let (mut minutes, mut seed, mut sink, mut brokers, mut query) = (MINUTES, None, None, None, None);
    let known = |name: &str| ["embedded", "apache", "three"].into_iter().find(|known| *known == name);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let value = args.next();
        let number = value.and_then(|text| text.parse::<u64>().ok());
        match (*arg, value, number) {
            ("--minutes", _, Some(number @ 1..)) => minutes = number,
            ("--seed", _, Some(number)) => seed = Some(number),
            ("--sink", Some(name), _) if known(name).is_some() => sink = known(name),
            ("--broker", Some(name), _) if known(name).is_some() => brokers = known(name),
            ("--query", Some(name), _) => query = Some(Query::of(name)?),
            _ => return Err(USAGE.into()),
        }
    }
    if sink.is_some() && brokers.is_some() || query.is_some() && sink.is_none() {
        return Err(USAGE.into());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970");
    let seed = seed.unwrap_or(now.as_secs());
    sh::run(&mut cargo(&["build", "--release", "--locked", "--package", "tidemill-cli"]))?;
    let dir = sh::target().join("torture").join(format!("seed-{seed}"));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
    println!("seed {seed}, {minutes} minutes\nfigure torture_minutes {minutes}");
    let length = Duration::from_secs(60 * minutes);
    let verdict = match sink {
        Some(brokers) => sink::run(&dir, brokers, query.unwrap_or(Query::Copy), length, seed),
        None => torment_the_demo(&dir, brokers.unwrap_or("embedded"), length, seed),
    };
    verdict.map_err(|error| format!("{error}\neverything is in {}", dir.display()))?;
    // A leftover takes disk space and does no harm.
    let _ = std::fs::remove_dir_all(&dir);
    Ok(())
}

/// A demo makes the pipeline, and checks it when the torture is over.
fn torment_the_demo(dir: &Path, which: &str, length: Duration, seed: u64) -> Outcome {
    // On the embedded broker the demo starts one of its own, on the same files.
    let apache = (which != "embedded").then(|| Brokers::of(which, dir)).transpose()?;
    let servers = apache.as_ref().map(Brokers::address);
    demo(dir, "before", servers.as_deref())?;
    let journal = sh::read_file(&dir.join("journal.json"))?;
    let topic = json::text(&journal, "topic").ok_or("the demo's journal names no topic")?.to_owned();
    let brokers = apache.map_or_else(|| Brokers::of(which, dir), Ok)?;
    let load = ["--topic", &topic, "--late", "1%", "--malformed", "0.5%"].map(str::to_owned).to_vec();
    let job =
        Job { load, driver: vec!["--set".into(), format!("sources.{SOURCE}.bootstrap_servers={}", brokers.address())] };
    let (done, acknowledged, brokers) = torment(Testbed::start(dir, length, seed, brokers, job)?, length, seed)?;
    let brokers = servers.is_some().then_some(brokers);
    let report = demo(dir, "after", servers.as_deref())?;
    drop(brokers);
    check(dir, &report, &done, acknowledged)
}

/// The demo's source.
const SOURCE: &str = "cs_student_logs";

/// A demo whose load ends at once. Before: it makes topic, pipeline and checkpoint. After: it goes on there, finds its
/// load finished, reads the rest, and checks the rows of all runs. Returns its report.
fn demo(dir: &Path, when: &str, servers: Option<&str>) -> Outcome<String> {
    let report = dir.join(format!("{when}.json"));
    let (home, to) = (dir.to_string_lossy(), report.to_string_lossy());
    let mut demo = command(binary(), &["demo", "--headless", "--duration", "1s", "--dir", &home, "--report", &to]);
    demo.args(servers.iter().flat_map(|servers| ["--bootstrap-servers", servers]));
    let output = demo.output().map_err(|error| format!("cannot run the demo: {error}"))?;
    sh::write_file(&dir.join(format!("{when}.log")), &String::from_utf8_lossy(&output.stdout))?;
    // A report that shows faults is read by the check.
    let said = String::from_utf8_lossy(&output.stderr);
    sh::read_file(&report).map_err(|_| format!("the demo {when} the torture failed ({}):\n{said}", output.status))
}

fn torment(mut testbed: Testbed, length: Duration, seed: u64) -> Outcome<(ActionCounts, u64, Brokers)> {
    let mut actions = ActionSequence::new(seed);
    let mut done = ActionCounts::default();
    let (start, mut told) = (Instant::now(), Instant::now());
    while testbed.loads() && start.elapsed() < length {
        let (gap, action) = actions.next();
        std::thread::sleep(gap);
        testbed.living()?;
        match action {
            Action::KillExecutor(which) => done.executors += u64::from(testbed.kill_executor(which)?),
            Action::KillDriver(away) => {
                testbed.kill_driver(away)?;
                done.drivers += 1;
            }
            Action::KillBroker(away) => done.brokers += u64::from(testbed.kill_broker(away)?),
            Action::Pin(size) => done.pins += u64::from(testbed.pin(Some(size))),
            Action::Unpin => drop(testbed.pin(None)),
        }
        if told.elapsed() > WORD {
            told = Instant::now();
            println!("second {}: {}", start.elapsed().as_secs(), done.text());
        }
    }
    println!("second {}: {}; now the rest is read in peace", start.elapsed().as_secs(), done.text());
    let (acknowledged, brokers) = testbed.settle()?;
    Ok((done, acknowledged, brokers))
}

/// Prints what was found.
///
/// # Errors
/// A row is wrong, or a record is lost or counted twice.
fn check(dir: &Path, report: &str, done: &ActionCounts, acknowledged: u64) -> Outcome {
    let of = |name: &str| json::number::<u64>(report, name).ok_or_else(|| format!("the demo's report has no `{name}`"));
    let sizes = |name: &'static str| report.lines().filter_map(move |line| json::number::<u64>(line, name));
    let (ups, downs): (Vec<_>, Vec<_>) = sizes("from").zip(sizes("to")).partition(|(from, to)| from < to);
    let progress = sh::read_file(&dir.join("progress.jsonl"))?;
    let batches =
        progress.lines().filter_map(|line| json::number::<u64>(line, "batchId")).max().map_or(0, |last| last + 1);
    let (produced, checked) = (of("produced")?, of("rows_checked")?);
    let (lost, twice, wrong) = (of("lost")?, of("duplicated")?, of("rows_wrong")?);
    println!("torture   {}", done.text());
    println!("rescales  {} decided: {} up, {} down", ups.len() + downs.len(), ups.len(), downs.len());
    println!("batches   {batches}");
    println!(
        "records   {produced} produced, {acknowledged} of them acknowledged to the load, {lost} lost, {twice} counted twice"
    );
    println!(
        "          {} set aside as broken, {} window updates too late",
        of("set_aside")?,
        of("late_window_updates")?
    );
    println!("rows      {checked} checked, {wrong} wrong");
    println!("figure torture_kills {}\nfigure torture_rescales {}", done.kills(), ups.len() + downs.len());
    println!("figure torture_lost {lost}\nfigure torture_twice {twice}\nfigure torture_wrong {wrong}");
    if produced < acknowledged {
        return Err(format!("the topic holds {produced} records, but {acknowledged} were acknowledged"));
    }
    match (lost, twice, wrong, checked) {
        (0, 0, 0, 1..) => Ok(()),
        _ => Err("the results are NOT right; after.log names the first differences".into()),
    }
}
