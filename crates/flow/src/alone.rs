//! A query run alone over a few records of JSON: one batch with one task, without source, sink or checkpoint. For examples.

use crate::encoded_rows;
use crate::fold::Fold;
use crate::merge::merge;
use crate::output;
use crate::ports::Chunk;
use crate::records::Records;
use crate::state::State;
use arrow_array::RecordBatch;
use std::sync::Arc;
use tidemill_model::pipeline::{OnError, OutputMode};
use tidemill_model::{BatchPlan, Millis, OffsetRange, Offsets, PartitionId};
use tidemill_sql::eval::EvalContext;
use tidemill_sql::plan::{Body, QueryPlan};

/// The rows that the query gives for these records of its first source.
///
/// # Errors
/// The error class of the first row that fails, for instance `DIVIDE_BY_ZERO`.
pub fn run(plan: &Arc<QueryPlan>, records: &[String], context: &EvalContext) -> Result<RecordBatch, String> {
    assert!(plan.above.is_empty(), "one batch closes no groups");
    let mut decoder = Records::new(&plan.branches[0]);
    decoder.set_now(context.timestamp.to_micros());
    let mut fold = Fold::new(plan.branches[0].clone(), OnError::Fail, *context, 0);
    let mut chunk = Chunk::default();
    (0..).zip(records).for_each(|(offset, record)| chunk.push(offset, 0, Some(record.as_bytes())));
    let decoded = decoder.decode(&chunk);
    fold.push(&decoded.batch, &decoded.faults, &chunk.timestamps).map_err(|failure| failure.error.class.to_string())?;
    match plan.body() {
        Body::Project(_) => Ok(encoded_rows::joined(&plan.output_schema, fold.take_rows(&plan.output_schema))),
        Body::Aggregate(aggregate) => {
            let partial = fold.finish();
            let mut state = State::new(plan, 1);
            let merged = merge(state.store(0), aggregate, OutputMode::Update, &batch(context), context, &[partial]);
            let merged = merged.map_err(|error| class_of(&error.to_string()))?;
            let rows = output::group_rows(aggregate, &plan.output_schema, &merged.output, OnError::Fail, context);
            rows.map(|output| output.rows).map_err(|error| class_of(&error.to_string()))
        }
    }
}

/// `… [CLASS] …`
fn class_of(message: &str) -> String {
    let class = message.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    class.map_or(message, |(class, _)| class).to_owned()
}

fn batch(context: &EvalContext) -> BatchPlan {
    let partition = PartitionId { source: 0, topic: "t".into(), partition: 0 };
    BatchPlan {
        batch_id: 0,
        ranges: vec![OffsetRange { partition, start: 0, end: 1 }],
        tasks: Vec::new(),
        watermark: Millis(0),
        late_watermark: Millis(0),
        timestamp: context.timestamp,
        start_offsets: Offsets::default(),
        end_offsets: Offsets::default(),
    }
}
