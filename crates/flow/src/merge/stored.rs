//! The state as bytes: whole, and what a batch changed. A format of the checkpoint; both stand in order of window and key.

use super::{Groups, State, group_bytes};
use serde::{Deserialize, Serialize};
use tidemill_model::Accumulator;

/// What a batch changed: groups as they are now, and those that are gone.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Delta {
    pub(super) upserts: Vec<(i64, Box<[u8]>, Vec<Accumulator>)>,
    pub(super) windows_removed: Vec<i64>,
    pub(super) groups_removed: Vec<(i64, Box<[u8]>)>,
}

impl Delta {
    /// The bytes for [`State::apply_delta`].
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("a delta serialises")
    }
}

impl State {
    /// The whole state as bytes, for [`State::from_snapshot`].
    pub fn snapshot(&self) -> Vec<u8> {
        postcard::to_stdvec(&self.windows).expect("a state serialises")
    }

    /// The state that [`State::snapshot`] wrote. `None`: the bytes are not one.
    pub fn from_snapshot(bytes: &[u8]) -> Option<State> {
        // Maps are stored as lists of pairs. In order, each is made into a map at once, without looking for places.
        let windows: Vec<(i64, Vec<(Box<[u8]>, Vec<Accumulator>)>)> = postcard::from_bytes(bytes).ok()?;
        let mut state = State::default();
        for (window, groups) in windows {
            state.rows += groups.len() as u64;
            state.bytes += groups.iter().map(|(key, accumulators)| group_bytes(key, accumulators)).sum::<u64>();
            state.windows.insert(window, groups.into_iter().collect());
        }
        Some(state)
    }

    /// Applies what a later batch changed. `None`: the bytes are not a delta.
    pub fn apply_delta(&mut self, bytes: &[u8]) -> Option<()> {
        let delta: Delta = postcard::from_bytes(bytes).ok()?;
        for (window, key) in delta.groups_removed {
            self.remove(window, &key);
        }
        for window in delta.windows_removed {
            for (key, accumulators) in self.windows.remove(&window).unwrap_or_default() {
                self.forget(&key, &accumulators);
            }
        }
        let mut upserts = delta.upserts.into_iter().peekable();
        while let Some(window) = upserts.peek().map(|(window, ..)| *window) {
            let of_window = std::iter::from_fn(|| upserts.next_if(|(other, ..)| *other == window));
            self.upsert(window, of_window.map(|(_, key, accumulators)| (key, accumulators)));
        }
        Some(())
    }

    fn upsert(&mut self, window: i64, groups: impl Iterator<Item = (Box<[u8]>, Vec<Accumulator>)>) {
        let Some(known) = self.windows.get_mut(&window) else {
            let groups: Groups = groups.collect();
            self.rows += groups.len() as u64;
            self.bytes += groups.iter().map(|(key, accumulators)| group_bytes(key, accumulators)).sum::<u64>();
            self.windows.insert(window, groups);
            return;
        };
        for (key, accumulators) in groups {
            let bytes = group_bytes(&key, &accumulators);
            match known.insert(key, accumulators) {
                // An estimate that does not change while a group lives.
                Some(_) => {}
                None => (self.rows, self.bytes) = (self.rows + 1, self.bytes + bytes),
            }
        }
    }
}
