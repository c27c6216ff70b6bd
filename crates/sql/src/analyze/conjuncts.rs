//! Splits and combines conditions as Spark's optimizer does.

use super::{random, unwrap};
use crate::expr::{Arithmetic, CastMode, Comparison, Expr};
use crate::value::Value;
use arrow_schema::DataType;

/// The conjuncts of a condition. Only ANDs are split.
pub(super) fn split(condition: Expr) -> Vec<Expr> {
    match condition {
        Expr::And(l, r) => [split(*l), split(*r)].concat(),
        other => vec![other],
    }
}

/// One pass of Spark's `BooleanSimplification`, from the leaves up: factors out what both sides share and moves NOT
/// inwards.
pub(super) fn simplify(mut condition: Expr) -> Expr {
    let is_logic = matches!(condition, Expr::And(..) | Expr::Or(..) | Expr::Not(..));
    if is_logic {
        condition.children_mut(&mut |child| {
            let taken = std::mem::replace(child, Expr::Now);
            *child = simplify(taken);
        });
    }
    match condition {
        Expr::And(l, r) => simplify_and(*l, *r),
        Expr::Or(l, r) => simplify_or(*l, *r),
        Expr::Not(x) => negated(*x),
        Expr::IsNull(x) if never_null(&x) => constant(false),
        Expr::IsNotNull(x) if never_null(&x) => constant(true),
        other => other,
    }
}

pub(super) fn constant(value: bool) -> Expr {
    Expr::Literal(Value::Boolean(value), DataType::Boolean)
}

/// Whether it is this constant.
pub(super) fn is_constant(condition: &Expr, value: bool) -> bool {
    *condition == constant(value)
}

/// `l AND r`, or what it is if a side is a constant.
pub(super) fn and(l: Expr, r: Expr) -> Expr {
    with_constant(&l, &r, false).unwrap_or_else(|| Expr::And(Box::new(l), Box::new(r)))
}

/// `l OR r`, or what it is if a side is a constant.
pub(super) fn or(l: Expr, r: Expr) -> Expr {
    with_constant(&l, &r, true).unwrap_or_else(|| Expr::Or(Box::new(l), Box::new(r)))
}

/// `(a OR b) AND (a OR c)` becomes `a OR (b AND c)`. If nothing is shared, removes a repeated conjunct.
fn simplify_and(l: Expr, r: Expr) -> Expr {
    // In a filter, NULL is as good as false, so a condition and its negation are false together.
    if are_contrary(&l, &r) {
        return constant(false);
    }
    if let Some(decided) = with_constant(&l, &r, false) {
        return decided;
    }
    if let Some((l, r)) = without_contrary(&l, &r, |x| if let Expr::Or(l, r) = x { Some((l, r)) } else { None }) {
        return Expr::And(Box::new(l), Box::new(r));
    }
    let (left, right) = (disjuncts(l.clone()), disjuncts(r.clone()));
    let (shared, left, right) = shared(left, right);
    if shared.is_empty() {
        return Expr::all(distinct([split(l), split(r)].concat())).expect("there are two at least");
    }
    let rest = any(left).zip(any(right)).map(|(l, r)| Expr::And(Box::new(l), Box::new(r)));
    any(shared.into_iter().chain(rest)).expect("something is shared")
}

/// `(a AND b) OR (a AND c)` becomes `a AND (b OR c)`.
fn simplify_or(l: Expr, r: Expr) -> Expr {
    if let Some(decided) = with_constant(&l, &r, true) {
        return decided;
    }
    if let Some((l, r)) = without_contrary(&l, &r, |x| if let Expr::And(l, r) = x { Some((l, r)) } else { None }) {
        return Expr::Or(Box::new(l), Box::new(r));
    }
    let (left, right) = (split(l.clone()), split(r.clone()));
    let (shared, left, right) = shared(left, right);
    if shared.is_empty() {
        return any(distinct([disjuncts(l), disjuncts(r)].concat())).expect("there are two at least");
    }
    let rest = Expr::all(left).zip(Expr::all(right)).map(|(l, r)| Expr::Or(Box::new(l), Box::new(r)));
    Expr::all(shared.into_iter().chain(rest)).expect("something is shared")
}

/// Simplifies two sides of which one is constant: the constant `decides` gives the result (false for AND, true for OR),
/// the other one leaves the other side.
pub(super) fn with_constant(l: &Expr, r: &Expr, decides: bool) -> Option<Expr> {
    if is_constant(l, decides) || is_constant(r, !decides) {
        return Some(l.clone());
    }
    (is_constant(r, decides) || is_constant(l, !decides)).then(|| r.clone())
}

