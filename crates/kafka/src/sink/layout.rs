//! Which columns of a row become which parts of a record.
//!
//! The format `raw` takes the columns of Spark's Kafka sink by name: `value`, `key`, `headers`, `topic`, `partition`.
//! Names match in any case. As in Spark, other columns are not written.

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Schema};
use std::ops::Range;
use tidemill_client::produce::NewRecord;
use tidemill_model::pipeline::KafkaFormat;
use tidemill_model::{Error, Result};
use tidemill_sql::text::{json, show};
use tidemill_sql::types;
use tidemill_sql::zone::WallClock;

/// Where the parts of a record are in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The column of the value; `None`: the whole row as JSON.
    value: Option<usize>,
    key: Option<usize>,
    headers: Option<usize>,
    /// The column that names the topic; `None` if all records go to one.
    topic_column: Option<usize>,
    partition: Option<usize>,
}

/// Why rows do not suit a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
    /// Where the cause is written, if not in the query.
    pub span: Option<Range<usize>>,
}

impl Layout {
    /// The layout of rows with this schema. `topic` is the topic of all records, if they have one; it wins over a column.
    ///
    /// # Errors
    /// If a column is missing, is there twice or has the wrong type.
    pub fn of(format: &KafkaFormat, topic: Option<&str>, schema: &Schema) -> std::result::Result<Layout, Unfit> {
        let key_column = match format {
            KafkaFormat::Raw => return Layout::raw(topic, schema),
            KafkaFormat::Json { key_column } => key_column,
        };
        let key = match key_column {
            None => None,
            Some(name) => {
                let found = find(schema, &name.text)?.ok_or_else(|| Unfit {
                    message: format!("`key_column` names `{}`, which is not a column of the result", name.text),
                    help: format!("name one of {}", names(schema)),
                    span: Some(name.span.clone()),
                })?;
                Some(found)
            }
        };
        Ok(Layout { key, ..Layout::default() })
    }

    fn raw(topic: Option<&str>, schema: &Schema) -> std::result::Result<Layout, Unfit> {
        let texts = |data_type: &DataType| matches!(data_type, DataType::Utf8 | DataType::Binary);
        let column = |name: &str, is_right: &dyn Fn(&DataType) -> bool, takes: &str| {
            let Some(index) = find(schema, name)? else { return Ok(None) };
            let data_type = schema.field(index).data_type();
            match is_right(data_type) {
                true => Ok(Some(index)),
                false => Err(unfit(
                    format!(
                        "the column `{name}` of format = \"raw\" is {}, and a record needs {takes}",
                        types::name(data_type)
                    ),
                    "CAST it, or give the column another name with AS",
                )),
            }
        };
        let value = column("value", &texts, "STRING or BINARY")?.ok_or_else(|| {
            unfit(
                format!("format = \"raw\" needs a column `value`, and the result has {}", names(schema)),
                "name the column with AS value, write to_json(struct(…)) AS value, or leave out `format`",
            )
        })?;
        let topic_column = match topic {
            Some(_) => None,
            None => Some(column("topic", &|found| *found == DataType::Utf8, "STRING")?.ok_or_else(|| {
                unfit("a record's topic is missing".into(), "give the sink a `topic`, or the query a column `topic`")
            })?),
        };
        Ok(Layout {
            value: Some(value),
            key: column("key", &texts, "STRING or BINARY")?,
            headers: column("headers", &are_headers, "ARRAY<STRUCT<key STRING, value BINARY>>")?,
            topic_column,
            partition: column("partition", &|found| *found == DataType::Int32, "INT")?,
        })
    }

    /// Calls `take` with each row as a record without its time, and with its topic and partition where it names them. `clock`
    /// shows timestamps.
    ///
    /// # Errors
    /// User: a row has no topic.
    pub(super) fn each_record(
        &self,
        rows: &RecordBatch,
        clock: &WallClock,
        mut take: impl FnMut(Option<&str>, Option<i32>, &NewRecord<'_>),
    ) -> Result<()> {
        let (mut json, mut shown) = (String::new(), String::new());
        let writer = json::RowWriter::new(rows, clock);
        for row in 0..rows.num_rows() {
            let column = |index: Option<usize>| index.map(|at| rows.column(at)).filter(|column| !column.is_null(row));
            let key = column(self.key).map(|column| {
                bytes(column, row).unwrap_or_else(|| {
                    shown = show::cast(column, row, clock);
                    shown.as_bytes()
                })
            });
            let value = match self.value {
                Some(_) => column(self.value).and_then(|column| bytes(column, row)),
                None => {
                    json.clear();
                    writer.write(&mut json, row);
                    Some(json.as_bytes())
                }
            };
            let headers = column(self.headers).map(|column| column.as_list::<i32>().value(row));
            let headers = headers.as_ref().map(headers_of).unwrap_or_default();
            let partition = column(self.partition).map(|column| column.as_primitive::<Int32Type>().value(row));
            take(self.topic(rows, row)?, partition, &NewRecord { timestamp: 0, key, value, headers: &headers });
        }
        Ok(())
    }

    /// The topic that a row names; `None` if all rows go to one.
    fn topic<'a>(&self, rows: &'a RecordBatch, row: usize) -> Result<Option<&'a str>> {
        let Some(column) = self.topic_column else { return Ok(None) };
        text(rows.column(column), row).map(Some).ok_or_else(|| {
            Error::user(
                "a row's `topic` is NULL; give the sink a `topic`, or leave such rows out with WHERE topic IS NOT NULL",
            )
        })
    }
}

/// Names and values. A header without a name has an empty one: the protocol has no NULL there.
fn headers_of(list: &ArrayRef) -> Vec<(&str, Option<&[u8]>)> {
    let members = list.as_struct();
    let (names, values) = (members.column(0), members.column(1));
    (0..list.len()).map(|at| (text(names, at).unwrap_or_default(), bytes(values, at))).collect()
}

fn are_headers(data_type: &DataType) -> bool {
    let DataType::List(item) = data_type else { return false };
    let DataType::Struct(members) = item.data_type() else { return false };
    let types: Vec<&DataType> = members.iter().map(|member| member.data_type()).collect();
    types == [&DataType::Utf8, &DataType::Binary]
}

fn text(column: &ArrayRef, row: usize) -> Option<&str> {
    (!column.is_null(row)).then(|| column.as_string::<i32>().value(row))
}

/// The bytes of a STRING or BINARY that is not NULL.
fn bytes(column: &ArrayRef, row: usize) -> Option<&[u8]> {
    match column.data_type() {
        _ if column.is_null(row) => None,
        DataType::Utf8 => Some(column.as_string::<i32>().value(row).as_bytes()),
        DataType::Binary => Some(column.as_binary::<i32>().value(row)),
        _ => None,
    }
}

/// The column of this name, in any case.
fn find(schema: &Schema, name: &str) -> std::result::Result<Option<usize>, Unfit> {
    let mut found = (0..).zip(schema.fields()).filter(|(_, field)| field.name().eq_ignore_ascii_case(name));
    let first = found.next().map(|(index, _)| index);
    match found.next() {
        None => Ok(first),
        Some(_) => Err(unfit(
            format!("two columns of the result are called `{name}`"),
            "give one of them another name with AS",
        )),
    }
}

fn names(schema: &Schema) -> String {
    schema.fields().iter().map(|field| format!("`{}`", field.name())).collect::<Vec<_>>().join(", ")
}

fn unfit(message: String, help: &str) -> Unfit {
    Unfit { message, help: help.into(), span: None }
}
