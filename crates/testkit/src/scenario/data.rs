//! Generates records and their times from a seed. Why this is not proptest: see [`super::generate`].

use tidemill_model::random::Random;

/// Parameters of a scenario's records.
pub(super) struct Data {
    pub(super) time: TimeColumn,
    key_type: &'static str,
    value_type: &'static str,
    /// Start of event time, seconds.
    pub(super) start_s: i64,
    /// Width and slide of the query's window, ms. Some records lie exactly on its bounds.
    pub(super) window_ms: (i64, i64),
    pub(super) window_start_ms: i64,
    /// Doubles of both signs that add up exactly; or else positive ones, whose sums are nearly the same in any order.
    exact: bool,
    /// Whether times as text name their zone.
    names_zone: bool,
}

/// The form of a record's time.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum TimeColumn {
    Double,
    Seconds,
    Millis,
    Timestamp,
}

impl TimeColumn {
    pub(super) fn expression(self) -> &'static str {
        match self {
            TimeColumn::Double | TimeColumn::Seconds => "CAST(t AS TIMESTAMP)",
            TimeColumn::Millis => "timestamp_millis(t)",
            TimeColumn::Timestamp => "t",
        }
    }

    fn data_type(self) -> &'static str {
        match self {
            TimeColumn::Double => "DOUBLE",
            TimeColumn::Seconds | TimeColumn::Millis => "BIGINT",
            TimeColumn::Timestamp => "TIMESTAMP",
        }
    }

    fn write(self, micros: i64, names_zone: bool) -> String {
        match self {
            TimeColumn::Double => format!("{}", micros as f64 / 1e6),
            TimeColumn::Seconds => micros.div_euclid(1_000_000).to_string(),
            TimeColumn::Millis => micros.div_euclid(1_000).to_string(),
            TimeColumn::Timestamp => {
                let text = tidemill_model::time::iso_millis(tidemill_model::Millis(micros.div_euclid(1_000)));
                format!("\"{}\"", if names_zone { &text } else { text.trim_end_matches('Z') })
            }
        }
    }
}

const WINDOWS_MS: [(i64, i64); 16] = [
    (5_000, 5_000),
    (10_000, 10_000),
    (1_000, 1_000),
    (60_000, 60_000),
    (7_000, 7_000),
    (500, 500),
    (10_000, 5_000),
    (10_000, 2_000),
    (60_000, 15_000),
    (6_000, 3_000),
    (10_000, 4_000),
    (10_000, 3_000),
    (7_000, 2_000),
    (5_000, 4_500),
    (12_000, 9_000),
    (8_000, 100),
];

impl Data {
    pub(super) fn new(random: &mut Random) -> Data {
        let times = [
            TimeColumn::Double,
            TimeColumn::Double,
            TimeColumn::Double,
            TimeColumn::Seconds,
            TimeColumn::Millis,
            TimeColumn::Timestamp,
        ];
        let keys = [
            "INT",
            "BIGINT",
            "SMALLINT",
            "TINYINT",
            "DOUBLE",
            "FLOAT",
            "BOOLEAN",
            "DECIMAL(6,2)",
            "DATE",
            "STRING",
            "TIMESTAMP",
            "STRUCT<a: INT, b: STRING>",
            "ARRAY<INT>",
        ];
        let window_ms = random.one(&WINDOWS_MS);
        let window_start_ms = if random.chance(15) { random.between(1 - window_ms.1, window_ms.1 - 1) } else { 0 };
        Data {
            time: random.one(&times),
            key_type: random.one(&keys),
            value_type: random.one(&["BIGINT", "BIGINT", "INT", "SMALLINT"]),
            start_s: random.one(&[0, 10, 10, 100, 1_700_000_000, 1_700_000_000, -30, -1_000, 951_782_390]),
            window_ms,
            window_start_ms,
            exact: random.chance(50),
            names_zone: true,
        }
    }

    /// Sets a session zone: records are often near a change of its clock (`change_s`) and have times on that clock.
    pub(super) fn set_zone(&mut self, random: &mut Random, change_s: i64) {
        if random.chance(60) {
            self.start_s = change_s - 60;
        }
        self.names_zone = random.chance(40);
    }

    pub(super) fn schema(&self) -> String {
        let (time, key, value) = (self.time.data_type(), self.key_type, self.value_type);
        format!("t {time}, k STRING, g {key}, v {value}, x DOUBLE, d DECIMAL(8,2), b BOOLEAN")
    }

    pub(super) fn batches(&self, random: &mut Random) -> Vec<Vec<String>> {
        let mut now_s = self.start_s;
        let mut batches = Vec::new();
        for _ in 0..random.between(1, 6) {
            let count = if random.chance(6) { 0 } else { random.between(1, 10) };
            batches.push((0..count).map(|_| self.record(random, now_s)).collect());
            now_s += match random.between(1, 10) {
                1 => 0,
                2 => -random.between(1, 40),
                3 => random.between(60, 400),
                _ => random.between(1, 25),
            };
        }
        batches
    }

