//! Dates and timestamps in JSON and CSV: the forms that casts read, and two older forms (rule J9).
//!
//! Knows no JSON.

use super::java::java_int;
use crate::times;
pub use crate::times::Defaults;
use std::fmt;
use tidemill_model::time::days_from_civil;

/// First day of the Gregorian calendar, 1582-10-15, in days since the epoch.
const GREGORIAN_START: i32 = -141_427;

/// Reads a text as microseconds, or as days of a DATE; `None` if it does not fit.
pub type TextReader = Box<dyn Fn(&str) -> Option<i64> + Send>;

/// What reads the texts of times where the usual forms do not count.
#[derive(Default)]
pub struct Formats {
    /// Of a TIMESTAMP.
    pub timestamp: Option<TextReader>,
    /// Of a TIMESTAMP_NTZ.
    pub timestamp_ntz: Option<TextReader>,
    /// Of a DATE.
    pub date: Option<TextReader>,
}

impl Formats {
    pub(crate) fn timestamp(&self, text: &str, defaults: &Defaults) -> Option<i64> {
        self.timestamp.as_ref().map_or_else(|| timestamp(text, defaults), |read| read(text))
    }

    pub(crate) fn timestamp_ntz(&self, text: &str) -> Option<i64> {
        self.timestamp_ntz.as_ref().map_or_else(|| timestamp_ntz(text), |read| read(text))
    }

    pub(crate) fn date(&self, text: &str) -> Option<i32> {
        self.date.as_ref().map_or_else(|| date(text), |read| read(text)?.try_into().ok())
    }
}

impl fmt::Debug for Formats {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = [self.timestamp.is_some(), self.timestamp_ntz.is_some(), self.date.is_some()];
        write!(out, "Formats({given:?})")
    }
}

/// A TIMESTAMP: microseconds since the epoch.
pub fn timestamp(text: &str, defaults: &Defaults) -> Option<i64> {
    times::timestamp(text, defaults).or_else(|| times::timestamp(&without_gmt(text)?, defaults))
}

/// A TIMESTAMP_NTZ: microseconds since 1970-01-01T00:00:00 on a clock without zone. A text with a zone is refused.
pub fn timestamp_ntz(text: &str) -> Option<i64> {
    times::timestamp_ntz(text, false)
}

/// A DATE: days since 1970-01-01. Also accepts that number as text, in the Julian calendar before 1582.
pub fn date(text: &str) -> Option<i32> {
    date_without_number(text).or_else(|| java_int(text).and_then(gregorian_from_julian))
}

/// As [`date`], without day numbers.
pub fn date_without_number(text: &str) -> Option<i32> {
    times::date(text).or_else(|| times::date(&without_gmt(text)?))
}

/// Spark 1 wrote `2000-01-01T00:00:00GMT+01:00`. Returns the text without `GMT`, if it has it.
fn without_gmt(text: &str) -> Option<String> {
    text.contains("GMT").then(|| text.replace("GMT", ""))
}

/// Converts a day number of the hybrid Julian and Gregorian calendar, which Spark 1 used, to the Gregorian day with the
/// same date.
fn gregorian_from_julian(days: i32) -> Option<i32> {
    if days >= GREGORIAN_START {
        return Some(days);
    }
    // Four Julian years that start in March have 1461 days. Julian 0000-03-01 is day −719470.
    let since_march = i64::from(days) + 719_470;
    let cycle = since_march.div_euclid(1_461);
    let of_cycle = since_march.rem_euclid(1_461);
    let year_of_cycle = (of_cycle - of_cycle / 1_460) / 365;
    let day_of_year = of_cycle - 365 * year_of_cycle;
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u32;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 } as u32;
    let year = cycle * 4 + year_of_cycle + i64::from(month <= 2);
    i32::try_from(days_from_civil(year, month, day)).ok()
}
