//! Executors are killed while they work: they are replaced, and every row is right.

use crate::support::{Dashboard, Testbed, WITH_DASHBOARD, records, signal, until};

const THEN: i64 = 1_700_000_000;

#[test]
fn killed_again_and_again() {
    let testbed = Testbed::holding(records(THEN, 8_000));
    let slow = [
        "--set",
        "sources.logs.max_offsets_per_trigger=1000",
        "--set",
        "autoscale.max_records_per_second_per_core=500",
    ];
    let run = testbed.start_run(&[&slow[..], &WITH_DASHBOARD].concat());
    let dashboard = Dashboard::of(&run);
    let mut last = 0;
    for _ in 0..6 {
        let victim =
            dashboard.executor("one more at work", |executor| executor.id > last && executor.tasks_running > 0);
        assert!(signal(victim.pid, "KILL"));
        run.says(&format!("executor {} was lost", victim.id));
        last = victim.id;
    }
    until("all records", || (testbed.records_read() == 8_000).then_some(()));
    run.signal("INT");
    assert_eq!(run.end().code, Some(0));
    assert!(testbed.progress().iter().map(|batch| batch.tidemill.tasks_retried).sum::<u64>() >= 6);
    assert_eq!(testbed.rows(), testbed.expected());
}

/// An executor that was asked to end finishes its tasks first. If it is killed meanwhile, they run elsewhere.
#[test]
fn killed_while_it_is_draining() {
    let testbed = Testbed::holding(records(THEN, 2_000));
    let slow = ["--set", "autoscale.max_records_per_second_per_core=100"];
    let run = testbed.start_run(&[&slow[..], &WITH_DASHBOARD].concat());
    let dashboard = Dashboard::of(&run);
    dashboard.command(r#"{"pin": 2}"#);
    dashboard.wait("two at work", |status| {
        status.executors.iter().filter(|executor| executor.tasks_running == 2).count() == 2
    });
    dashboard.command(r#"{"pin": 1}"#);
    let victim =
        dashboard.executor("one draining", |executor| executor.state == "draining" && executor.tasks_running > 0);
    assert!(signal(victim.pid, "KILL"));
    until("all records", || (testbed.records_read() == 2_000).then_some(()));
    run.signal("INT");
    assert_eq!(run.end().code, Some(0));
    assert_eq!(testbed.rows(), testbed.expected());
}

/// A stopped executor is alive and silent. It is noticed, killed and replaced, in the middle of its tasks.
#[test]
fn stopped_again_and_again() {
    let testbed = Testbed::holding(records(THEN, 4_000));
    let slow = [
        "--set",
        "sources.logs.max_offsets_per_trigger=1000",
        "--set",
        "autoscale.max_records_per_second_per_core=500",
        "--set",
        "autoscale.task_timeout=4 seconds",
    ];
    let run = testbed.start_run(&[&slow[..], &WITH_DASHBOARD].concat());
    let dashboard = Dashboard::of(&run);
    let mut last = 0;
    for _ in 0..3 {
        let victim =
            dashboard.executor("one more at work", |executor| executor.id > last && executor.tasks_running > 0);
        assert!(signal(victim.pid, "STOP"));
        run.says(&format!("executor {} has sent nothing for", victim.id));
        run.says(&format!("executor {} was lost", victim.id));
        last = victim.id;
    }
    until("all records", || (testbed.records_read() == 4_000).then_some(()));
    run.signal("INT");
    assert_eq!(run.end().code, Some(0));
    assert!(testbed.progress().iter().map(|batch| batch.tidemill.tasks_retried).sum::<u64>() >= 3);
    assert_eq!(testbed.rows(), testbed.expected());
}

/// An executor that is stopped while idle does not end when asked to, and is killed.
#[test]
fn stopped_while_idle() {
    let testbed = Testbed::holding(records(THEN, 400));
    let run = testbed.start_run(&WITH_DASHBOARD);
    let dashboard = Dashboard::of(&run);
    dashboard.command(r#"{"pin": 1}"#);
    until("all records", || (testbed.records_read() == 400).then_some(()));
    let victim = dashboard.executor("one idle", |executor| executor.state == "ready");
    assert!(signal(victim.pid, "STOP"));
    dashboard.command(r#"{"pin": 0}"#);
    dashboard.wait("none", |status| status.executors.is_empty());
    run.signal("INT");
    assert_eq!(run.end().code, Some(0));
    assert_eq!(testbed.rows(), testbed.expected());
}
