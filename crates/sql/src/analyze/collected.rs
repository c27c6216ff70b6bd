//! Aggregate functions that are computed from all values of a group, from its moments, or from bits.

use super::aggregate_calls::{NUMBER, filtered, given_too, kept, of_kept, result_type, where_given, wrong_type};
use super::calls::check_count;
use super::coerce::cast_to;
use super::resolve::Resolver;
use crate::expr::Expr;
use crate::functions;
use crate::intervals;
use crate::plan::AggregateFunction;
use crate::syntax::{Call, Fault, Node, SortItem};
use crate::types;
use crate::value::Value;
use arrow_schema::{DataType, Field, Fields};

/// The functions by name.
pub(super) const NAMES: [&str; 30] = [
    "collect_list",
    "array_agg",
    "collect_set",
    "percentile",
    "percentile_cont",
    "percentile_disc",
    "median",
    "percentile_approx",
    "approx_percentile",
    "mode",
    "listagg",
    "string_agg",
    "histogram_numeric",
    "bit_and",
    "bit_or",
    "bit_xor",
    "skewness",
    "kurtosis",
    "corr",
    "covar_pop",
    "covar_samp",
    "regr_count",
    "regr_avgx",
    "regr_avgy",
    "regr_sxx",
    "regr_syy",
    "regr_sxy",
    "regr_slope",
    "regr_intercept",
    "regr_r2",
];

