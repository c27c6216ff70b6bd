//! Typed access to the tables of a pipeline file. A key that no reader asks for is reported as unknown.

use crate::document::{Entry, Table, Value};
use std::cell::RefCell;
use std::ops::Range;
use tidemill_model::Secret;
use tidemill_model::diagnostic::{Diagnostic, Located, SourceText, nearest};
use tidemill_model::interval::Interval;
use tidemill_model::pipeline::ClientOption;

/// A table that is being read.
pub(crate) struct Section<'a> {
    source: &'a SourceText,
    faults: &'a RefCell<Vec<Diagnostic>>,
    /// The table's dotted name; empty for the whole file.
    path: String,
    /// Where a missing key is reported.
    span: Range<usize>,
    table: &'a Table,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    pub fn root(source: &'a SourceText, table: &'a Table, faults: &'a RefCell<Vec<Diagnostic>>) -> Section<'a> {
        Section { source, faults, path: String::new(), span: 0..0, table, asked: RefCell::default() }
    }

    /// Position of the table's name.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Reports a mistake at a position.
    pub fn fault(&self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.faults.borrow_mut().push(self.source.diagnostic(span, message, help));
    }

    pub fn string(&self, key: &'static str) -> Option<&'a Located> {
        let entry = self.entry(key)?;
        match &entry.value {
            Value::String(located) => Some(located),
            other => self.wrong_kind(entry, other, "a string"),
        }
    }

    pub fn required_string(&self, key: &'static str, example: &str) -> Option<&'a Located> {
        if !self.has(key) {
            let within = if self.path.is_empty() { String::new() } else { format!(" in [{}]", self.path) };
            self.fault(self.span(), format!("`{key}` is missing{within}"), format!("add {key} = {example}"));
        }
        self.string(key)
    }

    pub fn boolean(&self, key: &'static str) -> Option<bool> {
        let entry = self.entry(key)?;
        match &entry.value {
            Value::Boolean(value) => Some(*value),
            other => self.wrong_kind(entry, other, "true or false"),
        }
    }

    /// A whole number of at least `least`.
    pub fn integer(&self, key: &'static str, least: i64) -> Option<i64> {
        let entry = self.entry(key)?;
        match &entry.value {
            Value::Integer(number) if *number >= least => Some(*number),
            Value::Integer(number) => {
                let message = format!("`{key}` is {number}");
                self.fault(entry.value_span.clone(), message, format!("give a number of at least {least}"));
                None
            }
            other => self.wrong_kind(entry, other, "an integer"),
        }
    }

    /// A number above 0.
    pub fn positive(&self, key: &'static str) -> Option<f64> {
        let entry = self.entry(key)?;
        let number = match &entry.value {
            Value::Integer(number) => *number as f64,
            Value::Float(number) => *number,
            other => return self.wrong_kind(entry, other, "a number"),
        };
        if number > 0.0 && number.is_finite() {
            return Some(number);
        }
        self.fault(entry.value_span.clone(), format!("`{key}` is {number}"), "give a number above 0");
        None
    }

    pub fn interval(&self, key: &'static str) -> Option<(Interval, Range<usize>)> {
        let text = self.string(key)?;
        match Interval::parse(&text.text) {
            Ok(interval) => Some((interval, text.span.clone())),
            Err(message) => {
                self.sentence(text.span.clone(), &message);
                None
            }
        }
    }

    /// An interval without months, in milliseconds, of at least `least_ms`.
    pub fn millis(&self, key: &'static str, least_ms: i64) -> Option<u64> {
        let (interval, span) = self.interval(key)?;
        match interval.fixed_micros() {
            Ok(micros) if micros / 1_000 >= least_ms => return Some((micros / 1_000) as u64),
            Ok(_) => {
                let help = format!("give at least {least_ms} milliseconds");
                self.fault(span, format!("`{key}` is too short"), help);
            }
            Err(message) => self.sentence(span, &message),
        }
        None
    }

    /// A size: `"512 MB"`, `"2 GB"`. One MB is a million bytes.
    pub fn byte_size(&self, key: &'static str) -> Option<u64> {
        let text = self.string(key)?;
        let words: Vec<&str> = text.text.split_whitespace().collect();
        let unit = |word: &str| ["KB", "MB", "GB"].iter().position(|unit| word.eq_ignore_ascii_case(unit));
        let size = match words.as_slice() {
            [number, word] => number.parse::<u64>().ok().zip(unit(word)),
            _ => None,
        };
        let bytes = size.and_then(|(number, unit)| number.checked_mul(1_000u64.pow(unit as u32 + 1)));
        let bytes = bytes.filter(|bytes| *bytes > 0);
        if bytes.is_none() {
            let message = format!("`{key}` is \"{}\"", text.text);
            self.fault(text.span.clone(), message, "write a whole number and KB, MB or GB, such as \"2 GB\"");
        }
        bytes
    }

    /// One of a few words. `words` holds (word, meaning).
    pub fn word<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.string(key)?;
        let found = words.iter().find(|(word, _)| text.text.trim().eq_ignore_ascii_case(word));
        if found.is_none() {
            let all: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            let message = format!("`{key}` is \"{}\"", text.text);
            self.fault(text.span.clone(), message, format!("choose {}", all.join(" or ")));
        }
        found.map(|(_, meaning)| *meaning)
    }

    /// A table inside this one. Reports a key of that name that is not a table.
    pub fn section(&self, key: &'static str) -> Option<Section<'a>> {
        let entry = self.entry(key)?;
        self.enter(entry)
    }

    /// The tables `[key.NAME]`, each with its name.
    pub fn named_sections(&self, key: &'static str) -> Vec<(String, Section<'a>)> {
        let Some(outer) = self.section(key) else {
            return Vec::new();
        };
        let entries = outer.table.entries.iter();
        entries.filter_map(|entry| Some((entry.key.clone(), outer.enter(entry)?))).collect()
    }

    /// Free `name = value` pairs. A name with dots may be quoted or not.
    pub fn pairs(&self, key: &'static str) -> Vec<ClientOption> {
        let mut pairs = Vec::new();
        if let Some(section) = self.section(key) {
            section.collect_pairs(section.table, key, ("", None), &mut pairs);
        }
        pairs
    }

    /// `outer` is the name so far and the position of its first byte.
    fn collect_pairs(
        &self,
        table: &Table,
        key: &str,
        (outer, begin): (&str, Option<usize>),
        pairs: &mut Vec<ClientOption>,
    ) {
        for entry in &table.entries {
            let name = if outer.is_empty() { entry.key.clone() } else { format!("{outer}.{}", entry.key) };
            // A dotted name begins at its first word, unless that word names a table.
            let is_near = |begin: &usize| (*begin..begin + name.len()).contains(&entry.key_span.start);
            let begin = begin.filter(is_near).unwrap_or(entry.key_span.start);
            let text = match &entry.value {
                Value::String(located) => Some(located.text.clone()),
                Value::Integer(number) => Some(number.to_string()),
                Value::Float(number) => Some(number.to_string()),
                Value::Boolean(value) => Some(value.to_string()),
                Value::Table(inner) => {
                    self.collect_pairs(inner, key, (&name, Some(begin)), pairs);
                    None
                }
                other => self.wrong_kind(entry, other, "a string, a number, true or false"),
            };
            pairs.extend(text.map(|text| ClientOption {
                key: format!("{key}.{name}"),
                name,
                key_span: begin..entry.key_span.end,
                value: Secret::new(text),
                value_span: entry.value_span.clone(),
            }));
        }
    }

    /// Position of a key's value.
    pub fn value_span(&self, key: &str) -> Range<usize> {
        self.table.entries.iter().find(|entry| entry.key == key).map_or(self.span(), |entry| entry.value_span.clone())
    }

    /// Reports the keys that nobody asked for.
    pub fn finish(self) {
        let asked = self.asked.borrow();
        for entry in self.table.entries.iter().filter(|entry| !asked.contains(&entry.key.as_str())) {
            let dotted = if self.path.is_empty() { entry.key.clone() } else { format!("{}.{}", self.path, entry.key) };
            let help = match nearest(&entry.key, asked.iter().copied()).first() {
                Some(known) => format!("did you mean `{known}`?"),
                None => {
                    let mut known: Vec<_> = asked.iter().map(|key| format!("`{key}`")).collect();
                    known.sort();
                    format!("the known keys here are {}", known.join(", "))
                }
            };
            self.fault(entry.key_span.clone(), format!("unknown key `{dotted}`"), help);
        }
    }

    /// Whether the file has that key.
    pub fn has(&self, key: &str) -> bool {
        self.table.entries.iter().any(|entry| entry.key == key)
    }

    fn entry(&self, key: &'static str) -> Option<&'a Entry> {
        if !self.asked.borrow().contains(&key) {
            self.asked.borrow_mut().push(key);
        }
        self.table.entries.iter().find(|entry| entry.key == key)
    }

    fn enter(&self, entry: &'a Entry) -> Option<Section<'a>> {
        let path = if self.path.is_empty() { entry.key.clone() } else { format!("{}.{}", self.path, entry.key) };
        match &entry.value {
            Value::Table(table) => Some(Section {
                source: self.source,
                faults: self.faults,
                path,
                span: entry.key_span.clone(),
                table,
                asked: RefCell::default(),
            }),
            other => {
                let message = format!("`{path}` must be a table, not {}", other.kind());
                self.fault(entry.value_span.clone(), message, format!("write [{path}] and its options below"));
                None
            }
        }
    }

    fn wrong_kind<T>(&self, entry: &Entry, value: &Value, wanted: &str) -> Option<T> {
        let message = format!("`{}` must be {wanted}, not {}", entry.key, value.kind());
        self.fault(entry.value_span.clone(), message, "change the value");
        None
    }

    /// Reports a message of the form `what is wrong; what to do`.
    pub fn sentence(&self, span: Range<usize>, message: &str) {
        let (what, help) = message.split_once("; ").unwrap_or((message, "change the value"));
        self.fault(span, what, help);
    }
}
