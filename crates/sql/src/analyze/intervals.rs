//! Interval expressions: sums with times and intervals, differences of times, multiples, fields, and functions that
//! take intervals as well as numbers.

use super::coerce::{self, SpannedExpr, cast_to};
use super::resolve::Resolver;
use crate::expr::{Arithmetic, Comparison, Expr};
use crate::functions;
use crate::intervals::{self, DAY, Kind, MICROS_PER_DAY, is_interval};
use crate::syntax::{Call, Fault};
use crate::types;
use crate::value::Value;
use crate::zone::Zone;
use arrow_schema::DataType;
use std::ops::Range;

impl Resolver<'_> {
    /// `+ - * /` on numbers, on times and intervals or days, and on intervals.
    pub(super) fn operate(
        &mut self,
        operator: Arithmetic,
        symbol: &str,
        left: SpannedExpr,
        right: SpannedExpr,
    ) -> Result<Expr, Fault> {
        let (from, to) = (left.0.data_type(), right.0.data_type());
        let is_sum = matches!(operator, Arithmetic::Add | Arithmetic::Subtract);
        let at = left.1.start..right.1.end;
        if !is_sum {
            return match (is_interval(&from), is_interval(&to)) {
                (true, true) if operator == Arithmetic::IntegerDivide => quotient(left, right, &at),
                (true, false) => scaled(operator, left, right),
                (false, true) if operator == Arithmetic::Multiply => scaled(operator, right, left),
                _ => coerce::arithmetic(operator, symbol, left, right),
            };
        }
        let days = |t: &DataType| matches!(t, DataType::Int8 | DataType::Int16 | DataType::Int32);
        match (&from, &to) {
            (time, interval) if types::is_datetime(time) && is_interval(interval) => {
                shift(left, right.0, operator == Arithmetic::Subtract, &at)
            }
            (interval, time) if is_interval(interval) && types::is_datetime(time) && operator == Arithmetic::Add => {
                shift(right, left.0, false, &at)
            }
            (a, b) if is_interval(a) && is_interval(b) => sum(operator, left, right, &at),
            (DataType::Date32, number) if days(number) => {
                let name = if operator == Arithmetic::Add { "date_add" } else { "date_sub" };
                let function = functions::find(name).expect("a function of the table");
                self.apply(function, symbol, vec![left, right], &at)
            }
            (a, b) if types::is_datetime(a) && types::is_datetime(b) && operator == Arithmetic::Subtract => {
                Ok(difference(left.0, right.0))
            }
            _ => coerce::arithmetic(operator, symbol, left, right),
        }
    }

    /// Functions of numbers that take an interval as well.
    pub(super) fn interval_form(&mut self, name: &str, call: &Call) -> Result<Option<Expr>, Fault> {
        if name == "width_bucket" && call.arguments.len() == 4 {
            return self.bucket_of_interval(call);
        }
        if !["abs", "sign", "signum", "positive"].contains(&name) || call.arguments.len() != 1 {
            return Ok(None);
        }
        let (x, at) = self.placed(&call.arguments[0])?;
        let data_type = x.data_type();
        if !is_interval(&data_type) || data_type == intervals::calendar() {
            return self.apply_named(name, vec![(x, at.clone())], &at).map(Some);
        }
        Ok(Some(match name {
            "positive" => x,
            "abs" => named("abs interval", vec![x], data_type),
            _ => named("sign interval", vec![x], DataType::Float64),
        }))
    }
}

impl Resolver<'_> {
    /// `width_bucket` of intervals of one kind, which are counted.
    fn bucket_of_interval(&mut self, call: &Call) -> Result<Option<Expr>, Fault> {
        let mut arguments = call.arguments.iter().map(|node| self.placed(node)).collect::<Result<Vec<_>, _>>()?;
        let types: Vec<DataType> = arguments[..3].iter().map(|(x, _)| x.data_type()).collect();
        if !types.iter().any(is_interval) {
            let at = arguments[0].1.start..arguments[3].1.end;
            return self.apply_named("width_bucket", arguments, &at).map(Some);
        }
        let of_one_kind = types.iter().all(|other| {
            is_interval(other) && intervals::common(&types[0], other).is_some_and(|t| t != intervals::calendar())
        });
        let at = arguments[0].1.start..arguments[2].1.end;
        if !of_one_kind {
            let names: Vec<String> = types.iter().map(types::name).collect();
            let message = format!("`width_bucket` cannot mix {}", names.join(" and "));
            return Err(Fault::new(at, message, "give it three intervals of one kind"));
        }
        for (x, at) in &mut arguments[..3] {
            let counted = count(std::mem::replace(x, Expr::Now), false, at)?;
            *x = cast_to(counted, &DataType::Float64);
        }
        self.apply_named("width_bucket", arguments, &at).map(Some)
    }
}

