//! Functions of whole strings: case, white space, length, joining, repeating, tests.
//!
//! Positions and lengths count characters (Unicode code points), as Spark's; of BINARY, bytes.

use super::{Arguments, Function, Param, alike, build};
use crate::eval::Order;
use crate::eval::{RowErrors, Texts};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use std::sync::Arc;

const MAP: Function = Function::BLANK;

const MEASURE: Function = Function { params: &[Param::Text], gives: |_| DataType::Int32, ..Function::BLANK };

const TRIM: Function = Function { params: &[Param::String, Param::String], ..Function::BLANK };

const TEST: Function =
    Function { params: &[Param::String, Param::String], required: 2, gives: |_| DataType::Boolean, ..Function::BLANK };

/// Of texts, or of BINARY.
const ALIKE_TEST: Function = Function { params: &[Param::Alike, Param::Alike], ..TEST };

const PAD: Function =
    Function { params: &[Param::Alike, Param::Int, Param::Alike], required: 2, gives: alike, ..Function::BLANK };

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "upper",
        aliases: &["ucase"],
        usage: "upper(text)",
        about: "The text in capital letters.",
        example: "upper('SparkSql')",
        kernel: |a| map(a, str::to_uppercase),
        ..MAP
    },
    Function {
        name: "lower",
        aliases: &["lcase"],
        usage: "lower(text)",
        about: "The text in small letters.",
        example: "lower('SparkSql')",
        kernel: |a| map(a, str::to_lowercase),
        ..MAP
    },
    Function {
        name: "initcap",
        usage: "initcap(text)",
        about: "The text with a capital letter at the start of each word, and small letters behind it.",
        example: "initcap('sPark sql')",
        kernel: |a| map(a, initcap),
        ..MAP
    },
    Function {
        name: "reverse",
        usage: "reverse(value)",
        about: "The text or ARRAY from its end to its start.",
        example: "reverse('Spark SQL')",
        kernel: |a| map(a, |text| text.chars().rev().collect()),
        ..MAP
    },
    Function {
        name: "trim",
        usage: "trim(text)",
        about: "The text without spaces at its ends. `trim(LEADING 'x' FROM text)` names the side and the characters; `trim('x' FROM text)` means both sides.",
        example: "trim('    SparkSQL   ')",
        kernel: |a| trimmed(a, true, true),
        ..MAP
    },
    Function {
        name: "btrim",
        usage: "btrim(text[, characters])",
        about: "The text without spaces, or the characters given, at its ends.",
        example: "btrim('SSparkSQLS', 'SL')",
        order: Order::InTurn,
        kernel: |a| trimmed(a, true, true),
        ..TRIM
    },
    // `btrim(text, set)`, but `ltrim(set, text)`.
    Function {
        name: "ltrim",
        usage: "ltrim([characters, ]text)",
        about: "The text without spaces, or the characters given, at its start.",
        example: "ltrim('    SparkSQL')",
        kernel: |a| trimmed(a, true, false),
        ..TRIM
    },
    Function {
        name: "rtrim",
        usage: "rtrim([characters, ]text)",
        about: "The text without spaces, or the characters given, at its end.",
        example: "rtrim('SparkSQL    ')",
        kernel: |a| trimmed(a, false, true),
        ..TRIM
    },
    Function {
        name: "length",
        aliases: &["char_length", "character_length", "len"],
        usage: "length(text)",
        about: "The number of characters of a STRING, or of bytes of a BINARY.",
        example: "length('Spark SQL ')",
        kernel: length,
        ..MEASURE
    },
    Function {
        name: "octet_length",
        usage: "octet_length(text)",
        about: "The number of bytes.",
        example: "octet_length('é')",
        kernel: |a| bytes(a, 1),
        ..MEASURE
    },
    Function {
        name: "bit_length",
        usage: "bit_length(text)",
        about: "The number of bits.",
        example: "bit_length('Spark SQL')",
        kernel: |a| bytes(a, 8),
        ..MEASURE
    },
    Function {
        name: "ascii",
        usage: "ascii(text)",
        about: "The code of the first character; 0 for an empty text.",
        example: "ascii('2')",
        params: &[Param::String],
        kernel: ascii,
        ..MEASURE
    },
    Function {
        name: "concat",
        usage: "concat(value, …)",
        about: "The texts, bytes or arrays one after the other; NULL if one is NULL. The operator `||`.",
        example: "concat('Spark', 'SQL')",
        params: &[Param::Alike],
        repeats: true,
        gives: alike,
        order: Order::InTurn,
        kernel: concat,
        ..MAP
    },
    Function {
        name: "concat_ws",
        usage: "concat_ws(separator, text or texts, …)",
        about: "The texts joined with a separator; NULLs are left out.",
        example: "concat_ws('/', 'foo', NULL, 'bar')",
        params: &[Param::String, Param::TextOrTexts],
        repeats: true,
        required: 1,
        order: Order::Whole,
        kernel: concat_ws,
        ..TRIM
    },
    Function {
        name: "repeat",
        usage: "repeat(text, times)",
        about: "The text so many times.",
        example: "repeat('123', 2)",
        params: &[Param::String, Param::Int],
        required: 2,
        kernel: repeat,
        ..MAP
    },
    Function {
        name: "space",
        usage: "space(count)",
        about: "So many spaces.",
        example: "concat(space(2), '1')",
        params: &[Param::Int],
        kernel: space,
        ..MAP
    },
    Function {
        name: "lpad",
        usage: "lpad(text, length[, filling])",
        about: "The text filled up at its start to a length, or cut to it.",
        example: "lpad('hi', 5, '??')",
        kernel: |a| pad(a, true),
        ..PAD
    },
    Function {
        name: "rpad",
        usage: "rpad(text, length[, filling])",
        about: "The text filled up at its end to a length, or cut to it.",
        example: "rpad('hi', 5, '??')",
        kernel: |a| pad(a, false),
        ..PAD
    },
    Function {
        name: "contains",
        usage: "contains(text, part)",
        about: "Whether the part is in the text.",
        example: "contains('Spark SQL', 'Spark')",
        kernel: contains,
        ..ALIKE_TEST
    },
    Function {
        name: "startswith",
        usage: "startswith(text, start)",
        about: "Whether the text starts with the part.",
        example: "startswith('Spark SQL', 'Spark')",
        kernel: |a| test(a, |x, y| x.starts_with(y)),
        ..ALIKE_TEST
    },
    Function {
        name: "endswith",
        usage: "endswith(text, end)",
        about: "Whether the text ends with the part.",
        example: "endswith('Spark SQL', 'SQL')",
        kernel: |a| test(a, |x, y| x.ends_with(y)),
        ..ALIKE_TEST
    },
    Function {
        name: "levenshtein",
        usage: "levenshtein(text, other[, most])",
        about: "How many characters must be put in, taken out or replaced to make one text of the other; -1 if they are more than the most.",
        example: "levenshtein('kitten', 'sitting')",
        params: &[Param::String, Param::String, Param::Int],
        gives: |_| DataType::Int32,
        kernel: levenshtein,
        ..TEST
    },
];

