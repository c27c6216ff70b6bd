//! A cast that is compared with a constant: the constant is cast instead, or the comparison is decided without the cast, as by
//! Spark's `UnwrapCastInBinaryComparison`.
//!
//! ```text
//!   CAST(y AS INT) > 5                           ─►  y > 5Y
//!   CAST(y AS INT) > 300, of a TINYINT           ─►  y IS NULL AND NULL
//!   CAST(y AS INT) <=> 300                       ─►  false
//!   CAST(ts AS DATE) = DATE '2024-02-29'         ─►  ts >= '2024-02-29 00:00:00' AND ts < '2024-03-01 00:00:00'
//! ```
//! It shows where `y` fails: what is not evaluated does not fail. And a day of a zone that has some hour twice ends where its
//! next day begins for the first time.

use super::{conjuncts, constants, failing};
use crate::eval::{InList, compare};
use crate::expr::{CastMode, Comparison, Expr};
use crate::types;
use crate::value::Value;
use crate::zone::Zone;
use arrow_schema::DataType;
use std::cmp::Ordering;

/// The comparison in another form, if there is one.
pub(super) fn unwrapped(expr: &Expr, zone: Zone) -> Option<Expr> {
    match expr {
        Expr::Compare(operator, l, r) => match (&**l, &**r) {
            (Expr::Cast(x, _, to), Expr::Literal(value, _)) => {
                Constant::beside(x, value, to, zone)?.compared(*operator)
            }
            (Expr::Literal(value, _), Expr::Cast(x, _, to)) => {
                Constant::beside(x, value, to, zone)?.compared(swapped(*operator))
            }
            _ => None,
        },
        Expr::In(cast, list) => match &**cast {
            Expr::Cast(x, _, to) => one_of(x, list, to, zone),
            _ => None,
        },
        _ => None,
    }
}

fn swapped(operator: Comparison) -> Comparison {
    match operator {
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        Comparison::Equal | Comparison::NotEqual | Comparison::NullSafeEqual => operator,
    }
}

/// A constant that `x`, cast to the constant's type, is compared with.
struct Constant<'a> {
    x: &'a Expr,
    constant: Expr,
    zone: Zone,
}

impl<'a> Constant<'a> {
    /// `None`: NULL, or `x` is a constant or has one inside that fails.
    fn beside(x: &'a Expr, value: &Value, to: &DataType, zone: Zone) -> Option<Constant<'a>> {
        let constant = Expr::Literal(value.clone(), to.clone());
        (*value != Value::Null && !is_computed_before(x, zone)).then_some(Constant { x, constant, zone })
    }

    fn compared(&self, operator: Comparison) -> Option<Expr> {
        match (self.x.data_type(), self.constant.data_type()) {
            (from, to) if is_widened(&from, &to) => self.with_number(operator, &from, &to),
            (from, DataType::Date32) if types::is_timestamp(&from) => self.with_day(operator, &from),
            (DataType::Date32, to) if types::is_timestamp(&to) => self.day_with_time(operator, &to),
            (from, to) if types::is_timestamp(&from) && types::is_timestamp(&to) => {
                let there = cast(&self.constant, &from, self.zone)?;
                let back = cast(&there, &to, self.zone)?;
                (back == self.constant).then(|| self.to(operator, there))
            }
            _ => None,
        }
    }

    fn with_number(&self, operator: Comparison, from: &DataType, to: &DataType) -> Option<Expr> {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual, NullSafeEqual};
        if let Some([least, greatest]) = ends(from) {
            let beside_least = order(&self.constant, &cast(&least, to, self.zone)?);
            let beside_greatest = order(&self.constant, &cast(&greatest, to, self.zone)?);
            match operator {
                _ if beside_least.is_gt() && beside_greatest.is_lt() => {}
                NullSafeEqual | Equal | NotEqual if beside_least.is_lt() || beside_greatest.is_gt() => {
                    return self.unequal(operator);
                }
                NullSafeEqual | Equal | NotEqual => {
                    return Some(self.to(operator, if beside_least.is_eq() { least } else { greatest }));
                }
                Less if beside_greatest.is_eq() => return Some(self.to(NotEqual, greatest)),
                GreaterOrEqual if beside_greatest.is_eq() => return Some(self.to(Equal, greatest)),
                Greater if beside_least.is_eq() => return Some(self.to(NotEqual, least)),
                LessOrEqual if beside_least.is_eq() => return Some(self.to(Equal, least)),
                Less | LessOrEqual => return Some(self.always(beside_greatest.is_ge())),
                Greater | GreaterOrEqual => return Some(self.always(beside_least.is_le())),
            }
        }
        let there = cast(&self.constant, from, self.zone)?;
        match order(&self.constant, &cast(&there, to, self.zone)?) {
            Ordering::Equal => Some(self.to(operator, there)),
            rounded => match operator {
                Equal | NotEqual | NullSafeEqual => self.unequal(operator),
                Less | LessOrEqual => Some(self.to(if rounded.is_lt() { Less } else { LessOrEqual }, there)),
                Greater | GreaterOrEqual => {
                    Some(self.to(if rounded.is_lt() { GreaterOrEqual } else { Greater }, there))
                }
            },
        }
    }

