//! Generates scenarios from a seed: pipelines that Spark accepts, and data that are late, null, malformed, out of
//! order, before 1970, from the far future, or exactly on a window's bound.
//!
//! A seed must give the same case for ever: real Spark answers each case once, and `cargo xtask differential` keeps the
//! answers. So this does not use proptest, whose cases may change with its version.

use super::data::Data;
use super::{EventTime, Lines, Restart, Run, Scenario};
use tidemill_model::random::Random;

/// The scenario of a seed, without Spark's result.
pub(super) fn generate(seed: u64) -> Scenario {
    let mut maker = ScenarioGenerator::new(seed);
    let (sql, mode) = maker.query();
    let (sql, mode) = sessions(seed, &maker, &sql, mode).unwrap_or((sql, mode));
    let batches = maker.data.batches(&mut maker.random);
    let run = if maker.random.chance(60) { Run::Drained } else { Run::Backlog };
    let restarts = maker.restarts(batches.len());
    Scenario {
        about: format!("Made up from seed {seed}."),
        schema: maker.data.schema(),
        event_time: Some(EventTime { column: maker.time.into(), expression: maker.data.time.expression().into() }),
        watermark: maker.watermark.map(str::to_owned),
        sql,
        mode: mode.into(),
        run,
        restarts,
        no_data_batches: !maker.random.chance(3),
        zone: maker.zone.map(str::to_owned),
        sources: Vec::new(),
        batches: batches.into_iter().map(Lines::All).collect(),
        spark: None,
    }
}

/// Of some queries with windows, the same with sessions. They are drawn apart from everything else.
fn sessions(seed: u64, maker: &ScenarioGenerator, sql: &str, mode: &'static str) -> Option<(String, &'static str)> {
    let mut random = Random::new(!seed);
    let time = maker.time;
    let (before, rest) = sql.split_once(&format!("GROUP BY window({time}, "))?;
    if !random.chance(20) {
        return None;
    }
    let (_, rest) = rest.split_once(')')?;
    let gap = random.one(&[
        "'5 seconds'",
        "'5 seconds'",
        "'1 second'",
        "'1500 milliseconds'",
        "'1 minute'",
        "'1 day'",
        "CASE WHEN v > 20 THEN '20 seconds' WHEN v < 5 THEN '0 seconds' WHEN k = 'a' THEN '3 seconds' END",
        "concat(v, ' seconds')",
    ]);
    // On streams a session needs another key.
    let key = if rest.starts_with(',') { "" } else { ", k" };
    let sql = format!("{before}GROUP BY session_window({time}, {gap}){key}{rest}");
    let sql = sql.replace("window.", "session_window.").replace("SELECT window,", "SELECT session_window,");
    let mode = if mode == "complete" || maker.watermark.is_none() { "complete" } else { "append" };
    Some((sql, mode))
}

struct ScenarioGenerator {
    random: Random,
    data: Data,
    /// The event-time column's name.
    time: &'static str,
    watermark: Option<&'static str>,
    /// The session's time zone; `None`: UTC.
    zone: Option<&'static str>,
}

/// Zones, each with a second near which its clock changes or skips a day.
const ZONES: [(&str, i64); 9] = [
    ("Europe/Paris", 1_729_990_800),
    ("Europe/Paris", 1_711_846_800),
    ("America/New_York", 1_710_054_000),
    ("America/St_Johns", 1_143_948_660),
    ("America/Sao_Paulo", 1_541_300_400),
    ("Pacific/Apia", 1_325_239_200),
    ("Asia/Kolkata", 1_700_073_000),
    ("+05:30", 1_700_073_000),
    ("GMT-3", 1_700_017_200),
];

/// What rows are grouped by.
enum Grouping {
    Window,
    RawTime,
    Keys,
    Nothing,
    Stateless,
}

impl ScenarioGenerator {
    fn new(seed: u64) -> ScenarioGenerator {
        let mut random = Random::new(seed);
        let mut data = Data::new(&mut random);
        let time = if random.chance(12) { "t" } else { "et" };
        let delays = ["0 seconds", "1 second", "1500 milliseconds", "10 seconds", "10 seconds", "1 minute", "1 hour"];
        let watermark = random.chance(85).then(|| random.one(&delays));
        let zone = random.chance(25).then(|| random.one(&ZONES));
        if let Some((_, change_s)) = zone {
            data.set_zone(&mut random, change_s);
        }
        ScenarioGenerator { random, data, time, watermark, zone: zone.map(|(name, _)| name) }
    }