/// One string to another; NULL to NULL.
fn map(arguments: &mut Arguments, convert: impl Fn(&str) -> String) -> ArrayRef {
    let input = arguments.columns[0].texts();
    build::texts(arguments.rows, |row| input.get(row).map(&convert))
}

/// The first letter of each word in title case, the others small; words end at spaces.
fn initcap(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_inclusive(' ') {
        let first = word.chars().next().expect("a piece of a text is not empty");
        push_title(&mut out, first);
        // The whole word, as what becomes of a sigma depends on the letters beside it.
        let small: usize = first.to_lowercase().map(char::len_utf8).sum();
        out.push_str(&word.to_lowercase()[small..]);
    }
    out
}

/// Unicode's title case: of letters that stand for two, the first one alone is large.
fn push_title(out: &mut String, c: char) {
    let title = match c {
        'Ǆ' | 'ǅ' | 'ǆ' => 'ǅ',
        'Ǉ' | 'ǈ' | 'ǉ' => 'ǈ',
        'Ǌ' | 'ǋ' | 'ǌ' => 'ǋ',
        'Ǳ' | 'ǲ' | 'ǳ' => 'ǲ',
        // Georgian has large letters, but not at the beginning of words.
        'ა'..='ჺ' | 'ჽ'..='ჿ' => c,
        // Greek letters with an iota below keep it there.
        'ᾀ'..='ᾯ' => char::from_u32(c as u32 | 8).unwrap_or(c),
        'ᾳ' | 'ᾼ' => 'ᾼ',
        'ῃ' | 'ῌ' => 'ῌ',
        'ῳ' | 'ῼ' => 'ῼ',
        'ŉ' => return out.push_str("ʼN"),
        _ => {
            let mut large = c.to_uppercase();
            out.extend(large.next());
            large.for_each(|more| match more {
                'Ι' => out.push('\u{345}'),
                more => out.extend(more.to_lowercase()),
            });
            return;
        }
    };
    out.push(title);
}

