//! Where the documentation lists what is refused.

use super::Example;
use std::path::Path;
use tidemill_sql::reference::{Found, find};

/// What an example holds, and the row of docs/sql.md that says that it is refused: its first cell.
const ROWS: [(&str, &str); 4] = [
    ("(DISTINCT ", "`count(DISTINCT x)` and other aggregates with DISTINCT"),
    ("window(b, ", "a STRING column where a number or time is expected (`sum(course)`, `course > 5`)"),
    ("SET ", SETTINGS),
    // It stands behind a SET in Spark's documentation.
    (r"ilike '\%SystemDrive\%\\users%'", SETTINGS),
];

const SETTINGS: &str = "`SET spark.sql.… = …`, and what it changes";

/// The documentation of what is refused.
pub(super) struct Listed {
    sql: String,
    functions: String,
}

impl Listed {
    /// Reads docs/sql.md and the page of the functions that are refused.
    pub fn read() -> Listed {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        let read = |name: &str| std::fs::read_to_string(docs.join(name)).expect("a page of the documentation");
        Listed { sql: read("sql.md"), functions: read("functions/refused.md") }
    }

    /// Whether the documentation lists the example as refused: its function, or a form in it.
    pub fn has(&self, example: &Example) -> bool {
        let is_refused = |name: &String| find(name).iter().any(|found| matches!(found, Found::Refused(_)));
        let mut functions = example.functions.iter().filter(|name| is_refused(name));
        let mut rows = ROWS.iter().filter(|(form, _)| example.sql.contains(form));
        functions.any(|name| self.functions.contains(&format!("`{name}`")))
            || rows.any(|(_, row)| self.sql.contains(&format!("\n| {row} | ")))
    }
}
