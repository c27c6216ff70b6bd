//! The dashboard with a simulated run, to look at the page without an engine.
//!
//! `cargo run --release -p tidemill-dash --example dash_demo -- [cycle|idle|empty|hostile] [listen]`: `cycle` has a
//! load that rises and falls (three minutes of it already past), `idle` has nothing to do, `empty` has no status at
//! all, and `hostile` has records that contain markup. Ends when its standard input ends.

use std::io::Read;
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tidemill_dash::Dashboard;
use tidemill_model::FaultCounts;
use tidemill_model::status::{Command, DecisionLine, ExecutorStatus, ResultRows, Status};

const STEP_MS: i64 = 250;
const PAST_MS: i64 = 180_000;
const CYCLE_MS: i64 = 120_000;

fn main() -> tidemill_model::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let scene = arguments.next().unwrap_or_else(|| "cycle".into());
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".into());
    let (commands, commanded) = mpsc::channel();
    let (dashboard, server) = Dashboard::bind(&listen, commands)?;
    std::thread::spawn(|| server.run());
    println!("{}", dashboard.url());
    let input = std::thread::spawn(|| std::io::stdin().read_to_end(&mut Vec::new()));
    let now_ms = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as i64);
    let mut run = Run { hostile: scene == "hostile", idle: scene == "idle", ..Run::default() };
    let start = now_ms();
    run.status.now_ms = start - PAST_MS;
    while scene != "empty" && run.status.now_ms < start {
        run.step();
        dashboard.publish(&run.status);
    }
    while !input.is_finished() {
        std::thread::sleep(Duration::from_millis(STEP_MS as u64));
        for command in commanded.try_iter() {
            println!("{command:?}");
            run.pinned = match command {
                Command::Pin(size) => Some(size),
                _ => None,
            };
        }
        if scene != "empty" {
            run.step();
            dashboard.publish(&run.status);
        }
    }
    Ok(())
}

/// A fluid model: arrivals, processing, backlog.
#[derive(Default)]
struct Run {
    status: Status,
    backlog: f64,
    done: f64,
    quiet_ms: i64,
    spawned: u64,
    pinned: Option<u32>,
    hostile: bool,
    idle: bool,
}

impl Run {
    fn step(&mut self) {
        let seconds = STEP_MS as f64 / 1000.0;
        let age_ms = self.status.uptime_ms as i64;
        let rate_in = if self.idle { 0.0 } else { load(age_ms % CYCLE_MS) * (1.0 + 0.06 * wobble(age_ms)) };
        let size = self.status.executors.iter().filter(|executor| executor.state == "ready").count();
        let capacity = 22_000.0 * size as f64;
        let rate_done = (self.backlog / seconds + rate_in).min(capacity);
        self.backlog = (self.backlog + (rate_in - rate_done) * seconds).max(0.0);
        self.done += rate_done * seconds;
        self.quiet_ms = if rate_in == 0.0 && self.backlog < 1.0 { self.quiet_ms + STEP_MS } else { 0 };
        let status = &mut self.status;
        status.name = "cs-student-activity".into();
        status.now_ms += STEP_MS;
        status.uptime_ms += STEP_MS as u64;
        (status.rate_in, status.rate_done) = (rate_in, rate_done);
        status.backlog = self.backlog as u64;
        status.records = self.done as u64;
        let wait_ms = if rate_done > 0.0 { 1000.0 * self.backlog / rate_done } else { 0.0 };
        (status.age_p50_ms, status.age_p99_ms) = (190 + wait_ms as u64, 410 + (1.3 * wait_ms) as u64);
        status.batch_id = (self.done > 0.0).then_some(status.uptime_ms / 500);
        status.activity =
            if rate_done > 0.0 { format!("batch {}: 5 of 8 tasks", status.uptime_ms / 500) } else { "idle".into() };
        status.watermark_ms = Some((status.now_ms - 60_000) / 1000 * 1000);
        status.state_rows = if self.done > 0.0 { 350 } else { 0 };
        status.capacity_per_core = (self.done > 0.0).then_some(11_020.0);
        status.executor_seconds += status.executors.len() as f64 * seconds;
        status.always_on_executor_seconds += 4.0 * seconds;
        let fault = |per_million: u64| status.records * per_million / 1_000_000;
        status.faults = FaultCounts {
            malformed: fault(900),
            late: fault(150),
            null_event_time: fault(12),
            ..FaultCounts::default()
        };
        self.scale(rate_in);
        self.rows();
    }

