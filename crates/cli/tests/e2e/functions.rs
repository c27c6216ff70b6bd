//! `tidemill functions`: what it prints, and that `docs/functions` is what it writes. `TIDEMILL_BLESS=1` rewrites the pages.

use crate::support::Testbed;
use std::collections::BTreeMap;
use std::path::Path;

#[test]
fn the_pages_of_the_documentation_are_up_to_date() {
    let testbed = Testbed::without_broker();
    let ended = testbed.tidemill(&["functions", "--pages", "pages"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let written = pages(&testbed.path("pages"));
    assert!(written.len() > 10, "{} pages", written.len());
    for (name, text) in &written {
        assert!(!text.contains("refused: ") && !text.contains("error "), "an example of {name} has no value");
    }
    let documented = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/functions");
    if std::env::var_os("TIDEMILL_BLESS").is_some() {
        for (name, text) in &written {
            std::fs::write(documented.join(name), text).unwrap();
        }
    }
    let kept = pages(&documented);
    let stale = |name: &&String| written.get(*name) != kept.get(*name);
    let stale: Vec<&String> = written.keys().chain(kept.keys()).filter(stale).collect();
    assert!(stale.is_empty(), "out of date: {stale:?}; run this test with TIDEMILL_BLESS=1");
}

/// The pages of a directory by name.
fn pages(directory: &Path) -> BTreeMap<String, String> {
    let files = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap());
    let page = |file: std::fs::DirEntry| {
        (file.file_name().to_string_lossy().into_owned(), std::fs::read_to_string(file.path()).unwrap())
    };
    files.map(page).collect()
}

#[test]
fn a_function_is_explained_by_name() {
    let testbed = Testbed::without_broker();
    let explained = testbed.tidemill(&["functions", "LPAD"]);
    assert_eq!(
        explained.stdout.lines().collect::<Vec<_>>(),
        [
            "lpad(text, length[, filling])",
            "  The text filled up at its start to a length, or cut to it.",
            "  Example: lpad('hi', 5, '??')",
            "        -> ???hi",
        ]
    );
    let average = testbed.tidemill(&["functions", "mean", "--json"]);
    let average: serde_json::Value = serde_json::from_str(&average.stdout).unwrap();
    assert_eq!((&average["name"], &average["value"]), (&"avg".into(), &"2.3333333333333335".into()));
    let refused = testbed.tidemill(&["functions", "xpath"]);
    assert!(refused.stdout.contains("Not supported: XML is not supported."), "{}", refused.stdout);
    let unknown = testbed.tidemill(&["functions", "lpat"]);
    assert_eq!(unknown.stderr.trim_end(), "there is no function `lpat`; did you mean `lpad`?");
    assert_eq!(unknown.code, Some(2));
}
