//! Bounds the memory that one client can make the broker use. A hostile frame costs at most four times its own size, or
//! a fixed amount if it is small. An idle connection holds nothing of what has passed through it.
//!
//! The allocator counts the bytes. Everything runs in this process, so the tests run one at a time.

use peak_alloc::PeakAlloc;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;
use tidemill_broker::{Broker, BrokerConfig};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Memory that a small frame may cost: the broker's own bound, and the reallocations of a growing answer.
const SMALL_FRAME_BYTES: usize = 6 << 20;
const LONG: Duration = Duration::from_secs(30);

static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fresh() -> (Broker, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Broker::start(BrokerConfig { dir: dir.path().to_owned(), ..BrokerConfig::default() }).unwrap(), dir)
}

/// A frame under construction, in the old or in the compact encoding.
struct Frame {
    bytes: Vec<u8>,
    compact: bool,
}

impl Frame {
    /// Length and header of a request. `compact` tells whether this version has compact lengths.
    fn new(key: i16, version: i16, compact: bool) -> Frame {
        let mut frame = Frame { bytes: vec![0; 4], compact };
        frame.bytes.extend(key.to_be_bytes());
        frame.bytes.extend(version.to_be_bytes());
        frame.bytes.extend([0, 0, 0, 1, 0xff, 0xff]);
        frame.tags()
    }

    fn raw(mut self, bytes: &[u8]) -> Frame {
        self.bytes.extend(bytes);
        self
    }

    fn i32(self, value: i32) -> Frame {
        self.raw(&value.to_be_bytes())
    }

    fn tags(self) -> Frame {
        if self.compact { self.raw(&[0]) } else { self }
    }

    fn length(self, length: usize) -> Frame {
        if !self.compact {
            return self.i32(length as i32);
        }
        self.varint(length + 1)
    }

    fn varint(mut self, mut value: usize) -> Frame {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
        self
    }

    fn text(self, text: &str) -> Frame {
        let frame =
            if self.compact { self.varint(text.len() + 1) } else { self.raw(&(text.len() as i16).to_be_bytes()) };
        frame.raw(text.as_bytes())
    }

    /// A list of `count` elements.
    fn list(self, count: usize, element: impl Fn(Frame, usize) -> Frame) -> Frame {
        (0..count).fold(self.length(count), element)
    }

    fn framed(mut self) -> Vec<u8> {
        let length = (self.bytes.len() - 4) as i32;
        self.bytes[..4].copy_from_slice(&length.to_be_bytes());
        self.bytes
    }
}

/// Sends a frame and reads the answer, if there is one. Returns the answer's length in bytes.
fn ask(stream: &mut TcpStream, frame: &[u8]) -> usize {
    // The broker may end the connection before it has read everything.
    if stream.write_all(frame).is_err() {
        return 0;
    }
    let mut length = [0; 4];
    if stream.read_exact(&mut length).is_err() {
        return 0;
    }
    let (answer, mut buffer) = (u32::from_be_bytes(length) as usize, [0; 16 << 10]);
    let mut left = answer;
    while left > 0 {
        let part = left.min(buffer.len());
        stream.read_exact(&mut buffer[..part]).unwrap();
        left -= part;
    }
    answer + length.len()
}

