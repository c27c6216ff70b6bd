//! Kafka's own columns: what a record has beside the columns of a schema. Names and types are those of Spark's Kafka
//! source.

use crate::expr::Expr;
use crate::syntax;
use crate::types;
use arrow_schema::{DataType, Field, Fields};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use tidemill_model::pipeline::{KafkaSource, ValueFormat};

/// All columns, in Spark's order.
const SCHEMA: &str = "key BINARY, value BINARY, topic STRING, partition INT, offset BIGINT, timestamp TIMESTAMP, \
                      timestampType INT, headers ARRAY<STRUCT<key: STRING, value: BINARY>>";

/// One of Kafka's own columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum KafkaColumn {
    /// The record's key.
    Key,
    /// The record's value as it is.
    Value,
    /// The topic's name.
    Topic,
    /// The partition's number.
    Partition,
    /// The record's offset.
    Offset,
    /// The record's timestamp.
    Timestamp,
    /// Who set the timestamp: 0 the producer, 1 the broker, −1 nobody.
    TimestampType,
    /// The record's headers; NULL if there are none.
    Headers,
}

impl KafkaColumn {
    /// All columns, in Spark's order.
    pub const ALL: [KafkaColumn; 8] = [
        KafkaColumn::Key,
        KafkaColumn::Value,
        KafkaColumn::Topic,
        KafkaColumn::Partition,
        KafkaColumn::Offset,
        KafkaColumn::Timestamp,
        KafkaColumn::TimestampType,
        KafkaColumn::Headers,
    ];
}

/// Kafka's own columns that a query uses. They follow the columns of the schema in the source row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KafkaColumns {
    /// The columns that are filled, in Spark's order.
    pub used: Vec<KafkaColumn>,
    /// Their fields in the source row: one for each of `used`; or one STRUCT, whose members that are not used are NULL.
    pub fields: Fields,
    /// Whether they are members of one STRUCT.
    pub is_struct: bool,
}

/// All columns, with the value as it is.
fn fields(include_headers: bool) -> Fields {
    let all = syntax::parse_schema(SCHEMA).expect("the text above is a schema");
    let count = KafkaColumn::ALL.len() - usize::from(!include_headers);
    all.iter().take(count).cloned().collect()
}

/// The columns of a source without a schema. With `format = "text"` the value is a STRING.
pub(crate) fn source_fields(source: &KafkaSource) -> Fields {
    let fields = fields(source.include_headers);
    let of_type = |(number, field): (usize, &Arc<Field>)| match KafkaColumn::ALL[number] {
        KafkaColumn::Value if source.format == ValueFormat::Text => {
            Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8))
        }
        _ => field.clone(),
    };
    fields.iter().enumerate().map(of_type).collect()
}

/// The STRUCT that stands beside the columns of a schema.
pub(crate) fn metadata_field(name: &str, include_headers: bool) -> Arc<Field> {
    Arc::new(Field::new(name, DataType::Struct(fields(include_headers)), true))
}

/// Adds the members of the STRUCT with number `column` that an expression uses.
pub(crate) fn used_members(expr: &Expr, column: usize, used: &mut BTreeSet<usize>) {
    match expr {
        Expr::Field(of, member, _) if matches!(**of, Expr::Column(index, _) if index == column) => {
            used.insert(*member);
        }
        Expr::Column(index, DataType::Struct(members)) if *index == column => used.extend(0..members.len()),
        other => other.children(&mut |child| used_members(child, column, used)),
    }
}

impl fmt::Display for KafkaColumns {
    /// The columns that are filled: `timestamp TIMESTAMP, offset BIGINT`, `kafka.timestamp TIMESTAMP`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = fields(true);
        for (at, column) in self.used.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            let within = if self.is_struct { format!("{}.", self.fields[0].name()) } else { String::new() };
            let field = if self.is_struct { &all[*column as usize] } else { &self.fields[at] };
            write!(out, "{comma}{within}{} {}", field.name(), types::name(field.data_type()))?;
        }
        Ok(())
    }
}