impl Resolver<'_> {
    /// A call of one of [`NAMES`], as an expression over columns of the aggregate row.
    pub(super) fn collected_call(&mut self, name: &str, call: &Call, filter: Option<Expr>) -> Result<Expr, Fault> {
        match name {
            "collect_list" | "array_agg" | "collect_set" => {
                check_count(name, 1, 1, call)?;
                let list = self.collected(&call.arguments[0], filter)?;
                self.set_of(name, call, list)
            }
            "percentile" | "median" => self.percentile(name, call, filter),
            "percentile_approx" | "approx_percentile" => self.percentile_approx(name, call, filter),
            "percentile_cont" | "percentile_disc" => {
                let message = format!("`{name}` has no order");
                let help = format!("write {name}(0.5) WITHIN GROUP (ORDER BY x)");
                Err(Fault::new(call.name.at.clone(), message, help))
            }
            "mode" => {
                check_count("mode", 1, 2, call)?;
                self.mode_of(&call.arguments[0], false, filter)
            }
            "listagg" | "string_agg" => self.listagg(name, call, &[], filter),
            "histogram_numeric" => self.histogram(call, filter),
            "bit_and" | "bit_or" | "bit_xor" => self.bits(name, call, filter),
            "skewness" | "kurtosis" => {
                check_count(name, 1, 1, call)?;
                let x = self.double(name, &call.arguments[0])?;
                let state = types::array(DataType::Float64);
                let moments =
                    self.aggregates.call_column(AggregateFunction::HighMoments, vec![filtered(filter, x)], state);
                Ok(made(name, vec![moments], DataType::Float64))
            }
            _ => self.of_two(name, call, filter),
        }
    }

    /// All values that are not NULL and pass the filter.
    fn collected(&mut self, node: &Node, filter: Option<Expr>) -> Result<Expr, Fault> {
        let (input, _) = self.computed(node)?;
        Ok(self.collected_values(filtered(filter, input)))
    }

    pub(super) fn collected_values(&mut self, input: Expr) -> Expr {
        let data_type = types::array(input.data_type());
        self.aggregates.call_column(AggregateFunction::Collect, vec![input], data_type)
    }

    fn set_of(&mut self, name: &str, call: &Call, list: Expr) -> Result<Expr, Fault> {
        if name != "collect_set" {
            return Ok(list);
        }
        let data_type = list.data_type();
        match &data_type {
            DataType::List(element) if !types::is_orderable(element.data_type()) => {
                let at = call.arguments[0].at.clone();
                Err(wrong_type(name, "a value without a MAP inside", element.data_type(), at))
            }
            _ => Ok(made(name, vec![list], data_type)),
        }
    }

    /// A number as DOUBLE.
    fn double(&mut self, name: &str, node: &Node) -> Result<Expr, Fault> {
        let (x, at) = self.computed(node)?;
        match x.data_type() {
            t if types::is_numeric(&t) || t.is_null() => Ok(cast_to(x, &DataType::Float64)),
            other => Err(wrong_type(name, NUMBER, &other, at)),
        }
    }

    /// A constant share from 0 to 1, or an array of shares, as DOUBLE.
    pub(super) fn shares(&mut self, name: &str, node: &Node) -> Result<Expr, Fault> {
        let help = "write a constant from 0 to 1, or an array of some: array(0.5, 0.9)";
        let wrong = |message: String| Fault::new(node.at.clone(), message, help);
        let shares = self.resolve(node)?;
        let mut is_constant = true;
        shares.columns(&mut |_| is_constant = false);
        if !is_constant {
            return Err(wrong(format!("the shares of `{name}` are not constants")));
        }
        let given: Vec<&Expr> = match &shares {
            Expr::Call(function, elements, _) if function.name == "array" => elements.iter().collect(),
            one => vec![one],
        };
        for share in given {
            let share = super::constants::computed(cast_to(share.clone(), &DataType::Float64), self.scope.zone);
            match share {
                Expr::Literal(Value::Double(share), _) if (0.0..=1.0).contains(&share) => {}
                _ => return Err(wrong(format!("`{name}` takes shares from 0 to 1"))),
            }
        }
        match shares.data_type() {
            t if types::is_numeric(&t) => Ok(cast_to(shares, &DataType::Float64)),
            DataType::List(_) => Ok(cast_to(shares, &types::array(DataType::Float64))),
            other => Err(wrong(format!("`{name}` takes numbers as shares, not {}", types::name(&other)))),
        }
    }

    fn percentile(&mut self, name: &str, call: &Call, filter: Option<Expr>) -> Result<Expr, Fault> {
        let (least, most) = if name == "median" { (1, 1) } else { (2, 3) };
        check_count(name, least, most, call)?;
        let (x, interval) = self.percentile_input(name, &call.arguments[0])?;
        let shares = match call.arguments.get(1) {
            Some(node) => self.shares(name, node)?,
            None => Expr::Literal(Value::Double(0.5), DataType::Float64),
        };
        let values = match call.arguments.get(2) {
            None => self.collected_values(filtered(filter, x)),
            Some(node) => {
                let (frequency, at) = self.computed(node)?;
                if !types::is_integral(&frequency.data_type()) {
                    return Err(wrong_type(name, "an integral number as argument 3", &frequency.data_type(), at));
                }
                let frequency = cast_to(frequency, &DataType::Int64);
                let fields =
                    vec![Field::new("x", DataType::Float64, true), Field::new("frequency", DataType::Int64, true)];
                let data_type = DataType::Struct(Fields::from(fields));
                let pair = Expr::Call(named("a pair"), vec![x, frequency], data_type);
                self.collected_values(filtered(filter, pair))
            }
        };
        Ok(percentile_of("percentile", vec![values, shares], interval))
    }

    /// What a percentile is taken of, as DOUBLE, and if it is an interval, the interval.
    pub(super) fn percentile_input(&mut self, name: &str, node: &Node) -> Result<(Expr, Option<Expr>), Fault> {
        let interval = Some(self.computed(node)?.0).filter(|x| is_ordered_interval(&x.data_type()));
        let x = match &interval {
            Some(x) => {
                cast_to(Expr::Call(named("count of interval"), vec![x.clone()], DataType::Int64), &DataType::Float64)
            }
            None => self.double(name, node)?,
        };
        Ok((x, interval))
    }

    /// The accuracy argument does not matter here: all values are kept.
    fn percentile_approx(&mut self, name: &str, call: &Call, filter: Option<Expr>) -> Result<Expr, Fault> {
        check_count(name, 2, 3, call)?;
        let (x, at) = self.computed(&call.arguments[0])?;
        let x = if x.data_type().is_null() { cast_to(x, &DataType::Float64) } else { x };
        let element = x.data_type();
        if !types::is_numeric(&element) && !types::is_datetime(&element) && !is_ordered_interval(&element) {
            return Err(wrong_type(name, "a number, a time or an interval", &element, at));
        }
        let shares = self.shares(name, &call.arguments[1])?;
        if let Some(node) = call.arguments.get(2) {
            let accuracy = self.resolve(node)?;
            if !matches!(accuracy, Expr::Literal(Value::Integer(accuracy), _) if (1..=i64::from(i32::MAX)).contains(&accuracy))
            {
                let message = format!("the accuracy of `{name}` is a constant from 1 on");
                return Err(Fault::new(node.at.clone(), message, "the default is 10000"));
            }
        }
        let values = self.collected_values(filtered(filter, x));
        let data_type = match shares.data_type() {
            DataType::List(_) => types::array(element),
            _ => element,
        };
        Ok(made("percentile_approx", vec![values, shares], data_type))
    }

    /// `mode(x[, deterministic])`: the least of the most frequent values, whatever `deterministic` says; or the greatest.
    pub(super) fn mode_of(&mut self, node: &Node, greatest: bool, filter: Option<Expr>) -> Result<Expr, Fault> {
        let (x, at) = self.computed(node)?;
        let data_type = x.data_type();
        if !types::is_orderable(&data_type) {
            return Err(wrong_type("mode", "a value of a type that has an order", &data_type, at));
        }
        let x = kept(x);
        let of_values = x.data_type();
        let values = self.collected_values(filtered(filter, x));
        let greatest = Expr::Literal(Value::Boolean(greatest), DataType::Boolean);
        Ok(of_kept(&data_type, made("mode", vec![values, greatest], of_values)))
    }

    /// `listagg(text[, separator]) [WITHIN GROUP (ORDER BY …)]`.
    pub(super) fn listagg(
        &mut self,
        name: &str,
        call: &Call,
        order: &[SortItem],
        filter: Option<Expr>,
    ) -> Result<Expr, Fault> {
        check_count(name, 1, 2, call)?;
        let (x, at) = self.computed(&call.arguments[0])?;
        let to = match x.data_type() {
            DataType::Binary => DataType::Binary,
            t if types::is_nested(&t) => return Err(wrong_type(name, "a STRING or BINARY", &t, at)),
            _ => DataType::Utf8,
        };
        let separator = match call.arguments.get(1) {
            None => Expr::Literal(Value::Null, to.clone()),
            Some(node) => match self.resolve(node)? {
                separator @ Expr::Literal(..) if separator.data_type() == to => separator,
                Expr::Literal(Value::Null, _) => Expr::Literal(Value::Null, to.clone()),
                _ => {
                    let message = format!("the separator of `{name}` is a constant {}", types::name(&to));
                    return Err(Fault::new(node.at.clone(), message, "write for instance listagg(x, ',')"));
                }
            },
        };
        let values = match order {
            [] => self.collected_values(filtered(filter, cast_to(x, &to))),
            order => self.in_order(cast_to(x, &to), order, filter)?,
        };
        Ok(made("listagg", vec![values, separator], to))
    }

    fn histogram(&mut self, call: &Call, filter: Option<Expr>) -> Result<Expr, Fault> {
        let name = "histogram_numeric";
        check_count(name, 2, 2, call)?;
        let given = self.resolve(&call.arguments[0])?.data_type();
        let element = if given.is_null() { DataType::Float64 } else { given };
        let x = self.double(name, &call.arguments[0])?;
        let bins = match self.resolve(&call.arguments[1])? {
            bins @ Expr::Literal(Value::Integer(2..=1_000_000), _) => cast_to(bins, &DataType::Int32),
            _ => {
                let message = "the number of bins of `histogram_numeric` is a constant from 2 on";
                return Err(Fault::new(call.arguments[1].at.clone(), message, "write for instance 10"));
            }
        };
        let bin = vec![Field::new("x", element, true), Field::new("y", DataType::Float64, true)];
        let values = self.collected_values(filtered(filter, x));
        Ok(made(name, vec![values, bins], types::array(DataType::Struct(Fields::from(bin)))))
    }

    fn bits(&mut self, name: &str, call: &Call, filter: Option<Expr>) -> Result<Expr, Fault> {
        check_count(name, 1, 1, call)?;
        let (x, at) = self.computed(&call.arguments[0])?;
        let x = if x.data_type().is_null() { cast_to(x, &DataType::Int32) } else { x };
        let data_type = x.data_type();
        if !types::is_integral(&data_type) {
            return Err(wrong_type(name, "an integral number", &data_type, at));
        }
        let function = match name {
            "bit_and" => AggregateFunction::BitAnd,
            "bit_or" => AggregateFunction::BitOr,
            _ => AggregateFunction::BitXor,
        };
        let x = filtered(filter, cast_to(x, &DataType::Int64));
        Ok(cast_to(self.aggregates.call_column(function, vec![x], DataType::Int64), &data_type))
    }

    fn of_two(&mut self, name: &str, call: &Call, filter: Option<Expr>) -> Result<Expr, Fault> {
        check_count(name, 2, 2, call)?;
        let [x, y] = [self.double(name, &call.arguments[0])?, self.double(name, &call.arguments[1])?];
        if let "regr_avgx" | "regr_avgy" = name {
            // The mean of one where both are given, with the type that `avg` has.
            let wanted = &call.arguments[usize::from(name == "regr_avgx")];
            let input = Some(self.computed(wanted)?.0).filter(|input| !input.data_type().is_null());
            let input = input.unwrap_or(Expr::Literal(Value::Null, DataType::Float64));
            let both = given_too(Expr::IsNotNull(Box::new(x)), y);
            let input = filtered(filter, filtered(Some(both), input));
            let data_type = result_type(AggregateFunction::Avg, &input.data_type()).expect("a number has a mean");
            return Ok(self.aggregates.call_column(AggregateFunction::Avg, vec![input], data_type));
        }
        if name == "regr_count" {
            let both = given_too(Expr::IsNotNull(Box::new(x)), y);
            let counted = vec![filtered(filter, both)];
            return Ok(self.aggregates.call_column(AggregateFunction::CountIf, counted, DataType::Int64));
        }
        let state = types::array(DataType::Float64);
        let x = filtered(filter, x);
        // The two of the line compute both arguments in each row.
        let y = if let "regr_slope" | "regr_intercept" = name { y } else { where_given(&x, y) };
        let inputs = vec![x, y];
        let moments = self.aggregates.call_column(AggregateFunction::Comoments, inputs, state);
        Ok(made(name, vec![moments], DataType::Float64))
    }
}

