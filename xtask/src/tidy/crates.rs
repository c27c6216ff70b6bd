//! Crates: which crates each may use, and which names it must not use.
//!
//! ```text
//!   cli → {driver, executor, dash, kafka, files, broker, load} → {link, scale, checkpoint, flow} → {sql, state,
//!   config} → model
//! ```
//! All crates except the pure ones may use `os`. Only tests use `testkit`. Every crate under `crates/` has an entry in
//! [`CRATES`].

use super::{File, Tree};

struct Crate {
    name: &'static str,
    /// The crates that its code may use.
    uses: &'static [&'static str],
    /// Further crates that its tests may use.
    tests_use: &'static [&'static str],
    /// Names that its code must not use, with the alternative.
    unsaid: &'static [(&'static [&'static str], &'static str)],
}

const CLOCK: (&[&str], &str) =
    (&["Instant::now", "SystemTime"], "this crate has no clock; take the time as an argument");
const WORLD: (&[&str], &str) = (
    &["std::thread", "std::fs", "std::net", "std::process", "std::env", "async fn", "RandomState"],
    "this crate is pure; do it in a crate at the edge and pass the result in",
);
const DISKS: (&[&str], &str) = (
    &["std::fs", "std::net", "std::process", "std::env", "async fn", "RandomState", "arrow_"],
    "a state is bytes in, bytes out; do it in a crate at the edge, and what values mean in `flow`",
);
const OWN_TIME: (&[&str], &str) = (
    &["Instant::now", "SystemTime", ".elapsed()", "thread::sleep", ".recv()", ".recv_timeout("],
    "tests run this crate in virtual time; take moments and waits from `tidemill_os::clock`",
);
const OTHERS_TRADE: (&[&str], &str) = (
    &["rdkafka", "tidemill_kafka", "tidemill_files", "tidemill_decode::Decoder", "hyper", "TcpListener", "TcpStream"],
    "the driver knows ports, not who stands behind them; let `cli` wire it",
);

const CRATES: &[Crate] = &[
    Crate { name: "os", uses: &[], tests_use: &[], unsaid: &[] },
    Crate { name: "model", uses: &[], tests_use: &[], unsaid: &[CLOCK, WORLD] },
    Crate { name: "config", uses: &["model"], tests_use: &[], unsaid: &[CLOCK, WORLD] },
    Crate { name: "decode", uses: &["model"], tests_use: &[], unsaid: &[CLOCK, WORLD] },
    Crate { name: "sql", uses: &["model", "decode"], tests_use: &["config"], unsaid: &[CLOCK, WORLD] },
    Crate { name: "state", uses: &["model"], tests_use: &[], unsaid: &[CLOCK, DISKS] },
    Crate { name: "flow", uses: &["model", "decode", "sql", "state"], tests_use: &["config"], unsaid: &[CLOCK, WORLD] },
    Crate { name: "scale", uses: &["model"], tests_use: &[], unsaid: &[CLOCK, WORLD] },
    Crate { name: "simulate", uses: &["model", "scale"], tests_use: &[], unsaid: &[CLOCK, WORLD] },
    Crate { name: "link", uses: &["model"], tests_use: &[], unsaid: &[CLOCK] },
    Crate { name: "checkpoint", uses: &["model", "os"], tests_use: &[], unsaid: &[CLOCK] },
    Crate {
        name: "kafka",
        uses: &["model", "os", "sql", "flow", "client"],
        tests_use: &["broker", "testkit"],
        unsaid: &[],
    },
    Crate {
        name: "files",
        uses: &["model", "os", "sql", "flow"],
        tests_use: &["config", "decode", "testkit"],
        unsaid: &[CLOCK],
    },
    Crate { name: "wire", uses: &[], tests_use: &[], unsaid: &[CLOCK, WORLD] },
    Crate { name: "client", uses: &["model", "os", "wire"], tests_use: &[], unsaid: &[] },
    Crate { name: "broker", uses: &["model", "os", "wire"], tests_use: &[], unsaid: &[] },
    Crate { name: "load", uses: &["model", "kafka"], tests_use: &["broker"], unsaid: &[] },
    Crate {
        name: "executor",
        uses: &["model", "os", "config", "decode", "sql", "flow", "link"],
        tests_use: &[],
        unsaid: &[OWN_TIME],
    },
    Crate {
        name: "driver",
        uses: &["model", "os", "sql", "flow", "link", "scale", "checkpoint"],
        tests_use: &["executor", "testkit"],
        unsaid: &[OTHERS_TRADE, OWN_TIME],
    },
    Crate {
        name: "testkit",
        uses: &["model", "os", "config", "decode", "sql", "flow", "scale", "checkpoint", "executor", "driver"],
        tests_use: &["link"],
        unsaid: &[],
    },
    Crate { name: "spark", uses: &["model", "os", "sql"], tests_use: &["config"], unsaid: &[] },
    Crate { name: "dash", uses: &["model"], tests_use: &[], unsaid: &[] },
    Crate {
        name: "cli",
        uses: &[
            "model",
            "os",
            "config",
            "sql",
            "flow",
            "scale",
            "link",
            "checkpoint",
            "kafka",
            "files",
            "broker",
            "load",
            "executor",
            "driver",
            "dash",
            "simulate",
            "spark",
        ],
        tests_use: &[],
        unsaid: &[],
    },
];

