//! ORDER BY and LIMIT as Spark has them on streams: of groups in complete mode, batch by batch; in append mode LIMIT alone, over
//! all batches. ORDER BY sees the result's columns before those of the rows, and may call aggregate functions.

use super::Faults;
use super::aggregates::{OVER_GROUPS, onto_groups};
use super::constants::computed;
use super::query::Item;
use super::random;
use super::resolve::Resolver;
use super::scope::Scope;
use crate::expr::Expr;
use crate::plan::{AggregatePlan, SortKey};
use crate::syntax::{Fault, Literal, Node, NodeKind, SortItem, Tail};
use crate::types;
use crate::value::Value;
use tidemill_model::pipeline::{OutputMode, Pipeline};

/// Refuses ORDER BY and LIMIT in a mode that cannot have them.
pub(super) fn check_mode(pipeline: &Pipeline, tail: &Tail, faults: &mut Faults) -> Option<()> {
    let what = match (tail.order.is_empty(), &tail.limit) {
        (true, None) => return Some(()),
        (false, _) => "ORDER BY",
        (true, Some(_)) => "LIMIT",
    };
    let (message, help) = match pipeline.query.output_mode {
        OutputMode::Complete => return Some(()),
        OutputMode::Append if what == "LIMIT" => return Some(()),
        OutputMode::Update if what == "LIMIT" => (
            "LIMIT is not for update mode, in which a row comes again and again",
            "take output_mode = \"append\", where LIMIT counts the rows of all batches, or \"complete\"",
        ),
        _ => (
            "ORDER BY needs groups and the complete mode, which gives all of them in every batch",
            "take output_mode = \"complete\", or leave it out: sinks get each batch's rows sorted by group key",
        ),
    };
    faults.keep(&pipeline.query.sql, Err(Fault::new(tail.at.clone(), message, help)))
}

/// The order, over what the items are made of.
pub(super) fn read(tail: &Tail, items: &[Item], resolver: &mut Resolver) -> Result<Vec<SortKey>, Fault> {
    resolver.aliases = items.iter().map(|item| (item.name.clone(), item.expr.clone())).collect();
    let keys = sort_keys(tail, items, resolver);
    resolver.aliases.clear();
    keys
}

/// The order of a query over groups, over what its items are made of. It sees them only.
pub(super) fn read_over(tail: &Tail, items: &[Item], scope: &Scope) -> Result<Vec<SortKey>, Fault> {
    let columns = items.iter().enumerate().map(|(at, item)| (item.name.clone(), at, item.expr.data_type())).collect();
    let scope = Scope { columns, views: Vec::new(), ..scope.clone() };
    let mut resolver = Resolver::new(&scope);
    resolver.no_aggregates = Some(OVER_GROUPS);
    let named: Vec<Item> = items
        .iter()
        .enumerate()
        .map(|(at, item)| Item {
            name: item.name.clone(),
            expr: Expr::Column(at, item.expr.data_type()),
            node: item.node,
        })
        .collect();
    let mut keys = sort_keys(tail, &named, &mut resolver)?;
    keys.iter_mut().for_each(|key| key.expr.substitute(&|column| items.get(column).map(|item| item.expr.clone())));
    Ok(keys)
}

fn sort_keys(tail: &Tail, items: &[Item], resolver: &mut Resolver) -> Result<Vec<SortKey>, Fault> {
    let mut keys = Vec::new();
    for item in &tail.order {
        for expr in sorted_by(&item.node, items, resolver)? {
            if !types::is_orderable(&expr.data_type()) {
                let message = format!("ORDER BY does not take {}", types::name(&expr.data_type()));
                return Err(Fault::new(item.node.at.clone(), message, "a MAP has no order; sort by a part of it"));
            }
            let SortItem { descending, nulls_last, .. } = *item;
            keys.push(SortKey { expr: computed(expr, resolver.scope.zone), descending, nulls_last });
        }
    }
    Ok(keys)
}

/// An expression, an item by its position, or all items.
fn sorted_by(node: &Node, items: &[Item], resolver: &mut Resolver) -> Result<Vec<Expr>, Fault> {
    match &node.kind {
        NodeKind::Star => Ok(items.iter().map(|item| item.expr.clone()).collect()),
        NodeKind::Literal(Literal::Number(text)) => {
            let item = text.parse::<usize>().ok().and_then(|ordinal| items.get(ordinal.checked_sub(1)?));
            let help = format!("the select list has {} items", items.len());
            let message = format!("there is no item {text} to order by");
            let item = item.ok_or_else(|| Fault::new(node.at.clone(), message, help))?;
            Ok(vec![item.expr.clone()])
        }
        _ => Ok(vec![resolver.resolve(node)?]),
    }
}

/// The number of rows that LIMIT leaves.
pub(super) fn limit(tail: &Tail, scope: &Scope) -> Result<Option<usize>, Fault> {
    let Some(node) = &tail.limit else { return Ok(None) };
    let wrong = || Fault::new(node.at.clone(), "LIMIT takes a constant number of rows", "write LIMIT 10");
    let mut resolver = Resolver::new(scope);
    resolver.no_aggregates = Some("LIMIT");
    match computed(resolver.resolve(node)?, scope.zone) {
        Expr::Literal(Value::Integer(rows), data_type) if types::is_integral(&data_type) => {
            usize::try_from(rows).map(Some).map_err(|_| wrong())
        }
        _ => Err(wrong()),
    }
}

/// Puts the order on the plan; `keys` are those of the aggregation. Fails with a column that is no key.
pub(super) fn put(plan: &mut AggregatePlan, order: Vec<SortKey>, keys: &[Expr]) -> Result<(), usize> {
    let folded = plan.window.is_some();
    let place = plan.place();
    let over_groups = order.into_iter().map(|key| {
        let expr = onto_groups(key.expr, keys, folded)?;
        Ok(SortKey { expr: random::over_groups(expr, place), ..key })
    });
    plan.order = over_groups.collect::<Result<_, usize>>()?;
    plan.place_groups();
    Ok(())
}
