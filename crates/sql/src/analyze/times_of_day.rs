//! `make_timestamp(date[, TIME '…'[, zone]])` and its like, the only calls that take a TIME: a constant, since no column has
//! the type.

use super::calls::{check_count, convert};
use super::coerce::cast_to;
use super::resolve::Resolver;
use crate::expr::Expr;
use crate::functions::Param;
use crate::syntax::{Call, Fault, Literal, Node, NodeKind};
use crate::text::times;
use crate::types;
use crate::value::Value;
use arrow_schema::DataType;
use std::ops::Range;

impl Resolver<'_> {
    /// The timestamp of a date and a time of the day.
    pub(super) fn of_date_and_time(
        &mut self,
        name: &str,
        call: &Call,
        at: &Range<usize>,
    ) -> Result<Option<Expr>, Fault> {
        if let ("make_timestamp" | "try_make_timestamp", [date]) = (name, &call.arguments[..]) {
            let midnight = convert(self.placed(date)?, Param::Date, self.scope.zone, 1, name)?;
            return Ok(Some(cast_to(midnight, &types::timestamp())));
        }
        let made = match name {
            // In Spark what is tried fails as well.
            "make_timestamp" | "make_timestamp_ltz" | "try_make_timestamp" | "try_make_timestamp_ltz" => {
                "make_timestamp of date"
            }
            "make_timestamp_ntz" => "make_timestamp_ntz of date",
            "try_make_timestamp_ntz" => "try_make_timestamp_ntz of date",
            _ => return Ok(None),
        };
        let Some((text, time_at)) = call.arguments.get(1).and_then(text_of) else { return Ok(None) };
        check_count(name, 2, if name.ends_with("ntz") { 2 } else { 3 }, call)?;
        let date = self.placed(&call.arguments[0])?;
        if !matches!(date.0.data_type(), DataType::Date32 | DataType::Null) {
            let message = format!("`{name}` takes a DATE beside a TIME, not {}", types::name(&date.0.data_type()));
            return Err(Fault::new(date.1, message, "convert it: to_date(…)"));
        }
        let Some(micros) = times::time_of_day(text) else {
            let message = format!("'{text}' is no TIME");
            return Err(Fault::new(time_at.clone(), message, "correct the constant: TIME '23:59:59.999999'"));
        };
        let time = Expr::Literal(Value::Integer(micros), DataType::Int64);
        let mut arguments = vec![date, (time, time_at.clone())];
        if let Some(zone) = call.arguments.get(2) {
            arguments.push(self.placed(zone)?);
        }
        self.apply_named(made, arguments, at).map(Some)
    }
}

/// What `TIME '…'` says, and where.
fn text_of(node: &Node) -> Option<(&str, &Range<usize>)> {
    match &node.kind {
        NodeKind::Literal(Literal::Time(text)) => Some((text, &node.at)),
        _ => None,
    }
}
