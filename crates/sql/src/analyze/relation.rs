//! FROM: a table, or a subquery with UNION ALL, as named columns from one or more branches.
//!
//! ```text
//!   FROM (SELECT … FROM a WHERE …  ─►  branch: [Select, Filter] over the source row of a ─┐ columns of the relation,
//!         UNION ALL                                                                       ├─ by position, of one type,
//!         SELECT … FROM b) t       ─►  branch: [Select]         over the source row of b ─┘ named by the first
//! ```
//! A nested subquery has its layers below those of the outer one. `pushdown.rs` moves the filters later.

use super::bounds::{self, Size};
use super::generators::{self, Generator};
use super::pushdown::Layer;
use super::query::{Item, read_filter, read_items};
use super::resolve::Resolver;
use super::scope::{Scope, Visible, list, same};
use super::{Faults, SourceColumns, coerce, conjuncts, joins, sessions, windows};
use crate::expr::Expr;
use crate::plan::WindowPlan;
use crate::syntax::{Fault, From, Ident, Query, Select, View};
use crate::types;
use arrow_schema::DataType;
use std::ops::Range;
use tidemill_model::diagnostic::{Located, nearest};

/// The place named in errors about aggregates in a subquery.
pub(super) const CLAUSE: &str = "a subquery or a branch of UNION ALL";

/// Named columns, and the branches that their values come from.
pub(super) struct Relation<'a> {
    pub scope: Scope,
    pub branches: Vec<Branch<'a>>,
}

/// A branch: the rows of one table on their way to a relation.
pub(super) struct Branch<'a> {
    pub columns: &'a SourceColumns<'a>,
    /// The layers between the relation and the table, from the top down.
    pub layers: Vec<Layer>,
    /// The window of a subquery, over the table.
    pub window: Option<WindowPlan>,
}

impl Branch<'_> {
    /// What makes rows of its rows, from the top down.
    pub fn generators(&self) -> impl Iterator<Item = &Generator> {
        self.layers.iter().filter_map(|layer| match layer {
            Layer::Generate(generator) => Some(generator),
            _ => None,
        })
    }

    /// Rewrites an expression over the relation to one over the table.
    pub fn over_source(&self, expr: &Expr) -> Expr {
        self.layers.iter().fold(expr.clone(), |expr, layer| layer.under(expr))
    }
}

/// Analyzes FROM.
pub(super) fn relation<'a>(
    select: &Select,
    tables: &'a [(SourceColumns<'a>, Scope)],
    sql: &Located,
    faults: &mut Faults,
) -> Option<Relation<'a>> {
    let mut relation = match &select.from {
        From::Table(name) => {
            let (columns, scope) = faults.keep(sql, table(name, tables))?;
            Relation { scope: scope.clone(), branches: vec![Branch { columns, layers: Vec::new(), window: None }] }
        }
        From::Query(query) => union(query, tables, sql, faults)?,
    };
    relation.scope.columns = faults.keep(sql, renamed(select, relation.scope.columns))?;
    if let Some(alias) = &select.alias {
        let hidden = std::mem::replace(&mut relation.scope.table, alias.name.clone());
        relation.scope.hidden = Some(hidden).filter(|name| !name.is_empty());
    }
    for view in &select.views {
        let generator = faults.keep(sql, view_generator(view, &relation))?;
        if let Some(joined) = &view.joined {
            faults.keep(sql, joins::join(&mut relation, view, joined, generator))?;
            continue;
        }
        generators::add_to_scope(&mut relation.scope, view.table.as_ref(), &generator);
        put_generator(&mut relation.branches, &generator);
    }
    Some(relation)
}

/// The columns of FROM with the names that `(SELECT …) AS t(a, b)` gives them.
pub(super) fn renamed(select: &Select, mut columns: Vec<Visible>) -> Result<Vec<Visible>, Fault> {
    let Some(first) = select.columns.first() else { return Ok(columns) };
    if select.columns.len() != columns.len() {
        let (names, columns) = (select.columns.len(), columns.len());
        let message = format!("{names} of the query's columns are named, and it has {columns}");
        return Err(Fault::new(first.at.clone(), message, "give each column one name"));
    }
    columns.iter_mut().zip(&select.columns).for_each(|(column, name)| column.0.clone_from(&name.name));
    Ok(columns)
}

fn view_generator(view: &View, relation: &Relation) -> Result<Generator, Fault> {
    let mut resolver = Resolver::new(&relation.scope);
    resolver.no_aggregates = Some("LATERAL VIEW");
    let generator = resolver.generator(&view.call, view.outer, generators::next(&relation.branches))?;
    generators::named(generator, &view.columns, &view.call.at)
}

pub(super) fn put_generator(branches: &mut [Branch], generator: &Generator) {
    branches.iter_mut().for_each(|branch| branch.layers.insert(0, Layer::Generate(generator.clone())));
}

