//! A query as a tree of operators, from the sink down to the sources. The analyzer makes it of the query's text, the planner
//! turns it into a [`QueryPlan`](crate::plan::QueryPlan).
//!
//! ```text
//!   Sink ─ Project ─ [Limit] ─ [Sort] ─ [Filter] ─ Aggregate ─┐             what happens to groups
//!   Sink ─ [Limit] ───────────────────────────────────────────┴ [Union] ─┬ Project ─ Filter, Window, Generate … ┐
//!                                                                        └ …   ┌────────────────────────────────┘
//!                                                                              └ Watermark ─ Filter … ─ Scan, or the
//!                                                                                groups of another Project
//! ```
//! Filters stand where Spark's optimizer leaves them. An expression is over the columns of the operator below. `Project` and
//! `Aggregate` number their columns from 0, and so does `Scan`. `Watermark`, `Window` and `Generate` add columns with numbers
//! of their own ([`WINDOW`] and the like) and keep the others, so an operator can be added without renumbering those above.

use crate::expr::Expr;
use crate::plan::{AggregateCall, EventTimePlan, GeneratePlan, KeyPlan, SessionPlan, SortKey, WindowPlan};
use crate::zone::Zone;
use arrow_schema::{Fields, SchemaRef};
use serde::{Deserialize, Serialize};
use std::fmt;
use tidemill_model::WindowSpec;
use tidemill_model::pipeline::OutputMode;
use tidemill_model::time::length;

/// Column number of the window that [`Operator::Window`] adds.
pub const WINDOW: usize = usize::MAX / 2;
/// Column number of the first column that an [`Operator::Generate`] adds; those of others follow.
pub const GENERATED: usize = usize::MAX / 4;
/// Column number of a record's place, which any scan can give: [`PositionColumn::Place`](crate::plan::PositionColumn::Place).
pub const PLACE: usize = GENERATED - 1;
/// Column number of a record's id, which any scan can give: [`PositionColumn::Id`](crate::plan::PositionColumn::Id).
pub const RECORD_ID: usize = GENERATED - 2;

/// An operator with those that it takes its rows from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Operator {
    /// Gives the rows to the sinks.
    Sink {
        /// Where the rows come from.
        input: Box<Operator>,
        /// The output mode.
        output_mode: OutputMode,
        /// The session's time zone.
        zone: Zone,
    },
    /// Lets out the first rows: of each batch if they are groups, else of all batches.
    Limit {
        /// Where the rows come from.
        input: Box<Operator>,
        /// Number of rows.
        rows: usize,
    },
    /// Orders the rows of a batch.
    Sort {
        /// Where the rows come from.
        input: Box<Operator>,
        /// The first decides, then the second.
        keys: Vec<SortKey>,
    },
    /// Computes columns.
    Project {
        /// Where the rows come from.
        input: Box<Operator>,
        /// One expression a column.
        exprs: Vec<Expr>,
        /// Names and types of the columns.
        schema: SchemaRef,
    },
    /// Keeps the rows for which a condition is true.
    Filter {
        /// Where the rows come from.
        input: Box<Operator>,
        /// The condition.
        condition: Expr,
        /// Whether it follows from the window instead of standing in the query: a row without a time has no window.
        is_implied: bool,
    },
    /// Forms groups.
    Aggregate {
        /// Where the rows come from.
        input: Box<Operator>,
        /// How.
        groups: Groups,
    },
    /// The rows of several inputs with the same columns.
    Union {
        /// In the query's order.
        inputs: Vec<Operator>,
    },
    /// Repeats each row for each of its windows; adds [`WINDOW`].
    Window {
        /// Where the rows come from.
        input: Box<Operator>,
        /// The windows.
        window: WindowPlan,
    },
    /// Repeats each row for each element of an array; adds the element's columns and, behind them, its number.
    Generate {
        /// Where the rows come from.
        input: Box<Operator>,
        /// The array and its columns.
        generate: GeneratePlan,
        /// Number of the first column that it adds.
        first: usize,
    },
    /// Computes the event time, which moves the watermark; adds it behind the columns of the scan.
    Watermark {
        /// Where the rows come from.
        input: Box<Operator>,
        /// The event time and how far the watermark stays behind.
        time: EventTimePlan,
    },
    /// Reads a source.
    Scan(Scan),
}

/// What is read from a source.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scan {
    /// The source's name.
    pub table: String,
    /// What the files are and where, for the plan's text; `None` for a Kafka source.
    pub files: Option<String>,
    /// The character between two values, if the records are lines of CSV; otherwise they are JSON.
    pub csv_separator: Option<char>,
    /// The schema's columns, then Kafka's own.
    pub fields: Fields,
    /// How many of `fields` are the schema's.
    pub schema_fields: usize,
    /// Which of them takes the texts of corrupt records.
    pub corrupt_record: Option<usize>,
}

