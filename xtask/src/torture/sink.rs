//! `torture --sink`: a topic is written to a topic, exactly once, while processes are killed.
//!
//! ```text
//!  brokers, load ─► topic `in` ─► driver and executors ─► topic `out`      ▲ SIGKILL, pins, for M minutes
//!  afterwards: books ─► reads both topics, committed records only, and compares each record
//! ```
//! The query copies records, or counts them in windows. A query with windows writes the new row of a group after each batch that
//! has records for it; the last row of each group is compared, and that no row is there twice.
//!
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

/// What the pipeline does.
#[derive(Clone, Copy)]
pub enum Query {
    /// Most records, as they are.
    Copy,
    /// Counts and sums in sliding windows, in update mode.
    Windows,
}

impl Query {
    /// What `copy` and `windows` name.
    pub fn of(name: &str) -> Outcome<Query> {
        match name {
            "copy" => Ok(Query::Copy),
            "windows" => Ok(Query::Windows),
            _ => Err("choose --query copy or windows".into()),
        }
    }

    /// The name that the books know it by.
    fn name(self) -> &'static str {
        match self {
            Query::Copy => "copy",
            Query::Windows => "windows",
        }
    }

    /// The lines between the source's options and the sink. The books compute the same.
    fn lines(self) -> &'static str {
        match self {
            Query::Copy => {
                "[query]
sql = \"SELECT concat_ws('/', partition, offset) AS key, value FROM logs WHERE offset % 10 <> 3\"
output_mode = \"append\"
"
            }
            Query::Windows => {
                "[sources.logs.event_time]
column = \"event_time\"
expression = \"timestamp\"
watermark = \"2 minutes\"

[query]
sql = \"\"\"
  SELECT concat_ws('/', unix_millis(window.start), partition, offset % 50) AS key,
         concat_ws('/', count(*), sum(offset), sum(octet_length(value))) AS value
  FROM logs GROUP BY window(event_time, '20 seconds', '10 seconds'), partition, offset % 50
\"\"\"
output_mode = \"update\"
"
            }
        }
    }
}

/// Runs the torture on `embedded`, `apache` or `three` brokers.
///
/// # Errors
/// A record is lost, there twice or wrong, or a process ends by itself.
pub fn run(dir: &Path, which: &str, query: Query, length: Duration, seed: u64) -> Outcome {
    sh::run(&mut cargo(&["build", "--release", "--quiet", "--workspace", "--example", "books"]))?;
    let brokers = Brokers::of(which, dir)?;
    let address = brokers.address();
    sh::write_file(&dir.join("pipeline.toml"), &pipeline(&brokers, query))?;
    // The topic is there before the first executor asks for it.
    let topic = ["--topic", FROM, "--partitions", PARTITIONS];
    let first = [&["produce", "--bootstrap-servers", &address, "--rate", "max", "--count", "1"][..], &topic].concat();
    sh::read(&mut sh::command(crate::embedded::binary(), &first))?;
    let patient = ["--option", "delivery.timeout.ms=600000"];
    let load = [&topic[..], &patient].concat().into_iter().map(str::to_owned).collect();
    let testbed = Testbed::start(dir, length, seed, brokers, Job { load, driver: Vec::new() })?;
    let (done, acknowledged, brokers) = torment(testbed, length, seed)?;
    let books = sh::target().join("release/examples/books");
    let found = sh::read(&mut sh::command(books, &[&brokers.address(), FROM, TO, query.name()]))?;
    report(&done, acknowledged, &found)
}

/// A pipeline from the topic to the topic. The copy gives each record the name of its place.
fn pipeline(brokers: &Brokers, query: Query) -> String {
    let (servers, options) = brokers.connection();
    let lines = query.lines();
    format!(
        "[sources.logs]
type = \"kafka\"
bootstrap_servers = \"{servers}\"
topic = \"{FROM}\"
starting_offsets = \"earliest\"

[sources.logs.options]
{options}
{lines}
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
