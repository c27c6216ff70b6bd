//! Small files that survive a crash: replaced atomically, or appended to in checked frames.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use tidemill_os::disk::replace;

/// An append-only file of frames `length u32 | CRC-32C u32 | payload`. Opening removes an incomplete last frame.
#[derive(Debug)]
pub(crate) struct FrameFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    torn: bool,
}

impl FrameFile {
    /// Opens or creates the file and passes every complete frame to `each`.
    pub fn open(path: PathBuf, mut each: impl FnMut(&[u8])) -> io::Result<FrameFile> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        let mut rest = &content[..];
        while let Some((payload, after)) = split_frame(rest) {
            each(payload);
            rest = after;
        }
        let bytes = (content.len() - rest.len()) as u64;
        let mut frames = FrameFile { path, file, bytes, torn: !rest.is_empty() };
        frames.cut_torn_tail()?;
        Ok(frames)
    }

    /// Appends one frame. After an error the file is as before. With `sync` the frame is on the disk.
    pub fn append(&mut self, payload: &[u8], sync: bool) -> io::Result<()> {
        self.cut_torn_tail()?;
        let frame = frame(payload);
        self.torn = true;
        self.file.write_all(&frame)?;
        if sync {
            self.file.sync_data()?;
        }
        self.torn = false;
        self.bytes += frame.len() as u64;
        Ok(())
    }

    /// Length of the file in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Replaces all frames by these.
    pub fn rewrite<'a>(&mut self, payloads: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
        let content: Vec<u8> = payloads.flat_map(frame).collect();
        replace(&self.path, &content)?;
        self.file = OpenOptions::new().read(true).append(true).open(&self.path)?;
        self.bytes = content.len() as u64;
        self.torn = false;
        Ok(())
    }

    fn cut_torn_tail(&mut self) -> io::Result<()> {
        if self.torn {
            OpenOptions::new().write(true).open(&self.path)?.set_len(self.bytes)?;
            self.torn = false;
        }
        Ok(())
    }
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(8 + payload.len());
    frame.extend((payload.len() as u32).to_be_bytes());
    frame.extend(crc32c::crc32c(payload).to_be_bytes());
    frame.extend(payload);
    frame
}

fn split_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let crc = u32::from_be_bytes(bytes.get(4..8)?.try_into().ok()?);
    let payload = bytes.get(8..8 + length)?;
    (crc32c::crc32c(payload) == crc).then(|| (payload, &bytes[8 + length..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn read(path: &Path) -> Vec<Vec<u8>> {
        let mut seen = Vec::new();
        FrameFile::open(path.to_owned(), |payload| seen.push(payload.to_vec())).unwrap();
        seen
    }

    #[test]
    fn frames_survive_a_tear_at_any_byte_and_a_rewrite() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("frames");
        let mut frames = FrameFile::open(path.clone(), |_| ()).unwrap();
        frames.append(b"one", false).unwrap();
        let whole = frames.bytes();
        frames.append(b"second", true).unwrap();
        let content = std::fs::read(&path).unwrap();
        for cut in whole as usize..content.len() {
            std::fs::write(&path, &content[..cut]).unwrap();
            assert_eq!(read(&path), [b"one"], "cut at {cut}");
            let mut frames = FrameFile::open(path.clone(), |_| ()).unwrap();
            frames.append(b"three", false).unwrap();
            assert_eq!(read(&path), [&b"one"[..], b"three"]);
        }
        let mut frames = FrameFile::open(path.clone(), |_| ()).unwrap();
        frames.rewrite([&b"a"[..], b"b"].into_iter()).unwrap();
        frames.append(b"c", false).unwrap();
        assert_eq!(read(&path), [b"a", b"b", b"c"]);
    }
}
