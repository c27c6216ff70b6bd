//! Dates and times as text of a pattern, and text as dates and times, on the session's clock. The language is English.
//!
//! Patterns are Java's `DateTimeFormatter`'s, with the letters `G y M L d D E F a H h k K m s S X x Z z O V Q q`, text
//! in quotes and optional parts in brackets. A pattern is a constant; other letters, which Spark refuses too, are refused when the
//! file is checked. So are `E F Q q` where text is read, as in Spark, and `z` where a region is written: its zones' names are
//! in no table of ours.

use super::times::{day_of_year, weekday};
use super::{Arguments, Function, Param, ZONED, build, zone_text};
use crate::eval::cast::time::{MICROS_PER_DAY, MICROS_PER_SECOND};
use crate::expr::Expr;
use crate::types;
use crate::value::Value;
use crate::zone::{WallClock, Zone};
use arrow_array::ArrayRef;
use arrow_array::types::{Date32Type, Int64Type, TimestampMicrosecondType};
use arrow_schema::DataType;
use std::fmt::Write;
use std::sync::Arc;
use tidemill_model::time::{civil_from_days, days_of_date};

const FORMAT: Function = Function {
    params: &[Param::Timestamp, Param::String],
    required: 2,
    check: check_pattern,
    zoned: Some(check_names),
    ..Function::BLANK
};

const PARSE: Function =
    Function { params: &[Param::String, Param::String], check: check_parsed, zoned: ZONED, ..FORMAT };

const NAME: Function = Function { params: &[Param::Date], ..Function::BLANK };

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "date_format",
        usage: "date_format(time, pattern)",
        about: "The time written by a constant pattern of Spark's: `yyyy-MM-dd HH:mm:ss` and so on.",
        example: "date_format('2016-04-08', 'y')",
        kernel: date_format,
        ..FORMAT
    },
    Function {
        name: "from_unixtime",
        usage: "from_unixtime(seconds[, pattern])",
        about: "Seconds since 1970 as text, by the session's clock.",
        example: "from_unixtime(0, 'yyyy-MM-dd HH:mm:ss')",
        params: &[Param::Long, Param::String],
        required: 1,
        kernel: from_unixtime,
        ..FORMAT
    },
    // The planner turns calls without a pattern into casts.
    Function {
        name: "to_timestamp",
        aliases: &["to_timestamp_ltz"],
        usage: "to_timestamp(text[, pattern])",
        about: "The TIMESTAMP that a text writes, by a constant pattern or as CAST reads it; another text fails the row.",
        example: "to_timestamp('2016-12-31', 'yyyy-MM-dd')",
        gives: |_| types::timestamp(),
        kernel: to_timestamp,
        ..PARSE
    },
    Function {
        name: "try_to_timestamp",
        usage: "try_to_timestamp(text[, pattern])",
        about: "As `to_timestamp`, but NULL for another text.",
        example: "try_to_timestamp('foo', 'yyyy-MM-dd')",
        gives: |_| types::timestamp(),
        kernel: try_to_timestamp,
        ..PARSE
    },
    Function {
        name: "to_timestamp_ntz",
        usage: "to_timestamp_ntz(text[, pattern])",
        about: "The TIMESTAMP_NTZ that a text writes; another text fails the row.",
        example: "to_timestamp_ntz('2016-12-31 00:12:00')",
        gives: |_| types::timestamp_ntz(),
        kernel: to_timestamp_ntz,
        ..PARSE
    },
    Function {
        name: "to_date",
        usage: "to_date(text[, pattern])",
        about: "The DATE that a text writes, by a constant pattern or as CAST reads it; another text fails the row.",
        example: "to_date('2016-12-31', 'yyyy-MM-dd')",
        gives: |_| DataType::Date32,
        kernel: to_date,
        ..PARSE
    },
    Function {
        name: "try_to_date",
        usage: "try_to_date(text[, pattern])",
        about: "As `to_date`, but NULL for another text.",
        example: "try_to_date('foo', 'yyyy-MM-dd')",
        gives: |_| DataType::Date32,
        kernel: try_to_date,
        ..PARSE
    },
    Function {
        name: "unix_timestamp",
        aliases: &["to_unix_timestamp"],
        usage: "unix_timestamp([time or text[, pattern]])",
        about: "Seconds since 1970: of a time, of a text by a pattern, or of the batch's timestamp.",
        example: "unix_timestamp('2016-04-08', 'yyyy-MM-dd')",
        params: &[Param::OnlyString, Param::String],
        gives: |_| DataType::Int64,
        required: 1,
        kernel: unix_timestamp,
        ..PARSE
    },
    Function {
        name: "dayname",
        usage: "dayname(date)",
        about: "The weekday's short name in English.",
        example: "dayname(DATE '2008-02-20')",
        kernel: |a| name_of(a, |day| &DAYS[weekday(day) as usize][..3]),
        ..NAME
    },
    Function {
        name: "monthname",
        usage: "monthname(date)",
        about: "The month's short name in English.",
        example: "monthname(DATE '2008-02-20')",
        kernel: |a| name_of(a, |day| &MONTHS[civil_from_days(day).1 as usize - 1][..3]),
        ..NAME
    },
];

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// The eras of years from 1 on and up to 0, short and in full.
const ERAS: [[&str; 2]; 2] = [["AD", "Anno Domini"], ["BC", "Before Christ"]];
const DEFAULT: &str = "yyyy-MM-dd HH:mm:ss";

