//! `tidy`: the rules of CONTRIBUTING.md that a program can check, over every file that is or would be committed.
//!
//! Runs in well under a second, in `cargo xtask check` and as a test. A rule is a function from the tree to complaints
//! `FILE:LINE: what is wrong; what to do`. It reads text, not syntax: it leans on rustfmt's layout and may be fooled by
//! who wants to fool it.

mod crates;
mod dependencies;
mod docs;
mod lengths;
mod marks;
mod rules;
mod words;

use crate::sh::{self, Outcome};
use std::collections::BTreeSet;

/// The verb.
pub fn run() -> Outcome {
    let complaints = complaints(&Tree::read()?);
    if complaints.is_empty() {
        return Ok(());
    }
    Err(format!("the tree is not tidy:\n{}", complaints.join("\n")))
}

/// The verb `rules`.
pub fn rules(bless: bool) -> Outcome {
    marks::run(bless)
}

fn complaints(tree: &Tree) -> Vec<String> {
    let rules =
        [dependencies::check, docs::check, lengths::check, marks::check, crates::check, rules::check, words::check];
    rules.iter().flat_map(|rule| rule(tree)).collect()
}

/// The files of the repository.
#[derive(Default)]
struct Tree {
    files: Vec<File>,
    /// Paths of all files and of the directories above them, texts or not.
    paths: BTreeSet<String>,
}

/// A text file.
struct File {
    /// From the root, with `/`.
    path: String,
    text: String,
}

impl Tree {
    /// What git tracks, and what it does not know yet and does not ignore.
    fn read() -> Outcome<Tree> {
        let listed = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let names = sh::read(&mut sh::command("git", &listed))?;
        let mut tree = Tree::default();
        for path in names.split('\0').filter(|path| !path.is_empty()) {
            // Deleted in the work tree but not yet in the index, or not a text: nothing to read.
            if let Ok(bytes) = std::fs::read(sh::root().join(path)) {
                tree.add(path, String::from_utf8(bytes).ok());
            }
        }
        Ok(tree)
    }

    fn add(&mut self, path: &str, text: Option<String>) {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        self.paths.extend(ends.map(|end| path[..end].to_owned()));
        self.files.extend(text.map(|text| File { path: path.to_owned(), text }));
    }

    fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    fn ending<'a>(&'a self, extension: &'a str) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(move |file| file.path.ends_with(extension))
    }
}

impl File {
    /// Lines with their numbers, from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Lines of Rust without their comments (and without what follows `//` in a string, which no rule misses).
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().map(|(number, line)| (number, line.split("//").next().unwrap_or_default()))
    }

    fn complain(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let complaints = complaints(&Tree::read().unwrap());
        assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
    }

    /// A tree of the given files, for the tests of single rules.
    pub fn tree(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::default();
        for (path, text) in files {
            tree.add(path, Some((*text).to_owned()));
        }
        tree
    }
}
