//! Measures what an offset commit costs with many groups: `commits [GROUPS]`, 20,000 by default.
//!
//! The program builds the frames itself and sends them one after the other on one connection. So it measures the broker
//! and no client library. Every commit is one group's offset in one partition, answered before the next is sent.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tidemill_broker::{Broker, BrokerConfig};

const MEASURED: usize = 20_000;
const METADATA: i16 = 3;
const OFFSET_COMMIT: i16 = 8;

fn main() {
    let groups = std::env::args().nth(1).map_or(20_000, |count| count.parse().expect("a number of groups"));
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(BrokerConfig { dir: dir.path().to_owned(), ..BrokerConfig::default() }).unwrap();
    let mut stream = TcpStream::connect(broker.local_addr()).unwrap();
    stream.set_nodelay(true).unwrap();
    ask(&mut stream, METADATA, 1, &[&1i32.to_be_bytes()[..], &text("t")].concat());
    for group in 0..groups {
        commit(&mut stream, group, 0);
    }
    let mut times: Vec<Duration> = (0..MEASURED)
        .map(|number| {
            let begin = Instant::now();
            // A different group each time, spread over the table.
            commit(&mut stream, number * 7919 % groups, number as i64);
            begin.elapsed()
        })
        .collect();
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1000.0;
    println!("figure groups {groups} groups");
    println!("figure commit_p50 {:.4} ms", at(0.5));
    println!("figure commit_p99 {:.4} ms", at(0.99));
    println!("figure commit_max {:.4} ms", at(1.0));
}

/// OffsetCommit 2: group, generation −1, no member, no retention, one topic with one partition.
fn commit(stream: &mut TcpStream, group: usize, offset: i64) {
    let head = [&text(&format!("group-{group}"))[..], &[0xff; 4], &text(""), &[0xff; 8]].concat();
    let position = [&0i32.to_be_bytes()[..], &offset.to_be_bytes(), &text("")].concat();
    let topics = [&1i32.to_be_bytes()[..], &text("t"), &1i32.to_be_bytes(), &position].concat();
    let answer = ask(stream, OFFSET_COMMIT, 2, &[head, topics].concat());
    assert!(answer.ends_with(&[0, 0]), "the commit is taken");
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as i16).to_be_bytes()[..], text.as_bytes()].concat()
}

fn ask(stream: &mut TcpStream, key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let head = [&key.to_be_bytes()[..], &version.to_be_bytes(), &1i32.to_be_bytes(), &[0xff; 2]].concat();
    let length = (head.len() + body.len()) as i32;
    stream.write_all(&[&length.to_be_bytes()[..], &head, body].concat()).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).unwrap();
    answer
}