fn named(name: &str, arguments: Vec<Expr>, data_type: DataType) -> Expr {
    Expr::Call(functions::find(name).expect("a function of the table"), arguments, data_type)
}

/// `-x`.
pub(super) fn negative(x: Expr) -> Expr {
    let data_type = x.data_type();
    match x {
        Expr::Literal(Value::Integer(value), _) if value != i64::MIN && value != i64::from(i32::MIN) => {
            Expr::Literal(Value::Integer(-value), data_type)
        }
        x => named("negative interval", vec![x], data_type),
    }
}

/// A sum of two intervals of one kind.
fn sum(operator: Arithmetic, left: SpannedExpr, right: SpannedExpr, at: &Range<usize>) -> Result<Expr, Fault> {
    let (from, to) = (left.0.data_type(), right.0.data_type());
    let shared = intervals::common(&from, &to).filter(|shared| *shared != intervals::calendar());
    let Some(shared) = shared else {
        let message = format!("{} and {} have no sum", types::name(&from), types::name(&to));
        let help = "add two to a time, one after the other: time + INTERVAL '1 month' + INTERVAL '2 days'";
        return Err(Fault::new(at.clone(), message, help));
    };
    let (left, right) = (cast_to(left.0, &shared), cast_to(right.0, &shared));
    Ok(Expr::Arithmetic(operator, Box::new(left), Box::new(right), shared))
}

/// Quotient of two intervals of one kind.
fn quotient(left: SpannedExpr, right: SpannedExpr, at: &Range<usize>) -> Result<Expr, Fault> {
    let (from, to) = (left.0.data_type(), right.0.data_type());
    if intervals::common(&from, &to).is_none_or(|shared| shared == intervals::calendar()) {
        let message = format!("{} cannot be divided by {}", types::name(&from), types::name(&to));
        return Err(Fault::new(at.clone(), message, "divide intervals of one kind"));
    }
    let (left, right) = (count(left.0, false, at)?, count(right.0, false, at)?);
    Ok(Expr::Arithmetic(Arithmetic::IntegerDivide, Box::new(left), Box::new(right), DataType::Int64))
}

/// An interval multiplied or divided by a number. The result has all fields of its kind.
fn scaled(operator: Arithmetic, interval: SpannedExpr, number: SpannedExpr) -> Result<Expr, Fault> {
    let data_type = intervals::whole(&interval.0.data_type());
    let number_type = number.0.data_type();
    let is_text = matches!(number.0, Expr::Literal(Value::String(_), _));
    if !types::is_numeric(&number_type) && !is_text && !number_type.is_null() || data_type == intervals::calendar() {
        let message = format!(
            "{} cannot be multiplied with or divided by {}",
            types::name(&interval.0.data_type()),
            types::name(&number_type)
        );
        return Err(Fault::new(number.1, message, "give it a number"));
    }
    let number = match number.0 {
        Expr::Literal(Value::String(text), _) => {
            coerce::constant(&text, &DataType::Float64, crate::zone::Zone::UTC, number.1)?
        }
        number if number_type.is_null() => cast_to(number, &DataType::Int32),
        number => number,
    };
    let name = match operator {
        Arithmetic::Multiply => "* interval",
        Arithmetic::Divide => "/ interval",
        _ => {
            let message = format!("{} has no remainder", types::name(&interval.0.data_type()));
            return Err(Fault::new(interval.1, message, "divide it with /"));
        }
    };
    Ok(named(name, vec![interval.0, number], data_type))
}

/// Difference of two times: of dates in days, else in microseconds on the session's clock.
fn difference(left: Expr, right: Expr) -> Expr {
    if left.data_type() == DataType::Date32 && right.data_type() == DataType::Date32 {
        return named("days between", vec![left, right], intervals::day_time(DAY, DAY));
    }
    let shared = types::common(&left.data_type(), &right.data_type()).expect("two times have a type in common");
    let (left, right) = (cast_to(left, &shared), cast_to(right, &shared));
    named("time between", vec![left, right], intervals::day_time(DAY, intervals::SECOND))
}

/// A time plus an interval, or minus it if `back`. A DATE moved by less than days becomes a TIMESTAMP.
fn shift(time: SpannedExpr, interval: Expr, back: bool, at: &Range<usize>) -> Result<Expr, Fault> {
    let kind = intervals::kind(&interval.data_type()).expect("an interval");
    let time = match (time.0.data_type(), kind) {
        (DataType::Date32, Kind::DayTime(_, last)) if last != DAY => cast_to(time.0, &types::timestamp()),
        _ => time.0,
    };
    let data_type = time.data_type();
    if kind == Kind::Calendar {
        let back = Expr::Literal(Value::Boolean(back), DataType::Boolean);
        return Ok(named("+ calendar interval", vec![time, interval, back], data_type));
    }
    let count = count(interval, back, at)?;
    let nothing = Expr::Literal(Value::Integer(0), DataType::Int64);
    let (months, micros) = if matches!(kind, Kind::YearMonth(..)) { (count, nothing) } else { (nothing, count) };
    Ok(named("+ interval", vec![time, months, micros], data_type))
}

