//! Syntax tree → typed expression: names, constants, operators. `calls.rs` handles calls.

use super::aggregates::Aggregates;
use super::bounds;
use super::coerce::{self, SpannedExpr};
use super::conjuncts;
use super::constants;
use super::generators::Generator;
use super::grouping::Grouping;
use super::literals::{constant, number};
use super::scope::{self, Scope, same};
use super::sessions;
use crate::eval::{InList, cast};
use crate::expr::{Arithmetic, CastMode, Comparison, Expr};
use crate::functions::{self, collections};
use crate::intervals;
use crate::syntax::{Fault, IsTest, LikeKind, Literal, Node, NodeKind, Operator};
use crate::types;
use crate::value::Value;
use arrow_schema::DataType;
use std::ops::Range;

/// Types expressions over the columns of a source.
pub(super) struct Resolver<'a> {
    pub scope: &'a Scope,
    /// The clause under analysis, if it allows no aggregate function.
    pub no_aggregates: Option<&'static str>,
    /// The aggregates found so far.
    pub aggregates: Aggregates,
    /// Aliases of the select list that HAVING may use, before the source's columns.
    pub aliases: Vec<(String, Expr)>,
    /// Earlier items of the select list, which an item may use if the source has no such column.
    pub items_before: Vec<(String, Expr)>,
    /// Parameters of the surrounding lambdas, the innermost last.
    pub variables: Vec<(String, DataType)>,
    /// Number of the first column that a generator in SELECT makes; `None` where there may be none.
    pub next_generated: Option<usize>,
    /// The sets of keys, if GROUP BY has some.
    pub grouping: Option<Grouping>,
    /// The generators in SELECT.
    pub generated: Vec<Generator>,
    /// Number of expressions read so far.
    read: usize,
}

