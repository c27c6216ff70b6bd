//! Queries with aggregates from text to output rows, compared with what real Spark gave (`tests/spark/aggregates.py`).
//!
//! Each query of `goldens/aggregates/NAME.golden` is planned, its records are decoded and folded as one task, and as two
//! and three cut at every place; the partials are merged as one batch and as a batch each, through the bytes that they and
//! the state are sent and stored as. `deviations.txt` holds the queries where ours differ on purpose.

mod golden;
mod run;

use golden::{Block, Golden, blocks, deviations};
use run::{Cut, Query};
use std::collections::BTreeSet;

/// Up to so many records are cut at every place.
const CUT_EVERYWHERE_MAX: usize = 10;

#[test]
fn t1_sums_and_averages() {
    check("sums");
}

#[test]
fn t1_counts() {
    check("counts");
}

#[test]
fn t2_extremes_of_every_type() {
    check("extremes");
}

#[test]
fn t2_moments() {
    check("moments");
}

#[test]
fn t2_first_last_and_by() {
    check("picks");
}

#[test]
fn t2_approximate_distinct_counts() {
    check("distinct");
}

#[test]
fn w4_o7_keys_having_and_windows() {
    check("groups");
}

#[test]
fn o7_what_is_refused() {
    check("refused");
}

#[test]
fn every_deviation_is_one() {
    let queries: BTreeSet<String> = golden::names()
        .iter()
        .flat_map(|name| blocks(name))
        .flat_map(|block| block.queries)
        .map(|(query, _)| query)
        .collect();
    for query in deviations().into_keys() {
        assert!(queries.contains(&query), "a deviation names a query that no golden has: {query}");
    }
}

/// Every query of a golden file, with every cut of its records.
fn check(name: &str) {
    let deviations = deviations();
    let mut wrong = Vec::new();
    let mut count = 0;
    for block in blocks(name) {
        for (text, golden) in &block.queries {
            count += 1;
            let expected = deviations.get(text).unwrap_or(golden);
            if let Some(found) = differs(&block, text, expected) {
                wrong.push(format!("{text}\n   ours  {found}\n   want  {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 0, "{name} holds no query");
}

/// What we make of a query, where that is not what is expected.
fn differs(block: &Block, text: &str, expected: &Golden) -> Option<String> {
    let query = match Query::plan(&block.schema, text) {
        Ok(query) => query,
        Err(message) => {
            let found = Golden::Refused(message);
            return (!found.matches(expected)).then(|| format!("{found:?}"));
        }
    };
    let count = block.records.len();
    let places: Vec<usize> =
        if count <= CUT_EVERYWHERE_MAX { (0..=count).collect() } else { vec![count / 3, count - 1] };
    let mut cuts = vec![vec![]];
    for (index, first) in places.iter().enumerate() {
        cuts.push(vec![*first]);
        cuts.extend(places[index..].iter().map(|second| vec![*first, *second]));
    }
    for places in cuts {
        for a_batch_each in [false, true] {
            let cut = Cut { places: places.clone(), a_batch_each };
            let found = query.run(&block.records, &cut, usize::MAX);
            if !found.matches(expected) {
                return Some(format!("{found:?} with {cut:?}"));
            }
            if count <= CUT_EVERYWHERE_MAX {
                assert_eq!(query.run(&block.records, &cut, 1), found, "{text}: chunks of one record, {cut:?}");
            }
        }
    }
    None
}

/// A state of before `first`, `stddev` and the like: its bytes, and what comes of it. Minima of doubles were kept without
/// their place then.
#[test]
fn a_state_of_the_first_version_goes_on() {
    // One window at 0, one group of key 01 61 00 00 ("a"): count 2, sum of integers 3 in 2, sum of doubles 1.5 in 1,
    // minimum -0.0 and maximum 2.0 in the key encoding.
    let state = "01 00 01 04 01 61 00 00 05 00 04 01 06 02 02 00 00 00 00 00 00 f8 3f 01 \
                 03 01 09 01 7f ff ff ff ff ff ff ff 03 01 09 01 c0 00 00 00 00 00 00 00";
    let state: Vec<u8> = state.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    let query = Query::plan(
        "k STRING, i INT, d DOUBLE",
        "SELECT k, count(*), sum(i), sum(d), min(d), max(d) FROM t GROUP BY k",
    )
    .unwrap();
    let check = |record: &str, expected: &[&str]| {
        let Golden::Rows { rows, .. } = query.go_on(&state, record) else { panic!("rows") };
        let row: Vec<&str> = rows[0].iter().map(|value| value.as_deref().unwrap_or("NULL")).collect();
        assert_eq!(row, expected, "{record}");
    };
    check(r#"{"k":"a","i":4,"d":0.5}"#, &["a", "3", "7", "2.0", "-0.0", "2.0"]);
    check(r#"{"k":"a","d":-7}"#, &["a", "3", "3", "-5.5", "-7.0", "2.0"]);
    check(r#"{"k":"a","d":"NaN"}"#, &["a", "3", "3", "NaN", "-0.0", "NaN"]);
}
