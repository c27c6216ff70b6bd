//! The typed plan of a pipeline: what executors and driver both derive from the pipeline file, and compare by hash.
//!
//! ```text
//!  value bytes ─decode→ source row ─pushed filters→ watermark node ─filters→ keys, window, aggregate inputs
//!                       [wanted columns…, event time]                         │ fold
//!  output columns ←having/output exprs← aggregate row [window?, keys…, aggregates…]
//! ```
//! The upper line is a [`BranchPlan`]; a UNION ALL has several, which meet in the fold's result. What stood above the
//! UNION ALL, filters and keys, is written over each branch's own source row.
//! Columns are Arrow types: STRING is `Utf8`, TIMESTAMP is `Timestamp(Microsecond, "UTC")`, TIMESTAMP_NTZ is
//! `Timestamp(Microsecond, None)`, DATE is `Date32`, DECIMAL(p,s) is `Decimal128(p, s)`, BINARY is `Binary`,
//! TINYINT … BIGINT are `Int8` … `Int64`, FLOAT and DOUBLE are `Float32` and `Float64`.

use crate::eval::EvalContext;
use crate::expr::Expr;
use crate::zone::Zone;
use arrow_schema::{DataType, Fields, SchemaRef};
use std::sync::Arc;
use tidemill_model::pipeline::OutputMode;
use tidemill_model::{Millis, WindowSpec};

/// A pipeline's query, typed.
#[derive(Clone, Debug)]
pub struct QueryPlan {
    /// The branches of a UNION ALL, in their order; one where there is none. Each has a source to itself, whose number in
    /// [`tidemill_model::PartitionId`] is the branch's.
    pub branches: Vec<Arc<BranchPlan>>,
    /// The output mode.
    pub output_mode: OutputMode,
    /// The output columns' names and types.
    pub output_schema: SchemaRef,
}

impl QueryPlan {
    /// The session's time zone.
    pub fn zone(&self) -> Zone {
        self.branches[0].zone
    }

    /// What its expressions may ask in a batch of that timestamp.
    pub fn context(&self, timestamp: Millis) -> EvalContext {
        self.branches[0].context(timestamp)
    }

    /// What becomes of the rows of the first branch. All that is over the aggregate row is the same in every branch.
    pub fn body(&self) -> &Body {
        &self.branches[0].body
    }

    /// The delay of each branch's watermark, ms; `None` where it has none.
    pub fn delays_ms(&self) -> impl Iterator<Item = Option<i64>> {
        self.branches.iter().map(|branch| branch.event_time.as_ref()?.delay_ms)
    }

    /// Whether any branch has a watermark.
    pub fn has_watermark(&self) -> bool {
        self.delays_ms().any(|delay| delay.is_some())
    }
}

/// The way of one table's rows up to the aggregate, or to the output.
#[derive(Clone, Debug)]
pub struct BranchPlan {
    /// The table that it reads.
    pub table: String,
    /// Which files the table is, for a plan's text; `None` where it is no files.
    pub files: Option<String>,
    /// How a record's bytes are read.
    pub format: Format,
    /// The schema's columns that the query uses, in the schema's order: what decode builds.
    pub decode_schema: SchemaRef,
    /// Which column of `decode_schema` takes the texts of corrupt records, if the query uses it.
    pub corrupt_record: Option<usize>,
    /// The event time, when the source declares one.
    pub event_time: Option<EventTimePlan>,
    /// The source row: `decode_schema`, then the event-time column when there is one. Expressions below are over it.
    pub row_schema: SchemaRef,
    /// WHERE conjuncts below the watermark node (rule M1): the rows they reject do not move the watermark.
    /// They are evaluated before the event time and never name it, so they are valid over `decode_schema` too.
    pub pushed_filters: Vec<Expr>,
    /// The one of `pushed_filters` that is not the user's: the window's time is not NULL. It stands there where the window
    /// is over another column than the watermark. What it rejects has no event time.
    pub time_filter: Option<Expr>,
    /// What becomes of the rows above the watermark node, step by step. Expressions are over the source row; a step that
    /// adds a column adds it behind the others.
    pub steps: Vec<Step>,
    /// What becomes of the rows.
    pub body: Body,
    /// The session's time zone, the same in all branches.
    pub zone: Zone,
}

impl BranchPlan {
    /// What its expressions may ask in a batch of that timestamp.
    pub fn context(&self, timestamp: Millis) -> EvalContext {
        EvalContext { timestamp, zone: self.zone }
    }
}

/// A step of the rows above the watermark node.
#[derive(Clone, Debug)]
pub enum Step {
    /// Keeps the rows for which a condition of the query is true.
    Filter(Expr),
    /// Repeats a row for each of its windows, in the order of time, with a column `window` more. Rows without a time go out.
    /// A window that is no more than a key has no such step: [`AggregatePlan::window`].
    Window(WindowPlan),
    /// Repeats a row for each element of an array, with the element's columns behind the others.
    Generate(GeneratePlan),
}

/// Rows made of the elements of an array: `explode` and its kin, which all give an array first.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneratePlan {
    /// The array, over the row before.
    pub array: Expr,
    /// Names and types of the columns that it adds: the element, or its members.
    pub columns: Fields,
    /// Whether the columns are the members of the element, a STRUCT.
    pub members: bool,
    /// Whether a row whose array is NULL or empty stays, with NULL in the new columns.
    pub outer: bool,
}

/// How a record's bytes become columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// A JSON value (rule J).
    Json,
    /// A line of CSV.
    Csv {
        /// What stands between two values.
        separator: char,
        /// For each column of `decode_schema` but that of corrupt records its place in the line, from 0.
        places: Vec<usize>,
        /// Number of values in a whole line, where the query uses all columns, that of corrupt records among them: Spark
        /// counts values in no other case.
        width: Option<usize>,
    },
}

