//! Splits a CSV line into values as Spark's parser does: quote `"`, escape `\`; a value with misplaced quotes extends
//! to the next separator.
//!
//! ```text
//!   a,b           two values; quotes and escapes inside a value have no meaning
//!   "a,\"b\\"     quoted: `\"` is a quote, `\\` a backslash, any other `\` is itself
//!   "a" ,b        space after the closing quote is skipped
//!   "a"b,c        other text after the closing quote: the value is not quoted, it is `"a"b`
//! ```
//! Stranger input, such as an escape after a closing quote, follows from the parser's states. Rows depend on it, so the
//! states are copied one by one and tested against a thousand random lines.

/// Splits lines; reuses its memory.
#[derive(Debug)]
pub struct Cells {
    separator: Vec<u8>,
    quote: u8,
    escape: u8,
    text: Vec<u8>,
    /// One past the last byte of each value in `text`.
    ends: Vec<usize>,
}

/// How values stand in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvForm {
    /// What stands between two values.
    pub separator: String,
    /// What stands around a value that holds a separator.
    pub quote: u8,
    /// What stands before a quote inside of quotes; another character than `quote`.
    pub escape: u8,
}

impl Default for CsvForm {
    fn default() -> CsvForm {
        CsvForm { separator: ",".into(), quote: b'"', escape: b'\\' }
    }
}

/// The values of a line.
pub fn split_csv(line: &str, form: &CsvForm) -> Vec<String> {
    let mut cells = Cells::of(form);
    cells.cut(line.as_bytes());
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (0..cells.len()).filter_map(|place| cells.get(place).map(text)).collect()
}

/// The character class at a position of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Nothing,
    Quote,
    Escape,
    Separator,
    Space(u8),
    Plain(u8),
}

/// The line has ended.
struct End;

type Step = Result<(), End>;

/// A line that is being split.
struct Cutter<'a> {
    cells: &'a mut Cells,
    line: &'a [u8],
    at: usize,
    /// Where the value begins in `text`.
    start: usize,
    now: Mark,
    before: Mark,
    /// The value began with a quote but is not quoted.
    unquoted: bool,
}

impl Cells {
    /// A splitter for this separator.
    pub fn new(separator: char) -> Cells {
        Cells::of(&CsvForm { separator: separator.to_string(), ..CsvForm::default() })
    }

    /// A splitter for lines of this form.
    pub fn of(form: &CsvForm) -> Cells {
        let separator = form.separator.clone().into_bytes();
        Cells { separator, quote: form.quote, escape: form.escape, text: Vec::new(), ends: Vec::new() }
    }

    /// Splits a line; replaces the line before.
    pub fn cut(&mut self, line: &[u8]) {
        self.text.clear();
        self.ends.clear();
        let (now, before) = (Mark::Nothing, Mark::Nothing);
        let mut cutter = Cutter { cells: self, line, at: 0, start: 0, now, before, unquoted: false };
        if cutter.values().is_err() {
            cutter.last_value();
        }
    }

    /// Number of values in the line.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The value at a position; `None` after the last.
    pub fn get(&self, place: usize) -> Option<&[u8]> {
        let end = *self.ends.get(place)?;
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.text[start..end])
    }
}

