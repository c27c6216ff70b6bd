//! WHERE in pieces, and which pieces lie below the watermark node (rule M1).

use crate::expr::Expr;

/// The conjuncts of a condition, as Spark's optimizer takes it apart: AND, NOT over OR, double NOT, and what both
/// sides of an OR demand.
pub(super) fn split(condition: Expr) -> Vec<Expr> {
    match condition {
        Expr::And(l, r) => [split(*l), split(*r)].concat(),
        Expr::Not(inner) => match *inner {
            Expr::Not(x) => split(*x),
            Expr::Or(l, r) => [split(Expr::Not(l)), split(Expr::Not(r))].concat(),
            other => vec![Expr::Not(Box::new(other))],
        },
        Expr::Or(l, r) => split_or(*l, *r),
        other => vec![other],
    }
}

/// `(a AND b) OR (a AND c)` is `a AND (b OR c)`.
fn split_or(l: Expr, r: Expr) -> Vec<Expr> {
    let (left, right) = (split(l), split(r));
    let (mut shared, left_rest): (Vec<Expr>, Vec<Expr>) = left.into_iter().partition(|x| right.contains(x));
    let right_rest: Vec<Expr> = right.into_iter().filter(|x| !shared.contains(x)).collect();
    if let (Some(left), Some(right)) = (join(left_rest), join(right_rest)) {
        shared.push(Expr::Or(Box::new(left), Box::new(right)));
    }
    shared
}

fn join(conjuncts: Vec<Expr>) -> Option<Expr> {
    conjuncts.into_iter().reduce(|l, r| Expr::And(Box::new(l), Box::new(r)))
}

/// Whether Spark may move the condition: it does not ask for the batch's time.
pub(super) fn is_deterministic(expr: &Expr) -> bool {
    let mut deterministic = !matches!(expr, Expr::Now);
    expr.children(&mut |child| deterministic &= is_deterministic(child));
    deterministic
}

/// Whether the expression names a column.
pub(super) fn names(expr: &Expr, column: usize) -> bool {
    let mut found = false;
    expr.columns(&mut |index| found |= index == column);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_schema::DataType;

    fn column(index: usize) -> Expr {
        Expr::Column(index, DataType::Boolean)
    }

    fn and(l: Expr, r: Expr) -> Expr {
        Expr::And(Box::new(l), Box::new(r))
    }

    fn or(l: Expr, r: Expr) -> Expr {
        Expr::Or(Box::new(l), Box::new(r))
    }

    fn not(x: Expr) -> Expr {
        Expr::Not(Box::new(x))
    }

    #[test]
    fn m1_conjuncts_as_the_optimizer_sees_them() {
        let [a, b, c] = [column(0), column(1), column(2)];
        assert_eq!(split(and(and(a.clone(), b.clone()), c.clone())), [a.clone(), b.clone(), c.clone()]);
        assert_eq!(split(not(or(a.clone(), b.clone()))), [not(a.clone()), not(b.clone())]);
        assert_eq!(split(not(not(and(a.clone(), b.clone())))), [a.clone(), b.clone()]);
        let either = or(and(a.clone(), b.clone()), and(a.clone(), c.clone()));
        assert_eq!(split(either), [a.clone(), or(b.clone(), c.clone())]);
        assert_eq!(split(or(a.clone(), and(a.clone(), b.clone()))), std::slice::from_ref(&a));
        assert_eq!(split(or(a.clone(), b.clone())), [or(a, b)]);
    }
}
