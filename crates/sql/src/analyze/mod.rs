//! Analysis: pipeline → typed tree of operators. Resolves names, types expressions, places filters, checks the output mode.
//!
//! ```text
//!   schema ─DDL→ columns ─┐
//!   event time ─resolve──┤→ FROM ─resolve→ SELECT, WHERE, GROUP BY, HAVING ─tree.rs→ Operator ─planner→ QueryPlan
//!   query ─syntax────────┘   └ relation.rs    └ conjuncts.rs: what Spark's optimizer pushes (M1)
//! ```

mod aggregate_calls;
mod aggregates;
mod ahead;
mod bounds;
mod branch_filters;
mod calls;
mod chain;
mod coerce;
mod collected;
mod collections;
mod conjuncts;
mod constants;
mod csv;
mod extract;
mod failing;
mod from_json;
mod generators;
mod grouping;
mod intervals;
mod joins;
mod lambdas;
mod literals;
mod modes;
mod names;
mod order;
pub(crate) mod parse_once;
mod pushdown;
mod query;
mod random;
mod relation;
mod reorder;
mod resolve;
mod scope;
mod sessions;
mod times_of_day;
mod tree;
mod units;
mod unwrap;
mod windows;
mod within_group;

pub use aggregate_calls::NAMES as AGGREGATE_FUNCTIONS;
pub use generators::NAMES as GENERATORS;
pub use lambdas::NAMES as LAMBDAS;

use crate::expr::Expr;
use crate::kafka;
use crate::logical::Operator;
use crate::plan::QueryPlan;
use crate::planner;
use crate::syntax::{self, Fault};
use crate::types;
use crate::zone::Zone;
use arrow_schema::{DataType, FieldRef, Fields};
use parse_once::EventTimeForm;
use resolve::Resolver;
use scope::Scope;
use tidemill_model::diagnostic::Located;
use tidemill_model::pipeline::{EventTime, Pipeline, Source, SourceFormat, SourceKind, ValueFormat};
use tidemill_model::{Diagnostic, Diagnostics};

/// Plans a pipeline's query.
///
/// # Errors
/// Every mistake in schema, event time and query, with its position in the pipeline file.
pub fn plan(pipeline: &Pipeline) -> Result<QueryPlan, Diagnostics> {
    let plan = planner::plan(&analyze(pipeline)?);
    let mut faults = Faults { pipeline, found: Vec::new() };
    refuse_sources(&plan, &mut faults);
    if faults.found.is_empty() { Ok(plan) } else { Err(Diagnostics(faults.found)) }
}

/// Analyzes a pipeline's query.
///
/// # Errors
/// Every mistake in schema, event time and query, with its position in the pipeline file.
pub fn analyze(pipeline: &Pipeline) -> Result<Operator, Diagnostics> {
    let mut faults = Faults { pipeline, found: Vec::new() };
    let analyzed = analyze_pipeline(pipeline, &mut faults);
    match analyzed {
        Some(query) if faults.found.is_empty() => Ok(query),
        _ => {
            assert!(!faults.found.is_empty(), "a query without a plan has a fault");
            Err(Diagnostics(faults.found))
        }
    }
}

/// A source's columns as the query sees them, before pruning.
struct SourceColumns<'a> {
    table: String,
    /// What is read; `None`: the rows of an aggregation.
    kind: Option<&'a SourceKind>,
    /// The schema's columns, then Kafka's own; their numbers are their positions.
    fields: Fields,
    /// How many of `fields` are the schema's.
    schema_fields: usize,
    /// Which of them takes the texts of corrupt records.
    corrupt_record: Option<usize>,
    /// The event time. Its column number follows `fields`.
    event_time: Option<SourceTime>,
    /// Of the rows of an aggregation: the windows among `fields` that the watermark closes.
    closing_windows: Vec<usize>,
}

struct SourceTime {
    name: String,
    expr: Expr,
    delay_ms: Option<i64>,
    max_ahead_ms: Option<i64>,
    /// The forms in which a query may write it.
    form: Option<EventTimeForm>,
}

impl SourceColumns<'_> {
    /// Number of the event-time column, if there is one.
    fn event_time_column(&self) -> Option<usize> {
        self.event_time.as_ref().map(|_| self.fields.len())
    }

    /// The form in which a query may write the event time.
    fn event_time_form(&self) -> Option<EventTimeForm> {
        self.event_time.as_ref()?.form.clone()
    }

    fn has_watermark(&self) -> bool {
        self.event_time.as_ref().is_some_and(|time| time.delay_ms.is_some())
    }
}

