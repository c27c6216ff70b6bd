//! Default names of output columns, as Spark makes them (rule O7): `start`, `sum(v)`, `count(1)`, `(a + 1)`.

use super::calls;
use super::collections;
use super::literals;
use super::resolve::Resolver;
use super::scope::{self, Scope, same};
use crate::expr::Expr;
use crate::intervals;
use crate::syntax::{Call, Ident, IsTest, LikeKind, Literal, Node, NodeKind, Operator, SortItem};
use crate::text::java_double::java_double;
use crate::text::{show, times};
use crate::types;
use crate::value::Value;
use crate::zone::{WallClock, Zone};
use arrow_schema::DataType;

/// The name of an item without an alias. The source's name is left out.
pub(super) fn of_item(node: &Node, expr: &Expr, scope: &Scope) -> String {
    match (&node.kind, expr) {
        (NodeKind::Name(parts), _) => parts.last().expect("a name has parts").name.clone(),
        (NodeKind::Cast(value, ..), _) if is_column(value, scope) => of_item(value, expr, scope),
        (NodeKind::Binary(operator, l, r), expr) => {
            time_sum(*operator, l, r, expr, scope).unwrap_or_else(|| pretty(node, scope))
        }
        _ => pretty(node, scope),
    }
}

/// Whether the node is a column's name, not that of a STRUCT's field.
fn is_column(node: &Node, scope: &Scope) -> bool {
    match &node.kind {
        NodeKind::Name(parts) => parts.len() == 1 + usize::from(scope.is_qualified(parts)),
        _ => false,
    }
}

/// `date + 1`, which has become a function call, and `time + interval`.
fn time_sum(operator: Operator, l: &Node, r: &Node, expr: &Expr, scope: &Scope) -> Option<String> {
    match expr {
        Expr::Call(function, ..) if ["date_add", "date_sub"].contains(&function.name) => {
            Some(format!("{}({}, {})", function.name, pretty(l, scope), pretty(r, scope)))
        }
        Expr::Call(function, arguments, _) if function.name.starts_with("+ ") => {
            Some(moved(operator, l, r, &arguments[0], scope))
        }
        _ => None,
    }
}

/// `time + interval`: the time first, without brackets. A DATE moved by days alone is a function call.
fn moved(operator: Operator, l: &Node, r: &Node, time: &Expr, scope: &Scope) -> String {
    let days = |node: &Node| match &node.kind {
        NodeKind::Literal(literal) => literals::interval(literal).is_ok_and(|(_, t)| t == intervals::day_time(0, 0)),
        _ => false,
    };
    let (time_node, interval) = if is_interval(l) { (r, l) } else { (l, r) };
    let (time_text, interval_text) = (pretty(time_node, scope), pretty(interval, scope));
    if time.data_type() == DataType::Date32 && days(interval) && operator == Operator::Add {
        return format!("date_add({time_text}, extractansiintervaldays({interval_text}))");
    }
    format!("{time_text} {} {interval_text}", operator.symbol())
}

/// Whether a node looks like an interval.
fn is_interval(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Literal(literal) => matches!(literal, Literal::Interval(_) | Literal::IntervalFields(..)),
        NodeKind::Call(call) => {
            let name = call.name.name.to_ascii_lowercase();
            name.starts_with("make_") && name.ends_with("interval")
        }
        NodeKind::Negate(x) => is_interval(x),
        NodeKind::Binary(Operator::Multiply | Operator::Divide, l, r) => is_interval(l) || is_interval(r),
        NodeKind::Binary(Operator::Add | Operator::Subtract, l, r) => is_interval(l) && is_interval(r),
        _ => false,
    }
}