/// The event-time column of the source row.
#[derive(Clone, Debug)]
pub struct EventTimePlan {
    /// Its name.
    pub name: String,
    /// Over `decode_schema`; of type TIMESTAMP.
    pub expr: Expr,
    /// The watermark's delay, ms; `None`: no watermark.
    pub delay_ms: Option<i64>,
    /// How far it may be ahead of the record's timestamp, ms, before the record is refused; `None`: as far as it likes.
    pub max_ahead_ms: Option<i64>,
}

/// What becomes of the filtered rows.
#[derive(Clone, Debug)]
pub enum Body {
    /// GROUP BY or an aggregate function.
    Aggregate(AggregatePlan),
    /// No aggregate: each row gives a row. One expression per output column, over the source row.
    Project(Vec<Expr>),
}

/// An aggregation.
#[derive(Clone, Debug)]
pub struct AggregatePlan {
    /// The window key, where it is folded by slices. Where anything else below the aggregate asks the window, it is a column
    /// of [`Step::Window`] and its key a plain one.
    pub window: Option<WindowPlan>,
    /// Plain keys in GROUP BY order, over the source row.
    pub keys: Vec<KeyPlan>,
    /// Distinct aggregate calls, in order of first appearance.
    pub aggregates: Vec<AggregateCall>,
    /// The aggregate row: `window STRUCT<start: TIMESTAMP, end: TIMESTAMP>` when there is a window, then the keys,
    /// then the aggregates. `having` and `output` are over it.
    pub row_schema: SchemaRef,
    /// Conjuncts of HAVING that name the window and keys alone: Spark's optimizer moves them below the aggregate, so groups
    /// that they reject do not come to be (rule O7). Over the aggregate row; `having` holds them, too.
    pub group_filters: Vec<Expr>,
    /// HAVING: filters output only.
    pub having: Option<Expr>,
    /// One expression per output column.
    pub output: Vec<Expr>,
    /// Whether the watermark evicts and drops (rules O1–O3, O6): the mode is not complete, the source (of several, the first
    /// branch's) has a watermark, and the window is over the watermarked column or that column is itself a key.
    pub watermarked: bool,
}

/// `window(time, width[, slide[, start]])`.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowPlan {
    /// Widths in microseconds.
    pub spec: WindowSpec,
    /// The time, over the source row; of type TIMESTAMP.
    pub time: Expr,
}

/// A plain group key.
#[derive(Clone, Debug)]
pub struct KeyPlan {
    /// Its name in the aggregate row.
    pub name: String,
    /// Over the source row.
    pub expr: Expr,
    /// Whether it is the watermarked event-time column itself, or the window over it (rule L1: evicted when `ts <= wm`, or
    /// `window.end <= wm`).
    pub is_event_time: bool,
}

/// One aggregate function call.
#[derive(Clone, Debug)]
pub struct AggregateCall {
    /// Which function.
    pub function: AggregateFunction,
    /// Its arguments, over the source row; empty for `count(*)`. What FILTER asks is in them, so that a row that does not
    /// pass counts as NULL; `first` and `last`, which take NULLs, may have it as a second one, BOOLEAN.
    pub inputs: Vec<Expr>,
    /// The result's type (rule T1).
    pub data_type: DataType,
}

/// The aggregate functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AggregateFunction {
    /// `count(*)`, `count(x, …)`: rows whose arguments are all non-NULL.
    Count,
    /// `count_if(p)`.
    CountIf,
    /// `sum(x)`.
    Sum,
    /// `avg(x)`, `mean(x)`.
    Avg,
    /// `min(x)`.
    Min,
    /// `max(x)`; `bool_and(x)` and `bool_or(x)` are the least and the greatest of BOOLEANs.
    Max,
    /// `try_sum(x)`: NULL where `sum` overflows.
    TrySum,
    /// `try_avg(x)`: NULL where `avg` overflows.
    TryAvg,
    /// `stddev(x)`, `stddev_samp(x)`, `std(x)`.
    StddevSamp,
    /// `stddev_pop(x)`.
    StddevPop,
    /// `variance(x)`, `var_samp(x)`.
    VarSamp,
    /// `var_pop(x)`.
    VarPop,
    /// `approx_count_distinct(x[, rsd])`.
    ApproxCountDistinct {
        /// Two to this power is the number of registers.
        precision: u8,
    },
    /// `first(x)`, `first_value(x)`, `any_value(x)`.
    First {
        /// Whether NULLs are passed over.
        ignore_nulls: bool,
    },
    /// `last(x)`, `last_value(x)`.
    Last {
        /// Whether NULLs are passed over.
        ignore_nulls: bool,
    },
    /// `min_by(x, order)`.
    MinBy,
    /// `max_by(x, order)`.
    MaxBy,
    /// All values that are not NULL, in the order of the rows, as an ARRAY: what `collect_list`, `percentile` and the like are
    /// made of.
    Collect,
    /// `[count, mean x, mean y, Σdxdy, Σdx², Σdy²]` of two DOUBLEs, an empty ARRAY of no row: what `corr` and the like are made
    /// of.
    Comoments,
    /// `[count, mean, Σd², Σd³, Σd⁴]` of a DOUBLE, an empty ARRAY of no row: what `skewness` and `kurtosis` are made of.
    HighMoments,
    /// `bit_and(x)` of a BIGINT.
    BitAnd,
    /// `bit_or(x)` of a BIGINT.
    BitOr,
    /// `bit_xor(x)` of a BIGINT.
    BitXor,
}
