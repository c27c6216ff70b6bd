//! Texts are parsed once: calls of `from_json` over a source's columns become columns of the source row, whose fields the
//! expressions read.
//!
//! ```text
//!   output      from_json(CAST(value AS STRING), 'a INT, b STRING, c DOUBLE').a    ─►  json.a
//!   event time  from_json(CAST(value AS STRING), 'ts TIMESTAMP').ts               ─►  json.ts
//!   parse       json = from_json(value, 'STRUCT<a: INT, ts: TIMESTAMP>')
//! ```
//! Calls over the same text with the same options become one that has the fields that are read, as Spark prunes them. A
//! call stays where it is if it can fail a row: only the rows that reach it may fail. [`EventTimeForm`] finds the event
//! time in a query that reads it from the text itself.

use super::from_json::parsed;
use crate::expr::Expr;
use crate::functions::from_json::{FROM_JSON, options_of};
use crate::plan::{BranchPlan, ParsedColumn};
use crate::types;
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema};
use std::sync::Arc;

/// The event time under another name. Where it is a field of a parsed text, a query that reads this field reads the event
/// time; over the rows of an aggregation, so does a query that reads the time of a window.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct EventTimeForm {
    /// Each of these is the event time.
    forms: Vec<Expr>,
    column: usize,
    /// Whether the forms parse a text.
    parses: bool,
}

impl EventTimeForm {
    /// Of an event time that has this column number; `None` if it parses no text.
    pub fn of(event_time: &Expr, column: usize) -> Option<EventTimeForm> {
        let forms = vec![one_field(event_time.clone())];
        has_call(event_time).then_some(EventTimeForm { forms, column, parses: true })
    }

    /// Of the rows of an aggregation: the event time has this column number and these forms.
    pub fn of_groups(forms: Vec<Expr>, column: usize) -> EventTimeForm {
        EventTimeForm { forms, column, parses: false }
    }

    /// Replaces the event time in an expression over the source by its column.
    pub fn recognise(&self, expr: &mut Expr) {
        if self.parses && !has_call(expr) {
            return;
        }
        let plain = if self.parses { &one_field(expr.clone()) } else { &*expr };
        if self.forms.contains(plain) {
            *expr = Expr::Column(self.column, types::timestamp());
        } else {
            expr.children_mut(&mut |child| self.recognise(child));
        }
    }
}

fn has_call(expr: &Expr) -> bool {
    let mut found = matches!(expr, Expr::Call(function, ..) if function.name == FROM_JSON);
    expr.children(&mut |child| found |= has_call(child));
    found
}

/// The expression as if each schema had only the field that is read.
fn one_field(mut expr: Expr) -> Expr {
    expr.children_mut(&mut |child| {
        let taken = std::mem::replace(child, Expr::Now);
        *child = one_field(taken);
    });
    if let Expr::Field(call, index, data_type) = &expr
        && let Some(fields) = prunable(call)
    {
        let call = with_fields(call, Fields::from(vec![fields[*index].clone()]));
        return Expr::Field(Box::new(call), 0, data_type.clone());
    }
    expr
}

/// The fields of a call's STRUCT, if fewer of them can be read: no field tells whether the others fit.
fn prunable(call: &Expr) -> Option<&Fields> {
    let Expr::Call(function, arguments, DataType::Struct(fields)) = call else { return None };
    let is_parsed = function.name == FROM_JSON;
    let options = is_parsed.then(|| options_of(arguments))?;
    let has_corrupt_column = fields.iter().any(|field| *field.name() == options.corrupt_column);
    (!options.fail_fast && !has_corrupt_column).then_some(fields)
}

/// The call with another STRUCT.
fn with_fields(call: &Expr, fields: Fields) -> Expr {
    let Expr::Call(function, arguments, _) = call else { panic!("a call") };
    parsed(function, arguments[0].clone(), DataType::Struct(fields), arguments[2..].iter().cloned())
}

/// A parse that becomes a column.
struct Parse {
    /// The call; of one that is pruned, with the fields that are read.
    call: Expr,
    /// Whether fields may be added and left out.
    pruned: bool,
}

/// Moves the parses of a finished plan into its source row.
pub(crate) fn lift(plan: &mut BranchPlan) {
    let own = plan.row_schema.fields().len() - usize::from(plan.event_time.is_some());
    let mut whole = Vec::new();
    let mut pruned = Vec::new();
    every_expr(plan, &mut |expr| collect(expr, own, &mut whole, &mut pruned));
    let mut parses: Vec<Parse> = Vec::new();
    for call in whole {
        if !parses.iter().any(|parse| parse.call == call) {
            parses.push(Parse { call, pruned: false });
        }
    }
    for (call, index) in pruned {
        add_field(&mut parses, &call, index);
    }
    if parses.is_empty() {
        return;
    }
    let count = parses.len();
    every_expr(plan, &mut |expr| {
        expr.renumber(&|index| if index < own { index } else { index + count });
        replace(expr, own, &parses);
    });
    add_columns(plan, own, parses);
}

/// Every expression over the source row, or the rows made of it.
fn every_expr(plan: &mut BranchPlan, visit: &mut dyn FnMut(&mut Expr)) {
    plan.pushed_filters.iter_mut().for_each(&mut *visit);
    plan.time_filter.iter_mut().for_each(&mut *visit);
    plan.event_time.iter_mut().for_each(|time| visit(&mut time.expr));
    plan.steps.iter_mut().for_each(|step| visit(step.expr_mut()));
    plan.body.each_row_expr(visit);
}

