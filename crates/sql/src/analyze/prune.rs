//! The last step of planning: decodes only the columns that are used, and renumbers every expression.

use super::branch_filters::BranchFilters;
use super::extract;
use super::generators::FIRST;
use super::relation::Branch;
use super::{SourceColumns, SourceTime};
use super::{parse_once, random};
use crate::expr::Expr;
use crate::kafka::{self, KafkaColumn, KafkaColumns};
use crate::plan::{Body, BranchPlan, EventTimePlan, Format, PositionColumn, Step};
use crate::syntax::Fault;
use crate::types;
use crate::zone::Zone;
use arrow_schema::{Field, Schema};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use tidemill_model::pipeline::{FilesSource, KafkaSource, SourceFormat, SourceKind, ValueFormat};

/// Finishes a branch over its source row `[used columns…, event time]`. The filters are over the source; `body` is over
/// the relation. Fails where the query asks for ids of rows that have none.
pub(super) fn finish(
    branch: &Branch,
    zone: Zone,
    parts: BranchFilters,
    mut body: Body,
    at: &Range<usize>,
) -> Result<BranchPlan, Fault> {
    let BranchFilters { mut pushed, time, mut steps, mut added, .. } = parts;
    let columns = branch.columns;
    each_expr(&mut body, &mut |expr| *expr = branch.over_source(expr));
    extract::simplify(&mut steps, &mut pushed, &mut body, zone);
    let time_column = columns.fields.len();
    let (mut used, mut members) = (BTreeSet::new(), BTreeSet::new());
    let mut uses = |expr: &Expr| use_columns(columns, expr, &mut used, &mut members);
    pushed.iter().for_each(&mut uses);
    steps.iter_mut().for_each(|step| uses(expr_of(step)));
    each_expr(&mut body, &mut |expr| uses(expr));
    let event_time = columns.event_time.as_ref().filter(|time| is_needed(time) || used.contains(&time_column));
    if let Some(time) = event_time {
        use_columns(columns, &time.expr, &mut used, &mut members);
    }
    // The rows of groups are there already, with all their columns.
    used.extend((0..columns.fields.len()).filter(|_| columns.kind.is_none()));
    used.remove(&time_column);
    number_elements(&mut steps, &mut added, &used);
    let positions = random::take_columns(&mut used, columns.kind, at)?;
    used.retain(|column| *column < FIRST);
    let row = SourceRow { used, positions, time_column, has_time: event_time.is_some(), added };
    let position = |index: usize| row.place(index);
    let renumber = |expr: Expr| renumbered(expr, &position);
    let (pushed_filters, time_filter) = (pushed.into_iter().map(renumber).collect(), time.map(renumber));
    steps.iter_mut().for_each(|step| expr_of(step).renumber(&position));
    each_expr(&mut body, &mut |expr| expr.renumber(&position));
    let field = |index: &usize| columns.fields[*index].as_ref().clone();
    let decode: Vec<Field> = row.used.range(..columns.schema_fields).map(field).collect();
    let own = row.positions.iter().map(|column| column.field());
    let mut fields: Vec<Field> = row.used.iter().map(field).chain(own).collect();
    let kafka_columns = kafka_columns(columns, &row.used, &members);
    let event_time = event_time.map(|time| {
        fields.push(Field::new(&time.name, types::timestamp(), true));
        EventTimePlan {
            name: time.name.clone(),
            expr: renumber(time.expr.clone()),
            delay_ms: time.delay_ms,
            max_ahead_ms: time.max_ahead_ms,
        }
    });
    let corrupt_record = columns.corrupt_record.filter(|index| row.used.contains(index)).map(position);
    let mut plan = BranchPlan {
        table: columns.table.clone(),
        files: files(columns.kind),
        format: format(columns, &row.used),
        decode_schema: Arc::new(Schema::new(decode)),
        corrupt_record,
        kafka_columns,
        positions: row.positions,
        parsed: Vec::new(),
        event_time,
        row_schema: Arc::new(Schema::new(fields)),
        pushed_filters,
        time_filter,
        steps,
        body,
        zone,
    };
    parse_once::lift(&mut plan);
    Ok(plan)
}

fn renumbered(mut expr: Expr, position: &dyn Fn(usize) -> usize) -> Expr {
    expr.renumber(position);
    expr
}

/// Whether an event time is computed although nothing uses it: a watermark or a limit needs it. Spark prunes any other.
fn is_needed(time: &SourceTime) -> bool {
    time.delay_ms.is_some() || time.max_ahead_ms.is_some()
}

/// What a source row is made of, by the numbers of the columns in the query.
struct SourceRow {
    /// Columns of the source, in its order.
    used: BTreeSet<usize>,
    /// Those of the record's position, behind them.
    positions: Vec<PositionColumn>,
    /// The event time, which comes next, if it is there.
    time_column: usize,
    has_time: bool,
    /// What the steps add.
    added: Vec<usize>,
}

impl SourceRow {
    /// Where a column stands.
    fn place(&self, column: usize) -> usize {
        let before_time = self.used.len() + self.positions.len();
        if let Some(place) = self.added.iter().position(|added| *added == column) {
            return before_time + usize::from(self.has_time) + place;
        }
        match self.positions.iter().position(|own| random::number(*own) == column) {
            Some(place) => self.used.len() + place,
            None if column == self.time_column => before_time,
            None => self.used.range(..column).count(),
        }
    }
}

/// Has the generators number their elements where that is used, and leaves the number out of the columns elsewhere. `added`
/// has the columns of the steps, in their order.
fn number_elements(steps: &mut [Step], added: &mut Vec<usize>, used: &BTreeSet<usize>) {
    let mut at = 0;
    for step in steps {
        match step {
            Step::Filter(_) => {}
            Step::Window(_) => at += 1,
            Step::Generate(generate) => {
                at += generate.columns.len();
                generate.numbered = used.contains(&added[at]);
                if generate.numbered {
                    at += 1;
                } else {
                    added.remove(at);
                }
            }
        }
    }
}

/// The format of the source's records, for the columns that are used.
fn format(columns: &SourceColumns, used: &BTreeSet<usize>) -> Format {
    let separator = match columns.kind {
        Some(SourceKind::Files(FilesSource { format: SourceFormat::Csv { separator, .. }, .. })) => *separator,
        Some(SourceKind::Kafka(KafkaSource { format: ValueFormat::Csv { separator }, .. })) => *separator,
        _ if columns.schema_fields == 0 || columns.kind.is_none() => return Format::Raw,
        _ => return Format::Json,
    };
    let used: BTreeSet<usize> = used.range(..columns.schema_fields).copied().collect();
    let corrupt = columns.corrupt_record;
    let data = used.iter().filter(|index| Some(**index) != corrupt);
    let place = |index: &usize| index - usize::from(corrupt.is_some_and(|corrupt| corrupt < *index));
    let counts_values = corrupt.is_some() && used.len() == columns.schema_fields;
    Format::Csv {
        separator,
        places: data.map(place).collect(),
        width: counts_values.then(|| columns.schema_fields - 1),
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
fn files(kind: Option<&SourceKind>) -> Option<String> {
    let Some(SourceKind::Files(files)) = kind else { return None };
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