fn pretty(node: &Node, scope: &Scope) -> String {
    match &node.kind {
        NodeKind::Name(parts) if scope.variables.iter().any(|name| same(name, &parts[0].name)) => {
            let fields = parts[1..].iter().map(|part| format!(".{}", part.name));
            std::iter::once(VARIABLE.to_string()).chain(fields).collect()
        }
        NodeKind::Name(parts) => {
            let qualified = usize::from(scope.is_qualified(parts));
            parts[qualified..].iter().map(|part| part.name.as_str()).collect::<Vec<_>>().join(".")
        }
        NodeKind::Literal(literal) => constant(literal, scope.zone),
        NodeKind::Not(x) => format!("(NOT {})", pretty(x, scope)),
        NodeKind::Negate(x) => match &x.kind {
            NodeKind::Literal(Literal::Number(_)) => format!("-{}", pretty(x, scope)),
            _ => format!("(- {})", pretty(x, scope)),
        },
        NodeKind::Plus(x) => format!("(+ {})", pretty(x, scope)),
        NodeKind::Invert(x) => format!("~{}", pretty(x, scope)),
        NodeKind::Binary(Operator::Concat, l, r) => format!("concat({}, {})", pretty(l, scope), pretty(r, scope)),
        NodeKind::Binary(Operator::NotEqual, l, r) => format!("(NOT ({} = {}))", pretty(l, scope), pretty(r, scope)),
        NodeKind::Binary(operator @ (Operator::Add | Operator::Subtract), l, r) => {
            let of_time = Resolver::new(scope).resolve(node).ok();
            let of_time = of_time.and_then(|expr| time_sum(*operator, l, r, &expr, scope));
            of_time.unwrap_or_else(|| format!("({} {} {})", pretty(l, scope), operator.symbol(), pretty(r, scope)))
        }
        NodeKind::Binary(Operator::Multiply, l, r) if is_interval(r) => {
            format!("({} * {})", pretty(r, scope), pretty(l, scope))
        }
        NodeKind::Binary(operator, l, r) => {
            format!("({} {} {})", pretty(l, scope), operator.symbol(), pretty(r, scope))
        }
        NodeKind::Is(x, test, negated) => is_test(x, test, *negated, scope),
        NodeKind::In(x, list, negated) => {
            let list: Vec<_> = list.iter().map(|x| pretty(x, scope)).collect();
            negate(format!("({} IN ({}))", pretty(x, scope), list.join(", ")), *negated)
        }
        NodeKind::Between(x, low, high, negated) => {
            negate(format!("between({}, {}, {})", pretty(x, scope), pretty(low, scope), pretty(high, scope)), *negated)
        }
        NodeKind::LikeList(kind, x, patterns, all, negated) => like_list(*kind, x, patterns, (*all, *negated), scope),
        NodeKind::Like(kind, x, pattern, escape, negated) => {
            let escape = escape.map_or(String::new(), |c| format!(" ESCAPE '{c}'"));
            let text = match kind {
                LikeKind::Like => format!("{} LIKE {}{escape}", pretty(x, scope), pretty(pattern, scope)),
                LikeKind::Ilike => format!("ilike({}, {}{escape})", pretty(x, scope), pretty(pattern, scope)),
                LikeKind::Rlike => format!("RLIKE({}, {})", pretty(x, scope), pretty(pattern, scope)),
            };
            negate(text, *negated)
        }
        NodeKind::Case(operand, branches, otherwise) => case(operand.as_deref(), branches, otherwise.as_deref(), scope),
        NodeKind::Cast(x, data_type, false) if types::is_nested(data_type) => pretty(x, scope),
        NodeKind::Cast(x, data_type, try_cast) => {
            let word = if *try_cast { "TRY_CAST" } else { "CAST" };
            format!("{word}({} AS {})", pretty(x, scope), types::name(data_type))
        }
        NodeKind::Call(call) => call_name(call, scope),
        NodeKind::Field(x, name) => format!("{}.{}", pretty(x, scope), name.name),
        NodeKind::Index(x, index) => match field_in_brackets(x, index, scope) {
            Some(field) => format!("{}.{}", pretty(x, scope), field.name),
            None => format!("{}[{}]", pretty(x, scope), pretty(index, scope)),
        },
        NodeKind::Star => "1".into(),
        NodeKind::Lambda(parameters, body) => lambda(parameters, body, scope),
    }
}

/// The field that `x['field']` reads. Only such a text needs the type of `x`.
fn field_in_brackets(x: &Node, index: &Node, scope: &Scope) -> Option<Ident> {
    let NodeKind::Literal(Literal::String(_)) = index.kind else { return None };
    let data_type = Resolver::new(scope).resolve(x).ok()?.data_type();
    scope::field_in_brackets(&data_type, index)
}

