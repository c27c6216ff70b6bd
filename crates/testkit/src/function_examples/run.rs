//! Runs an example as a query over a source.

use super::golden::{Answer, Example, Table};
use arrow_array::RecordBatch;
use std::sync::Arc;
use tidemill_flow::alone;
use tidemill_model::Millis;
use tidemill_sql::eval::EvalContext;
use tidemill_sql::text::show;
use tidemill_sql::zone::{WallClock, Zone};

const CONTEXT: EvalContext = EvalContext { timestamp: Millis(1_700_000_000_123), zone: Zone::UTC, seed: 0 };

/// Our answer, or the planner's message.
pub(super) fn answer(example: &Example) -> Result<Answer, String> {
    let (sql, schema, records) = over_a_source(example);
    let text = format!(
        "[sources.rows]\ntype = \"kafka\"\nbootstrap_servers = \"h:1\"\ntopic = \"t\"\nschema = {}\n\
         [query]\nsql = {}\noutput_mode = \"update\"\n[sinks.out]\ntype = \"console\"\n",
        quoted(&schema),
        quoted(&sql)
    );
    let pipeline = tidemill_config::parse("p.toml", &text, &[]).map_err(|faults| faults.0[0].message.clone())?;
    let plan = tidemill_sql::plan(&pipeline).map_err(|faults| faults.0[0].message.clone())?;
    Ok(match alone::run(&Arc::new(plan), &records, &CONTEXT) {
        Ok(rows) => shown(&rows),
        Err(class) => Answer::Error(class),
    })
}

/// A TOML string.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON")
}

/// The example's query over the source `rows`; the source's columns and records.
fn over_a_source(example: &Example) -> (String, String, Vec<String>) {
    match &example.table {
        Some(Table { text, schema, records }) => {
            let named = text.rsplit_once('(').map_or("", |(named, _)| named);
            let alias = named.split_whitespace().next_back().unwrap_or("rows");
            let (rows, schema) = without_void(schema);
            (example.sql.replace(text, &format!("{rows} AS {alias}")), schema, records.clone())
        }
        None if reads_a_table(&example.sql) => (example.sql.clone(), "row INT".into(), vec!["{}".into()]),
        None => (format!("{} FROM rows", example.sql), "row INT".into(), vec!["{}".into()]),
    }
}

/// The rows in FROM, and the source's columns. A column of NULLs alone, which no source has, is made in a subquery.
fn without_void(schema: &str) -> (String, String) {
    let columns: Vec<&str> = schema.split(", ").collect();
    let (void, others): (Vec<&str>, Vec<&str>) = columns.iter().partition(|column| column.ends_with(" void"));
    if void.is_empty() {
        return ("rows".into(), schema.into());
    }
    let item = |column: &&str| match column.strip_suffix(" void") {
        Some(name) => format!("NULL AS {name}"),
        None => column.split(' ').next().unwrap_or_default().into(),
    };
    let items: Vec<String> = columns.iter().map(item).collect();
    let schema = if others.is_empty() { "row INT".into() } else { others.join(", ") };
    (format!("(SELECT {} FROM rows)", items.join(", ")), schema)
}

/// Whether the statement has a FROM outside of parentheses and strings.
fn reads_a_table(sql: &str) -> bool {
    let (mut depth, mut quote, mut outside) = (0, None, String::new());
    for c in sql.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            (None, c) if depth == 0 => outside.push(c),
            _ => {}
        }
    }
    outside.split_whitespace().any(|word| word.eq_ignore_ascii_case("FROM"))
}

fn shown(rows: &RecordBatch) -> Answer {
    let schema = rows.schema();
    let names = schema.fields().iter().map(|field| field.name().clone()).collect();
    let types = schema.fields().iter().map(|field| tidemill_sql::types::simple_name(field.data_type())).collect();
    let clock = WallClock::utc();
    let row = |row: usize| rows.columns().iter().map(|column| escaped(&show::value(column, row, &clock))).collect();
    Answer::rows(names, types, (0..rows.num_rows()).map(row).collect())
}

/// Escapes characters as `show` does.
fn escaped(text: &str) -> String {
    let escapes = [
        ('\n', "\\n"),
        ('\r', "\\r"),
        ('\t', "\\t"),
        ('\u{c}', "\\f"),
        ('\u{8}', "\\b"),
        ('\u{b}', "\\v"),
        ('\u{7}', "\\a"),
    ];
    escapes.iter().fold(text.to_owned(), |text, (c, escape)| text.replace(*c, escape))
}
