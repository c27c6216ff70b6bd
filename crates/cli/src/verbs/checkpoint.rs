//! `tidemill checkpoint show DIR`: prints what a checkpoint holds, also while a driver uses it.

use crate::args::{CheckpointAction, CheckpointOptions};
use serde_json::{Value, json};
use std::path::Path;
use tidemill_checkpoint::disk::OsDisk;
use tidemill_checkpoint::{Inspection, inspect};
use tidemill_flow::state::{StoredRows, stored_rows};
use tidemill_model::time::iso_millis;
use tidemill_model::{BatchPlan, Micros, Offsets, Result, counted};
use tidemill_os::output;

pub(crate) fn run(options: &CheckpointOptions) -> Result<()> {
    let CheckpointAction::Show { dir, json } = &options.action;
    let inspection = inspect(&OsDisk::to_look_at(dir)?)?;
    let recovered = &inspection.recovered;
    let snapshot = recovered.snapshot.as_ref().map(|(_, parts)| parts.clone());
    let deltas = recovered.deltas.iter().map(|(_, bytes)| bytes.clone());
    let rows = stored_rows(&inspection.query.fingerprint, snapshot, deltas)?;
    match json {
        true => output::line(&as_json(&inspection, &rows).to_string()),
        false => output::line(as_text(dir, &inspection, &rows).trim_end()),
    }
    Ok(())
}

/// Start, end and rows of each window, the newest first.
fn by_window(rows: &StoredRows) -> impl Iterator<Item = (String, String, u64)> {
    let time = |micros: i64| iso_millis(Micros(micros).floor_millis());
    rows.by_window.iter().rev().map(move |((start, end), rows)| (time(*start), time(*end), *rows))
}

fn as_json(found: &Inspection, rows: &[Option<StoredRows>]) -> Value {
    let recovered = &found.recovered;
    let plan = |plan: &BatchPlan| {
        json!({
            "batchId": plan.batch_id,
            "timestamp": iso_millis(plan.timestamp),
            "watermark": iso_millis(plan.watermark),
            "tasks": plan.tasks.len(),
            "startOffsets": offsets(&plan.start_offsets),
            "endOffsets": offsets(&plan.end_offsets),
        })
    };
    let committed = recovered.committed.as_ref().map(|record| {
        json!({
            "batchId": record.batch_id,
            "records": record.records,
            "watermark": iso_millis(record.watermark),
            "nextWatermark": iso_millis(record.next_watermark),
            "endOffsets": offsets(&record.end_offsets),
        })
    });
    let window = |(start, end, rows)| json!({"start": start, "end": end, "rows": rows});
    let windows = |rows: &StoredRows| by_window(rows).map(window).collect::<Vec<_>>();
    let aggregation = |rows: &Option<StoredRows>| {
        let rows = rows.as_ref();
        json!({"rows": rows.map(|rows| rows.count), "windows": rows.map(windows)})
    };
    let delta_bytes: usize = recovered.deltas.iter().map(|(_, bytes)| bytes.len()).sum();
    json!({
        "id": found.query.id,
        "query": found.query.text.lines().collect::<Vec<_>>(),
        "fingerprint": found.query.fingerprint,
        "startOffsets": recovered.start.as_ref().map(offsets),
        "committed": committed,
        "uncommitted": recovered.replay.iter().map(plan).collect::<Vec<_>>(),
        "state": {
            "snapshotBatchId": recovered.snapshot.as_ref().map(|(batch, _)| batch),
            "snapshotBytes": recovered.snapshot_bytes(),
            "changes": recovered.deltas.len(),
            "changeBytes": delta_bytes,
            "aggregations": rows.iter().map(aggregation).collect::<Vec<_>>(),
        },
        "log": found.segments.iter().map(|(number, bytes)| json!({"segment": number, "bytes": bytes})).collect::<Vec<_>>(),
    })
}

fn offsets(offsets: &Offsets) -> Value {
    let entry = |(partition, offset): (&tidemill_model::PartitionId, &i64)| (partition.to_string(), json!(offset));
    Value::Object(offsets.0.iter().map(entry).collect())
}

/// Windows that the text shows; `--json` has all.
const WINDOWS_SHOWN: usize = 10;

fn as_text(dir: &Path, found: &Inspection, rows: &[Option<StoredRows>]) -> String {
    let recovered = &found.recovered;
    let mut lines = vec![line("checkpoint", &dir.display().to_string()), line("query id", &found.query.id)];
    match &recovered.committed {
        None => lines.push(line("committed", "no batch yet")),
        Some(record) => {
            let next = iso_millis(record.next_watermark);
            lines.push(line(
                "committed",
                &format!("batch {}, {} in all", record.batch_id, counted(record.records, "record")),
            ));
            lines.push(line("watermark", &format!("{next} in batch {}", record.batch_id + 1)));
            lines.push(line("read up to", &positions(&record.end_offsets)));
        }
    }
    for plan in &recovered.replay {
        let offsets: i64 = plan.ranges.iter().map(tidemill_model::OffsetRange::len).sum();
        lines.push(line(
            "uncommitted",
            &format!("batch {}: {offsets} offsets; the next start runs it again", plan.batch_id),
        ));
    }
    let change_bytes: usize = recovered.deltas.iter().map(|(_, bytes)| bytes.len()).sum();
    let snapshot = match &recovered.snapshot {
        Some((batch, _)) => format!("a snapshot of batch {batch} ({} bytes)", recovered.snapshot_bytes()),
        None => "no snapshot yet".into(),
    };
    lines.push(line(
        "state",
        &format!("{snapshot}, {} since ({change_bytes} bytes)", counted(recovered.deltas.len() as u64, "change")),
    ));
    for (number, known) in (1..).zip(rows) {
        let label = if rows.len() > 1 { format!("aggregation {number}: ") } else { String::new() };
        let Some(rows) = known else {
            lines.push(line("state rows", &format!("{label}not known without the query")));
            continue;
        };
        lines.push(line("state rows", &format!("{label}{}", rows.count)));
        let shown = by_window(rows).take(WINDOWS_SHOWN);
        lines.extend(shown.map(|(start, end, rows)| format!("  {start} to {end}: {}", counted(rows, "row"))));
        let more = rows.by_window.len().saturating_sub(WINDOWS_SHOWN);
        if more > 0 {
            lines.push(format!("  and {}; --json shows all", counted(more as u64, "older window")));
        }
    }
    let log_bytes: u64 = found.segments.iter().map(|(_, bytes)| bytes).sum();
    lines.push(line("log", &format!("{}, {log_bytes} bytes", counted(found.segments.len() as u64, "segment"))));
    lines.push("query".into());
    lines.extend(found.query.text.lines().map(|line| format!("  {line}")));
    lines.join("\n")
}

fn line(label: &str, text: &str) -> String {
    format!("{label:<12} {text}")
}

fn positions(offsets: &Offsets) -> String {
    let texts: Vec<String> = offsets.0.iter().map(|(partition, offset)| format!("{partition}: {offset}")).collect();
    texts.join(", ")
}
