//! Spark's types as Arrow types: names, families, and which type two values have in common (ANSI rules).

use crate::intervals;
use arrow_schema::{DataType, Field, Fields, TimeUnit};
use std::sync::Arc;

/// TIMESTAMP: an instant, microseconds.
pub fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// TIMESTAMP_NTZ: a wall-clock time without zone, microseconds.
pub fn timestamp_ntz() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

/// The type of a window: `STRUCT<start: TIMESTAMP, end: TIMESTAMP>` (rule W4).
pub fn window() -> DataType {
    DataType::Struct(Fields::from(vec![Field::new("start", timestamp(), true), Field::new("end", timestamp(), true)]))
}

/// ARRAY<element>.
pub fn array(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("element", element, true)))
}

/// MAP<key, value>.
pub fn map(key: DataType, value: DataType) -> DataType {
    let entry = Fields::from(vec![Field::new("key", key, false), Field::new("value", value, true)]);
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entry), false)), false)
}

/// STRUCT<key, value>: a map's entry as a value.
pub fn entry(key: DataType, value: DataType) -> DataType {
    DataType::Struct(Fields::from(vec![Field::new("key", key, true), Field::new("value", value, true)]))
}

/// The type as Spark's SQL writes it.
pub fn name(data_type: &DataType) -> String {
    match data_type {
        DataType::Null => "VOID".into(),
        DataType::Boolean => "BOOLEAN".into(),
        DataType::Int8 => "TINYINT".into(),
        DataType::Int16 => "SMALLINT".into(),
        DataType::Int32 => "INT".into(),
        DataType::Int64 => "BIGINT".into(),
        DataType::Float32 => "FLOAT".into(),
        DataType::Float64 => "DOUBLE".into(),
        DataType::Decimal128(p, s) => format!("DECIMAL({p},{s})"),
        DataType::Utf8 => "STRING".into(),
        DataType::Binary => "BINARY".into(),
        DataType::Date32 => "DATE".into(),
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP".into(),
        DataType::Timestamp(_, None) => "TIMESTAMP_NTZ".into(),
        DataType::Struct(fields) => {
            let fields: Vec<_> = fields.iter().map(|f| format!("{}: {}", f.name(), name(f.data_type()))).collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
        DataType::List(element) => format!("ARRAY<{}>", name(element.data_type())),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(kv) => format!("MAP<{}, {}>", name(kv[0].data_type()), name(kv[1].data_type())),
            other => panic!("a map of {other}"),
        },
        other => match intervals::kind(other) {
            Some(kind) => kind.name(),
            None => panic!("{other} is not a Spark type"),
        },
    }
}

/// The type as Spark prints it in schemas, its `simpleString`: `array<struct<a:int>>`. Names of fields keep their case.
pub fn simple_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Struct(fields) => {
            let field = |f: &Arc<Field>| format!("{}:{}", f.name(), simple_name(f.data_type()));
            format!("struct<{}>", fields.iter().map(field).collect::<Vec<_>>().join(","))
        }
        DataType::List(element) => format!("array<{}>", simple_name(element.data_type())),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(kv) => {
                format!("map<{},{}>", simple_name(kv[0].data_type()), simple_name(kv[1].data_type()))
            }
            other => panic!("a map of {other}"),
        },
        other => name(other).to_lowercase(),
    }
}

/// TINYINT … BIGINT.
pub fn is_integral(t: &DataType) -> bool {
    matches!(t, DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64)
}

/// FLOAT, DOUBLE.
pub fn is_floating(t: &DataType) -> bool {
    matches!(t, DataType::Float32 | DataType::Float64)
}

/// Any number, decimals included.
pub fn is_numeric(t: &DataType) -> bool {
    is_integral(t) || is_floating(t) || matches!(t, DataType::Decimal128(..))
}

/// TIMESTAMP, TIMESTAMP_NTZ.
pub fn is_timestamp(t: &DataType) -> bool {
    matches!(t, DataType::Timestamp(..))
}

/// DATE, TIMESTAMP, TIMESTAMP_NTZ.
pub fn is_datetime(t: &DataType) -> bool {
    is_timestamp(t) || *t == DataType::Date32
}

/// STRUCT, ARRAY, MAP.
pub fn is_nested(t: &DataType) -> bool {
    matches!(t, DataType::Struct(_) | DataType::List(_) | DataType::Map(..))
}

