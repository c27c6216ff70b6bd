//! Spark's types as text: the schema's columns and the types of casts.

use super::Fault;
use super::lexer::{Ident, Token};
use super::parser::Parser;
use crate::intervals;
use crate::types;
use arrow_schema::{DataType, Field, Fields};
use std::sync::Arc;
use tidemill_model::diagnostic::nearest;

const SIMPLE: [&str; 23] = [
    "BOOLEAN",
    "TINYINT",
    "BYTE",
    "SMALLINT",
    "SHORT",
    "INT",
    "INTEGER",
    "BIGINT",
    "LONG",
    "FLOAT",
    "REAL",
    "DOUBLE",
    "DECIMAL",
    "DEC",
    "NUMERIC",
    "STRING",
    "BINARY",
    "DATE",
    "TIMESTAMP",
    "TIMESTAMP_NTZ",
    "TIMESTAMP_LTZ",
    "VARCHAR",
    "CHAR",
];

impl Parser<'_> {
    /// `name TYPE [NOT NULL] [COMMENT '…'], …`; a colon between name and type is allowed.
    pub fn columns(&mut self) -> Result<Fields, Fault> {
        let mut fields: Vec<Field> = Vec::new();
        loop {
            let name = self.ident("a column's name")?;
            if !self.of_record {
                self.take_symbol(":");
            }
            let data_type = self.data_type()?;
            self.take_words(&["NOT", "NULL"]);
            if self.take_word("COMMENT") && !matches!(self.advance(), Token::String(_)) {
                return Err(self.unexpected("the comment's text"));
            }
            let same =
                |known: &str| known == name.name || !self.of_record && known.to_lowercase() == name.name.to_lowercase();
            if let Some(twin) = fields.iter().find(|field| same(field.name())) {
                let message = format!("the column `{}` is there twice", twin.name());
                return Err(Fault::new(name.at, message, "give it another name (names are case-insensitive)"));
            }
            fields.push(Field::new(name.name, data_type, true));
            if !self.take_symbol(",") {
                return Ok(fields.into());
            }
        }
    }

    /// One type, nested ones included.
    pub fn data_type(&mut self) -> Result<DataType, Fault> {
        self.nested_type(Self::type_inside)
    }

    fn type_inside(&mut self) -> Result<DataType, Fault> {
        let name = self.ident("a type")?;
        let upper = name.name.to_ascii_uppercase();
        match upper.as_str() {
            "BOOLEAN" => Ok(DataType::Boolean),
            "TINYINT" | "BYTE" => Ok(DataType::Int8),
            "SMALLINT" | "SHORT" => Ok(DataType::Int16),
            "INT" | "INTEGER" => Ok(DataType::Int32),
            "BIGINT" | "LONG" => Ok(DataType::Int64),
            "FLOAT" | "REAL" => Ok(DataType::Float32),
            "DOUBLE" => Ok(DataType::Float64),
            "DECIMAL" | "DEC" | "NUMERIC" => self.decimal(),
            "STRING" => Ok(DataType::Utf8),
            "BINARY" => Ok(DataType::Binary),
            "DATE" => Ok(DataType::Date32),
            "TIMESTAMP" | "TIMESTAMP_LTZ" => Ok(types::timestamp()),
            "TIMESTAMP_NTZ" => Ok(types::timestamp_ntz()),
            "ARRAY" => {
                self.expect_symbol("<")?;
                let element = self.data_type()?;
                self.expect_symbol(">")?;
                Ok(DataType::List(Arc::new(Field::new("element", element, true))))
            }
            "MAP" => {
                self.expect_symbol("<")?;
                let key = self.data_type()?;
                self.expect_symbol(",")?;
                let value = self.data_type()?;
                self.expect_symbol(">")?;
                Ok(types::map(key, value))
            }
            "STRUCT" if self.take_symbol("<>") => Ok(DataType::Struct(Fields::empty())),
            "STRUCT" => {
                self.expect_symbol("<")?;
                let of_record = std::mem::replace(&mut self.of_record, false);
                let fields = self.columns();
                self.of_record = of_record;
                let fields = fields?;
                self.expect_symbol(">")?;
                Ok(DataType::Struct(fields))
            }
            "VARCHAR" | "CHAR" | "CHARACTER" => self.bounded_string(&name),
            "INTERVAL" => self.interval_type(&name),
            "VARIANT" | "VOID" | "TIME" => {
                Err(Fault::new(name.at, format!("the type {upper} is not supported"), SUPPORTED))
            }
            _ => {
                let help = match nearest(&upper, SIMPLE.into_iter().chain(["ARRAY", "MAP", "STRUCT"])).first() {
                    Some(known) => format!("did you mean {known}?"),
                    None => SUPPORTED.into(),
                };
                Err(Fault::new(name.at, format!("unknown type `{}`", name.name), help))
            }
        }
    }

    /// `VARCHAR(n)`, `CHAR(n)`: STRING in a cast, as in Spark, whatever the length; a table's columns have none.
    fn bounded_string(&mut self, name: &Ident) -> Result<DataType, Fault> {
        if self.of_table {
            let message = format!("a column cannot be {}", name.name.to_ascii_uppercase());
            return Err(Fault::new(name.at.clone(), message, "use STRING: Spark takes no other text in a schema"));
        }
        self.expect_symbol("(")?;
        if !matches!(self.advance(), Token::Number(_)) {
            return Err(Fault::new(name.at.clone(), "the length is missing", "write for instance VARCHAR(10)"));
        }
        self.expect_symbol(")")?;
        Ok(DataType::Utf8)
    }

    /// What follows INTERVAL: `DAY`, `DAY TO SECOND`.
    fn interval_type(&mut self, name: &Ident) -> Result<DataType, Fault> {
        if !matches!(self.peek(), Token::Word(_)) {
            let help = "name its fields, for instance INTERVAL DAY TO SECOND or INTERVAL YEAR TO MONTH";
            return Err(Fault::new(name.at.clone(), "the type INTERVAL without fields is not supported", help));
        }
        let first = self.ident("a field such as DAY")?;
        let last = if self.take_word("TO") { self.ident("a field such as SECOND")? } else { first.clone() };
        intervals::of_fields(&first.name, &last.name).ok_or_else(|| {
            let message = format!("there is no INTERVAL {} TO {}", first.name, last.name);
            Fault::new(
                first.at.start..last.at.end,
                message,
                "the fields are YEAR TO MONTH, and DAY, HOUR, MINUTE, SECOND",
            )
        })
    }

    /// What follows DECIMAL: `[(precision[, scale])]`, by default (10, 0).
    fn decimal(&mut self) -> Result<DataType, Fault> {
        if !self.take_symbol("(") {
            return Ok(DataType::Decimal128(10, 0));
        }
        let at = self.here();
        let precision = self.small_number()?;
        let scale = if self.take_symbol(",") { self.small_number()? } else { 0 };
        self.expect_symbol(")")?;
        if !(1..=38).contains(&precision) || scale > precision {
            let message = format!("DECIMAL({precision},{scale}) does not exist");
            return Err(Fault::new(at, message, "the precision is 1 to 38, the scale 0 to the precision"));
        }
        Ok(DataType::Decimal128(precision, scale as i8))
    }

    fn small_number(&mut self) -> Result<u8, Fault> {
        if let Token::Number(text) = self.peek()
            && let Ok(number) = text.parse()
        {
            self.advance();
            return Ok(number);
        }
        Err(self.unexpected("a whole number"))
    }
}

