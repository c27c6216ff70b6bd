//! The store against a model, a map of groups. Proptest generates batches; every figure and row is compared, and the
//! state is stored and restored in between.

mod copied;

use copied::Copied;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidemill_model::WindowSpec;
use tidemill_state::{
    Batch, Column, Emit, Grid, Kind, Layout, Object, Pick, PickRule, Position, Registers, Rule, Slots, Store, Table,
};

/// Registers of the sketches.
const PRECISION: u8 = 4;

const KINDS: [Kind; 8] = [
    Kind::Count,
    Kind::ExactSum,
    Kind::DoubleSum,
    Kind::Least,
    Kind::GreatestWide,
    Kind::Object(Rule::Pick(PickRule::First)),
    Kind::Object(Rule::Pick(PickRule::Last)),
    Kind::Object(Rule::Distinct { precision: PRECISION }),
];

/// A row: key, time, value.
type Row = (u8, i64, i64);

/// A batch: the rows of its tasks, how much later groups are evicted than before, whether the state is stored and
/// restored after it.
type Batches = Vec<(Vec<Vec<Row>>, i64, bool)>;

/// A configuration of the state.
#[derive(Clone, Debug)]
struct Case {
    /// Width, slide, start; `None` without windows.
    window: Option<(i64, i64, i64)>,
    apart: bool,
    /// Whether the time in the key closes a group, instead of the window.
    by_key: bool,
    evicts: bool,
    emit: Emit,
    batches: Batches,
}

/// A group in the model: value and position of each row.
type Groups = BTreeMap<(i64, Vec<u8>), Vec<(Position, i64)>>;

fn spec(case: &Case) -> Option<WindowSpec> {
    case.window.map(|(width, slide, start)| WindowSpec::new(width, slide, start).unwrap())
}

fn layout(case: &Case) -> Layout {
    let time = |key: &[u8]| (key[0] > 0).then_some(i64::from(key[0]));
    Layout {
        kinds: KINDS.to_vec(),
        grid: Grid::of(spec(case)),
        apart: case.apart,
        key_time: case.by_key.then(|| Arc::new(time) as _),
        evicts: case.evicts,
        is_global: false,
    }
}

fn key(number: u8) -> Vec<u8> {
    let mut key = vec![number];
    key.extend(b"a key longer than eight bytes".iter().take(usize::from(number)));
    key
}

fn part(case: &Case, rows: &[Row]) -> Vec<u8> {
    let spec = case.window.map(|(width, slide, start)| WindowSpec::new(width, slide, start).unwrap());
    let mut table = Table::new(&KINDS);
    for (row, (number, time, value)) in rows.iter().enumerate() {
        let slice = spec.map_or(0, |spec| spec.slice_of(*time).unwrap());
        let slot = table.slot_of(&key(*number), slice) as usize;
        for column in table.columns() {
            match column {
                Column::Counts(column) => column.add(slot, 1),
                Column::ExactSums(column) => column.add(slot, (wide(*value), 1)),
                Column::DoubleSums(column) => column.add(slot, (*value as f64, 1)),
                Column::Extremes(column) => column.add(slot, Some(*value)),
                Column::WideExtremes(column) => column.add(slot, Some(wide(*value))),
                Column::Moments(_) => unreachable!("not among the kinds"),
                Column::Objects(column) => {
                    let at = Position { row: row as u64, ..Position::default() };
                    let pick = || Pick { at, order: Vec::new(), result: value.to_be_bytes().to_vec() };
                    match column.rule() {
                        Rule::Pick(PickRule::First) => column.change(slot, || Object::Pick(pick()), |_| {}),
                        Rule::Pick(_) => column.change(
                            slot,
                            || Object::Pick(pick()),
                            |object| {
                                *object = Object::Pick(pick());
                            },
                        ),
                        _ => column.change(
                            slot,
                            || Object::Registers(Registers::default()),
                            |object| {
                                let Object::Registers(registers) = object else { panic!("a sketch") };
                                registers.see(PRECISION, value.rem_euclid(16) as u32, 1);
                            },
                        ),
                    }
                }
            }
        }
    }
    table.to_part()
}

/// Makes some values exceed 64 bits when summed.
fn wide(value: i64) -> i128 {
    if value > 900 { i128::from(value) << 60 } else { value.into() }
}

fn windows(case: &Case, time: i64) -> Vec<i64> {
    match case.window {
        None => vec![0],
        Some((width, slide, start)) => WindowSpec::new(width, slide, start).unwrap().windows_of(time).collect(),
    }
}

