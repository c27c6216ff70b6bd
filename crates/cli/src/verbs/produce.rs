//! `tidemill produce`: sends a generated load to any Kafka.

use crate::args::ProduceOptions;
use crate::signals;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidemill_kafka::{KafkaOptions, properties};
use tidemill_load::produce::Progress;
use tidemill_load::{produce, records};
use tidemill_model::{Error, Micros, Result, counted};
use tidemill_os::output;

pub(crate) fn run(options: &ProduceOptions) -> Result<()> {
    let (bootstrap_servers, client) = (options.bootstrap_servers.clone(), options.client);
    let kafka = KafkaOptions { client_options: options.option.clone(), client, ..KafkaOptions::new(bootstrap_servers) };
    check_options(&kafka)?;
    let load = produce::Options {
        rate: options.rate,
        count: options.count,
        duration: options.duration,
        producers: options.producers,
        partitions: options.partitions,
        seed: options.seed,
        records: records::Options { late: options.late, malformed: options.malformed, ..records::Options::default() },
        start_time: options.start_time.map(|seconds| Micros((seconds * 1e6) as i64)),
        ..produce::Options::new(kafka, options.topic.clone())
    };
    let control = Arc::new(load.control());
    let stop = control.clone();
    signals::on_interrupt(move || stop.stop())?;
    let mut told = Instant::now();
    let summary = produce::run(&load, &control, |progress| {
        if told.elapsed() >= Duration::from_secs(1) {
            told = Instant::now();
            output::error_line(&words(progress, control.is_stopped()));
        }
    })?;
    let per_second = summary.acknowledged as f64 / summary.seconds.max(1e-9);
    if options.json {
        output::line(&format!(
            "{}",
            serde_json::json!({"sent": summary.sent, "acknowledged": summary.acknowledged, "failed": summary.failed,
                               "seconds": summary.seconds, "per_second": per_second})
        ));
    } else {
        output::line(&format!(
            "{} sent, {} acknowledged, {} failed in {:.1} s: {per_second:.0}/s",
            counted(summary.sent, "record"),
            summary.acknowledged,
            summary.failed,
            summary.seconds
        ));
    }
    if summary.failed > 0 {
        return Err(Error::external(format!(
            "{} not acknowledged; check the broker. What is not acknowledged may or may not be in the topic",
            counted(summary.failed, "record")
        )));
    }
    Ok(())
}

/// The line of one second.
fn words(progress: &Progress, stopped: bool) -> String {
    let counters = progress.counters;
    let waiting = counters.sent.saturating_sub(counters.acknowledged + counters.failed);
    if stopped {
        return format!(
            "waiting for {waiting} acknowledgements, 2 minutes at most unless you set delivery.timeout.ms; a second Ctrl-C ends at once"
        );
    }
    let line = format!("{:>12} records sent · {:>10.0}/s", counters.sent, progress.per_second);
    // No progress: the broker is gone or slow.
    if progress.per_second == 0.0 && waiting > 0 {
        return format!("{line} · {waiting} wait for the broker's acknowledgement");
    }
    line
}

/// Fails if `--option` names a property that the client does not know, or gives it a wrong value.
pub(crate) fn check_options(kafka: &KafkaOptions) -> Result<()> {
    for (name, value) in &kafka.client_options {
        if let Some(refused) = properties::refused(kafka, name, value) {
            return Err(Error::user(format!("--option {name} {}; {}", refused.what, refused.help)));
        }
    }
    match properties::refused_together(kafka) {
        Some(why) => Err(Error::user(format!("--option: {why}"))),
        None => Ok(()),
    }
}
