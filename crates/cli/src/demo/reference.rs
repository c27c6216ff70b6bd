//! The demo's reference: scans the topic row by row and compares it with every row that the pipeline wrote.
//!
//! Shares nothing with the engine: `serde_json` reads values, a map counts windows, a variable is the watermark. It
//! answers two questions:
//! - Was each record of the topic read once? The ranges of all batches must tile each partition.
//! - Is each output row right? It computes the batches again, row by row, with the same ranges, and compares each row
//!   of each batch.

use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tidemill_model::progress::Progress;
use tidemill_model::time::iso_millis;
use tidemill_model::{Error, Millis, Result};

/// Windows and delay of the demo's pipeline, µs.
const WIDTH: i64 = 10_000_000;
const SLIDE: i64 = 5_000_000;
const DELAY_MS: i64 = 60_000;

/// The result of the comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Records in the topic.
    pub(crate) produced: u64,
    /// Records counted in the final windows (each record is counted once per window).
    pub(crate) counted: u64,
    /// Records that should be counted and are not.
    pub(crate) lost: u64,
    /// Records that are counted more than once.
    pub(crate) duplicated: u64,
    /// Records that belong to no window: not JSON, no time, no course.
    pub(crate) set_aside: u64,
    /// Updates of closed windows; they are rightly left out.
    pub(crate) late: u64,
    /// Number of compared rows of all batches.
    pub(crate) rows_checked: u64,
    /// Rows that are missing, superfluous or different.
    pub(crate) rows_wrong: u64,
    /// The first differences, as sentences.
    pub(crate) differences: Vec<String>,
}

/// The records of the topic, by partition.
#[derive(Default)]
pub(crate) struct Topic {
    partitions: BTreeMap<i32, Partition>,
    names: Vec<String>,
    numbers: BTreeMap<String, u32>,
}

#[derive(Default)]
struct Partition {
    /// (offset, row) in offset order; `None` for a record without window.
    rows: Vec<(i64, Option<Row>)>,
}

#[derive(Clone, Copy)]
struct Row {
    /// Event time, µs.
    at: i64,
    course: u32,
    activity: Option<u32>,
    lines: Option<i64>,
    cpu: Option<f64>,
}

#[derive(Clone, Default, PartialEq)]
struct Group {
    count: u64,
    lines: Option<i64>,
    cpu_sum: f64,
    cpu_count: u64,
}

/// (window start µs, course, activity)
type GroupId = (i64, u32, Option<u32>);

/// The fields that the demo's query uses. Each may hold any value or be missing.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Fields {
    timestamp: Value,
    course: Value,
    activity: Value,
    lines_of_code: Value,
    cpu_usage_pct: Value,
}

impl Topic {
    /// Adds one record of the scan.
    pub(crate) fn add(&mut self, partition: i32, offset: i64, value: Option<&[u8]>) {
        let row = value.and_then(|value| self.row(value));
        self.partitions.entry(partition).or_default().rows.push((offset, row));
    }

    /// The row of a record by the demo's schema and filter; `None` if it belongs to no window.
    fn row(&mut self, value: &[u8]) -> Option<Row> {
        let fields: Fields = serde_json::from_slice(value).ok()?;
        Some(Row {
            at: (fields.timestamp.as_f64()? * 1e6) as i64,
            course: self.number(fields.course.as_str()?),
            activity: fields.activity.as_str().map(|activity| self.number(activity)),
            lines: fields.lines_of_code.as_i64(),
            cpu: fields.cpu_usage_pct.as_f64(),
        })
    }

    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let next = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), next);
        next
    }

    /// Number of records added.
    pub(crate) fn records(&self) -> u64 {
        self.partitions.values().map(|partition| partition.rows.len() as u64).sum()
    }
}

/// The results of one or several runs, by batch.
pub(crate) type Results = BTreeMap<u64, Vec<Value>>;

/// Compares a topic with the results and progress records of the runs that read it.
pub(crate) fn verify(topic: &Topic, mut written: Results, progress: &[Progress]) -> Verdict {
    let mut verdict = Verdict { produced: topic.records(), ..Verdict::default() };
    let rows = topic.partitions.values().flat_map(|partition| &partition.rows);
    verdict.set_aside = rows.filter(|(_, row)| row.is_none()).count() as u64;
    let batches = batches(progress);
    check_tiling(topic, &batches, &mut verdict);

    let mut replay = Replay::default();
    let mut last_written: BTreeMap<String, u64> = BTreeMap::new();
    for (batch_id, ranges) in &batches {
        let expected = replay.batch(topic, ranges, &mut verdict.late);
        let found = written.remove(batch_id).unwrap_or_default();
        compare(*batch_id, &expected, &found, &mut verdict);
        for row in &found {
            last_written.insert(key_of(row), row.get("events").and_then(Value::as_u64).unwrap_or(0));
        }
    }
    for (batch_id, rows) in written {
        verdict.differ(rows.len() as u64, format!("batch {batch_id} has {} rows and no progress record", rows.len()));
    }
    compare_totals(topic, &last_written, &mut verdict);
    verdict
}

