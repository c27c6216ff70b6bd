//! Constants that fail, such as `1 / 0`. Spark computes constants when it plans, so they end the query before its first row,
//! whether a row would compute them or not; here they are refused with the file.
//!
//! Left to the rows, as in Spark: what stands inside CASE, `if`, `coalesce` and their kin, and what a lambda's parameter is
//! in.

use super::resolve::Resolver;
use super::scope::Scope;
use super::{Faults, constants};
use crate::eval::RowError;
use crate::expr::Expr;
use crate::logical::Operator;
use crate::syntax::{self, Fault, From, GroupBy, Node, Query, Select};
use crate::zone::Zone;
use std::ops::Range;
use tidemill_model::diagnostic::Located;

/// Functions that Spark makes a conditional expression of.
const CONDITIONAL: [&str; 4] = ["nanvl", "nanvl of floats", "right", "regexp_substr"];

/// Functions that fail on purpose: Spark takes none of their calls for a constant.
const RAISING: [&str; 2] = ["raise_error", "assert_true"];

/// Refuses a query that computes a constant that fails.
pub(super) fn refuse(query: &Operator, sql: &Located, zone_name: &str, faults: &mut Faults) -> Option<()> {
    let error = of_tree(query, Zone::parse(zone_name)?)?;
    let place = syntax::parse_query(&sql.text).ok().and_then(|query| {
        let scope = Scope::of_fields("", std::iter::empty(), zone_name);
        of_query(&query, &error, &scope)
    });
    faults.keep(sql, Err::<(), _>(fault(place.unwrap_or(0..sql.text.len()), &error)))
}

/// Refuses an expression with a constant that fails.
pub(super) fn refuse_in(expr: &Expr, at: &Range<usize>, zone: Zone) -> Result<(), Fault> {
    of_expr(expr, zone).map_or(Ok(()), |error| Err(fault(at.clone(), &error)))
}

fn fault(at: Range<usize>, error: &RowError) -> Fault {
    let help = "constants are computed before the first row, as in Spark";
    Fault::new(at, format!("a constant fails: {error}"), help)
}

fn of_tree(query: &Operator, zone: Zone) -> Option<RowError> {
    let mut found = None;
    query.each_expr(&mut |expr| found = found.take().or_else(|| of_expr(expr, zone)));
    found
}

/// The error of a constant in the expression; of one inside another only the outer counts.
pub(super) fn of_expr(expr: &Expr, zone: Zone) -> Option<RowError> {
    match expr {
        Expr::Literal(..) => None,
        expr if is_conditional(expr) => None,
        expr if is_constant(expr) => constants::failure(expr, zone),
        expr => {
            let mut found = None;
            expr.children(&mut |child| found = found.take().or_else(|| of_expr(child, zone)));
            found
        }
    }
}

/// Whether a row computes only parts of it.
pub(super) fn is_conditional(expr: &Expr) -> bool {
    match expr {
        Expr::Case(..) | Expr::Coalesce(..) => true,
        Expr::Call(function, ..) => CONDITIONAL.contains(&function.name),
        _ => false,
    }
}

pub(super) fn is_constant(expr: &Expr) -> bool {
    let mut constant = match expr {
        Expr::Column(..) | Expr::Variable(..) | Expr::Now | Expr::Higher(_) => false,
        Expr::Call(function, ..) => !RAISING.contains(&function.name),
        _ => true,
    };
    expr.children(&mut |child| constant = constant && is_constant(child));
    constant
}

/// Where the query writes the constant.
fn of_query(query: &Query, error: &RowError, scope: &Scope) -> Option<Range<usize>> {
    query.selects.iter().find_map(|select| of_select(select, error, scope))
}

fn of_select(select: &Select, error: &RowError, scope: &Scope) -> Option<Range<usize>> {
    let keys = match &select.group_by {
        Some(GroupBy::Keys(keys) | GroupBy::Sets { keys, .. }) => &keys[..],
        Some(GroupBy::All) | None => &[],
    };
    let items = select.items.iter().map(|item| &item.node);
    let views = select.views.iter().map(|view| &view.call);
    let mut nodes = items.chain(views).chain(&select.filter).chain(keys).chain(&select.having);
    nodes.find_map(|node| of_node(node, error, scope)).or_else(|| match &select.from {
        From::Query(query) => of_query(query, error, scope),
        From::Table(_) => None,
    })
}

/// The innermost node that fails in this way. One that names a column is none.
fn of_node(node: &Node, error: &RowError, scope: &Scope) -> Option<Range<usize>> {
    let mut found = None;
    node.children(&mut |child| found = found.take().or_else(|| of_node(child, error, scope)));
    found.or_else(|| {
        let expr = Resolver::new(scope).resolve(node).ok()?;
        (is_constant(&expr) && constants::failure(&expr, scope.zone).as_ref() == Some(error)).then(|| node.at.clone())
    })
}
