//! Queries as a pipeline file has them.

use super::{Target, signature};
use tidemill_testkit::sql_fuzz::check;

/// Parsing and planning: a plan or a mistake.
pub const QUERIES: Target = Target {
    name: "sql",
    about: "a query, up to its plan",
    input_bytes_max: 4 << 10,
    memory_mib_max: 256,
    start: || {
        Box::new(|input| {
            let sql = String::from_utf8_lossy(input);
            signature((check(&sql, "update"), sql.split_whitespace().count(), sql.len() / 64))
        })
    },
};
