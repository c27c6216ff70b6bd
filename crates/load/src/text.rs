//! Parses command-line values: rates, shares and durations. Errors are sentences that say what to write.

use crate::pace::Rate;
use std::time::Duration;

/// Parses `10/s`, `2.5/s`, `5k/s`, `1M/s`, `600/min` or `max`; `/s` is optional.
///
/// # Errors
/// A sentence for the user.
pub fn rate(text: &str) -> Result<Rate, String> {
    let wrong = || format!("`{text}` is not a rate; write for instance `10/s`, `5k/s`, `600/min` or `max`");
    let word = text.trim();
    if word.eq_ignore_ascii_case("max") {
        return Ok(Rate::Max);
    }
    let (number, per_seconds) = match word.split_once('/') {
        None => (word, 1.0),
        Some((number, "s" | "sec" | "second")) => (number, 1.0),
        Some((number, "min" | "minute")) => (number, 60.0),
        Some(_) => return Err(wrong()),
    };
    let (digits, scale) = match number.trim_end() {
        n if n.ends_with(['k', 'K']) => (&n[..n.len() - 1], 1e3),
        n if n.ends_with('M') => (&n[..n.len() - 1], 1e6),
        n => (n, 1.0),
    };
    let per_second = plain_number(digits).ok_or_else(wrong)? * scale / per_seconds;
    if per_second > 1e9 { Err(wrong()) } else { Ok(Rate::PerSecond(per_second)) }
}

/// Parses `2%` or `0.02` as a share of 0 to 1.
///
/// # Errors
/// A sentence for the user.
pub fn share(text: &str) -> Result<f64, String> {
    let wrong = || format!("`{text}` is not a share; write for instance `2%`, from `0%` to `100%`");
    let (digits, scale) = match text.trim().strip_suffix('%') {
        Some(digits) => (digits, 100.0),
        None => (text.trim(), 1.0),
    };
    let share = plain_number(digits).ok_or_else(wrong)? / scale;
    if share > 1.0 { Err(wrong()) } else { Ok(share) }
}

/// Parses `500ms`, `30s`, `2m`, `1.5h`, `7d`, `1m30s`.
///
/// # Errors
/// A sentence for the user.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a length of time; write for instance `500ms`, `30s`, `2m` or `1m30s`");
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number = plain_number(&rest[..digits]).ok_or_else(wrong)?;
        rest = &rest[digits..];
        let unit = &rest[..rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len())];
        rest = &rest[unit.len()..];
        let seconds_per_unit = match unit.trim() {
            "ms" => 0.001,
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return Err(wrong()),
        };
        seconds += number * seconds_per_unit;
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

/// A plain number: digits with at most one point, no sign, no exponent, no `inf`.
fn plain_number(digits: &str) -> Option<f64> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    (plain && digits.len() <= 18).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: PartialEq + std::fmt::Debug>(
        parse: impl Fn(&str) -> Result<T, String>,
        right: &[(&str, T)],
        wrong: &[&str],
    ) {
        for (text, value) in right {
            assert_eq!(parse(text).as_ref(), Ok(value), "{text}");
        }
        for text in wrong {
            let error = parse(text).expect_err(text);
            assert!(error.starts_with(&format!("`{text}` is not a ")) && error.contains("; write "), "{error}");
        }
    }

    #[test]
    fn rates() {
        let right = [
            ("10/s", Rate::PerSecond(10.0)),
            ("5k/s", Rate::PerSecond(5_000.0)),
            ("1.5M/s", Rate::PerSecond(1_500_000.0)),
            ("90/min", Rate::PerSecond(1.5)),
            ("250", Rate::PerSecond(250.0)),
            ("0/s", Rate::PerSecond(0.0)),
            (" max ", Rate::Max),
        ];
        check(rate, &right, &["", "fast", "10/h", "-1/s", "1e5/s", "inf", "k/s", "10 20/s", "9999999M/s"]);
    }

    #[test]
    fn shares() {
        let right = [("2%", 0.02), ("0.5%", 0.005), ("0.25", 0.25), ("0", 0.0), ("100%", 1.0)];
        check(share, &right, &["", "2", "101%", "-1%", "two", "%", "nan"]);
    }

    #[test]
    fn durations() {
        let right = [
            ("500ms", Duration::from_millis(500)),
            ("30s", Duration::from_secs(30)),
            ("2m", Duration::from_secs(120)),
            ("1.5h", Duration::from_secs(5_400)),
            ("1m30s", Duration::from_secs(90)),
            ("0s", Duration::ZERO),
        ];
        check(duration, &right, &["", "30", "-5s", "5 parsecs", "s", "1m30", "1..5s"]);
    }
}
