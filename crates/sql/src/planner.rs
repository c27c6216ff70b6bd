//! Tree of operators → [`QueryPlan`]: what the executors do, branch by branch, and what the driver does with the groups.
//!
//! ```text
//!   Project ─ Limit ─ Sort ─ Filter ─ Aggregate     driver half     AggregatePlan: having, order, output, state
//!   Aggregate ─ Project ─ Filter … Scan             executor half   BranchPlan: decode, filters, steps, keys and inputs
//! ```
//! A branch decodes only the columns that are used, and its expressions are renumbered over those (`SourceRow`). Texts are
//! parsed once (`parse_once.rs`).

use crate::analyze::parse_once;
use crate::expr::Expr;
use crate::kafka::{self, KafkaColumn, KafkaColumns};
use crate::logical::{GENERATED, Groups, Operator, PLACE, RECORD_ID, Scan, WINDOW};
use crate::plan::{AggregatePlan, Body, BranchPlan, EventTimePlan, Format, PositionColumn, QueryPlan, SortKey, Step};
use crate::types;
use crate::zone::Zone;
use arrow_schema::{Field, Fields, Schema, SchemaRef};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// Plans a tree, whose root is a [`Operator::Sink`].
pub fn plan(root: &Operator) -> QueryPlan {
    let Operator::Sink { input, output_mode, zone } = root else { panic!("the root is a sink") };
    let (limit, input) = match &**input {
        Operator::Limit { input, rows } => (Some(*rows), &**input),
        other => (None, other),
    };
    let Rows { branches, above, schema } = rows(input, *zone);
    QueryPlan { branches, above, output_mode: *output_mode, output_schema: schema, limit }
}

/// The plan of the rows that an operator gives.
struct Rows {
    branches: Vec<Arc<BranchPlan>>,
    above: Vec<Arc<BranchPlan>>,
    schema: SchemaRef,
}

fn rows(operator: &Operator, zone: Zone) -> Rows {
    let Some((aggregate, input)) = Over::of(operator) else {
        let body = |project: &Project| Body::Project(project.exprs.to_vec());
        return inputs(operator, zone, &body);
    };
    let body = |project: &Project| Body::Aggregate(aggregate.plan(project));
    Rows { schema: aggregate.schema.clone(), ..inputs(input, zone, &body) }
}

/// The branches below a body, which is the same for all but for what its columns are made of.
fn inputs(operator: &Operator, zone: Zone, body: &dyn Fn(&Project) -> Body) -> Rows {
    let branches = match operator {
        Operator::Union { inputs } => inputs,
        one => std::slice::from_ref(one),
    };
    let schema = Project::of(&branches[0]).schema.clone();
    let mut planned = Rows { branches: Vec::new(), above: Vec::new(), schema };
    for branch in branches {
        let project = Project::of(branch);
        let steps = Steps::of(project.input);
        match steps.source {
            Operator::Scan(scan) => {
                let branch = finish(Source::of_scan(scan), steps, body(&project), zone);
                planned.branches.push(Arc::new(branch));
            }
            groups => {
                let lower = rows(groups, zone);
                let branch = finish(Source::of_groups(&lower.schema), steps, body(&project), zone);
                planned.branches = lower.branches;
                planned.above = [lower.above, vec![Arc::new(branch)]].concat();
            }
        }
    }
    planned
}

/// Columns computed from the rows of one branch.
struct Project<'a> {
    input: &'a Operator,
    exprs: &'a [Expr],
    schema: &'a SchemaRef,
}

impl Project<'_> {
    fn of(operator: &Operator) -> Project<'_> {
        let Operator::Project { input, exprs, schema } = operator else { panic!("a branch computes columns") };
        Project { input, exprs, schema }
    }

    /// An expression over its columns, over what they are computed from.
    fn under(&self, expr: &Expr) -> Expr {
        let mut expr = expr.clone();
        expr.substitute(&|column| Some(self.exprs[column].clone()));
        expr
    }
}

/// An aggregate and what happens to its groups.
pub(crate) struct Over<'a> {
    /// The aggregate.
    pub groups: &'a Groups,
    having: Option<&'a Expr>,
    order: &'a [SortKey],
    limit: Option<usize>,
    /// One expression per column of the result, over the groups.
    pub output: &'a [Expr],
    /// Names and types of these columns.
    pub schema: &'a SchemaRef,
}

