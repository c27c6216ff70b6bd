//! The token cursor that the grammar's parts share.

use super::Fault;
use super::lexer::{Ident, Token, tokens};
use super::query::Named;
use super::tables::InlineTable;
use std::ops::Range;

/// A cursor over the tokens of a text.
pub(super) struct Parser<'a> {
    pub text: &'a str,
    tokens: Vec<(Token, Range<usize>)>,
    next: usize,
    /// How deep the expression being read is nested.
    pub depth: usize,
    /// Whether a table's columns are being read.
    pub of_table: bool,
    /// Whether they are those of a record in a text: no colon behind a name, and names may differ in case alone.
    pub of_record: bool,
    /// The queries that WITH names, those that are seen first at the end.
    pub named: Vec<Named>,
    /// The inline tables that WITH names.
    pub tables: Vec<(Ident, InlineTable)>,
    /// SELECTs read so far; one that WITH names counts as often as it is read.
    pub selects: usize,
}

impl<'a> Parser<'a> {
    pub fn new(text: &'a str) -> Result<Parser<'a>, Fault> {
        let (named, tables) = (Vec::new(), Vec::new());
        let tokens = tokens(text)?;
        Ok(Parser { text, tokens, next: 0, depth: 0, of_table: false, of_record: false, named, tables, selects: 0 })
    }

    pub fn peek(&self) -> &Token {
        self.peek_at(0)
    }

    pub fn peek_at(&self, ahead: usize) -> &Token {
        &self.tokens[(self.next + ahead).min(self.tokens.len() - 1)].0
    }

    /// Place of the next token.
    pub fn here(&self) -> Range<usize> {
        self.tokens[self.next].1.clone()
    }

    /// End of the token before.
    pub fn last_end(&self) -> usize {
        if self.next == 0 { 0 } else { self.tokens[self.next - 1].1.end }
    }

    /// Where the cursor stands, for [`Parser::go_back`].
    pub fn place(&self) -> usize {
        self.next
    }

    pub fn go_back(&mut self, place: usize) {
        self.next = place;
    }

    pub fn advance(&mut self) -> Token {
        let token = self.tokens[self.next].0.clone();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    pub fn is_symbol(&self, symbol: &str) -> bool {
        self.is_symbol_at(0, symbol)
    }

    pub fn is_symbol_at(&self, ahead: usize, symbol: &str) -> bool {
        matches!(self.peek_at(ahead), Token::Symbol(found) if *found == symbol)
    }

    /// Whether a symbol comes so often, with nothing between.
    pub fn side_by_side(&self, symbol: &str, count: usize) -> bool {
        let tokens = self.tokens.get(self.next..self.next + count).unwrap_or_default();
        tokens.len() == count
            && tokens.iter().all(|(token, _)| matches!(token, Token::Symbol(found) if *found == symbol))
            && tokens.windows(2).all(|pair| pair[0].1.end == pair[1].1.start)
    }

    pub fn is_word(&self, word: &str) -> bool {
        self.is_word_at(0, word)
    }

    pub fn is_word_at(&self, ahead: usize, word: &str) -> bool {
        matches!(self.peek_at(ahead), Token::Word(found) if found.eq_ignore_ascii_case(word))
    }

    pub fn is_any_word(&self, words: &[&str]) -> bool {
        self.is_any_word_at(0, words)
    }

    pub fn is_any_word_at(&self, ahead: usize, words: &[&str]) -> bool {
        words.iter().any(|word| self.is_word_at(ahead, word))
    }

    pub fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(symbol);
        if found {
            self.advance();
        }
        found
    }

    pub fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.advance();
        }
        found
    }

    /// Takes the words if all of them are next.
    pub fn take_words(&mut self, words: &[&str]) -> bool {
        let found = words.iter().enumerate().all(|(ahead, word)| self.is_word_at(ahead, word));
        if found {
            words.iter().for_each(|_| drop(self.advance()));
        }
        found
    }

    pub fn expect_symbol(&mut self, symbol: &str) -> Result<(), Fault> {
        if self.take_symbol(symbol) { Ok(()) } else { Err(self.unexpected(&format!("`{symbol}`"))) }
    }

    pub fn expect_word(&mut self, word: &str) -> Result<(), Fault> {
        if self.take_word(word) { Ok(()) } else { Err(self.unexpected(word)) }
    }

    pub fn ident(&mut self, wanted: &str) -> Result<Ident, Fault> {
        let at = self.here();
        let (name, quoted) = match self.peek() {
            Token::Word(name) => (name.clone(), false),
            Token::Quoted(name) => (name.clone(), true),
            _ => return Err(self.unexpected(wanted)),
        };
        self.advance();
        Ok(Ident { name, quoted, at })
    }

    /// One or more, separated by commas.
    pub fn list<T>(&mut self, item: impl Fn(&mut Self) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
        let mut items = vec![item(self)?];
        while self.take_symbol(",") {
            items.push(item(self)?);
        }
        Ok(items)
    }

    pub fn end(&mut self) -> Result<(), Fault> {
        if *self.peek() == Token::End { Ok(()) } else { Err(self.unexpected("the end of the text")) }
    }

    /// The fault that the next token is not what the grammar wants.
    pub fn unexpected(&self, wanted: &str) -> Fault {
        let at = self.here();
        let word = &self.text[at.clone()];
        let message = match self.peek() {
            Token::End => "the text ends too early".to_string(),
            _ => format!("`{word}` is unexpected"),
        };
        let mut help = format!("{wanted} is expected here");
        if matches!(self.peek(), Token::Word(_)) && ["an expression", "a name"].contains(&wanted) {
            help.push_str(&format!("; a name that is a word of SQL stands in backticks: `{word}`"));
        }
        Fault::new(at, message, help)
    }
}
