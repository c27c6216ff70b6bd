//! What a fetch session is told. The broker is a thread that answers three requests in old versions. It keeps a session as an
//! Apache Kafka does: it remembers what each partition was last requested with, and answers errors every time.

use super::*;
use crate::settings::Settings;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;

const PATIENCE: Duration = Duration::from_secs(20);
const FENCED_LEADER_EPOCH: i16 = 74;

/// What the broker says, and what it was asked.
#[derive(Default)]
struct Script {
    /// The epoch of both partitions' leader.
    epoch: i32,
    /// How long the client is told to wait before its next request.
    throttle_ms: i32,
    /// When fetches came.
    fetches: Vec<Instant>,
}

fn broker(script: Arc<Mutex<Script>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for client in listener.incoming().map_while(std::io::Result::ok) {
            let script = Arc::clone(&script);
            thread::spawn(move || serve(client, address.port(), &script));
        }
    });
    address.to_string()
}

fn serve(mut client: TcpStream, port: u16, script: &Mutex<Script>) -> Option<()> {
    let mut session = BTreeMap::new();
    loop {
        let mut length = [0; 4];
        client.read_exact(&mut length).ok()?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        client.read_exact(&mut frame).ok()?;
        let number = |at: usize| i32::from_be_bytes(frame[at..at + 4].try_into().expect("four bytes"));
        let (key, version) = (frame[1], frame[3]);
        let (epoch, throttle_ms) = {
            let mut script = script.lock().expect("no panic");
            if key == 1 {
                script.fetches.push(Instant::now());
            }
            (script.epoch, script.throttle_ms)
        };
        let mut answer = frame[4..8].to_vec();
        match key {
            18 if version > 0 => answer.extend([0, 35, 0, 0, 0, 0]),
            18 => {
                answer.extend([0, 0, 0, 0, 0, 3]);
                answer.extend([[0, 1, 0, 12, 0, 12], [0, 3, 0, 7, 0, 7], [0, 18, 0, 0, 0, 0]].concat());
            }
            3 => metadata(&mut answer, port, epoch),
            1 => {
                // The client's id, tags, then a request without its first seven fields.
                let id = usize::from(frame[9]);
                let mut at = 10 + id + 1 + 4 + 4 + 4 + 4 + 1;
                if number(at + 4) == 0 {
                    session.clear();
                }
                at += 8;
                if frame[at] > 1 {
                    // One topic, `t`, and its partitions.
                    let count = usize::from(frame[at + 3]) - 1;
                    at += 4;
                    for _ in 0..count {
                        session.insert(number(at), number(at + 4));
                        at += 4 + 4 + 8 + 4 + 8 + 4 + 1;
                    }
                }
                fetched(&mut answer, &session, epoch, throttle_ms);
                thread::sleep(Duration::from_millis(5));
            }
            other => panic!("request {other}"),
        }
        client.write_all(&(answer.len() as u32).to_be_bytes()).ok()?;
        client.write_all(&answer).ok()?;
    }
}

fn put(answer: &mut Vec<u8>, numbers: &[i32]) {
    numbers.iter().for_each(|number| answer.extend(number.to_be_bytes()));
}

/// Two partitions of a topic `t`, on one broker.
fn metadata(answer: &mut Vec<u8>, port: u16, epoch: i32) {
    put(answer, &[0, 1, 0]);
    answer.extend([0, 9]);
    answer.extend(b"127.0.0.1");
    put(answer, &[i32::from(port)]);
    // No rack, no cluster id, the controller, one topic.
    answer.extend([0xff; 4]);
    put(answer, &[0, 1]);
    answer.extend([0, 0, 0, 1, b't', 0]);
    put(answer, &[2]);
    for partition in 0..2 {
        answer.extend([0, 0]);
        put(answer, &[partition, 0, epoch, 0, 0, 0]);
    }
}

/// Nothing new of each partition, or an error if it was requested for another epoch.
fn fetched(answer: &mut Vec<u8>, session: &BTreeMap<i32, i32>, epoch: i32, throttle_ms: i32) {
    // Tags, throttle, error, session id, one topic.
    answer.push(0);
    put(answer, &[throttle_ms]);
    answer.extend([0; 2]);
    put(answer, &[7]);
    answer.extend([2, 2, b't', session.len() as u8 + 1]);
    for (partition, told) in session {
        put(answer, &[*partition]);
        answer.extend(if *told < epoch { FENCED_LEADER_EPOCH } else { 0 }.to_be_bytes());
        // High watermark, last stable offset, start.
        answer.extend([0; 24]);
        // No aborted transactions, no replica, no records, no tags.
        answer.push(0);
        put(answer, &[-1]);
        answer.extend([1, 0]);
    }
    answer.extend([0, 0]);
}

#[test]
fn a_session_is_told_of_a_new_epoch() {
    let script = Arc::<Mutex<Script>>::default();
    let mut fetcher = Fetcher::new(Settings::new(broker(Arc::clone(&script)))).expect("a fetcher");
    let slots = [0, 1].map(|partition| fetcher.add("t", partition, 0, i64::MAX));
    let is_well = |fetcher: &Fetcher| {
        fetcher.trouble().is_none() && slots.iter().all(|slot| fetcher.extent(*slot) == Some((0, 0)))
    };
    let wait_for = |fetcher: &mut Fetcher, what: &str, so: &dyn Fn(&Fetcher) -> bool| {
        let start = Instant::now();
        while !so(fetcher) {
            fetcher.poll(Duration::from_millis(20)).expect("nothing is wrong for good");
            assert!(start.elapsed() < PATIENCE, "{what}: {:?}", fetcher.trouble());
        }
    };
    wait_for(&mut fetcher, "answers", &is_well);
    script.lock().expect("no panic").epoch = 1;
    wait_for(&mut fetcher, "an error", &|fetcher| fetcher.trouble().is_some());
    wait_for(&mut fetcher, "answers again", &is_well);
}

#[test]
fn a_client_that_is_throttled_waits() {
    const THROTTLE: Duration = Duration::from_millis(150);
    let script = Arc::<Mutex<Script>>::default();
    script.lock().expect("no panic").throttle_ms = THROTTLE.as_millis() as i32;
    let mut fetcher = Fetcher::new(Settings::new(broker(Arc::clone(&script)))).expect("a fetcher");
    fetcher.add("t", 0, 0, i64::MAX);
    let start = Instant::now();
    while script.lock().expect("no panic").fetches.len() < 4 {
        fetcher.poll(Duration::from_millis(20)).expect("nothing is wrong");
        assert!(start.elapsed() < PATIENCE, "it asks no more");
    }
    let fetches = std::mem::take(&mut script.lock().expect("no panic").fetches);
    for pair in fetches.windows(2) {
        assert!(pair[1] - pair[0] >= THROTTLE, "the next request came after {:?}", pair[1] - pair[0]);
    }
}
