//! Sums and products of whole numbers with constants in them: the constants are computed first, as by Spark's
//! `ReorderAssociativeOperator`.
//!
//! ```text
//!   i + 5 + n + 7         ─►  i + n + 12
//!   i + try_add(n, 5)     ─►  i + n + 5
//!   try_add(i + 5, 7)     ─►  try_add(i, 12)
//!   i + 0, i * 1          ─►  i
//! ```
//! It shows where a part overflows and the whole does not, or the other way round.

use super::{conjuncts, constants, failing};
use crate::expr::{Arithmetic, Expr};
use crate::types;
use crate::value::Value;
use crate::zone::Zone;

/// The sum or product in another form, if there is a constant in it.
pub(super) fn reordered(expr: &Expr, zone: Zone) -> Option<Expr> {
    let of = operator(expr)?;
    let mut parts = Vec::new();
    collect(expr, of, &mut parts);
    let (constants, others): (Vec<&Expr>, Vec<&Expr>) = parts.into_iter().partition(|part| failing::is_constant(part));
    if constants.is_empty() || others.is_empty() || !conjuncts::is_deterministic(expr) {
        return None;
    }
    let whole =
        |parts: Vec<&Expr>| parts.into_iter().cloned().reduce(|l, r| with_operands(expr, l, r)).expect("one at least");
    let constant = constants::computed(whole(constants), zone);
    let others = whole(others);
    let neutral = i64::from(of == Arithmetic::Multiply);
    Some(match &constant {
        Expr::Literal(Value::Null, _) => constant,
        Expr::Literal(Value::Integer(value), _) if *value == neutral => others,
        _ => with_operands(expr, others, constant),
    })
}

/// Which of the two it is, of whole numbers.
fn operator(expr: &Expr) -> Option<Arithmetic> {
    let operator = match expr {
        Expr::Arithmetic(Arithmetic::Add, ..) => Arithmetic::Add,
        Expr::Arithmetic(Arithmetic::Multiply, ..) if !is_minus(expr) => Arithmetic::Multiply,
        Expr::Call(function, ..) if function.name == "try_add" => Arithmetic::Add,
        Expr::Call(function, ..) if function.name == "try_multiply" => Arithmetic::Multiply,
        _ => return None,
    };
    types::is_integral(&expr.data_type()).then_some(operator)
}

/// `-x` is written as a product here, and is none for Spark.
fn is_minus(expr: &Expr) -> bool {
    matches!(expr, Expr::Arithmetic(_, _, r, _) if matches!(**r, Expr::Literal(Value::Integer(-1), _)))
}

fn collect<'a>(expr: &'a Expr, of: Arithmetic, parts: &mut Vec<&'a Expr>) {
    match expr {
        Expr::Arithmetic(_, l, r, _) if operator(expr) == Some(of) => {
            collect(l, of, parts);
            collect(r, of, parts);
        }
        Expr::Call(_, operands, _) if operator(expr) == Some(of) => {
            operands.iter().for_each(|operand| collect(operand, of, parts));
        }
        part => parts.push(part),
    }
}

/// The operation of `expr` on other operands.
fn with_operands(expr: &Expr, l: Expr, r: Expr) -> Expr {
    match expr {
        Expr::Arithmetic(operator, _, _, t) => Expr::Arithmetic(*operator, Box::new(l), Box::new(r), t.clone()),
        Expr::Call(function, _, t) => Expr::Call(function, vec![l, r], t.clone()),
        _ => unreachable!("a sum or a product"),
    }
}