/// How groups are formed. Its row is `window STRUCT<start: TIMESTAMP, end: TIMESTAMP>` where there is a window, the keys, the
/// calls, and the group's place where `placed` says so.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Groups {
    /// The window, if it is a key that rows are folded into.
    pub window: Option<WindowPlan>,
    /// The key that is a session window.
    pub session: Option<SessionPlan>,
    /// The keys, but for the window.
    pub keys: Vec<KeyPlan>,
    /// The aggregate functions.
    pub calls: Vec<AggregateCall>,
    /// Names and types of its row.
    pub schema: SchemaRef,
    /// Conjuncts of the filter above that use keys alone: groups that they refuse are not formed.
    pub filters: Vec<Expr>,
    /// Whether the watermark drops late rows and closes groups.
    pub watermarked: bool,
    /// Whether the row ends with the group's place in the batch.
    pub placed: bool,
}

impl Operator {
    /// The operators that it takes rows from.
    pub fn inputs(&self) -> &[Operator] {
        match self {
            Operator::Sink { input, .. }
            | Operator::Limit { input, .. }
            | Operator::Sort { input, .. }
            | Operator::Project { input, .. }
            | Operator::Filter { input, .. }
            | Operator::Aggregate { input, .. }
            | Operator::Window { input, .. }
            | Operator::Generate { input, .. }
            | Operator::Watermark { input, .. } => std::slice::from_ref(&**input),
            Operator::Union { inputs } => inputs,
            Operator::Scan(_) => &[],
        }
    }

    /// Visits every expression of the operators, from the sources up.
    pub fn each_expr(&self, visit: &mut dyn FnMut(&Expr)) {
        self.inputs().iter().for_each(|input| input.each_expr(visit));
        match self {
            Operator::Sort { keys, .. } => keys.iter().for_each(|key| visit(&key.expr)),
            Operator::Project { exprs, .. } => exprs.iter().for_each(&mut *visit),
            Operator::Filter { condition, .. } => visit(condition),
            Operator::Window { window, .. } => visit(&window.time),
            Operator::Generate { generate, .. } => visit(&generate.array),
            Operator::Watermark { time, .. } => visit(&time.expr),
            // What groups are formed of are columns of the rows below.
            Operator::Aggregate { groups, .. } => groups.filters.iter().for_each(&mut *visit),
            Operator::Sink { .. } | Operator::Limit { .. } | Operator::Union { .. } | Operator::Scan(_) => {}
        }
    }

    /// Puts rows in the place of the only scan.
    pub(crate) fn over_rows(&mut self, rows: Operator) {
        match self {
            Operator::Sink { input, .. }
            | Operator::Limit { input, .. }
            | Operator::Sort { input, .. }
            | Operator::Project { input, .. }
            | Operator::Filter { input, .. }
            | Operator::Aggregate { input, .. }
            | Operator::Window { input, .. }
            | Operator::Generate { input, .. }
            | Operator::Watermark { input, .. } => input.over_rows(rows),
            Operator::Union { .. } => panic!("several scans"),
            Operator::Scan(_) => *self = rows,
        }
    }

    /// An operator's name, and what tells it from others of its kind.
    fn headline(&self) -> String {
        match self {
            Operator::Sink { output_mode, .. } => format!("Sink {}", output_mode.name()),
            Operator::Limit { rows, .. } => format!("Limit {rows}"),
            Operator::Sort { keys, .. } => format!("Sort by {}", keys.len()),
            Operator::Project { schema, .. } => {
                let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
                format!("Project {}", names.join(", "))
            }
            Operator::Filter { is_implied, .. } => {
                if *is_implied { "Filter by the window's time" } else { "Filter" }.into()
            }
            Operator::Aggregate { groups, .. } => {
                let window = groups.window.as_ref().map(|window| spec(&window.spec) + ", ");
                let (keys, calls) = (groups.keys.len(), groups.calls.len());
                let sessions = if groups.session.is_some() { "sessions, " } else { "" };
                format!("Aggregate {}{sessions}keys {keys}, functions {calls}", window.unwrap_or_default())
            }
            Operator::Union { inputs } => format!("Union of {}", inputs.len()),
            Operator::Window { window, .. } => format!("Window {}", spec(&window.spec)),
            Operator::Generate { generate, .. } => {
                let names: Vec<&str> = generate.columns.iter().map(|field| field.name().as_str()).collect();
                format!("Generate {}", names.join(", "))
            }
            Operator::Watermark { time, .. } => format!("Watermark {}", time.name),
            Operator::Scan(scan) => format!("Scan {}", scan.table),
        }
    }
}

fn spec(spec: &WindowSpec) -> String {
    format!("{} every {}", length(spec.width), length(spec.slide))
}

/// One line an operator, indented by its depth.
impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn lines(operator: &Operator, depth: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            writeln!(f, "{:1$}{2}", "", 2 * depth, operator.headline())?;
            operator.inputs().iter().try_for_each(|input| lines(input, depth + 1, f))
        }
        lines(self, 0, f)
    }
}