/// Whether values of the type can be grouped by: anything without an INTERVAL of all fields inside.
pub fn is_groupable(t: &DataType) -> bool {
    match t {
        DataType::Interval(_) => false,
        DataType::List(inner) | DataType::Map(inner, _) => is_groupable(inner.data_type()),
        DataType::Struct(fields) => fields.iter().all(|field| is_groupable(field.data_type())),
        _ => true,
    }
}

/// Whether values of the type have an order: anything without a MAP inside.
pub fn is_orderable(t: &DataType) -> bool {
    match t {
        DataType::Map(..) | DataType::Interval(_) => false,
        DataType::List(element) => is_orderable(element.data_type()),
        DataType::Struct(fields) => fields.iter().all(|field| is_orderable(field.data_type())),
        _ => true,
    }
}

/// The decimal that holds every value of an integral type.
pub fn decimal_of(t: &DataType) -> Option<(u8, i8)> {
    match t {
        DataType::Int8 => Some((3, 0)),
        DataType::Int16 => Some((5, 0)),
        DataType::Int32 => Some((10, 0)),
        DataType::Int64 => Some((20, 0)),
        DataType::Decimal128(p, s) => Some((*p, *s)),
        _ => None,
    }
}

/// The type that two values have in common without a change of kind: for array functions, `greatest`, `least` and the
/// operands of arithmetic on anything but decimals. Strings have nothing in common with other types.
pub fn common(a: &DataType, b: &DataType) -> Option<DataType> {
    common_by(&|_, _| None, a, b)
}

/// The common type of an array's elements and a value that is added: as [`common`], but a DECIMAL only beside an integral number
/// that it holds, and FLOAT stays FLOAT. Spark's `findTightestCommonType`.
pub fn tightest(a: &DataType, b: &DataType) -> Option<DataType> {
    match (a, b) {
        (DataType::List(a), DataType::List(b)) => tightest(a.data_type(), b.data_type()).map(array),
        (DataType::Struct(a), DataType::Struct(b)) => fields_by(&tightest, a, b),
        (DataType::Decimal128(p, s), t) | (t, DataType::Decimal128(p, s)) if is_numeric(t) && a != b => {
            let holds = |(q, _): (u8, i8)| is_integral(t) && i32::from(*p) - i32::from(*s) >= i32::from(q);
            decimal_of(t).filter(|of| holds(*of)).map(|_| DataType::Decimal128(*p, *s))
        }
        (DataType::Float32, t) | (t, DataType::Float32) if is_integral(t) => Some(DataType::Float32),
        _ => common(a, b),
    }
}

/// The common type for CASE, COALESCE, IN, UNION ALL and values of one array or map. A STRING beside a BINARY becomes a
/// BINARY, also inside of nested types. With other types a STRING has nothing in common: a documented deviation.
pub fn wider(a: &DataType, b: &DataType) -> Option<DataType> {
    common_by(&text_as_bytes, a, b)
}

/// The common type for a comparison: as [`wider`], but a nested type keeps its kinds, and numbers inside of it are of types of
/// which one holds the other.
pub fn compared(a: &DataType, b: &DataType) -> Option<DataType> {
    text_as_bytes(a, b).or_else(|| if is_nested(a) && is_nested(b) { tightest(a, b) } else { common(a, b) })
}

fn text_as_bytes(a: &DataType, b: &DataType) -> Option<DataType> {
    matches!((a, b), (DataType::Utf8, DataType::Binary) | (DataType::Binary, DataType::Utf8))
        .then_some(DataType::Binary)
}

/// The common type of two STRUCTs with the same names, field by field.
fn fields_by(common: &dyn Fn(&DataType, &DataType) -> Option<DataType>, a: &Fields, b: &Fields) -> Option<DataType> {
    let field = |(a, b): (&Arc<Field>, &Arc<Field>)| {
        let same_name = a.name().eq_ignore_ascii_case(b.name());
        let data_type = common(a.data_type(), b.data_type()).filter(|_| same_name)?;
        Some(Field::new(a.name(), data_type, true))
    };
    let fields = a.iter().zip(b.iter()).map(field).collect::<Option<Fields>>()?;
    (a.len() == b.len()).then_some(DataType::Struct(fields))
}

