//! `steady`: the embedded broker under 20,000 records per second, written by `tidemill produce` and read by the reference
//! pipeline. Prints CPU time and memory of the broker along the way. Fails unless both stay flat.

use super::bench_dir::{BenchDir, TOPIC};
use super::process::{self, KillOnDrop};
use crate::sh::{self, Outcome, cargo};
use std::fs::File;
use std::process::Stdio;
use std::time::{Duration, Instant};

const RATE: &str = "20k/s";
const SAMPLE: Duration = Duration::from_secs(10);
/// What the broker keeps of a partition. Its index in memory grows with it.
const RETENTION: [&str; 2] = ["--retention-bytes", "50000000"];
/// By how much the last third may be above the first, after the first minute.
const CPU_GROWTH_MAX: f64 = 1.25;
const MEMORY_GROWTH_MAX: f64 = 1.25;

/// CPU time in percent of a core over a sample, and memory in MB at its end.
type Sample = (f64, f64);

/// `--minutes M` (default 5).
pub fn run(args: &[&str]) -> Outcome {
    let minutes: f64 = match args {
        [] => 5.0,
        ["--minutes", minutes] => minutes.parse().map_err(|_| "--minutes wants a number")?,
        _ => return Err("steady takes --minutes M".into()),
    };
    sh::run(&mut cargo(&["build", "--release", "--quiet", "--package", "tidemill-cli"]))?;
    let bench_dir = BenchDir::with("steady", &RETENTION)?;
    let seconds = format!("{}s", (minutes * 60.0).ceil());
    let spawn = |command: &mut std::process::Command| {
        command.stdout(Stdio::null()).spawn().map(KillOnDrop).map_err(|error| format!("cannot start: {error}"))
    };
    let log = bench_dir.file("producer.log");
    let words = File::create(&log).map_err(|error| format!("cannot write {}: {error}", log.display()))?;
    let mut producer = spawn(bench_dir.producer(TOPIC, RATE, 4).args(["--duration", &seconds]).stderr(words))?;
    let reader = spawn(&mut bench_dir.run("reader", false)?)?;
    let pid = bench_dir.broker.pid();
    let (start, mut samples) = (Instant::now(), Vec::new());
    let (mut at, mut before) = (Instant::now(), process::cpu(pid)?.own);
    println!("{:>8} {:>10} {:>10}", "seconds", "CPU %", "MB");
    while process::is_alive(producer.0.id())? {
        std::thread::sleep(SAMPLE);
        let (now, cpu, memory) = (Instant::now(), process::cpu(pid)?.own, process::memory(pid)?.resident);
        let percent = 100.0 * (cpu - before) / now.duration_since(at).as_secs_f64();
        println!("{:>8.0} {percent:>10.1} {memory:>10.1}", start.elapsed().as_secs_f64());
        (at, before) = (now, cpu);
        samples.push((percent, memory));
        if !process::is_alive(reader.0.id())? {
            return Err("the reading run has ended".into());
        }
    }
    let ended = producer.0.wait().map_err(|error| error.to_string())?;
    if !ended.success() {
        let words = sh::read_file(&log)?;
        return Err(format!("`tidemill produce` failed ({ended}): {}", words.lines().last().unwrap_or_default()));
    }
    judge(&samples)
}

/// Compares the first third with the last. The first minute and the last sample, in which the producer ends, do not
/// count.
fn judge(samples: &[Sample]) -> Outcome {
    let warm_up = (60 / SAMPLE.as_secs()) as usize;
    let counted = samples.get(warm_up..samples.len().saturating_sub(1)).unwrap_or_default();
    if counted.len() < 6 {
        return Err("too short to tell; --minutes 3 or more".into());
    }
    let third = counted.len() / 3;
    let mean = |samples: &[Sample], of: fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / samples.len() as f64;
    let (first, last) = (&counted[..third], &counted[counted.len() - third..]);
    let mut faults = Vec::new();
    let cpu: fn(&Sample) -> f64 = |sample| sample.0;
    for (what, of, growth_max) in
        [("CPU %", cpu, CPU_GROWTH_MAX), ("MB", |sample: &Sample| sample.1, MEMORY_GROWTH_MAX)]
    {
        let (first, last) = (mean(first, of), mean(last, of));
        println!("{what}: {first:.1} in the first third, {last:.1} in the last");
        if last > first * growth_max {
            faults.push(format!("{what} grows from {first:.1} to {last:.1}"));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::judge;

    #[test]
    fn growth_is_told() {
        let samples = |growth: f64| (0..30).map(|at| (10.0, 50.0 + growth * f64::from(at))).collect::<Vec<_>>();
        assert!(judge(&samples(0.0)).is_ok());
        assert!(judge(&samples(1.0)).unwrap_err().starts_with("MB grows"));
        assert!(judge(&samples(0.0)[..8]).is_err());
    }
}
