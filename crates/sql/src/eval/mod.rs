//! Runs typed expressions over Arrow arrays, a batch at a time.
//!
//! A row whose expression fails under ANSI rules is marked in [`RowErrors`] and its value is NULL; the caller drops or
//! fails it (`on_error`). Errors in branches that a row does not take (CASE, COALESCE, AND, OR) do not count.

mod cast;
mod errors;

pub use errors::{RowError, RowErrors};

use crate::expr::Expr;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use std::sync::Arc;
use tidemill_model::Millis;

/// What an expression may ask of the batch.
#[derive(Clone, Copy, Debug)]
pub struct EvalContext {
    /// The batch's timestamp: `current_timestamp()`.
    pub timestamp: Millis,
}

/// The expression's value for every row of `rows`; a column reference is a clone of its `Arc`.
pub fn evaluate(expr: &Expr, rows: &RecordBatch, context: &EvalContext, errors: &mut RowErrors) -> ArrayRef {
    match expr {
        Expr::Column(index, _) => rows.column(*index).clone(),
        Expr::IsNotNull(input) => {
            let input = evaluate(input, rows, context, errors);
            let values = match input.nulls() {
                Some(nulls) => nulls.inner().clone(),
                None => arrow_buffer::BooleanBuffer::new_set(input.len()),
            };
            Arc::new(BooleanArray::new(values, None))
        }
        Expr::Cast(input, mode, to) => {
            let input = evaluate(input, rows, context, errors);
            cast::cast(&input, to, *mode, errors)
        }
        other => panic!("{other:?} cannot be evaluated yet"),
    }
}
