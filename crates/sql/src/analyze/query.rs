//! SELECT → tree of operators. Handles the clauses in the order in which they depend on one another.

use super::aggregates::{self, OVER_GROUPS, WINDOW, has_calls, onto_groups};
use super::branch_filters::BranchFilters;
use super::grouping::Grouping;
use super::pushdown::Layer;
use super::relation::{self, Branch, Relation, relation};
use super::resolve::Resolver;
use super::scope::{Scope, same};
use super::{
    Faults, SourceColumns, bounds, chain, coerce, collections, conjuncts, constants, generators, modes, names, order,
    random, sessions, tree, windows,
};
use crate::expr::Expr;
use crate::logical::Operator;
use crate::plan::{AggregatePlan, Body, KeyPlan, SortKey, Step, WindowPlan};
use crate::syntax::{Fault, From, GroupBy, Literal, Node, NodeKind, Query, Select, SelectItem, Tail};
use crate::types;
use arrow_schema::{Field, Schema};
use std::sync::Arc;
use tidemill_model::pipeline::{OutputMode, Pipeline};

/// A column of the result, over the relation, the window and the aggregate calls.
pub(super) struct Item<'a> {
    pub name: String,
    pub expr: Expr,
    pub node: Option<&'a Node>,
}

/// Plans a parsed query over the pipeline's tables; mistakes go to `faults`. `conditions` are on its output rows.
pub(super) fn plan_query(
    pipeline: &Pipeline,
    mut query: Query,
    tables: &[(SourceColumns, Scope)],
    conditions: &[Expr],
    faults: &mut Faults,
) -> Option<Operator> {
    let tail = std::mem::take(&mut query.tail);
    order::check_mode(pipeline, &tail, faults)?;
    // What makes rows stands below the rest of the query.
    let makes_rows = |select: &Select| select.items.iter().any(|item| generators::name(&item.node).is_some());
    if let [select] = query.selects.as_slice()
        && let Some(item) =
            select.items.iter().find(|item| generators::name(&item.node).is_some() && makes_groups(select))
    {
        let help = "make rows in a subquery, and group them: SELECT … FROM (SELECT explode(array) AS x …) GROUP BY …";
        let fault = Fault::new(item.node.at.clone(), "SELECT cannot make rows and groups at once", help);
        return faults.keep(&pipeline.query.sql, Err(fault));
    }
    let select = match query.selects.as_slice() {
        [select] if !makes_rows(select) => query.selects.remove(0),
        _ => query.all_of(None),
    };
    let (select, over) = down_to_groups(&select);
    if let Some(lower) = chain::below(select) {
        return chain::plan(pipeline, lower, (select, &tail), &over, conditions, tables, faults);
    }
    let mut relation = relation(select, tables, &pipeline.query.sql, faults)?;
    plan_select(pipeline, (select, &tail), &over, conditions, &mut relation, faults)
}

/// Whether a query forms groups itself.
pub(super) fn makes_groups(select: &Select) -> bool {
    select.distinct.is_some()
        || select.group_by.is_some()
        || select.having.is_some()
        || select.items.iter().any(|item| aggregates::calls_aggregate(&item.node))
}

/// The query that forms the groups, if there is one, and the queries over it that only compute and filter, innermost
/// first.
pub(super) fn down_to_groups(top: &Select) -> (&Select, Vec<&Select>) {
    let (mut select, mut over) = (top, Vec::new());
    while !makes_groups(select) {
        match &select.from {
            From::Query(query) if query.selects.len() == 1 && select.views.is_empty() => {
                over.insert(0, select);
                select = &query.selects[0];
            }
            _ => return (top, Vec::new()),
        }
    }
    (select, over)
}

/// A query's clauses over its relation, analyzed.
struct Clauses<'a> {
    filter: Option<Expr>,
    keys: Vec<coerce::SpannedExpr>,
    items: Vec<Item<'a>>,
    having: Option<Expr>,
    order: Vec<SortKey>,
}

