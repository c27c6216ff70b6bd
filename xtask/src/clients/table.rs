//! What the programs say, as a table for the docs. Pure but for the file of the docs.

use super::programs::Program;
use crate::sh::{self, Outcome};
use std::fmt;
use std::path::PathBuf;

/// A program, and what it says of both brokers.
pub struct Row {
    pub program: &'static Program,
    pub on_kafka: Said,
    pub on_embedded: Said,
}

/// What a program says of a broker.
#[derive(Debug)]
pub enum Said {
    Skipped(String),
    Lines(Vec<Line>),
    /// What it said before it failed, and why it failed.
    Failed(Vec<Line>, String),
}

/// `CAPABILITY ok: DETAIL` or `CAPABILITY none: WHY`.
#[derive(Debug, PartialEq)]
pub struct Line {
    capability: String,
    works: bool,
    detail: String,
}

/// The columns of clients, as programs and as the table name them.
const CAPABILITIES: [(&str, &str); 7] = [
    ("admin", "admin"),
    ("produce", "produce"),
    ("consume", "consume"),
    ("groups", "groups"),
    ("offsets", "offsets"),
    ("transactions", "transactions"),
    ("new-groups", "KIP-848 groups"),
];

const BEGIN: &str = "<!-- cargo xtask clients --bless writes this -->\n";
const END: &str = "<!-- to here -->\n";

/// Clients by capability, then applications.
pub fn text(rows: &[Row]) -> String {
    let (applications, clients): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.program.is_application);
    let mut text = format!("| client | {} |\n", CAPABILITIES.map(|(_, column)| column).join(" | "));
    text += &format!("|---|{}\n", "---|".repeat(CAPABILITIES.len()));
    for row in clients {
        let cells = CAPABILITIES.map(|(capability, _)| {
            match (row.on_kafka.mark(capability), row.on_embedded.mark(capability)) {
                (kafka, embedded) if kafka == embedded => kafka.to_owned(),
                (kafka, embedded) => format!("Apache Kafka {kafka}, here {embedded}"),
            }
        });
        text += &format!("| {} | {} |\n", row.program.name, cells.join(" | "));
    }
    text += "\n| application | Apache Kafka | here |\n|---|---|---|\n";
    for row in applications {
        let (kafka, embedded) = (row.on_kafka.details(), row.on_embedded.details());
        let embedded = if kafka == embedded { "the same".to_owned() } else { embedded };
        text += &format!("| {} | {kafka} | {embedded} |\n", row.program.name);
    }
    text
}

/// A sentence for each failure.
pub fn failures(rows: &[Row]) -> Vec<String> {
    let sides = rows.iter().flat_map(|row| {
        [("Apache Kafka", &row.on_kafka), ("the embedded broker", &row.on_embedded)].map(|side| (row, side))
    });
    let failed = sides.filter_map(|(row, (broker, said))| match said {
        Said::Failed(_, why) => Some(format!("{} on {broker} fails: {why}", row.program.name)),
        _ => None,
    });
    failed.collect()
}

/// Writes the table into the docs.
pub fn write_down(rows: &[Row]) -> Outcome {
    if let Some(row) = rows.iter().find(|row| row.is_skipped()) {
        return Err(format!("a table without gaps needs all programs: {}", row.summary()));
    }
    let docs = sh::read_file(&docs())?;
    let (before, _, after) = parts(&docs)?;
    sh::write_file(&self::docs(), &format!("{before}{}{after}", text(rows)))
}

/// Compares the table in the docs with what the programs say now. Nothing is said of a program that was skipped.
pub fn compare(rows: &[Row]) -> Outcome {
    let docs = sh::read_file(&docs())?;
    let table: Vec<&str> = parts(&docs)?.1.lines().collect();
    for row in rows.iter().filter(|row| !row.is_skipped()) {
        let text = text(std::slice::from_ref(row));
        let line = text.lines().find(|line| line.starts_with(&format!("| {} |", row.program.name))).expect("its row");
        if !table.contains(&line) {
            return Err(format!(
                "the table of clients in docs/broker.md says something else; `cargo xtask clients --bless` writes it: {line}"
            ));
        }
    }
    Ok(())
}

