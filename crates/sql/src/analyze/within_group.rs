//! `… WITHIN GROUP (ORDER BY …)`: aggregates of a group's values in an order of their own.

use super::aggregate_calls::{filtered, given_too, wrong_type};
use super::calls::check_count;
use super::collected::{made, named};
use super::resolve::Resolver;
use crate::expr::Expr;
use crate::syntax::{Call, Fault, SortItem};
use crate::types;
use crate::value::Value;
use arrow_schema::{DataType, Field};

/// The functions that have it.
pub(super) const NAMES: [&str; 5] = ["percentile_cont", "percentile_disc", "mode", "listagg", "string_agg"];

impl Resolver<'_> {
    /// A call of one of [`NAMES`] with an order.
    pub(super) fn within_group(
        &mut self,
        name: &str,
        call: &Call,
        order: &[SortItem],
        filter: Option<Expr>,
    ) -> Result<Expr, Fault> {
        if !NAMES.contains(&name) {
            let message = format!("`{name}` takes no WITHIN GROUP");
            let help = format!("leave it out: only {} have it", NAMES.join(", "));
            return Err(Fault::new(call.name.at.clone(), message, help));
        }
        if let "listagg" | "string_agg" = name {
            return self.listagg(name, call, order, filter);
        }
        let [item] = order else {
            let message = format!("`{name}` takes one value in WITHIN GROUP, not {}", order.len());
            return Err(Fault::new(call.name.at.clone(), message, "write WITHIN GROUP (ORDER BY x)"));
        };
        if name == "mode" {
            check_count(name, 0, 0, call)?;
            return self.mode_of(&item.node, item.descending, filter);
        }
        check_count(name, 1, 1, call)?;
        let (x, interval) = self.percentile_input(name, &item.node)?;
        let shares = self.shares(name, &call.arguments[0])?;
        let values = self.collected_values(filtered(filter, x));
        let arguments = vec![values, shares, Expr::Literal(Value::Boolean(item.descending), DataType::Boolean)];
        Ok(super::collected::percentile_of(name, arguments, interval))
    }

    /// The values behind one another in the order of the keys; rows of one place keep theirs.
    pub(super) fn in_order(&mut self, x: Expr, order: &[SortItem], filter: Option<Expr>) -> Result<Expr, Fault> {
        let data_type = types::array(x.data_type());
        let mut fields = vec![Field::new("x", x.data_type(), true)];
        let mut members = vec![text("x"), x.clone()];
        let mut directions = String::new();
        for (number, item) in order.iter().enumerate() {
            let (key, at) = self.computed(&item.node)?;
            if !types::is_orderable(&key.data_type()) {
                return Err(wrong_type("ORDER BY", "a value of a type that has an order", &key.data_type(), at));
            }
            directions.push(if item.descending { 'D' } else { 'A' });
            directions.push(if item.nulls_last { 'L' } else { 'F' });
            fields.push(Field::new(format!("k{number}"), key.data_type(), true));
            members.extend([text(&format!("k{number}")), key]);
        }
        let row = Expr::Call(named("named_struct"), members, DataType::Struct(fields.into()));
        let given = match filter {
            Some(filter) => given_too(filter, x),
            None => Expr::IsNotNull(Box::new(x)),
        };
        let rows = self.collected_values(filtered(Some(given), row));
        Ok(made("in order", vec![rows, text(&directions)], data_type))
    }
}

fn text(text: &str) -> Expr {
    Expr::Literal(Value::String(text.into()), DataType::Utf8)
}
