//! Sessions in the store against a model, a list of sessions that is joined anew in every batch (rule W7). Proptest generates
//! batches; rows and figures are compared, and the state is stored and restored in between.

mod copied;

use copied::Copied;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use tidemill_state::{
    Batch, Boxed, Collected, Column, Emit, Grid, Kind, Layout, Merged, Object, Pick, PickRule, Position, Rule, Section,
    Slots, Spans, Store, Table,
};

/// With these a task's spans are merged by the executor.
const PLAIN: [Kind; 2] = [Kind::Count, Kind::ExactSum];

/// These depend on the order in which spans are merged.
const ORDERED: [Kind; 5] = [
    Kind::Count,
    Kind::ExactSum,
    Kind::Object(Rule::Pick(PickRule::First)),
    Kind::Object(Rule::Pick(PickRule::Last)),
    Kind::Object(Rule::Boxed),
];

/// A row: key, time, gap, value.
type Row = (u8, i64, i64, i64);

/// A batch: the rows of its tasks, how much later sessions are evicted than before, whether the state is stored and restored
/// after it.
type Batches = Vec<(Vec<Vec<Row>>, i64, bool)>;

#[derive(Clone, Debug)]
struct Case {
    ordered: bool,
    evicts: bool,
    drops_late: bool,
    emit: Emit,
    batches: Batches,
}

/// The sessions of a key, with the values of their rows in order.
type Sessions = BTreeMap<u8, Vec<(i64, i64, Vec<i64>)>>;

fn layout(case: &Case) -> Layout {
    let kinds = if case.ordered { ORDERED.to_vec() } else { PLAIN.to_vec() };
    Layout { kinds, grid: Grid::Sessions, apart: false, key_time: None, evicts: case.evicts, is_global: false }
}

fn part(case: &Case, rows: &[Row], late_until: Option<i64>) -> Vec<u8> {
    let kinds = layout(case).kinds;
    let (mut table, mut spans) = (Table::new(&kinds), Spans::default());
    for (row, (key, time, gap, value)) in (0..).zip(rows) {
        let slot = spans.slot_of(&mut table, &[*key], (*time, time + gap)) as usize;
        let at = Position { row, ..Position::default() };
        let pick = || Object::Pick(Pick { at, order: Vec::new(), result: value.to_be_bytes().to_vec() });
        for column in table.columns() {
            match column {
                Column::Counts(column) => column.add(slot, 1),
                Column::ExactSums(column) => column.add(slot, ((*value).into(), 1)),
                Column::Objects(column) => match column.rule() {
                    Rule::Pick(PickRule::First) => column.change(slot, pick, |_| {}),
                    Rule::Pick(_) => column.change(slot, pick, |object| *object = pick()),
                    _ => column.change(
                        slot,
                        || Object::Boxed(Boxed::Collected(Collected::default())),
                        |object| {
                            let Object::Boxed(Boxed::Collected(values)) = object else { panic!("values") };
                            values.add(at, value.to_be_bytes().into());
                        },
                    ),
                },
                other => panic!("{other:?} is not among the kinds"),
            }
        }
    }
    spans.to_part(&mut table, &kinds, late_until)
}

/// The model's result of a batch: rows, updated, removed, dropped.
type Result = (Vec<(i64, i64, u8, String)>, u64, u64, u64);

fn shown(case: &Case, values: &[i64]) -> String {
    let text = format!("{} {}", values.len(), values.iter().sum::<i64>());
    if case.ordered { format!("{text} {values:?}") } else { text }
}

fn model(case: &Case, sessions: &mut Sessions, tasks: &[Vec<Row>], late: Option<i64>, until: i64) -> Result {
    let mut dropped = BTreeSet::new();
    let mut fresh: BTreeMap<u8, Vec<(i64, bool, i64, i64)>> = BTreeMap::new();
    for (key, time, gap, value) in tasks.iter().flatten() {
        let end = time + gap;
        if late.is_some_and(|late| end <= late) {
            dropped.insert((*key, *time, end));
        } else {
            fresh.entry(*key).or_default().push((*time, true, end, *value));
        }
    }
    let mut touched = BTreeSet::new();
    for (key, rows) in fresh {
        let of_key = sessions.entry(key).or_default();
        let stored = std::mem::take(of_key).into_iter();
        let mut pieces: Vec<_> = stored.map(|(start, end, values)| ((start, false, 0), end, values)).collect();
        pieces.extend(rows.into_iter().map(|(start, fresh, end, value)| ((start, fresh, end), end, vec![value])));
        // Stable: rows of one span stay in their order.
        pieces.sort_by_key(|(order, ..)| *order);
        for ((start, is_fresh, _), end, values) in pieces {
            match of_key.last_mut().filter(|last| start <= last.1) {
                Some(last) => {
                    last.1 = last.1.max(end);
                    last.2.extend(values);
                    touched.extend(is_fresh.then_some((key, last.0)));
                }
                None => {
                    of_key.push((start, end, values));
                    touched.extend(is_fresh.then_some((key, start)));
                }
            }
        }
    }
    let all = || sessions.iter().flat_map(|(key, of_key)| of_key.iter().map(move |session| (*key, session)));
    let due = |session: &(i64, i64, Vec<i64>)| case.evicts && session.1 <= until;
    let goes_out = |key: u8, session: &(i64, i64, Vec<i64>)| match case.emit {
        Emit::Touched => touched.contains(&(key, session.0)),
        Emit::Evicted => due(session),
        Emit::All => true,
        Emit::Nothing => false,
    };
    let out = all().filter(|(key, session)| goes_out(*key, session));
    let mut rows: Vec<_> = out.map(|(key, (start, end, values))| (*start, *end, key, shown(case, values))).collect();
    rows.sort_by_key(|(start, _, key, _)| (*start, *key));
    let removed = all().filter(|(_, session)| due(session)).count() as u64;
    sessions.values_mut().for_each(|of_key| of_key.retain(|session| !due(session)));
    (rows, touched.len() as u64, removed, dropped.len() as u64)
}

