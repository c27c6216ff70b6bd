//! Expressions that begin with a keyword: CASE, CAST, INTERVAL, and calls with their keyword forms.

use super::Fault;
use super::lexer::{Ident, Token};
use super::parser::Parser;
use super::tree::{Call, Literal, Node, NodeKind};

impl Parser<'_> {
    pub fn case(&mut self) -> Result<NodeKind, Fault> {
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

    pub fn cast(&mut self, try_cast: bool) -> Result<NodeKind, Fault> {
        self.advance();
        self.expect_symbol("(")?;
        let value = self.expression()?;
        self.expect_word("AS")?;
        let data_type = self.data_type()?;
        self.expect_symbol(")")?;
        Ok(NodeKind::Cast(Box::new(value), data_type, try_cast))
    }

    /// `INTERVAL '1 day 2 hours'`, `INTERVAL 1 DAY 2 HOURS`, `INTERVAL '5' MINUTE`, `INTERVAL '1 02:03' DAY TO MINUTE`.
    pub fn interval(&mut self) -> Result<Literal, Fault> {
        self.expect_word("INTERVAL")?;
        let mut words = Vec::new();
        loop {
            let sign = if self.take_symbol("-") { "-" } else { "" };
            if sign.is_empty() {
                self.take_symbol("+");
            }
            let number = match self.peek().clone() {
                Token::String(text) | Token::Number(text) => signed(sign, &text),
                _ => return Err(self.unexpected("a number or a string")),
            };
            self.advance();
            if self.is_unit(0) && self.is_word_at(1, "TO") && words.is_empty() {
                let first = self.ident("a field such as DAY")?.name;
                self.expect_word("TO")?;
                let last = self.ident("a field such as SECOND")?.name;
                return Ok(Literal::IntervalFields(number, first, last));
            }
            words.push(number);
            if self.is_unit(0) {
                words.push(self.ident("a unit such as DAY")?.name);
            }
            let has_sign = usize::from(self.is_symbol("-") || self.is_symbol("+"));
            let more = matches!(self.peek_at(has_sign), Token::Number(_) | Token::String(_)) && words.len() > 1;
            // What a sign and a number follow is a sum, unless a unit comes behind the number.
            if !more || !self.is_unit(has_sign + 1) || has_sign > 0 {
                return Ok(Literal::Interval(words.join(" ")));
            }
        }
    }

    fn is_unit(&self, ahead: usize) -> bool {
        const UNITS: [&str; 9] =
            ["year", "month", "week", "day", "hour", "minute", "second", "millisecond", "microsecond"];
        match self.peek_at(ahead) {
            Token::Word(word) => {
                let lower = word.to_ascii_lowercase();
                UNITS.contains(&lower.strip_suffix('s').unwrap_or(&lower))
            }
            _ => false,
        }
    }

    /// A call from behind its opening bracket on, with the keyword forms of EXTRACT, SUBSTRING, OVERLAY, TRIM and POSITION.
    pub fn call(&mut self, name: Ident) -> Result<Call, Fault> {
        let lower = name.name.to_ascii_lowercase();
        let mut call = Call::of(name);
        match lower.as_str() {
            "extract" => {
                let field = self.ident("a field such as YEAR")?;
                let kind = NodeKind::Literal(Literal::String(field.name));
                call.arguments.push(Node { kind, at: field.at });
                self.expect_word("FROM")?;
                call.arguments.push(self.expression()?);
            }
            "trim" if self.is_any_word(&["BOTH", "LEADING", "TRAILING"]) => {
                let side = self.ident("BOTH, LEADING or TRAILING")?;
                let what = if self.is_word("FROM") { None } else { Some(self.expression()?) };
                self.trim_from(&mut call, &side.name, what)?;
            }
            "trim" if !self.is_symbol(")") => {
                let first = self.expression()?;
                match self.is_word("FROM") {
                    true => self.trim_from(&mut call, "BOTH", Some(first))?,
                    false => {
                        call.arguments.push(first);
                        self.rest_of_arguments(&mut call)?;
                    }
                }
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
            "struct" => loop {
                call.arguments.push(self.argument()?);
                call.aliases.push(self.alias()?);
                if !self.take_symbol(",") {
                    break;
                }
            },
            // EXISTS (SELECT …), x > ANY (SELECT …)
            _ if self.is_word("SELECT") => {
                return Err(Fault::new(self.here(), "subqueries are not supported", "use plain expressions"));
            }
            _ => self.arguments(&lower, &mut call)?,
        }
        self.expect_symbol(")")?;
        if self.take_words(&["WITHIN", "GROUP"]) {
            self.expect_symbol("(")?;
            self.expect_word("ORDER")?;
            self.expect_word("BY")?;
            call.within = Some(self.list(Self::sort_item)?);
            self.expect_symbol(")")?;
        }
        if self.take_word("FILTER") {
            self.expect_symbol("(")?;
            self.expect_word("WHERE")?;
            call.filter = Some(Box::new(self.expression()?));
            self.expect_symbol(")")?;
        }
        call.ignore_nulls = self.ignore_nulls().or(call.ignore_nulls);
        if self.is_word("OVER") {
            let help = "group by window(time, '10 seconds') instead";
            return Err(Fault::new(self.here(), "OVER (…) is not supported on streams", help));
        }
        Ok(call)
    }

    /// `FROM text` of `TRIM(side [what] FROM text)`.
    fn trim_from(&mut self, call: &mut Call, side: &str, what: Option<Node>) -> Result<(), Fault> {
        call.keywords = true;
        call.name.name = match side.to_ascii_lowercase().as_str() {
            "leading" => "ltrim".into(),
            "trailing" => "rtrim".into(),
            _ => "btrim".into(),
        };
        self.expect_word("FROM")?;
        call.arguments.push(self.expression()?);
        // `btrim(text, set)`, but `ltrim(set, text)`.
        let at = if call.name.name == "btrim" { 1 } else { 0 };
        what.into_iter().for_each(|what| call.arguments.insert(at, what));
        Ok(())
    }

    /// One argument or more, with the words that may stand between them and behind them.
    fn arguments(&mut self, name: &str, call: &mut Call) -> Result<(), Fault> {
        call.distinct = self.take_word("DISTINCT");
        if !call.distinct {
            self.take_word("ALL");
        }
        self.parameter_name(name)?;
        call.arguments.push(self.argument()?);
        let is_substring = ["substring", "substr"].contains(&name);
        if name == "overlay" && self.take_word("PLACING") {
            call.arguments.push(self.expression()?);
            self.expect_word("FROM")?;
            self.place_and_length(call)?;
        } else if is_substring && self.take_word("FROM") {
            self.place_and_length(call)?;
        } else {
            self.rest_of_arguments(call)?;
        }
        if ["first", "last", "any_value"].contains(&name) {
            call.ignore_nulls = self.ignore_nulls();
        }
        Ok(())
    }

    /// `position [FOR length]`.
    fn place_and_length(&mut self, call: &mut Call) -> Result<(), Fault> {
        call.arguments.push(self.expression()?);
        if self.take_word("FOR") {
            call.arguments.push(self.expression()?);
        }
        Ok(())
    }

    /// `IGNORE NULLS` or `RESPECT NULLS`, if one of them comes.
    fn ignore_nulls(&mut self) -> Option<(bool, std::ops::Range<usize>)> {
        let start = self.here().start;
        let ignore = self.take_words(&["IGNORE", "NULLS"]);
        (ignore || self.take_words(&["RESPECT", "NULLS"])).then(|| (ignore, start..self.last_end()))
    }

    fn rest_of_arguments(&mut self, call: &mut Call) -> Result<(), Fault> {
        while self.take_symbol(",") {
            call.arguments.push(self.argument()?);
        }
        Ok(())
    }

    /// `collection =>` before the argument of `explode`: generators alone name it.
    fn parameter_name(&mut self, function: &str) -> Result<(), Fault> {
        if !matches!(self.peek_at(1), Token::Symbol("=>")) {
            return Ok(());
        }
        let known = match function {
            "explode" | "explode_outer" | "posexplode" | "posexplode_outer" => "collection",
            "inline" | "inline_outer" => "input",
            _ => "",
        };
        let given = self.ident("a parameter's name")?;
        if !given.name.eq_ignore_ascii_case(known) {
            let message = format!("`{function}` has no parameter of the name `{}`", given.name);
            return Err(Fault::new(given.at, message, "give the arguments by position"));
        }
        self.expect_symbol("=>")
    }

    /// An expression, or a lambda: `x -> x + 1`, `(x, y) -> x + y`.
    fn argument(&mut self) -> Result<Node, Fault> {
        let start = self.here().start;
        let parameters = match self.lambda_parameters() {
            0 => return self.expression(),
            1 if !self.is_symbol("(") => vec![self.ident("a parameter's name")?],
            _ => {
                self.expect_symbol("(")?;
                let parameters = self.list(|parser| parser.ident("a parameter's name"))?;
                self.expect_symbol(")")?;
                parameters
            }
        };
        self.expect_symbol("->")?;
        let body = self.expression()?;
        Ok(Node { kind: NodeKind::Lambda(parameters, Box::new(body)), at: start..self.last_end() })
    }

    /// How many parameters the lambda has that comes next; 0: none comes.
    fn lambda_parameters(&self) -> usize {
        let is_name = |ahead: usize| matches!(self.peek_at(ahead), Token::Word(_) | Token::Quoted(_));
        let is_symbol = |ahead: usize, symbol: &str| matches!(self.peek_at(ahead), Token::Symbol(s) if *s == symbol);
        if !is_symbol(0, "(") {
            return usize::from(is_name(0) && is_symbol(1, "->"));
        }
        let mut count = 0;
        while is_name(2 * count + 1) {
            count += 1;
            let after = 2 * count;
            if is_symbol(after, ")") {
                return if is_symbol(after + 1, "->") { count } else { 0 };
            }
            if !is_symbol(after, ",") {
                return 0;
            }
        }
        0
    }
}

/// A number's text with a sign before it; two of them are none.
fn signed(sign: &str, text: &str) -> String {
    match (sign, text.trim_start().strip_prefix('-')) {
        ("-", Some(positive)) => positive.into(),
        _ => format!("{sign}{text}"),
    }
}
