//! Clients and applications of other makers that check a broker: each must say the same of Apache Kafka and of the
//! embedded broker.
//!
//! Each is a program in `crates/broker/tests/clients/DIR` with pinned packages. It is copied to `target/clients/DIR` and
//! installed there, on first use and when the program changes. It gets a broker's address, and prints a line for each
//! thing that it tries: `CAPABILITY ok: DETAIL`, or `CAPABILITY none: WHY` if the client or the broker does not offer it.
//! It fails if something works otherwise than it should.

use crate::embedded::EmbeddedBroker;
use crate::kafka;
use crate::sh::{self, Outcome, command};
use crate::venv;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One program.
struct Program {
    name: &'static str,
    dir: &'static str,
    /// Program and flag that show that the language is installed.
    needs: (&'static str, &'static str),
    /// Installs packages or compiles.
    install: &'static [&'static str],
    /// The program; the broker's address follows.
    run: &'static [&'static str],
    /// Whether it is an application, not a client with a row of capabilities.
    is_application: bool,
}

/// Words of a command that stand for what is installed: the jars of Apache Kafka, those of its applications, a Python.
const JARS: &str = "JARS";
const APPLICATION_JARS: &str = "APPLICATION_JARS";
const PYTHON: &str = "PYTHON";

const BASE: Program =
    Program { name: "", dir: "java", needs: ("java", "-version"), install: &[], run: &[], is_application: false };
const PYTHONIC: Program = Program { dir: "python", needs: ("python3", "--version"), ..BASE };
const GO: Program = Program { needs: ("go", "version"), install: &["go", "build", "-o", "check", "."], ..BASE };

static PROGRAMS: [Program; 11] = [
    Program { name: "Java", run: &["java", "-cp", JARS, "Check.java"], ..BASE },
    Program { name: "librdkafka", run: &[PYTHON, "main.py", "librdkafka"], ..PYTHONIC },
    Program { name: "kafka-python", run: &[PYTHON, "main.py", "kafka-python"], ..PYTHONIC },
    Program { name: "aiokafka", run: &[PYTHON, "main.py", "aiokafka"], ..PYTHONIC },
    Program { name: "franz-go", dir: "franz-go", run: &["./check"], ..GO },
    Program { name: "sarama", dir: "sarama", run: &["./check"], ..GO },
    Program {
        name: "kafkajs",
        dir: "kafkajs",
        needs: ("npm", "--version"),
        install: &["npm", "ci", "--silent", "--no-audit", "--no-fund"],
        run: &["node", "main.js"],
        ..BASE
    },
    Program {
        name: "rskafka",
        dir: "rskafka",
        needs: ("cargo", "--version"),
        install: &["cargo", "build", "--locked", "--target-dir", "target"],
        run: &["target/debug/check"],
        ..BASE
    },
    Program { name: "compaction", run: &["java", "-cp", JARS, "Compaction.java"], is_application: true, ..BASE },
    Program {
        name: "Kafka Streams",
        dir: "apps",
        run: &["java", "-cp", APPLICATION_JARS, "Streams.java"],
        is_application: true,
        ..BASE
    },
    Program {
        name: "Kafka Connect",
        dir: "apps",
        run: &["java", "-cp", APPLICATION_JARS, "Connect.java"],
        is_application: true,
        ..BASE
    },
];

/// What a program says of a broker.
enum Said {
    Skipped(String),
    Lines(Vec<Line>),
    /// What it said before it failed, and why it failed.
    Failed(Vec<Line>, String),
}

/// `CAPABILITY ok: DETAIL` or `CAPABILITY none: WHY`.
struct Line {
    capability: String,
    works: bool,
    detail: String,
}

/// Runs every program on a broker, whose topics they make. Returns a line per program; one that is not installed is
/// skipped.
///
/// # Errors
/// A program ran and fails.
pub fn check(broker: &str, address: &str) -> Outcome<Vec<String>> {
    let mut lines = Vec::new();
    for program in &PROGRAMS {
        match program.ask(address) {
            Said::Skipped(why) => lines.push(format!("{} on {broker}: SKIPPED: {why}", program.name)),
            Said::Lines(_) => lines.push(format!("{} on {broker}: agrees", program.name)),
            Said::Failed(_, why) => return Err(format!("{} on {broker}: {why}", program.name)),
        }
    }
    Ok(lines)
}