fn analyze_pipeline(pipeline: &Pipeline, faults: &mut Faults) -> Option<Operator> {
    // The query's syntax is checked even if a schema is wrong.
    let zone_name = zone_name(pipeline, faults);
    let tables: Vec<_> = pipeline.sources.iter().map(|source| table(zone_name, source, faults)).collect();
    let query = faults.keep(&pipeline.query.sql, syntax::parse_query(&pipeline.query.sql.text));
    let tables = tables.into_iter().collect::<Option<Vec<_>>>()?;
    let rows = query::plan_query(pipeline, query?, &tables, &[], faults)?;
    failing::refuse(&rows, &pipeline.query.sql, zone_name, faults);
    let zone = tables[0].1.zone;
    Some(Operator::Sink { input: Box::new(rows), output_mode: pipeline.query.output_mode, zone })
}

/// Refuses sources of which a plan reads nothing, or nothing but the corrupt records.
fn refuse_sources(plan: &QueryPlan, faults: &mut Faults) {
    let pipeline = faults.pipeline;
    for branch in &plan.branches {
        if branch.corrupt_record.is_some() && branch.decode_schema.fields().len() == 1 {
            let message = format!("the query reads nothing of `{}` but the column of corrupt records", branch.table);
            let help = "read another column too: which records are corrupt depends on the columns that are read";
            faults.found.push(pipeline.source_text.diagnostic(pipeline.query.sql.span.clone(), message, help));
        }
    }
    for source in &pipeline.sources {
        if !plan.branches.iter().any(|branch| branch.table == source.name) {
            let message = format!("the query does not read the source `{}`", source.name);
            let help = "remove the source, or read it: SELECT … UNION ALL SELECT …";
            faults.found.push(pipeline.source_text.diagnostic(source.span.clone(), message, help));
        }
    }
}

/// The session's time zone. A wrong zone is reported and replaced by a valid one.
fn zone_name<'a>(pipeline: &'a Pipeline, faults: &mut Faults) -> &'a str {
    let named = &pipeline.session_time_zone;
    if Zone::parse(&named.text).is_some() {
        return &named.text;
    }
    let near: Vec<String> = Zone::nearest(&named.text).iter().map(|name| format!("\"{name}\"")).collect();
    let help = match near.as_slice() {
        [] => "write a region such as \"Europe/Paris\", an offset such as \"+05:30\", or \"UTC\"".into(),
        near => format!("did you mean {}?", near.join(" or ")),
    };
    let message = format!("`{}` is no time zone", named.text);
    faults.found.push(pipeline.source_text.diagnostic(named.span.clone(), message, help));
    "UTC"
}

/// A source as a table: its columns and their names.
fn table<'a>(zone_name: &str, source: &'a Source, faults: &mut Faults) -> Option<(SourceColumns<'a>, Scope)> {
    let (fields, schema_fields) = source_fields(source, faults)?;
    let corrupt_record = match &source.schema {
        Some(schema) => {
            let of_schema = &fields[..schema_fields];
            faults.keep(schema, corrupt_record(&source.corrupt_record_column.text, of_schema))?
        }
        None => None,
    };
    let mut scope = Scope::of_fields(&source.name, fields.iter(), zone_name);
    let mut event_time = None;
    if let Some(declared) = &source.event_time {
        let mut time = plan_event_time(declared, &scope, faults)?;
        scope.shadow(&time.name, fields.len(), types::timestamp());
        time.form = EventTimeForm::of(&time.expr, fields.len());
        scope.event_time.clone_from(&time.form);
        event_time = Some(time);
    }
    let table = source.name.clone();
    let columns = SourceColumns {
        table,
        kind: Some(&source.kind),
        fields,
        schema_fields,
        corrupt_record,
        event_time,
        closing_windows: Vec::new(),
    };
    Some((columns, scope))
}

/// The index of the column of corrupt records, if the schema has one; its name is case-sensitive, as in Spark.
fn corrupt_record(name: &str, fields: &[FieldRef]) -> Result<Option<usize>, Fault> {
    let Some(index) = fields.iter().position(|field| field.name() == name) else { return Ok(None) };
    match fields[index].data_type() {
        DataType::Utf8 => Ok(Some(index)),
        other => Err(Fault::new(
            0..0,
            format!("the column of corrupt records `{name}` is {}", types::name(other)),
            "declare it STRING, or set column_name_of_corrupt_record to another name",
        )),
    }
}

