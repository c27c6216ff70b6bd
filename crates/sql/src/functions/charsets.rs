//! Text as bytes of a character set, and text that writes bytes.

use super::encodings::{unbase64, unhex};
use super::{Arguments, Function, Param, build};
use crate::eval::Order;
use crate::expr::Expr;
use crate::value::Value;
use arrow_array::ArrayRef;
use arrow_schema::DataType;

const CHARSETS: &str = "US-ASCII, ISO-8859-1, UTF-8, UTF-16BE, UTF-16LE, UTF-16 and UTF-32";

const BYTES: Function = Function {
    params: &[Param::String, Param::String],
    required: 1,
    gives: |_| DataType::Binary,
    order: Order::Forward,
    ..Function::BLANK
};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "encode",
        usage: "encode(text, charset)",
        about: "The text's bytes in a character set: US-ASCII, ISO-8859-1, UTF-8, UTF-16BE, UTF-16LE, UTF-16 or UTF-32. A character outside of it fails the row.",
        example: "encode('abc', 'utf-8')",
        required: 2,
        kernel: encode,
        ..BYTES
    },
    Function {
        name: "decode",
        usage: "decode(bytes, charset) or decode(value, search, result, …[, otherwise])",
        about: "Bytes of a character set as text. With three arguments and more: the result behind the first search that equals the value, NULL being equal to NULL.",
        example: "decode(2, 1, 'Southlake', 2, 'San Francisco', 'Non domestic')",
        params: &[Param::Binary, Param::String],
        required: 2,
        gives: |_| DataType::Utf8,
        kernel: decode,
        ..Function::BLANK
    },
    Function {
        name: "to_binary",
        usage: "to_binary(text[, format])",
        about: "What a text says in the constant format `hex` (the default), `utf-8` or `base64`, as BINARY; another text fails the row.",
        example: "to_binary('abc', 'utf-8')",
        check: check_format,
        kernel: |a| to_binary(a, true),
        ..BYTES
    },
    Function {
        name: "try_to_binary",
        usage: "try_to_binary(text[, format])",
        about: "As `to_binary`, but NULL for another text or format.",
        example: "try_to_binary('a!', 'base64')",
        check: check_constant,
        kernel: |a| to_binary(a, false),
        ..BYTES
    },
];

/// A character set.
#[derive(Clone, Copy)]
enum Charset {
    Ascii,
    Latin1,
    Utf8,
    /// With big-endian units, and a mark before them or not.
    Utf16 {
        big: bool,
        marked: bool,
    },
    Utf32,
}

impl Charset {
    fn find(name: &str) -> Option<Charset> {
        Some(match name.to_ascii_uppercase().as_str() {
            "US-ASCII" => Charset::Ascii,
            "ISO-8859-1" => Charset::Latin1,
            "UTF-8" => Charset::Utf8,
            "UTF-16BE" => Charset::Utf16 { big: true, marked: false },
            "UTF-16LE" => Charset::Utf16 { big: false, marked: false },
            "UTF-16" => Charset::Utf16 { big: true, marked: true },
            "UTF-32" => Charset::Utf32,
            _ => return None,
        })
    }

    /// `None` where a character is not in the set.
    fn encode(self, text: &str) -> Option<Vec<u8>> {
        let single = |limit: u32| text.chars().map(|c| u8::try_from(c).ok().filter(|_| u32::from(c) < limit)).collect();
        match self {
            Charset::Ascii => single(128),
            Charset::Latin1 => single(256),
            Charset::Utf8 => Some(text.as_bytes().to_vec()),
            Charset::Utf16 { marked: true, .. } if text.is_empty() => Some(Vec::new()),
            Charset::Utf16 { big, marked } => {
                let units = marked.then_some(0xfeff).into_iter().chain(text.encode_utf16());
                Some(units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect())
            }
            Charset::Utf32 => Some(text.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect()),
        }
    }