fn read_clauses<'a>(
    (select, tail): (&'a Select, &Tail),
    is_top: bool,
    branches: &mut [Branch],
    resolver: &mut Resolver,
    sql: &Text,
    faults: &mut Faults,
) -> Option<Clauses<'a>> {
    let filter = read_filter(select, resolver, sql, faults);
    faults.keep(sql, windows::of_filter(branches, resolver, &select.at))?;
    let keys = read_keys(select, resolver, sql, faults);
    if let Some(keys) = &keys {
        let grouping = Grouping::of(select, keys, generators::next(branches));
        resolver.grouping = faults.keep(sql, grouping)?;
    }
    let items = read_items(select, resolver, sql, faults);
    let (filter, keys, items) = (filter?, keys?, items?);
    let having = match &select.having {
        Some(node) => Some(faults.keep(sql, read_having(node, &items, resolver))?),
        None => None,
    };
    let order = if is_top { faults.keep(sql, order::read(tail, &items, resolver))? } else { Vec::new() };
    let mut clauses = Clauses { filter, keys, items, having, order };
    if let Some(grouping) = resolver.grouping.clone() {
        faults.keep(sql, clauses.repeat_for_sets(&grouping, resolver, branches, &select.at))?;
    }
    Some(clauses)
}

impl Clauses<'_> {
    /// Puts what repeats the rows for each set of keys on top of the branches, and WHERE and the window below it. Outside of
    /// aggregates the keys are its columns then.
    fn repeat_for_sets(
        &mut self,
        grouping: &Grouping,
        resolver: &mut Resolver,
        branches: &mut [Branch],
        at: &std::ops::Range<usize>,
    ) -> Result<(), Fault> {
        if resolver.aggregates.session.is_some() {
            let message = "session_window(…) is not allowed with ROLLUP, CUBE and GROUPING SETS";
            return Err(Fault::new(at.clone(), message, "group by the keys of one set"));
        }
        let (filter, window) = (self.filter.take(), resolver.aggregates.window.take());
        if window.is_some() {
            windows::only(branches, at)?;
        }
        for branch in branches.iter_mut() {
            branch.layers.splice(0..0, filter.clone().map(Layer::Filter));
            window.iter().for_each(|window| windows::put(branch, window));
        }
        relation::put_generator(branches, &grouping.generator());
        self.items.iter_mut().for_each(|item| item.expr = grouping.over(item.expr.clone()));
        self.order.iter_mut().for_each(|key| key.expr = grouping.over(key.expr.clone()));
        self.having = self.having.take().map(|condition| grouping.over(condition));
        self.keys = grouping.columns().into_iter().map(|key| (key, at.clone())).collect();
        Ok(())
    }
}

/// Plans a query over its relation, and those `over` it that only compute and filter. `conditions` are on the output rows.
pub(super) fn plan_select(
    pipeline: &Pipeline,
    (select, tail): (&Select, &Tail),
    over: &[&Select],
    conditions: &[Expr],
    relation: &mut Relation,
    faults: &mut Faults,
) -> Option<Operator> {
    let sql = &pipeline.query.sql;
    let mut resolver = Resolver::new(&relation.scope);
    let clauses = read_clauses((select, tail), over.is_empty(), &mut relation.branches, &mut resolver, sql, faults);
    let Clauses { filter, keys, mut items, mut having, mut order } = clauses?;
    let (mut keys, has_aggregates) = faults.keep(sql, group(select, keys, &items, &resolver))?;
    let aggregated = has_aggregates || !keys.is_empty();
    if having.is_some() && !aggregated {
        return faults.keep(sql, Err(having_alone(select)));
    }
    if resolver.aggregates.window.is_some() {
        faults.keep(sql, windows::only(&relation.branches, &select.at))?;
    }
    let folded = windows::fold_by_slices(&resolver.aggregates, &mut keys);
    if let Some(window) = resolver.aggregates.window.as_ref().filter(|_| !folded) {
        over_windows(window, items.iter_mut().map(|item| &mut item.expr).chain(&mut keys));
    }
    let steps = relation.branches.iter().filter_map(|branch| branch.window.as_ref());
    for window in steps.chain(resolver.aggregates.window.as_ref().filter(|_| !folded)) {
        faults.keep(sql, windows::bounded(window, &select.at))?;
    }
    if aggregated && !over.is_empty() {
        faults.keep(sql, all_grouped(select, &items, &keys, folded, resolver.scope))?;
    }
    for outer in over {
        let filter_over;
        (items, filter_over) = read_over(outer, &items, resolver.scope, sql, faults)?;
        having = Expr::all(having.into_iter().chain(filter_over));
    }
    having = Expr::all(having.into_iter().chain(conditions.iter().map(|condition| under(&items, condition.clone()))));
    if !over.is_empty() {
        order = faults.keep(sql, order::read_over(tail, &items, &relation.scope))?;
    }
    let keys_if = aggregated.then_some(keys.as_slice());
    let placed = |branch| BranchFilters::place(filter.clone(), having.clone(), keys_if, folded, &resolver, branch);
    let mut parts: Vec<BranchFilters> = relation.branches.iter().map(placed).collect();
    let limit = faults.keep(sql, order::limit(tail, &relation.scope))?;
    let of_all_batches = limit.filter(|_| pipeline.query.output_mode == OutputMode::Append);
    let body = if aggregated {
        // What is about groups is the same in every branch.
        let (window, of_order) = (resolver.aggregates.window.take().filter(|_| folded), keys.clone());
        let planned = aggregation(select, (window, keys), &items, &parts[0], resolver, pipeline, relation);
        let mut planned = faults.keep(sql, planned)?;
        planned.limit = limit.filter(|_| of_all_batches.is_none());
        let put = order::put(&mut planned, order, &of_order);
        faults.keep(
            sql,
            put.map_err(|column| ungrouped(column, tail.order.first().map(|item| &item.node), select, &relation.scope)),
        )?;
        Body::Aggregate(planned)
    } else {
        Body::Project(items.iter().map(|item| item.expr.clone()).collect())
    };
    modes::check(pipeline, &body, relation, faults)?;
    let field = |item: &Item| Field::new(&item.name, item.expr.data_type(), true);
    let schema = Arc::new(Schema::new(items.iter().map(field).collect::<Vec<_>>()));
    let zone = relation.scope.zone;
    let branches = relation.branches.iter().zip(parts.drain(..));
    let mut branch =
        |(branch, parts)| faults.keep(sql, tree::branch(branch, zone, parts, body.clone(), &schema, &select.at));
    let branches = branches.map(&mut branch).collect::<Option<_>>()?;
    Some(tree::over(body, branches, schema, of_all_batches))
}

