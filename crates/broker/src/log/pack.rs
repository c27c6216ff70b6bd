//! Compresses the records of a batch. The counterpart of `unpack`.

use super::records::malformed;
use std::io::{self, Write};

/// Java's snappy stream: its mark, its version, the oldest compatible version.
const SNAPPY_HEADER: &[u8] = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
/// Bytes of a block of that stream before it is compressed, as in Java.
const SNAPPY_BLOCK_BYTES: usize = 32 << 10;

/// Compresses by codec (its number in a batch's attributes; 0 for none), each at its usual level.
pub(crate) fn compress(codec: i16, plain: &[u8]) -> io::Result<Vec<u8>> {
    match codec {
        0 => Ok(plain.to_vec()),
        1 => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(plain)?;
            encoder.finish()
        }
        2 => snappy(plain),
        3 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(plain)?;
            Ok(encoder.finish()?)
        }
        4 => zstd::encode_all(plain, zstd::DEFAULT_COMPRESSION_LEVEL),
        _ => Err(malformed("no such codec")),
    }
}

fn snappy(plain: &[u8]) -> io::Result<Vec<u8>> {
    let (mut packed, mut encoder) = (SNAPPY_HEADER.to_vec(), snap::raw::Encoder::new());
    for block in plain.chunks(SNAPPY_BLOCK_BYTES) {
        let block = encoder.compress_vec(block)?;
        packed.extend((block.len() as u32).to_be_bytes());
        packed.extend(block);
    }
    Ok(packed)
}

/// Appends a zigzag varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}
