//! Every library is listed once in the root manifest, and in `docs/dependencies.md` with its reason.

use super::{File, Tree};
use std::collections::BTreeMap;

const REASONS: &str = "docs/dependencies.md";

pub fn check(tree: &Tree) -> Vec<String> {
    let (Some(root), Some(reasons)) = (tree.file("Cargo.toml"), tree.file(REASONS)) else {
        return vec![format!("{REASONS}: Cargo.toml or this file is missing")];
    };
    let taken: BTreeMap<&str, usize> = dependencies(root)
        .filter(|(_, name, rest)| !name.starts_with("tidemill-") && !rest.contains("path ="))
        .map(|(number, name, _)| (name, number))
        .collect();
    let given: BTreeMap<&str, usize> = reasons.lines().flat_map(|(number, line)| row(number, line)).collect();
    let unexplained = taken.iter().filter(|(name, _)| !given.contains_key(**name));
    let stale = given.iter().filter(|(name, _)| !taken.contains_key(**name));
    // A program that checks the product with another library belongs to no workspace.
    let members = tree.ending("/Cargo.toml").filter(|manifest| !manifest.path.contains("/tests/"));
    unexplained
        .map(|(name, number)| root.complain(*number, &format!("{name} has no row in {REASONS}; say why it is taken")))
        .chain(stale.map(|(name, number)| reasons.complain(*number, &format!("{name} is not taken; strike the row"))))
        .chain(members.flat_map(own_versions))
        .collect()
}

/// Lines `name…= …` in the manifest's tables of dependencies, as (number, name, rest).
fn dependencies(manifest: &File) -> impl Iterator<Item = (usize, &str, &str)> {
    let mut inside = false;
    manifest.lines().filter_map(move |(number, line)| {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
            return None;
        }
        let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))?;
        (inside && end > 0).then(|| (number, &line[..end], &line[end..]))
    })
}

/// The names in the first cell of a table's row.
fn row(number: usize, line: &str) -> Vec<(&str, usize)> {
    let cell = line.strip_prefix('|').and_then(|rest| rest.split('|').next()).unwrap_or_default().trim();
    let is_head = cell == "crate" || cell.starts_with("--");
    let names = cell.split(',').map(str::trim).filter(|name| !name.is_empty() && !is_head);
    names.map(|name| (name, number)).collect()
}

fn own_versions(manifest: &File) -> Vec<String> {
    let own = dependencies(manifest).filter(|(_, _, rest)| !rest.contains("workspace = true"));
    let what = |name: &str| {
        format!("{name} has its own version; put it into the root Cargo.toml and write `workspace = true`")
    };
    own.map(|(number, name, _)| manifest.complain(number, &what(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::check;

    #[test]
    fn reasons() {
        let root = "[workspace.dependencies]\ntidemill-x = { path = \"crates/x\" }\na = \"1\"\nb-c = { version = \"2\" }\n[other]\nd = 1\n";
        let of = |reasons: &str, member: &str| {
            check(&tree(&[("Cargo.toml", root), ("docs/dependencies.md", reasons), ("crates/x/Cargo.toml", member)]))
                .len()
        };
        let both = "| crate | why |\n|---|---|\n| a, b-c | needed |\n";
        assert_eq!(of(both, "[dependencies]\na.workspace = true\nb-c = { workspace = true }\n"), 0);
        assert_eq!(of("| a | needed |\n", ""), 1);
        assert_eq!(of(&format!("{both}| e | gone |\n"), ""), 1);
        assert_eq!(of(both, "[dev-dependencies]\na = \"3\"\n"), 1);
    }
}
