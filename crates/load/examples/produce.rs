//! Measures the producer: `produce BROKER TOPIC COUNT [RATE] [PRODUCERS] [name=value …]`. Prints records per second of wall and of CPU time.

use std::time::Instant;
use tidemill_kafka::KafkaOptions;
use tidemill_load::{produce, text};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |at: usize, default: &str| arguments.get(at).map_or(default, String::as_str).to_owned();
    let mut kafka = KafkaOptions::new(argument(0, "127.0.0.1:9092"));
    let pairs = arguments.iter().filter_map(|pair| pair.split_once('='));
    kafka.client_options = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut options = produce::Options::new(kafka, argument(1, "cs_student_logs"));
    options.count = Some(argument(2, "1000000").parse().expect("a number of records"));
    options.rate = text::rate(&argument(3, "max")).expect("a rate");
    options.producers = argument(4, "1").parse().expect("a number of producers");
    options.partitions = None;
    let control = options.control();
    let start = Instant::now();
    let summary = produce::run(&options, &control, |progress| {
        println!("{:.1}s {:?} {:.0}/s", progress.elapsed.as_secs_f64(), progress.counters, progress.per_second);
    });
    let summary = summary.unwrap_or_else(|error| panic!("{error}"));
    let cpu = cpu_seconds();
    println!(
        "{summary:?}: {:.0} records/s wall, {:.0} records per CPU-second ({cpu:.2} CPU-s, {:.2} s in all)",
        summary.acknowledged as f64 / summary.seconds,
        summary.acknowledged as f64 / cpu,
        start.elapsed().as_secs_f64()
    );
}

/// CPU time of this process, from `/proc/self/stat` (fields 14 and 15, in ticks of 10 ms); 0 on other systems.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
