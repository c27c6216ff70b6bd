//! A whole job, from the first record to the last, with start and end: what it costs and how much memory it takes.

use super::process;
use crate::sh::Outcome;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const LONGEST: Duration = Duration::from_secs(600);

/// Interval of memory measurements.
const LOOK: Duration = Duration::from_millis(50);

/// The setting of a job whose rows go nowhere.
pub const NO_ROWS: [&str; 1] = ["sinks.screen.type=none"];

/// The cost of a job.
pub struct Cost {
    /// CPU-seconds of the driver.
    pub driver: f64,
    /// CPU-seconds of the executors.
    pub executors: f64,
    /// Seconds.
    pub wall: f64,
    /// The most that driver and executors together had resident, MB.
    pub memory: f64,
}

impl Cost {
    /// Records per CPU-second of driver and executors.
    pub fn rate(&self, records: u64) -> f64 {
        records as f64 / (self.driver + self.executors)
    }

    /// The lines of the table.
    pub fn figures(&self, name: &str, records: u64) -> String {
        format!(
            "figure {name}_records_per_cpu_s {} records/CPU-s of driver and executors\n\
             figure {name}_driver_cpu {} s\n\
             figure {name}_executors_cpu {} s\n\
             figure {name}_wall {} s\n\
             figure {name}_tree {} MB at most, resident\n",
            self.rate(records),
            self.driver,
            self.executors,
            self.wall,
            self.memory,
        )
    }
}

/// Runs a prepared `tidemill run` over everything that there is, with more settings.
pub fn measure(mut command: Command, settings: &[&str]) -> Outcome<Cost> {
    command.arg("--available-now").args(settings.iter().flat_map(|setting| ["--set", setting]));
    let start = Instant::now();
    let mut driver = command.stdout(Stdio::null()).spawn().map_err(|error| format!("cannot start the run: {error}"))?;
    let mut memory: f64 = 0.0;
    while start.elapsed() < LONGEST && process::is_alive(driver.id())? {
        // A process that has ended takes no memory.
        let resident = |pid: u32| process::memory(pid).map_or(0.0, |memory| memory.resident);
        let children = process::children(driver.id())?;
        memory = memory.max(resident(driver.id()) + children.into_iter().map(resident).sum::<f64>());
        std::thread::sleep(LOOK);
    }
    let cpu = process::end(driver.id(), LOOK);
    if cpu.is_err() {
        // It may have ended just now.
        let _ = driver.kill();
    }
    let status = driver.wait().map_err(|error| format!("cannot wait for the run: {error}"))?;
    let (cpu, wall) = (cpu?, start.elapsed().as_secs_f64());
    if !status.success() {
        return Err(format!("`tidemill run` ended with {status}"));
    }
    Ok(Cost { driver: cpu.own, executors: cpu.children, wall, memory })
}
