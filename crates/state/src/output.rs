//! Output groups, in order of window and key.

use crate::column::{Column, Slots};
use crate::object::Object;
use crate::windows::Emitted;

/// The output groups of a batch, in order of window and key.
#[derive(Debug, Default)]
pub struct Groups {
    shards: Vec<Emitted>,
    /// (shard, row in the shard) of each group.
    order: Vec<(u32, u32)>,
}

impl Groups {
    pub(crate) fn new(shards: Vec<Emitted>) -> Groups {
        let ranks = ranks(&shards);
        let mut rows: Vec<(i64, u32, u32, u32)> = Vec::with_capacity(shards.iter().map(|shard| shard.rows.len()).sum());
        for ((shard, number), ranks) in shards.iter().zip(0..).zip(&ranks) {
            rows.extend(
                (0..).zip(&shard.rows).map(|(row, (window, key))| (*window, ranks[*key as usize], number, row)),
            );
        }
        rows.sort_unstable();
        Groups { order: rows.into_iter().map(|(_, _, shard, row)| (shard, row)).collect(), shards }
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

/// For each key of each shard, its rank among all keys.
fn ranks(shards: &[Emitted]) -> Vec<Vec<u32>> {
    let all = || (0..).zip(shards).flat_map(|(at, shard)| (0..shard.key_ends.len()).map(move |number| (at, number)));
    let bytes = |(shard, number): (u32, usize)| key(&shards[shard as usize], number);
    let mut ranks: Vec<Vec<u32>> = shards.iter().map(|shard| vec![0; shard.key_ends.len()]).collect();
    let Some(first) = all().next().map(bytes) else { return ranks };
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
    for (rank, (_, shard, number)) in (0..).zip(keys) {
        ranks[shard as usize][number as usize] = rank;
    }
    ranks
}
