//! Calls of functions that take lambdas. The arguments give the parameters their types; the bodies give the result its
//! type.

use super::calls::check_count;
use super::coerce::{SpannedExpr, cast_to};
use super::resolve::Resolver;
use crate::expr::{Expr, HigherCall, HigherFunction, Lambda};
use crate::functions::collections::{element_type, index_type};
use crate::syntax::{Call, Fault, Ident, Node, NodeKind};
use crate::types;
use arrow_schema::DataType;
use std::ops::Range;

/// The functions by name. `array_sort` without a lambda is in the table of functions.
const FUNCTIONS: [(&str, HigherFunction); 12] = [
    ("transform", HigherFunction::Transform),
    ("filter", HigherFunction::Filter),
    ("exists", HigherFunction::Exists),
    ("forall", HigherFunction::Forall),
    ("aggregate", HigherFunction::Aggregate),
    ("reduce", HigherFunction::Aggregate),
    ("zip_with", HigherFunction::ZipWith),
    ("array_sort", HigherFunction::ArraySort),
    ("transform_keys", HigherFunction::TransformKeys),
    ("transform_values", HigherFunction::TransformValues),
    ("map_filter", HigherFunction::MapFilter),
    ("map_zip_with", HigherFunction::MapZipWith),
];

/// Their names.
pub const NAMES: [&str; FUNCTIONS.len()] = {
    let mut names = [""; FUNCTIONS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = FUNCTIONS[at].0;
        at += 1;
    }
    names
};

