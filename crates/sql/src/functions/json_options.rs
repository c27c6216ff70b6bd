//! Options of the functions of JSON and CSV: the planner puts them behind the arguments, as pairs of constants.

use crate::eval::Column;
use crate::expr::Expr;
use crate::value::Value;
use crate::zone::Zone;
use arrow_schema::DataType;

/// Names and values.
pub(crate) type Pairs = Vec<(String, String)>;

/// The constants that the planner puts behind the arguments.
pub(crate) fn constants(pairs: Pairs) -> impl Iterator<Item = Expr> {
    let text = |text: String| Expr::Literal(Value::String(text), DataType::Utf8);
    pairs.into_iter().flat_map(move |(name, value)| [text(name), text(value)])
}

/// The pairs in columns behind the arguments.
pub(super) fn of_columns(columns: &[Column]) -> Pairs {
    paired(columns.iter().map(|column| column.texts().get(0).expect("an option has a value").to_string()))
}

/// The pairs in constants behind the arguments.
pub(super) fn of_constants(arguments: &[Expr]) -> Pairs {
    paired(arguments.iter().map(|argument| match argument {
        Expr::Literal(Value::String(text), _) => text.clone(),
        other => panic!("the planner writes the options as constants: {other:?}"),
    }))
}

/// Texts, two by two.
pub(crate) fn paired(texts: impl Iterator<Item = String>) -> Pairs {
    let texts: Vec<String> = texts.collect();
    texts.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

/// The zone that the option `timeZone` names.
pub(super) fn zone(value: &str) -> Result<Zone, String> {
    let unknown = || format!("the option timeZone: '{value}' is no time zone; write for instance 'UTC'");
    Zone::parse(value).ok_or_else(unknown)
}

/// Whether the option `mode` has broken records fail.
pub(super) fn fails_fast(mode: &str) -> Result<bool, String> {
    match mode.to_ascii_uppercase().as_str() {
        "PERMISSIVE" => Ok(false),
        "FAILFAST" => Ok(true),
        _ => Err(format!("the option mode: '{mode}' is not supported; write 'PERMISSIVE' or 'FAILFAST'")),
    }
}

/// A yes or a no.
pub(super) fn is_true(name: &str, value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("the option {name}: '{value}' is neither; write 'true' or 'false'")),
    }
}
