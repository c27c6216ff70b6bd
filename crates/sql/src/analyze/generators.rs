//! Generators: calls that make rows, in LATERAL VIEW and in SELECT. Each is made an array here, whose elements are the rows;
//! `flow` repeats a row for each of them ([`crate::plan::Step::Generate`]).
//!
//! ```text
//!   explode(array)      array                        json_tuple(text, 'a', 'b')   array(named_struct('c0', …, 'c1', …))
//!   explode(map)        map_entries(map)             stack(2, a, b, c)            array(named_struct('col0', a, 'col1', b), …)
//!   posexplode(array)   its elements with places     inline(array)                array
//! ```
//! While an expression is being read, the columns of a generator stand in it with numbers that no source has, as the window
//! does.

use super::aggregates::WINDOW;
use super::calls::check_count;
use super::coerce::cast_to;
use super::pushdown::Layer;
use super::relation::Branch;
use super::resolve::Resolver;
use super::scope::{Scope, list, same};
use crate::expr::Expr;
use crate::functions::{self, collections};
use crate::plan::GeneratePlan;
use crate::syntax::{Call, Fault, Ident, Literal, Node, NodeKind};
use crate::types;
use crate::value::Value;
use arrow_schema::{DataType, Field, Fields};
use std::ops::Range;

/// Column number of the first column that a generator makes; the others follow.
pub(super) use crate::logical::GENERATED as FIRST;

/// Rows that `stack` may make of one.
const STACK_ROWS_MAX: i64 = 10_000;

/// The names of the generators.
pub const NAMES: [&str; 8] =
    ["explode", "explode_outer", "posexplode", "posexplode_outer", "inline", "inline_outer", "stack", "json_tuple"];

/// What a generator makes of a relation's rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Generator {
    /// Number of its first column.
    pub first: usize,
    pub plan: GeneratePlan,
    /// The array or map, if it is a column: Spark takes out rows where it is empty before it makes rows.
    pub input: Option<Expr>,
    /// Of a left join: what holds below for a row that has a partner.
    pub needed: Vec<Expr>,
}

impl Generator {
    /// Its columns by name, as a scope has them.
    fn scope_columns(&self) -> impl Iterator<Item = (String, usize, DataType)> {
        let columns = self.plan.columns.iter().zip(self.first..);
        columns.map(|(field, number)| (field.name().clone(), number, field.data_type().clone()))
    }

    /// Numbers of its columns, and of the one that has the element's number behind them.
    pub fn numbers(&self) -> Range<usize> {
        self.first..self.first + self.plan.columns.len() + 1
    }

    /// The element's number in its array.
    pub fn element(&self) -> Expr {
        Expr::Column(self.numbers().end - 1, DataType::Int32)
    }

    /// Whether an expression names one of its columns.
    pub fn is_named_in(&self, expr: &Expr) -> bool {
        expr.has_column(|column| self.numbers().contains(&column))
    }
}

/// Whether an expression names a column of a generator.
pub(super) fn names_one(expr: &Expr) -> bool {
    expr.has_column(|column| (FIRST..WINDOW).contains(&column))
}

/// The number of the next generator's first column, over these branches.
pub(super) fn next(branches: &[Branch]) -> usize {
    let numbers = branches.iter().flat_map(|branch| branch.generators()).map(|generator| generator.numbers().end);
    numbers.max().unwrap_or(FIRST)
}

/// The generator's name, if the node is a call of one.
pub(super) fn name(node: &Node) -> Option<(&'static str, &Call)> {
    let NodeKind::Call(call) = &node.kind else { return None };
    let name = NAMES.into_iter().find(|name| same(name, &call.name.name))?;
    Some((name, call))
}

/// Whether a name is that of a generator.
pub(super) fn is_name(name: &str) -> bool {
    NAMES.contains(&name)
}

/// A branch's generators over its source, from the bottom up.
pub(super) fn over_source(branch: &Branch) -> Vec<Generator> {
    let layers = branch.layers.iter().enumerate().rev();
    let generators = layers.filter_map(|(at, layer)| match layer {
        Layer::Generate(generator) => {
            let mut generator = generator.clone();
            let array = branch.layers[at + 1..].iter().fold(generator.plan.array, |array, layer| layer.under(array));
            generator.plan.array = array;
            Some(generator)
        }
        _ => None,
    });
    generators.collect()
}

