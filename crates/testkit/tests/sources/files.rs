//! A directory of files: one partition; each append is a file, and its end takes an offset.

use crate::suite::{self, Fixture};
use std::fs::{self, File};
use std::time::{Duration, UNIX_EPOCH};
use tidemill_files::{FilesOptions, FilesReader, FilesWatch};
use tidemill_flow::ports::{Read, Watch};
use tidemill_model::PartitionId;

struct Files {
    dir: tempfile::TempDir,
    options: FilesOptions,
    count: u64,
}

impl Files {
    fn new() -> Files {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("in")).unwrap();
        let options = FilesOptions {
            source: 0,
            path: dir.path().join("in").to_str().unwrap().into(),
            csv: false,
            header: false,
            max_files_per_trigger: None,
            log_dir: dir.path().join("sources"),
        };
        Files { dir, options, count: 0 }
    }

    fn put(&mut self, lines: &[u8]) {
        self.count += 1;
        let aside = self.dir.path().join("aside");
        fs::write(&aside, lines).unwrap();
        let time = UNIX_EPOCH + Duration::from_secs(self.count);
        File::options().write(true).open(&aside).unwrap().set_modified(time).unwrap();
        fs::rename(&aside, self.dir.path().join(format!("in/{:06}", self.count))).unwrap();
    }
}

impl Fixture for Files {
    fn partitions(&self) -> u32 {
        1
    }

    fn partition(&self, _: u32) -> PartitionId {
        PartitionId { source: 0, topic: self.options.path.as_str().into(), partition: 0 }
    }

    fn append(&mut self, _: u32, values: &[Option<Vec<u8>>]) {
        let line = |value: &Option<Vec<u8>>| [value.as_deref().expect("a line is there"), b"\n"].concat();
        self.put(&values.iter().flat_map(line).collect::<Vec<u8>>());
    }

    fn reader(&self) -> Box<dyn Read> {
        Box::new(FilesReader::new(&self.options))
    }

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(FilesWatch::new(self.options.clone()).unwrap())
    }

    fn has_tombstones(&self) -> bool {
        false
    }

    fn leave_gap(&mut self, _: u32) -> bool {
        self.put(b"");
        true
    }

    fn remove_before(&mut self, _: u32, _: i64) -> bool {
        false
    }
}

#[test]
fn a_directory_of_files() {
    suite::check(&mut Files::new());
}
