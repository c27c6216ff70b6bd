//! Benchmark of the watch: `watch BROKER TOPIC [client=native]`. Prints the time from an append to the wake-up, and the
//! cost when idle.

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::thread;
use std::time::{Duration, Instant};
use tidemill_flow::ports::Watch;
use tidemill_kafka::{ClientChoice, KafkaOptions, KafkaWatch, admin};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut options = KafkaOptions::new(arguments[0].clone());
    if arguments.iter().any(|word| word == "client=native") {
        options.client = ClientChoice::Native;
    }
    let topic = arguments[1].clone();
    admin::ensure_topic(&options, &topic, Some(4)).expect("a topic");
    let mut watch = KafkaWatch::new(&options, &topic).expect("a watch");
    let start = Instant::now();
    let mut known = watch.watch(&Default::default(), Duration::from_secs(5)).expect("watch");
    println!("first answer after {:?}: {known:?}", start.elapsed());
    for pause_ms in [5, 30, 120, 400, 1500] {
        let producer: BaseProducer = options.config(&[("linger.ms", "0")], &[]).create().expect("a producer");
        let sent = topic.clone();
        let producing = thread::spawn(move || {
            let mut times = Vec::new();
            for n in 0..(3_000 / pause_ms).min(40) {
                thread::sleep(Duration::from_millis(pause_ms));
                let before = Instant::now();
                producer.send(BaseRecord::<(), [u8]>::to(&sent).payload(b"x").partition((n % 4) as i32)).expect("sent");
                producer.flush(Duration::from_secs(5)).expect("flushed");
                times.push(before);
            }
            times
        });
        let mut woken = Vec::new();
        loop {
            let found = watch.watch(&known, Duration::from_millis(2_000)).expect("watch");
            if found == known {
                break;
            }
            woken.push(Instant::now());
            known = found;
        }
        let times = producing.join().expect("the producer");
        let mut waits: Vec<f64> = times
            .iter()
            .skip(1)
            .map(|before| {
                let wake = woken.iter().find(|wake| **wake > *before);
                wake.map_or(f64::NAN, |wake| (*wake - *before).as_secs_f64() * 1e3)
            })
            .collect();
        waits.sort_by(f64::total_cmp);
        println!(
            "every {pause_ms} ms: {} appends, {} wakes, wake after the producer's call, ms: median {:.2}, worst {:.2}",
            times.len(),
            woken.len(),
            waits[waits.len() / 2],
            waits[waits.len() - 1]
        );
    }
    let (cpu, start) = (cpu_seconds(), Instant::now());
    while start.elapsed() < Duration::from_secs(10) {
        known = watch.watch(&known, Duration::from_millis(500)).expect("watch");
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default().to_owned();
    println!("at rest: {:.2} % of a core, {memory}", (cpu_seconds() - cpu) * 10.0);
}

/// CPU time of this process, from `/proc/self/stat` (fields 14 and 15, in ticks of 10 ms); 0 on other systems.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
