//! Inline tables beside a stream: `FROM a JOIN VALUES (1, 'x'), (2, 'y') AS t(n, name) ON a.n = t.n`. Each row of the stream
//! meets each row of the table, as with LATERAL VIEW over a constant array; ON is one more condition of WHERE.

use super::Fault;
use super::lexer::Ident;
use super::parser::Parser;
use super::query::View;
use super::tree::{Call, Literal, Node, NodeKind, Operator};
use std::ops::Range;

impl Parser<'_> {
    /// `, VALUES …`, `CROSS JOIN VALUES …`, `[INNER] JOIN VALUES … [ON condition]`, if one comes. The table may be in brackets.
    pub(super) fn inline_table(&mut self) -> Result<Option<(View, Option<Node>)>, Fault> {
        let before = self.place();
        let crosses = self.take_symbol(",") || self.take_words(&["CROSS", "JOIN"]);
        let joins = crosses || self.take_words(&["INNER", "JOIN"]) || self.take_word("JOIN");
        let in_brackets = joins && self.is_word_at(1, "VALUES") && self.take_symbol("(");
        let at = self.here();
        if !joins || !self.take_word("VALUES") {
            self.go_back(before);
            return Ok(None);
        }
        let rows = self.list(Self::inline_row)?;
        if in_brackets {
            self.expect_symbol(")")?;
        }
        let width = rows[0].len();
        if let Some(row) = rows.iter().find(|row| row.len() != width) {
            let message = format!("a row of VALUES has {} values, and the first has {width}", row.len());
            return Err(Fault::new(row[0].at.clone(), message, "give each row as many"));
        }
        let names: Vec<String> = (1..=width).map(|number| format!("col{number}")).collect();
        let rows = rows.into_iter().map(|row| structure(&names, row)).collect();
        let call = called("inline", vec![called("array", rows, &at)], &at);
        let table = self.alias()?;
        let columns = match self.is_symbol("(") && table.is_some() {
            true => self.names_of_columns()?,
            false => names.into_iter().map(|name| Ident { name, quoted: false, at: at.clone() }).collect(),
        };
        let condition = if !crosses && self.take_word("ON") { Some(self.expression()?) } else { None };
        Ok(Some((View { call, outer: false, table, columns }, condition)))
    }

    /// `(a, b)`, or one value.
    fn inline_row(&mut self) -> Result<Vec<Node>, Fault> {
        if !self.take_symbol("(") {
            return Ok(vec![self.expression()?]);
        }
        let row = self.list(Self::expression)?;
        self.expect_symbol(")")?;
        Ok(row)
    }
}

/// Both conditions, if there are two.
pub(super) fn both(one: Option<Node>, other: Option<Node>) -> Option<Node> {
    match (one, other) {
        (Some(one), Some(other)) => {
            let at = one.at.start..other.at.end.max(one.at.start);
            Some(Node { kind: NodeKind::Binary(Operator::And, Box::new(one), Box::new(other)), at })
        }
        (one, other) => one.or(other),
    }
}

fn structure(names: &[String], row: Vec<Node>) -> Node {
    let at = row[0].at.clone();
    let name = |name: &String| Node { kind: NodeKind::Literal(Literal::String(name.clone())), at: at.clone() };
    let members = names.iter().zip(row).flat_map(|(of, value)| [name(of), value]).collect();
    called("named_struct", members, &at)
}

fn called(name: &str, arguments: Vec<Node>, at: &Range<usize>) -> Node {
    let name = Ident { name: name.into(), quoted: false, at: at.clone() };
    let kind = NodeKind::Call(Call { arguments, ..Call::of(name) });
    Node { kind, at: at.clone() }
}
