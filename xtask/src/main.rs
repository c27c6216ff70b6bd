//! The project's tasks: `cargo xtask VERB`.
//!
//! Uses only the standard library (and libc for CPU times of child processes), so that it builds in seconds. It uses no
//! crate of the product: it runs cargo, the binary and the external references.

mod bench;
mod check;
mod clients;
mod cluster;
mod embedded;
mod fuzz;
mod json;
mod kafka;
mod licences;
mod packages;
mod ports;
#[path = "../../crates/model/src/random.rs"]
#[allow(dead_code, reason = "the product uses more of it")]
mod random;
mod scoreboard;
mod sh;
mod spark;
mod test;
mod tidy;
mod torture;
mod usage;
mod venv;

use sh::Outcome;
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask VERB

  check                     tidy, format, package count, clippy: what must hold before a commit
  fix                       format, and what clippy can mend
  test [CARGO TEST ARGS]    the references that this machine has (kafka-python, librdkafka, Apache Kafka), then every test
  tidy                      the rules of CONTRIBUTING.md that a program can check, in a second
  packages [--bless]        count the default binary's packages against tests/goldens/package-count.txt
  rules [--bless]           the tests of each Spark rule; --bless writes docs/rules-tests.md
  bench [NAME…] [--runs N]  the benchmarks, as a table with medians and CPU-seconds; --list names them
  bench autoscale [--trace FILE] [--seed S] [--set KEY=VALUE]   a load trace on the real engine: executor-seconds and ages
  bench wake [--count N] [--backlogs N]   from a record at zero executors to its result, 200 times; from a backlog to four executors
  bench bottlenecks [NAME…]  loads that more executors do not help: how soon the autoscaler says why
  bench consume [--runs N] [--records N] [--broker embedded|apache]  both Kafka clients, alone: records per CPU-second in and out
  bench sink [--records N] [--broker embedded|apache]   from a topic to a topic, exactly once: records per CPU-second, and their age at a reader
  bench hot                 all records in one partition, and the same in four: throughput of four executors
  bench model [--seed S]…   five compressed traces on the real engine, their sizes beside the simulator's
  bench idle [--minutes M]  half an hour without a record: what the driver takes, and that no executor runs
  bench steady [--minutes M]   20,000 records/s through the embedded broker; fails unless its CPU time and memory stay flat
  fuzz [TARGET…] [--seconds N] [--seed S]   mutated inputs for every decoder, 10 s each; --list names them;
                            TARGET --input FILE runs a saved input again
  kafka start|stop|status [--port N] [--secure]   Apache Kafka under target/kafka (Java 17 and Maven are needed); --secure
                            adds a listener with TLS and SASL two ports on
  kafka compare [--port N]  asks Apache Kafka and the embedded broker the same, and prints both answers; fails on a difference
                            that is not explained
  clients [NAME…] [--bless] the conformance suite: clients of other makers, our own, Kafka Streams, Connect and a schema registry on Apache Kafka and
                            on the embedded broker, as a table; --bless writes it into docs/broker.md
  spark start|stop|status [--workers N]   Spark 4.1.1 with its Kafka connector under target/spark: Master, Workers of two cores,
                            Connect server (Java 17 and Maven are needed)
  spark check               clippy and tests of the Spark engine, the cargo feature `spark`
  spark compare [--cases N [--seed S]]   pipelines made up from a seed, and all scenarios, on both engines; fails where rows differ
  spark sink [--check]      builds crates/spark/sink/outbox.jar from its source (a JDK 17 is needed)
  spark-goldens [SCRIPT…]   real Spark writes the golden files anew: the scripts of tests/spark (Java 17 is needed)
  differential [--tables] [--cases N] [--seed S]  pipelines and data made up from a seed, on real Spark and here; fails where they differ
  function-examples [same|names|different|refused|unlisted|FUNCTION…]  the examples of Spark's function documentation, run here: how many agree
  torture [--minutes M] [--seed S] [--broker WHICH]   kills executors, drivers and brokers of a running pipeline; fails unless
                            every row is right
  torture --sink WHICH [--query copy|windows]   the same for a pipeline from a topic to a topic, exactly once. WHICH is embedded,
                            apache (over SASL_SSL) or three (nodes of it, whose leaders move)
  scoreboard [--run]        the autoscaler's goals A1 to A17, measured, into docs/scoreboard.md; --run measures what takes long, too
  venv                      the Python clients that check the broker, under target/references/venv
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[&str]) -> Outcome {
    match args {
        ["check"] => check::check(),
        ["fix"] => check::fix(),
        ["test", rest @ ..] => test::run(rest),
        ["tidy"] => tidy::run(),
        ["packages"] => packages::run(false),
        ["packages", "--bless"] => packages::run(true),
        ["rules"] => tidy::rules(false),
        ["rules", "--bless"] => tidy::rules(true),
        ["bench", rest @ ..] => bench::run(rest),
        ["fuzz", rest @ ..] => fuzz::run(rest),
        ["kafka", rest @ ..] => kafka::run(rest),
        ["clients", rest @ ..] => test::clients(rest),
        ["spark", rest @ ..] => cluster::run(rest),
        ["spark-goldens", names @ ..] => spark::goldens(names),
        ["differential", rest @ ..] => spark::differential(rest),
        ["function-examples", kinds @ ..] => spark::function_examples(kinds),
        ["torture", rest @ ..] => torture::run(rest),
        ["scoreboard", rest @ ..] => scoreboard::run(rest),
        ["venv"] => venv::ensure().map(|python| println!("{}", python.display())),
        ["help" | "--help" | "-h"] | [] => {
            print!("{HELP}");
            Ok(())
        }
        _ => Err(format!("`{}` is no verb; `cargo xtask help` names them", args.join(" "))),
    }
}
