//! The table of scalar functions: one row each, one kernel each, one file per family.
//!
//! A row is all that is known of a function: what it takes and gives, what it computes, how it is called and what it does.
//! The documentation and `tidemill functions` are printed from it. The planner converts the arguments, so that a kernel sees
//! the types it names and no others. A row with `form` has no kernel: `analyze/calls.rs` makes another expression of the call.
//!
//! A new function is a row with `name`, `usage`, `about`, `example` and `kernel` in its family's `FUNCTIONS`. Kernels are called with whole columns; a NULL argument is theirs to handle, and
//! [`crate::eval`]'s helpers do it for those that give NULL for NULL.

mod aes;
mod arrays;
mod bases;
mod bits;
mod build;
mod charsets;
pub(crate) mod collections;
mod conditionals;
pub(crate) mod csv_text;
mod decimal_format;
mod digits;
mod encodings;
mod forms;
pub(crate) mod from_json;
pub mod hashes;
mod intervals;
mod json;
pub(crate) mod json_options;
mod json_path;
pub(crate) mod json_schema;
mod lists;
pub(crate) mod maps;
pub(crate) mod moments;
mod number_formats;
mod numbers;
mod patterns;
mod printf;
pub(crate) mod random;
mod regexps;
mod rounding;
mod rows;
mod sentences;
mod sessions;
mod statistics;
mod strings;
pub(crate) mod structs;
mod substrings;
mod texts;
mod time_text;
mod times;
mod urls;
mod zone_text;
mod zones;

pub(crate) use sessions::SESSION;

use crate::eval::cast::time;
use crate::eval::{Column, Order, RowErrors};
use crate::expr::Expr;
use crate::text::times::Defaults;
use crate::zone::Zone;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use std::sync::Arc;

/// A scalar function.
pub struct Function {
    /// Its name in SQL, in lower case.
    pub name: &'static str,
    /// Other names of the same function.
    pub aliases: &'static [&'static str],
    /// How it is called: `lpad(text, length[, pad])`.
    pub usage: &'static str,
    /// What it gives, in a sentence or two.
    pub about: &'static str,
    /// A call that shows it: an expression of constants. Its value is computed where it is printed.
    pub example: &'static str,
    /// Whether the planner makes another expression of a call, so that there is no kernel.
    pub form: bool,
    /// The parameters' types.
    pub params: &'static [Param],
    /// How many of them must be given.
    pub required: usize,
    /// Whether the last one may come any number of times more.
    pub repeats: bool,
    /// The result's type, from the converted arguments.
    pub(crate) gives: fn(&[Expr]) -> DataType,
    /// Refuses constant arguments that can never be right; the error is a sentence for the user.
    pub(crate) check: fn(&[Expr]) -> Result<(), String>,
    /// Of a function whose result depends on the session's time zone: refuses constant arguments that have no meaning in
    /// it, as `check` does.
    pub(crate) zoned: Option<fn(&[Expr], Zone) -> Result<(), String>>,
    /// Which arguments a row computes.
    pub(crate) order: Order,
    /// Computes it.
    pub(crate) kernel: fn(&mut Arguments) -> ArrayRef,
}

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Param {
    /// STRING; numbers, dates and the like are written as text.
    String,
    /// STRING; of other types only constants, but no BINARY.
    OnlyString,
    /// BINARY, or a STRING's UTF-8.
    Binary,
    /// STRING or BINARY, as it comes.
    Text,
    /// BINARY where all such arguments are, else STRING.
    Alike,
    /// As `Alike`, but a BINARY beside a STRING is refused.
    SameKind,
    /// STRING, or ARRAY<STRING>.
    TextOrTexts,
    /// INT, from any number.
    Int,
    /// BIGINT, from any number.
    Long,
    /// BIGINT as it comes, else INT.
    Whole,
    /// INT, from an integral type that is no wider; a number with a fraction is refused.
    SmallInt,
    /// BIGINT, from any integral type; a number with a fraction is refused.
    Integral,
    /// DOUBLE, from any number.
    Double,
    /// Any number, as it comes.
    Number,
    /// DECIMAL with so many digits, 6 of them behind the point, from any number.
    Seconds(u8),
    /// BOOLEAN.
    Boolean,
    /// DATE, or a timestamp's.
    Date,
    /// TIMESTAMP, or a DATE's midnight.
    Timestamp,
    /// TIMESTAMP or TIMESTAMP_NTZ, as it comes, or a DATE's midnight.
    Clock,
    /// TIMESTAMP_NTZ, or what the session's clock shows of a TIMESTAMP or DATE.
    WallTime,
    /// Anything, as it comes.
    Any,
    /// Anything with an order, brought to the type that all such arguments have in common.
    Common,
}

impl Param {
    /// For messages: what may be given.
    pub fn accepts(self) -> &'static str {
        match self {
            Param::String | Param::OnlyString | Param::Alike | Param::SameKind => "a STRING",
            Param::TextOrTexts => "a STRING or an ARRAY<STRING>",
            Param::Binary => "BINARY or a STRING",
            Param::Text => "a STRING or BINARY",
            Param::Int | Param::Long | Param::Whole | Param::Integral => "an integral number",
            Param::SmallInt => "an INT",
            Param::Double | Param::Number | Param::Seconds(_) => "a number",
            Param::Boolean => "a BOOLEAN",
            Param::Date => "a DATE or a TIMESTAMP",
            Param::Timestamp | Param::Clock | Param::WallTime => "a TIMESTAMP or a DATE",
            Param::Any => "anything",
            Param::Common => "values of one type that has an order",
        }
    }
}