impl Resolver<'_> {
    /// The call, if its function takes lambdas.
    pub(super) fn higher_call(&mut self, name: &str, call: &Call, at: &Range<usize>) -> Result<Option<Expr>, Fault> {
        let Some((_, function)) = FUNCTIONS.iter().find(|(known, _)| *known == name) else {
            return Ok(None);
        };
        if *function == HigherFunction::ArraySort && call.arguments.len() == 1 {
            return Ok(None);
        }
        let arguments = match function {
            HigherFunction::Aggregate | HigherFunction::ZipWith | HigherFunction::MapZipWith => 2,
            _ => 1,
        };
        let optional = usize::from(*function == HigherFunction::Aggregate);
        check_count(name, arguments + 1, arguments + 1 + optional, call)?;
        let (values, lambdas) = call.arguments.split_at(arguments);
        let values = values.iter().map(|node| self.placed(node)).collect::<Result<Vec<_>, _>>()?;
        let lambdas: Vec<LambdaSyntax> = lambdas.iter().map(written).collect();
        let typed = match function {
            HigherFunction::Aggregate => self.aggregate(values, &lambdas, at)?,
            HigherFunction::ZipWith => self.zip_with(values, lambdas[0])?,
            HigherFunction::MapZipWith => self.map_zip_with(values, lambdas[0])?,
            HigherFunction::TransformKeys | HigherFunction::TransformValues | HigherFunction::MapFilter => {
                self.of_map(*function, values, lambdas[0])?
            }
            _ => self.of_array(*function, values, lambdas[0])?,
        };
        Ok(Some(Expr::Higher(Box::new(typed))))
    }

    /// Types a lambda with parameters of these types.
    fn lambda(&mut self, written: LambdaSyntax, types: &[DataType]) -> Result<Lambda, Fault> {
        let first = self.variables.len();
        self.variables.extend(written.parameters.iter().map(|name| name.name.clone()).zip(types.iter().cloned()));
        let body = self.resolve(written.body);
        self.variables.truncate(first);
        let parameters = types.iter().take(written.parameters.len()).cloned().enumerate();
        Ok(Lambda { parameters: parameters.map(|(at, data_type)| (first + at, data_type)).collect(), body: body? })
    }

    /// A lambda that is a condition.
    fn condition_lambda(&mut self, written: LambdaSyntax, types: &[DataType], name: &str) -> Result<Lambda, Fault> {
        let mut lambda = self.lambda(written, types)?;
        match lambda.body.data_type() {
            DataType::Boolean => {}
            DataType::Null => lambda.body = cast_to(lambda.body, &DataType::Boolean),
            other => {
                let message =
                    format!("the lambda of `{name}` is a condition, not a value of type {}", types::name(&other));
                return Err(Fault::new(written.body.at.clone(), message, "compare it with something"));
            }
        }
        Ok(lambda)
    }

    fn of_array(
        &mut self,
        function: HigherFunction,
        mut values: Vec<SpannedExpr>,
        written: LambdaSyntax,
    ) -> Result<HigherCall, Fault> {
        use HigherFunction as F;
        let name = function.name();
        let (array, element) = array_argument(values.remove(0), name, 1)?;
        let least_and_most = match function {
            F::Transform | F::Filter => 1..=2,
            F::ArraySort => 2..=2,
            _ => 1..=1,
        };
        written.check(least_and_most, name)?;
        let second = if function == F::ArraySort { element.clone() } else { DataType::Int32 };
        let types = [element, second];
        let (lambda, data_type) = match function {
            F::Transform => {
                let lambda = self.lambda(written, &types)?;
                let data_type = types::array(lambda.body.data_type());
                (lambda, data_type)
            }
            F::ArraySort => {
                let lambda = self.lambda(written, &types)?;
                if !matches!(lambda.body.data_type(), DataType::Int32 | DataType::Null) {
                    let message = format!(
                        "the lambda of `array_sort` gives an INT, not a value of type {}",
                        types::name(&lambda.body.data_type())
                    );
                    let help =
                        "give a number below 0, 0 or above 0: CASE WHEN l < r THEN -1 WHEN l > r THEN 1 ELSE 0 END";
                    return Err(Fault::new(written.body.at.clone(), message, help));
                }
                (lambda, array.data_type())
            }
            F::Filter => (self.condition_lambda(written, &types, name)?, array.data_type()),
            _ => (self.condition_lambda(written, &types, name)?, DataType::Boolean),
        };
        Ok(HigherCall { function, arguments: vec![array], lambdas: vec![lambda], data_type })
    }

    fn of_map(
        &mut self,
        function: HigherFunction,
        mut values: Vec<SpannedExpr>,
        written: LambdaSyntax,
    ) -> Result<HigherCall, Fault> {
        let name = function.name();
        let (map, types) = map_argument(values.remove(0), name)?;
        written.check(2..=2, name)?;
        let (lambda, data_type) = match function {
            HigherFunction::TransformKeys => {
                let lambda = self.lambda(written, &types)?;
                let key = lambda.body.data_type();
                if !types::is_orderable(&key) {
                    let message = format!("a MAP's keys cannot be of type {}", types::name(&key));
                    return Err(Fault::new(written.body.at.clone(), message, "a key is anything without a MAP inside"));
                }
                (lambda, types::map(key, types[1].clone()))
            }
            HigherFunction::TransformValues => {
                let lambda = self.lambda(written, &types)?;
                let value = lambda.body.data_type();
                (lambda, types::map(types[0].clone(), value))
            }
            _ => (self.condition_lambda(written, &types, name)?, map.data_type()),
        };
        Ok(HigherCall { function, arguments: vec![map], lambdas: vec![lambda], data_type })
    }

    fn zip_with(&mut self, values: Vec<SpannedExpr>, written: LambdaSyntax) -> Result<HigherCall, Fault> {
        let mut arrays = Vec::new();
        let mut types = Vec::new();
        for (at, value) in values.into_iter().enumerate() {
            let (array, element) = array_argument(value, "zip_with", at + 1)?;
            arrays.push(array);
            types.push(element);
        }
        written.check(2..=2, "zip_with")?;
        let lambda = self.lambda(written, &types)?;
        let data_type = types::array(lambda.body.data_type());
        Ok(HigherCall { function: HigherFunction::ZipWith, arguments: arrays, lambdas: vec![lambda], data_type })
    }

    fn map_zip_with(&mut self, values: Vec<SpannedExpr>, written: LambdaSyntax) -> Result<HigherCall, Fault> {
        let place = values[1].1.clone();
        let mut maps = Vec::new();
        let mut types = Vec::new();
        for value in values {
            let (map, [key, value]) = map_argument(value, "map_zip_with")?;
            maps.push((map, key));
            types.push(value);
        }
        let Some(key) = types::common(&maps[0].1, &maps[1].1) else {
            let names = (types::name(&maps[0].1), types::name(&maps[1].1));
            let message = format!("`map_zip_with` takes maps of one key type, not of {} and {}", names.0, names.1);
            return Err(Fault::new(place, message, "CAST one of them"));
        };
        written.check(3..=3, "map_zip_with")?;
        let arguments = maps.into_iter().zip(&types).map(|((map, _), value)| {
            let to = types::map(key.clone(), value.clone());
            cast_to(map, &to)
        });
        let arguments = arguments.collect();
        let lambda = self.lambda(written, &[key.clone(), types[0].clone(), types[1].clone()])?;
        let data_type = types::map(key, lambda.body.data_type());
        Ok(HigherCall { function: HigherFunction::MapZipWith, arguments, lambdas: vec![lambda], data_type })
    }

    /// The accumulator has the start's type, and the first lambda must give that type.
    fn aggregate(
        &mut self,
        mut values: Vec<SpannedExpr>,
        written: &[LambdaSyntax],
        at: &Range<usize>,
    ) -> Result<HigherCall, Fault> {
        let (start, _) = values.pop().expect("two arguments");
        let (array, element) = array_argument(values.remove(0), "aggregate", 1)?;
        written[0].check(2..=2, "aggregate")?;
        let accumulator = start.data_type();
        let mut merge = self.lambda(written[0], &[accumulator.clone(), element])?;
        if merge.body.data_type().is_null() {
            merge.body = cast_to(merge.body, &accumulator);
        }
        if merge.body.data_type() != accumulator {
            let (from, to) = (types::name(&accumulator), types::name(&merge.body.data_type()));
            let message = format!("the start of `aggregate` is of type {from}, what its lambda gives of type {to}");
            return Err(Fault::new(at.clone(), message, format!("CAST the start: CAST(… AS {to})")));
        }
        let mut lambdas = vec![merge];
        if let Some(finish) = written.get(1) {
            finish.check(1..=1, "aggregate")?;
            lambdas.push(self.lambda(*finish, std::slice::from_ref(&accumulator))?);
        }
        let data_type = lambdas.get(1).map_or(accumulator, |finish| finish.body.data_type());
        let arguments = vec![array, start];
        Ok(HigherCall { function: HigherFunction::Aggregate, arguments, lambdas, data_type })
    }
}

