//! Text → syntax tree: Spark's lexical rules, its expressions, its types and the one statement that a pipeline has.
//!
//! ```text
//!   text ─lexer→ tokens ─parser→ Query (query.rs), Node (expression.rs, forms.rs), DataType (types.rs)
//! ```
//! Every node carries its byte range in the text. Knows names, but not what they mean.

mod depth;
mod expression;
mod forms;
mod grouping;
mod lexer;
mod order;
mod parser;
mod pipes;
mod query;
mod tables;
mod tree;
mod types;

pub(crate) use grouping::too_many_keys;
pub(crate) use lexer::Ident;
pub(crate) use order::{SortItem, Tail};
pub(crate) use query::{From, GroupBy, Query, Select, SelectItem, View};
pub(crate) use tables::{JoinKind, Joined, On};
pub(crate) use tree::{Call, IsTest, LikeKind, Literal, Node, NodeKind, Operator};

use arrow_schema::{DataType, Fields};
use std::ops::Range;

/// What is wrong with a text, at a byte range of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub at: Range<usize>,
    pub message: String,
    pub help: String,
}

impl Fault {
    pub fn new(at: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Fault {
        Fault { at, message: message.into(), help: help.into() }
    }
}

/// A pipeline's statement.
pub(crate) fn parse_query(text: &str) -> Result<Query, Fault> {
    let mut parser = parser::Parser::new(text)?;
    let query = parser.statement()?;
    parser.end()?;
    Ok(query)
}

/// A lone expression.
pub(crate) fn parse_expression(text: &str) -> Result<Node, Fault> {
    let mut parser = parser::Parser::new(text)?;
    let node = parser.expression()?;
    parser.end()?;
    Ok(node)
}

/// The columns of a table: `name TYPE [NOT NULL] [COMMENT '…'], …`. All of them come out nullable (rule J10).
pub(crate) fn parse_schema(text: &str) -> Result<Fields, Fault> {
    let mut parser = parser::Parser::new(text)?;
    parser.of_table = true;
    let fields = parser.columns()?;
    parser.end()?;
    Ok(fields)
}

/// The schema of a record in a text: a type, or the columns of a STRUCT, whose names may differ in case alone.
pub(crate) fn parse_record(text: &str) -> Result<DataType, Fault> {
    let mut parser = parser::Parser::new(text)?;
    parser.of_table = true;
    let of_type = parser.data_type().and_then(|data_type| parser.end().map(|()| data_type));
    let nested = ["ARRAY", "MAP", "STRUCT"].into_iter().any(|word| {
        let start = text.trim_start().get(..word.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(word)) && text.contains('<')
    });
    if of_type.is_ok() || nested {
        return of_type;
    }
    let mut parser = parser::Parser::new(text)?;
    (parser.of_table, parser.of_record) = (true, true);
    let fields = parser.columns()?;
    parser.end()?;
    Ok(DataType::Struct(fields))
}

/// A lone type.
#[cfg(test)]
pub(crate) fn parse_type(text: &str) -> Result<DataType, Fault> {
    let mut parser = parser::Parser::new(text)?;
    let data_type = parser.data_type()?;
    parser.end()?;
    Ok(data_type)
}
