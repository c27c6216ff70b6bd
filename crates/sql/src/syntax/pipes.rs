//! Pipes: `FROM a |> WHERE … |> AGGREGATE … GROUP BY … |> SELECT …`. Each step is a SELECT over the one before, or goes into it
//! where that has nothing of its own yet.

use super::Fault;
use super::order::Tail;
use super::parser::Parser;
use super::query::{From, GroupBy, Query, Select, SelectItem};
use super::tree::{Node, NodeKind};
use std::ops::Range;

impl Parser<'_> {
    /// Whether a step follows that makes rows; ORDER BY and LIMIT come behind the last.
    pub(super) fn is_at_pipe(&self) -> bool {
        self.is_symbol("|>") && !self.is_any_word_at(1, &["ORDER", "LIMIT"])
    }

    /// `|> step`.
    pub(super) fn pipe(&mut self, query: Query) -> Result<Query, Fault> {
        self.advance();
        let at = self.here();
        let mut select = open(query, &at);
        if self.take_word("WHERE") {
            if select.filter.is_some() {
                select = over(select, &at);
            }
            select.filter = Some(self.expression()?);
        } else if self.take_word("SELECT") {
            select.distinct = self.take_word("DISTINCT").then(|| at.clone());
            select.items = self.list(Self::select_item)?;
        } else if self.take_word("EXTEND") {
            let items = self.list(Self::select_item)?;
            select.items.extend(items);
        } else if self.take_word("DROP") {
            select.items[0].except = self.list(|parser| parser.ident("a column"))?;
        } else if self.take_word("AS") {
            select = over(select, &at);
            select.alias = Some(self.ident("a name")?);
        } else if self.take_word("AGGREGATE") {
            self.aggregate_step(&mut select, &at)?;
        } else {
            let help = "the steps are WHERE, SELECT, EXTEND, DROP, AS, AGGREGATE … GROUP BY, and at the end ORDER BY and LIMIT";
            return Err(Fault::new(at, "this step of a pipe is not supported", help));
        }
        Ok(Query { selects: vec![select], tail: Tail::default() })
    }

    /// `AGGREGATE item, … [GROUP BY key [AS name], …]`: the result has the keys first.
    fn aggregate_step(&mut self, select: &mut Select, at: &Range<usize>) -> Result<(), Fault> {
        let items = match self.is_word("GROUP") {
            true => Vec::new(),
            false => self.list(Self::select_item)?,
        };
        let mut keys = Vec::new();
        if self.take_words(&["GROUP", "BY"]) {
            keys = self.list(Self::select_item)?;
        }
        select.group_by = (!keys.is_empty()).then(|| GroupBy::Keys(keys.iter().map(|key| key.node.clone()).collect()));
        select.items = keys.into_iter().chain(items).collect();
        match select.items.is_empty() {
            true => {
                Err(Fault::new(at.clone(), "AGGREGATE computes nothing", "write AGGREGATE count(*) AS n GROUP BY k"))
            }
            false => Ok(()),
        }
    }
}

/// The query as a SELECT whose list is still `*`, so that a step can fill it.
fn open(mut query: Query, at: &Range<usize>) -> Select {
    let is_open = |select: &Select| {
        let is_star = |item: &SelectItem| {
            item.node.kind == NodeKind::Star && item.before_star.is_empty() && item.except.is_empty()
        };
        matches!(select.items.as_slice(), [item] if is_star(item))
            && select.distinct.is_none()
            && select.group_by.is_none()
            && select.having.is_none()
    };
    match query.selects.as_slice() {
        [select] if is_open(select) => query.selects.remove(0),
        _ => all_of(query, at),
    }
}

fn over(select: Select, at: &Range<usize>) -> Select {
    all_of(Query { selects: vec![select], tail: Tail::default() }, at)
}

fn all_of(query: Query, at: &Range<usize>) -> Select {
    Select { at: at.clone(), ..query.all_of(None) }
}

/// `*`
pub(super) fn star(at: &Range<usize>) -> SelectItem {
    let node = Node { kind: NodeKind::Star, at: at.clone() };
    SelectItem { node, before_star: Vec::new(), except: Vec::new(), alias: None, aliases: Vec::new() }
}

/// `FROM a` alone: all of it.
pub(super) fn whole(at: Range<usize>, from: From) -> Select {
    let items = vec![star(&at)];
    Select {
        at,
        distinct: None,
        items,
        from,
        alias: None,
        columns: Vec::new(),
        views: Vec::new(),
        filter: None,
        group_by: None,
        having: None,
    }
}
