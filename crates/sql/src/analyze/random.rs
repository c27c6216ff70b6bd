//! Random functions and numbers of rows: calls that depend on where a record stands. The position is a column that no source
//! has, until the planner puts it into the source row of the queries that use it.
//!
//! ```text
//!   SELECT rand(), x FROM (SELECT explode(a) AS x FROM t)      `rand at`(key, own, `place within`(place, element))
//!   SELECT r, x FROM (SELECT rand() AS r, a FROM t) LATERAL VIEW explode(a) e AS x        `rand at`(key, own, place)
//! ```
//! A value belongs to the row for which the query computes it: rows that are made of one row, above, have other values, and
//! below, the same. [`within`] does that while an expression is rewritten from layer to layer.

use super::coerce::{SpannedExpr, cast_to};
use super::resolve::Resolver;
use super::{calls, constants};
use crate::expr::{Arithmetic, CastMode, Expr};
use crate::functions;
use crate::logical::{Operator, PLACE, RECORD_ID as ID};
use crate::plan::PositionColumn;
use crate::syntax::{Call, Fault, Node};
use crate::types;
use crate::value::Value;
use arrow_schema::DataType;
use std::collections::BTreeSet;
use std::ops::Range;
use tidemill_model::kafka_source::Topics;
use tidemill_model::pipeline::SourceKind;

/// Column number of the id of a record that several rows are made of: it names none of them.
const REPEATED_ID: usize = ID - 1;

/// The way round where rows are grouped.
pub(super) const HELP: &str = "compute it in a subquery: SELECT … FROM (SELECT *, rand() AS r FROM …) GROUP BY …";

/// Longest text of `randstr`.
const LENGTH_MAX: i64 = 1 << 20;

/// Whether an expression is one of these columns.
pub(super) fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(REPEATED_ID..=PLACE, _))
}

/// Whether an expression depends on where the record stands.
pub(super) fn is_random(expr: &Expr) -> bool {
    expr.has_column(|column| (REPEATED_ID..=PLACE).contains(&column))
}

/// Whether a column is one of them.
pub(super) fn is_number(column: usize) -> bool {
    (REPEATED_ID..=PLACE).contains(&column)
}

/// Fails where the rows of a branch use an id or a random value that their source does not have.
pub(super) fn check(rows: &Operator, source: Option<&SourceKind>, at: &Range<usize>) -> Result<(), Fault> {
    let mut used = BTreeSet::new();
    rows.each_expr(&mut |expr| {
        expr.columns(&mut |column| {
            used.insert(column);
        });
    });
    let several_topics = match source {
        Some(SourceKind::Kafka(kafka)) => match &kafka.topics {
            Topics::Named(topics) => topics.len() > 1,
            Topics::Matching(_) => true,
            Topics::Assigned(partitions) => partitions.len() > 1,
        },
        Some(SourceKind::Files(_)) | None => false,
    };
    let wrong = |message: &str, help: &str| Err(Fault::new(at.clone(), message, help));
    if used.contains(&REPEATED_ID) {
        let help = "call it in a subquery below the generator or window(…), beside pos of posexplode: \
                    SELECT id, pos, x FROM (SELECT *, monotonically_increasing_id() AS id FROM …) LATERAL VIEW …";
        return wrong("`monotonically_increasing_id` numbers records, and these are rows made of them", help);
    }
    if source.is_none() && (used.contains(&ID) || used.contains(&PLACE)) {
        let help = "call it in the subquery, over its groups";
        return wrong("a random value or an id of a row is not allowed over the rows of an aggregation", help);
    }
    if used.contains(&ID) && several_topics {
        let help = "use Kafka's own columns topic, partition and offset";
        return wrong("`monotonically_increasing_id` does not tell the records of several topics apart", help);
    }
    Ok(())
}

/// Rewrites an expression over rows that are made of others, `number` of each, to one over both.
pub(super) fn within(mut expr: Expr, number: &Expr) -> Expr {
    if is_random(&expr) {
        expr.substitute(&|column| match column {
            PLACE => {
                let function = functions::find("place within").expect("a function of the table");
                Some(Expr::Call(function, vec![place(), number.clone()], PositionColumn::place_type()))
            }
            ID => Some(Expr::Column(REPEATED_ID, DataType::Int64)),
            _ => None,
        });
    }
    expr
}

