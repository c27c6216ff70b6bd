//! A plan as text, as `tidemill check` prints it and the checkpoint keeps it.
//!
//! The text contains everything that the rows depend on, and no positions in the file.

use crate::expr::{Arithmetic, CastMode, Comparison, Expr, Lambda};
use crate::plan::{
    AggregateCall, AggregateFunction, AggregatePlan, Body, BranchPlan, Format, GeneratePlan, KeyPlan, QueryPlan, Step,
    WindowPlan,
};
use crate::types;
use crate::value::Value;
use crate::zone::{WallClock, Zone};
use arrow_schema::{DataType, Schema};
use std::fmt::Write;
use std::sync::Arc;
use tidemill_model::fingerprint::{
    CallShape, Fingerprint, Grouping, KeyShape, SessionShape, StatefulOperator, WindowShape, labelled,
};
use tidemill_model::time::length;

impl QueryPlan {
    /// The plan with one line per step of a row: first each branch, then the common steps. Two plans with the same text
    /// give the same rows.
    pub fn describe(&self) -> String {
        let mut out = String::new();
        let mut line =
            |label: &str, text: String| writeln!(out, "{}", labelled(label, text)).expect("a string takes all");
        let count = self.branches.len();
        for (number, branch) in self.branches.iter().enumerate() {
            if count > 1 {
                line("branch", format!("{} of {count}", number + 1));
            }
            branch.describe("source", &self.output_schema, &mut line);
        }
        if count > 1 {
            line("union all", format!("{count} branches"));
        }
        let of_groups = self.above.iter().map(|branch| &**branch);
        let branches = [&*self.branches[0]].into_iter().chain(of_groups);
        for (number, (branch, (plan, schema))) in branches.zip(self.aggregations()).enumerate() {
            if number > 0 {
                branch.describe("rows of", schema, &mut line);
            }
            branch.describe_groups(plan, schema, &mut line);
        }
        self.limit.iter().for_each(|limit| line("let out", format!("{limit} rows of all batches")));
        line("mode", self.output_mode.name().into());
        out
    }

    /// What a checkpoint of this query is bound to. The sources are described by the caller.
    pub fn fingerprint(&self, sources: Vec<String>) -> Fingerprint {
        let grouping = |branch: &Arc<BranchPlan>| branch.grouping();
        let branches: Option<Vec<Grouping>> = self.branches.iter().map(grouping).collect();
        let aggregate = branches
            .map(|branches| StatefulOperator::Aggregate { output_mode: self.output_mode.name().into(), branches });
        let limit = self.limit.map(|_| StatefulOperator::Limit);
        let above = self.above.iter().filter_map(|branch| {
            let branches = vec![branch.grouping()?];
            Some(StatefulOperator::Aggregate { output_mode: self.output_mode.name().into(), branches })
        });
        Fingerprint { sources, operators: aggregate.into_iter().chain(above).chain(limit).collect() }
    }
}

impl BranchPlan {
    /// One line for each step up to the aggregate, or to the output columns of `schema`. `of` says what the table is.
    fn describe(&self, of: &str, schema: &Schema, line: &mut dyn FnMut(&str, String)) {
        let files = self.files.as_ref().map_or(String::new(), |files| format!(": {files}"));
        let table = if self.is_over_groups() { "the groups above" } else { &self.table };
        line(of, format!("{table}{files}"));
        if self.zone != Zone::UTC {
            line("time zone", self.zone.to_string());
        }
        if self.format != Format::Raw {
            line("decode", columns(&self.decode_schema));
        }
        if let Some(column) = self.corrupt_record {
            line("corrupt records", name(self.decode_schema.field(column).name()));
        }
        if let Some(own) = &self.kafka_columns {
            line("kafka", own.to_string());
        }
        if let Format::Csv { places, .. } = &self.format {
            let places: Vec<String> = places.iter().map(|place| (place + 1).to_string()).collect();
            line("values", if places.is_empty() { "none".into() } else { places.join(", ") });
        }
        let row = self.row_names();
        for parsed in &self.parsed {
            line("parse", format!("{} = {}", name(&parsed.name), row.show(&parsed.expr)));
        }
        self.pushed_filters.iter().for_each(|filter| line("where", row.show(filter)));
        if let Some(time) = &self.event_time {
            line("event time", format!("{} = {}", name(&time.name), row.show(&time.expr)));
            line(
                "watermark",
                match time.delay_ms {
                    None => "none".into(),
                    Some(_) if self.is_over_groups() => "that of the sources".into(),
                    Some(delay) => format!("{} behind {}", length(delay.saturating_mul(1_000)), name(&time.name)),
                },
            );
        }
        if let Some((time, ahead)) = self.event_time.as_ref().and_then(|time| Some((time, time.max_ahead_ms?))) {
            let ahead = length(ahead.saturating_mul(1_000));
            line("refused", format!("{} more than {ahead} ahead of the record's timestamp", name(&time.name)));
        }
        for step in &self.steps {
            match step {
                Step::Filter(filter) => line("then where", row.show(filter)),
                Step::Window(window) => line("windows", row.window(window).to_string()),
                Step::Generate(generate) => line("rows", row.generate(generate)),
            }
        }
        match &self.body {
            Body::Project(outputs) => {
                outputs.iter().zip(schema.fields()).for_each(|(x, field)| line("output", row.column(x, field)));
            }
            Body::Aggregate(plan) => plan.grouping(&row, self.zone).parts().for_each(|(label, text)| line(label, text)),
        }
    }
}

