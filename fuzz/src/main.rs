//! Fuzzing on stable Rust: `tidemill-fuzz TARGET --seconds N`, called by `cargo xtask fuzz`.
//!
//! ```text
//! corpus ──► mutate ──► target ──► signature: new? ──► into the corpus
//!                          └─────► panic, hang, memory over the bound: the input is saved, the run fails
//! ```
//! There is no compiler instrumentation. A target returns a signature of what the input did, such as the error it gave or
//! the shape of the answer; an input with a new signature is kept and mutated further.
//!
//! A target is a file in `targets/`, a line in `targets::ALL` and seeds: inputs in `fuzz/corpus/NAME.hex`, one a line in
//! hexadecimal, or text in `fuzz/corpus/NAME.txt`, one a line.

#![forbid(unsafe_code)]

mod memory;
mod mutate;
mod targets;

use mutate::Mutator;
use std::collections::{HashSet, VecDeque};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use targets::Target;

/// Inputs beyond this many are dropped, oldest first.
const CORPUS_MAX: usize = 10_000;
/// An input that runs longer than this counts as a hang.
const HANG: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("fuzz: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[&str]) -> Result<(), String> {
    match args {
        ["--list"] => {
            targets::ALL.iter().for_each(|target| println!("{:<16} {}", target.name, target.about));
            Ok(())
        }
        [name, "--seconds", seconds, "--seed", seed, root] => {
            let seconds = seconds.parse().map_err(|_| "--seconds wants a number")?;
            let seed = seed.parse().map_err(|_| "--seed wants a number")?;
            fuzz(target(name)?, Duration::from_secs(seconds), seed, Path::new(root))
        }
        [name, "--input", file] => {
            let inputs = read_inputs(Path::new(file))?;
            let mut one = (target(name)?.start)();
            inputs.iter().for_each(|input| println!("signature {:x}", one(input)));
            Ok(())
        }
        _ => Err("use `cargo xtask fuzz`".to_owned()),
    }
}

fn target(name: &str) -> Result<&'static Target, String> {
    let names = || targets::ALL.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    let found = targets::ALL.iter().find(|target| target.name == name);
    found.ok_or_else(|| format!("`{name}` is no target; there are {}", names()))
}

/// The current input and its start, for the reports of panics and hangs.
type AtWork = Arc<Mutex<(Instant, Vec<u8>)>>;

fn fuzz(target: &Target, time: Duration, seed: u64, root: &Path) -> Result<(), String> {
    let seeds = seeds(target, root)?;
    let failures = root.join("target/fuzz");
    let at_work: AtWork = Arc::new(Mutex::new((Instant::now(), Vec::new())));
    watch(target.name, Arc::clone(&at_work), failures.clone());
    let mut mutator = Mutator::new(seed);
    let mut seen = HashSet::new();
    let mut corpus: VecDeque<Vec<u8>> = VecDeque::new();
    let mut one = (target.start)();
    let (begin, mut executions) = (Instant::now(), 0u64);
    let mut queue = seeds.clone();
    while !queue.is_empty() || begin.elapsed() < time {
        let input = queue.pop().unwrap_or_else(|| mutator.mutate(&seeds, &corpus, target.input_bytes_max));
        *at_work.lock().expect("no panic under this lock") = (Instant::now(), input.clone());
        let signature = catch_unwind(AssertUnwindSafe(|| one(&input)))
            .map_err(|_| format!("{} panics; {}", target.name, save(&failures, target.name, &input)))?;
        executions += 1;
        if let Some(peak) = memory::peak_mib().filter(|peak| *peak > target.memory_mib_max) {
            let saved = save(&failures, target.name, &input);
            return Err(format!("{} takes {peak} MiB, {} are allowed; {saved}", target.name, target.memory_mib_max));
        }
        if seen.insert(signature) {
            corpus.push_back(input);
            if corpus.len() > CORPUS_MAX {
                corpus.pop_front();
            }
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    let peak = memory::peak_mib().map_or("not measured here".to_owned(), |peak| format!("{peak} MiB"));
    println!(
        "{:<16} {executions} executions in {seconds:.0} s ({:.0}/s), {} signatures, peak memory {peak}",
        target.name,
        executions as f64 / seconds,
        seen.len(),
    );
    Ok(())
}

/// Ends the process when an input hangs.
fn watch(name: &'static str, at_work: AtWork, failures: PathBuf) {
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_secs(1));
            let (since, input) = at_work.lock().expect("no panic under this lock").clone();
            if since.elapsed() > HANG {
                eprintln!("fuzz: {name} hangs; {}", save(&failures, name, &input));
                #[expect(clippy::disallowed_methods, reason = "the input that hangs cannot be stopped otherwise")]
                std::process::exit(1);
            }
        }
    });
}

fn seeds(target: &Target, root: &Path) -> Result<Vec<Vec<u8>>, String> {
    let mut seeds = Vec::new();
    for extension in ["hex", "txt"] {
        let path = root.join("fuzz/corpus").join(format!("{}.{extension}", target.name));
        if path.exists() {
            seeds.extend(read_inputs(&path)?);
        }
    }
    if seeds.is_empty() { Err(format!("{} has no seeds under fuzz/corpus", target.name)) } else { Ok(seeds) }
}

/// Reads one input per line: hexadecimal digits in a file `.hex`, plain text in others.
fn read_inputs(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let lines = text.lines().filter(|line| !line.is_empty());
    if path.extension().is_none_or(|extension| extension != "hex") {
        return Ok(lines.map(|line| line.as_bytes().to_vec()).collect());
    }
    let byte = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    let inputs: Option<Vec<Vec<u8>>> = lines.map(|line| line.as_bytes().chunks(2).map(byte).collect()).collect();
    inputs.ok_or_else(|| format!("{} is not in hexadecimal digits", path.display()))
}

/// Saves a failing input. Returns its path and the command that runs it again.
fn save(dir: &Path, name: &str, input: &[u8]) -> String {
    let digits: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
    let path = dir.join(format!("{name}.hex"));
    let saved = fs::create_dir_all(dir).and_then(|()| fs::write(&path, format!("{digits}\n")));
    match saved {
        Ok(()) => format!("run it again with `cargo xtask fuzz {name} --input {}`", path.display()),
        Err(error) => format!("the input cannot be saved ({error}): {digits}"),
    }
}
