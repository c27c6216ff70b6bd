//! The typed plan of a pipeline. The driver makes it from the pipeline file and sends it to its executors.
//!
//! ```text
//!  value bytes ─decode→ source row ─pushed filters→ watermark node ─filters→ keys, window, aggregate inputs
//!                       [wanted columns…, event time]                         │ fold
//!  output columns ←having/output exprs← aggregate row [window?, keys…, aggregates…]
//! ```
//! The upper line is a [`BranchPlan`]. A UNION ALL has several branches; the fold combines their rows. Filters and keys
//! above the UNION ALL are rewritten over each branch's source row. An aggregation over the rows of another is a further
//! branch, whose source row is the output row below ([`QueryPlan::above`]).
//! Columns are Arrow types: STRING is `Utf8`, TIMESTAMP is `Timestamp(Microsecond, "UTC")`, TIMESTAMP_NTZ is
//! `Timestamp(Microsecond, None)`, DATE is `Date32`, DECIMAL(p,s) is `Decimal128(p, s)`, BINARY is `Binary`,
//! TINYINT … BIGINT are `Int8` … `Int64`, FLOAT and DOUBLE are `Float32` and `Float64`.

use crate::eval::EvalContext;
use crate::expr::Expr;
use crate::kafka::KafkaColumns;
use crate::zone::Zone;
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tidemill_model::pipeline::OutputMode;
use tidemill_model::{Millis, WindowSpec};

/// A pipeline's query, typed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QueryPlan {
    /// The branches of a UNION ALL in the query's order; otherwise one. Each branch has its own source. The branch's
    /// index is
    /// the source's number in [`tidemill_model::PartitionId`].
    pub branches: Vec<Arc<BranchPlan>>,
    /// Aggregations over the rows of the aggregation below, in order: the first is over the groups of the branches.
    pub above: Vec<Arc<BranchPlan>>,
    /// The output mode.
    pub output_mode: OutputMode,
    /// The output columns' names and types.
    pub output_schema: SchemaRef,
    /// The most rows that go out in append mode, over all batches. [`AggregatePlan::limit`] is that of complete mode.
    pub limit: Option<usize>,
}

impl QueryPlan {
    /// The session's time zone.
    pub fn zone(&self) -> Zone {
        self.branches[0].zone
    }

    /// The context of the query's expressions in a batch with this timestamp.
    pub fn context(&self, timestamp: Millis) -> EvalContext {
        self.branches[0].context(timestamp)
    }

    /// The aggregations, from the sources up, each with the schema of the rows that it gives.
    pub fn aggregations(&self) -> impl Iterator<Item = (&AggregatePlan, &SchemaRef)> {
        let schemas = self.above.iter().map(|branch| &branch.decode_schema).chain([&self.output_schema]);
        let bodies = [self.body()].into_iter().chain(self.above.iter().map(|branch| &branch.body));
        bodies.zip(schemas).filter_map(|(body, schema)| match body {
            Body::Aggregate(plan) => Some((plan, schema)),
            Body::Project(_) => None,
        })
    }

    /// The body of the first branch. Everything over the aggregate row is the same in all branches.
    pub fn body(&self) -> &Body {
        &self.branches[0].body
    }

    /// The delay of each branch's watermark, ms; `None` where it has none.
    pub fn delays_ms(&self) -> impl Iterator<Item = Option<i64>> {
        self.branches.iter().map(|branch| branch.event_time.as_ref()?.delay_ms)
    }

    /// Whether its rows are done where they are made, in the executors: neither groups nor a count of all rows are kept.
    pub fn is_stateless(&self) -> bool {
        matches!(self.body(), Body::Project(_)) && self.limit.is_none()
    }

    /// Whether any branch has a watermark.
    pub fn has_watermark(&self) -> bool {
        self.delays_ms().any(|delay| delay.is_some())
    }
}

/// The plan of one table's rows, up to the aggregate or to the output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BranchPlan {
    /// The name of the table.
    pub table: String,
    /// The path of the files, for the plan's text; `None` for a Kafka source.
    pub files: Option<String>,
    /// The format of a record's value. Of a branch over groups it says nothing.
    pub format: Format,
    /// The columns that decode builds: those of the schema that the query uses, in the schema's order.
    pub decode_schema: SchemaRef,
    /// Which column of `decode_schema` takes the texts of corrupt records, if the query uses it.
    pub corrupt_record: Option<usize>,
    /// Kafka's own columns that the query uses, if it uses any.
    pub kafka_columns: Option<KafkaColumns>,
    /// Columns made of the record's position that the query uses, in this order.
    pub positions: Vec<PositionColumn>,
    /// Columns made of the texts of those before, each parsed once.
    pub parsed: Vec<ParsedColumn>,
    /// The event time, when the source declares one.
    pub event_time: Option<EventTimePlan>,
    /// The source row: `decode_schema`, `kafka_columns`, `positions`, `parsed`, then the event-time column if there is one. The
    /// expressions below are over it.
    pub row_schema: SchemaRef,
    /// WHERE conjuncts below the watermark node (rule M1): the rows they reject do not move the watermark.
    /// They are evaluated before the event time and never name it.
    pub pushed_filters: Vec<Expr>,
    /// The one of `pushed_filters` that the user did not write: the window's time is not NULL. It exists if the window
    /// is over
    /// another column than the watermark. Rows that it rejects have no event time.
    pub time_filter: Option<Expr>,
    /// The steps above the watermark node, in order. Expressions are over the source row; a step that adds a column
    /// appends
    /// it.
    pub steps: Vec<Step>,
    /// What is computed from the rows.
    pub body: Body,
    /// The session's time zone, the same in all branches.
    pub zone: Zone,
}

