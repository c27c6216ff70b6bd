//! Queries with aggregates, from text to output rows, compared with results of real Spark
//! (`tests/spark/aggregates.py`).
//!
//! Each query of `goldens/aggregates/NAME.golden` is planned. Its records are folded as one task, and as two and three
//! tasks cut at every position. The partials are merged as one batch and as one batch each, through their encoded form
//! and that of the state. `deviations.txt` holds the queries that differ on purpose.

mod golden;
mod run;

use golden::{Block, Golden, blocks, deviations};
use run::{Cut, Query};
use std::collections::BTreeSet;

/// Up to this many records are cut at every position.
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
fn t1_all_values_moments_and_bits() {
    check("collections");
}

#[test]
fn t1_t2_nulls_without_a_type() {
    check("void");
}

#[test]
fn t1_sums_and_means_of_intervals() {
    check("intervals");
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

/// Our result, if it differs from the expected one.
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

/// A state in the format of an older version is refused as such; a damaged state is reported as damaged.
#[test]
fn a_state_of_another_form_is_refused() {
    let query = Query::plan("k STRING, i INT", "SELECT k, count(*), sum(i) FROM t GROUP BY k").unwrap();
    let check = |state: &[u8], words: &str, exit_code: u8| {
        let error = query.restore(state).expect("it is refused");
        assert!(error.message().contains(words), "{error}");
        assert_eq!(error.exit_code(), exit_code, "{error}");
    };
    check(&[1, 0, 1, 4, 1, 0x61, 0, 0, 2, 0, 4, 1, 6, 2], "written by another version of this program", 2);
    check(&[0xc2, 0, 0], "the state of batch 7 in the checkpoint cannot be decoded", 1);
    check(&[], "the state of batch 7 in the checkpoint cannot be decoded", 1);
}
