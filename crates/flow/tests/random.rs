//! Random values depend on the query's seed and on where a record stands, and on nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;
use tidemill_flow::encoded_rows::joined;
use tidemill_flow::fold::Fold;
use tidemill_flow::ports::Chunk;
use tidemill_flow::records::Records;
use tidemill_model::pipeline::OnError;
use tidemill_model::{Millis, PartitionId};
use tidemill_sql::eval::EvalContext;
use tidemill_sql::plan::{Body, QueryPlan};
use tidemill_sql::text::show;
use tidemill_sql::zone::WallClock;

fn plan(sql: &str) -> QueryPlan {
    let text = format!(
        "[sources.t]\ntype = \"kafka\"\nbootstrap_servers = \"h:1\"\ntopic = \"t\"\nschema = \"s BIGINT\"\n\
         [sources.t.event_time]\ncolumn = \"et\"\nexpression = \"CAST(s AS TIMESTAMP)\"\nwatermark = \"1 day\"\n\
         [query]\nsql = \"{sql}\"\n[sinks.out]\ntype = \"console\"\n",
    );
    tidemill_sql::plan(&tidemill_config::parse("p.toml", &text, &[]).unwrap()).unwrap()
}

/// A task: its partition, and the first and last offset of each chunk, the last not included.
type Task<'a> = (i32, &'a [[i64; 2]]);

/// The rows of some tasks, each a text of its values.
fn rows(sql: &str, seed: u64, tasks: &[Task]) -> Vec<String> {
    let query = plan(sql);
    let branch = query.branches[0].clone();
    assert!(matches!(query.body(), Body::Project(_)), "no groups here");
    let mut found = Vec::new();
    for (partition, chunks) in tasks {
        let context = EvalContext { seed, ..query.context(Millis(0)) };
        let mut fold = Fold::new(branch.clone(), OnError::Fail, context, 0);
        let mut records = Records::new(&branch);
        records.set_partition(&PartitionId { source: 0, topic: Arc::from("orders"), partition: *partition });
        for [first, end] in *chunks {
            let mut chunk = Chunk::default();
            (*first..*end).for_each(|offset| chunk.push(offset, 0, Some(format!("{{\"s\":{offset}}}").as_bytes())));
            let decoded = records.decode(&chunk);
            fold.push(&decoded.batch, &decoded.faults, &chunk.timestamps).unwrap();
        }
        let rows = joined(&query.output_schema, fold.take_rows(&query.output_schema));
        let clock = WallClock::utc();
        let row = |row: usize| {
            let values = rows.columns().iter().map(|column| show::value(column, row, &clock));
            values.collect::<Vec<_>>().join(" ")
        };
        found.extend((0..rows.num_rows()).map(row));
    }
    found
}

const ALL: &str =
    "SELECT rand(), randn(), uuid(), randstr(5), uniform(0, 1000000), shuffle(array(1, 2, 3, 4, 5, 6, 7, 8)) FROM t";

fn distinct(rows: &[String]) -> usize {
    rows.iter().collect::<BTreeSet<_>>().len()
}

#[test]
fn the_cut_does_not_matter() {
    let whole = rows(ALL, 5, &[(0, &[[0, 100]])]);
    assert_eq!(rows(ALL, 5, &[(0, &[[0, 1], [1, 40], [40, 100]])]), whole);
    assert_eq!(rows(ALL, 5, &[(0, &[[0, 33]]), (0, &[[33, 34], [34, 100]])]), whole);
    // One in the middle alone.
    assert_eq!(rows(ALL, 5, &[(0, &[[71, 72]])]), whole[71..72]);
    assert_eq!(distinct(&whole), 100);
}

