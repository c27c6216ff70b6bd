//! Functions that mask, quote, encode by sound, check and choose texts.

use super::{Arguments, Function, Param, alike, build};
use crate::eval::{Column, Order};
use crate::expr::Expr;
use crate::value::Value;
use arrow_array::ArrayRef;
use arrow_array::types::Int32Type;
use arrow_schema::DataType;

const UTF8: Function = Function { params: &[Param::Text], ..Function::BLANK };

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "elt",
        usage: "elt(number, value, …)",
        about: "The value with this number, counted from 1; another number fails the row.",
        example: "elt(2, 'scala', 'java')",
        params: &[Param::Int, Param::Alike],
        required: 2,
        repeats: true,
        order: Order::Numbered,
        gives: |arguments| alike(&arguments[1..]),
        kernel: elt,
        ..Function::BLANK
    },
    Function {
        name: "mask",
        usage: "mask(text[, upper[, lower[, digit[, other]]]])",
        about: "The text with its capital letters, small letters and digits replaced, by default by X, x and n. Other characters stay unless `other` is given. NULL leaves a kind as it is.",
        example: "mask('AbCD123-@$#')",
        params: &[Param::OnlyString; 5],
        order: Order::Whole,
        check: check_mask,
        kernel: mask,
        ..Function::BLANK
    },
    Function {
        name: "quote",
        usage: "quote(text)",
        about: "The text as a string constant of SQL: in quotes, with a backslash before a quote inside.",
        example: "quote('Don\\'t')",
        kernel: |a| mapped(a, |text| format!("'{}'", text.replace('\'', "\\'"))),
        ..Function::BLANK
    },
    Function {
        name: "soundex",
        usage: "soundex(text)",
        about: "A letter and three digits that are the same for words of a similar sound in English; a text that begins with no letter stays as it is.",
        example: "soundex('Miller')",
        params: &[Param::OnlyString],
        kernel: |a| mapped(a, soundex),
        ..Function::BLANK
    },
    Function {
        name: "luhn_check",
        usage: "luhn_check(digits)",
        about: "Whether the last digit is the one that Luhn's formula asks for, as on a payment card.",
        example: "luhn_check('79927398713')",
        gives: |_| DataType::Boolean,
        kernel: |a| {
            let input = a.columns[0].texts();
            build::booleans(a.rows, |row| Some(luhn(input.get(row)?)))
        },
        ..Function::BLANK
    },
    Function {
        name: "is_valid_utf8",
        usage: "is_valid_utf8(text)",
        about: "Whether a BINARY holds UTF-8; a STRING always does here.",
        example: "is_valid_utf8(X'61C262')",
        gives: |_| DataType::Boolean,
        kernel: |a| {
            let input = &a.columns[0];
            build::booleans(a.rows, |row| Some(std::str::from_utf8(input.bytes(row)?).is_ok()))
        },
        ..UTF8
    },
    Function {
        name: "make_valid_utf8",
        usage: "make_valid_utf8(text)",
        about: "The bytes as text, with U+FFFD for what is no UTF-8.",
        example: "make_valid_utf8(X'61C262')",
        kernel: |a| {
            let input = &a.columns[0];
            build::texts(a.rows, |row| Some(String::from_utf8_lossy(input.bytes(row)?)))
        },
        ..UTF8
    },
    Function {
        name: "validate_utf8",
        usage: "validate_utf8(text)",
        about: "The bytes as text; what is no UTF-8 fails the row.",
        example: "validate_utf8(X'61')",
        kernel: validated,
        ..UTF8
    },
    Function {
        name: "try_validate_utf8",
        usage: "try_validate_utf8(text)",
        about: "The bytes as text, NULL where they are no UTF-8.",
        example: "try_validate_utf8(X'61C262')",
        kernel: |a| {
            let input = &a.columns[0];
            build::texts(a.rows, |row| std::str::from_utf8(input.bytes(row)?).ok())
        },
        ..UTF8
    },
    Function {
        name: "assert_true",
        usage: "assert_true(condition[, message])",
        about: "NULL where the condition is true; else the row fails with the message.",
        example: "assert_true(0 < 1)",
        params: &[Param::Boolean, Param::String],
        gives: |_| DataType::Null,
        order: Order::UnlessTrue,
        kernel: |a| {
            let condition = &a.columns[0];
            for row in 0..a.rows {
                let holds = !condition.is_null(row) && truth(condition, row);
                let message = a.columns.get(1).and_then(|message| message.texts().get(row).map(str::to_owned));
                if !holds {
                    let message = || message.unwrap_or_else(|| "the condition is not true".into());
                    a.errors.record(row, "USER_RAISED_EXCEPTION", message);
                }
            }
            arrow_array::new_null_array(&DataType::Null, a.rows)
        },
        ..Function::BLANK
    },
    Function {
        name: "raise_error",
        usage: "raise_error(message)",
        about: "Fails the row with a message.",
        example: "if(true, 'fine', raise_error('not fine'))",
        gives: |_| DataType::Null,
        order: Order::Whole,
        kernel: |a| {
            let input = a.columns[0].texts();
            for row in 0..a.rows {
                let message = input.get(row).unwrap_or("null").to_owned();
                a.errors.record(row, "USER_RAISED_EXCEPTION", || message);
            }
            arrow_array::new_null_array(&DataType::Null, a.rows)
        },
        ..Function::BLANK
    },
];