/// The ranges of each batch by partition, from the progress records. A record that a kill swallowed (the batch was
/// committed but not reported) is derived from its neighbours, since batches follow each other without a gap.
fn batches(progress: &[Progress]) -> BTreeMap<u64, BTreeMap<i32, (i64, i64)>> {
    let side = |offsets: &BTreeMap<String, BTreeMap<String, i64>>| -> BTreeMap<i32, i64> {
        let partitions = offsets.values().flatten();
        partitions.filter_map(|(partition, offset)| Some((partition.parse().ok()?, *offset))).collect()
    };
    let ranges = |record: &Progress| {
        let source = record.sources.first()?;
        Some((record.batch_id, (side(&source.start_offset), side(&source.end_offset))))
    };
    let known: BTreeMap<u64, (BTreeMap<i32, i64>, BTreeMap<i32, i64>)> = progress.iter().filter_map(ranges).collect();
    let mut batches = BTreeMap::new();
    let Some(last) = known.keys().next_back().copied() else { return batches };
    // The demo reads its topic from offset 0.
    let beginning = BTreeMap::new();
    for batch in 0..=last {
        let before = || batch.checked_sub(1).map_or(Some(&beginning), |before| known.get(&before).map(|(_, end)| end));
        let start = known.get(&batch).map(|(start, _)| start).or_else(before);
        let end = known.get(&batch).map(|(_, end)| end).or_else(|| known.get(&(batch + 1)).map(|(start, _)| start));
        let (Some(start), Some(end)) = (start, end) else { continue };
        let range = |(partition, end): (&i32, &i64)| (*partition, (start.get(partition).copied().unwrap_or(0), *end));
        batches.insert(batch, end.iter().map(range).collect());
    }
    batches
}

/// Checks that every record is in exactly one range.
fn check_tiling(topic: &Topic, batches: &BTreeMap<u64, BTreeMap<i32, (i64, i64)>>, verdict: &mut Verdict) {
    for (number, partition) in &topic.partitions {
        let mut times_read = vec![0u32; partition.rows.len()];
        for (start, end) in batches.values().filter_map(|ranges| ranges.get(number)) {
            let from = partition.rows.partition_point(|(offset, _)| offset < start);
            let to = partition.rows.partition_point(|(offset, _)| offset < end);
            times_read[from..to.max(from)].iter_mut().for_each(|times| *times += 1);
        }
        let never = times_read.iter().filter(|times| **times == 0).count() as u64;
        let again: u64 = times_read.iter().map(|times| u64::from(times.saturating_sub(1))).sum();
        verdict.lost += never;
        verdict.duplicated += again;
        if never + again > 0 {
            verdict.note(format!("partition {number}: {never} records in no batch, {again} in more than one"));
        }
    }
}

/// Computes the batches row by row.
#[derive(Default)]
struct Replay {
    groups: BTreeMap<GroupId, Group>,
    /// wm(N) and wm(N−1), ms.
    watermark: i64,
    late_watermark: i64,
}

impl Replay {
    /// The expected rows of a batch, by key text.
    fn batch(&mut self, topic: &Topic, ranges: &BTreeMap<i32, (i64, i64)>, late: &mut u64) -> BTreeMap<String, Group> {
        let mut touched = BTreeSet::new();
        let mut newest_ms = None;
        for (partition, (start, end)) in ranges {
            let Some(partition) = topic.partitions.get(partition) else { continue };
            let from = partition.rows.partition_point(|(offset, _)| offset < start);
            for (offset, row) in &partition.rows[from..] {
                if offset >= end {
                    break;
                }
                let Some(row) = row else { continue };
                newest_ms = newest_ms.max(Some(row.at.div_euclid(1_000)));
                for window in windows(row.at) {
                    if window + WIDTH <= self.late_watermark * 1_000 {
                        *late += 1;
                        continue;
                    }
                    let id = (window, row.course, row.activity);
                    self.groups.entry(id).or_default().add(row);
                    touched.insert(id);
                }
            }
        }
        let rows = touched.into_iter().map(|id| (topic.key_text(id), self.groups[&id].clone())).collect();
        let closed = self.watermark * 1_000;
        self.groups.retain(|(window, ..), _| window + WIDTH > closed);
        self.late_watermark = self.watermark;
        self.watermark = self.watermark.max(newest_ms.map_or(i64::MIN, |newest| newest - DELAY_MS));
        rows
    }
}

