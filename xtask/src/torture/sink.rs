//! `torture --sink`: a topic is written to a topic, exactly once, while processes are killed.
//!
//! ```text
//!  brokers, load ─► topic `in` ─► driver and executors ─► topic `out`      ▲ SIGKILL, pins, for M minutes
//!  afterwards: books ─► reads both topics, committed records only, and compares each record
//! ```
//! On Apache Kafka the pipeline connects by SASL_SSL. On one node the broker is left alone. Of three nodes one after the other
//! is killed, so that the leaders of partitions and coordinators move.

use super::brokers::Brokers;
use super::testbed::{Job, Testbed};
use super::{ActionCounts, torment};
use crate::sh::{self, Outcome, cargo};
use std::path::Path;
use std::time::Duration;

const FROM: &str = "in";
const TO: &str = "out";
const PARTITIONS: &str = "6";

/// Runs the torture on `embedded`, `apache` or `three` brokers.
///
/// # Errors
/// A record is lost, there twice or wrong, or a process ends by itself.
pub fn run(dir: &Path, which: &str, length: Duration, seed: u64) -> Outcome {
    sh::run(&mut cargo(&["build", "--release", "--quiet", "--workspace", "--example", "books"]))?;
    let brokers = match which {
        "embedded" => Brokers::embedded(&dir.join("broker"))?,
        "apache" => Brokers::apache(1)?,
        "three" => Brokers::apache(3)?,
        _ => return Err("choose --sink embedded, apache or three".into()),
    };
    let address = brokers.address();
    sh::write_file(&dir.join("pipeline.toml"), &pipeline(&brokers))?;
    // The topic is there before the first executor asks for it.
    let topic = ["--topic", FROM, "--partitions", PARTITIONS];
    let first = [&["produce", "--bootstrap-servers", &address, "--rate", "max", "--count", "1"][..], &topic].concat();
    sh::read(&mut sh::command(crate::embedded::binary(), &first))?;
    let patient = ["--option", "delivery.timeout.ms=600000"];
    let job = Job { load: [&topic[..], &patient].concat(), driver: Vec::new() };
    let testbed = Testbed::start(dir, length, seed, brokers, job)?;
    let (done, acknowledged, brokers) = torment(testbed, length, seed)?;
    let books = sh::target().join("release/examples/books");
    let found = sh::read(&mut sh::command(books, &[&brokers.address(), FROM, TO]))?;
    report(&done, acknowledged, &found)
}

/// A copy of all records but a tenth, each under the name of its place.
fn pipeline(brokers: &Brokers) -> String {
    let (servers, options) = brokers.connection();
    format!(
        "[sources.logs]
type = \"kafka\"
bootstrap_servers = \"{servers}\"
topic = \"{FROM}\"
starting_offsets = \"earliest\"

[sources.logs.options]
{options}
[query]
sql = \"SELECT concat_ws('/', partition, offset) AS key, value FROM logs WHERE offset % 10 <> 3\"
output_mode = \"append\"

[sinks.out]
type = \"kafka\"
bootstrap_servers = \"{servers}\"
topic = \"{TO}\"
partitions = {PARTITIONS}
format = \"raw\"

[sinks.out.options]
{options}"
    )
}

fn report(done: &ActionCounts, acknowledged: u64, found: &str) -> Outcome {
    print!("torture   {}\n{found}", done.text());
    println!("figure torture_kills {}", done.kills());
    let read: u64 = found
        .lines()
        .find_map(|line| line.strip_prefix("figure books_read ")?.split(' ').next()?.parse().ok())
        .ok_or_else(|| format!("the books say no number of records: {found}"))?;
    match read >= acknowledged {
        true => Ok(()),
        false => Err(format!("the topic holds {read} records, but {acknowledged} were acknowledged")),
    }
}