fn having_alone(select: &Select) -> Fault {
    let at = select.having.as_ref().map(|node| node.at.clone()).unwrap_or_default();
    Fault::new(at, "HAVING needs GROUP BY or an aggregate", "put the condition into WHERE")
}

/// Has expressions see the rows that a window repeats.
fn over_windows<'a>(window: &WindowPlan, exprs: impl Iterator<Item = &'a mut Expr>) {
    let layers = windows::layers(window);
    for expr in exprs {
        let taken = std::mem::replace(expr, Expr::Now);
        *expr = layers.iter().fold(taken, |expr, layer| layer.under(expr));
    }
}

type Text = tidemill_model::diagnostic::Located;

/// A query over groups: its items and its filter, over what the items below are made of.
fn read_over<'a>(
    outer: &'a Select,
    below: &[Item],
    scope: &Scope,
    sql: &Text,
    faults: &mut Faults,
) -> Option<(Vec<Item<'a>>, Option<Expr>)> {
    let columns = below.iter().enumerate().map(|(at, item)| (item.name.clone(), at, item.expr.data_type())).collect();
    let columns = faults.keep(sql, relation::renamed(outer, columns))?;
    let table = outer.alias.as_ref().map_or(String::new(), |alias| alias.name.clone());
    let sizes = below.iter().map(|item| bounds::size(&item.expr, &scope.sizes)).collect();
    let scope = Scope { table, columns, sizes, hidden: None, views: Vec::new(), ..scope.clone() };
    let mut resolver = Resolver::new(&scope);
    let filter = read_filter(outer, &mut resolver, sql, faults);
    resolver.no_aggregates = Some(OVER_GROUPS);
    let items = read_items(outer, &mut resolver, sql, faults);
    let (filter, mut items) = (filter?, items?);
    if resolver.aggregates.window.is_some() || resolver.aggregates.session.is_some() {
        let help = "put it into the subquery";
        let fault = Fault::new(outer.at.clone(), "window(…) is not allowed in a query over groups", help);
        return faults.keep(sql, Err(fault));
    }
    for item in &mut items {
        item.expr = under(below, std::mem::replace(&mut item.expr, Expr::Now));
    }
    Some((items, filter.map(|filter| under(below, filter))))
}