    fn query(&mut self) -> (String, &'static str) {
        let grouping = match self.random.between(1, 100) {
            1..=72 => Grouping::Window,
            73..=79 => Grouping::RawTime,
            80..=88 => Grouping::Keys,
            89..=93 => Grouping::Nothing,
            _ => Grouping::Stateless,
        };
        let filter = self.filter();
        if matches!(grouping, Grouping::Stateless) {
            let time = self.time;
            let shown = match self.zone {
                Some(_) => {
                    format!("CAST({time} AS STRING) AS s, date_trunc('HOUR', {time}) AS h, to_date({time}) AS d2, ")
                }
                None => String::new(),
            };
            let sql = format!("SELECT k, v, {time}, {shown}v * 2 AS twice, upper(k) AS u FROM events{filter}");
            return (sql, self.random.one(&["append", "update"]));
        }
        let mode = match grouping {
            Grouping::Window | Grouping::RawTime if self.watermark.is_some() => {
                self.random.one(&["append", "append", "update", "update", "complete"])
            }
            _ => self.random.one(&["update", "update", "complete"]),
        };
        let keys = match grouping {
            Grouping::Nothing => Vec::new(),
            Grouping::Keys => self.keys(1),
            _ => self.keys(0),
        };
        let mut columns: Vec<String> = Vec::new();
        let mut groups = keys.clone();
        match grouping {
            Grouping::Window => {
                columns.extend(
                    self.random
                        .one(&[&["window.start", "window.end"][..], &["window"], &["window.end"]])
                        .iter()
                        .map(|c| (*c).into()),
                );
                groups.insert(0, self.window());
            }
            Grouping::RawTime => {
                columns.push(self.time.into());
                groups.push(self.time.into());
            }
            _ => {}
        }
        columns.extend(
            keys.iter()
                .enumerate()
                .map(|(n, key)| if key.len() == 1 { key.clone() } else { format!("{key} AS key{n}") }),
        );
        columns.extend(self.aggregates());
        let having = self.having(matches!(grouping, Grouping::Window), &keys);
        let group_by = if groups.is_empty() { String::new() } else { format!(" GROUP BY {}", groups.join(", ")) };
        (format!("SELECT {} FROM events{filter}{group_by}{having}", columns.join(", ")), mode)
    }

    /// A window: slides that divide the width and slides that do not, with and without a start.
    fn window(&mut self) -> String {
        let time = self.time;
        let (width, slide) = self.data.window_ms;
        let start = self.data.window_start_ms;
        let text = |ms: i64| match ms.rem_euclid(1_000) {
            0 => format!("{} seconds", ms.div_euclid(1_000)),
            _ => format!("{ms} milliseconds"),
        };
        match (width == slide, start) {
            (true, 0) => format!("window({time}, '{}')", text(width)),
            (_, 0) => format!("window({time}, '{}', '{}')", text(width), text(slide)),
            _ => format!("window({time}, '{}', '{}', '{}')", text(width), text(slide), text(start)),
        }
    }

