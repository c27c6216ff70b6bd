//! Checks the licences of all dependencies, including those of tests, against the list in `deny.toml`.
//!
//! A licence is an SPDX expression: `MIT OR Apache-2.0`, `(MIT OR Apache-2.0) AND Unicode-3.0`. Old packages write `/`
//! for OR.

use crate::sh::{self, Outcome, cargo};

const LIST: &str = "deny.toml";

/// Fails with a list of the packages whose licence is not allowed.
pub fn run() -> Outcome {
    let list = sh::read_file(&sh::root().join(LIST))?;
    let allowed = allowed(&list);
    if allowed.is_empty() {
        return Err(format!("{LIST} allows no licence: `allow = [` must begin a list of one licence a line"));
    }
    let tree =
        ["tree", "--locked", "--workspace", "--edges", "normal,build,dev", "--prefix", "none", "--format", "{p}|{l}"];
    let tree = sh::read(&mut cargo(&tree))?;
    let mut refused: Vec<&str> = tree.lines().filter(|line| !is_fine(line, &allowed)).collect();
    refused.sort_unstable();
    refused.dedup();
    match refused.as_slice() {
        [] => Ok(()),
        refused => Err(format!(
            "licences that {LIST} does not allow:\n  {}\ntake another library, or add the licence and say why in the commit",
            refused.join("\n  ")
        )),
    }
}

/// Parses the quoted lines between `allow = [` and `]`.
fn allowed(list: &str) -> Vec<&str> {
    let lines = list.lines().map(str::trim).skip_while(|line| *line != "allow = [").skip(1);
    lines.take_while(|line| *line != "]").map(|line| line.trim_end_matches(',').trim_matches('"')).collect()
}

/// Checks a line `name version (…)|expression`. A repeated package ends in ` (*)`.
fn is_fine(line: &str, allowed: &[&str]) -> bool {
    let (_, licence) = line.split_once('|').unwrap_or_default();
    let licence = licence.trim_end_matches("(*)").replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = licence.split_whitespace().collect();
    line.is_empty() || holds(&mut words.iter().copied().peekable(), allowed)
}

/// Whether an expression is satisfied by the allowed licences; AND binds more strongly than OR.
fn holds<'a>(words: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>, allowed: &[&str]) -> bool {
    let (mut any, mut all) = (false, term(words, allowed));
    while let Some(word) = words.next_if(|word| matches!(*word, "AND" | "OR")) {
        if word == "OR" {
            any |= all;
            all = true;
        }
        all &= term(words, allowed);
    }
    any || all
}

fn term<'a>(words: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>, allowed: &[&str]) -> bool {
    match words.next() {
        Some("(") => {
            let inside = holds(words, allowed);
            words.next_if_eq(&")").is_some() && inside
        }
        Some(licence) => match words.next_if_eq(&"WITH").and_then(|_| words.next()) {
            Some(exception) => allowed.contains(&format!("{licence} WITH {exception}").as_str()),
            None => allowed.contains(&licence),
        },
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        let list = "[licenses]\nallow = [\n    \"MIT\",\n    \"A WITH X\",\n]\n";
        let check = |licence: &str| is_fine(&format!("p v1.0.0|{licence}"), &allowed(list));
        for fine in ["MIT", "GPL OR MIT", "GPL/MIT", "(GPL OR MIT) AND MIT", "A WITH X", "MIT (*)", "GPL AND B OR MIT"]
        {
            assert!(check(fine), "{fine}");
        }
        for refused in ["", "GPL", "MIT AND GPL", "A", "A WITH Y", "(GPL OR B) AND MIT", "GPL OR MIT AND B", "(MIT"] {
            assert!(!check(refused), "{refused}");
        }
    }
}
