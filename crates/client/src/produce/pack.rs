//! Compresses the records of a batch: gzip, snappy (raw, as librdkafka writes it), lz4 (framed), zstd.

use std::io::{self, Write};

/// The compression of a batch, with its number in the batch's attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codec {
    /// `none`
    #[default]
    None = 0,
    /// `gzip`
    Gzip = 1,
    /// `snappy`
    Snappy = 2,
    /// `lz4`
    Lz4 = 3,
    /// `zstd`
    Zstd = 4,
}

impl Codec {
    /// The codec with this name, which librdkafka and Java share.
    pub(crate) fn of(name: &str) -> Option<Codec> {
        Some(match name {
            "none" => Codec::None,
            "gzip" => Codec::Gzip,
            "snappy" => Codec::Snappy,
            "lz4" => Codec::Lz4,
            "zstd" => Codec::Zstd,
            _ => return None,
        })
    }
}

/// Appends the compressed records to `out`.
pub(super) fn pack(codec: Codec, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    match codec {
        Codec::None => out.extend_from_slice(plain),
        Codec::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::default());
            encoder.write_all(plain)?;
            encoder.finish()?;
        }
        Codec::Snappy => {
            let start = out.len();
            out.resize(start + snap::raw::max_compress_len(plain.len()), 0);
            let written = snap::raw::Encoder::new().compress(plain, &mut out[start..])?;
            out.truncate(start + written);
        }
        Codec::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(out);
            encoder.write_all(plain)?;
            encoder.finish()?;
        }
        Codec::Zstd => zstd::stream::copy_encode(plain, out, zstd::DEFAULT_COMPRESSION_LEVEL)?,
    }
    Ok(())
}
