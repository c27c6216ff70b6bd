//! The executor's half: a table whose slots are the spans of a task's rows.

use super::joined::{Span, joined};
use crate::column::{Column, Kind};
use crate::section::write_sessions;
use crate::table::Table;
use crate::windows::Step;
use hashbrown::HashMap;

/// The spans of a task's rows. In the table their numbers take the place of slices.
#[derive(Debug, Default)]
pub struct Spans {
    spans: Vec<Span>,
    numbers: HashMap<Span, i64>,
    /// The one before, since neighbouring rows often share it.
    last: Option<(Span, i64)>,
}

impl Spans {
    /// The slot of a span of a key. If it is new, call [`Table::columns`] before using its accumulators.
    pub fn slot_of(&mut self, table: &mut Table, key: &[u8], span: (i64, i64)) -> u32 {
        let number = match self.last {
            Some((last, number)) if last == span => number,
            _ => *self.numbers.entry(span).or_insert_with(|| {
                self.spans.push(span);
                self.spans.len() as i64 - 1
            }),
        };
        self.last = Some((span, number));
        table.slot_of(key, number)
    }

    /// The task's spans as a part. Spans of a key that meet and are not late are merged, unless an aggregate depends on the
    /// order in which the driver merges spans and sessions.
    pub fn to_part(&self, table: &mut Table, kinds: &[Kind], late_until: Option<i64>) -> Vec<u8> {
        table.columns();
        if kinds.iter().any(|kind| kind.depends_on_order()) {
            return self.write(table);
        }
        let (spans, table) = self.merged(table, kinds, late_until);
        spans.write(&table)
    }

    fn of(&self, table: &Table, slot: u32) -> Span {
        self.spans[table.slots[slot as usize].slice as usize]
    }

    fn write(&self, table: &Table) -> Vec<u8> {
        let mut numbers = Vec::new();
        let span = |slot| self.of(table, slot);
        table.in_sections(&mut |slots, section| write_sessions(table, slots, span, &mut numbers, section))
    }

    fn merged(&self, table: &Table, kinds: &[Kind], late_until: Option<i64>) -> (Spans, Table) {
        let mut places: Vec<(u32, Span, u32)> =
            table.live().map(|(number, slot)| (slot.key, self.of(table, number), number)).collect();
        places.sort_unstable();
        let is_late = |(_, (_, end)): (u32, Span)| late_until.is_some_and(|until| end <= until);
        let mut merged = (Spans::default(), Table::new(kinds));
        let mut steps = Vec::new();
        for of_key in places.chunk_by(|a, b| a.0 == b.0) {
            let key = table.keys.get(of_key[0].0);
            let (late, open): (Vec<_>, Vec<_>) =
                of_key.iter().map(|(_, span, slot)| (*slot, *span)).partition(|x| is_late(*x));
            let mut put = |span: Span, of: &[(u32, Span)]| {
                let slot = merged.0.slot_of(&mut merged.1, key, span);
                let rest = of[1..].iter().map(|(from, _)| Step::OutAddSlot(slot, *from));
                steps.extend([Step::OutIsSlot(slot, of[0].0)].into_iter().chain(rest));
            };
            late.chunks(1).for_each(|one| put(one[0].1, one));
            joined(open.len(), |at| open[at].1, |span, range| put(span, &open[range]));
        }
        let columns = merged.1.columns().iter_mut().zip(table.columns_as_they_are()).zip(kinds);
        columns.for_each(|((out, from), kind)| out.run(&steps, from, &mut Column::new(*kind)));
        merged
    }
}
