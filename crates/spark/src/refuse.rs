//! What of a pipeline cannot run on Spark with the same rows, each with its place in the file and the reason.

use crate::kafka_options;
use crate::query::is_absolute;
use arrow_schema::DataType;
use std::ops::Range;
use tidemill_model::pipeline::{OnError, Source, SourceKind};
use tidemill_model::{Diagnostic, Diagnostics, Pipeline};
use tidemill_sql::expr::{CastMode, Expr};
use tidemill_sql::plan::{Body, BranchPlan, QueryPlan, Step};
use tidemill_sql::types;

/// Where the files of the pipeline are, seen from Spark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Spark is on this machine: relative paths mean the same.
    SameMachine,
    /// Spark may be anywhere.
    Elsewhere,
}

/// Refuses what gives other rows on Spark, or none.
///
/// # Errors
/// All mistakes, with their places.
pub fn check(pipeline: &Pipeline, plan: &QueryPlan, reach: Reach) -> Result<(), Diagnostics> {
    let mut faults = Vec::new();
    for source in &pipeline.sources {
        faults.extend(source_faults(pipeline, source, reach));
    }
    faults.extend(result_faults(pipeline, plan));
    faults.extend(error_fault(pipeline, plan));
    if pipeline.dead_letter.is_some() {
        faults.push(at_key(
            pipeline,
            "dead_letter",
            "Spark does not report which records are broken, so the Spark engine keeps no dead letters",
            "remove [dead_letter]; a column `_corrupt_record STRING` in the schema gives the query the texts of corrupt records",
        ));
    }
    if pipeline.state_bytes_max.is_some() {
        faults.push(at_key(
            pipeline,
            "memory_max",
            "Spark keeps the state on its executors and has no such limit",
            "remove [state] memory_max; give Spark's executors the memory that the state needs",
        ));
    }
    if faults.is_empty() { Ok(()) } else { Err(Diagnostics(faults)) }
}

fn source_faults(pipeline: &Pipeline, source: &Source, reach: Reach) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    let mut fault = |span: &Range<usize>, message: String, help: &str| {
        faults.push(pipeline.source_text.diagnostic(span.clone(), message, help));
    };
    if source.event_time.as_ref().is_some_and(|time| time.max_ahead_ms.is_some()) {
        let span = find(pipeline, "max_event_time_ahead").unwrap_or_else(|| source.span.clone());
        let message = "Spark has no max_event_time_ahead, and a filter instead would move the watermark differently";
        fault(&span, message.into(), "remove it on Spark");
    }
    match &source.kind {
        SourceKind::Kafka(kafka) => {
            for option in kafka.connection.client_options.iter().filter(|option| !kafka_options::is_known(&option.name))
            {
                let message = format!("Spark's Kafka client has no property `{}`", option.name);
                fault(&option.key_span, message, "leave it out on Spark, or name the Java client's property");
            }
            if let Some(ending) = &kafka.ending {
                let message = format!("Spark has no `{}` in a streaming query", ending.key);
                fault(&ending.span, message, "leave it out on Spark");
            }
            if let Some(group) = &kafka.group_id {
                let message = "Spark commits no group offsets, so `group_id` has no effect";
                fault(&group.span, message.into(), "leave it out on Spark");
            }
        }
        SourceKind::Files(files) => {
            if reach == Reach::Elsewhere && !is_absolute(&files.path) {
                let message = format!("Spark does not know where `{}` is: the path is relative", files.path);
                let help = "give an absolute path or a URI (s3a://…) that every machine of the cluster can read";
                fault(&source.span, message, help);
            }
        }
    }
    faults
}

/// Columns of the result that cannot be brought here in Parquet.
fn result_faults(pipeline: &Pipeline, plan: &QueryPlan) -> Vec<Diagnostic> {
    let unheld = plan.output_schema.fields().iter().filter(|field| !is_held(field.data_type()));
    let fault = |field: &arrow_schema::FieldRef| {
        let message =
            format!("the column `{}` is {}, which Parquet cannot store", field.name(), types::name(field.data_type()));
        pipeline.source_text.diagnostic(
            pipeline.query.sql.span.clone(),
            message,
            "CAST it to another type, or leave it out",
        )
    };
    unheld.map(fault).collect()
}

fn is_held(data_type: &DataType) -> bool {
    match data_type {
        DataType::Null | DataType::Interval(_) | DataType::Duration(_) => false,
        DataType::Decimal32(..) | DataType::Decimal64(..) => false,
        DataType::Struct(fields) => !fields.is_empty() && fields.iter().all(|field| is_held(field.data_type())),
        DataType::List(inner) | DataType::Map(inner, _) => is_held(inner.data_type()),
        _ => true,
    }
}

