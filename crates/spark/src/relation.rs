//! Protobuf messages of the few relations and commands that a pipeline needs.

use spark_connect_proto as proto;
use spark_connect_proto::command::CommandType;
use spark_connect_proto::plan::OpType;
use spark_connect_proto::relation::RelType;
use std::collections::HashMap;

/// A table that Spark reads by format, options and paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataSource {
    /// `kafka`, `text`, `csv`, `parquet`.
    pub format: String,
    /// Columns in DDL, for formats that take them.
    pub schema: Option<String>,
    /// The format's options.
    pub options: Vec<(String, String)>,
    /// Files and directories.
    pub paths: Vec<String>,
}

pub(crate) fn relation(of: RelType) -> proto::Relation {
    proto::Relation { common: None, rel_type: Some(of) }
}

/// Reads a table, as a stream or as it is now.
pub(crate) fn read(source: &DataSource, is_streaming: bool) -> proto::Relation {
    let source = proto::read::DataSource {
        format: Some(source.format.clone()),
        schema: source.schema.clone(),
        options: source.options.iter().cloned().collect(),
        paths: source.paths.clone(),
        ..Default::default()
    };
    let read_type = Some(proto::read::ReadType::DataSource(source));
    relation(RelType::Read(proto::Read { is_streaming, read_type }))
}

/// A SELECT over the session's views.
pub(crate) fn sql(query: &str) -> proto::Relation {
    relation(RelType::Sql(proto::Sql { query: query.into(), ..Default::default() }))
}

/// Adds a column, or puts it in the place of the one of that name.
pub(crate) fn with_column(input: proto::Relation, name: &str, expression: &str) -> proto::Relation {
    use proto::expression::{Alias, ExprType, ExpressionString};
    let text = ExpressionString { expression: expression.into() };
    let expr = proto::Expression { expr_type: Some(ExprType::ExpressionString(text)), ..Default::default() };
    let alias = Alias { expr: Some(Box::new(expr)), name: vec![name.into()], metadata: None };
    relation(RelType::WithColumns(Box::new(proto::WithColumns { input: Some(Box::new(input)), aliases: vec![alias] })))
}

/// Declares a watermark.
pub(crate) fn with_watermark(input: proto::Relation, column: &str, delay: &str) -> proto::Relation {
    relation(RelType::WithWatermark(Box::new(proto::WithWatermark {
        input: Some(Box::new(input)),
        event_time: column.into(),
        delay_threshold: delay.into(),
    })))
}

/// Names the columns anew, by position.
pub(crate) fn to_df(input: proto::Relation, column_names: Vec<String>) -> proto::Relation {
    relation(RelType::ToDf(Box::new(proto::ToDf { input: Some(Box::new(input)), column_names })))
}

/// A plan that gives rows.
pub(crate) fn rows(relation: proto::Relation) -> proto::Plan {
    proto::Plan { op_type: Some(OpType::Root(relation)) }
}

pub(crate) fn command(of: CommandType) -> proto::Plan {
    proto::Plan { op_type: Some(OpType::Command(proto::Command { command_type: Some(of) })) }
}

/// Creates or replaces a view of the session.
pub(crate) fn create_view(name: &str, input: proto::Relation) -> proto::Plan {
    command(CommandType::CreateDataframeView(proto::CreateDataFrameViewCommand {
        input: Some(input),
        name: name.into(),
        is_global: false,
        replace: true,
    }))
}

/// Runs a statement for its effect.
pub(crate) fn statement(text: &str) -> proto::Plan {
    command(CommandType::SqlCommand(proto::SqlCommand { input: Some(sql(text)), ..Default::default() }))
}

/// Asks or tells a streaming query something.
pub(crate) fn query_command(
    id: &proto::StreamingQueryInstanceId,
    command: proto::streaming_query_command::Command,
) -> proto::Plan {
    self::command(CommandType::StreamingQueryCommand(proto::StreamingQueryCommand {
        query_id: Some(id.clone()),
        command: Some(command),
    }))
}

/// Asks for the session's running queries.
pub(crate) fn active_queries() -> proto::Plan {
    use proto::streaming_query_manager_command::Command;
    command(CommandType::StreamingQueryManagerCommand(proto::StreamingQueryManagerCommand {
        command: Some(Command::Active(true)),
    }))
}

/// Starts a streaming query.
pub(crate) fn start(
    input: proto::Relation,
    format: &str,
    options: HashMap<String, String>,
    output_mode: &str,
    trigger: proto::write_stream_operation_start::Trigger,
    query_name: &str,
) -> proto::Plan {
    command(CommandType::WriteStreamOperationStart(proto::WriteStreamOperationStart {
        input: Some(input),
        format: format.into(),
        options,
        output_mode: output_mode.into(),
        query_name: query_name.into(),
        trigger: Some(trigger),
        ..Default::default()
    }))
}

/// A text as a literal of SQL.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A name as an identifier of SQL.
pub(crate) fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
