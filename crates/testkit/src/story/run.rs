//! A story on the real driver.

use super::value::rows;
use super::{Restart, Run, Story, Told, ToldBatch};
use crate::{Batch, Stage};
use arrow_schema::DataType;
use tidemill_model::{Pipeline, Result};
use tidemill_sql::types;

pub(super) fn tell(story: &Story) -> Told {
    let stage = Stage::new(&pipeline(story));
    let mut told = Told { version: "tidemill".into(), ..Told::default() };
    match columns(&stage.pipeline) {
        Ok(columns) => told.columns = columns,
        Err(refused) => {
            told.refused = Some(refused);
            return told;
        }
    }
    let starts = [Restart { before: 0, lost_commits: 0 }].into_iter().chain(story.restarts.iter().copied());
    let ends = story.restarts.iter().map(|restart| restart.before).chain([story.batches.len()]);
    for (start, end) in starts.zip(ends) {
        lose_commits(&stage, start.lost_commits);
        let batches = &story.batches[start.before..end];
        let result = match story.run {
            Run::Drained => drained(&stage, batches, &mut told.batches),
            Run::Backlog => backlog(&stage, batches, &mut told.batches),
        };
        if let Err(error) = result {
            told.error = Some(error.to_string());
            break;
        }
    }
    told
}

/// The pipeline file of a case.
fn pipeline(story: &Story) -> String {
    // A JSON string is a TOML string, too.
    let quoted = |text: &str| serde_json::to_string(text).expect("a text serialises").replace('\u{7f}', "\\u007f");
    let event_time = story.event_time.as_ref().map_or(String::new(), |event_time| {
        let watermark =
            story.watermark.as_ref().map_or(String::new(), |delay| format!("watermark = {}", quoted(delay)));
        format!(
            "[sources.events.event_time]\ncolumn = {}\nexpression = {}\n{watermark}\n",
            quoted(&event_time.column),
            quoted(&event_time.expression)
        )
    });
    format!(
        r#"
on_error = "fail"
session_time_zone = {}
[sources.events]
type = "kafka"
bootstrap_servers = "memory:9092"
topic = "topic"
schema = {}
{event_time}
[query]
sql = {}
output_mode = {}
no_data_batches = {}
[sinks.screen]
type = "console"
"#,
        quoted(story.zone.as_deref().unwrap_or("UTC")),
        quoted(&story.schema),
        quoted(&story.sql),
        quoted(&story.mode),
        story.no_data_batches,
    )
}

/// The result's columns, or why the pipeline is refused.
fn columns(pipeline: &str) -> std::result::Result<Vec<(String, String)>, String> {
    let pipeline = Pipeline::parse("story.toml", pipeline, &[]).map_err(|faults| faults.to_string())?;
    let plan = tidemill_sql::plan(&pipeline).map_err(|faults| faults.to_string())?;
    // Spark's `simpleString`.
    let type_name = |data_type: &DataType| types::name(data_type).to_lowercase().replace(' ', "");
    let column = |field: &arrow_schema::FieldRef| (field.name().clone(), type_name(field.data_type()));
    Ok(plan.output_schema.fields().iter().map(column).collect())
}

fn drained(stage: &Stage, batches: &[Vec<String>], told: &mut Vec<ToldBatch>) -> Result<()> {
    let mut running = stage.start()?;
    told.extend(running.settle()?.iter().map(told_batch));
    for lines in batches {
        stage.topic.put(lines);
        told.extend(running.settle()?.iter().map(told_batch));
    }
    running.stop().map(drop)
}

fn backlog(stage: &Stage, batches: &[Vec<String>], told: &mut Vec<ToldBatch>) -> Result<()> {
    batches.iter().for_each(|lines| stage.topic.put(lines));
    told.extend(stage.run()?.iter().map(told_batch));
    Ok(())
}

fn told_batch(batch: &Batch) -> ToldBatch {
    let progress = &batch.progress;
    let operator = progress.state_operators.first();
    ToldBatch {
        id: progress.batch_id,
        rows: rows(&batch.table),
        input_rows: Some(progress.num_input_rows),
        watermark: progress.event_time.get("watermark").cloned(),
        state_rows: operator.map(|operator| operator.num_rows_total),
        dropped: operator.map(|operator| operator.num_rows_dropped_by_watermark),
        event_times: ["min", "max"].iter().filter_map(|name| progress.event_time.get(*name).cloned()).collect(),
    }
}

fn lose_commits(stage: &Stage, count: usize) {
    let commits = stage.store.list("commits").expect("the store is in memory");
    for name in commits.iter().rev().take(count) {
        stage.store.remove(&format!("commits/{name}")).expect("the store is in memory");
    }
}