/// A broker for the programs. It looks for logs to compact more often than by default.
///
/// # Errors
/// It does not start.
pub fn embedded_broker() -> Outcome<EmbeddedBroker> {
    let dir = sh::target().join("references/clients");
    let _ = std::fs::remove_dir_all(&dir);
    EmbeddedBroker::start_with(&dir, &["--compaction-interval", "500ms"])
}

/// The verb: the programs of these names, or all, on both brokers, as a table. With `bless` it goes into the docs.
///
/// # Errors
/// A broker does not start, or a program fails.
pub fn run(args: &[&str], kafka: &kafka::Broker) -> Outcome {
    let (flags, names): (Vec<&str>, Vec<&str>) = args.iter().partition(|arg| arg.starts_with("--"));
    let bless = flags == ["--bless"];
    if !flags.is_empty() && !bless || bless && !names.is_empty() {
        return Err("`clients [NAME…]` or `clients --bless`".into());
    }
    let wanted = |program: &&'static Program| names.is_empty() || names.contains(&program.name);
    let programs: Vec<&'static Program> = PROGRAMS.iter().filter(wanted).collect();
    if programs.is_empty() {
        return Err(format!(
            "choose from {}",
            PROGRAMS.iter().map(|program| program.name).collect::<Vec<_>>().join(", ")
        ));
    }
    kafka.start()?;
    let embedded = embedded_broker()?;
    let ask = |program: &'static Program| (program, program.ask(&kafka.address()), program.ask(embedded.address()));
    let said: Vec<_> = programs.into_iter().map(ask).collect();
    let table = table(&said);
    print!("{table}");
    if bless {
        write_down(&table)?;
    }
    let failed = |(program, on_kafka, on_embedded): &(&Program, Said, Said)| {
        [on_kafka, on_embedded].iter().any(|said| matches!(said, Said::Failed(..))).then_some(program.name)
    };
    let failed: Vec<&str> = said.iter().filter_map(failed).collect();
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

const CAPABILITIES: [&str; 7] = ["admin", "produce", "consume", "groups", "offsets", "transactions", "new-groups"];

fn table(said: &[(&Program, Said, Said)]) -> String {
    let mut text = format!("| client | {} | KIP-848 groups |\n", CAPABILITIES[..6].join(" | "));
    text += &format!("|---|{}\n", "---|".repeat(CAPABILITIES.len()));
    for (program, on_kafka, on_embedded) in said.iter().filter(|(program, ..)| !program.is_application) {
        let cell = |capability: &&str| match (on_kafka.mark(capability), on_embedded.mark(capability)) {
            (kafka, embedded) if kafka == embedded => kafka.to_owned(),
            (kafka, embedded) => format!("Apache Kafka {kafka}, here {embedded}"),
        };
        let cells: Vec<String> = CAPABILITIES.iter().map(cell).collect();
        text += &format!("| {} | {} |\n", program.name, cells.join(" | "));
    }
    text += "\n| application | Apache Kafka | here |\n|---|---|---|\n";
    for (program, on_kafka, on_embedded) in said.iter().filter(|(program, ..)| program.is_application) {
        text += &format!("| {} | {} | {} |\n", program.name, on_kafka.details(), on_embedded.details());
    }
    text
}

impl Said {
    /// ✓ works, – is not offered, ✗ fails, ? was not tried.
    fn mark(&self, capability: &str) -> &'static str {
        let (lines, failed) = match self {
            Said::Skipped(_) => return "?",
            Said::Lines(lines) => (lines, false),
            Said::Failed(lines, _) => (lines, true),
        };
        match lines.iter().find(|line| line.capability == capability) {
            Some(line) if line.works => "✓",
            None if failed => "✗",
            _ => "–",
        }
    }

    fn details(&self) -> String {
        match self {
            Said::Skipped(why) => format!("skipped: {why}"),
            Said::Lines(lines) => lines.iter().map(|line| line.detail.as_str()).collect::<Vec<_>>().join("; "),
            Said::Failed(_, why) => format!("fails: {}", why.lines().next().unwrap_or_default()),
        }
    }
}

