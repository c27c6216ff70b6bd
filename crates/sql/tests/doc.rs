//! `docs/sql.md` names every function that there is.

use std::path::Path;

#[test]
fn the_reference_names_every_function() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sql.md")).unwrap();
    // Names with a space are the planner's own.
    let functions = tidemill_sql::functions::all().filter(|function| !function.name.contains(' '));
    let names = functions.flat_map(|function| function.aliases.iter().copied().chain([function.name]));
    let names = names.chain(tidemill_sql::AGGREGATE_FUNCTIONS);
    // A bar ends a cell of a table.
    let named = |name: &&str| text.contains(&format!("`{}`", name.replace('|', "\\|")));
    let missing: Vec<&str> = names.filter(|name| !named(name)).collect();
    assert!(missing.is_empty(), "docs/sql.md does not name {missing:?}");
}
