//! `scoreboard`: the autoscaler's goals A1 to A17, what was measured and whether it holds, with the command of each line, into
//! `docs/scoreboard.md`.
//!
//! Each measurement is a command that prints lines `figure NAME VALUE`; what it printed last is kept in
//! `target/scoreboard/`. Without `--run` only the model is measured anew: the other commands take minutes each.

use crate::sh::{self, Outcome};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

const PAGE: &str = "docs/scoreboard.md";

/// A measurement: the name that its output is kept under, and its command.
const MEASUREMENTS: [(&str, &[&str]); 11] = [
    ("torture", &["xtask", "torture", "--minutes", "60"]),
    ("model", &["run", "--release", "--quiet", "-p", "tidemill-simulate", "--example", "scoreboard"]),
    ("wake", &["xtask", "bench", "wake"]),
    ("autoscale", &["xtask", "bench", "autoscale"]),
    ("hot", &["xtask", "bench", "hot"]),
    ("bottlenecks", &["xtask", "bench", "bottlenecks"]),
    ("rescales", &["test", "--release", "-p", "tidemill-testkit", "--test", "rescales", "--", "--nocapture"]),
    ("virtual", &["test", "--release", "-p", "tidemill-testkit", "--test", "virtual_time", "--", "--nocapture"]),
    ("processes", &["xtask", "bench", "model"]),
    ("zero", &["test", "--release", "-p", "tidemill-cli", "--test", "e2e", "zero::", "--", "--nocapture"]),
    ("idle", &["xtask", "bench", "idle"]),
];

type Figures = BTreeMap<String, f64>;

/// What a line found: in words, and whether the goal holds.
type Finding = Option<(String, bool)>;

struct Goal {
    id: &'static str,
    measure: &'static str,
    goal: &'static str,
    /// Of [`MEASUREMENTS`].
    by: &'static [&'static str],
    find: fn(&Figures) -> Finding,
}

