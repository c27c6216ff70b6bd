//! Reads a pattern as `java.util.regex.Pattern` of Java 17 does.

use super::classes;
use super::escapes::{self, Escape};
use super::set::Set;
use super::tree::{Fold, NO_MAX, Node, Test, Times};
use super::{Mistake, study};

/// Deeper ones, and more, would need a deep stack.
const DEPTH_MAX: usize = 200;
const GROUPS_MAX: usize = 1_000;

/// What `(?idmsuxU)` switches.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flags {
    pub(super) any_case: bool,
    pub(super) unix_lines: bool,
    pub(super) lines: bool,
    pub(super) dot_all: bool,
    pub(super) unicode_case: bool,
    pub(super) comments: bool,
    pub(super) unicode: bool,
}

impl Flags {
    pub(super) fn fold(self) -> Fold {
        match (self.any_case, self.unicode_case) {
            (false, _) => Fold::Exact,
            (true, false) => Fold::Ascii,
            (true, true) => Fold::Unicode,
        }
    }

    fn set(&mut self, flag: char, on: bool) -> bool {
        let place = match flag {
            'i' => &mut self.any_case,
            'd' => &mut self.unix_lines,
            'm' => &mut self.lines,
            's' => &mut self.dot_all,
            'u' => &mut self.unicode_case,
            'x' => &mut self.comments,
            'U' => {
                self.unicode_case = on;
                &mut self.unicode
            }
            _ => return false,
        };
        *place = on;
        true
    }
}

/// A character of the pattern; one between `\Q` and `\E` is only itself.
#[derive(Clone, Copy, Debug)]
struct Token {
    c: char,
    quoted: bool,
    /// From 1, in characters.
    position: usize,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Plain(char),
    Quoted(char),
}

impl Next {
    pub(super) fn char(self) -> char {
        match self {
            Next::Plain(c) | Next::Quoted(c) => c,
        }
    }
}

pub(super) struct Parser {
    tokens: Vec<Token>,
    pub(super) at: usize,
    length: usize,
    pub(super) flags: Flags,
    /// Number of groups so far, with the whole match.
    pub(super) groups: usize,
    pub(super) names: Vec<(String, usize)>,
    depth: usize,
    parentheses: usize,
}

/// The tree, how many groups there are with the whole match, and the named ones.
pub(super) fn parse(pattern: &str) -> Result<(Node, usize, Vec<(String, usize)>), Mistake> {
    let tokens = unquoted(pattern);
    let length = pattern.chars().count();
    let mut parser = Parser {
        tokens,
        at: 0,
        length,
        flags: Flags::default(),
        groups: 1,
        names: Vec::new(),
        depth: 0,
        parentheses: 0,
    };
    let node = parser.choice()?;
    match parser.peek() {
        None => Ok((node, parser.groups, parser.names)),
        Some(_) => Err(parser.mistake("a `)` without its `(`; write \\) for the character")),
    }
}

/// The pattern without `\Q` and `\E`.
fn unquoted(pattern: &str) -> Vec<Token> {
    let chars: Vec<char> = pattern.chars().collect();
    let (mut out, mut at, mut quoted) = (Vec::with_capacity(chars.len()), 0, false);
    while at < chars.len() {
        let token = Token { c: chars[at], quoted, position: at + 1 };
        match (chars[at], chars.get(at + 1)) {
            ('\\', Some('E')) if quoted => (quoted, at) = (false, at + 2),
            _ if quoted => {
                out.push(token);
                at += 1;
            }
            ('\\', Some('Q')) => (quoted, at) = (true, at + 2),
            ('\\', Some(next)) => {
                out.extend([token, Token { c: *next, quoted, position: at + 2 }]);
                at += 2;
            }
            _ => {
                out.push(token);
                at += 1;
            }
        }
    }
    out
}

impl Parser {
    /// A mistake at the next character.
    pub(super) fn mistake(&self, what: impl Into<String>) -> Mistake {
        let position = self.tokens.get(self.at).map_or(self.length + 1, |token| token.position);
        Mistake { position, what: what.into() }
    }

    /// A mistake at the character that was taken last.
    pub(super) fn mistake_before(&self, what: impl Into<String>) -> Mistake {
        let before = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        Mistake { position: before.map_or(1, |token| token.position), what: what.into() }
    }

    /// The next character that has a meaning, if it is not quoted: with the flag x, white space and comments have none.
    pub(super) fn peek(&mut self) -> Option<Next> {
        while self.flags.comments {
            match self.tokens.get(self.at) {
                Some(Token { c: '\t'..='\r' | ' ', quoted: false, .. }) => self.at += 1,
                Some(Token { c: '#', quoted: false, .. }) => {
                    let ends = |token: &Token| matches!(token.c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}');
                    let rest = &self.tokens[self.at..];
                    self.at += rest.iter().position(ends).unwrap_or(rest.len());
                }
                _ => break,
            }
        }
        self.raw()
    }

