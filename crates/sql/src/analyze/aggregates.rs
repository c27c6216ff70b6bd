//! Aggregate functions and the window: what they take and give (rule T1), and their place in the aggregate row.
//!
//! While an expression is being read, the window and the aggregate calls stand in it as columns with numbers that no
//! source has; [`onto_groups`] puts the columns of the aggregate row in their place.

use super::calls::check_count;
use super::coerce::cast_to;
use super::resolve::{Resolver, sentence};
use crate::expr::Expr;
use crate::plan::{AggregateCall, AggregateFunction, WindowPlan};
use crate::syntax::{Call, Fault, Literal, Node, NodeKind};
use crate::types;
use crate::value::Value;
use arrow_schema::DataType;
use std::ops::Range;
use tidemill_model::{Interval, WindowSpec};

/// The names of aggregate functions.
pub(super) const NAMES: [&str; 7] = ["count", "count_if", "sum", "avg", "mean", "min", "max"];

/// Column number that stands for the window while an expression is being read.
const WINDOW: usize = usize::MAX / 2;
/// Column number that stands for the first aggregate call; the others follow.
const FIRST_CALL: usize = WINDOW + 1;

/// What a query aggregates.
#[derive(Debug, Default)]
pub(super) struct Aggregates {
    pub window: Option<WindowPlan>,
    pub calls: Vec<AggregateCall>,
    /// Whether an aggregate function's arguments are being read.
    pub inside: bool,
    /// Whether GROUP BY has a mistake: then nothing is said about a window that is missing for it.
    pub keys_are_wrong: bool,
}

impl Aggregates {
    /// The window as a column, if the query has one.
    pub fn window_column(&self) -> Option<Expr> {
        let there = self.window.is_some() || self.keys_are_wrong;
        there.then(|| Expr::Column(WINDOW, types::window()))
    }

    fn call_column(&mut self, function: AggregateFunction, inputs: Vec<Expr>, data_type: DataType) -> Expr {
        let same = |call: &AggregateCall| call.function == function && call.inputs == inputs;
        let index = self.calls.iter().position(same).unwrap_or_else(|| {
            self.calls.push(AggregateCall { function, inputs, data_type: data_type.clone() });
            self.calls.len() - 1
        });
        Expr::Column(FIRST_CALL + index, data_type)
    }
}

/// The aggregate function of a name in lower case.
pub(super) fn find(name: &str) -> Option<AggregateFunction> {
    match name {
        "count" => Some(AggregateFunction::Count),
        "count_if" => Some(AggregateFunction::CountIf),
        "sum" => Some(AggregateFunction::Sum),
        "avg" | "mean" => Some(AggregateFunction::Avg),
        "min" => Some(AggregateFunction::Min),
        "max" => Some(AggregateFunction::Max),
        _ => None,
    }
}

/// Whether an expression being read holds the window or an aggregate call.
pub(super) fn is_aggregate(expr: &Expr) -> bool {
    let mut found = false;
    expr.columns(&mut |index| found |= index >= WINDOW);
    found
}

/// Whether an expression being read holds an aggregate call.
pub(super) fn has_calls(expr: &Expr) -> bool {
    let mut found = false;
    expr.columns(&mut |index| found |= index >= FIRST_CALL);
    found
}

