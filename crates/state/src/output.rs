//! Output groups, in order of window and key.

use crate::column::{Column, Slots};
use crate::object::Object;
use crate::windows::Emitted;
use hashbrown::HashMap;

/// The output groups of a batch, in order of window and key.
#[derive(Debug, Default)]
pub struct Groups {
    shards: Vec<Emitted>,
    /// (shard, row in the shard) of each group.
    order: Vec<(u32, u32)>,
}

impl Groups {
    pub(crate) fn new(shards: Vec<Emitted>) -> Groups {
        // Only the keys are sorted. Then each key's rows, which are next to each other, go to the next free places of
        // their windows.
        let mut windows = Windows::default();
        let of_rows: Vec<Vec<u32>> =
            shards.iter().map(|shard| shard.rows.iter().map(|(start, _)| windows.count(*start)).collect()).collect();
        let first_rows: Vec<Vec<u32>> = shards.iter().map(first_rows).collect();
        let mut next = windows.places();
        let mut order = vec![(0, 0); of_rows.iter().map(Vec::len).sum()];
        for (shard, key) in keys_in_order(&shards) {
            let rows = &first_rows[shard as usize][key as usize..];
            for row in rows[0]..rows[1] {
                let place = &mut next[of_rows[shard as usize][row as usize] as usize];
                order[*place] = (shard, row);
                *place += 1;
            }
        }
        Groups { order, shards }
    }

    /// Number of groups.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Start of each group's window, µs; 0 without windows.
    pub fn windows(&self) -> Vec<i64> {
        self.order.iter().map(|(shard, row)| self.shards[*shard as usize].rows[*row as usize].0).collect()
    }

    /// End of each group that is a session, µs.
    pub fn ends(&self) -> Vec<i64> {
        self.order.iter().map(|(shard, row)| self.shards[*shard as usize].ends[*row as usize]).collect()
    }

    /// Each group's key.
    pub fn keys(&self) -> Vec<&[u8]> {
        let key = |(shard, row): &(u32, u32)| {
            let shard = &self.shards[*shard as usize];
            key(shard, shard.rows[*row as usize].1 as usize)
        };
        self.order.iter().map(key).collect()
    }

    /// The counts of an aggregate.
    pub fn counts(&self, aggregate: usize) -> impl Iterator<Item = i64> {
        self.values(aggregate, |column, row| match column {
            Column::Counts(column) => column.get(row),
            other => panic!("a count is not in {other:?}"),
        })
    }

    /// The exact sums of an aggregate, and the number of values in each.
    pub fn exact_sums(&self, aggregate: usize) -> impl Iterator<Item = (i128, u64)> {
        self.values(aggregate, |column, row| match column {
            Column::ExactSums(column) => column.get(row),
            other => panic!("an exact sum is not in {other:?}"),
        })
    }

    /// The floating-point sums of an aggregate, and the number of values in each.
    pub fn double_sums(&self, aggregate: usize) -> impl Iterator<Item = (f64, u64)> {
        self.values(aggregate, |column, row| match column {
            Column::DoubleSums(column) => column.get(row),
            other => panic!("a sum of doubles is not in {other:?}"),
        })
    }

    /// The moments of an aggregate.
    pub fn moments(&self, aggregate: usize) -> impl Iterator<Item = crate::Moments> {
        self.values(aggregate, |column, row| match column {
            Column::Moments(column) => column.get(row),
            other => panic!("moments are not in {other:?}"),
        })
    }

    /// The least or greatest values of an aggregate.
    pub fn extremes(&self, aggregate: usize) -> impl Iterator<Item = Option<i128>> {
        self.values(aggregate, |column, row| match column {
            Column::Extremes(column) => column.get(row).map(i128::from),
            Column::WideExtremes(column) => column.get(row),
            other => panic!("a winner is not in {other:?}"),
        })
    }