fn docs() -> PathBuf {
    sh::root().join("docs/broker.md")
}

/// The docs before the table, the table, and the docs after it.
fn parts(docs: &str) -> Outcome<(&str, &str, &str)> {
    let at = |mark: &str| docs.find(mark).ok_or_else(|| format!("docs/broker.md has no line `{}`", mark.trim()));
    let (begin, end) = (at(BEGIN)? + BEGIN.len(), at(END)?);
    let inner = docs.get(begin..end).ok_or("the marks in docs/broker.md stand in the wrong order")?;
    let table = inner.strip_prefix('\n').and_then(|inner| inner.strip_suffix('\n')).unwrap_or(inner);
    let from = begin + (inner.len() - table.len()) / 2;
    Ok((&docs[..from], table, &docs[from + table.len()..]))
}

impl Row {
    fn is_skipped(&self) -> bool {
        [&self.on_kafka, &self.on_embedded].iter().any(|said| matches!(said, Said::Skipped(_)))
    }

    /// A line for the list of references.
    pub fn summary(&self) -> String {
        let name = self.program.name;
        match (&self.on_kafka, &self.on_embedded) {
            (_, Said::Skipped(why)) => format!("{name}: SKIPPED: {why}"),
            (Said::Skipped(why), _) => format!("{name}: runs on the embedded broker; SKIPPED: {why}"),
            _ => format!("{name}: runs on Apache Kafka and on the embedded broker"),
        }
    }
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

impl Line {
    pub fn parse(line: &str) -> Option<Line> {
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

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.capability, if self.works { "ok" } else { "none" }, self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::programs::PROGRAMS;

    fn said(text: &str) -> Said {
        let lines = text.lines().filter_map(Line::parse).collect();
        if text.ends_with('!') { Said::Failed(lines, "it breaks".into()) } else { Said::Lines(lines) }
    }

    /// The row of the table, without the name.
    fn check(place: usize, kafka: &str, embedded: &str, expected: &str, failed: &[&str]) {
        let row = Row { program: &PROGRAMS[place], on_kafka: said(kafka), on_embedded: said(embedded) };
        let (rows, name) = ([row], PROGRAMS[place].name);
        let text = text(&rows);
        let line = text.lines().find(|line| line.starts_with(&format!("| {name} |"))).expect("a row");
        assert_eq!(line, format!("| {name} | {expected} |"));
        assert_eq!(failures(&rows), failed);
    }

    #[test]
    fn marks_are_compared() {
        let both = "admin ok: a\nproduce ok: 1000 records\nwhat is this\ngroups none: it has none\n";
        check(0, both, both, "✓ | ✓ | – | – | – | – | –", &[]);
        let more = format!("{both}new-groups ok: a member reads\n");
        check(0, &more, both, "✓ | ✓ | – | – | – | – | Apache Kafka ✓, here –", &[]);
        let fails = "Tidemill's own on the embedded broker fails: it breaks";
        let gone = ["Apache Kafka –, here ✗"; 5].join(" | ");
        let expected = format!("✓ | Apache Kafka ✓, here ✗ | {gone}");
        check(0, both, "admin ok: a\n!", &expected, &[fails]);
        let application = PROGRAMS.iter().position(|program| program.is_application).expect("one");
        check(application, "x ok: 9 of 90", "x ok: 9 of 90", "9 of 90 | the same", &[]);
        check(application, "x ok: 9 of 90", "x ok: 8 of 90", "9 of 90 | 8 of 90", &[]);
    }

    #[test]
    fn the_table_has_its_place_in_the_docs() {
        let docs = format!("a\n{BEGIN}\n| t |\n\n{END}b\n");
        let (before, table, after) = parts(&docs).expect("both marks");
        assert_eq!((before, table, after), (&*format!("a\n{BEGIN}\n"), "| t |\n", &*format!("\n{END}b\n")));
        assert!(parts("a").is_err() && parts(&format!("{END}{BEGIN}")).is_err());
        let real = sh::read_file(&super::docs()).expect("the docs");
        parts(&real).expect("both marks");
    }
}
