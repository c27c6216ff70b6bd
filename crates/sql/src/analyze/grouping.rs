//! ROLLUP, CUBE and GROUPING SETS: each row is repeated for each set of keys, with NULL in the keys that the set lacks.
//!
//! ```text
//!   GROUP BY ROLLUP(a, b)      Generate array(struct(a, b, 0), struct(a, NULL, 1), struct(NULL, NULL, 3))
//!                              and GROUP BY its three columns
//! ```
//! Outside of aggregate functions a key then is the generated column; inside of them it is the row's own. The last column
//! is `grouping_id()`: a bit for each key, the first one's is the highest, set where the key is left out. If a set is named
//! twice, a number of the set is a key, too.

use super::coerce::SpannedExpr;
use super::constants;
use super::generators::{self, Generator};
use super::resolve::Resolver;
use crate::expr::Expr;
use crate::functions;
use crate::plan::GeneratePlan;
use crate::syntax::{Call, Fault, GroupBy, Node, Select, too_many_keys};
use crate::value::Value;
use arrow_schema::{DataType, Field, Fields};
use std::ops::Range;

/// The sets of keys of a query.
#[derive(Clone, Debug)]
pub(super) struct Grouping {
    /// The keys, each once, over the rows before.
    keys: Vec<Expr>,
    sets: Vec<Vec<bool>>,
    /// Number of the first generated column.
    first: usize,
}

impl Grouping {
    /// Of GROUP BY's keys, analyzed; `None` if there are no sets.
    pub fn of(select: &Select, keys: &[SpannedExpr], first: usize) -> Result<Option<Grouping>, Fault> {
        let Some(GroupBy::Sets { sets, .. }) = &select.group_by else { return Ok(None) };
        let mut distinct: Vec<Expr> = Vec::new();
        let places = keys.iter().map(|(key, _)| match distinct.iter().position(|x| x == key) {
            Some(known) => known,
            None => {
                distinct.push(key.clone());
                distinct.len() - 1
            }
        });
        let places: Vec<usize> = places.collect();
        if let Some(message) = too_many_keys(distinct.len()) {
            return Err(Fault::new(select.at.clone(), message, "name fewer keys"));
        }
        let there = |set: &Vec<usize>| {
            let mut there = vec![false; distinct.len()];
            set.iter().for_each(|key| there[places[*key]] = true);
            there
        };
        Ok(Some(Grouping { sets: sets.iter().map(there).collect(), keys: distinct, first }))
    }

    fn is_repeated(&self) -> bool {
        self.sets.iter().enumerate().any(|(at, set)| self.sets[..at].contains(set))
    }

    /// The generated columns.
    fn fields(&self) -> Fields {
        let key = |(at, key): (usize, &Expr)| Field::new(format!("key {at}"), key.data_type(), true);
        let mut fields: Vec<Field> = self.keys.iter().enumerate().map(key).collect();
        fields.push(Field::new("grouping_id", DataType::Int64, true));
        if self.is_repeated() {
            fields.push(Field::new("set", DataType::Int32, true));
        }
        Fields::from(fields)
    }

    /// The keys of the aggregation.
    pub fn columns(&self) -> Vec<Expr> {
        let columns = self.fields();
        columns
            .iter()
            .zip(self.first..)
            .map(|(field, number)| Expr::Column(number, field.data_type().clone()))
            .collect()
    }

    /// What repeats the rows.
    pub fn generator(&self) -> Generator {
        let fields = self.fields();
        let number = |value: usize, data_type| Expr::Literal(Value::Integer(value as i64), data_type);
        let row = |(at, set): (usize, &Vec<bool>)| {
            let keys = self.keys.iter().zip(set).map(|(key, there)| match there {
                true => key.clone(),
                false => Expr::Literal(Value::Null, key.data_type()),
            });
            let id = set.iter().fold(0, |id, there| id << 1 | usize::from(!there));
            let set = self.is_repeated().then(|| number(at, DataType::Int32));
            generators::structure(&fields, keys.chain([number(id, DataType::Int64)]).chain(set))
        };
        let array = generators::array(self.sets.iter().enumerate().map(row).collect());
        let plan = GeneratePlan { array, columns: fields, members: true, outer: false, numbered: false };
        Generator { first: self.first, plan, input: None, needed: Vec::new() }
    }

    /// An expression with its keys replaced by the generated columns.
    pub fn over(&self, mut expr: Expr) -> Expr {
        if let Some(key) = self.keys.iter().position(|key| *key == expr) {
            return Expr::Column(self.first + key, expr.data_type());
        }
        expr.children_mut(&mut |child| {
            let taken = std::mem::replace(child, Expr::Now);
            *child = self.over(taken);
        });
        expr
    }

    /// The key that a generated column is made of.
    pub fn origin(&self, expr: &Expr) -> Option<&Expr> {
        match expr {
            Expr::Column(number, _) => self.keys.get(number.checked_sub(self.first)?),
            _ => None,
        }
    }

    /// `grouping_id()`.
    pub fn id(&self) -> Expr {
        Expr::Column(self.first + self.keys.len(), DataType::Int64)
    }
}

impl Resolver<'_> {
    /// `grouping(key)` and `grouping_id([key, …])`.
    pub(super) fn grouping_call(&mut self, name: &str, call: &Call, at: &Range<usize>) -> Result<Expr, Fault> {
        let help = "write SELECT k, grouping(k), count(*) … GROUP BY ROLLUP(k)";
        if let Some(clause) = self.no_aggregates {
            return Err(Fault::new(at.clone(), format!("`{name}` cannot stand in {clause}"), help));
        }
        let Some(grouping) = self.grouping.clone() else {
            let message = format!("`{name}` needs ROLLUP, CUBE or GROUPING SETS in GROUP BY");
            return Err(Fault::new(at.clone(), message, help));
        };
        let key = |resolver: &mut Self, node: &Node| {
            Ok::<_, Fault>(constants::computed(resolver.resolve(node)?, resolver.scope.zone))
        };
        if name == "grouping_id" {
            let keys = call.arguments.iter().map(|node| key(self, node)).collect::<Result<Vec<_>, _>>()?;
            if !keys.is_empty() && keys != grouping.keys {
                let message = "the arguments of `grouping_id` are not the keys of GROUP BY";
                return Err(Fault::new(at.clone(), message, "name all of them in their order, or none"));
            }
            return Ok(grouping.id());
        }
        super::calls::check_count(name, 1, 1, call)?;
        let asked = key(self, &call.arguments[0])?;
        let Some(place) = grouping.keys.iter().position(|key| *key == asked) else {
            let message = "the argument of `grouping` is no key of GROUP BY";
            return Err(Fault::new(call.arguments[0].at.clone(), message, "name a key as GROUP BY does"));
        };
        let bit = (grouping.keys.len() - 1 - place) as i64;
        let function = functions::find("bit_get").expect("a function of the table");
        let arguments = vec![grouping.id(), Expr::Literal(Value::Integer(bit), DataType::Int32)];
        Ok(Expr::Call(function, arguments, DataType::Int8))
    }
}
