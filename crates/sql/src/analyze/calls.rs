//! Calls: functions of the table, calls that are expressions of another kind (`if`, `coalesce`, `int(x)`), aggregates.

use super::aggregate_calls;
use super::coerce::{self, SpannedExpr, cast_to};
use super::constants;
use super::generators;
use super::names;
use super::random;
use super::resolve::{Resolver, negative, sentence};
use super::scope::list;
use super::sessions;
use super::windows;
use crate::eval::cast;
use crate::expr::{Arithmetic, CastMode, Comparison, Expr};
use crate::functions::from_json::FROM_JSON;
use crate::functions::json_schema::SCHEMA_OF_JSON;
use crate::functions::structs::TO_JSON;
use crate::functions::{self, Function, Param};
use crate::intervals;
use crate::reference;
use crate::syntax::{Call, Fault, Node, NodeKind};
use crate::types;
use crate::value::Value;
use crate::zone::Zone;
use arrow_schema::DataType;
use std::ops::Range;

/// Functions that are casts to the type they name.
const CASTS: [(&str, fn() -> DataType); 12] = [
    ("boolean", || DataType::Boolean),
    ("tinyint", || DataType::Int8),
    ("smallint", || DataType::Int16),
    ("int", || DataType::Int32),
    ("bigint", || DataType::Int64),
    ("float", || DataType::Float32),
    ("double", || DataType::Float64),
    ("string", || DataType::Utf8),
    ("decimal", || DataType::Decimal128(10, 0)),
    ("binary", || DataType::Binary),
    ("date", || DataType::Date32),
    ("timestamp", types::timestamp),
];

/// Calls typed like operators. Those of the table give NULL or a number that is never negative where the operator would
/// not.
const OPERATORS: [(&str, Arithmetic); 7] = [
    ("mod", Arithmetic::Remainder),
    ("pmod", Arithmetic::Remainder),
    ("try_add", Arithmetic::Add),
    ("try_subtract", Arithmetic::Subtract),
    ("try_multiply", Arithmetic::Multiply),
    ("try_divide", Arithmetic::Divide),
    ("try_mod", Arithmetic::Remainder),
];

/// Whether a name is a type's name used as a function: `int(x)`.
pub(super) fn is_cast(name: &str) -> bool {
    CASTS.iter().any(|(cast, _)| *cast == name)
}