/// For [`Function::zoned`]: all arguments have a meaning in all zones.
const ZONED: Option<fn(&[Expr], Zone) -> Result<(), String>> = Some(|_, _| Ok(()));

/// For [`Function::gives`] of functions that take [`Param::Alike`] first.
fn alike(arguments: &[Expr]) -> DataType {
    match arguments[0].data_type() {
        DataType::Binary => DataType::Binary,
        _ => DataType::Utf8,
    }
}

/// A call's arguments and where its failed rows go.
pub(crate) struct Arguments<'a> {
    pub columns: &'a [Column],
    pub rows: usize,
    /// The result's type.
    pub data_type: &'a DataType,
    /// The session's clock, and what texts without a date are completed with.
    pub times: &'a Defaults,
    /// The query's seed.
    pub seed: u64,
    pub errors: &'a mut RowErrors,
}

impl Arguments<'_> {
    /// An argument that is a time, as the session's clock shows it; of a TIMESTAMP_NTZ, itself.
    pub fn shown(&self, index: usize) -> Column {
        let column = &self.columns[index];
        match column.array.data_type() {
            DataType::Timestamp(_, Some(_)) => {
                let array = time::shown(column.array.as_primitive(), &self.times.clock);
                Column { array: Arc::new(array), constant: column.constant }
            }
            _ => column.clone(),
        }
    }
}

impl Function {
    /// What most rows of the table have: one STRING in, a STRING out.
    const BLANK: Function = Function {
        name: "",
        aliases: &[],
        usage: "",
        about: "",
        example: "",
        form: false,
        params: &[Param::String],
        required: 1,
        repeats: false,
        gives: |_| DataType::Utf8,
        check: |_| Ok(()),
        zoned: None,
        order: Order::Forward,
        kernel: |_| unreachable!("a row of the table without a kernel"),
    };
}

impl Function {
    /// Whether it makes the result of an aggregate function of what is kept of a group.
    pub fn finishes_aggregate(&self) -> bool {
        statistics::FUNCTIONS.contains(self)
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Function) -> bool {
        self.name == other.name
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Functions that belong together: a page of the documentation.
pub struct Family {
    /// What it is called in file names: `strings`.
    pub name: &'static str,
    /// Its title: `Strings`.
    pub title: &'static str,
    tables: &'static [&'static [Function]],
}

impl Family {
    /// Its functions, in the order of the table. A name with a space is the planner's own.
    pub fn functions(&self) -> impl Iterator<Item = &'static Function> {
        self.tables.iter().copied().flatten()
    }
}

/// All families.
pub const FAMILIES: &[Family] = &[
    Family {
        name: "strings",
        title: "Strings",
        tables: &[strings::FUNCTIONS, substrings::FUNCTIONS, texts::FUNCTIONS, printf::FUNCTIONS, sentences::FUNCTIONS],
    },
    Family { name: "patterns", title: "Patterns", tables: &[patterns::FUNCTIONS, regexps::FUNCTIONS] },
    Family {
        name: "encodings",
        title: "Encodings and hashes",
        tables: &[encodings::FUNCTIONS, charsets::FUNCTIONS, urls::FUNCTIONS, hashes::FUNCTIONS, aes::FUNCTIONS],
    },
    Family {
        name: "numbers",
        title: "Numbers",
        tables: &[
            numbers::FUNCTIONS,
            rounding::FUNCTIONS,
            bits::FUNCTIONS,
            bases::FUNCTIONS,
            number_formats::FUNCTIONS,
            decimal_format::FUNCTIONS,
        ],
    },
    Family {
        name: "times",
        title: "Dates and times",
        tables: &[
            times::FUNCTIONS,
            time_text::FUNCTIONS,
            intervals::FUNCTIONS,
            zones::FUNCTIONS,
            moments::FUNCTIONS,
            forms::TIMES,
        ],
    },
    Family { name: "choices", title: "Choices and NULL", tables: &[conditionals::FUNCTIONS, forms::CHOICES] },
    Family { name: "conversions", title: "Conversions", tables: &[forms::CONVERSIONS] },
    Family {
        name: "collections",
        title: "Arrays, maps and structs",
        tables: &[collections::FUNCTIONS, arrays::FUNCTIONS, maps::FUNCTIONS, structs::FUNCTIONS],
    },
    Family { name: "random", title: "Random values and numbers of rows", tables: &[random::FUNCTIONS] },
    Family {
        name: "json",
        title: "JSON and CSV",
        tables: &[from_json::FUNCTIONS, json_path::FUNCTIONS, json_schema::FUNCTIONS, csv_text::FUNCTIONS],
    },
    // What aggregates are finished with, and what rows are made of: the planner's own.
    Family {
        name: "aggregates",
        title: "Aggregates",
        tables: &[statistics::FUNCTIONS, rows::FUNCTIONS, sessions::FUNCTIONS],
    },
];

/// Every function, in the order of the families.
pub fn all() -> impl Iterator<Item = &'static Function> {
    FAMILIES.iter().flat_map(Family::functions)
}

/// A function is sent as its name.
pub(crate) mod by_name {
    use super::{Function, find};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(function: &Function, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(function.name)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static Function, D::Error> {
        let name = String::deserialize(deserializer)?;
        find(&name).ok_or_else(|| Error::custom(format!("no function is called `{name}`")))
    }
}

/// The function of a name, whatever its case.
pub fn find(name: &str) -> Option<&'static Function> {
    let name = name.to_ascii_lowercase();
    all().find(|function| function.name == name || function.aliases.contains(&name.as_str()))
}
