//! Aggregate functions: argument and result types (rules T1, T2), FILTER and IGNORE NULLS.

use super::ahead;
use super::calls::check_count;
use super::coerce::{SpannedExpr, cast_to};
use super::collected;
use super::constants;
use super::resolve::Resolver;
use crate::expr::Expr;
use crate::intervals;
use crate::plan::AggregateFunction;
use crate::syntax::{Call, Fault, Literal, Node, NodeKind};
use crate::types;
use crate::value::Value;
use arrow_schema::DataType;
use std::ops::Range;

/// Aggregate functions with their own accumulator.
const OWN_NAMES: [&str; 29] = [
    "count",
    "count_if",
    "sum",
    "avg",
    "mean",
    "min",
    "max",
    "try_sum",
    "try_avg",
    "stddev",
    "stddev_samp",
    "std",
    "stddev_pop",
    "variance",
    "var_samp",
    "var_pop",
    "approx_count_distinct",
    "first",
    "first_value",
    "any_value",
    "last",
    "last_value",
    "min_by",
    "max_by",
    "bool_and",
    "every",
    "bool_or",
    "some",
    "any",
];

/// The names of the aggregate functions.
pub const NAMES: [&str; OWN_NAMES.len() + collected::NAMES.len()] = {
    let mut all = [""; OWN_NAMES.len() + collected::NAMES.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = if at < OWN_NAMES.len() { OWN_NAMES[at] } else { collected::NAMES[at - OWN_NAMES.len()] };
        at += 1;
    }
    all
};

/// Allowed precisions: a sketch has 2^precision registers.
const PRECISIONS: std::ops::RangeInclusive<u8> = 4..=18;

