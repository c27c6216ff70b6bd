//! Words and characters that stand in no file: leftovers, traces of one machine, stray white space.
//!
//! The words are put together here, so that this file passes too.

use super::{File, Tree};

/// Leftovers.
const LEFTOVERS: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
    concat!("dbg", "!("),
    concat!("unimplemented", "!("),
];

/// Folders of one machine.
const PLACES: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

/// Package registries, which each user's own tools know.
const REGISTRIES: &[&str] = &[
    concat!("index.crates", ".io"),
    concat!("static.crates", ".io"),
    concat!("sparse", "+http"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("index", "-url"),
    concat!("repo.maven", ".apache"),
    concat!("repo1.maven", ".org"),
    concat!("registry.npmjs", ".org"),
    concat!("proxy.golang", ".org"),
];

const LOCK_SOURCE: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

pub fn check(tree: &Tree) -> Vec<String> {
    tree.files.iter().flat_map(|file| if file.path == "Cargo.lock" { lock(file) } else { text(file) }).collect()
}

fn text(file: &File) -> Vec<String> {
    let mut complaints = Vec::new();
    let kinds = [
        (LEFTOVERS, "finish it, or open an issue"),
        (PLACES, "no path of one machine; derive it, or name it from the root"),
        (REGISTRIES, "no registry's address; the user's tools know theirs"),
    ];
    for (number, line) in file.lines() {
        for (words, way_out) in kinds {
            for word in words.iter().filter(|word| line.contains(**word)) {
                complaints.push(file.complain(number, &format!("`{word}`: {way_out}")));
            }
        }
        // Go's tools indent by tabs.
        if line.contains('\t') && !file.path.ends_with(".go") && !file.path.ends_with("go.mod") {
            complaints.push(file.complain(number, "a tab; use spaces"));
        }
        if line.ends_with([' ', '\r']) {
            complaints.push(file.complain(number, "white space at the line's end"));
        }
    }
    if !file.text.is_empty() && (!file.text.ends_with('\n') || file.text.ends_with("\n\n")) {
        complaints.push(file.complain(file.text.lines().count(), "a file ends in exactly one line end"));
    }
    complaints
}

/// Machine-written, so only its sources are looked at.
fn lock(file: &File) -> Vec<String> {
    let foreign = file.lines().filter(|(_, line)| line.starts_with("source = ") && *line != LOCK_SOURCE);
    foreign
        .map(|(number, _)| file.complain(number, "not from crates.io; lock it again with the default registry"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::{LEFTOVERS, LOCK_SOURCE, PLACES, REGISTRIES, check};

    #[test]
    fn words() {
        let of = |path: &str, text: &str| check(&tree(&[(path, text)])).len();
        for word in [LEFTOVERS, PLACES, REGISTRIES].concat() {
            assert_eq!(of("a.md", &format!("x {word} y\n")), 1, "{word}");
        }
        for (text, count) in [("a\n", 0), ("", 0), ("a", 1), ("a\n\n", 1), ("\ta\n", 1), ("a \n", 1), ("a\r\nb\n", 0)] {
            assert_eq!(of("a.md", text), count, "{text:?}");
        }
        assert_eq!(of("Cargo.lock", &format!("{LOCK_SOURCE}\n")), 0);
        assert_eq!(of("Cargo.lock", "source = \"registry+https://elsewhere\"\n"), 1);
    }
}