    /// `None` where the bytes are none of the set.
    fn decode(self, bytes: &[u8]) -> Option<String> {
        match self {
            Charset::Ascii => bytes.iter().map(|byte| byte.is_ascii().then_some(char::from(*byte))).collect(),
            Charset::Latin1 => Some(bytes.iter().map(|byte| char::from(*byte)).collect()),
            Charset::Utf8 => String::from_utf8(bytes.to_vec()).ok(),
            Charset::Utf16 { big, marked } => {
                let (big, bytes) = match bytes {
                    [0xfe, 0xff, rest @ ..] if marked => (true, rest),
                    [0xff, 0xfe, rest @ ..] if marked => (false, rest),
                    _ => (big, bytes),
                };
                let (pairs, rest) = bytes.as_chunks::<2>();
                let unit = |pair: &[u8; 2]| if big { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) };
                let units: Vec<u16> = pairs.iter().map(unit).collect();
                String::from_utf16(&units).ok().filter(|_| rest.is_empty())
            }
            Charset::Utf32 => {
                let (units, rest) = bytes.as_chunks::<4>();
                let text: Option<String> = units.iter().map(|unit| char::from_u32(u32::from_be_bytes(*unit))).collect();
                text.filter(|_| rest.is_empty())
            }
        }
    }
}

/// The character set of a row; one that there is not fails it.
fn charset(arguments: &mut Arguments, row: usize) -> Option<Charset> {
    let name = arguments.columns[1].texts().get(row)?.to_owned();
    let found = Charset::find(&name);
    if found.is_none() {
        let message = || format!("there is no character set '{name}'; there are {CHARSETS}");
        arguments.errors.record(row, "INVALID_PARAMETER_VALUE.CHARSET", message);
    }
    found
}

fn malformed(arguments: &mut Arguments, row: usize) {
    let message = || "a character is not of the character set; use UTF-8".into();
    arguments.errors.record(row, "MALFORMED_CHARACTER_CODING", message);
}

fn encode(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let input = columns[0].texts();
    build::binaries(arguments.rows, |row| {
        let text = input.get(row)?;
        let encoded = charset(arguments, row)?.encode(text);
        if encoded.is_none() {
            malformed(arguments, row);
        }
        encoded
    })
}

fn decode(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    build::texts(arguments.rows, |row| {
        let bytes = columns[0].bytes(row)?;
        let decoded = charset(arguments, row)?.decode(bytes);
        if decoded.is_none() {
            malformed(arguments, row);
        }
        decoded
    })
}

fn check_constant(arguments: &[Expr]) -> Result<(), String> {
    match arguments.get(1) {
        None | Some(Expr::Literal(..)) => Ok(()),
        Some(_) => Err("the format must be a constant; write 'hex', 'utf-8' or 'base64'".into()),
    }
}

fn check_format(arguments: &[Expr]) -> Result<(), String> {
    check_constant(arguments)?;
    match arguments.get(1) {
        Some(Expr::Literal(Value::String(format), _)) if reader(format).is_none() => {
            Err(format!("'{format}' is no format of bytes; the formats are 'hex', 'utf-8' and 'base64'"))
        }
        _ => Ok(()),
    }
}

type Reader = fn(&str) -> Option<Vec<u8>>;

fn reader(format: &str) -> Option<Reader> {
    match format.to_ascii_lowercase().as_str() {
        "hex" => Some(|text| unhex(text).ok()),
        "utf-8" | "utf8" => Some(|text| Some(text.as_bytes().to_vec())),
        "base64" => Some(|text| unbase64(text).ok().filter(|_| is_base64(text))),
        _ => None,
    }
}

/// Digits of Base64 with white space between them, in fours, the last of which may be filled up with `=`.
fn is_base64(text: &str) -> bool {
    let symbols: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let end = symbols.iter().position(|byte| *byte == b'=').unwrap_or(symbols.len());
    let (digits, filling) = symbols.split_at(end);
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
    let filled = filling.iter().all(|byte| *byte == b'=') && filling.len() <= 2;
    digits.iter().all(good)
        && filled
        && (filling.is_empty() || symbols.len().is_multiple_of(4))
        && digits.len() & 3 != 1
}

fn to_binary(arguments: &mut Arguments, fails: bool) -> ArrayRef {
    let columns = arguments.columns;
    let input = columns[0].texts();
    let format = columns.get(1).map_or(Some("hex"), |format| format.texts().get(0));
    build::binaries(arguments.rows, |row| {
        let (text, format) = (input.get(row)?, format?);
        let bytes = reader(format).and_then(|read| read(text));
        if bytes.is_none() && fails {
            let message = || format!("'{text}' is not of the format '{format}'; use try_to_binary to get NULL");
            arguments.errors.record(row, "CONVERSION_INVALID_INPUT", message);
        }
        bytes
    })
}
