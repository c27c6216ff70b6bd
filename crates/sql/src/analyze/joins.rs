//! Joins of a stream with an inline table. The table is a constant array, and each row of the stream meets its elements:
//!
//! ```text
//!   JOIN t USING (k)      explode(t), then the filter a.k = t.k
//!   LEFT JOIN t ON c      explode_outer(filter(t, row -> c))
//!   LEFT SEMI JOIN t ON c    exists(t, row -> coalesce(c, false))
//!   LEFT ANTI JOIN t ON c    NOT exists(t, row -> coalesce(c, false))
//! ```
//! The last two are conditions that stay where they are, above the watermark, as Spark's joins do.
//! `JOIN … ON` is no case of its own: the parser makes ON a condition of WHERE.

use super::coerce;
use super::conjuncts;
use super::generators::{self, Generator};
use super::pushdown::Layer;
use super::relation::{Relation, put_generator};
use super::resolve::Resolver;
use super::scope::{Scope, list, same};
use crate::expr::{Comparison, Expr, HigherCall, HigherFunction, Lambda};
use crate::syntax::{Fault, Ident, JoinKind, Joined, On, View};
use crate::value::Value;
use arrow_schema::DataType;

/// Joins the relation with a table that `generator` makes.
pub(super) fn join(
    relation: &mut Relation,
    view: &View,
    joined: &Joined,
    mut generator: Generator,
) -> Result<(), Fault> {
    let mut both = relation.scope.clone();
    generators::add_to_scope(&mut both, view.table.as_ref(), &generator);
    let condition = condition(relation, &both, view, joined, &generator)?;
    let left_columns = |x: &Expr| matches!(x, Expr::Column(..)) && !generator.is_named_in(x);
    let needed: Vec<Expr> = condition.iter().cloned().flat_map(conjuncts::split).collect();
    let needed = needed.iter().flat_map(|conjunct| conjuncts::demanded(conjunct, &left_columns));
    let needed: Vec<Expr> = needed.map(|column| Expr::IsNotNull(Box::new(column))).collect();
    match joined.kind {
        JoinKind::Inner => {
            put_generator(&mut relation.branches, &generator);
            condition.into_iter().for_each(|condition| put(relation, Layer::Filter(condition)));
        }
        JoinKind::Left => {
            if let Some(condition) = condition {
                generator.plan.array = matching(&generator, HigherFunction::Filter, condition);
            }
            generator.plan.outer = true;
            generator.needed = needed;
            put_generator(&mut relation.branches, &generator);
        }
        JoinKind::Semi | JoinKind::Anti => {
            let is_true = condition.unwrap_or(boolean(true));
            let is_true = Expr::Coalesce(vec![is_true, boolean(false)], DataType::Boolean);
            let exists = matching(&generator, HigherFunction::Exists, is_true);
            if joined.kind == JoinKind::Semi {
                put(relation, Layer::Join(exists));
                // Spark infers them, so that they pass the watermark.
                needed.into_iter().for_each(|condition| put(relation, Layer::Filter(condition)));
            } else {
                put(relation, Layer::Join(Expr::Not(Box::new(exists))));
            }
        }
    }
    if let JoinKind::Inner | JoinKind::Left = joined.kind {
        relation.scope = both;
    }
    if let On::Using(names) = &joined.on {
        show_once(&mut relation.scope, names, &generator);
    }
    Ok(())
}

fn boolean(value: bool) -> Expr {
    Expr::Literal(Value::Boolean(value), DataType::Boolean)
}

fn put(relation: &mut Relation, layer: Layer) {
    relation.branches.iter_mut().for_each(|branch| branch.layers.insert(0, layer.clone()));
}

/// The condition, over the columns of both sides.
fn condition(
    relation: &Relation,
    both: &Scope,
    view: &View,
    joined: &Joined,
    generator: &Generator,
) -> Result<Option<Expr>, Fault> {
    match &joined.on {
        On::Nothing => Ok(None),
        On::Condition(node) => {
            let mut resolver = Resolver::new(both);
            resolver.no_aggregates = Some("ON");
            // The condition becomes the body of a lambda: those inside of it come behind its parameter.
            resolver.variables = vec![(String::new(), DataType::Null)];
            resolver.condition(node, "ON").map(Some)
        }
        On::Using(names) => {
            let equal = names.iter().map(|name| {
                let left = relation.scope.resolve(std::slice::from_ref(name))?;
                let columns = generator.plan.columns.iter().zip(generator.first..);
                let mut found = columns.filter(|(field, _)| same(field.name(), &name.name));
                let Some((field, number)) = found.next() else {
                    let known = generator.plan.columns.iter().map(|field| field.name().as_str());
                    let table = view.table.as_ref().map_or("the table", |table| table.name.as_str());
                    let message = format!("USING names `{}`, which `{table}` does not have", name.name);
                    return Err(Fault::new(name.at.clone(), message, format!("its columns are {}", list(known))));
                };
                let right = Expr::Column(number, field.data_type().clone());
                let sides = [(left, name.at.clone()), (right, name.at.clone())];
                coerce::comparison(Comparison::Equal, "USING", sides, both.zone)
            });
            Ok(Expr::all(equal.collect::<Result<Vec<_>, _>>()?))
        }
    }
}

/// A call of `function` over the table's rows, whose lambda is the condition.
fn matching(generator: &Generator, function: HigherFunction, mut condition: Expr) -> Expr {
    let array = generator.plan.array.clone();
    let DataType::List(field) = array.data_type() else { panic!("a table is an array") };
    let row = field.data_type().clone();
    let numbers = generator.numbers();
    condition.substitute(&|column| {
        let place = column.checked_sub(numbers.start).filter(|_| numbers.contains(&column))?;
        let data_type = generator.plan.columns.get(place)?.data_type().clone();
        Some(Expr::Field(Box::new(Expr::Variable(0, row.clone())), place, data_type))
    });
    let data_type = match function {
        HigherFunction::Filter => array.data_type(),
        _ => DataType::Boolean,
    };
    let lambda = Lambda { parameters: vec![(0, row)], body: condition };
    Expr::Higher(Box::new(HigherCall { function, arguments: vec![array], lambdas: vec![lambda], data_type }))
}

/// A column of USING is there once, in front of the others.
fn show_once(scope: &mut Scope, names: &[Ident], generator: &Generator) {
    let is_named = |name: &str| names.iter().any(|known| same(&known.name, name));
    scope.columns.retain(|(name, number, _)| !(is_named(name) && generator.numbers().contains(number)));
    let place = |name: &str| names.iter().position(|known| same(&known.name, name)).unwrap_or(names.len());
    scope.columns.sort_by_key(|(name, ..)| place(name));
}