/// Adds the columns of a view to a relation's.
pub(super) fn add_to_scope(scope: &mut Scope, table: Option<&Ident>, generator: &Generator) {
    scope.columns.extend(generator.scope_columns());
    scope.views.push((table.map_or(String::new(), |table| table.name.clone()), generator.numbers()));
}

/// The generator with names of its columns as they are given; none: its own.
pub(super) fn named(mut generator: Generator, names: &[Ident], at: &Range<usize>) -> Result<Generator, Fault> {
    let count = generator.plan.columns.len();
    if !names.is_empty() && names.len() != count {
        let own: Vec<&str> = generator.plan.columns.iter().map(|field| field.name().as_str()).collect();
        let message = format!("the generator gives {count} columns, but there are {} names", names.len());
        return Err(Fault::new(at.clone(), message, format!("its columns are {}", list(own.into_iter()))));
    }
    let columns = generator.plan.columns.iter().zip(names);
    let columns: Vec<Field> = columns.map(|(field, name)| field.as_ref().clone().with_name(&name.name)).collect();
    if !columns.is_empty() {
        generator.plan.columns = Fields::from(columns);
    }
    Ok(generator)
}

impl Resolver<'_> {
    /// A call of a generator, whose columns have numbers from `first` on.
    pub(super) fn generator(&mut self, node: &Node, outer: bool, first: usize) -> Result<Generator, Fault> {
        let Some((name, call)) = name(node) else {
            let help = "explode, posexplode, inline, stack and json_tuple make rows";
            return Err(Fault::new(node.at.clone(), "this call makes no rows", help));
        };
        let (base, outer) = match name.strip_suffix("_outer") {
            Some(base) => (base, true),
            None => (name, outer),
        };
        let mut input = None;
        let (array, columns, members) = match base {
            "stack" => self.stack(call)?,
            "json_tuple" => self.json_tuple(call)?,
            _ => {
                check_count(name, 1, 1, call)?;
                let (given, _) = self.computed(&call.arguments[0])?;
                input = matches!(given, Expr::Column(..)).then(|| given.clone());
                of_collection(name, base, given, &call.arguments[0].at)?
            }
        };
        Ok(Generator {
            first,
            plan: GeneratePlan { array, columns, members, outer, numbered: false },
            input,
            needed: Vec::new(),
        })
    }

    /// `stack(rows, value, …)`.
    fn stack(&mut self, call: &Call) -> Result<(Expr, Fields, bool), Fault> {
        check_count("stack", 2, usize::MAX, call)?;
        let rows = match &call.arguments[0].kind {
            NodeKind::Literal(Literal::Number(text)) => text.parse().unwrap_or(0),
            _ => 0,
        };
        if !(1..=STACK_ROWS_MAX).contains(&rows) {
            let message = format!("the first argument of `stack` is a number of rows from 1 to {STACK_ROWS_MAX}");
            return Err(Fault::new(call.arguments[0].at.clone(), message, "write stack(2, a, b, c, d)"));
        }
        let values = call.arguments[1..].iter().map(|node| self.computed(node)).collect::<Result<Vec<_>, _>>()?;
        let width = values.len().div_ceil(rows as usize);
        let mut data_types = Vec::new();
        for column in 0..width {
            let mut known = DataType::Null;
            for (value, place) in values.iter().skip(column).step_by(width) {
                let data_type = value.data_type();
                if known.is_null() {
                    known = data_type;
                } else if !data_type.is_null() && data_type != known {
                    let message = format!(
                        "column {column} of `stack` is {} before, but {} here",
                        types::name(&known),
                        types::name(&data_type)
                    );
                    return Err(Fault::new(place.clone(), message, "cast one of them: Spark does not convert here"));
                }
            }
            data_types.push(known);
        }
        let value = |row: usize, column: usize| {
            let data_type = &data_types[column];
            let null = || Expr::Literal(Value::Null, data_type.clone());
            values.get(row * width + column).map_or_else(null, |(value, _)| cast_to(value.clone(), data_type))
        };
        let fields: Vec<Field> =
            data_types.iter().enumerate().map(|(at, t)| Field::new(format!("col{at}"), t.clone(), true)).collect();
        let fields = Fields::from(fields);
        let rows = (0..rows as usize).map(|row| structure(&fields, (0..width).map(|column| value(row, column))));
        let rows: Vec<Expr> = rows.collect();
        Ok((array(rows), fields, true))
    }

    /// `json_tuple(text, name, …)`: one row, NULL where there is no such member.
    fn json_tuple(&mut self, call: &Call) -> Result<(Expr, Fields, bool), Fault> {
        check_count("json_tuple", 2, usize::MAX, call)?;
        let arguments = call.arguments.iter().map(|node| self.computed(node)).collect::<Result<Vec<_>, _>>()?;
        for (value, at) in &arguments {
            if value.data_type() != DataType::Utf8 && !value.data_type().is_null() {
                let message = format!("`json_tuple` takes STRINGs, not {}", types::name(&value.data_type()));
                return Err(Fault::new(at.clone(), message, "cast it to STRING"));
            }
        }
        let text = |value: &Expr| cast_to(value.clone(), &DataType::Utf8);
        let fields: Vec<Field> =
            (0..arguments.len() - 1).map(|at| Field::new(format!("c{at}"), DataType::Utf8, true)).collect();
        let fields = Fields::from(fields);
        let arguments: Vec<Expr> = arguments.iter().map(|(value, _)| text(value)).collect();
        let row = call_of("json_tuple of", arguments, DataType::Struct(fields.clone()));
        Ok((array(vec![row]), fields, true))
    }
}

