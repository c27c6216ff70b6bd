//! Checks that the references in documents exist: links, headings, paths in backticks, verbs of xtask.

use super::{File, Tree};
use crate::HELP;
use std::collections::BTreeSet;

/// A backticked word with one of these beginnings is a path from the root.
const PATH_STARTS: &[&str] = &["crates/", "docs/", "xtask/", "tests/", "bench/", "examples/", ".ci/"];

pub fn check(tree: &Tree) -> Vec<String> {
    tree.ending(".md").flat_map(|file| document(tree, file)).collect()
}

fn document(tree: &Tree, file: &File) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut in_fence = false;
    for (number, line) in file.lines() {
        if line.trim_start().starts_with("```") {
            in_fence = !in_fence;
            continue;
        }
        complaints.extend(verbs(line).map(|what| file.complain(number, &what)));
        if in_fence {
            continue;
        }
        complaints
            .extend(links(line).filter_map(|link| dead(tree, file, link)).map(|what| file.complain(number, &what)));
        complaints.extend(paths(tree, line).map(|what| file.complain(number, &what)));
    }
    complaints
}

/// Targets of `[text](target)`.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let text = |piece: usize| piece.is_multiple_of(2);
    let outside_code = line.split('`').enumerate().filter(move |(piece, _)| text(*piece)).map(|(_, text)| text);
    outside_code.flat_map(|text| text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()))
}

fn dead(tree: &Tree, file: &File, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() { file.path.clone() } else { resolve(&file.path, path) };
    if !tree.paths.contains(&target) {
        return Some(format!("`{link}` leads nowhere; there is no {target}"));
    }
    let document = tree.file(&target).filter(|_| !anchor.is_empty() && target.ends_with(".md"))?;
    (!headings(document).contains(anchor)).then(|| format!("`{link}`: {target} has no such heading"))
}

/// A link's path from the root. Links are relative to the file that holds them.
fn resolve(from: &str, path: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

/// The anchors that code hosts derive from headings.
fn headings(file: &File) -> BTreeSet<String> {
    let anchor = |heading: &str| {
        let kept = heading.trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    let lines = file.text.lines().filter(|line| line.starts_with('#'));
    lines.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

fn paths<'a>(tree: &'a Tree, line: &'a str) -> impl Iterator<Item = String> + 'a {
    let quoted = line.split('`').skip(1).step_by(2);
    let paths = quoted.filter(|word| PATH_STARTS.iter().any(|start| word.starts_with(start)));
    // Patterns, placeholders and commands are not paths.
    let exact = paths.filter(|path| !path.contains(['*', '<', '{', '…', ' ']) && !path.chars().any(char::is_uppercase));
    let missing = exact.filter(|path| !tree.paths.contains(path.trim_end_matches('/')));
    missing.map(|path| format!("there is no `{path}`"))
}

fn verbs(line: &str) -> impl Iterator<Item = String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let verb = move |rest: &str| rest.split(|c: char| !is_name(c)).next().unwrap_or_default().to_owned();
    let named = line.split("cargo xtask ").skip(1).map(verb).filter(|verb| !verb.is_empty() && *verb != "VERB");
    let known = |verb: &str| HELP.lines().any(|line| line.split_whitespace().next() == Some(verb));
    named.filter(move |verb| !known(verb)).map(|verb| format!("xtask has no verb `{verb}`"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::check;

    #[test]
    fn pointers() {
        let of = |line: &str| {
            let files = [("docs/a.md", line), ("README.md", "# What it is, and why\n"), ("crates/x/src/lib.rs", "")];
            check(&tree(&files)).len()
        };
        for line in [
            "[x](../README.md) [y](../README.md#what-it-is-and-why) [z](https://example.org/nowhere)",
            "`[x](nowhere.md)`",
            "`crates/x/src/lib.rs`, `crates/x/`, `crates/*/src`, `docs/NAME.md`",
            "`cargo xtask check`, `cargo xtask VERB`, `cargo xtask bench decode`",
            "# A heading\n[up](#a-heading)",
        ] {
            assert_eq!(of(line), 0, "{line}");
        }
        for line in ["[x](nowhere.md)", "[x](../README.md#why)", "`crates/y/src`", "`cargo xtask dance`"] {
            assert_eq!(of(line), 1, "{line}");
        }
    }
}
