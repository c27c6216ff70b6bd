//! The files that a path names: those of a directory, or those that a glob matches. If a glob matches a directory, that
//! directory's files.
//!
//! Names that begin with `_` or `.` are skipped, as in Spark; directories inside directories are not entered. `*` and
//! `?` match within a name, `[a-z]` and `[!a-z]` match one character, `{a,b}` matches either text.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use tidemill_model::glob::matches;

/// Most texts that the braces of a path may expand to.
const ALTERNATIVES_MAX: usize = 10_000;

/// Whether a path is a pattern rather than a directory.
pub fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '[', '{'])
}

/// The paths of the files, without opening them; `None` if the directory that the path begins with does not exist.
pub fn files(path: &str) -> io::Result<Option<BTreeSet<PathBuf>>> {
    let mut found = BTreeSet::new();
    let mut any = false;
    for pattern in alternatives(path)? {
        let mut places = vec![PathBuf::from(if pattern.starts_with('/') { "/" } else { "" })];
        for (depth, name) in pattern.split('/').filter(|name| !name.is_empty()).enumerate() {
            let is_glob = name.contains(['*', '?', '[']);
            let mut next = Vec::new();
            for place in places {
                if !is_glob {
                    next.push(place.join(name));
                    continue;
                }
                let listed = entries(if depth == 0 && place.as_os_str().is_empty() { Path::new(".") } else { &place });
                let names = match listed {
                    Ok(Some(names)) => names,
                    Ok(None) => continue,
                    // A plain file among matched directories holds no files.
                    Err(error) if any && error.kind() == ErrorKind::NotADirectory => continue,
                    Err(error) => return Err(error),
                };
                any = true;
                next.extend(names.into_iter().filter(|entry| matches(name, entry)).map(|entry| place.join(entry)));
            }
            places = next;
        }
        for place in places {
            match entries(&place) {
                Ok(Some(names)) => {
                    any = true;
                    found.extend(names.into_iter().map(|name| place.join(name)));
                }
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::NotADirectory => {
                    any = true;
                    found.insert(place);
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(any.then_some(found))
}

/// The names in a directory that count; `None` if it does not exist.
fn entries(dir: &Path) -> io::Result<Option<Vec<String>>> {
    let listing = match fs::read_dir(dir) {
        Ok(listing) => listing,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in listing {
        let name = entry?
            .file_name()
            .into_string()
            .map_err(|name| io::Error::new(ErrorKind::InvalidData, format!("the name {name:?} is not UTF-8")))?;
        if !name.starts_with(['_', '.']) {
            names.push(name);
        }
    }
    Ok(Some(names))
}

/// The texts that `{a,b}` expands to, including nested braces.
fn alternatives(pattern: &str) -> io::Result<Vec<String>> {
    let mut done = Vec::new();
    // The last one is expanded next.
    let mut open = vec![pattern.to_owned()];
    while let Some(pattern) = open.pop() {
        match first_braces(&pattern) {
            Some(mut texts) => {
                texts.reverse();
                open.append(&mut texts);
            }
            None => done.push(pattern),
        }
        if done.len() + open.len() > ALTERNATIVES_MAX {
            let message = format!("the braces of the path stand for more than {ALTERNATIVES_MAX} texts; use `*`");
            return Err(io::Error::new(ErrorKind::InvalidInput, message));
        }
    }
    Ok(done)
}

/// Expands the first braces of a pattern; `None` if it has none.
fn first_braces(pattern: &str) -> Option<Vec<String>> {
    let open = pattern.find('{')?;
    let (mut depth, mut cuts) = (0, vec![open]);
    for (at, c) in pattern.char_indices().skip_while(|(at, _)| *at < open) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => cuts.push(at),
            _ => {}
        }
        if depth == 0 {
            cuts.push(at);
            let one = |pair: &[usize]| {
                format!("{}{}{}", &pattern[..open], &pattern[pair[0] + 1..pair[1]], &pattern[at + 1..])
            };
            return Some(cuts.windows(2).map(one).collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_stand_for_texts() {
        let check =
            |pattern: &str, expected: &[&str]| assert_eq!(alternatives(pattern).unwrap(), expected, "{pattern}");
        check("*.json", &["*.json"]);
        check("{a,b{1,2}}.csv", &["a.csv", "b1.csv", "b2.csv"]);
        check("{a,b}{c,}", &["ac", "a", "bc", "b"]);
        check("{x", &["{x"]);
        assert!(alternatives(&"{a,b}".repeat(60)).unwrap_err().to_string().contains("more than 10000 texts"));
    }

    #[test]
    fn files_of_directories_and_globs() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        fs::create_dir_all(dir.path().join("d1/inner")).unwrap();
        fs::create_dir_all(dir.path().join("d2")).unwrap();
        for name in ["d1/a.json", "d1/b.csv", "d1/_x", "d1/.y", "d1/inner/deep", "d2/c.json", "dx"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let check = |path: &str, expected: Option<&[&str]>| {
            let found = files(&format!("{root}/{path}")).unwrap();
            let names = |found: BTreeSet<PathBuf>| -> Vec<String> {
                let files = found.into_iter().filter(|path| path.is_file());
                files.map(|path| path.strip_prefix(root).unwrap().display().to_string()).collect()
            };
            let expected = expected.map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(found.map(names), expected, "{path}");
        };
        check("d1", Some(&["d1/a.json", "d1/b.csv"]));
        check("d1/", Some(&["d1/a.json", "d1/b.csv"]));
        check("d*", Some(&["d1/a.json", "d1/b.csv", "d2/c.json", "dx"]));
        check("d*/*.json", Some(&["d1/a.json", "d2/c.json"]));
        check("{d1,d2}/c.json", Some(&["d2/c.json"]));
        check("d1/_*", Some(&[]));
        check("none", None);
        check("none/*.json", None);
        check("d1/*.none", Some(&[]));
        assert_eq!(files(&format!("{root}/dx/*.json")).unwrap_err().kind(), ErrorKind::NotADirectory);
    }
}