/// The source column that a call parses, without a cast of BINARY to STRING: the parser reads both.
fn text_of(call: &Expr, own: usize) -> Option<Expr> {
    let Expr::Call(function, arguments, _) = call else { return None };
    if function.name != FROM_JSON || options_of(arguments).fail_fast {
        return None;
    }
    let of_source = |expr: &Expr| match expr {
        Expr::Column(index, _) => *index < own,
        Expr::Field(of, ..) => matches!(**of, Expr::Column(index, _) if index < own),
        _ => false,
    };
    match &arguments[0] {
        Expr::Cast(x, _, DataType::Utf8) if x.data_type() == DataType::Binary && of_source(x) => Some((**x).clone()),
        text => of_source(text).then(|| text.clone()),
    }
}

/// The call over the source column itself.
fn lifted(call: &Expr, own: usize) -> Option<Expr> {
    let text = text_of(call, own)?;
    let Expr::Call(function, arguments, data_type) = call else { return None };
    let arguments = [text].into_iter().chain(arguments[1..].iter().cloned()).collect();
    Some(Expr::Call(function, arguments, data_type.clone()))
}

/// Collects the calls that are read as a whole, and those of which a field is read.
fn collect(expr: &Expr, own: usize, whole: &mut Vec<Expr>, pruned: &mut Vec<(Expr, usize)>) {
    if let Expr::Field(call, index, _) = expr
        && prunable(call).is_some()
        && let Some(call) = lifted(call, own)
    {
        return pruned.push((call, *index));
    }
    match lifted(expr, own) {
        Some(call) => whole.push(call),
        None => expr.children(&mut |child| collect(child, own, whole, pruned)),
    }
}

/// Has the field read by a parse that there is, or by a new one.
fn add_field(parses: &mut Vec<Parse>, call: &Expr, index: usize) {
    let field = fields_of(call)[index].clone();
    if parses.iter().any(|parse| parse.call == *call) {
        return;
    }
    for parse in parses.iter_mut().filter(|parse| parse.pruned && same_text(&parse.call, call)) {
        let known = fields_of(&parse.call);
        match known.iter().find(|known| known.name() == field.name()) {
            Some(known) if known.data_type() == field.data_type() => return,
            Some(_) => {}
            None => {
                parse.call = with_fields(&parse.call, known.iter().cloned().chain([field]).collect());
                return;
            }
        }
    }
    parses.push(Parse { call: with_fields(call, Fields::from(vec![field])), pruned: true });
}

fn fields_of(call: &Expr) -> &Fields {
    match call {
        Expr::Call(_, _, DataType::Struct(fields)) => fields,
        other => panic!("a call that gives a STRUCT: {other:?}"),
    }
}

/// Whether two calls read the same text with the same options.
fn same_text(a: &Expr, b: &Expr) -> bool {
    let (Expr::Call(f, a, _), Expr::Call(g, b, _)) = (a, b) else { return false };
    f == g && a[0] == b[0] && a[2..] == b[2..]
}

/// Replaces the calls by the columns from `own` on.
fn replace(expr: &mut Expr, own: usize, parses: &[Parse]) {
    let column = |number: usize| Box::new(Expr::Column(own + number, parses[number].call.data_type()));
    if let Expr::Field(call, index, data_type) = &*expr
        && prunable(call).is_some()
        && let Some(call) = lifted(call, own)
    {
        let (number, index) = place(parses, &call, *index);
        *expr = Expr::Field(column(number), index, data_type.clone());
        return;
    }
    match lifted(expr, own) {
        Some(call) => {
            let number = parses.iter().position(|parse| parse.call == call).expect("it was collected");
            *expr = *column(number);
        }
        None => expr.children_mut(&mut |child| replace(child, own, parses)),
    }
}

/// The parse that has a field of a call, and the field's index there.
fn place(parses: &[Parse], call: &Expr, index: usize) -> (usize, usize) {
    if let Some(number) = parses.iter().position(|parse| parse.call == *call) {
        return (number, index);
    }
    let field = &fields_of(call)[index];
    let same = |known: &FieldRef| known.name() == field.name() && known.data_type() == field.data_type();
    let found = parses.iter().enumerate().filter(|(_, parse)| parse.pruned && same_text(&parse.call, call));
    let mut found = found.filter_map(|(number, parse)| Some((number, fields_of(&parse.call).iter().position(same)?)));
    found.next().expect("it was collected")
}

/// Puts the columns between the source's own and the event time.
fn add_columns(plan: &mut BranchPlan, own: usize, parses: Vec<Parse>) {
    let mut fields: Vec<FieldRef> = plan.row_schema.fields().iter().cloned().collect();
    for (number, parse) in parses.into_iter().enumerate() {
        let is_free = |name: &String| !fields.iter().any(|field| field.name() == name);
        let mut names = std::iter::once("json".to_string()).chain((2..).map(|n| format!("json{n}")));
        let name = names.find(is_free).expect("there are enough numbers");
        fields.insert(own + number, Arc::new(Field::new(&name, parse.call.data_type(), true)));
        plan.parsed.push(ParsedColumn { name, expr: parse.call });
    }
    plan.row_schema = Arc::new(Schema::new(fields));
}
