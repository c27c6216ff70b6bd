//! The demo's pipeline file: the reference pipeline with a count, files per batch, and shorter hold times.

use std::path::Path;
use tidemill_model::Secret;

/// What differs from demo to demo.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variant {
    /// `max_records_per_second_per_core`.
    pub(crate) limit: Option<f64>,
    /// `executor_idle_timeout` and `down_hold`.
    pub(crate) hold_ms: u64,
    pub(crate) slo_s: u64,
}

/// The text of the file. Both engines run it: `try_cast` and the rest fail at no record.
pub(crate) fn text(bootstrap_servers: &str, topic: &str, results: &Path, variant: Variant) -> String {
    let Variant { limit, hold_ms, slo_s } = variant;
    let limit = limit.map_or(String::new(), |limit| {
        format!("max_records_per_second_per_core = {limit:?}   # so that a small machine can show all sizes\n")
    });
    let quoted = |text: &str| toml_string(text);
    format!(
        r#"# Written by `tidemill demo`. Run it by hand with `tidemill run`.
name = "demo"

[sources.cs_student_logs]
type = "kafka"
bootstrap_servers = {servers}
topic = {topic}
starting_offsets = "earliest"
format = "json"
schema = """timestamp DOUBLE, student_id STRING, student_name STRING, course STRING, activity STRING,
            tool_used STRING, lines_of_code INT, last_error STRING, cpu_usage_pct DOUBLE"""

[sources.cs_student_logs.event_time]
column = "event_time"
expression = "try_cast(timestamp AS TIMESTAMP)"
watermark = "1 minute"

[query]
sql = """
  SELECT window.start, window.end, course, activity,
         count(*) AS events, sum(lines_of_code) AS total_loc, avg(cpu_usage_pct) AS avg_cpu
  FROM cs_student_logs
  WHERE course IS NOT NULL
  GROUP BY window(event_time, '10 seconds', '5 seconds'), course, activity
"""
output_mode = "update"

[sinks.results]
type = "files"
path = {results}

[autoscale]
min_executors = 0
max_executors = 4
executor_cores = 2
slo = "{slo_s} seconds"
executor_idle_timeout = "{hold_ms} milliseconds"   # shorter than in production, so that the demo is
down_hold = "{hold_ms} milliseconds"               # not mostly waiting
{limit}"#,
        servers = quoted(bootstrap_servers),
        topic = quoted(topic),
        results = quoted(&results.display().to_string()),
    )
}

/// Properties of the client as `--set` values. They may be passwords, so they are not in the file.
pub(crate) fn set(options: &[(String, Secret)]) -> Vec<(String, String)> {
    let set = |(name, value): &(String, Secret)| {
        (format!("sources.cs_student_logs.options.{name}"), toml_string(value.expose()))
    };
    options.iter().map(set).collect()
}

/// A TOML basic string.
fn toml_string(text: &str) -> String {
    let escaped: String =
        text.chars().flat_map(|c| if matches!(c, '"' | '\\') { vec!['\\', c] } else { vec![c] }).collect();
    // Of the control characters, PEM texts have these.
    format!("\"{}\"", escaped.replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_model::pipeline::{SinkKind, SourceKind};

    #[test]
    fn the_demo_s_pipeline_is_a_right_pipeline() {
        for limit in [None, Some(2_500.0)] {
            let variant = Variant { limit, hold_ms: 3_000, slo_s: 5 };
            let text = text("h:1", "t", Path::new("/tmp/a \"b\" \\c"), variant);
            let job = crate::wiring::plan("demo.toml", &text, &[]).map_err(|error| error.to_string());
            let path = job.map(|job| match &job.pipeline.sinks[0].kind {
                SinkKind::Files { path, .. } => path.clone(),
                SinkKind::Console { .. } | SinkKind::None | SinkKind::Kafka(_) => panic!("the demo writes files"),
            });
            assert_eq!(path, Ok("/tmp/a \"b\" \\c".into()));
        }
    }

    #[test]
    fn properties_of_the_client_reach_the_pipeline() {
        let options = [("security.protocol", "SASL_SSL"), ("sasl.mechanism", "PLAIN"), ("sasl.password", "1\"\\\n2")];
        let options = options.map(|(name, value)| (name.to_owned(), Secret::new(value)));
        let text = text("h:1", "t", Path::new("r"), Variant { limit: None, hold_ms: 3_000, slo_s: 5 });
        let job = tidemill_config::parse("demo.toml", &text, &set(&options)).expect("a right pipeline");
        let SourceKind::Kafka(kafka) = &job.sources[0].kind else { panic!("the demo reads Kafka") };
        let found: Vec<_> =
            kafka.connection.client_options.iter().map(|option| (option.name.clone(), option.value.clone())).collect();
        assert_eq!(found, options);
    }
}
