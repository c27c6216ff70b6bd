//! Which spans of a key are one session (rule W7).

use std::ops::Range;

/// A span of time: start and end, µs. The end is not part of it.
pub(crate) type Span = (i64, i64);

/// Whether a span belongs to a session that ends then, and began no later than the span. As in Spark it does if it begins
/// just when the session ends.
pub(crate) fn joins(end: i64, later: Span) -> bool {
    later.0 <= end
}

/// The sessions of some spans in order of their starts: each with the spans that it is made of.
pub(crate) fn joined(count: usize, span: impl Fn(usize) -> Span, mut session: impl FnMut(Span, Range<usize>)) {
    let mut first = 0;
    while first < count {
        let (start, mut end) = span(first);
        let mut next = first + 1;
        while next < count && joins(end, span(next)) {
            end = end.max(span(next).1);
            next += 1;
        }
        session((start, end), first..next);
        first = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w7_spans_that_meet_are_one_session() {
        let cases: [(&[Span], &[(Span, Range<usize>)]); 9] = [
            (&[], &[]),
            (&[(10, 15)], &[((10, 15), 0..1)]),
            (&[(10, 15), (12, 17)], &[((10, 17), 0..2)]),
            (&[(10, 15), (15, 20)], &[((10, 20), 0..2)]),
            (&[(10, 15), (16, 20)], &[((10, 15), 0..1), ((16, 20), 1..2)]),
            (&[(10, 15), (14, 19), (18, 23), (30, 35)], &[((10, 23), 0..3), ((30, 35), 3..4)]),
            // A short one inside of a long one does not shorten it.
            (&[(10, 40), (12, 13), (39, 41)], &[((10, 41), 0..3)]),
            (&[(10, 11), (10, 15), (10, 15), (11, 12)], &[((10, 15), 0..4)]),
            (&[(i64::MIN, -5), (-4, i64::MAX), (7, 8)], &[((i64::MIN, -5), 0..1), ((-4, i64::MAX), 1..3)]),
        ];
        for (spans, expected) in cases {
            let mut found = Vec::new();
            joined(spans.len(), |at| spans[at], |span, range| found.push((span, range)));
            assert_eq!(found, expected, "{spans:?}");
        }
    }
}
