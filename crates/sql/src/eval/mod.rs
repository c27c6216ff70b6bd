//! Evaluates typed expressions over Arrow arrays, one batch at a time.
//!
//! A row whose expression fails under ANSI rules is marked in [`RowErrors`] and its value is NULL; the caller drops or
//! fails it (`on_error`). Errors in branches that a row does not take (CASE, COALESCE, AND, OR) do not count: a branch
//! is evaluated for all rows with separate errors, and only those of the rows that take it are kept.

pub(crate) mod arithmetic;
pub(crate) mod cast;
mod column;
pub(crate) mod compare;
mod errors;
mod in_set;
mod lambdas;
mod logic;

pub use column::{Column, take, take_or_null};
pub(crate) use column::{Texts, pick};
pub use errors::{RowError, RowErrors};
pub use in_set::InList;

use crate::expr::{Arithmetic, Comparison, Expr};
use crate::functions::Arguments;
use crate::text::times::Defaults;
use crate::value::Value;
use crate::zone::{WallClock, Zone};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int32Type};
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, TimestampMicrosecondArray};
use arrow_buffer::BooleanBuffer;
use arrow_schema::DataType;
use std::sync::Arc;
use tidemill_model::Millis;

/// The batch's facts that an expression may use.
#[derive(Clone, Copy, Debug)]
pub struct EvalContext {
    /// The batch's timestamp: `current_timestamp()`.
    pub timestamp: Millis,
    /// The session's time zone.
    pub zone: Zone,
    /// The query's seed, for random functions without one.
    pub seed: u64,
}

impl EvalContext {
    fn defaults(&self) -> Defaults {
        Defaults { clock: WallClock::new(self.zone), now: Some(self.timestamp.to_micros()) }
    }
}

/// The expression's value for every row of `rows`; a column reference is a clone of its `Arc`.
pub fn evaluate(expr: &Expr, rows: &RecordBatch, context: &EvalContext, errors: &mut RowErrors) -> ArrayRef {
    if let Expr::Column(index, _) = expr {
        return rows.column(*index).clone();
    }
    let input = Input { rows, context, times: context.defaults(), variables: Vec::new() };
    column(expr, &input, errors).into_rows(rows.num_rows())
}

/// The order of two values of one array, as ORDER BY has it; a NULL is less than any value.
pub fn order_of(values: &ArrayRef, i: usize, j: usize) -> std::cmp::Ordering {
    compare::order_nullable(values, i, values, j)
}

/// For each row whether the filter holds: false where it is false, NULL, or failed (see `errors`).
pub fn matches(filter: &Expr, rows: &RecordBatch, context: &EvalContext, errors: &mut RowErrors) -> BooleanBuffer {
    let result = evaluate(filter, rows, context, errors);
    let result = result.as_boolean();
    match result.nulls() {
        Some(nulls) => result.values() & nulls.inner(),
        None => result.values().clone(),
    }
}

/// A batch under evaluation.
struct Input<'a> {
    rows: &'a RecordBatch,
    context: &'a EvalContext,
    /// The session's clock, and the batch's timestamp for texts that are only a time.
    times: Defaults,
    /// The parameters of the surrounding lambdas, by number, the innermost last.
    variables: Vec<(usize, ArrayRef)>,
}