fn contains(arguments: &mut Arguments) -> ArrayRef {
    if *arguments.columns[0].array.data_type() == DataType::Binary {
        return test(arguments, |x, y| y.is_empty() || x.windows(y.len()).any(|piece| piece == y));
    }
    let (x, y) = (arguments.columns[0].texts(), arguments.columns[1].texts());
    build::booleans(arguments.rows, |row| Some(x.get(row)?.contains(y.get(row)?)))
}

/// Of the bytes, which tell of texts what they tell of BINARY.
fn test(arguments: &mut Arguments, holds: impl Fn(&[u8], &[u8]) -> bool) -> ArrayRef {
    let [x, y] = arguments.columns else {
        panic!("two arguments");
    };
    build::booleans(arguments.rows, |row| Some(holds(x.bytes(row)?, y.bytes(row)?)))
}

fn trimmed(arguments: &mut Arguments, front: bool, back: bool) -> ArrayRef {
    let (text, set) = match arguments.columns {
        [text] => (text, None),
        [text, set] if front && back => (text, Some(set)),
        [set, text] => (text, Some(set)),
        other => panic!("{} arguments", other.len()),
    };
    let (input, set) = (text.texts(), set.map(|set| set.texts()));
    build::texts(arguments.rows, |row| {
        let text = input.get(row)?;
        let set = set.as_ref().map_or(Some(" "), |set: &Texts| set.get(row))?;
        let text = if front { text.trim_start_matches(|c| set.contains(c)) } else { text };
        Some(if back { text.trim_end_matches(|c| set.contains(c)) } else { text })
    })
}

fn length(arguments: &mut Arguments) -> ArrayRef {
    let input = &arguments.columns[0];
    let is_text = input.array.data_type() == &DataType::Utf8;
    let value = |row| {
        let bytes = input.bytes(row)?;
        // Every byte but a continuation byte (10xxxxxx) begins a character.
        let count = if is_text { bytes.iter().filter(|byte| (**byte & 0xc0) != 0x80).count() } else { bytes.len() };
        Some(count as i32)
    };
    Arc::new(build::numbers::<Int32Type>(arguments.rows, value))
}

fn bytes(arguments: &mut Arguments, units: i32) -> ArrayRef {
    let input = &arguments.columns[0];
    let value = |row| Some((input.bytes(row)?.len() as i32).wrapping_mul(units));
    Arc::new(build::numbers::<Int32Type>(arguments.rows, value))
}

fn ascii(arguments: &mut Arguments) -> ArrayRef {
    let input = arguments.columns[0].texts();
    let value = |row| Some(input.get(row)?.chars().next().map_or(0, |c| c as i32));
    Arc::new(build::numbers::<Int32Type>(arguments.rows, value))
}

fn concat(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    if *arguments.data_type == DataType::Binary {
        let pieces = |row| columns.iter().map(|column| column.bytes(row)).collect::<Option<Vec<_>>>();
        return build::binaries(arguments.rows, |row| Some(pieces(row)?.concat()));
    }
    let inputs: Vec<_> = arguments.columns.iter().map(|column| column.texts()).collect();
    build::texts(arguments.rows, |row| inputs.iter().map(|input| input.get(row)).collect::<Option<String>>())
}

/// Joined by the first argument; NULLs among the others, and in arrays of them, are passed over.
fn concat_ws(arguments: &mut Arguments) -> ArrayRef {
    let (separators, columns) = (arguments.columns[0].texts(), &arguments.columns[1..]);
    build::texts(arguments.rows, |row| {
        let separator = separators.get(row)?;
        let mut parts: Vec<&str> = Vec::new();
        for column in columns.iter().filter(|column| !column.is_null(row)) {
            match column.array.as_list_opt::<i32>() {
                Some(list) => {
                    let range = list.value_offsets()[column.at(row)] as usize
                        ..list.value_offsets()[column.at(row) + 1] as usize;
                    let texts = list.values().as_string::<i32>();
                    parts.extend(range.filter(|at| texts.is_valid(*at)).map(|at| texts.value(at)));
                }
                None => parts.push(column.array.as_string::<i32>().value(column.at(row))),
            }
        }
        Some(parts.join(separator))
    })
}

fn repeat(arguments: &mut Arguments) -> ArrayRef {
    let (input, times) = (arguments.columns[0].texts(), arguments.columns[1].numbers::<Int32Type>());
    build::texts(arguments.rows, |row| {
        let (text, times) = (input.get(row)?, times.get(row)?.max(0) as usize);
        is_short(text.len().saturating_mul(times), row, arguments.errors).then(|| text.repeat(times))
    })
}

