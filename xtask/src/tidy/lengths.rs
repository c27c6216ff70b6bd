//! Files begin with what they are for, and neither they nor their functions grow without end.
//!
//! [`LONGER`] is a ratchet: what stands there may stay, but the list only gets shorter.

use super::{File, Tree};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

/// Files (`PATH`) and functions (`PATH NAME`) that may be longer.
const LONGER: &[&str] = &[];

pub fn check(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut longer = Vec::new();
    for file in tree.ending(".rs") {
        if !file.text.starts_with("//!") {
            complaints
                .push(file.complain(1, "no `//!` at the head; say what the file is for and what it does not know"));
        }
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX {
            let what = format!("{lines} lines, {FILE_LINES_MAX} at most; split it by concept");
            longer.push((file.path.clone(), file.complain(lines, &what)));
        }
        for (number, name, lines) in functions(file).into_iter().filter(|(_, _, lines)| *lines > FUNCTION_LINES_MAX) {
            let what = format!("`{name}` has {lines} lines, {FUNCTION_LINES_MAX} at most; give its steps names");
            longer.push((format!("{} {name}", file.path), file.complain(number, &what)));
        }
    }
    for allowed in LONGER.iter().filter(|allowed| !longer.iter().any(|(name, _)| name == *allowed)) {
        complaints.push(format!("xtask/src/tidy/lengths.rs: `{allowed}` is short now; strike it from LONGER"));
    }
    complaints
        .extend(longer.into_iter().filter(|(name, _)| !LONGER.contains(&&**name)).map(|(_, complaint)| complaint));
    complaints
}

/// Line, name and length of each function outside tests: in rustfmt's layout one ends at the next `}` that stands as
/// far to the right as it begins. Tests are tables, which may be long.
fn functions(file: &File) -> Vec<(usize, String, usize)> {
    if file.path.contains("/tests/") || file.path.ends_with("tests.rs") {
        return Vec::new();
    }
    let lines: Vec<&str> = file.text.lines().take_while(|line| line.trim() != "#[cfg(test)]").collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        if line.ends_with([';', '}']) {
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        let end = lines[start..].iter().position(|line| line.strip_prefix(indent).is_some_and(|rest| rest == "}"));
        found.extend(end.map(|length| (start + 1, name.to_owned(), length + 1)));
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.trim_start().split_once("fn ").filter(|(before, _)| !before.contains(['"', '/']))?;
    let words = ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe", "extern", "\"C\""];
    let is_head = before.split_whitespace().all(|word| words.contains(&word));
    is_head.then(|| after.split(['(', '<']).next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::check;

    #[test]
    fn lengths() {
        let of = |text: &str| check(&tree(&[("crates/x/src/a.rs", text)])).len();
        let function =
            |lines: usize| format!("//! A.\n    pub fn f(\n    ) {{\n{}    }}\n", "        g();\n".repeat(lines));
        assert_eq!(of("//! A.\n"), 0);
        assert_eq!(of("fn f() {}\n"), 1);
        assert_eq!(of(&function(67)), 0);
        assert_eq!(of(&function(68)), 1);
        assert_eq!(of(&format!("//! A.\n#[cfg(test)]\n{}", function(90))), 0);
        assert_eq!(of(&"//! A.\n".repeat(600)), 0);
        assert_eq!(of(&"//! A.\n".repeat(601)), 1);
    }
}