/// The expression's value; a single row if it is the same for all rows.
fn column(expr: &Expr, input: &Input, errors: &mut RowErrors) -> Column {
    match expr {
        Expr::Column(index, _) => Column::rows(input.rows.column(*index).clone()),
        Expr::Literal(value, data_type) => Column::constant(value.to_array(data_type)),
        Expr::Now => {
            let now = TimestampMicrosecondArray::from(vec![input.context.timestamp.to_micros().0]);
            Column::constant(Arc::new(now.with_timezone("UTC")))
        }
        Expr::Variable(number, _) => {
            let bound = input.variables.iter().rfind(|(bound, _)| bound == number);
            Column::rows(bound.expect("a lambda binds its parameters").1.clone())
        }
        Expr::Try(x) => logic::attempt(x, input),
        Expr::Higher(call) => lambdas::call(call, input, errors),
        Expr::Field(x, index, _) => {
            let x = column(x, input, errors);
            Column { array: field(&x.array, *index), ..x }
        }
        Expr::IsNull(x) => null_test(x, input, errors, |valid| !valid),
        Expr::IsNotNull(x) => null_test(x, input, errors, BooleanBuffer::clone),
        Expr::And(l, r) => logic::and(l, r, input, errors),
        Expr::Or(l, r) => logic::or(l, r, input, errors),
        Expr::Case(branches, otherwise, t) => logic::case(branches, otherwise.as_deref(), t, input, errors),
        Expr::Coalesce(list, t) => logic::coalesce(list, t, input, errors),
        Expr::In(x, list) => logic::in_list(x, list, input, errors),
        Expr::Not(x) => apply(Order::Whole, &[x], input, errors, |columns, _, _| Arc::new(logic::not(&columns[0]))),
        Expr::Cast(x, mode, to) => apply(Order::Whole, &[x], input, errors, |columns, _, errors| {
            cast::cast(&columns[0].array, to, *mode, &input.times, errors)
        }),
        Expr::Compare(operator, l, r) => {
            apply(Order::of_comparison(*operator), &[l, r], input, errors, |columns, rows, _| {
                Arc::new(compare::compare(*operator, &columns[0], &columns[1], rows))
            })
        }
        Expr::Arithmetic(operator, l, r, t) => {
            apply(Order::of_arithmetic(*operator), &[l, r], input, errors, |columns, rows, errors| {
                arithmetic::arithmetic(*operator, &columns[0], &columns[1], t, rows, errors)
            })
        }
        Expr::Call(function, arguments, data_type) => {
            let arguments: Vec<&Expr> = arguments.iter().collect();
            apply(function.order, &arguments, input, errors, |columns, rows, errors| {
                let (times, seed) = (&input.times, input.context.seed);
                (function.kernel)(&mut Arguments { columns, rows, data_type, times, seed, errors })
            })
        }
    }
}

/// The order in which a row's operands are evaluated. A NULL may end the evaluation: later operands cannot fail then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// All operands.
    Whole,
    /// From the first on, up to a NULL; none of them if one is written NULL.
    Forward,
    /// From the first on, up to a NULL.
    InTurn,
    /// As `Forward`, from the last on: Spark looks at a divisor first.
    Backward,
    /// The third operand, if there is one, then from the first on, up to a NULL.
    ThirdFirst,
    /// The first operand, and all others unless it is NULL.
    FirstThenWhole,
    /// The second operand only where the first is NaN.
    IfNan,
    /// The second operand only where the first is not true.
    UnlessTrue,
    /// Of the operands after the first only the one whose number the first is.
    Numbered,
}

impl Order {
    fn of_comparison(operator: Comparison) -> Order {
        if operator == Comparison::NullSafeEqual { Order::Whole } else { Order::Forward }
    }

    fn of_arithmetic(operator: Arithmetic) -> Order {
        match operator {
            Arithmetic::Add | Arithmetic::Subtract | Arithmetic::Multiply => Order::Forward,
            Arithmetic::Divide | Arithmetic::IntegerDivide | Arithmetic::Remainder => Order::Backward,
        }
    }

    /// The operands' values. An operand's errors count only in the rows that evaluate it.
    fn compute(self, operands: &[impl AsRef<Expr>], input: &Input, errors: &mut RowErrors) -> Vec<Column> {
        let mut order: Vec<usize> = (0..operands.len()).collect();
        match self {
            Order::Backward => order.reverse(),
            Order::ThirdFirst => order.sort_by_key(|at| *at != 2),
            _ => {}
        }
        let mut columns: Vec<Option<Column>> = vec![None; operands.len()];
        let mut own = RowErrors::default();
        for at in order {
            let mut of_operand = RowErrors::default();
            let values = column(operands[at].as_ref(), input, &mut of_operand);
            if self.ends_at_null() && matches!(operands[at].as_ref(), Expr::Literal(Value::Null, _)) {
                own = RowErrors::default();
                columns[at] = Some(values);
                for (other, operand) in operands.iter().enumerate().filter(|(other, _)| *other != at) {
                    if columns[other].is_none() {
                        columns[other] = Some(column(operand.as_ref(), input, &mut RowErrors::default()));
                    }
                }
                break;
            }
            own.absorb(of_operand, |row| self.takes(at, row, &columns));
            columns[at] = Some(values);
        }
        errors.absorb(own, |_| true);
        columns.into_iter().map(|column| column.expect("the order names all of them")).collect()
    }