const GOALS: [Goal; 20] = [
    Goal {
        id: "A1",
        measure: "one record at zero executors, until its rows are out and committed",
        goal: "p50 ≤ 250 ms, p99 ≤ 750 ms",
        by: &["wake"],
        find: |f| {
            let (p50, p99, count) = (*f.get("wake_p50")?, *f.get("wake_p99")?, *f.get("wake_count")?);
            Some((format!("p50 {p50} ms, p99 {p99} ms, {count} wakes"), p50 <= 250.0 && p99 <= 750.0))
        },
    },
    Goal {
        id: "A2",
        measure: "a backlog for four executors at zero, until four are ready",
        goal: "one decision, ≤ 1.5 s",
        by: &["wake"],
        find: |f| {
            let (most, decisions) = (*f.get("wake_all_p100")?, *f.get("wake_all_decisions")?);
            Some((format!("at most {most} ms, {decisions} decision"), most <= 1_500.0 && decisions <= 1.0))
        },
    },
    Goal {
        id: "A3",
        measure: "time between decisions, p99",
        goal: "≤ 1 s",
        by: &["autoscale"],
        find: |f| {
            let gap = *f.get("autoscale_decision_gap_p99")?;
            Some((format!("{gap} ms"), gap <= 1_000.0))
        },
    },
    Goal {
        id: "A4",
        measure: "p99 batch time just after a rescale over that just before",
        goal: "≤ 1.5",
        by: &["autoscale"],
        find: |f| f.get("autoscale_rescale_gap").map(|gap| (format!("{gap:.2}"), *gap <= 1.5)),
    },
    Goal {
        id: "A5",
        measure: "random rescales and kills in every phase, executors in the process",
        goal: "≥ 10,000, 0 lost, 0 twice",
        by: &["rescales"],
        find: |f| {
            let (actions, lost, twice) = (*f.get("rescales")?, *f.get("rescales_lost")?, *f.get("rescales_twice")?);
            let text = format!("{actions} rescales and kills, {lost} lost, {twice} counted twice");
            Some((text, actions >= 10_000.0 && lost == 0.0 && twice == 0.0))
        },
    },
    Goal {
        id: "A5 real",
        measure: "the same with processes: executors, drivers and brokers killed, sizes pinned",
        goal: "an hour, 0 lost, 0 twice, 0 rows wrong",
        by: &["torture"],
        find: |f| {
            let (minutes, kills) = (*f.get("torture_minutes")?, *f.get("torture_kills")?);
            let (rescales, lost, twice) =
                (*f.get("torture_rescales")?, *f.get("torture_lost")?, *f.get("torture_twice")?);
            let wrong = *f.get("torture_wrong")?;
            let text = format!(
                "{minutes} minutes: {kills} kills, {rescales} rescales, {lost} lost, {twice} twice, {wrong} rows wrong"
            );
            Some((text, minutes >= 60.0 && lost + twice + wrong == 0.0))
        },
    },
    Goal {
        id: "A6",
        measure: "executor-seconds over the clairvoyant optimum, ten traces",
        goal: "≤ 1.10 at 25 ms a start, 0.00 % late; at 15 s ≤ 1.25",
        by: &["model"],
        find: |f| {
            let (cheap, dear) = (*f.get("cheap_over")?, *f.get("dear_over")?);
            let late = f.get("cheap_late_percent")?.max(*f.get("dear_late_percent")?);
            let text = format!("{cheap:.3}; at 15 s {dear:.3}; {late:.2} % late");
            Some((text, cheap <= 1.10 && dear <= 1.25 && late == 0.0))
        },
    },
    Goal {
        id: "A6 real",
        measure: "executor-seconds over just enough (load / 5,000 rounded up, 410), a trace on the real engine",
        goal: "≤ 1.20, nothing late",
        by: &["autoscale"],
        find: |f| {
            let (used, ratio, late) =
                (*f.get("autoscale_used")?, *f.get("autoscale_ratio")?, *f.get("autoscale_late")?);
            Some((format!("{used} executor-seconds, {ratio:.2}; {late} records late"), ratio <= 1.2 && late == 0.0))
        },
    },
    Goal {
        id: "A7",
        measure: "saved against four always on: a two-level day, long bursts of 20 % duty",
        goal: "≥ 57 %; ≥ 85 %",
        by: &["model"],
        find: |f| {
            let (day, long) = (*f.get("cheap_saved_day")?, *f.get("cheap_saved_long")?);
            Some((format!("{day} %; {long} %"), day >= 57.0 && long >= 85.0))
        },
    },
    Goal {
        id: "A8",
        measure: "late records, and p99 age, on the real engine",
        goal: "0; ≤ 7 s",
        by: &["autoscale"],
        find: |f| {
            let (late, p50, p99) = (*f.get("autoscale_late")?, *f.get("autoscale_p50")?, *f.get("autoscale_p99")?);
            Some((format!("{late} late; p50 {p50} ms, p99 {p99} ms"), late == 0.0 && p99 <= 7_000.0))
        },
    },
    Goal {
        id: "A9",
        measure: "drain of 600 executor-seconds, of four always on",
        goal: "≤ 1.03",
        by: &["model"],
        find: |f| f.get("drain").map(|drain| (format!("{drain:.2}"), *drain <= 1.03)),
    },
    Goal {
        id: "A10",
        measure: "changes at a constant load ± 20 % over 24 h, share of the executor-seconds, the worst of 19 loads; below half an executor, of one that stays",
        goal: "< 1 %",
        by: &["model"],
        find: |f| {
            let (kept, half) = (*f.get("cheap_changes_percent")?, *f.get("cheap_changes_from_half_percent")?);
            let used = *f.get("cheap_changes_of_used_percent")?;
            let text = format!("{half} %; below half an executor {kept} % ({used} % of the little that is used)");
            Some((text, half < 1.0 && kept < 1.0))
        },
    },
    Goal {
        id: "A11",
        measure: "a step of load, until the size for it is decided, beside the wake from zero and the turns of the load before",
        goal: "≤ 3 s, one change",
        by: &["model"],
        find: |f| {
            let (seconds, actions) = (*f.get("cheap_step_s")?, *f.get("cheap_step_actions")?);
            Some((format!("{seconds} s, {actions} changes at most"), seconds <= 3.0 && actions <= 1.0))
        },
    },
    Goal {
        id: "A12",
        measure: "throughput with all records in one partition over that with four",
        goal: "≥ 0.9",
        by: &["hot"],
        find: |f| f.get("hot_ratio").map(|ratio| (format!("{ratio:.2}"), *ratio >= 0.9)),
    },
    Goal {
        id: "A13",
        measure: "driver, sink, source and machine as bottlenecks, until it is said and executors are taken back",
        goal: "each within 30 s",
        by: &["bottlenecks"],
        find: |f| {
            let names = ["driver", "sink", "source", "machine"];
            let seen = names.map(|name| f.get(&format!("bottleneck_{name}_s")).copied());
            let right = names.map(|name| f.get(&format!("bottleneck_{name}_right")).copied() == Some(1.0));
            let each: Vec<String> = (0..names.len())
                .map(|at| match seen[at] {
                    Some(seconds) if right[at] => format!("{} {seconds} s", names[at]),
                    Some(seconds) => format!("{} {seconds} s by another name", names[at]),
                    None => format!("{} not noticed", names[at]),
                })
                .collect();
            let held = seen.iter().zip(right).all(|(seconds, right)| right && seconds.is_some_and(|s| s <= 30.0));
            seen.iter().any(Option::is_some).then(|| (each.join(", "), held))
        },
    },
    Goal {
        id: "A14",
        measure: "the zero-scale tests, on the real driver and a real broker",
        goal: "12 of 12",
        by: &["zero"],
        find: |f| f.get("zero_passed").map(|passed| (format!("{passed} of 12"), *passed == 12.0)),
    },
    Goal {
        id: "A15",
        measure: "24 h idle by a virtual clock; real minutes idle",
        goal: "0 executor-seconds; driver ≤ 1 % of a core and ≤ 40 MB",
        by: &["model", "idle"],
        find: |f| {
            let (day, seconds) = (*f.get("idle_executor_seconds")?, *f.get("idle_watched")?);
            let (cpu, memory) = (*f.get("idle_cpu_percent")?, *f.get("idle_resident")?);
            let text = format!(
                "{day} executor-seconds in the day; in {:.0} real minutes none, {cpu:.2} % of a core, {memory:.1} MB",
                seconds / 60.0
            );
            Some((text, day == 0.0 && cpu <= 1.0 && memory <= 40.0))
        },
    },
    Goal {
        id: "level 3",
        measure: "the real driver in virtual time, with seeded faults: decisions, progress and rows twice the same bytes",
        goal: "all seeds, every record counted once",
        by: &["virtual"],
        find: |f| {
            let (seeds, same) = (*f.get("virtual_seeds")?, *f.get("virtual_same")?);
            Some((format!("{same} of {seeds} seeds"), seeds > 0.0 && same == seeds))
        },
    },
    Goal {
        id: "level 4",
        measure: "real processes on five compressed traces: late records; sizes within one of the simulator's, within 1 s",
        goal: "0 late, all moments",
        by: &["processes"],
        find: |f| {
            let (late, moments) = (*f.get("model_late")?, *f.get("model_moments")?);
            let (apart, unshifted) = (*f.get("model_apart")?, *f.get("model_unshifted")?);
            let text =
                format!("{late} late; {apart} of {moments} moments apart ({} without the second)", moments - unshifted);
            Some((text, late == 0.0 && apart == 0.0))
        },
    },
    Goal {
        id: "A16",
        measure: "decisions that differ when a log is replayed through its JSON lines",
        goal: "none",
        by: &["model"],
        find: |f| {
            let (replayed, differ) = (*f.get("replayed")?, *f.get("replay_differences")?);
            Some((format!("{differ} of {replayed}"), differ == 0.0 && replayed > 0.0))
        },
    },
];

