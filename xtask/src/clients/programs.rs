//! The programs of the suite: what they need, how they are installed, and how they run.
//!
//! A program is copied to `target/clients/DIR` and installed there, on first use and when it changes. Packages come from the
//! registries of its language. No toolchain is ever downloaded, and without a network an attempt ends soon.

use super::table::{Line, Said};
use crate::bench::process::KillOnDrop;
use crate::sh::{self, Outcome, cargo, command};
use crate::{kafka, venv};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// One program.
pub struct Program {
    pub name: &'static str,
    /// Its directory in `crates/broker/tests/clients`; empty for our own client, an example of its crate.
    dir: &'static str,
    /// Program and flag that show that the language is installed.
    needs: (&'static str, &'static str),
    /// Installs packages or compiles.
    install: &'static [&'static str],
    /// The program; the broker's address follows.
    run: &'static [&'static str],
    /// Whether it is an application, not a client with a row of capabilities.
    pub is_application: bool,
    /// Whether its first installation takes minutes, or fetches a hundred megabytes. The tests leave it out until the verb has installed it.
    is_slow_to_install: bool,
}

/// The longest time for a program.
const PATIENCE: Duration = Duration::from_secs(180);

/// Words of a command that stand for others: a Java machine that starts quickly, the class path of the program with Apache
/// Kafka or with its applications, a Python, our own client.
const JVM: &str = "JVM";
const JARS: &str = "JARS";
const APPLICATION_JARS: &str = "APPLICATION_JARS";
const PYTHON: &str = "PYTHON";
const NATIVE: &str = "NATIVE";

/// No toolchain is downloaded, and a registry that does not answer is not asked for long.
const ENVIRONMENT: [(&str, &str); 5] = [
    ("GOTOOLCHAIN", "local"),
    ("GOFLAGS", "-mod=readonly"),
    ("CARGO_NET_RETRY", "1"),
    ("npm_config_fetch_retries", "1"),
    ("npm_config_fetch_retry_mintimeout", "1000"),
];

const BASE: Program = Program {
    name: "",
    dir: "",
    needs: ("cargo", "--version"),
    install: &[],
    run: &[],
    is_application: false,
    is_slow_to_install: false,
};
const JAVA: Program = Program {
    dir: "java",
    needs: ("javac", "-version"),
    install: &["javac", "-cp", JARS, "Check.java", "Compaction.java"],
    ..BASE
};
const APPLICATION: Program = Program {
    dir: "apps",
    install: &["javac", "-cp", APPLICATION_JARS, "Streams.java", "Connect.java"],
    is_application: true,
    ..JAVA
};
const PYTHONIC: Program = Program { dir: "python", needs: ("python3", "--version"), ..BASE };
const GO: Program = Program { needs: ("go", "version"), install: &["go", "build", "-o", "check", "."], ..BASE };

pub static PROGRAMS: [Program; 13] = [
    Program { name: "Tidemill's own", run: &[NATIVE], ..BASE },
    Program { name: "Java", run: &[JVM, "-cp", JARS, "Check"], ..JAVA },
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
        install: &["cargo", "build", "--quiet", "--locked", "--target-dir", "target"],
        run: &["target/debug/check"],
        is_slow_to_install: true,
        ..BASE
    },
    Program { name: "compaction", run: &[JVM, "-cp", JARS, "Compaction"], is_application: true, ..JAVA },
    Program { name: "Kafka Streams", run: &[JVM, "-cp", APPLICATION_JARS, "Streams"], ..APPLICATION },
    Program { name: "Kafka Connect", run: &[JVM, "-cp", APPLICATION_JARS, "Connect"], ..APPLICATION },
    Program {
        name: "Apicurio Registry",
        dir: "registry",
        needs: ("mvn", "--version"),
        // 109 MB. Later versions need Java 21.
        install: &[
            "mvn",
            "-q",
            "-B",
            "dependency:unpack",
            "-Dartifact=io.apicurio:apicurio-registry-app:3.0.9:tar.gz:all",
            "-DoutputDirectory=registry",
        ],
        run: &[JVM, "Registry.java"],
        is_application: true,
        is_slow_to_install: true,
    },
];

impl Program {
    /// Installs it unless it is, or unless that takes long and nobody has `patience`. Returns its command without the broker's
    /// address.
    ///
    /// The error says in one line why it cannot be installed.
    pub fn install(&self, patience: bool) -> Outcome<Vec<String>> {
        if self.is_slow_to_install && !patience && !self.installed_dir().join("installed.txt").exists() {
            return Err(format!("it takes long to install; `cargo xtask clients '{}'` does so", self.name));
        }
        let installed = self.installed().and_then(|()| words(self.run));
        installed.map_err(|why: String| why.lines().take(2).collect::<Vec<_>>().join(" "))
    }