fn place() -> Expr {
    Expr::Column(PLACE, PositionColumn::place_type())
}

/// Whether an expression is the place of a row.
pub(super) fn is_place(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(PLACE, _))
}

/// Rewrites an expression over groups: their place is this column of theirs.
pub(super) fn over_groups(mut expr: Expr, column: usize) -> Expr {
    expr.substitute(&|number| (number == PLACE).then(|| Expr::Column(column, PositionColumn::place_type())));
    expr
}

/// Refuses a number of rows where there are groups: they have none.
pub(super) fn no_number(at: Range<usize>) -> Fault {
    let help = "name it in a subquery: SELECT … FROM (SELECT *, monotonically_increasing_id() AS id FROM …) GROUP BY …";
    Fault::new(at, "`monotonically_increasing_id` numbers records, and these are groups", help)
}

impl Resolver<'_> {
    /// A call that depends on the record's position.
    pub(super) fn random_call(&mut self, name: &str, call: &Call, at: &Range<usize>) -> Result<Expr, Fault> {
        if !self.variables.is_empty() {
            let (clause, help) = match self.is_in_lambda() {
                true => ("a lambda", "make rows of the array with explode, and call it on these"),
                false => ("ON", "call it in a subquery before the join"),
            };
            return Err(Fault::new(at.clone(), format!("`{name}` is not allowed in {clause}"), help));
        }
        let arguments = &call.arguments;
        match name {
            "rand" | "random" => self.drawn("rand at", DataType::Float64, arguments.first(), Vec::new(), at),
            "randn" => self.drawn("randn at", DataType::Float64, arguments.first(), Vec::new(), at),
            "uuid" => self.drawn("uuid at", DataType::Utf8, arguments.first(), Vec::new(), at),
            "randstr" => {
                let length = self.length(&arguments[0])?;
                self.drawn("randstr at", DataType::Utf8, arguments.get(1), vec![length], at)
            }
            "shuffle" => {
                let (array, array_at) = self.placed(&arguments[0])?;
                let data_type = array.data_type();
                if data_type.is_null() {
                    return Ok(Expr::Literal(Value::Null, types::array(DataType::Null)));
                }
                if !matches!(data_type, DataType::List(_)) {
                    let message = format!("`shuffle` takes an ARRAY, not {}", types::name(&data_type));
                    return Err(Fault::new(array_at, message, "give it an array"));
                }
                self.drawn("shuffle at", data_type, arguments.get(1), vec![array], at)
            }
            "uniform" => self.uniform(arguments, at),
            "monotonically_increasing_id" => Ok(Expr::Column(ID, DataType::Int64)),
            other => panic!("{other} is no function of a position"),
        }
    }

    fn drawn(
        &mut self,
        name: &str,
        data_type: DataType,
        seed: Option<&Node>,
        more: Vec<Expr>,
        at: &Range<usize>,
    ) -> Result<Expr, Fault> {
        // Calls without a seed differ by their place in the query.
        let (key, is_own) = match seed {
            Some(seed) => (self.seed(seed)?, false),
            None => (at.start as i64, true),
        };
        let key = Expr::Literal(Value::Integer(key), DataType::Int64);
        let is_own = Expr::Literal(Value::Boolean(is_own), DataType::Boolean);
        let arguments = [vec![key, is_own, place()], more].concat();
        let function = functions::find(name).expect("a function of the table");
        Ok(Expr::Call(function, arguments, data_type))
    }

    /// A constant; NULL is 0.
    fn seed(&mut self, node: &Node) -> Result<i64, Fault> {
        match constants::computed(self.resolve(node)?, self.scope.zone) {
            Expr::Literal(Value::Integer(seed), DataType::Int32 | DataType::Int64) => Ok(seed),
            Expr::Literal(Value::Null, DataType::Null | DataType::Int32 | DataType::Int64) => Ok(0),
            _ => Err(Fault::new(node.at.clone(), "the seed is a constant INT or BIGINT", "write a number, or no seed")),
        }
    }

    /// Of any type that can be cast to INT; NULL is 0.
    fn length(&mut self, node: &Node) -> Result<Expr, Fault> {
        let wrong = |message: String| Fault::new(node.at.clone(), message, "write for instance randstr(10)");
        let given = self.placed(node)?;
        let length = match constants::computed(given.0, self.scope.zone) {
            text @ Expr::Literal(..) => self.cast((text, given.1), &DataType::Int32, CastMode::Ansi)?,
            _ => return Err(wrong("the length of `randstr` is a constant".into())),
        };
        match constants::computed(length, self.scope.zone) {
            Expr::Literal(Value::Null, t) => Ok(Expr::Literal(Value::Integer(0), t)),
            Expr::Literal(Value::Integer(length), t) if (0..=LENGTH_MAX).contains(&length) => {
                Ok(Expr::Literal(Value::Integer(length), t))
            }
            _ => Err(wrong(format!("the length of `randstr` is a number from 0 to {LENGTH_MAX}"))),
        }
    }

    /// `least + (most - least) * rand`, cast to the common type.
    fn uniform(&mut self, arguments: &[Node], at: &Range<usize>) -> Result<Expr, Fault> {
        let least = self.bound(&arguments[0])?;
        let most = self.bound(&arguments[1])?;
        let random = self.drawn("rand at", DataType::Float64, arguments.get(2), Vec::new(), at)?;
        let data_type = common_bound(&least.0.data_type(), &most.0.data_type());
        if [&least, &most].iter().any(|(bound, _)| matches!(bound, Expr::Literal(Value::Null, _))) {
            return Ok(Expr::Literal(Value::Null, data_type));
        }
        let [least, most] = [least, most].map(|(bound, _)| cast_to(bound, &DataType::Float64));
        let by = |operator, l, r| Expr::Arithmetic(operator, Box::new(l), Box::new(r), DataType::Float64);
        let width = by(Arithmetic::Subtract, most, least.clone());
        let value = by(Arithmetic::Add, least, by(Arithmetic::Multiply, width, random));
        Ok(cast_to(value, &data_type))
    }

    fn bound(&mut self, node: &Node) -> Result<SpannedExpr, Fault> {
        let bound = constants::computed(self.resolve(node)?, self.scope.zone);
        let data_type = bound.data_type();
        match bound {
            Expr::Literal(..) if types::is_numeric(&data_type) || data_type.is_null() => Ok((bound, node.at.clone())),
            _ => {
                let message = "the bounds of `uniform` are constant numbers";
                Err(Fault::new(node.at.clone(), message, "write for instance uniform(0, 100)"))
            }
        }
    }
}

/// The type of `uniform`, from those of its bounds.
fn common_bound(least: &DataType, most: &DataType) -> DataType {
    let order = [DataType::Int64, DataType::Int32, DataType::Int16, DataType::Int8];
    let either = |t: &DataType| least == t || most == t;
    if least.is_null() || most.is_null() {
        return DataType::Float64;
    }
    if types::is_integral(least) && types::is_integral(most) {
        return order.into_iter().find(|t| either(t)).expect("they are integral");
    }
    for floating in [DataType::Float64, DataType::Float32] {
        if either(&floating) {
            return floating;
        }
    }
    if matches!(least, DataType::Decimal128(..)) { least.clone() } else { most.clone() }
}

/// The names of these functions.
pub(super) fn is_name(name: &str) -> bool {
    let names = ["rand", "random", "randn", "randstr", "uniform", "uuid", "shuffle", "monotonically_increasing_id"];
    names.contains(&name)
}

/// Checks the number of arguments, and calls.
pub(super) fn call(resolver: &mut Resolver, name: &str, call: &Call, at: &Range<usize>) -> Result<Expr, Fault> {
    let function = functions::find(name).expect("a function of the table");
    calls::check_count(name, function.required, function.params.len(), call)?;
    resolver.random_call(name, call, at)
}
