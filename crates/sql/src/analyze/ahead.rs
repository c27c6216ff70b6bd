//! What Spark computes ahead of an expression, whether a row comes to it or not: what is in it twice, and the operand of `nullif`,
//! BETWEEN and `regexp_substr`. A row in which that fails is a failed row, though it stands behind an AND that is decided, behind
//! an operand that is NULL, or in a `try_` function.
//!
//! ```text
//!   s <> 'a' AND int(s) BETWEEN 1 AND 5     fails where s is no number
//!   s <> 'a' AND int(s) > 1                 does not
//! ```
//! Branches of CASE and its kin and lambdas have nothing of the kind, nor have the conditions of WHERE and HAVING.

use super::{collected, conjuncts, unwrap};
use crate::eval::Order;
use crate::expr::{Arithmetic, CastMode, Comparison, Expr};
use crate::types;
use crate::value::Value;
use arrow_schema::DataType;
use std::collections::HashMap;

/// Functions that Spark makes a conditional expression of: only the first argument is always computed.
const CONDITIONAL: [&str; 3] = ["nanvl", "nanvl of floats", "right"];

/// The expression, which also fails where something fails that Spark computes ahead of it.
pub(super) fn with_errors(expr: &mut Expr) {
    let mut found = Found::default();
    found.collect(expr, size_of(expr));
    let hidden = |x: &Expr| may_fail(x) && !is_computed_in(expr, x);
    let mut ahead: Vec<Expr> = found.ahead.into_iter().filter(|x| hidden(x)).cloned().collect();
    if ahead.is_empty() {
        return;
    }
    let data_type = expr.data_type();
    ahead.push(std::mem::replace(expr, Expr::Now));
    *expr = Expr::Call(collected::named("the last"), ahead, data_type);
}

#[derive(Default)]
struct Found<'a> {
    /// By their size: an expression is compared only with others of its size, none of which is inside of it.
    seen: HashMap<usize, Vec<&'a Expr>>,
    ahead: Vec<&'a Expr>,
}

impl<'a> Found<'a> {
    /// Collects what is counted in an expression of this size.
    fn collect(&mut self, expr: &'a Expr, size: usize) {
        if size == 1 {
            return;
        }
        let alike = self.seen.entry(size).or_default();
        if alike.contains(&expr) {
            return self.add(expr);
        }
        alike.push(expr);
        if let Some(x) = shared_operand(expr) {
            self.add(x);
        }
        each_counted(expr, &mut |child| self.collect(child, size_of(child)));
    }

    fn add(&mut self, expr: &'a Expr) {
        if !self.ahead.contains(&expr) {
            self.ahead.push(expr);
        }
    }
}

/// Number of expressions in it.
fn size_of(expr: &Expr) -> usize {
    let mut size = 1;
    expr.children(&mut |child| size += size_of(child));
    size
}

/// What `nullif` and `regexp_substr` name twice.
fn shared_operand(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::Case(branches, Some(otherwise), _) => match branches.as_slice() {
            [(Expr::Compare(Comparison::Equal, x, _), Expr::Literal(Value::Null, _))] if x == otherwise => Some(x),
            _ => None,
        },
        Expr::Call(function, ..) if function.name == "regexp_substr" => Some(expr),
        _ => None,
    }
}

/// The parts that Spark regards as always computed, when it looks for what is there twice.
fn each_counted<'a>(expr: &'a Expr, visit: &mut dyn FnMut(&'a Expr)) {
    match expr {
        Expr::Case(branches, ..) => visit(&branches[0].0),
        Expr::Coalesce(list, _) => list.first().into_iter().for_each(visit),
        Expr::Call(function, arguments, _) if CONDITIONAL.contains(&function.name) => visit(&arguments[0]),
        Expr::Higher(_) => {}
        other => other.children(visit),
    }
}

/// Whether every row that computes the expression computes `x`, and fails if `x` does.
fn is_computed_in(expr: &Expr, x: &Expr) -> bool {
    let inside = |part: &Expr| is_computed_in(part, x);
    expr == x
        || match expr {
            Expr::Field(part, ..)
            | Expr::Cast(part, ..)
            | Expr::IsNull(part)
            | Expr::IsNotNull(part)
            | Expr::Not(part)
            | Expr::In(part, _)
            | Expr::And(part, _)
            | Expr::Or(part, _) => inside(part),
            Expr::Compare(operator, l, r) => {
                inside(l) || inside(r) && (*operator == Comparison::NullSafeEqual || conjuncts::never_null(l))
            }
            Expr::Arithmetic(Arithmetic::Add | Arithmetic::Subtract | Arithmetic::Multiply, l, r, _) => {
                inside(l) || inside(r) && conjuncts::never_null(l)
            }
            Expr::Arithmetic(_, l, r, _) => inside(r) || inside(l) && conjuncts::never_null(r),
            Expr::Case(branches, ..) => inside(&branches[0].0),
            Expr::Coalesce(list, _) => list.first().is_some_and(inside),
            Expr::Call(function, arguments, _) => match (function.order, arguments.as_slice()) {
                (Order::Whole, arguments) => arguments.iter().any(inside),
                (Order::Backward, [.., last]) => inside(last),
                (Order::ThirdFirst, [_, _, third, ..]) => inside(third),
                (_, arguments) => arguments.first().is_some_and(inside),
            },
            Expr::Higher(call) => call.arguments.first().is_some_and(inside),
            Expr::Column(..) | Expr::Literal(..) | Expr::Variable(..) | Expr::Now | Expr::Try(_) => false,
        }
}

/// Whether there can be a row in which the expression fails.
pub(super) fn may_fail(expr: &Expr) -> bool {
    let of_floats = |t: &DataType| types::is_floating(t);
    let own = match expr {
        Expr::Cast(x, CastMode::Ansi, to) => *to != DataType::Utf8 && !unwrap::is_widened(&x.data_type(), to),
        Expr::Arithmetic(Arithmetic::Add | Arithmetic::Subtract | Arithmetic::Multiply, .., t) => !of_floats(t),
        Expr::Arithmetic(..) | Expr::Call(..) | Expr::Higher(_) => true,
        _ => false,
    };
    let mut may = own;
    if !matches!(expr, Expr::Try(_)) {
        expr.children(&mut |child| may = may || may_fail(child));
    }
    may
}