    fn keys(&mut self, least: i64) -> Vec<String> {
        let mut keys = Vec::new();
        for _ in 0..self.random.between(least, 2) {
            let key = self.random.one(&["k", "k", "g", "g", "b", "v % 3", "upper(k)", "(v IS NULL)", "d"]).to_owned();
            let key = match self.zone {
                Some(_) if self.random.chance(30) => {
                    self.random.one(&["to_date(#)", "hour(#)", "date_format(#, 'HH:mm XXX')"]).replace('#', self.time)
                }
                _ => key,
            };
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    fn aggregates(&mut self) -> Vec<String> {
        let mut calls = vec!["count(*)".to_owned()];
        for _ in 0..self.random.between(0, 4) {
            let call = self.random.one(&[
                "count(v)",
                "count(k, v)",
                "count_if(v > 5)",
                "sum(v)",
                "avg(v)",
                "min(v)",
                "max(v)",
                "sum(x)",
                "avg(x)",
                "min(x)",
                "max(x)",
                "min(k)",
                "max(k)",
                "sum(d)",
                "avg(d)",
                "min(d)",
                "min(g)",
                "max(g)",
                "max(b)",
                "sum(v) FILTER (WHERE k = 'a')",
                "count(*) FILTER (WHERE b)",
                "sum(v + 1)",
                "sum(v) + count(*)",
                "max(v) - min(v)",
                "first(v)",
                "last(k)",
                "max_by(k, v)",
                "min_by(v, x)",
                "var_pop(v)",
                "stddev(v)",
                "bool_or(b)",
                "approx_count_distinct(k)",
            ]);
            if !calls.contains(&call.to_owned()) {
                calls.push(call.to_owned());
            }
        }
        if self.random.chance(3) {
            calls.push("sum(100 / v)".into());
        }
        if self.random.chance(85) {
            calls = calls.iter().enumerate().map(|(n, call)| format!("{call} AS a{n}")).collect();
        }
        calls
    }

    fn filter(&mut self) -> String {
        if !self.random.chance(55) {
            return String::new();
        }
        let mut condition = self.condition(2);
        for _ in 0..self.random.between(0, 2) {
            condition = format!("{condition} AND {}", self.condition(2));
        }
        format!(" WHERE {condition}")
    }

    /// A condition on rows. Some name the event time (rule M1).
    fn condition(&mut self, depth: u32) -> String {
        match self.random.between(1, 100) {
            1..=20 if depth > 0 => {
                let shared = self.simple();
                let parts = [self.simple(), self.condition(depth - 1)];
                match self.random.between(0, 4) {
                    0 => format!("({shared} AND {} OR {shared} AND {})", parts[0], parts[1]),
                    1 => format!("({shared} OR {}) AND ({shared} OR {})", parts[0], parts[1]),
                    2 => format!("NOT ({} OR {})", parts[0], parts[1]),
                    3 => format!("NOT ({} AND {})", parts[0], parts[1]),
                    _ => format!("({} OR {})", parts[0], parts[1]),
                }
            }
            21..=40 if depth > 0 => format!("({} OR {})", self.simple(), self.condition(depth - 1)),
            _ => self.simple(),
        }
    }

    fn simple(&mut self) -> String {
        if self.random.chance(35) {
            let seconds = self.data.start_s + self.random.between(-20, 120);
            let time = self.time;
            if self.zone.is_some() && self.random.chance(40) {
                let day = self.random.one(&["2024-03-31", "2024-10-27", "2018-11-04", "2011-12-30", "2023-11-15"]);
                return match self.random.between(0, 3) {
                    0 => format!("{time} >= '{day} 02:30:00'"),
                    1 => format!("to_date({time}) <= DATE '{day}'"),
                    2 => format!("{time} < TIMESTAMP '{day}' + INTERVAL 1 DAY"),
                    _ => format!("hour({time}) < 12"),
                };
            }
            return match self.random.between(0, 7) {
                0 => format!("{time} < timestamp_seconds({seconds})"),
                1 => format!("{time} >= timestamp_seconds({})", seconds - 60),
                2 => format!("{time} IS NOT NULL"),
                3 => format!("{time} IS NULL"),
                4 => format!("second({time}) <= v"),
                5 => format!("{time} >= timestamp_seconds({} + v)", seconds - 60),
                6 => format!("length(k) < second({time}) + 1"),
                _ => format!("second({time}) < 45"),
            };
        }
        let simple = [
            "k = 'a'",
            "k <> 'b'",
            "k IN ('a', 'c')",
            "k LIKE 'a%'",
            "length(k) > 0",
            "k IS NOT NULL",
            "k IS NULL",
            "v > 5",
            "v < 50",
            "v IS NOT NULL",
            "v % 2 = 0",
            "v BETWEEN 1 AND 60",
            "b",
            "NOT b",
            "x > 0",
            "d >= 1.5",
            "coalesce(v, 0) >= 0",
            "k <=> 'a'",
            "k = lower('B')",
            "v = 2 * 3",
            "1 = 1",
            "k = NULL",
        ];
        self.random.one(&simple).to_owned()
    }

    fn having(&mut self, window: bool, keys: &[String]) -> String {
        if !self.random.chance(25) {
            return String::new();
        }
        let border = self.data.start_s + self.random.between(0, 60);
        let mut conditions = vec![
            "count(*) > 1".to_owned(),
            "sum(v) > 10".into(),
            "max(k) IS NOT NULL".into(),
            "sum(v) > 5 + length(max(k))".into(),
        ];
        if window {
            conditions.push(format!("window.start < timestamp_seconds({border})"));
            conditions.push(format!("window.end > timestamp_seconds({border})"));
        }
        for key in keys {
            conditions.push(format!("{key} IS NOT NULL"));
            conditions.push(format!("(max({key}) = {key} OR count(*) > 1)"));
            conditions.push(format!("min({key}) <= {key}"));
            if window {
                conditions.push(format!("({key} IS NULL OR window.start >= timestamp_seconds({border}))"));
            }
        }
        if keys.iter().any(|key| key == "k") {
            conditions.extend(["k = 'a'".to_owned(), "(k = 'a' OR count(*) > 2)".into(), "k <> 'c'".into()]);
        }
        let chosen = self.random.between(0, conditions.len() as i64 - 1) as usize;
        let other = self.random.between(0, conditions.len() as i64 - 1) as usize;
        match self.random.chance(35) {
            true => format!(" HAVING {} AND {}", conditions[chosen], conditions[other]),
            false => format!(" HAVING {}", conditions[chosen]),
        }
    }

    fn restarts(&mut self, batches: usize) -> Vec<Restart> {
        if batches < 2 || !self.random.chance(12) {
            return Vec::new();
        }
        let before = self.random.between(1, batches as i64 - 1) as usize;
        vec![Restart { before, lost_commits: usize::from(self.random.chance(60)) }]
    }
}
