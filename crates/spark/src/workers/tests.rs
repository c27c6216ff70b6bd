//! Tests with a fake Worker instead of Spark.

use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Instead of Spark: a Worker that has an executor while the file `go` is in its folder; at SIGPWR its executor ends.
const FAKE: &str = r#"#!/bin/sh
while [ "$1" != --work-dir ]; do shift; done
mkdir -p "$2/app-1/$(basename "$PWD")"
trap 'rm -r "$2"/app-1/*' PWR
while :; do sleep 0.02; done
"#;

fn fake_home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("bin")).unwrap();
    let program = home.path().join("bin/spark-class");
    fs::write(&program, FAKE).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    home
}

/// What Spark would list: the executors whose folders are there.
fn listing(workers: &LocalWorkers) -> Listing {
    let mut executors = Vec::new();
    for worker in &workers.workers {
        for entry in fs::read_dir(worker.kept.folder().join("work/app-1")).into_iter().flatten().flatten() {
            executors.push(Executor { id: entry.file_name().into_string().unwrap(), ..Executor::default() });
        }
    }
    Listing { app: "app-1".into(), executors }
}

/// Holds a size until the Workers are as expected; what happened meanwhile.
fn settle(workers: &mut LocalWorkers, size: u32, expected: Sizes) -> News {
    let began = Instant::now();
    let mut all = News::default();
    loop {
        let news = workers.hold(size, &listing(workers), Instant::now()).unwrap();
        all.starts.extend(news.starts);
        all.costs.extend(news.costs);
        all.crashes += news.crashes;
        all.notes.extend(news.notes);
        if workers.sizes() == expected {
            return all;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}, not {expected:?}: {all:?}", workers.sizes());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn ready(ready: u32) -> Sizes {
    Sizes { ready, ..Sizes::default() }
}

#[test]
fn from_none_to_four_and_back_without_an_orphan() {
    let home = fake_home();
    let options = WorkerOptions {
        home: home.path().to_owned(),
        master: "spark://127.0.0.1:1".into(),
        cores: 2,
        memory_mb: 512,
        secret: None,
    };
    let mut workers = LocalWorkers::new(options);
    assert_eq!(settle(&mut workers, 0, ready(0)), News::default());
    assert_eq!(settle(&mut workers, 1, ready(1)).starts.len(), 1);
    assert_eq!(settle(&mut workers, 4, ready(4)).starts.len(), 3);
    assert_eq!(
        workers.status(&BTreeMap::new()).iter().map(|worker| worker.state.as_str()).collect::<Vec<_>>(),
        ["ready"; 4]
    );

    // A Worker is not ended before its executor has gone.
    let before = listing(&workers);
    let now = Instant::now();
    for later in [0, 60] {
        workers.hold(3, &before, now + Duration::from_secs(later)).unwrap();
        assert_eq!(workers.sizes(), Sizes { ready: 3, draining: 1, starting: 0 });
        assert!(workers.workers.iter().all(|worker| !matches!(worker.state, State::Ending { .. })));
    }
    let news = settle(&mut workers, 3, ready(3));
    assert_eq!((news.costs.len(), news.crashes), (1, 0), "{news:?}");

    // A Worker that dies is replaced.
    let group = format!("-{}", workers.workers[0].kept.process_group());
    assert!(Command::new("kill").args(["-KILL", "--", &group]).status().unwrap().success());
    let began = Instant::now();
    let mut crashes = 0;
    while crashes == 0 {
        crashes += workers.hold(3, &listing(&workers), Instant::now()).unwrap().crashes;
        assert!(began.elapsed() < Duration::from_secs(30));
    }
    settle(&mut workers, 3, ready(3));
    settle(&mut workers, 0, ready(0));
    assert!(workers.executor_seconds(Instant::now()) > 0.0);
    settle(&mut workers, 2, ready(2));
    let folders: Vec<PathBuf> = workers.workers.iter().map(|worker| worker.kept.folder().to_owned()).collect();
    assert!(folders.iter().all(|folder| folder.exists()) && folders[0] != folders[1]);
    drop(workers);
    assert!(folders.iter().all(|folder| !folder.exists()), "{folders:?}");
}

#[test]
fn an_executor_that_does_not_go_is_ended_with_its_worker() {
    let home = fake_home();
    let (master, home) = ("spark://127.0.0.1:1".into(), home.path().to_owned());
    let mut workers = LocalWorkers::new(WorkerOptions { home, master, cores: 2, memory_mb: 512, secret: None });
    settle(&mut workers, 1, ready(1));
    let (stale, now) = (listing(&workers), Instant::now());
    workers.hold(0, &stale, now).unwrap();
    fs::create_dir_all(workers.workers[0].kept.folder().join("work/app-1/1")).unwrap();
    let news = workers.hold(0, &stale, now + DRAIN_MAX + Duration::from_secs(1)).unwrap();
    let ended = matches!(workers.workers[0].state, State::Ending { .. });
    // The executor's folder may have gone between the two looks.
    assert!(ended && (news.notes.is_empty() || news.notes[0].contains("did not go")), "{news:?}");
}

#[test]
fn hooks_are_told_the_number() {
    let dir = tempfile::tempdir().unwrap();
    let told = dir.path().join("told");
    let hook = |name: &str| format!("echo {name} ${BEFORE} ${WANTED} >> {}", told.display());
    let mut workers = HookWorkers::new(ScaleHooks { up: hook("up"), down: hook("down") });
    let mut listing = Listing { app: "app-1".into(), executors: Vec::new() };
    let mut hold = |workers: &mut HookWorkers, size, executors: &[&str]| {
        let executor = |id: &&str| Executor { id: (*id).into(), ..Executor::default() };
        listing.executors = executors.iter().map(executor).collect();
        let began = Instant::now();
        let mut news = workers.hold(size, &listing, began).unwrap();
        while workers.running.is_some() {
            assert!(began.elapsed() < Duration::from_secs(30));
            let more = workers.hold(size, &listing, Instant::now()).unwrap();
            news.starts.extend(more.starts);
            news.notes.extend(more.notes);
        }
        news
    };
    hold(&mut workers, 2, &[]);
    assert_eq!(workers.sizes(), Sizes { ready: 0, starting: 2, draining: 0 });
    assert_eq!(hold(&mut workers, 2, &["0", "1"]).starts.len(), 1);
    assert_eq!(workers.sizes(), ready(2));
    hold(&mut workers, 1, &["0", "1"]);
    assert_eq!(workers.sizes(), Sizes { ready: 1, starting: 0, draining: 1 });
    hold(&mut workers, 1, &["1"]);
    assert_eq!(workers.status(&BTreeMap::new()).len(), 1);
    drop(workers);
    assert_eq!(fs::read_to_string(&told).unwrap(), "up 0 2\ndown 2 1\ndown 1 0\n");

    // Those that an earlier client has left.
    let mut workers = HookWorkers::new(ScaleHooks { up: hook("up"), down: hook("down") });
    let left = ["0", "1", "2"].map(|id| Executor { id: id.into(), ..Executor::default() });
    assert_eq!(workers.found(&Listing { app: "app-1".into(), executors: left.into() }), 3);
    hold(&mut workers, 3, &["0", "1", "2"]);
    hold(&mut workers, 2, &["0", "1", "2"]);
    drop(workers);
    assert!(fs::read_to_string(&told).unwrap().ends_with("\ndown 1 0\ndown 3 2\ndown 2 0\n"));

    let mut workers = HookWorkers::new(ScaleHooks { up: "echo no quota; false".into(), down: String::new() });
    let news = hold(&mut workers, 1, &[]);
    assert!(news.notes[0].contains("no quota"), "{news:?}");
    assert_eq!(workers.sizes(), ready(0));
}
