//! Parses TOML text into a tree whose values know their position, and applies `--set` values.
//!
//! Does not know what the keys mean.

use std::ops::Range;
use tidemill_model::Secret;
use tidemill_model::diagnostic::{Diagnostic, Located, SourceText};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A table: entries in file order, those of `--set` last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub entries: Vec<Entry>,
}

/// One `key = value` or `[key]`.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub key: String,
    pub key_span: Range<usize>,
    pub value: Value,
    pub value_span: Range<usize>,
}

/// A value of the file.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    String(Located),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Table(Table),
    /// A value of a kind that no option takes; holds the name of the kind.
    Other(&'static str),
}

impl Value {
    /// The kind of the value, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::String(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a float",
            Value::Boolean(_) => "a boolean",
            Value::Table(_) => "a table",
            Value::Other(kind) => kind,
        }
    }
}

/// A reference inside a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference<'a> {
    /// `${ENV:NAME}`: an environment variable.
    Env(&'a str),
    /// `${FILE:PATH}`: the content of a file, without its final line end.
    File(&'a str),
}

/// Looks up a reference. An error has the form `what is wrong; what to do`.
pub type Lookup<'a> = &'a dyn Fn(Reference<'_>) -> Result<Secret, String>;

/// The secrets that references gave, each with the reference to show in its place.
pub(crate) type Found = Vec<(Secret, String)>;

/// Parses a file. Returns as much of the tree as could be read; adds faults to `faults` and secrets to `found`.
pub(crate) fn read(
    source: &SourceText,
    lookup: Option<Lookup>,
    found: &mut Found,
    faults: &mut Vec<Diagnostic>,
) -> Table {
    let (document, errors) = DeTable::parse_recoverable(&source.text);
    for error in errors {
        let message = error.message().trim().replace('\n', ", ");
        let at = error.span().unwrap_or(0..0);
        let help = match message.contains("escape") {
            true => "\\ begins an escape inside \" and \"\"\"; use ' or ''', where it is a plain character",
            false => "correct the TOML",
        };
        faults.push(source.diagnostic(at, message, help));
    }
    if !faults.is_empty() {
        return Table::default();
    }
    let mut reader = Reader { source, text: &source.text, offset: 0, lookup, found, faults };
    reader.table(document.get_ref())
}

/// Applies one `--set key=value`. The value is TOML if it parses as TOML, else a string.
pub(crate) fn set(
    root: &mut Table,
    source: &mut SourceText,
    key: &str,
    text: &str,
    lookup: Option<Lookup>,
    found: &mut Found,
    faults: &mut Vec<Diagnostic>,
) {
    let offset = source.add_override(key, text);
    let whole = offset..offset + text.len();
    let value = match DeValue::parse(text) {
        Ok(value) => Reader { source, text, offset, lookup, found, faults }.value(&value),
        Err(_) => {
            let map = (whole.start..=whole.end).collect();
            let located = Located { text: text.into(), span: whole.clone(), map, is_hidden: false };
            Value::String(substitute(located, source, lookup, found, faults))
        }
    };
    let mut table = root;
    let names: Vec<&str> = key.split('.').map(str::trim).collect();
    let (last, path) = names.split_last().expect("split gives at least one piece");
    if names.iter().any(|name| name.is_empty()) {
        let help = "write --set key=value with a dotted key, for instance --set autoscale.max_executors=2";
        faults.push(source.diagnostic(whole, format!("`{key}` is not a key"), help));
        return;
    }
    for name in path {
        let index = table.entries.iter().position(|entry| entry.key == *name).unwrap_or_else(|| {
            let value = Value::Table(Table::default());
            let (key_span, value_span) = (whole.clone(), whole.clone());
            table.entries.push(Entry { key: name.to_string(), key_span, value, value_span });
            table.entries.len() - 1
        });
        match &mut table.entries[index].value {
            Value::Table(inner) => table = inner,
            other => {
                let message = format!("`{name}` is {}, not a table", other.kind());
                faults.push(source.diagnostic(whole, message, "name an option inside a table"));
                return;
            }
        }
    }
    let entry = Entry { key: last.to_string(), key_span: whole.clone(), value, value_span: whole };
    match table.entries.iter_mut().find(|entry| entry.key == *last) {
        Some(place) => *place = entry,
        None => table.entries.push(entry),
    }
}

struct Reader<'a> {
    source: &'a SourceText,
    /// The text being parsed: the file's, or that of a `--set` value.
    text: &'a str,
    /// Position of the text's first byte in `source`.
    offset: usize,
    lookup: Option<Lookup<'a>>,
    found: &'a mut Found,
    faults: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn table(&mut self, table: &DeTable) -> Table {
        let mut entries: Vec<Entry> = table
            .iter()
            .map(|(key, value)| Entry {
                key: key.get_ref().to_string(),
                key_span: self.shift(key.span()),
                value: self.value(value),
                value_span: self.shift(value.span()),
            })
            .collect();
        entries.sort_by_key(|entry| entry.key_span.start);
        Table { entries }
    }

    fn value(&mut self, value: &Spanned<DeValue>) -> Value {
        match value.get_ref() {
            DeValue::String(text) => {
                let span = value.span();
                let (unescaped, map) = unescape(&self.text[span.clone()]);
                assert_eq!(unescaped, text.as_ref(), "our reading of a TOML string differs from the library's");
                let map = map.into_iter().map(|byte| self.offset + span.start + byte).collect();
                let located = Located { text: unescaped, span: self.shift(span), map, is_hidden: false };
                Value::String(substitute(located, self.source, self.lookup, self.found, self.faults))
            }
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Value::Integer(number),
                Err(_) => Value::Other("an integer beyond 64 bits"),
            },
            DeValue::Float(number) => number.as_str().parse().map_or(Value::Other("a float"), Value::Float),
            DeValue::Boolean(value) => Value::Boolean(*value),
            DeValue::Datetime(_) => Value::Other("a date"),
            DeValue::Array(_) => Value::Other("an array"),
            DeValue::Table(table) => Value::Table(self.table(table)),
        }
    }

    fn shift(&self, span: Range<usize>) -> Range<usize> {
        span.start + self.offset..span.end + self.offset
    }
}

