//! Constant propagation and folding in conditions, as in Spark's optimizer: `k = 'a' AND length(k) > 0` becomes `k =
//! 'a'`.

use super::{conjuncts, failing, reorder, unwrap};
use crate::eval::{EvalContext, RowError, RowErrors, evaluate};
use crate::expr::{Comparison, Expr, HigherFunction};
use crate::value::Value;
use crate::zone::Zone;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Schema};
use std::sync::Arc;
use tidemill_model::Millis;

/// Functions that Spark's `NullPropagation` knows to give NULL beside a NULL that is a constant. What a condition demands of columns is
/// decided by fewer functions: `conjuncts::demanded`.
const NULL_PROPAGATED: &str = "\
    & ^ abs acos acosh add_months array_contains array_distinct array_except array_intersect array_max array_min \
    array_position array_remove array_size array_union arrays_overlap ascii asin asinh atan atan2 atanh base64 \
    bin bit_count bit_get bit_length bitmap_bit_position bitmap_bucket_number bitmap_count cbrt char contains \
    conv convert_timezone cos cosh cot crc32 csc date_add date_format date_from_unix_date date_sub dateadd \
    datediff day dayname dayofweek dayofyear degrees element_at encode endswith exp expm1 factorial find_in_set \
    flatten format_number from_unixtime from_utc_timestamp get hex hour hypot initcap instr is_valid_utf8 \
    json_array_length json_object_keys last_day left length like ln log log10 log1p log2 lower lpad luhn_check \
    make_date make_timestamp_ntz make_valid_utf8 map_contains_key map_entries map_from_arrays map_from_entries \
    map_keys map_values md5 minute month monthname next_day nullifzero octet_length parse_url pmod pow quarter \
    quote radians regexp_count regexp_extract regexp_extract_all regexp_instr regexp_substr repeat replace \
    reverse right rint rlike rpad sec second sha1 sha2 shiftleft shiftright shiftrightunsigned sign sin sinh \
    size slice sort_array soundex split_part sqrt startswith str_to_map substring substring_index tan tanh \
    timestamp_micros timestamp_millis timestamp_seconds to_binary to_char to_csv to_json to_number \
    to_utc_timestamp translate trim try_add try_divide try_element_at try_make_timestamp_ntz try_mod \
    try_multiply try_subtract try_to_number try_url_decode try_validate_utf8 unix_date unix_micros unix_millis \
    unix_seconds upper url_decode url_encode validate_utf8 weekday weekofyear width_bucket year | ~";

/// One round for a filter's condition, before it is simplified: propagates constants between conjuncts, then evaluates
/// constant expressions. Expressions that `is_whole` accepts count as columns and stay.
pub(super) fn folded(mut condition: Expr, zone: Zone, is_whole: &dyn Fn(&Expr) -> bool) -> Expr {
    carry(&mut condition, is_whole);
    with_written_nulls(&mut condition);
    fold(&mut condition, zone);
    condition
}

/// The expression with its constant parts evaluated.
pub(super) fn computed(mut expr: Expr, zone: Zone) -> Expr {
    with_written_nulls(&mut expr);
    fold(&mut expr, zone);
    expr
}

/// Replaces NULL by false where a filter treats both alike.
pub(super) fn null_is_false(condition: Expr) -> Expr {
    match condition {
        Expr::Literal(Value::Null, _) => Expr::Literal(Value::Boolean(false), DataType::Boolean),
        Expr::And(l, r) => conjuncts::and(null_is_false(*l), null_is_false(*r)),
        Expr::Or(l, r) => conjuncts::or(null_is_false(*l), null_is_false(*r)),
        Expr::Case(branches, otherwise, DataType::Boolean) => {
            let branches = branches.into_iter().map(|(condition, value)| (condition, null_is_false(value))).collect();
            Expr::Case(branches, otherwise.map(|value| Box::new(null_is_false(*value))), DataType::Boolean)
        }
        // `x NOT IN (…, NULL)` is false or NULL. A constant that fails stays, and is refused.
        Expr::Not(inner) if is_in_with_null(&inner) => Expr::Literal(Value::Boolean(false), DataType::Boolean),
        other => other,
    }
}

