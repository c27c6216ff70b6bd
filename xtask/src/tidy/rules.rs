//! Ids of the Spark rules: whoever names one (`rule W1`, `rules J1, J2`, a test `fn w1_…`) names one that there is.

use super::{File, Tree};

/// Letters of the rules' groups and how many rules each has. `R` (restart) is one rule without a number.
pub(super) const RULES: &[(char, u32)] = &[('W', 7), ('M', 7), ('L', 4), ('O', 7), ('T', 4), ('J', 12), ('S', 2)];

pub fn check(tree: &Tree) -> Vec<String> {
    let files =
        tree.files.iter().filter(|file| [".rs", ".md", ".py", ".toml"].iter().any(|end| file.path.ends_with(end)));
    files.filter(|file| !file.path.starts_with("xtask/")).flat_map(unknown).collect()
}

fn unknown(file: &File) -> Vec<String> {
    let wrong = |(number, line)| {
        let ids = named(line).into_iter().chain(tested(line));
        let unknown = ids.filter(|id| !exists(id)).collect::<Vec<_>>();
        unknown.into_iter().map(move |id| file.complain(number, &format!("there is no rule {id}")))
    };
    file.lines().flat_map(wrong).collect()
}

/// The ids after each `rule` or `rules`: as long as ids and what joins them follow.
fn named(line: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let lower = line.to_ascii_lowercase();
    for (at, word) in lower.match_indices("rule") {
        let rest = line[at + word.len()..].trim_start_matches('s');
        for part in rest.split([' ', ',', '–', '-', '/']).filter(|part| !["", "and", "or", "to"].contains(part)) {
            let id = part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            let Some(digits) = id.strip_prefix(|c: char| c.is_ascii_uppercase()) else { break };
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                break;
            }
            ids.push(id.to_owned());
            if part.len() > id.len() {
                break;
            }
        }
    }
    ids
}

/// The id that a test's name begins with.
fn tested(line: &str) -> Option<String> {
    let name = line.trim_start().strip_prefix("fn ")?;
    let (id, _) = name.split_once('_')?;
    let (letter, digits) = id.split_at_checked(1)?;
    let is_rule = RULES.iter().any(|(rule, _)| letter == rule.to_ascii_lowercase().to_string());
    (is_rule && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then(|| id.to_ascii_uppercase())
}

fn exists(id: &str) -> bool {
    let (letter, number) = id.split_at(1);
    let known = RULES.iter().find(|(rule, _)| letter.starts_with(*rule));
    known.is_some_and(|(_, count)| number.parse().is_ok_and(|number: u32| (1..=*count).contains(&number)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::{check, named};

    #[test]
    fn ids() {
        assert_eq!(named("as rules J1, J2 and W3 say; rule M1: X9"), ["J1", "J2", "W3", "M1"]);
        assert_eq!(named("(rules O1–O3, O6): see Rule 7 and the rule that"), ["O1", "O3", "O6"]);
        let of = |line: &str| check(&tree(&[("crates/x/src/a.rs", line)])).len();
        for (line, count) in [
            ("// rule W7", 0),
            ("// rule W8", 1),
            ("// rules J1, J13", 1),
            ("    fn j12_inside() {", 0),
            ("    fn j13_inside() {", 1),
            ("    fn t_x() {", 0),
            ("    fn m2_after() {", 0),
        ] {
            assert_eq!(of(line), count, "{line}");
        }
    }
}
