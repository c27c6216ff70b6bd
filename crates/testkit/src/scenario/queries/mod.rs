//! Generates queries of all forms and functions over random rows.
//!
//! Expressions come from [`template`]: what is generated follows the table of functions. So the case of a seed stays the
//! same only as long as the table does.

mod expressions;
mod forms;
mod plans;
mod rows;
mod template;

use super::{EventTime, Lines, Run, Scenario, Source};
use plans::Outcome;
use std::collections::BTreeMap;
use template::templates;
use tidemill_model::random::Random;

/// Tries to find a query that the planner takes.
const TRIES: u32 = 60;

/// The scenario of a seed, without Spark's result.
pub(super) fn generate(seed: u64) -> Scenario {
    let mut maker = QueryGenerator { random: Random::new(seed), records: Vec::new() };
    let batches = rows::batches(&mut maker.random);
    maker.records = batches.concat();
    // A row that fails ends the case, so few cases have one.
    let may_fail = maker.random.chance(8);
    let mut made = scenario("SELECT k FROM events", "append");
    for _ in 0..TRIES {
        let Some((sql, mode)) = maker.query(may_fail) else {
            continue;
        };
        let tried = scenario(&sql, mode);
        match plans::outcome(&tried, &maker.records) {
            Outcome::Rows => {}
            Outcome::Failed if may_fail => {}
            _ => continue,
        }
        made = tried;
        break;
    }
    made.about = format!("Made up from seed {seed}.");
    made.watermark = maker.random.chance(40).then(|| "10 seconds".to_owned());
    let union = made.sql.contains("others");
    made.run = if union || maker.random.chance(40) { Run::Backlog } else { Run::Drained };
    match union {
        true => of_two_sources(&mut made, &mut maker.random, batches),
        false => made.batches = batches.into_iter().map(Lines::All).collect(),
    }
    made
}

/// Moves the source into the list and adds another one of its shape.
fn of_two_sources(made: &mut Scenario, random: &mut Random, batches: Vec<Vec<String>>) {
    let own = |name: &str| Source {
        name: name.into(),
        schema: made.schema.clone(),
        event_time: made.event_time.clone(),
        watermark: made.watermark.clone(),
    };
    made.sources = vec![own("events"), own("others")];
    (made.schema, made.event_time, made.watermark) = (String::new(), None, None);
    let other = rows::batches(random).concat();
    made.batches =
        vec![Lines::BySource(BTreeMap::from([("events".into(), batches.concat()), ("others".into(), other)]))];
}

/// A case over the generated columns, without records.
fn scenario(sql: &str, mode: &str) -> Scenario {
    let sql = sql.to_owned();
    Scenario {
        about: String::new(),
        schema: rows::schema(),
        event_time: Some(EventTime { column: "et".into(), expression: "CAST(t AS TIMESTAMP)".into() }),
        watermark: None,
        sql,
        mode: mode.into(),
        run: Run::Drained,
        restarts: Vec::new(),
        no_data_batches: true,
        zone: None,
        sources: Vec::new(),
        batches: Vec::new(),
        spark: None,
    }
}

fn is_map(expression: &str) -> bool {
    plans::type_of(expression).is_some_and(|of| of.contains("MAP"))
}

struct QueryGenerator {
    random: Random,
    /// All records of the case.
    records: Vec<String>,
}

impl QueryGenerator {
    /// A query and its output mode.
    fn query(&mut self, may_fail: bool) -> Option<(String, &'static str)> {
        match self.random.between(1, 100) {
            1..=50 => self.rows(may_fail),
            51..=78 => self.groups(may_fail),
            79..=90 => self.generator(may_fail),
            _ => self.pipe(may_fail),
        }
    }

    /// A select list without groups.
    fn rows(&mut self, may_fail: bool) -> Option<(String, &'static str)> {
        let items = self.items(may_fail, 5)?;
        let filter = self.filter(25);
        let from = match self.random.between(1, 10) {
            1 => format!("(SELECT * FROM events{filter}) AS events"),
            2 => "(SELECT * FROM events UNION ALL SELECT * FROM others) AS events".into(),
            _ => format!("events{filter}"),
        };
        Some((format!("SELECT {items} FROM {from}"), self.random.one(&["append", "update"])))
    }