fn name_of(arguments: &mut Arguments, name: fn(i64) -> &'static str) -> ArrayRef {
    let input = arguments.columns[0].numbers::<Date32Type>();
    build::texts(arguments.rows, |row| Some(name(input.get(row)?.into())))
}

fn check_pattern(arguments: &[Expr]) -> Result<(), String> {
    match arguments.get(1) {
        None | Some(Expr::Literal(Value::Null, _)) => Ok(()),
        Some(Expr::Literal(Value::String(pattern), _)) => Pattern::parse(pattern).map(drop),
        Some(_) => Err("the pattern is not a constant; write it as a string".into()),
    }
}

/// Texts are not read by days of the week and quarters, in Spark neither.
fn check_parsed(arguments: &[Expr]) -> Result<(), String> {
    check_pattern(arguments)?;
    match arguments.get(1) {
        Some(Expr::Literal(Value::String(pattern), _)) => Pattern::parse_for_reading(pattern).map(drop),
        _ => Ok(()),
    }
}

/// `z` writes a zone's name in words.
fn check_names(arguments: &[Expr], zone: Zone) -> Result<(), String> {
    let (Some(Expr::Literal(Value::String(pattern), _)), Zone::Region { name, .. }) = (arguments.get(1), zone) else {
        return Ok(());
    };
    let has_name = Pattern::parse(pattern)?.0.iter().any(|piece| matches!(piece, Piece::Field('z', _)));
    if has_name {
        return Err(format!(
            "the pattern '{pattern}' is not supported: what `z` calls {name} is not known; use XXX for the offset or VV for the zone's id"
        ));
    }
    Ok(())
}

/// The call's pattern; `None` where it is NULL.
fn pattern(arguments: &Arguments) -> Option<Pattern> {
    let text = match arguments.columns.get(1) {
        Some(column) => column.texts().get(0)?.to_string(),
        None => DEFAULT.to_string(),
    };
    Some(Pattern::parse(&text).expect("checked with the file"))
}

fn date_format(arguments: &mut Arguments) -> ArrayRef {
    let pattern = pattern(arguments);
    let input = arguments.columns[0].numbers::<TimestampMicrosecondType>();
    let clock = &arguments.times.clock;
    build::texts(arguments.rows, |row| Some(pattern.as_ref()?.format(input.get(row)?, clock)))
}

fn from_unixtime(arguments: &mut Arguments) -> ArrayRef {
    let pattern = pattern(arguments);
    let input = arguments.columns[0].numbers::<Int64Type>();
    build::texts(arguments.rows, |row| {
        // Beyond the 64 bits it wraps, as in Spark.
        let micros = input.get(row)?.wrapping_mul(MICROS_PER_SECOND);
        Some(pattern.as_ref()?.format(micros, &arguments.times.clock))
    })
}

