//! The column of corrupt records (Spark's `columnNameOfCorruptRecord`): it holds a record's text where the record is
//! malformed or a value does not fit its column, and NULL elsewhere. No value of the record goes into it.

use crate::column::Bytes;
use crate::text::push_decoded;
use arrow_array::ArrayRef;
use arrow_schema::{Fields, SchemaRef};
use std::sync::Arc;

/// The column, and its place among the decoded ones.
#[derive(Debug)]
pub(crate) struct CorruptRecords {
    place: Option<usize>,
    texts: Bytes,
    text: String,
}

impl CorruptRecords {
    /// The column at that place of the schema; without a place there is none.
    pub(crate) fn new(place: Option<usize>) -> CorruptRecords {
        CorruptRecords { place, texts: Bytes::default(), text: String::new() }
    }

    /// The fields that the records' values go into.
    pub(crate) fn data_fields(&self, schema: &SchemaRef) -> Fields {
        let fields = schema.fields().iter().enumerate();
        fields.filter(|(index, _)| Some(*index) != self.place).map(|(_, field)| field.clone()).collect()
    }

    /// Appends the record's text where it is corrupt, else NULL.
    #[inline]
    pub(crate) fn push(&mut self, record: Option<&[u8]>, is_corrupt: bool) {
        if self.place.is_none() {
            return;
        }
        match record.filter(|_| is_corrupt) {
            Some(record) => {
                self.text.clear();
                push_decoded(record, &mut self.text);
                self.texts.push(self.text.as_bytes());
            }
            None => self.texts.push_null(),
        }
    }

    /// Bits of data fields, as bits of the schema's fields.
    pub(crate) fn schema_bits(&self, data_bits: u64) -> u64 {
        match self.place {
            Some(place) if place < 64 => {
                let before = (1 << place) - 1;
                (data_bits & before) | (data_bits & !before) << 1
            }
            _ => data_bits,
        }
    }

    /// Puts the column in its place among the columns of the data fields.
    pub(crate) fn insert(&mut self, columns: &mut Vec<ArrayRef>) {
        if let Some(place) = self.place {
            columns.insert(place, Arc::new(self.texts.finish_strings()));
        }
    }
}
