//! The default name of an output column, as Spark makes it (rule O7): `start`, `sum(v)`, `count(1)`, `(a + 1)`.

use crate::syntax::{Call, IsTest, LikeKind, Literal, Node, NodeKind};
use crate::types;

/// The name of an item without an alias.
pub(crate) fn of_item(node: &Node) -> String {
    match &node.kind {
        NodeKind::Name(parts) => parts.last().expect("a name has parts").name.clone(),
        NodeKind::Field(_, field) => match &field.name {
            _ if matches!(node.kind, NodeKind::Field(..)) => pretty(node),
            name => name.clone(),
        },
        NodeKind::Cast(value, _, false) if matches!(value.kind, NodeKind::Name(_)) => of_item(value),
        _ => pretty(node),
    }
}

fn pretty(node: &Node) -> String {
    match &node.kind {
        NodeKind::Name(parts) => parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>().join("."),
        NodeKind::Literal(literal) => constant(literal),
        NodeKind::Not(x) => format!("(NOT {})", pretty(x)),
        NodeKind::Negate(x) => match &x.kind {
            NodeKind::Literal(Literal::Number(_)) => format!("-{}", pretty(x)),
            _ => format!("(- {})", pretty(x)),
        },
        NodeKind::Plus(x) => format!("(+ {})", pretty(x)),
        NodeKind::Binary(crate::syntax::Operator::Concat, l, r) => format!("concat({}, {})", pretty(l), pretty(r)),
        NodeKind::Binary(crate::syntax::Operator::NotEqual, l, r) => format!("(NOT ({} = {}))", pretty(l), pretty(r)),
        NodeKind::Binary(operator, l, r) => format!("({} {} {})", pretty(l), operator.symbol(), pretty(r)),
        NodeKind::Is(x, test, negated) => is_test(x, test, *negated),
        NodeKind::In(x, list, negated) => {
            let list: Vec<_> = list.iter().map(pretty).collect();
            negate(format!("({} IN ({}))", pretty(x), list.join(", ")), *negated)
        }
        NodeKind::Between(x, low, high, negated) => {
            negate(format!("between({}, {}, {})", pretty(x), pretty(low), pretty(high)), *negated)
        }
        NodeKind::Like(kind, x, pattern, escape, negated) => {
            let escape = escape.map_or(String::new(), |c| format!(" ESCAPE '{c}'"));
            let text = match kind {
                LikeKind::Like => format!("{} LIKE {}{escape}", pretty(x), pretty(pattern)),
                LikeKind::Ilike => format!("ilike({}, {}{escape})", pretty(x), pretty(pattern)),
                LikeKind::Rlike => format!("RLIKE({}, {})", pretty(x), pretty(pattern)),
            };
            negate(text, *negated)
        }
        NodeKind::Case(operand, branches, otherwise) => {
            let mut out = String::from("CASE");
            for (condition, value) in branches {
                let condition = match operand {
                    Some(operand) => format!("({} = {})", pretty(operand), pretty(condition)),
                    None => pretty(condition),
                };
                out.push_str(&format!(" WHEN {condition} THEN {}", pretty(value)));
            }
            if let Some(otherwise) = otherwise {
                out.push_str(&format!(" ELSE {}", pretty(otherwise)));
            }
            out + " END"
        }
        NodeKind::Cast(x, data_type, try_cast) => {
            let word = if *try_cast { "TRY_CAST" } else { "CAST" };
            format!("{word}({} AS {})", pretty(x), types::name(data_type))
        }
        NodeKind::Call(call) => call_name(call),
        NodeKind::Field(x, name) => format!("{}.{}", pretty(x), name.name),
        NodeKind::Index(x, index) => format!("{}[{}]", pretty(x), pretty(index)),
        NodeKind::Star => "1".into(),
    }
}

fn call_name(call: &Call) -> String {
    let lower = call.name.name.to_ascii_lowercase();
    let arguments: Vec<_> = call.arguments.iter().map(pretty).collect();
    let name = match lower.as_str() {
        "if" => return format!("(IF({}))", arguments.join(", ")),
        other => other,
    };
    let filter = call.filter.as_ref().map_or(String::new(), |filter| format!(" FILTER (WHERE {})", pretty(filter)));
    format!("{name}({}){filter}", arguments.join(", "))
}

fn is_test(x: &Node, test: &IsTest, negated: bool) -> String {
    match test {
        IsTest::Null | IsTest::Unknown => {
            format!("({} IS {}NULL)", pretty(x), if negated { "NOT " } else { "" })
        }
        IsTest::True => negate(format!("({} IS TRUE)", pretty(x)), negated),
        IsTest::False => negate(format!("({} IS FALSE)", pretty(x)), negated),
        IsTest::DistinctFrom(y) => negate(format!("({} <=> {})", pretty(x), pretty(y)), !negated),
    }
}

fn negate(text: String, negated: bool) -> String {
    if negated { format!("(NOT {text})") } else { text }
}

fn constant(literal: &Literal) -> String {
    match literal {
        Literal::Null => "NULL".into(),
        Literal::Boolean(truth) => truth.to_string(),
        Literal::Number(text) => text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).into(),
        Literal::String(text) => text.clone(),
        Literal::Binary(bytes) => {
            format!("X'{}'", bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>())
        }
        Literal::Date(text) => format!("DATE '{text}'"),
        Literal::Timestamp(text) => format!("TIMESTAMP '{text}'"),
        Literal::TimestampNtz(text) => format!("TIMESTAMP_NTZ '{text}'"),
        Literal::Interval(text) => format!("INTERVAL '{text}'"),
    }
}
