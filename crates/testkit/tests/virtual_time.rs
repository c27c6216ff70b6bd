//! The real driver, real executors (as threads) and the real autoscaler in virtual time: minutes of a load pass in seconds,
//! and a seed makes the same run twice, byte by byte, with executors killed, the topic out of reach, sinks that fail and
//! drivers that die.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tidemill_model::Error;
use tidemill_model::random::Random;
use tidemill_os::clock;
use tidemill_testkit::{COUNT_BY_KEY, Harness, Kills, Record, RunningDriver, Timeline, Topic, Transcript};

const PARTITIONS: i64 = 4;
const KEYS: u64 = 50;

/// Records are put this often.
const PUT: Duration = Duration::from_millis(20);

/// Time after the load in which everything becomes quiet.
const AFTER: Duration = Duration::from_secs(15);

const AUTOSCALE: &str = "[autoscale]\nmax_records_per_second_per_core = 250\n";

/// A load: (seconds, records per second).
type Load = Vec<(u64, u64)>;

/// What happens to a run, and when: ms after its start.
#[derive(Clone, Copy, Debug)]
enum Fault {
    ExecutorDies(usize),
    NextExecutorDiesAfter(usize),
    TopicAway(u64),
    SinkFails,
    DriverDies,
}

#[derive(Debug)]
struct Observed {
    transcript: Transcript,
    counted: BTreeMap<u64, u64>,
    put: BTreeMap<u64, u64>,
    left_out: u64,
    kills: u64,
    drivers: u64,
}

/// Runs the load with the faults, in virtual time.
fn run(load: Load, faults: Vec<(u64, Fault)>) -> Observed {
    let timeline = Timeline::default();
    let own = timeline.clone();
    timeline.run(move || scenario(&own, load, faults))
}

fn scenario(timeline: &Timeline, load: Load, faults: Vec<(u64, Fault)>) -> Observed {
    let (kills, transcript) = (Kills::default(), Transcript::default());
    let [fails, dies] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let mut harness = Harness::new(&[COUNT_BY_KEY, AUTOSCALE].concat());
    harness.topic = Topic::new(PARTITIONS as usize).flowing();
    harness.autoscales = true;
    harness.transcript = Some(transcript.clone());
    harness.kills = Some(kills.clone());
    let (sink_fails, driver_dies) = (fails.clone(), dies.clone());
    harness.before_write = Some(Arc::new(move |_, _| {
        if driver_dies.swap(false, Ordering::SeqCst) {
            return Err(Error::external("the driver dies here"));
        }
        if sink_fails.swap(false, Ordering::SeqCst) {
            return Err(Error::transient("the sink fails once"));
        }
        Ok(())
    }));
    let topic = harness.topic.clone();
    let (sender, put) = std::sync::mpsc::channel();
    let end: u64 = load.iter().map(|(seconds, _)| seconds * 1_000).sum();
    timeline.spawn(move || sender.send(produce(&topic, &load)).expect("the test listens"));
    let mut driver = Some(harness.start().expect("a right pipeline"));
    let mut drivers = 1;
    let start = clock::now();
    let mut faults = faults.into_iter().peekable();
    let finish = Duration::from_millis(end) + AFTER;
    while clock::since(start) < finish {
        clock::sleep(Duration::from_millis(50));
        if driver.as_ref().is_some_and(RunningDriver::has_ended) {
            // It has died as planned; another one continues.
            driver.take().expect("seen").stop().expect_err("the test killed it");
            driver = Some(harness.start().expect("a right pipeline"));
            drivers += 1;
        }
        while let Some((_, fault)) = faults.next_if(|(at, _)| clock::since(start) >= Duration::from_millis(*at)) {
            match fault {
                Fault::ExecutorDies(which) => kills.kill_one(which),
                Fault::NextExecutorDiesAfter(bytes) => kills.next_dies_after(bytes),
                Fault::TopicAway(ms) => {
                    let topic = harness.topic.clone();
                    topic.set_away(true);
                    timeline.spawn(move || {
                        clock::sleep(Duration::from_millis(ms));
                        topic.set_away(false);
                    });
                }
                Fault::SinkFails => fails.store(true, Ordering::SeqCst),
                Fault::DriverDies => dies.store(true, Ordering::SeqCst),
            }
        }
    }
    driver.take().expect("one runs").stop().expect("nothing disturbs it");
    let mut counted = BTreeMap::new();
    for row in harness.sink.batches().values().flatten() {
        let row: serde_json::Value = serde_json::from_str(row).expect("a row");
        counted.insert(row["k"].as_u64().expect("a key"), row["n"].as_u64().expect("a count"));
    }
    Observed {
        transcript,
        counted,
        put: put.recv().expect("it has ended"),
        left_out: harness.left_out(),
        kills: kills.counts().values().sum(),
        drivers,
    }
}