    /// Whether no operand is evaluated beside one that is written NULL.
    fn ends_at_null(self) -> bool {
        matches!(self, Order::Forward | Order::Backward)
    }

    /// Whether a row evaluates the operand at this place.
    fn takes(self, at: usize, row: usize, before: &[Option<Column>]) -> bool {
        match (self, before.first()) {
            (Order::Whole, _) => true,
            (Order::FirstThenWhole, Some(Some(first))) => !first.is_null(row),
            (Order::IfNan, Some(Some(first))) => is_nan(first, row),
            (Order::UnlessTrue, Some(Some(first))) => {
                first.is_null(row) || !first.array.as_boolean().value(first.at(row))
            }
            (Order::Numbered, Some(Some(first))) => {
                !first.is_null(row) && first.numbers::<Int32Type>().get(row) == i32::try_from(at).ok()
            }
            _ => !before.iter().flatten().any(|column| column.is_null(row)),
        }
    }
}

fn is_nan(column: &Column, row: usize) -> bool {
    !column.is_null(row)
        && match column.array.data_type() {
            DataType::Float32 => column.array.as_primitive::<Float32Type>().value(column.at(row)).is_nan(),
            DataType::Float64 => column.array.as_primitive::<Float64Type>().value(column.at(row)).is_nan(),
            _ => false,
        }
}

/// Evaluates operands and then the operation on them; only once if all operands are constants.
fn apply<X: AsRef<Expr>>(
    order: Order,
    operands: &[X],
    input: &Input,
    errors: &mut RowErrors,
    operation: impl FnOnce(&[Column], usize, &mut RowErrors) -> ArrayRef,
) -> Column {
    let columns = order.compute(operands, input, errors);
    let rows = input.rows.num_rows();
    if !columns.iter().all(|column| column.constant) {
        return Column::rows(operation(&columns, rows, errors));
    }
    let mut own = RowErrors::default();
    let array = operation(&columns, 1, &mut own);
    if let Some(error) = own.get(0) {
        (0..rows).for_each(|row| errors.record(row, error.class, || error.message.clone()));
    }
    Column::constant(array)
}

fn null_test(
    x: &Expr,
    input: &Input,
    errors: &mut RowErrors,
    test: impl Fn(&BooleanBuffer) -> BooleanBuffer,
) -> Column {
    let x = column(x, input, errors);
    let valid = match x.array.nulls() {
        _ if x.array.data_type() == &DataType::Null => BooleanBuffer::new_unset(x.array.len()),
        Some(nulls) => nulls.inner().clone(),
        None => BooleanBuffer::new_set(x.array.len()),
    };
    Column { array: Arc::new(BooleanArray::new(test(&valid), None)), constant: x.constant }
}

/// A member of a STRUCT array, NULL where the struct is.
pub fn field(array: &ArrayRef, index: usize) -> ArrayRef {
    let array = array.as_struct();
    let member = array.column(index);
    match array.nulls() {
        None => member.clone(),
        Some(outer) => {
            let nulls = arrow_buffer::NullBuffer::union(Some(outer), member.nulls());
            let data = member.to_data().into_builder().nulls(nulls).build().expect("only nulls were added");
            arrow_array::make_array(data)
        }
    }
}

impl AsRef<Expr> for Expr {
    fn as_ref(&self) -> &Expr {
        self
    }
}
