//! The syntax tree of expressions.

use super::lexer::Ident;
use super::order::SortItem;
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
    /// `~ x`
    Invert(Box<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
    Is(Box<Node>, IsTest, bool),
    In(Box<Node>, Vec<Node>, bool),
    Between(Box<Node>, Box<Node>, Box<Node>, bool),
    Like(LikeKind, Box<Node>, Box<Node>, Option<char>, bool),
    /// `x [NOT] LIKE ANY (…)`; with `true` first for ALL.
    LikeList(LikeKind, Box<Node>, Vec<Node>, bool, bool),
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
    /// `x -> body`, `(x, y) -> body`: an argument.
    Lambda(Vec<Ident>, Box<Node>),
}

/// `name(arguments)`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub name: Ident,
    pub arguments: Vec<Node>,
    pub distinct: bool,
    pub filter: Option<Box<Node>>,
    /// IGNORE NULLS (`true`) or RESPECT NULLS, and where it stands.
    pub ignore_nulls: Option<(bool, Range<usize>)>,
    /// The order of WITHIN GROUP.
    pub within: Option<Vec<SortItem>>,
    /// Whether it was written with keywords, `TRIM(BOTH …)`, or without a name, `(a, b)`.
    pub keywords: bool,
    /// For each argument of `struct(a AS b, …)`, its name; empty for other calls.
    pub aliases: Vec<Option<Ident>>,
}

impl Call {
    /// A call without arguments.
    pub fn of(name: Ident) -> Call {
        Call {
            name,
            arguments: Vec::new(),
            distinct: false,
            filter: None,
            ignore_nulls: None,
            within: None,
            keywords: false,
            aliases: Vec::new(),
        }
    }
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
    /// `TIME '…'`.
    Time(String),
    /// `INTERVAL 1 DAY 2 HOURS`, `INTERVAL '1 day'`: as interval text.
    Interval(String),
    /// `INTERVAL '1 02:03' DAY TO MINUTE`: the text, and the first and the last field.
    IntervalFields(String, String, String),
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
    ShiftLeft,
    ShiftRight,
    ShiftRightUnsigned,
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
            NodeKind::Not(x) | NodeKind::Negate(x) | NodeKind::Plus(x) | NodeKind::Invert(x) => visit(x),
            NodeKind::Cast(x, ..) | NodeKind::Field(x, _) | NodeKind::Lambda(_, x) => visit(x),
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
            NodeKind::In(x, list, _) | NodeKind::LikeList(_, x, list, ..) => {
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
            Operator::ShiftLeft => "<<",
            Operator::ShiftRight => ">>",
            Operator::ShiftRightUnsigned => ">>>",
        }
    }
}