impl Group {
    fn add(&mut self, row: &Row) {
        self.count += 1;
        if let Some(lines) = row.lines {
            *self.lines.get_or_insert(0) += lines;
        }
        if let Some(cpu) = row.cpu {
            self.cpu_sum += cpu;
            self.cpu_count += 1;
        }
    }

    /// Whether a written row equals this one. Averages may differ by the rounding of another order of addition.
    fn matches(&self, row: &Value) -> bool {
        let average = (self.cpu_count > 0).then(|| self.cpu_sum / self.cpu_count as f64);
        let same_average = match (average, row.get("avg_cpu").and_then(Value::as_f64)) {
            (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(1.0),
            (a, b) => a.is_none() && b.is_none(),
        };
        row.get("events").and_then(Value::as_u64) == Some(self.count)
            && row.get("total_loc").and_then(Value::as_i64) == self.lines
            && same_average
    }
}

fn windows(at: i64) -> impl Iterator<Item = i64> {
    let last = at.div_euclid(SLIDE) * SLIDE;
    [last - SLIDE, last].into_iter().filter(move |start| *start <= at && at < start + WIDTH)
}

impl Topic {
    fn key_text(&self, (window, course, activity): GroupId) -> String {
        let activity = activity.map_or("", |activity| &self.names[activity as usize]);
        format!("{}|{}|{activity}", iso_millis(Millis(window / 1_000)), self.names[course as usize])
    }
}

fn key_of(row: &Value) -> String {
    let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
    format!("{}|{}|{}", text("start"), text("course"), text("activity"))
}

fn compare(batch_id: u64, expected: &BTreeMap<String, Group>, found: &[Value], verdict: &mut Verdict) {
    let mut missing: BTreeMap<&String, &Group> = expected.iter().collect();
    for row in found {
        verdict.rows_checked += 1;
        let key = key_of(row);
        match missing.remove(&key) {
            Some(group) if group.matches(row) => {}
            Some(group) => {
                verdict.differ(1, format!("batch {batch_id}, {key}: wrote {row}, the scan counts {}", group.count))
            }
            None => verdict.differ(1, format!("batch {batch_id}, {key}: written, but the batch has no record of it")),
        }
    }
    verdict.rows_checked += missing.len() as u64;
    for key in missing.keys() {
        verdict.differ(1, format!("batch {batch_id}, {key}: the row is missing"));
    }
}

/// Compares the last row of each group with a count of the whole topic that ignores batches.
fn compare_totals(topic: &Topic, written: &BTreeMap<String, u64>, verdict: &mut Verdict) {
    let mut counts: BTreeMap<GroupId, u64> = BTreeMap::new();
    for row in topic.partitions.values().flat_map(|partition| &partition.rows).filter_map(|(_, row)| row.as_ref()) {
        for window in windows(row.at) {
            *counts.entry((window, row.course, row.activity)).or_default() += 1;
        }
    }
    let mut missing = 0;
    let mut surplus = 0;
    let expected: BTreeMap<String, u64> = counts.into_iter().map(|(id, count)| (topic.key_text(id), count)).collect();
    for (key, count) in &expected {
        let found = written.get(key).copied().unwrap_or(0);
        missing += count.saturating_sub(found);
        surplus += found.saturating_sub(*count);
    }
    surplus += written.iter().filter(|(key, _)| !expected.contains_key(*key)).map(|(_, count)| count).sum::<u64>();
    // Each record is counted in width/slide windows.
    let per_record = (WIDTH / SLIDE) as u64;
    verdict.counted = written.values().sum::<u64>() / per_record;
    // Records dropped as late are not lost.
    let lost = missing.saturating_sub(verdict.late).div_ceil(per_record);
    verdict.lost = verdict.lost.max(lost);
    verdict.duplicated = verdict.duplicated.max(surplus.div_ceil(per_record));
}

impl Verdict {
    fn differ(&mut self, rows: u64, what: String) {
        self.rows_wrong += rows;
        self.note(what);
    }

    fn note(&mut self, what: String) {
        const SHOWN: usize = 10;
        if self.differences.len() < SHOWN {
            self.differences.push(what);
        }
    }
}

/// Reads the progress records of all runs. Ignores a last line that a kill cut off.
///
/// # Errors
/// External: the file cannot be read.
pub(crate) fn read_progress(path: &Path) -> Result<Vec<Progress>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::external(format!("cannot read `{}`: {error}", path.display())))?;
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

#[cfg(test)]
mod tests;
