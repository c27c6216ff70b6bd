//! Measures how long the broker takes to stop: `stop [CLIENTS] [TOPICS]`, 200 and 500 by default.
//!
//! Every client has sent one request and is idle. Every topic has four partitions, each with an open file.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;
use tidemill_broker::{Broker, BrokerConfig};

const METADATA: i16 = 3;

fn main() {
    let mut args = std::env::args().skip(1).map(|count| count.parse::<usize>().expect("a number"));
    let (clients, topics) = (args.next().unwrap_or(200), args.next().unwrap_or(500));
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(BrokerConfig { dir: dir.path().to_owned(), ..BrokerConfig::default() }).unwrap();
    let mut streams: Vec<TcpStream> =
        (0..clients.max(1)).map(|_| TcpStream::connect(broker.local_addr()).unwrap()).collect();
    for topic in 0..topics {
        // Metadata creates a missing topic.
        ask_metadata(&mut streams[0], &format!("topic-{topic}"));
    }
    streams.iter_mut().for_each(|stream| ask_metadata(stream, "topic-0"));
    let begin = Instant::now();
    broker.shutdown();
    println!("figure clients {clients} connections");
    println!("figure topics {topics} topics");
    println!("figure stop {:.1} ms", begin.elapsed().as_secs_f64() * 1000.0);
}

fn ask_metadata(stream: &mut TcpStream, topic: &str) {
    let mut frame = METADATA.to_be_bytes().to_vec();
    // Version 1, correlation id 0, no client id, one topic.
    frame.extend([0, 1, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 1]);
    frame.extend((topic.len() as i16).to_be_bytes());
    frame.extend(topic.as_bytes());
    stream.write_all(&(frame.len() as u32).to_be_bytes()).unwrap();
    stream.write_all(&frame).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    stream.read_exact(&mut vec![0; u32::from_be_bytes(length) as usize]).unwrap();
}
