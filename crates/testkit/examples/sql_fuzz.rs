//! Plans generated queries for some seconds, or one by its seed, and prints their number.
//!
//! `cargo run --release -p tidemill-testkit --example sql_fuzz -- SECONDS [FIRST_SEED]`. A panic first prints the seed.

use std::time::{Duration, Instant};
use tidemill_testkit::sql_fuzz::{check, query};

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().expect("a number"));
    let seconds = arguments.next().unwrap_or(10);
    let first = arguments.next().unwrap_or(0);
    let (until, mut planned, mut panicked) = (Instant::now() + Duration::from_secs(seconds), 0_u64, 0_u64);
    let mut seed = first;
    while Instant::now() < until {
        let sql = query(seed);
        let mode = ["append", "update", "complete"][(seed.rem_euclid(3)) as usize];
        match std::panic::catch_unwind(|| check(&sql, mode)) {
            Ok(is_right) => planned += u64::from(is_right),
            Err(_) => {
                panicked += 1;
                eprintln!("seed {seed}, {mode}: {sql}");
            }
        }
        seed += 1;
    }
    println!("{} queries, {planned} of them planned, {panicked} panics", seed - first);
}