const SUPPORTED: &str = "the types are BOOLEAN, TINYINT, SMALLINT, INT, BIGINT, FLOAT, DOUBLE, DECIMAL(p,s), STRING, BINARY, \
                         DATE, TIMESTAMP, TIMESTAMP_NTZ, INTERVAL DAY TO SECOND, INTERVAL YEAR TO MONTH, ARRAY<…>, MAP<…, …> \
                         and STRUCT<name: type, …>";

#[cfg(test)]
mod tests {
    use super::super::{parse_schema, parse_type};
    use crate::types;

    #[test]
    fn types_there_and_back() {
        for (text, name) in [
            ("int", "INT"),
            ("Long", "BIGINT"),
            ("decimal", "DECIMAL(10,0)"),
            ("NUMERIC(5)", "DECIMAL(5,0)"),
            ("dec(38, 18)", "DECIMAL(38,18)"),
            ("array<array<int>>", "ARRAY<ARRAY<INT>>"),
            ("map<string,struct<a:int,`b c` double not null comment 'x'>>", "MAP<STRING, STRUCT<a: INT, b c: DOUBLE>>"),
            ("timestamp_ntz", "TIMESTAMP_NTZ"),
            ("timestamp", "TIMESTAMP"),
            ("struct<>", "STRUCT<>"),
        ] {
            assert_eq!(types::name(&parse_type(text).unwrap()), name, "{text}");
        }
    }

    #[test]
    fn bad_schemas() {
        for (text, at, message, help) in [
            ("a INTT", 2, "unknown type `INTT`", "did you mean INT?"),
            ("a INT b INT", 6, "`b` is unexpected", "the end of the text is expected here"),
            (
                "a INT, A STRING",
                7,
                "the column `a` is there twice",
                "give it another name (names are case-insensitive)",
            ),
            ("a", 1, "the text ends too early", "a type is expected here"),
            ("", 0, "the text ends too early", "a column's name is expected here"),
            (
                "a DECIMAL(39)",
                10,
                "DECIMAL(39,0) does not exist",
                "the precision is 1 to 38, the scale 0 to the precision",
            ),
            ("a ARRAY<INT", 11, "the text ends too early", "`>` is expected here"),
            ("a VARCHAR(10)", 2, "a column cannot be VARCHAR", "use STRING: Spark takes no other text in a schema"),
        ] {
            let fault = parse_schema(text).unwrap_err();
            assert_eq!((fault.at.start, fault.message.as_str(), fault.help.as_str()), (at, message, help), "{text}");
        }
    }
}