impl Resolver<'_> {
    /// A call of an aggregate function, as a column of the aggregate row.
    pub(super) fn aggregate_call(&mut self, name: &str, call: &Call) -> Result<Expr, Fault> {
        let filter = call.filter.as_ref().map(|filter| self.condition(filter, "FILTER")).transpose()?;
        let filter = filter.map(|filter| constants::computed(filter, self.scope.zone));
        let picks = ["first", "first_value", "any_value", "last", "last_value"].contains(&name);
        if let Some((_, at)) = call.ignore_nulls.as_ref().filter(|_| !picks) {
            let message = format!("`{name}` takes no IGNORE NULLS or RESPECT NULLS");
            return Err(Fault::new(at.clone(), message, "leave it out: only first and last have this option"));
        }
        if let Some(order) = &call.within {
            return self.within_group(name, call, order, filter);
        }
        match name {
            "count" => self.count(call, filter),
            "approx_count_distinct" => self.approx_count_distinct(call, filter),
            "min_by" | "max_by" => self.extreme_by(name, call, filter),
            _ if picks => self.pick(name, call, filter),
            _ if collected::NAMES.contains(&name) => self.collected_call(name, call, filter),
            _ => self.of_one_argument(name, call, filter),
        }
    }

    fn of_one_argument(&mut self, name: &str, call: &Call, filter: Option<Expr>) -> Result<Expr, Fault> {
        use AggregateFunction as F;
        let function = match name {
            "count_if" => F::CountIf,
            "sum" => F::Sum,
            "avg" | "mean" => F::Avg,
            "try_sum" => F::TrySum,
            "try_avg" => F::TryAvg,
            "min" | "bool_and" | "every" => F::Min,
            "max" | "bool_or" | "some" | "any" => F::Max,
            "stddev" | "stddev_samp" | "std" => F::StddevSamp,
            "stddev_pop" => F::StddevPop,
            "variance" | "var_samp" => F::VarSamp,
            "var_pop" => F::VarPop,
            other => panic!("{other} is in the table of names and nowhere else"),
        };
        check_count(name, 1, 1, call)?;
        let (input, input_at) = self.computed(&call.arguments[0])?;
        let given = input.data_type();
        // NULL gets the type that the function expects.
        let input = match given.is_null() && takes(name) == NUMBER {
            true => cast_to(input, &DataType::Float64),
            false => kept(input),
        };
        let result = Some(result_type(function, &input.data_type()))
            .filter(|_| takes(name) != BOOLEAN || input.data_type() == DataType::Boolean);
        let Some(data_type) = result.flatten() else {
            return Err(wrong_type(name, takes(name), &input.data_type(), input_at));
        };
        let input = if is_moment(function) { cast_to(input, &DataType::Float64) } else { input };
        let column = self.aggregates.call_column(function, vec![filtered(filter, input)], data_type);
        Ok(if takes(name) == ORDERED { of_kept(&given, column) } else { column })
    }

    /// `count(*)` and `count(x, …)`. Constants that are not NULL do not matter in the latter.
    fn count(&mut self, call: &Call, filter: Option<Expr>) -> Result<Expr, Fault> {
        check_count("count", 1, usize::MAX, call)?;
        let is_star = |node: &Node| node.kind == NodeKind::Star;
        if call.arguments.iter().any(is_star) && call.arguments.len() > 1 {
            return Err(Fault::new(call.name.at.clone(), "`count` takes `*` alone", "write count(*)"));
        }
        let mut inputs = Vec::new();
        for node in call.arguments.iter().filter(|node| !is_star(node)) {
            let (input, _) = self.computed(node)?;
            if !matches!(&input, Expr::Literal(value, _) if *value != Value::Null) {
                inputs.push(input);
            }
        }
        let inputs = match filter {
            Some(filter) if inputs.is_empty() => {
                return Ok(self.aggregates.call_column(AggregateFunction::CountIf, vec![filter], DataType::Int64));
            }
            None if !inputs.iter().skip(1).any(ahead::may_fail) => inputs,
            // An argument is computed where FILTER holds and those before it are not NULL.
            filter => {
                let counted = Expr::Literal(Value::Boolean(true), DataType::Boolean);
                let given = |counted, input| filtered(Some(Expr::IsNotNull(Box::new(input))), counted);
                vec![filtered(filter, inputs.into_iter().rev().fold(counted, given))]
            }
        };
        Ok(self.aggregates.call_column(AggregateFunction::Count, inputs, DataType::Int64))
    }

    /// `approx_count_distinct(x[, rsd])`: computes Spark's precision from the relative standard deviation.
    fn approx_count_distinct(&mut self, call: &Call, filter: Option<Expr>) -> Result<Expr, Fault> {
        check_count("approx_count_distinct", 1, 2, call)?;
        let (input, _) = self.computed(&call.arguments[0])?;
        let rsd = match call.arguments.get(1) {
            None => 0.05,
            Some(node) => {
                let help = "write for instance approx_count_distinct(x, 0.01)";
                let wrong = |message: &str| Fault::new(node.at.clone(), message, help);
                match self.resolve(node)? {
                    Expr::Literal(Value::Double(rsd), DataType::Float64) => rsd,
                    Expr::Literal(Value::Decimal(unscaled), DataType::Decimal128(_, scale)) => {
                        unscaled as f64 / 10f64.powi(scale.into())
                    }
                    _ => return Err(wrong("the relative standard deviation is a constant DOUBLE or DECIMAL")),
                }
            }
        };
        let precision = (2.0 * (1.106 / rsd).ln() / 2f64.ln()).ceil();
        let Some(precision) = PRECISIONS.clone().find(|known| f64::from(*known) == precision) else {
            let message =
                format!("`approx_count_distinct` takes a relative standard deviation of 0.0022 to 0.39, not {rsd}");
            return Err(Fault::new(call.arguments[1].at.clone(), message, "the default is 0.05"));
        };
        let function = AggregateFunction::ApproxCountDistinct { precision };
        Ok(self.aggregates.call_column(function, vec![filtered(filter, input)], DataType::Int64))
    }

    /// `first(x[, ignoreNulls])` and `last`.
    fn pick(&mut self, name: &str, call: &Call, filter: Option<Expr>) -> Result<Expr, Fault> {
        check_count(name, 1, 2, call)?;
        let (input, _) = self.computed(&call.arguments[0])?;
        let ignore_nulls = match (call.arguments.get(1).map(|node| (&node.kind, &node.at)), &call.ignore_nulls) {
            (None, None) => false,
            (None, Some((ignore, _))) => *ignore,
            (Some((NodeKind::Literal(Literal::Boolean(ignore)), _)), None) => *ignore,
            (Some(_), Some((_, at))) => {
                let message = format!("`{name}` says twice what to do with NULLs");
                return Err(Fault::new(at.clone(), message, "remove one of the two"));
            }
            (Some((_, at)), None) => {
                let message = format!("argument 2 of `{name}` says whether NULLs are ignored: true or false");
                return Err(Fault::new(at.clone(), message, "write a constant, or IGNORE NULLS"));
            }
        };
        let function = match name {
            "last" | "last_value" => AggregateFunction::Last { ignore_nulls },
            _ => AggregateFunction::First { ignore_nulls },
        };
        let (given, input) = (input.data_type(), kept(input));
        let data_type = input.data_type();
        let inputs = match filter {
            Some(filter) if !ignore_nulls => vec![input, filter],
            filter => vec![filtered(filter, input)],
        };
        Ok(of_kept(&given, self.aggregates.call_column(function, inputs, data_type)))
    }

    /// `min_by(x, order)` and `max_by`. Rows with a NULL order do not count, which FILTER expresses.
    fn extreme_by(&mut self, name: &str, call: &Call, filter: Option<Expr>) -> Result<Expr, Fault> {
        check_count(name, 2, 2, call)?;
        let (input, _) = self.computed(&call.arguments[0])?;
        let (order, order_at): SpannedExpr = self.computed(&call.arguments[1])?;
        if !types::is_orderable(&order.data_type()) {
            let what = "a value of a type that has an order as argument 2";
            return Err(wrong_type(name, what, &order.data_type(), order_at));
        }
        let function = if name == "min_by" { AggregateFunction::MinBy } else { AggregateFunction::MaxBy };
        let (given, input, order) = (input.data_type(), kept(input), filtered(filter, kept(order)));
        let data_type = input.data_type();
        let inputs = vec![where_given(&order, input), order];
        Ok(of_kept(&given, self.aggregates.call_column(function, inputs, data_type)))
    }
}