#[test]
fn seeds_and_positions_matter() {
    let of = |sql: &str, seed, partition| rows(sql, seed, &[(partition, &[[0, 50]])]);
    assert_ne!(of(ALL, 5, 0), of(ALL, 6, 0));
    assert_ne!(of(ALL, 5, 0), of(ALL, 5, 1));
    // A seed of the call leaves the query's out.
    let seeded = "SELECT rand(3), uuid(3) FROM t";
    assert_eq!(of(seeded, 5, 0), of(seeded, 6, 0));
    assert_ne!(of(seeded, 5, 0), of("SELECT rand(4), uuid(4) FROM t", 5, 0));
    // Two calls without a seed are two; two with one are one.
    assert!(of("SELECT rand() = rand() FROM t", 5, 0).iter().all(|row| row == "false"));
    assert!(of("SELECT rand(1) = rand(1), uuid(1) = uuid(1) FROM t", 5, 0).iter().all(|row| row == "true true"));
}

#[test]
fn rows_made_of_one_differ_above_and_agree_below() {
    let of = |sql: &str| rows(sql, 5, &[(0, &[[0, 20]])]);
    let above = of("SELECT rand() FROM (SELECT explode(array(1, 2, 3)) AS x FROM t)");
    assert_eq!((above.len(), distinct(&above)), (60, 60));
    let beside = of("SELECT explode(array(1, 2, 3)) AS x, uuid() AS u FROM t");
    assert_eq!((beside.len(), distinct(&beside)), (60, 60));
    let below = of("SELECT u FROM (SELECT uuid() AS u FROM t) LATERAL VIEW explode(array(1, 2, 3)) e AS x");
    assert_eq!((below.len(), distinct(&below)), (60, 20));
    let both = of("SELECT u, uuid() AS v FROM (SELECT uuid() AS u FROM t) LATERAL VIEW explode(array(1, 2)) e AS x \
                   LATERAL VIEW OUTER explode(filter(array(1), z -> z > 1)) f AS y");
    assert_eq!((both.len(), distinct(&both)), (40, 40));
    // Of the windows of a row, too.
    let windows = of("SELECT uuid() AS u, window(et, '10 seconds', '5 seconds') AS w FROM t");
    let ids: Vec<String> = windows.iter().map(|row| row.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!((ids.len(), distinct(&ids)), (40, 40));
    let tumbling =
        of("SELECT rand(1) AS r, rand(1) = r AS same FROM (SELECT et, rand(1) AS r, window(et, '1 day') AS w FROM t)");
    assert!(tumbling.iter().all(|row| row.ends_with("true")), "{tumbling:?}");
}

#[test]
fn values_are_spread() {
    let numbers = |sql: &str| -> Vec<f64> {
        rows(sql, 9, &[(0, &[[0, 5_000]]), (1, &[[0, 5_000]])]).iter().map(|row| row.parse().unwrap()).collect()
    };
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    let square = |of: &[f64]| of.iter().map(|x| x * x).sum::<f64>() / of.len() as f64;
    let uniform = numbers("SELECT rand() FROM t");
    assert!(uniform.iter().all(|x| (0.0..1.0).contains(x)));
    // Five standard deviations of the mean of 10,000.
    assert!((mean(&uniform) - 0.5).abs() < 5.0 * 0.0029 && (square(&uniform) - 1.0 / 3.0).abs() < 5.0 * 0.003);
    let normal = numbers("SELECT randn() FROM t");
    assert!(mean(&normal).abs() < 5.0 * 0.01 && (square(&normal) - 1.0).abs() < 5.0 * 0.015);
    let whole = numbers("SELECT uniform(-2, 3) FROM t");
    for value in [-1.0, 0.0, 1.0, 2.0] {
        assert!(whole.contains(&value));
    }
    let orders = rows("SELECT shuffle(array(1, 2, 3)) FROM t", 9, &[(0, &[[0, 600]])]);
    assert_eq!(distinct(&orders), 6);
    for order in orders.iter().collect::<BTreeSet<_>>() {
        assert!((60..140).contains(&orders.iter().filter(|other| *other == order).count()), "{order}");
    }
}

#[test]
fn ids_grow_with_the_offset_and_no_two_rows_have_one() {
    let ids: Vec<i64> = rows("SELECT monotonically_increasing_id() FROM t", 0, &[(0, &[[5, 8]]), (3, &[[5, 7]])])
        .iter()
        .map(|row| row.parse().unwrap())
        .collect();
    assert_eq!(ids, [5, 6, 7, (3 << 33) | 5, (3 << 33) | 6]);
}
