//! `consume`: both clients read and write, alone: records per CPU-second and per second, at the embedded broker and at Apache
//! Kafka (which needs Java and Maven). The runs of both clients take turns; figures are medians.

use super::figures_of;
use crate::embedded::EmbeddedBroker;
use crate::kafka::Broker;
use crate::ports;
use crate::sh::{self, Outcome, cargo};
use crate::usage::{self};
use std::collections::BTreeMap;

const CLIENTS: [&str; 2] = ["native", "librdkafka"];
const RUNS: usize = 3;
/// Numbers of partitions of the topics that are read.
const PARTITIONS: [&str; 2] = ["4", "1000"];
/// Records in each of these topics, and records that are written in a run.
const RECORDS: &str = "2000000";

/// Starts brokers for itself, one after the other, and ends them.
pub fn run(args: &[&str]) -> Outcome {
    let (mut runs, mut records, mut brokers) = (RUNS, RECORDS, vec!["embedded", "apache"]);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match (*arg, args.next()) {
            ("--runs", Some(count)) => runs = count.parse().map_err(|_| format!("`{count}` is no number of runs"))?,
            ("--records", Some(count)) if count.parse::<u32>().is_ok_and(|count| count > 0) => records = count,
            ("--broker", Some(name)) if brokers.contains(name) => brokers = vec![name],
            _ => return Err("bench consume [--runs N] [--records N] [--broker embedded|apache]".into()),
        }
    }
    sh::run(&mut cargo(&["build", "--release", "--quiet", "--workspace", "--example", "read", "--example", "write"]))?;
    for broker in brokers {
        match broker {
            "embedded" => {
                sh::run(&mut cargo(&["build", "--release", "--quiet", "--package", "tidemill-cli"]))?;
                let dir = sh::target().join("bench/consume");
                let _ = std::fs::remove_dir_all(&dir);
                let embedded = EmbeddedBroker::start(&dir)?;
                print(broker, measure(embedded.address(), runs, records)?);
            }
            _ => {
                let kafka = Broker::at(ports::free_four()?);
                kafka.start()?;
                let measured = measure(&kafka.address(), runs, records);
                kafka.stop_and_forget()?;
                print(broker, measured?);
            }
        }
    }
    Ok(())
}

/// Prints the medians, and for each pair of figures how many times librdkafka's the native client's is.
fn print(broker: &str, measured: Figures) {
    let median = |values: &[f64]| {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        (values[values.len() / 2], values[0], values[values.len() - 1])
    };
    for (name, values) in &measured {
        let (middle, least, greatest) = median(values);
        println!("figure {broker}_{name} {middle:.0} records, median of {}: {least:.0} to {greatest:.0}", values.len());
        if let Some(other) = name.contains("_native_").then(|| measured.get(&name.replace("_native_", "_librdkafka_")))
        {
            let ratio = other.map_or(f64::NAN, |other| middle / median(other).0);
            println!("figure {broker}_{} {ratio:.2} times", name.replace("_native_", "_ratio_"));
        }
    }
}

/// Values by figure.
type Figures = BTreeMap<String, Vec<f64>>;

fn measure(address: &str, runs: usize, records: &str) -> Outcome<Figures> {
    let mut figures = Figures::new();
    for partitions in PARTITIONS {
        example("write", &[address, &format!("t{partitions}"), "client=native", partitions, records])?;
    }
    for turn in 0..runs {
        for client in CLIENTS {
            let chosen = format!("client={client}");
            for partitions in PARTITIONS {
                let read = example("read", &[address, &format!("t{partitions}"), "100000", "0", &chosen])?;
                take(&mut figures, &format!("read_{partitions}_partitions_{client}"), read);
            }
            let written = example("write", &[address, &format!("w{client}{turn}"), &chosen, "4", records])?;
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
