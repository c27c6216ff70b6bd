//! The decoder of a source's format.

use crate::ports::Chunk;
use tidemill_decode::{CsvDecoder, Decoded, Decoder, Options};
use tidemill_model::Micros;
use tidemill_sql::plan::{BranchPlan, Format};

/// Decodes the records of a branch, in the source's format. One per worker thread.
#[derive(Debug)]
pub enum Records {
    /// JSON values.
    Json(Decoder),
    /// Lines of CSV.
    Csv(CsvDecoder),
}

impl Records {
    /// A decoder for the branch's columns, in its time zone.
    pub fn new(plan: &BranchPlan) -> Records {
        let options = Options { session_zone: plan.zone, corrupt_record: plan.corrupt_record, ..Options::default() };
        match &plan.format {
            Format::Json => Records::Json(Decoder::new(&plan.decode_schema, options)),
            Format::Csv { separator, places, width } => {
                Records::Csv(CsvDecoder::new(&plan.decode_schema, places, *width, *separator, options))
            }
        }
    }

    /// Sets the timestamp of the next batch.
    pub fn set_now(&mut self, now: Micros) {
        match self {
            Records::Json(decoder) => decoder.set_now(now),
            Records::Csv(decoder) => decoder.set_now(now),
        }
    }

    /// Decodes a chunk's records, one row each.
    pub fn decode(&mut self, chunk: &Chunk) -> Decoded {
        match self {
            Records::Json(decoder) => decoder.decode(chunk),
            Records::Csv(decoder) => decoder.decode(chunk),
        }
    }
}
