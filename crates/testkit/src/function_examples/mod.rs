//! The examples of Spark's own function documentation, held against this engine.
//!
//! `tests/goldens/function_examples.jsonl` has what real Spark answers (`tests/spark/function_examples.py`). Each example is
//! planned over a source of one record, or of the rows of its inline table, and run by the steps of a batch.

mod golden;
mod run;

pub use golden::{Answer, Example, Table, examples};

/// What became of an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Spark's answer; the column names may differ.
    Same {
        /// Whether those are the same as well.
        names: bool,
    },
    /// Another answer.
    Different {
        /// Ours.
        ours: String,
        /// Spark's.
        spark: String,
    },
    /// The planner's message.
    Refused(String),
}

/// Every example that asks for the functions alone, with its verdict.
pub fn run_all() -> Vec<(Example, Verdict)> {
    let results = examples().into_iter().filter(|example| example.answer.is_some()).map(|example| {
        let verdict = verdict(&example);
        (example, verdict)
    });
    results.collect()
}

fn verdict(example: &Example) -> Verdict {
    let spark = example.answer.as_ref().expect("examples without an answer are left out");
    match (run::answer(example), spark) {
        // What fails at every row may be refused when the file is checked.
        (Err(_), Answer::Error(_)) => Verdict::Same { names: true },
        (Err(message), _) => Verdict::Refused(message),
        (Ok(ours), spark) if ours.matches(spark) => Verdict::Same { names: ours.names() == spark.names() },
        (Ok(ours), spark) => Verdict::Different { ours: format!("{ours:?}"), spark: format!("{spark:?}") },
    }
}
