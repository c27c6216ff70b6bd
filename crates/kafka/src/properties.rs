//! The client's properties: their names and allowed values. `check` uses it. It connects to nothing.
//!
//! A name may be librdkafka's or, if it means the same, the Java client's ([`renamed`]). Tidemill sets some properties
//! itself, and some have no meaning here. The message then says what to write instead. The chosen client checks the
//! values, since it knows types and ranges. Values are never shown.

use crate::choice;
use crate::librdkafka;
use crate::options::KafkaOptions;
use tidemill_client::settings;
use tidemill_model::Secret;
use tidemill_model::diagnostic::nearest;

/// A property that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What is wrong. The text follows the property's name: `is not a property of the client`.
    pub what: String,
    /// What to do.
    pub help: String,
    /// Whether the value is wrong, not the name.
    pub is_value: bool,
}

impl Refused {
    pub(crate) fn name(what: impl Into<String>, help: impl Into<String>) -> Refused {
        Refused { what: what.into(), help: help.into(), is_value: false }
    }

    pub(crate) fn value(what: impl Into<String>, help: impl Into<String>) -> Refused {
        Refused { what: what.into(), help: help.into(), is_value: true }
    }
}

/// Properties whose names differ: (the Java client's name, librdkafka's name).
pub const JAVA_NAMES: [(&str, &str); 8] = [
    ("fetch.max.wait.ms", "fetch.wait.max.ms"),
    ("receive.buffer.bytes", "socket.receive.buffer.bytes"),
    ("request.timeout.ms", "socket.timeout.ms"),
    ("send.buffer.bytes", "socket.send.buffer.bytes"),
    ("ssl.keystore.certificate.chain", "ssl.certificate.pem"),
    ("ssl.keystore.key", "ssl.key.pem"),
    ("ssl.truststore.certificates", "ssl.ca.pem"),
    ("ssl.truststore.location", "ssl.ca.location"),
];

/// Properties that Tidemill sets itself, and what to write instead.
pub const OWN: [(&str, &str); 9] = [
    ("bootstrap.servers", "write `bootstrap_servers`"),
    ("metadata.broker.list", "write `bootstrap_servers`"),
    (
        "group.id",
        "leave it out: the query decides what is read; the key `group_id` of a source names the group whose offsets are set",
    ),
    ("enable.auto.commit", "leave it out: the checkpoint stores the offsets"),
    ("enable.auto.offset.store", "leave it out: the checkpoint stores the offsets"),
    ("auto.offset.reset", "write `starting_offsets` = \"earliest\" or \"latest\""),
    ("enable.partition.eof", "leave it out"),
    ("allow.auto.create.topics", "leave it out: reading never creates a topic"),
    ("interceptor.classes", "leave it out: Java classes cannot be loaded"),
];

/// Properties of the Java client that have no meaning here.
pub const WITHOUT_MEANING: [(&str, &str); 11] = [
    ("key.deserializer", "leave it out: keys are bytes"),
    ("value.deserializer", "leave it out: `format` decides how values are decoded"),
    ("key.serializer", "leave it out: records are bytes"),
    ("value.serializer", "leave it out: records are bytes"),
    ("max.poll.records", "leave it out: `max_offsets_per_trigger` limits a batch"),
    ("max.poll.interval.ms", "leave it out: there is no consumer group"),
    ("session.timeout.ms", "leave it out: there is no consumer group"),
    ("heartbeat.interval.ms", "leave it out: there is no consumer group"),
    ("group.instance.id", "leave it out: there is no consumer group"),
    ("sasl.jaas.config", "write \"sasl.username\" and \"sasl.password\""),
    ("ssl.truststore.password", "leave it out: PEM certificates have no password"),
];

/// Why the client that these options choose refuses a property; `None` if it accepts it.
pub fn refused(options: &KafkaOptions, name: &str, value: &Secret) -> Option<Refused> {
    let among =
        |table: &[(&str, &str)]| table.iter().find(|(known, _)| *known == name).map(|(_, help)| help.to_string());
    if let Some(help) = among(&OWN) {
        return Some(Refused::name("is set by Tidemill itself", help));
    }
    if let Some(help) = among(&WITHOUT_MEANING) {
        return Some(Refused::name("has no meaning here", help));
    }
    match choice::chosen(options).is_native {
        true => refused_by_native(name, value),
        false => librdkafka::refused(name, value),
    }
}