impl BranchPlan {
    /// What happens to the groups.
    fn describe_groups(&self, plan: &AggregatePlan, schema: &Schema, line: &mut dyn FnMut(&str, String)) {
        let groups = plan.groups(&self.row_names());
        plan.group_filters.iter().for_each(|filter| line("groups where", groups.show(filter)));
        plan.having.iter().for_each(|having| line("having", groups.show(having)));
        for (expr, field) in plan.output.iter().zip(schema.fields()) {
            line("output", groups.column(expr, field));
        }
        for key in &plan.order {
            let direction = if key.descending { "descending" } else { "ascending" };
            let nulls = if key.nulls_last { "last" } else { "first" };
            line("order", format!("{} {direction}, NULL {nulls}", groups.show(&key.expr)));
        }
        plan.limit.iter().for_each(|limit| line("limit", limit.to_string()));
        let state = if plan.watermarked { "dropped and evicted by the watermark" } else { "kept for good" };
        line("groups", state.into());
    }

    /// How its rows become groups, if they do.
    fn grouping(&self) -> Option<Grouping> {
        let Body::Aggregate(plan) = &self.body else { return None };
        let row = self.row_names();
        let repeated = self.steps.iter().filter_map(|step| match step {
            Step::Window(window) => Some(row.window(window)),
            Step::Filter(_) | Step::Generate(_) => None,
        });
        Some(Grouping { repeated: repeated.collect(), ..plan.grouping(&row, self.zone) })
    }

    /// The columns of a row after all steps.
    fn row_names(&self) -> Names {
        let mut row = Names::of(&self.row_schema);
        for step in &self.steps {
            match step {
                Step::Filter(_) => {}
                Step::Window(_) => row.0.push("window".into()),
                Step::Generate(generate) => {
                    row.0.extend(generate.columns.iter().map(|field| field.name().clone()));
                    row.0.extend(generate.numbered.then(|| "element".to_owned()));
                }
            }
        }
        row
    }
}

impl AggregatePlan {
    /// Window, keys and calls over a source row, by name.
    fn grouping(&self, row: &Names, zone: Zone) -> Grouping {
        let key = |key: &KeyPlan| KeyShape {
            name: name(&key.name),
            data_type: types::name(&key.expr.data_type()),
            value: row.show(&key.expr),
            zone: clock_of(zone, [&key.expr]),
        };
        let session = self.session.map(|session| session.key);
        let keys = self.keys.iter().enumerate().filter(|(number, _)| Some(*number) != session);
        Grouping {
            repeated: Vec::new(),
            window: self.window.as_ref().map(|window| row.window(window)),
            session: session.map(|key| row.session(&self.keys[key].expr, zone)),
            keys: keys.map(|(_, of_row)| key(of_row)).collect(),
            aggregates: self.aggregates.iter().map(|call| row.shape(call, zone)).collect(),
        }
    }

    /// The columns of the aggregate row. Calls are named by their text over `row`.
    fn groups(&self, row: &Names) -> Names {
        let mut groups = Names::of(&self.row_schema);
        let first = self.place() - self.aggregates.len();
        for (index, call) in self.aggregates.iter().enumerate() {
            groups.0[first + index] = row.shape(call, Zone::UTC).call();
        }
        groups
    }
}

/// The session's zone, if values in the state depend on it and it is not UTC: a state is not used with another zone.
fn clock_of<'a>(zone: Zone, exprs: impl IntoIterator<Item = &'a Expr>) -> Option<String> {
    let depends = zone != Zone::UTC && exprs.into_iter().any(Expr::depends_on_zone);
    depends.then(|| zone.to_string())
}