    fn scale(&mut self, rate_in: f64) {
        let needed = ((rate_in + self.backlog / 10.0) / 22_000.0).ceil().clamp(0.0, 4.0) as u32;
        let status = &mut self.status;
        let old = status.executors_target;
        let keep = if self.quiet_ms < 10_000 { 1 } else { 0 };
        let held = status.decisions.last().is_some_and(|last| status.now_ms - last.at_ms < 8_000);
        let target = match self.pinned {
            Some(size) => size,
            None if needed > old => needed,
            None if old > 0 && !held => needed.max(keep),
            None => old,
        };
        for executor in &mut status.executors {
            if executor.state == "starting" {
                executor.state = "ready".into();
            }
        }
        status.executors.retain(|executor| executor.state != "draining");
        if target != old {
            let reason = match target {
                _ if self.pinned.is_some() => format!("held at {target} by hand"),
                0 => "nothing has arrived for 10 s and every batch is committed".into(),
                _ if target > old => format!(
                    "{:.0} records/s arrive and {:.0} wait: {old} would be over the budget of 10 s in 1.4 s",
                    rate_in, self.backlog
                ),
                _ => format!(
                    "{target} can do {:.0} records/s for over 600 s, as was so for 8 s",
                    f64::from(target) * 22_000.0
                ),
            };
            status.decisions.push(DecisionLine { at_ms: status.now_ms, from: old, to: target, reason });
            if status.decisions.len() > 8 {
                status.decisions.remove(0);
            }
        }
        status.executors_target = target;
        status.executors_max = 4;
        status.executors_pinned = self.pinned;
        for _ in status.executors.len()..target as usize {
            self.spawned += 1;
            let pid = 4100 + self.spawned as u32 * 7;
            status.executors.push(ExecutorStatus {
                id: self.spawned,
                pid,
                state: "starting".into(),
                ..ExecutorStatus::default()
            });
        }
        for executor in status.executors.iter_mut().skip(target as usize) {
            executor.state = "draining".into();
        }
        let share = status.rate_done / status.executors.len().max(1) as f64;
        for executor in &mut status.executors {
            executor.tasks_running = if share > 15_000.0 { 2 } else { u32::from(share > 0.0) };
            executor.records += (share * STEP_MS as f64 / 1000.0) as u64;
        }
    }

    fn rows(&mut self) {
        let names = ["start", "end", "course", "activity", "total_loc", "avg_cpu"];
        let mut rows = Vec::new();
        for n in 0..24_u64 {
            if self.status.rate_done == 0.0 && !self.status.windows.rows.is_empty() || self.idle {
                return;
            }
            let second = (self.status.now_ms / 5000 * 5) as u64 % 60;
            let course = [
                "Operating Systems",
                "Data Structures",
                "Web Engineering",
                "Artificial Intelligence",
                "Linear Algebra",
            ][n as usize % 5];
            let course = if self.hostile { "<img src=x onerror=alert(1)><script>alert(2)</script>" } else { course };
            let activity = ["coding", "debugging", "reading_docs", "committing_code", "running_tests"][n as usize / 5];
            rows.push(vec![
                format!("2026-01-05 10:42:{second:02}"),
                format!("2026-01-05 10:42:{:02}", second + 10),
                course.into(),
                activity.into(),
                if activity == "coding" { (self.status.records / 40 + n * 977).to_string() } else { "0".into() },
                format!("{:.8}", 52.75 + wobble(self.status.now_ms + n as i64 * 900)),
            ]);
        }
        self.status.windows = ResultRows { columns: names.map(String::from).into(), rows };
    }
}

/// Phases: quiet, baseline, spike, drain, quiet, zero.
fn load(ms: i64) -> f64 {
    match ms {
        0..4_000 => 0.0,
        4_000..30_000 => 12_000.0,
        30_000..52_000 => 92_000.0,
        52_000..75_000 => 14_000.0,
        75_000..90_000 => 6_000.0,
        _ => 0.0,
    }
}

/// A value between −1 and 1, a pure function of the time.
fn wobble(ms: i64) -> f64 {
    let t = ms as f64 / 1000.0;
    (t * 1.7).sin() * 0.5 + (t * 0.63).sin() * 0.3 + (t * 5.1).sin() * 0.2
}
