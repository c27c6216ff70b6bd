//! Dead letters as records of a topic: the original key, value and headers, and headers that say what was wrong.
//!
//! ```text
//!  executors ─files crate─► a file of frames per task, in a directory of the checkpoint
//!  driver    ─KafkaDeadLetterCommitter─► the batch's frames as records, in one transaction ─► the files are removed
//! ```
//! The transaction holds the batch's id, as a sink's does ([`crate::sink`]). So readers of committed records see each
//! dead letter once.
//!
//! A frame is a record: length of the rest, key, value, number of headers, and for each its name and value. Lengths are
//! 32 bits, little-endian; −1 stands for NULL.

mod replay;

use crate::sink::{BatchWriter, Target};
pub use replay::{Replayed, replay};
use std::fs;
use std::path::{Path, PathBuf};
use tidemill_client::produce::NewRecord;
use tidemill_flow::ports::{DeadLetter, DeadLetterCommitter, DriverDeadLetter, Place};
use tidemill_model::{DeadLetterFile, Error, Result};

/// The names of our headers begin with this.
pub const HEADER_PREFIX: &str = "tidemill.";
/// The name of the dead letters in a transactional id. No sink has it.
pub const NAME: &str = ".dead_letter";

/// A header: name and value.
type Header<'a> = (&'a str, Option<&'a [u8]>);

/// Appends a dead letter as a frame.
pub fn write_frame(out: &mut Vec<u8>, letter: &DeadLetter<'_>) {
    let start = out.len();
    out.extend([0; 4]);
    put(out, letter.key);
    put(out, letter.value);
    let mut count = 0;
    let count_at = out.len();
    out.extend([0; 4]);
    let mut header = |name: &[u8], value: Option<&[u8]>| {
        put(out, Some(name));
        put(out, value);
        count += 1;
    };
    for (name, value) in letter.headers {
        header(name, *value);
    }
    let mut ours =
        |name: &str, value: &str| header(format!("{HEADER_PREFIX}{name}").as_bytes(), Some(value.as_bytes()));
    ours("reason", letter.fault.name());
    if let Some(detail) = letter.detail {
        ours("detail", detail);
    }
    if let Some((partition, offset)) = letter.at {
        ours("topic", &partition.topic);
        ours("partition", &partition.partition.to_string());
        ours("offset", &offset.to_string());
    }
    if let Some(Place { file, line }) = &letter.place {
        ours("file", file);
        ours("line", &line.to_string());
    }
    if let Some(timestamp) = letter.timestamp {
        ours("timestamp", &timestamp.to_string());
    }
    out[count_at..count_at + 4].copy_from_slice(&u32::to_le_bytes(count));
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

fn put(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    let length = bytes.map_or(-1, |bytes| bytes.len() as i32);
    out.extend(length.to_le_bytes());
    out.extend(bytes.unwrap_or_default());
}

/// A frame's record.
struct Frame<'a> {
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Vec<Header<'a>>,
}

/// Takes the next frame off the front. `None` if it is cut off or broken.
fn take_frame<'a>(rest: &mut &'a [u8]) -> Option<Frame<'a>> {
    let length = take_number(rest)?;
    let (mut frame, tail) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = tail;
    let key = take(&mut frame)?;
    let value = take(&mut frame)?;
    let mut headers = Vec::new();
    for _ in 0..take_number(&mut frame)? {
        // Kafka's header names are text; a name that is not stays readable.
        let name = take(&mut frame)?.unwrap_or_default();
        headers.push((str::from_utf8(name).unwrap_or("?"), take(&mut frame)?));
    }
    Some(Frame { key, value, headers })
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = take_number(rest)?;
    let Ok(length) = usize::try_from(length) else { return Some(None) };
    let (bytes, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(Some(bytes))
}

