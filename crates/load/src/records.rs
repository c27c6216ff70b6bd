//! Records as a pure function of seed, producer and index: the same three give the same bytes on any machine.
//!
//! Each record draws four 64-bit numbers from a counter mixed by SplitMix64's finalizer (Steele, Lea and Flood, "Fast
//! splittable pseudorandom number generators"), so any record can be generated without those before it. The bias of a
//! draw is below 1 in 10,000. Reads no clock: the event time is an argument.

use crate::fields::{ACTIVITIES, COURSES, CPU_E8, ERRORS, Fragments, LINES, STUDENTS, TOOLS, can_fail, writes_code};
use std::time::Duration;
use tidemill_model::Micros;
use tidemill_model::random::{STEP, below, mix};

/// Shares of late and malformed records.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Share of records whose event time is behind, 0 to 1.
    pub late: f64,
    /// Greatest lateness; uniformly distributed from 0.
    pub late_by: Duration,
    /// Share of malformed records, 0 to 1. Each kind of [`Malformed`] is equally likely.
    pub malformed: f64,
}

impl Default for Options {
    /// No late and no malformed records. Late records would be up to two minutes behind: twice the watermark delay of
    /// the reference pipeline, so half of them are in time and half are dropped.
    fn default() -> Options {
        Options { late: 0.0, late_by: Duration::from_secs(120), malformed: 0.0 }
    }
}

/// The kind of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A valid record.
    Sound,
    /// Its event time is behind.
    Late,
    /// It does not match the schema.
    Malformed(Malformed),
}

/// The ways to be malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// JSON that ends in the middle.
    Truncated,
    /// A text where a number belongs: `lines_of_code`.
    WrongType,
    /// `timestamp` is null.
    NullTime,
    /// Text that is no JSON.
    Text,
}

const MALFORMED: [Malformed; 4] = [Malformed::Truncated, Malformed::WrongType, Malformed::NullTime, Malformed::Text];

/// Makes the records of one producer.
pub struct Generator {
    fragments: Fragments,
    key: u64,
    malformed_below: u64,
    late_below: u64,
    late_by_micros: u64,
}

impl Generator {
    /// A generator for producer number `producer`. Students and their names depend on the seed alone.
    pub fn new(seed: u64, producer: u64, options: &Options) -> Generator {
        let below = |share: f64| (share.clamp(0.0, 1.0) * (1u64 << 32) as f64) as u64;
        Generator {
            fragments: Fragments::new(seed),
            key: mix(mix(seed).wrapping_add(producer.wrapping_mul(STEP))),
            malformed_below: below(options.malformed),
            late_below: below((options.malformed + options.late).min(1.0)),
            late_by_micros: options.late_by.as_micros() as u64,
        }
    }

    /// Appends record number `index` to `out` and returns its kind. `event_time` is the time of the activity; a late
    /// record gets an earlier one.
    pub fn write(&self, index: u64, event_time: Micros, out: &mut Vec<u8>) -> Kind {
        let draw = |n: u64| mix(self.key.wrapping_add(index.wrapping_mul(4).wrapping_add(n).wrapping_mul(STEP)));
        let chance = draw(0) >> 32;
        let kind = if chance < self.malformed_below {
            Kind::Malformed(MALFORMED[(draw(3) >> 62) as usize])
        } else if chance < self.late_below {
            Kind::Late
        } else {
            Kind::Sound
        };
        let start = out.len();
        let time = match kind {
            Kind::Late => Micros(event_time.0 - 1 - below(draw(3), self.late_by_micros) as i64),
            _ => event_time,
        };
        self.write_fields(kind, time, [draw(0), draw(1), draw(2)], out);
        match kind {
            Kind::Malformed(Malformed::Truncated) => out.truncate(start + 1 + below(draw(3), 200) as usize),
            Kind::Malformed(Malformed::Text) => {
                out.truncate(start);
                out.extend_from_slice(b"segmentation fault (core dumped)");
            }
            _ => {}
        }
        kind
    }

    fn write_fields(&self, kind: Kind, time: Micros, [who, what, load]: [u64; 3], out: &mut Vec<u8>) {
        let quarter = |n: u32, bound: usize| (((what >> (16 * n) & 0xffff) * bound as u64) >> 16) as usize;
        let activity = quarter(1, ACTIVITIES.len());
        let lines = if writes_code(activity) { between(who.rotate_left(16), &LINES) } else { 0 };
        let error = if can_fail(activity) { quarter(3, ERRORS.len()) } else { 0 };

        out.extend_from_slice(br#"{"timestamp": "#);
        match kind {
            Kind::Malformed(Malformed::NullTime) => out.extend_from_slice(b"null"),
            _ => fixed(out, time.0.max(0) as u64, 6),
        }
        out.extend_from_slice(self.fragments.student(below(who << 32, STUDENTS) as usize));
        out.extend_from_slice(self.fragments.deed(quarter(0, COURSES.len()), activity, quarter(2, TOOLS.len())));
        match kind {
            Kind::Malformed(Malformed::WrongType) => out.extend_from_slice(br#""many""#),
            _ => whole(out, lines),
        }
        out.extend_from_slice(self.fragments.error(error));
        fixed(out, between(load, &CPU_E8), 8);
        out.push(b'}');
    }
}

fn between(bits: u64, range: &std::ops::RangeInclusive<u64>) -> u64 {
    range.start() + below(bits, range.end() - range.start() + 1)
}

/// Appends `value / 10^decimals` with all its decimals.
fn fixed(out: &mut Vec<u8>, value: u64, decimals: u32) {
    let unit = 10u64.pow(decimals);
    whole(out, value / unit);
    out.push(b'.');
    digits(out, value % unit, decimals as usize);
}

fn whole(out: &mut Vec<u8>, value: u64) {
    digits(out, value, value.checked_ilog10().map_or(1, |log| log as usize + 1));
}

fn digits(out: &mut Vec<u8>, mut value: u64, width: usize) {
    let mut text = [b'0'; 20];
    for digit in text[..width].iter_mut().rev() {
        *digit += (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&text[..width]);
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
