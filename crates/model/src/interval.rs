//! Spark's interval text (rule W6): `10 seconds`, `interval 1 hour 30 minutes`, `-1.5 seconds`.

use serde::{Deserialize, Serialize};

/// An interval: months and microseconds, as Spark's `CalendarInterval`. Days are converted to microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Interval {
    /// Months; windows refuse them, a watermark delay counts 31 days each (rule M6).
    pub months: i64,
    /// Microseconds.
    pub micros: i64,
}

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// An interval as its text says it: days may be longer or shorter than 24 hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CalendarInterval {
    /// Months.
    pub months: i64,
    /// Days.
    pub days: i64,
    /// Microseconds.
    pub micros: i64,
}

impl Interval {
    /// Parses Spark's interval text, as [`CalendarInterval::parse`] does.
    ///
    /// # Errors
    /// It is none. The error is a sentence for the user.
    pub fn parse(text: &str) -> Result<Interval, String> {
        let CalendarInterval { months, days, micros } = CalendarInterval::parse(text)?;
        let all = days.checked_mul(MICROS_PER_DAY).and_then(|of_days| of_days.checked_add(micros));
        Ok(Interval { months, micros: all.ok_or_else(|| overflow(text))? })
    }
}

fn overflow(text: &str) -> String {
    format!("`{text}` does not fit in 64 bits of microseconds")
}

impl CalendarInterval {
    /// Parses Spark's interval text. The error is a sentence for the user.
    ///
    /// Case-insensitive; an optional leading `interval`; signed numbers with full unit words from `year` to
    /// `microsecond`, singular or plural; fractions on seconds only (rule W6).
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<CalendarInterval, String> {
        let lower = text.trim().to_ascii_lowercase();
        let mut words = lower.split_ascii_whitespace().peekable();
        if words.peek() == Some(&"interval") {
            words.next();
        }
        let mut total = CalendarInterval::default();
        let mut any = false;
        while let Some(number) = words.next() {
            let (number, sign) = match number {
                "-" | "+" => (words.next().unwrap_or_default(), if number == "-" { -1 } else { 1 }),
                _ => (number, 1),
            };
            let Some(unit) = words.next() else {
                let digits = number.trim_end_matches(|c: char| c.is_ascii_alphabetic());
                let example = if digits.is_empty() || digits == number { "10" } else { digits };
                return Err(format!(
                    "`{text}` is not an interval: units are separate words; write for instance '{example} seconds'"
                ));
            };
            total = total.plus(number, sign, unit, text)?;
            any = true;
        }
        if any { Ok(total) } else { Err("an interval must not be empty; write for instance '10 seconds'".into()) }
    }

    fn plus(self, number: &str, sign: i64, unit: &str, text: &str) -> Result<CalendarInterval, String> {
        let overflow = || overflow(text);
        let unit = unit.strip_suffix('s').filter(|unit| !unit.is_empty()).unwrap_or(unit);
        let micros_per_unit = match unit {
            "year" | "month" | "week" | "day" => 0,
            "hour" => 3_600_000_000,
            "minute" => 60_000_000,
            "second" => 1_000_000,
            "millisecond" => 1_000,
            "microsecond" => 1,
            _ => {
                return Err(format!(
                    "`{text}` is not an interval: `{unit}` is not a unit; the units are year, month, week, day, hour, minute, second, millisecond, microsecond"
                ));
            }
        };
        if unit == "second" {
            let micros = seconds_to_micros(number)
                .ok_or_else(|| format!("`{text}` is not an interval: `{number}` is not a number of seconds"))?;
            let micros = micros.checked_mul(sign).ok_or_else(overflow)?;
            return Ok(CalendarInterval { micros: self.micros.checked_add(micros).ok_or_else(overflow)?, ..self });
        }
        let count: i64 = number.strip_prefix('+').unwrap_or(number).parse().map_err(|_| {
            format!("`{text}` is not an interval: `{number}` is not a whole number (only seconds take a fraction)")
        })?;
        let count = count.checked_mul(sign).ok_or_else(overflow)?;
        let more = |part: i64, units: i64| count.checked_mul(units).and_then(|more| part.checked_add(more));
        Ok(match unit {
            "year" => CalendarInterval { months: more(self.months, 12).ok_or_else(overflow)?, ..self },
            "month" => CalendarInterval { months: more(self.months, 1).ok_or_else(overflow)?, ..self },
            "week" => CalendarInterval { days: more(self.days, 7).ok_or_else(overflow)?, ..self },
            "day" => CalendarInterval { days: more(self.days, 1).ok_or_else(overflow)?, ..self },
            _ => CalendarInterval { micros: more(self.micros, micros_per_unit).ok_or_else(overflow)?, ..self },
        })
    }
}

impl Interval {
    /// The interval as a watermark delay in ms (rule M6): a month has 31 days, a year 372; fractions are truncated. A
    /// negative total is an error.
    pub fn delay_millis(self) -> Result<i64, String> {
        let millis = self
            .months
            .checked_mul(31 * MICROS_PER_DAY / 1_000)
            .and_then(|months| months.checked_add(self.micros / 1_000))
            .ok_or("the delay does not fit in 64 bits of milliseconds")?;
        if millis < 0 { Err("a watermark delay must not be negative".into()) } else { Ok(millis) }
    }

    /// The length in µs of an interval without months. Windows take only those (rule W2).
    pub fn fixed_micros(self) -> Result<i64, String> {
        if self.months != 0 {
            Err("months and years have no fixed length and are not allowed here; use days or weeks".into())
        } else {
            Ok(self.micros)
        }
    }
}

/// `-1.5` → −1 500 000. Digits after the sixth of the fraction are dropped (Spark refuses more than nine).
fn seconds_to_micros(number: &str) -> Option<i64> {
    let (sign, digits) = match number.as_bytes().first()? {
        b'-' => (-1, &number[1..]),
        b'+' => (1, &number[1..]),
        _ => (1, number),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction: i64 = format!("{fraction:0<9}")[..6].parse().ok()?;
    whole.checked_mul(1_000_000)?.checked_add(fraction)?.checked_mul(sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w6_interval_text() {
        for (text, months, micros) in [
            ("10 seconds", 0, 10_000_000),
            ("INTERVAL 1 Minute", 0, 60_000_000),
            ("1 hour 30 minutes", 0, 5_400_000_000),
            ("1.5 seconds", 0, 1_500_000),
            ("-1.5 seconds", 0, -1_500_000),
            ("- 2 seconds", 0, -2_000_000),
            ("2 years 1 month", 25, 0),
            ("3 weeks", 0, 21 * MICROS_PER_DAY),
            ("7 microseconds", 0, 7),
        ] {
            assert_eq!(Interval::parse(text), Ok(Interval { months, micros }), "{text}");
        }
    }

    #[test]
    fn w6_rejected() {
        for text in [
            "",
            "10",
            "10 s",
            "10 sec",
            "10 min",
            "10 ms",
            "1 nanosecond",
            "1.5 minutes",
            "ten seconds",
            "9223372036855 seconds",
        ] {
            assert!(Interval::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn m6_delay() {
        let delay = |text| Interval::parse(text).unwrap().delay_millis();
        assert_eq!(delay("1 month"), Ok(31 * 86_400_000));
        assert_eq!(delay("1 year"), Ok(372 * 86_400_000));
        assert_eq!(delay("1999 microseconds"), Ok(1));
        assert!(delay("-1 second").is_err());
        assert_eq!(delay("1 month -1 second"), Ok(31 * 86_400_000 - 1_000));
    }
}
