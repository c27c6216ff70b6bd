//! The last step of planning: decodes only the columns that are used, and renumbers every expression.

use super::branch_filters::BranchFilters;
use super::generators::FIRST;
use super::parse_once;
use super::relation::Branch;
use super::{SourceColumns, SourceTime};
use crate::expr::Expr;
use crate::kafka::{self, KafkaColumn, KafkaColumns};
use crate::plan::{Body, BranchPlan, EventTimePlan, Format, Step};
use crate::types;
use crate::zone::Zone;
use arrow_schema::{Field, Schema};
use std::collections::BTreeSet;
use std::sync::Arc;
use tidemill_model::pipeline::{FilesSource, SourceFormat, SourceKind};

/// Finishes a branch over its source row `[used columns…, event time]`. The filters are over the source; `body` is over
/// the relation.
pub(super) fn finish(branch: &Branch, zone: Zone, parts: BranchFilters, mut body: Body) -> BranchPlan {
    let BranchFilters { pushed: pushed_filters, time: time_filter, mut steps, added, .. } = parts;
    let columns = branch.columns;
    each_expr(&mut body, &mut |expr| *expr = branch.over_source(expr));
    let time_column = columns.fields.len();
    let (mut used, mut members) = (BTreeSet::new(), BTreeSet::new());
    let mut uses = |expr: &Expr| use_columns(columns, expr, &mut used, &mut members);
    pushed_filters.iter().for_each(&mut uses);
    steps.iter_mut().for_each(|step| uses(expr_of(step)));
    each_expr(&mut body, &mut |expr| uses(expr));
    // An event time that nothing uses and no watermark needs is not computed, as Spark prunes it.
    let needed = |time: &&SourceTime| time.delay_ms.is_some() || time.max_ahead_ms.is_some();
    let event_time = columns.event_time.as_ref().filter(|time| needed(time) || used.contains(&time_column));
    if let Some(time) = event_time {
        use_columns(columns, &time.expr, &mut used, &mut members);
    }
    used.remove(&time_column);
    used.retain(|column| *column < FIRST);
    let row_width = used.len() + usize::from(event_time.is_some());
    let position = |index: usize| match added.iter().position(|column| *column == index) {
        Some(place) => row_width + place,
        None => used.range(..index).count(),
    };
    let renumber = |mut expr: Expr| {
        expr.renumber(&position);
        expr
    };
    let pushed_filters = pushed_filters.into_iter().map(renumber).collect();
    steps.iter_mut().for_each(|step| expr_of(step).renumber(&position));
    let time_filter = time_filter.map(renumber);
    each_expr(&mut body, &mut |expr| expr.renumber(&position));
    let field = |index: &usize| columns.fields[*index].as_ref().clone();
    let decode: Vec<Field> = used.range(..columns.schema_fields).map(field).collect();
    let mut row: Vec<Field> = used.iter().map(field).collect();
    let kafka_columns = kafka_columns(columns, &used, &members);
    let event_time = event_time.map(|time| {
        row.push(Field::new(&time.name, types::timestamp(), true));
        EventTimePlan {
            name: time.name.clone(),
            expr: renumber(time.expr.clone()),
            delay_ms: time.delay_ms,
            max_ahead_ms: time.max_ahead_ms,
        }
    });
    let corrupt_record = columns.corrupt_record.filter(|index| used.contains(index)).map(position);
    let mut plan = BranchPlan {
        table: columns.table.clone(),
        files: files(columns.kind),
        format: format(columns, &used),
        decode_schema: Arc::new(Schema::new(decode)),
        corrupt_record,
        kafka_columns,
        parsed: Vec::new(),
        event_time,
        row_schema: Arc::new(Schema::new(row)),
        pushed_filters,
        time_filter,
        steps,
        body,
        zone,
    };
    parse_once::lift(&mut plan);
    plan
}

/// The format of the source's records, for the columns that are used.
fn format(columns: &SourceColumns, used: &BTreeSet<usize>) -> Format {
    let SourceKind::Files(FilesSource { format: SourceFormat::Csv { separator, .. }, .. }) = columns.kind else {
        let is_raw = columns.schema_fields == 0;
        return if is_raw { Format::Raw } else { Format::Json };
    };
    let corrupt = columns.corrupt_record;
    let data = used.iter().filter(|index| Some(**index) != corrupt);
    let place = |index: &usize| index - usize::from(corrupt.is_some_and(|corrupt| corrupt < *index));
    let counts_values = corrupt.is_some() && used.len() == columns.fields.len();
    Format::Csv {
        separator: *separator,
        places: data.map(place).collect(),
        width: counts_values.then(|| columns.fields.len() - 1),
    }
}

/// Adds the columns that an expression uses, and the members of Kafka's STRUCT.
fn use_columns(columns: &SourceColumns, expr: &Expr, used: &mut BTreeSet<usize>, members: &mut BTreeSet<usize>) {
    expr.columns(&mut |index| {
        used.insert(index);
    });
    kafka::used_members(expr, columns.schema_fields, members);
}

/// Kafka's own columns among `used`; `members` are those of the STRUCT.
fn kafka_columns(columns: &SourceColumns, used: &BTreeSet<usize>, members: &BTreeSet<usize>) -> Option<KafkaColumns> {
    let own: Vec<usize> = used.range(columns.schema_fields..).copied().collect();
    let is_struct = columns.schema_fields > 0;
    let filled = if is_struct { members.iter().copied().collect() } else { own.clone() };
    (!own.is_empty()).then(|| KafkaColumns {
        used: filled.into_iter().map(|number| KafkaColumn::ALL[number]).collect(),
        fields: own.iter().map(|index| columns.fields[*index].clone()).collect(),
        is_struct,
    })
}

/// Describes a files source: everything except the limit of a batch.
fn files(kind: &SourceKind) -> Option<String> {
    let SourceKind::Files(files) = kind else { return None };
    Some(match files.format {
        SourceFormat::Json => format!("JSON lines in {}", files.path),
        SourceFormat::Csv { header, separator } => {
            let header = if header { "behind a header, " } else { "" };
            format!("CSV in {}, {header}separated by {separator:?}", files.path)
        }
    })
}

pub(super) fn expr_of(step: &mut Step) -> &mut Expr {
    match step {
        Step::Filter(condition) => condition,
        Step::Window(window) => &mut window.time,
        Step::Generate(generate) => &mut generate.array,
    }
}

/// Visits every expression over rows, not those over groups.
pub(super) fn each_expr(body: &mut Body, visit: &mut dyn FnMut(&mut Expr)) {
    match body {
        Body::Project(outputs) => outputs.iter_mut().for_each(visit),
        Body::Aggregate(plan) => {
            plan.window.iter_mut().for_each(|window| visit(&mut window.time));
            plan.keys.iter_mut().for_each(|key| visit(&mut key.expr));
            plan.aggregates.iter_mut().flat_map(|call| &mut call.inputs).for_each(visit);
        }
    }
}