fn take_number(rest: &mut &[u8]) -> Option<i32> {
    let (bytes, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(i32::from_le_bytes(*bytes))
}

/// Writes a batch's dead letters to a topic.
pub struct KafkaDeadLetterCommitter {
    target: Target,
    topic: String,
    pipeline: String,
    dir: PathBuf,
    /// `None` before a run begins.
    writer: Option<BatchWriter>,
}

impl KafkaDeadLetterCommitter {
    /// Dead letters of the pipeline with this name to `topic`. Executors write frames into files in `dir`, which is
    /// created.
    ///
    /// # Errors
    /// External: the directory cannot be created.
    pub fn new(target: Target, topic: &str, pipeline: &str, dir: PathBuf) -> Result<KafkaDeadLetterCommitter> {
        fs::create_dir_all(&dir).map_err(|error| failed("create", &dir, &error))?;
        let (topic, pipeline) = (topic.to_owned(), pipeline.to_owned());
        Ok(KafkaDeadLetterCommitter { target, topic, pipeline, dir, writer: None })
    }
}

impl DeadLetterCommitter for KafkaDeadLetterCommitter {
    fn description(&self) -> String {
        format!("dead letters to topic {}", self.topic)
    }

    /// Also removes what tasks of a run before have left.
    fn begin(&mut self, query_id: &str) -> Result<()> {
        for entry in fs::read_dir(&self.dir).map_err(|error| failed("read", &self.dir, &error))? {
            let path = entry.map_err(|error| failed("read", &self.dir, &error))?.path();
            fs::remove_file(&path).map_err(|error| failed("remove", &path, &error))?;
        }
        self.writer.insert(BatchWriter::new(&self.target, query_id)?).begin(Some(&self.topic))
    }

    fn commit(&mut self, batch_id: u64, files: &[DeadLetterFile], own: &[DriverDeadLetter]) -> Result<()> {
        if files.is_empty() && own.is_empty() {
            return Ok(());
        }
        let (dir, topic, pipeline) = (&self.dir, &self.topic, &self.pipeline);
        let writer = self.writer.as_mut().expect("a run begins before it commits");
        writer.write(batch_id, topic, &mut |writer| {
            for file in files {
                let path = dir.join(&file.name);
                let bytes = fs::read(&path).map_err(|error| failed("read", &path, &error))?;
                let count = put_all(writer, topic, pipeline, &bytes)?;
                if count != file.lines {
                    let cause = format!("it holds {count} dead letters instead of {}", file.lines);
                    return Err(Error::external(format!("{}: {cause}; start the run again", path.display())));
                }
            }
            let mut bytes = Vec::new();
            own.iter().for_each(|own| write_frame(&mut bytes, &own.letter()));
            put_all(writer, topic, pipeline, &bytes).map(drop)
        })?;
        for file in files {
            // What stays is removed when the next run begins.
            let _ = fs::remove_file(dir.join(&file.name));
        }
        Ok(())
    }

    fn is_remote(&self) -> bool {
        true
    }
}

/// Puts the records of frames. Returns their number.
fn put_all(writer: &mut BatchWriter, topic: &str, pipeline: &str, mut rest: &[u8]) -> Result<u64> {
    let (mut count, name) = (0, format!("{HEADER_PREFIX}pipeline"));
    while let Some(mut frame) = take_frame(&mut rest) {
        frame.headers.push((&name, Some(pipeline.as_bytes())));
        let record = NewRecord { timestamp: 0, key: frame.key, value: frame.value, headers: &frame.headers };
        writer.put(topic, None, &record)?;
        count += 1;
    }
    Ok(count)
}

fn failed(verb: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::external(format!("cannot {verb} {}: {error}; correct it, and start the run again", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_model::{PartitionId, RecordFault};

    #[test]
    fn frames_read_back_as_written() {
        let partition = PartitionId { source: 0, topic: "t".into(), partition: 3 };
        let whole = DeadLetter {
            at: Some((&partition, 7)),
            place: None,
            timestamp: Some(5),
            fault: RecordFault::Malformed,
            detail: None,
            key: Some(b"k"),
            value: Some(b"\xff"),
            headers: &[(b"h", Some(b"v")), (b"h", None)],
        };
        let bare = DeadLetter {
            at: None,
            timestamp: None,
            detail: Some("d"),
            key: None,
            value: None,
            headers: &[],
            ..whole.clone()
        };
        let mut bytes = Vec::new();
        write_frame(&mut bytes, &whole);
        let first = bytes.len();
        write_frame(&mut bytes, &bare);
        let mut rest = &bytes[..];
        let frame = take_frame(&mut rest).expect("a frame");
        let header = |name: &'static str, value: &'static str| (name, Some(value.as_bytes()));
        let ours = [
            header("tidemill.reason", "malformed"),
            header("tidemill.topic", "t"),
            header("tidemill.partition", "3"),
            header("tidemill.offset", "7"),
            header("tidemill.timestamp", "5"),
        ];
        assert_eq!((frame.key, frame.value), (Some(&b"k"[..]), Some(&b"\xff"[..])));
        assert_eq!(frame.headers, [&[header("h", "v"), ("h", None)], &ours[..]].concat());
        let frame = take_frame(&mut rest).expect("a frame");
        assert_eq!((frame.key, frame.value), (None, None));
        assert_eq!(frame.headers, [header("tidemill.reason", "malformed"), header("tidemill.detail", "d")]);
        assert!(take_frame(&mut rest).is_none());
        for end in first..bytes.len() {
            let mut rest = &bytes[first..end];
            assert!(take_frame(&mut rest).is_none(), "cut at {end}");
        }
    }
}
