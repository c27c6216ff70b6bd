//! The native client at a listener with TLS and SASL: what lets it in, and what a person reads when something keeps it out.
//!
//! `cargo xtask kafka start --secure` starts an Apache Kafka with such a listener; `TIDEMILL_TEST_SECURE_KAFKA=host:port` and
//! `TIDEMILL_TEST_CERTIFICATES=DIR` name it and its certificates, `TIDEMILL_TEST_KAFKA` its plain listener.

use crate::support::{Cluster, range, topic};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;
use tidemill_flow::ports::{Chunk, Read};
use tidemill_kafka::{ClientChoice, KafkaOptions, KafkaReader, admin};
use tidemill_model::{Result, Secret};

/// A topic at the broker of both listeners, with four records.
struct Secure {
    address: String,
    plain: String,
    certificates: PathBuf,
    topic: String,
}

impl Secure {
    fn new() -> Option<Secure> {
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

    /// Options of alice, in order.
    fn options(&self, mechanism: &str) -> Vec<(&'static str, String)> {
        let ca = self.certificates.join("ca.pem").to_string_lossy().into_owned();
        vec![
            ("security.protocol", "SASL_SSL".into()),
            ("ssl.ca.location", ca),
            ("sasl.mechanism", mechanism.into()),
            ("sasl.username", "alice".into()),
            ("sasl.password", "alice-secret".into()),
        ]
    }

    fn reader(&self, address: &str, options: Vec<(&'static str, String)>) -> Result<KafkaReader> {
        let client_options = options.into_iter().map(|(name, value)| (name.to_owned(), Secret::new(value))).collect();
        let client = ClientChoice::Native;
        KafkaReader::new(&KafkaOptions { client_options, client, ..KafkaOptions::new(address) })
    }

    fn read(&self, reader: &mut KafkaReader, from: i64, to: i64) -> Result<usize> {
        reader.open(&range(&self.topic, 0, from, to))?;
        let (mut chunk, mut records) = (Chunk::default(), 0);
        while reader.next(&mut chunk, 100)? {
            records += chunk.len();
        }
        Ok(records)
    }

    /// Reads as alice by PLAIN with some options changed → what the error says.
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

/// The broker ends connections that have not said again within a second who they are.
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
    secure.check(&by_number, &[], &["is not for this host name but for", "localhost", "bootstrap_servers"]);
    let bob = [("sasl.username", "bob"), ("sasl.password", "bob-secret")];
    secure.check(address, &bob, &["TOPIC_AUTHORIZATION_FAILED", "give the user the right (ACL)", "kafka-acls"]);
}

#[test]
fn a_client_at_the_wrong_listener_says_which_is_right() {
    let Some(secure) = Secure::new() else { return };
    let tls_there = &["the listener speaks TLS; set `security.protocol`"];
    secure.check(&secure.address, &[("security.protocol", "SASL_PLAINTEXT")], tls_there);
    // The broker ends such a connection without a word, as one that stops does.
    let reader = secure.reader(&secure.plain, secure.options("PLAIN")).expect("a reader");
    let error = secure.read(&mut reader.with_still_max(Duration::from_millis(100)), 0, 4).expect_err("no TLS there");
    assert!(error.retry && error.to_string().contains("if its listener does not speak TLS, set"), "{error}");
    secure.check(&secure.plain, &[("security.protocol", "SASL_PLAINTEXT")], &["authentication", "PLAINTEXT or SSL"]);
}
