//! Runs a query over records through the steps of a batch: decode, fold, merge, output.

use crate::golden::Golden;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use std::sync::Arc;
use tidemill_decode::{Decoder, Options};
use tidemill_flow::encoded_rows::{Kept, RowsWriter};
use tidemill_flow::fold::Fold;
use tidemill_flow::merge::{Groups, merge};
use tidemill_flow::ports::{Chunk, SinkWriter as _};
use tidemill_flow::state::State;
use tidemill_flow::{encoded_rows, output};
use tidemill_model::pipeline::{OnError, OutputMode};
use tidemill_model::{BatchPlan, Millis, OffsetRange, Offsets, Partial, PartitionId};
use tidemill_sql::eval::EvalContext;
use tidemill_sql::plan::{AggregatePlan, Body, QueryPlan};
use tidemill_sql::text::show;
use tidemill_sql::zone::{WallClock, Zone};

const CONTEXT: EvalContext = EvalContext { timestamp: Millis(1_700_000_000_123), zone: Zone::UTC, seed: 0 };

/// How records are cut into tasks and batches.
#[derive(Clone, Debug)]
pub struct Cut {
    /// Positions at which one task ends and the next begins, ascending.
    pub places: Vec<usize>,
    /// Whether each task is its own batch.
    pub a_batch_each: bool,
}

/// A planned query.
pub struct Query {
    plan: Arc<QueryPlan>,
}

impl Query {
    /// Plans a query over the table `t`; the error is our message.
    pub fn plan(schema: &str, sql: &str) -> Result<Query, String> {
        let text = format!(
            "[sources.t]\ntype = \"kafka\"\nbootstrap_servers = \"h:1\"\ntopic = \"t\"\nschema = \"\"\"{schema}\"\"\"\n\
             [query]\nsql = \"\"\"{sql}\"\"\"\noutput_mode = \"update\"\n[sinks.out]\ntype = \"console\"\n"
        );
        let pipeline = tidemill_config::parse("p.toml", &text, &[]).unwrap();
        let plan = tidemill_sql::plan(&pipeline).map_err(|faults| faults.0[0].message.clone())?;
        Ok(Query { plan: Arc::new(plan) })
    }

    /// The result, with records decoded and folded `chunk_records` at a time.
    pub fn run(&self, records: &[String], cut: &Cut, chunk_records: usize) -> Golden {
        let mut partials = Vec::new();
        let ends = cut.places.iter().copied().chain([records.len()]);
        let mut start = 0;
        for end in ends {
            match self.task(&records[start..end], chunk_records) {
                Ok(partial) => partials.push(partial),
                Err(class) => return Golden::Error(class),
            }
            start = end;
        }
        let rows = match self.plan.body() {
            Body::Project(_) => {
                let parts = partials.iter().flat_map(|partial| &partial.output);
                encoded_rows::decode(&self.plan.output_schema, parts).expect("sound parts")
            }
            Body::Aggregate(plan) => match self.batches(plan, &partials, cut.a_batch_each) {
                Ok(rows) => rows,
                Err(class) => return Golden::Error(class),
            },
        };
        shown(&rows)
    }

    /// The error of restoring a stored state, if any.
    pub fn restore(&self, state: &[u8]) -> Option<tidemill_model::Error> {
        State::restore(&self.plan, 1, Some((7, vec![state.to_vec().into()])), Vec::new()).err()
    }

    /// A task's partial, as the driver decodes it.
    fn task(&self, records: &[String], chunk_records: usize) -> Result<Partial, String> {
        let mut decoder = Decoder::new(&self.plan.branches[0].decode_schema, Options::default());
        let mut fold = Fold::new(self.plan.branches[0].clone(), OnError::Fail, CONTEXT, 0);
        for records in records.chunks(chunk_records) {
            let mut chunk = Chunk::default();
            records.iter().for_each(|record| chunk.push(0, 0, Some(record.as_bytes())));
            let decoded = decoder.decode(&chunk);
            fold.push(&decoded.batch, &decoded.faults, &chunk.timestamps)
                .map_err(|failure| failure.error.class.to_string())?;
        }
        let mut rows = RowsWriter::new(Kept::All);
        fold.take_rows(&self.plan.output_schema).try_for_each(|piece| rows.write(&piece)).expect("rows are taken");
        let partial = Partial { output: vec![rows.finish()], ..fold.finish() };
        let read: Partial = postcard::from_bytes(&postcard::to_stdvec(&partial).unwrap()).unwrap();
        assert_eq!(read, partial);
        Ok(read)
    }

    /// The output of the last batch: all groups in complete mode, those of the only batch in update mode.
    fn batches(&self, plan: &AggregatePlan, partials: &[Partial], a_batch_each: bool) -> Result<RecordBatch, String> {
        let mut state = State::new(&self.plan, 2);
        let mut groups = Groups::default();
        let (mode, size) = if a_batch_each { (OutputMode::Complete, 1) } else { (OutputMode::Update, partials.len()) };
        for (batch_id, partials) in partials.chunks(size).enumerate() {
            let before = state.snapshot();
            let merged =
                merge(state.store(0), plan, mode, &batch(batch_id as u64), &CONTEXT, partials).expect("sound partials");
            let deltas = vec![(1, merged.delta.into())];
            let restored = State::restore(&self.plan, 2, Some((0, before)), deltas);
            let mut restored = restored.expect("snapshot and delta read back");
            assert_eq!(restored.snapshot(), state.snapshot(), "state and delta");
            assert_eq!((restored.rows(), restored.bytes()), (state.rows(), state.bytes()));
            state = restored;
            groups = merged.output;
        }
        self.output(plan, &groups)
    }

    fn output(&self, plan: &AggregatePlan, groups: &Groups) -> Result<RecordBatch, String> {
        let output = output::group_rows(plan, &self.plan.output_schema, groups, OnError::Fail, &CONTEXT);
        output.map(|output| output.rows).map_err(|error| {
            let text = error.to_string();
            let class = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
            class.map_or(text.clone(), |(class, _)| class.to_string())
        })
    }
}

fn batch(batch_id: u64) -> BatchPlan {
    let partition = PartitionId { source: 0, topic: "t".into(), partition: 0 };
    BatchPlan {
        batch_id,
        ranges: vec![OffsetRange { partition, start: 0, end: 1 }],
        tasks: Vec::new(),
        watermark: Millis(0),
        late_watermark: Millis(0),
        timestamp: CONTEXT.timestamp,
        start_offsets: Offsets::default(),
        end_offsets: Offsets::default(),
    }
}

fn shown(rows: &RecordBatch) -> Golden {
    let schema = rows.schema();
    let name = |data_type: &DataType| {
        tidemill_sql::types::name(data_type).to_lowercase().replace(": ", ":").replace(", ", ",")
    };
    let value = |column: &dyn Array, row: usize| match column.data_type() {
        DataType::Null => None,
        _ if column.is_null(row) => None,
        DataType::Binary => Some(show::value(column, row, &WallClock::utc()).replace(['[', ']', ' '], "")),
        DataType::Utf8 => Some(show::value(column, row, &WallClock::utc())),
        _ => Some(show::value(column, row, &WallClock::utc()).replace("NULL", "null")),
    };
    Golden::rows(
        schema.fields().iter().map(|field| field.name().clone()).collect(),
        schema.fields().iter().map(|field| name(field.data_type())).collect(),
        (0..rows.num_rows()).map(|row| rows.columns().iter().map(|column| value(column, row)).collect()).collect(),
    )
}
