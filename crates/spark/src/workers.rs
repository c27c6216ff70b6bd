//! The Workers of a standalone cluster, whose number the autoscaler decides. A Worker has one executor.
//!
//! ```text
//!   hold(size, what Spark lists) ─► LocalWorkers   processes on this machine:  start ─► ready ─► SIGPWR ─► gone ─► end
//!                                ├► HookWorkers    the user's commands, for Workers that are pods or machines
//!                                └► ForeignWorkers nobody's: the cluster keeps its size, or Spark changes it
//! ```
//! A Worker is never ended while Spark lists its executor, unless the executor does not go in time: the executor would
//! otherwise live on with nobody who accounts for it.

use crate::keeper::Kept;
use crate::rest::{Executor, Listing};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tidemill_model::pipeline::ScaleHooks;
use tidemill_model::status::ExecutorStatus;
use tidemill_model::{Error, Result, Secret};

/// A Worker without an executor for so long is replaced.
const START_MAX: Duration = Duration::from_secs(180);
/// An executor that does not go within this time is ended with its Worker.
const DRAIN_MAX: Duration = Duration::from_secs(120);
/// How long a Worker may take to end before it is killed.
const END_MAX: Duration = Duration::from_secs(10);
/// The pause after a hook that failed.
const HOOK_PAUSE: Duration = Duration::from_secs(10);
/// How long the end of a run waits for its last hook.
const HOOK_MAX: Duration = Duration::from_secs(120);

/// The wanted number of Workers, in the environment of a hook.
const WANTED: &str = "TIDEMILL_EXECUTORS";
/// The number before.
const BEFORE: &str = "TIDEMILL_EXECUTORS_BEFORE";

/// Numbers of Workers by what they do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// With an executor that takes tasks.
    pub ready: u32,
    /// On their way.
    pub starting: u32,
    /// On their way out.
    pub draining: u32,
}

/// What has happened since the last look.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Times from the start of a Worker to its executor.
    pub starts: Vec<Duration>,
    /// Times without work of Workers that have ended: their start and their end.
    pub costs: Vec<Duration>,
    /// Workers that ended unexpectedly.
    pub crashes: u32,
    /// Sentences for the user.
    pub notes: Vec<String>,
}

/// Holds a number of Workers.
pub trait Workers {
    /// Takes the next steps towards `size`; called a few times a second. `listing` is what Spark lists now.
    ///
    /// # Errors
    /// External: the system starts no process.
    fn hold(&mut self, size: u32, listing: &Listing, now: Instant) -> Result<News>;
    /// How many of its Workers there are at the beginning of a run, when Spark lists this.
    fn found(&mut self, _listing: &Listing) -> u32 {
        0
    }
    /// What there is.
    fn sizes(&self) -> Sizes;
    /// The Workers one by one. `records` are those that each executor has done, by Spark's number for it.
    fn status(&self, records: &BTreeMap<u64, u64>) -> Vec<ExecutorStatus>;
    /// Seconds from start to end, summed over all Workers so far.
    fn executor_seconds(&self, now: Instant) -> f64;
    /// Whether it moves towards the size it is told.
    fn follows(&self) -> bool {
        true
    }
}

/// Workers as processes of this machine.
pub struct LocalWorkers {
    options: WorkerOptions,
    workers: Vec<Worker>,
    started: u64,
    ended_seconds: f64,
}

/// How a Worker is started.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// The folder with `bin/spark-class`.
    pub home: PathBuf,
    /// `spark://host:port`.
    pub master: String,
    /// Cores of a Worker, and of its executor.
    pub cores: u32,
    /// Memory of a Worker in MB: as much as an executor takes, so that there is one.
    pub memory_mb: u64,
    /// The secret that Master, Workers and application share, if they do.
    pub secret: Option<Secret>,
}

impl WorkerOptions {
    /// Options of the application so that each Worker has one executor, and up to `max` of them can share the state.
    pub fn conf(&self, max: u32) -> Vec<(String, String)> {
        [
            ("spark.executor.cores", self.cores.to_string()),
            ("spark.executor.memory", format!("{}m", self.memory_mb)),
            ("spark.decommission.enabled", "true".into()),
            ("spark.dynamicAllocation.enabled", "false".into()),
            ("spark.sql.shuffle.partitions", (self.cores * max).to_string()),
            ("spark.authenticate", self.secret.is_some().to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }
}

struct Worker {
    number: u64,
    kept: Kept,
    began: Instant,
    /// How long its start took.
    start: Option<Duration>,
    state: State,
    executor: Option<Executor>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Starting { since: Instant },
    Ready,
    Draining { since: Instant },
    Ending { since: Instant },
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Starting { .. } => "starting",
            State::Ready => "ready",
            State::Draining { .. } | State::Ending { .. } => "draining",
        }
    }

