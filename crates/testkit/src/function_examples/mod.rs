//! Runs the examples of Spark's function documentation on this engine and compares them with Spark's answers.
//!
//! `tests/goldens/function_examples.jsonl` holds Spark's answers (`tests/spark/function_examples.py`). Each example is
//! planned over a source of one record, or of the rows of its inline table, and run through the steps of a batch.

mod golden;
mod listed;
mod run;

pub use golden::{Answer, Example, Table, examples};
use listed::Listed;

/// The result of an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Spark's answer; column names may differ.
    Same {
        /// Whether the names are equal too.
        names: bool,
    },
    /// Another answer.
    Different {
        /// Our answer.
        ours: String,
        /// Spark's answer.
        spark: String,
    },
    /// Another answer on purpose: [`ON_PURPOSE`].
    OnPurpose,
    /// It does not run.
    Refused {
        /// The planner's message.
        message: String,
        /// Whether docs/sql.md, or the page of functions that it links, lists it as refused.
        listed: bool,
    },
}

/// Examples whose answer is another one here on purpose (docs/sql.md): they show the numbers of Spark's own random generator.
const ON_PURPOSE: [&str; 7] = [
    "SELECT rand(0)",
    "SELECT rand(null)",
    "SELECT random(0)",
    "SELECT random(null)",
    "SELECT randn(0)",
    "SELECT randn(null)",
    "SELECT randstr(3, 0) AS result",
];

/// Every example that depends on functions alone, with its verdict.
pub fn run_all() -> Vec<(Example, Verdict)> {
    let listed = Listed::read();
    let results = examples().into_iter().filter(|example| example.answer.is_some()).map(|example| {
        let verdict = verdict(&example, &listed);
        (example, verdict)
    });
    results.collect()
}

fn verdict(example: &Example, listed: &Listed) -> Verdict {
    let spark = example.answer.as_ref().expect("examples without an answer are left out");
    match (run::answer(example), spark) {
        // What fails for every row may be refused by the planner.
        (Err(_), Answer::Error(_)) => Verdict::Same { names: true },
        (Err(message), _) => Verdict::Refused { message, listed: listed.has(example) },
        (Ok(ours), spark) if ours.matches(spark) => Verdict::Same { names: ours.names() == spark.names() },
        (Ok(_), _) if ON_PURPOSE.contains(&one_line(&example.sql).as_str()) => Verdict::OnPurpose,
        (Ok(ours), spark) => Verdict::Different { ours: format!("{ours:?}"), spark: format!("{spark:?}") },
    }
}

/// A statement without its line ends.
pub fn one_line(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}
