//! The expected rows: counts the topic row by row with `serde_json` and a map. Shares nothing with the engine.

use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use tidemill_kafka::KafkaOptions;
use tidemill_model::Millis;
use tidemill_model::time::iso_millis;

/// (start of the window, course) → (events, lines).
pub type Groups = BTreeMap<(String, String), (u64, Option<i64>)>;

const WIDTH_MS: i64 = 10_000;
const SLIDE_MS: i64 = 5_000;

/// Counts every record of a topic into its windows, as if none were late.
pub fn count(kafka: &KafkaOptions, topic: &str) -> Groups {
    let mut groups = Groups::new();
    tidemill_kafka::scan(kafka, topic, |_, _, _, _, value| {
        let row = value.and_then(|value| serde_json::from_slice::<Value>(value).ok()).unwrap_or_default();
        let (time, course) = (row["timestamp"].as_f64(), row["course"].as_str());
        if let (Some(time), Some(course)) = (time, course) {
            for start in windows((time * 1e3).floor() as i64) {
                let (events, lines) = groups.entry((iso_millis(Millis(start)), course.to_owned())).or_default();
                *events += 1;
                *lines = lines.iter().copied().chain(row["lines_of_code"].as_i64()).reduce(|a, b| a + b);
            }
        }
        ControlFlow::Continue(())
    })
    .expect("the topic is read");
    groups
}

/// Starts of the windows of a time, ms.
fn windows(time: i64) -> impl Iterator<Item = i64> {
    let last = time.div_euclid(SLIDE_MS) * SLIDE_MS;
    (last - WIDTH_MS + SLIDE_MS..=last).step_by(SLIDE_MS as usize)
}

/// The last row of each group, over all batches of a directory.
pub fn rows(dir: &Path) -> Groups {
    let batches = tidemill_files::read_batches(dir).expect("a directory of batches");
    batches.flat_map(|batch| batch.expect("a whole batch").1).map(|row| group(&row)).collect()
}

/// The last row of each group in JSON lines.
pub fn json_lines(text: &str) -> Groups {
    text.lines().map(|line| group(&serde_json::from_str(line).expect("JSON"))).collect()
}

fn group(row: &Value) -> ((String, String), (u64, Option<i64>)) {
    let text = |name: &str| row[name].as_str().unwrap_or_else(|| panic!("{name} in {row}")).to_owned();
    ((text("start"), text("course")), (row["events"].as_u64().expect("a count"), row["lines"].as_i64()))
}
