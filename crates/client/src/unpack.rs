//! Decompresses records into one buffer that is reused: gzip, snappy (in Java's blocks, or raw), lz4 (framed), zstd.

use std::io::{self, Read};

/// A batch that unpacks to more is refused. A kilobyte may claim to hold gigabytes.
const UNPACKED_BYTES_MAX: usize = 256 << 20;
/// A buffer that grew beyond this for one large batch is freed.
const KEPT_BYTES_MAX: usize = 16 << 20;
/// The default limit of zstd's own tools.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// Start of Java's snappy stream. Its version and the oldest compatible version follow.
const SNAPPY_MARK: &[u8] = b"\x82SNAPPY\0";
const SNAPPY_HEADER_BYTES: usize = 16;

/// The states of the codecs, and their output.
#[derive(Default)]
pub(crate) struct Unpacker {
    pub(crate) bytes: Vec<u8>,
    snappy: snap::raw::Decoder,
    zstd: Option<zstd::stream::raw::Decoder<'static>>,
}

impl Unpacker {
    /// Decompresses into `bytes`. `codec` is the number in the batch's attributes.
    pub(crate) fn unpack(&mut self, codec: i16, packed: &[u8]) -> io::Result<()> {
        self.bytes.clear();
        if self.bytes.capacity() > KEPT_BYTES_MAX {
            self.bytes = Vec::new();
        }
        match codec {
            1 => self.read(flate2::bufread::MultiGzDecoder::new(packed)),
            2 => self.snappy(packed),
            3 => self.read(lz4_flex::frame::FrameDecoder::new(packed)),
            4 => self.zstd(packed),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the codec is not gzip, snappy, lz4 or zstd")),
        }
    }

    fn read(&mut self, source: impl Read) -> io::Result<()> {
        source.take(UNPACKED_BYTES_MAX as u64 + 1).read_to_end(&mut self.bytes)?;
        self.bounded()
    }

    fn bounded(&self) -> io::Result<()> {
        if self.bytes.len() > UNPACKED_BYTES_MAX { Err(too_large()) } else { Ok(()) }
    }

    fn snappy(&mut self, packed: &[u8]) -> io::Result<()> {
        if !packed.starts_with(SNAPPY_MARK) || packed.len() < SNAPPY_HEADER_BYTES {
            return self.snappy_block(packed);
        }
        let mut rest = &packed[SNAPPY_HEADER_BYTES..];
        while !rest.is_empty() {
            let (length, tail) = rest.split_first_chunk().ok_or(io::ErrorKind::UnexpectedEof)?;
            let length = u32::from_be_bytes(*length) as usize;
            let (block, tail) = tail.split_at_checked(length).ok_or(io::ErrorKind::UnexpectedEof)?;
            self.snappy_block(block)?;
            rest = tail;
        }
        Ok(())
    }

    fn snappy_block(&mut self, block: &[u8]) -> io::Result<()> {
        let (at, bytes) = (self.bytes.len(), snap::raw::decompress_len(block)?);
        // Snappy compresses at most about 21 to 1. A block that claims much more is malformed.
        if bytes > UNPACKED_BYTES_MAX - at || bytes / 64 > block.len() {
            return Err(too_large());
        }
        self.bytes.resize(at + bytes, 0);
        let written = self.snappy.decompress(block, &mut self.bytes[at..])?;
        self.bytes.truncate(at + written);
        Ok(())
    }

    fn zstd(&mut self, packed: &[u8]) -> io::Result<()> {
        use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};
        let decoder = match &mut self.zstd {
            Some(decoder) => {
                decoder.reinit()?;
                decoder
            }
            None => {
                let mut decoder = Decoder::new()?;
                decoder.set_parameter(zstd::zstd_safe::DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
                self.zstd.insert(decoder)
            }
        };
        let mut input = InBuffer::around(packed);
        let mut filled = 0;
        loop {
            if self.bytes.len() == filled {
                let room = (filled * 2).max(packed.len() * 4).clamp(4 << 10, UNPACKED_BYTES_MAX + 1);
                if room <= filled {
                    return Err(too_large());
                }
                self.bytes.resize(room, 0);
            }
            let mut output = OutBuffer::around_pos(&mut self.bytes[..], filled);
            let hint = decoder.run(&mut input, &mut output)?;
            let before = std::mem::replace(&mut filled, output.pos());
            if hint == 0 && input.pos() == packed.len() {
                break;
            }
            if filled == before && input.pos() == packed.len() && filled < self.bytes.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        self.bytes.truncate(filled);
        self.bounded()
    }
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a batch unpacks to more than 256 MiB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn packed(codec: i16, plain: &[u8]) -> Vec<u8> {
        match codec {
            1 => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            2 => snap::raw::Encoder::new().compress_vec(plain).unwrap(),
            3 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            _ => zstd::encode_all(plain, 1).unwrap(),
        }
    }

    #[test]
    fn all_codecs_one_after_the_other() {
        let plain: Vec<u8> = (0..200_000u32).flat_map(|number| (number / 7).to_le_bytes()).collect();
        let mut unpacker = Unpacker::default();
        for size in [plain.len(), 10, 0, 70_000] {
            for codec in 1..=4 {
                let bytes = packed(codec, &plain[..size]);
                unpacker.unpack(codec, &bytes).expect("sound");
                assert_eq!(unpacker.bytes, &plain[..size], "codec {codec}, {size} bytes");
                if size > 10 {
                    assert!(unpacker.unpack(codec, &bytes[..bytes.len() / 2]).is_err(), "codec {codec}, half of it");
                }
            }
        }
        let block = packed(2, &plain[..30_000]);
        let framed = [SNAPPY_MARK, &[0; 8], &(block.len() as u32).to_be_bytes(), &block].concat();
        unpacker.unpack(2, &framed).expect("as Java frames it");
        assert_eq!(unpacker.bytes, &plain[..30_000]);
        assert!(unpacker.unpack(5, &block).is_err());
        assert!(unpacker.unpack(2, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0]).is_err(), "a claim of 4 GiB");
    }
}
