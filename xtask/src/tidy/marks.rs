//! `docs/rules.md`: every Spark rule has a line with tests, and every test that it names is there.

use super::rules::RULES;
use super::{File, Tree};

const PATH: &str = "docs/rules.md";

pub fn check(tree: &Tree) -> Vec<String> {
    let Some(file) = tree.file(PATH) else { return Vec::new() };
    let mut complaints: Vec<String> =
        ids().filter_map(|id| missing(file, &id)).map(|what| file.complain(1, &what)).collect();
    let tests = tests(tree);
    for (number, line) in file.lines() {
        for name in named(line).filter(|name| !tests.contains(name)) {
            complaints.push(file.complain(number, &format!("there is no test and no scenario `{name}`")));
        }
    }
    complaints
}

fn ids() -> impl Iterator<Item = String> {
    let numbered =
        |(letter, count): &(char, u32)| (1..=*count).map(|number| format!("{letter}{number}")).collect::<Vec<_>>();
    RULES.iter().flat_map(numbered).chain(["R".to_owned()])
}

/// What a rule lacks: its line, or a test in it that names the rule.
fn missing(file: &File, id: &str) -> Option<String> {
    let start = format!("| {id} |");
    let Some((_, line)) = file.lines().find(|(_, line)| line.starts_with(&start)) else {
        return Some(format!("rule {id} has no line"));
    };
    let mark = id.to_lowercase();
    let marked = named(line).any(|name| name.split('_').any(|word| word == mark));
    (!marked).then(|| format!("rule {id} names no test whose name holds `{mark}_`"))
}

/// Words in backticks that are names of tests: a rule's mark, then words.
fn named(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2).filter(|word| {
        let mark = word.split('_').next().unwrap_or_default();
        let is_mark = |id: String| id.to_lowercase() == mark;
        word.contains('_') && !word.contains([' ', '.', '/']) && ids().any(is_mark)
    })
}

/// Names of tests and scenarios.
fn tests(tree: &Tree) -> std::collections::BTreeSet<&str> {
    let functions = tree.ending(".rs").flat_map(File::lines).filter_map(|(_, line)| {
        let rest = line.trim_start().strip_prefix("fn ")?;
        rest.split('(').next()
    });
    let scenarios = tree.paths.iter().filter_map(|path| path.strip_prefix("tests/scenarios/")?.strip_suffix(".json"));
    functions.chain(scenarios).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::{PATH, check, ids};

    #[test]
    fn every_rule_has_a_test_that_is_there() {
        let lines = |name: &dyn Fn(&str) -> String| -> String {
            ids().map(|id| format!("| {id} | x | `{}` |\n", name(&id.to_lowercase()))).collect()
        };
        let of = |text: &str| {
            let tests: String = ids().map(|id| format!("fn {}_x() {{}}\n", id.to_lowercase())).collect();
            let files = [(PATH, text), ("crates/x/tests/x.rs", tests.as_str()), ("tests/scenarios/w1_y.json", "{}\n")];
            check(&tree(&files)).len()
        };
        let whole = lines(&|id| format!("{id}_x"));
        assert_eq!(of(&whole), 0);
        assert_eq!(of(&whole.replace("w1_x", "w1_y")), 0);
        assert_eq!(of(&whole.replace("w1_x", "w1_z")), 1);
        assert_eq!(of(&whole.replace("`w1_x`", "`w2_x`")), 1);
        assert_eq!(of(&whole.replace("| W1 |", "| W0 |")), 1);
    }
}