/// `a AND (NOT a OR b)` becomes `a AND b`, and `a OR (NOT a AND b)` becomes `a OR b`, if `a` is never NULL. Returns the
/// two sides.
fn without_contrary(
    l: &Expr,
    r: &Expr,
    inner: impl Fn(&Expr) -> Option<(&Box<Expr>, &Box<Expr>)>,
) -> Option<(Expr, Expr)> {
    let is_not = |x: &Expr, y: &Expr| matches!(x, Expr::Not(inner) if **inner == *y);
    if let Some((b, c)) = inner(r).filter(|_| never_null(l)) {
        let rest = if is_not(b, l) { Some(c) } else { is_not(c, l).then_some(b) };
        if let Some(rest) = rest {
            return Some((l.clone(), (**rest).clone()));
        }
    }
    let (a, b) = inner(l)?;
    let not_null = |x: &Expr| matches!(x, Expr::Not(x) if never_null(x)) || never_null(x);
    let rest = if not_null(a) && is_not(a, r) { b } else { (not_null(b) && is_not(b, r)).then_some(a)? };
    Some(((**rest).clone(), r.clone()))
}

/// Whether Spark regards one as the negation of the other. IS NULL and IS NOT NULL do not count.
fn are_contrary(l: &Expr, r: &Expr) -> bool {
    let negates = |x: &Expr, y: &Expr| match x {
        Expr::Not(x) => **x == *y,
        Expr::Compare(..) => negated(x.clone()) == *y,
        _ => false,
    };
    negates(l, r) || negates(r, l)
}

/// Functions that give a value for any arguments.
const NEVER_NULL: [&str; 7] = ["array", "hash", "isnan", "map", "named_struct", "struct", "xxhash64"];

/// Whether Spark's optimizer knows that the expression is not NULL. Columns may all be NULL.
pub(super) fn never_null(x: &Expr) -> bool {
    let no_child_is_null = || {
        let mut known = true;
        x.children(&mut |child| known = known && never_null(child));
        known
    };
    match x {
        Expr::IsNull(_) | Expr::IsNotNull(_) | Expr::Compare(Comparison::NullSafeEqual, ..) | Expr::Now => true,
        Expr::Literal(value, _) => *value != Value::Null,
        Expr::Coalesce(list, _) => list.iter().any(never_null),
        Expr::Case(branches, otherwise, _) => {
            let mut values = branches.iter().map(|(_, value)| value);
            otherwise.as_ref().is_some_and(|value| never_null(value)) && values.all(never_null)
        }
        Expr::Call(function, ..) => NEVER_NULL.contains(&function.name),
        Expr::Cast(x, CastMode::Ansi, to) => never_null(x) && unwrap::is_widened(&x.data_type(), to),
        Expr::Arithmetic(Arithmetic::Add | Arithmetic::Subtract | Arithmetic::Multiply, .., t) => {
            !matches!(t, DataType::Decimal128(..)) && no_child_is_null()
        }
        Expr::Not(_) | Expr::And(..) | Expr::Or(..) | Expr::Compare(..) | Expr::In(..) => no_child_is_null(),
        _ => false,
    }
}

fn negated(x: Expr) -> Expr {
    let not = |x: Box<Expr>| Box::new(Expr::Not(x));
    match x {
        Expr::Not(x) => *x,
        Expr::Or(l, r) => Expr::And(not(l), not(r)),
        Expr::And(l, r) => Expr::Or(not(l), not(r)),
        Expr::IsNull(x) => Expr::IsNotNull(x),
        Expr::IsNotNull(x) => Expr::IsNull(x),
        Expr::Compare(Comparison::Greater, l, r) => Expr::Compare(Comparison::LessOrEqual, l, r),
        Expr::Compare(Comparison::GreaterOrEqual, l, r) => Expr::Compare(Comparison::Less, l, r),
        Expr::Compare(Comparison::Less, l, r) => Expr::Compare(Comparison::GreaterOrEqual, l, r),
        Expr::Compare(Comparison::LessOrEqual, l, r) => Expr::Compare(Comparison::Greater, l, r),
        other => Expr::Not(Box::new(other)),
    }
}

fn disjuncts(condition: Expr) -> Vec<Expr> {
    match condition {
        Expr::Or(l, r) => [disjuncts(*l), disjuncts(*r)].concat(),
        other => vec![other],
    }
}

fn any(disjuncts: impl IntoIterator<Item = Expr>) -> Option<Expr> {
    disjuncts.into_iter().reduce(|l, r| Expr::Or(Box::new(l), Box::new(r)))
}

/// What two lists share, and the rest of each.
fn shared(left: Vec<Expr>, right: Vec<Expr>) -> (Vec<Expr>, Vec<Expr>, Vec<Expr>) {
    let (shared, left): (Vec<Expr>, Vec<Expr>) = left.into_iter().partition(|x| right.contains(x));
    let right = right.into_iter().filter(|x| !shared.contains(x)).collect();
    (shared, left, right)
}

