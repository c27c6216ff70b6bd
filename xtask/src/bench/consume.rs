//! `consume`: both clients read from Apache Kafka and write to it, alone: records per CPU-second and per second. Needs Java and
//! Maven. The runs of both clients take turns; figures are medians.

use super::figures_of;
use crate::kafka::Broker;
use crate::ports;
use crate::sh::{self, Outcome, cargo};
use crate::usage::{self};
use std::collections::BTreeMap;

const CLIENTS: [&str; 2] = ["native", "librdkafka"];
const RUNS: usize = 3;
/// Topics that are read: partitions and records.
const TOPICS: [(&str, &str); 2] = [("4", "4000000"), ("1000", "4000000")];
/// Records that are written in a run.
const WRITTEN: &str = "3000000";

/// Starts a broker for itself and ends it.
pub fn run(args: &[&str]) -> Outcome {
    let runs = match args {
        [] => RUNS,
        ["--runs", count] => count.parse().map_err(|_| format!("`{count}` is no number of runs"))?,
        _ => return Err("bench consume [--runs N]".into()),
    };
    for (package, example) in [("tidemill-kafka", "read"), ("tidemill-load", "write")] {
        sh::run(&mut cargo(&["build", "--release", "--quiet", "--package", package, "--example", example]))?;
    }
    let kafka = Broker::at(ports::free_four()?);
    kafka.start()?;
    let measured = measure(&kafka.address(), runs);
    kafka.stop_and_forget()?;
    for (name, mut values) in measured? {
        values.sort_by(f64::total_cmp);
        let (median, least, greatest) = (values[values.len() / 2], values[0], values[values.len() - 1]);
        println!("figure {name} {median:.0} records, median of {}: {least:.0} to {greatest:.0}", values.len());
    }
    Ok(())
}

/// Values by figure.
type Figures = BTreeMap<String, Vec<f64>>;

fn measure(address: &str, runs: usize) -> Outcome<Figures> {
    let mut figures = Figures::new();
    for (partitions, records) in TOPICS {
        example("write", &[address, &format!("t{partitions}"), "client=native", partitions, records])?;
    }
    for turn in 0..runs {
        for client in CLIENTS {
            let chosen = format!("client={client}");
            for (partitions, _) in TOPICS {
                let read = example("read", &[address, &format!("t{partitions}"), "100000", "0", &chosen])?;
                take(&mut figures, &format!("read_{partitions}_partitions_{client}"), read);
            }
            let written = example("write", &[address, &format!("w{client}{turn}"), &chosen, "4", WRITTEN])?;
            take(&mut figures, &format!("write_{client}"), written);
        }
    }
    Ok(figures)
}

fn take(figures: &mut Figures, prefix: &str, found: Vec<(String, f64, String)>) {
    for (name, value, _) in found.into_iter().filter(|(name, ..)| name.starts_with("records_")) {
        figures.entry(format!("{prefix}_{name}")).or_default().push(value);
    }
}

fn example(name: &str, args: &[&str]) -> Outcome<Vec<(String, f64, String)>> {
    let path = sh::target().join("release/examples").join(name);
    let (text, cost) = usage::measure(|| sh::read(&mut sh::command(path, args)))?;
    Ok(figures_of(&text, cost))
}