    fn record(&self, random: &mut Random, now_s: i64) -> String {
        match random.between(1, 100) {
            1 => return String::new(),
            2 => return "nonsense".into(),
            3 => return "{\"t\":5,\"k\":\"a\"".into(),
            4 => return "{\"k\":\"a\",\"v\":01}".into(),
            5 => return "[]".into(),
            _ => {}
        }
        let mut members = Vec::new();
        let mut member = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                members.push(format!("\"{name}\":{value}"));
            }
        };
        let time = self.time.write(self.micros(random, now_s), self.names_zone);
        member("t", perhaps(random, 3, time));
        let k = format!("\"{}\"", random.one(&["a", "a", "b", "c", "ab", "", "é"]));
        member("k", perhaps(random, 6, k));
        let g = self.key(random);
        member("g", perhaps(random, 6, g));
        let v = if random.chance(3) { random.between(-32_768, 32_767) } else { random.between(-5, 80) };
        member("v", perhaps(random, 8, v.to_string()));
        let x = self.double(random);
        member("x", perhaps(random, 8, x));
        let d = format!("{}.{:02}", random.between(-3, 900), random.between(0, 99));
        member("d", perhaps(random, 8, d));
        let b = random.one(&["true", "false"]).to_owned();
        member("b", perhaps(random, 8, b));
        format!("{{{}}}", members.join(","))
    }

    /// A time near `now_s`, µs.
    fn micros(&self, random: &mut Random, now_s: i64) -> i64 {
        let now = now_s * 1_000_000;
        let (width, slide) = self.window_ms;
        match random.between(1, 100) {
            1..=20 => {
                // On a bound, or one step beside it.
                let step = random.one(&[slide, width]) * 1_000;
                let border = (now + random.between(-20, 20) * step).div_euclid(step) * step;
                border + self.window_start_ms * 1_000 + random.one(&[0, 0, 0, 1, -1, 1_000, -1_000])
            }
            21..=32 => now - random.between(0, 120_000_000),
            33..=35 => random.between(-100, 5) * 1_000_000,
            36 if self.start_s < 1_000 => random.one(&[4_000_000_000, 253_402_300_799]) * 1_000_000,
            37..=60 => now + random.between(-8, 12) * 1_000_000,
            _ => now + random.between(-8_000_000, 12_000_000),
        }
    }

    fn key(&self, random: &mut Random) -> String {
        let small = random.between(0, 3);
        match self.key_type {
            "INT" | "BIGINT" | "SMALLINT" => small.to_string(),
            "TINYINT" => random.one(&["0", "1", "127", "200", "-128"]).to_owned(),
            "DOUBLE" | "FLOAT" => random.one(&["0.0", "-0.0", "NaN", "1.5", "0.1", "\"Infinity\"", "2"]).to_owned(),
            "BOOLEAN" => random.one(&["true", "false"]).to_owned(),
            "DECIMAL(6,2)" => random.one(&["1.5", "1.50", "\"1.504\"", "-2", "12345.67"]).to_owned(),
            "DATE" => format!("\"2024-02-{}\"", 27 + small),
            "TIMESTAMP" if self.names_zone => format!("\"2024-02-29T12:00:0{small}.5Z\""),
            "TIMESTAMP" => format!("\"2024-03-31T02:30:0{small}.5\""),
            "ARRAY<INT>" => random.one(&["[]", "[1]", "[1,2]", "[null]", "[1,null]"]).to_owned(),
            "STRING" => random.one(&["\"x\"", "\"y\"", "7", "{\"a\": 1.0}"]).to_owned(),
            _ => {
                random.one(&["{}", "{\"a\":1}", "{\"a\":1,\"b\":\"x\"}", "{\"b\":\"x\"}", "{\"a\":\"bad\"}"]).to_owned()
            }
        }
    }

    fn double(&self, random: &mut Random) -> String {
        if random.chance(2) {
            return random.one(&["NaN", "\"Infinity\"", "\"-Infinity\""]).to_owned();
        }
        match self.exact {
            true => format!("{}", random.between(-400, 400) as f64 / 4.0),
            false => format!("{}", random.between(1, 1_000_000) as f64 / 1_000.0),
        }
    }
}

/// A member's value; sometimes null, of a wrong type, or missing.
fn perhaps(random: &mut Random, percent: i64, value: String) -> Option<String> {
    if !random.chance(percent) {
        return Some(value);
    }
    match random.between(0, 3) {
        0 | 1 => Some("null".into()),
        2 => Some("[{}]".into()),
        _ => None,
    }
}