    /// Expressions that each work alone.
    fn items(&mut self, may_fail: bool, most: i64) -> Option<String> {
        let mut items = vec!["t".to_owned()];
        for number in 0..self.random.between(2, most) {
            let item = self.item(may_fail)?;
            // Spark's name of a part of what these give depends on how it plans them.
            let is_read = item.contains("from_json(") || item.contains("from_csv(") || item.ends_with(").b");
            items.push(if self.random.chance(65) || is_read { format!("{item} AS c{number}") } else { item });
        }
        Some(items.join(", "))
    }

    fn item(&mut self, may_fail: bool) -> Option<String> {
        (0..TRIES).find_map(|_| {
            let item = expressions::any(&mut self.random)?;
            let tried = scenario(&format!("SELECT {item} AS c FROM events"), "update");
            match plans::outcome(&tried, &self.records) {
                Outcome::Rows => Some(item),
                Outcome::Failed if may_fail => Some(item),
                _ => None,
            }
        })
    }

    fn filter(&mut self, percent: i64) -> String {
        let condition = match self.random.chance(percent) {
            true => expressions::of_type(&mut self.random, "BOOLEAN", 2),
            false => None,
        };
        condition.map_or(String::new(), |condition| format!(" WHERE {condition}"))
    }

    fn groups(&mut self, may_fail: bool) -> Option<(String, &'static str)> {
        let key = match self.random.between(1, 10) {
            1..=3 => "k".to_owned(),
            4..=5 => "b".to_owned(),
            6..=8 => self.item(may_fail)?,
            _ => String::new(),
        };
        // Spark loses the NULLs of a MAP that is a key.
        let key = if is_map(&key) { "k".to_owned() } else { key };
        let keys = if key.is_empty() { String::new() } else { format!("{key} AS key0, ") };
        let (mut keys, group_by) = match (key.as_str(), self.random.between(1, 12)) {
            ("", _) => (keys, String::new()),
            (_, 1) => (format!("{keys}b, "), format!(" GROUP BY ROLLUP({key}, b)")),
            (_, 2) => (format!("{keys}y, "), format!(" GROUP BY CUBE({key}, y)")),
            (_, 3) => {
                (format!("{keys}b, grouping_id() AS gid, "), format!(" GROUP BY GROUPING SETS (({key}, b), (b), ())"))
            }
            (_, 4..=6) => (format!("window.start, {keys}"), format!(" GROUP BY window(et, '10 seconds'), {key}")),
            _ => (keys, format!(" GROUP BY {key}")),
        };
        for number in 0..self.random.between(1, 4) {
            let aggregate = self.aggregate()?;
            keys.push_str(&format!("{aggregate} AS a{number}, "));
        }
        let items = keys.trim_end_matches(", ");
        let filter = self.filter(15);
        let having = self.random.one(&["", "", "", " HAVING count(*) > 1", " HAVING max(i) IS NOT NULL"]);
        let mut sql = format!("SELECT {items} FROM events{filter}{group_by}{having}");
        let mode = self.random.one(&["update", "complete"]);
        // Spark refuses an order by an aggregate over HAVING.
        if mode == "complete" && !group_by.is_empty() && having.is_empty() && self.random.chance(30) {
            sql.push_str(self.random.one(&[
                " ORDER BY 1, 2",
                " ORDER BY count(*) DESC, 1 NULLS LAST LIMIT 100",
                " ORDER BY ALL",
            ]));
        }
        Some((sql, mode))
    }