/// `explode`, `posexplode` and `inline`.
fn of_collection(name: &str, base: &str, given: Expr, at: &Range<usize>) -> Result<(Expr, Fields, bool), Fault> {
    let data_type = given.data_type();
    let wrong = |wanted: &str| {
        let message = format!("`{name}` takes {wanted}, not {}", types::name(&data_type));
        Fault::new(at.clone(), message, "give it an array: split(text, ','), sequence(1, 3), array(a, b)")
    };
    let (array, element) = match &data_type {
        DataType::List(field) => (given, field.data_type().clone()),
        DataType::Map(..) if base != "inline" => {
            let entries = functions::find("map_entries").expect("a function of the table");
            let array_type = (entries.gives)(std::slice::from_ref(&given));
            let element = collections::element_type(&array_type).expect("an array of entries");
            (Expr::Call(entries, vec![given], array_type), element)
        }
        _ => return Err(wrong(if base == "inline" { "an ARRAY of structs" } else { "an ARRAY or a MAP" })),
    };
    let is_map = matches!(data_type, DataType::Map(..));
    match (&element, base) {
        (DataType::Struct(fields), "inline") => Ok((array, fields.clone(), true)),
        (_, "inline") => Err(wrong("an ARRAY of structs")),
        (DataType::Struct(fields), "explode") if is_map => Ok((array, fields.clone(), true)),
        (_, "explode") => Ok((array, Fields::from(vec![Field::new("col", element, true)]), false)),
        (element, _) => {
            let pos = Field::new("pos", DataType::Int32, true);
            let members: Vec<Field> = match element {
                DataType::Struct(fields) if is_map => fields.iter().map(|field| field.as_ref().clone()).collect(),
                _ => vec![Field::new("col", element.clone(), true)],
            };
            let fields = Fields::from([vec![pos], members].concat());
            let placed = types::array(DataType::Struct(fields.clone()));
            Ok((call_of("with places", vec![array], placed), fields, true))
        }
    }
}

fn call_of(name: &str, arguments: Vec<Expr>, data_type: DataType) -> Expr {
    Expr::Call(functions::find(name).expect("a function of the table"), arguments, data_type)
}

pub(super) fn array(elements: Vec<Expr>) -> Expr {
    let data_type = types::array(elements[0].data_type());
    call_of("array", elements, data_type)
}

pub(super) fn structure(fields: &Fields, values: impl Iterator<Item = Expr>) -> Expr {
    let name = |field: &Field| Expr::Literal(Value::String(field.name().clone()), DataType::Utf8);
    let members = fields.iter().zip(values).flat_map(|(field, value)| [name(field), value]).collect();
    call_of("named_struct", members, DataType::Struct(fields.clone()))
}
