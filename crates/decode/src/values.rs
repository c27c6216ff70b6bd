//! What a decoder reads: the values of some records.

use arrow_array::{Array, BinaryArray, StringArray};

/// The values of some records, each of which may be absent.
pub trait Values {
    /// Number of records.
    fn len(&self) -> usize;

    /// Whether there is no record.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of one record; `None` where it is absent.
    fn value(&self, record: usize) -> Option<&[u8]>;
}

impl Values for StringArray {
    fn len(&self) -> usize {
        Array::len(self)
    }

    fn value(&self, record: usize) -> Option<&[u8]> {
        self.is_valid(record).then(|| StringArray::value(self, record).as_bytes())
    }
}

impl Values for BinaryArray {
    fn len(&self) -> usize {
        Array::len(self)
    }

    fn value(&self, record: usize) -> Option<&[u8]> {
        self.is_valid(record).then(|| BinaryArray::value(self, record))
    }
}

impl<T: AsRef<[u8]>> Values for [Option<T>] {
    fn len(&self) -> usize {
        <[_]>::len(self)
    }

    fn value(&self, record: usize) -> Option<&[u8]> {
        self[record].as_ref().map(AsRef::as_ref)
    }
}