/// An expression being read as one over the aggregate row `[window?, keys…, calls…]`; a source column that is not
/// (part of) a key is given back.
pub(super) fn onto_groups(expr: Expr, keys: &[Expr], has_window: bool) -> Result<Expr, usize> {
    let first_key = usize::from(has_window);
    if let Some(key) = keys.iter().position(|key| *key == expr) {
        return Ok(Expr::Column(first_key + key, expr.data_type()));
    }
    let mut expr = expr;
    match &mut expr {
        Expr::Column(index, _) if *index == WINDOW => *index = 0,
        Expr::Column(index, _) if *index >= FIRST_CALL => *index = first_key + keys.len() + *index - FIRST_CALL,
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
        if let Some(clause) = self.no_aggregates {
            let message = format!("the aggregate function `{name}` cannot stand in {clause}");
            let help = if clause == "WHERE" { "filter groups in HAVING" } else { "use it in SELECT or HAVING" };
            return Err(Fault::new(at.clone(), message, help));
        }
        if self.aggregates.inside {
            let message = format!("the aggregate function `{name}` stands inside another one");
            return Err(Fault::new(at.clone(), message, "aggregate plain columns"));
        }
        if call.distinct {
            let help = "Spark refuses it on streams too; group by the column, or count without DISTINCT";
            return Err(Fault::new(at.clone(), format!("{name}(DISTINCT …) is not supported"), help));
        }
        self.aggregates.inside = true;
        let column = self.aggregate(name, call);
        self.aggregates.inside = false;
        column
    }

    fn aggregate(&mut self, name: &str, call: &Call) -> Result<Expr, Fault> {
        let function = find(name).expect("the caller has looked");
        let filter = call.filter.as_ref().map(|filter| self.condition(filter, "FILTER")).transpose()?;
        if function == AggregateFunction::Count {
            return self.count(call, filter);
        }
        check_count(name, 1, 1, call)?;
        let input = self.resolve(&call.arguments[0])?;
        let data_type = result_type(function, &input.data_type()).ok_or_else(|| {
            let message = format!("`{name}` takes {}, not {}", takes(function), types::name(&input.data_type()));
            let help = match input.data_type() {
                DataType::Utf8 if function != AggregateFunction::CountIf => "convert it: CAST(… AS DOUBLE)",
                _ => "give it another argument",
            };
            Fault::new(call.arguments[0].at.clone(), message, help)
        })?;
        let input = match filter {
            Some(filter) => {
                let input_type = input.data_type();
                Expr::Case(vec![(filter, input)], None, input_type)
            }
            None => input,
        };
        Ok(self.aggregates.call_column(function, vec![input], data_type))
    }

    /// `count(*)`, and `count(x, …)` of which constants that are not NULL say nothing.
    fn count(&mut self, call: &Call, filter: Option<Expr>) -> Result<Expr, Fault> {
        check_count("count", 1, usize::MAX, call)?;
        let is_star = |node: &Node| node.kind == NodeKind::Star;
        if call.arguments.iter().any(is_star) && call.arguments.len() > 1 {
            return Err(Fault::new(call.name.at.clone(), "`count` takes `*` alone", "write count(*)"));
        }
        let mut inputs = Vec::new();
        for node in call.arguments.iter().filter(|node| !is_star(node)) {
            let input = self.resolve(node)?;
            if !matches!(&input, Expr::Literal(value, _) if *value != Value::Null) {
                inputs.push(input);
            }
        }
        if let Some(filter) = filter {
            if inputs.is_empty() {
                return Ok(self.aggregates.call_column(AggregateFunction::CountIf, vec![filter], DataType::Int64));
            }
            inputs = vec![Expr::Case(
                vec![(
                    inputs.into_iter().fold(filter, given_too),
                    Expr::Literal(Value::Boolean(true), DataType::Boolean),
                )],
                None,
                DataType::Boolean,
            )];
        }
        Ok(self.aggregates.call_column(AggregateFunction::Count, inputs, DataType::Int64))
    }

    /// `window(time, width[, slide[, start]])` (rules W2, W5, W6).
    fn window(&mut self, call: &Call, at: &Range<usize>) -> Result<Expr, Fault> {
        if let Some(clause) = self.no_aggregates.filter(|clause| *clause != "GROUP BY") {
            let message = format!("window(…) cannot stand in {clause}");
            return Err(Fault::new(at.clone(), message, "put it into GROUP BY"));
        }
        if call.arguments.len() == 1 {
            return Err(Fault::new(at.clone(), "`window` needs a duration", "write window(time, '10 seconds')"));
        }
        check_count("window", 2, 4, call)?;
        let (time, time_at) = self.placed(&call.arguments[0])?;
        let time = if time.data_type() == DataType::Date32 { cast_to(time, &types::timestamp()) } else { time };
        if time.data_type() != types::timestamp() {
            let message = format!("`window` takes a TIMESTAMP as argument 1, not {}", types::name(&time.data_type()));
            return Err(Fault::new(time_at, message, "convert it: CAST(… AS TIMESTAMP)"));
        }
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
            Some(known) if known.spec != found.spec || known.time != found.time => {
                let help = "group by one window; run a second pipeline for the other";
                Err(Fault::new(at.clone(), "the query has another window(…) already", help))
            }
            None if self.no_aggregates != Some("GROUP BY") => {
                Err(Fault::new(at.clone(), "this window(…) is not in GROUP BY", "put the same window(…) into GROUP BY"))
            }
            _ => {
                self.aggregates.window = Some(found);
                Ok(self.aggregates.window_column().expect("just set"))
            }
        }
    }
}

fn given_too(condition: Expr, input: Expr) -> Expr {
    Expr::And(Box::new(condition), Box::new(Expr::IsNotNull(Box::new(input))))
}

/// A window's duration: interval text, or a number of microseconds.
fn duration(node: &Node) -> Result<i64, Fault> {
    let micros = match &node.kind {
        NodeKind::Literal(Literal::String(text)) => Interval::parse(text).and_then(Interval::fixed_micros),
        NodeKind::Literal(Literal::Number(text)) => {
            let digits = text.strip_suffix(['L', 'l']).unwrap_or(text);
            digits.parse().map_err(|_| "a number here is of microseconds; write for instance '10 seconds'".to_string())
        }
        _ => Err("a window's durations are constants; write for instance '10 seconds'".to_string()),
    };
    micros.map_err(|message| sentence(node.at.clone(), &message))
}

/// Rule T1; `None` where the function does not take the type.
fn result_type(function: AggregateFunction, input: &DataType) -> Option<DataType> {
    use AggregateFunction::{Avg, Count, CountIf, Max, Min, Sum};
    match (function, input) {
        (Count, _) => Some(DataType::Int64),
        (CountIf, DataType::Boolean) => Some(DataType::Int64),
        (Sum, t) if types::is_integral(t) => Some(DataType::Int64),
        (Sum | Avg, DataType::Float32 | DataType::Float64) => Some(DataType::Float64),
        (Sum, DataType::Decimal128(p, s)) => Some(types::bounded_decimal(i32::from(*p) + 10, i32::from(*s))),
        (Avg, t) if types::is_integral(t) => Some(DataType::Float64),
        (Avg, DataType::Decimal128(p, s)) => Some(types::bounded_decimal(i32::from(*p) + 4, i32::from(*s) + 4)),
        (Min | Max, t) if types::is_orderable(t) && !t.is_null() => Some(t.clone()),
        _ => None,
    }
}

fn takes(function: AggregateFunction) -> &'static str {
    match function {
        AggregateFunction::Count => "anything",
        AggregateFunction::CountIf => "a BOOLEAN",
        AggregateFunction::Sum | AggregateFunction::Avg => "a number",
        AggregateFunction::Min | AggregateFunction::Max => "a value of a type that has an order",
    }
}
