//! Typed expressions: the planner makes them from SQL text, and [`crate::eval`] evaluates them over Arrow arrays.
//!
//! Implicit conversions are explicit [`Expr::Cast`]s here, and names are column numbers.

use crate::eval::InList;
use crate::functions::Function;
use crate::value::Value;
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};

/// A typed expression over a row of columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Expr {
    /// The column with this index in the row's schema.
    Column(usize, DataType),
    /// A constant.
    Literal(Value, DataType),
    /// The field with this index of a STRUCT.
    Field(Box<Expr>, usize, DataType),
    /// `CAST(x AS type)`; or `TRY_CAST`, which gives NULL if `CAST` fails.
    Cast(Box<Expr>, CastMode, DataType),
    /// `x IS NULL`.
    IsNull(Box<Expr>),
    /// `x IS NOT NULL`.
    IsNotNull(Box<Expr>),
    /// `NOT x`.
    Not(Box<Expr>),
    /// `x AND y`. The right side does not count if the left is false.
    And(Box<Expr>, Box<Expr>),
    /// `x OR y`. The right side does not count if the left is true.
    Or(Box<Expr>, Box<Expr>),
    /// A comparison of two values of one type.
    Compare(Comparison, Box<Expr>, Box<Expr>),
    /// `x IN (a, b, …)`, all of one type.
    In(Box<Expr>, InList),
    /// Arithmetic. The operands have the types that the operator requires; the last part is the result's type.
    Arithmetic(Arithmetic, Box<Expr>, Box<Expr>, DataType),
    /// `CASE WHEN condition THEN value … ELSE otherwise END`: the first condition that holds.
    Case(Vec<(Expr, Expr)>, Option<Box<Expr>>, DataType),
    /// `COALESCE(a, b, …)`: the first that is not NULL.
    Coalesce(Vec<Expr>, DataType),
    /// A scalar function of the table in [`crate::functions`].
    Call(#[serde(with = "crate::functions::by_name")] &'static Function, Vec<Expr>, DataType),
    /// `current_timestamp()`: the batch's timestamp.
    Now,
    /// The value; NULL if evaluating it fails.
    Try(Box<Expr>),
    /// A parameter of a surrounding lambda. Its number is the number of parameters of outer lambdas before it.
    Variable(usize, DataType),
    /// A function that calls lambdas: `transform(array, x -> x + 1)`.
    Higher(Box<HigherCall>),
}

/// A call of a function that takes lambdas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HigherCall {
    /// Which function.
    pub function: HigherFunction,
    /// The arguments before the lambdas.
    pub arguments: Vec<Expr>,
    /// The lambdas, in the order of the call.
    pub lambdas: Vec<Lambda>,
    /// The result's type.
    pub data_type: DataType,
}

/// `(x, y) -> body`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lambda {
    /// Number and type of each parameter.
    pub parameters: Vec<(usize, DataType)>,
    /// The value, over the row's columns and the variables of this and all outer lambdas.
    pub body: Expr,
}

/// The functions that take lambdas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HigherFunction {
    /// `transform(array, x -> …)`, `transform(array, (x, index) -> …)`.
    Transform,
    /// `filter(array, x -> …)`, `filter(array, (x, index) -> …)`.
    Filter,
    /// `exists(array, x -> …)`.
    Exists,
    /// `forall(array, x -> …)`.
    Forall,
    /// `aggregate(array, start, (acc, x) -> …[, acc -> …])`, also named `reduce`.
    Aggregate,
    /// `zip_with(left, right, (x, y) -> …)`.
    ZipWith,
    /// `array_sort(array, (left, right) -> …)`.
    ArraySort,
    /// `transform_keys(map, (key, value) -> …)`.
    TransformKeys,
    /// `transform_values(map, (key, value) -> …)`.
    TransformValues,
    /// `map_filter(map, (key, value) -> …)`.
    MapFilter,
    /// `map_zip_with(left, right, (key, x, y) -> …)`.
    MapZipWith,
}

impl HigherFunction {
    /// Its name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            HigherFunction::Transform => "transform",
            HigherFunction::Filter => "filter",
            HigherFunction::Exists => "exists",
            HigherFunction::Forall => "forall",
            HigherFunction::Aggregate => "aggregate",
            HigherFunction::ZipWith => "zip_with",
            HigherFunction::ArraySort => "array_sort",
            HigherFunction::TransformKeys => "transform_keys",
            HigherFunction::TransformValues => "transform_values",
            HigherFunction::MapFilter => "map_filter",
            HigherFunction::MapZipWith => "map_zip_with",
        }
    }
}

/// What a cast does with a value that it cannot convert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CastMode {
    /// The row fails (rule T3).
    Ansi,
    /// NULL.
    Try,
}

/// Comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`, `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `<=>`: NULL equals NULL, never NULL itself.
    NullSafeEqual,
}

/// Arithmetic operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Arithmetic {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`: floating point or decimal.
    Divide,
    /// `DIV`: integral, of type BIGINT.
    IntegerDivide,
    /// `%`, with the sign of the left operand.
    Remainder,
}

impl Expr {
    /// `a AND b AND …`; `None` for no conditions.
    pub fn all(conditions: impl IntoIterator<Item = Expr>) -> Option<Expr> {
        conditions.into_iter().reduce(|l, r| Expr::And(Box::new(l), Box::new(r)))
    }