const BEGIN: &str = "<!-- cargo xtask clients --bless writes this -->\n";
const END: &str = "<!-- to here -->\n";

fn write_down(table: &str) -> Outcome {
    let path = sh::root().join("docs/broker.md");
    let text = sh::read_file(&path)?;
    let cut =
        |text: &str, mark: &str| text.find(mark).ok_or_else(|| format!("docs/broker.md has no line `{}`", mark.trim()));
    let (begin, end) = (cut(&text, BEGIN)? + BEGIN.len(), cut(&text, END)?);
    sh::write_file(&path, &format!("{}\n{table}\n{}", &text[..begin], &text[end..]))
}

impl Program {
    fn ask(&self, address: &str) -> Said {
        let (dir, line) = match self.installed().and_then(|dir| Ok((dir, self.line()?))) {
            Ok(installed) => installed,
            Err(why) => return Said::Skipped(why),
        };
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        eprintln!("$ {} {} {address}", self.name, self.run[self.run.len() - 1]);
        let output = match self.command(&line, &dir).arg(address).output() {
            Ok(output) => output,
            Err(error) => return Said::Skipped(error.to_string()),
        };
        let said: Vec<Line> = String::from_utf8_lossy(&output.stdout).lines().filter_map(Line::parse).collect();
        for line in &said {
            eprintln!("  {} {}", line.capability, line.detail);
        }
        if output.status.success() && !said.is_empty() {
            return Said::Lines(said);
        }
        let words = String::from_utf8_lossy(&output.stderr);
        let last: Vec<&str> = words.lines().rev().take(20).collect();
        Said::Failed(said, last.into_iter().rev().collect::<Vec<_>>().join("\n"))
    }

    /// The directory of the installed program. The error says why it cannot be installed.
    fn installed(&self) -> Outcome<PathBuf> {
        let (program, flag) = self.needs;
        if !sh::has(program, flag) {
            return Err(format!("there is no {program}"));
        }
        let source = sh::root().join("crates/broker/tests/clients").join(self.dir);
        let dir = sh::target().join("clients").join(self.dir);
        let stamp = dir.join("installed.txt");
        let wanted = copy(&source, &dir)?;
        if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(dir);
        }
        if !self.install.is_empty() {
            sh::read(&mut self.command(self.install, &dir))?;
        }
        sh::write_file(&stamp, &wanted)?;
        Ok(dir)
    }

    /// The program with its arguments. The error says why something of it cannot be had.
    fn line(&self) -> Outcome<Vec<String>> {
        let word = |word: &&str| match *word {
            JARS => kafka::class_path(),
            APPLICATION_JARS => kafka::application_class_path(),
            PYTHON => {
                let python = venv::made("clients-venv", "crates/broker/tests/clients/python/requirements.txt")?;
                Ok(python.to_string_lossy().into_owned())
            }
            word => Ok(word.to_owned()),
        };
        self.run.iter().map(word).collect()
    }

    fn command(&self, line: &[&str], dir: &Path) -> Command {
        let mut command = command(line[0], &line[1..]);
        command.current_dir(dir);
        command
    }
}

impl Line {
    fn parse(line: &str) -> Option<Line> {
        let (head, detail) = line.split_once(": ")?;
        let (capability, end) = head.split_once(' ')?;
        let works = match end {
            "ok" => true,
            "none" => false,
            _ => return None,
        };
        Some(Line { capability: capability.to_owned(), works, detail: detail.to_owned() })
    }
}

/// Copies the files of a directory. Returns their contents, one after the other by name.
fn copy(from: &Path, to: &Path) -> Outcome<String> {
    let cannot = |error| format!("cannot copy {}: {error}", from.display());
    let entries = std::fs::read_dir(from).map_err(cannot)?.collect::<Result<Vec<_>, _>>().map_err(cannot)?;
    let mut files: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).filter(|path| path.is_file()).collect();
    files.sort();
    let mut contents = String::new();
    for file in files {
        let text = sh::read_file(&file)?;
        sh::write_file(&to.join(file.file_name().expect("a file has a name")), &text)?;
        contents += &text;
    }
    Ok(contents)
}