fn is_in_with_null(expr: &Expr) -> bool {
    let is_null = |x: &Expr| matches!(x, Expr::Literal(Value::Null, _));
    matches!(expr, Expr::In(x, list) if is_null(x) || list.values().iter().any(is_null)) && fails_nowhere(expr)
}

/// Whether no constant inside fails.
fn fails_nowhere(expr: &Expr) -> bool {
    failing::of_expr(expr, Zone::UTC).is_none()
}

/// `column = constant` in a chain of ANDs.
struct Equality {
    column: usize,
    constant: Expr,
    condition: Expr,
}

/// Spark's `ConstantPropagation`: beside `column = constant`, the constant replaces the column in comparisons. Not
/// under NOT, where a NULL would matter.
fn carry(condition: &mut Expr, is_whole: &dyn Fn(&Expr) -> bool) {
    match condition {
        Expr::And(..) => {
            let mut equalities = Vec::new();
            collect(condition, &mut equalities, is_whole);
            if !equalities.is_empty() {
                replace(condition, &equalities, is_whole);
            }
        }
        Expr::Or(l, r) => {
            carry(l, is_whole);
            carry(r, is_whole);
        }
        _ => {}
    }
}

/// Collects the equalities of a chain of ANDs, the last one of each column. Propagates inside ORs on the way.
fn collect(conjunct: &mut Expr, equalities: &mut Vec<Equality>, is_whole: &dyn Fn(&Expr) -> bool) {
    match conjunct {
        Expr::And(l, r) => {
            collect(l, equalities, is_whole);
            collect(r, equalities, is_whole);
        }
        Expr::Compare(Comparison::Equal | Comparison::NullSafeEqual, l, r) => {
            let ((Expr::Column(column, _), constant) | (constant, Expr::Column(column, _))) = (&**l, &**r) else {
                return;
            };
            if matches!(constant, Expr::Literal(value, _) if *value != Value::Null) {
                let (column, constant) = (*column, constant.clone());
                equalities.retain(|known| known.column != column);
                equalities.push(Equality { column, constant, condition: conjunct.clone() });
            }
        }
        other => carry(other, is_whole),
    }
}

/// Replaces columns by constants in comparisons, except in the equalities themselves.
fn replace(expr: &mut Expr, equalities: &[Equality], is_whole: &dyn Fn(&Expr) -> bool) {
    if equalities.iter().any(|known| known.condition == *expr) {
        return;
    }
    if matches!(expr, Expr::Compare(..)) {
        return substitute(expr, equalities, is_whole);
    }
    expr.children_mut(&mut |child| replace(child, equalities, is_whole));
}

fn substitute(expr: &mut Expr, equalities: &[Equality], is_whole: &dyn Fn(&Expr) -> bool) {
    if let Expr::Column(column, _) = expr {
        if let Some(known) = equalities.iter().find(|known| known.column == *column) {
            *expr = known.constant.clone();
        }
    } else if !is_whole(expr) {
        expr.children_mut(&mut |child| substitute(child, equalities, is_whole));
    }
}

/// Spark's `ConstantFolding` and `NullPropagation`. A constant is computed as a whole, after the NULLs that are written; one
/// that fails stays, and is refused or fails row by row. All else is done from the leaves up.
fn fold(expr: &mut Expr, zone: Zone) {
    if let Expr::Literal(..) | Expr::Column(..) | Expr::Variable(..) | Expr::Now = expr {
        return;
    }
    if failing::is_constant(expr) {
        if let Some(value) = value(expr, zone) {
            *expr = Expr::Literal(value, expr.data_type());
            return;
        }
        if !failing::is_conditional(expr) && failure(expr, zone).is_some() {
            return;
        }
    }
    let mut of_constants = true;
    expr.children_mut(&mut |child| {
        fold(child, zone);
        of_constants &= matches!(child, Expr::Literal(..));
    });
    where_null_is_false(expr);
    let computed = || Some(Expr::Literal(of_constants.then(|| value(expr, zone))??, expr.data_type()));
    // Beside a NULL that was not written, a constant that fails has ended the query before.
    let with_null = || with_null(expr).filter(|_| fails_nowhere(expr));
    let simpler = computed().or_else(with_null).or_else(|| with_constant(expr)).or_else(|| of_case(expr));
    let simpler = simpler.or_else(|| unwrap::unwrapped(expr, zone)).or_else(|| reorder::reordered(expr, zone));
    if let Some(simpler) = simpler {
        *expr = simpler;
    }
}

