//! Benchmark of the reader: `read BROKER TOPIC [TASK_RECORDS] [WORK_NANOS] [client=native] [name=value …]`. Reads tasks
//! of TASK_RECORDS records, waits WORK_NANOS per record, and prints records per second of wall time and of CPU time.

use std::time::{Duration, Instant};
use tidemill_flow::ports::{Chunk, Read};
use tidemill_kafka::{ClientChoice, KafkaOptions, KafkaReader, admin};
use tidemill_model::{OffsetRange, Secret, batch::cut_tasks};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut options = KafkaOptions::new(arguments[0].clone());
    let is_native = arguments.iter().any(|word| word == "client=native");
    options.client = if is_native { ClientChoice::Native } else { ClientChoice::Librdkafka };
    let pairs = arguments.iter().filter_map(|pair| pair.split_once('=')).filter(|(name, _)| *name != "client");
    options.client_options = pairs.map(|(name, value)| (name.to_owned(), Secret::new(value))).collect();
    let range_records = arguments.get(2).map_or(100_000, |text| text.parse().expect("a number of records"));
    let work_nanos = arguments.get(3).map_or(0, |text| text.parse().expect("nanoseconds of work for each record"));
    let extents = admin::extents(&options, &arguments[1]).expect("offsets");
    let ranges: Vec<OffsetRange> = extents
        .into_iter()
        .map(|(partition, there)| OffsetRange { partition, start: there.start, end: there.end })
        .collect();
    let cpu_before = cpu_seconds();
    let start = Instant::now();
    let mut reader = KafkaReader::new(&options).expect("a reader");
    let (mut chunk, mut chunks, mut records, mut bytes, mut longest) = (Chunk::default(), 0, 0, 0, 0.0f64);
    let tasks = cut_tasks(&ranges, range_records);
    let in_order = tasks.iter().flat_map(|task| task.iter().enumerate().map(move |(at, range)| (task, at, range)));
    for (task, at, range) in in_order {
        if at == 0 {
            reader.expect(task);
        }
        let opened = Instant::now();
        reader.open(range).expect("open");
        let mut next = range.start;
        while reader.next(&mut chunk, 8192).expect("next") {
            if next == range.start {
                longest = longest.max(opened.elapsed().as_secs_f64());
            }
            for offset in &chunk.offsets {
                assert!(*offset >= next, "{range:?}");
                next = offset + 1;
            }
            chunks += 1;
            let work = Duration::from_nanos(work_nanos * chunk.len() as u64);
            let working = Instant::now();
            while working.elapsed() < work {
                std::hint::spin_loop();
            }
            records += chunk.len();
            bytes += chunk.value_bytes();
        }
    }
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu_before);
    println!("figure records_per_s {} records/s", records as f64 / seconds);
    println!("figure records_per_cpu_s {} records/CPU-s", records as f64 / cpu);
    println!(
        "{records} records, {bytes} bytes in {seconds:.2} s, {cpu:.2} CPU-s: {:.0} records/s, {:.0} per CPU-second; first record of a range after {:.1} ms at most; {} records a chunk",
        records as f64 / seconds,
        records as f64 / cpu,
        longest * 1e3,
        records / chunks,
    );
}

/// CPU time of this process, from `/proc/self/stat` (fields 14 and 15, in ticks of 10 ms); 0 on other systems.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