/// `mixed` gives the common type of two types of different kinds.
fn common_by(
    mixed: &impl Fn(&DataType, &DataType) -> Option<DataType>,
    a: &DataType,
    b: &DataType,
) -> Option<DataType> {
    let common = |a: &DataType, b: &DataType| common_by(mixed, a, b);
    match (a, b) {
        (a, b) if a == b => Some(a.clone()),
        (DataType::Null, t) | (t, DataType::Null) => Some(t.clone()),
        (a, b) if is_numeric(a) && is_numeric(b) => Some(common_number(a, b)),
        (DataType::Date32, t) | (t, DataType::Date32) if is_timestamp(t) => Some(t.clone()),
        (a, b) if is_timestamp(a) && is_timestamp(b) => Some(timestamp()),
        (a, b) if intervals::is_interval(a) => intervals::common(a, b),
        (DataType::List(a), DataType::List(b)) => common(a.data_type(), b.data_type()).map(array),
        (DataType::Map(a, _), DataType::Map(b, _)) => {
            let (DataType::Struct(a), DataType::Struct(b)) = (a.data_type(), b.data_type()) else {
                return None;
            };
            let [key, value] = [0, 1].map(|at| common(a[at].data_type(), b[at].data_type()));
            Some(map(key?, value?))
        }
        (DataType::Struct(a), DataType::Struct(b)) => fields_by(&common, a, b),
        (a, b) => mixed(a, b),
    }
}

fn common_number(a: &DataType, b: &DataType) -> DataType {
    const WIDTHS: [DataType; 4] = [DataType::Int8, DataType::Int16, DataType::Int32, DataType::Int64];
    if let (Some(x), Some(y)) = (WIDTHS.iter().position(|t| t == a), WIDTHS.iter().position(|t| t == b)) {
        return WIDTHS[x.max(y)].clone();
    }
    match (decimal_of(a), decimal_of(b)) {
        (Some(a), Some(b)) => wider_decimal(a, b),
        _ => DataType::Float64,
    }
}

/// The decimal that holds both, as far as 38 digits reach (the fraction gives way).
pub fn wider_decimal((p1, s1): (u8, i8), (p2, s2): (u8, i8)) -> DataType {
    let scale = i32::from(s1.max(s2));
    let whole = (i32::from(p1) - i32::from(s1)).max(i32::from(p2) - i32::from(s2));
    bounded_decimal(whole + scale, scale)
}

/// DECIMAL(p, s) with both cut at 38: for sums, where the fraction is kept.
pub fn bounded_decimal(precision: i32, scale: i32) -> DataType {
    DataType::Decimal128(precision.min(38) as u8, scale.min(38) as i8)
}

/// DECIMAL(p, s) or, beyond 38 digits, one with less fraction, but at least 6 digits of it (or all of a shorter one):
/// Spark's `adjustPrecisionScale`.
pub fn adjusted_decimal(precision: i32, scale: i32) -> DataType {
    if precision <= 38 {
        return DataType::Decimal128(precision as u8, scale as i8);
    }
    let least = scale.min(6);
    DataType::Decimal128(38, (38 - (precision - scale)).max(least) as i8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_types_have_in_common() {
        for (a, b, expected) in [
            (DataType::Int8, DataType::Int32, Some(DataType::Int32)),
            (DataType::Int64, DataType::Float32, Some(DataType::Float64)),
            (DataType::Float32, DataType::Float32, Some(DataType::Float32)),
            (DataType::Int32, DataType::Decimal128(5, 2), Some(DataType::Decimal128(12, 2))),
            (DataType::Decimal128(5, 2), DataType::Decimal128(4, 3), Some(DataType::Decimal128(6, 3))),
            (DataType::Decimal128(5, 2), DataType::Float32, Some(DataType::Float64)),
            (DataType::Null, DataType::Utf8, Some(DataType::Utf8)),
            (DataType::Date32, timestamp(), Some(timestamp())),
            (DataType::Utf8, DataType::Int32, None),
            (DataType::Boolean, DataType::Int32, None),
        ] {
            assert_eq!(common(&a, &b), expected, "{a} {b}");
            assert_eq!(common(&b, &a), expected, "{b} {a}");
        }
    }

    #[test]
    fn text_beside_bytes_becomes_bytes() {
        let nested = |inner: DataType| map(DataType::Utf8, array(inner));
        for (a, b, [common_type, wider_type, compared_type]) in [
            (DataType::Utf8, DataType::Binary, [None, Some(DataType::Binary), Some(DataType::Binary)]),
            (nested(DataType::Utf8), nested(DataType::Binary), [None, Some(nested(DataType::Binary)), None]),
            (DataType::Binary, DataType::Int32, [None, None, None]),
        ] {
            for (a, b) in [(&a, &b), (&b, &a)] {
                assert_eq!(
                    [common(a, b), wider(a, b), compared(a, b)],
                    [&common_type, &wider_type, &compared_type].map(Clone::clone),
                    "{a} {b}"
                );
            }
        }
    }
}