fn truth(column: &Column, row: usize) -> bool {
    use arrow_array::cast::AsArray;
    column.array.as_boolean_opt().is_some_and(|array| array.value(column.at(row)))
}

fn mapped(arguments: &mut Arguments, convert: impl Fn(&str) -> String) -> ArrayRef {
    let input = arguments.columns[0].texts();
    build::texts(arguments.rows, |row| input.get(row).map(&convert))
}

fn elt(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let number = columns[0].numbers::<Int32Type>();
    let count = columns.len() - 1;
    let mut chosen = |row: usize| {
        let number = number.get(row)?;
        let index = usize::try_from(number).ok().filter(|number| (1..=count).contains(number));
        if index.is_none() {
            let message = || format!("there is no value {number}; there are {count}, counted from 1");
            arguments.errors.record(row, "INVALID_ARRAY_INDEX", message);
        }
        columns[index?].bytes(row)
    };
    if *arguments.data_type == DataType::Binary {
        return build::binaries(arguments.rows, |row| chosen(row).map(<[u8]>::to_vec));
    }
    build::texts(arguments.rows, |row| chosen(row).map(|bytes| String::from_utf8_lossy(bytes)))
}

/// What replaces is one character and a constant.
fn check_mask(arguments: &[Expr]) -> Result<(), String> {
    for argument in &arguments[1..] {
        match argument {
            Expr::Literal(Value::Null, _) => {}
            Expr::Literal(Value::String(text), _) if text.chars().count() == 1 => {}
            _ => return Err("the replacement in `mask` is one constant character, or NULL; give it one".into()),
        }
    }
    Ok(())
}

fn mask(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let defaults = [Some('X'), Some('x'), Some('n'), None];
    let given = |kind: usize| match columns.get(kind + 1) {
        Some(column) => column.texts().get(0).and_then(|text| text.chars().next()),
        None => defaults[kind],
    };
    let [upper, lower, digit, other] = [0, 1, 2, 3].map(given);
    // Java looks at UTF-16 units: what is beyond the first plane is two characters of no kind.
    let masked = |unit: u16| {
        let mask = match char::from_u32(unit.into()) {
            Some(c) if is_capital(c) => upper,
            Some(c) if is_small(c) => lower,
            Some(c) if is_digit(c) => digit,
            _ => other,
        };
        let mut units = [0; 2];
        mask.map_or(vec![unit], |mask| mask.encode_utf16(&mut units).to_vec())
    };
    mapped(arguments, |text| String::from_utf16_lossy(&text.encode_utf16().flat_map(masked).collect::<Vec<_>>()))
}