/// What the mechanism GSSAPI needs.
pub(crate) const KERBEROS: &str = "Kerberos";

/// What is wrong with the properties together, for the native client; `None` if nothing is.
pub fn refused_together(options: &KafkaOptions) -> Option<String> {
    choice::chosen(options).is_native.then(|| settings::together(&options.client_options))?
}

fn refused_by_native(name: &str, value: &Secret) -> Option<Refused> {
    match settings::refusal(name, value)? {
        settings::Refusal::Value(takes) => Some(Refused::value(format!("takes {takes}"), "correct the value")),
        settings::Refusal::Unknown if ["sasl.mechanism", "sasl.mechanisms"].contains(&name) => Some(Refused::name(
            "needs Kerberos, which the native client does not speak",
            "write PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER, or take a binary whose librdkafka has Kerberos",
        )),
        settings::Refusal::Unknown if names().any(|known| known == renamed(name)) => Some(Refused::name(
            "is not a property of the native client, which is used here",
            match choice::HAS_LIBRDKAFKA {
                true => "leave it out, or write client = \"librdkafka\"",
                false => "leave it out, or take a binary built with the cargo feature `librdkafka`",
            },
        )),
        settings::Refusal::Unknown => Some(Refused::name("is not a property of the client", help_for_unknown(name))),
    }
}

/// librdkafka's name of a property.
pub fn renamed(name: &str) -> &str {
    JAVA_NAMES.iter().find(|(java, _)| *java == name).map_or(name, |(_, ours)| ours)
}

pub(crate) fn help_for_unknown(name: &str) -> String {
    let is_known = |name: &str| names().any(|known| known == name);
    if name.strip_prefix("kafka.").is_some_and(|name| is_known(renamed(name))) {
        return "leave out the `kafka.`".into();
    }
    match nearest(name, names().chain(JAVA_NAMES.iter().map(|(java, _)| *java))).first() {
        Some(first) => format!("did you mean `{first}`?"),
        None => "docs/kafka.md lists the properties".into(),
    }
}