fn to_timestamp(arguments: &mut Arguments) -> ArrayRef {
    Arc::new(build::numbers::<TimestampMicrosecondType>(arguments.rows, parsed(arguments)).with_timezone("UTC"))
}

fn try_to_timestamp(arguments: &mut Arguments) -> ArrayRef {
    let pattern = pattern(arguments);
    let input = arguments.columns[0].texts();
    let value = |row| pattern.as_ref()?.parse_text(input.get(row)?, &arguments.times.clock);
    Arc::new(build::numbers::<TimestampMicrosecondType>(arguments.rows, value).with_timezone("UTC"))
}

fn to_timestamp_ntz(arguments: &mut Arguments) -> ArrayRef {
    let (rows, clock) = (arguments.rows, &arguments.times.clock);
    let mut micros = parsed(arguments);
    Arc::new(build::numbers::<TimestampMicrosecondType>(rows, |row| Some(clock.shows(micros(row)?))))
}

fn try_to_date(arguments: &mut Arguments) -> ArrayRef {
    let pattern = pattern(arguments);
    let input = arguments.columns[0].texts();
    let clock = &arguments.times.clock;
    let value = |row| {
        let micros = pattern.as_ref()?.parse_text(input.get(row)?, clock)?;
        Some(clock.shows(micros).div_euclid(MICROS_PER_DAY) as i32)
    };
    Arc::new(build::numbers::<Date32Type>(arguments.rows, value))
}

fn to_date(arguments: &mut Arguments) -> ArrayRef {
    let (rows, clock) = (arguments.rows, &arguments.times.clock);
    let mut micros = parsed(arguments);
    let value = |row| Some(clock.shows(micros(row)?).div_euclid(MICROS_PER_DAY) as i32);
    Arc::new(build::numbers::<Date32Type>(rows, value))
}

fn unix_timestamp(arguments: &mut Arguments) -> ArrayRef {
    let rows = arguments.rows;
    let mut micros = parsed(arguments);
    Arc::new(build::numbers::<Int64Type>(rows, |row| Some(micros(row)?.div_euclid(MICROS_PER_SECOND))))
}

/// The time of a row's text, µs; a text that is not of the pattern fails its row.
fn parsed<'a>(arguments: &'a mut Arguments) -> impl FnMut(usize) -> Option<i64> + use<'a> {
    let pattern = pattern(arguments);
    let (columns, clock) = (arguments.columns, &arguments.times.clock);
    let errors = &mut *arguments.errors;
    let input = columns[0].texts();
    move |row| {
        let (pattern, text) = (pattern.as_ref()?, input.get(row)?);
        let micros = pattern.parse_text(text, clock);
        if micros.is_none() {
            let message = || format!("'{text}' is not of the pattern; use try_to_timestamp to get NULL instead");
            errors.record(row, "CANNOT_PARSE_TIMESTAMP", message);
        }
        micros
    }
}

/// A pattern taken apart.
pub(super) struct Pattern(Vec<Piece>);

enum Piece {
    Text(String),
    /// A letter and how often it stands there.
    Field(char, usize),
    /// What may be missing where text is read.
    Optional(Vec<Piece>),
}

impl Pattern {
    /// A pattern that texts are read by.
    pub(super) fn parse_for_reading(pattern: &str) -> Result<Pattern, String> {
        let unread = |piece: &Piece| match piece {
            Piece::Field(letter @ ('E' | 'F' | 'Q' | 'q'), _) => Some(*letter),
            _ => None,
        };
        let parsed = Pattern::parse(pattern)?;
        match parsed.0.iter().find_map(unread) {
            Some(letter) => {
                Err(format!("the pattern '{pattern}' is not for reading: `{letter}` is only written; leave it out"))
            }
            None => Ok(parsed),
        }
    }

