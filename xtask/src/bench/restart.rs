//! `restart`: the time that a driver with a large state takes to recover from SIGKILL, and a check that it has lost
//! nothing.
//!
//! A million keys have one record each per five seconds of event time and one file per batch. Windows are 10 s every 5
//! s; nothing is evicted. Batch b changes windows b and b + 1 of each key, so every line of every output file is known
//! in advance.

use super::process::{self, KillOnDrop, wait_until};
use crate::embedded::binary;
use crate::json;
use crate::sh::{self, Outcome};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The line by which a run says that it has read its checkpoint.
const GOES_ON: &str = "goes on after batch";

const KEYS: u64 = 1_000_000;

/// Number of batches; the state has a million groups more. With 25 million it is a gigabyte.
const BATCHES: u64 = 25;

/// The driver is killed when this many batches are committed.
const KILLED_AFTER: usize = 24;

/// Event time of the first batch, s.
const START: u64 = 1_767_225_600;

const PIPELINE: &str = r#"
[sources.t]
type = "files"
path = "in"
schema = "ts DOUBLE, k BIGINT, v INT"
max_files_per_trigger = 1
[sources.t.event_time]
column = "et"
expression = "CAST(ts AS TIMESTAMP)"
watermark = "1 hour"
[query]
sql = """SELECT CAST(window.start AS BIGINT) AS w, k, count(*) AS n, sum(v) AS s
         FROM t GROUP BY window(et, '10 seconds', '5 seconds'), k"""
output_mode = "update"
trigger = "available now"
[sinks.out]
type = "files"
path = "out"
[checkpoint]
path = "checkpoint"
"#;

/// The figures.
///
/// # Errors
/// A process fails, or a row is wrong.
pub fn run() -> Outcome<String> {
    let dir = sh::target().join("bench/restart");
    let _ = fs::remove_dir_all(&dir);
    let bench_dir = BenchDir { dir };
    bench_dir.put()?;

    let mut driver = bench_dir.start()?;
    wait_until("the state is large", || Ok(bench_dir.committed().len() >= KILLED_AFTER))?;
    driver.end();
    let before = bench_dir.committed();

    let started = Instant::now();
    let mut driver = bench_dir.start()?;
    let said = driver.0.stderr.take().expect("it is a pipe");
    let mut said = BufReader::new(said).lines().map_while(Result::ok);
    let back = said.find(|line| line.starts_with(GOES_ON)).map(|_| started.elapsed().as_secs_f64());
    let back = back.ok_or_else(|| format!("the second run did not say that it {GOES_ON} …"))?;
    // The rest of its output must not fill the pipe.
    let rest = std::thread::spawn(move || said.count());
    wait_until("a batch is committed", || Ok(bench_dir.committed().len() > before.len()))?;
    let committed = started.elapsed().as_secs_f64();
    let resident = process::memory(driver.0.id())?.resident;
    let status = driver.0.wait().map_err(|error| format!("cannot wait for the driver: {error}"))?;
    rest.join().map_err(|_| "the reader of its messages failed")?;
    if !status.success() {
        return Err(format!("the run ended with {status}"));
    }
    let last = before.last().expect("it was waited for");
    let of_state = |field: &str| json::number::<u64>(last, field).ok_or_else(|| format!("no {field} in {last}"));
    let (groups, bytes) = (of_state("numRowsTotal")?, of_state("memoryUsedBytes")?);
    let rows = (0..BATCHES).map(|batch| bench_dir.check(batch)).sum::<Outcome<u64>>()?;
    Ok(format!(
        "figure state {} MB\nfigure groups {groups} groups\nfigure checkpoint {} MB\n\
         figure restart {back} s\nfigure restart_and_a_batch {committed} s\nfigure resident {resident} MB\nfigure rows_checked {rows} rows, all right\n",
        bytes as f64 / 1e6,
        size(&bench_dir.dir.join("checkpoint/snapshots")) as f64 / 1e6,
    ))
}

/// A directory with a pipeline, its input and its output, removed when dropped.
struct BenchDir {
    dir: PathBuf,
}

impl BenchDir {
    /// Writes the pipeline and its input.
    fn put(&self) -> Outcome {
        let input = self.dir.join("in");
        fs::create_dir_all(&input).map_err(|error| format!("cannot make {}: {error}", input.display()))?;
        sh::write_file(&self.dir.join("p.toml"), PIPELINE)?;
        (0..BATCHES).try_for_each(|batch| {
            let path = input.join(format!("{batch:03}.jsonl"));
            write(&path, batch).map_err(|error| format!("cannot write {}: {error}", path.display()))
        })
    }

    fn start(&self) -> Outcome<KillOnDrop> {
        let mut command = Command::new(binary());
        command.current_dir(&self.dir).args(["run", "p.toml", "--progress", "progress.jsonl"]);
        let driver = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        driver.map(KillOnDrop).map_err(|error| format!("cannot start the run: {error}"))
    }

    /// The progress records of the batches with data that were committed.
    fn committed(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir.join("progress.jsonl")).unwrap_or_default();
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        whole.lines().filter(json::is_batch_with_data).map(str::to_owned).collect()
    }

    /// Compares a batch's rows with the expected ones. Returns their number.
    fn check(&self, batch: u64) -> Outcome<u64> {
        let path = self.dir.join(format!("out/batch-{batch:020}.json"));
        let file = File::open(&path).map_err(|error| format!("cannot open {}: {error}", path.display()))?;
        let mut lines = BufReader::new(file).lines();
        let mut expected = String::new();
        let mut rows = 0;
        for window in [batch, batch + 1] {
            // Each window gets two records of a key; the first window and the newest one have one.
            let records = if window == 0 || window > batch { 1 } else { 2 };
            // The window of number 0 began 5 s before the first record.
            let start = START + 5 * window - 5;
            for key in 0..KEYS {
                expected.clear();
                let sum = records * (key % 100);
                write!(expected, "{{\"w\":{start},\"k\":{key},\"n\":{records},\"s\":{sum}}}")
                    .expect("a String takes all");
                let line =
                    lines.next().transpose().map_err(|error| format!("cannot read {}: {error}", path.display()))?;
                rows += 1;
                if line.as_ref() != Some(&expected) {
                    return Err(format!("{}:{rows}: {line:?} where {expected} must be", path.display()));
                }
            }
        }
        match lines.next() {
            None => Ok(rows),
            Some(line) => Err(format!("{}: {line:?} is too much", path.display())),
        }
    }
}

impl Drop for BenchDir {
    fn drop(&mut self) {
        // A leftover takes disk space and does no harm.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn write(path: &Path, batch: u64) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let time = START + 5 * batch;
    for key in 0..KEYS {
        writeln!(file, "{{\"ts\":{time},\"k\":{key},\"v\":{}}}", key % 100)?;
    }
    // The order in which the files are read.
    let modified = std::time::UNIX_EPOCH + Duration::from_secs(START + batch);
    file.into_inner().map_err(std::io::IntoInnerError::into_error)?.set_modified(modified)
}

fn size(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|data| data.len()).sum()
}