    /// Whether an aggregate keeps objects.
    pub fn has_objects(&self, aggregate: usize) -> bool {
        self.shards.iter().any(|shard| matches!(shard.columns.get(aggregate), Some(Column::Objects(_))))
    }

    /// The objects of an aggregate.
    pub fn objects(&self, aggregate: usize) -> impl Iterator<Item = Option<&Object>> {
        self.values(aggregate, |column, row| match column {
            Column::Objects(column) => column.at(row),
            other => panic!("an object is not in {other:?}"),
        })
    }

    fn values<'a, T>(
        &'a self,
        aggregate: usize,
        value: impl Fn(&'a Column, usize) -> T + 'a,
    ) -> impl Iterator<Item = T> + 'a {
        self.order
            .iter()
            .map(move |(shard, row)| value(&self.shards[*shard as usize].columns[aggregate], *row as usize))
    }
}

fn key(shard: &Emitted, number: usize) -> &[u8] {
    let start = if number == 0 { 0 } else { shard.key_ends[number - 1] };
    &shard.key_bytes[start..shard.key_ends[number]]
}

/// The first row of each key, and the end of the last one.
fn first_rows(shard: &Emitted) -> Vec<u32> {
    let mut first_rows = Vec::with_capacity(shard.key_ends.len() + 1);
    for (row, (_, key)) in (0..).zip(&shard.rows) {
        while first_rows.len() <= *key as usize {
            first_rows.push(row);
        }
    }
    first_rows.resize(shard.key_ends.len() + 1, shard.rows.len() as u32);
    first_rows
}

/// The windows of the output, numbered as they come, and how many groups each has.
#[derive(Default)]
struct Windows {
    numbers: HashMap<i64, u32>,
    counts: Vec<(i64, usize)>,
}

impl Windows {
    /// Counts a group of the window that starts then. Returns the window's number.
    #[inline]
    fn count(&mut self, start: i64) -> u32 {
        let number = *self.numbers.entry(start).or_insert_with(|| {
            self.counts.push((start, 0));
            self.counts.len() as u32 - 1
        });
        self.counts[number as usize].1 += 1;
        number
    }

    /// Where each window's groups begin in the order of the windows.
    fn places(&self) -> Vec<usize> {
        let mut by_start: Vec<usize> = (0..self.counts.len()).collect();
        by_start.sort_unstable_by_key(|number| self.counts[*number].0);
        let mut places = vec![0; self.counts.len()];
        let mut place = 0;
        for number in by_start {
            places[number] = place;
            place += self.counts[number].1;
        }
        places
    }
}

/// All keys in order: (shard, number in the shard).
fn keys_in_order(shards: &[Emitted]) -> impl Iterator<Item = (u32, u32)> {
    let all = || (0..).zip(shards).flat_map(|(at, shard)| (0..shard.key_ends.len()).map(move |number| (at, number)));
    let bytes = |(shard, number): (u32, usize)| key(&shards[shard as usize], number);
    let first = all().next().map_or(&[][..], bytes);
    // Compare eight bytes at once, after the prefix that all keys share.
    let same = |key: &[u8]| key.iter().zip(first).take_while(|(a, b)| a == b).count();
    let common = all().map(|place| same(bytes(place))).min().unwrap_or_default();
    let prefix = |key: &[u8]| {
        let rest = &key[common..];
        let mut word = [0; 8];
        let length = rest.len().min(8);
        word[..length].copy_from_slice(&rest[..length]);
        u64::from_be_bytes(word)
    };
    let mut keys: Vec<(u64, u32, u32)> = all().map(|place| (prefix(bytes(place)), place.0, place.1 as u32)).collect();
    keys.sort_unstable_by(|a, b| {
        let rest = || bytes((a.1, a.2 as usize)).cmp(bytes((b.1, b.2 as usize)));
        a.0.cmp(&b.0).then_with(rest)
    });
    keys.into_iter().map(|(_, shard, number)| (shard, number))
}
