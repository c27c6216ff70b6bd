//! Benchmark of the state: `cargo run --release -p tidemill-state --example state_bench [GROUPS]` (default 10,000,000).
//!
//! Groups have a BIGINT key, a count and an exact sum. Prints the time of batches of equal size with few and with many
//! groups, the memory of the groups, and the time to write and read their snapshot. To compare: the time of a read anywhere
//! in a gigabyte.

use std::time::Instant;
use tidemill_state::{Batch, Column, Emit, Grid, Kind, Layout, Slots, Store, Table};

const KINDS: [Kind; 2] = [Kind::Count, Kind::ExactSum];
const FEW_GROUPS: u64 = 10_000;
/// Groups per task while the state is filled.
const TASK_GROUPS: u64 = 50_000;
/// Tasks per measured batch. Together they touch as many groups as the small state has.
const TASKS: u64 = 4;
/// Measured batches.
const BATCHES: u64 = 200;
/// Memory of a part of a snapshot.
const PART_BYTES: u64 = 8 << 20;

fn main() {
    let groups: u64 = std::env::args().nth(1).map_or(10_000_000, |text| text.parse().expect("a number of groups"));
    let few = measure(&mut filled(FEW_GROUPS), FEW_GROUPS);
    let mut store = filled(groups);
    let resident = resident_mb();
    let many = measure(&mut store, groups);
    println!("{groups} groups: {resident:.0} MB resident, {:.0} MB counted", store.bytes() as f64 / 1e6);
    println!("a batch of {} updates: {few:.1} ms of CPU with {FEW_GROUPS} groups, {many:.1} ms with all", FEW_GROUPS);
    let started = Instant::now();
    let mut parts = Vec::new();
    let mut longest: f64 = 0.0;
    loop {
        let began = Instant::now();
        let (part, is_last) = store.copy(parts.is_empty(), PART_BYTES);
        longest = longest.max(began.elapsed().as_secs_f64());
        parts.push(part);
        if is_last {
            break;
        }
    }
    let (written, bytes) = (started.elapsed().as_secs_f64(), parts.iter().map(Vec::len).sum::<usize>());
    drop(store);
    let started = Instant::now();
    let restored = Store::restore(layout(), threads(), Some(parts), []).expect("a snapshot reads back");
    let read = started.elapsed().as_secs_f64();
    assert_eq!(restored.groups(), groups, "every group is back");
    println!(
        "snapshot of {:.0} MB: written in {written:.2} s, at most {:.1} ms a part, read in {read:.2} s",
        bytes as f64 / 1e6,
        longest * 1e3
    );
    drop(restored);
    let (apart, chained) = memory_reads();
    for (name, value, unit) in [
        ("resident", resident, "MB"),
        ("batch_with_few_groups", few, "ms"),
        ("batch_with_all_groups", many, "ms"),
        ("batch_ratio", many / few, "times"),
        ("snapshot", bytes as f64 / 1e6, "MB"),
        ("snapshot_written", written, "s"),
        ("snapshot_part", longest * 1e3, "ms at most"),
        ("snapshot_read", read, "s"),
        ("memory_read", apart, "ns"),
        ("memory_read_after_another", chained, "ns"),
    ] {
        println!("figure state_{name} {value} {unit}");
    }
}

fn layout() -> Layout {
    let grid = Grid::Groups { width: Some(10_000_000) };
    Layout { kinds: KINDS.to_vec(), grid, apart: false, key_time: None, evicts: true, is_global: false }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn filled(groups: u64) -> Store {
    let mut store = Store::new(layout(), threads());
    let mut next = 0;
    while next < groups {
        let end = (next + TASK_GROUPS).min(groups);
        let part = task(next..end);
        merge(&mut store, 0, &[part], Emit::Nothing);
        next = end;
    }
    store
}

/// CPU-milliseconds per batch. A batch touches as many groups as the small state has, evenly spread; its ordered output
/// is included.
fn measure(store: &mut Store, groups: u64) -> f64 {
    let step = groups / FEW_GROUPS;
    let mut spent = 0.0;
    for batch in 0..BATCHES {
        let key = |row: u64| (row * step + batch).rem_euclid(groups);
        let rows = FEW_GROUPS / TASKS;
        let of_task = |number: u64| task((number * rows..(number + 1) * rows).map(key));
        let parts: Vec<Vec<u8>> = (0..TASKS).map(of_task).collect();
        let before = cpu_seconds();
        merge(store, batch, &parts, Emit::Touched);
        spent += cpu_seconds() - before;
    }
    spent * 1e3 / BATCHES as f64
}

fn task(keys: impl Iterator<Item = u64>) -> Vec<u8> {
    let mut table = Table::new(&KINDS);
    let slots: Vec<u32> = keys.map(|key| table.slot_of(&encoded(key), 0)).collect();
    for column in table.columns() {
        match column {
            Column::Counts(column) => slots.iter().for_each(|slot| column.add(*slot as usize, 1)),
            Column::ExactSums(column) => slots.iter().for_each(|slot| column.add(*slot as usize, (7, 1))),
            other => panic!("{other:?} is not among the kinds"),
        }
    }
    table.to_part()
}

/// A BIGINT as a group key.
fn encoded(key: u64) -> [u8; 9] {
    let mut bytes = [1; 9];
    bytes[1..].copy_from_slice(&(key ^ 1 << 63).to_be_bytes());
    bytes
}

fn merge(store: &mut Store, id: u64, parts: &[Vec<u8>], emit: Emit) {
    let batch = Batch { id, late_until: Some(0), evict_until: Some(0), emit };
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let merged = store.merge(&batch, &parts, &|_| {}).expect("sound parts");
    assert_eq!(merged.output.len() as u64, if emit == Emit::Touched { merged.updated } else { 0 });
}

/// Nanoseconds of a read anywhere in a gigabyte: if reads do not depend on each other, and if each needs the one before.
fn memory_reads() -> (f64, f64) {
    const WORDS: u64 = 1 << 27;
    const READS: u64 = 4_000_000;
    let words: Vec<u64> = (0..WORDS).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    let read = |at: u64| words[(at.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 37) as usize];
    let timed = |reads: &dyn Fn() -> u64| {
        let started = Instant::now();
        std::hint::black_box(reads());
        started.elapsed().as_secs_f64() * 1e9 / READS as f64
    };
    let apart = timed(&|| (0..READS).fold(0, |sum: u64, at| sum.wrapping_add(read(at))));
    let chained = timed(&|| (0..READS).fold(0, |last: u64, at| read(last ^ at)));
    (apart, chained)
}

/// CPU time of this process in seconds, all threads, in steps of 0.01.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = text.rsplit(") ").next().expect("fields").split(' ').collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("ticks");
    (ticks(11) + ticks(12)) / 100.0
}

fn resident_mb() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    text.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).expect("pages") * 4_096.0 / 1e6
}
