//! Measures what the check of a produced batch costs, by codec: CPU time per million records of 250 bytes, 1,000 in a
//! batch.
//!
//! The text repeats, so compressed batches are small and the cost is mostly decompression. The check of an uncompressed
//! batch walks the records and computes the checksum.

use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};
use tidemill_broker::fuzz::check_sealed_batch;

const RECORDS: usize = 1000;
const VALUE_BYTES: usize = 250;
const TIME: Duration = Duration::from_millis(500);

fn main() {
    let records: Vec<u8> = (0..RECORDS as i64).flat_map(record).collect();
    for (codec, name) in ["plain", "gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
        let batch = batch(&pack(&records, codec), codec as u8);
        let (begin, mut checked) = (Instant::now(), 0usize);
        while begin.elapsed() < TIME {
            assert_eq!(check_sealed_batch(black_box(&batch)), Ok(RECORDS as i32));
            checked += RECORDS;
        }
        println!(
            "figure check_{name} {:.4} CPU-s per million records",
            begin.elapsed().as_secs_f64() / checked as f64 * 1e6
        );
    }
}

fn record(number: i64) -> Vec<u8> {
    let value = format!("{number:07} the quick brown fox ").repeat(VALUE_BYTES);
    let fields = [&[0, 0][..], &varint(number), &varint(-1), &varint(VALUE_BYTES as i64)].concat();
    let fields = [&fields[..], &value.as_bytes()[..VALUE_BYTES], &[0]].concat();
    [varint(fields.len() as i64), fields].concat()
}

fn varint(value: i64) -> Vec<u8> {
    let (mut rest, mut out) = (((value << 1) ^ (value >> 63)) as u64, Vec::new());
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    out
}

fn pack(records: &[u8], codec: usize) -> Vec<u8> {
    match codec {
        1 => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(records).unwrap();
            encoder.finish().unwrap()
        }
        2 => snap::raw::Encoder::new().compress_vec(records).unwrap(),
        3 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(records).unwrap();
            encoder.finish().unwrap()
        }
        4 => zstd::encode_all(records, 3).unwrap(),
        _ => records.to_vec(),
    }
}

/// A batch without a producer id, with a correct checksum.
fn batch(records: &[u8], codec: u8) -> Vec<u8> {
    let count = RECORDS as i32;
    let covered =
        [&[0, codec][..], &(count - 1).to_be_bytes(), &[0; 16], &[0xff; 14], &count.to_be_bytes(), records].concat();
    let mut batch = vec![0; 8];
    batch.extend((covered.len() as i32 + 9).to_be_bytes());
    batch.extend([0, 0, 0, 0, 2]);
    batch.extend(crc32c::crc32c(&covered).to_be_bytes());
    batch.extend(covered);
    batch
}
