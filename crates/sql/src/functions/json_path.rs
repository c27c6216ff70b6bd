//! `get_json_object(text, '$.a.b[0]')`: extracts what a path names from a JSON text, as Spark does.
//!
//! A matching name with a null value is skipped; the first other value is the result. The rest of the surrounding
//! objects is still read, and an error there gives NULL. A string is returned raw, other values as compact JSON, with
//! fractions through double. `[*]` names all elements: a single one comes out alone, several as an array, and two
//! wildcards side by side make one flat array (Hive's rules, which Spark keeps).

use super::json::{Json, Read};
use super::{Arguments, Function, Param, build};
use arrow_array::ArrayRef;

pub(super) const FUNCTIONS: &[Function] = &[Function {
    name: "get_json_object",
    usage: "get_json_object(json, path)",
    about: "The part of a JSON text at a path such as `$.a.b[0]` or `$.a[*].b`, as text; NULL if there is none.",
    example: "get_json_object('{\"a\":\"b\"}', '$.a')",
    params: &[Param::OnlyString, Param::OnlyString],
    required: 2,
    kernel: get_json_object,
    ..Function::BLANK
}];

fn get_json_object(arguments: &mut Arguments) -> ArrayRef {
    let (texts, paths) = (arguments.columns[0].texts(), arguments.columns[1].texts());
    let constant = arguments.columns[1].constant.then(|| paths.get(0).and_then(parse_path));
    build::texts(arguments.rows, |row| {
        let text = texts.get(row)?;
        match &constant {
            Some(path) => value_at(text, path.as_deref()?),
            None => value_at(text, &parse_path(paths.get(row)?)?),
        }
    })
}

fn value_at(text: &str, path: &[Step]) -> Option<String> {
    let mut out = Written::default();
    let found = find(&mut Json::new(text), path, Style::Raw, &mut out).ok()?;
    found.then_some(out.text)
}

/// A step of a path.
enum Step {
    Name(String),
    Index(usize),
    /// `[*]`: all elements.
    Every,
    /// `.*`, `['*']`: matches nothing in Spark.
    Nothing,
}

/// `$`, then `.name`, `['name']`, `[number]` or `[*]`; `None` for anything else.
fn parse_path(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(name) = rest.strip_prefix('.') {
            let end = name.find(['.', '[']).unwrap_or(name.len());
            if end == 0 {
                return None;
            }
            steps.push(named(&name[..end]));
            rest = &name[end..];
        } else if let Some(name) = rest.strip_prefix("['") {
            let end = name.find("']")?;
            if end == 0 || name[..end].contains(['\'', '?']) {
                return None;
            }
            steps.push(named(&name[..end]));
            rest = &name[end + 2..];
        } else if let Some(behind) = rest.strip_prefix("[*]") {
            steps.push(Step::Every);
            rest = behind;
        } else {
            let number = rest.strip_prefix('[')?;
            let end = number.find(']')?;
            steps.push(Step::Index(number[..end].parse().ok()?));
            rest = &number[end + 1..];
        }
    }
    Some(steps)
}

fn named(name: &str) -> Step {
    if name == "*" { Step::Nothing } else { Step::Name(name.into()) }
}

/// How a value is written.
#[derive(Clone, Copy, PartialEq)]
enum Style {
    /// A string without quotes.
    Raw,
    /// As JSON.
    Quoted,
    /// As JSON; of an array its elements.
    Flat,
}

/// JSON under construction: a comma before each value but the first of an array.
#[derive(Default)]
struct Written {
    text: String,
    /// Of each open array, whether it has a value.
    open: Vec<bool>,
}

impl Written {
    fn separate(&mut self) {
        if let Some(has_value) = self.open.last_mut()
            && std::mem::replace(has_value, true)
        {
            self.text.push(',');
        }
    }

    fn begin(&mut self) {
        self.separate();
        self.text.push('[');
        self.open.push(false);
    }

    fn end(&mut self) {
        self.text.push(']');
        self.open.pop();
    }
}

/// Writes the value at the path; returns whether there is one.
fn find(json: &mut Json, path: &[Step], style: Style, out: &mut Written) -> Read<bool> {
    match (json.peek()?, path) {
        (_, []) if style == Style::Raw => json.raw(&mut out.text).map(|()| true),
        ('[', []) if style == Style::Flat => each(json, |json| find(json, &[], style, out)).map(|count| count > 0),
        (_, []) => {
            out.separate();
            json.copy(Some(&mut out.text))?;
            Ok(true)
        }
        ('{', [Step::Name(name), rest @ ..]) => {
            let mut found = false;
            json.members('{', '}', |json, _| {
                let key = json.key()?;
                if found || !key.halves.is_empty() || key.whole != *name || json.rest_starts("null") {
                    return json.copy(None);
                }
                found = find(json, rest, style, out)?;
                Ok(())
            })?;
            Ok(found)
        }
        ('[', [Step::Every, rest @ ..]) => every(json, rest, style, out),
        ('[', [Step::Index(index), rest @ ..]) => {
            let style = if let [Step::Every, ..] = rest { Style::Quoted } else { style };
            let mut found = false;
            json.members('[', ']', |json, number| {
                if number != *index {
                    return json.copy(None);
                }
                found = find(json, rest, style, out)?;
                Ok(())
            })?;
            Ok(found)
        }
        _ => {
            json.copy(None)?;
            Ok(false)
        }
    }
}

/// The elements of an array, each by the path `rest`.
fn every(json: &mut Json, rest: &[Step], style: Style, out: &mut Written) -> Read<bool> {
    if let [Step::Every, rest @ ..] = rest {
        out.begin();
        let count = each(json, |json| find(json, rest, Style::Flat, out))?;
        out.end();
        return Ok(count > 0);
    }
    if style == Style::Quoted {
        out.begin();
        let count = each(json, |json| find(json, rest, style, out))?;
        out.end();
        return Ok(count > 0);
    }
    let style = if style == Style::Raw { Style::Quoted } else { style };
    let mut elements = Written::default();
    elements.begin();
    let count = each(json, |json| find(json, rest, style, &mut elements))?;
    elements.end();
    match count {
        0 => {}
        1 => {
            out.separate();
            out.text.push_str(&elements.text[1..elements.text.len() - 1]);
        }
        _ => {
            out.separate();
            out.text.push_str(&elements.text);
        }
    }
    Ok(count > 0)
}

/// Reads the elements of an array; returns how many of them gave something.
fn each(json: &mut Json, mut element: impl FnMut(&mut Json) -> Read<bool>) -> Read<usize> {
    let mut count = 0;
    json.members('[', ']', |json, _| {
        count += usize::from(element(json)?);
        Ok(())
    })?;
    Ok(count)
}