    fn aggregate(&mut self) -> Option<String> {
        let aggregates = &templates().aggregates;
        let template = &aggregates[self.random.between(0, aggregates.len() as i64 - 1) as usize];
        let call = expressions::filled(&mut self.random, template, 2, &[])?;
        // Spark computes the first operand of nullif and BETWEEN before FILTER, so it must not fail.
        let alone = scenario(&format!("SELECT {call} AS c FROM events"), "update");
        let call = match self.random.chance(12) && plans::outcome(&alone, &self.records) == Outcome::Rows {
            true => format!("{call} FILTER (WHERE {})", expressions::of_type(&mut self.random, "BOOLEAN", 1)?),
            false => call,
        };
        // Whether Spark makes the map, and fails at a NULL key, depends on how it plans the aggregates.
        if call.contains("map(") && call.contains(")[") {
            return None;
        }
        // Whether a sum of numbers that large overflows on its way depends on the order of the rows, which is open.
        if call.contains("sum(") && call.contains("xxhash64(") {
            return None;
        }
        // The order of a set is open.
        let sorted = call.starts_with("collect_set");
        Some(if sorted { format!("sort_array({call})") } else { call })
    }

    fn generator(&mut self, may_fail: bool) -> Option<(String, &'static str)> {
        let of = |random: &mut Random, data_type: &str| expressions::of_type(random, data_type, 2);
        let random = &mut self.random;
        let (call, names) = match random.between(1, 8) {
            1 => (format!("explode({})", of(random, "ARRAY<INT>")?), "g0"),
            2 => (format!("posexplode({})", of(random, "ARRAY<STRING>")?), "g0, g1"),
            3 => (format!("explode({})", of(random, "MAP<STRING, INT>")?), "g0, g1"),
            4 => (format!("posexplode({})", of(random, "MAP<STRING, INT>")?), "g0, g1, g2"),
            5 => (format!("inline({})", of(random, "ARRAY<STRUCT<a: INT, b: STRING>>")?), "g0, g1"),
            6 => (
                format!("stack(2, {}, {}, {})", of(random, "INT")?, of(random, "STRING")?, of(random, "INT")?),
                "g0, g1",
            ),
            7 => (format!("json_tuple({}, 'a', 'b')", of(random, "STRING")?), "g0, g1"),
            _ => (format!("explode({})", of(random, "ARRAY<ARRAY<INT>>")?), "g0"),
        };
        let items = self.items(may_fail, 3)?;
        let sql = match self.random.between(0, 3) {
            0 => format!("SELECT {items}, {names} FROM events LATERAL VIEW {call} v AS {names}"),
            1 => format!("SELECT {items}, {names} FROM events LATERAL VIEW OUTER {call} v AS {names}"),
            2 => format!("SELECT {items}, {call} AS ({names}) FROM events"),
            _ => format!("SELECT {items}, {call} FROM events"),
        };
        Some((sql, self.random.one(&["append", "update"])))
    }

    fn pipe(&mut self, may_fail: bool) -> Option<(String, &'static str)> {
        let (one, other) = (self.item(may_fail)?, self.item(may_fail)?);
        let filter = expressions::of_type(&mut self.random, "BOOLEAN", 2)?;
        let aggregate = self.aggregate()?;
        let form = self.random.between(0, 4);
        // Spark loses the NULLs of a MAP that is a key, and does not compute an aggregate of which it knows that it is not NULL.
        let never_null = ["count", "approx_count_distinct", "collect_", "sort_array", "regr_count"];
        let is_left_out = is_map(&one) || form == 4 && never_null.iter().any(|name| aggregate.starts_with(name));
        if ![0, 2].contains(&form) && is_left_out {
            return None;
        }
        let sql = match form {
            0 => format!("FROM events |> EXTEND {one} AS p |> WHERE {filter} |> SELECT t, p, {other} AS q"),
            1 => format!("FROM events |> WHERE {filter} |> AGGREGATE {aggregate} AS r GROUP BY {one} AS g"),
            2 => {
                format!("WITH w AS (SELECT *, {one} AS p FROM events) SELECT t, p, {other} AS q FROM w WHERE {filter}")
            }
            3 => format!("SELECT DISTINCT {one} AS p FROM events WHERE {filter}"),
            _ => format!(
                "SELECT g, r IS NULL AS z FROM (SELECT {one} AS g, {aggregate} AS r FROM events GROUP BY {one}) AS w"
            ),
        };
        let mode = if sql.contains("AGGREGATE") || sql.contains("DISTINCT") || sql.contains("GROUP BY") {
            "update"
        } else {
            "append"
        };
        Some((sql, mode))
    }
}