/// The NULLs that are written in an expression, and what is NULL because of them.
fn with_written_nulls(expr: &mut Expr) {
    expr.children_mut(&mut with_written_nulls);
    match expr {
        Expr::Cast(x, _, to) if matches!(**x, Expr::Literal(Value::Null, _)) => {
            *expr = Expr::Literal(Value::Null, to.clone());
        }
        _ => {
            if let Some(null) = with_null(expr) {
                *expr = null;
            }
        }
    }
}

/// The conditions inside of an expression that need only say whether they hold.
fn where_null_is_false(expr: &mut Expr) {
    let in_place = |condition: &mut Expr| {
        let taken = std::mem::replace(condition, Expr::Now);
        *condition = null_is_false(taken);
    };
    match expr {
        Expr::Case(branches, ..) => branches.iter_mut().for_each(|(condition, _)| in_place(condition)),
        Expr::Higher(call) if let HigherFunction::Filter | HigherFunction::MapFilter = call.function => {
            call.lambdas.iter_mut().for_each(|lambda| in_place(&mut lambda.body));
        }
        _ => {}
    }
}

/// A CASE without the branches whose condition is a constant; `None` if it has none of these.
fn of_case(expr: &Expr) -> Option<Expr> {
    let Expr::Case(branches, otherwise, data_type) = expr else { return None };
    let is_constant = |(condition, _): &&(Expr, Expr)| matches!(condition, Expr::Literal(..));
    branches.iter().find(is_constant)?;
    let is_true = |condition: &Expr| matches!(condition, Expr::Literal(Value::Boolean(true), _));
    let mut left: Vec<(Expr, Expr)> = Vec::new();
    for (condition, value) in branches {
        if is_true(condition) && left.is_empty() {
            return Some(value.clone());
        }
        if is_true(condition) {
            return Some(Expr::Case(left, Some(Box::new(value.clone())), data_type.clone()));
        }
        if !matches!(condition, Expr::Literal(..)) {
            left.push((condition.clone(), value.clone()));
        }
    }
    match (left.is_empty(), otherwise) {
        (true, Some(otherwise)) => Some(otherwise.as_ref().clone()),
        (true, None) => Some(Expr::Literal(Value::Null, data_type.clone())),
        (false, otherwise) => Some(Expr::Case(left, otherwise.clone(), data_type.clone())),
    }
}

/// The result of a comparison, an operation or a function with NULL.
fn with_null(expr: &Expr) -> Option<Expr> {
    let is_null = |x: &Expr| matches!(x, Expr::Literal(Value::Null, _));
    match expr {
        Expr::Compare(Comparison::NullSafeEqual, x, null) | Expr::Compare(Comparison::NullSafeEqual, null, x)
            if is_null(null) =>
        {
            Some(Expr::IsNull(x.clone()))
        }
        Expr::Compare(_, l, r) | Expr::Arithmetic(_, l, r, _) if is_null(l) || is_null(r) => {
            Some(Expr::Literal(Value::Null, expr.data_type()))
        }
        Expr::In(x, list) if is_null(x) || list.values().iter().all(is_null) => {
            Some(Expr::Literal(Value::Null, DataType::Boolean))
        }
        Expr::Call(function, arguments, data_type) if arguments.iter().any(is_null) => {
            let knows = NULL_PROPAGATED.split_whitespace().any(|name| name == function.name);
            knows.then(|| Expr::Literal(Value::Null, data_type.clone()))
        }
        _ => None,
    }
}