const A17: Goal = Goal {
    id: "A17",
    measure: "capacity wrong by ± 30 %, facts 5 s old, a start of 5 s: each alone",
    goal: "0.00 % late, ≤ 1.5 × the optimum",
    by: &["model"],
    find: |f| {
        let (over, late) = (*f.get("cheap_wrong_over")?, *f.get("cheap_wrong_late_percent")?);
        Some((format!("{late:.2} % late, {over:.2}"), late == 0.0 && over <= 1.5))
    },
};

/// `--run` measures everything anew; names measure those.
pub fn run(args: &[&str]) -> Outcome {
    let all = args == ["--run"];
    let known = |arg: &&str| MEASUREMENTS.iter().any(|(name, _)| name == arg) || seed(arg).is_some();
    if let Some(unknown) = args.iter().find(|arg| !all && !known(arg)) {
        return Err(format!(
            "`{unknown}` is no measurement; say --run for all, or names, such as wake or autoscale-7 for a seed"
        ));
    }
    for (name, seed) in args.iter().filter_map(|arg| Some((arg, seed(arg)?))) {
        keep(name, &sh::read(&mut sh::cargo(&["xtask", "bench", "autoscale", "--seed", seed]))?)?;
    }
    let mut outputs = BTreeMap::new();
    for (name, command) in MEASUREMENTS {
        if all || name == "model" || args.contains(&name) {
            eprintln!("measuring {name} …");
            keep(name, &sh::read(&mut sh::cargo(command))?)?;
        }
        outputs.insert(name, std::fs::read_to_string(kept(name)).unwrap_or_default());
    }
    let page = page(&outputs) + &made_up(&seeds());
    print!("{page}");
    sh::write_file(&sh::root().join(PAGE), &page)
}

/// The seed of a trace that is made up: 7 in `autoscale-7`.
fn seed(name: &str) -> Option<&str> {
    name.strip_prefix("autoscale-").filter(|seed| seed.parse::<u64>().is_ok())
}

/// What was kept of traces that are made up, by seed.
fn seeds() -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(sh::target().join("scoreboard")).into_iter().flatten().flatten();
    let of = |path: PathBuf| {
        let name = path.file_stem()?.to_str()?.to_owned();
        Some((seed(&name)?.to_owned(), std::fs::read_to_string(&path).ok()?))
    };
    entries.filter_map(|entry| of(entry.path())).collect()
}