pub fn check(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for manifest in tree.ending("/Cargo.toml") {
        let Some(name) = manifest.path.strip_prefix("crates/").and_then(|path| path.strip_suffix("/Cargo.toml")) else {
            continue;
        };
        // A program that checks a crate from outside is no crate of the workspace.
        if name.contains("/tests/") {
            continue;
        }
        let Some(rule) = CRATES.iter().find(|rule| rule.name == name) else {
            complaints.push(manifest.complain(1, "no such crate; add it to CRATES in xtask/src/tidy/crates.rs"));
            continue;
        };
        complaints.extend(directions(manifest, rule));
        let source = format!("crates/{name}/src/");
        for file in tree.ending(".rs").filter(|file| file.path.starts_with(&source)) {
            complaints.extend(unsaid(file, rule));
            complaints.extend(prints(file));
        }
    }
    complaints
}

fn directions(manifest: &File, rule: &Crate) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut section = "";
    for (number, line) in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        }
        let Some(used) = line.strip_prefix("tidemill-").and_then(|rest| rest.split(['.', ' ', '=']).next()) else {
            continue;
        };
        let in_tests = section.contains("dev-dependencies") && rule.tests_use.contains(&used);
        if !rule.uses.contains(&used) && !in_tests {
            let what = format!("{} must not use {used}; see CRATES in xtask/src/tidy/crates.rs", rule.name);
            complaints.push(manifest.complain(number, &what));
        }
    }
    complaints
}

fn unsaid(file: &File, rule: &Crate) -> Vec<String> {
    let mut complaints = Vec::new();
    for (words, way_out) in rule.unsaid {
        for (number, line) in file.code() {
            for word in words.iter().filter(|word| line.contains(**word)) {
                complaints.push(file.complain(number, &format!("{} never says `{word}`: {way_out}", rule.name)));
            }
        }
    }
    complaints
}

/// `println!` and its kin panic when the reader of the pipe is gone, and so end the calling thread.
fn prints(file: &File) -> Vec<String> {
    let says = |line: &str| ["println!(", "print!("].iter().any(|word| line.contains(word));
    let lines = file.code().filter(|(_, line)| says(line));
    let way_out = "this panics when nobody reads the output; use tidemill_os::output, or return it and let `cli` print";
    lines.map(|(number, _)| file.complain(number, way_out)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::check;

    fn of(files: &[(&str, &str)]) -> usize {
        check(&tree(files)).len()
    }

    #[test]
    fn directions() {
        let flow = "crates/flow/Cargo.toml";
        assert_eq!(of(&[(flow, "[dependencies]\ntidemill-model.workspace = true\n")]), 0);
        assert_eq!(of(&[(flow, "[dependencies]\ntidemill-driver.workspace = true\n")]), 1);
        let kafka = "crates/kafka/Cargo.toml";
        assert_eq!(of(&[(kafka, "[dev-dependencies]\ntidemill-broker = { workspace = true }\n")]), 0);
        assert_eq!(of(&[(kafka, "[dependencies]\ntidemill-broker = { workspace = true }\n")]), 1);
        assert_eq!(of(&[("crates/attic/Cargo.toml", "")]), 1);
    }

    #[test]
    fn unsaid_words() {
        let of = |name: &str, code: &str| {
            of(&[(&format!("crates/{name}/Cargo.toml"), ""), (&format!("crates/{name}/src/lib.rs"), code)])
        };
        assert_eq!(of("scale", "let now = Instant::now();"), 1);
        assert_eq!(of("scale", "// Instant::now() is not for us"), 0);
        assert_eq!(of("executor", "let now = Instant::now();"), 1);
        assert_eq!(of("executor", "let now = clock::now();"), 0);
        assert_eq!(of("driver", "use tidemill_decode::Decoder; // tidemill_flow::decode"), 1);
        assert_eq!(of("dash", "println!(\"x\");"), 1);
        assert_eq!(of("dash", "eprintln!(\"x\");"), 1);
        assert_eq!(of("cli", "println!(\"x\");"), 1);
        assert_eq!(of("cli", "output::line(\"x\");"), 0);
    }
}