impl Over<'_> {
    /// The aggregate below a projection, if it stands over groups, and where its rows come from.
    pub fn of(operator: &Operator) -> Option<(Over<'_>, &Operator)> {
        let Operator::Project { input, exprs, schema } = operator else { return None };
        let (mut having, mut order, mut limit, mut below): (_, &[SortKey], _, &Operator) = (None, &[], None, input);
        loop {
            below = match below {
                Operator::Limit { input, rows } => {
                    limit = Some(*rows);
                    input
                }
                Operator::Sort { input, keys } => {
                    order = keys;
                    input
                }
                Operator::Filter { input, condition, .. } if having.is_none() => {
                    having = Some(condition);
                    input
                }
                Operator::Aggregate { input, groups } => {
                    return Some((Over { groups, having, order, limit, output: exprs, schema }, input));
                }
                _ => return None,
            };
        }
    }

    /// Its plan, over what a branch computes its columns from.
    fn plan(&self, rows: &Project) -> AggregatePlan {
        let Groups { window, session, keys, calls, schema, filters, watermarked, placed } = self.groups.clone();
        let mut planned = AggregatePlan {
            window,
            session,
            keys,
            aggregates: calls,
            row_schema: schema,
            group_filters: filters,
            having: self.having.cloned(),
            output: self.output.to_vec(),
            order: self.order.to_vec(),
            limit: self.limit,
            watermarked,
            placed,
        };
        planned.each_row_expr(&mut |expr| *expr = rows.under(expr));
        planned
    }
}

/// What stands between a source and the columns of a branch.
struct Steps<'a> {
    /// Filters below the watermark, in order.
    pushed: Vec<Expr>,
    /// The one of them that the window implies.
    implied: Option<Expr>,
    /// The event time.
    time: Option<&'a EventTimePlan>,
    /// What stands above it, in order.
    above: Vec<Step>,
    /// Numbers of the columns that `above` adds, in order.
    added: Vec<usize>,
    /// Where the rows come from.
    source: &'a Operator,
}

impl Steps<'_> {
    fn of(operator: &Operator) -> Steps<'_> {
        let mut steps = Steps {
            pushed: Vec::new(),
            implied: None,
            time: None,
            above: Vec::new(),
            added: Vec::new(),
            source: operator,
        };
        let mut filters = Vec::new();
        loop {
            let below = match steps.source {
                Operator::Filter { input, condition, is_implied } => {
                    filters.push(condition.clone());
                    if *is_implied {
                        steps.implied = Some(condition.clone());
                    }
                    input
                }
                Operator::Window { input, window } => {
                    steps.take(&mut filters, WINDOW..WINDOW + 1, Step::Window(window.clone()));
                    input
                }
                Operator::Generate { input, generate, first } => {
                    let numbers = *first..first + generate.columns.len() + 1;
                    steps.take(&mut filters, numbers, Step::Generate(generate.clone()));
                    input
                }
                Operator::Watermark { input, time } => {
                    steps.above.extend(filters.drain(..).map(Step::Filter));
                    steps.time = Some(time);
                    input
                }
                _ => break,
            };
            steps.source = below;
        }
        steps.pushed = filters;
        // They were collected from the top down.
        steps.pushed.reverse();
        steps.above.reverse();
        steps.added.reverse();
        steps
    }

    /// A step below the filters collected so far.
    fn take(&mut self, filters: &mut Vec<Expr>, numbers: Range<usize>, step: Step) {
        self.above.extend(filters.drain(..).map(Step::Filter));
        self.above.push(step);
        self.added.extend(numbers.rev());
    }

    /// Has the generators number their elements where that is used, and leaves the number out of the columns elsewhere.
    fn number_elements(&mut self, used: &BTreeSet<usize>) {
        let mut at = 0;
        for step in &mut self.above {
            match step {
                Step::Filter(_) => {}
                Step::Window(_) => at += 1,
                Step::Generate(generate) => {
                    at += generate.columns.len();
                    generate.numbered = used.contains(&self.added[at]);
                    if generate.numbered {
                        at += 1;
                    } else {
                        self.added.remove(at);
                    }
                }
            }
        }
    }
}

/// Where the rows of a branch come from.
struct Source<'a> {
    /// The columns before the event time.
    fields: &'a Fields,
    /// `None`: the rows of groups.
    scan: Option<&'a Scan>,
}

impl Source<'_> {
    fn of_scan(scan: &Scan) -> Source<'_> {
        Source { fields: &scan.fields, scan: Some(scan) }
    }

    fn of_groups(schema: &SchemaRef) -> Source<'_> {
        Source { fields: schema.fields(), scan: None }
    }

    /// How many of the columns are decoded, or are there.
    fn schema_fields(&self) -> usize {
        self.scan.map_or(self.fields.len(), |scan| scan.schema_fields)
    }

    /// The format of the records, for the columns that are used.
    fn format(&self, used: &BTreeSet<usize>) -> Format {
        let Some(scan) = self.scan else { return Format::Raw };
        let Some(separator) = scan.csv_separator else {
            return if scan.schema_fields == 0 { Format::Raw } else { Format::Json };
        };
        let used: BTreeSet<usize> = used.range(..scan.schema_fields).copied().collect();
        let corrupt = scan.corrupt_record;
        let data = used.iter().filter(|index| Some(**index) != corrupt);
        let place = |index: &usize| index - usize::from(corrupt.is_some_and(|corrupt| corrupt < *index));
        let counts_values = corrupt.is_some() && used.len() == scan.schema_fields;
        Format::Csv {
            separator,
            places: data.map(place).collect(),
            width: counts_values.then(|| scan.schema_fields - 1),
        }
    }

    /// Kafka's own columns among `used`; `members` are those of the STRUCT.
    fn kafka_columns(&self, used: &BTreeSet<usize>, members: &BTreeSet<usize>) -> Option<KafkaColumns> {
        let own: Vec<usize> = used.range(self.schema_fields()..).copied().collect();
        let is_struct = self.schema_fields() > 0;
        let filled = if is_struct { members.iter().copied().collect() } else { own.clone() };
        (!own.is_empty()).then(|| KafkaColumns {
            used: filled.into_iter().map(|number| KafkaColumn::ALL[number]).collect(),
            fields: own.iter().map(|index| self.fields[*index].clone()).collect(),
            is_struct,
        })
    }
}

