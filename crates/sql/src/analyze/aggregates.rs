//! Aggregate calls and the window: where they are allowed, and their columns in the aggregate row. `aggregate_calls.rs`
//! has the functions.
//!
//! While an expression is analyzed, the window and the aggregate calls are represented by column numbers that no source
//! has. [`onto_groups`] replaces them by columns of the aggregate row.

use super::aggregate_calls::{self, distinct};
use super::calls::check_count;
use super::coerce::{self, cast_to};
use super::literals;
use super::random;
use super::relation;
use super::resolve::{Resolver, sentence};
use super::windows;
use crate::expr::Expr;
use crate::intervals::{self, Kind};
pub(super) use crate::logical::WINDOW;
use crate::plan::{AggregateCall, AggregateFunction, WindowPlan};
use crate::syntax::{Call, Fault, Literal, Node, NodeKind};
use crate::types;
use arrow_schema::DataType;
use std::ops::Range;
use tidemill_model::{Interval, WindowSpec};

/// Column number of the first aggregate call; the others follow.
const FIRST_CALL: usize = WINDOW + 1;

/// The place named in errors about aggregates over groups.
pub(super) const OVER_GROUPS: &str = "a query over groups";

/// Whether the expression calls an aggregate function.
pub(super) fn calls_aggregate(node: &Node) -> bool {
    let is_call = |call: &Call| aggregate_calls::NAMES.contains(&call.name.name.to_ascii_lowercase().as_str());
    let mut found = matches!(&node.kind, NodeKind::Call(call) if is_call(call));
    node.children(&mut |child| found |= calls_aggregate(child));
    found
}

/// The window and the aggregate calls of a query.
#[derive(Debug, Default)]
pub(super) struct Aggregates {
    pub window: Option<WindowPlan>,
    /// The session window of each row: see `sessions.rs`.
    pub session: Option<Expr>,
    pub calls: Vec<AggregateCall>,
    /// Whether the arguments of an aggregate function are being analyzed.
    pub inside: bool,
    /// Whether GROUP BY has a mistake. A missing window is then not reported as well.
    pub keys_are_wrong: bool,
}

impl Aggregates {
    /// The window as a column, if the query has one.
    pub fn window_column(&self) -> Option<Expr> {
        let there = self.window.is_some() || self.keys_are_wrong;
        there.then(|| Expr::Column(WINDOW, types::window()))
    }

    pub(super) fn call_column(&mut self, function: AggregateFunction, inputs: Vec<Expr>, data_type: DataType) -> Expr {
        let same = |call: &AggregateCall| call.function == function && call.inputs == inputs;
        let index = self.calls.iter().position(same).unwrap_or_else(|| {
            self.calls.push(AggregateCall { function, inputs, data_type: data_type.clone() });
            self.calls.len() - 1
        });
        Expr::Column(FIRST_CALL + index, data_type)
    }
}

/// Whether an expression under analysis contains the window.
pub(super) fn has_window(expr: &Expr) -> bool {
    expr.has_column(|index| index == WINDOW)
}

/// Whether an expression under analysis contains the window or an aggregate call.
pub(super) fn is_aggregate(expr: &Expr) -> bool {
    expr.has_column(|index| index >= WINDOW)
}

/// Whether an expression under analysis contains an aggregate call.
pub(super) fn has_calls(expr: &Expr) -> bool {
    expr.has_column(|index| index >= FIRST_CALL)
}

/// Rewrites an expression under analysis to one over the aggregate row `[window?, keys…, calls…]`. Fails with a source
/// column that is not part of a key.
pub(super) fn onto_groups(expr: Expr, keys: &[Expr], has_window: bool) -> Result<Expr, usize> {
    let first_key = usize::from(has_window);
    if let Some(key) = keys.iter().position(|key| *key == expr) {
        return Ok(Expr::Column(first_key + key, expr.data_type()));
    }
    let mut expr = expr;
    match &mut expr {
        Expr::Column(index, _) if *index == WINDOW && has_window => *index = 0,
        Expr::Column(index, _) if *index >= FIRST_CALL => *index = first_key + keys.len() + *index - FIRST_CALL,
        // Groups have places of their own: see `random::over_groups`.
        expr if random::is_place(expr) => {}
        Expr::Column(index, _) => return Err(*index),
        other => {
            let mut fault = None;
            other.children_mut(&mut |child| {
                let taken = std::mem::replace(child, Expr::Now);
                match onto_groups(taken, keys, has_window) {
                    Ok(mapped) => *child = mapped,
                    Err(column) => fault = fault.or(Some(column)),
                }
            });
            if let Some(column) = fault {
                return Err(column);
            }
        }
    }
    Ok(expr)
}

