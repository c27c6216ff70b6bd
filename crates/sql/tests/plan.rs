//! Plans of whole pipelines, as `tidemill check` prints them.

use tidemill_model::Pipeline;
use tidemill_sql::plan::QueryPlan;

const REFERENCE: &str = include_str!("../../model/tests/reference.toml");

fn plan(set: &[(&str, &str)]) -> QueryPlan {
    let set: Vec<_> = set.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    let pipeline = Pipeline::parse("p.toml", REFERENCE, &set).unwrap();
    match tidemill_sql::plan(&pipeline) {
        Ok(plan) => plan,
        Err(faults) => panic!("{faults}"),
    }
}

#[test]
fn the_reference_pipeline() {
    let expected = "\
source       cs_student_logs
decode       timestamp DOUBLE, course STRING, activity STRING, lines_of_code INT, cpu_usage_pct DOUBLE
where        (course IS NOT NULL)
event time   event_time = CAST(timestamp AS TIMESTAMP)
watermark    60000 ms behind event_time
window       event_time, 10000000 µs wide every 5000000 µs from 0 µs
key          course = course
key          activity = activity
aggregate    sum(lines_of_code): BIGINT
aggregate    avg(cpu_usage_pct): DOUBLE
output       start TIMESTAMP = window.start
output       end TIMESTAMP = window.end
output       course STRING = course
output       activity STRING = activity
output       total_loc BIGINT = sum(lines_of_code)
output       avg_cpu DOUBLE = avg(cpu_usage_pct)
groups       dropped and evicted by the watermark
mode         update
";
    assert_eq!(plan(&[]).describe(), expected);
}
