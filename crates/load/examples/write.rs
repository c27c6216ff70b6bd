//! Benchmark of the producers: `write BROKER TOPIC client=native|librdkafka PARTITIONS RECORDS`. Prints
//! records per second of wall time and of CPU time, the making of the records included.

use std::time::Instant;
use tidemill_kafka::{ClientChoice, KafkaOptions};
use tidemill_load::{Rate, produce};
use tidemill_model::Micros;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [broker, topic, client, partitions, records] = &arguments[..] else {
        panic!("write BROKER TOPIC client=native|librdkafka PARTITIONS RECORDS");
    };
    let client = if client == "client=native" { ClientChoice::Native } else { ClientChoice::Librdkafka };
    let kafka = KafkaOptions { client, ..KafkaOptions::new(broker.clone()) };
    let options = produce::Options {
        rate: Rate::Max,
        count: Some(records.parse().expect("a number of records")),
        partitions: Some(partitions.parse().expect("a number of partitions")),
        start_time: Some(Micros(1_700_000_000_000_000)),
        ..produce::Options::new(kafka, topic.clone())
    };
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let summary = produce::run(&options, &options.control(), |_| {}).expect("written");
    assert_eq!((summary.acknowledged, summary.failed), (summary.sent, 0));
    println!("figure records_per_s {} records/s", summary.sent as f64 / start.elapsed().as_secs_f64());
    println!("figure records_per_cpu_s {} records/CPU-s", summary.sent as f64 / (cpu_seconds() - cpu));
}

/// CPU time of this process, from `/proc/self/stat` (fields 14 and 15, in ticks of 10 ms); 0 on other systems.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
