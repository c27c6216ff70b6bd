//! Rows whose expression failed under ANSI rules (rule T3).

use std::collections::BTreeMap;

/// Why a row failed, with Spark's error class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    /// Spark's error class, for instance `DIVIDE_BY_ZERO`.
    pub class: &'static str,
    /// What is wrong.
    pub message: String,
}

impl std::fmt::Display for RowError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}] {}", self.class, self.message)
    }
}

/// The first error of each failed row of a batch, by row index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowErrors {
    first: BTreeMap<usize, RowError>,
}

impl RowErrors {
    /// Whether no row failed.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Number of failed rows.
    pub fn len(&self) -> usize {
        self.first.len()
    }

    /// The row's error, if it failed.
    pub fn get(&self, row: usize) -> Option<&RowError> {
        self.first.get(&row)
    }

    /// The failed rows with their errors, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &RowError)> {
        self.first.iter().map(|(row, error)| (*row, error))
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.first.clear();
    }

    /// Marks a row as failed, unless it has failed before.
    pub fn record(&mut self, row: usize, class: &'static str, message: impl FnOnce() -> String) {
        self.first.entry(row).or_insert_with(|| RowError { class, message: message() });
    }

    /// Takes the errors of `branch` for the rows in which `counts` holds.
    pub fn absorb(&mut self, branch: RowErrors, counts: impl Fn(usize) -> bool) {
        for (row, error) in branch.first {
            if counts(row) {
                self.first.entry(row).or_insert(error);
            }
        }
    }
}
