//! Reads a JSON value into a row of a column, by the column's type (rules J3, J4, J5, J6, J9, J10).
//!
//! Every call appends exactly one row: the value, or NULL if the value does not fit the type. Only text that is not
//! JSON is an error; the caller then removes the whole record.

use super::column::{Column, Fixed, List, Map, Struct};
use super::decimal::decimal;
use super::intervals;
use super::java::base64;
use super::number::Number;
use super::rewrite::Rewriter;
use super::shape::{Member, Step};
use super::text::{Text, unescape, utf16_length};
use super::token::{Reader, Token, Visitor};
use super::{Malformed, STRING_MAX};

/// How a value fits its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Completely.
    Whole,
    /// Something inside it does not fit and is NULL.
    Partial,
    /// Not at all: the row is NULL.
    Wrong,
}

type Outcome = Result<Fit, Malformed>;

impl Reader<'_> {
    /// Reads the members of an object into a row of `object`. Its `{` has been consumed.
    #[inline]
    pub fn members(&mut self, object: &mut Struct) -> Outcome {
        object.begin_row();
        let mut fit = Fit::Whole;
        let mut step = Step::START;
        loop {
            let (next, member) = match object.shape.recognise(step, self.bytes, self.at) {
                Some((next, member, at)) => {
                    self.at = at;
                    (next, member)
                }
                None => self.parse_member(object, step)?,
            };
            step = next;
            let field = match member {
                Member::Field(field) => field,
                Member::Unknown if self.quick_skip() => continue,
                Member::Unknown => {
                    self.skip_value()?;
                    continue;
                }
                Member::End => break,
            };
            let first = object.is_first(field);
            let column = &mut object.columns[field];
            if first && self.quick_value(column) {
                continue;
            }
            if (if first { self.value(column) } else { self.duplicate(column) })? != Fit::Whole {
                fit = Fit::Partial;
                object.note_unfit(field);
            }
        }
        self.depth -= 1;
        object.end_row();
        Ok(fit)
    }

    /// Parses the next member's name or the object's end, and remembers it for the next record.
    fn parse_member(&mut self, object: &mut Struct, step: Step) -> Result<(Step, Member), Malformed> {
        let start = self.at;
        let member = if self.more(step.is_start(), b'}')? {
            let name = self.name()?;
            let raw = &self.bytes[name.start..name.end];
            self.skip_space();
            let known = if name.special { self.find_special(&object.names, raw) } else { find(&object.names, raw) };
            known.map_or(Member::Unknown, Member::Field)
        } else {
            Member::End
        };
        Ok((object.shape.learn(step, &self.bytes[start..self.at], member), member))
    }

    /// Finds a name with escapes or bytes beyond ASCII. A name with a lone surrogate matches no field, whatever Spark
    /// prints for it.
    fn find_special(&mut self, names: &[Box<[u8]>], raw: &[u8]) -> Option<usize> {
        self.scratch.text.clear();
        let lone = unescape(raw, &mut self.scratch.text);
        if lone { None } else { find(names, self.scratch.text.as_bytes()) }
    }

    /// A second value of a field. It replaces the first unless it does not fit (rule J6).
    #[cold]
    fn duplicate(&mut self, column: &mut Column) -> Outcome {
        let row = column.len() - 1;
        let fit = self.value(column)?;
        if fit == Fit::Wrong {
            column.truncate(row + 1)
        } else {
            column.remove(row..row + 1)
        }
        Ok(fit)
    }

    /// Reads a value and appends it to `column`.
    #[inline]
    pub fn value(&mut self, column: &mut Column) -> Outcome {
        let token = self.token()?;
        if let Token::Null = token {
            column.push_null();
            return Ok(Fit::Whole);
        }
        let done = match (&mut *column, token) {
            (Column::Double(values), Token::Number(number)) => put(values, Some(number.double(self.bytes))),
            (Column::String(values), Token::Text(text)) if !text.special && text.end - text.start <= STRING_MAX => {
                values.push(&self.bytes[text.start..text.end]);
                true
            }
            (Column::Int(values), Token::Number(number)) => put(values, narrow(number)),
            (Column::Long(values), Token::Number(number)) => put(values, number.long()),
            (Column::Short(values), Token::Number(number)) => put(values, narrow(number)),
            // Jackson accepts a byte up to 255 and lets it wrap.
            (Column::Byte(values), Token::Number(number)) => {
                put(values, number.long().filter(|long| (-128..=255).contains(long)).map(|long| long as i8))
            }
            (Column::Timestamp(values), Token::Number(number)) => {
                put(values, number.long().map(|seconds| seconds.wrapping_mul(1_000_000)))
            }
            (Column::Float(values), Token::Number(number)) => put(values, Some(number.float(self.bytes))),
            (Column::Double(values), Token::Word(word)) => put(values, Some(word)),
            (Column::Float(values), Token::Word(word)) => put(values, Some(word as f32)),
            (Column::Boolean(values), Token::True) => put(values, Some(true)),
            (Column::Boolean(values), Token::False) => put(values, Some(false)),
            (Column::Decimal { precision, scale, values }, Token::Number(number)) => {
                put(values, decimal(number.text(self.bytes), *precision, *scale))
            }
            (Column::Struct(object), Token::Open(b'{')) => return self.open().and_then(|()| self.members(object)),
            (Column::List(list), Token::Open(b'[')) => return self.elements(list),
            (Column::Map(map), Token::Open(b'{')) => return self.entries(map),
            (column, Token::Text(text)) => self.put_text(column, text),
            (Column::String(_), token) => return self.rewritten(column, token),
            (_, Token::Open(_)) => {
                self.walk(&mut ())?;
                false
            }
            _ => false,
        };
        Ok(if done {
            Fit::Whole
        } else {
            column.push_null();
            Fit::Wrong
        })
    }

    /// Appends a string to a column of any type; false if it does not fit.
    fn put_text(&mut self, column: &mut Column, text: Text) -> bool {
        let raw = &self.bytes[text.start..text.end];
        if raw.len() > STRING_MAX && utf16_length(raw) > STRING_MAX {
            return false;
        }
        let scratch = &mut *self.scratch;
        scratch.text.clear();
        unescape(raw, &mut scratch.text);
        let said = scratch.text.as_str();
        match column {
            Column::String(values) => {
                values.push(said.as_bytes());
                true
            }
            Column::Binary(values) => {
                scratch.bytes.clear();
                let good = base64(said.as_bytes(), &mut scratch.bytes);
                if good {
                    values.push(&scratch.bytes);
                }
                good
            }
            Column::Double(values) => put(values, word(said)),
            Column::Float(values) => put(values, word(said).map(|word| word as f32)),
            Column::Decimal { precision, scale, values } => {
                put(values, decimal(&said.replace(',', ""), *precision, *scale))
            }
            Column::Timestamp(values) => put(values, scratch.formats.timestamp(said, &scratch.defaults)),
            Column::TimestampNtz(values) => put(values, scratch.formats.timestamp_ntz(said)),
            Column::Date(values) => put(values, scratch.formats.date(said)),
            Column::Months { data_type, values } => {
                put(values, intervals::of_text(said, data_type).map(|months| months as i32))
            }
            Column::Micros { data_type, values } => put(values, intervals::of_text(said, data_type)),
            _ => false,
        }
    }

    /// Appends a token that is not a string to a STRING column.
    fn rewritten(&mut self, column: &mut Column, token: Token) -> Outcome {
        let mut rewriter = Rewriter { out: std::mem::take(&mut self.scratch.text), too_long: false };
        rewriter.out.clear();
        let walked = match token {
            Token::Open(_) => self.walk(&mut rewriter),
            scalar => {
                rewriter.scalar(self.bytes, &scalar);
                Ok(())
            }
        };
        self.scratch.text = rewriter.out;
        walked?;
        match column {
            Column::String(values) if !rewriter.too_long => {
                values.push(self.scratch.text.as_bytes());
                Ok(Fit::Whole)
            }
            _ => {
                column.push_null();
                Ok(Fit::Wrong)
            }
        }
    }

    /// An array. If one element does not fit, the array is NULL and the rest of it is skipped (rule J10).
    fn elements(&mut self, list: &mut List) -> Outcome {
        self.open()?;
        let mut fit = Fit::Whole;
        let mut first = true;
        while self.more(first, b']')? {
            first = false;
            if fit == Fit::Wrong {
                self.skip_value()?;
            } else {
                fit = fit.and(self.value(&mut list.elements)?);
            }
        }
        self.depth -= 1;
        if fit == Fit::Wrong {
            list.push_null()
        } else {
            list.end_row()
        }
        Ok(fit)
    }

    /// A map, treated like an array.
    fn entries(&mut self, map: &mut Map) -> Outcome {
        self.open()?;
        let mut fit = Fit::Whole;
        let mut first = true;
        while self.more(first, b'}')? {
            first = false;
            let name = self.name()?;
            if fit == Fit::Wrong {
                self.skip_value()?;
                continue;
            }
            self.scratch.text.clear();
            unescape(&self.bytes[name.start..name.end], &mut self.scratch.text);
            map.keys.push(self.scratch.text.as_bytes());
            fit = fit.and(self.value(&mut map.values)?);
        }
        self.depth -= 1;
        if fit == Fit::Wrong {
            map.push_null()
        } else {
            map.end_row()
        }
        Ok(fit)
    }
}

impl Fit {
    /// The worse of two. An element that does not fit makes the whole not fit.
    fn and(self, element: Fit) -> Fit {
        match (self, element) {
            (Fit::Wrong, _) | (_, Fit::Wrong) => Fit::Wrong,
            (Fit::Whole, Fit::Whole) => Fit::Whole,
            _ => Fit::Partial,
        }
    }
}

#[inline]
fn put<T: Copy + Default>(values: &mut Fixed<T>, value: Option<T>) -> bool {
    if let Some(value) = value {
        values.push(value);
    }
    value.is_some()
}

#[inline]
fn narrow<T: TryFrom<i64>>(number: Number) -> Option<T> {
    number.long().and_then(|long| T::try_from(long).ok())
}

/// The quoted words that FLOAT and DOUBLE accept.
fn word(said: &str) -> Option<f64> {
    match said {
        "NaN" => Some(f64::NAN),
        "+INF" | "+Infinity" | "Infinity" => Some(f64::INFINITY),
        "-INF" | "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// The index of a name; of equal names the last one, as in Spark.
fn find(names: &[Box<[u8]>], name: &[u8]) -> Option<usize> {
    names.iter().rposition(|known| **known == *name)
}