/// The argument's type, if the state depends on it and the result does not show it: for values that are compared or
/// hashed.
fn of_type(call: &AggregateCall) -> Option<DataType> {
    match call.function {
        AggregateFunction::MinBy | AggregateFunction::MaxBy => call.inputs.get(1).map(Expr::data_type),
        AggregateFunction::ApproxCountDistinct { .. } => call.inputs.first().map(Expr::data_type),
        _ => None,
    }
}

fn columns(schema: &Schema) -> String {
    let column =
        |field: &Arc<arrow_schema::Field>| format!("{} {}", name(field.name()), types::name(field.data_type()));
    let columns: Vec<_> = schema.fields().iter().map(column).collect();
    if columns.is_empty() { "no column".into() } else { columns.join(", ") }
}

/// A name, in backticks if necessary.
fn name(name: &str) -> String {
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain { name.into() } else { format!("`{}`", name.replace('`', "``")) }
}

/// The texts of the columns of a row.
struct Names(Vec<String>);

impl Names {
    fn of(schema: &Schema) -> Names {
        Names(schema.fields().iter().map(|field| name(field.name())).collect())
    }

    fn column(&self, expr: &Expr, field: &arrow_schema::Field) -> String {
        format!("{} {} = {}", name(field.name()), types::name(field.data_type()), self.show(expr))
    }

    fn shape(&self, call: &AggregateCall, zone: Zone) -> CallShape {
        let (function, setting) = match call.function {
            AggregateFunction::Count => ("count", None),
            AggregateFunction::CountIf => ("count_if", None),
            AggregateFunction::Sum => ("sum", None),
            AggregateFunction::Avg => ("avg", None),
            AggregateFunction::Min => ("min", None),
            AggregateFunction::Max => ("max", None),
            AggregateFunction::TrySum => ("try_sum", None),
            AggregateFunction::TryAvg => ("try_avg", None),
            AggregateFunction::StddevSamp => ("stddev_samp", None),
            AggregateFunction::StddevPop => ("stddev_pop", None),
            AggregateFunction::VarSamp => ("var_samp", None),
            AggregateFunction::VarPop => ("var_pop", None),
            AggregateFunction::ApproxCountDistinct { precision } => {
                ("approx_count_distinct", Some(format!("in 2^{precision} registers")))
            }
            AggregateFunction::First { ignore_nulls } => ("first", nulls(ignore_nulls)),
            AggregateFunction::Last { ignore_nulls } => ("last", nulls(ignore_nulls)),
            AggregateFunction::MinBy => ("min_by", None),
            AggregateFunction::MaxBy => ("max_by", None),
            AggregateFunction::Collect => ("collect_list", None),
            AggregateFunction::Comoments => ("comoments", None),
            AggregateFunction::HighMoments => ("moments", None),
            AggregateFunction::BitAnd => ("bit_and", None),
            AggregateFunction::BitOr => ("bit_or", None),
            AggregateFunction::BitXor => ("bit_xor", None),
        };
        CallShape {
            function: function.into(),
            setting,
            arguments: call.inputs.iter().map(|input| self.show(input)).collect(),
            compared_as: of_type(call).map(|data_type| types::name(&data_type)),
            data_type: types::name(&call.data_type),
            zone: clock_of(zone, &call.inputs),
        }
    }

    fn window(&self, window: &WindowPlan) -> WindowShape {
        WindowShape { time: self.show(&window.time), spec: window.spec }
    }

    fn session(&self, session: &Expr, zone: Zone) -> SessionShape {
        let [time, gap] = match session {
            Expr::Call(_, arguments, _) if arguments.len() == 2 => [0, 1].map(|number| self.show(&arguments[number])),
            // A column of rows that are groups.
            other => [self.show(other), "its end".into()],
        };
        SessionShape { time, gap, zone: clock_of(zone, [session]) }
    }

    fn generate(&self, generate: &GeneratePlan) -> String {
        let names: Vec<String> = generate.columns.iter().map(|field| name(field.name())).collect();
        let outer = if generate.outer { ", NULL where there is none" } else { "" };
        format!("{} of each element of {}{outer}", names.join(", "), self.show(&generate.array))
    }

    /// A loop, as iterators would put ten frames between an expression and the one inside of it.
    fn list(&self, list: &[Expr]) -> String {
        let mut shown = Vec::with_capacity(list.len());
        for expr in list {
            shown.push(self.show(expr));
        }
        shown.join(", ")
    }