/// The result of a comparison of a value with itself, of a test of what is never NULL, and beside a constant condition.
fn with_constant(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::Compare(Comparison::NullSafeEqual, l, r) if l == r && conjuncts::is_deterministic(l) => {
            Some(conjuncts::constant(true))
        }
        Expr::IsNull(x) if conjuncts::never_null(x) => Some(conjuncts::constant(false)),
        Expr::IsNotNull(x) if conjuncts::never_null(x) => Some(conjuncts::constant(true)),
        Expr::And(l, r) => conjuncts::with_constant(l, r, false).filter(|_| fails_nowhere(expr)),
        Expr::Or(l, r) => conjuncts::with_constant(l, r, true).filter(|_| fails_nowhere(expr)),
        _ => None,
    }
}

/// The value of a constant expression. A text with only a time has none: it takes the date of the day.
fn value(expr: &Expr, zone: Zone) -> Option<Value> {
    let at = |timestamp| {
        let (array, errors) = in_one_row(expr, EvalContext { timestamp, zone, seed: 0 });
        errors.is_empty().then(|| Value::from_array(&array)).flatten()
    };
    const ANOTHER_DAY: Millis = Millis(10 * 86_400_000);
    at(Millis(0)).filter(|value| at(ANOTHER_DAY).as_ref() == Some(value))
}

/// Why a constant expression fails, if it does.
pub(super) fn failure(expr: &Expr, zone: Zone) -> Option<RowError> {
    let (_, errors) = in_one_row(expr, EvalContext { timestamp: Millis(0), zone, seed: 0 });
    errors.get(0).cloned()
}

