//! Forms of queries that are refused: `forms.golden` holds which of them Spark takes on a stream (tests/spark/forms.py), and the
//! table in docs/sql.md says the same.

use std::path::Path;

const GOLDEN: &str = include_str!("forms.golden");
const SCHEMA: &str = "k STRING, v INT, ts TIMESTAMP, a ARRAY<INT>, st STRUCT<p: INT, q: INT>";

/// A row of the table, and the queries that show it, each with the output modes in which Spark takes it.
struct Form {
    name: &'static str,
    queries: Vec<(&'static str, &'static str)>,
}

fn forms() -> Vec<Form> {
    let mut forms: Vec<Form> = Vec::new();
    // The first two lines tell the version and what the file is.
    for line in GOLDEN.lines().skip(2) {
        match line.strip_prefix("# ") {
            Some(name) => forms.push(Form { name, queries: Vec::new() }),
            None => {
                let form = forms.last_mut().expect("a comment comes first");
                form.queries.push(line.split_once(" => ").expect("Spark's answer"));
            }
        }
    }
    forms
}

/// What the table says of Spark.
fn said(modes: &str) -> String {
    match modes.split(' ').collect::<Vec<_>>()[..] {
        ["none"] => "refused".into(),
        // A query without groups has no complete mode.
        ["append", "update"] | [_, _, _] => "accepted".into(),
        [one] => format!("accepted in {one} mode"),
        [one, other] => format!("accepted in {one} and {other} mode"),
        _ => panic!("{modes:?} are no output modes"),
    }
}

#[test]
fn the_documentation_says_of_each_form_what_spark_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sql.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once("## Forms that are refused\n").expect("the section");
    let table = rest.lines().skip(2).take_while(|line| line.starts_with("| "));
    let documented: Vec<(&str, &str)> = table
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            assert_eq!(cells.len(), 3, "{line}");
            (cells[0], cells[1])
        })
        .collect();
    let forms = forms();
    let found: Vec<(&str, String)> = forms.iter().map(|form| (form.name, said(form.queries[0].1))).collect();
    let found: Vec<(&str, &str)> = found.iter().map(|(name, said)| (*name, said.as_str())).collect();
    assert_eq!(documented, found);
    for form in &forms {
        let alike = form.queries.iter().all(|(_, modes)| *modes == form.queries[0].1);
        assert!(alike, "{}: Spark does not do the same with all of its queries", form.name);
    }
}

#[test]
fn each_form_is_refused_with_its_place() {
    for query in forms().iter().flat_map(|form| &form.queries) {
        for mode in ["append", "update", "complete"] {
            let refusal = refusal(query.0, mode);
            assert!(refusal.is_some_and(|message| message.starts_with("p.toml:")), "{} in {mode} mode", query.0);
        }
    }
}

fn refusal(query: &str, mode: &str) -> Option<String> {
    let source = |name: &str| {
        format!(
            "[sources.{name}]\ntype = \"kafka\"\nbootstrap_servers = \"h:1\"\ntopic = \"{name}\"\nschema = \"{SCHEMA}\"\n\
             [sources.{name}.event_time]\ncolumn = \"et\"\nexpression = \"ts\"\nwatermark = \"1 minute\"\n"
        )
    };
    let text = format!(
        "[query]\nsql = {}\noutput_mode = \"{mode}\"\n{}[sinks.out]\ntype = \"console\"\n",
        serde_json::to_string(query).unwrap(),
        ["t", "u", "d"].map(source).join("")
    );
    let pipeline = match tidemill_config::parse("p.toml", &text, &[]) {
        Ok(pipeline) => pipeline,
        Err(faults) => return Some(faults.to_string()),
    };
    tidemill_sql::plan(&pipeline).err().map(|faults| faults.to_string())
}
