//! `ORDER BY … LIMIT …` at the end of the statement.

use super::Fault;
use super::parser::Parser;
use super::tree::{Node, NodeKind};
use std::ops::Range;

/// What stands behind the last SELECT.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail {
    /// Where it stands.
    pub at: Range<usize>,
    pub order: Vec<SortItem>,
    pub limit: Option<Node>,
}

/// `expression [ASC | DESC] [NULLS FIRST | LAST]`; ALL is a star.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SortItem {
    pub node: Node,
    pub descending: bool,
    pub nulls_last: bool,
}

impl Parser<'_> {
    /// ORDER BY and LIMIT, if they come.
    pub(super) fn tail(&mut self) -> Result<Tail, Fault> {
        let at = self.here();
        self.skip_pipe("ORDER");
        let order = if self.take_words(&["ORDER", "BY"]) { self.list(Self::sort_item)? } else { Vec::new() };
        self.skip_pipe("LIMIT");
        let mut limit = None;
        if self.take_word("LIMIT") && !self.take_word("ALL") {
            limit = Some(self.expression()?);
        }
        Ok(Tail { at, order, limit })
    }

    fn skip_pipe(&mut self, word: &str) {
        if self.is_symbol("|>") && self.is_word_at(1, word) {
            self.advance();
        }
    }

    pub(super) fn sort_item(&mut self) -> Result<SortItem, Fault> {
        let at = self.here();
        let node = match self.is_word("ALL") && !self.is_symbol_at(1, "(") && !self.is_symbol_at(1, ".") {
            true => {
                self.advance();
                Node { kind: NodeKind::Star, at }
            }
            false => self.expression()?,
        };
        let descending = self.take_word("DESC");
        if !descending {
            self.take_word("ASC");
        }
        let mut nulls_last = descending;
        if self.take_word("NULLS") {
            nulls_last = self.take_word("LAST");
            if !nulls_last {
                self.expect_word("FIRST")?;
            }
        }
        Ok(SortItem { node, descending, nulls_last })
    }
}