fn is_closed(case: &Case, until: i64, window: i64, key: &[u8]) -> bool {
    if case.by_key {
        return key[0] > 0 && i64::from(key[0]) <= until;
    }
    case.window.is_some_and(|(width, ..)| window + width <= until)
}

/// A group's accumulators as text.
fn shown(rows: &[(Position, i64)]) -> String {
    let values = || rows.iter().map(|(_, value)| *value);
    let sum: i128 = values().map(wide).sum();
    let double: i64 = values().sum();
    let first = rows.iter().min_by_key(|(at, _)| *at).unwrap();
    let last = rows.iter().max_by_key(|(at, _)| *at).unwrap();
    let registers: BTreeSet<i64> = values().map(|value| value.rem_euclid(16)).collect();
    let (count, least, greatest) = (rows.len(), values().min().unwrap(), values().map(wide).max().unwrap());
    format!("{count} {sum} {double} {least} {greatest} {first:?} {last:?} {}", registers.len())
}

/// The model's result of a batch: rows, updated, removed, dropped.
type ModelResult = (Vec<((i64, Vec<u8>), String)>, u64, u64, u64);

fn model(case: &Case, groups: &mut Groups, batch: (u64, &[Vec<Row>]), late: i64, until: i64) -> ModelResult {
    let (mut touched, mut dropped) = (BTreeSet::new(), BTreeSet::new());
    for (task, rows) in (0..).zip(batch.1) {
        for (row, (number, time, value)) in rows.iter().enumerate() {
            for window in windows(case, *time) {
                let id = (window, key(*number));
                if case.evicts && is_closed(case, late, window, &id.1) {
                    dropped.insert(id);
                    continue;
                }
                let at = Position { batch_id: batch.0, task, row: row as u64 };
                groups.entry(id.clone()).or_default().push((at, *value));
                touched.insert(id);
            }
        }
    }
    let show = |id: &(i64, Vec<u8>), groups: &Groups| (id.clone(), shown(&groups[id]));
    let due = |id: &&(i64, Vec<u8>)| case.evicts && is_closed(case, until, id.0, &id.1);
    let evicted: Vec<_> = groups.keys().filter(due).cloned().collect();
    let rows = match case.emit {
        Emit::Touched => touched.iter().map(|id| show(id, groups)).collect(),
        Emit::Evicted => evicted.iter().map(|id| show(id, groups)).collect(),
        Emit::All => groups.keys().map(|id| show(id, groups)).collect(),
        Emit::Nothing => Vec::new(),
    };
    evicted.iter().for_each(|id| drop(groups.remove(id)));
    (rows, touched.len() as u64, evicted.len() as u64, dropped.len() as u64)
}

fn said(merged: &tidemill_state::Merged) -> ModelResult {
    let output = &merged.output;
    let ids = output.windows().into_iter().zip(output.keys().into_iter().map(<[u8]>::to_vec));
    let pick = |object: Option<&Object>| match object {
        Some(Object::Pick(pick)) => (pick.at, i64::from_be_bytes(pick.value().try_into().unwrap())),
        other => panic!("{other:?} is no pick"),
    };
    let registers = |object: Option<&Object>| match object {
        Some(Object::Registers(Registers::Few(entries))) => entries.len(),
        Some(Object::Registers(Registers::All(ranks))) => ranks.iter().filter(|rank| **rank > 0).count(),
        other => panic!("{other:?} is no sketch"),
    };
    let columns = output
        .counts(0)
        .zip(output.exact_sums(1))
        .zip(output.double_sums(2))
        .zip(output.extremes(3).zip(output.extremes(4)))
        .zip(output.objects(5).zip(output.objects(6)).zip(output.objects(7)));
    let rows = ids.zip(columns).map(|(id, ((((count, sum), double), extremes), ((first, last), distinct)))| {
        assert_eq!((sum.1, double.1), (count as u64, count as u64));
        let text = format!(
            "{count} {} {} {} {} {:?} {:?} {}",
            sum.0,
            double.0,
            extremes.0.unwrap(),
            extremes.1.unwrap(),
            pick(first),
            pick(last),
            registers(distinct)
        );
        (id, text)
    });
    (rows.collect(), merged.updated, merged.removed, merged.dropped)
}

