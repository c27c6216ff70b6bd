//! The native client at a listener with TLS and SASL: what lets it in, and the errors that users see otherwise.
//!
//! `cargo xtask kafka start --secure` starts an Apache Kafka with such a listener;
//! `TIDEMILL_TEST_SECURE_KAFKA=host:port` and `TIDEMILL_TEST_CERTIFICATES=DIR` name it and its certificates,
//! `TIDEMILL_TEST_KAFKA` its plain listener.

use crate::support::{Cluster, range, topic};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};
use tidemill_flow::ports::{Chunk, Extents, Read, Watch};
use tidemill_kafka::produce::{NewRecord, producer};
use tidemill_kafka::sink::{BatchWriter, Target};
use tidemill_kafka::{ClientChoice, Group, KafkaOptions, KafkaReader, KafkaWatch, admin, scan};
use tidemill_model::pipeline::{Delivery, NewTopic};
use tidemill_model::{Result, Secret};

/// A broker with a secure and a plain listener, and a topic with four records.
pub struct Secure {
    pub address: String,
    plain: String,
    certificates: PathBuf,
    topic: String,
}

impl Secure {
    pub fn new() -> Option<Secure> {
        let set = |name| std::env::var(name).ok();
        let (Some(address), Some(certificates), Some(cluster)) =
            (set("TIDEMILL_TEST_SECURE_KAFKA"), set("TIDEMILL_TEST_CERTIFICATES"), Cluster::apache())
        else {
            eprintln!(
                "skipped: TIDEMILL_TEST_SECURE_KAFKA=host:port and TIDEMILL_TEST_CERTIFICATES=DIR name no broker"
            );
            return None;
        };
        let topic = topic("secure");
        admin::ensure_topic(&cluster.options, &topic, Some(1)).expect("a topic");
        cluster.append(&topic, 0, &[(0..4).map(|n| Some(vec![n])).collect()]);
        let plain = cluster.options.bootstrap_servers;
        Some(Secure { address, plain, certificates: certificates.into(), topic })
    }

    /// Correct options of the user alice.
    pub fn options(&self, mechanism: &str) -> Vec<(&'static str, String)> {
        let ca = self.certificates.join("ca.pem").to_string_lossy().into_owned();
        vec![
            ("security.protocol", "SASL_SSL".into()),
            ("ssl.ca.location", ca),
            ("sasl.mechanism", mechanism.into()),
            ("sasl.username", "alice".into()),
            ("sasl.password", "alice-secret".into()),
        ]
    }

