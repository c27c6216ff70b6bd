//! Who is written to when not everything can be sent. The broker is a thread that answers four requests in their oldest versions.

use super::*;
use crate::settings::Settings;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

const PATIENCE: Duration = Duration::from_secs(20);

/// Requests that were taken: the partitions of each.
type Taken = Arc<Mutex<Vec<Vec<i32>>>>;

/// Starts a broker with a topic `t` whose partitions have these leaders. Returns its address and what it takes.
fn broker(leaders: Arc<Mutex<Vec<i32>>>) -> (String, Taken) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let taken = Taken::default();
    let shared = Arc::clone(&taken);
    thread::spawn(move || {
        for client in listener.incoming().map_while(std::io::Result::ok) {
            let (leaders, taken) = (Arc::clone(&leaders), Arc::clone(&shared));
            thread::spawn(move || serve(client, address.port(), &leaders, &taken));
        }
    });
    (address.to_string(), taken)
}

fn serve(mut client: TcpStream, port: u16, leaders: &Mutex<Vec<i32>>, taken: &Mutex<Vec<Vec<i32>>>) -> Option<()> {
    loop {
        let mut length = [0; 4];
        client.read_exact(&mut length).ok()?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        client.read_exact(&mut frame).ok()?;
        let mut rest = &frame[..];
        let (key, version, correlation) = (short(&mut rest), short(&mut rest), int(&mut rest));
        text(&mut rest);
        let mut answer = correlation.to_be_bytes().to_vec();
        let ints = |answer: &mut Vec<u8>, values: &[i32]| {
            values.iter().for_each(|value| answer.extend(value.to_be_bytes()));
        };
        match key {
            18 if version > 0 => answer.extend([0, 35, 0, 0, 0, 0]),
            18 => {
                answer.extend([0, 0]);
                ints(&mut answer, &[4]);
                let known: [[i16; 3]; 4] = [[0, 3, 3], [3, 4, 4], [18, 0, 0], [22, 0, 0]];
                known.iter().flatten().for_each(|number| answer.extend(number.to_be_bytes()));
            }
            3 => {
                ints(&mut answer, &[0, 1, 0]);
                put(&mut answer, "127.0.0.1");
                ints(&mut answer, &[i32::from(port)]);
                // No rack, no cluster id.
                answer.extend([0xff; 4]);
                ints(&mut answer, &[0, 1]);
                answer.extend([0, 0]);
                put(&mut answer, "t");
                answer.push(0);
                let leaders = leaders.lock().expect("no panic").clone();
                ints(&mut answer, &[leaders.len() as i32]);
                for (number, leader) in leaders.into_iter().enumerate() {
                    answer.extend(if leader < 0 { [0, 5] } else { [0, 0] });
                    ints(&mut answer, &[number as i32, leader, 0, 0]);
                }
            }
            22 => {
                answer.extend([0; 6]);
                answer.extend(7i64.to_be_bytes());
                answer.extend([0, 0]);
            }
            0 => {
                // No transactional id, all replicas, a timeout, one topic.
                rest = &rest[2 + 2 + 4 + 4..];
                text(&mut rest);
                let count = int(&mut rest);
                let mut partitions = Vec::new();
                for _ in 0..count {
                    partitions.push(int(&mut rest));
                    let bytes = int(&mut rest) as usize;
                    rest = &rest[bytes..];
                }
                ints(&mut answer, &[1]);
                put(&mut answer, "t");
                ints(&mut answer, &[count]);
                for partition in &partitions {
                    ints(&mut answer, &[*partition]);
                    answer.extend([0; 2 + 8 + 8]);
                }
                ints(&mut answer, &[0]);
                taken.lock().expect("no panic").push(partitions);
            }
            other => panic!("request {other}"),
        }
        client.write_all(&(answer.len() as u32).to_be_bytes()).ok()?;
        client.write_all(&answer).ok()?;
    }
}

fn short(rest: &mut &[u8]) -> i16 {
    let (head, tail) = rest.split_first_chunk().expect("two bytes");
    *rest = tail;
    i16::from_be_bytes(*head)
}

fn int(rest: &mut &[u8]) -> i32 {
    let (head, tail) = rest.split_first_chunk().expect("four bytes");
    *rest = tail;
    i32::from_be_bytes(*head)
}

fn text(rest: &mut &[u8]) {
    let length = short(rest).max(0) as usize;
    *rest = &rest[length..];
}

fn put(answer: &mut Vec<u8>, text: &str) {
    answer.extend((text.len() as i16).to_be_bytes());
    answer.extend(text.as_bytes());
}

/// Appends one record of 100 bytes to each partition.
fn append(producer: &mut Producer, partitions: i32) {
    for partition in 0..partitions {
        let record = NewRecord { value: Some(&[b'x'; 100]), ..NewRecord::default() };
        assert!(producer.append(partition, &record, Instant::now()).expect("taken"));
    }
}

fn flush_until(producer: &mut Producer, so: impl Fn(&Producer) -> bool) {
    let start = Instant::now();
    while !so(producer) {
        producer.flush(Duration::from_millis(20)).expect("flushed");
        assert!(start.elapsed() < PATIENCE, "{:?} because of {:?}", producer.counts(), producer.trouble());
    }
}

#[test]
fn a_partition_without_a_leader_does_not_hold_up_the_others() {
    let leaders = Arc::new(Mutex::new(vec![0, -1, 0]));
    let (address, _) = broker(Arc::clone(&leaders));
    let mut producer = Producer::new(Settings::new(&address), "t", 3).expect("a producer");
    append(&mut producer, 3);
    flush_until(&mut producer, |producer| producer.counts().acknowledged == 2);
    producer.flush(Duration::ZERO).expect("flushed");
    assert_eq!(producer.pending(), 1);
    assert!(producer.trouble().is_some_and(|error| error.retry), "the producer tells what it waits for");
    // Others go on meanwhile, and again when it has a leader.
    append(&mut producer, 3);
    flush_until(&mut producer, |producer| producer.counts().acknowledged == 4);
    leaders.lock().expect("no panic")[1] = 0;
    flush_until(&mut producer, |producer| producer.pending() == 0);
    assert_eq!(producer.counts(), Counts { appended: 6, acknowledged: 6, failed: 0 });
}

#[test]
fn what_has_waited_longest_goes_first() {
    let (address, taken) = broker(Arc::new(Mutex::new(vec![0; 6])));
    let mut settings = Settings::new(&address);
    // Two batches of a record fit into a request.
    settings.produce.request_bytes_max = 400;
    let mut producer = Producer::new(settings, "t", 6).expect("a producer");
    append(&mut producer, 6);
    // Partitions 0 and 1 have new records whenever a request is answered.
    for _ in 0..3 {
        let before = producer.counts().acknowledged;
        flush_until(&mut producer, |producer| producer.counts().acknowledged > before);
        append(&mut producer, 2);
    }
    flush_until(&mut producer, |producer| producer.pending() == 0);
    let taken = taken.lock().expect("no panic");
    assert_eq!(taken[..3], [vec![0, 1], vec![2, 3], vec![4, 5]]);
}