    fn show(&self, expr: &Expr) -> String {
        match expr {
            Expr::Column(index, _) => self.0[*index].clone(),
            Expr::Literal(value, data_type) => constant(value, data_type),
            Expr::Field(x, index, _) => match x.data_type() {
                DataType::Struct(fields) => format!("{}.{}", self.show(x), name(fields[*index].name())),
                other => panic!("{other} has no fields"),
            },
            Expr::Cast(x, mode, to) => {
                let word = if *mode == CastMode::Ansi { "CAST" } else { "TRY_CAST" };
                format!("{word}({} AS {})", self.show(x), types::name(to))
            }
            Expr::IsNull(x) => format!("({} IS NULL)", self.show(x)),
            Expr::IsNotNull(x) => format!("({} IS NOT NULL)", self.show(x)),
            Expr::Not(x) => format!("(NOT {})", self.show(x)),
            Expr::And(l, r) => format!("({} AND {})", self.show(l), self.show(r)),
            Expr::Or(l, r) => format!("({} OR {})", self.show(l), self.show(r)),
            Expr::Compare(operator, l, r) => format!("({} {} {})", self.show(l), comparison(*operator), self.show(r)),
            Expr::In(x, list) => format!("({} IN ({}))", self.show(x), self.list(list.values())),
            Expr::Arithmetic(operator, l, r, to) => {
                format!("({} {} {}): {}", self.show(l), arithmetic(*operator), self.show(r), types::name(to))
            }
            Expr::Case(branches, otherwise, _) => {
                let mut shown = String::new();
                for (condition, value) in branches {
                    shown.push_str(&format!("WHEN {} THEN {} ", self.show(condition), self.show(value)));
                }
                let otherwise = otherwise.as_ref().map_or(String::new(), |x| format!("ELSE {} ", self.show(x)));
                format!("CASE {shown}{otherwise}END")
            }
            Expr::Coalesce(list, _) => format!("coalesce({})", self.list(list)),
            Expr::Call(function, list, _) => format!("{}({})", function.name, self.list(list)),
            Expr::Now => "current_timestamp()".into(),
            Expr::Try(x) => format!("TRY({})", self.show(x)),
            Expr::Variable(number, _) => variable(*number),
            Expr::Higher(call) => {
                let lambdas = call.lambdas.iter().map(|lambda| self.lambda(lambda));
                let arguments = call.arguments.iter().map(|argument| self.show(argument)).chain(lambdas);
                format!("{}({})", call.function.name(), arguments.collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn lambda(&self, lambda: &Lambda) -> String {
        let parameters: Vec<_> = lambda.parameters.iter().map(|(number, _)| variable(*number)).collect();
        format!("({}) -> {}", parameters.join(", "), self.show(&lambda.body))
    }
}

/// A lambda's parameter; the text does not keep its name.
fn variable(number: usize) -> String {
    format!("x{number}")
}

fn nulls(ignored: bool) -> Option<String> {
    ignored.then(|| "IGNORE NULLS".into())
}

/// A constant in SQL.
fn constant(value: &Value, data_type: &DataType) -> String {
    let typed = |shown: &str| format!("{} '{shown}'", types::name(data_type));
    let shown = match value {
        Value::String(text) => return format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
        Value::Null if data_type.is_null() => return "NULL".into(),
        Value::Null => return format!("CAST(NULL AS {})", types::name(data_type)),
        // In UTC, whatever the session's zone: the text is about instants.
        _ => crate::text::show::value(&value.to_array(data_type), 0, &WallClock::utc()),
    };
    match data_type {
        _ if matches!(value, Value::Double(x) if !x.is_finite()) => typed(&shown),
        DataType::Int32 | DataType::Boolean => shown,
        DataType::Int8 => shown + "Y",
        DataType::Int16 => shown + "S",
        DataType::Int64 => shown + "L",
        DataType::Float32 => shown + "F",
        DataType::Float64 => shown + "D",
        DataType::Decimal128(..) => shown + "BD",
        _ => typed(&shown),
    }
}

fn comparison(operator: Comparison) -> &'static str {
    match operator {
        Comparison::Equal => "=",
        Comparison::NotEqual => "<>",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
        Comparison::NullSafeEqual => "<=>",
    }
}

fn arithmetic(operator: Arithmetic) -> &'static str {
    match operator {
        Arithmetic::Add => "+",
        Arithmetic::Subtract => "-",
        Arithmetic::Multiply => "*",
        Arithmetic::Divide => "/",
        Arithmetic::IntegerDivide => "DIV",
        Arithmetic::Remainder => "%",
    }
}