fn in_one_row(expr: &Expr, context: EvalContext) -> (ArrayRef, RowErrors) {
    let one_row = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &one_row);
    let mut errors = RowErrors::default();
    let array = evaluate(expr, &row.expect("no columns"), &context, &mut errors);
    (array, errors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::InList;
    use crate::expr::Arithmetic;

    fn column(index: usize) -> Expr {
        Expr::Column(index, DataType::Int64)
    }

    fn number(value: i64) -> Expr {
        Expr::Literal(Value::Integer(value), DataType::Int64)
    }

    fn is(operator: Comparison, l: Expr, r: Expr) -> Expr {
        Expr::Compare(operator, Box::new(l), Box::new(r))
    }

    fn and(l: Expr, r: Expr) -> Expr {
        Expr::And(Box::new(l), Box::new(r))
    }

    fn boolean(value: bool) -> Expr {
        Expr::Literal(Value::Boolean(value), DataType::Boolean)
    }

    #[test]
    fn m1_constants_go_from_conjunct_to_conjunct() {
        use Comparison::{Equal, Greater, NullSafeEqual};
        let or = |l: &Expr, r: &Expr| Expr::Or(Box::new(l.clone()), Box::new(r.clone()));
        let not = |x: &Expr| Expr::Not(Box::new(x.clone()));
        let divided =
            |by: Expr| Expr::Arithmetic(Arithmetic::IntegerDivide, Box::new(number(6)), Box::new(by), DataType::Int64);
        let [a_is_1, a_is_2, b_is_1] =
            [(0, 1), (0, 2), (1, 1)].map(|(index, value)| is(Equal, column(index), number(value)));
        let null = Expr::Literal(Value::Null, DataType::Int64);
        let unknown = Expr::Literal(Value::Null, DataType::Boolean);
        let a_over_0 = is(Greater, column(0), number(0));
        let b_over_a = is(Greater, column(1), column(0));
        for (condition, expected) in [
            (and(a_is_1.clone(), a_over_0.clone()), a_is_1.clone()),
            (and(b_over_a.clone(), a_is_1.clone()), and(is(Greater, column(1), number(1)), a_is_1.clone())),
            // Of two equalities the last one counts, and the first is compared with it.
            (and(a_is_1.clone(), a_is_2.clone()), boolean(false)),
            (and(a_is_1.clone(), is(NullSafeEqual, number(1), column(0))), is(NullSafeEqual, number(1), column(0))),
            // Constants go into an OR but not out of one; an expression without comparison keeps its column.
            (and(a_is_1.clone(), or(&a_is_2, &b_is_1)), and(a_is_1.clone(), b_is_1.clone())),
            (and(or(&a_is_1, &b_is_1), a_over_0.clone()), and(or(&a_is_1, &b_is_1), a_over_0.clone())),
            (or(&and(a_is_1.clone(), a_over_0.clone()), &b_is_1), or(&a_is_1, &b_is_1)),
            (not(&and(a_is_1.clone(), a_over_0.clone())), not(&and(a_is_1.clone(), a_over_0.clone()))),
            (and(a_is_1.clone(), Expr::IsNull(Box::new(column(0)))), {
                and(a_is_1.clone(), Expr::IsNull(Box::new(column(0))))
            }),
            // A value is itself.
            (is(NullSafeEqual, column(0), column(0)), boolean(true)),
            // With NULL.
            (is(NullSafeEqual, column(0), null.clone()), Expr::IsNull(Box::new(column(0)))),
            (and(is(Equal, column(0), null.clone()), a_over_0.clone()), and(unknown.clone(), a_over_0.clone())),
            // What fails is left to the rows.
            (is(Equal, divided(number(2)), column(0)), is(Equal, number(3), column(0))),
            (is(Equal, divided(number(0)), column(0)), is(Equal, divided(number(0)), column(0))),
        ] {
            assert_eq!(folded(condition.clone(), Zone::UTC, &|_| false), expected, "{condition:?}");
        }
    }

    #[test]
    fn a_nan_is_itself_and_a_key_stays_whole() {
        let nan = Expr::Literal(Value::Double(f64::NAN), DataType::Float64);
        let is_nan = is(Comparison::Equal, Expr::Column(0, DataType::Float64), nan.clone());
        let both = and(is_nan.clone(), is(Comparison::Equal, column(1), number(1)));
        assert_eq!(folded(both.clone(), Zone::UTC, &|_| false), both);
        let computed =
            Expr::Arithmetic(Arithmetic::Subtract, Box::new(nan.clone()), Box::new(nan.clone()), DataType::Float64);
        assert_eq!(folded(computed, Zone::UTC, &|_| false), nan);
        let key = Expr::Arithmetic(Arithmetic::Add, Box::new(column(0)), Box::new(column(1)), DataType::Int64);
        let condition = and(is(Comparison::Equal, column(0), number(1)), is(Comparison::Less, key.clone(), column(2)));
        assert_eq!(folded(condition.clone(), Zone::UTC, &|x| *x == key), condition);
        assert_ne!(folded(condition.clone(), Zone::UTC, &|_| false), condition);
    }

    #[test]
    fn what_the_day_decides_is_no_constant() {
        let text = |text: &str| Expr::Literal(Value::String(text.into()), DataType::Utf8);
        let as_time = |expr: Expr| Expr::Cast(Box::new(expr), crate::expr::CastMode::Try, crate::types::timestamp());
        let noon = as_time(text("12:00"));
        assert_eq!(folded(noon.clone(), Zone::UTC, &|_| false), noon);
        let folded = folded(as_time(text("1970-01-01 00:00:01")), Zone::UTC, &|_| false);
        assert_eq!(folded, Expr::Literal(Value::Integer(1_000_000), crate::types::timestamp()));
    }

    #[test]
    fn null_is_false_where_a_filter_stands() {
        let null = Expr::Literal(Value::Null, DataType::Boolean);
        assert_eq!(null_is_false(and(null.clone(), column(0))), boolean(false));
        let not = Expr::Not(Box::new(null.clone()));
        assert_eq!(null_is_false(not.clone()), not);
        let one_of = |values| Expr::Not(Box::new(Expr::In(Box::new(column(0)), InList::new(values))));
        assert_eq!(null_is_false(one_of(vec![number(1), null])), boolean(false));
        assert_eq!(null_is_false(one_of(vec![number(1)])), one_of(vec![number(1)]));
    }
}
