//! The one statement that a pipeline has: `SELECT … FROM table [WHERE] [GROUP BY] [HAVING]`, and several of them with
//! UNION ALL between, at the top or as a subquery of FROM.

use super::lexer::{Ident, Token};
use super::parser::Parser;
use super::tree::Node;
use super::{Fault, NodeKind};
use std::ops::Range;

/// `SELECT … [UNION ALL SELECT …]…`: one at least.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub selects: Vec<Select>,
}

/// A SELECT statement.
#[derive(Clone, Debug)]
pub(crate) struct Select {
    /// Where SELECT stands.
    pub at: Range<usize>,
    /// Where DISTINCT stands, if it does.
    pub distinct: Option<Range<usize>>,
    pub items: Vec<SelectItem>,
    pub from: From,
    pub alias: Option<Ident>,
    pub filter: Option<Node>,
    pub group_by: Option<GroupBy>,
    pub having: Option<Node>,
}

/// What FROM names.
#[derive(Clone, Debug)]
pub(crate) enum From {
    Table(Ident),
    Query(Query),
}

/// `expression [[AS] alias]`; a star has [`NodeKind::Star`].
#[derive(Clone, Debug)]
pub(crate) struct SelectItem {
    pub node: Node,
    /// The table before a star: `t.*`.
    pub table: Option<Ident>,
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

/// So deep may queries stand inside one another.
const DEPTH_MAX: usize = 32;

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

/// Clauses that are not there: the first word, the clause, the way out.
const UNSUPPORTED: [(&str, &str, &str); 8] = [
    ("LATERAL", "LATERAL VIEW", "an array's elements cannot be made rows; name them: arr[0]"),
    ("WINDOW", "WINDOW", "functions with OVER are not supported on streams; group by window(time, '10 seconds')"),
    ("QUALIFY", "QUALIFY", "functions with OVER are not supported on streams; filter groups with HAVING"),
    ("CLUSTER", "CLUSTER BY", UNSORTED),
    ("DISTRIBUTE", "DISTRIBUTE BY", UNSORTED),
    ("SORT", "SORT BY", UNSORTED),
    ("TABLESAMPLE", "TABLESAMPLE", "take a part of the rows in WHERE: pmod(hash(key), 10) = 0"),
    ("PIVOT", "PIVOT", "write one aggregate for each column: sum(x) FILTER (WHERE k = 'a') AS a"),
];

const UNSORTED: &str = "leave it out: sinks get each batch's rows sorted by group key";

impl Parser<'_> {
    /// The statement; the text's end is not looked for.
    pub fn statement(&mut self) -> Result<Query, Fault> {
        let query = self.query(0)?;
        self.take_symbol(";");
        Ok(query)
    }

    /// Branches with UNION ALL between; one in parentheses may be several.
    fn query(&mut self, depth: usize) -> Result<Query, Fault> {
        if depth > DEPTH_MAX {
            return Err(Fault::new(self.here(), "the query is nested too deeply", "take parentheses away"));
        }
        let mut selects = Vec::new();
        loop {
            if self.take_symbol("(") {
                selects.extend(self.query(depth + 1)?.selects);
                self.expect_symbol(")")?;
                self.refuse_clauses()?;
            } else {
                selects.push(self.select(depth)?);
            }
            if !self.union_all()? {
                return Ok(Query { selects });
            }
        }
    }

    fn union_all(&mut self) -> Result<bool, Fault> {
        let at = self.here();
        if !self.take_word("UNION") {
            return Ok(false);
        }
        if !self.take_word("ALL") {
            let help = "write UNION ALL; SELECT DISTINCT … FROM (… UNION ALL …) makes equal rows one";
            return Err(Fault::new(at, "UNION without ALL is not supported", help));
        }
        if self.is_word("BY") {
            let help = "leave BY NAME out, and select the columns in one order";
            return Err(Fault::new(self.here(), "BY NAME is not supported", help));
        }
        Ok(true)
    }

    fn select(&mut self, depth: usize) -> Result<Select, Fault> {
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
        let from = self.from(depth)?;
        let alias = self.alias()?;
        self.refuse_clauses()?;
        let filter = if self.take_word("WHERE") { Some(self.expression()?) } else { None };
        let group_by = if self.take_words(&["GROUP", "BY"]) { Some(self.group_by()?) } else { None };
        let having = if self.take_word("HAVING") { Some(self.expression()?) } else { None };
        self.refuse_clauses()?;
        Ok(Select { at, distinct, items, from, alias, filter, group_by, having })
    }

    /// A table, or a query in parentheses.
    fn from(&mut self, depth: usize) -> Result<From, Fault> {
        if self.take_symbol("(") {
            let query = self.query(depth + 1)?;
            self.expect_symbol(")")?;
            return Ok(From::Query(query));
        }
        if matches!(self.peek_at(1), Token::Word(_) | Token::Quoted(_))
            && !self.is_any_word_at(1, &CLAUSES)
            && !self.is_word_at(1, "AS")
        {
            self.take_word("STREAM");
        }
        Ok(From::Table(self.ident("the name of a source")?))
    }

    fn select_item(&mut self) -> Result<SelectItem, Fault> {
        let start = self.here().start;
        let table = self.table_before_star()?;
        let mut node = self.expression()?;
        node.at.start = start;
        let alias = self.alias()?;
        if node.kind == NodeKind::Star && alias.is_some() {
            return Err(Fault::new(node.at, "`*` takes no alias", "leave the alias out"));
        }
        Ok(SelectItem { node, table, alias })
    }

    /// `t.`, if a star follows.
    fn table_before_star(&mut self) -> Result<Option<Ident>, Fault> {
        let (dot, star) = (Token::Symbol("."), Token::Symbol("*"));
        if !matches!(self.peek(), Token::Word(_) | Token::Quoted(_))
            || (self.peek_at(1), self.peek_at(2)) != (&dot, &star)
        {
            return Ok(None);
        }
        let table = self.ident("a table")?;
        self.advance();
        Ok(Some(table))
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
            ("a second table", "joins are not supported yet: read one source, or several with UNION ALL")
        } else if self.is_any_word(&["JOIN", "INNER", "LEFT", "RIGHT", "FULL", "CROSS", "NATURAL", "SEMI", "ANTI"]) {
            ("JOIN", "joins are not supported yet: read one source, or several with UNION ALL")
        } else if self.is_word("ORDER") {
            ("ORDER BY", UNSORTED)
        } else if self.is_any_word(&["LIMIT", "OFFSET"]) {
            ("LIMIT", "leave it out; a console sink takes rows_max")
        } else if self.is_any_word(&["INTERSECT", "EXCEPT", "MINUS"]) {
            ("this combination of queries", "UNION ALL is the one that streams have")
        } else if self.is_word("WATERMARK") {
            ("WATERMARK", "declare it in [sources.NAME.event_time]: watermark = \"1 minute\"")
        } else if let Some((_, what, help)) = UNSUPPORTED.iter().find(|(word, ..)| self.is_word(word)) {
            (*what, *help)
        } else {
            return Ok(());
        };
        Err(Fault::new(self.here(), format!("{what} is not supported"), help))
    }
}