/// Finishes a branch over its source row: columns that nothing uses are left out, and every expression is renumbered.
fn finish(source: Source, mut steps: Steps, mut body: Body, zone: Zone) -> BranchPlan {
    let time_column = source.fields.len();
    let (mut used, mut members) = (BTreeSet::new(), BTreeSet::new());
    let uses = |expr: &Expr, used: &mut BTreeSet<usize>, members: &mut BTreeSet<usize>| {
        expr.columns(&mut |index| {
            used.insert(index);
        });
        kafka::used_members(expr, source.schema_fields(), members);
    };
    steps.pushed.iter().for_each(|expr| uses(expr, &mut used, &mut members));
    steps.above.iter_mut().for_each(|step| uses(step.expr_mut(), &mut used, &mut members));
    body.each_row_expr(&mut |expr| uses(expr, &mut used, &mut members));
    let event_time = steps.time.filter(|time| time.is_needed() || used.contains(&time_column));
    if let Some(time) = event_time {
        uses(&time.expr, &mut used, &mut members);
    }
    // The rows of groups are there already, with all their columns.
    used.extend((0..source.fields.len()).filter(|_| source.scan.is_none()));
    used.remove(&time_column);
    steps.number_elements(&used);
    let positions = [(PositionColumn::Id, RECORD_ID), (PositionColumn::Place, PLACE)];
    let positions = positions.into_iter().filter(|(_, number)| used.remove(number)).collect();
    used.retain(|column| *column < GENERATED);
    let row = SourceRow { used, positions, time_column, has_time: event_time.is_some(), added: steps.added };
    let renumber = |mut expr: Expr| {
        expr.renumber(&|column| row.place(column));
        expr
    };
    let in_place = |expr: &mut Expr| expr.renumber(&|column| row.place(column));
    steps.above.iter_mut().for_each(|step| in_place(step.expr_mut()));
    body.each_row_expr(&mut |expr| in_place(expr));
    let field = |index: &usize| source.fields[*index].as_ref().clone();
    let decode: Vec<Field> = row.used.range(..source.schema_fields()).map(field).collect();
    let own = row.positions.iter().map(|(column, _)| column.field());
    let time = event_time.map(|time| Field::new(&time.name, types::timestamp(), true));
    let fields: Vec<Field> = row.used.iter().map(field).chain(own).chain(time).collect();
    let corrupt_record = source.scan.and_then(|scan| scan.corrupt_record).filter(|index| row.used.contains(index));
    let mut plan = BranchPlan {
        table: source.scan.map_or(String::new(), |scan| scan.table.clone()),
        files: source.scan.and_then(|scan| scan.files.clone()),
        format: source.format(&row.used),
        decode_schema: Arc::new(Schema::new(decode)),
        corrupt_record: corrupt_record.map(|column| row.place(column)),
        kafka_columns: source.kafka_columns(&row.used, &members),
        positions: row.positions.iter().map(|(column, _)| *column).collect(),
        parsed: Vec::new(),
        event_time: event_time.map(|time| EventTimePlan { expr: renumber(time.expr.clone()), ..time.clone() }),
        row_schema: Arc::new(Schema::new(fields)),
        pushed_filters: steps.pushed.into_iter().map(renumber).collect(),
        time_filter: steps.implied.map(renumber),
        steps: steps.above,
        body,
        zone,
    };
    parse_once::lift(&mut plan);
    plan
}

/// What a source row is made of, by the numbers of the columns in the tree.
struct SourceRow {
    /// Columns of the source, in its order.
    used: BTreeSet<usize>,
    /// Those of the record's position, behind them.
    positions: Vec<(PositionColumn, usize)>,
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
        match self.positions.iter().position(|(_, number)| *number == column) {
            Some(place) => self.used.len() + place,
            None if column == self.time_column => before_time,
            None => self.used.range(..column).count(),
        }
    }
}
