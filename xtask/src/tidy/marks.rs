//! The tests of each Spark rule: `docs/rules.md` lists the rules, `docs/rules-tests.md` lists their tests.
//!
//! A test belongs to a rule when its name begins with the rule's id: `w1_long_windows` shows W1, `w2_w5_w6_windows` shows
//! three rules, and `j1_to_j11_as_spark_answers` shows J1 to J11. `cargo xtask rules --bless` writes the list of tests.

use super::rules::RULES;
use super::{File, Tree};
use crate::sh::{self, Outcome};
use std::collections::BTreeMap;

const RULES_PAGE: &str = "docs/rules.md";
const TESTS_PAGE: &str = "docs/rules-tests.md";
const HEADER: &str = "\
# The tests of each rule

`cargo xtask rules --bless` writes this page; `cargo xtask check` fails when it is out of date. [rules.md](rules.md) says what
each rule is. A name without a file is a scenario, `tests/scenarios/NAME.json`.
";

/// Every rule has a line in the table of rules and at least one test, and the list of tests is up to date.
pub fn check(tree: &Tree) -> Vec<String> {
    let Some(page) = tree.file(RULES_PAGE) else { return Vec::new() };
    let tests = tests(tree);
    let mut complaints = Vec::new();
    for id in ids() {
        if !page.lines().any(|(_, line)| line.starts_with(&format!("| {id} |"))) {
            complaints.push(page.complain(1, &format!("rule {id} has no line; add one")));
        }
        if !tests.contains_key(&id) {
            let mark = id.to_lowercase();
            complaints.push(page.complain(1, &format!("rule {id} has no test; name one `{mark}_…`")));
        }
    }
    if tree.file(TESTS_PAGE).is_none_or(|file| file.text != text(&tests)) {
        complaints.push(format!("{TESTS_PAGE}:1: the list of tests is out of date; run `cargo xtask rules --bless`"));
    }
    complaints
}

/// The verb `rules`: prints the list of tests, or writes it to its page.
pub fn run(bless: bool) -> Outcome {
    let text = text(&tests(&Tree::read()?));
    if bless {
        return sh::write_file(&sh::root().join(TESTS_PAGE), &text);
    }
    print!("{text}");
    Ok(())
}

/// Rule ids in the order of the page.
fn ids() -> Vec<String> {
    let numbered = |(letter, count): &(char, u32)| (1..=*count).map(|number| format!("{letter}{number}")).collect();
    RULES.iter().flat_map(|rule| -> Vec<String> { numbered(rule) }).chain(["R".to_owned()]).collect()
}

/// By rule, the names of its tests, each with the file that holds it; a scenario has no file.
type Tests = BTreeMap<String, BTreeMap<String, Option<String>>>;

fn tests(tree: &Tree) -> Tests {
    let ids = ids();
    let mut tests = Tests::new();
    let mut add = |name: &str, path: Option<&str>| {
        for id in rules_of(name, &ids) {
            tests.entry(id).or_default().insert(name.to_owned(), path.map(str::to_owned));
        }
    };
    for path in &tree.paths {
        if let Some(name) = path.strip_prefix("tests/scenarios/").and_then(|name| name.strip_suffix(".json")) {
            add(name, None);
        }
    }
    for file in tree.ending(".rs").filter(|file| !file.path.starts_with("xtask/")) {
        functions(file).for_each(|name| add(name, Some(&file.path)));
    }
    tests
}

/// Names of the functions that have an attribute, as tests do.
fn functions(file: &File) -> impl Iterator<Item = &str> {
    let with_line_before = file.text.lines().skip(1).zip(file.text.lines());
    with_line_before.filter(|(_, before)| before.trim_start().starts_with("#[")).filter_map(|(line, _)| {
        let rest = line.trim_start().strip_prefix("fn ")?;
        rest.split('(').next()
    })
}

/// The rules that a test's name begins with; `a1_to_a3` is a range.
fn rules_of(name: &str, ids: &[String]) -> Vec<String> {
    let position = |word: &str| ids.iter().position(|id| id.to_lowercase() == word);
    let mut found: Vec<usize> = Vec::new();
    let mut words = name.split('_');
    while let Some(word) = words.next() {
        match (position(word), found.last().copied()) {
            (Some(at), _) => found.push(at),
            (None, Some(first)) if word == "to" => match words.next().and_then(position) {
                Some(last) => found.extend(first + 1..=last),
                None => break,
            },
            (None, _) => break,
        }
    }
    found.into_iter().map(|at| ids[at].clone()).collect()
}

fn text(tests: &Tests) -> String {
    let mut text = HEADER.to_owned();
    for id in ids() {
        text.push_str(&format!("\n## {id}\n\n"));
        for (name, path) in tests.get(&id).into_iter().flatten() {
            let place = path.as_ref().map(|path| format!(" in `{path}`")).unwrap_or_default();
            text.push_str(&format!("- `{name}`{place}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::{RULES_PAGE, TESTS_PAGE, check, ids, rules_of, tests, text};

    #[test]
    fn rules_of_a_name() {
        for (name, rules) in [
            ("w1_long_windows", "W1"),
            ("w2_w5_w6_windows", "W2 W5 W6"),
            ("j9_to_j11_as_spark_answers", "J9 J10 J11"),
            ("r_state_survives", "R"),
            ("w9_none", ""),
            ("long_w1", ""),
            ("l2_to", "L2"),
        ] {
            assert_eq!(rules_of(name, &ids()).join(" "), rules, "{name}");
        }
    }

    #[test]
    fn every_rule_has_a_line_and_a_test() {
        let page: String = ids().iter().map(|id| format!("| {id} | x |\n")).collect();
        let functions: String = ids()
            .iter()
            .filter(|id| *id != "W1")
            .map(|id| format!("#[test]\nfn {}_x() {{}}\n", id.to_lowercase()))
            .collect();
        let complaints = |page: &str, scenario: &str, list: Option<&str>| {
            let files = [(RULES_PAGE, page), ("crates/x/tests/x.rs", functions.as_str()), (scenario, "{}\n")];
            let list_now = text(&tests(&tree(&files)));
            check(&tree(&[&files[..], &[(TESTS_PAGE, list.unwrap_or(&list_now))]].concat())).len()
        };
        assert_eq!(complaints(&page, "tests/scenarios/w1_y.json", None), 0);
        assert_eq!(complaints(&page, "tests/scenarios/w2_y.json", None), 1, "W1 has no test");
        assert_eq!(complaints(&page.replace("| W1 |", "| W0 |"), "tests/scenarios/w1_y.json", None), 1);
        assert_eq!(complaints(&page, "tests/scenarios/w1_y.json", Some("an old list")), 1);
    }
}
