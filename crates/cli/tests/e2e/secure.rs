//! A pipeline at the listeners with TLS of an Apache Kafka: what lets it in, and what a person reads when something keeps it
//! out. `TIDEMILL_TEST_KAFKA` and the variables below name it, as `cargo xtask test` does.

use crate::support::{Dashboard, Ended, TOPIC, Testbed, WITH_DASHBOARD, append, count, records};
use std::path::PathBuf;
use tidemill_kafka::{KafkaOptions, admin};

/// A day in 2023, seconds.
const THEN: i64 = 1_700_000_000;

/// A topic of such a cluster, which goes at the end, and a directory for the runs.
struct Secure {
    testbed: Testbed,
    /// Its listener without security, which lets everybody in.
    plain: KafkaOptions,
    sasl: String,
    mutual: String,
    certificates: PathBuf,
    topic: String,
}

/// Properties of the client.
type Options<'a> = Vec<(&'a str, String)>;

impl Secure {
    fn new(name: &str) -> Option<Secure> {
        let set = |name| std::env::var(format!("TIDEMILL_TEST_{name}")).ok();
        let (Some(plain), Some(sasl), Some(mutual), Some(certificates)) =
            (set("KAFKA"), set("SECURE_KAFKA"), set("MUTUAL_KAFKA"), set("CERTIFICATES"))
        else {
            eprintln!("skipped: TIDEMILL_TEST_SECURE_KAFKA, _MUTUAL_KAFKA and _CERTIFICATES name no Apache Kafka");
            return None;
        };
        let testbed = Testbed::without_broker();
        std::fs::write(testbed.path("password"), "alice-secret\n").expect("the folder takes files");
        let topic = format!("{TOPIC}-{name}-{}", std::process::id());
        Some(Secure {
            testbed,
            plain: KafkaOptions::new(plain),
            sasl,
            mutual,
            certificates: certificates.into(),
            topic,
        })
    }

    fn send(&self, start: i64, count: usize) {
        append(&self.plain, &self.topic, records(start, count).map(|value| Some(value.into_bytes())));
    }

    fn certificate(&self, name: &str) -> String {
        self.certificates.join(name).to_string_lossy().into_owned()
    }

    fn login<'a>(&self, mechanism: &str) -> Options<'a> {
        vec![
            ("security.protocol", "SASL_SSL".into()),
            ("ssl.ca.location", self.certificate("ca.pem")),
            ("sasl.mechanism", mechanism.into()),
            ("sasl.username", "alice".into()),
            ("sasl.password", "${FILE:password}".into()),
        ]
    }

    fn with_certificate<'a>(&self, name: &str) -> Options<'a> {
        vec![
            ("security.protocol", "SSL".into()),
            ("ssl.ca.location", self.certificate("ca.pem")),
            ("ssl.certificate.location", self.certificate(&format!("{name}.pem"))),
            ("ssl.key.location", self.certificate(&format!("{name}.key"))),
        ]
    }

    /// The arguments that let the pipeline read the topic at an address with these properties.
    fn args(&self, address: &str, options: &Options<'_>) -> Vec<String> {
        let mut set =
            vec![format!("sources.logs.bootstrap_servers={address}"), format!("sources.logs.topic={}", self.topic)];
        set.extend(options.iter().map(|(name, value)| format!("sources.logs.options.{name}={value}")));
        set.into_iter().flat_map(|set| ["--set".to_owned(), set]).collect()
    }

    /// Produces 3,000 records to the topic.
    fn produce(&self, address: &str, options: &Options<'_>) -> Ended {
        let options: Vec<String> =
            options.iter().flat_map(|(name, value)| ["--option".to_owned(), format!("{name}={value}")]).collect();
        let fixed = ["produce", "--bootstrap-servers", address, "--topic", &self.topic, "--partitions", "4"];
        let load = ["--count", "3000", "--rate", "max", "--producers", "2"];
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        self.testbed.tidemill(&[&fixed[..], &load, &options].concat())
    }

    /// Runs the pipeline, which ends by itself with an error → what it says.
    fn check(&self, address: &str, options: &Options<'_>, words: &[&str]) {
        let args = self.args(address, options);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let ended = self.testbed.start_run(&args).end();
        assert_ne!(ended.code, Some(0), "{}", ended.stderr);
        for word in [&["Kafka at", address][..], words].concat() {
            assert!(ended.stderr.contains(word), "`{word}` in: {}", ended.stderr);
        }
        assert!(!(ended.stderr + &ended.stdout).contains("-secret"), "passwords are not shown");
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        let _ = admin::delete_topic(&self.plain, &self.topic);
    }
}