    fn stays(self) -> bool {
        matches!(self, State::Starting { .. } | State::Ready)
    }
}

impl LocalWorkers {
    /// No Worker yet.
    pub fn new(options: WorkerOptions) -> LocalWorkers {
        LocalWorkers { options, workers: Vec::new(), started: 0, ended_seconds: 0.0 }
    }

    fn start(&mut self, now: Instant) -> Result<()> {
        self.started += 1;
        let folder = tempfile::Builder::new().prefix("tidemill-workers-").tempdir()?;
        let WorkerOptions { home, master, cores, memory_mb, secret } = &self.options;
        let mut command = daemon(home, "org.apache.spark.deploy.worker.Worker", secret.as_ref());
        command.args(["--cores", &cores.to_string(), "--memory", &format!("{memory_mb}m")]);
        command
            .args(["--host", "127.0.0.1", "--webui-port", "0", "--work-dir"])
            .arg(folder.path().join("work"))
            .arg(master);
        command.env("SPARK_LOCAL_DIRS", folder.path().join("local"));
        let kept = Kept::start(&command, folder.path(), END_MAX)?;
        // From here on it is the keeper's, who removes it also when this process is killed.
        let _ = folder.keep();
        let state = State::Starting { since: now };
        self.workers.push(Worker { number: self.started, kept, began: now, start: None, state, executor: None });
        Ok(())
    }

    /// Lets the newest go first: one without an executor, if there is one.
    fn let_go(&mut self, count: usize, now: Instant) {
        let mut stay: Vec<&mut Worker> = self.workers.iter_mut().filter(|worker| worker.state.stays()).collect();
        stay.sort_by_key(|worker| (worker.executor.is_some(), std::cmp::Reverse(worker.number)));
        for worker in stay.into_iter().take(count) {
            match worker.executor {
                Some(_) => {
                    worker.kept.signal("PWR");
                    worker.state = State::Draining { since: now };
                }
                None => worker.end(now),
            }
        }
    }
}

/// A Master or Worker of a folder of Spark. `SPARK_DAEMON_MEMORY` is its heap.
pub(crate) fn daemon(home: &Path, class: &str, secret: Option<&Secret>) -> Command {
    let mut command = Command::new(home.join("bin/spark-class"));
    let mut options = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dspark.decommission.enabled=true \
                       -Dspark.deploy.maxExecutorRetries=-1"
        .to_owned();
    if let Some(secret) = secret {
        options.push_str(" -Dspark.authenticate=true");
        command.env(SECRET, secret.expose());
    }
    command.arg(class).env("SPARK_HOME", home).env("SPARK_LOCAL_IP", "127.0.0.1");
    command.env("SPARK_DAEMON_MEMORY", "256m").env("SPARK_DAEMON_JAVA_OPTS", options);
    command
}

/// Where Spark looks for the secret first; so it is on no command line.
const SECRET: &str = "_SPARK_AUTH_SECRET";

impl Worker {
    fn end(&mut self, now: Instant) {
        self.kept.ask_to_end();
        self.state = State::Ending { since: now };
    }

    /// The executors of an application that were started in its folder.
    fn executor_in(&self, listing: &Listing) -> Option<Executor> {
        let folder = self.kept.folder().join("work").join(&listing.app);
        listing.executors.iter().rev().find(|executor| folder.join(&executor.id).is_dir()).cloned()
    }

    /// Sees what has become of it.
    fn look(&mut self, listing: &Listing, now: Instant, news: &mut News) {
        self.executor = self.executor_in(listing);
        match (self.state, &self.executor) {
            (State::Starting { .. }, Some(_)) => {
                self.state = State::Ready;
                if self.start.is_none() {
                    let start = now.saturating_duration_since(self.began);
                    self.start = Some(start);
                    news.starts.push(start);
                }
            }
            (State::Starting { since }, None) if now.saturating_duration_since(since) > START_MAX => {
                news.crashes += 1;
                news.notes.push(format!(
                    "Worker {} had no executor for {} s, and is replaced; the end of its log:\n{}",
                    self.number,
                    START_MAX.as_secs(),
                    self.kept.log_tail()
                ));
                self.end(now);
            }
            // The Master starts another one in its place.
            (State::Ready, None) => {
                news.crashes += 1;
                self.state = State::Starting { since: now };
            }
            (State::Draining { .. }, None) => self.end(now),
            (State::Draining { since }, Some(_)) if now.saturating_duration_since(since) > DRAIN_MAX => {
                let (number, most) = (self.number, DRAIN_MAX.as_secs());
                news.notes.push(format!("Worker {number} is ended, since its executor did not go within {most} s"));
                self.end(now);
            }
            _ => {}
        }
    }
}