impl Resolver<'_> {
    pub(super) fn aggregate_or_window(&mut self, name: &str, call: &Call, at: &Range<usize>) -> Result<Expr, Fault> {
        if name == "window" {
            return self.window(call, at);
        }
        if self.is_in_lambda() {
            let message = format!("the aggregate function `{name}` is not allowed in a lambda");
            return Err(Fault::new(at.clone(), message, "aggregate in a subquery, and call the lambda on its columns"));
        }
        if let Some(clause) = self.no_aggregates {
            let message = format!("the aggregate function `{name}` is not allowed in {clause}");
            let help = match clause {
                "WHERE" => "filter groups in HAVING",
                OVER_GROUPS => "put it into the subquery",
                relation::CLAUSE => "aggregate what it gives: SELECT … FROM (SELECT … UNION ALL SELECT …) GROUP BY …",
                _ => "use it in SELECT or HAVING",
            };
            return Err(Fault::new(at.clone(), message, help));
        }
        if self.aggregates.inside {
            let message = format!("the aggregate function `{name}` stands inside another one");
            return Err(Fault::new(at.clone(), message, "aggregate plain columns"));
        }
        if call.distinct {
            return Err(distinct(name, at));
        }
        self.aggregates.inside = true;
        let column = self.aggregate_call(name, call);
        self.aggregates.inside = false;
        if self.aggregates.calls.iter().flat_map(|call| &call.inputs).any(random::is_random) {
            let message =
                format!("`{name}` of a random value is not allowed: Spark takes only deterministic arguments");
            return Err(Fault::new(at.clone(), message, random::HELP));
        }
        column
    }

    /// `window(time, width[, slide[, start]])` (rules W2, W5, W6).
    fn window(&mut self, call: &Call, at: &Range<usize>) -> Result<Expr, Fault> {
        if let Some(clause) =
            self.no_aggregates.filter(|clause| !["WHERE", "GROUP BY", OVER_GROUPS, relation::CLAUSE].contains(clause))
        {
            let message = format!("window(…) is not allowed in {clause}");
            let help = "name it in a subquery: SELECT … FROM (SELECT *, window(…) AS w FROM …) WHERE w.start > …";
            return Err(Fault::new(at.clone(), message, help));
        }
        if call.arguments.len() == 1 {
            return Err(Fault::new(at.clone(), "`window` needs a duration", "write window(time, '10 seconds')"));
        }
        check_count("window", 2, 4, call)?;
        let time = self.time_of_windows("window", &call.arguments[0])?;
        let micros = |index: usize| call.arguments.get(index).map(duration).transpose();
        let width = micros(1)?.expect("two arguments at least");
        let slide = micros(2)?.unwrap_or(width);
        let start = micros(3)?.unwrap_or(0);
        let spec = WindowSpec::new(width, slide, start);
        let spec = spec.map_err(|message| Fault::new(at.clone(), message, "change the durations"))?;
        let found = WindowPlan { spec, time };
        if self.aggregates.keys_are_wrong {
            return Ok(self.aggregates.window_column().expect("taken for granted"));
        }
        match &self.aggregates.window {
            _ if self.aggregates.session.is_some() => {
                let help = "group by one of them; a subquery may have the other";
                Err(Fault::new(at.clone(), "the query has a session_window(…) already", help))
            }
            Some(known) if known.spec != found.spec || known.time != found.time => {
                let help = "group by one window; run a second pipeline for the other";
                Err(Fault::new(at.clone(), "the query has another window(…) already", help))
            }
            _ => {
                self.aggregates.window = Some(found);
                Ok(self.aggregates.window_column().expect("just set"))
            }
        }
    }
}

impl Resolver<'_> {
    /// The time that windows are made of: the first argument of `function`.
    pub(super) fn time_of_windows(&mut self, function: &str, node: &Node) -> Result<Expr, Fault> {
        let (time, at) = self.placed(node)?;
        let time = match time.data_type() {
            DataType::Date32 => cast_to(time, &types::timestamp()),
            // A window stands for its time.
            data_type if data_type == types::window() => self.named(windows::time_of(time)),
            _ => time,
        };
        if time.data_type() != types::timestamp() {
            let message =
                format!("`{function}` takes a TIMESTAMP as argument 1, not {}", types::name(&time.data_type()));
            return Err(Fault::new(at, message, coerce::way_to_a_time(&time.data_type())));
        }
        Ok(time)
    }
}

/// A window's duration: interval text, or a number of microseconds.
fn duration(node: &Node) -> Result<i64, Fault> {
    let micros = match &node.kind {
        NodeKind::Literal(Literal::String(text)) => Interval::parse(text).and_then(Interval::fixed_micros),
        NodeKind::Literal(literal @ (Literal::Interval(_) | Literal::IntervalFields(..))) => {
            literals::interval(literal).and_then(|(value, data_type)| match intervals::kind(&data_type) {
                Some(Kind::DayTime(..)) => Ok(value),
                _ => Interval { months: value, micros: 0 }.fixed_micros(),
            })
        }
        NodeKind::Literal(Literal::Number(text)) => {
            let digits = text.strip_suffix(['L', 'l']).unwrap_or(text);
            digits.parse().map_err(|_| "a number here is of microseconds; write for instance '10 seconds'".to_string())
        }
        _ => Err("a window's durations are constants; write for instance '10 seconds'".to_string()),
    };
    micros.map_err(|message| sentence(node.at.clone(), &message))
}