#[test]
fn a_pipeline_reads_over_tls_who_has_a_login_or_a_certificate() {
    let Some(secure) = Secure::new("tls") else { return };
    let ways = [
        (&secure.sasl, secure.login("PLAIN")),
        (&secure.sasl, secure.login("SCRAM-SHA-256")),
        (&secure.sasl, secure.login("SCRAM-SHA-512")),
        (&secure.mutual, secure.with_certificate("client")),
    ];
    for (turn, (address, options)) in ways.iter().enumerate() {
        secure.send(THEN + 100 * turn as i64, 2_000);
        let args = secure.args(address, options);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let checked = secure.testbed.tidemill(&[&["check", "p.toml"], &args[..]].concat());
        let told = "native reads `logs`: client = \"auto\" takes it unless only librdkafka knows a property";
        assert!(checked.stdout.contains(told), "{}{}", checked.stdout, checked.stderr);
        secure.testbed.run_now(&args);
        assert_eq!(secure.testbed.rows(), count(&secure.plain, &secure.topic), "{options:?}");
    }
}

#[test]
fn a_pipeline_over_tls_notices_records_as_they_come() {
    let Some(secure) = Secure::new("awake") else { return };
    // Who logs in so must say again every second who it is.
    let args = secure.args(&secure.sasl, &secure.login("SCRAM-SHA-256"));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let run = secure.testbed.start_run(&[&WITH_DASHBOARD[..], &args].concat());
    let dashboard = Dashboard::of(&run);
    // The topic does not exist at first.
    let mut sent = 0;
    for turn in 0..6 {
        // Within the watermark's delay: some partitions may be read before the others have their records.
        let count = if turn == 3 { 1_000 } else { 1 };
        secure.send(THEN + 300 * turn, count);
        sent += count as u64;
        dashboard.wait("the record in a result", |status| status.records == sent);
        let before = dashboard.wait("a status", |_| true).uptime_ms;
        dashboard.wait("half a second more", |status| status.uptime_ms > before + 500);
    }
    run.signal("INT");
    assert_eq!(run.end().code, Some(0));
    assert_eq!(secure.testbed.rows(), count(&secure.plain, &secure.topic));
}

#[test]
fn records_are_produced_over_tls() {
    let Some(secure) = Secure::new("produced") else { return };
    let ways = [(&secure.sasl, secure.login("SCRAM-SHA-512")), (&secure.mutual, secure.with_certificate("client"))];
    for (turn, (address, options)) in (1..).zip(&ways) {
        let produced = secure.produce(address, options);
        assert_eq!(produced.code, Some(0), "{}", produced.stderr);
        assert!(produced.stdout.contains("3000 records sent, 3000 acknowledged, 0 failed"), "{}", produced.stdout);
        let there = admin::extents(&secure.plain, &secure.topic).expect("extents");
        assert_eq!(there.values().map(|there| there.end).sum::<i64>(), turn * 3_000);
    }
    let mut wrong = secure.login("PLAIN");
    wrong.retain(|(name, _)| *name != "sasl.password");
    wrong.push(("sasl.password", "wrong-secret".into()));
    let refused = secure.produce(&secure.sasl, &wrong);
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains("correct `sasl.username` and `sasl.password`"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("wrong-secret"), "{}", refused.stderr);
}

#[test]
fn a_pipeline_that_is_kept_out_says_what_to_do() {
    let Some(secure) = Secure::new("out") else { return };
    secure.send(THEN, 1);
    let changed = |changes: &[(&'static str, &str)]| {
        let mut options = secure.login("PLAIN");
        for (name, value) in changes {
            options.retain(|(own, _)| own != name);
            options.push((name, (*value).to_owned()));
        }
        options
    };
    let login = "correct `sasl.username` and `sasl.password`";
    let (sasl, mutual) = (secure.sasl.as_str(), secure.mutual.as_str());
    for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
        let wrong = changed(&[("sasl.mechanism", mechanism), ("sasl.password", "wrong-secret")]);
        secure.check(sasl, &wrong, &["refuses the credentials", login]);
    }
    let other_ca = changed(&[("ssl.ca.location", &secure.certificate("other-ca.pem"))]);
    secure.check(sasl, &other_ca, &["is not signed by a CA", "set `ssl.ca.location`"]);
    let by_number = sasl.replace("localhost", "127.0.0.1");
    secure.check(&by_number, &secure.login("PLAIN"), &["is not for this host name but for", "localhost"]);
    let without_rights = changed(&[("sasl.username", "bob"), ("sasl.password", "bob-secret")]);
    let acl = ["TOPIC_AUTHORIZATION_FAILED", "give the user the right (ACL)", "kafka-acls"];
    secure.check(sasl, &without_rights, &acl);
    let no_certificate = &secure.with_certificate("client")[..2];
    secure.check(mutual, &no_certificate.to_vec(), &["certificate", "`ssl.certificate.location`"]);
    secure.check(mutual, &secure.with_certificate("stranger"), &["certificate", "`ssl.certificate.location`"]);
    secure.check(
        mutual,
        &secure.with_certificate("expired"),
        &["certificate", "`ssl.certificate.location`", "not expired"],
    );
}
