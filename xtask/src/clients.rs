//! Clients in other languages that check a broker: sarama (Go), kafkajs (Node) and the Java client.
//!
//! Each is a program in `crates/broker/tests/clients/NAME` with pinned packages. It is copied to `target/clients/NAME`
//! and installed there, on first use and when the program changes.

use crate::kafka;
use crate::sh::{self, Outcome, command};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One client.
struct Client {
    name: &'static str,
    /// Program and flag that show that the language is installed.
    needs: (&'static str, &'static str),
    /// Installs packages or compiles.
    install: &'static [&'static str],
    /// The program; `JARS` stands for the jars of Apache Kafka, and the broker's address follows.
    run: &'static [&'static str],
}

const JARS: &str = "JARS";

const CLIENTS: [Client; 3] = [
    Client {
        name: "sarama",
        needs: ("go", "version"),
        install: &["go", "build", "-o", "check", "."],
        run: &["./check"],
    },
    Client {
        name: "kafkajs",
        needs: ("npm", "--version"),
        install: &["npm", "ci", "--silent", "--no-audit", "--no-fund"],
        run: &["node", "main.js"],
    },
    Client {
        name: "java",
        needs: ("java", "-version"),
        install: &["java", "-version"],
        run: &["java", "-cp", JARS, "Check.java"],
    },
];

/// Runs every client on a broker, whose topics they make. Returns a line per client; one that is not installed is skipped.
///
/// # Errors
/// A client ran and disagrees.
pub fn check(broker: &str, address: &str) -> Outcome<Vec<String>> {
    let mut lines = Vec::new();
    for client in &CLIENTS {
        match client.installed() {
            Ok(dir) => match client.line() {
                Ok(line) => {
                    let line: Vec<&str> = line.iter().map(String::as_str).collect();
                    sh::run(client.command(&line, &dir).arg(address))?;
                    lines.push(format!("{} on {broker}: agrees", client.name));
                }
                Err(why) => lines.push(format!("{} on {broker}: SKIPPED: {why}", client.name)),
            },
            Err(why) => lines.push(format!("{} on {broker}: SKIPPED: {why}", client.name)),
        }
    }
    Ok(lines)
}

impl Client {
    /// The directory of the installed program. The error says why it cannot be installed.
    fn installed(&self) -> Outcome<PathBuf> {
        let (program, flag) = self.needs;
        if !sh::has(program, flag) {
            return Err(format!("there is no {program}"));
        }
        let source = sh::root().join("crates/broker/tests/clients").join(self.name);
        let dir = sh::target().join("clients").join(self.name);
        let stamp = dir.join("installed.txt");
        let wanted = copy(&source, &dir)?;
        if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(dir);
        }
        sh::read(&mut self.command(self.install, &dir))?;
        sh::write_file(&stamp, &wanted)?;
        Ok(dir)
    }

    /// The program with its arguments. The error says why the jars cannot be had.
    fn line(&self) -> Outcome<Vec<String>> {
        let word = |word: &&str| if *word == JARS { kafka::class_path() } else { Ok((*word).to_owned()) };
        self.run.iter().map(word).collect()
    }

    fn command(&self, line: &[&str], dir: &Path) -> Command {
        let mut command = command(line[0], &line[1..]);
        command.current_dir(dir);
        command
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
