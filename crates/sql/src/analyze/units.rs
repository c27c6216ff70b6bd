//! Calls that name a unit or a field of a time: `timestampadd(unit, count, time)`, `EXTRACT(field FROM time)`.

use super::resolve::Resolver;
use crate::expr::Expr;
use crate::functions;
use crate::intervals;
use crate::syntax::{Call, Fault, Literal, Node, NodeKind};
use crate::value::Value;
use arrow_schema::DataType;
use std::ops::Range;

impl Resolver<'_> {
    /// `timestampadd(unit, count, time)` and `timestampdiff(unit, from, to)`, under all their names.
    pub(super) fn by_unit(&mut self, name: &str, call: &Call, at: &Range<usize>) -> Result<Expr, Fault> {
        let node = &call.arguments[0];
        let unit = match &node.kind {
            NodeKind::Name(parts) if parts.len() == 1 && !parts[0].quoted => parts[0].name.to_ascii_uppercase(),
            _ => String::new(),
        };
        if !functions::moments::units().any(|known| known == unit) {
            let message = format!("argument 1 of `{name}` is a unit");
            let help = format!("write one of {}", functions::moments::units().collect::<Vec<_>>().join(", "));
            return Err(Fault::new(node.at.clone(), message, help));
        }
        let unit = (Expr::Literal(Value::String(unit), DataType::Utf8), node.at.clone());
        let arguments = vec![unit, self.placed(&call.arguments[1])?, self.placed(&call.arguments[2])?];
        let adds = ["timestampadd", "dateadd", "date_add"].contains(&name);
        self.apply_named(if adds { "timestampadd" } else { "timestampdiff" }, arguments, at)
    }

    /// `EXTRACT(field FROM time)`.
    pub(super) fn extract(&mut self, arguments: &[Node], at: &Range<usize>) -> Result<Expr, Fault> {
        let field = match &arguments[0].kind {
            NodeKind::Literal(Literal::String(field)) => field.to_ascii_uppercase(),
            _ => String::new(),
        };
        let function = match field.as_str() {
            "YEAR" | "Y" | "YEARS" | "YR" | "YRS" => "year",
            "QUARTER" | "QTR" => "quarter",
            "MONTH" | "MON" | "MONS" | "MONTHS" => "month",
            "WEEK" | "W" | "WEEKS" => "weekofyear",
            "DAY" | "D" | "DAYS" => "day",
            "YEAROFWEEK" => "extract yearofweek",
            "DAYOFWEEK" | "DOW" => "dayofweek",
            "DAYOFWEEK_ISO" | "DOW_ISO" => "extract dayofweek_iso",
            "DOY" => "dayofyear",
            "HOUR" | "H" | "HOURS" | "HR" | "HRS" => "hour",
            "MINUTE" | "M" | "MIN" | "MINS" | "MINUTES" => "minute",
            "SECOND" | "S" | "SEC" | "SECONDS" | "SECS" => "extract second",
            _ => {
                let message = format!("`{field}` is not a field of a time");
                let help = "the fields are YEAR, QUARTER, MONTH, WEEK, DAY, DOW, DOY, HOUR, MINUTE and SECOND";
                return Err(Fault::new(arguments[0].at.clone(), message, help));
            }
        };
        let time = self.placed(&arguments[1])?;
        if intervals::is_interval(&time.0.data_type()) {
            return super::intervals::part(function, time.0, &field, &arguments[0].at);
        }
        self.apply_named(function, vec![time], at)
    }
}