/// `on_error = "drop"` where an expression can fail: Spark cannot leave out the row, it ends the query.
fn error_fault(pipeline: &Pipeline, plan: &QueryPlan) -> Option<Diagnostic> {
    let mut branches = plan.branches.iter().chain(&plan.above);
    if pipeline.on_error == OnError::Fail || !branches.any(|branch| branch_can_fail(branch)) {
        return None;
    }
    Some(at_key(
        pipeline,
        "on_error",
        "the query has an expression that can fail for a record, as a CAST does; on_error = \"drop\", the default, leaves the \
         record out, and Spark ends the query",
        "set on_error = \"fail\" (or --set on_error=fail), or write try_cast, try_divide and the like",
    ))
}

fn branch_can_fail(branch: &BranchPlan) -> bool {
    let steps = branch.steps.iter().any(|step| match step {
        Step::Filter(filter) => can_fail(filter),
        Step::Window(_) => false,
        Step::Generate(generate) => can_fail(&generate.array),
    });
    let body = match &branch.body {
        Body::Project(outputs) => outputs.iter().any(can_fail),
        Body::Aggregate(plan) => {
            plan.keys.iter().any(|key| can_fail(&key.expr))
                || plan.aggregates.iter().any(|call| call.inputs.iter().any(can_fail))
                || plan.having.iter().chain(&plan.output).any(can_fail)
        }
    };
    // That of groups is the end of a window.
    let time = branch.event_time.as_ref().filter(|_| !branch.is_over_groups());
    let time = time.is_some_and(|time| can_fail(&time.expr));
    steps || body || time || branch.pushed_filters.iter().any(can_fail)
}

/// Whether an expression may fail for some row. Names those that cannot; everything else may.
fn can_fail(expr: &Expr) -> bool {
    if let Expr::Try(_) = expr {
        return false;
    }
    let own = match expr {
        Expr::Arithmetic(_, _, _, to) => !matches!(to, DataType::Float32 | DataType::Float64) || is_division(expr),
        Expr::Cast(from, CastMode::Ansi, to) => !always_fits(&from.data_type(), to),
        Expr::Call(function, ..) => !NEVER_FAIL.contains(&function.name),
        Expr::Higher(_) => true,
        _ => false,
    };
    let mut inside = false;
    expr.children(&mut |child| inside |= can_fail(child));
    own || inside
}

fn is_division(expr: &Expr) -> bool {
    use tidemill_sql::expr::Arithmetic::{Divide, IntegerDivide, Remainder};
    matches!(expr, Expr::Arithmetic(Divide | IntegerDivide | Remainder, ..))
}

/// Whether every value of a type has a value in another.
fn always_fits(from: &DataType, to: &DataType) -> bool {
    let rank = |of: &DataType| match of {
        DataType::Int8 => Some(1),
        DataType::Int16 => Some(2),
        DataType::Int32 => Some(3),
        DataType::Int64 => Some(4),
        DataType::Float32 => Some(5),
        DataType::Float64 => Some(6),
        _ => None,
    };
    match (from, to) {
        (DataType::Null, _) | (_, DataType::Utf8) => true,
        (DataType::Date32, DataType::Timestamp(..)) | (DataType::Timestamp(..), DataType::Date32) => true,
        (from, to) if from == to => true,
        (from, to) => matches!((rank(from), rank(to)), (Some(from), Some(to)) if from <= to),
    }
}

/// Functions that have a value for every row.
const NEVER_FAIL: [&str; 41] = [
    // Like a window, it fails near the ends of time alone.
    "session window",
    "upper",
    "lower",
    "initcap",
    "reverse",
    "trim",
    "btrim",
    "ltrim",
    "rtrim",
    "length",
    "octet_length",
    "bit_length",
    "ascii",
    "concat",
    "concat_ws",
    "lpad",
    "rpad",
    "contains",
    "startswith",
    "endswith",
    "levenshtein",
    "substring",
    "left",
    "right",
    "substring_index",
    "locate",
    "instr",
    "replace",
    "translate",
    "like",
    "year",
    "quarter",
    "month",
    "day",
    "dayofyear",
    "dayofweek",
    "weekday",
    "weekofyear",
    "hour",
    "minute",
    "second",
];

/// A fault at a key of the file, or at its start where the file does not have the key.
fn at_key(pipeline: &Pipeline, key: &str, message: &str, help: &str) -> Diagnostic {
    let span = find(pipeline, key).unwrap_or(0..0);
    pipeline.source_text.diagnostic(span, message, help)
}

/// Where a line begins with a key or names a table `[key]`.
fn find(pipeline: &Pipeline, key: &str) -> Option<Range<usize>> {
    let text = &pipeline.source_text.text;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let word = line.trim_start().trim_start_matches('[');
        let rest = word.strip_prefix(key);
        if rest.is_some_and(|rest| rest.trim_start().starts_with(['=', ']'])) {
            let at = start + line.len() - line.trim_start().len();
            return Some(at..at + key.len());
        }
        start += line.len();
    }
    None
}
