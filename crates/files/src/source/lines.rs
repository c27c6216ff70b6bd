//! Splits text into lines as Spark's text source does: LF, CR and CRLF end a line (rule S2), a byte order mark at the
//! start of a file is skipped, the last line needs no end.
//!
//! Counting takes one pass over the bytes and leaves a mark every few megabytes. From a mark any line is found by a
//! short scan.

use memchr::{memchr2, memchr2_iter};
use std::io::{self, Read};

const MARK: &[u8] = b"\xef\xbb\xbf";

/// Bytes between two marks. A scan of this many takes about a millisecond.
const STRIDE_BYTES: usize = 4 << 20;

/// Bytes read at once.
const BLOCK_BYTES: usize = 256 << 10;

/// The result of counting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes before the first line.
    pub head: u64,
    /// Number of lines.
    pub lines: u64,
    /// `(line ends before it, byte)`, ascending. No mark is inside a CRLF.
    pub marks: Vec<(u64, u64)>,
}

/// Counts the lines of a text.
pub fn count(text: &mut impl Read) -> io::Result<Counted> {
    count_with(text, STRIDE_BYTES)
}

fn count_with(text: &mut impl Read, stride: usize) -> io::Result<Counted> {
    let mut counted = Counted::default();
    let mut block = vec![0; stride];
    let (mut last, mut ends) = (b'\n', 0);
    loop {
        let filled = fill(text, &mut block)?;
        let mut content = &block[..filled];
        if counted.bytes == 0 && content.starts_with(MARK) {
            counted.head = MARK.len() as u64;
            content = &content[MARK.len()..];
        }
        for at in memchr2_iter(b'\n', b'\r', content) {
            let before = if at == 0 { (ends > 0).then_some(last) } else { Some(content[at - 1]) };
            ends += u64::from(content[at] == b'\r' || before != Some(b'\r'));
        }
        last = content.last().copied().unwrap_or(last);
        counted.bytes += filled as u64;
        if filled < block.len() {
            counted.lines = ends + u64::from(!b"\n\r".contains(&last));
            return Ok(counted);
        }
        if last != b'\r' {
            counted.marks.push((ends, counted.bytes));
        }
    }
}

/// Fills as much of the block as there are bytes.
fn fill(text: &mut impl Read, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match text.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Where to start looking for a line: a byte, and the number of line ends to skip from there.
pub fn nearest(head: u64, marks: &[(u64, u64)], line: u64) -> (u64, u64) {
    let behind = marks.partition_point(|(ends, _)| *ends < line);
    match behind.checked_sub(1) {
        Some(at) => (marks[at].1, line - marks[at].0),
        None => (head, line),
    }
}

/// Splits a text into lines.
pub struct Lines<R> {
    text: R,
    buffer: Vec<u8>,
    at: usize,
    filled: usize,
    ended: bool,
}

impl<R: Read> Lines<R> {
    /// The lines from the text's current position.
    pub fn new(text: R) -> Lines<R> {
        Lines { text, buffer: vec![0; BLOCK_BYTES], at: 0, filled: 0, ended: false }
    }

    /// The next line without its end; `None` at the end of the text.
    pub fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let mut scanned = 0;
        loop {
            let rest = &self.buffer[self.at..self.filled];
            let found = memchr2(b'\n', b'\r', &rest[scanned..]).map(|at| scanned + at);
            scanned = found.unwrap_or(rest.len());
            let (line, next) = match found {
                // The next byte decides whether an LF follows this CR.
                Some(end) if rest[end] == b'\r' && end + 1 == rest.len() && !self.ended => {
                    self.fill()?;
                    continue;
                }
                Some(end) => (end, end + 1 + usize::from(rest[end] == b'\r' && rest.get(end + 1) == Some(&b'\n'))),
                None if !self.ended => {
                    self.fill()?;
                    continue;
                }
                None if rest.is_empty() => return Ok(None),
                None => (rest.len(), rest.len()),
            };
            let start = self.at;
            self.at += next;
            return Ok(Some(&self.buffer[start..start + line]));
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.at..self.filled, 0);
        self.filled -= self.at;
        self.at = 0;
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.filled * 2, 0);
        }
        let count = fill(&mut self.text, &mut self.buffer[self.filled..])?;
        self.filled += count;
        self.ended = self.filled < self.buffer.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every line found from the nearest mark equals the line found by reading from the start.
    fn check(text: &[u8], stride: usize) {
        let counted = count_with(&mut &*text, stride).unwrap();
        let from = |byte: u64| Lines::new(&text[byte as usize..]);
        let mut all = Vec::new();
        let mut lines = from(counted.head);
        while let Some(line) = lines.next().unwrap() {
            all.push(line.to_vec());
        }
        assert_eq!((counted.lines, counted.bytes), (all.len() as u64, text.len() as u64), "{text:?}");
        for (number, line) in all.iter().enumerate() {
            let (byte, passed) = nearest(counted.head, &counted.marks, number as u64);
            let mut lines = from(byte);
            for _ in 0..passed {
                lines.next().unwrap();
            }
            assert_eq!(
                lines.next().unwrap(),
                Some(line.as_slice()),
                "line {number} of {text:?} in strides of {stride}"
            );
        }
    }

    #[test]
    fn s2_any_line_is_found_from_a_mark() {
        let texts: [&[u8]; 6] = [
            b"",
            b"\xef\xbb\xbf",
            b"\xef\xbb\xbf\r\na\n\r\r\n",
            b"one\ntwo\r\nthree\rfour\n\nsix\r\r\nlast",
            b"\r\n\r\n\r\n\n\n\r\r\r\n",
            b"a long line without any end at all",
        ];
        for text in texts {
            for stride in 4..12 {
                check(text, stride);
            }
        }
    }

    #[test]
    fn a_line_longer_than_the_buffer() {
        check(&[vec![b'x'; 3 * BLOCK_BYTES], b"\r\ny".to_vec()].concat(), STRIDE_BYTES);
        // A CRLF across the end of the buffer.
        check(&[vec![b'x'; BLOCK_BYTES - 1], b"\r\ny\r".to_vec()].concat(), BLOCK_BYTES);
    }
}
