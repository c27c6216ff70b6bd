//! `tidemill ctl` changes how a run scales while it runs, and says what is refused.

use crate::support::{Dashboard, Ended, Testbed, WITH_DASHBOARD, records};
use tidemill_model::pipeline::ScaleMode;

const THEN: i64 = 1_700_000_000;

#[test]
fn a_run_is_changed_while_it_runs() {
    let testbed = Testbed::holding(records(THEN, 100));
    let run = testbed.start_run(&WITH_DASHBOARD);
    let dashboard = Dashboard::of(&run);
    let ctl =
        |args: &[&str]| -> Ended { testbed.tidemill(&[&["ctl", "--dashboard", dashboard.address()], args].concat()) };
    let done = |args: &[&str]| {
        let ended = ctl(args);
        assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.stderr);
        ended.stdout
    };
    dashboard.wait("the load is done", |status| status.records == 100 && status.executors.is_empty());

    done(&["set", "mode=advisory", "max_executors=3"]);
    let advised = |mode: ScaleMode, count: usize| {
        dashboard.wait(&format!("{count} executors, {mode:?}"), |status| {
            let ready = status.executors.iter().all(|executor| executor.state == "ready");
            status.mode == mode && ready && status.executors.len() == count
        })
    };
    advised(ScaleMode::Advisory, 3);
    done(&["set", "mode=active", "min_executors=1", "slo=2s"]);
    assert_eq!(advised(ScaleMode::Active, 1).slo_ms, 2_000);
    done(&["pin", "2"]);
    assert_eq!(advised(ScaleMode::Pinned, 2).executors_pinned, Some(2));
    done(&["unpin"]);
    advised(ScaleMode::Active, 1);
    done(&["set", "min_executors=0"]);
    advised(ScaleMode::Active, 0);

    let refusals = [
        (&["set", "min_executors=5"][..], "min_executors 5 exceeds max_executors 3; lower it or raise max_executors"),
        (&["set", "max_executors=0"], "max_executors is 0; give a number from 1 to 256"),
        (&["set", "slo=0s"], "slo is 0"),
        (&["set", "mode=sometimes"], "mode=sometimes: give active, advisory or pinned"),
        (&["set", "cores=4"], "there are mode, min_executors, max_executors and slo"),
        (&["pin", "1000"], "pin a smaller number"),
    ];
    for (args, words) in refusals {
        let ended = ctl(args);
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "{args:?}: {}", ended.stderr);
    }

    let status = done(&["status"]);
    for words in
        ["mode           active", "executors      0 of 0 wanted; 0 to 3 allowed", "slo            2000 ms", " each"]
    {
        assert!(status.contains(words), "no `{words}` in\n{status}");
    }
    done(&["stop"]);
    let ended = run.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for words in
        ["the autoscaler is advisory from now on, with 0 to 3 executors and slo 10 s", "executor-seconds · limits: "]
    {
        assert!(ended.stderr.contains(words), "no `{words}` in\n{}", ended.stderr);
    }
    let gone = ctl(&["status"]);
    assert_eq!(gone.code, Some(1));
    assert!(gone.stderr.contains("name the run's with --dashboard ADDRESS:PORT"), "{}", gone.stderr);
}
