//! Expressions: Spark's precedence, from OR down to `a.b[c]`.

use super::Fault;
use super::lexer::{Ident, Token, bytes_of};
use super::parser::Parser;
use super::tree::{Call, IsTest, LikeKind, Literal, Node, NodeKind, Operator};
use std::ops::Range;

/// A longer chain of operators, which is as deep a tree, is refused; IN takes any number of values. The deeper it stands the
/// shorter it must be ([`chain_max`]): chains inside of chains add up.
const CHAIN_MAX: usize = 500;

/// And a longer row of `.field`, `[index]` and `::type`.
const POSTFIX_MAX: usize = 32;

fn chain_max(depth: usize) -> usize {
    (CHAIN_MAX / depth.max(1).pow(2)).max(10)
}

/// Spark's collations that need no language.
const COLLATIONS: [&str; 4] = ["UTF8_BINARY", "UTF8_LCASE", "UNICODE", "UNICODE_CI"];

impl Parser<'_> {
    pub fn expression(&mut self) -> Result<Node, Fault> {
        self.nested(Self::or)
    }

    fn or(&mut self) -> Result<Node, Fault> {
        self.balanced("OR", Operator::Or, Self::and)
    }

    fn and(&mut self) -> Result<Node, Fault> {
        self.balanced("AND", Operator::And, Self::not)
    }

    /// A row of ANDs, or of ORs, as a tree of least depth: so Spark's parser has it, and its optimizer looks at neighbours
    /// in the tree (rule M1).
    fn balanced(
        &mut self,
        word: &str,
        operator: Operator,
        operand: impl Fn(&mut Self) -> Result<Node, Fault>,
    ) -> Result<Node, Fault> {
        let mut operands = vec![operand(self)?];
        while self.take_word(word) {
            let next = operand(self)?;
            check_length(operands.len(), CHAIN_MAX, &next)?;
            operands.push(next);
        }
        Ok(tree(operator, operands))
    }

    fn not(&mut self) -> Result<Node, Fault> {
        let start = self.here().start;
        if self.take_word("NOT") || self.take_symbol("!") {
            let inner = self.nested(Self::not)?;
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
            if self.is_any_word(&["SELECT", "WITH", "VALUES"]) {
                let message = "IN (SELECT …) is a join, and only VALUES can be joined";
                return Err(Fault::new(self.here(), message, "list the values: x IN (1, 2)"));
            }
            let list = self.list(Self::expression)?;
            self.expect_symbol(")")?;
            NodeKind::In(value, list, negated)
        } else if let Some(kind) = self.like_kind() {
            if kind != LikeKind::Rlike
                && let Some((patterns, all)) = self.patterns()?
            {
                NodeKind::LikeList(kind, value, patterns, all, negated)
            } else {
                let pattern = self.comparison()?;
                let escape = if self.take_word("ESCAPE") { Some(self.escape_character()?) } else { None };
                NodeKind::Like(kind, value, Box::new(pattern), escape, negated)
            }
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

    /// `ANY (…)`, `SOME (…)` or `ALL (…)` behind LIKE: the patterns, and whether all count.
    fn patterns(&mut self) -> Result<Option<(Vec<Node>, bool)>, Fault> {
        if !self.is_any_word(&["ANY", "SOME", "ALL"]) || *self.peek_at(1) != Token::Symbol("(") {
            return Ok(None);
        }
        let all = self.is_word("ALL");
        self.advance();
        self.advance();
        let patterns = self.list(Self::expression)?;
        self.expect_symbol(")")?;
        Ok(Some((patterns, all)))
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

    pub fn comparison(&mut self) -> Result<Node, Fault> {
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
        self.left_associative(&[("&", Operator::BitAnd)], Self::shift)
    }

    fn shift(&mut self) -> Result<Node, Fault> {
        let mut chain = Chain::new(self.sum()?, self.depth);
        while let Some(operator) = self.take_shift() {
            chain.add(operator, self.sum()?)?;
        }
        Ok(chain.node)
    }

    /// `<<`, `>>` and `>>>` are tokens side by side.
    fn take_shift(&mut self) -> Option<Operator> {
        let operators =
            [("<", 2, Operator::ShiftLeft), (">", 3, Operator::ShiftRightUnsigned), (">", 2, Operator::ShiftRight)];
        let (_, length, operator) =
            operators.into_iter().find(|(symbol, length, _)| self.side_by_side(symbol, *length))?;
        for _ in 0..length {
            self.advance();
        }
        Some(operator)
    }

    fn sum(&mut self) -> Result<Node, Fault> {
        let operators = [("+", Operator::Add), ("-", Operator::Subtract), ("||", Operator::Concat)];
        self.left_associative(&operators, Self::product)
    }

    fn product(&mut self) -> Result<Node, Fault> {
        let operators = [("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)];
        let mut chain = Chain::new(self.unary()?, self.depth);
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
        let mut chain = Chain::new(operand(self)?, self.depth);
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
        } else if self.take_symbol("~") {
            NodeKind::Invert
        } else {
            return self.postfix();
        };
        let inner = self.nested(Self::unary)?;
        Ok(Node { at: start..inner.at.end, kind: wrap(Box::new(inner)) })
    }

    /// `x.field`, `x[index]`, `x::type`.
    fn postfix(&mut self) -> Result<Node, Fault> {
        let mut node = self.primary()?;
        let mut steps = 0;
        loop {
            check_length(steps, POSTFIX_MAX, &node)?;
            steps += 1;
            let start = node.at.start;
            let kind = if self.take_symbol(".") {
                if self.is_symbol("*") {
                    let message = "`.*` is no value";
                    return Err(Fault::new(self.here(), message, "it stands alone in SELECT, behind a table's name"));
                }
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
            } else if self.is_word("COLLATE") && self.is_any_word_at(1, &COLLATIONS) {
                let help = "STRINGs compare by their UTF-8 bytes, Spark's default; compare lower(text) where case does not matter";
                return Err(Fault::new(self.here(), "COLLATE is not supported", help));
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
                if self.is_symbol(",") {
                    return self.row(inner, at);
                }
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

    /// `(a, b)`, which is `struct(a, b)`; its first value is read.
    fn row(&mut self, first: Node, at: Range<usize>) -> Result<Node, Fault> {
        let mut call = Call::of(Ident { name: "struct".into(), quoted: false, at: at.start..at.start + 1 });
        call.arguments.push(first);
        while self.take_symbol(",") {
            call.arguments.push(self.expression()?);
        }
        self.expect_symbol(")")?;
        call.aliases = vec![None; call.arguments.len()];
        call.keywords = true;
        Ok(Node { kind: NodeKind::Call(call), at: at.start..self.last_end() })
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
                // X'1F' with a space in between.
                "X" => Some(Literal::Binary(bytes_of(&text, at.start..at.end)?)),
                "TIME" => Some(Literal::Time(text)),
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
            "LIKE" if called => return self.name_or_call(),
            "CAST" | "TRY_CAST" if called => self.cast(upper == "TRY_CAST")?,
            "INTERVAL" if matches!(self.peek_at(1), Token::String(_) | Token::Number(_) | Token::Symbol("-" | "+")) => {
                NodeKind::Literal(self.interval()?)
            }
            "SELECT" | "FROM" | "WHERE" | "GROUP" | "HAVING" | "ORDER" | "LIMIT" | "AND" | "OR" | "WHEN" | "THEN"
            | "ELSE" | "END" | "AS" | "IN" | "IS" | "BETWEEN" | "LIKE" | "UNION" | "JOIN" | "ON" => {
                return Err(self.unexpected("an expression"));
            }
            _ => return self.name_or_call(),
        };
        Ok(Node { kind, at: at.start..self.last_end() })
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
}

/// `a op b op c op d` → `(a op b) op (c op d)`, the longer half first.
fn tree(operator: Operator, mut operands: Vec<Node>) -> Node {
    if operands.len() == 1 {
        return operands.remove(0);
    }
    let right = operands.split_off(operands.len().div_ceil(2));
    binary(operator, tree(operator, operands), tree(operator, right))
}

fn binary(operator: Operator, left: Node, right: Node) -> Node {
    let at = left.at.start..right.at.end;
    Node { kind: NodeKind::Binary(operator, Box::new(left), Box::new(right)), at }
}

/// Refuses the operand behind so many operators too many.
fn check_length(operators: usize, operators_max: usize, operand: &Node) -> Result<(), Fault> {
    if operators > operators_max {
        let help = format!("write x IN (…), or split it: at most {operators_max} in a row here");
        return Err(Fault::new(operand.at.clone(), "the expression has too many operators in a row", help));
    }
    Ok(())
}

/// Operators of one precedence, which bind to the left.
struct Chain {
    node: Node,
    length: usize,
    length_max: usize,
}

impl Chain {
    fn new(node: Node, depth: usize) -> Chain {
        Chain { node, length: 0, length_max: chain_max(depth) }
    }

    fn add(&mut self, operator: Operator, right: Node) -> Result<(), Fault> {
        self.length += 1;
        check_length(self.length, self.length_max, &right)?;
        let nothing = Node { kind: NodeKind::Star, at: 0..0 };
        let left = std::mem::replace(&mut self.node, nothing);
        self.node = binary(operator, left, right);
        Ok(())
    }
}