fn case(operand: Option<&Node>, branches: &[(Node, Node)], otherwise: Option<&Node>, scope: &Scope) -> String {
    let mut out = String::from("CASE");
    for (condition, value) in branches {
        let condition = match operand {
            Some(operand) => format!("({} = {})", pretty(operand, scope), pretty(condition, scope)),
            None => pretty(condition, scope),
        };
        out.push_str(&format!(" WHEN {condition} THEN {}", pretty(value, scope)));
    }
    if let Some(otherwise) = otherwise {
        out.push_str(&format!(" ELSE {}", pretty(otherwise, scope)));
    }
    out + " END"
}

/// A lambda's parameters have no names in the result.
fn lambda(parameters: &[Ident], body: &Node, scope: &Scope) -> String {
    let mut scope = scope.clone();
    for parameter in parameters {
        scope.variables.push(parameter.name.clone());
    }
    let variables = vec![VARIABLE; parameters.len()];
    format!("lambdafunction({}, {})", pretty(body, &scope), variables.join(", "))
}

/// A lambda's parameter.
const VARIABLE: &str = "namedlambdavariable()";

/// Functions whose names Spark writes in capitals.
const CAPITALS: [&str; 34] = [
    "rlike",
    "acosh",
    "asinh",
    "atanh",
    "cot",
    "csc",
    "sec",
    "sqrt",
    "cbrt",
    "exp",
    "expm1",
    "log",
    "log10",
    "log2",
    "log1p",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "degrees",
    "radians",
    "atan2",
    "hypot",
    "power",
    "signum",
    "pi",
    "e",
    "regexp",
    "regexp_like",
];

/// Seeds of `uuid` and `shuffle` are not part of the name.
fn random_name(name: &str, arguments: &[String]) -> String {
    match name {
        "uuid" => "uuid()".into(),
        "shuffle" => format!("shuffle({})", arguments[0]),
        _ => format!("rand({})", arguments.join(", ")),
    }
}

/// The default last argument of `aggregate`.
const IDENTITY: &str = "lambdafunction(namedlambdavariable(), namedlambdavariable())";

/// The default comparator of `array_sort`.
const DEFAULT_COMPARATOR: &str = "lambdafunction((IF(((namedlambdavariable() IS NULL) AND (namedlambdavariable() IS NULL)), 0, \
     (IF((namedlambdavariable() IS NULL), 1, (IF((namedlambdavariable() IS NULL), -1, \
     (IF((namedlambdavariable() < namedlambdavariable()), -1, \
     (IF((namedlambdavariable() > namedlambdavariable()), 1, 0)))))))))), namedlambdavariable(), namedlambdavariable())";

/// Arguments that Spark adds to a call: function, number of given arguments, added text.
const DEFAULTS: [(&str, usize, &str); 46] = [
    ("mask", 1, "X, x, n, NULL"),
    ("mask", 2, "x, n, NULL"),
    ("mask", 3, "n, NULL"),
    ("mask", 4, "NULL"),
    ("str_to_map", 1, ",, :"),
    ("str_to_map", 2, ":"),
    ("split", 2, "-1"),
    ("regexp_replace", 3, "1"),
    ("regexp_extract", 2, "1"),
    ("regexp_extract_all", 2, "1"),
    ("aes_encrypt", 2, "GCM, DEFAULT, , "),
    ("aes_encrypt", 3, "DEFAULT, , "),
    ("aes_encrypt", 4, ", "),
    ("aes_decrypt", 2, "GCM, DEFAULT, "),
    ("aes_decrypt", 3, "DEFAULT, "),
    ("aes_decrypt", 4, ""),
    ("try_aes_decrypt", 4, ""),
    ("try_aes_decrypt", 2, "GCM, DEFAULT, "),
    ("try_aes_decrypt", 3, "DEFAULT, "),
    ("regexp_instr", 2, "0"),
    ("aggregate", 3, IDENTITY),
    ("reduce", 3, IDENTITY),
    ("percentile", 2, "1"),
    ("percentile_approx", 2, "10000"),
    ("approx_percentile", 2, "10000"),
    ("string_agg", 1, "NULL"),
    ("listagg", 1, "NULL"),
    ("months_between", 2, "true"),
    ("sort_array", 1, "true"),
    ("array_sort", 1, DEFAULT_COMPARATOR),
    ("round", 1, "0"),
    ("bround", 1, "0"),
    ("locate", 2, "1"),
    ("position", 2, "1"),
    ("replace", 2, ""),
    ("substr", 2, "2147483647"),
    ("substring", 2, "2147483647"),
    ("overlay", 3, "-1"),
    ("lpad", 2, " "),
    ("rpad", 2, " "),
    ("from_unixtime", 1, "yyyy-MM-dd HH:mm:ss"),
    ("unix_timestamp", 1, "yyyy-MM-dd HH:mm:ss"),
    ("to_unix_timestamp", 1, "yyyy-MM-dd HH:mm:ss"),
    ("sentences", 1, ", "),
    ("sentences", 2, ""),
    ("unix_timestamp", 0, "current_timestamp(), yyyy-MM-dd HH:mm:ss"),
];

