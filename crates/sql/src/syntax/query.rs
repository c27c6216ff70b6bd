//! The one statement that a pipeline has: `SELECT … FROM table [WHERE] [GROUP BY] [HAVING]`.

use super::lexer::{Ident, Token};
use super::parser::Parser;
use super::tree::Node;
use super::{Fault, NodeKind};
use std::ops::Range;

/// A SELECT statement.
#[derive(Clone, Debug)]
pub(crate) struct Select {
    /// Where SELECT stands.
    pub at: Range<usize>,
    /// Where DISTINCT stands, if it does.
    pub distinct: Option<Range<usize>>,
    pub items: Vec<SelectItem>,
    pub table: Ident,
    pub alias: Option<Ident>,
    pub filter: Option<Node>,
    pub group_by: Option<GroupBy>,
    pub having: Option<Node>,
}

/// `expression [[AS] alias]`; a star has [`NodeKind::Star`].
#[derive(Clone, Debug)]
pub(crate) struct SelectItem {
    pub node: Node,
    pub alias: Option<Ident>,
}

/// GROUP BY.
#[derive(Clone, Debug)]
pub(crate) enum GroupBy {
    /// `GROUP BY ALL`: every item without an aggregate.
    All,
    Keys(Vec<Node>),
}

const SUPPORTED: &str = "a pipeline's query is SELECT … FROM source [WHERE …] [GROUP BY …] [HAVING …]";

/// Words that end an expression and so are no aliases.
const CLAUSES: [&str; 31] = [
    "FROM",
    "WHERE",
    "GROUP",
    "HAVING",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "MINUS",
    "JOIN",
    "INNER",
    "LEFT",
    "RIGHT",
    "FULL",
    "CROSS",
    "NATURAL",
    "SEMI",
    "ANTI",
    "ON",
    "USING",
    "LATERAL",
    "WINDOW",
    "CLUSTER",
    "DISTRIBUTE",
    "SORT",
    "TABLESAMPLE",
    "PIVOT",
    "QUALIFY",
    "WATERMARK",
];

impl Parser<'_> {
    pub fn select(&mut self) -> Result<Select, Fault> {
        let at = self.here();
        if self.is_word("WITH") {
            return Err(Fault::new(at, "WITH is not supported", SUPPORTED));
        }
        if !self.take_word("SELECT") {
            return Err(Fault::new(at, "the query does not begin with SELECT", SUPPORTED));
        }
        let distinct = self.is_word("DISTINCT").then(|| self.here());
        if !self.take_word("DISTINCT") {
            self.take_word("ALL");
        }
        let items = self.list(Self::select_item)?;
        self.expect_word("FROM")?;
        if self.is_symbol("(") {
            return Err(Fault::new(self.here(), "subqueries are not supported", SUPPORTED));
        }
        if matches!(self.peek_at(1), Token::Word(_) | Token::Quoted(_))
            && !self.is_any_word_at(1, &CLAUSES)
            && !self.is_word_at(1, "AS")
        {
            self.take_word("STREAM");
        }
        let table = self.ident("the name of a source")?;
        let alias = self.alias()?;
        self.refuse_clauses()?;
        let filter = if self.take_word("WHERE") { Some(self.expression()?) } else { None };
        let group_by = if self.take_words(&["GROUP", "BY"]) { Some(self.group_by()?) } else { None };
        let having = if self.take_word("HAVING") { Some(self.expression()?) } else { None };
        self.refuse_clauses()?;
        self.take_symbol(";");
        Ok(Select { at, distinct, items, table, alias, filter, group_by, having })
    }

    fn select_item(&mut self) -> Result<SelectItem, Fault> {
        let node = self.expression()?;
        let alias = self.alias()?;
        if node.kind == NodeKind::Star && alias.is_some() {
            return Err(Fault::new(node.at, "`*` takes no alias", "leave the alias out"));
        }
        Ok(SelectItem { node, alias })
    }

    fn alias(&mut self) -> Result<Option<Ident>, Fault> {
        if self.take_word("AS") || matches!(self.peek(), Token::Quoted(_)) || self.is_plain_word() {
            return Ok(Some(self.ident("an alias")?));
        }
        Ok(None)
    }

    /// Whether a word comes that begins no clause.
    fn is_plain_word(&self) -> bool {
        matches!(self.peek(), Token::Word(_)) && !self.is_any_word(&CLAUSES)
    }

    fn group_by(&mut self) -> Result<GroupBy, Fault> {
        if self.is_word("ALL") && !matches!(self.peek_at(1), Token::Symbol("(" | ".")) {
            self.advance();
            return Ok(GroupBy::All);
        }
        for words in [&["GROUPING", "SETS"][..], &["CUBE"], &["ROLLUP"]] {
            if words.iter().enumerate().all(|(ahead, word)| self.is_word_at(ahead, word)) {
                let message = format!("GROUP BY {} is not supported on streams", words.join(" "));
                return Err(Fault::new(self.here(), message, "name the keys: GROUP BY a, b"));
            }
        }
        Ok(GroupBy::Keys(self.list(Self::expression)?))
    }

    fn refuse_clauses(&mut self) -> Result<(), Fault> {
        let (what, help) = if self.is_symbol(",") {
            ("a second table", "joins are not supported yet: read one source")
        } else if self.is_any_word(&["JOIN", "INNER", "LEFT", "RIGHT", "FULL", "CROSS", "NATURAL", "SEMI", "ANTI"]) {
            ("JOIN", "joins are not supported yet: read one source")
        } else if self.is_word("ORDER") {
            ("ORDER BY", "leave it out: sinks get each batch's rows sorted by group key")
        } else if self.is_any_word(&["LIMIT", "OFFSET"]) {
            ("LIMIT", "leave it out; a console sink takes rows_max")
        } else if self.is_any_word(&["UNION", "INTERSECT", "EXCEPT", "MINUS"]) {
            ("a combination of queries", SUPPORTED)
        } else if self.is_word("WATERMARK") {
            ("WATERMARK", "declare it in [sources.NAME.event_time]: watermark = \"1 minute\"")
        } else if self.is_any_word(&CLAUSES[22..]) {
            ("this clause", SUPPORTED)
        } else {
            return Ok(());
        };
        Err(Fault::new(self.here(), format!("{what} is not supported"), help))
    }
}
