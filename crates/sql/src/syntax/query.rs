//! The one statement that a pipeline has: `SELECT … FROM table [WHERE] [GROUP BY] [HAVING]`, and several of them with
//! UNION [ALL] between, at the top or as a subquery of FROM. A query that WITH names is put where its name stands.

use super::lexer::{Ident, Token};
use super::order::Tail;
use super::parser::Parser;
use super::pipes;
use super::tables::{Joined, both};
use super::tree::Node;
use super::{Fault, NodeKind};
use std::ops::Range;

/// `SELECT … [UNION ALL SELECT …]…`: one at least.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub selects: Vec<Select>,
    /// Of the whole statement.
    pub tail: Tail,
}

/// A query that WITH names, and names for its columns.
pub(super) type Named = (Ident, Query, Vec<Ident>);

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
    /// Names for the columns of FROM's query: `(SELECT …) AS t(a, b)`.
    pub columns: Vec<Ident>,
    /// LATERAL VIEWs, in their order.
    pub views: Vec<View>,
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

/// `LATERAL VIEW [OUTER] call [table] [AS column, …]`, or an inline table.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub call: Node,
    pub outer: bool,
    pub table: Option<Ident>,
    pub columns: Vec<Ident>,
    /// How the rows are joined with a table, if they do not all meet.
    pub joined: Option<Joined>,
}

/// `expression [[AS] alias]`; a star has [`NodeKind::Star`].
#[derive(Clone, Debug)]
pub(crate) struct SelectItem {
    pub node: Node,
    /// The table or STRUCT before a star: `t.*`, `t.column.*`.
    pub before_star: Vec<Ident>,
    /// What a star leaves out: `* EXCEPT (a, b)`.
    pub except: Vec<Ident>,
    pub alias: Option<Ident>,
    /// Names for the columns of a generator: `AS (a, b)`.
    pub aliases: Vec<Ident>,
}

/// GROUP BY.
#[derive(Clone, Debug)]
pub(crate) enum GroupBy {
    /// `GROUP BY ALL`: every item without an aggregate.
    All,
    Keys(Vec<Node>),
    /// ROLLUP, CUBE, GROUPING SETS.
    Sets {
        keys: Vec<Node>,
        /// Positions in `keys`.
        sets: Vec<Vec<usize>>,
    },
}

const SUPPORTED: &str = "a pipeline's query is SELECT … FROM source [WHERE …] [GROUP BY …] [HAVING …]";

/// So many SELECTs may a query have, each use of a name of WITH counted.
const SELECTS_MAX: usize = 256;

/// Words that end an expression and so are no aliases.
const CLAUSES: [&str; 33] = [
    "SELECT",
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
    "UNPIVOT",
    "QUALIFY",
    "WATERMARK",
];

/// Clauses that are not there: the first word, the clause, the way out.
const UNSUPPORTED: [(&str, &str, &str); 9] = [
    ("LATERAL", "LATERAL without VIEW", "write LATERAL VIEW explode(array) t AS x"),
    ("WINDOW", "WINDOW", "functions with OVER are not supported on streams; group by window(time, '10 seconds')"),
    ("QUALIFY", "QUALIFY", "functions with OVER are not supported on streams; filter groups with HAVING"),
    ("CLUSTER", "CLUSTER BY", UNSORTED),
    ("DISTRIBUTE", "DISTRIBUTE BY", UNSORTED),
    ("SORT", "SORT BY", UNSORTED),
    ("TABLESAMPLE", "TABLESAMPLE", "take a part of the rows in WHERE: pmod(hash(key), 10) = 0"),
    ("PIVOT", "PIVOT", "write one aggregate for each column: sum(x) FILTER (WHERE k = 'a') AS a"),
    ("UNPIVOT", "UNPIVOT", "stack(2, 'a', a, 'b', b) makes a row of each column"),
];

const UNSORTED: &str = "leave it out: sinks get each batch's rows sorted by group key";

const JOINS: &str = "a stream is joined with VALUES (…) AS t(a, b) only: read one source, or several with UNION ALL";

impl Query {
    /// `SELECT [DISTINCT] * FROM (query)`.
    pub fn all_of(self, distinct: Option<Range<usize>>) -> Select {
        let at = self.selects[0].at.clone();
        Select { distinct, ..pipes::whole(at, From::Query(self)) }
    }

