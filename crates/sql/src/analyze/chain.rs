//! An aggregation over the rows of another: `SELECT … FROM (SELECT … GROUP BY window(…), k) GROUP BY window(window_time(window), …)`.
//!
//! ```text
//!   upper query ──analyzed over the columns of the lower one──► a branch whose source row is the lower query's output row
//!       │ conditions that Spark's optimizer moves below the upper aggregate
//!       ▼
//!   lower query, with these conditions behind its HAVING ──► the plan of the sources, as ever
//! ```
//! The event time goes on as that of the lower window ([`windows::time_of`]), or as the event time itself where that is a
//! key. The watermark is the query's: the lower aggregation gives out what it closes, and none of that is late above.

use super::parse_once::EventTimeForm;
use super::query::{down_to_groups, makes_groups, plan_query, plan_select};
use super::relation::relation;
use super::scope::Scope;
use super::{Faults, SourceColumns, SourceTime, conjuncts, windows};
use crate::expr::Expr;
use crate::logical::{Groups, Operator};
use crate::planner::Over;
use crate::syntax::{Fault, From, Ident, Query, Select, Tail};
use crate::types;
use arrow_schema::Fields;
use tidemill_model::pipeline::{OutputMode, Pipeline};

/// Most aggregations over one another. Each is planned twice, with all that are below it.
const AGGREGATIONS_MAX: usize = 4;

/// The query that gives an aggregation its rows, if it aggregates too.
pub(super) fn below(select: &Select) -> Option<&Query> {
    match &select.from {
        From::Query(query) if makes_groups(select) && query.selects.len() == 1 => {
            makes_groups(down_to_groups(&query.selects[0]).0).then_some(query)
        }
        _ => None,
    }
}

/// Number of aggregations over one another.
fn aggregations(select: &Select) -> usize {
    1 + below(select).map_or(0, |query| aggregations(down_to_groups(&query.selects[0]).0))
}

/// Plans an aggregation over `lower`. `over` are the queries that only compute and filter above it, `conditions` those on its
/// output rows that come from further above.
pub(super) fn plan(
    pipeline: &Pipeline,
    lower: &Query,
    (select, tail): (&Select, &Tail),
    over: &[&Select],
    conditions: &[Expr],
    tables: &[(SourceColumns, Scope)],
    faults: &mut Faults,
) -> Option<Operator> {
    let sql = &pipeline.query.sql;
    if pipeline.query.output_mode != OutputMode::Append {
        let message = "an aggregation over the rows of another needs append mode: only closed groups are final";
        let help = "take output_mode = \"append\", or aggregate once";
        let span = pipeline.query.output_mode_span.clone();
        faults.found.push(pipeline.source_text.diagnostic(span, message, help));
        return None;
    }
    if aggregations(select) > AGGREGATIONS_MAX {
        let message = format!("more than {AGGREGATIONS_MAX} aggregations stand over one another");
        return faults.keep(sql, Err(Fault::new(select.at.clone(), message, "aggregate in fewer steps")));
    }
    let planned = plan_query(pipeline, lower.clone(), tables, &[], faults)?;
    let rows = [rows_of(&planned, &tables[0].1)];
    let own = Ident { name: String::new(), quoted: false, at: select.at.clone() };
    let upper = Select { from: From::Table(own), ..select.clone() };
    let mut relation = relation(&upper, &rows, sql, faults)?;
    let mut upper = plan_select(pipeline, (&upper, tail), over, conditions, &mut relation, faults)?;
    let moved = moved_below(&upper, rows[0].0.fields.len());
    let planned = if moved.is_empty() { planned } else { plan_query(pipeline, lower.clone(), tables, &moved, faults)? };
    upper.over_rows(planned);
    Some(upper)
}

/// The rows of an aggregation as a table.
fn rows_of(lower: &Operator, of_table: &Scope) -> (SourceColumns<'static>, Scope) {
    let (over, _) = Over::of(lower).expect("it aggregates");
    let fields = over.schema.fields().clone();
    let Times { closing_windows, event_time } = times(&over, &fields);
    let scope = Scope::of_fields("", fields.iter(), &of_table.zone_name);
    let scope = Scope { event_time: event_time.as_ref().and_then(|time| time.form.clone()), ..scope };
    let schema_fields = fields.len();
    let table = String::new();
    (
        SourceColumns { table, kind: None, fields, schema_fields, corrupt_record: None, event_time, closing_windows },
        scope,
    )
}

/// What the watermark closes among the output columns of an aggregation.
#[derive(Default)]
struct Times {
    /// Windows.
    closing_windows: Vec<usize>,
    /// The event time that they stand for.
    event_time: Option<SourceTime>,
}

fn times(over: &Over, fields: &Fields) -> Times {
    let groups: &Groups = over.groups;
    if !groups.watermarked {
        return Times::default();
    }
    // The key that closes a group: that which is the event time, or the window that the state keeps by slices.
    let key = groups.keys.iter().position(|key| key.is_event_time);
    let key = key.map_or(0, |key| key + usize::from(groups.window.is_some()));
    let data_type = groups.schema.field(key).data_type().clone();
    let (is_window, key) = (data_type == types::window(), Expr::Column(key, data_type));
    let outputs = || over.output.iter().zip(fields).enumerate();
    let column = |number: usize| Expr::Column(number, fields[number].data_type().clone());
    let closing: Vec<usize> = outputs().filter(|(_, (expr, _))| **expr == key).map(|(number, _)| number).collect();
    let mut forms: Vec<Expr> = match is_window {
        true => closing.iter().map(|number| windows::time_of(column(*number))).collect(),
        false => closing.iter().map(|number| column(*number)).collect(),
    };
    if is_window {
        let time = windows::time_of(key);
        forms.extend(outputs().filter(|(_, (expr, _))| **expr == time).map(|(number, _)| column(number)));
    }
    let event_time = forms.first().cloned().map(|expr| SourceTime {
        name: "event_time".into(),
        expr,
        delay_ms: Some(0),
        max_ahead_ms: None,
        form: Some(EventTimeForm::of_groups(forms, fields.len())),
    });
    Times { closing_windows: if is_window { closing } else { Vec::new() }, event_time }
}

/// The filters over the rows of groups that come before anything else is done with them, over the lower query's output columns.
/// Spark's optimizer moves them through the lower aggregate, those on plain keys even below the watermark; there they decide
/// which records move it. `time_column` is the number of the event time.
fn moved_below(upper: &Operator, time_column: usize) -> Vec<Expr> {
    let (mut filters, mut time) = (Vec::new(), None);
    let mut below = upper;
    while let [input] = below.inputs() {
        match below {
            Operator::Filter { condition, is_implied, .. } => filters.extend(Some(condition).filter(|_| !is_implied)),
            Operator::Watermark { time: of_rows, .. } => time = Some(&of_rows.expr),
            // Filters above it come later.
            _ => filters.clear(),
        }
        below = input;
    }
    let over_columns = |filter: &Expr| {
        let mut filter = filter.clone();
        filter.substitute(&|column| time.filter(|_| column == time_column).cloned());
        filter
    };
    let written = filters.into_iter().rev().filter(|filter| conjuncts::is_deterministic(filter));
    written.map(over_columns).collect()
}
