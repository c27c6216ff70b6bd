//! `arrive BROKER TOPIC SECONDS`: reads what is committed to a topic from now on, and prints how old the records are as they
//! arrive: the time now less the milliseconds in their field `sent`.

use std::time::{Duration, Instant, SystemTime};
use tidemill_client::batch::Record;
use tidemill_client::{Fetcher, Settings};
use tidemill_kafka::{KafkaOptions, admin};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [broker, topic, seconds] = &arguments[..] else { panic!("arrive BROKER TOPIC SECONDS") };
    let extents = admin::extents(&KafkaOptions::new(broker.clone()), topic).expect("the topic's ends");
    let mut fetcher = Fetcher::new(Settings::new(broker.clone())).expect("a fetcher");
    let slots = extents.iter().map(|(id, there)| fetcher.add(topic, id.partition, there.end, i64::MAX));
    let slots: Vec<usize> = slots.collect();
    assert!(!slots.is_empty(), "topic {topic} does not exist");
    let end = Instant::now() + Duration::from_secs(seconds.parse().expect("seconds"));
    let mut ages = Vec::new();
    while Instant::now() < end {
        fetcher.poll(Duration::from_millis(100)).expect("polled");
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs_f64() * 1e3;
        for slot in &slots {
            while fetcher.next_batch(*slot).expect("a batch") {
                let take = |record: Record<'_>| {
                    ages.push(now - sent(record.value.expect("a value")));
                    true
                };
                fetcher.each_record(i64::MAX, take).expect("sound records");
            }
        }
    }
    ages.sort_by(f64::total_cmp);
    let quantile = |share: f64| ages[((ages.len() - 1) as f64 * share) as usize];
    println!("figure in_out_records {} records", ages.len());
    println!("figure in_out_p50_ms {:.1} ms", quantile(0.5));
    println!("figure in_out_p99_ms {:.1} ms", quantile(0.99));
    println!("figure in_out_max_ms {:.1} ms", quantile(1.0));
}

/// The number in the field `sent` of a JSON object.
fn sent(value: &[u8]) -> f64 {
    let text = std::str::from_utf8(value).expect("JSON is text");
    let rest = text.split_once("\"sent\":").expect("a field `sent`").1;
    rest[..rest.find(|letter: char| !letter.is_ascii_digit()).expect("the object ends")].parse().expect("a number")
}