fn said(case: &Case, merged: &Merged) -> Result {
    let output = &merged.output;
    let number = |bytes: &[u8]| i64::from_be_bytes(bytes.try_into().unwrap());
    let mut rows = Vec::new();
    let ids = output.windows().into_iter().zip(output.ends()).zip(output.keys());
    let figures = output.counts(0).zip(output.exact_sums(1));
    for (row, (((start, end), key), (count, (sum, seen)))) in ids.zip(figures).enumerate() {
        assert_eq!(count as u64, seen);
        let mut text = format!("{count} {sum}");
        if case.ordered {
            let pick = |aggregate| match output.objects(aggregate).nth(row).unwrap() {
                Some(Object::Pick(pick)) => number(pick.value()),
                other => panic!("{other:?} is no pick"),
            };
            let Some(Object::Boxed(Boxed::Collected(values))) = output.objects(4).nth(row).unwrap() else {
                panic!("values")
            };
            let values: Vec<i64> = values.in_order().into_iter().map(number).collect();
            assert_eq!((Some(&pick(2)), Some(&pick(3))), (values.first(), values.last()));
            text += &format!(" {values:?}");
        }
        rows.push((start, end, key[0], text));
    }
    (rows, merged.updated, merged.removed, merged.dropped)
}

fn check(case: &Case) {
    let mut sessions = Sessions::new();
    let mut store = Store::new(layout(case), 2);
    let (mut stored, mut deltas) = (None::<Vec<Vec<u8>>>, Vec::new());
    let mut until = 0;
    let mut copied = Copied::default();
    for (id, (tasks, later, restored)) in (0..).zip(&case.batches) {
        let late = Some(until).filter(|_| case.drops_late);
        until += later;
        let expected = model(case, &mut sessions, tasks, late, until);
        let parts: Vec<Vec<u8>> = tasks.iter().map(|rows| part(case, rows, late)).collect();
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let batch = Batch { id, late_until: late, evict_until: Some(until), emit: case.emit };
        let merged = store.merge(&batch, &parts, &|_: &mut Section<'_>| {}).unwrap();
        assert_eq!(said(case, &merged), expected, "batch {id}");
        let count = sessions.values().map(Vec::len).sum::<usize>() as u64;
        assert_eq!(store.groups(), count, "sessions after batch {id}");
        copied.after(id, &merged.delta, &mut store, layout(case));
        deltas.push(merged.delta);
        let parts = stored.as_ref().map(|parts: &Vec<Vec<u8>>| parts.iter().map(Vec::as_slice).collect());
        let keys = Store::of_keys(Grid::Sessions, parts, deltas.iter().map(Vec::as_slice)).unwrap();
        let mut counts = BTreeMap::new();
        sessions.values().flatten().for_each(|(start, end, _)| *counts.entry((*start, *end)).or_default() += 1);
        assert_eq!(keys.sessions(), counts, "spans after batch {id}");
        if *restored {
            let (snapshot, bytes) = (store.snapshot(), store.bytes());
            store = Store::restore(layout(case), 2, stored, deltas).unwrap();
            assert_eq!((store.snapshot() == snapshot, store.bytes()), (true, bytes), "restored after batch {id}");
            (stored, deltas) = (Some(vec![snapshot]), Vec::new());
            // A snapshot that is not complete does not survive its run.
            copied = Copied::default();
        }
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let emit = prop_oneof![Just(Emit::Touched), Just(Emit::Evicted), Just(Emit::All), Just(Emit::Nothing)];
    let gap = prop_oneof![Just(5i64), Just(5), 1i64..12];
    let row = (0u8..6, 0i64..100, gap, 0i64..1_000);
    let batch = (prop::collection::vec(prop::collection::vec(row, 0..25), 0..4), 0i64..25, any::<bool>());
    let batches = prop::collection::vec(batch, 1..7);
    (any::<bool>(), any::<bool>(), any::<bool>(), emit, batches).prop_map(
        |(ordered, evicts, drops_late, emit, mut batches)| {
            // Later batches hold later times.
            for (number, (tasks, ..)) in (0..).zip(&mut batches) {
                tasks.iter_mut().flatten().for_each(|(_, time, ..)| *time += number * 8 - 20);
            }
            // What closes sessions drops late rows.
            Case { ordered, evicts, drops_late: drops_late || evicts, emit, batches }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn w7_sessions_are_the_models(case in cases()) {
        check(&case);
    }
}

/// A key with so many sessions that they are kept in a map; then rows that make one of all of them.
#[test]
fn w7_a_key_with_many_sessions() {
    let rows = |from: i64, step: i64| (0..200).map(|at| (1, from + at * step, 5, at)).collect::<Vec<Row>>();
    for (ordered, emit) in [(true, Emit::All), (false, Emit::Evicted), (true, Emit::Touched)] {
        let batches = vec![
            (vec![rows(0, 10)], 0, false),
            (vec![rows(1_995, -20)], 0, true),
            (vec![rows(5, 10), rows(0, 10)], 900, false),
            (vec![vec![]], 5_000, true),
        ];
        check(&Case { ordered, evicts: true, drops_late: true, emit, batches });
    }
}