    pub fn reader(&self, address: &str, options: Vec<(&'static str, String)>) -> Result<KafkaReader> {
        let client_options = options.into_iter().map(|(name, value)| (name.to_owned(), Secret::new(value))).collect();
        let client = ClientChoice::Native;
        KafkaReader::new(&KafkaOptions { client_options, client, ..KafkaOptions::new(address) })
    }

    pub fn read(&self, reader: &mut KafkaReader, from: i64, to: i64) -> Result<usize> {
        reader.open(&range(&self.topic, 0, from, to))?;
        let (mut chunk, mut records) = (Chunk::default(), 0);
        while reader.next(&mut chunk, 100)? {
            records += chunk.len();
        }
        Ok(records)
    }

    /// Reads as alice with PLAIN and some changed options. Compares words of the error.
    fn check(&self, address: &str, changed: &[(&'static str, &str)], words: &[&str]) {
        let mut options = self.options("PLAIN");
        for (name, value) in changed {
            options.retain(|(own, _)| own != name);
            options.push((name, (*value).to_owned()));
        }
        let read = self.reader(address, options).and_then(|mut reader| self.read(&mut reader, 0, 4));
        let error = read.expect_err("something is wrong");
        assert!(!error.retry, "a person must act: {error}");
        for word in words {
            assert!(error.to_string().contains(word), "`{word}` in: {error}");
        }
        assert!(!error.to_string().contains("-secret"), "{error}");
    }
}

#[test]
fn who_has_the_right_credentials_reads() {
    let Some(secure) = Secure::new() else { return };
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let mut reader = secure.reader(&secure.address, secure.options(mechanism)).expect("a reader");
        assert_eq!(secure.read(&mut reader, 0, 2).expect(mechanism), 2);
        assert_eq!(secure.read(&mut reader, 2, 4).expect(mechanism), 2);
    }
}

/// The broker ends connections that do not authenticate again within a second.
#[test]
fn a_long_connection_authenticates_again() {
    let Some(secure) = Secure::new() else { return };
    let mut reader = secure.reader(&secure.address, secure.options("SCRAM-SHA-256")).expect("a reader");
    for at in 0..4 {
        assert_eq!(secure.read(&mut reader, at, at + 1).expect("let in again"), 1);
        thread::sleep(Duration::from_millis(700));
    }
}

#[test]
fn who_is_kept_out_reads_what_to_do() {
    let Some(secure) = Secure::new() else { return };
    let other_ca = secure.certificates.join("other-ca.pem");
    let (address, other_ca) = (&secure.address, other_ca.to_str().expect("text"));
    let login = "correct `sasl.username` and `sasl.password`";
    secure.check(address, &[("sasl.password", "wrong-secret")], &["refuses the credentials", login]);
    for scram in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let changed = [("sasl.mechanism", scram), ("sasl.password", "wrong-secret")];
        secure.check(address, &changed, &["refuses the credentials", login, "kafka-configs"]);
    }
    secure.check(address, &[("sasl.username", "nobody")], &["refuses the credentials", login]);
    secure.check(address, &[("ssl.ca.location", other_ca)], &["is not signed by a CA", "set `ssl.ca.location`"]);
    secure.check(address, &[("ssl.ca.location", "/no/such.pem")], &["`ssl.ca.location` cannot be used"]);
    let by_number = address.replace("localhost", "127.0.0.1");
    secure.check(
        &by_number,
        &[],
        &["is not for this host name but for localhost; name the broker", "bootstrap_servers"],
    );
    let bob = [("sasl.username", "bob"), ("sasl.password", "bob-secret")];
    secure.check(address, &bob, &["TOPIC_AUTHORIZATION_FAILED", "give the user the right (ACL)", "kafka-acls"]);
}

#[test]
fn who_may_write_writes_and_who_may_not_reads_why() {
    let Some(secure) = Secure::new() else { return };
    let options = |name: &str| {
        let mut options = secure.options("SCRAM-SHA-512");
        options.retain(|(own, _)| !["sasl.username", "sasl.password"].contains(own));
        options.extend([("sasl.username", name.to_owned()), ("sasl.password", format!("{name}-secret"))]);
        let client_options = options.into_iter().map(|(name, value)| (name.to_owned(), Secret::new(value))).collect();
        // No choice is needed: only the native client speaks TLS.
        KafkaOptions { client_options, ..KafkaOptions::new(&secure.address) }
    };
    let alice = options("alice");
    let made = topic("written");
    assert_eq!(admin::ensure_topic(&alice, &made, Some(2)).expect("alice makes it"), 2);
    let record = NewRecord { value: Some(b"x"), ..NewRecord::default() };
    let mut by_alice = producer(&alice, &made, 2).expect("a producer");
    for partition in [0, 1, 1] {
        assert!(by_alice.append(partition, &record, Instant::now()).expect("taken"));
    }
    while by_alice.pending() > 0 {
        by_alice.flush(Duration::from_secs(1)).expect("alice may write");
    }
    let extents = admin::extents(&alice, &made).expect("alice may look");
    assert_eq!(extents.values().map(|there| there.end).collect::<Vec<_>>(), [1, 2]);

    let bob = options("bob");
    let mut by_bob = producer(&bob, &made, 2).expect("a producer");
    assert!(by_bob.append(0, &record, Instant::now()).expect("taken"));
    let errors = [
        by_bob.flush(Duration::from_secs(1)).expect_err("bob may not write"),
        admin::ensure_topic(&bob, &topic("bobs"), Some(1)).expect_err("bob may not make it"),
    ];
    for error in errors {
        let words = ["TOPIC_AUTHORIZATION_FAILED", "give the user the right (ACL)", "WRITE"];
        assert!(!error.retry && words.iter().all(|word| error.message().contains(word)), "{error}");
    }
    admin::delete_topic(&alice, &made).expect("alice deletes it");
}

#[test]
fn a_client_at_the_wrong_listener_says_which_is_right() {
    let Some(secure) = Secure::new() else { return };
    let tls_there = &["the listener speaks TLS; set `security.protocol`"];
    secure.check(&secure.address, &[("security.protocol", "SASL_PLAINTEXT")], tls_there);
    // The broker closes such a connection without an answer, as a stopping broker does.
    let reader = secure.reader(&secure.plain, secure.options("PLAIN")).expect("a reader");
    let error = secure.read(&mut reader.with_still_max(Duration::from_millis(100)), 0, 4).expect_err("no TLS there");
    assert!(error.retry && error.to_string().contains("if its listener does not speak TLS, set"), "{error}");
    let no_login = "the listener does not use authentication; set `security.protocol` to";
    secure.check(&secure.plain, &[("security.protocol", "SASL_PLAINTEXT")], &[no_login, "PLAINTEXT"]);
    // With TLS and without a login, the broker closes the connection at the first request.
    let mut options = secure.options("PLAIN");
    options.retain(|(name, _)| !name.starts_with("sasl."));
    options[0].1 = "SSL".into();
    let reader = secure.reader(&secure.address, options).expect("a reader");
    let error =
        secure.read(&mut reader.with_still_max(Duration::from_millis(100)), 0, 4).expect_err("a login is needed");
    assert!(error.retry && error.to_string().contains("is to be SASL_SSL"), "{error}");
}

/// The embedded broker has no authentication and does not know its requests.
#[test]
fn a_login_at_a_listener_without_logins_says_what_to_set() {
    let cluster = Cluster::embedded();
    let options = [("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "PLAIN")];
    let login = [("sasl.username", "alice"), ("sasl.password", "alice-secret")];
    let client_options = [options, login].concat().into_iter().map(|(name, value)| (name.into(), Secret::new(value)));
    let client = ClientChoice::Native;
    let options = KafkaOptions { client_options: client_options.collect(), client, ..cluster.options.clone() };
    let error = admin::partition_count(&options, "t").expect_err("no login there");
    let words = "the listener does not use authentication; set `security.protocol` to PLAINTEXT";
    assert!(!error.retry && error.message().contains(words), "{error}");
}

#[test]
fn a_sink_over_tls_needs_rights_on_its_transactional_id() {
    let Some(secure) = Secure::new() else { return };
    let as_user = |user: &str| {
        let mut options = secure.options("SCRAM-SHA-512");
        options.truncate(3);
        options.extend([("sasl.username", user.to_owned()), ("sasl.password", format!("{user}-secret"))]);
        let client_options = options.into_iter().map(|(name, value)| (name.to_owned(), Secret::new(value))).collect();
        KafkaOptions { client_options, ..KafkaOptions::new(&secure.address) }
    };
    let written = topic("sink");
    let target = |user: &str, delivery: Delivery| Target {
        name: "out".into(),
        options: as_user(user),
        new_topic: Some(NewTopic { partitions: 1, options: Vec::new() }),
        delivery,
    };
    let mut by_alice = BatchWriter::new(&target("alice", Delivery::ExactlyOnce), &written).expect("a writer");
    by_alice.begin(Some(&written)).expect("alice may write");
    for batch_id in 0..3 {
        let record = NewRecord { value: Some(b"x"), ..NewRecord::default() };
        by_alice.write(batch_id, &written, &mut |writer| writer.put(&written, None, &record)).expect("written");
    }
    // The marker of the last transaction is written after the answer.
    let is_there = || {
        let mut count = 0;
        let plain = KafkaOptions::new(&secure.plain);
        let counted = scan(&plain, &written, |_, _, _, _, _| {
            count += 1;
            ControlFlow::Continue(())
        });
        counted.expect("scanned");
        count
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    while is_there() < 3 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(is_there(), 3);

    for (delivery, words) in [
        (
            Delivery::ExactlyOnce,
            ["TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "the rights (ACL) WRITE and DESCRIBE on the transactional id"],
        ),
        (Delivery::AtLeastOnce, ["TOPIC_AUTHORIZATION_FAILED", "give the user the right (ACL)"]),
    ] {
        let mut by_bob = BatchWriter::new(&target("bob", delivery), &written).expect("a writer");
        let error = by_bob.begin(Some(&written)).expect_err("bob may not");
        assert!(!error.retry && words.iter().all(|word| error.message().contains(word)), "{error}");
    }
    let mut group = Group::new(&as_user("bob"), "bobs").expect("a client");
    let offsets = [(written.clone(), [(0, 1)].into())].into();
    let error = group.commit(&offsets).expect_err("bob may not");
    let words = ["GROUP_AUTHORIZATION_FAILED", "give the user the right (ACL) READ on the group"];
    assert!(!error.retry && words.iter().all(|word| error.message().contains(word)), "{error}");
    admin::delete_topic(&as_user("alice"), &written).expect("alice deletes it");
}

/// Passwords change while a run goes on. What was let in once waits, in every part; a run that begins is told.
#[test]
fn a_login_that_was_right_before_is_waited_for() {
    let Some(secure) = Secure::new() else { return };
    for was_let_in in [false, true] {
        let mut options = secure.options("SCRAM-SHA-512");
        options.pop();
        options.push(("sasl.password", "wrong".into()));
        let client_options = options.into_iter().map(|(name, value)| (name.to_owned(), Secret::new(value))).collect();
        let options = KafkaOptions { client_options, ..KafkaOptions::new(&secure.address) };
        if was_let_in {
            options.let_in.note();
        }
        let mut reader = KafkaReader::new(&options).expect("a reader").with_still_max(Duration::from_millis(300));
        let mut watch = KafkaWatch::new(&options, &secure.topic).expect("a watch");
        let new_topic = None;
        let target =
            Target { name: "out".into(), options: options.clone(), new_topic, delivery: Delivery::ExactlyOnce };
        let mut writer = BatchWriter::new(&target, "q").expect("a writer");
        assert_eq!(writer.begin(Some(&secure.topic)).is_ok(), was_let_in, "a cluster that is away is no error yet");
        let errors = [
            secure.read(&mut reader, 0, 4).map(drop),
            watch.watch(&Extents::new(), Duration::from_millis(300)).map(drop),
            writer.write(0, &secure.topic, &mut |_| Ok(())),
            Group::new(&options, "g").and_then(|mut group| group.commit(&[("t".into(), [(0, 1)].into())].into())),
        ];
        for error in errors.map(|result| result.expect_err("a wrong password")) {
            assert!(error.to_string().contains("refuses the credentials"), "{error}");
            assert_eq!(error.retry, was_let_in, "{error}");
        }
    }
}