/// An expression over these items, over what they are made of.
fn under(items: &[Item], mut expr: Expr) -> Expr {
    expr.substitute(&|column| items.get(column).map(|item| item.expr.clone()));
    expr
}

/// Refuses an item that uses no key: a query over the groups may not read it.
fn all_grouped(select: &Select, items: &[Item], keys: &[Expr], folded: bool, scope: &Scope) -> Result<(), Fault> {
    items.iter().try_for_each(|item| {
        let grouped = onto_groups(item.expr.clone(), keys, folded).map(drop);
        grouped.map_err(|column| ungrouped(column, item.node, select, scope))
    })
}

/// WHERE over the relation of FROM, if there is one.
pub(super) fn read_filter(
    select: &Select,
    resolver: &mut Resolver,
    sql: &Text,
    faults: &mut Faults,
) -> Option<Option<Expr>> {
    let Some(node) = &select.filter else {
        return Some(None);
    };
    resolver.no_aggregates = Some("WHERE");
    let filter = resolver.condition(node, "WHERE");
    resolver.no_aggregates = None;
    faults.keep(sql, filter).map(Some)
}

/// GROUP BY's keys with their positions. The resolver gets the window.
fn read_keys(
    select: &Select,
    resolver: &mut Resolver,
    sql: &Text,
    faults: &mut Faults,
) -> Option<Vec<coerce::SpannedExpr>> {
    let Some(GroupBy::Keys(nodes) | GroupBy::Sets { keys: nodes, .. }) = &select.group_by else {
        return Some(Vec::new());
    };
    resolver.no_aggregates = Some("GROUP BY");
    let keys: Vec<_> = nodes.iter().map(|node| faults.keep(sql, read_key(node, select, resolver))).collect();
    resolver.no_aggregates = None;
    resolver.aggregates.keys_are_wrong = keys.iter().any(Option::is_none);
    keys.into_iter().collect()
}

/// A key: an ordinal of the select list, an alias if no column has the name, or an expression.
fn read_key(node: &Node, select: &Select, resolver: &mut Resolver) -> Result<coerce::SpannedExpr, Fault> {
    let item = match &node.kind {
        NodeKind::Literal(Literal::Number(text)) => {
            let ordinal = text.parse::<usize>().ok().and_then(|ordinal| select.items.get(ordinal.checked_sub(1)?));
            let help = format!("the select list has {} items", select.items.len());
            let message = format!("there is no item {text} to group by");
            Some(ordinal.ok_or_else(|| Fault::new(node.at.clone(), message, help))?)
        }
        NodeKind::Name(parts) if parts.len() == 1 && resolver.scope.column(&parts[0].name).is_none() => {
            let is_named =
                |item: &&SelectItem| item.alias.as_ref().is_some_and(|alias| same(&alias.name, &parts[0].name));
            select.items.iter().find(is_named)
        }
        _ => None,
    };
    let read = item.map_or(node, |item| &item.node);
    let expr = constants::computed(resolver.resolve(read)?, resolver.scope.zone);
    check_key(&expr, &node.at)?;
    Ok((expr, node.at.clone()))
}

/// The select list, over the relation of FROM.
pub(super) fn read_items<'a>(
    select: &'a Select,
    resolver: &mut Resolver,
    sql: &Text,
    faults: &mut Faults,
) -> Option<Vec<Item<'a>>> {
    let mut items = Vec::new();
    let mut complete = true;
    for item in &select.items {
        if item.node.kind == NodeKind::Star {
            match faults.keep(sql, resolver.scope.star(&item.before_star, &item.except)) {
                Some(columns) => items.extend(columns.into_iter().map(|(name, expr)| Item { name, expr, node: None })),
                None => complete = false,
            }
            continue;
        }
        if generators::name(&item.node).is_some() && resolver.next_generated.is_some() {
            match faults.keep(sql, generated(item, resolver)) {
                Some(columns) => items.extend(columns),
                None => complete = false,
            }
            continue;
        }
        match faults.keep(sql, resolver.resolve(&item.node)) {
            Some(expr) => {
                let name = item
                    .alias
                    .as_ref()
                    .map_or_else(|| names::of_item(&item.node, &expr, resolver.scope), |alias| alias.name.clone());
                resolver.items_before.extend(item.alias.iter().map(|alias| (alias.name.clone(), expr.clone())));
                let expr = constants::computed(expr, resolver.scope.zone);
                items.push(Item { name, expr, node: Some(&item.node) });
            }
            None => complete = false,
        }
    }
    resolver.items_before.clear();
    complete.then_some(items)
}

