//! Functions of numbers.

use super::{Arguments, Function, Param};
use crate::eval::arithmetic::OVERFLOW;
use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{ArrowPrimitiveType, PrimitiveArray};
use arrow_schema::DataType;
use std::sync::Arc;

pub(super) const FUNCTIONS: &[Function] = &[Function {
    name: "abs",
    params: &[Param::Number],
    gives: |types| types[0].clone(),
    kernel: abs,
    ..Function::BLANK
}];

fn abs(arguments: &mut Arguments) -> ArrayRef {
    match arguments.data_type {
        DataType::Int8 => integral::<Int8Type>(arguments, i8::checked_abs),
        DataType::Int16 => integral::<Int16Type>(arguments, i16::checked_abs),
        DataType::Int32 => integral::<Int32Type>(arguments, i32::checked_abs),
        DataType::Int64 => integral::<Int64Type>(arguments, i64::checked_abs),
        DataType::Float32 => {
            Arc::new(arguments.columns[0].array.as_primitive::<Float32Type>().unary::<_, Float32Type>(f32::abs))
        }
        DataType::Float64 => {
            Arc::new(arguments.columns[0].array.as_primitive::<Float64Type>().unary::<_, Float64Type>(f64::abs))
        }
        other => {
            let array = arguments.columns[0].array.as_primitive::<Decimal128Type>();
            Arc::new(array.unary::<_, Decimal128Type>(i128::abs).with_data_type(other.clone()))
        }
    }
}

fn integral<T: ArrowPrimitiveType>(arguments: &mut Arguments, compute: fn(T::Native) -> Option<T::Native>) -> ArrayRef {
    let input = arguments.columns[0].numbers::<T>();
    let value = |row| {
        let value = input.get(row)?;
        let result = compute(value);
        if result.is_none() {
            arguments.errors.record(row, OVERFLOW.0, || OVERFLOW.1.into());
        }
        result
    };
    Arc::new((0..arguments.rows).map(value).collect::<PrimitiveArray<T>>())
}