impl Cutter<'_> {
    /// All values except the last, which ends with the line.
    fn values(&mut self) -> Step {
        self.step()?;
        loop {
            match self.now {
                Mark::Separator => self.end_value(),
                Mark::Quote => {
                    (self.unquoted, self.before) = (false, Mark::Nothing);
                    self.quoted()?;
                    self.end_value();
                }
                _ => {
                    (self.unquoted, self.before) = (false, Mark::Nothing);
                    self.take_until(&[Mark::Separator])?;
                    self.end_value();
                }
            }
            self.step()?;
        }
    }

    fn last_value(&mut self) {
        if self.now == Mark::Quote && self.before != Mark::Quote && !self.unquoted {
            self.put(Mark::Quote);
        }
        if !self.line.is_empty() {
            self.end_value();
        }
    }

    /// After an opening quote.
    fn quoted(&mut self) -> Step {
        self.step()?;
        loop {
            match self.now {
                Mark::Separator | Mark::Space(_) if self.before == Mark::Quote => break,
                Mark::Quote | Mark::Escape => {
                    self.quote_or_escape()?;
                    self.before = self.now;
                    self.step()?;
                    if self.unquoted && self.now == Mark::Separator {
                        return Ok(());
                    }
                }
                now if self.before == Mark::Quote => {
                    self.unquoted = true;
                    self.put(Mark::Quote);
                    self.put(now);
                    return self.raw();
                }
                _ => {
                    if self.before == Mark::Escape {
                        self.put(Mark::Escape);
                    }
                    self.take_until(&[Mark::Quote, Mark::Escape])?;
                    self.before = self.now;
                    self.step()?;
                }
            }
        }
        self.behind_quotes()
    }

    /// After a closing quote. Space before the separator is dropped. Before anything else the space and the quotes
    /// belong to the value.
    fn behind_quotes(&mut self) -> Step {
        let mut spaces = Vec::new();
        while let Mark::Space(_) = self.now {
            spaces.push(self.now);
            self.step()?;
        }
        if self.now == Mark::Separator {
            return Ok(());
        }
        self.put(Mark::Quote);
        spaces.into_iter().for_each(|space| self.put(space));
        self.put(self.now);
        self.raw()
    }

    /// The rest of a value that is not quoted after all: puts its quote back and reads up to the separator.
    fn raw(&mut self) -> Step {
        self.cells.text.insert(self.start, self.cells.quote);
        self.before = self.now;
        self.step()?;
        self.take_until(&[Mark::Separator])
    }

    /// A quote or an escape inside quotes. May consume the character that follows.
    fn quote_or_escape(&mut self) -> Step {
        match (self.before, self.now) {
            (Mark::Escape, now) => {
                self.put(now);
                self.now = Mark::Nothing;
            }
            (Mark::Quote, Mark::Quote) => self.put(Mark::Quote),
            (Mark::Quote, _) => {
                self.put(Mark::Quote);
                self.before = self.now;
                return self.escaped_until_separator();
            }
            _ => {}
        }
        Ok(())
    }

    /// After an escape that follows a closing quote: up to the separator escapes have a meaning, quotes have none.
    fn escaped_until_separator(&mut self) -> Step {
        while self.now != Mark::Separator {
            match self.now {
                Mark::Quote | Mark::Escape => self.quote_or_escape()?,
                now if self.before == Mark::Quote => {
                    self.put(Mark::Quote);
                    self.before = now;
                    return self.escaped_until_separator();
                }
                now => self.put(now),
            }
            self.before = self.now;
            self.step()?;
        }
        Ok(())
    }

    /// Takes this character and the following ones, up to one of the marks. At the line's end `now` is still the first
    /// of them.
    fn take_until(&mut self, stops: &[Mark]) -> Step {
        let mut mark = self.now;
        while !stops.contains(&mark) {
            self.put(mark);
            mark = self.next().ok_or(End)?;
        }
        self.now = mark;
        Ok(())
    }

    /// Moves one character on; at the line's end `now` stays.
    fn step(&mut self) -> Step {
        self.now = self.next().ok_or(End)?;
        Ok(())
    }

    fn next(&mut self) -> Option<Mark> {
        let rest = &self.line[self.at..];
        let first = *rest.first()?;
        if rest.starts_with(&self.cells.separator) {
            self.at += self.cells.separator.len();
            return Some(Mark::Separator);
        }
        self.at += 1;
        Some(match first {
            quote if quote == self.cells.quote => Mark::Quote,
            escape if escape == self.cells.escape => Mark::Escape,
            0..=b' ' => Mark::Space(first),
            _ => Mark::Plain(first),
        })
    }

    fn put(&mut self, mark: Mark) {
        match mark {
            Mark::Nothing => {}
            Mark::Quote => self.cells.text.push(self.cells.quote),
            Mark::Escape => self.cells.text.push(self.cells.escape),
            Mark::Separator => self.cells.text.extend_from_slice(&self.cells.separator),
            Mark::Space(byte) | Mark::Plain(byte) => self.cells.text.push(byte),
        }
    }

    fn end_value(&mut self) {
        self.start = self.cells.text.len();
        self.cells.ends.push(self.start);
    }
}