/// The fault of DISTINCT in an aggregate.
pub(super) fn distinct(name: &str, at: &Range<usize>) -> Fault {
    let help = "Spark refuses it on streams too; take approx_count_distinct(x), or group by the column";
    Fault::new(at.clone(), format!("{name}(DISTINCT …) is not supported"), help)
}

/// A value that an accumulator can keep: one of the type VOID, which is NULL, as a BOOLEAN.
pub(super) fn kept(input: Expr) -> Expr {
    match input.data_type() {
        DataType::Null => cast_to(input, &DataType::Boolean),
        _ => input,
    }
}

/// The result of an aggregate that picks one of the values [`kept`]: VOID again if they were given as that.
pub(super) fn of_kept(given: &DataType, column: Expr) -> Expr {
    match given {
        DataType::Null => {
            let null = Expr::Literal(Value::Null, DataType::Null);
            Expr::Case(vec![(Expr::IsNotNull(Box::new(column)), null)], None, DataType::Null)
        }
        _ => column,
    }
}

/// The argument if the filter holds, else NULL.
pub(super) fn filtered(filter: Option<Expr>, input: Expr) -> Expr {
    let data_type = input.data_type();
    match filter {
        Some(filter) => Expr::Case(vec![(filter, input)], None, data_type),
        None => input,
    }
}

/// An argument that Spark computes in the rows alone in which another one is not NULL: elsewhere it cannot fail.
pub(super) fn where_given(other: &Expr, input: Expr) -> Expr {
    let given = ahead::may_fail(&input).then(|| Expr::IsNotNull(Box::new(other.clone())));
    filtered(given, input)
}

pub(super) fn given_too(condition: Expr, input: Expr) -> Expr {
    Expr::And(Box::new(condition), Box::new(Expr::IsNotNull(Box::new(input))))
}

fn is_moment(function: AggregateFunction) -> bool {
    use AggregateFunction::{StddevPop, StddevSamp, VarPop, VarSamp};
    matches!(function, StddevSamp | StddevPop | VarSamp | VarPop)
}

/// The result type by rule T1; `None` if the function does not take the input type.
pub(super) fn result_type(function: AggregateFunction, input: &DataType) -> Option<DataType> {
    use AggregateFunction::{Avg, CountIf, Max, Min, Sum, TryAvg, TrySum};
    match (function, input) {
        (CountIf, DataType::Boolean) => Some(DataType::Int64),
        (Sum | TrySum, t) if types::is_integral(t) => Some(DataType::Int64),
        (Sum | TrySum | Avg | TryAvg, t) if intervals::is_interval(t) && types::is_orderable(t) => {
            Some(intervals::whole(t))
        }
        (Sum | TrySum | Avg | TryAvg, DataType::Float32 | DataType::Float64) => Some(DataType::Float64),
        (Sum | TrySum, DataType::Decimal128(p, s)) => Some(types::bounded_decimal(i32::from(*p) + 10, i32::from(*s))),
        (Avg | TryAvg, t) if types::is_integral(t) => Some(DataType::Float64),
        (Avg | TryAvg, DataType::Decimal128(p, s)) => {
            Some(types::bounded_decimal(i32::from(*p) + 4, i32::from(*s) + 4))
        }
        (Min | Max, t) if types::is_orderable(t) => Some(t.clone()),
        (moment, t) if is_moment(moment) && types::is_numeric(t) => Some(DataType::Float64),
        _ => None,
    }
}

const BOOLEAN: &str = "a BOOLEAN";
const ORDERED: &str = "a value of a type that has an order";
pub(super) const NUMBER: &str = "a number";

fn takes(name: &str) -> &'static str {
    match name {
        "count_if" | "bool_and" | "every" | "bool_or" | "some" | "any" => BOOLEAN,
        "min" | "max" => ORDERED,
        _ => NUMBER,
    }
}

pub(super) fn wrong_type(name: &str, takes: &str, given: &DataType, at: Range<usize>) -> Fault {
    let help = match given {
        DataType::Utf8 if takes == NUMBER => "convert it: CAST(… AS DOUBLE)",
        DataType::Map(..) => "a MAP has no order; ask one of its values: m['key']",
        _ => "give it another argument",
    };
    Fault::new(at, format!("`{name}` takes {takes}, not {}", types::name(given)), help)
}
