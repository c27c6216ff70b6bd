//! The window of a query. If it is only a key, rows are folded by slices; otherwise it is a column of the rows.
//!
//! ```text
//!   GROUP BY window(…), k                      folded: rows go to their slice, slices are spread over windows when
//!   merged
//!   GROUP BY window(…).start; max(window.end); a column: each row is repeated for each of its windows
//!   SELECT window(…) …; FROM (SELECT window(…) AS w …)
//! ```
//! An aggregation has one window: its own, or that of its subqueries.

use super::aggregates::{Aggregates, WINDOW, has_window};
use super::pushdown::Layer;
use super::relation::Branch;
use super::resolve::Resolver;
use super::sessions;
use crate::expr::Expr;
use crate::functions;
use crate::plan::WindowPlan;
use crate::syntax::Fault;
use crate::types;
use crate::value::Value;
use arrow_schema::DataType;
use std::ops::Range;

/// Most windows for which a row may be repeated.
const REPEATED_MAX: i64 = 10_000;

/// Whether the window is only a key, so that rows can be folded by slices. If so, removes it from the keys.
pub(super) fn fold_by_slices(aggregates: &Aggregates, keys: &mut Vec<Expr>) -> bool {
    let is_window = |expr: &Expr| matches!(expr, Expr::Column(WINDOW, _));
    let mut inputs = aggregates.calls.iter().flat_map(|call| &call.inputs);
    let is_asked = keys.iter().any(|key| has_window(key) && !is_window(key)) || inputs.any(has_window);
    let folded = keys.iter().any(is_window) && !is_asked;
    keys.retain(|key| !folded || !is_window(key));
    folded
}

/// Refuses a window for which rows would be repeated too often.
pub(super) fn bounded(window: &WindowPlan, at: &Range<usize>) -> Result<(), Fault> {
    if window.spec.width / window.spec.slide <= REPEATED_MAX {
        return Ok(());
    }
    let message = format!("each row would be repeated for each of its windows, which are more than {REPEATED_MAX}");
    Err(Fault::new(at.clone(), message, "take a longer slide, or have the window in GROUP BY alone"))
}

/// The window of WHERE, which lies below what the rest of the query sees.
pub(super) fn of_filter(branches: &mut [Branch], resolver: &mut Resolver, at: &Range<usize>) -> Result<(), Fault> {
    if let Some(session) = resolver.aggregates.session.take() {
        sessions::put(branches, &session);
    }
    let Some(window) = resolver.aggregates.window.take() else { return Ok(()) };
    only(branches, at)?;
    branches.iter_mut().for_each(|branch| put(branch, &window));
    Ok(())
}

/// Refuses a second window over a subquery or a WHERE that has one.
pub(super) fn only(branches: &[Branch], at: &Range<usize>) -> Result<(), Fault> {
    if branches.iter().all(|branch| branch.window.is_none()) {
        return Ok(());
    }
    let help = "give it a name in one subquery, SELECT … FROM (SELECT *, window(…) AS w FROM …), and use the name";
    Err(Fault::new(at.clone(), "WHERE or a subquery has a window(…) already", help))
}

/// Adds the window of a subquery to its branch.
pub(super) fn put(branch: &mut Branch, window: &WindowPlan) {
    branch.window = Some(WindowPlan { time: branch.over_source(&window.time), ..window.clone() });
    branch.layers.splice(0..0, layers(window));
}

/// The layers that Spark makes of a window, from the top down.
pub(super) fn layers(window: &WindowPlan) -> Vec<Layer> {
    let known = known_time(window).map(Layer::Filter);
    match window.spec.width == window.spec.slide {
        true => [Layer::Project].into_iter().chain(known).collect(),
        false => known.into_iter().chain([Layer::Expand]).collect(),
    }
}

/// Spark's filter that drops rows with a NULL window time. If the slide does not divide the width, Spark uses another
/// filter, which does not move.
pub(super) fn known_time(window: &WindowPlan) -> Option<Expr> {
    let divides = window.spec.width.rem_euclid(window.spec.slide) == 0;
    divides.then(|| Expr::IsNotNull(Box::new(window.time.clone())))
}

/// Whether the watermark closes groups of this key over the relation: the key is the event time, or a window or sessions over it.
/// `window` is the window that is a column of the rows.
pub(super) fn is_event_time(key: &Expr, branch: &Branch, window: Option<&WindowPlan>) -> bool {
    let time_column = branch.columns.event_time_column();
    let is_time = |time: &Expr| time_column.is_some_and(|column| *time == Expr::Column(column, types::timestamp()));
    let is_window = |expr: &Expr| matches!(expr, Expr::Column(WINDOW, _));
    let of_time = || window.is_some_and(|window| is_time(&window.time));
    let closes = |column: &usize| branch.columns.closing_windows.contains(column);
    let over_source = branch.over_source(key);
    let over_source = sessions::time_of(&over_source).unwrap_or(&over_source);
    is_time(over_source)
        || is_window(over_source) && of_time()
        || window_of_time(over_source).is_some_and(is_window) && of_time()
        || matches!((key, over_source), (Expr::Column(..), Expr::Column(column, _)) if closes(column))
}

/// The start of the window that is a column.
pub(super) fn start() -> Expr {
    Expr::Field(Box::new(Expr::Column(WINDOW, types::window())), 0, types::timestamp())
}

/// `window_time(window)`: its last microsecond.
pub(super) fn time_of(window: Expr) -> Expr {
    let end = Expr::Field(Box::new(window), 1, types::timestamp());
    let part = |value: i64| Expr::Literal(Value::Integer(value), DataType::Int64);
    let function = functions::find("+ interval").expect("a function of the table");
    Expr::Call(function, vec![end, part(0), part(-1)], types::timestamp())
}

/// The window in the result of [`time_of`].
fn window_of_time(expr: &Expr) -> Option<&Expr> {
    let Expr::Call(_, arguments, _) = expr else { return None };
    let Some(Expr::Field(window, ..)) = arguments.first() else { return None };
    (*expr == time_of((**window).clone())).then_some(window)
}
