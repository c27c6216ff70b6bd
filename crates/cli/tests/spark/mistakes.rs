//! Streams that the server ends early, and what users do wrong.

use crate::support::{SMALL, server, spark};
use std::fs;
use std::process::Command;
use tidemill_model::Secret;
use tidemill_spark::Session;

#[test]
fn streams_end_early_and_mistakes_end_in_sentences() {
    let Some(folder) = spark() else { return };
    let large = ("spark.connect.execute.reattachable.senderMaxStreamSize", "1m");
    let long = ("spark.connect.execute.reattachable.senderMaxStreamDuration", "1s");
    let server = server(&folder, &[&SMALL[..], &[large, long]].concat());
    // A result that takes longer than a stream may last.
    let select = async {
        let session = Session::open(&server.remote()).await?;
        session.select("SELECT count(hash(a.id, b.id)) FROM range(20000) AS a CROSS JOIN range(20000) AS b").await
    };
    let (batches, reattached) = tidemill_spark::block_on(select).unwrap().unwrap();
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
    assert!(reattached >= 1, "no stream ended early");
    // 32 MB in streams of one.
    let select = async {
        let session = Session::open(&server.remote()).await?;
        session.select("SELECT id, repeat('x', 1000) FROM range(32000)").await
    };
    let (batches, reattached) = tidemill_spark::block_on(select).unwrap().unwrap();
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 32_000);
    assert!(reattached >= 2, "the server ended {reattached} streams early");

    let place = tempfile::tempdir().unwrap();
    let kafka = "[sources.t]\ntype = \"kafka\"\nbootstrap_servers = \"127.0.0.1:1\"\ntopic = \"t\"\n\
                 [query]\nsql = \"SELECT value FROM t\"\n[sinks.none]\ntype = \"none\"\n";
    fs::write(place.path().join("kafka.toml"), kafka).unwrap();
    let run = |remote: &str| {
        let args = ["run", "kafka.toml", "--engine", "spark", "--spark-remote", remote];
        let output =
            Command::new(env!("CARGO_BIN_EXE_tidemill")).current_dir(place.path()).args(args).output().unwrap();
        assert!(!output.status.success(), "{remote}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let check = |remote: &str, part: &str| {
        let said = run(remote);
        assert!(said.contains(part), "{remote}: {said}");
    };
    check(&server.remote().address_with_token(), "start the Connect server with --packages");
    let mut other = server.remote();
    other.token = Some(Secret::new("wrong"));
    check(&other.address_with_token(), "refuses the credentials");
    other.tls = true;
    check(&other.address_with_token(), "may not use TLS");
    check("sc://127.0.0.1:1", "does not answer");
}