/// A call with columns in the place of `*`: `struct(*)` is `struct(a, b)`.
pub(super) fn with_columns(call: &Call, scope: &Scope) -> Call {
    let (mut arguments, mut aliases) = (Vec::new(), Vec::new());
    for (place, node) in call.arguments.iter().enumerate() {
        if node.kind != NodeKind::Star {
            arguments.push(node.clone());
            aliases.push(call.aliases.get(place).cloned().flatten());
            continue;
        }
        for (name, ..) in &scope.columns {
            let part = Ident { name: name.clone(), quoted: true, at: node.at.clone() };
            arguments.push(Node { kind: NodeKind::Name(vec![part]), at: node.at.clone() });
            aliases.push(None);
        }
    }
    Call { arguments, aliases, ..call.clone() }
}

/// Of `(a, b)`.
fn row_name(call: &Call, values: &[String]) -> String {
    let named = call.arguments.iter().zip(values).enumerate();
    let named = named.map(|(place, (node, x))| format!("{}, {x}", collections::field_name(call, place, node)));
    format!("named_struct({})", named.collect::<Vec<_>>().join(", "))
}

/// Of `make_interval` and its like: with what is not given.
fn interval_name(name: &str, given: &[String]) -> String {
    let whole: &[&str] = match name {
        "make_ym_interval" => &["0", "0"],
        "make_dt_interval" => &["0", "0", "0", "0.000000"],
        _ => &["0", "0", "0", "0", "0", "0", "0.000000"],
    };
    let missing = whole.iter().skip(given.len()).map(|part| part.to_string());
    format!("{name}({})", given.iter().cloned().chain(missing).collect::<Vec<_>>().join(", "))
}

/// Of a timestamp of a date and a TIME.
fn time_name(name: &str, call: &Call, arguments: &[String]) -> Option<String> {
    let is_time = matches!(call.arguments.get(1)?.kind, NodeKind::Literal(Literal::Time(_)));
    let arguments = arguments.join(", ");
    match name {
        "make_timestamp_ltz" | "try_make_timestamp_ltz" if is_time => Some(format!("make_timestamp({arguments})")),
        "try_make_timestamp_ntz" if is_time => Some(format!("{name}(make_timestamp_ntz({arguments}))")),
        _ => None,
    }
}

