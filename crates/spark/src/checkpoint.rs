//! What a query's checkpoint says: which batches Spark has committed, up to where, and which of them the sinks have.
//!
//! ```text
//!   CHECKPOINT/spark/commits/N       batch N is committed
//!   CHECKPOINT/spark/offsets/N       a line for each source: where batch N ends
//!   CHECKPOINT/spark/sources/S/0     where the first batch begins in source S, if that is Kafka
//!   CHECKPOINT/outbox/batch-N        its rows
//!   CHECKPOINT/outbox/acknowledged   the last batch that the sinks have
//! ```
//! Files of this machine are read here. Others are read by a job on the cluster, which needs an executor.

use crate::relation::{self, DataSource, quoted};
use crate::rows;
use crate::session::Session;
use arrow_array::{Array, Int64Array, RecordBatch, StringArray};
use spark_connect_proto as proto;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tidemill_model::{Error, Result};

/// Offsets by topic and partition.
pub type ByPartition = BTreeMap<String, BTreeMap<String, i64>>;

/// The file in `acknowledged` that this process writes.
const OURS: &str = "client";

/// A checkpoint.
pub(crate) struct Checkpoint {
    session: Session,
    /// A path or URI that Spark reaches.
    place: String,
    /// Whether the files are read and written here.
    is_here: bool,
}

impl Checkpoint {
    pub(crate) fn new(session: &Session, place: &str, is_here: bool) -> Checkpoint {
        Checkpoint { session: session.clone(), place: place.into(), is_here }
    }

    /// The last batch that Spark has committed.
    pub(crate) async fn committed(&self) -> Result<Option<u64>> {
        let path = format!("{}/spark/commits", self.place);
        if self.is_here {
            let names = names(Path::new(&path))?;
            return Ok(names.iter().filter_map(|name| name.parse().ok()).max());
        }
        let names =
            format!("SELECT max(try_cast(_metadata.file_name AS BIGINT)) FROM text.{}", relation::identifier(&path));
        let found = self.read(relation::sql(&names)).await?.unwrap_or_default();
        let numbers = found.iter().filter_map(|rows| rows.column(0).as_any().downcast_ref::<Int64Array>());
        Ok(numbers.flat_map(|numbers| numbers.iter().flatten()).filter_map(|id| id.try_into().ok()).max())
    }

    /// Where a batch ends in each source. A files source has a position in its log of files instead, and is empty here.
    /// Nothing, if Spark has removed the file: it keeps those of the newest batches.
    pub(crate) async fn offsets(&self, batch_id: u64) -> Result<Vec<ByPartition>> {
        let lines = self.lines(&format!("{}/spark/offsets/{batch_id}", self.place)).await?;
        // Before them are the version and the query's figures.
        Ok(lines.iter().skip(2).map(|line| offsets(line)).collect())
    }

    /// Where a batch begins in each of so many sources.
    pub(crate) async fn begins(&self, batch_id: u64, sources: usize) -> Result<Vec<ByPartition>> {
        if let Some(before) = batch_id.checked_sub(1) {
            return self.offsets(before).await;
        }
        let mut found = Vec::new();
        for source in 0..sources {
            let lines = self.lines(&format!("{}/spark/sources/{source}/0", self.place)).await?;
            found.push(lines.last().map(|line| offsets(line)).unwrap_or_default());
        }
        Ok(found)
    }

    /// The last batch that the sinks have.
    pub(crate) async fn acknowledged(&self) -> Result<Option<u64>> {
        let path = format!("{}/outbox/acknowledged", self.place);
        let lines = if self.is_here {
            let files = names(Path::new(&path))?;
            let files = files.iter().filter(|name| !name.starts_with(['.', '_']));
            files.map(|name| std::fs::read_to_string(Path::new(&path).join(name))).collect::<std::io::Result<_>>()?
        } else {
            self.read_lines(&path).await?
        };
        Ok(lines.iter().filter_map(|text| text.trim().parse().ok()).max())
    }

    /// The sinks have the batches up to this one.
    pub(crate) async fn acknowledge(&self, batch_id: u64) -> Result<()> {
        let path = format!("{}/outbox/acknowledged", self.place);
        if self.is_here {
            let folder = PathBuf::from(path);
            std::fs::create_dir_all(&folder)?;
            return Ok(tidemill_os::disk::replace(&folder.join(OURS), format!("{batch_id}\n").as_bytes())?);
        }
        let text =
            format!("INSERT OVERWRITE DIRECTORY USING text OPTIONS (path {}) SELECT '{batch_id}'", quoted(&path));
        self.session.execute(relation::statement(&text)).all().await.map(drop)
    }