fn table<'a>(name: &Ident, tables: &'a [(SourceColumns<'a>, Scope)]) -> Result<&'a (SourceColumns<'a>, Scope), Fault> {
    if let Some(found) = tables.iter().find(|(columns, _)| same(&name.name, &columns.table)) {
        return Ok(found);
    }
    let known = || tables.iter().map(|(columns, _)| columns.table.as_str());
    let help = match nearest(&name.name, known()).first() {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the sources of the pipeline are {}", list(known())),
    };
    Err(Fault::new(name.at.clone(), format!("unknown table `{}`", name.name), help))
}

/// An analyzed subquery: its columns with their positions, and its branches without these columns.
struct SelectRelation<'a> {
    at: Range<usize>,
    columns: Vec<(String, coerce::SpannedExpr)>,
    /// The size of each column over the tables.
    sizes: Vec<Size>,
    branches: Vec<Branch<'a>>,
}

fn union<'a>(
    query: &Query,
    tables: &'a [(SourceColumns<'a>, Scope)],
    sql: &Located,
    faults: &mut Faults,
) -> Option<Relation<'a>> {
    let parts: Vec<_> = query.selects.iter().map(|select| part(select, tables, sql, faults)).collect();
    let parts = parts.into_iter().collect::<Option<Vec<_>>>()?;
    let types = faults.keep(sql, common_types(&parts))?;
    let names = parts[0].columns.iter().map(|(name, _)| name.clone()).zip(types.iter().cloned()).enumerate();
    let columns = names.map(|(at, (name, t))| (name, at, t)).collect();
    // Every table's scope has the session's zone.
    let of_table = tables[0].1.clone();
    let sizes = |column: usize| parts.iter().map(move |part| part.sizes[column]).fold(Size::default(), Size::max);
    let sizes = (0..types.len()).map(sizes).collect();
    let (table, views) = (String::new(), Vec::new());
    let scope = Scope { table, hidden: None, columns, sizes, views, event_time: None, ..of_table };
    let in_union = parts.len() > 1;
    let mut branches = Vec::new();
    for part in parts {
        let values = part.columns.into_iter().zip(&types).map(|((_, (value, _)), t)| coerce::cast_to(value, t));
        let values: Vec<Expr> = values.collect();
        for branch in part.branches {
            let over_table = !branch.layers.iter().any(|layer| matches!(layer, Layer::Select { .. }));
            let event_time = branch.columns.event_time_form().filter(|_| over_table);
            let select = Layer::Select { values: values.clone(), in_union, event_time };
            branches.push(Branch { layers: [vec![select], branch.layers].concat(), ..branch });
        }
    }
    Some(Relation { scope, branches })
}

fn part<'a>(
    select: &Select,
    tables: &'a [(SourceColumns<'a>, Scope)],
    sql: &Located,
    faults: &mut Faults,
) -> Option<SelectRelation<'a>> {
    faults.keep(sql, refuse_groups(select))?;
    let mut relation = relation(select, tables, sql, faults)?;
    let mut resolver = Resolver::new(&relation.scope);
    let filter = read_filter(select, &mut resolver, sql, faults);
    faults.keep(sql, windows::of_filter(&mut relation.branches, &mut resolver, &select.at))?;
    if let Some(Some(filter)) = &filter {
        relation.branches.iter_mut().for_each(|branch| branch.layers.insert(0, Layer::Filter(filter.clone())));
    }
    resolver.no_aggregates = Some(CLAUSE);
    resolver.next_generated = Some(generators::next(&relation.branches));
    let items = read_items(select, &mut resolver, sql, faults);
    let (_, items) = (filter?, items?);
    let sizes = items.iter().map(|item| bounds::size(&item.expr, &resolver.scope.sizes)).collect();
    let column = |item: Item| (item.name, (item.expr, item.node.map_or(select.at.clone(), |node| node.at.clone())));
    let columns = items.into_iter().map(column).collect();
    if let Some(window) = resolver.aggregates.window {
        faults.keep(sql, windows::only(&relation.branches, &select.at))?;
        relation.branches.iter_mut().for_each(|branch| windows::put(branch, &window));
    }
    if let Some(session) = &resolver.aggregates.session {
        sessions::put(&mut relation.branches, session);
    }
    resolver.generated.iter().for_each(|generator| put_generator(&mut relation.branches, generator));
    Some(SelectRelation { at: select.at.clone(), columns, sizes, branches: relation.branches })
}

/// Refuses clauses that form groups.
fn refuse_groups(select: &Select) -> Result<(), Fault> {
    let what = if let Some(at) = &select.distinct {
        (at.clone(), "DISTINCT")
    } else if select.group_by.is_some() {
        (select.at.clone(), "GROUP BY")
    } else if let Some(having) = &select.having {
        (having.at.clone(), "HAVING")
    } else {
        return Ok(());
    };
    let help = "aggregate the rows of all branches: SELECT … FROM (SELECT … UNION ALL SELECT …) GROUP BY …";
    Err(Fault::new(what.0, format!("{} is not allowed in {CLAUSE}", what.1), help))
}

/// The common type of the columns at each position.
fn common_types(parts: &[SelectRelation]) -> Result<Vec<DataType>, Fault> {
    let mut types: Vec<DataType> = parts[0].columns.iter().map(|(_, (value, _))| value.data_type()).collect();
    for part in &parts[1..] {
        let (count, first) = (part.columns.len(), types.len());
        if count != first {
            let message = format!(
                "the branches of UNION ALL differ in their number of columns: {count} here, {first} in the first"
            );
            return Err(Fault::new(
                part.at.clone(),
                message,
                "columns are matched by position: select the same number in each",
            ));
        }
        for (number, (shared, (_, (value, at)))) in (1..).zip(types.iter_mut().zip(&part.columns)) {
            *shared = types::wider(shared, &value.data_type()).ok_or_else(|| {
                let (before, here) = (types::name(shared), types::name(&value.data_type()));
                let message = format!("column {number} is {here} here, but {before} in the branches before");
                Fault::new(at.clone(), message, coerce::way_to_one_type(shared, &value.data_type()))
            })?;
        }
    }
    Ok(types)
}

/// Whether a filter may move from a relation to what its columns are made of.
pub(super) fn passes(values: &[Expr], in_union: bool, filter: &Expr) -> bool {
    values.iter().all(conjuncts::is_deterministic) && (!in_union || conjuncts::is_deterministic(filter))
}