/// Unicode's category Lu: upper case without the numerals and circled letters.
fn is_capital(c: char) -> bool {
    c.is_uppercase() && !matches!(c, '\u{2160}'..='\u{216f}' | '\u{24b6}'..='\u{24cf}')
}

/// Unicode's category Ll: lower case without numerals, circled letters and modifiers.
fn is_small(c: char) -> bool {
    c.is_lowercase() && !OTHER_SMALL.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

/// What is lower case in the first plane, and of another category than Ll.
const OTHER_SMALL: [(char, char); 20] = [
    ('\u{aa}', '\u{aa}'),
    ('\u{ba}', '\u{ba}'),
    ('\u{2b0}', '\u{2b8}'),
    ('\u{2c0}', '\u{2c1}'),
    ('\u{2e0}', '\u{2e4}'),
    ('\u{345}', '\u{345}'),
    ('\u{37a}', '\u{37a}'),
    ('\u{1d2c}', '\u{1d6a}'),
    ('\u{1d78}', '\u{1d78}'),
    ('\u{1d9b}', '\u{1dbf}'),
    ('\u{2071}', '\u{2071}'),
    ('\u{207f}', '\u{207f}'),
    ('\u{2090}', '\u{209c}'),
    ('\u{2170}', '\u{217f}'),
    ('\u{24d0}', '\u{24e9}'),
    ('\u{2c7c}', '\u{2c7d}'),
    ('\u{a69c}', '\u{a69d}'),
    ('\u{a770}', '\u{a770}'),
    ('\u{a7f8}', '\u{a7f9}'),
    ('\u{ab5c}', '\u{ab5f}'),
];

/// Unicode's decimal digits of the first plane.
fn is_digit(c: char) -> bool {
    ZEROS.iter().any(|zero| (*zero..*zero + 10).contains(&u32::from(c)))
}

/// The zero of each set of ten digits.
const ZEROS: [u32; 37] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0,
    0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620,
    0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
];

/// The code of each letter from A to Z; H and W do not part equal codes, vowels do.
const SOUNDS: &[u8; 26] = b"01230127022455012623017202";

fn soundex(text: &str) -> String {
    let sound = |c: char| c.is_ascii_alphabetic().then(|| SOUNDS[usize::from(c.to_ascii_uppercase() as u8 - b'A')]);
    let mut letters = text.chars();
    let Some(first) = letters.next().filter(char::is_ascii_alphabetic) else {
        return text.into();
    };
    let mut out = String::from(first.to_ascii_uppercase());
    let mut last = sound(first);
    for c in letters {
        match sound(c) {
            Some(b'7') => {}
            Some(code) => {
                if code != b'0' && Some(code) != last {
                    out.push(char::from(code));
                    if out.len() == 4 {
                        break;
                    }
                }
                last = Some(code);
            }
            None => last = Some(b'0'),
        }
    }
    format!("{out:0<4}")
}

fn luhn(text: &str) -> bool {
    let mut sum = 0;
    for (index, c) in text.chars().rev().enumerate() {
        let Some(digit) = c.to_digit(10) else {
            return false;
        };
        let doubled = if index & 1 == 1 { digit * 2 } else { digit };
        sum += if doubled > 9 { doubled - 9 } else { doubled };
    }
    !text.is_empty() && sum.is_multiple_of(10)
}

fn validated(arguments: &mut Arguments) -> ArrayRef {
    let input = &arguments.columns[0];
    build::texts(arguments.rows, |row| {
        let text = std::str::from_utf8(input.bytes(row)?);
        if text.is_err() {
            let message = || "the bytes are no UTF-8; use try_validate_utf8 to get NULL".into();
            arguments.errors.record(row, "INVALID_UTF8_STRING", message);
        }
        text.ok()
    })
}