fn connect(broker: &Broker) -> TcpStream {
    let mut stream = TcpStream::connect(broker.local_addr()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    assert!(ask(&mut stream, &Frame::new(18, 0, false).framed()) > 0, "the broker answers ApiVersions");
    stream
}

/// A frame of `count` elements.
type Make = fn(usize) -> Frame;

/// A name of five bytes, different for each number.
fn unique(number: usize) -> String {
    format!("{number:05x}")
}

fn long_topic() -> String {
    "t".repeat(249)
}

const FRAMES: &[(&str, Make)] = &[
    ("DescribeGroups 5, empty ids", |n| Frame::new(15, 5, true).list(n, |f, _| f.text("")).raw(&[0, 0])),
    ("DescribeGroups 0, empty ids", |n| Frame::new(15, 0, false).list(n, |f, _| f.text(""))),
    ("DescribeGroups 5, unique ids", |n| Frame::new(15, 5, true).list(n, |f, i| f.text(&unique(i))).raw(&[0, 0])),
    ("FindCoordinator 4, empty keys", |n| Frame::new(10, 4, true).raw(&[0]).list(n, |f, _| f.text("")).tags()),
    ("FindCoordinator 4, unique keys", |n| Frame::new(10, 4, true).raw(&[0]).list(n, |f, i| f.text(&unique(i))).tags()),
    ("FindCoordinator 4, of an unknown type", |n| {
        Frame::new(10, 4, true).raw(&[7]).list(n, |f, i| f.text(&unique(i))).tags()
    }),
    ("Metadata 1, empty names", |n| Frame::new(3, 1, false).list(n, |f, _| f.text(""))),
    ("Metadata 1, illegal names", |n| Frame::new(3, 1, false).list(n, |f, i| f.text(&format!("/{}", unique(i))))),
    ("Metadata 12, unique names", |n| {
        let topic = |f: Frame, i| f.raw(&[0; 16]).text(&unique(i)).tags();
        Frame::new(3, 12, true).list(n, topic).raw(&[0, 0]).tags()
    }),
    ("DeleteGroups 2, unique ids", |n| Frame::new(42, 2, true).list(n, |f, i| f.text(&unique(i))).tags()),
    ("ListGroups 4, states", |n| Frame::new(16, 4, true).list(n, |f, _| f.text("")).tags()),
    ("DescribeConfigs 4, unique topics", |n| {
        let resource = |f: Frame, i| f.raw(&[2]).text(&unique(i)).raw(&[0]).tags();
        Frame::new(32, 4, true).list(n, resource).raw(&[0, 0]).tags()
    }),
    ("DescribeConfigs 4, keys", |n| {
        let resource = |f: Frame, _| f.raw(&[4]).text("1").list(n, |f, _| f.text("")).tags();
        Frame::new(32, 4, true).list(1, resource).raw(&[0, 0]).tags()
    }),
    ("CreateTopics 7, illegal names", |n| {
        let topic = |f: Frame, i| f.text(&format!("/{}", unique(i))).i32(1).raw(&[0, 1, 1, 1]).tags();
        Frame::new(19, 7, true).list(n, topic).i32(1000).raw(&[0]).tags()
    }),
    ("CreateTopics 7, settings", |n| {
        let setting = |f: Frame, _| f.text("").text("").tags();
        let topic = |f: Frame, _| f.text("x").i32(1).raw(&[0, 1, 1]).list(n, setting).tags();
        Frame::new(19, 7, true).list(1, topic).i32(1000).raw(&[1]).tags()
    }),
    ("CreateTopics 7, replicas", |n| {
        let assignment = |f: Frame, i: usize| f.i32(i as i32).raw(&[1]).tags();
        let topic = |f: Frame, _| f.text("x").i32(-1).raw(&[255; 2]).list(n, assignment).raw(&[1]).tags();
        Frame::new(19, 7, true).list(1, topic).i32(1000).raw(&[1]).tags()
    }),
    ("DeleteTopics 6, unique names", |n| {
        let topic = |f: Frame, i| f.text(&unique(i)).raw(&[0; 16]).tags();
        Frame::new(20, 6, true).list(n, topic).i32(1000).tags()
    }),
    ("CreatePartitions 3, unique topics", |n| {
        let topic = |f: Frame, i| f.text(&unique(i)).i32(2).raw(&[0]).tags();
        Frame::new(37, 3, true).list(n, topic).i32(1000).raw(&[0]).tags()
    }),
    ("ListOffsets 7, partitions", |n| {
        let partition = |f: Frame, i: usize| f.i32(i as i32).i32(-1).raw(&[255; 8]).tags();
        let topic = |f: Frame, _| f.text("absent").list(n, partition).tags();
        Frame::new(2, 7, true).i32(-1).raw(&[0]).list(1, topic).tags()
    }),
    ("ListOffsets 7, topics", |n| {
        let topic = |f: Frame, _| f.text("").raw(&[1]).tags();
        Frame::new(2, 7, true).i32(-1).raw(&[0]).list(n, topic).tags()
    }),
    ("Fetch 12, partitions", |n| {
        let partition = |f: Frame, i: usize| f.i32(i as i32).raw(&[0; 4 + 8 + 4 + 8 + 4]).tags();
        let topic = |f: Frame, _| f.text("absent").list(n, partition).tags();
        Frame::new(1, 12, true).i32(-1).raw(&[0; 4 + 4 + 4 + 1 + 8]).list(1, topic).raw(&[1, 1]).tags()
    }),
    ("Fetch 12, topics", |n| {
        let topic = |f: Frame, _| f.text("").raw(&[1]).tags();
        Frame::new(1, 12, true).i32(-1).raw(&[0; 4 + 4 + 4 + 1 + 8]).list(n, topic).raw(&[1, 1]).tags()
    }),
    ("OffsetFetch 8, partitions", |n| {
        let topic = |f: Frame, _| f.text("absent").list(n, |f, i| f.i32(i as i32)).tags();
        Frame::new(9, 8, true).list(1, |f, _| f.text("g").list(1, topic).tags()).raw(&[0]).tags()
    }),
    ("OffsetFetch 8, groups", |n| {
        let group = |f: Frame, i| f.text(&unique(i)).raw(&[1]).tags();
        Frame::new(9, 8, true).list(n, group).raw(&[0]).tags()
    }),
    ("OffsetFetch 1, partitions", |n| {
        let topic = |f: Frame, _| f.text("absent").list(n, |f, i| f.i32(i as i32));
        Frame::new(9, 1, false).text("g").list(1, topic)
    }),
    ("OffsetCommit 8, partitions of no topic", |n| commit(n, "absent")),
    ("OffsetCommit 8, partition 0 again and again", |n| commit(n, &long_topic())),
    ("Produce 9, partitions", |n| {
        let partition = |f: Frame, i: usize| f.i32(i as i32).raw(&[0]).tags();
        let topic = |f: Frame, _| f.text(&long_topic()).list(n, partition).tags();
        Frame::new(0, 9, true).raw(&[0, 0, 1]).i32(1000).list(1, topic).tags()
    }),
    ("Produce 9, topics", |n| {
        let topic = |f: Frame, _| f.text("").raw(&[1]).tags();
        Frame::new(0, 9, true).raw(&[0, 0, 1]).i32(1000).list(n, topic).tags()
    }),
    ("JoinGroup 9, strategies", |n| {
        let frame = Frame::new(11, 9, true).text("g").i32(10_000).i32(10_000).text("").raw(&[0]).text("consumer");
        frame.list(n, |f, _| f.text("").raw(&[1]).tags()).raw(&[0]).tags()
    }),
    ("JoinGroup 0, metadata", |n| {
        let frame = Frame::new(11, 0, false).text("h").i32(10_000).text("").text("consumer");
        frame.list(1, |f, _| f.text("range").i32(4 * n as i32).raw(&vec![7; 4 * n]))
    }),
    ("SyncGroup 5, assignments", |n| {
        let frame = Frame::new(14, 5, true).text("g").i32(1).text("m").raw(&[0, 0, 0]);
        frame.list(n, |f, _| f.text("").raw(&[1]).tags()).tags()
    }),
    ("LeaveGroup 5, members", |n| {
        let member = |f: Frame, _| f.text("").raw(&[0, 0]).tags();
        Frame::new(13, 5, true).text("g").list(n, member).tags()
    }),
    ("InitProducerId 4, an id of that length", |n| {
        Frame::new(22, 4, true).text(&"i".repeat(n)).i32(1000).raw(&[255; 8 + 2]).tags()
    }),
    ("AddPartitionsToTxn 3, partitions", |n| {
        let topic = |f: Frame, _| f.text("absent").list(n, |f, i| f.i32(i as i32)).tags();
        Frame::new(24, 3, true).text("x").raw(&[0; 8 + 2]).list(1, topic).tags()
    }),
    ("AddPartitionsToTxn 3, partition 0 again and again", |n| {
        let topic = |f: Frame, _| f.text(&long_topic()).list(n, |f, _| f.i32(0)).tags();
        Frame::new(24, 3, true).text("x").raw(&[0; 8 + 2]).list(1, topic).tags()
    }),
    ("AddPartitionsToTxn 3, topics", |n| {
        let topic = |f: Frame, _| f.text("").raw(&[1]).tags();
        Frame::new(24, 3, true).text("x").raw(&[0; 8 + 2]).list(n, topic).tags()
    }),
    ("AddPartitionsToTxn 0, partitions", |n| {
        let topic = |f: Frame, _| f.text("absent").list(n, |f, i| f.i32(i as i32));
        Frame::new(24, 0, false).text("x").raw(&[0; 8 + 2]).list(1, topic)
    }),
    ("AddOffsetsToTxn 3, a group of that length", |n| {
        Frame::new(25, 3, true).text("x").raw(&[0; 8 + 2]).text(&"g".repeat(n)).tags()
    }),
    ("EndTxn 3, an id of that length", |n| Frame::new(26, 3, true).text(&"i".repeat(n)).raw(&[0; 8 + 2 + 1]).tags()),
    ("TxnOffsetCommit 3, partitions of no topic", |n| txn_commit(n, "absent")),
    ("TxnOffsetCommit 3, partition 0 again and again", |n| txn_commit(n, &long_topic())),
    ("TxnOffsetCommit 3, topics", |n| {
        let topic = |f: Frame, _| f.text("").raw(&[1]).tags();
        let frame = Frame::new(28, 3, true).text("x").text("g").raw(&[0; 8 + 2]).i32(-1).text("").raw(&[0]);
        frame.list(n, topic).tags()
    }),
    ("DescribeTransactions 0, unique ids", |n| Frame::new(65, 0, true).list(n, |f, i| f.text(&unique(i))).tags()),
    ("ListTransactions 1, states", |n| {
        Frame::new(66, 1, true).list(n, |f, i| f.text(&unique(i))).raw(&[1]).raw(&[255; 8]).tags()
    }),
    ("ListTransactions 1, producers", |n| {
        Frame::new(66, 1, true).raw(&[1]).list(n, |f, _| f.raw(&[0; 8])).raw(&[255; 8]).tags()
    }),
    ("DescribeProducers 0, partitions", |n| {
        let topic = |f: Frame, _| f.text("absent").list(n, |f, i| f.i32(i as i32)).tags();
        Frame::new(61, 0, true).list(1, topic).tags()
    }),
    ("DescribeProducers 0, topics", |n| {
        let topic = |f: Frame, i| f.text(&unique(i)).raw(&[1]).tags();
        Frame::new(61, 0, true).list(n, topic).tags()
    }),
    ("AlterConfigs 2, unique topics", |n| {
        let resource = |f: Frame, i| f.raw(&[2]).text(&unique(i)).raw(&[1]).tags();
        Frame::new(33, 2, true).list(n, resource).raw(&[0]).tags()
    }),
    ("AlterConfigs 2, settings", |n| {
        let setting = |f: Frame, _| f.text("").text("").tags();
        let resource = |f: Frame, _| f.raw(&[2]).text(&long_topic()).list(n, setting).tags();
        Frame::new(33, 2, true).list(1, resource).raw(&[0]).tags()
    }),
    ("IncrementalAlterConfigs 1, settings", |n| {
        let setting = |f: Frame, i| f.text(&unique(i)).raw(&[0]).text("").tags();
        let resource = |f: Frame, _| f.raw(&[2]).text(&long_topic()).list(n, setting).tags();
        Frame::new(44, 1, true).list(1, resource).raw(&[0]).tags()
    }),
    ("IncrementalAlterConfigs 1, a list that grows", |n| {
        let setting =
            |f: Frame| f.text("follower.replication.throttled.replicas").raw(&[2]).text(&"1,".repeat(n)).tags();
        let resource = |f: Frame, _| setting(f.raw(&[2]).text(&long_topic()).length(1)).tags();
        Frame::new(44, 1, true).list(1, resource).raw(&[0]).tags()
    }),
    ("DescribeLogDirs 4, partitions", |n| {
        let topic = |f: Frame, _| f.text(&long_topic()).list(n, |f, i| f.i32(i as i32)).tags();
        Frame::new(35, 4, true).list(1, topic).tags()
    }),
    ("DescribeLogDirs 4, one topic again and again", |n| {
        let topic = |f: Frame, _| f.text(&long_topic()).list(1, |f, _| f.i32(0)).tags();
        Frame::new(35, 4, true).list(n, topic).tags()
    }),
    ("DeleteRecords 2, partitions", |n| {
        let partition = |f: Frame, i: usize| f.i32(i as i32).raw(&[0; 8]).tags();
        let topic = |f: Frame, _| f.text("absent").list(n, partition).tags();
        Frame::new(21, 2, true).list(1, topic).i32(1000).tags()
    }),
    ("OffsetDelete 0, partitions", |n| {
        let topic = |f: Frame, _| f.text("absent").list(n, |f, i| f.i32(i as i32));
        Frame::new(47, 0, false).text("g").list(1, topic)
    }),
    ("OffsetForLeaderEpoch 4, partitions", |n| {
        let partition = |f: Frame, i: usize| f.i32(i as i32).raw(&[0; 8]).tags();
        let topic = |f: Frame, _| f.text("absent").list(n, partition).tags();
        Frame::new(23, 4, true).i32(-1).list(1, topic).tags()
    }),
    ("ApiVersions 3, tags", |n| {
        let frame = Frame::new(18, 3, true).text("x").text("1").varint(n);
        (0..n).fold(frame, |f, i| f.varint(i).raw(&[0]))
    }),
];

fn txn_commit(count: usize, topic: &str) -> Frame {
    let partition = |f: Frame, _| f.i32(0).raw(&[0; 8 + 4]).text("").tags();
    let topic = |f: Frame, _| f.text(topic).list(count, partition).tags();
    let frame = Frame::new(28, 3, true).text("x").text("g").raw(&[0; 8 + 2]).i32(-1).text("").raw(&[0]);
    frame.list(1, topic).tags()
}

fn commit(count: usize, topic: &str) -> Frame {
    let partition = |f: Frame, _| f.i32(0).raw(&[0; 8 + 4]).text("").tags();
    let topic = |f: Frame, _| f.text(topic).list(count, partition).tags();
    Frame::new(8, 8, true).text("g").i32(-1).text("").raw(&[0]).list(1, topic).tags()
}

#[test]
fn a_hostile_frame_costs_at_most_four_times_its_size() {
    let _turn = turn();
    let (broker, _dir) = fresh();
    let create = |f: Frame, _| f.text(&long_topic()).i32(1).raw(&[0, 1, 1, 1]).tags();
    let create = Frame::new(19, 7, true).list(1, create).i32(1000).raw(&[0]).tags().framed();
    assert!(ask(&mut connect(&broker), &create) > 0);
    let mut faults = Vec::new();
    println!("{:<46} {:>8} {:>10} {:>10} {:>10}", "frame", "count", "bytes", "answer", "peak");
    for (name, make) in FRAMES {
        for count in [1_000, 10_000, 31_000, 120_000, 1_000_000] {
            let frame = make(count).framed();
            let mut stream = connect(&broker);
            let before = ALLOCATOR.current_usage();
            ALLOCATOR.reset_peak_usage();
            let answer = ask(&mut stream, &frame);
            let peak = ALLOCATOR.peak_usage().saturating_sub(before);
            println!("{name:<46} {count:>8} {:>10} {answer:>10} {peak:>10}", frame.len());
            // The peak includes buffers of connections that closed meanwhile.
            if peak > (4 * frame.len()).max(SMALL_FRAME_BYTES) {
                faults.push(format!("{name} × {count}: {} bytes cost {peak}", frame.len()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A batch of `bytes` of zeros as one record's value.
fn batch(bytes: usize) -> Vec<u8> {
    let zigzag = |value: i64| {
        let (mut value, mut out) = (((value << 1) ^ (value >> 63)) as u64, Vec::new());
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
        out
    };
    let fields = [&[0, 0, 0, 1][..], &zigzag(bytes as i64), &vec![0; bytes], &[0]].concat();
    let record = [zigzag(fields.len() as i64), fields].concat();
    let mut batch = vec![0; 8];
    batch.extend((49 + record.len() as i32).to_be_bytes());
    batch.extend([0, 0, 0, 0, 2, 0, 0, 0, 0]);
    batch.extend([0; 2 + 4 + 8 + 8]);
    batch.extend([0xff; 8 + 2 + 4]);
    batch.extend(1i32.to_be_bytes());
    batch.extend(record);
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

#[test]
fn connections_that_fetched_much_hold_nothing_afterwards() {
    const CONNECTIONS: usize = 20;
    /// Per connection: its read buffer and the data of its thread.
    const IDLE_BYTES: usize = 32 << 10;
    let _turn = turn();
    let (broker, _dir) = fresh();
    let mut producer = connect(&broker);
    ask(&mut producer, &Frame::new(3, 1, false).list(1, |f, _| f.text("t")).framed());
    let batch = batch(1_000_000);
    let partition = |f: Frame, _| f.i32(0).length(batch.len()).raw(&batch).tags();
    let topic = |f: Frame, _| f.text("t").list(1, partition).tags();
    let produce = Frame::new(0, 9, true).raw(&[0, 0, 1]).i32(1000).list(1, topic).tags().framed();
    for _ in 0..50 {
        ask(&mut producer, &produce);
    }
    drop(producer);
    let mut clients: Vec<TcpStream> = (0..CONNECTIONS).map(|_| connect(&broker)).collect();
    let before = ALLOCATOR.current_usage();
    let partition = |f: Frame, _| f.i32(0).i32(-1).raw(&[0; 8]).i32(-1).raw(&[0; 8]).i32(100 << 20).tags();
    let topic = |f: Frame, _| f.text("t").list(1, partition).tags();
    let fetch = Frame::new(1, 12, true).i32(-1).i32(0).i32(1).i32(100 << 20).raw(&[0; 1 + 8]);
    let fetch = fetch.list(1, topic).raw(&[1, 1]).tags().framed();
    for client in &mut clients {
        assert!(ask(client, &fetch) > 50_000_000, "each connection fetches 50 MB");
    }
    // A connection keeps the last frame's memory for a moment, for the next frame.
    let held = || ALLOCATOR.current_usage().saturating_sub(before);
    let mut waited = Duration::ZERO;
    while held() > CONNECTIONS * IDLE_BYTES && waited < LONG {
        std::thread::sleep(Duration::from_millis(50));
        waited += Duration::from_millis(50);
    }
    assert!(held() <= CONNECTIONS * IDLE_BYTES, "{} bytes are held by {CONNECTIONS} idle connections", held());
}