fn call_name(call: &Call, scope: &Scope) -> String {
    let name = call.name.name.to_ascii_lowercase();
    if name != "count" && call.arguments.iter().any(|node| node.kind == NodeKind::Star) {
        return call_name(&with_columns(call, scope), scope);
    }
    let aliases = call.aliases.iter().map(Option::as_ref).chain(std::iter::repeat(None));
    let shown = |(x, alias): (&Node, Option<&Ident>)| match alias {
        Some(alias) => format!("{} AS {}", pretty(x, scope), alias.name),
        None => pretty(x, scope),
    };
    let mut arguments: Vec<_> = call.arguments.iter().zip(aliases).map(shown).collect();
    match (name.as_str(), &arguments[..]) {
        (_, [x]) if calls::is_cast(&name) => return x.clone(),
        // `(a, b)`
        ("struct", values) if call.keywords => return row_name(call, values),
        ("random" | "uuid" | "shuffle", _) => return random_name(&name, &arguments),
        ("if" | "iff", _) => return format!("(IF({}))", arguments.join(", ")),
        ("window" | "session_window", _) => return name,
        ("from_json" | "from_csv", [json, _, ..]) => return format!("{name}({json})"),
        ("to_json" | "schema_of_json", [value, _]) => return format!("{name}({value})"),
        ("array_agg", [x]) => return format!("collect_list({x}){}", filter_name(call, scope)),
        ("mode", [x, deterministic]) => {
            let is_told = deterministic == "true";
            return if is_told { format!("mode() WITHIN GROUP (ORDER BY {x} DESC)") } else { format!("mode({x})") };
        }
        ("make_dt_interval" | "make_ym_interval" | "make_interval" | "try_make_interval", given) => {
            return interval_name(&name, given);
        }
        ("timestampadd" | "dateadd" | "date_add", [unit, count, time]) => {
            return format!("timestampadd({}, {count}, {time})", unit.to_ascii_uppercase());
        }
        ("timestampdiff" | "timediff" | "datediff" | "date_diff", [unit, from, to]) => {
            return format!("timestampdiff({}, {from}, {to})", unit.to_ascii_uppercase());
        }
        ("to_char" | "to_varchar", [value, format]) => return to_char(&call.arguments[0], value, format, scope),
        ("assert_true", [condition]) => return format!("assert_true({condition}, '{condition}' is not true!)"),
        ("raise_error", [message]) => {
            return format!("raise_error(USER_RAISED_EXCEPTION, map(errorMessage, {message}))");
        }
        ("dateadd", [date, days]) => return format!("date_add({date}, {days})"),
        ("convert_timezone", [to, time]) => return format!("convert_timezone(current_timezone(), {to}, {time})"),
        ("like", [x, pattern]) => return format!("{x} LIKE {pattern}"),
        ("isnull", [x]) => return format!("({x} IS NULL)"),
        ("isnotnull", [x]) => return format!("({x} IS NOT NULL)"),
        ("positive", [x]) => return format!("(+ {x})"),
        ("ceil", [x]) => return format!("CEIL({x})"),
        ("floor", [x]) => return format!("FLOOR({x})"),
        ("log", [x]) => return format!("LOG(E(), {x})"),
        ("extract" | "datepart", [field, x]) => return format!("{name}({field} FROM {x})"),
        ("ltrim", [set, x]) => return format!("TRIM(LEADING {set} FROM {x})"),
        ("rtrim", [set, x]) => return format!("TRIM(TRAILING {set} FROM {x})"),
        ("btrim", [x, set]) if call.keywords => return format!("TRIM(BOTH {set} FROM {x})"),
        ("btrim", [x]) if call.keywords => return format!("trim({x})"),
        // Accuracy and handling of NULLs are not part of the name.
        ("approx_count_distinct" | "first" | "first_value" | "any_value" | "last" | "last_value", [_, _]) => {
            arguments.truncate(1);
        }
        _ => {}
    }
    if let Some(name) = time_name(&name, call, &arguments) {
        return name;
    }
    if let Some(order) = &call.within {
        return within_name(&name, &arguments, order, scope) + &filter_name(call, scope);
    }
    let default = DEFAULTS.iter().find(|(known, given, _)| *known == name && *given == arguments.len());
    arguments.extend(default.map(|(.., added)| added.to_string()));
    let shown = if CAPITALS.contains(&name.as_str()) { name.to_ascii_uppercase() } else { name };
    format!("{shown}({}){}", arguments.join(", "), filter_name(call, scope))
}

/// `to_char` is another function for each kind of value.
fn to_char(node: &Node, value: &str, format: &str, scope: &Scope) -> String {
    let data_type = Resolver::new(scope).resolve(node).map_or(DataType::Null, |value| value.data_type());
    match format.to_ascii_lowercase().as_str() {
        _ if types::is_datetime(&data_type) => format!("date_format({value}, {format})"),
        encoding @ ("hex" | "base64") if data_type == DataType::Binary => format!("{encoding}({value})"),
        "utf-8" if data_type == DataType::Binary => format!("decode({value}, utf-8)"),
        _ => format!("to_char({value}, {format})"),
    }
}

/// Spark names the direction of listagg's keys in full, that of the others if it is DESC, and that of `mode` the other way round.
fn within_name(name: &str, arguments: &[String], order: &[SortItem], scope: &Scope) -> String {
    let is_list = matches!(name, "listagg" | "string_agg");
    let key = |item: &SortItem| {
        let direction = match (is_list, item.descending, item.nulls_last) {
            (true, true, true) => " DESC NULLS LAST",
            (true, true, false) => " DESC NULLS FIRST",
            (true, false, true) => " ASC NULLS LAST",
            (true, false, false) => " ASC NULLS FIRST",
            (false, descending, _) if descending != (name == "mode") => " DESC",
            _ => "",
        };
        format!("{}{direction}", pretty(&item.node, scope))
    };
    let keys: Vec<String> = order.iter().map(key).collect();
    let (name, none) = if is_list { ("listagg", ", NULL") } else { (name, "") };
    let missing = if arguments.len() == 1 { none } else { "" };
    format!("{name}({}{missing}) WITHIN GROUP (ORDER BY {})", arguments.join(", "), keys.join(", "))
}

