//! Window arithmetic (rules W1, W2). No other module divides event time.
//!
//! ```text
//!   width 10, slide 5 → slice = gcd(10, 5) = 5
//!   slices  |0----|5----|10---|15---|
//!   windows [0-------10)                  A window is a whole number of slices.
//!                 [5-------15)            Each row is folded once, into its slice.
//!                       [10------20)      The state builds windows from slices on output.
//! ```
//! Windows and slices have numbers: window `k` starts at `start_time + k·slide`, slice `j` at `start_time + j·slice`.

use serde::{Deserialize, Serialize};

/// A tumbling (`slide == width`) or sliding window over event time; all lengths in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WindowSpec {
    /// Length of a window, µs, > 0.
    pub width: i64,
    /// Distance between the starts of consecutive windows, µs, 0 < slide ≤ width.
    pub slide: i64,
    /// Offset of the window grid from the epoch, µs, |start_time| < slide.
    pub start_time: i64,
}

impl WindowSpec {
    /// Checks rule W2: `0 < slide ≤ width`, `|start_time| < slide`. The error is a sentence for the user.
    pub fn new(width: i64, slide: i64, start_time: i64) -> Result<WindowSpec, String> {
        if width <= 0 {
            return Err("the window duration must be greater than 0".into());
        }
        if slide <= 0 {
            return Err("the slide duration must be greater than 0".into());
        }
        if slide > width {
            return Err("the slide duration must not exceed the window duration".into());
        }
        if start_time.checked_abs().is_none_or(|abs| abs >= slide) {
            return Err("the absolute value of the start time must be less than the slide duration".into());
        }
        Ok(WindowSpec { width, slide, start_time })
    }

    /// Length of a slice, µs: gcd(width, slide).
    pub fn slice_width(&self) -> i64 {
        gcd(self.width, self.slide)
    }

    /// Start of the slice that holds `ts` (µs). `None` where the start is below the 64-bit range.
    pub fn slice_of(&self, ts: i64) -> Option<i64> {
        floor_to(ts, self.slice_width(), self.start_time)
    }

    /// Starts (µs, ascending) of all windows `[start, start + width)` that hold `ts` (rules W1, W2). Leaves out windows
    /// whose bounds exceed the 64-bit range.
    pub fn windows_of(&self, ts: i64) -> impl Iterator<Item = i64> + use<> {
        let spec = *self;
        let last = floor_to(ts, self.slide, self.start_time);
        (0..self.windows_max()).rev().filter_map(move |i| {
            let start = last?.checked_sub(i.checked_mul(spec.slide)?)?;
            let end = start.checked_add(spec.width)?;
            (start <= ts && ts < end).then_some(start)
        })
    }

    /// Whether all bounds that Spark computes for a time (µs) fit in 64 bits. Spark also computes windows that it then
    /// discards (rule W6).
    pub fn fits(&self, ts: i64) -> bool {
        let bounds = || {
            ts.checked_sub(self.start_time)?;
            let last = floor_to(ts, self.slide, self.start_time)?;
            let first = last.checked_sub((self.windows_max() - 1).checked_mul(self.slide)?)?;
            first.checked_add(self.width)?;
            last.checked_add(self.width)
        };
        bounds().is_some()
    }

    /// A fast test: true only if [`WindowSpec::fits`] is true.
    pub fn surely_fits(&self, ts: i64) -> bool {
        ts.unsigned_abs() < (1 << 62) && self.width < (1 << 60)
    }

    /// Most windows that hold one time.
    fn windows_max(&self) -> i64 {
        self.width / self.slide + i64::from(self.width.rem_euclid(self.slide) != 0)
    }

    /// Starts (µs, ascending) of all windows that hold the whole slice starting at `slice`.
    pub fn windows_of_slice(&self, slice: i64) -> impl Iterator<Item = i64> + use<> {
        self.windows_of(slice)
    }

