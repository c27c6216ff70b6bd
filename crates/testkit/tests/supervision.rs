//! Failures beside the loop: a thread panics, an executor loops or sends garbage. The run ends with a message or goes
//! on with the right rows; it never waits for ever.

use std::io::{PipeReader, Write};
use std::sync::Arc;
use std::time::Duration;
use tidemill_link::{Beat, FromExecutor, ToExecutor, receive, send};
use tidemill_testkit::{Harness, scripted};

/// Counts eight records by their number, in one task.
fn harness() -> Harness {
    let harness = Harness::new(
        r#"
[sources.t]
type = "kafka"
bootstrap_servers = "memory:9092"
topic = "topic"
schema = "n BIGINT"
[query]
sql = "SELECT n, count(*) AS c FROM t GROUP BY n"
output_mode = "update"
[sinks.screen]
type = "console"
[autoscale]
task_timeout = "1 second"
"#,
    );
    harness.topic.put(&["{\"n\":1}", "{\"n\":2}", "{\"n\":1}", "{\"n\":1}"].map(String::from));
    harness
}

const ROWS: [&str; 2] = [r#"{"n":1,"c":3}"#, r#"{"n":2,"c":1}"#];

#[test]
fn a_committer_that_panics_ends_the_run() {
    let mut harness = harness();
    harness.before_write = Some(Arc::new(|_, _| panic!("the sink broke")));
    let error = harness.run().expect_err("the committer is gone").to_string();
    assert_eq!(error, "the thread `committer` panicked: the sink broke; this is a bug in Tidemill, please report it");
    harness.before_write = None;
    assert_eq!(harness.run().unwrap()[0].rows, ROWS);
}

/// Reads the hello message, answers that it is ready, waits for a task, and calls `then`.
fn executor(
    then: impl FnOnce(u64, &mut PipeReader, &mut dyn Write) + Send + 'static,
) -> impl FnOnce(PipeReader, Box<dyn Write + Send>) + Send + 'static {
    move |mut input, mut output| {
        let Ok(Some(ToExecutor::Hello { .. })) = receive(&mut input) else { panic!("greeted first") };
        send(&mut output, &FromExecutor::Ready).expect("the driver listens");
        let Ok(Some(ToExecutor::Task(task))) = receive(&mut input) else { return };
        then(task.id, &mut input, &mut output);
    }
}

/// Runs the harness with a first executor that does `then` with its first task. The task must have run again.
fn check(then: fn(u64, &mut PipeReader, &mut dyn Write)) {
    let mut harness = harness();
    harness.spawn_override = Some(Arc::new(move |started| (started == 0).then(|| scripted(executor(then)))));
    let batches = harness.run().unwrap();
    assert_eq!(batches[0].rows, ROWS);
    assert_eq!(batches[0].progress.tidemill.tasks_retried, 1);
}

#[test]
fn an_executor_that_loops_is_replaced() {
    check(|task, _, mut output| {
        let beat = FromExecutor::Alive { tasks: vec![Beat { task, records: 1, waits: false }] };
        // Until it is killed.
        while send(&mut output, &beat).is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
}

#[test]
fn an_executor_that_is_silent_is_replaced() {
    // It still reads, unlike a stopped process: only its silence shows.
    check(|_, input, _| while let Ok(Some(_)) = receive::<ToExecutor>(input) {});
}

#[test]
fn an_executor_that_talks_nonsense_is_replaced() {
    check(|_, _, output| output.write_all(&[3, 0, 0, 0, 99, 99, 99]).expect("the driver listens"));
    check(|_, _, output| output.write_all(&[255; 64]).expect("the driver listens"));
    // Answers to tasks that it never got are ignored.
    check(|task, _, mut output| {
        let failed = |id| FromExecutor::Failed { id, message: "not mine".into(), retry: true };
        send(&mut output, &failed(task + 7)).expect("the driver listens");
    });
}

/// One task with twice the allowed length of texts: the executor reports it as too large, and it is split. The next
/// batch is cut accordingly from the start. The tasks are as long as tasks can be: on a busy machine the short timeout of
/// the other tests would be over before they are done, and they would run again elsewhere.
#[test]
fn a_task_that_builds_too_much_is_split() {
    let mut harness = harness();
    // Nobody is to be late here, however busy the machine is.
    harness.pipeline = harness.pipeline.replace("1 second", "1 minute");
    harness.pipeline =
        harness.pipeline.replace("n BIGINT", "n BIGINT, v STRING").replace("count(*) AS c", "length(max(v)) AS c");
    harness.pipeline = harness.pipeline.replace("task_timeout = \"1 second\"", "");
    harness.executors = 1;
    harness.topic = tidemill_testkit::Topic::new(1);
    let long = "x".repeat(15 << 20);
    let put = || harness.topic.put(&(0..5).map(|n| format!("{{\"n\":{n},\"v\":\"{long}\"}}")).collect::<Vec<_>>());
    put();
    put();
    let batches = harness.run().unwrap();
    let rows: Vec<String> = (0..5).map(|n| format!("{{\"n\":{n},\"c\":{}}}", 15 << 20)).collect();
    assert_eq!(batches.iter().map(|batch| &batch.rows).collect::<Vec<_>>(), [&rows, &rows]);
    assert_eq!(batches.iter().map(|batch| batch.progress.tidemill.tasks).collect::<Vec<_>>(), [2, 2]);
    assert!(batches.iter().all(|batch| batch.progress.tidemill.tasks_retried == 0));
}
