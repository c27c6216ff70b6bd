//! Formats numbers and times for people, and removes control characters from text.

use unicode_width::UnicodeWidthChar;

/// `1234567` → `1,234,567`.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Grouped; in millions if long.
pub(super) fn count(n: u64) -> String {
    match n {
        0..10_000_000 => grouped(n),
        _ => format!("{:.1} M", n as f64 / 1e6),
    }
}

/// A rate in whole records; with one decimal if small.
pub(super) fn rate(per_second: f64) -> String {
    match per_second {
        r if r > 0.0 && r < 9.95 => format!("{r:.1}"),
        r => count(r.round().max(0.0) as u64),
    }
}

/// `950 ms`, `1.4 s`, `12 s`, `2 min 05 s`.
pub(super) fn duration(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..9950 => format!("{:.1} s", ms as f64 / 1000.0),
        9950..120_000 => format!("{} s", (ms + 500) / 1000),
        120_000..7_200_000 => format!("{} min {:02} s", ms / 60_000, ms / 1000 % 60),
        _ => format!("{} h {:02} min", ms / 3_600_000, ms / 60_000 % 60),
    }
}

/// Replaces control characters by dots. Records can hold anything, including escape sequences.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '·' } else { c }).collect()
}

/// Width of a text in terminal columns.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// Cuts a text to `columns`; an ellipsis marks the cut.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_string();
    }
    let mut taken = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > columns {
            break;
        }
        used += wide;
        taken.push(c);
    }
    if columns > 0 {
        taken.push('…');
    }
    taken
}

/// Rounds a number with a long fraction to three decimals; leaves other texts as they are. The sinks have all digits.
pub(super) fn decimals(value: &str) -> String {
    let long = value.split_once('.').is_some_and(|(whole, fraction)| {
        whole.len() < 13 && fraction.len() > 3 && fraction.bytes().all(|byte| byte.is_ascii_digit())
    });
    match value.parse::<f64>() {
        Ok(number) if long => format!("{number:.3}"),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_times_rounded() {
        let cases = [
            (grouped(0), "0"),
            (grouped(999), "999"),
            (grouped(1_234_567), "1,234,567"),
            (count(12_345_678), "12.3 M"),
            (rate(0.0), "0"),
            (rate(2.34), "2.3"),
            (rate(92_481.4), "92,481"),
            (duration(190), "190 ms"),
            (duration(1_449), "1.4 s"),
            (duration(9_960), "10 s"),
            (duration(125_400), "2 min 05 s"),
            (duration(7_500_000), "2 h 05 min"),
        ];
        for (told, expected) in cases {
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn text_is_cut_by_columns_and_cannot_steer_the_terminal() {
        let cases = [
            (cut("abc", 3), "abc"),
            (cut("abcd", 3), "ab…"),
            (cut("日本語", 5), "日本…"),
            (cut("日本語", 4), "日…"),
            (cut("abc", 0), ""),
            (decimals("52.18222447"), "52.182"),
            (decimals("-0.99999"), "-1.000"),
            (decimals("1.25"), "1.25"),
            (decimals("1.234E-5"), "1.234E-5"),
            (decimals("10.0.0.1234"), "10.0.0.1234"),
            (decimals("v1.2345"), "v1.2345"),
            (clean("a\u{1b}[2Jb\nc\u{9b}d"), "a·[2Jb·c·d"),
        ];
        for (told, expected) in cases {
            assert_eq!(told, expected);
        }
    }
}