    /// The rows of a committed batch, by a job on the cluster.
    pub(crate) async fn rows(&self, batch_id: u64) -> Result<Vec<RecordBatch>> {
        let outbox = format!("{}/outbox", self.place);
        let paths = vec![format!("{outbox}/batch-{batch_id}")];
        let source = DataSource { format: "parquet".into(), paths, ..DataSource::default() };
        self.read(relation::read(&source, false)).await?.ok_or_else(|| {
            Error::external(format!(
                "the rows of batch {batch_id} are not in {outbox}; the directory was changed by somebody else: restore it, or \
                 run the pipeline again with an empty checkpoint"
            ))
        })
    }

    /// The lines of a file; none if it is not there.
    async fn lines(&self, path: &str) -> Result<Vec<String>> {
        if !self.is_here {
            return self.read_lines(path).await;
        }
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// The lines of a file or of those of a folder, by a job on the cluster.
    async fn read_lines(&self, path: &str) -> Result<Vec<String>> {
        let source = DataSource { format: "text".into(), paths: vec![path.into()], ..DataSource::default() };
        let found = self.read(relation::read(&source, false)).await?.unwrap_or_default();
        let texts = found.iter().filter_map(|rows| rows.column(0).as_any().downcast_ref::<StringArray>());
        Ok(texts.flat_map(|texts| texts.iter().flatten()).map(str::to_owned).collect())
    }

    /// Rows of a plan that reads files; `None` if there are no such files.
    async fn read(&self, relation: proto::Relation) -> Result<Option<Vec<RecordBatch>>> {
        match self.session.execute(relation::rows(relation)).all().await {
            Ok(responses) => Ok(Some(rows::batches(&responses)?)),
            Err(error) if error.message().contains("PATH_NOT_FOUND") => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The names in a folder; none if it is not there yet.
fn names(folder: &Path) -> Result<Vec<String>> {
    match std::fs::read_dir(folder) {
        Ok(entries) => Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Kafka's offsets in JSON.
fn offsets(line: &str) -> ByPartition {
    serde_json::from_str(line).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::Remote;

    #[test]
    fn files_of_this_machine() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().to_string_lossy().into_owned();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let read = async {
            let session = Session::open(&Remote::parse("sc://127.0.0.1:1").unwrap()).await?;
            let checkpoint = Checkpoint::new(&session, &place, true);
            assert_eq!((checkpoint.committed().await?, checkpoint.acknowledged().await?), (None, None));
            for name in ["9", "10", ".11.crc", ".12.0b-1.tmp"] {
                write(&format!("spark/commits/{name}"), "v1\n{}");
            }
            write(
                "spark/offsets/10",
                "v1\n{\"batchWatermarkMs\":0,\"conf\":{}}\n{\"t\":{\"0\":5,\"1\":6}}\n{\"logOffset\":3}",
            );
            assert_eq!(checkpoint.committed().await?, Some(10));
            let of_t = ByPartition::from([("t".into(), [("0".into(), 5), ("1".into(), 6)].into())]);
            assert_eq!(checkpoint.offsets(10).await?, [of_t.clone(), ByPartition::new()]);
            assert_eq!(checkpoint.begins(11, 2).await?, [of_t.clone(), ByPartition::new()]);
            assert_eq!(checkpoint.begins(10, 2).await?, []);
            write("spark/sources/0/0", "\0v1\n{\"t\":{\"0\":5,\"1\":6}}");
            assert_eq!(checkpoint.begins(0, 2).await?, [of_t, ByPartition::new()]);
            // What an earlier client wrote by a job.
            write("outbox/acknowledged/part-00000-x.txt", "7\n");
            write("outbox/acknowledged/.part-00000-x.txt.crc", "crc");
            write("outbox/acknowledged/_SUCCESS", "");
            assert_eq!(checkpoint.acknowledged().await?, Some(7));
            checkpoint.acknowledge(10).await?;
            checkpoint.acknowledge(11).await?;
            assert_eq!(checkpoint.acknowledged().await?, Some(11));
            Ok::<(), Error>(())
        };
        crate::block_on(read).unwrap().unwrap();
    }
}
