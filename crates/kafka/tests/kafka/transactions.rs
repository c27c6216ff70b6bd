//! Transactions: markers and aborted records take offsets, but are not records.

use crate::support::{CLIENTS, Cluster, flush, range, read, send, topic};
use rdkafka::producer::Producer;
use std::thread;
use std::time::Duration;
use tidemill_flow::ports::{Extents, Watch};
use tidemill_kafka::{KafkaReader, KafkaWatch, admin};

/// Writes a script to one partition, then reads every range of the partition. Each letter takes one offset: `t` is a
/// record in a transaction, `C` its commit, `A` its abort, `p` a record without a transaction. The last transaction may
/// stay open.
fn check(cluster: &Cluster, script: &str) {
    const PATIENCE: Duration = Duration::from_secs(30);
    let topic = topic("transactions");
    admin::ensure_topic(&cluster.options, &topic, Some(1)).unwrap();
    let plain = cluster.producer(&[]);
    let transactional = cluster.producer(&[("transactional.id", &topic)]);
    transactional.init_transactions(PATIENCE).unwrap();
    let mut expected = Vec::new();
    let mut open = Vec::new();
    let mut in_transaction = false;
    for (offset, letter) in (0i64..).zip(script.chars()) {
        if letter == 't' && !in_transaction {
            transactional.begin_transaction().unwrap();
            in_transaction = true;
        }
        let producer = if letter == 'p' { &plain } else { &transactional };
        match letter {
            'C' => transactional.commit_transaction(PATIENCE).unwrap(),
            'A' => transactional.abort_transaction(PATIENCE).unwrap(),
            _ => {
                send(producer, &topic, 0, Some(b"x"));
                flush(producer);
            }
        }
        match letter {
            'C' => expected.append(&mut open),
            'A' => open.clear(),
            't' => open.push(offset),
            _ => expected.push(offset),
        }
        if matches!(letter, 'C' | 'A') {
            in_transaction = false;
            // The marker is written after the answer. The next record must come after it.
            while admin::extents(&cluster.options, &topic).unwrap().values().next().unwrap().end != offset + 1 {
                thread::sleep(Duration::from_millis(5));
            }
        }
    }
    // Records after the first record of an open transaction are not stable.
    let end = open.first().copied().unwrap_or(script.len() as i64);
    expected.retain(|offset| *offset < end);
    expected.sort_unstable();
    let mut watch = KafkaWatch::new(&cluster.options, &topic).unwrap();
    let mut seen = watch.watch(&Extents::new(), PATIENCE).unwrap();
    while seen.values().next().unwrap().end != end {
        seen = watch.watch(&seen, PATIENCE).unwrap();
    }
    let mut reader = KafkaReader::new(&cluster.options).unwrap();
    for (from, to) in (0..=end).flat_map(|from| (from..=end).map(move |to| (from, to))) {
        let offsets: Vec<i64> =
            read(&mut reader, &range(&topic, 0, from, to), 10).iter().map(|(offset, ..)| *offset).collect();
        let within: Vec<i64> = expected.iter().copied().filter(|offset| (from..to).contains(offset)).collect();
        assert_eq!(offsets, within, "{script}, offsets {from} to {to}");
    }
}

const SCRIPTS: [&str; 8] = ["tC", "ttCptA", "tAtAtA", "pptptCp", "tpAp", "ttAttCp", "tCpt", "ptAtpp"];

#[test]
fn only_committed_records_are_read_and_every_range_ends() {
    for (client, script) in CLIENTS.into_iter().flat_map(|client| SCRIPTS.map(|script| (client, script))) {
        let Some(cluster) = Cluster::apache() else { return };
        check(&cluster.read_by(client), script);
    }
}
