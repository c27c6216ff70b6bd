//! Fast paths for the most common values, read without an intermediate token. Benchmarks show that they take most of
//! the time.
//!
//! Each function either does all that `value` or `skip_value` would do, or does nothing and returns false.

use super::STRING_MAX;
use super::column::Column;
use super::number::Number;
use super::scan::string_stop;
use super::token::Reader;

impl Reader<'_> {
    /// Appends a plain number or string to a column whose type it fits.
    #[inline(always)]
    pub fn quick_value(&mut self, column: &mut Column) -> bool {
        match column {
            Column::Double(values) => {
                let Some(number) = self.quick_number() else { return false };
                values.push(number.double(self.bytes));
                self.at = number.end;
                true
            }
            Column::String(values) => {
                let Some((start, end, high)) = self.quick_string() else { return false };
                let said = &self.bytes[start..end];
                if end - start > STRING_MAX || (high && std::str::from_utf8(said).is_err()) {
                    return false;
                }
                values.push_part(self.bytes, start, end);
                self.at = end + 1;
                true
            }
            Column::Int(values) => {
                let number = self.quick_number();
                let Some((number, value)) = number.and_then(|n| Some((n, i32::try_from(n.long()?).ok()?))) else {
                    return false;
                };
                values.push(value);
                self.at = number.end;
                true
            }
            Column::Long(values) => {
                let Some((number, value)) = self.quick_number().and_then(|n| Some((n, n.long()?))) else {
                    return false;
                };
                values.push(value);
                self.at = number.end;
                true
            }
            _ => false,
        }
    }

    /// Skips a plain string or a number.
    #[inline(always)]
    pub fn quick_skip(&mut self) -> bool {
        let end = match self.peek() {
            b'"' => self.quick_string().map(|(_, end, _)| end + 1),
            _ => self.quick_number().map(|number| number.end),
        };
        self.at = end.unwrap_or(self.at);
        end.is_some()
    }

    #[inline(always)]
    fn quick_number(&self) -> Option<Number> {
        if matches!(self.peek(), b'0'..=b'9' | b'-') { Number::read(self.bytes, self.at).ok() } else { None }
    }

    /// Start and end of a plain string, and whether it holds bytes beyond ASCII.
    #[inline(always)]
    fn quick_string(&self) -> Option<(usize, usize, bool)> {
        if self.peek() != b'"' {
            return None;
        }
        let (end, high) = string_stop(self.bytes, self.at + 1);
        (self.bytes.get(end) == Some(&b'"')).then_some((self.at + 1, end, high))
    }
}