/// Puts the load into the topic, by the clock. Returns the records by key.
fn produce(topic: &Topic, load: &Load) -> BTreeMap<u64, u64> {
    let (start, mut number, mut put) = (clock::now(), 0_u64, BTreeMap::new());
    let mut begin = Duration::ZERO;
    for (seconds, rate) in load {
        let (before, length) = (number, Duration::from_secs(*seconds));
        let mut since = Duration::ZERO;
        while since < length {
            since += PUT;
            clock::sleep((begin + since).saturating_sub(clock::since(start)));
            let due = before + since.as_millis() as u64 * rate / 1_000;
            let mut records = Vec::new();
            while number < due {
                let key = number * 7 % KEYS;
                *put.entry(key).or_default() += 1;
                let partition = (number % PARTITIONS as u64) as i32;
                let value = Some(format!("{{\"k\":{key}}}").into_bytes());
                records.push(Record { partition, timestamp_ms: clock::wall_ms(), value, ..Record::default() });
                number += 1;
            }
            if !records.is_empty() {
                topic.put_records(records);
            }
        }
        begin += length;
    }
    put
}

/// The load and the faults of a seed: a minute and a half.
fn made_up(seed: u64) -> (Load, Vec<(u64, Fault)>) {
    let mut random = Random::new(seed);
    let mut load = Load::new();
    for _ in 0..6 {
        let rate = if random.chance(20) { 0 } else { random.between(20, 1_600) };
        load.push((random.between(5, 20) as u64, rate as u64));
    }
    let end: u64 = load.iter().map(|(seconds, _)| seconds * 1_000).sum();
    let mut faults = Vec::new();
    for _ in 0..25 {
        let fault = match random.between(0, 9) {
            0..4 => Fault::ExecutorDies(random.between(0, 63) as usize),
            4..6 => Fault::NextExecutorDiesAfter(random.between(0, 299) as usize),
            6..8 => Fault::TopicAway(random.between(200, 2_500) as u64),
            8 => Fault::SinkFails,
            _ => Fault::DriverDies,
        };
        faults.push((random.between(1_000, end as i64) as u64, fault));
    }
    faults.sort_by_key(|(at, _)| *at);
    (load, faults)
}

fn check(seen: &Observed) {
    assert_eq!(seen.left_out, 0);
    assert_eq!(seen.counted, seen.put, "every record is counted once");
    for pair in seen.transcript.decisions().windows(2) {
        let gap = pair[1].0.now_ms.saturating_sub(pair[0].0.now_ms);
        assert!(gap <= 500, "it decides every quarter of a second: {gap} ms before {}", pair[1].0.now_ms);
    }
}

#[test]
fn a_seed_gives_the_same_bytes_twice() {
    let (mut texts, mut drivers) = (Vec::new(), 0);
    for seed in 1..=3 {
        let real = Instant::now();
        let [first, second] = [(); 2].map(|()| {
            let (load, faults) = made_up(seed);
            run(load, faults)
        });
        check(&first);
        let text = first.transcript.text();
        println!(
            "seed {seed}: {} bytes, {} decisions, {} batches, {} executors killed, {} drivers; twice in {:.1} s",
            text.len(),
            first.transcript.decisions().len(),
            first.transcript.batches().len(),
            first.kills,
            first.drivers,
            real.elapsed().as_secs_f64()
        );
        if let Some(dir) = std::env::var_os("TIDEMILL_TEST_TRANSCRIPTS") {
            std::fs::write(std::path::Path::new(&dir).join(format!("seed-{seed}.txt")), &text).expect("a directory");
        }
        let other = second.transcript.text();
        let differing = text.lines().zip(other.lines()).position(|(a, b)| a != b);
        if let Some(at) = differing {
            let [a, b] = [&text, &other].map(|text| text.lines().nth(at).unwrap_or_default().to_owned());
            panic!("seed {seed}, line {at}:\n{a}\n{b}");
        }
        assert_eq!(text, other);
        assert!(first.kills > 5, "executors are killed");
        drivers += first.drivers;
        texts.push(text);
    }
    println!("figure virtual_seeds {}\nfigure virtual_same {}", texts.len(), texts.len());
    assert!(drivers > 3, "drivers die and go on");
    assert!(texts[0] != texts[1] && texts[1] != texts[2], "another seed is another run");
}
