//! Functions that encode bytes as text and decode them.

use super::{Arguments, Function, Param, build};
use crate::eval::Column;
use crate::eval::cast::to_long;
use crate::expr::Expr;
use arrow_array::ArrayRef;
use arrow_array::types::Int64Type;
use arrow_schema::DataType;

const DECODE: Function = Function { gives: |_| DataType::Binary, ..Function::BLANK };

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "hex",
        usage: "hex(value)",
        about: "A number, text or BINARY in hexadecimal digits.",
        example: "hex('Spark SQL')",
        params: &[Param::Any],
        check: check_hex,
        kernel: hex,
        ..Function::BLANK
    },
    Function {
        name: "unhex",
        usage: "unhex(text)",
        about: "The bytes that hexadecimal digits write; NULL for another text.",
        example: "string(unhex('537061726B'))",
        kernel: |a| decode(a, unhex),
        ..DECODE
    },
    Function {
        name: "base64",
        usage: "base64(bytes)",
        about: "The bytes in Base64.",
        example: "base64('Spark SQL')",
        params: &[Param::Binary],
        kernel: base64,
        ..Function::BLANK
    },
    Function {
        name: "unbase64",
        usage: "unbase64(text)",
        about: "The bytes that a text in Base64 writes.",
        example: "string(unbase64('U3BhcmsgU1FM'))",
        kernel: |a| decode(a, unbase64),
        ..DECODE
    },
    Function {
        name: "char",
        aliases: &["chr"],
        usage: "char(code)",
        about: "The character of a code from 0 to 255; of a greater number, of its last 8 bits.",
        example: "char(65)",
        params: &[Param::Long],
        kernel: character,
        ..Function::BLANK
    },
];

fn check_hex(arguments: &[Expr]) -> Result<(), String> {
    match arguments[0].data_type() {
        DataType::Int64 | DataType::Utf8 | DataType::Binary | DataType::Null => Ok(()),
        DataType::Int32 | DataType::Int16 | DataType::Int8 => Ok(()),
        other => {
            Err(format!("`hex` does not take {}; give it a BIGINT, a STRING or BINARY", crate::types::name(&other)))
        }
    }
}

/// The bytes in hexadecimal, or an integer's digits.
fn hex(arguments: &mut Arguments) -> ArrayRef {
    let column = &arguments.columns[0];
    if matches!(column.array.data_type(), DataType::Utf8 | DataType::Binary | DataType::Null) {
        return build::texts(arguments.rows, |row| Some(hex_of(column.bytes(row)?)));
    }
    let array = to_long(&column.array, arguments.errors);
    let column = Column { array, ..column.clone() };
    let input = column.numbers::<Int64Type>();
    build::texts(arguments.rows, |row| Some(format!("{:X}", input.get(row)?)))
}

pub(super) fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Decodes text to bytes. Invalid text gives NULL or fails.
fn decode(arguments: &mut Arguments, read: fn(&str) -> Result<Vec<u8>, &'static str>) -> ArrayRef {
    let columns = arguments.columns;
    let input = columns[0].texts();
    build::binaries(arguments.rows, |row| match read(input.get(row)?) {
        Ok(bytes) => Some(bytes),
        Err("") => None,
        Err(message) => {
            arguments.errors.record(row, "CONVERSION_INVALID_INPUT", || message.into());
            None
        }
    })
}

/// An odd number of digits gets a leading zero; other characters give NULL.
pub(super) fn unhex(text: &str) -> Result<Vec<u8>, &'static str> {
    let even = if text.len() & 1 == 1 { format!("0{text}") } else { text.to_string() };
    let pair = |at: usize| even.get(at..at + 2).filter(|pair| pair.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let byte = |at: usize| pair(at).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..even.len()).step_by(2).map(byte).collect::<Option<_>>().ok_or("")
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(arguments: &mut Arguments) -> ArrayRef {
    let column = &arguments.columns[0];
    build::texts(arguments.rows, |row| {
        let bytes = column.bytes(row)?;
        let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
        for group in bytes.chunks(3) {
            let bits = (0..3).fold(0_u32, |bits, at| bits << 8 | u32::from(group.get(at).copied().unwrap_or(0)));
            for digit in 0..4 {
                let value = (bits >> (18 - 6 * digit) & 0x3f) as usize;
                out.push(if digit <= group.len() { ALPHABET[value] as char } else { '=' });
            }
        }
        // Spark breaks lines as MIME does.
        let lines: Vec<&str> = (0..out.len()).step_by(76).map(|at| &out[at..(at + 76).min(out.len())]).collect();
        Some(lines.join("\r\n"))
    })
}

/// As MIME reads it: other characters are ignored; a lone last digit is an error.
pub(super) fn unbase64(text: &str) -> Result<Vec<u8>, &'static str> {
    let digits =
        text.bytes().take_while(|byte| *byte != b'=').filter_map(|byte| ALPHABET.iter().position(|a| *a == byte));
    let digits: Vec<u32> = digits.map(|digit| digit as u32).collect();
    let mut out = Vec::with_capacity(digits.len() * 3 / 4);
    for group in digits.chunks(4) {
        if group.len() == 1 {
            return Err("the text is not Base64; use unbase64 on what base64 has written");
        }
        let bits = (0..4).fold(0_u32, |bits, at| bits << 6 | group.get(at).copied().unwrap_or(0));
        out.extend((0..group.len() - 1).map(|at| (bits >> (16 - 8 * at)) as u8));
    }
    Ok(out)
}

/// The character of a code's last eight bits; empty for a negative code.
fn character(arguments: &mut Arguments) -> ArrayRef {
    let input = arguments.columns[0].numbers::<Int64Type>();
    build::texts(arguments.rows, |row| {
        let code = input.get(row)?;
        Some(if code < 0 { String::new() } else { char::from((code & 0xff) as u8).to_string() })
    })
}