    pub(super) fn parse(pattern: &str) -> Result<Pattern, String> {
        let refused =
            |what: String| Err(format!("the pattern '{pattern}' is not supported: {what}; use other letters"));
        let mut pieces = Vec::new();
        // What stands before each bracket that is open.
        let mut outer: Vec<Vec<Piece>> = Vec::new();
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\'' if chars.next_if_eq(&'\'').is_some() => pieces.push(Piece::Text("'".into())),
                '\'' => {
                    let mut text = String::new();
                    loop {
                        match chars.next() {
                            Some('\'') if chars.next_if_eq(&'\'').is_some() => text.push('\''),
                            Some('\'') => break,
                            Some(other) => text.push(other),
                            None => return refused("a quote is not closed".into()),
                        }
                    }
                    pieces.push(Piece::Text(text));
                }
                c if c.is_ascii_alphabetic() => {
                    let mut count = 1;
                    while chars.next_if_eq(&c).is_some() {
                        count += 1;
                    }
                    let most = match c {
                        'y' => 6,
                        'M' | 'L' | 'E' | 'Q' | 'q' | 'z' | 'G' | 'O' => 4,
                        'S' => 9,
                        'd' | 'H' | 'h' | 'k' | 'K' | 'm' | 's' => 2,
                        'X' | 'x' | 'Z' => 5,
                        'D' => 3,
                        'a' | 'F' => 1,
                        'V' => 2,
                        _ => 0,
                    };
                    if count > most || (c == 'V' && count == 1) || (c == 'O' && [2, 3].contains(&count)) {
                        return refused(format!("`{}`", c.to_string().repeat(count)));
                    }
                    pieces.push(Piece::Field(c, count));
                }
                '[' => outer.push(std::mem::take(&mut pieces)),
                ']' => {
                    let Some(before) = outer.pop() else {
                        return refused("`]` closes nothing".into());
                    };
                    let optional = std::mem::replace(&mut pieces, before);
                    pieces.push(Piece::Optional(optional));
                }
                '{' | '}' | '#' => return refused(format!("`{c}`")),
                c => pieces.push(Piece::Text(c.into())),
            }
        }
        // Java closes at the end what is open.
        while let Some(before) = outer.pop() {
            let optional = std::mem::replace(&mut pieces, before);
            pieces.push(Piece::Optional(optional));
        }
        Ok(Pattern(pieces))
    }

    /// A time, µs, as text.
    pub(super) fn format(&self, micros: i64, clock: &WallClock) -> String {
        let mut out = String::new();
        format_pieces(&mut out, &self.0, micros, clock);
        out
    }

    /// The time of a text, µs; fields that the pattern lacks are those of 1970-01-01 00:00:00, a zone is the clock's.
    pub(super) fn parse_text(&self, text: &str, clock: &WallClock) -> Option<i64> {
        let mut time = Parsed { year: 1970, ..Parsed::default() };
        if !parse_pieces(&self.0, &mut time, text)?.is_empty() {
            return None;
        }
        match time.zone {
            Some(zone) => Some(WallClock::new(zone).instant_of(time.micros()?)),
            None => Some(clock.instant_of(time.micros()?)),
        }
    }
}

fn format_pieces(out: &mut String, pieces: &[Piece], micros: i64, clock: &WallClock) {
    let shown = clock.shows(micros);
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Field(letter @ ('X' | 'x' | 'Z' | 'z' | 'V' | 'O'), count) => {
                zone_text::format(out, *letter, *count, (shown - micros) / MICROS_PER_SECOND, clock.zone());
            }
            Piece::Field(letter, count) => format_field(out, *letter, *count, shown),
            Piece::Optional(pieces) => format_pieces(out, pieces, micros, clock),
        }
    }
}