impl BranchPlan {
    /// Whether its rows are those of an aggregation. Tables have names.
    pub fn is_over_groups(&self) -> bool {
        self.table.is_empty()
    }

    /// The context of the query's expressions in a batch with this timestamp.
    pub fn context(&self, timestamp: Millis) -> EvalContext {
        EvalContext { timestamp, zone: self.zone, seed: 0 }
    }
}

/// A column made of the record's position: its source, topic, partition and offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PositionColumn {
    /// What `monotonically_increasing_id()` gives, a BIGINT.
    Id,
    /// What random values are drawn at: 128 bits that no other record has, as a DECIMAL(38, 0).
    Place,
}

impl PositionColumn {
    /// Its column in the source row.
    pub fn field(self) -> Field {
        match self {
            PositionColumn::Id => Field::new("record_id", DataType::Int64, true),
            PositionColumn::Place => Field::new("place", PositionColumn::place_type(), true),
        }
    }

    /// The type of a place.
    pub fn place_type() -> DataType {
        DataType::Decimal128(38, 0)
    }
}

/// A step above the watermark node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Step {
    /// Keeps the rows for which a condition of the query is true.
    Filter(Expr),
    /// Repeats each row for each of its windows, ordered by time, and appends a column `window`. Rows without a time
    /// are
    /// removed. A window that is only a key has no such step: see [`AggregatePlan::window`].
    Window(WindowPlan),
    /// Repeats a row for each element of an array, with the element's columns behind the others.
    Generate(GeneratePlan),
}

impl Step {
    /// Its expression over rows.
    pub(crate) fn expr_mut(&mut self) -> &mut Expr {
        match self {
            Step::Filter(condition) => condition,
            Step::Window(window) => &mut window.time,
            Step::Generate(generate) => &mut generate.array,
        }
    }
}

/// Rows made of the elements of an array: `explode` and its kin, which all give an array first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeneratePlan {
    /// The array, over the row before.
    pub array: Expr,
    /// Names and types of the columns that it adds: the element, or its members.
    pub columns: Fields,
    /// Whether the columns are the members of the element, a STRUCT.
    pub members: bool,
    /// Whether a row whose array is NULL or empty stays, with NULL in the new columns.
    pub outer: bool,
    /// Whether the element's number, an INT from 0, is one more column behind the others.
    pub numbered: bool,
}

/// The format of a record's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// A JSON value (rule J).
    Json,
    /// The value has no columns: it is not read.
    Raw,
    /// A line of CSV.
    Csv {
        /// The character between two values.
        separator: char,
        /// For each column of `decode_schema` but that of corrupt records, its position in the line, from 0.
        places: Vec<usize>,
        /// Number of values in a whole line, where the query uses all columns, that of corrupt records among them: Spark
        /// counts values in no other case.
        width: Option<usize>,
    },
}

/// A column of the source row that a text is parsed into. It fails no row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParsedColumn {
    /// Its name in the plan's text.
    pub name: String,
    /// Over the columns before all parsed ones.
    pub expr: Expr,
}

/// The event-time column of the source row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventTimePlan {
    /// Its name.
    pub name: String,
    /// The event time, over the columns before it; of type TIMESTAMP.
    pub expr: Expr,
    /// The watermark's delay, ms; `None`: no watermark.
    pub delay_ms: Option<i64>,
    /// The most that the event time may be ahead of the record's timestamp, ms; other records are refused. `None`: no
    /// limit.
    pub max_ahead_ms: Option<i64>,
}

impl EventTimePlan {
    /// Whether it is computed although nothing uses it: a watermark or a limit needs it. Spark leaves out any other.
    pub(crate) fn is_needed(&self) -> bool {
        self.delay_ms.is_some() || self.max_ahead_ms.is_some()
    }
}

/// What is computed from the filtered rows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Body {
    /// GROUP BY or an aggregate function.
    Aggregate(AggregatePlan),
    /// No aggregate: one output row per row. One expression per output column, over the source row.
    Project(Vec<Expr>),
}