impl Workers for LocalWorkers {
    fn hold(&mut self, size: u32, listing: &Listing, now: Instant) -> Result<News> {
        let mut news = News::default();
        for mut worker in std::mem::take(&mut self.workers) {
            let Some(status) = worker.kept.ended() else {
                worker.look(listing, now, &mut news);
                self.workers.push(worker);
                continue;
            };
            self.ended_seconds += now.saturating_duration_since(worker.began).as_secs_f64();
            match worker.state {
                State::Ending { since } => {
                    news.costs.push(worker.start.unwrap_or_default() + now.saturating_duration_since(since));
                }
                State::Starting { .. } | State::Ready | State::Draining { .. } => {
                    news.crashes += 1;
                    let (number, log) = (worker.number, worker.kept.log_tail());
                    news.notes
                        .push(format!("Worker {number} ended unexpectedly ({status}); the end of its log:\n{log}"));
                }
            }
        }
        let living = self.workers.iter().filter(|worker| worker.state.stays()).count();
        let wanted = size as usize;
        (living..wanted).try_for_each(|_| self.start(now))?;
        self.let_go(living.saturating_sub(wanted), now);
        Ok(news)
    }

    fn sizes(&self) -> Sizes {
        let count = |name| self.workers.iter().filter(|worker| worker.state.name() == name).count() as u32;
        Sizes { ready: count("ready"), starting: count("starting"), draining: count("draining") }
    }

    fn status(&self, records: &BTreeMap<u64, u64>) -> Vec<ExecutorStatus> {
        let status = |worker: &Worker| ExecutorStatus {
            id: worker.number,
            pid: worker.kept.process_group(),
            state: worker.state.name().into(),
            tasks_running: worker.executor.as_ref().map_or(0, |executor| executor.active_tasks),
            records: worker.executor.as_ref().map_or(0, |executor| done(records, executor)),
        };
        self.workers.iter().map(status).collect()
    }

    fn executor_seconds(&self, now: Instant) -> f64 {
        let living = self.workers.iter().map(|worker| now.saturating_duration_since(worker.began).as_secs_f64());
        self.ended_seconds + living.sum::<f64>()
    }
}

/// All are asked at once, so that they end side by side; then each is waited for.
impl Drop for LocalWorkers {
    fn drop(&mut self) {
        self.workers.iter_mut().for_each(|worker| worker.kept.ask_to_end());
    }
}

fn done(records: &BTreeMap<u64, u64>, executor: &Executor) -> u64 {
    records.get(&executor.number()).copied().unwrap_or(0)
}

/// Executors that only Spark's list tells of.
#[derive(Default)]
struct Listed {
    since: BTreeMap<String, (Instant, Executor)>,
    ended_seconds: f64,
}

impl Listed {
    fn look(&mut self, listing: &Listing, now: Instant) {
        let is_there = |id: &str| listing.executors.iter().any(|executor| executor.id == id);
        let gone: Vec<String> = self.since.keys().filter(|id| !is_there(id)).cloned().collect();
        for (since, _) in gone.iter().filter_map(|id| self.since.remove(id)) {
            self.ended_seconds += now.saturating_duration_since(since).as_secs_f64();
        }
        for executor in &listing.executors {
            self.since.entry(executor.id.clone()).or_insert_with(|| (now, executor.clone())).1 = executor.clone();
        }
    }

    fn count(&self) -> u32 {
        self.since.len() as u32
    }

    fn seconds(&self, now: Instant) -> f64 {
        let living = self.since.values().map(|(since, _)| now.saturating_duration_since(*since).as_secs_f64());
        self.ended_seconds + living.sum::<f64>()
    }

    /// `starting` further ones are on their way.
    fn status(&self, starting: u32, records: &BTreeMap<u64, u64>) -> Vec<ExecutorStatus> {
        let listed = self.since.values().map(|(_, executor)| ExecutorStatus {
            id: executor.number(),
            state: "ready".into(),
            tasks_running: executor.active_tasks,
            records: done(records, executor),
            ..ExecutorStatus::default()
        });
        let coming = ExecutorStatus { state: "starting".into(), ..ExecutorStatus::default() };
        listed.chain((0..starting).map(|_| coming.clone())).collect()
    }
}

/// Workers that the user's commands start and end.
pub struct HookWorkers {
    hooks: ScaleHooks,
    listed: Listed,
    /// What the last hook that succeeded was told; before the first one, what Spark listed.
    told: u32,
    running: Option<Hook>,
    /// When the newest growth was asked for, and the size before it.
    grows: Option<(Instant, u32)>,
    not_before: Option<Instant>,
}