/// Reads the pieces from a text's beginning; gives what follows them.
fn parse_pieces<'a>(pieces: &[Piece], time: &mut Parsed, text: &'a str) -> Option<&'a str> {
    let mut rest = text;
    for (index, piece) in pieces.iter().enumerate() {
        rest = match piece {
            Piece::Text(text) => {
                let head = rest.get(..text.len()).filter(|head| head.eq_ignore_ascii_case(text))?;
                &rest[head.len()..]
            }
            // As in Java, such a year takes all digits that come, and leaves none to a day of the year without a width.
            Piece::Field('y', count)
                if *count != 2 && matches!(pieces.get(index + 1), Some(Piece::Field('D', 1 | 2))) =>
            {
                return None;
            }
            Piece::Field(letter, count) => {
                let adjacent = matches!(
                    pieces.get(index + 1),
                    Some(Piece::Field('y' | 'M' | 'd' | 'H' | 'h' | 'm' | 's' | 'S', _) | Piece::Field('D', 3))
                );
                parse_field(time, *letter, *count, adjacent, rest)?
            }
            Piece::Optional(pieces) => {
                let mut with_it = time.clone();
                match parse_pieces(pieces, &mut with_it, rest) {
                    Some(after) => {
                        *time = with_it;
                        after
                    }
                    None => rest,
                }
            }
        };
    }
    Some(rest)
}