impl Body {
    /// Visits every expression over rows, not those over groups.
    pub(crate) fn each_row_expr(&mut self, visit: &mut dyn FnMut(&mut Expr)) {
        match self {
            Body::Project(outputs) => outputs.iter_mut().for_each(visit),
            Body::Aggregate(plan) => plan.each_row_expr(visit),
        }
    }
}

/// An aggregation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AggregatePlan {
    /// The window key, if it is folded by slices. If anything else below the aggregate uses the window, the window is a
    /// column
    /// of [`Step::Window`] and its key a plain one.
    pub window: Option<WindowPlan>,
    /// The key that is a session window. Groups of one key whose windows meet become one.
    pub session: Option<SessionPlan>,
    /// Plain keys in GROUP BY order, over the source row.
    pub keys: Vec<KeyPlan>,
    /// Distinct aggregate calls, in order of first appearance.
    pub aggregates: Vec<AggregateCall>,
    /// The aggregate row: `window STRUCT<start: TIMESTAMP, end: TIMESTAMP>` when there is a window, then the keys,
    /// then the aggregates. `having` and `output` are over it.
    pub row_schema: SchemaRef,
    /// Conjuncts of HAVING that use only the window and keys. Spark's optimizer moves them below the aggregate, so
    /// groups
    /// that they reject are never created (rule O7). Over the aggregate row; also contained in `having`.
    pub group_filters: Vec<Expr>,
    /// HAVING: filters output only.
    pub having: Option<Expr>,
    /// One expression per output column.
    pub output: Vec<Expr>,
    /// The order of the output rows; otherwise it is that of the groups.
    pub order: Vec<SortKey>,
    /// The most rows that are output, the first in order.
    pub limit: Option<usize>,
    /// Whether the watermark evicts groups and drops late rows (rules O1–O3, O6). It does if all of these hold: the
    /// mode is not
    /// complete; the source (with several, the first branch's) has a watermark; the window is over the watermarked
    /// column, or
    /// that column is itself a key.
    pub watermarked: bool,
    /// Whether the aggregate row ends with the group's place in this batch, for random values over groups: a DECIMAL(38, 0),
    /// [`PositionColumn::Place`].
    pub placed: bool,
}

impl AggregatePlan {
    /// Visits every expression over rows: the window's time, the keys, the inputs of functions.
    pub(crate) fn each_row_expr(&mut self, visit: &mut dyn FnMut(&mut Expr)) {
        self.window.iter_mut().for_each(|window| visit(&mut window.time));
        self.keys.iter_mut().for_each(|key| visit(&mut key.expr));
        self.aggregates.iter_mut().flat_map(|call| &mut call.inputs).for_each(visit);
    }

    /// Whether the watermark drops late rows.
    pub fn drops_late(&self) -> bool {
        self.watermarked || self.session.is_some_and(|session| session.drops_late)
    }

    /// Number of the column with the group's place, whether it is there or not.
    pub fn place(&self) -> usize {
        self.row_schema.fields().len() - usize::from(self.placed)
    }

    /// Adds the column of the place if an expression over the groups uses it.
    pub(crate) fn place_groups(&mut self) {
        let place = self.place();
        let mut over_groups = self.having.iter().chain(&self.output).chain(self.order.iter().map(|key| &key.expr));
        let used = over_groups.any(|expr| expr.has_column(|column| column == place));
        if used && !self.placed {
            let own = self.row_schema.fields().iter().cloned().chain([Arc::new(PositionColumn::Place.field())]);
            self.row_schema = Arc::new(Schema::new(own.collect::<Vec<_>>()));
            self.placed = true;
        }
    }
}

/// `session_window(time, gap)` as a key (rule W7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionPlan {
    /// Which of the keys it is. Of a row its value is the row's own window.
    pub key: usize,
    /// Whether the watermark drops late rows. As in Spark it does in complete mode, too.
    pub drops_late: bool,
}

/// What rows are sorted by.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SortKey {
    /// Over the aggregate row.
    pub expr: Expr,
    /// Whether the greatest comes first.
    pub descending: bool,
    /// Whether NULLs come last.
    pub nulls_last: bool,
}

/// `window(time, width[, slide[, start]])`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowPlan {
    /// Widths in microseconds.
    pub spec: WindowSpec,
    /// The time, over the source row; of type TIMESTAMP.
    pub time: Expr,
}

/// A plain group key.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AggregateCall {
    /// The function.
    pub function: AggregateFunction,
    /// Its arguments, over the source row; empty for `count(*)`. FILTER is part of them, so a row that does not pass
    /// counts
    /// as NULL. `first` and `last`, which accept NULLs, may have the filter as a second argument, BOOLEAN.
    pub inputs: Vec<Expr>,
    /// The result's type (rule T1).
    pub data_type: DataType,
}

/// The aggregate functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
