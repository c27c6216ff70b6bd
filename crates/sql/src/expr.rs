//! Typed expressions.

use arrow_schema::DataType;

/// A typed expression over a row of columns.
#[derive(Clone, Debug)]
pub enum Expr {
    /// The column with this index in the row's schema.
    Column(usize, DataType),
}