    /// A time of which the day is compared.
    fn with_day(&self, operator: Comparison, from: &DataType) -> Option<Expr> {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual, NullSafeEqual};
        let Expr::Literal(Value::Integer(day), date) = &self.constant else { return None };
        let start = |day: i64| cast(&Expr::Literal(Value::Integer(day), date.clone()), from, self.zone);
        let from_start = || Some(self.to(GreaterOrEqual, start(*day)?));
        let to_end = || Some(self.to(Less, start(day.checked_add(1)?)?));
        let inside = || Some(Expr::And(Box::new(from_start()?), Box::new(to_end()?)));
        match operator {
            Greater => Some(self.to(GreaterOrEqual, start(day.checked_add(1)?)?)),
            GreaterOrEqual => from_start(),
            Less => Some(self.to(Less, start(*day)?)),
            LessOrEqual => to_end(),
            Equal => inside(),
            NotEqual => Some(Expr::Not(Box::new(inside()?))),
            NullSafeEqual if conjuncts::never_null(self.x) => inside(),
            NullSafeEqual => None,
        }
    }

    /// A day that is compared with a time.
    fn day_with_time(&self, operator: Comparison, to: &DataType) -> Option<Expr> {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual, NullSafeEqual};
        let day = cast(&self.constant, &DataType::Date32, self.zone)?;
        let is_start = cast(&day, to, self.zone)? == self.constant;
        match operator {
            Equal | NotEqual | NullSafeEqual if !is_start => self.unequal(operator),
            GreaterOrEqual if !is_start => Some(self.to(Greater, day)),
            Less if !is_start => Some(self.to(LessOrEqual, day)),
            _ => Some(self.to(operator, day)),
        }
    }

    /// `x` beside a constant of its own type; a cast of `x` is unwrapped too.
    fn to(&self, operator: Comparison, constant: Expr) -> Expr {
        let compared = Expr::Compare(operator, Box::new(self.x.clone()), Box::new(constant));
        unwrapped(&compared, self.zone).unwrap_or(compared)
    }

    /// A comparison with a constant that no `x` is equal to.
    fn unequal(&self, operator: Comparison) -> Option<Expr> {
        match operator {
            Comparison::NullSafeEqual => conjuncts::is_deterministic(self.x).then(|| conjuncts::constant(false)),
            operator => Some(self.always(operator == Comparison::NotEqual)),
        }
    }

    /// A comparison that is decided for every `x` but NULL.
    fn always(&self, holds: bool) -> Expr {
        decided(self.x, holds)
    }
}

fn decided(x: &Expr, holds: bool) -> Expr {
    let null = Box::new(Expr::Literal(Value::Null, DataType::Boolean));
    let x = Box::new(x.clone());
    match holds {
        _ if conjuncts::never_null(&x) => conjuncts::constant(holds),
        true => Expr::Or(Box::new(Expr::IsNotNull(x)), null),
        false => Expr::And(Box::new(Expr::IsNull(x)), null),
    }
}