/// Replaces `${ENV:NAME}` and `${FILE:PATH}` by their values. Without a lookup the text stays as it is.
fn substitute(
    located: Located,
    source: &SourceText,
    lookup: Option<Lookup>,
    found: &mut Found,
    faults: &mut Vec<Diagnostic>,
) -> Located {
    let Some(lookup) = lookup.filter(|_| next_reference(&located.text).is_some()) else {
        return located;
    };
    let mut out = Located { span: located.span.clone(), is_hidden: true, ..Located::default() };
    let mut rest = 0;
    while let Some((place, reference)) = next_reference(&located.text[rest..]) {
        let (open, end) = (rest + place.start, rest + place.end);
        out.text.push_str(&located.text[rest..open]);
        out.map.extend_from_slice(&located.map[rest..open]);
        match lookup(reference) {
            Ok(value) => {
                out.map.extend(std::iter::repeat_n(located.map[open], value.expose().len()));
                out.text.push_str(value.expose());
                found.push((value, located.text[open..end].to_owned()));
            }
            Err(message) => {
                let (what, help) = message.split_once("; ").unwrap_or((&message, "write the value here"));
                faults.push(source.diagnostic(located.file_span(open..end), what, help));
            }
        }
        rest = end;
    }
    out.text.push_str(&located.text[rest..]);
    out.map.extend_from_slice(&located.map[rest..]);
    out
}

/// The text with its references replaced by their values.
///
/// # Errors
/// The error of `lookup` for the first reference that it does not know.
pub fn substituted(text: &str, lookup: Lookup) -> Result<Secret, String> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((place, reference)) = next_reference(rest) {
        out.push_str(&rest[..place.start]);
        out.push_str(lookup(reference)?.expose());
        rest = &rest[place.end..];
    }
    Ok(Secret::new(out + rest))
}

/// The first reference of a text, and its byte range.
fn next_reference(text: &str) -> Option<(Range<usize>, Reference<'_>)> {
    let kinds: [(&str, fn(&str) -> Reference<'_>); 2] =
        [("${ENV:", |name| Reference::Env(name)), ("${FILE:", |path| Reference::File(path))];
    let found = kinds.into_iter().filter_map(|(open, kind)| {
        let start = text.find(open)?;
        let name = start + open.len();
        let length = text[name..].find('}')?;
        Some((start..name + length + 1, kind(&text[name..name + length])))
    });
    found.min_by_key(|(place, _)| place.start)
}

/// The content of a TOML string. For each byte of it (and one past its end) also the byte of `raw` that it comes from.
fn unescape(raw: &str) -> (String, Vec<usize>) {
    let multiline = raw.starts_with("\"\"\"") || raw.starts_with("'''");
    let quotes = if multiline { 3 } else { 1 };
    let end = raw.len() - quotes;
    let mut at = quotes;
    if multiline {
        at += raw[at..].len() - strip_newline(&raw[at..]).len();
    }
    let (mut text, mut map) = (String::new(), Vec::new());
    let mut push = |c: char, from: usize| {
        text.push(c);
        map.extend(std::iter::repeat_n(from, c.len_utf8()));
    };
    while at < end {
        let c = raw[at..].chars().next().expect("inside the string");
        let next = at + c.len_utf8();
        if c != '\\' || raw.starts_with('\'') {
            push(c, at);
            at = next;
            continue;
        }
        let escape = raw[next..].chars().next().expect("the library accepted the escape");
        let digits = |count: usize| {
            let code = u32::from_str_radix(&raw[next + 1..next + 1 + count], 16).ok().and_then(char::from_u32);
            (code.expect("the library accepted the escape"), next + 1 + count)
        };
        let (c, after) = match escape {
            'x' => digits(2),
            'u' => digits(4),
            'U' => digits(8),
            'b' => ('\u{8}', next + 1),
            't' => ('\t', next + 1),
            'n' => ('\n', next + 1),
            'f' => ('\u{c}', next + 1),
            'r' => ('\r', next + 1),
            'e' => ('\u{1b}', next + 1),
            '"' | '\\' => (escape, next + 1),
            _ => {
                at = end.min(raw.len() - raw[next..].trim_start_matches([' ', '\t', '\r', '\n']).len());
                continue;
            }
        };
        push(c, at);
        at = after;
    }
    map.push(end);
    (text, map)
}

fn strip_newline(text: &str) -> &str {
    text.strip_prefix("\r\n").or_else(|| text.strip_prefix('\n')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_of_a_string_knows_its_place() {
        for (raw, text, map) in [
            (r#""ab""#, "ab", vec![1, 2, 3]),
            (r#""a\tb""#, "a\tb", vec![1, 2, 4, 5]),
            (r#""\u00e9x""#, "éx", vec![1, 1, 7, 8]),
            ("\"\"\"\na\\\n   b\"\"\"", "ab", vec![4, 10, 11]),
            ("\"\"\"\r\na\"\"\"", "a", vec![5, 6]),
            (r"'\t'", r"\t", vec![1, 2, 3]),
            ("'''a'b'''", "a'b", vec![3, 4, 5, 6]),
            ("\"\"\"a\"\"\"\"", "a\"", vec![3, 4, 5]),
        ] {
            assert_eq!(unescape(raw), (text.to_string(), map), "{raw}");
        }
    }
}