fn filter_name(call: &Call, scope: &Scope) -> String {
    call.filter.as_ref().map_or(String::new(), |filter| format!(" FILTER (WHERE {})", pretty(filter, scope)))
}

fn is_test(x: &Node, test: &IsTest, negated: bool, scope: &Scope) -> String {
    match test {
        IsTest::Null | IsTest::Unknown => {
            format!("({} IS {}NULL)", pretty(x, scope), if negated { "NOT " } else { "" })
        }
        IsTest::True => negate(format!("({} <=> true)", pretty(x, scope)), negated),
        IsTest::False => negate(format!("({} <=> false)", pretty(x, scope)), negated),
        IsTest::DistinctFrom(y) => negate(format!("({} <=> {})", pretty(x, scope), pretty(y, scope)), !negated),
    }
}

/// `LIKE ANY`: a function of the value where all patterns are constants, else the tests one by one.
fn like_list(kind: LikeKind, x: &Node, patterns: &[Node], (all, negated): (bool, bool), scope: &Scope) -> String {
    if patterns.iter().all(|pattern| matches!(pattern.kind, NodeKind::Literal(Literal::String(_)))) {
        let value = pretty(x, scope);
        let value = if kind == LikeKind::Ilike { format!("lower({value})") } else { value };
        return format!("{}like{}({value})", if negated { "not" } else { "" }, if all { "all" } else { "any" });
    }
    let test = |pattern: &Node| {
        let kind = NodeKind::Like(kind, Box::new(x.clone()), Box::new(pattern.clone()), None, negated);
        pretty(&Node { kind, at: x.at.clone() }, scope)
    };
    let joined = |l: String, r: String| format!("({l} {} {r})", if all { "AND" } else { "OR" });
    patterns.iter().map(test).reduce(joined).unwrap_or_default()
}

fn negate(text: String, negated: bool) -> String {
    if negated { format!("(NOT {text})") } else { text }
}

fn constant(literal: &Literal, zone: Zone) -> String {
    let shown = |word: &str, text: &str| match literals::constant(literal, zone, &(0..0)) {
        Ok(Expr::Literal(value, data_type)) => {
            format!("{word} '{}'", show::value(&value.to_array(&data_type), 0, &WallClock::new(zone)))
        }
        _ => format!("{word} '{text}'"),
    };
    match literal {
        Literal::Null => "NULL".into(),
        Literal::Boolean(value) => value.to_string(),
        Literal::Number(text) => {
            let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let suffix = text[digits.len()..].to_ascii_uppercase();
            let is_double = suffix == "D" || suffix.is_empty() && digits.contains(['e', 'E']);
            if is_double { digits.parse().map_or(digits.into(), java_double) } else { digits.into() }
        }
        Literal::String(text) => text.clone(),
        Literal::Binary(bytes) => {
            format!("X'{}'", bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>())
        }
        Literal::Date(text) => shown("DATE", text),
        Literal::Timestamp(text) => shown("TIMESTAMP", text),
        Literal::TimestampNtz(text) => shown("TIMESTAMP_NTZ", text),
        Literal::Time(text) => match times::time_of_day(text) {
            // As Spark writes a time of the first day.
            Some(micros) => {
                let first_day = Value::Integer(micros).to_array(&types::timestamp_ntz());
                let shown = show::value(&first_day, 0, &WallClock::utc());
                format!("TIME '{}'", shown.split(' ').next_back().unwrap_or_default())
            }
            None => format!("TIME '{text}'"),
        },
        Literal::Interval(text) | Literal::IntervalFields(text, ..) => match literals::interval(literal) {
            Ok((value, data_type)) => {
                let array = Value::Integer(value).to_array(&data_type);
                show::value(&array, 0, &WallClock::utc())
            }
            Err(_) => format!("INTERVAL '{text}'"),
        },
    }
}