/// The columns of a generator; of several in one list each multiplies the rows of those before.
fn generated<'a>(item: &'a SelectItem, resolver: &mut Resolver) -> Result<Vec<Item<'a>>, Fault> {
    let next = resolver.next_generated.expect("asked before");
    let first = resolver.generated.last().map_or(next, |generator| generator.numbers().end);
    let generator = resolver.generator(&item.node, false, first)?;
    let names: Vec<_> = item.aliases.iter().chain(&item.alias).cloned().collect();
    let generator = generators::named(generator, &names, &item.node.at)?;
    let columns = generator.plan.columns.iter().zip(first..);
    let columns = columns.map(|(field, number)| Item {
        name: field.name().clone(),
        expr: Expr::Column(number, field.data_type().clone()),
        node: Some(&item.node),
    });
    let columns = columns.collect();
    resolver.generated.push(generator);
    Ok(columns)
}

/// HAVING; it sees the aliases of the select list before the source's columns.
fn read_having(node: &Node, items: &[Item], resolver: &mut Resolver) -> Result<Expr, Fault> {
    resolver.aliases = items.iter().map(|item| (item.name.clone(), item.expr.clone())).collect();
    let condition = resolver.condition(node, "HAVING");
    resolver.aliases.clear();
    // Evaluated like the keys that it names.
    condition.map(|condition| constants::computed(condition, resolver.scope.zone))
}

/// The keys, including those of GROUP BY ALL and SELECT DISTINCT, and whether there are aggregate calls.
fn group(
    select: &Select,
    mut keys: Vec<coerce::SpannedExpr>,
    items: &[Item],
    resolver: &Resolver,
) -> Result<(Vec<Expr>, bool), Fault> {
    let has_aggregates = !resolver.aggregates.calls.is_empty();
    let place = |item: &Item| item.node.map_or(select.at.clone(), |node| node.at.clone());
    if let Some(at) = &select.distinct {
        if has_aggregates || select.group_by.is_some() {
            let help = "groups are distinct where all keys are selected: leave DISTINCT out, and select the keys";
            return Err(Fault::new(at.clone(), "DISTINCT beside GROUP BY or an aggregate is not supported", help));
        }
        if let Some(item) = items.iter().find(|item| !types::is_orderable(&item.expr.data_type())) {
            let message = format!("DISTINCT does not take {}", types::name(&item.expr.data_type()));
            return Err(Fault::new(place(item), message, "Spark refuses it too; group by the MAP instead"));
        }
        keys = items.iter().map(|item| (item.expr.clone(), place(item))).collect();
    }
    if matches!(select.group_by, Some(GroupBy::All)) {
        let plain = items.iter().filter(|item| !has_calls(&item.expr));
        keys = plain.map(|item| (item.expr.clone(), place(item))).collect();
    }
    let mut distinct: Vec<Expr> = Vec::new();
    for (expr, at) in keys {
        check_key(&expr, &at)?;
        if !distinct.contains(&expr) {
            distinct.push(expr);
        }
    }
    Ok((distinct, has_aggregates))
}

