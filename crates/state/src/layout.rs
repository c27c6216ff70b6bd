//! The layout of a state: its accumulators, how slots form groups, when a group closes.

use crate::column::Kind;
use std::sync::Arc;
use tidemill_model::WindowSpec;

/// The event time (µs) in a key; `None` if it is NULL.
pub type KeyTime = Arc<dyn Fn(&[u8]) -> Option<i64> + Send + Sync>;

/// The layout of a state.
#[derive(Clone)]
pub struct Layout {
    /// One per aggregate.
    pub kinds: Vec<Kind>,
    /// How slots form groups.
    pub grid: Grid,
    /// Each window gets its own slot even with slices, because some groups of a slice do not take its rows.
    pub apart: bool,
    /// The event time in a group's key, if it decides when the group closes; otherwise the window does.
    pub key_time: Option<KeyTime>,
    /// Whether closed groups are evicted.
    pub evicts: bool,
    /// Whether there is exactly one group, which exists even without rows.
    pub is_global: bool,
}

/// How slots form groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grid {
    /// Each slot is a group. Its slice is the start of its window (µs), or 0 without windows.
    Groups {
        /// Width of the windows, µs.
        width: Option<i64>,
    },
    /// Each slot is a slice of a key. Windows are built from slices on output.
    Slices(WindowSpec),
    /// Each slot is a session of a key. Its slice is the session's start, µs; it has an end of its own.
    Sessions,
}

impl Grid {
    /// Of these windows, or of none.
    pub fn of(window: Option<WindowSpec>) -> Grid {
        match window {
            Some(spec) if spec.slices_per_window() > 1 => Grid::Slices(spec),
            window => Grid::Groups { width: window.map(|spec| spec.width) },
        }
    }

    /// The same windows with one slot each.
    pub(crate) fn of_groups(&self) -> Grid {
        match self {
            Grid::Groups { .. } | Grid::Sessions => *self,
            Grid::Slices(spec) => Grid::Groups { width: Some(spec.width) },
        }
    }

    /// Numbers of the first and the last window of a slice.
    #[inline]
    pub(crate) fn windows(&self, slice: i64) -> (i64, i64) {
        match self {
            Grid::Groups { .. } | Grid::Sessions => (slice, slice),
            Grid::Slices(spec) => spec.window_numbers(slice),
        }
    }

    /// Number of the last window that is closed at `until` µs.
    pub(crate) fn last_closed(&self, until: i64) -> i64 {
        match self {
            Grid::Groups { width: Some(width) } => until.saturating_sub(*width),
            Grid::Groups { width: None } | Grid::Sessions => i64::MIN,
            Grid::Slices(spec) => spec.last_closed(until),
        }
    }

    /// Start of a window, µs.
    pub(crate) fn start(&self, window: i64) -> i64 {
        match self {
            Grid::Groups { .. } | Grid::Sessions => window,
            Grid::Slices(spec) => spec.start(window),
        }
    }

    /// One past the last slice of a window, µs.
    pub(crate) fn end(&self, window: i64) -> i64 {
        match self {
            Grid::Groups { .. } | Grid::Sessions => window.saturating_add(1),
            Grid::Slices(spec) => spec.end(spec.start(window)),
        }
    }
}

/// For intervals in ascending order: the total of the numbers they cover, and each part that no earlier interval
/// covers.
pub(crate) fn union(intervals: impl Iterator<Item = (i64, i64)>, mut part: impl FnMut(i64, i64)) -> u64 {
    let mut count = 0;
    let mut next = i64::MIN;
    for (first, last) in intervals {
        let first = first.max(next);
        if first <= last {
            part(first, last);
            count += last.abs_diff(first) + 1;
            next = last.saturating_add(1);
        }
    }
    count
}
