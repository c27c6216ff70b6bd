//! The documents' command lines and TOML blocks: clap parses each `tidemill …`, and each block is a right pipeline file or
//! a part of one.

use crate::args::Args;
use clap::Parser;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tidemill_model::Secret;

fn documents() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folders = ["", "docs", "docs/decisions", "examples"].map(|folder| root.join(folder));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("a folder of the repository"));
    let files = files.map(|entry| entry.expect("the folder reads").path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|end| end == "md" || end == "toml")).collect();
    files.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a text");
        (path.strip_prefix(&root).expect("it is inside").display().to_string(), text)
    };
    files.into_iter().map(read).collect()
}

/// The fenced blocks of a document: language, first line's number, text.
fn blocks(text: &str) -> Vec<(&str, usize, String)> {
    let mut blocks: Vec<(&str, usize, String)> = Vec::new();
    let mut is_open = false;
    for (number, line) in (1..).zip(text.lines()) {
        match line.strip_prefix("```") {
            Some(_) if is_open => is_open = false,
            Some(language) => {
                is_open = true;
                blocks.push((language, number + 1, String::new()));
            }
            None if is_open => {
                let (_, _, block) = blocks.last_mut().expect("it was opened");
                block.push_str(line);
                block.push('\n');
            }
            None => {}
        }
    }
    blocks
}

/// The commands of a block, or those in backticks or behind `#` in a line outside of one. Each ends at a comment, an
/// operator of the shell or a redirection.
fn commands(document: &str) -> Vec<String> {
    let mut texts: Vec<String> =
        blocks(document).into_iter().map(|(_, _, block)| block.replace("\\\n    ", "")).collect();
    texts.extend(document.lines().flat_map(|line| line.split('`').skip(1).step_by(2).map(str::to_owned)));
    let lines = texts.iter().flat_map(|text| text.lines());
    let lines =
        lines.map(|line| line.trim_start_matches(['$', '#', ' ']).replace("cargo run --release -- ", "tidemill "));
    let cut = |line: String| {
        let end = ["  ", " #", " | ", " > ", " 2>"].iter().filter_map(|mark| line.find(mark)).min();
        line[..end.unwrap_or(line.len())].to_owned()
    };
    let lines = lines.filter(|line| line.starts_with("tidemill ")).map(cut);
    lines.flat_map(|line| line.split(" && ").map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Words as a shell splits them.
fn words(command: &str) -> Vec<String> {
    let pieces = command.split('\'').enumerate();
    let words = pieces.flat_map(|(number, piece)| match number & 1 {
        0 => piece.split_whitespace().map(str::to_owned).collect(),
        _ => vec![piece.to_owned()],
    });
    words.collect()
}

#[test]
fn every_command_line_is_right() {
    let mut count = 0;
    for (name, text) in documents() {
        // A line with a placeholder for more, an option alone, or a verb alone names a command and is none.
        let is_whole = |command: &String| !command.contains(['…', '[', '|']) && words(command).len() > 2;
        for command in commands(&text).into_iter().filter(is_whole) {
            let words = words(&command).into_iter().map(|word| if word == "N" { "2".into() } else { word });
            if let Err(error) = Args::try_parse_from(words) {
                assert!(!error.use_stderr() || error.to_string().contains("required"), "{name}: `{command}`\n{error}");
            }
            count += 1;
        }
    }
    assert!(count > 20, "{count} commands were found");
}

/// Sections that complete a part of a pipeline file.
fn completed(block: &str) -> String {
    let source = block.split("[sources.").nth(1).and_then(|rest| rest.split([']', '.']).next()).unwrap_or("logs");
    let mut text = block.to_owned();
    let mut add = |section: &str, lines: &str| {
        if !block.contains(&format!("[{section}]")) {
            text.push_str(&format!("[{section}]\n{lines}\n"));
        }
    };
    add(
        &format!("sources.{source}"),
        "type = \"kafka\"\nbootstrap_servers = \"localhost:9092\"\ntopic = \"logs\"\nschema = \"a INT\"",
    );
    add("query", &format!("sql = \"SELECT 1 AS one FROM {source}\"\noutput_mode = \"append\""));
    if !block.contains("[sinks.") {
        add("sinks.screen", "type = \"console\"");
    }
    text
}

#[test]
fn every_pipeline_is_right() {
    let mut count = 0;
    for (name, text) in documents().into_iter().filter(|(name, _)| name.ends_with(".md")) {
        for (_, line, block) in blocks(&text).into_iter().filter(|(language, _, _)| *language == "toml") {
            let lookup = |_: tidemill_config::Reference<'_>| Ok(Secret::new("x"));
            let checked = tidemill_config::parse_with(&name, &completed(&block), &[], &lookup);
            let pipeline = checked.unwrap_or_else(|faults| panic!("{name}:{line}: {faults}"));
            if let Err(faults) = tidemill_sql::plan(&pipeline) {
                panic!("{name}:{line}: {faults}");
            }
            count += 1;
        }
    }
    assert!(count > 5, "{count} blocks were found");
}

/// `pgrep -f` also finds the shell that has the pattern in its command, unless the pattern does not match itself.
#[test]
fn examples_do_not_wait_for_themselves() {
    let mut count = 0;
    for (name, text) in documents() {
        for line in text.lines().filter(|line| line.contains("while pgrep")) {
            let from = line.find("while pgrep").expect("it is in the line");
            let to = from + line[from..].find("; done").expect("the loop ends in its line");
            // Another name than that of executors that may run on this machine.
            let waiting = format!("{}; done", &line[from..to]).replace("oarseGrained", "oarseDocumented");
            let mut shell = Command::new("sh");
            let shell = shell.args(["-c", &waiting]).env("MAINPID", std::process::id().to_string()).spawn();
            let (mut shell, began) = (shell.expect("a shell"), Instant::now());
            while shell.try_wait().expect("the shell is ours").is_none() {
                if began.elapsed() > Duration::from_secs(10) {
                    shell.kill().expect("it is ours");
                    panic!("{name}: `{waiting}` waits for itself");
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            count += 1;
        }
    }
    assert_eq!(count, 2, "loops were found");
}