/// `CAST(x AS to) IN (…)` of constants: those that `x` can be equal to.
fn one_of(x: &Expr, list: &InList, to: &DataType, zone: Zone) -> Option<Expr> {
    let from = x.data_type();
    if is_computed_before(x, zone) || !is_widened(&from, to) {
        return None;
    }
    let mut values = Vec::new();
    for value in list.values() {
        match value {
            Expr::Literal(Value::Null, _) => values.push(Expr::Literal(Value::Null, from.clone())),
            Expr::Literal(..) => values.extend(
                cast(value, &from, zone)
                    .filter(|there| cast(there, to, zone).is_some_and(|back| order(value, &back).is_eq())),
            ),
            _ => return None,
        }
    }
    if values.is_empty() {
        return Some(decided(x, false));
    }
    let found = Expr::In(Box::new(x.clone()), InList::new(values));
    Some(unwrapped(&found, zone).unwrap_or(found))
}

/// Whether the expression is a constant, or has one inside that fails: Spark computes it before it looks at the cast.
fn is_computed_before(x: &Expr, zone: Zone) -> bool {
    failing::is_constant(x) || failing::of_expr(x, zone).is_some()
}

/// Whether the cast of a number, or of a BOOLEAN, keeps every value as it is, to the knowledge of Spark's optimizer.
pub(super) fn is_widened(from: &DataType, to: &DataType) -> bool {
    use DataType::{Boolean, Decimal128, Float32, Float64, Int8, Int16, Int32, Int64};
    const WIDTHS: [DataType; 6] = [Int8, Int16, Int32, Int64, Float32, Float64];
    let width = |t: &DataType| WIDTHS.iter().position(|known| known == t);
    match (from, to) {
        (Boolean, to) => types::is_numeric(to),
        (Int32 | Int64, Float32) | (Int64, Float64) => false,
        (Decimal128(p, s), to) if types::is_integral(to) => {
            types::decimal_of(to).is_some_and(|(whole, _)| *s == 0 && *p < whole)
        }
        (from, Decimal128(p, s)) => types::decimal_of(from).is_some_and(|(q, t)| {
            let whole = |p: u8, s: i8| i32::from(p) - i32::from(s);
            whole(*p, *s) >= whole(q, t) && *s >= t
        }),
        (from, to) => width(from).zip(width(to)).is_some_and(|(from, to)| from <= to),
    }
}

/// The least and the greatest value of a type that has them.
fn ends(data_type: &DataType) -> Option<[Expr; 2]> {
    let integers = |least: i64, greatest: i64| [least, greatest].map(Value::Integer);
    let values = match data_type {
        DataType::Boolean => [false, true].map(Value::Boolean),
        DataType::Int8 => integers(i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => integers(i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => integers(i32::MIN.into(), i32::MAX.into()),
        DataType::Int64 => integers(i64::MIN, i64::MAX),
        DataType::Float32 | DataType::Float64 => [f64::NEG_INFINITY, f64::NAN].map(Value::Double),
        _ => return None,
    };
    Some(values.map(|value| Expr::Literal(value, data_type.clone())))
}

/// A constant as another type; `None` if it does not fit.
fn cast(constant: &Expr, to: &DataType, zone: Zone) -> Option<Expr> {
    let cast = Expr::Cast(Box::new(constant.clone()), CastMode::Try, to.clone());
    match constants::computed(cast, zone) {
        Expr::Literal(Value::Null, _) | Expr::Cast(..) => None,
        value => Some(value),
    }
}

fn order(l: &Expr, r: &Expr) -> Ordering {
    let array = |x: &Expr| match x {
        Expr::Literal(value, data_type) => value.to_array(data_type),
        other => panic!("{other:?} is no constant"),
    };
    compare::order_at(&array(l), 0, &array(r), 0)
}
