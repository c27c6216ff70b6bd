//! Zones in texts of a pattern: the letters `X x Z z V`.

use std::fmt::Write;
use tidemill_model::Zone;

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
