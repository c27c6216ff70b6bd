//! The status in Prometheus text format 0.0.4: `tidemill_<name>_<unit>[_total]`, in seconds and records.

use std::fmt::Write;
use tidemill_model::RecordFault;
use tidemill_model::status::Status;

/// Content type of the response.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One metric: name, type, help, and its samples as (labels, value).
struct Metric {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    samples: fn(&Status) -> Vec<(String, f64)>,
}

/// All metrics, each with its help.
pub fn render(status: &Status) -> String {
    let mut text = String::new();
    for Metric { name, kind, help, samples } in METRICS {
        let samples = samples(status);
        if samples.is_empty() {
            continue;
        }
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    }
    text
}

const METRICS: &[Metric] = &[
    gauge("tidemill_pipeline_info", "The pipeline that runs.", |s| vec![(label("pipeline", &s.name), 1.0)]),
    gauge("tidemill_uptime_seconds", "Time since the driver started.", |s| one(seconds(s.uptime_ms))),
    gauge("tidemill_arrival_records_per_second", "Rate of arrival over the last seconds.", |s| one(s.rate_in)),
    gauge("tidemill_processing_records_per_second", "Rate of processing over the last seconds.", |s| one(s.rate_done)),
    gauge("tidemill_backlog_records", "Records that have arrived and are in no committed batch.", |s| {
        one(count(s.backlog))
    }),
    gauge("tidemill_record_age_seconds", "Age of recent records when their results were out.", |s| {
        vec![(label("quantile", "0.5"), seconds(s.age_p50_ms)), (label("quantile", "0.99"), seconds(s.age_p99_ms))]
    }),
    counter("tidemill_processed_records_total", "Records in committed batches.", |s| one(count(s.records))),
    counter("tidemill_faulty_records_total", "Records with a fault, by its reason.", |s| {
        RecordFault::ALL.iter().map(|&fault| (label("reason", fault.name()), count(s.faults.get(fault)))).collect()
    }),
    counter("tidemill_committed_batches_total", "Batches committed since the checkpoint began.", |s| {
        one(s.batch_id.map_or(0.0, |id| count(id) + 1.0))
    }),
    gauge("tidemill_watermark_timestamp_seconds", "The watermark, since the epoch.", |s| {
        s.watermark_ms.map(|ms| (String::new(), ms as f64 / 1000.0)).into_iter().collect()
    }),
    gauge("tidemill_state_rows", "Groups in the state.", |s| one(count(s.state_rows))),
    gauge("tidemill_target_executors", "Executors that the autoscaler wants.", |s| one(f64::from(s.executors_target))),
    gauge("tidemill_running_executors", "Executors, by state.", |s| {
        let of = |state: &str| s.executors.iter().filter(|executor| executor.state == state).count();
        ["starting", "ready", "draining"].iter().map(|state| (label("state", state), of(state) as f64)).collect()
    }),
    gauge("tidemill_running_tasks", "Tasks that run in executors.", |s| {
        one(s.executors.iter().map(|executor| f64::from(executor.tasks_running)).sum())
    }),
    counter("tidemill_executor_seconds_total", "Spawn to exit of all executors, summed.", |s| one(s.executor_seconds)),
    counter(
        "tidemill_always_on_executor_seconds_total",
        "What the largest allowed size would have used, always on.",
        |s| one(s.always_on_executor_seconds),
    ),
    gauge("tidemill_core_capacity_records_per_second", "Capacity of one core as measured.", |s| {
        s.capacity_per_core.map(|rate| (String::new(), rate)).into_iter().collect()
    }),
];

const fn gauge(name: &'static str, help: &'static str, samples: fn(&Status) -> Vec<(String, f64)>) -> Metric {
    Metric { name, kind: "gauge", help, samples }
}

const fn counter(name: &'static str, help: &'static str, samples: fn(&Status) -> Vec<(String, f64)>) -> Metric {
    Metric { name, kind: "counter", help, samples }
}

fn one(value: f64) -> Vec<(String, f64)> {
    vec![(String::new(), value)]
}

fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{{{name}=\"{value}\"}}")
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

/// Prometheus values are doubles; a count is exact up to 2^53.
fn count(value: u64) -> f64 {
    value as f64
}
