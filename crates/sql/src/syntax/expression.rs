//! Expressions: Spark's precedence, from OR down to `a.b[c]`.

use super::Fault;
use super::lexer::{Ident, Token};
use super::parser::Parser;
use arrow_schema::DataType;
use std::ops::Range;

/// An expression at its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub kind: NodeKind,
    pub at: Range<usize>,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NodeKind {
    /// `a`, `a.b.c`.
    Name(Vec<Ident>),
    Literal(Literal),
    Not(Box<Node>),
    Negate(Box<Node>),
    Plus(Box<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
    Is(Box<Node>, IsTest, bool),
    In(Box<Node>, Vec<Node>, bool),
    Between(Box<Node>, Box<Node>, Box<Node>, bool),
    Like(LikeKind, Box<Node>, Box<Node>, Option<char>, bool),
    Case(Option<Box<Node>>, Vec<(Node, Node)>, Option<Box<Node>>),
    /// With `true` for TRY_CAST.
    Cast(Box<Node>, DataType, bool),
    Call(Call),
    /// `x.field` where `x` is not a name.
    Field(Box<Node>, Ident),
    /// `x[i]`.
    Index(Box<Node>, Box<Node>),
    /// `*` as an argument.
    Star,
}

/// `name(arguments)`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub name: Ident,
    pub arguments: Vec<Node>,
    pub distinct: bool,
    pub filter: Option<Box<Node>>,
    /// Whether it was written with keywords: `TRIM(BOTH …)`.
    pub keywords: bool,
}

/// Constants; numbers as written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Null,
    Boolean(bool),
    Number(String),
    String(String),
    Binary(Vec<u8>),
    /// `DATE '…'`.
    Date(String),
    /// `TIMESTAMP '…'`.
    Timestamp(String),
    /// `TIMESTAMP_NTZ '…'`.
    TimestampNtz(String),
    /// `INTERVAL …`, as interval text.
    Interval(String),
}

/// Binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    NullSafeEqual,
    Add,
    Subtract,
    Concat,
    Multiply,
    Divide,
    Remainder,
    IntegerDivide,
    BitAnd,
    BitXor,
    BitOr,
}

/// What follows IS [NOT].
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum IsTest {
    Null,
    True,
    False,
    Unknown,
    DistinctFrom(Box<Node>),
}

/// LIKE and its kin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LikeKind {
    Like,
    Ilike,
    Rlike,
}

impl Node {
    /// Calls `visit` with every node directly inside this one.
    pub fn children<'a>(&'a self, visit: &mut dyn FnMut(&'a Node)) {
        match &self.kind {
            NodeKind::Name(_) | NodeKind::Literal(_) | NodeKind::Star => {}
            NodeKind::Not(x) | NodeKind::Negate(x) | NodeKind::Plus(x) => visit(x),
            NodeKind::Cast(x, ..) | NodeKind::Field(x, _) => visit(x),
            NodeKind::Binary(_, l, r) | NodeKind::Index(l, r) | NodeKind::Like(_, l, r, ..) => {
                visit(l);
                visit(r);
            }
            NodeKind::Is(x, test, _) => {
                visit(x);
                if let IsTest::DistinctFrom(y) = test {
                    visit(y);
                }
            }
            NodeKind::In(x, list, _) => {
                visit(x);
                list.iter().for_each(visit);
            }
            NodeKind::Between(x, low, high, _) => [x, low, high].into_iter().for_each(|node| visit(node)),
            NodeKind::Case(operand, branches, otherwise) => {
                operand.iter().for_each(|node| visit(node));
                for (condition, value) in branches {
                    visit(condition);
                    visit(value);
                }
                otherwise.iter().for_each(|node| visit(node));
            }
            NodeKind::Call(call) => call.arguments.iter().for_each(visit),
        }
    }
}

impl Operator {
    /// As Spark writes it in column names.
    pub fn symbol(self) -> &'static str {
        match self {
            Operator::Or => "OR",
            Operator::And => "AND",
            Operator::Equal => "=",
            Operator::NotEqual => "<>",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
            Operator::NullSafeEqual => "<=>",
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Concat => "||",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Remainder => "%",
            Operator::IntegerDivide => "div",
            Operator::BitAnd => "&",
            Operator::BitXor => "^",
            Operator::BitOr => "|",
        }
    }
}

/// Nesting beyond this is refused, so that no text overflows the stack.
const DEPTH_MAX: usize = 200;