    /// SELECTs in it, and how deep they stand inside one another.
    pub(super) fn size(&self) -> (usize, usize) {
        let inner = self.selects.iter().filter_map(|select| match &select.from {
            From::Query(query) => Some(query.size()),
            From::Table(_) => None,
        });
        inner.fold((self.selects.len(), 1), |(count, depth), (more, below)| (count + more, depth.max(below + 1)))
    }
}

impl Parser<'_> {
    /// The statement; the text's end is not looked for.
    pub fn statement(&mut self) -> Result<Query, Fault> {
        let mut query = self.query(0)?;
        query.tail = self.tail()?;
        self.refuse_clauses(1)?;
        self.take_symbol(";");
        Ok(query)
    }

    /// `[WITH …]` and branches with UNION [ALL] between; one in parentheses may be several.
    fn query(&mut self, depth: usize) -> Result<Query, Fault> {
        self.check_queries(depth)?;
        let outside = (self.named.len(), self.tables.len());
        if self.take_word("WITH") {
            self.named_queries(depth)?;
        }
        let mut selects = Vec::new();
        let mut distinct: Option<Range<usize>> = None;
        loop {
            if self.take_symbol("(") {
                selects.extend(self.query(depth + 1)?.selects);
                self.expect_symbol(")")?;
                self.refuse_clauses(depth)?;
            } else {
                selects.push(self.select(depth)?);
            }
            let at = self.here();
            if !self.take_word("UNION") {
                break;
            }
            match (self.union_keeps_all()?, &distinct) {
                (true, None) => {}
                // What comes before becomes distinct, too.
                (false, None) => distinct = Some(at),
                (_, Some(_)) => {
                    let help = "write UNION ALL first, and UNION once, at the end";
                    return Err(Fault::new(at, "UNION before another UNION is not supported", help));
                }
            }
        }
        self.named.truncate(outside.0);
        self.tables.truncate(outside.1);
        let mut query = Query { selects, tail: Tail::default() };
        if distinct.is_some() {
            query = Query { selects: vec![query.all_of(distinct)], tail: Tail::default() };
        }
        while self.is_at_pipe() {
            query = self.pipe(query)?;
            self.check_height(depth, &query, "put some steps of the pipe together")?;
        }
        Ok(query)
    }

    /// `name AS (query), …` behind WITH.
    fn named_queries(&mut self, depth: usize) -> Result<(), Fault> {
        if self.is_word("RECURSIVE") {
            return Err(Fault::new(self.here(), "WITH RECURSIVE is not supported on streams", "leave RECURSIVE out"));
        }
        loop {
            let name = self.ident("a name for a query")?;
            let columns = if self.is_symbol("(") { self.names_of_columns()? } else { Vec::new() };
            self.take_word("AS");
            self.expect_symbol("(")?;
            if let Some(mut table) = self.table_of_query()? {
                self.expect_symbol(")")?;
                if !columns.is_empty() {
                    table.columns = columns;
                }
                self.tables.push((name, table));
            } else {
                let query = self.query(depth + 1)?;
                self.expect_symbol(")")?;
                self.named.push((name, query, columns));
            }
            if !self.take_symbol(",") {
                return Ok(());
            }
        }
    }

    /// What stands behind UNION; whether it is ALL.
    fn union_keeps_all(&mut self) -> Result<bool, Fault> {
        let keeps_all = self.take_word("ALL");
        if !keeps_all {
            self.take_word("DISTINCT");
        }
        if self.is_word("BY") {
            let help = "leave BY NAME out, and select the columns in one order";
            return Err(Fault::new(self.here(), "BY NAME is not supported", help));
        }
        Ok(keeps_all)
    }

    fn select(&mut self, depth: usize) -> Result<Select, Fault> {
        let at = self.here();
        self.count(1, &at)?;
        let first = if self.take_word("FROM") { Some(self.rows(at.clone(), depth)?) } else { None };
        if !self.take_word("SELECT") {
            // `FROM a` alone is all of it.
            let message = "the query does not begin with SELECT";
            return first.ok_or_else(|| Fault::new(at, message, SUPPORTED));
        }
        let distinct = self.is_word("DISTINCT").then(|| self.here());
        if !self.take_word("DISTINCT") {
            self.take_word("ALL");
        }
        let items = self.list(Self::select_item)?;
        let mut select = match first {
            Some(first) => first,
            None => {
                self.expect_word("FROM")?;
                self.rows(at, depth)?
            }
        };
        (select.distinct, select.items) = (distinct, items);
        let filter = if self.take_word("WHERE") { Some(self.expression()?) } else { None };
        select.filter = both(select.filter.take(), filter);
        select.group_by = if self.take_words(&["GROUP", "BY"]) { Some(self.group_by()?) } else { None };
        select.having = if self.take_word("HAVING") { Some(self.expression()?) } else { None };
        self.refuse_clauses(depth)?;
        Ok(select)
    }

    /// What FROM names, as all of it.
    fn rows(&mut self, at: Range<usize>, depth: usize) -> Result<Select, Fault> {
        let (from, name, mut columns) = self.from(depth)?;
        let alias = self.alias()?;
        if alias.is_some() && matches!(from, From::Query(_)) && self.is_symbol("(") {
            columns = self.names_of_columns()?;
        }
        let alias = alias.or(name);
        let (mut views, mut filter) = (Vec::new(), None);
        loop {
            if self.take_words(&["LATERAL", "VIEW"]) {
                views.push(self.view()?);
            } else if let Some((table, condition)) = self.inline_table()? {
                views.push(table);
                filter = both(filter, condition);
            } else {
                break;
            }
        }
        self.refuse_clauses(depth)?;
        Ok(Select { alias, columns, views, filter, ..pipes::whole(at, from) })
    }

    pub(super) fn count(&mut self, selects: usize, at: &Range<usize>) -> Result<(), Fault> {
        self.selects += selects;
        if self.selects <= SELECTS_MAX {
            return Ok(());
        }
        let help = "a query that WITH names counts as often as it is read: read it less often";
        Err(Fault::new(at.clone(), format!("the query has more than {SELECTS_MAX} SELECTs"), help))
    }

    /// A table, a query in parentheses, or one that WITH names, with its name and those of its columns.
    fn from(&mut self, depth: usize) -> Result<(From, Option<Ident>, Vec<Ident>), Fault> {
        if self.take_symbol("(") {
            let query = self.query(depth + 1)?;
            self.expect_symbol(")")?;
            return Ok((From::Query(query), None, Vec::new()));
        }
        let is_values =
            self.is_word("VALUES") && !matches!(self.peek_at(1), Token::Word(_) | Token::Symbol("|>") | Token::End);
        if is_values || self.named_table().is_some() {
            let help = "Spark refuses a UNION of a stream with a table, too; join it: FROM a JOIN VALUES (1, 'x') AS t(n, name) ON a.n = t.n";
            return Err(Fault::new(self.here(), "VALUES is a table, and this query reads streams", help));
        }
        if matches!(self.peek_at(1), Token::Word(_) | Token::Quoted(_))
            && !self.is_any_word_at(1, &CLAUSES)
            && !self.is_word_at(1, "AS")
        {
            self.take_word("STREAM");
        }
        let table = self.ident("the name of a source")?;
        let is_named = |(name, ..): &&Named| name.name.to_lowercase() == table.name.to_lowercase();
        let Some((_, query, columns)) = self.named.iter().rev().find(is_named) else {
            return Ok((From::Table(table), None, Vec::new()));
        };
        let (query, columns) = (query.clone(), columns.clone());
        let (count, _) = query.size();
        self.count(count, &table.at)?;
        self.check_height(depth + 1, &query, "remove names of WITH")?;
        Ok((From::Query(query), Some(table), columns))
    }

    pub(super) fn select_item(&mut self) -> Result<SelectItem, Fault> {
        let start = self.here().start;
        let before_star = self.names_before_star()?;
        let mut node = self.expression()?;
        node.at.start = start;
        let mut except = Vec::new();
        let leaves_out = ["EXCEPT", "EXCLUDE", "REPLACE"].into_iter().find(|word| self.is_word(word));
        if let Some(word) = leaves_out.filter(|_| node.kind == NodeKind::Star) {
            let at = self.here();
            self.advance();
            if word != "EXCEPT" {
                return Err(Fault::new(at, format!("`* {word}` is not SQL of Spark"), "write * EXCEPT (a, b)"));
            }
            if !self.is_symbol("(") {
                return Err(Fault::new(at, "EXCEPT behind `*` takes names in parentheses", "write * EXCEPT (a, b)"));
            }
            self.expect_symbol("(")?;
            except = self.list(|parser| parser.ident("a column"))?;
            self.expect_symbol(")")?;
        }
        let aliases = if self.is_word("AS") && matches!(self.peek_at(1), Token::Symbol("(")) {
            self.advance();
            self.names_of_columns()?
        } else {
            Vec::new()
        };
        let alias = if aliases.is_empty() { self.alias()? } else { None };
        if node.kind == NodeKind::Star && (alias.is_some() || !aliases.is_empty()) {
            return Err(Fault::new(node.at, "`*` takes no alias", "leave the alias out"));
        }
        Ok(SelectItem { node, before_star, except, alias, aliases })
    }

    /// `(a, b)`.
    pub(super) fn names_of_columns(&mut self) -> Result<Vec<Ident>, Fault> {
        self.expect_symbol("(")?;
        let names = self.list(|parser| parser.ident("an alias"))?;
        self.expect_symbol(")")?;
        Ok(names)
    }

    /// What follows LATERAL VIEW.
    fn view(&mut self) -> Result<View, Fault> {
        let outer = self.take_word("OUTER");
        let call = self.expression()?;
        let is_named = matches!(self.peek(), Token::Quoted(_)) || self.is_plain_word() && !self.is_word("AS");
        let table = if is_named { Some(self.ident("a name for the view")?) } else { None };
        let names = self.take_word("AS") || matches!(self.peek(), Token::Quoted(_)) || self.is_plain_word();
        let columns = if names { self.list(|parser| parser.ident("a column"))? } else { Vec::new() };
        Ok(View { call, outer, table, columns, joined: None })
    }

    /// `t.`, if a star follows.
    fn names_before_star(&mut self) -> Result<Vec<Ident>, Fault> {
        let is_name = |token: &Token| matches!(token, Token::Word(_) | Token::Quoted(_));
        let is_dot = |token: &Token| matches!(token, Token::Symbol("."));
        let mut count = 0;
        while is_name(self.peek_at(2 * count)) && is_dot(self.peek_at(2 * count + 1)) {
            count += 1;
        }
        if count == 0 || !matches!(self.peek_at(2 * count), Token::Symbol("*")) {
            return Ok(Vec::new());
        }
        let mut names = Vec::new();
        for _ in 0..count {
            names.push(self.ident("a table or a column")?);
            self.advance();
        }
        Ok(names)
    }

    pub(super) fn alias(&mut self) -> Result<Option<Ident>, Fault> {
        if self.take_word("AS") || matches!(self.peek(), Token::Quoted(_)) || self.is_plain_word() {
            return Ok(Some(self.ident("an alias")?));
        }
        Ok(None)
    }

    /// Whether a word comes that begins no clause.
    fn is_plain_word(&self) -> bool {
        matches!(self.peek(), Token::Word(_)) && !self.is_any_word(&CLAUSES)
    }

    /// Refuses clauses that are not there; ORDER BY and LIMIT may follow the outermost query.
    fn refuse_clauses(&mut self, depth: usize) -> Result<(), Fault> {
        if depth == 0 && self.is_any_word(&["ORDER", "LIMIT"]) {
            return Ok(());
        }
        let (what, help) = if self.is_symbol(",") {
            ("a second table", JOINS)
        } else if self.is_any_word(&["JOIN", "INNER", "LEFT", "RIGHT", "FULL", "CROSS", "NATURAL", "SEMI", "ANTI"]) {
            ("JOIN", JOINS)
        } else if self.is_word("ORDER") {
            ("ORDER BY", "put it at the end of the outermost query, in complete mode")
        } else if self.is_word("LIMIT") {
            ("LIMIT", "put it at the end of the outermost query, in complete mode")
        } else if self.is_word("OFFSET") {
            ("OFFSET", "leave it out; a console sink takes rows_max")
        } else if self.is_any_word(&["INTERSECT", "EXCEPT", "MINUS"]) {
            ("this combination of queries", "streams have only UNION ALL")
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
