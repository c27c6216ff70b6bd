//! Rooms: who may use whom, and which words a room never says.
//!
//! ```text
//!   cli → {driver, executor, dash, kafka, files, broker, load} → {link, scale, checkpoint, flow} → {sql, state, config} → model
//! ```
//! Everybody but the pure rooms may use `os`. Only tests use `testkit`. Every crate under `crates/` stands in [`ROOMS`]; a new one is added here with what it may know.

use super::{File, Tree};

struct Room {
    name: &'static str,
    /// The rooms that its code may use.
    uses: &'static [&'static str],
    /// The rooms that its tests may use besides.
    tests_use: &'static [&'static str],
    /// What its code may not say, with the way out.
    unsaid: &'static [(&'static [&'static str], &'static str)],
}

const CLOCK: (&[&str], &str) =
    (&["Instant::now", "SystemTime"], "this room has no clock; take the time as an argument");
const WORLD: (&[&str], &str) = (
    &["std::thread", "std::fs", "std::net", "std::process", "std::env", "async fn", "RandomState"],
    "this room is pure; do it in a room at the edge and pass the result in",
);
const DISKS: (&[&str], &str) = (
    &["std::fs", "std::net", "std::process", "std::env", "async fn", "RandomState", "arrow_"],
    "a state is bytes in, bytes out; do it in a room at the edge, and what values mean in `flow`",
);
const OTHERS_TRADE: (&[&str], &str) = (
    &["rdkafka", "tidemill_kafka", "tidemill_files", "flow::decode", "hyper", "TcpListener", "TcpStream"],
    "the driver knows ports, not who stands behind them; let `cli` wire it",
);

const ROOMS: &[Room] = &[
    Room { name: "os", uses: &[], tests_use: &[], unsaid: &[] },
    Room { name: "model", uses: &[], tests_use: &[], unsaid: &[CLOCK, WORLD] },
    Room { name: "config", uses: &["model"], tests_use: &[], unsaid: &[CLOCK, WORLD] },
    Room { name: "sql", uses: &["model"], tests_use: &["config"], unsaid: &[CLOCK, WORLD] },
    Room { name: "state", uses: &["model"], tests_use: &[], unsaid: &[CLOCK, DISKS] },
    Room { name: "flow", uses: &["model", "sql", "state"], tests_use: &["config"], unsaid: &[CLOCK, WORLD] },
    Room { name: "scale", uses: &["model"], tests_use: &[], unsaid: &[CLOCK, WORLD] },
    Room { name: "simulate", uses: &["model", "scale"], tests_use: &[], unsaid: &[CLOCK, WORLD] },
    Room { name: "link", uses: &["model"], tests_use: &[], unsaid: &[CLOCK] },
    Room { name: "checkpoint", uses: &["model", "os"], tests_use: &[], unsaid: &[CLOCK] },
    Room { name: "kafka", uses: &["model", "os", "flow"], tests_use: &["broker"], unsaid: &[] },
    Room { name: "files", uses: &["model", "os", "sql", "flow"], tests_use: &["config"], unsaid: &[CLOCK] },
    Room { name: "broker", uses: &["model", "os"], tests_use: &[], unsaid: &[] },
    Room { name: "load", uses: &["model", "kafka"], tests_use: &["broker"], unsaid: &[] },
    Room { name: "executor", uses: &["model", "os", "config", "sql", "flow", "link"], tests_use: &[], unsaid: &[] },
    Room {
        name: "driver",
        uses: &["model", "os", "sql", "flow", "link", "scale", "checkpoint"],
        tests_use: &["executor", "testkit"],
        unsaid: &[OTHERS_TRADE],
    },
    Room {
        name: "testkit",
        uses: &["model", "config", "sql", "flow", "scale", "checkpoint", "executor", "driver"],
        tests_use: &["link"],
        unsaid: &[],
    },
    Room { name: "dash", uses: &["model"], tests_use: &[], unsaid: &[] },
    Room {
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
        let Some(room) = ROOMS.iter().find(|room| room.name == name) else {
            complaints.push(manifest.complain(1, "no such room; add it to ROOMS in xtask/src/tidy/rooms.rs"));
            continue;
        };
        complaints.extend(directions(manifest, room));
        let source = format!("crates/{name}/src/");
        for file in tree.ending(".rs").filter(|file| file.path.starts_with(&source)) {
            complaints.extend(unsaid(file, room));
            complaints.extend(prints(file));
        }
    }
    complaints
}

fn directions(manifest: &File, room: &Room) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut section = "";
    for (number, line) in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        }
        let Some(used) = line.strip_prefix("tidemill-").and_then(|rest| rest.split(['.', ' ', '=']).next()) else {
            continue;
        };
        let in_tests = section.contains("dev-dependencies") && room.tests_use.contains(&used);
        if !room.uses.contains(&used) && !in_tests {
            let what = format!("{} must not use {used}; see ROOMS in xtask/src/tidy/rooms.rs", room.name);
            complaints.push(manifest.complain(number, &what));
        }
    }
    complaints
}

fn unsaid(file: &File, room: &Room) -> Vec<String> {
    let mut complaints = Vec::new();
    for (words, way_out) in room.unsaid {
        for (number, line) in file.code() {
            for word in words.iter().filter(|word| line.contains(**word)) {
                complaints.push(file.complain(number, &format!("{} never says `{word}`: {way_out}", room.name)));
            }
        }
    }
    complaints
}

/// `println!` and its kin panic when the reader of the pipe is gone, and with them the thread that said something.
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
        let of = |room: &str, code: &str| {
            of(&[(&format!("crates/{room}/Cargo.toml"), ""), (&format!("crates/{room}/src/lib.rs"), code)])
        };
        assert_eq!(of("scale", "let now = Instant::now();"), 1);
        assert_eq!(of("scale", "// Instant::now() is not for us"), 0);
        assert_eq!(of("executor", "let now = Instant::now();"), 0);
        assert_eq!(of("driver", "use tidemill_flow::decode::Decoder; // tidemill_flow::decode"), 1);
        assert_eq!(of("dash", "println!(\"x\");"), 1);
        assert_eq!(of("dash", "eprintln!(\"x\");"), 1);
        assert_eq!(of("cli", "println!(\"x\");"), 1);
        assert_eq!(of("cli", "output::line(\"x\");"), 0);
    }
}