struct Hook {
    child: Child,
    output: File,
    size: u32,
}

impl HookWorkers {
    /// Nothing is known of the Workers yet.
    pub fn new(hooks: ScaleHooks) -> HookWorkers {
        HookWorkers { hooks, listed: Listed::default(), told: 0, running: None, grows: None, not_before: None }
    }

    fn run(&mut self, size: u32, before: u32) -> Result<Hook> {
        let (command, output) = (if size > before { &self.hooks.up } else { &self.hooks.down }, tempfile::tempfile()?);
        let child = Command::new("sh")
            .args(["-c", command])
            .envs([(WANTED, size.to_string()), (BEFORE, before.to_string())])
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output.try_clone()?)
            .spawn()
            .map_err(|error| Error::external(format!("cannot run `{command}`: {error}; a POSIX shell is needed")))?;
        Ok(Hook { child, output, size })
    }

    /// The hook that ran has ended.
    fn ended(&mut self, now: Instant, news: &mut News) {
        let Some(hook) = &mut self.running else { return };
        let Ok(Some(status)) = hook.child.try_wait() else { return };
        let size = hook.size;
        match status.success() {
            true => self.told = size,
            false => {
                let said = last_lines(&mut hook.output);
                self.not_before = Some(now + HOOK_PAUSE);
                let pause = HOOK_PAUSE.as_secs();
                news.notes
                    .push(format!("the command for {size} Workers failed ({status}), again in {pause} s: {said}"));
            }
        }
        self.running = None;
    }
}

fn last_lines(output: &mut File) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let mut text = String::new();
    let read = output.seek(SeekFrom::Start(0)).and_then(|_| output.read_to_string(&mut text));
    let lines: Vec<&str> = text.trim().lines().collect();
    read.map_or_else(|error| error.to_string(), |_| lines[lines.len().saturating_sub(5)..].join("\n"))
}

impl Workers for HookWorkers {
    fn hold(&mut self, size: u32, listing: &Listing, now: Instant) -> Result<News> {
        let mut news = News::default();
        self.listed.look(listing, now);
        if let Some((asked, before)) = self.grows
            && self.listed.count() > before
        {
            news.starts.push(now.saturating_duration_since(asked));
            self.grows = None;
        }
        self.ended(now, &mut news);
        if self.running.is_none() && size != self.told && self.not_before.is_none_or(|at| now >= at) {
            self.running = Some(self.run(size, self.told)?);
            self.grows = (size > self.told).then_some((now, self.listed.count()));
        }
        Ok(news)
    }

    /// An earlier client may have left some.
    fn found(&mut self, listing: &Listing) -> u32 {
        self.told = listing.executors.len() as u32;
        self.told
    }

    fn sizes(&self) -> Sizes {
        let listed = self.listed.count();
        let wanted = self.running.as_ref().map_or(self.told, |hook| hook.size);
        Sizes {
            ready: listed.min(wanted),
            starting: wanted.saturating_sub(listed),
            draining: listed.saturating_sub(wanted),
        }
    }

    fn status(&self, records: &BTreeMap<u64, u64>) -> Vec<ExecutorStatus> {
        self.listed.status(self.sizes().starting, records)
    }

    fn executor_seconds(&self, now: Instant) -> f64 {
        self.listed.seconds(now)
    }
}

/// The run has ended: no Worker is needed.
impl Drop for HookWorkers {
    fn drop(&mut self) {
        let until = Instant::now() + HOOK_MAX;
        let wait = |mut hook: Hook| {
            while Instant::now() < until {
                if hook.child.try_wait().map_or(true, |status| status.is_some()) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            // What does not end in time is left alone: it may be in the middle of something.
        };
        let before = self.running.as_ref().map_or(self.told, |hook| hook.size);
        if let Some(hook) = self.running.take() {
            wait(hook);
        }
        if before > 0
            && let Ok(hook) = self.run(0, before)
        {
            wait(hook);
        }
    }
}

/// Executors of a cluster that keeps its size, or changes it by rules of its own.
#[derive(Default)]
pub struct ForeignWorkers {
    listed: Listed,
}

impl Workers for ForeignWorkers {
    fn hold(&mut self, _size: u32, listing: &Listing, now: Instant) -> Result<News> {
        self.listed.look(listing, now);
        Ok(News::default())
    }

    fn sizes(&self) -> Sizes {
        Sizes { ready: self.listed.count(), ..Sizes::default() }
    }

    fn status(&self, records: &BTreeMap<u64, u64>) -> Vec<ExecutorStatus> {
        self.listed.status(0, records)
    }

    fn executor_seconds(&self, now: Instant) -> f64 {
        self.listed.seconds(now)
    }

    fn follows(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests;
