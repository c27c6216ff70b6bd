//! How deep a text may be nested. Everything behind the parser walks the tree by recursion, so these bounds keep every text
//! from overflowing the stack: 8 MB, also in a build without optimisation.

use super::Fault;
use super::parser::Parser;
use super::query::Query;

/// Expressions inside of one another.
const EXPRESSIONS_MAX: usize = 100;

/// Queries inside of one another. A step of a pipe is one around those before it.
const QUERIES_MAX: usize = 32;

/// Sets of keys inside of one another.
const SETS_MAX: usize = QUERIES_MAX;

impl Parser<'_> {
    /// Reads an expression that stands inside of the one being read.
    pub(super) fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.deeper(EXPRESSIONS_MAX, ("the expression is nested too deeply", "split it"), read)
    }

    /// Reads a type, which may be that of an element or a field.
    pub(super) fn nested_type<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.deeper(EXPRESSIONS_MAX, ("the type is nested too deeply", "nest it less"), read)
    }

    /// Reads sets of keys that stand inside of others.
    pub(super) fn nested_sets<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.deeper(SETS_MAX, ("GROUPING SETS are nested too deeply", "take parentheses away"), read)
    }

    fn deeper<T>(
        &mut self,
        depth_max: usize,
        (message, help): (&str, &str),
        read: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if self.depth >= depth_max {
            return Err(Fault::new(self.here(), message, help));
        }
        self.depth += 1;
        let found = read(self);
        self.depth -= 1;
        found
    }

    /// Refuses a query that begins inside of so many others.
    pub(super) fn check_queries(&self, around: usize) -> Result<(), Fault> {
        match around > QUERIES_MAX {
            true => Err(Fault::new(self.here(), "the query is nested too deeply", "take parentheses away")),
            false => Ok(()),
        }
    }

    /// Refuses a query that is too high for the place where it stands: inside of `around` others.
    pub(super) fn check_height(&self, around: usize, query: &Query, help: &str) -> Result<(), Fault> {
        let (_, height) = query.size();
        match around + height > QUERIES_MAX + 1 {
            true => Err(Fault::new(self.here(), "the query is nested too deeply", help)),
            false => Ok(()),
        }
    }
}