    /// The next character.
    pub(super) fn raw(&self) -> Option<Next> {
        self.tokens.get(self.at).map(|token| match token.quoted {
            true => Next::Quoted(token.c),
            false => Next::Plain(token.c),
        })
    }

    /// Whether these characters come next.
    pub(super) fn follows(&self, text: &str) -> bool {
        let rest = &self.tokens[self.at..];
        rest.len() >= text.len() && text.chars().zip(rest).all(|(c, token)| token.c == c)
    }

    /// Takes the next character if it is this one.
    pub(super) fn take(&mut self, c: char) -> bool {
        let is = self.peek() == Some(Next::Plain(c));
        self.at += usize::from(is);
        is
    }

    /// Takes the next character whatever it is.
    pub(super) fn next_raw(&mut self) -> Option<char> {
        let token = self.tokens.get(self.at)?;
        self.at += 1;
        Some(token.c)
    }

    fn choice(&mut self) -> Result<Node, Mistake> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.mistake(format!("groups are nested more than {DEPTH_MAX} deep")));
        }
        let mut branches = vec![self.sequence()?];
        while self.take('|') {
            branches.push(self.sequence()?);
        }
        self.depth -= 1;
        Ok(if branches.len() == 1 { branches.remove(0) } else { Node::Choice(branches) })
    }

    fn sequence(&mut self) -> Result<Node, Mistake> {
        let mut nodes = Vec::new();
        while let Some(token) = self.peek() {
            let node = match token {
                Next::Plain('|' | ')') => break,
                Next::Plain('*' | '+' | '?') => {
                    return Err(self.mistake("nothing to repeat; write a backslash before the character itself"));
                }
                Next::Plain('(') => match self.group()? {
                    Some(node) => node,
                    None => continue,
                },
                // Java repeats nothing then.
                Next::Plain('{') => Node::Empty,
                Next::Plain('[') => {
                    self.at += 1;
                    Node::Set(classes::class(self)?)
                }
                Next::Plain('\\') => {
                    self.at += 1;
                    match escapes::escape(self, false, false)? {
                        Escape::Char(code) => self.literal(code),
                        Escape::Set(set) => Node::Set(set),
                        Escape::Node(node) => node,
                    }
                }
                Next::Plain(c @ ('^' | '$' | '.')) => {
                    self.at += 1;
                    self.sign(c)
                }
                Next::Plain(c) | Next::Quoted(c) => {
                    self.at += 1;
                    self.literal(u32::from(c))
                }
            };
            let node = self.repeated(node)?;
            nodes.push(node);
        }
        Ok(match nodes.len() {
            0 => Node::Empty,
            1 => nodes.remove(0),
            _ => Node::Sequence(nodes),
        })
    }

    fn sign(&self, c: char) -> Node {
        let unix = self.flags.unix_lines;
        match c {
            '^' if self.flags.lines => Node::Test(Test::LineStart { unix }),
            '^' => Node::Test(Test::Start),
            '$' if self.flags.lines => Node::Test(Test::LineEnd { unix }),
            '$' => Node::Test(Test::LastLineEnd { unix }),
            _ if self.flags.dot_all => Node::Set(Set::all()),
            _ if unix => Node::Set(Set::one(10).negate()),
            _ => Node::Set(Set::of(&[(10, 10), (13, 13), (0x85, 0x85), (0x2028, 0x2029)]).negate()),
        }
    }

    /// A character, in both cases if they do not count.
    fn literal(&self, code: u32) -> Node {
        let set = match self.flags.fold() {
            Fold::Exact => return Node::Char(code),
            fold => classes::one_in_any_case(code, fold),
        };
        if set == Set::one(code) { Node::Char(code) } else { Node::Set(set) }
    }

    /// Behind `(`; nothing is left of `(?i)`.
    fn group(&mut self) -> Result<Option<Node>, Mistake> {
        self.parentheses += 1;
        if self.parentheses > GROUPS_MAX {
            return Err(self.mistake(format!("more than {GROUPS_MAX} groups")));
        }
        let open = self.at;
        self.at += 1;
        let before = self.flags;
        let node = if self.take('?') {
            match self.next_raw() {
                Some(':') => self.plain_group()?,
                Some('=') => self.look(false, false)?,
                Some('!') => self.look(false, true)?,
                Some('>') => Node::Atomic(Box::new(self.choice()?)),
                Some('<') => match self.next_raw() {
                    Some('=') => self.look(true, false)?,
                    Some('!') => self.look(true, true)?,
                    _ => {
                        self.at -= 1;
                        self.named()?
                    }
                },
                Some(_) => {
                    self.at -= 1;
                    if self.switch()? {
                        return Ok(None);
                    }
                    self.plain_group()?
                }
                None => return Err(self.mistake("a group that does not end; close it with `)`")),
            }
        } else {
            self.groups += 1;
            let group = self.groups - 1;
            Node::Group(group, Box::new(self.choice()?))
        };
        if !self.take(')') {
            self.at = open;
            return Err(self.mistake("a group that does not end; close it with `)`"));
        }
        self.flags = before;
        Ok(Some(node))
    }

    /// Behind `(?:`. A node of its own, so that what is repeated is a part in parentheses.
    fn plain_group(&mut self) -> Result<Node, Mistake> {
        let node = self.choice()?;
        Ok(if study::is_group(&node) { node } else { Node::Sequence(vec![node]) })
    }

    fn look(&mut self, behind: bool, negative: bool) -> Result<Node, Mistake> {
        let node = self.choice()?;
        let reach = behind.then(|| study::reach(&node));
        if reach == Some(None) {
            return Err(self.mistake("look-behind needs a greatest length; write {0,n} in place of * or +"));
        }
        Ok(Node::Look { behind: reach.flatten(), negative, node: Box::new(node) })
    }

    /// Behind `(?<`.
    fn named(&mut self) -> Result<Node, Mistake> {
        let name = self.name()?;
        if self.names.iter().any(|(known, _)| *known == name) {
            return Err(self.mistake_before(format!("a second group named `{name}`; give it another name")));
        }
        self.groups += 1;
        let group = self.groups - 1;
        self.names.push((name, group));
        Ok(Node::Group(group, Box::new(self.choice()?)))
    }

    /// The name of a group, up to its `>`.
    pub(super) fn name(&mut self) -> Result<String, Mistake> {
        let mut name = String::new();
        loop {
            match self.next_raw() {
                Some('>') if !name.is_empty() => return Ok(name),
                Some(c) if c.is_ascii_alphabetic() || (c.is_ascii_digit() && !name.is_empty()) => name.push(c),
                Some(_) => return Err(self.mistake_before("a group's name has letters, then letters and digits")),
                None => return Err(self.mistake("a group's name that does not end; close it with `>`")),
            }
        }
    }

    /// The flags behind `(?`; whether they are a group of their own.
    fn switch(&mut self) -> Result<bool, Mistake> {
        let mut on = true;
        loop {
            match self.next_raw() {
                Some(')') => return Ok(true),
                Some(':') => return Ok(false),
                Some('-') if on => on = false,
                Some(flag) if self.flags.set(flag, on) => {}
                Some(_) => return Err(self.mistake_before("no kind of group and no flag; the flags are idmsuxU")),
                None => return Err(self.mistake("flags that do not end; close them with `)` or `:`")),
            }
        }
    }

    /// The node with the quantifier behind it.
    fn repeated(&mut self, node: Node) -> Result<Node, Mistake> {
        let (min, max) = match self.peek() {
            Some(Next::Plain('?')) => (0, 1),
            Some(Next::Plain('*')) => (0, NO_MAX),
            Some(Next::Plain('+')) => (1, NO_MAX),
            Some(Next::Plain('{')) => (0, 0),
            _ => return Ok(node),
        };
        self.at += 1;
        let (min, max) = if max == 0 { self.bounds()? } else { (min, max) };
        // One way only: Java does not come back to another.
        let node = if matches!(node, Node::LineEnd) { Node::Atomic(Box::new(node)) } else { node };
        let times = |greedy| Times { min, max, greedy };
        Ok(if self.take('?') {
            Node::Repeat(Box::new(node), times(false))
        } else if self.take('+') {
            let once = Node::Atomic(Box::new(node));
            Node::Atomic(Box::new(Node::Repeat(Box::new(once), times(true))))
        } else {
            Node::Repeat(Box::new(node), times(true))
        })
    }

    /// Behind `{`, up to `}`.
    fn bounds(&mut self) -> Result<(u32, u32), Mistake> {
        let min = self.digits()?.ok_or_else(|| self.mistake("no number in `{…}`; write \\{ for the character"))?;
        let max = match self.raw() {
            Some(Next::Plain(',')) => {
                self.at += 1;
                self.digits()?.unwrap_or(NO_MAX)
            }
            _ => min,
        };
        if self.next_raw() != Some('}') {
            return Err(self.mistake_before("`{…}` does not end; close it with `}`"));
        }
        if max < min {
            return Err(self.mistake_before("`{…}` ends before it begins; write the lesser number first"));
        }
        Ok((min, max))
    }

    fn digits(&mut self) -> Result<Option<u32>, Mistake> {
        let mut number = None;
        while let Some(digit) = self.raw().and_then(|token| token.char().to_digit(10)) {
            let larger = number.unwrap_or(0u32).checked_mul(10).and_then(|number| number.checked_add(digit));
            let larger = larger.filter(|number| *number <= i32::MAX as u32);
            number = Some(larger.ok_or_else(|| self.mistake("a number above 2147483647 in `{…}`"))?);
            self.at += 1;
        }
        Ok(number)
    }
}