/// A lambda in the syntax tree.
#[derive(Clone, Copy)]
struct LambdaSyntax<'a> {
    parameters: &'a [Ident],
    body: &'a Node,
    node: &'a Node,
}

impl LambdaSyntax<'_> {
    /// Refuses a wrong number of parameters, and two of one name.
    fn check(&self, count: std::ops::RangeInclusive<usize>, name: &str) -> Result<(), Fault> {
        let is_lambda = matches!(self.node.kind, NodeKind::Lambda(..));
        if is_lambda && !count.contains(&self.parameters.len()) {
            let wanted = match (*count.start(), *count.end()) {
                (1, 1) => "1 parameter".to_string(),
                (least, most) if least == most => format!("{least} parameters"),
                (least, most) => format!("{least} or {most} parameters"),
            };
            let message = format!("the lambda of `{name}` takes {wanted}, not {}", self.parameters.len());
            return Err(Fault::new(self.node.at.clone(), message, "change its parameters"));
        }
        for (at, parameter) in self.parameters.iter().enumerate() {
            if self.parameters[..at].iter().any(|known| known.name.eq_ignore_ascii_case(&parameter.name)) {
                let message = format!("the lambda has two parameters `{}`", parameter.name);
                return Err(Fault::new(parameter.at.clone(), message, "give them different names"));
            }
        }
        Ok(())
    }
}

/// Treats an expression that is not a lambda as one without parameters.
fn written(node: &Node) -> LambdaSyntax<'_> {
    match &node.kind {
        NodeKind::Lambda(parameters, body) => LambdaSyntax { parameters, body, node },
        _ => LambdaSyntax { parameters: &[], body: node, node },
    }
}

/// An ARRAY and the type of its elements.
fn array_argument((value, at): SpannedExpr, name: &str, number: usize) -> Result<(Expr, DataType), Fault> {
    match value.data_type() {
        DataType::List(element) => Ok((value, element.data_type().clone())),
        other => {
            let message = format!("`{name}` takes an ARRAY as argument {number}, not {}", types::name(&other));
            Err(Fault::new(at, message, "give it an array"))
        }
    }
}

/// A MAP and the types of its keys and values.
fn map_argument((value, at): SpannedExpr, name: &str) -> Result<(Expr, [DataType; 2]), Fault> {
    let data_type = value.data_type();
    match (&data_type, index_type(&data_type), element_type(&data_type)) {
        (DataType::Map(..), Some(key), Some(element)) => Ok((value, [key, element])),
        (other, ..) => {
            let message = format!("`{name}` takes a MAP, not {}", types::name(other));
            Err(Fault::new(at, message, "give it a map"))
        }
    }
}