    /// Numbers of the first and the last window that hold the whole slice starting at `slice`. The windows between hold
    /// it too.
    pub fn window_numbers(&self, slice: i64) -> (i64, i64) {
        let since = i128::from(slice) - i128::from(self.start_time);
        (divide(since - i128::from(self.width), self.slide) + 1, divide(since, self.slide))
    }

    /// Number of the last window that ends at or before `until` µs.
    pub fn last_closed(&self, until: i64) -> i64 {
        divide(i128::from(until) - i128::from(self.width) - i128::from(self.start_time), self.slide)
    }

    /// Start (µs) of the window of that number; saturates at the ends of the 64-bit range.
    pub fn start(&self, number: i64) -> i64 {
        saturated(i128::from(self.start_time) + i128::from(number) * i128::from(self.slide))
    }

    /// Number of the slice that starts at `slice`.
    pub fn slice_number(&self, slice: i64) -> i64 {
        divide(i128::from(slice) - i128::from(self.start_time), self.slice_width())
    }

    /// Slices of a window.
    pub fn slices_per_window(&self) -> i64 {
        self.width / self.slice_width()
    }

    /// End (µs, exclusive) of the window that starts at `start`; saturates at the end of the 64-bit range.
    pub fn end(&self, start: i64) -> i64 {
        start.saturating_add(self.width)
    }
}

/// The quotient, rounded down.
fn divide(dividend: i128, divisor: i64) -> i64 {
    match i64::try_from(dividend) {
        // 64-bit division is twenty times as fast.
        Ok(dividend) => dividend.div_euclid(divisor),
        Err(_) => saturated(dividend.div_euclid(i128::from(divisor))),
    }
}

fn saturated(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a.rem_euclid(b)) }
}

