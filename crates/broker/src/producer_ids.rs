//! Ids for idempotent producers. No id is given out twice, even after a crash.

use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use tidemill_os::clock::wall_ms;

/// Ids reserved on disk at a time. A restart skips the unused ones.
const BLOCK: i64 = 1000;

/// Gives out producer ids.
#[derive(Debug)]
pub(crate) struct ProducerIds {
    path: PathBuf,
    /// The next id, and the end of the reserved block.
    state: Mutex<(i64, i64)>,
}

impl ProducerIds {
    /// Continues after the last reserved block.
    pub fn open(path: PathBuf) -> io::Result<ProducerIds> {
        let next = match std::fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|_| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{}: not a number: `{text}`", path.display()))
            })?,
            // If the files were deleted, producers may still use ids from before. Start at other ids.
            Err(error) if error.kind() == io::ErrorKind::NotFound => fresh_start(),
            Err(error) => return Err(error),
        };
        Ok(ProducerIds { path, state: Mutex::new((next, next)) })
    }

    /// A fresh id.
    pub fn next(&self) -> io::Result<i64> {
        let mut state = self.state.lock().expect("no panic under this lock");
        let (next, end) = *state;
        if next == end {
            tidemill_os::disk::replace(&self.path, format!("{}\n", end + BLOCK).as_bytes())?;
            state.1 = end + BLOCK;
        }
        state.0 = next + 1;
        Ok(next)
    }
}

/// A starting id: a thousand for each millisecond since 1970.
fn fresh_start() -> i64 {
    wall_ms() * 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_comes_twice_over_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let mut seen = Vec::new();
        for _ in 0..3 {
            let ids = ProducerIds::open(dir.path().join("ids")).unwrap();
            seen.extend((0..BLOCK + 1).map(|_| ids.next().unwrap()));
        }
        assert!(seen.is_sorted_by(|a, b| a < b), "ids grow");
    }
}