fn space(arguments: &mut Arguments) -> ArrayRef {
    let count = arguments.columns[0].numbers::<Int32Type>();
    build::texts(arguments.rows, |row| {
        let count = count.get(row)?.max(0) as usize;
        is_short(count, row, arguments.errors).then(|| " ".repeat(count))
    })
}

/// Bytes of a text that a number alone makes long: of 2,048 such rows a column stays below 2 GiB.
const LENGTH_MAX: usize = 1_000_000;

/// Whether a text of so many bytes may be made; fails the row where not.
fn is_short(bytes: usize, row: usize, errors: &mut RowErrors) -> bool {
    let is_short = bytes <= LENGTH_MAX;
    if !is_short {
        let message = || format!("the result would have {bytes} bytes; make it {LENGTH_MAX} at most");
        errors.record(row, "VALUE_TOO_LONG", message);
    }
    is_short
}

/// [`pad`] of BINARY, with zeros if nothing else is said; a negative length fails, as in Spark.
fn pad_bytes(arguments: &mut Arguments, front: bool) -> ArrayRef {
    let columns = arguments.columns;
    let length = columns[1].numbers::<Int32Type>();
    build::binaries(arguments.rows, |row| {
        let (bytes, length) = (columns[0].bytes(row)?, length.get(row)?);
        let filling = columns.get(2).map_or(Some(&[0][..]), |filling| filling.bytes(row))?;
        let Ok(length) = usize::try_from(length) else {
            let message = || format!("BINARY cannot have {length} bytes; use greatest(length, 0)");
            arguments.errors.record(row, "INVALID_PARAMETER_VALUE", message);
            return None;
        };
        let kept = &bytes[..length.min(bytes.len())];
        let missing = if filling.is_empty() { 0 } else { length - kept.len() };
        if missing > 0 && !is_short(length, row, arguments.errors) {
            return None;
        }
        let filling: Vec<u8> = filling.iter().copied().cycle().take(missing).collect();
        Some(if front { [&filling, kept].concat() } else { [kept, &filling].concat() })
    })
}

/// Filled up to a length, or cut to it; an empty filling fills nothing.
fn pad(arguments: &mut Arguments, front: bool) -> ArrayRef {
    if *arguments.data_type == DataType::Binary {
        return pad_bytes(arguments, front);
    }
    let (input, length) = (arguments.columns[0].texts(), arguments.columns[1].numbers::<Int32Type>());
    let filling = arguments.columns.get(2).map(|filling| filling.texts());
    build::texts(arguments.rows, |row| {
        let (text, length) = (input.get(row)?, length.get(row)?.max(0) as usize);
        let filling = filling.as_ref().map_or(Some(" "), |filling| filling.get(row))?;
        let missing = length.saturating_sub(text.chars().count());
        if missing == 0 {
            return Some(text.chars().take(length).collect::<String>());
        }
        if !filling.is_empty() && !is_short(length, row, arguments.errors) {
            return None;
        }
        let filling: String = filling.chars().cycle().take(if filling.is_empty() { 0 } else { missing }).collect();
        Some(if front { filling + text } else { text.to_string() + &filling })
    })
}

/// Insertions, deletions and replacements from one text to the other.
fn levenshtein(arguments: &mut Arguments) -> ArrayRef {
    let (x, y) = (arguments.columns[0].texts(), arguments.columns[1].texts());
    let most = arguments.columns.get(2).map(|most| most.numbers::<Int32Type>());
    let value = |row| {
        let (x, y) = (x.get(row)?, y.get(row)?);
        // Spark reads a NULL there as 0.
        let most = most.as_ref().map_or(i32::MAX, |most| most.get(row).unwrap_or(0));
        let y: Vec<char> = y.chars().collect();
        let mut costs: Vec<i32> = (0..=y.len() as i32).collect();
        for (i, a) in x.chars().enumerate() {
            let mut diagonal = costs[0];
            costs[0] = i as i32 + 1;
            for (j, b) in y.iter().enumerate() {
                let replaced = diagonal + i32::from(a != *b);
                diagonal = costs[j + 1];
                costs[j + 1] = replaced.min(diagonal + 1).min(costs[j] + 1);
            }
        }
        costs.last().map(|cost| if *cost <= most { *cost } else { -1 })
    };
    Arc::new(build::numbers::<Int32Type>(arguments.rows, value))
}