/// The greatest `start_time + k·step` that is ≤ `ts`. Rule W1 states it with a signed remainder and a correction below
/// zero; `rem_euclid` gives the same. Uses 128 bits, since `ts − start_time` may exceed 64.
fn floor_to(ts: i64, step: i64, start_time: i64) -> Option<i64> {
    let ts = i128::from(ts);
    let rem = (ts - i128::from(start_time)).rem_euclid(i128::from(step));
    i64::try_from(ts - rem).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn starts(width: i64, slide: i64, start_time: i64, ts: i64) -> Vec<i64> {
        WindowSpec::new(width, slide, start_time).unwrap().windows_of(ts).collect()
    }

    #[test]
    fn w1_windows_of_a_time() {
        assert_eq!(starts(10, 5, 0, 12), [5, 10]);
        assert_eq!(starts(10, 5, 0, 10), [5, 10]);
        assert_eq!(starts(10, 10, 0, 19), [10]);
        assert_eq!(starts(10, 5, 0, -1), [-10, -5]);
        assert_eq!(starts(10, 10, 3, 2), [-7]);
        assert_eq!(starts(10, 10, -3, 8), [7]);
    }

    #[test]
    fn w2_slides_that_do_not_divide_the_width() {
        assert_eq!(starts(10, 4, 0, 9), [0, 4, 8]);
        assert_eq!(starts(10, 4, 0, 11), [4, 8]);
        assert_eq!(starts(10, 3, 0, 10), [3, 6, 9]);
    }

    #[test]
    fn w2_bounds() {
        for (w, s, t) in [(0, 1, 0), (10, 0, 0), (10, 11, 0), (10, 5, 5), (10, 5, -5), (10, 5, i64::MIN)] {
            assert!(WindowSpec::new(w, s, t).is_err(), "{w} {s} {t}");
        }
    }

    /// A slice lies in a window completely or not at all.
    #[test]
    fn a_slice_has_the_windows_of_each_of_its_times() {
        for (width, slide, start_time) in [(10, 5, 0), (10, 4, 1), (10, 3, -2), (7, 7, 3), (12, 9, 4)] {
            let spec = WindowSpec::new(width, slide, start_time).unwrap();
            for ts in -50..50 {
                let slice = spec.slice_of(ts).unwrap();
                assert!(slice <= ts && ts < slice + spec.slice_width());
                let of_slice: Vec<_> = spec.windows_of_slice(slice).collect();
                assert_eq!(spec.windows_of(ts).collect::<Vec<_>>(), of_slice, "{spec:?} {ts}");
                let naive: Vec<_> =
                    (-100..100).map(|k| start_time + k * slide).filter(|s| *s <= ts && ts < s + width).collect();
                assert_eq!(of_slice, naive, "{spec:?} {ts}");
            }
        }
    }

    /// Windows by number equal windows by start; a window is closed when its end is reached.
    #[test]
    fn windows_have_numbers() {
        for (width, slide, start_time) in [(10, 5, 0), (10, 4, 1), (10, 3, -2), (7, 7, 3), (12, 9, 4)] {
            let spec = WindowSpec::new(width, slide, start_time).unwrap();
            for ts in -50..50 {
                let slice = spec.slice_of(ts).unwrap();
                let (first, last) = spec.window_numbers(slice);
                let starts: Vec<i64> = (first..=last).map(|number| spec.start(number)).collect();
                assert_eq!(starts, spec.windows_of_slice(slice).collect::<Vec<_>>(), "{spec:?} {ts}");
                assert_eq!(spec.start_time + spec.slice_number(slice) * spec.slice_width(), slice);
                let closed = spec.last_closed(ts);
                assert!(spec.end(spec.start(closed)) <= ts && spec.end(spec.start(closed + 1)) > ts, "{spec:?} {ts}");
            }
        }
        let spec = WindowSpec::new(10_000_000, 5_000_000, -3).unwrap();
        assert!(spec.last_closed(i64::MIN) < 0 && spec.last_closed(i64::MAX) > 0);
        assert_eq!(spec.start(i64::MAX), i64::MAX);
    }

    #[test]
    fn w6_bounds_near_the_ends_of_time() {
        let tumbling = WindowSpec::new(10, 10, 0).unwrap();
        let sliding = WindowSpec::new(10, 4, 0).unwrap();
        // Near both ends of the 64-bit range the last multiple of ten is …800; the window from there would end at …810.
        for (spec, ts, expected) in [
            (tumbling, 0, true),
            (tumbling, i64::MAX, false),
            (tumbling, i64::MAX - 10, true),
            (tumbling, i64::MIN, false),
            (tumbling, i64::MIN + 8, true),
            (sliding, i64::MIN + 7, false),
            (sliding, i64::MIN + 8, true),
            (WindowSpec::new(10, 10, 3).unwrap(), i64::MIN + 2, false),
        ] {
            assert_eq!(spec.fits(ts), expected, "{spec:?} {ts}");
            assert!(spec.fits(ts) || !spec.surely_fits(ts));
        }
    }

    /// Lengths and times of all sizes, including the ends of the 64-bit range.
    fn sizes() -> impl Strategy<Value = i64> {
        prop_oneof![
            Just(i64::MIN),
            Just(i64::MAX),
            any::<i64>(),
            -1_000..1_000i64,
            Just(i64::MAX - 1),
            Just(i64::MIN + 1)
        ]
    }

    proptest! {
        #[test]
        fn w6_every_window_that_is_there_holds_its_time(
            width in sizes(),
            parts in 1..5_000i64,
            start_time in sizes(),
            ts in sizes(),
        ) {
            let slide = width.saturating_abs() / parts;
            let Ok(spec) = WindowSpec::new(width, slide, start_time) else { return Ok(()) };
            prop_assert!(spec.fits(ts) || !spec.surely_fits(ts));
            let windows: Vec<i64> = spec.windows_of(ts).collect();
            for start in &windows {
                prop_assert!(*start <= ts && ts < spec.end(*start));
            }
            if spec.fits(ts) {
                prop_assert!(!windows.is_empty());
                let slice = spec.slice_of(ts).expect("its windows fit");
                prop_assert!(slice <= ts && ts.abs_diff(slice) < spec.slice_width().unsigned_abs());
            }
        }
    }
}