fn check(case: &Case) {
    let mut groups = Groups::new();
    let mut store = Store::new(layout(case), 2);
    let (mut stored, mut deltas) = (None::<Vec<Vec<u8>>>, Vec::new());
    let mut until = 0;
    let mut copied = Copied::default();
    for (id, (tasks, later, restored)) in (0..).zip(&case.batches) {
        let late = until;
        until += later;
        let expected = model(case, &mut groups, (id, tasks), late, until);
        let parts: Vec<Vec<u8>> = tasks.iter().map(|rows| part(case, rows)).collect();
        let batch = Batch { id, late_until: Some(late), evict_until: Some(until), emit: case.emit };
        let apart = |section: &mut tidemill_state::Section<'_>| {
            let windows = |(cell, (_, slice))| windows(case, slice).into_iter().map(move |window| (cell, window));
            let spread: Vec<(u32, i64)> = (0..).zip(section.cells()).flat_map(windows).collect();
            section.spread(&spread, &KINDS);
        };
        let as_it_is = |_: &mut tidemill_state::Section<'_>| {};
        let adapt: &(dyn Fn(&mut tidemill_state::Section<'_>) + Sync) = if case.apart { &apart } else { &as_it_is };
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let merged = store.merge(&batch, &parts, adapt).unwrap();
        assert_eq!(said(&merged), expected, "batch {id}");
        assert_eq!(store.groups(), groups.len() as u64, "groups after batch {id}");
        copied.after(id, &merged.delta, &mut store, layout(case));
        deltas.push(merged.delta);
        if !case.by_key {
            let stored = stored.as_ref().map(|parts: &Vec<Vec<u8>>| parts.iter().map(Vec::as_slice).collect());
            let keys = Store::of_keys(Grid::of(spec(case)), stored, deltas.iter().map(Vec::as_slice)).unwrap();
            let mut expected = BTreeMap::new();
            groups.keys().for_each(|(window, _)| *expected.entry(*window).or_default() += 1);
            assert_eq!(keys.windows(), expected, "windows after batch {id}");
        }
        if *restored {
            let snapshot = store.snapshot();
            let bytes = store.bytes();
            store = Store::restore(layout(case), 2, stored, deltas).unwrap();
            assert_eq!((store.snapshot() == snapshot, store.bytes()), (true, bytes), "restored after batch {id}");
            (stored, deltas) = (Some(vec![snapshot]), Vec::new());
            // A snapshot that is not complete does not survive its run.
            copied = Copied::default();
        }
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let windows = prop_oneof![
        Just(None),
        Just(Some((10, 10, 0))),
        Just(Some((10, 5, 0))),
        Just(Some((10, 4, 1))),
        Just(Some((30, 7, -3))),
        Just(Some((60, 2, 0))),
    ];
    let emit = prop_oneof![Just(Emit::Touched), Just(Emit::Evicted), Just(Emit::All), Just(Emit::Nothing)];
    let row = (0u8..20, 0i64..120, 0i64..1_000);
    let near = (0u8..20, 0i64..25, 0i64..1_000);
    let task = prop::collection::vec(prop_oneof![row, near], 0..40);
    let batch = (prop::collection::vec(task, 0..4), prop_oneof![Just(0), 0i64..25], any::<bool>());
    let batches = prop::collection::vec(batch, 1..6);
    (windows, any::<bool>(), any::<bool>(), any::<bool>(), emit, batches).prop_map(
        |(window, apart, by_key, evicts, emit, mut batches)| {
            // Later batches hold later times.
            for (number, (tasks, ..)) in (0..).zip(&mut batches) {
                tasks.iter_mut().flatten().for_each(|(_, time, _)| *time += number * 8 - 20);
            }
            Case { apart: apart && window.is_some(), window, by_key, evicts, emit, batches }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_and_figures_are_the_models(case in cases()) {
        check(&case);
    }
}

/// Keys with so many slices that they are kept in a map; slices come in any order and are removed again.
#[test]
fn a_key_with_many_slices() {
    let rows = |from: i64, step: i64| (0..200).map(|at| (1, from + at * step, at)).collect::<Vec<Row>>();
    for emit in [Emit::Touched, Emit::Evicted, Emit::All] {
        let batches = vec![
            (vec![rows(0, 1)], 0, false),
            (vec![rows(400, -2), rows(30, 1)], 20, true),
            (vec![rows(100, 3)], 200, false),
            (vec![vec![]], 1_000, true),
        ];
        let window = Some((60, 2, 0));
        check(&Case { window, apart: false, by_key: false, evicts: true, emit, batches });
    }
}

/// Groups come and go; memory follows the number that is present.
#[test]
fn memory_follows_the_groups() {
    let case = Case {
        window: Some((10, 10, 0)),
        apart: false,
        by_key: false,
        evicts: true,
        emit: Emit::Nothing,
        batches: Vec::new(),
    };
    let mut store = Store::new(layout(&case), 1);
    let mut most = 0;
    for batch in 0..40u64 {
        let mut table = Table::new(&KINDS);
        for number in 0..20_000u64 {
            table.slot_of(&(batch * 20_000 + number).to_be_bytes(), batch as i64 * 10);
        }
        let until = Some(batch as i64 * 10);
        let asked = Batch { id: batch, late_until: until, evict_until: until, emit: Emit::Nothing };
        store.merge(&asked, &[&table.to_part()], &|_| {}).unwrap();
        assert!(store.groups() <= 20_000);
        most = most.max(store.bytes());
    }
    assert!(store.bytes() < 20_000 * 200 && store.bytes() > 20_000 * 60, "{}", store.bytes());
    assert!(store.capacity_bytes() < 3 * most, "{} of {most}", store.capacity_bytes());
}

/// A state of slices goes on when its windows need separate slots or are no longer evicted, with the model's rows.
#[test]
fn a_state_is_moved_to_another_layout() {
    let row = |number: u8, time| (number, time, i64::from(number));
    for (evicts, apart) in [(true, true), (false, false), (false, true)] {
        let mut case = Case {
            window: Some((10, 5, 0)),
            apart: false,
            by_key: false,
            evicts: true,
            emit: Emit::Touched,
            batches: Vec::new(),
        };
        let mut groups = Groups::new();
        let mut store = Store::new(layout(&case), 1);
        let before = vec![vec![row(1, 12), row(2, 16), row(3, 31)]];
        model(&case, &mut groups, (0, &before), 0, 17);
        let asked = Batch { id: 0, late_until: Some(0), evict_until: Some(17), emit: Emit::Touched };
        let merged = store.merge(&asked, &[&part(&case, &before[0])], &|_| {}).unwrap();
        (case.evicts, case.apart) = (evicts, apart);
        let first = merged.delta;
        let mut store = Store::restore(layout(&case), 1, None, [first.clone()]).unwrap();
        assert_eq!(store.groups(), groups.len() as u64);
        // 12 is in one closed and one open window.
        let after = vec![vec![row(1, 12), row(2, 12), row(3, 33)]];
        let expected = model(&case, &mut groups, (1, &after), 17, 17);
        let asked = Batch { id: 1, late_until: Some(17), evict_until: Some(17), emit: Emit::Touched };
        let spread = |section: &mut tidemill_state::Section<'_>| {
            let windows = |(cell, (_, slice))| windows(&case, slice).into_iter().map(move |window| (cell, window));
            let spread: Vec<(u32, i64)> = (0..).zip(section.cells()).flat_map(windows).collect();
            section.spread(&spread, &KINDS);
        };
        let merged = store.merge(&asked, &[&part(&case, &after[0])], &spread).unwrap();
        assert_eq!(said(&merged), expected, "evicts: {evicts}, apart: {apart}");
        let mut again = Store::restore(layout(&case), 1, None, [first, merged.delta]).unwrap();
        assert!(again.snapshot() == store.snapshot(), "a delta after the move goes onto one from before it");
    }
}

#[test]
fn bytes_of_something_else_are_refused() {
    let case = Case { window: None, apart: false, by_key: false, evicts: false, emit: Emit::All, batches: Vec::new() };
    let mut store = Store::new(layout(&case), 1);
    let part = part(&case, &[(1, 2, 3), (4, 5, 6)]);
    let asked = Batch { id: 0, late_until: None, evict_until: None, emit: Emit::All };
    for cut in 1..part.len() {
        assert!(store.merge(&asked, &[&part[..cut]], &|_| {}).is_err(), "cut at {cut}");
    }
    assert_eq!(store.groups(), 0);
    store.merge(&asked, &[&part], &|_| {}).unwrap();
    let snapshot = store.snapshot();
    for cut in 0..snapshot.len() {
        assert!(Store::restore(layout(&case), 1, Some(vec![snapshot[..cut].to_vec()]), []).is_err(), "cut at {cut}");
    }
    let mut other = snapshot;
    other[0] = 1;
    assert!(matches!(
        Store::restore(layout(&case), 1, Some(vec![other]), []),
        Err((None, tidemill_state::Unreadable::Format))
    ));
}