impl<'a> Resolver<'a> {
    pub fn new(scope: &'a Scope) -> Resolver<'a> {
        Resolver {
            scope,
            no_aggregates: None,
            aggregates: Aggregates::default(),
            aliases: Vec::new(),
            items_before: Vec::new(),
            variables: Vec::new(),
            next_generated: None,
            grouping: None,
            generated: Vec::new(),
            read: 0,
        }
    }

    /// Whether a lambda of the query surrounds what is analyzed; the parameter of a join's condition has no name.
    pub fn is_in_lambda(&self) -> bool {
        self.variables.iter().any(|(name, _)| !name.is_empty())
    }

    /// A condition: of type BOOLEAN.
    pub fn condition(&mut self, node: &Node, clause: &str) -> Result<Expr, Fault> {
        let expr = self.resolve(node)?;
        match expr.data_type() {
            DataType::Boolean => Ok(expr),
            DataType::Null => Ok(coerce::cast_to(expr, &DataType::Boolean)),
            other => {
                let message = format!("{clause} takes a condition, not a value of type {}", types::name(&other));
                Err(Fault::new(node.at.clone(), message, "compare it with something"))
            }
        }
    }

    /// A condition that is not the constant NULL, which Spark refuses here.
    pub fn strict_condition(&mut self, node: &Node, clause: &str) -> Result<Expr, Fault> {
        if node.kind == NodeKind::Literal(Literal::Null) {
            let message = format!("{clause} takes a condition, not NULL");
            return Err(Fault::new(node.at.clone(), message, "compare something, or write false"));
        }
        self.condition(node, clause)
    }

    pub fn placed(&mut self, node: &Node) -> Result<SpannedExpr, Fault> {
        Ok((self.resolve(node)?, node.at.clone()))
    }

    /// As [`Resolver::placed`], with all that Spark's optimizer computes.
    pub fn computed(&mut self, node: &Node) -> Result<SpannedExpr, Fault> {
        Ok((constants::computed(self.resolve(node)?, self.scope.zone), node.at.clone()))
    }

    /// A row of operators is as deep a tree as it is long, so it is read in a loop: the first operand, then one after the other.
    pub fn resolve(&mut self, node: &Node) -> Result<Expr, Fault> {
        let mut row = Vec::new();
        let mut first = node;
        while let NodeKind::Binary(operator, l, r) = &first.kind
            && !matches!(operator, Operator::And | Operator::Or)
        {
            row.push((first, *operator, r));
            first = l;
        }
        if !matches!(first.kind, NodeKind::Literal(_)) {
            bounds::count(&mut self.read, &first.at)?;
        }
        let expr = self.resolve_kind(first)?;
        let mut left = (self.checked(expr, &first.at)?, first.at.clone());
        for (node, operator, r) in row.into_iter().rev() {
            bounds::count(&mut self.read, &node.at)?;
            let right = self.placed(r)?;
            let expr = self.operation(operator, left, right)?;
            left = (self.checked(expr, &node.at)?, node.at.clone());
        }
        Ok(left.0)
    }

    fn checked(&self, expr: Expr, at: &Range<usize>) -> Result<Expr, Fault> {
        let expr = self.named(expr);
        bounds::check(&expr, at, &self.scope.sizes)?;
        Ok(expr)
    }

    /// An expression that names the event time where it has one of its forms.
    pub fn named(&self, mut expr: Expr) -> Expr {
        if let Some(form) = &self.scope.event_time {
            form.recognise(&mut expr);
        }
        expr
    }

    fn resolve_kind(&mut self, node: &Node) -> Result<Expr, Fault> {
        match &node.kind {
            NodeKind::Name(parts) => self.name(parts),
            NodeKind::Literal(literal) => constant(literal, self.scope.zone, &node.at),
            NodeKind::Not(x) => Ok(Expr::Not(Box::new(self.condition(x, "NOT")?))),
            NodeKind::Negate(x) => self.negate(x, &node.at),
            NodeKind::Invert(x) => self.invert(x),
            NodeKind::Plus(x) => {
                let x = self.placed(x)?;
                if intervals::is_interval(&x.0.data_type()) { Ok(x.0) } else { coerce::arithmetic_sign(x, "+") }
            }
            NodeKind::Binary(Operator::Or, l, r) => self.joined("OR", Expr::Or, l, r),
            NodeKind::Binary(_, l, r) => self.joined("AND", Expr::And, l, r),
            NodeKind::Is(x, test, negated) => self.is_test(x, test, *negated),
            NodeKind::In(x, list, negated) => self.in_list(x, list, *negated),
            NodeKind::Between(x, low, high, negated) => {
                let above = self.compare(Comparison::GreaterOrEqual, ">=", x, low)?;
                let below = self.compare(Comparison::LessOrEqual, "<=", x, high)?;
                Ok(negate_if(*negated, Expr::And(Box::new(above), Box::new(below))))
            }
            NodeKind::Like(kind, x, pattern, escape, negated) => self.like(*kind, x, pattern, *escape, *negated),
            NodeKind::LikeList(kind, x, patterns, all, negated) => {
                let each = patterns.iter().map(|pattern| self.like(*kind, x, pattern, None, *negated));
                let each = each.collect::<Result<Vec<_>, _>>()?;
                let joined = |l: Expr, r: Expr| match all {
                    true => Expr::And(Box::new(l), Box::new(r)),
                    false => Expr::Or(Box::new(l), Box::new(r)),
                };
                Ok(each.into_iter().reduce(joined).expect("a list has items"))
            }
            NodeKind::Case(operand, branches, otherwise) => {
                self.case(operand.as_deref(), branches, otherwise.as_deref())
            }
            NodeKind::Cast(x, to, try_cast) => {
                let mode = if *try_cast { CastMode::Try } else { CastMode::Ansi };
                let x = self.placed(x)?;
                self.cast(x, to, mode)
            }
            NodeKind::Call(call) => self.call(call, &node.at),
            NodeKind::Field(x, name) => scope::field(self.resolve(x)?, name),
            NodeKind::Index(x, index) => self.index(x, index, &node.at),
            NodeKind::Lambda(..) => {
                let help = "transform, filter, exists, forall, aggregate and the like take one";
                Err(Fault::new(node.at.clone(), "a lambda is no value", help))
            }
            NodeKind::Star => Err(Fault::new(node.at.clone(), "`*` is no value", "name a column, or write count(*)")),
        }
    }

    /// `CAST(x AS to)`.
    pub fn cast(&mut self, (x, at): SpannedExpr, to: &DataType, mode: CastMode) -> Result<Expr, Fault> {
        let from = x.data_type();
        if !cast::allowed(&from, to) || mode == CastMode::Try && cast::may_lose_keys(&from, to) {
            let message = format!("{} cannot be cast to {}", types::name(&from), types::name(to));
            let help = match types::is_nested(&from) {
                true => "cast to a type of the same shape, to STRING, or take its parts: a.field, a[0], a['key']",
                false => "cast to a type that holds such values",
            };
            return Err(Fault::new(at, message, help));
        }
        if from == *to {
            return Ok(x);
        }
        Ok(Expr::Cast(Box::new(coerce::without_float(x, to)), mode, to.clone()))
    }

    fn name(&mut self, parts: &[crate::syntax::Ident]) -> Result<Expr, Fault> {
        let first = &parts[0];
        if let Some(number) = self.variables.iter().rposition(|(name, _)| same(name, &first.name)) {
            let variable = Expr::Variable(number, self.variables[number].1.clone());
            return parts[1..].iter().try_fold(variable, scope::field);
        }
        if let Some((_, expr)) = self.aliases.iter().find(|(alias, _)| same(alias, &first.name))
            && !self.aggregates.inside
        {
            return parts[1..].iter().try_fold(expr.clone(), scope::field);
        }
        let resolved = self.scope.resolve(parts);
        if resolved.is_err()
            && !self.aggregates.inside
            && let Some((_, expr)) = self.items_before.iter().rev().find(|(alias, _)| same(alias, &first.name))
        {
            return parts[1..].iter().try_fold(expr.clone(), scope::field);
        }
        if resolved.is_err() && same(&first.name, "window") {
            if let Some(window) = self.aggregates.window_column() {
                return parts[1..].iter().try_fold(window, scope::field);
            }
            let help = "group by window(time, '10 seconds') to have one";
            return Err(Fault::new(first.at.clone(), "there is no window in GROUP BY", help));
        }
        if resolved.is_err() && same(&first.name, sessions::NAME) {
            let granted = self.aggregates.window_column().filter(|_| self.aggregates.keys_are_wrong);
            if let Some(session) = self.aggregates.session.clone().or(granted) {
                return parts[1..].iter().try_fold(session, scope::field);
            }
            let help = "group by session_window(time, '5 minutes') to have one";
            return Err(Fault::new(first.at.clone(), "there is no session_window in GROUP BY", help));
        }
        if resolved.is_err()
            && same(&first.name, "grouping__id")
            && let Some(grouping) = &self.grouping
        {
            return Ok(grouping.id());
        }
        if resolved.is_err() && parts.len() == 1 && !first.quoted {
            match first.name.to_ascii_lowercase().as_str() {
                "current_timestamp" | "now" => return Ok(Expr::Now),
                "localtimestamp" => return Ok(coerce::cast_to(Expr::Now, &types::timestamp_ntz())),
                "current_date" => return Ok(coerce::cast_to(Expr::Now, &DataType::Date32)),
                _ => {}
            }
        }
        resolved
    }

    fn negate(&mut self, x: &Node, at: &Range<usize>) -> Result<Expr, Fault> {
        if let NodeKind::Literal(Literal::Number(text)) = &x.kind {
            return number(&format!("-{text}"), at);
        }
        negative(self.placed(x)?)
    }

    fn joined(
        &mut self,
        word: &str,
        join: fn(Box<Expr>, Box<Expr>) -> Expr,
        l: &Node,
        r: &Node,
    ) -> Result<Expr, Fault> {
        let (l, r) = (self.condition(l, word)?, self.condition(r, word)?);
        Ok(join(Box::new(l), Box::new(r)))
    }

    fn operation(&mut self, operator: Operator, l: SpannedExpr, r: SpannedExpr) -> Result<Expr, Fault> {
        let at = l.1.start..r.1.end;
        let comparison = match operator {
            Operator::Or | Operator::And => panic!("conditions are joined elsewhere"),
            Operator::Equal => Comparison::Equal,
            Operator::NotEqual => Comparison::NotEqual,
            Operator::Less => Comparison::Less,
            Operator::LessOrEqual => Comparison::LessOrEqual,
            Operator::Greater => Comparison::Greater,
            Operator::GreaterOrEqual => Comparison::GreaterOrEqual,
            Operator::NullSafeEqual => Comparison::NullSafeEqual,
            Operator::Add => return self.operate(Arithmetic::Add, "+", l, r),
            Operator::Subtract => return self.operate(Arithmetic::Subtract, "-", l, r),
            Operator::Multiply => return self.operate(Arithmetic::Multiply, "*", l, r),
            Operator::Divide => return self.operate(Arithmetic::Divide, "/", l, r),
            Operator::Remainder => return coerce::arithmetic(Arithmetic::Remainder, "%", l, r),
            Operator::IntegerDivide => return self.operate(Arithmetic::IntegerDivide, "DIV", l, r),
            Operator::Concat => {
                let concat = functions::find("concat").expect("concat is a function");
                let (concat, arguments) = self.collection_call(concat, "||", vec![l, r], &at)?;
                return self.apply(concat, "||", arguments, &at);
            }
            Operator::BitAnd | Operator::BitXor | Operator::BitOr => return self.bit_operator(operator.symbol(), l, r),
            Operator::ShiftLeft | Operator::ShiftRight | Operator::ShiftRightUnsigned => {
                let name = match operator {
                    Operator::ShiftLeft => "shiftleft",
                    Operator::ShiftRight => "shiftright",
                    _ => "shiftrightunsigned",
                };
                let function = functions::find(name).expect("a function of the table");
                return self.apply(function, operator.symbol(), vec![l, r], &at);
            }
        };
        let sides = [l, r];
        match coerce::beyond_bigint(comparison, &sides) {
            Some(decided) => Ok(conjuncts::constant(decided)),
            None => coerce::comparison(comparison, operator.symbol(), sides, self.scope.zone),
        }
    }

    /// `& | ^` of integral numbers of any width.
    fn bit_operator(&mut self, symbol: &str, l: SpannedExpr, r: SpannedExpr) -> Result<Expr, Fault> {
        let (at, sides) = (l.1.clone(), vec![l, r]);
        let (sides, data_type) = coerce::unify(sides, self.scope.zone, &format!("`{symbol}` cannot mix"))?;
        let data_type = if data_type.is_null() { DataType::Int32 } else { data_type };
        if !types::is_integral(&data_type) {
            let message = format!("`{symbol}` takes integral numbers, not {}", types::name(&data_type));
            return Err(Fault::new(at, message, "CAST them to BIGINT"));
        }
        let sides = sides.into_iter().map(|side| coerce::cast_to(side, &data_type)).collect();
        let function = functions::find(symbol).expect("a function of the table");
        Ok(Expr::Call(function, sides, data_type))
    }

    /// `~ x`
    fn invert(&mut self, x: &Node) -> Result<Expr, Fault> {
        let x_at = x.at.clone();
        let x = self.resolve(x)?;
        let data_type = if x.data_type().is_null() { DataType::Int32 } else { x.data_type() };
        if !types::is_integral(&data_type) {
            let message = format!("`~` takes an integral number, not {}", types::name(&data_type));
            return Err(Fault::new(x_at, message, "CAST it to BIGINT"));
        }
        let function = functions::find("~").expect("a function of the table");
        Ok(Expr::Call(function, vec![coerce::cast_to(x, &data_type)], data_type))
    }

    fn compare(&mut self, operator: Comparison, symbol: &str, l: &Node, r: &Node) -> Result<Expr, Fault> {
        let sides = [self.placed(l)?, self.placed(r)?];
        coerce::comparison(operator, symbol, sides, self.scope.zone)
    }

    /// `array[i]`, `map[key]`, `struct['field']`.
    fn index(&mut self, x: &Node, index: &Node, at: &Range<usize>) -> Result<Expr, Fault> {
        let x = self.placed(x)?;
        if let Some(name) = scope::field_in_brackets(&x.0.data_type(), index) {
            return scope::field(x.0, &name);
        }
        let index = self.placed(index)?;
        let Some(wanted) = collections::index_type(&x.0.data_type()) else {
            let message = format!("`[…]` is applied to a value of type {}", types::name(&x.0.data_type()));
            return Err(Fault::new(
                at.clone(),
                message,
                "apply it to an ARRAY or a MAP; a STRUCT's field is read by its name: a.b or a['b']",
            ));
        };
        let given = index.0.data_type();
        let integral = types::is_integral(&given) && types::is_integral(&wanted);
        let text = types::compared(&given, &wanted) == Some(DataType::Binary);
        if given != wanted && !given.is_null() && !integral && !text {
            let message = format!("`[…]` takes {} here, not {}", types::name(&wanted), types::name(&given));
            return Err(Fault::new(index.1, message, "CAST it"));
        }
        let function = functions::find("[ ]").expect("a function of the table");
        let index = (coerce::cast_to(index.0, &wanted), index.1);
        self.apply(function, "[…]", vec![x, index], at)
    }

    fn is_test(&mut self, x: &Node, test: &IsTest, negated: bool) -> Result<Expr, Fault> {
        let boolean = |value: bool| Box::new(Expr::Literal(Value::Boolean(value), DataType::Boolean));
        let same = |x: Expr, y: Box<Expr>| Expr::Compare(Comparison::NullSafeEqual, Box::new(x), y);
        let result = match test {
            IsTest::Null => Expr::IsNull(Box::new(self.resolve(x)?)),
            IsTest::Unknown => Expr::IsNull(Box::new(self.condition(x, "IS UNKNOWN")?)),
            IsTest::True => same(self.condition(x, "IS TRUE")?, boolean(true)),
            IsTest::False => same(self.condition(x, "IS FALSE")?, boolean(false)),
            IsTest::DistinctFrom(y) => {
                Expr::Not(Box::new(self.compare(Comparison::NullSafeEqual, "IS DISTINCT FROM", x, y)?))
            }
        };
        Ok(match result {
            Expr::IsNull(x) if negated => Expr::IsNotNull(x),
            result => negate_if(negated, result),
        })
    }

    fn in_list(&mut self, x: &Node, list: &[Node], negated: bool) -> Result<Expr, Fault> {
        let mut values = vec![self.placed(x)?];
        for value in list {
            values.push(self.placed(value)?);
        }
        let values = coerce::with_names_of_the_first(values);
        let (mut values, data_type) = coerce::unify(values, self.scope.zone, "IN cannot compare")?;
        if !types::is_orderable(&data_type) {
            let message = format!("IN cannot compare values of type {}", types::name(&data_type));
            return Err(Fault::new(x.at.clone(), message, "a MAP has no order"));
        }
        let x = values.remove(0);
        Ok(negate_if(negated, Expr::In(Box::new(x), InList::new(values))))
    }

    fn like(
        &mut self,
        kind: LikeKind,
        x: &Node,
        pattern: &Node,
        escape: Option<char>,
        negated: bool,
    ) -> Result<Expr, Fault> {
        let name = match kind {
            LikeKind::Like => "like",
            LikeKind::Ilike => "ilike",
            LikeKind::Rlike => "rlike",
        };
        let function = functions::find(name).expect("a function of the table");
        let at = x.at.start..pattern.at.end;
        let mut arguments = vec![self.placed(x)?, self.placed(pattern)?];
        if let Some(escape) = escape {
            arguments.push((Expr::Literal(Value::String(escape.into()), DataType::Utf8), at.clone()));
        }
        Ok(negate_if(negated, self.apply(function, &name.to_uppercase(), arguments, &at)?))
    }

    fn case(
        &mut self,
        operand: Option<&Node>,
        branches: &[(Node, Node)],
        otherwise: Option<&Node>,
    ) -> Result<Expr, Fault> {
        let mut conditions = Vec::new();
        let mut values = Vec::new();
        for (condition, value) in branches {
            conditions.push(match operand {
                Some(operand) => self.compare(Comparison::Equal, "CASE", operand, condition)?,
                None => self.strict_condition(condition, "WHEN")?,
            });
            values.push(self.placed(value)?);
        }
        if let Some(otherwise) = otherwise {
            values.push(self.placed(otherwise)?);
        }
        let (mut values, data_type) = coerce::unify(values, self.scope.zone, "the branches of CASE give")?;
        let otherwise = otherwise.map(|_| Box::new(values.pop().expect("one value a branch")));
        Ok(Expr::Case(conditions.into_iter().zip(values).collect(), otherwise, data_type))
    }
}

/// `-x`.
pub(super) fn negative(x: SpannedExpr) -> Result<Expr, Fault> {
    if intervals::is_interval(&x.0.data_type()) {
        return Ok(super::intervals::negative(x.0));
    }
    let x = coerce::arithmetic_sign(x, "-")?;
    // x·(−1) instead of 0−x: the sign of 0.0 changes too, and the least integer overflows as it should.
    let data_type = x.data_type();
    let minus_one = match &data_type {
        DataType::Decimal128(..) => Expr::Literal(Value::Decimal(-1), DataType::Decimal128(1, 0)),
        t if types::is_floating(t) => Expr::Literal(Value::Double(-1.0), t.clone()),
        t => Expr::Literal(Value::Integer(-1), t.clone()),
    };
    Ok(Expr::Arithmetic(Arithmetic::Multiply, Box::new(x), Box::new(minus_one), data_type))
}

pub(super) fn negate_if(negated: bool, expr: Expr) -> Expr {
    if negated { Expr::Not(Box::new(expr)) } else { expr }
}

/// Makes a fault from a sentence `what is wrong; what to do`.
pub(super) fn sentence(at: Range<usize>, message: &str) -> Fault {
    let (what, help) = message.split_once("; ").unwrap_or((message, "change it"));
    Fault::new(at, what, help)
}