fn made_up(seeds: &BTreeMap<String, String>) -> String {
    let mut text = "\n## Traces made up by a seed, on the real engine\n\n`cargo xtask bench autoscale --seed S`\n\n\
        | seed | executor-seconds | just enough | ratio | late records | age p50 ms | age p99 ms | changes | load average |\n\
        |---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for (seed, output) in seeds {
        let figures: Figures = figures(output).into_iter().collect();
        let names = ["used", "enough", "ratio", "late", "p50", "p99", "actions"];
        let value = |name: &&str| figures.get(&format!("autoscale_{name}")).map_or("–".into(), f64::to_string);
        let values: Vec<String> = names.iter().map(value).collect();
        let load = output.trim_end().rsplit(' ').next().unwrap_or_default();
        let _ = writeln!(text, "| {seed} | {} | {load} |", values.join(" | "));
    }
    text
}

fn kept(name: &str) -> PathBuf {
    sh::target().join("scoreboard").join(format!("{name}.txt"))
}

/// Keeps what a measurement printed, with the machine's load when it ended.
fn keep(name: &str, text: &str) -> Outcome {
    let path = kept(name);
    let dir = path.parent().expect("it has one");
    std::fs::create_dir_all(dir).map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').nth(1).unwrap_or("unknown").to_owned();
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    sh::write_file(&path, &format!("{text}\nmeasured {seconds} at a load average of {load}\n"))
}

fn page(outputs: &BTreeMap<&str, String>) -> String {
    let figures: Figures = outputs.values().flat_map(|text| figures(text)).collect();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let mut page = format!(
        "# The autoscaler's scoreboard\n\n\
         Written by `cargo xtask scoreboard`. \"Model\" is the fluid model of `tidemill simulate`; everything else is the real\n\
         engine, on a machine of {cores} cores that other work shared. A line that was not measured says so.\n\n\
         | id | measure | goal | measured | holds | command |\n|---|---|---|---|---|---|\n"
    );
    for Goal { id, measure, goal, by, find } in GOALS.iter().chain([&A17]) {
        let (measured, holds) = match find(&figures) {
            Some((text, held)) => (text, if held { "yes" } else { "**no**" }),
            None => ("not measured".into(), "–"),
        };
        let commands: Vec<String> = by.iter().map(|name| by_name(name)).collect();
        let _ = writeln!(page, "| {id} | {measure} | {goal} | {measured} | {holds} | {} |", commands.join("; "));
    }
    page.push_str("\n## When it was measured\n\n");
    for (name, text) in outputs {
        let when = text.lines().rev().find(|line| line.starts_with("measured "));
        let load = when.and_then(|line| line.rsplit(' ').next()).unwrap_or("not measured");
        let _ = writeln!(page, "- {name} ({}): load average {load}", by_name(name));
    }
    page
}

fn by_name(name: &str) -> String {
    let command = MEASUREMENTS.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, command)| command);
    format!("`cargo {}`", command.join(" ").replace(" --quiet", "").replace(" --nocapture", "").trim_end_matches(" --"))
}

/// `figure NAME VALUE …`; and of test output how many tests passed that did not skip.
fn figures(text: &str) -> Vec<(String, f64)> {
    let line = |line: &str| {
        let mut words = line.strip_prefix("figure ")?.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    };
    let mut found: Vec<(String, f64)> = text.lines().filter_map(line).collect();
    let passed = text.lines().filter(|line| line.contains("zero::z") && line.ends_with("ok")).count();
    let skipped = text.matches("skipped: TIDEMILL_TEST_KAFKA").count();
    if passed > 0 {
        found.push(("zero_passed".into(), passed.saturating_sub(skipped) as f64));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_what_holds_and_what_was_not_measured() {
        let wake = "figure wake_p50 31 ms\nfigure wake_p99 800 ms\nfigure wake_count 200\nmeasured 1 at a load average of 2.5\n";
        let zero = "test zero::z1_a ... ok\nskipped: TIDEMILL_TEST_KAFKA=host:port names no\ntest zero::z2_b ... ok\n";
        let page = page(&BTreeMap::from([("wake", wake.to_owned()), ("zero", zero.to_owned())]));
        let line = |id: &str| page.lines().find(|line| line.starts_with(&format!("| {id} |"))).expect("a line");
        assert!(
            line("A1").contains("| p50 31 ms, p99 800 ms, 200 wakes | **no** | `cargo xtask bench wake` |"),
            "{page}"
        );
        assert!(line("A14").contains("| 1 of 12 | **no** |"), "{page}");
        assert!(line("A9").contains("| not measured | – |"), "{page}");
        assert!(page.contains("- wake (`cargo xtask bench wake`): load average 2.5"), "{page}");
        assert_eq!(GOALS.len(), 20, "A1 to A16, A5 and A6 on the real engine, levels 3 and 4");
    }
}