impl Resolver<'_> {
    pub(super) fn call(&mut self, call: &Call, at: &Range<usize>) -> Result<Expr, Fault> {
        let name = call.name.name.to_ascii_lowercase();
        if name != "count" && call.arguments.iter().any(|node| node.kind == NodeKind::Star) {
            return self.call(&names::with_columns(call, self.scope), at);
        }
        if name == sessions::NAME {
            return self.session_window(call, at);
        }
        if name == "window" || aggregate_calls::NAMES.contains(&name.as_str()) {
            return self.aggregate_or_window(&name, call, at);
        }
        if let Some(refused) = reference::refused(&name) {
            let message = format!("Spark's function `{name}` is not supported: {}", refused.reason);
            return Err(Fault::new(at.clone(), message, refused.instead));
        }
        refuse_options(&name, call)?;
        if let Some((_, to)) = CASTS.iter().find(|(cast, _)| *cast == name) {
            check_count(&name, 1, 1, call)?;
            let x = self.placed(&call.arguments[0])?;
            return self.cast(x, &to(), CastMode::Ansi);
        }
        if let Some((_, operator)) = OPERATORS.iter().find(|(known, _)| *known == name) {
            check_count(&name, 2, 2, call)?;
            let (l, r) = (self.placed(&call.arguments[0])?, self.placed(&call.arguments[1])?);
            let is_no_number = |t: DataType| types::is_datetime(&t) || intervals::is_interval(&t);
            if name.starts_with("try") && (is_no_number(l.0.data_type()) || is_no_number(r.0.data_type())) {
                return Ok(Expr::Try(Box::new(self.operate(*operator, &name, l, r)?)));
            }
            return by_operator(&name, coerce::arithmetic(*operator, &name, l, r)?, at);
        }
        if random::is_name(&name) {
            return random::call(self, &name, call, at);
        }
        if let Some(expr) = self.time_form(&name, call, at)? {
            return Ok(expr);
        }
        if let Some(expr) = self.interval_form(&name, call)? {
            return Ok(expr);
        }
        if let Some(expr) = self.higher_call(&name, call, at)? {
            return Ok(expr);
        }
        if name == "decode" && call.arguments.len() > 2 {
            return self.decode(&call.arguments);
        }
        if let "to_char" | "to_varchar" = name.as_str() {
            check_count(&name, 2, 2, call)?;
            return self.written_by_format(&call.arguments, at);
        }
        if name == "arrays_zip" {
            return self.arrays_zip(call, at);
        }
        if name == "struct" {
            check_count(&name, 1, usize::MAX, call)?;
            return self.struct_of(call, at);
        }
        let Some(function) = functions::find(&name) else {
            return self.of_no_table(&name, call, at);
        };
        let greatest = if function.repeats { usize::MAX } else { function.params.len() };
        check_count(&name, function.required, greatest, call)?;
        if function.form {
            return self.form(&name, &call.arguments);
        }
        self.of_table(function, call, at)
    }

    /// A call of a function of the table that has a kernel.
    fn of_table(&mut self, function: &'static Function, call: &Call, at: &Range<usize>) -> Result<Expr, Fault> {
        if function.name == FROM_JSON {
            return self.json_read(function, call);
        }
        if super::csv::is_csv(function) {
            return self.csv_call(function, call, at);
        }
        if [TO_JSON, SCHEMA_OF_JSON].contains(&function.name) && call.arguments.len() == 2 {
            return self.json_with_options(function, call, at);
        }
        let arguments = call.arguments.iter().map(|node| self.placed(node)).collect::<Result<_, _>>()?;
        let (function, arguments) = coerce::of_places(function, arguments);
        let (function, arguments) = self.collection_call(function, &call.name.name, arguments, at)?;
        let made = self.apply(function, &call.name.name, arguments, at)?;
        // As Spark makes them, these give NULL also where an argument fails.
        Ok(if let "try_to_binary" | "try_aes_decrypt" = function.name { Expr::Try(Box::new(made)) } else { made })
    }

    /// A call of a function of the table, with its arguments converted to the parameters' types.
    pub(super) fn apply(
        &mut self,
        function: &'static Function,
        shown: &str,
        mut arguments: Vec<SpannedExpr>,
        at: &Range<usize>,
    ) -> Result<Expr, Fault> {
        let param = |index: usize| function.params[index.min(function.params.len() - 1)];
        let common: Vec<usize> = (0..arguments.len()).filter(|index| param(*index) == Param::Common).collect();
        if !common.is_empty() {
            let values = common.iter().map(|index| arguments[*index].clone()).collect();
            let (values, data_type) = coerce::unify_alike(values, self.scope.zone, &format!("`{shown}` cannot mix"))?;
            if !types::is_orderable(&data_type) {
                let message = format!("`{shown}` takes {}, not {}", Param::Common.accepts(), types::name(&data_type));
                return Err(Fault::new(at.clone(), message, "a MAP has no order"));
            }
            common.into_iter().zip(values).for_each(|(index, value)| arguments[index].0 = value);
        }
        let zone = self.scope.zone;
        let is_alike = |param| matches!(param, Param::Alike | Param::SameKind);
        let mut alike = arguments.iter().enumerate().filter(|(index, _)| is_alike(param(*index)));
        let in_bytes = alike.all(|(_, (argument, _))| argument.data_type() == DataType::Binary);
        let param = |index: usize| match param(index) {
            Param::Alike | Param::SameKind if in_bytes => Param::Binary,
            Param::Alike => Param::String,
            other => other,
        };
        let convert = |(index, argument): (usize, SpannedExpr)| convert(argument, param(index), zone, index + 1, shown);
        let arguments: Vec<Expr> = arguments.into_iter().enumerate().map(convert).collect::<Result<_, _>>()?;
        (function.check)(&arguments).map_err(|message| sentence(at.clone(), &message))?;
        if let Some(check) = function.zoned {
            check(&arguments, zone).map_err(|message| sentence(at.clone(), &message))?;
        }
        let data_type = (function.gives)(&arguments);
        Ok(Expr::Call(function, arguments, data_type))
    }

    /// Calls about times that are casts or calls of another function.
    fn time_form(&mut self, name: &str, call: &Call, at: &Range<usize>) -> Result<Option<Expr>, Fault> {
        if let Some(made) = self.of_date_and_time(name, call, at)? {
            return Ok(Some(made));
        }
        let given = call.arguments.len();
        match name {
            "to_timestamp" | "to_timestamp_ltz" | "to_timestamp_ntz" | "to_date" | "try_to_timestamp"
            | "try_to_date"
                if given == 1 =>
            {
                let to = parsed_type(name);
                let mode = if name.starts_with("try") { CastMode::Try } else { CastMode::Ansi };
                let x = text_of_bytes(self.placed(&call.arguments[0])?);
                self.cast(x, &to, mode).map(Some)
            }
            "to_timestamp" | "to_timestamp_ltz" | "to_timestamp_ntz" | "to_date" | "try_to_date" if given == 2 => {
                let x = self.placed(&call.arguments[0])?;
                let to = parsed_type(name);
                if types::is_datetime(&x.0.data_type()) {
                    self.cast(x, &to, CastMode::Ansi).map(Some)
                } else {
                    Ok(None)
                }
            }
            "unix_timestamp" if given == 0 => {
                self.apply_named("unix_seconds", vec![(Expr::Now, at.clone())], at).map(Some)
            }
            "unix_timestamp" | "to_unix_timestamp" if given >= 1 => {
                let x = self.placed(&call.arguments[0])?;
                let is_time = types::is_datetime(&x.0.data_type());
                if is_time { self.apply_named("unix_timestamp of time", vec![x], at).map(Some) } else { Ok(None) }
            }
            "timestampadd" | "dateadd" | "date_add" | "timestampdiff" | "timediff" | "datediff" | "date_diff"
                if given == 3 =>
            {
                self.by_unit(name, call, at).map(Some)
            }
            "dateadd" if given == 2 => {
                let arguments = call.arguments.iter().map(|node| self.placed(node)).collect::<Result<_, _>>()?;
                self.apply_named("date_add", arguments, at).map(Some)
            }
            "convert_timezone" if given == 2 => {
                let zone = Expr::Literal(Value::String(self.scope.zone_name.clone()), DataType::Utf8);
                let mut arguments = vec![(zone, at.clone())];
                for node in &call.arguments {
                    arguments.push(self.placed(node)?);
                }
                self.apply_named("convert_timezone", arguments, at).map(Some)
            }
            "sequence" => {
                check_count(name, 2, 3, call)?;
                let arguments = call.arguments.iter().map(|node| self.placed(node)).collect::<Result<_, _>>()?;
                let arguments = super::intervals::sequence(arguments, self.scope.zone, at)?;
                self.apply_named("sequence", arguments, at).map(Some)
            }
            "extract" | "date_part" | "datepart" => {
                check_count(name, 2, 2, call)?;
                self.extract(&call.arguments, at).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// A call of a name that is in no table of functions.
    fn of_no_table(&mut self, name: &str, call: &Call, at: &Range<usize>) -> Result<Expr, Fault> {
        if name == "window_time" {
            check_count(name, 1, 1, call)?;
            return self.window_time(&call.arguments[0]);
        }
        if let "grouping" | "grouping_id" = name {
            return self.grouping_call(name, call, at);
        }
        if generators::is_name(name) {
            let message = format!("`{name}` makes rows and is not allowed here");
            let help = "make it an item of SELECT, or write FROM … LATERAL VIEW explode(array) t AS x";
            return Err(Fault::new(at.clone(), message, help));
        }
        Err(unknown(call))
    }

    /// `decode(value, search, result, …[, otherwise])`
    fn decode(&mut self, arguments: &[Node]) -> Result<Expr, Fault> {
        let value = self.placed(&arguments[0])?;
        let mut conditions = Vec::new();
        let mut results = Vec::new();
        for pair in arguments[1..].chunks(2) {
            if let [search, result] = pair {
                let sides = [value.clone(), self.placed(search)?];
                conditions.push(coerce::comparison(Comparison::NullSafeEqual, "decode", sides, self.scope.zone)?);
                results.push(self.placed(result)?);
            } else {
                results.push(self.placed(&pair[0])?);
            }
        }
        let (mut results, data_type) = coerce::unify(results, self.scope.zone, "`decode` cannot mix")?;
        let otherwise = if results.len() > conditions.len() { results.pop().map(Box::new) } else { None };
        Ok(Expr::Case(conditions.into_iter().zip(results).collect(), otherwise, data_type))
    }

    /// `to_char` of a time, of bytes, of a number.
    fn written_by_format(&mut self, arguments: &[Node], at: &Range<usize>) -> Result<Expr, Fault> {
        let (value, format) = (self.placed(&arguments[0])?, self.placed(&arguments[1])?);
        let data_type = value.0.data_type();
        if types::is_datetime(&data_type) {
            return self.apply_named("date_format", vec![value, format], at);
        }
        if data_type == DataType::Binary {
            let name = match &format.0 {
                Expr::Literal(Value::String(format), _) => format.to_ascii_lowercase(),
                _ => String::new(),
            };
            return match name.as_str() {
                "hex" => self.apply_named("hex", vec![value], at),
                "base64" => self.apply_named("base64", vec![value], at),
                "utf-8" => {
                    let charset = (Expr::Literal(Value::String("UTF-8".into()), DataType::Utf8), format.1);
                    self.apply_named("decode", vec![value, charset], at)
                }
                _ => {
                    let message = "BINARY has no such format";
                    Err(Fault::new(format.1, message, "the formats are 'hex', 'base64' and 'utf-8'"))
                }
            };
        }
        let (value, value_at) = value;
        let value = match &data_type {
            DataType::Float32 => cast_to(value, &DataType::Decimal128(14, 7)),
            DataType::Float64 => cast_to(value, &DataType::Decimal128(30, 15)),
            DataType::Null => cast_to(value, &DataType::Decimal128(38, 18)),
            t if types::is_numeric(t) => value,
            other => {
                let message = format!("`to_char` takes a number, a time or BINARY, not {}", types::name(other));
                return Err(Fault::new(value_at, message, "CAST it to a DECIMAL"));
            }
        };
        self.apply_named("to_char of number", vec![(value, value_at), format], at)
    }

    /// `window_time(w)` of a subquery's window, as in Spark.
    fn window_time(&mut self, node: &Node) -> Result<Expr, Fault> {
        let window = self.resolve(node)?;
        let help = "write SELECT window_time(w) … FROM (SELECT window(…) AS w … FROM …)";
        let own = [self.aggregates.window_column(), self.aggregates.session.clone()];
        if own.contains(&Some(window.clone())) {
            let message = "`window_time` takes the window of a subquery, not of its own query";
            return Err(Fault::new(node.at.clone(), message, help));
        }
        if window.data_type() != types::window() {
            let message = format!("`window_time` takes a window, not {}", types::name(&window.data_type()));
            return Err(Fault::new(node.at.clone(), message, help));
        }
        Ok(windows::time_of(window))
    }

    pub(super) fn apply_named(
        &mut self,
        name: &str,
        arguments: Vec<SpannedExpr>,
        at: &Range<usize>,
    ) -> Result<Expr, Fault> {
        let function = functions::find(name).expect("a function of the table");
        self.apply(function, name, arguments, at)
    }

    fn form(&mut self, name: &str, arguments: &[Node]) -> Result<Expr, Fault> {
        match name {
            "current_timestamp" | "now" => return Ok(Expr::Now),
            "localtimestamp" => return Ok(cast_to(Expr::Now, &types::timestamp_ntz())),
            "current_date" | "curdate" => return Ok(cast_to(Expr::Now, &DataType::Date32)),
            "current_timezone" => {
                return Ok(Expr::Literal(Value::String(self.scope.zone_name.clone()), DataType::Utf8));
            }
            "negative" => return negative(self.placed(&arguments[0])?),
            "typeof" => {
                let name = types::simple_name(&self.resolve(&arguments[0])?.data_type());
                return Ok(Expr::Literal(Value::String(name), DataType::Utf8));
            }
            "isnull" => return Ok(Expr::IsNull(Box::new(self.resolve(&arguments[0])?))),
            "isnotnull" => return Ok(Expr::IsNotNull(Box::new(self.resolve(&arguments[0])?))),
            _ => {}
        }
        if let "if" | "iff" = name {
            let condition = self.condition(&arguments[0], name)?;
            let values = vec![self.placed(&arguments[1])?, self.placed(&arguments[2])?];
            return choose(condition, values, self.scope.zone, name);
        }
        let mut values = arguments.iter().map(|node| self.placed(node)).collect::<Result<Vec<_>, _>>()?;
        match name {
            "nvl2" => {
                let (tested, _) = values.remove(0);
                choose(Expr::IsNotNull(Box::new(tested)), values, self.scope.zone, name)
            }
            "equal_null" => {
                let sides = values.try_into().expect("two arguments");
                coerce::comparison(Comparison::NullSafeEqual, name, sides, self.scope.zone)
            }
            "zeroifnull" => {
                values.push((Expr::Literal(Value::Integer(0), DataType::Int32), values[0].1.clone()));
                let (values, data_type) = coerce::unify(values, self.scope.zone, "`zeroifnull` cannot mix")?;
                Ok(first_value(values, data_type, self.scope.zone))
            }
            "nullif" | "nullifzero" => {
                if name == "nullifzero" {
                    values.push((Expr::Literal(Value::Integer(0), DataType::Int32), values[0].1.clone()));
                }
                let (first, data_type) = (values[0].0.clone(), values[0].0.data_type());
                let sides = values.try_into().expect("two arguments");
                let equal = coerce::comparison(Comparison::Equal, name, sides, self.scope.zone)?;
                let null = Expr::Literal(Value::Null, data_type.clone());
                Ok(Expr::Case(vec![(equal, null)], Some(Box::new(first)), data_type))
            }
            _ => {
                let (values, data_type) = coerce::unify(values, self.scope.zone, &format!("`{name}` cannot mix"))?;
                Ok(first_value(values, data_type, self.scope.zone))
            }
        }
    }
}

/// The first value that is not NULL. If that is a constant, it stands for the whole, as in Spark, which computes constants
/// with the file.
fn first_value(values: Vec<Expr>, data_type: DataType, zone: Zone) -> Expr {
    let is_null = |x: &Expr| matches!(x, Expr::Literal(Value::Null, _));
    let computed = |x: &Expr| constants::computed(x.clone(), zone);
    match values.iter().map(computed).find(|x| !is_null(x)) {
        Some(constant @ Expr::Literal(..)) => constant,
        _ => Expr::Coalesce(values, data_type),
    }
}

/// Refuses what only aggregate functions have.
fn refuse_options(name: &str, call: &Call) -> Result<(), Fault> {
    let given = [
        (call.distinct, "DISTINCT"),
        (call.filter.is_some(), "FILTER"),
        (call.ignore_nulls.is_some(), "IGNORE NULLS"),
        (call.within.is_some(), "WITHIN GROUP"),
    ];
    match given.into_iter().find(|(given, _)| *given) {
        Some((_, what)) => {
            let message = format!("{what} is only for aggregate functions, and `{name}` is not one");
            Err(Fault::new(call.name.at.clone(), message, format!("leave {what} out")))
        }
        None => Ok(()),
    }
}

/// BINARY as the text that it holds.
fn text_of_bytes((x, at): SpannedExpr) -> SpannedExpr {
    match x.data_type() {
        DataType::Binary => (cast_to(x, &DataType::Utf8), at),
        _ => (x, at),
    }
}

/// The result type of `to_date` and similar functions.
fn parsed_type(name: &str) -> DataType {
    match name {
        "to_date" | "try_to_date" => DataType::Date32,
        "to_timestamp_ntz" => types::timestamp_ntz(),
        _ => types::timestamp(),
    }
}

/// Turns a typed operator into a call of this name.
fn by_operator(name: &str, typed: Expr, at: &Range<usize>) -> Result<Expr, Fault> {
    match (typed, functions::find(name).filter(|function| !function.form)) {
        (Expr::Arithmetic(_, l, _, DataType::Decimal128(..)), Some(_)) if name == "pmod" => {
            let message = format!("`pmod` does not take {}", types::name(&l.data_type()));
            Err(Fault::new(at.clone(), message, "CAST it to DOUBLE"))
        }
        (Expr::Arithmetic(_, l, r, data_type), Some(function)) => Ok(Expr::Call(function, vec![*l, *r], data_type)),
        (typed, _) => Ok(typed),
    }
}

fn choose(condition: Expr, values: Vec<SpannedExpr>, zone: Zone, name: &str) -> Result<Expr, Fault> {
    let (mut values, data_type) = coerce::unify(values, zone, &format!("`{name}` cannot mix"))?;
    let otherwise = values.pop().expect("two values");
    let value = values.pop().expect("two values");
    Ok(Expr::Case(vec![(condition, value)], Some(Box::new(otherwise)), data_type))
}

/// Converts an argument to a parameter's type. Arguments are numbered from 1.
pub(super) fn convert(
    (expr, at): SpannedExpr,
    param: Param,
    zone: Zone,
    number: usize,
    function: &str,
) -> Result<Expr, Fault> {
    let from = expr.data_type();
    let is_binary_or_text = matches!(from, DataType::Utf8 | DataType::Binary);
    let to = match param {
        Param::Any | Param::Common | Param::Alike => return Ok(expr),
        Param::Text if is_binary_or_text => return Ok(expr),
        Param::Number if types::is_numeric(&from) => return Ok(expr),
        Param::TextOrTexts if matches!(from, DataType::List(_)) => types::array(DataType::Utf8),
        Param::String | Param::OnlyString | Param::SameKind | Param::Text | Param::TextOrTexts => DataType::Utf8,
        Param::Binary => DataType::Binary,
        Param::Whole if from == DataType::Int64 => return Ok(expr),
        Param::Int | Param::Whole | Param::SmallInt => DataType::Int32,
        Param::Long | Param::Integral => DataType::Int64,
        Param::Double | Param::Number => DataType::Float64,
        Param::Seconds(precision) => DataType::Decimal128(precision, 6),
        Param::Boolean => DataType::Boolean,
        Param::Date => DataType::Date32,
        Param::Clock if types::is_timestamp(&from) => return Ok(expr),
        Param::Timestamp | Param::Clock => types::timestamp(),
        Param::WallTime => types::timestamp_ntz(),
    };
    if let Expr::Literal(Value::String(text), _) = &expr
        && to != DataType::Utf8
    {
        return match to {
            DataType::Int32 => Ok(cast_to(coerce::constant(text, &DataType::Int64, zone, at)?, &to)),
            to => coerce::constant(text, &to, zone, at),
        };
    }
    let takes = match param {
        Param::String | Param::Text => !types::is_nested(&from),
        // Spark writes a constant number or time as text here, but nothing else.
        Param::OnlyString => {
            from == DataType::Utf8 || !types::is_nested(&from) && from != DataType::Binary && !expr.has_column(|_| true)
        }
        Param::SameKind => !types::is_nested(&from) && from != DataType::Binary,
        Param::TextOrTexts => cast::allowed(&from, &to),
        Param::Binary => is_binary_or_text,
        Param::SmallInt => types::is_integral(&from) && from != DataType::Int64,
        Param::Integral => types::is_integral(&from),
        Param::Int | Param::Long | Param::Whole => types::is_numeric(&from),
        Param::Double | Param::Seconds(_) => types::is_numeric(&from),
        Param::Boolean => from == DataType::Boolean,
        Param::Date | Param::Timestamp | Param::Clock | Param::WallTime => types::is_datetime(&from),
        Param::Number | Param::Any | Param::Common | Param::Alike => false,
    };
    if takes || from.is_null() {
        return Ok(cast_to(expr, &to));
    }
    let message = format!("`{function}` takes {} as argument {number}, not {}", param.accepts(), types::name(&from));
    let help = if cast::allowed(&from, &to) {
        format!("convert it: CAST(… AS {})", types::name(&to))
    } else {
        "give it another argument".into()
    };
    Err(Fault::new(at, message, help))
}

pub(super) fn check_count(name: &str, least: usize, greatest: usize, call: &Call) -> Result<(), Fault> {
    let given = call.arguments.len();
    if (least..=greatest).contains(&given) {
        return Ok(());
    }
    let wanted = match (least, greatest) {
        (least, usize::MAX) => format!("{least} or more arguments"),
        (1, 1) => "1 argument".into(),
        (least, greatest) if least == greatest => format!("{least} arguments"),
        (least, greatest) => format!("{least} to {greatest} arguments"),
    };
    let message = format!("`{name}` takes {wanted}, not {given}");
    Err(Fault::new(call.name.at.clone(), message, "change the arguments"))
}

fn unknown(call: &Call) -> Fault {
    let near = reference::near(&call.name.name);
    let help = if near.is_empty() {
        "`tidemill functions` lists the functions that there are".to_string()
    } else {
        format!("did you mean {}?", list(near.into_iter()))
    };
    Fault::new(call.name.at.clone(), format!("unknown function `{}`", call.name.name), help)
}