/// So is a longer chain of operators, which is as deep a tree; IN takes any number of values.
const CHAIN_MAX: usize = 500;

impl Parser<'_> {
    pub fn expression(&mut self) -> Result<Node, Fault> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Fault::new(self.here(), "the expression is nested too deeply", "split it"));
        }
        let node = self.or();
        self.depth -= 1;
        node
    }

    fn or(&mut self) -> Result<Node, Fault> {
        let mut chain = Chain::from(self.and()?);
        while self.take_word("OR") {
            chain.add(Operator::Or, self.and()?)?;
        }
        Ok(chain.node)
    }

    fn and(&mut self) -> Result<Node, Fault> {
        let mut chain = Chain::from(self.not()?);
        while self.take_word("AND") {
            chain.add(Operator::And, self.not()?)?;
        }
        Ok(chain.node)
    }

    fn not(&mut self) -> Result<Node, Fault> {
        let start = self.here().start;
        if self.take_word("NOT") || self.take_symbol("!") {
            self.depth += 1;
            if self.depth > DEPTH_MAX {
                return Err(Fault::new(self.here(), "the expression is nested too deeply", "split it"));
            }
            let inner = self.not()?;
            self.depth -= 1;
            return Ok(Node { at: start..inner.at.end, kind: NodeKind::Not(Box::new(inner)) });
        }
        self.predicate()
    }

    /// A value, with the tests that may follow it: BETWEEN, IN, LIKE, IS.
    fn predicate(&mut self) -> Result<Node, Fault> {
        let value = self.comparison()?;
        let negated = self.is_word("NOT")
            && ["BETWEEN", "IN", "LIKE", "ILIKE", "RLIKE", "REGEXP"].iter().any(|word| self.is_word_at(1, word));
        if negated {
            self.advance();
        }
        let start = value.at.start;
        let value = Box::new(value);
        let kind = if self.take_word("BETWEEN") {
            let low = self.comparison()?;
            self.expect_word("AND")?;
            let high = self.comparison()?;
            NodeKind::Between(value, Box::new(low), Box::new(high), negated)
        } else if self.take_word("IN") {
            self.expect_symbol("(")?;
            if self.is_word("SELECT") {
                return Err(Fault::new(self.here(), "subqueries are not supported", "list the values: x IN (1, 2)"));
            }
            let list = self.list(Self::expression)?;
            self.expect_symbol(")")?;
            NodeKind::In(value, list, negated)
        } else if let Some(kind) = self.like_kind() {
            let pattern = self.comparison()?;
            let escape = if self.take_word("ESCAPE") { Some(self.escape_character()?) } else { None };
            NodeKind::Like(kind, value, Box::new(pattern), escape, negated)
        } else if self.take_word("IS") {
            let negated = self.take_word("NOT");
            NodeKind::Is(value, self.is_test()?, negated)
        } else {
            return Ok(*value);
        };
        Ok(Node { kind, at: start..self.last_end() })
    }

    fn like_kind(&mut self) -> Option<LikeKind> {
        let kinds = [
            ("LIKE", LikeKind::Like),
            ("ILIKE", LikeKind::Ilike),
            ("RLIKE", LikeKind::Rlike),
            ("REGEXP", LikeKind::Rlike),
        ];
        kinds.into_iter().find(|(word, _)| self.take_word(word)).map(|(_, kind)| kind)
    }

    fn escape_character(&mut self) -> Result<char, Fault> {
        if let Token::String(text) = self.peek()
            && let (Some(c), None) = (text.chars().next(), text.chars().nth(1))
        {
            self.advance();
            return Ok(c);
        }
        Err(self.unexpected("a string of one character"))
    }

    fn is_test(&mut self) -> Result<IsTest, Fault> {
        if self.take_word("NULL") {
            Ok(IsTest::Null)
        } else if self.take_word("TRUE") {
            Ok(IsTest::True)
        } else if self.take_word("FALSE") {
            Ok(IsTest::False)
        } else if self.take_word("UNKNOWN") {
            Ok(IsTest::Unknown)
        } else if self.take_words(&["DISTINCT", "FROM"]) {
            Ok(IsTest::DistinctFrom(Box::new(self.comparison()?)))
        } else {
            Err(self.unexpected("NULL, TRUE, FALSE or DISTINCT FROM"))
        }
    }

    fn comparison(&mut self) -> Result<Node, Fault> {
        const OPERATORS: [(&str, Operator); 9] = [
            ("<=>", Operator::NullSafeEqual),
            ("==", Operator::Equal),
            ("=", Operator::Equal),
            ("<>", Operator::NotEqual),
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        self.left_associative(&OPERATORS, Self::bit_or)
    }

    fn bit_or(&mut self) -> Result<Node, Fault> {
        self.left_associative(&[("|", Operator::BitOr)], Self::bit_xor)
    }

    fn bit_xor(&mut self) -> Result<Node, Fault> {
        self.left_associative(&[("^", Operator::BitXor)], Self::bit_and)
    }

    fn bit_and(&mut self) -> Result<Node, Fault> {
        self.left_associative(&[("&", Operator::BitAnd)], Self::sum)
    }

    fn sum(&mut self) -> Result<Node, Fault> {
        let operators = [("+", Operator::Add), ("-", Operator::Subtract), ("||", Operator::Concat)];
        self.left_associative(&operators, Self::product)
    }

    fn product(&mut self) -> Result<Node, Fault> {
        let operators = [("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)];
        let mut chain = Chain::from(self.unary()?);
        loop {
            if self.take_word("DIV") {
                chain.add(Operator::IntegerDivide, self.unary()?)?;
            } else if let Some((_, operator)) = operators.iter().find(|(symbol, _)| self.take_symbol(symbol)) {
                chain.add(*operator, self.unary()?)?;
            } else {
                return Ok(chain.node);
            }
        }
    }

    fn left_associative(
        &mut self,
        operators: &[(&str, Operator)],
        operand: fn(&mut Self) -> Result<Node, Fault>,
    ) -> Result<Node, Fault> {
        let mut chain = Chain::from(operand(self)?);
        while let Some((_, operator)) = operators.iter().find(|(symbol, _)| self.take_symbol(symbol)) {
            chain.add(*operator, operand(self)?)?;
        }
        Ok(chain.node)
    }

    fn unary(&mut self) -> Result<Node, Fault> {
        let start = self.here().start;
        let wrap = if self.take_symbol("-") {
            NodeKind::Negate
        } else if self.take_symbol("+") {
            NodeKind::Plus
        } else {
            return self.postfix();
        };
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Fault::new(self.here(), "the expression is nested too deeply", "split it"));
        }
        let inner = self.unary()?;
        self.depth -= 1;
        Ok(Node { at: start..inner.at.end, kind: wrap(Box::new(inner)) })
    }

    /// `x.field`, `x[index]`, `x::type`.
    fn postfix(&mut self) -> Result<Node, Fault> {
        let mut node = self.primary()?;
        loop {
            let start = node.at.start;
            let kind = if self.take_symbol(".") {
                let field = self.ident("a field's name")?;
                match node.kind {
                    NodeKind::Name(mut parts) => {
                        parts.push(field);
                        NodeKind::Name(parts)
                    }
                    _ => NodeKind::Field(Box::new(node), field),
                }
            } else if self.take_symbol("[") {
                let index = self.expression()?;
                self.expect_symbol("]")?;
                NodeKind::Index(Box::new(node), Box::new(index))
            } else if self.take_symbol("::") {
                NodeKind::Cast(Box::new(node), self.data_type()?, false)
            } else {
                return Ok(node);
            };
            node = Node { kind, at: start..self.last_end() };
        }
    }

    fn primary(&mut self) -> Result<Node, Fault> {
        let at = self.here();
        let literal = |kind| Ok(Node { kind: NodeKind::Literal(kind), at: at.clone() });
        match self.peek().clone() {
            Token::Number(text) => {
                self.advance();
                literal(Literal::Number(text))
            }
            Token::String(text) => {
                self.advance();
                literal(Literal::String(text))
            }
            Token::Binary(bytes) => {
                self.advance();
                literal(Literal::Binary(bytes))
            }
            Token::Symbol("(") => {
                self.advance();
                if self.is_word("SELECT") {
                    return Err(Fault::new(self.here(), "subqueries are not supported", "use plain expressions"));
                }
                let inner = self.expression()?;
                self.expect_symbol(")")?;
                Ok(Node { kind: inner.kind, at: at.start..self.last_end() })
            }
            Token::Symbol("*") => {
                self.advance();
                Ok(Node { kind: NodeKind::Star, at })
            }
            Token::Word(word) => self.word(&word.to_ascii_uppercase()),
            Token::Quoted(_) => self.name_or_call(),
            _ => Err(self.unexpected("an expression")),
        }
    }

    /// What begins with a word: constants, CASE, CAST, functions, names.
    fn word(&mut self, upper: &str) -> Result<Node, Fault> {
        let at = self.here();
        let constant = match upper {
            "NULL" => Some(Literal::Null),
            "TRUE" => Some(Literal::Boolean(true)),
            "FALSE" => Some(Literal::Boolean(false)),
            _ => None,
        };
        if let Some(constant) = constant {
            self.advance();
            return Ok(Node { kind: NodeKind::Literal(constant), at });
        }
        if let Token::String(text) = self.peek_at(1).clone() {
            let typed = match upper {
                "DATE" => Some(Literal::Date(text)),
                "TIMESTAMP" | "TIMESTAMP_LTZ" => Some(Literal::Timestamp(text)),
                "TIMESTAMP_NTZ" => Some(Literal::TimestampNtz(text)),
                _ => None,
            };
            if let Some(typed) = typed {
                self.advance();
                self.advance();
                return Ok(Node { kind: NodeKind::Literal(typed), at: at.start..self.last_end() });
            }
        }
        let called = matches!(self.peek_at(1), Token::Symbol("("));
        let kind = match upper {
            "CASE" => self.case()?,
            "CAST" | "TRY_CAST" if called => self.cast(upper == "TRY_CAST")?,
            "INTERVAL" if matches!(self.peek_at(1), Token::String(_) | Token::Number(_) | Token::Symbol("-")) => {
                NodeKind::Literal(Literal::Interval(self.interval()?))
            }
            "SELECT" | "FROM" | "WHERE" | "GROUP" | "HAVING" | "ORDER" | "LIMIT" | "AND" | "OR" | "WHEN" | "THEN"
            | "ELSE" | "END" | "AS" | "IN" | "IS" | "BETWEEN" | "LIKE" | "UNION" | "JOIN" | "ON" => {
                return Err(self.unexpected("an expression"));
            }
            _ => return self.name_or_call(),
        };
        Ok(Node { kind, at: at.start..self.last_end() })
    }

    fn case(&mut self) -> Result<NodeKind, Fault> {
        self.expect_word("CASE")?;
        let operand = if self.is_word("WHEN") { None } else { Some(Box::new(self.expression()?)) };
        let mut branches = Vec::new();
        while self.take_word("WHEN") {
            let condition = self.expression()?;
            self.expect_word("THEN")?;
            branches.push((condition, self.expression()?));
        }
        if branches.is_empty() {
            return Err(self.unexpected("WHEN"));
        }
        let otherwise = if self.take_word("ELSE") { Some(Box::new(self.expression()?)) } else { None };
        self.expect_word("END")?;
        Ok(NodeKind::Case(operand, branches, otherwise))
    }

    fn cast(&mut self, try_cast: bool) -> Result<NodeKind, Fault> {
        self.advance();
        self.expect_symbol("(")?;
        let value = self.expression()?;
        self.expect_word("AS")?;
        let data_type = self.data_type()?;
        self.expect_symbol(")")?;
        Ok(NodeKind::Cast(Box::new(value), data_type, try_cast))
    }

    /// `INTERVAL '1 day 2 hours'`, `INTERVAL 1 DAY 2 HOURS`, `INTERVAL '5' MINUTE`: as interval text.
    fn interval(&mut self) -> Result<String, Fault> {
        const UNITS: [&str; 8] = ["year", "month", "week", "day", "hour", "minute", "second", "millisecond"];
        let is_unit = |token: &Token| match token {
            Token::Word(word) => {
                let lower = word.to_ascii_lowercase();
                let unit = lower.strip_suffix('s').unwrap_or(&lower);
                UNITS.contains(&unit) || unit == "microsecond"
            }
            _ => false,
        };
        self.expect_word("INTERVAL")?;
        let mut words = Vec::new();
        loop {
            let sign = if self.take_symbol("-") { "-" } else { "" };
            match self.peek().clone() {
                Token::String(text) | Token::Number(text) => words.push(format!("{sign}{text}")),
                _ => return Err(self.unexpected("a number or a string")),
            }
            self.advance();
            if is_unit(self.peek())
                && let Token::Word(unit) = self.advance()
            {
                words.push(unit);
            }
            if self.is_word("TO") {
                return Err(Fault::new(
                    self.here(),
                    "interval ranges are not supported",
                    "write INTERVAL '1 day 2 hours'",
                ));
            }
            if !matches!(self.peek(), Token::Number(_)) || !is_unit(self.peek_at(1)) {
                return Ok(words.join(" "));
            }
        }
    }

    fn name_or_call(&mut self) -> Result<Node, Fault> {
        let name = self.ident("a name")?;
        let at = name.at.clone();
        if !self.take_symbol("(") {
            return Ok(Node { kind: NodeKind::Name(vec![name]), at });
        }
        let call = self.call(name)?;
        Ok(Node { kind: NodeKind::Call(call), at: at.start..self.last_end() })
    }

    /// A call from behind its opening bracket on, with the keyword forms of EXTRACT, SUBSTRING, TRIM and POSITION.
    fn call(&mut self, name: Ident) -> Result<Call, Fault> {
        let lower = name.name.to_ascii_lowercase();
        let mut call = Call { name, arguments: Vec::new(), distinct: false, filter: None, keywords: false };
        match lower.as_str() {
            "extract" => {
                let field = self.ident("a field such as YEAR")?;
                let kind = NodeKind::Literal(Literal::String(field.name));
                call.arguments.push(Node { kind, at: field.at });
                self.expect_word("FROM")?;
                call.arguments.push(self.expression()?);
            }
            "trim" if self.is_any_word(&["BOTH", "LEADING", "TRAILING"]) => {
                call.keywords = true;
                let side = self.ident("BOTH, LEADING or TRAILING")?;
                call.name.name = match side.name.to_ascii_lowercase().as_str() {
                    "leading" => "ltrim".into(),
                    "trailing" => "rtrim".into(),
                    _ => "btrim".into(),
                };
                let what = if self.is_word("FROM") { None } else { Some(self.expression()?) };
                self.expect_word("FROM")?;
                call.arguments.push(self.expression()?);
                // `btrim(text, set)`, but `ltrim(set, text)`.
                let at = if call.name.name == "btrim" { 1 } else { 0 };
                what.into_iter().for_each(|what| call.arguments.insert(at, what));
            }
            "position" => {
                call.arguments.push(self.comparison()?);
                if self.take_word("IN") {
                    call.name.name = "locate".into();
                    call.arguments.push(self.expression()?);
                } else {
                    self.rest_of_arguments(&mut call)?;
                }
            }
            _ if self.is_symbol(")") => {}
            _ => {
                call.distinct = self.take_word("DISTINCT");
                if !call.distinct {
                    self.take_word("ALL");
                }
                call.arguments.push(self.expression()?);
                if ["substring", "substr"].contains(&lower.as_str()) && self.take_word("FROM") {
                    call.arguments.push(self.expression()?);
                    if self.take_word("FOR") {
                        call.arguments.push(self.expression()?);
                    }
                } else {
                    self.rest_of_arguments(&mut call)?;
                }
            }
        }
        self.expect_symbol(")")?;
        if self.take_word("FILTER") {
            self.expect_symbol("(")?;
            self.expect_word("WHERE")?;
            call.filter = Some(Box::new(self.expression()?));
            self.expect_symbol(")")?;
        }
        if self.is_word("OVER") {
            let help = "group by window(time, '10 seconds') instead";
            return Err(Fault::new(self.here(), "OVER (…) is not supported on streams", help));
        }
        Ok(call)
    }

    fn rest_of_arguments(&mut self, call: &mut Call) -> Result<(), Fault> {
        while self.take_symbol(",") {
            call.arguments.push(self.expression()?);
        }
        Ok(())
    }
}

/// Operators of one precedence, which bind to the left.
struct Chain {
    node: Node,
    length: usize,
}

impl Chain {
    fn from(node: Node) -> Chain {
        Chain { node, length: 0 }
    }

    fn add(&mut self, operator: Operator, right: Node) -> Result<(), Fault> {
        self.length += 1;
        if self.length > CHAIN_MAX {
            let help = format!("write x IN (…), or split it: at most {CHAIN_MAX} in a row");
            return Err(Fault::new(right.at, "the expression has too many operators in a row", help));
        }
        let at = self.node.at.start..right.at.end;
        let nothing = Node { kind: NodeKind::Star, at: 0..0 };
        let left = Box::new(std::mem::replace(&mut self.node, nothing));
        self.node = Node { kind: NodeKind::Binary(operator, left, Box::new(right)), at };
        Ok(())
    }
}
