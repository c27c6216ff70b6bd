//! Inline tables beside a stream: `FROM a JOIN VALUES (1, 'x'), (2, 'y') AS t(n, name) ON a.n = t.n`. Each row of the stream
//! meets each row of the table, as with LATERAL VIEW over a constant array (`analyze/joins.rs`).

use super::Fault;
use super::lexer::{Ident, Token};
use super::parser::Parser;
use super::query::View;
use super::tree::{Call, Literal, Node, NodeKind, Operator};
use std::ops::Range;

/// A table of constants.
#[derive(Clone, Debug)]
pub(super) struct InlineTable {
    /// What makes its rows: `inline(array(…))`.
    pub call: Node,
    pub alias: Option<Ident>,
    pub columns: Vec<Ident>,
}

/// How rows are joined with a table.
#[derive(Clone, Debug)]
pub(crate) struct Joined {
    pub kind: JoinKind,
    pub on: On,
}

/// Which rows a join gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JoinKind {
    Inner,
    Left,
    Semi,
    Anti,
}

/// What joined rows have in common.
#[derive(Clone, Debug)]
pub(crate) enum On {
    /// Nothing: all meet.
    Nothing,
    Condition(Node),
    /// Columns of these names are equal.
    Using(Vec<Ident>),
}

impl Parser<'_> {
    /// `, table`, `CROSS JOIN table`, `[INNER | LEFT [OUTER | SEMI | ANTI]] JOIN table [ON condition | USING (a, …)]`, if one comes, with a
    /// condition that is one of WHERE.
    pub(super) fn inline_table(&mut self) -> Result<Option<(View, Option<Node>)>, Fault> {
        let (before, at_join) = (self.place(), self.here());
        let crosses = self.take_symbol(",") || self.take_words(&["CROSS", "JOIN"]);
        let kind = if crosses { Some(JoinKind::Inner) } else { self.join_kind() };
        let turned = kind.is_none() && (self.take_outer_join("RIGHT") || self.take_outer_join("FULL"));
        let table = if kind.is_some() || turned { self.table()? } else { None };
        let Some(table) = table else {
            self.go_back(before);
            return Ok(None);
        };
        let Some(kind) = kind else {
            let message =
                "the rows of a table that nothing of the stream has met would come out only when the stream ends";
            let help = "Spark refuses it, too: write LEFT JOIN, which keeps the rows of the stream";
            return Err(Fault::new(at_join, message, help));
        };
        let on = if !crosses && self.take_word("ON") {
            On::Condition(self.expression()?)
        } else if !crosses && self.take_word("USING") {
            On::Using(self.names_of_columns()?)
        } else {
            On::Nothing
        };
        // ON of an inner join is one more condition of WHERE.
        let (joined, condition) = match (kind, on) {
            (JoinKind::Inner, On::Condition(condition)) => (None, Some(condition)),
            (JoinKind::Inner, On::Nothing) => (None, None),
            (kind, on) => (Some(Joined { kind, on }), None),
        };
        let InlineTable { call, alias, columns } = table;
        Ok(Some((View { call, outer: false, table: alias, columns, joined }, condition)))
    }

    /// `VALUES …`, in brackets or as `(SELECT * FROM VALUES …)`, or the name of one in WITH; each with its alias.
    fn table(&mut self) -> Result<Option<InlineTable>, Fault> {
        let mut table = match self.values()? {
            Some(table) => return Ok(Some(table)),
            None if self.is_symbol("(") => match self.table_in_brackets()? {
                Some(table) => table,
                None => return Ok(None),
            },
            None => match self.named_table() {
                Some(table) => {
                    let at = self.here();
                    self.count(1, &at)?;
                    self.advance();
                    table
                }
                None => return Ok(None),
            },
        };
        if let Some(alias) = self.alias()? {
            table.alias = Some(alias);
            if self.is_symbol("(") {
                table.columns = self.names_of_columns()?;
            }
        }
        Ok(Some(table))
    }

    /// The table that WITH names as the next word does.
    pub(super) fn named_table(&self) -> Option<InlineTable> {
        let (Token::Word(name) | Token::Quoted(name)) = self.peek() else { return None };
        let found = self.tables.iter().rev().find(|(known, _)| known.name.to_lowercase() == name.to_lowercase());
        found.map(|(known, table)| InlineTable { alias: Some(known.clone()), ..table.clone() })
    }

    /// `(VALUES …)`, `(SELECT * FROM VALUES …)`.
    fn table_in_brackets(&mut self) -> Result<Option<InlineTable>, Fault> {
        let before = self.place();
        self.expect_symbol("(")?;
        match self.table_of_query()? {
            Some(table) => self.expect_symbol(")").map(|()| Some(table)),
            None => {
                self.go_back(before);
                Ok(None)
            }
        }
    }

    /// `VALUES …` or `SELECT * FROM VALUES …`: a query that is a table.
    pub(super) fn table_of_query(&mut self) -> Result<Option<InlineTable>, Fault> {
        let selects_all = matches!(self.peek_at(1), Token::Symbol("*")) && self.is_word("SELECT");
        if selects_all && self.is_word_at(2, "FROM") && self.is_word_at(3, "VALUES") {
            (0..3).for_each(|_| drop(self.advance()));
        }
        self.values()
    }

    /// `VALUES (a, b), … [[AS] t [(x, y)]]`.
    fn values(&mut self) -> Result<Option<InlineTable>, Fault> {
        let at = self.here();
        if !self.take_word("VALUES") {
            return Ok(None);
        }
        let rows = self.list(Self::inline_row)?;
        let width = rows[0].len();
        if let Some(row) = rows.iter().find(|row| row.len() != width) {
            let message = format!("a row of VALUES has {} values, and the first has {width}", row.len());
            return Err(Fault::new(row[0].at.clone(), message, "give each row as many"));
        }
        let names: Vec<String> = (1..=width).map(|number| format!("col{number}")).collect();
        let rows = rows.into_iter().map(|row| structure(&names, row)).collect();
        let call = called("inline", vec![called("array", rows, &at)], &at);
        let alias = self.alias()?;
        let columns = match self.is_symbol("(") && alias.is_some() {
            true => self.names_of_columns()?,
            false => names.into_iter().map(|name| Ident { name, quoted: false, at: at.clone() }).collect(),
        };
        Ok(Some(InlineTable { call, alias, columns }))
    }

    /// `[INNER] JOIN`, `LEFT [OUTER] JOIN`, `[LEFT] SEMI JOIN`, `[LEFT] ANTI JOIN`.
    fn join_kind(&mut self) -> Option<JoinKind> {
        if self.take_words(&["INNER", "JOIN"]) || self.take_word("JOIN") {
            return Some(JoinKind::Inner);
        }
        for (word, kind) in [("SEMI", JoinKind::Semi), ("ANTI", JoinKind::Anti)] {
            if self.take_words(&["LEFT", word, "JOIN"]) || self.take_words(&[word, "JOIN"]) {
                return Some(kind);
            }
        }
        self.take_outer_join("LEFT").then_some(JoinKind::Left)
    }

    /// `LEFT [OUTER] JOIN`, of this side.
    fn take_outer_join(&mut self, side: &str) -> bool {
        self.take_words(&[side, "OUTER", "JOIN"]) || self.take_words(&[side, "JOIN"])
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
