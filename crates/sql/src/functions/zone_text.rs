//! Zones in texts of a pattern: the letters `X x Z z O V`.

use crate::zone::Zone;
use std::fmt::Write;

/// An offset, as Java writes it: without its seconds; one that is nothing but seconds as none.
pub(super) fn format(out: &mut String, letter: char, count: usize, offset: i64, zone: Zone) {
    let minutes = (offset.abs() / 60).rem_euclid(60);
    let hours = offset.abs() / 3_600;
    if letter == 'V' || letter == 'z' {
        let name = match zone {
            Zone::Fixed { prefix: "UTC", offset: 0 } if letter == 'z' && count == 4 => "Coordinated Universal Time",
            Zone::Fixed { prefix: "GMT", offset: 0 } if letter == 'z' && count == 4 => "Greenwich Mean Time",
            _ => return write!(out, "{zone}").expect("a string takes all"),
        };
        return out.push_str(name);
    }
    if letter == 'O' || (letter == 'Z' && count == 4) {
        return format_localized(out, count == 4, offset);
    }
    let (letter, count) = if letter == 'Z' && count == 5 { ('X', 5) } else { (letter, count) };
    if count > 3 {
        return format_with_seconds(out, letter, count == 5, offset);
    }
    if hours == 0 && minutes == 0 {
        return out.push_str(match (letter, count) {
            ('X', _) => "Z",
            ('x', 1) => "+00",
            ('x', 3) => "+00:00",
            _ => "+0000",
        });
    }
    let (sign, colon) = (if offset < 0 { '-' } else { '+' }, if count == 3 && letter != 'Z' { ":" } else { "" });
    write!(out, "{sign}{hours:02}").expect("a string takes all");
    if minutes > 0 || count > 1 || letter == 'Z' {
        write!(out, "{colon}{minutes:02}").expect("a string takes all");
    }
}

/// `GMT+1`, `GMT+01:00`; seconds where there are some.
fn format_localized(out: &mut String, is_full: bool, offset: i64) {
    out.push_str("GMT");
    if offset == 0 {
        return;
    }
    let [hours, minutes, seconds] = parts(offset);
    out.push(if offset < 0 { '-' } else { '+' });
    let shown = if is_full { format!("{hours:02}:{minutes:02}") } else { hours.to_string() };
    out.push_str(&shown);
    if !is_full && (minutes > 0 || seconds > 0) {
        write!(out, ":{minutes:02}").expect("a string takes all");
    }
    if seconds > 0 {
        write!(out, ":{seconds:02}").expect("a string takes all");
    }
}

/// `+HHmm[ss]`, or `+HH:mm[:ss]` with colons.
fn format_with_seconds(out: &mut String, letter: char, has_colons: bool, offset: i64) {
    if offset == 0 && letter == 'X' {
        return out.push('Z');
    }
    let colon = if has_colons { ":" } else { "" };
    let [hours, minutes, seconds] = parts(offset);
    let sign = if offset < 0 { '-' } else { '+' };
    write!(out, "{sign}{hours:02}{colon}{minutes:02}").expect("a string takes all");
    if seconds > 0 {
        write!(out, "{colon}{seconds:02}").expect("a string takes all");
    }
}

fn parts(offset: i64) -> [i64; 3] {
    let size = offset.abs();
    [size / 3_600, (size / 60).rem_euclid(60), size.rem_euclid(60)]
}

/// The zone that a text begins with, and what follows it.
pub(super) fn parse(letter: char, text: &str) -> Option<(Zone, &str)> {
    if let Some(rest) = text.strip_prefix('Z').filter(|_| letter == 'X') {
        return Some((Zone::UTC, rest));
    }
    if letter == 'V'
        && let Some(found) = parse_region(text)
    {
        return Some(found);
    }
    if let Some(rest) = ["UTC", "GMT"].iter().find_map(|name| text.strip_prefix(name))
        && (letter == 'z' || letter == 'V')
    {
        return Some((Zone::UTC, rest));
    }
    if letter == 'O' {
        return parse_localized(text);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let length = 1 + text[1..].bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b':').count();
    let digits: String = text[1..length].chars().filter(|c| *c != ':').collect();
    if digits.len() != 2 && digits.len() != 4 {
        return None;
    }
    let (hours, minutes) = digits.split_at(2);
    let minutes = if minutes.is_empty() { 0 } else { minutes.parse().ok()? };
    let offset = sign * (hours.parse::<i32>().ok()? * 3_600 + minutes * 60);
    Some((Zone::Fixed { prefix: "", offset }, &text[length..]))
}

/// `GMT`, `GMT+2`, `GMT+02:30`.
fn parse_localized(text: &str) -> Option<(Zone, &str)> {
    let rest = text.strip_prefix("GMT")?;
    let sign = match rest.as_bytes().first() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return Some((Zone::UTC, rest)),
    };
    let length = 1 + rest[1..].bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b':').count();
    let mut offset = 0;
    for (number, unit) in rest[1..length].split(':').zip([3_600, 60, 1]) {
        offset += number.parse::<i32>().ok()? * unit;
    }
    Some((Zone::Fixed { prefix: "", offset: sign * offset }, &rest[length..]))
}

/// The longest beginning of a text that is a region's id.
fn parse_region(text: &str) -> Option<(Zone, &str)> {
    let is_of_id = |c: char| c.is_ascii_alphanumeric() || "/_-+".contains(c);
    let longest = text.find(|c| !is_of_id(c)).unwrap_or(text.len());
    let region = |length: &usize| match Zone::parse(&text[..*length]) {
        Some(zone @ Zone::Region { name, .. }) if name == &text[..*length] => Some((zone, *length)),
        _ => None,
    };
    let (zone, length) = (1..=longest).rev().find_map(|length| region(&length))?;
    Some((zone, &text[length..]))
}
