//! Three-valued logic, and expressions of which a row evaluates only one branch.

use super::in_set::InList;
use super::{Column, Input, RowErrors, column, compare, pick, take_or_null};
use crate::expr::{Comparison, Expr};
use arrow_array::cast::AsArray;
use arrow_array::{Array, BooleanArray, new_null_array};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::DataType;
use std::sync::Arc;

pub(super) fn not(x: &Column) -> BooleanArray {
    let x = x.array.as_boolean();
    BooleanArray::new(!x.values(), x.nulls().cloned())
}

pub(super) fn and(l: &Expr, r: &Expr, input: &Input, errors: &mut RowErrors) -> Column {
    connective(l, r, input, errors, false)
}

pub(super) fn or(l: &Expr, r: &Expr, input: &Input, errors: &mut RowErrors) -> Column {
    connective(l, r, input, errors, true)
}

/// AND (`decides` = false) and OR (`decides` = true): a side with the deciding value gives the result, whatever the
/// other is; else NULL if a side is NULL. The right side's errors count only if the left side does not decide.
fn connective(l: &Expr, r: &Expr, input: &Input, errors: &mut RowErrors, decides: bool) -> Column {
    let rows = input.rows.num_rows();
    let left = Ternary::of(column(l, input, errors), rows);
    let mut own = RowErrors::default();
    let right = Ternary::of(column(r, input, &mut own), rows);
    let left_decides = if decides { &left.holds } else { &left.fails };
    errors.absorb(own, |row| !left_decides.value(row));
    let (holds, fails) = if decides {
        (&left.holds | &right.holds, &left.fails & &right.fails)
    } else {
        (&left.holds & &right.holds, &left.fails | &right.fails)
    };
    let known = NullBuffer::new(&holds | &fails);
    let nulls = Some(known).filter(|known| known.null_count() > 0);
    Column::rows(Arc::new(BooleanArray::new(holds, nulls)))
}

/// A condition per row: where it is true and where it is false; neither if it is NULL.
struct Ternary {
    holds: BooleanBuffer,
    fails: BooleanBuffer,
}

impl Ternary {
    fn of(column: Column, rows: usize) -> Ternary {
        if column.array.data_type().is_null() {
            return Ternary { holds: BooleanBuffer::new_unset(rows), fails: BooleanBuffer::new_unset(rows) };
        }
        let array = column.into_rows(rows);
        let array = array.as_boolean();
        match array.nulls() {
            None => Ternary { holds: array.values().clone(), fails: !array.values() },
            Some(nulls) => Ternary { holds: array.values() & nulls.inner(), fails: &!array.values() & nulls.inner() },
        }
    }
}

/// A value, NULL in the rows where it fails.
pub(super) fn attempt(x: &Expr, input: &Input) -> Column {
    let mut own = RowErrors::default();
    let value = column(x, input, &mut own);
    if own.is_empty() {
        return value;
    }
    let places: Vec<Option<usize>> =
        (0..input.rows.num_rows()).map(|row| own.get(row).is_none().then(|| value.at(row))).collect();
    Column::rows(take_or_null(&value.array, &places))
}

/// The value of the first branch with a true condition. Later conditions and other values do not count.
pub(super) fn case(
    branches: &[(Expr, Expr)],
    otherwise: Option<&Expr>,
    data_type: &DataType,
    input: &Input,
    errors: &mut RowErrors,
) -> Column {
    let rows = input.rows.num_rows();
    let mut undecided = BooleanBuffer::new_set(rows);
    let mut choice = vec![0; rows];
    let mut values = vec![Column::constant(new_null_array(data_type, 1))];
    for (condition, value) in branches {
        let mut own = RowErrors::default();
        let holds = Ternary::of(column(condition, input, &mut own), rows).holds;
        errors.absorb(own, |row| undecided.value(row));
        let taken = &holds & &undecided;
        undecided = &undecided & &!&taken;
        take_branch(value, &taken, input, &mut choice, &mut values, errors);
    }
    if let Some(otherwise) = otherwise {
        take_branch(otherwise, &undecided, input, &mut choice, &mut values, errors);
    }
    Column::rows(pick(&values, choice.into_iter()))
}

fn take_branch(
    value: &Expr,
    taken: &BooleanBuffer,
    input: &Input,
    choice: &mut [usize],
    values: &mut Vec<Column>,
    errors: &mut RowErrors,
) {
    if taken.count_set_bits() == 0 {
        return;
    }
    let mut own = RowErrors::default();
    let number = values.len();
    values.push(column(value, input, &mut own));
    errors.absorb(own, |row| taken.value(row));
    taken.set_indices().for_each(|row| choice[row] = number);
}

/// The first value that is not NULL. Later values do not count.
pub(super) fn coalesce(list: &[Expr], data_type: &DataType, input: &Input, errors: &mut RowErrors) -> Column {
    let rows = input.rows.num_rows();
    let mut undecided = BooleanBuffer::new_set(rows);
    let mut choice = vec![0; rows];
    let mut values = vec![Column::constant(new_null_array(data_type, 1))];
    for value in list {
        if undecided.count_set_bits() == 0 {
            break;
        }
        let mut own = RowErrors::default();
        let value = column(value, input, &mut own);
        errors.absorb(own, |row| undecided.value(row));
        let number = values.len();
        undecided = BooleanBuffer::collect_bool(rows, |row| {
            let wanted = undecided.value(row);
            let taken = wanted && !value.is_null(row);
            if taken {
                choice[row] = number;
            }
            wanted && !taken
        });
        values.push(value);
    }
    Column::rows(pick(&values, choice.into_iter()))
}

/// True if a value is equal, else NULL if `x` or a value is NULL, else false. Values after an equal one do not count;
/// none counts if `x` is NULL.
pub(super) fn in_list(x: &Expr, list: &InList, input: &Input, errors: &mut RowErrors) -> Column {
    let rows = input.rows.num_rows();
    let x = column(x, input, errors);
    let nulls = x.nulls(rows);
    let given = nulls.map_or_else(|| BooleanBuffer::new_set(rows), |nulls| nulls.into_inner());
    let mut found = BooleanBuffer::new_unset(rows);
    if let Some(set) = list.set() {
        let found = set.found(&x, &given);
        let known = if set.has_null { found.clone() } else { given };
        let nulls = NullBuffer::new(known);
        return Column::rows(Arc::new(BooleanArray::new(found, Some(nulls).filter(|nulls| nulls.null_count() > 0))));
    }
    let mut unknown = !&given;
    for value in list.values() {
        let mut own = RowErrors::default();
        let value = column(value, input, &mut own);
        errors.absorb(own, |row| given.value(row) && !found.value(row));
        let equal = compare::compare(Comparison::Equal, &x, &value, rows);
        if let Some(nulls) = equal.nulls() {
            unknown = &unknown | &!nulls.inner();
            found = &found | &(equal.values() & nulls.inner());
        } else {
            found = &found | equal.values();
        }
    }
    let nulls = NullBuffer::new(&found | &!&unknown);
    Column::rows(Arc::new(BooleanArray::new(found, Some(nulls).filter(|nulls| nulls.null_count() > 0))))
}