/// librdkafka's properties, including those that this binary was built without.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    include_str!("properties.txt").lines()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Why `client = "auto"` refuses a property if it is the only one.
    fn alone(name: &str, value: &str) -> Option<Refused> {
        let mut options = KafkaOptions::new("k:1");
        options.client_options.push((name.into(), Secret::new(value)));
        refused(&options, name, &Secret::new(value))
    }

    fn check(name: &str, value: &str, expected: Option<(&str, &str)>) {
        let refused = alone(name, value);
        let shown = refused.as_ref().map(|refused| (refused.what.as_str(), refused.help.as_str()));
        assert_eq!(shown, expected, "{name} = {value}");
    }

    #[test]
    fn properties_are_known_by_both_clients_names() {
        for (name, value) in [
            ("fetch.wait.max.ms", "5"),
            ("fetch.max.wait.ms", "5"),
            ("max.partition.fetch.bytes", "1048576"),
            ("request.timeout.ms", "30000"),
            ("receive.buffer.bytes", "65536"),
            ("client.id", "me"),
            ("isolation.level", "read_uncommitted"),
            ("sasl.username", "u"),
            ("sasl.password", "p"),
            ("security.protocol", "plaintext"),
        ] {
            check(name, value, None);
        }
    }

    #[test]
    fn what_is_wrong_with_a_property() {
        check("fetch.wait.ms", "5", Some(("is not a property of the client", "did you mean `fetch.max.wait.ms`?")));
        check(
            "what.is.this.anyway",
            "5",
            Some(("is not a property of the client", "docs/kafka.md lists the properties")),
        );
        check("kafka.client.id", "5", Some(("is not a property of the client", "leave out the `kafka.`")));
        check("sasl.pasword", "x", Some(("is not a property of the client", "did you mean `sasl.password`?")));
        check("group.id", "g", Some(("is set by Tidemill itself", OWN[2].1)));
        check("value.deserializer", "x", Some(("has no meaning here", WITHOUT_MEANING[1].1)));
        for (name, value, what) in [
            ("socket.timeout.ms", "soon", "takes "),
            ("socket.timeout.ms", "-5", "takes "),
            ("security.protocol", "tls", "takes PLAINTEXT, SSL"),
            ("queue.buffering.max.messages", "few", "is not a property of the native client"),
        ] {
            let refused = alone(name, value).expect(name);
            assert!(refused.what.starts_with(what), "{refused:?}");
            assert!(!refused.what.contains(&format!("\"{value}\"")), "{refused:?}");
        }
    }

    #[test]
    fn the_client_that_is_used_judges() {
        let check = |client, properties: &[(&str, &str)], expected: Option<&str>| {
            let own = |(name, value): &(&str, &str)| ((*name).to_owned(), Secret::new(*value));
            let client_options = properties.iter().map(own).collect();
            let options = KafkaOptions { client_options, client, ..KafkaOptions::new("k:1") };
            let (name, value) = properties.last().expect("a property");
            let refused = refused(&options, name, &Secret::new(*value)).map(|refused| refused.what);
            assert_eq!(refused.as_deref(), expected, "{client:?}: {properties:?}");
        };
        use tidemill_model::pipeline::ClientChoice::{Auto, Librdkafka, Native};
        let without_tls = Some("needs TLS, and this binary's librdkafka is built without it");
        let of_librdkafka = Some("is not a property of the native client, which is used here");
        check(Auto, &[("security.protocol", "SASL_SSL")], None);
        check(Librdkafka, &[("security.protocol", "SASL_SSL")], without_tls);
        check(Auto, &[("client.rack", "a")], None);
        check(Native, &[("client.rack", "a")], of_librdkafka);
        let kerberos = Some("needs Kerberos, which the native client does not speak");
        check(Native, &[("sasl.mechanism", "GSSAPI")], kerberos);
        check(Auto, &[("security.protocol", "SSL"), ("client.rack", "a")], of_librdkafka);
        check(Auto, &[("security.protocol", "SSL"), ("ssl.ca.location", "/ca.pem")], None);
        check(Native, &[("security.protocol", "TLS")], Some("takes PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"));
        check(
            Auto,
            &[("sasl.mechanism", "GSSAPI")],
            Some("needs Kerberos, and this binary's librdkafka is built without it"),
        );
        let mut options = KafkaOptions::new("k:1");
        options.client_options.push(("security.protocol".into(), Secret::new("SASL_SSL")));
        assert!(refused_together(&options).is_some_and(|why| why.contains("`sasl.mechanism` is missing")));
    }

    /// Every property of type password in the Java client's documentation, and librdkafka's own.
    const PASSWORDS: [&str; 17] = [
        "sasl.jaas.config",
        "sasl.password",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.client.credentials.client.secret",
        "sasl.oauthbearer.assertion.private.key.passphrase",
        "sasl.oauthbearer.config",
        "ssl.key.password",
        "ssl.keystore.password",
        "ssl.keystore.key",
        "ssl.keystore.certificate.chain",
        "ssl.truststore.password",
        "ssl.truststore.certificates",
        "ssl.key.pem",
        "ssl.certificate.pem",
        "ssl.ca.pem",
        "sasl.username",
        "ssl.key.location",
    ];

    /// What creating clients says, of both kinds.
    fn made(options: &KafkaOptions) -> String {
        let clients =
            [tidemill_model::pipeline::ClientChoice::Native, tidemill_model::pipeline::ClientChoice::Librdkafka];
        let told = clients.map(|client| {
            let made = crate::KafkaReader::new(&KafkaOptions { client, ..options.clone() });
            made.err().map(|error| format!("{error} {error:?}")).unwrap_or_default()
        });
        told.concat()
    }

    #[test]
    fn no_password_is_shown() {
        let secret = "pass-word-8472";
        for name in PASSWORDS {
            let value = Secret::new(secret);
            let mut options = crate::KafkaOptions::new("localhost:1");
            options.client_options.push((name.into(), value.clone()));
            let told = [
                format!("{:?}", refused(&options, name, &value)),
                format!("{options:?}"),
                made(&options),
                options.unreachable("a request", Some(format!("it said {secret}"))).to_string(),
            ];
            assert!(told.iter().all(|told| !told.contains(secret)), "{name}: {told:?}");
        }
    }
}
