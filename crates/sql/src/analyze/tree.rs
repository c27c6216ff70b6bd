//! The tree of operators of an analyzed query: what stands over the groups, and each branch down to its source.

use super::branch_filters::BranchFilters;
use super::relation::Branch;
use super::{SourceColumns, ahead, extract, random};
use crate::expr::Expr;
use crate::logical::{Groups, Operator, Scan};
use crate::plan::{AggregatePlan, Body, EventTimePlan, Step};
use crate::syntax::Fault;
use crate::zone::Zone;
use arrow_schema::{Field, Schema, SchemaRef};
use std::ops::Range;
use std::sync::Arc;
use tidemill_model::pipeline::{KafkaSource, SourceFormat, SourceKind, ValueFormat};

/// The rows of a branch, up to the columns that a body is made of. `body` is over the relation. Fails where the query asks for
/// ids of rows that have none.
pub(super) fn branch(
    branch: &Branch,
    zone: Zone,
    parts: BranchFilters,
    mut body: Body,
    schema: &SchemaRef,
    at: &Range<usize>,
) -> Result<Operator, Fault> {
    let BranchFilters { mut pushed, time, mut steps, added, .. } = parts;
    let columns = branch.columns;
    body.each_row_expr(&mut |expr| *expr = branch.over_source(expr));
    extract::simplify(&mut steps, &mut pushed, &mut body, zone);
    body.each_row_expr(&mut ahead::with_errors);
    let mut rows = Operator::Scan(scan(columns));
    for condition in pushed {
        let is_implied = Some(&condition) == time.as_ref();
        rows = Operator::Filter { input: Box::new(rows), condition, is_implied };
    }
    if let Some(time) = &columns.event_time {
        let time = EventTimePlan {
            name: time.name.clone(),
            expr: time.expr.clone(),
            delay_ms: time.delay_ms,
            max_ahead_ms: time.max_ahead_ms,
        };
        rows = Operator::Watermark { input: Box::new(rows), time };
    }
    let mut added = added.into_iter();
    for step in steps {
        let input = Box::new(rows);
        rows = match step {
            Step::Filter(condition) => Operator::Filter { input, condition, is_implied: false },
            Step::Window(window) => {
                added.next();
                Operator::Window { input, window }
            }
            Step::Generate(mut generate) => {
                ahead::with_errors(&mut generate.array);
                let first = added.next().expect("a generator adds columns");
                // The others of its columns, and the element's number.
                added.by_ref().take(generate.columns.len()).for_each(drop);
                Operator::Generate { input, generate, first }
            }
        };
    }
    let mut exprs = Vec::new();
    body.each_row_expr(&mut |expr| exprs.push(expr.clone()));
    let schema = match body {
        Body::Project(_) => schema.clone(),
        Body::Aggregate(_) => inputs(&exprs),
    };
    let rows = Operator::Project { input: Box::new(rows), exprs, schema };
    random::check(&rows, columns.kind, at)?;
    Ok(rows)
}

/// The columns that groups are formed of have numbers for names.
fn inputs(exprs: &[Expr]) -> SchemaRef {
    let field = |(number, expr): (usize, &Expr)| Field::new(number.to_string(), expr.data_type(), true);
    Arc::new(Schema::new(exprs.iter().enumerate().map(field).collect::<Vec<_>>()))
}

/// What a body makes of the rows of its branches. `limit` is that of all batches.
pub(super) fn over(body: Body, branches: Vec<Operator>, schema: SchemaRef, limit: Option<usize>) -> Operator {
    let rows = of_body(body, branches, schema);
    match limit {
        Some(limit) => Operator::Limit { input: Box::new(rows), rows: limit },
        None => rows,
    }
}

fn of_body(body: Body, mut branches: Vec<Operator>, schema: SchemaRef) -> Operator {
    let rows = if branches.len() == 1 { branches.remove(0) } else { Operator::Union { inputs: branches } };
    let mut plan = match body {
        Body::Project(_) => return rows,
        Body::Aggregate(plan) => plan,
    };
    let mut number = 0;
    plan.each_row_expr(&mut |expr| {
        *expr = Expr::Column(number, expr.data_type());
        number += 1;
    });
    let AggregatePlan { window, session, keys, aggregates, row_schema, group_filters, having, .. } = plan;
    let AggregatePlan { mut output, order, limit, watermarked, placed, .. } = plan;
    let (calls, schema_of_groups, filters) = (aggregates, row_schema, group_filters);
    let groups = Groups { window, session, keys, calls, schema: schema_of_groups, filters, watermarked, placed };
    let mut rows = Operator::Aggregate { input: Box::new(rows), groups };
    if let Some(condition) = having {
        rows = Operator::Filter { input: Box::new(rows), condition, is_implied: false };
    }
    if !order.is_empty() {
        rows = Operator::Sort { input: Box::new(rows), keys: order };
    }
    if let Some(limit) = limit {
        rows = Operator::Limit { input: Box::new(rows), rows: limit };
    }
    output.iter_mut().for_each(ahead::with_errors);
    Operator::Project { input: Box::new(rows), exprs: output, schema }
}

/// What is read of a table. The rows of an aggregation have no source: `chain.rs` puts them in its place.
fn scan(columns: &SourceColumns) -> Scan {
    let (files, csv_separator) = match columns.kind {
        Some(SourceKind::Files(source)) => match source.format {
            SourceFormat::Json => (Some(format!("JSON lines in {}", source.path)), None),
            SourceFormat::Csv { header, separator } => {
                let header = if header { "behind a header, " } else { "" };
                (Some(format!("CSV in {}, {header}separated by {separator:?}", source.path)), Some(separator))
            }
        },
        Some(SourceKind::Kafka(KafkaSource { format: ValueFormat::Csv { separator }, .. })) => (None, Some(*separator)),
        Some(SourceKind::Kafka(_)) | None => (None, None),
    };
    Scan {
        table: columns.table.clone(),
        files,
        csv_separator,
        fields: columns.fields.clone(),
        schema_fields: columns.schema_fields,
        corrupt_record: columns.corrupt_record,
    }
}
