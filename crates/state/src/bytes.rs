//! Encodes numbers as little-endian bytes, many at a time.

/// Appends a number.
pub(crate) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends an optional number: a byte that says whether it is present, then the number.
pub(crate) fn put_option(out: &mut Vec<u8>, value: Option<i64>) {
    out.push(u8::from(value.is_some()));
    out.extend_from_slice(&value.unwrap_or_default().to_le_bytes());
}

/// Takes a number from the front.
pub(crate) fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    take_array(bytes).map(u32::from_le_bytes)
}

/// Takes an optional number from the front.
pub(crate) fn take_option(bytes: &mut &[u8]) -> Option<Option<i64>> {
    let present = take(bytes, 1)?[0] == 1;
    let value = i64::from_le_bytes(take_array(bytes)?);
    Some(present.then_some(value))
}

/// Takes this many bytes from the front.
pub(crate) fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(head)
}

fn take_array<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

/// A number written at its full width.
pub(crate) trait Fixed: Copy {
    fn put(self, out: &mut Vec<u8>);
    /// Takes this many numbers from the front.
    fn take_all(bytes: &mut &[u8], count: usize) -> Option<Vec<Self>>;
}

macro_rules! fixed {
    ($($number:ty)*) => {$(
        impl Fixed for $number {
            fn put(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn take_all(bytes: &mut &[u8], count: usize) -> Option<Vec<Self>> {
                const WIDTH: usize = size_of::<$number>();
                let all = take(bytes, count.checked_mul(WIDTH)?)?;
                let (numbers, _) = all.as_chunks::<WIDTH>();
                Some(numbers.iter().map(|bytes| <$number>::from_le_bytes(*bytes)).collect())
            }
        }
    )*};
}
fixed!(u8 u32 u64 i64 i128 f64);

/// Appends the numbers of some rows.
pub(crate) fn put_rows<T: Fixed>(out: &mut Vec<u8>, values: &[T], rows: &[u32]) {
    out.reserve(size_of::<T>() * rows.len());
    rows.iter().for_each(|row| values[*row as usize].put(out));
}

/// Appends all numbers.
pub(crate) fn put_all<T: Fixed>(out: &mut Vec<u8>, values: &[T]) {
    out.reserve(size_of_val(values));
    values.iter().for_each(|value| value.put(out));
}