/// The columns of a source, and how many of them are its schema's. The others are Kafka's own.
fn source_fields(source: &Source, faults: &mut Faults) -> Option<(Fields, usize)> {
    let kafka = match &source.kind {
        SourceKind::Kafka(kafka) => Some(kafka),
        SourceKind::Files(_) => None,
    };
    let Some(schema) = &source.schema else {
        return Some((kafka::source_fields(kafka.expect("a files source has a schema")), 0));
    };
    let fields = faults.keep(schema, syntax::parse_schema(&schema.text))?;
    let fields = faults.keep(schema, refuse_types(&source.kind, fields))?;
    let schema_fields = fields.len();
    let Some((kafka, column)) = kafka.and_then(|kafka| Some((kafka, kafka.metadata_column.as_ref()?))) else {
        return Some((fields, schema_fields));
    };
    let event_time = source.event_time.as_ref().map(|time| time.column.text.as_str());
    let mut names = fields.iter().map(|field| field.name().as_str()).chain(event_time);
    let taken = names.any(|name| scope::same(name, &column.text));
    faults.keep(column, if taken { Err(taken_name(&column.text)) } else { Ok(()) })?;
    let own = kafka::metadata_field(&column.text, kafka.include_headers);
    Some((fields.iter().cloned().chain([own]).collect(), schema_fields))
}

fn taken_name(name: &str) -> Fault {
    Fault::new(0..0, format!("the source has a column `{name}` already"), "give `metadata_column` another name")
}

/// The schema, unless the source's format cannot hold its types.
fn refuse_types(kind: &SourceKind, fields: Fields) -> Result<Fields, Fault> {
    let is_csv = match kind {
        SourceKind::Files(files) => matches!(files.format, SourceFormat::Csv { .. }),
        SourceKind::Kafka(kafka) => matches!(kafka.format, ValueFormat::Csv { .. }),
    };
    let unfit = |data_type: &DataType| data_type.is_nested() || *data_type == DataType::Binary;
    match fields.iter().find(|field| is_csv && unfit(field.data_type())) {
        Some(field) => Err(Fault::new(
            0..0,
            format!("the column `{}` is {}, which CSV cannot store", field.name(), types::name(field.data_type())),
            "declare it STRING, or read JSON",
        )),
        None => Ok(fields),
    }
}

fn plan_event_time(declared: &EventTime, scope: &Scope, faults: &mut Faults) -> Option<SourceTime> {
    let text = &declared.expression;
    let typed = syntax::parse_expression(&text.text).and_then(|node| {
        let mut resolver = Resolver::new(scope);
        resolver.no_aggregates = Some("the event time");
        let expr = resolver.resolve(&node)?;
        let is_time = expr.data_type() == types::timestamp() || expr.data_type() == DataType::Date32;
        if !is_time {
            let message = format!("the event time is a TIMESTAMP, not {}", types::name(&expr.data_type()));
            return Err(Fault::new(node.at.clone(), message, coerce::way_to_a_time(&expr.data_type())));
        }
        failing::refuse_in(&expr, &node.at, scope.zone)?;
        Ok(coerce::cast_to(expr, &types::timestamp()))
    });
    let expr = faults.keep(text, typed)?;
    let delay_ms = declared.watermark.map(|delay| delay.delay_millis().expect("the pipeline's reader has checked"));
    let max_ahead_ms = declared.max_ahead_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
    Some(SourceTime { name: declared.column.text.clone(), expr, delay_ms, max_ahead_ms, form: None })
}

/// The mistakes found so far.
struct Faults<'a> {
    pipeline: &'a Pipeline,
    found: Vec<Diagnostic>,
}

impl Faults<'_> {
    /// The value; a fault is added, with its position in `text`.
    fn keep<T>(&mut self, text: &Located, result: Result<T, Fault>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(fault) => {
                let span = text.file_span(fault.at);
                let fault = self.pipeline.source_text.diagnostic(span, fault.message, fault.help);
                // An item of SELECT that GROUP BY names by number is analyzed twice.
                if !self.found.contains(&fault) {
                    self.found.push(fault);
                }
                None
            }
        }
    }
}
