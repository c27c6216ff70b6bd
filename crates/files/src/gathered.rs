//! Rows of several batches that become one file: durable, and not visible yet.
//!
//! ```text
//!   DIR/_gathered.json     frames, one per batch; or _gathered.csv, _gathered.parquet
//!   frame: crc32c of the rest: u32 LE | length of the rows: u64 LE | batch id: u64 LE | number of rows: u64 LE | rows
//! ```
//! The rows of a frame are text as the file will hold it, or, for Parquet, a small Parquet file. A frame that a crash cut
//! off does not count. A batch that is written again replaces its frame and those after it.

use crate::durable::refused;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tidemill_model::Result;
use tidemill_model::pipeline::SinkFormat;
use tidemill_os::{clock, disk};

/// Bytes before a frame's rows.
const HEADER: usize = 28;

/// The gathered rows of a directory, in one format.
pub struct Gathered {
    path: PathBuf,
    frames: Vec<Frame>,
    /// Whether bytes after the last frame may be left by a failed write.
    torn: bool,
    since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    batch_id: u64,
    rows: u64,
    /// Where its rows begin and end in the file.
    begin: u64,
    end: u64,
}

impl Gathered {
    /// Opens what is gathered. Batches up to `visible` are in the manifest already, and are dropped.
    ///
    /// # Errors
    /// External: the disk fails.
    pub fn open(dir: &Path, format: SinkFormat, visible: Option<u64>) -> Result<Gathered> {
        let path = dir.join(format!("_gathered.{}", format.name()));
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(refused("read", &path, &error)),
        };
        let mut frames: Vec<Frame> = Vec::new();
        while let Some(frame) = read_frame(&bytes, frames.last().map_or(0, |frame| frame.end as usize)) {
            frames.push(frame);
        }
        if frames.last().is_some_and(|last| visible >= Some(last.batch_id)) {
            frames.clear();
        }
        let torn = frames.last().map_or(0, |frame| frame.end) < bytes.len() as u64;
        Ok(Gathered { path, frames, torn, since: clock::now() })
    }

    /// The first and the last batch with rows.
    pub fn range(&self) -> Option<(u64, u64)> {
        Some((self.frames.first()?.batch_id, self.frames.last()?.batch_id))
    }

    /// The number of rows.
    pub fn rows(&self) -> u64 {
        self.frames.iter().map(|frame| frame.rows).sum()
    }

    /// The size of the rows, bytes.
    pub fn bytes(&self) -> u64 {
        self.frames.iter().map(|frame| frame.end - frame.begin).sum()
    }

    /// Since when the oldest rows wait.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Adds a batch; durable on return. A batch without rows only replaces what was there of it.
    ///
    /// # Errors
    /// External: the disk fails. Transient: it is full. The batch does not count then.
    pub fn add(&mut self, batch_id: u64, rows: u64, content: &[u8]) -> Result<()> {
        let before = self.frames.iter().take_while(|frame| frame.batch_id < batch_id).count();
        self.torn |= before < self.frames.len();
        self.frames.truncate(before);
        if rows == 0 {
            return Ok(());
        }
        if self.frames.is_empty() {
            self.since = clock::now();
        }
        let at = self.frames.last().map_or(0, |frame| frame.end);
        self.append(at, &frame_bytes(batch_id, rows, content)).map_err(|error| refused("write", &self.path, &error))?;
        let begin = at + HEADER as u64;
        self.frames.push(Frame { batch_id, rows, begin, end: begin + content.len() as u64 });
        Ok(())
    }

    fn append(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let is_new = !self.path.exists();
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        if is_new && let Some(dir) = self.path.parent() {
            // Without this a power cut may lose the file, and with it rows that count as written.
            disk::sync_dir(dir)?;
        }
        if self.torn {
            file.set_len(at)?;
        }
        self.torn = true;
        file.write_all(bytes)?;
        file.sync_data()?;
        self.torn = false;
        Ok(())
    }

    /// The rows of each batch, in order.
    ///
    /// # Errors
    /// External: the file cannot be read.
    pub fn contents(&self) -> Result<Vec<Vec<u8>>> {
        let bytes = fs::read(&self.path).map_err(|error| refused("read", &self.path, &error))?;
        let content = |frame: &Frame| bytes.get(frame.begin as usize..frame.end as usize).map(<[u8]>::to_vec);
        self.frames.iter().map(content).collect::<Option<_>>().ok_or_else(|| {
            refused("read", &self.path, &io::Error::new(io::ErrorKind::UnexpectedEof, "another program has cut it"))
        })
    }

    /// Forgets all rows: they are visible. What a crash keeps of them is dropped by [`Gathered::open`].
    ///
    /// # Errors
    /// External: the disk fails.
    pub fn clear(&mut self) -> Result<()> {
        self.frames.clear();
        self.torn = false;
        let cleared = File::options().write(true).truncate(true).open(&self.path);
        cleared.map(drop).map_err(|error| refused("write", &self.path, &error))
    }
}

fn frame_bytes(batch_id: u64, rows: u64, content: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 4];
    for number in [content.len() as u64, batch_id, rows] {
        out.extend(number.to_le_bytes());
    }
    out.extend(content);
    let checksum = crc32c::crc32c(&out[4..]);
    out[..4].copy_from_slice(&checksum.to_le_bytes());
    out
}

fn read_frame(bytes: &[u8], at: usize) -> Option<Frame> {
    let header = bytes.get(at..at + HEADER)?;
    let number = |from: usize| u64::from_le_bytes(header[from..from + 8].try_into().expect("eight bytes"));
    let begin = at + HEADER;
    let end = begin.checked_add(usize::try_from(number(4)).ok()?)?;
    let checksum = crc32c::crc32c(bytes.get(at + 4..end)?);
    let right = checksum.to_le_bytes() == header[..4];
    right.then_some(Frame { batch_id: number(12), rows: number(20), begin: begin as u64, end: end as u64 })
}
