//! What is taken out of a value that is made just for it: `map('a', x)['a']`, `array(x, y)[0]`, `named_struct('a', x, 'b', y).a`.
//!
//! Spark's optimizer leaves the value out, except in an aggregation, whose keys it computes before. So what is not taken cannot fail, and a NULL key of such a
//! map fails no row. Constants are computed before: one that fails is left where it is, and refused with the file.

use super::{constants, failing};
use crate::expr::{Comparison, Expr};
use crate::plan::{Body, Step};
use crate::types;
use crate::value::Value;
use crate::zone::Zone;
use arrow_schema::DataType;

/// Simplifies what is computed from rows without groups.
pub(super) fn simplify(steps: &mut [Step], pushed: &mut [Expr], body: &mut Body, zone: Zone) {
    // Looked for in the whole expression, before a part of it is left out: `smallint('bad') < map('a', x)['b']` fails, though a comparison with NULL does not.
    let simpler = |expr: &mut Expr| {
        if failing::of_expr(expr, zone).is_none() {
            simpler(expr, zone);
        }
    };
    for step in steps {
        match step {
            Step::Filter(filter) => simpler(filter),
            Step::Generate(generate) => simpler(&mut generate.array),
            Step::Window(_) => {}
        }
    }
    pushed.iter_mut().for_each(simpler);
    match body {
        Body::Project(outputs) => outputs.iter_mut().for_each(simpler),
        Body::Aggregate(groups) => groups.keys.iter_mut().for_each(|key| simpler(&mut key.expr)),
    }
}

fn simpler(expr: &mut Expr, zone: Zone) {
    expr.children_mut(&mut |child| simpler(child, zone));
    if let Some(taken) = taken(expr, zone).filter(|_| failing::of_expr(expr, zone).is_none()) {
        *expr = taken;
    }
}

fn taken(expr: &Expr, zone: Zone) -> Option<Expr> {
    match expr {
        Expr::Field(x, index, _) => match &**x {
            Expr::Call(function, values, _) if function.name == "named_struct" => values.get(2 * index + 1).cloned(),
            _ => None,
        },
        Expr::Call(function, arguments, data_type) if function.name == "[ ]" => match arguments.as_slice() {
            [Expr::Call(function, values, _), Expr::Literal(Value::Integer(index), _)] if function.name == "array" => {
                let value = usize::try_from(*index).ok().and_then(|index| values.get(index));
                // A constant index outside of the array fails no row.
                Some(value.cloned().unwrap_or_else(|| Expr::Literal(Value::Null, data_type.clone())))
            }
            [Expr::Call(function, entries, _), key] if function.name == "map" => of_map(entries, key, data_type, zone),
            _ => None,
        },
        _ => None,
    }
}

/// `CASE key WHEN k1 THEN v1 … END`, without the branches of constants that differ.
fn of_map(entries: &[Expr], key: &Expr, data_type: &DataType, zone: Zone) -> Option<Expr> {
    let branches = entries.chunks_exact(2).map(|entry| {
        let equal = Expr::Compare(Comparison::Equal, Box::new(key.clone()), Box::new(entry[0].clone()));
        (types::is_orderable(&key.data_type()) && entry[1].data_type() == *data_type)
            .then(|| (constants::computed(equal, zone), entry[1].clone()))
    });
    let mut branches = branches.collect::<Option<Vec<_>>>().filter(|branches| !branches.is_empty())?;
    branches.retain(|(equal, _)| !matches!(equal, Expr::Literal(Value::Boolean(false) | Value::Null, _)));
    Some(match branches.as_slice() {
        [] => Expr::Literal(Value::Null, data_type.clone()),
        [(Expr::Literal(..), value), ..] => value.clone(),
        _ => Expr::Case(branches, None, data_type.clone()),
    })
}