fn aggregation(
    select: &Select,
    (window, keys): (Option<WindowPlan>, Vec<Expr>),
    items: &[Item],
    parts: &BranchFilters,
    resolver: Resolver,
    pipeline: &Pipeline,
    relation: &Relation,
) -> Result<AggregatePlan, Fault> {
    let has_window = window.is_some();
    let regroup = |expr: &Expr, node: Option<&Node>| {
        onto_groups(expr.clone(), &keys, has_window).map_err(|column| ungrouped(column, node, select, resolver.scope))
    };
    let output = items.iter().map(|item| regroup(&item.expr, item.node)).collect::<Result<Vec<_>, _>>()?;
    let regrouped = |conjuncts: &[Expr]| {
        conjuncts.iter().map(|x| regroup(x, select.having.as_ref())).collect::<Result<Vec<_>, _>>()
    };
    let (having, group_filters) = (Expr::all(regrouped(&parts.having)?), regrouped(&parts.on_groups)?);
    // With several branches the first one decides, as in Spark.
    let first = &relation.branches[0];
    let own = parts.steps.iter().find_map(|step| match step {
        Step::Window(window) => Some(window),
        Step::Filter(_) | Step::Generate(_) => None,
    });
    let is_event_time = |expr: &Expr| {
        let origin = resolver.grouping.as_ref().and_then(|grouping| grouping.origin(expr));
        windows::is_event_time(origin.unwrap_or(expr), first, own)
    };
    let by_time = window.as_ref().is_some_and(|window| is_event_time(&window.time)) || keys.iter().any(is_event_time);
    let has_watermark = first.columns.has_watermark();
    let exprs = &keys;
    let keys: Vec<KeyPlan> =
        keys.iter().map(|expr| key_plan(expr, items, resolver.scope, is_event_time(expr))).collect();
    let session = sessions::planned(&keys, exprs, first, &select.at)?;
    let calls = resolver.aggregates.calls;
    let mut row: Vec<Field> = window.iter().map(|_| Field::new("window", types::window(), true)).collect();
    row.extend(keys.iter().map(|key| Field::new(&key.name, key.expr.data_type(), true)));
    row.extend(
        calls.iter().enumerate().map(|(n, call)| Field::new(format!("aggregate {n}"), call.data_type.clone(), true)),
    );
    let place = row.len();
    let over = |expr| random::over_groups(expr, place);
    let (having, output) = (having.map(over), output.into_iter().map(over).collect());
    let mut planned = AggregatePlan {
        window,
        session,
        keys,
        aggregates: calls,
        row_schema: Arc::new(Schema::new(row)),
        group_filters,
        having,
        output,
        order: Vec::new(),
        limit: None,
        watermarked: pipeline.query.output_mode != OutputMode::Complete && has_watermark && by_time,
        placed: false,
    };
    planned.place_groups();
    Ok(planned)
}

fn key_plan(expr: &Expr, items: &[Item], scope: &Scope, is_event_time: bool) -> KeyPlan {
    let column = match expr {
        Expr::Column(index, _) => {
            scope.columns.iter().find(|(_, known, _)| known == index).map(|(name, ..)| name.clone())
        }
        _ => None,
    };
    let column = column.or_else(|| matches!(expr, Expr::Column(WINDOW, _)).then(|| "window".into()));
    let column = column.or_else(|| sessions::time_of(expr).map(|_| sessions::NAME.into()));
    let item = || items.iter().find(|item| item.expr == *expr).map(|item| item.name.clone());
    let name = column.or_else(item).unwrap_or_else(|| "key".into());
    KeyPlan { name, expr: collections::sorted(expr.clone()), is_event_time }
}

/// Refuses a key that cannot be compared: an INTERVAL without fields.
fn check_key(key: &Expr, at: &std::ops::Range<usize>) -> Result<(), Fault> {
    if types::is_groupable(&key.data_type()) {
        return Ok(());
    }
    let message = format!("a value of type {} cannot be grouped by", types::name(&key.data_type()));
    Err(Fault::new(at.clone(), message, "group by its parts, or by a time moved by it"))
}

fn ungrouped(column: usize, node: Option<&Node>, select: &Select, scope: &Scope) -> Fault {
    let at = node.and_then(|node| place_of(column, node, scope)).or_else(|| node.map(|node| node.at.clone()));
    if random::is_number(column) {
        return random::no_number(at.unwrap_or(select.at.clone()));
    }
    if column == WINDOW {
        let message = "the window is neither in GROUP BY nor inside an aggregate function";
        return Fault::new(at.unwrap_or(select.at.clone()), message, "put the same window(…) into GROUP BY");
    }
    let name = scope.columns.iter().find(|(_, index, _)| *index == column).map_or("", |(name, ..)| name);
    let message = format!("the column `{name}` is neither in GROUP BY nor inside an aggregate function");
    let help = format!("add it to GROUP BY, or write for instance max({name})");
    Fault::new(at.unwrap_or(select.at.clone()), message, help)
}

/// The position at which an expression names a column.
fn place_of(column: usize, node: &Node, scope: &Scope) -> Option<std::ops::Range<usize>> {
    if let NodeKind::Name(parts) = &node.kind {
        let named = scope.resolve(parts).is_ok_and(|expr| conjuncts::names(&expr, column));
        return named.then(|| node.at.clone());
    }
    let mut found = None;
    node.children(&mut |child| {
        found = found.take().or_else(|| place_of(column, child, scope));
    });
    found
}
