//! Runs a scenario on the real driver.

use super::value::rows;
use super::{BatchResult, EventTime, Lines, Restart, Run, RunResult, Scenario, kafka};
use crate::{Batch, Harness, Topic};
use tidemill_checkpoint::record::{Kind, batch};
use tidemill_checkpoint::segment;
use tidemill_model::Result;
use tidemill_sql::types;

pub(super) fn run(scenario: &Scenario) -> RunResult {
    let mut harness = Harness::new(&pipeline(scenario));
    harness.further_topics = scenario.sources.iter().map(|source| (source.name.clone(), Topic::new(1))).collect();
    let mut result = RunResult { version: "tidemill".into(), ..RunResult::default() };
    match columns(&harness.pipeline) {
        Ok(columns) => result.columns = columns,
        Err(refused) => {
            result.refused = Some(refused);
            return result;
        }
    }
    let starts = [Restart { before: 0, lost_commits: 0 }].into_iter().chain(scenario.restarts.iter().copied());
    let ends = scenario.restarts.iter().map(|restart| restart.before).chain([scenario.batches.len()]);
    for (start, end) in starts.zip(ends) {
        lose_commits(&harness, start.lost_commits);
        let batches = &scenario.batches[start.before..end];
        let outcome = match scenario.run {
            Run::Drained => drained(scenario, &harness, batches, &mut result.batches),
            Run::Backlog | Run::Table => backlog(scenario, &harness, batches, &mut result.batches),
        };
        if let Err(error) = outcome {
            result.error = Some(error.to_string());
            break;
        }
    }
    result
}

/// The pipeline file of a case.
pub(super) fn pipeline(scenario: &Scenario) -> String {
    let sources: String = match scenario.sources.as_slice() {
        [] => source("events", &scenario.schema, scenario.event_time.as_ref(), scenario.watermark.as_deref()),
        several => {
            several.iter().map(|s| source(&s.name, &s.schema, s.event_time.as_ref(), s.watermark.as_deref())).collect()
        }
    };
    format!(
        r#"
on_error = "fail"
session_time_zone = {}
{sources}
[query]
sql = {}
output_mode = {}
no_data_batches = {}
[sinks.screen]
type = "console"
"#,
        quoted(scenario.zone.as_deref().unwrap_or("UTC")),
        quoted(&scenario.sql),
        quoted(&scenario.mode),
        scenario.no_data_batches,
    )
}

/// A source. Without a schema it has Kafka's own columns.
fn source(name: &str, schema: &str, event_time: Option<&EventTime>, watermark: Option<&str>) -> String {
    let event_time = event_time.map_or(String::new(), |event_time| {
        let watermark = watermark.map_or(String::new(), |delay| format!("watermark = {}", quoted(delay)));
        format!(
            "[sources.{name}.event_time]\ncolumn = {}\nexpression = {}\n{watermark}\n",
            quoted(&event_time.column),
            quoted(&event_time.expression)
        )
    });
    let columns = match schema {
        "" => "include_headers = true".into(),
        schema => format!("schema = {}", quoted(schema)),
    };
    format!(
        r#"
[sources.{name}]
type = "kafka"
bootstrap_servers = "memory:9092"
topic = "topic"
{columns}
{event_time}
"#
    )
}

/// A JSON string, which is also a TOML string.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text serialises").replace('\u{7f}', "\\u007f")
}

/// The result's columns, or why the pipeline is refused.
fn columns(pipeline: &str) -> std::result::Result<Vec<(String, String)>, String> {
    let pipeline = tidemill_config::parse("scenario.toml", pipeline, &[]).map_err(|faults| faults.to_string())?;
    let plan = tidemill_sql::plan(&pipeline).map_err(|faults| faults.to_string())?;
    let column = |field: &arrow_schema::FieldRef| (field.name().clone(), types::simple_name(field.data_type()));
    Ok(plan.output_schema.fields().iter().map(column).collect())
}

fn drained(scenario: &Scenario, harness: &Harness, batches: &[Lines], result: &mut Vec<BatchResult>) -> Result<()> {
    let mut running = harness.start()?;
    result.extend(running.settle()?.iter().map(batch_result));
    for batch in batches {
        match batch {
            Lines::All(lines) if scenario.has_kafka_columns() => harness.topic.put_records(kafka::records(lines)),
            Lines::All(lines) => harness.topic.put(lines),
            Lines::BySource(lines) => running.put_together(lines),
        }
        result.extend(running.settle()?.iter().map(batch_result));
    }
    running.stop().map(drop)
}

fn backlog(scenario: &Scenario, harness: &Harness, batches: &[Lines], result: &mut Vec<BatchResult>) -> Result<()> {
    for batch in batches {
        match batch {
            Lines::All(lines) if scenario.has_kafka_columns() => harness.topic.put_records(kafka::records(lines)),
            Lines::All(lines) => harness.topic.put(lines),
            Lines::BySource(lines) => {
                lines.iter().for_each(|(source, lines)| harness.further_topics[source].put(lines));
            }
        }
    }
    result.extend(harness.run()?.iter().map(batch_result));
    Ok(())
}

fn batch_result(batch: &Batch) -> BatchResult {
    let progress = &batch.progress;
    let operator = progress.state_operators.last();
    BatchResult {
        id: progress.batch_id,
        rows: rows(&batch.table),
        input_rows: Some(progress.num_input_rows),
        source_rows: match progress.sources.as_slice() {
            [_] => Vec::new(),
            several => several.iter().map(|source| source.num_input_rows).collect(),
        },
        watermark: progress.event_time.get("watermark").cloned(),
        state_rows: operator.map(|operator| operator.num_rows_total),
        dropped: operator.map(|operator| operator.num_rows_dropped_by_watermark),
        event_times: ["min", "max"].iter().filter_map(|name| progress.event_time.get(*name).cloned()).collect(),
    }
}

/// Removes the last commits and their state changes from the log; the plans stay.
fn lose_commits(harness: &Harness, count: usize) {
    if count == 0 {
        return;
    }
    let disk = &*harness.disk;
    let mut names = disk.list(segment::FOLDER).expect("the disk is in memory");
    names.sort();
    let mut records = Vec::new();
    for name in names.iter().map(|name| format!("{}/{name}", segment::FOLDER)) {
        let bytes = disk.read(&name).expect("the disk is in memory").expect("it was listed");
        let read = segment::records(&name, &bytes).expect("a whole segment");
        // A later segment begins with a summary of the earlier ones.
        records.extend(read.into_iter().skip(usize::from(!records.is_empty())));
        disk.remove(&name).expect("the disk is in memory");
    }
    let committed = |(kind, payload): &(Kind, Vec<u8>)| batch(*kind, payload).filter(|_| *kind == Kind::Commit);
    let lost: Vec<u64> = records.iter().filter_map(committed).rev().take(count).collect();
    records.retain(|(kind, payload)| {
        !matches!(kind, Kind::Delta | Kind::Commit) || batch(*kind, payload).is_none_or(|batch| !lost.contains(&batch))
    });
    let name = format!("{}/{}", segment::FOLDER, names[0]);
    let file = disk.create(&name).expect("the disk is in memory");
    file.append(&segment::of_records(&records)).expect("the disk is in memory");
}