    fn installed(&self) -> Outcome {
        let (program, flag) = self.needs;
        if !sh::has(program, flag) {
            return Err(format!("there is no {program}"));
        }
        let dir = self.installed_dir();
        if self.dir.is_empty() {
            return Ok(());
        }
        let stamp = dir.join("installed.txt");
        let wanted = copy(&sh::root().join("crates/broker/tests/clients").join(self.dir), &dir)?;
        if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(());
        }
        if !self.install.is_empty() {
            let line = words(self.install)?;
            sh::read(&mut self.command(&line.iter().map(String::as_str).collect::<Vec<_>>()))?;
        }
        sh::write_file(&stamp, &wanted)
    }

    /// Runs it on a broker.
    pub fn ask(&self, line: &[String], address: &str) -> Said {
        let line: Vec<&str> = line.iter().map(String::as_str).chain([address]).collect();
        let start = Instant::now();
        let ended = self.run_to_its_end(&line, address);
        let (works, said, words) = match ended {
            Ok(ended) => ended,
            Err(why) => return Said::Failed(Vec::new(), why),
        };
        let lines: Vec<Line> = said.lines().filter_map(Line::parse).collect();
        let mut told = format!("{} on {address}, {:.1} s\n", self.name, start.elapsed().as_secs_f64());
        for line in &lines {
            told += &format!("  {line}\n");
        }
        eprint!("{told}");
        if works && !lines.is_empty() {
            return Said::Lines(lines);
        }
        let words: Vec<&str> = words.lines().collect();
        Said::Failed(lines, words[words.len().saturating_sub(20)..].join("\n"))
    }

    /// Whether it ended well, what it said, and its errors.
    fn run_to_its_end(&self, line: &[&str], address: &str) -> Outcome<(bool, String, String)> {
        let name: String = format!("{}-{address}", self.name).replace([' ', ':', '\''], "-");
        let file = |end: &str| sh::target().join("clients").join(format!("{name}.{end}"));
        let create =
            |path: PathBuf| File::create(&path).map_err(|error| format!("cannot write {}: {error}", path.display()));
        let mut command = self.command(line);
        command.stdout(create(file("out"))?).stderr(create(file("err"))?);
        let process = command.spawn().map_err(|error| format!("cannot run {}: {error}", line[0]))?;
        let (mut process, start) = (KillOnDrop(process), Instant::now());
        loop {
            if let Some(status) = process.0.try_wait().map_err(|error| error.to_string())? {
                return Ok((status.success(), sh::read_file(&file("out"))?, sh::read_file(&file("err"))?));
            }
            if start.elapsed() > PATIENCE {
                process.end();
                let said = sh::read_file(&file("out"))?;
                let last = said.lines().last().unwrap_or("nothing").to_owned();
                return Ok((false, said, format!("it did not end in {} s; its last line: {last}", PATIENCE.as_secs())));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn installed_dir(&self) -> PathBuf {
        sh::target().join("clients").join(self.dir)
    }

    fn command(&self, line: &[&str]) -> Command {
        let mut command = command(line[0], &line[1..]);
        command.current_dir(self.installed_dir()).envs(ENVIRONMENT);
        command
    }
}

/// A command's words, or what they stand for. The error says why something cannot be had.
fn words(line: &[&str]) -> Outcome<Vec<String>> {
    let words: Vec<Vec<String>> = line
        .iter()
        .map(|word| match *word {
            // They run for seconds: machine code of the best kind does not pay.
            JVM => Ok(["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"].map(str::to_owned).into()),
            word => self::word(word).map(|word| vec![word]),
        })
        .collect::<Outcome<_>>()?;
    Ok(words.concat())
}

fn word(word: &str) -> Outcome<String> {
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let with_program = |jars: String| format!("{jars}{}.", if cfg!(windows) { ';' } else { ':' });
    match word {
        JARS => kafka::class_path().map(with_program),
        APPLICATION_JARS => kafka::application_class_path().map(with_program),
        PYTHON => venv::made("clients-venv", "crates/broker/tests/clients/python/requirements.txt").map(text),
        NATIVE => {
            // With the features of the tests, so that both share one build.
            let example = ["--workspace", "--example", "conformance"];
            sh::run(&mut cargo(&[&["build", "--release", "--quiet"], &example[..]].concat()))?;
            Ok(text(sh::target().join("release/examples/conformance")))
        }
        word => Ok(word.to_owned()),
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