/// `micros` is what the clock shows.
fn format_field(out: &mut String, letter: char, count: usize, micros: i64) {
    let day = micros.div_euclid(MICROS_PER_DAY);
    let of_day = micros.rem_euclid(MICROS_PER_DAY);
    let (year, month, day_of_month) = civil_from_days(day);
    let hour = of_day / (3_600 * MICROS_PER_SECOND);
    let name = |names: &[&'static str], at: usize| if count == 4 { names[at] } else { &names[at][..3] };
    let number = match letter {
        'y' if count == 2 => year.abs().rem_euclid(100),
        'y' => {
            // `y` is not of an era: 1 BC is year 0. Beyond its width a year carries a sign.
            let sign = if year < 0 {
                "-"
            } else if count >= 4 && year >= 10_i64.pow(count as u32) {
                "+"
            } else {
                ""
            };
            write!(out, "{sign}{:0count$}", year.abs()).expect("a string takes all");
            return;
        }
        'M' | 'L' if count >= 3 => return out.push_str(name(&MONTHS, month as usize - 1)),
        'M' | 'L' => month.into(),
        'E' => return out.push_str(name(&DAYS, weekday(day) as usize)),
        'G' => return out.push_str(ERAS[usize::from(year <= 0)][usize::from(count == 4)]),
        'Q' | 'q' if count >= 3 => {
            let quarter = (month as usize - 1) / 3;
            let names = [["Q1", "1st quarter"], ["Q2", "2nd quarter"], ["Q3", "3rd quarter"], ["Q4", "4th quarter"]];
            return out.push_str(names[quarter][count - 3]);
        }
        'Q' | 'q' => (i64::from(month) + 2) / 3,
        'd' => day_of_month.into(),
        'F' => (i64::from(day_of_month) - 1).rem_euclid(7) + 1,
        'D' => day_of_year(day),
        'a' => return out.push_str(if hour < 12 { "AM" } else { "PM" }),
        'H' => hour,
        'k' => (hour + 23).rem_euclid(24) + 1,
        'K' => hour.rem_euclid(12),
        'h' => (hour + 11).rem_euclid(12) + 1,
        'm' => (of_day / (60 * MICROS_PER_SECOND)).rem_euclid(60),
        's' => (of_day / MICROS_PER_SECOND).rem_euclid(60),
        'S' => {
            let nanos = format!("{:09}", of_day.rem_euclid(MICROS_PER_SECOND) * 1_000);
            return out.push_str(&nanos[..count]);
        }
        other => panic!("`{other}` is no letter of a time"),
    };
    write!(out, "{number:0count$}").expect("a string takes all");
}

#[derive(Clone, Default)]
struct Parsed {
    year: i64,
    month: Option<u32>,
    day: Option<u32>,
    day_of_year: Option<i64>,
    hour: i64,
    /// Hours counted to twelve, which AM or PM makes whole.
    half_hour: Option<i64>,
    afternoon: bool,
    minute: i64,
    second: i64,
    micros: i64,
    /// The zone of the text, if it names one.
    zone: Option<Zone>,
}

impl Parsed {
    /// The day, of its number within the year where there is one; a month and a day of the month must agree with it.
    fn days(&self) -> Option<i64> {
        let Some(number) = self.day_of_year else {
            return days_of_date(self.year, self.month.unwrap_or(1).into(), self.day.unwrap_or(1).into());
        };
        let days = days_of_date(self.year, 1, 1)? + Some(number).filter(|number| *number <= 366)? - 1;
        let (year, month, day) = civil_from_days(days);
        let agrees = year == self.year && self.month.is_none_or(|m| m == month) && self.day.is_none_or(|d| d == day);
        agrees.then_some(days)
    }

    /// What the clock shows.
    fn micros(&self) -> Option<i64> {
        let days = self.days()?;
        let hour = self.half_hour.map_or(self.hour, |hour| hour.rem_euclid(12) + if self.afternoon { 12 } else { 0 });
        let in_range =
            hour < 24 && self.minute < 60 && self.second < 60 && self.half_hour.is_none_or(|hour| hour <= 12);
        let seconds = (hour * 60 + self.minute) * 60 + self.second;
        let of_day = seconds * MICROS_PER_SECOND + self.micros;
        in_range.then(|| days.checked_mul(MICROS_PER_DAY)?.checked_add(of_day))?
    }
}

/// Reads one field and returns what follows it. `adjacent`: digits of another field follow at once.
fn parse_field<'a>(time: &mut Parsed, letter: char, count: usize, adjacent: bool, text: &'a str) -> Option<&'a str> {
    let widths = match (letter, count) {
        ('y', 2) => 2..=2,
        ('y', 1) => 1..=if adjacent { 4 } else { 9 },
        ('y', count) => count..=count,
        ('S', count) => 1..=count,
        ('D', 1) => 1..=19,
        ('D', count) => count..=3,
        (_, 1) => 1..=2,
        (_, count) => count..=count,
    };
    let name = |names: &[&str]| {
        let is_it = |name: &str| {
            let name = if count == 4 { name } else { &name[..3] };
            text.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name))
        };
        let at = names.iter().position(|name| is_it(name))?;
        Some((at, &text[if count == 4 { names[at].len() } else { 3 }..]))
    };
    match letter {
        'M' | 'L' if count >= 3 => {
            let (at, rest) = name(&MONTHS)?;
            time.month = Some(at as u32 + 1);
            return Some(rest);
        }
        'a' => {
            let half = text.get(..2)?.to_ascii_uppercase();
            time.afternoon = half == "PM";
            return (half == "AM" || half == "PM").then(|| &text[2..]);
        }
        'G' => {
            let is_era = |era: &&str| text.get(..era.len()).is_some_and(|head| head.eq_ignore_ascii_case(era));
            let era = ERAS.map(|era| era[usize::from(count == 4)]).into_iter().find(is_era)?;
            // Years before 1 are read by no pattern with a year of the era.
            return (era.starts_with('A')).then(|| &text[era.len()..]);
        }
        'X' | 'x' | 'Z' | 'z' | 'V' | 'O' => {
            let (zone, rest) = zone_text::parse(letter, text)?;
            time.zone = Some(zone);
            return Some(rest);
        }
        _ => {}
    }
    let length = text.bytes().take_while(u8::is_ascii_digit).count().min(*widths.end());
    if !widths.contains(&length) {
        return None;
    }
    let number: i64 = text[..length].parse().ok()?;
    match letter {
        'y' if count == 2 => time.year = 2_000 + number,
        'y' => time.year = number,
        'M' | 'L' => time.month = Some(number as u32),
        'd' => time.day = Some(number as u32),
        'D' => time.day_of_year = Some(number),
        'H' => time.hour = number,
        'k' => time.hour = if number == 24 { 0 } else { number },
        'K' => time.half_hour = Some(number).filter(|hour| *hour < 12)?.into(),
        'h' => time.half_hour = Some(number).filter(|hour| *hour > 0)?.into(),
        'm' => time.minute = number,
        's' => time.second = number,
        _ => time.micros = format!("{:0<6}", &text[..length])[..6].parse().ok()?,
    }
    Some(&text[length..])
}