    /// The type of the expression's values.
    pub fn data_type(&self) -> DataType {
        match self {
            Expr::Column(_, t)
            | Expr::Literal(_, t)
            | Expr::Field(_, _, t)
            | Expr::Cast(_, _, t)
            | Expr::Arithmetic(_, _, _, t)
            | Expr::Case(_, _, t)
            | Expr::Coalesce(_, t)
            | Expr::Call(_, _, t)
            | Expr::Variable(_, t) => t.clone(),
            Expr::Higher(call) => call.data_type.clone(),
            Expr::Try(x) => x.data_type(),
            Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::Not(_)
            | Expr::And(..)
            | Expr::Or(..)
            | Expr::Compare(..)
            | Expr::In(..) => DataType::Boolean,
            Expr::Now => crate::types::timestamp(),
        }
    }

    /// Calls `visit` with every expression directly inside this one, in the order of evaluation.
    pub fn children<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        match self {
            Expr::Column(..) | Expr::Literal(..) | Expr::Variable(..) | Expr::Now => {}
            Expr::Field(x, ..)
            | Expr::Cast(x, ..)
            | Expr::IsNull(x)
            | Expr::IsNotNull(x)
            | Expr::Not(x)
            | Expr::Try(x) => visit(x),
            Expr::And(l, r) | Expr::Or(l, r) | Expr::Compare(_, l, r) | Expr::Arithmetic(_, l, r, _) => {
                visit(l);
                visit(r);
            }
            Expr::In(x, list) => {
                visit(x);
                list.values().iter().for_each(visit);
            }
            Expr::Case(branches, otherwise, _) => {
                for (condition, value) in branches {
                    visit(condition);
                    visit(value);
                }
                otherwise.iter().for_each(|x| visit(x));
            }
            Expr::Coalesce(list, _) | Expr::Call(_, list, _) => list.iter().for_each(visit),
            Expr::Higher(call) => {
                call.arguments.iter().for_each(&mut *visit);
                call.lambdas.iter().for_each(|lambda| visit(&lambda.body));
            }
        }
    }

    /// As [`Expr::children`], to change them.
    pub fn children_mut(&mut self, visit: &mut dyn FnMut(&mut Expr)) {
        match self {
            Expr::Column(..) | Expr::Literal(..) | Expr::Variable(..) | Expr::Now => {}
            Expr::Field(x, ..)
            | Expr::Cast(x, ..)
            | Expr::IsNull(x)
            | Expr::IsNotNull(x)
            | Expr::Not(x)
            | Expr::Try(x) => visit(x),
            Expr::And(l, r) | Expr::Or(l, r) | Expr::Compare(_, l, r) | Expr::Arithmetic(_, l, r, _) => {
                visit(l);
                visit(r);
            }
            Expr::In(x, list) => {
                visit(x);
                list.values_mut().iter_mut().for_each(visit);
            }
            Expr::Case(branches, otherwise, _) => {
                for (condition, value) in branches {
                    visit(condition);
                    visit(value);
                }
                otherwise.iter_mut().for_each(|x| visit(x));
            }
            Expr::Coalesce(list, _) | Expr::Call(_, list, _) => list.iter_mut().for_each(visit),
            Expr::Higher(call) => {
                call.arguments.iter_mut().for_each(&mut *visit);
                call.lambdas.iter_mut().for_each(|lambda| visit(&mut lambda.body));
            }
        }
    }

    /// Whether its value depends on the session's time zone, apart from its columns.
    pub fn depends_on_zone(&self) -> bool {
        let is_instant = |data_type: &DataType| *data_type == crate::types::timestamp();
        let own = match self {
            Expr::Cast(x, _, to) => {
                let shown = |t: &DataType| *t == DataType::Utf8 || crate::types::is_datetime(t) && !is_instant(t);
                let from = x.data_type();
                is_instant(&from) && shown(to) || shown(&from) && is_instant(to)
            }
            Expr::Call(function, ..) => function.zoned.is_some(),
            _ => false,
        };
        let mut depends = own;
        self.children(&mut |child| depends |= child.depends_on_zone());
        depends
    }

    /// Calls `visit` with the index of every column in the expression.
    pub fn columns(&self, visit: &mut dyn FnMut(usize)) {
        match self {
            Expr::Column(index, _) => visit(*index),
            other => other.children(&mut |child| child.columns(visit)),
        }
    }

    /// Whether the expression has a column whose index passes the test.
    pub fn has_column(&self, test: impl Fn(usize) -> bool) -> bool {
        let mut found = false;
        self.columns(&mut |index| found |= test(index));
        found
    }

    /// Replaces the index of every column by `new_index`.
    pub fn renumber(&mut self, new_index: &dyn Fn(usize) -> usize) {
        match self {
            Expr::Column(index, _) => *index = new_index(*index),
            other => other.children_mut(&mut |child| child.renumber(new_index)),
        }
    }

    /// Replaces a column by what `value` gives for it; keeps the column if it gives nothing.
    pub fn substitute(&mut self, value: &dyn Fn(usize) -> Option<Expr>) {
        match self {
            Expr::Column(index, _) => {
                if let Some(value) = value(*index) {
                    *self = value;
                }
            }
            other => other.children_mut(&mut |child| child.substitute(value)),
        }
    }
}