fn is_ordered_interval(data_type: &DataType) -> bool {
    intervals::is_interval(data_type) && types::is_orderable(data_type)
}

/// A percentile of collected values, or percentiles if there are several shares.
pub(super) fn percentile_of(name: &str, arguments: Vec<Expr>, interval: Option<Expr>) -> Expr {
    match (arguments[1].data_type(), interval) {
        (DataType::List(_), None) => made(name, arguments, types::array(DataType::Float64)),
        (_, None) => made(name, arguments, DataType::Float64),
        (DataType::List(_), Some(x)) => {
            let counts = made(name, arguments, types::array(DataType::Float64));
            let counts = cast_to(counts, &types::array(DataType::Int64));
            let data_type = types::array(intervals::whole(&x.data_type()));
            Expr::Call(named("interval of count"), vec![counts], data_type)
        }
        (_, Some(x)) => {
            let count = cast_to(made(name, arguments, DataType::Float64), &DataType::Int64);
            Expr::Call(named("interval of count"), vec![count], intervals::whole(&x.data_type()))
        }
    }
}

pub(super) fn named(name: &str) -> &'static functions::Function {
    functions::find(name).expect("a function of the table")
}

/// The call of a function on the accumulated values.
pub(super) fn made(name: &str, arguments: Vec<Expr>, data_type: DataType) -> Expr {
    Expr::Call(named(&format!("{name} of")), arguments, data_type)
}