/// An interval's months or microseconds as BIGINT, negated if `back`.
fn count(interval: Expr, back: bool, at: &Range<usize>) -> Result<Expr, Fault> {
    match interval {
        Expr::Literal(Value::Integer(value), _) => {
            let value = if back { value.checked_neg() } else { Some(value) };
            let value = value.ok_or_else(|| Fault::new(at.clone(), "the INTERVAL is too long", "use a shorter one"))?;
            Ok(Expr::Literal(Value::Integer(value), DataType::Int64))
        }
        Expr::Literal(Value::Null, _) => Ok(Expr::Literal(Value::Null, DataType::Int64)),
        interval => {
            let count = named("count of interval", vec![interval], DataType::Int64);
            if !back {
                return Ok(count);
            }
            let minus_one = Expr::Literal(Value::Integer(-1), DataType::Int64);
            Ok(Expr::Arithmetic(Arithmetic::Multiply, Box::new(count), Box::new(minus_one), DataType::Int64))
        }
    }
}

/// The arguments of `sequence`: bounds of one type. For times the step is an interval, by default a day.
pub(super) fn sequence(
    mut arguments: Vec<SpannedExpr>,
    zone: Zone,
    at: &Range<usize>,
) -> Result<Vec<SpannedExpr>, Fault> {
    let step = (arguments.len() > 2).then(|| arguments.remove(2));
    let places: Vec<_> = arguments.iter().map(|(_, at)| at.clone()).collect();
    let numeric_step = step.iter().filter(|(step, _)| types::is_integral(&step.data_type())).cloned();
    let values = arguments.into_iter().chain(numeric_step).collect();
    let (mut values, data_type) = coerce::unify(values, zone, "`sequence` cannot go between")?;
    let is_time = types::is_datetime(&data_type);
    if !is_time && !types::is_integral(&data_type) {
        let message = format!("`sequence` takes integral numbers, dates or times, not {}", types::name(&data_type));
        return Err(Fault::new(at.clone(), message, "CAST its bounds"));
    }
    let step = match step {
        None if is_time => {
            let later =
                Expr::Compare(Comparison::LessOrEqual, Box::new(values[0].clone()), Box::new(values[1].clone()));
            let day = |days: i64| Expr::Literal(Value::Integer(days * MICROS_PER_DAY), intervals::day_time(DAY, DAY));
            Some((Expr::Case(vec![(later, day(1))], Some(Box::new(day(-1))), day(1).data_type()), at.clone()))
        }
        Some((step, place)) if !is_time && step.data_type().is_null() => Some((cast_to(step, &data_type), place)),
        Some((_, place)) if values.len() > 2 && !is_time => Some((values.remove(2), place)),
        Some((step, place)) if is_time == is_interval(&step.data_type()) && is_time => Some((step, place)),
        Some((step, place)) => {
            let wanted = if is_time { "an INTERVAL" } else { "an integral number" };
            let message = format!("the step of this `sequence` is {wanted}, not {}", types::name(&step.data_type()));
            return Err(Fault::new(place, message, "give it another step"));
        }
        None => None,
    };
    values.truncate(2);
    Ok(values.into_iter().zip(places).chain(step).collect())
}

/// `EXTRACT(field FROM interval)`; `function` extracts the same field from a time.
pub(super) fn part(function: &str, interval: Expr, field: &str, at: &Range<usize>) -> Result<Expr, Fault> {
    let kind = intervals::kind(&interval.data_type()).expect("an interval");
    let (part, data_type) = match (function, kind) {
        ("year", Kind::YearMonth(..)) => (0, DataType::Int32),
        ("month", Kind::YearMonth(..)) => (1, DataType::Int8),
        ("day", Kind::DayTime(..)) => (2, DataType::Int32),
        ("hour", Kind::DayTime(..)) => (3, DataType::Int8),
        ("minute", Kind::DayTime(..)) => (4, DataType::Int8),
        ("extract second", Kind::DayTime(..)) => (5, DataType::Decimal128(8, 6)),
        _ => {
            let message = format!("{} has no field {field}", types::name(&interval.data_type()));
            let help = "intervals have YEAR and MONTH, or DAY, HOUR, MINUTE and SECOND";
            return Err(Fault::new(at.clone(), message, help));
        }
    };
    let part = Expr::Literal(Value::Integer(part), DataType::Int32);
    Ok(named("part of interval", vec![interval, part], data_type))
}