fn distinct(exprs: Vec<Expr>) -> Vec<Expr> {
    let mut distinct: Vec<Expr> = Vec::new();
    for expr in exprs {
        if !distinct.contains(&expr) {
            distinct.push(expr);
        }
    }
    distinct
}

/// Whether Spark may move the condition: it must use neither the batch's time nor a random value.
pub(super) fn is_deterministic(expr: &Expr) -> bool {
    let mut deterministic = !matches!(expr, Expr::Now) && !random::is_column(expr);
    expr.children(&mut |child| deterministic &= is_deterministic(child));
    deterministic
}

/// Whether the expression uses a column.
pub(super) fn names(expr: &Expr, column: usize) -> bool {
    expr.has_column(|index| index == column)
}

/// Functions on event times that, to the knowledge of Spark's optimizer, give NULL for NULL.
const NULL_FOR_NULL: [&str; 24] = [
    "abs",
    "ceil",
    "date_add",
    "date_sub",
    "datediff",
    "day",
    "dayofweek",
    "dayofyear",
    "floor",
    "hour",
    "length",
    "lower",
    "minute",
    "month",
    "quarter",
    "second",
    "timestamp_micros",
    "timestamp_millis",
    "timestamp_seconds",
    "trim",
    "unix_micros",
    "unix_seconds",
    "upper",
    "year",
];

/// The expressions that cannot be NULL if a condition holds, as Spark infers them; only those that `is_column` accepts.
pub(super) fn demanded(condition: &Expr, is_column: &dyn Fn(&Expr) -> bool) -> Vec<Expr> {
    let mut found = Vec::new();
    let inner = if let Expr::IsNotNull(x) = condition { x } else { condition };
    null_for_null(inner, is_column, &mut found);
    found
}

fn null_for_null(expr: &Expr, is_column: &dyn Fn(&Expr) -> bool, found: &mut Vec<Expr>) {
    if is_column(expr) {
        found.push(expr.clone());
        return;
    }
    match expr {
        Expr::Compare(Comparison::NullSafeEqual, ..) => {}
        Expr::Compare(..) | Expr::Arithmetic(..) | Expr::Cast(..) | Expr::Field(..) | Expr::Not(_) => {
            expr.children(&mut |child| null_for_null(child, is_column, found));
        }
        Expr::Call(function, arguments, _) if NULL_FOR_NULL.contains(&function.name) => {
            arguments.iter().for_each(|argument| null_for_null(argument, is_column, found));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn m1_conditions_as_the_optimizer_simplifies_them() {
        let [a, b, c] = [column(0), column(1), column(2)];
        let null = Expr::IsNull(Box::new(c.clone()));
        let less = Expr::Compare(Comparison::Less, Box::new(b.clone()), Box::new(c.clone()));
        let [ab, ac] = [and(a.clone(), b.clone()), and(a.clone(), c.clone())];
        for (condition, expected) in [
            (or(ab.clone(), ac.clone()), and(a.clone(), or(b.clone(), c.clone()))),
            (and(or(a.clone(), b.clone()), or(a.clone(), c.clone())), or(a.clone(), and(b.clone(), c.clone()))),
            (or(a.clone(), ab.clone()), a.clone()),
            (and(a.clone(), or(a.clone(), b.clone())), a.clone()),
            (and(ab.clone(), a.clone()), ab.clone()),
            (not(or(a.clone(), b.clone())), and(not(a.clone()), not(b.clone()))),
            (not(ab.clone()), or(not(a.clone()), not(b.clone()))),
            (not(not(a.clone())), a.clone()),
            (and(null.clone(), not(and(b.clone(), null.clone()))), and(null.clone(), not(b.clone()))),
            (or(not(or(null.clone(), b.clone())), null.clone()), or(not(b.clone()), null.clone())),
            (and(a.clone(), not(and(b.clone(), a.clone()))), and(a.clone(), or(not(b.clone()), not(a.clone())))),
            (and(or(Expr::IsNull(Box::new(null.clone())), a.clone()), b.clone()), and(a.clone(), b.clone())),
            (or(and(Expr::IsNull(Box::new(null.clone())), a.clone()), b.clone()), b.clone()),
            (or(Expr::IsNotNull(Box::new(null.clone())), a.clone()), constant(true)),
            (and(a.clone(), not(a.clone())), constant(false)),
            (and(less.clone(), not(less.clone())), constant(false)),
            (and(null.clone(), not(null.clone())), and(null.clone(), Expr::IsNotNull(Box::new(c.clone())))),
            // Sharing is factored out first, so the NOT meets an AND.
            (not(or(ab, ac)), or(not(a.clone()), not(or(b.clone(), c.clone())))),
            (and(and(or(a.clone(), b.clone()), c.clone()), or(a.clone(), c.clone())), {
                and(and(or(a.clone(), b.clone()), c.clone()), or(a, c))
            }),
        ] {
            assert_eq!(simplify(condition.clone()), expected, "{condition:?}");
        }
    }
}
