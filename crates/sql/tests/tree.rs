//! The tree of operators of a query, and that it can be stored and sent: the plan made of it is the same.

use tidemill_model::pipeline::Pipeline;
use tidemill_sql::logical::Operator;

const REFERENCE: &str = include_str!("../../config/tests/reference.toml");

fn pipeline(sql: &str, mode: &str) -> Pipeline {
    let set = [("query.sql", sql), ("query.output_mode", mode)].map(|(key, value)| (key.into(), value.into()));
    tidemill_config::parse("p.toml", REFERENCE, &set).unwrap()
}

fn check(sql: &str, mode: &str, expected: &str) {
    let pipeline = pipeline(sql, mode);
    let tree = tidemill_sql::analyze(&pipeline).unwrap_or_else(|faults| panic!("{sql}: {faults}"));
    assert_eq!(tree.to_string(), expected, "{sql}");
    let stored = serde_json::to_string(&tree).unwrap();
    let read: Operator = serde_json::from_str(&stored).unwrap();
    let plan = tidemill_sql::plan(&pipeline).unwrap();
    assert_eq!(tidemill_sql::plan_of(&read).describe(), plan.describe(), "{sql}");
}

#[test]
fn a_query_without_groups() {
    check(
        "SELECT course, n FROM cs_student_logs LATERAL VIEW explode(array(1, lines_of_code)) e AS n WHERE n > 1 LIMIT 5",
        "append",
        "\
Sink append
  Limit 5
    Project course, n
      Filter
        Generate n
          Watermark event_time
            Scan cs_student_logs
",
    );
}

#[test]
fn groups_with_an_order() {
    check(
        "SELECT course, count(*) AS n FROM cs_student_logs WHERE activity = 'coding' GROUP BY course HAVING n > 1 \
         ORDER BY n DESC LIMIT 3",
        "complete",
        "\
Sink complete
  Project course, n
    Limit 3
      Sort by 1
        Filter
          Aggregate keys 1, functions 1
            Project 0
              Watermark event_time
                Filter
                  Scan cs_student_logs
",
    );
}

#[test]
fn a_union_and_a_window() {
    check(
        "SELECT window.end, sum(n) FROM (SELECT event_time AS t, lines_of_code AS n FROM cs_student_logs UNION ALL \
         SELECT event_time, 1 FROM cs_student_logs WHERE event_time > '2024-01-01') GROUP BY window(t, '10 seconds', '5 seconds')",
        "update",
        "\
Sink update
  Project end, sum(n)
    Aggregate 10 s every 5 s, keys 0, functions 1
      Union of 2
        Project 0, 1
          Watermark event_time
            Scan cs_student_logs
        Project 0, 1
          Filter
            Watermark event_time
              Scan cs_student_logs
",
    );
}

#[test]
fn groups_of_groups() {
    check(
        "SELECT window(window_time(window), '1 minute') AS minute, max(n) FROM (SELECT window, course, count(*) AS n \
         FROM cs_student_logs GROUP BY window(event_time, '10 seconds'), course) WHERE course <> 'x' GROUP BY 1",
        "append",
        "\
Sink append
  Project minute, max(n)
    Aggregate 1 min every 1 min, keys 0, functions 1
      Project 0, 1
        Watermark event_time
          Filter
            Project window, course, n
              Aggregate 10 s every 10 s, keys 1, functions 1
                Project 0, 1
                  Watermark event_time
                    Filter
                      Scan cs_student_logs
",
    );
}
