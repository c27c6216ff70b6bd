//! The rows of a task as records, on their way from whoever makes them to the writer of the batch.
//!
//! ```text
//!  record: topic | 1, partition: i32 LE; or 0 for none | key | value | number of headers: u32 LE | headers: name, value
//!  topic, key, value, name: length: u32 LE | bytes; the length 2³²−1 for none
//! ```

use super::layout::{Layout, Unfit};
use arrow_array::RecordBatch;
use arrow_schema::Schema;
use tidemill_client::produce::NewRecord;
use tidemill_flow::ports::SinkWriter;
use tidemill_model::pipeline::KafkaFormat;
use tidemill_model::{Error, RawBytes, Result, SinkPart};
use tidemill_sql::zone::{WallClock, Zone};

/// The length of nothing.
const NONE: u32 = u32::MAX;

/// Encodes rows for a [`super::KafkaSink`].
pub struct RecordsWriter {
    layout: Layout,
    clock: WallClock,
    part: SinkPart,
}

impl RecordsWriter {
    /// A writer of rows with this schema. `topic` is where all rows go; `None` if each row names its topic. `zone` is the time
    /// zone of timestamps written as text.
    ///
    /// # Errors
    /// As [`Layout::of`].
    pub fn new(
        format: &KafkaFormat,
        topic: Option<&str>,
        schema: &Schema,
        zone: Zone,
    ) -> std::result::Result<RecordsWriter, Unfit> {
        let layout = Layout::of(format, topic, schema)?;
        Ok(RecordsWriter { layout, clock: WallClock::new(zone), part: SinkPart::default() })
    }
}

impl SinkWriter for RecordsWriter {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let RecordsWriter { layout, clock, part } = self;
        part.rows += rows.num_rows() as u64;
        layout.each_record(rows, clock, |topic, partition, record| {
            let out = &mut part.bytes.0;
            put(out, topic.map(str::as_bytes));
            out.push(u8::from(partition.is_some()));
            out.extend(partition.iter().flat_map(|partition| partition.to_le_bytes()));
            put(out, record.key);
            put(out, record.value);
            out.extend((record.headers.len() as u32).to_le_bytes());
            for (name, value) in record.headers {
                put(out, Some(name.as_bytes()));
                put(out, *value);
            }
        })
    }

    fn finish(&mut self) -> SinkPart {
        std::mem::take(&mut self.part)
    }
}

fn put(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    out.extend(bytes.map_or(NONE, |bytes| bytes.len() as u32).to_le_bytes());
    out.extend(bytes.unwrap_or_default());
}

/// The records of some parts, in order.
pub(super) struct Records<'a> {
    parts: &'a [SinkPart],
    rest: &'a [u8],
    headers: Vec<(&'a str, Option<&'a [u8]>)>,
}

/// A record of a part: its topic and partition, if it names any, and the record without its time.
pub(super) type Put<'a, 'r> = (Option<&'a str>, Option<i32>, NewRecord<'r>);

impl<'a> Records<'a> {
    pub(super) fn of(parts: &'a [SinkPart]) -> Records<'a> {
        Records { parts, rest: &[], headers: Vec::new() }
    }

    /// The next record, if there is one.
    ///
    /// # Errors
    /// Internal: the bytes are not those of a [`RecordsWriter`].
    pub(super) fn next(&mut self) -> Result<Option<Put<'a, '_>>> {
        while self.rest.is_empty() {
            let Some((SinkPart { bytes: RawBytes(bytes), .. }, parts)) = self.parts.split_first() else {
                return Ok(None);
            };
            (self.rest, self.parts) = (bytes, parts);
        }
        let topic = self.text()?;
        let partition = self.partition()?;
        let (key, value) = (self.bytes()?, self.bytes()?);
        self.headers.clear();
        for _ in 0..self.number()? {
            let header = (self.text()?.unwrap_or_default(), self.bytes()?);
            self.headers.push(header);
        }
        let record = NewRecord { timestamp: 0, key, value, headers: &self.headers };
        Ok(Some((topic, partition, record)))
    }

    fn partition(&mut self) -> Result<Option<i32>> {
        let (is_named, rest) = self.rest.split_first().ok_or_else(cut_off)?;
        self.rest = rest;
        if *is_named == 0 { Ok(None) } else { Ok(Some(self.number()? as i32)) }
    }

    fn number(&mut self) -> Result<u32> {
        let (number, rest) = self.rest.split_first_chunk::<4>().ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*number))
    }

    fn bytes(&mut self) -> Result<Option<&'a [u8]>> {
        let length = self.number()?;
        if length == NONE {
            return Ok(None);
        }
        let (bytes, rest) = self.rest.split_at_checked(length as usize).ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(Some(bytes))
    }

    fn text(&mut self) -> Result<Option<&'a str>> {
        self.bytes()?.map(|bytes| std::str::from_utf8(bytes).map_err(|_| cut_off())).transpose()
    }
}

fn cut_off() -> Error {
    Error::internal("the records of a task are cut off")
}
