//! Decompresses the records of a batch piece by piece through a buffer of fixed size. A batch of a kilobyte may hold
//! gigabytes. They are never in memory at once.
//!
//! Codecs of the protocol: gzip, snappy (in Java's blocks, or raw), lz4 (framed), zstd.

use std::io::{self, BufRead, BufReader, Read};

const WINDOW_BYTES: usize = 32 << 10;
/// Batches that unpack to more are refused. No client could fetch them either.
const UNPACKED_BYTES_MAX: u64 = 1 << 30;
/// 16 MiB, enough for zstd levels up to 19. Without a limit a batch of a kilobyte can make its readers reserve 128 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 24;
/// Start of Java's snappy stream. Its version and the oldest compatible version follow.
const SNAPPY_MARK: &[u8] = b"\x82SNAPPY\0";
const SNAPPY_HEADER_BYTES: usize = 16;
/// A snappy block is held in memory as a whole. Java's blocks have 32 KiB.
const SNAPPY_BLOCK_BYTES_MAX: usize = 16 << 20;

/// Decompresses by codec (its number in a batch's attributes); `None` for an unknown codec.
pub(crate) fn unpack(codec: i16, packed: &[u8]) -> Option<io::Result<Unpacked<'_>>> {
    let source: io::Result<Box<dyn Read + '_>> = match codec {
        1 => Ok(Box::new(flate2::read::GzDecoder::new(packed))),
        2 => Ok(Box::new(Snappy::new(packed))),
        3 => Ok(Box::new(lz4_flex::frame::FrameDecoder::new(packed))),
        4 => zstd_reader(packed),
        _ => return None,
    };
    Some(
        source
            .map(|source| Unpacked { source: BufReader::with_capacity(WINDOW_BYTES, source.take(UNPACKED_BYTES_MAX)) }),
    )
}

fn zstd_reader<'a>(packed: &'a [u8]) -> io::Result<Box<dyn Read + 'a>> {
    let mut decoder = zstd::Decoder::with_buffer(packed)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(Box::new(decoder))
}

/// Where records are read from.
pub(crate) trait Source {
    fn byte(&mut self) -> io::Result<u8>;
    fn skip(&mut self, count: u64) -> io::Result<()>;
    fn is_at_end(&mut self) -> io::Result<bool>;
}

impl Source for &[u8] {
    fn byte(&mut self) -> io::Result<u8> {
        let (first, rest) = self.split_first().ok_or(io::ErrorKind::UnexpectedEof)?;
        *self = rest;
        Ok(*first)
    }

    fn skip(&mut self, count: u64) -> io::Result<()> {
        let count = usize::try_from(count).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        *self = self.get(count..).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(())
    }

    fn is_at_end(&mut self) -> io::Result<bool> {
        Ok(self.is_empty())
    }
}

/// The records of a compressed batch.
pub(crate) struct Unpacked<'a> {
    source: BufReader<io::Take<Box<dyn Read + 'a>>>,
}

impl Source for Unpacked<'_> {
    fn byte(&mut self) -> io::Result<u8> {
        let first = *self.source.fill_buf()?.first().ok_or(io::ErrorKind::UnexpectedEof)?;
        self.source.consume(1);
        Ok(first)
    }

    fn skip(&mut self, mut count: u64) -> io::Result<()> {
        while count > 0 {
            let there = self.source.fill_buf()?.len() as u64;
            if there == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let taken = there.min(count);
            self.source.consume(taken as usize);
            count -= taken;
        }
        Ok(())
    }

    fn is_at_end(&mut self) -> io::Result<bool> {
        Ok(self.source.fill_buf()?.is_empty())
    }
}

impl Read for Unpacked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.source.read(buffer)
    }
}

/// Snappy, block by block.
struct Snappy<'a> {
    packed: &'a [u8],
    /// Whether each block follows its length.
    framed: bool,
    block: Vec<u8>,
    taken: usize,
}

impl<'a> Snappy<'a> {
    fn new(packed: &'a [u8]) -> Snappy<'a> {
        let framed = packed.starts_with(SNAPPY_MARK) && packed.len() >= SNAPPY_HEADER_BYTES;
        let packed = if framed { &packed[SNAPPY_HEADER_BYTES..] } else { packed };
        Snappy { packed, framed, block: Vec::new(), taken: 0 }
    }

    fn next_block(&mut self) -> io::Result<()> {
        let block = if self.framed {
            let (length, rest) = self.packed.split_first_chunk().ok_or(io::ErrorKind::UnexpectedEof)?;
            let length = u32::from_be_bytes(*length) as usize;
            let (block, rest) = rest.split_at_checked(length).ok_or(io::ErrorKind::UnexpectedEof)?;
            self.packed = rest;
            block
        } else {
            std::mem::take(&mut self.packed)
        };
        let bytes = snap::raw::decompress_len(block)?;
        if bytes > SNAPPY_BLOCK_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a snappy block claims to hold over 16 MiB"));
        }
        self.block.resize(bytes, 0);
        self.taken = 0;
        snap::raw::Decoder::new().decompress(block, &mut self.block)?;
        Ok(())
    }
}

impl Read for Snappy<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.block.len() {
            if self.packed.is_empty() {
                return Ok(0);
            }
            self.next_block()?;
        }
        let count = buffer.len().min(self.block.len() - self.taken);
        buffer[..count].copy_from_slice(&self.block[self.taken..self.taken + count]);
        self.taken += count;
        Ok(count)
    }
}
