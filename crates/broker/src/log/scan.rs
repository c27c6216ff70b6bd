//! Iterates over the batch headers of a segment file in chunks, without reading the records.

use super::batch::{BatchHeader, HEADER_BYTES};
use std::fs::File;
use std::io;

/// An iterator over `(position, header)`. Ends at `end` or before the first incomplete batch.
pub(crate) struct HeaderScan<'a> {
    file: &'a File,
    position: u64,
    end: u64,
    chunk: Vec<u8>,
    chunk_start: u64,
    chunk_bytes: usize,
}

impl<'a> HeaderScan<'a> {
    /// Iterates over `[start, end)`. `start` is the first byte of a batch. Reads `chunk_bytes` at a time: choose few to
    /// look up one batch, and many to scan a whole file.
    pub fn new(file: &'a File, start: u64, end: u64, chunk_bytes: usize) -> HeaderScan<'a> {
        assert!(chunk_bytes >= HEADER_BYTES, "a chunk holds at least a header");
        HeaderScan { file, position: start, end, chunk: Vec::new(), chunk_start: 0, chunk_bytes }
    }

    /// The next header; `None` at the end or before an incomplete batch.
    pub fn next(&mut self) -> io::Result<Option<(u64, BatchHeader)>> {
        if self.end - self.position < HEADER_BYTES as u64 {
            return Ok(None);
        }
        self.load()?;
        let at = (self.position - self.chunk_start) as usize;
        let Some(header) = BatchHeader::parse(&self.chunk[at..]) else { return Ok(None) };
        if self.position + header.total_bytes as u64 > self.end {
            return Ok(None);
        }
        let position = self.position;
        self.position += header.total_bytes as u64;
        Ok(Some((position, header)))
    }

    fn load(&mut self) -> io::Result<()> {
        let chunk_end = self.chunk_start + self.chunk.len() as u64;
        if self.position >= self.chunk_start && self.position + HEADER_BYTES as u64 <= chunk_end {
            return Ok(());
        }
        let bytes = (self.end - self.position).min(self.chunk_bytes as u64) as usize;
        self.chunk.resize(bytes, 0);
        self.chunk_start = self.position;
        read_exact_at(self.file, &mut self.chunk, self.position)
    }
}

/// Fills `buffer` from `position` without moving the file's cursor.
#[cfg(unix)]
pub(crate) fn read_exact_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, position)
}

/// Fills `buffer` from `position`. Moves the cursor, but nobody uses it: files are opened for appending.
#[cfg(windows)]
pub(crate) fn read_exact_at(file: &File, mut buffer: &mut [u8], mut position: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        let count = std::os::windows::fs::FileExt::seek_read(file, buffer, position)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[count..];
        position += count as u64;
    }
    Ok(())
}
