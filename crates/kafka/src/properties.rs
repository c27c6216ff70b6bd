//! The client's properties: their names and allowed values. `check` uses it. It connects to nothing.
//!
//! A name may be librdkafka's or, if it means the same, the Java client's ([`renamed`]). Tidemill sets some properties
//! itself, and some have no meaning here. The message then says what to write instead. The chosen client checks the
//! values, since it knows types and ranges. Values are never shown.

use crate::choice;
use crate::options::{KafkaOptions, hidden};
use rdkafka::bindings as native;
use rdkafka::types::RDKafkaConfRes;
use std::ffi::{CStr, CString, c_char};
use std::sync::OnceLock;
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
    fn name(what: impl Into<String>, help: impl Into<String>) -> Refused {
        Refused { what: what.into(), help: help.into(), is_value: false }
    }

    fn value(what: impl Into<String>, help: impl Into<String>) -> Refused {
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
        false => refused_by_librdkafka(name, value),
    }
}

/// What is wrong with the properties together, for the native client; `None` if nothing is.
pub fn refused_together(options: &KafkaOptions) -> Option<String> {
    choice::chosen(options).is_native.then(|| settings::together(&options.client_options))?
}

fn refused_by_native(name: &str, value: &Secret) -> Option<Refused> {
    match settings::refusal(name, value)? {
        settings::Refusal::Value(takes) => Some(Refused::value(format!("takes {takes}"), "correct the value")),
        settings::Refusal::Unknown if names().any(|known| known == renamed(name)) => Some(Refused::name(
            "is not a property of the native client, which is used here",
            "leave it out, or write client = \"librdkafka\"",
        )),
        settings::Refusal::Unknown => Some(Refused::name("is not a property of the client", help_for_unknown(name))),
    }
}

fn refused_by_librdkafka(name: &str, value: &Secret) -> Option<Refused> {
    if let Some(missing) = unspoken(name, value.expose()) {
        let help = match missing {
            KERBEROS => "use a binary built with it, or another mechanism such as PLAIN",
            _ => "write client = \"native\" or \"auto\"",
        };
        return Some(Refused::value(
            format!("needs {missing}, and this binary's librdkafka is built without it"),
            help,
        ));
    }
    let mut conf = Conf::new();
    match conf.set(renamed(name), value.expose()) {
        Ok(()) => None,
        Err((RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _)) => {
            Some(Refused::name("is not a property of the client", help_for_unknown(name)))
        }
        Err((_, reason))
            if reason.contains("not supported in this build") || reason.contains("not available at build") =>
        {
            let help = "use a binary built with it, or leave the property out";
            Some(Refused::name("needs a feature that this binary is built without (TLS or a SASL library)", help))
        }
        Err((_, reason)) => {
            let reason = hidden(&reason, [value]);
            Some(Refused::value(format!("does not accept this value ({reason})"), "correct the value"))
        }
    }
}

/// librdkafka's name of a property.
pub fn renamed(name: &str) -> &str {
    JAVA_NAMES.iter().find(|(java, _)| *java == name).map_or(name, |(_, ours)| ours)
}

fn help_for_unknown(name: &str) -> String {
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
fn names() -> impl Iterator<Item = &'static str> {
    include_str!("properties.txt").lines()
}

const KERBEROS: &str = "Kerberos";

/// The feature that a protocol or mechanism needs and this build of librdkafka lacks; `None` if it lacks nothing.
pub(crate) fn unspoken(name: &str, value: &str) -> Option<&'static str> {
    static FEATURES: OnceLock<String> = OnceLock::new();
    missing(name, value, FEATURES.get_or_init(|| Conf::new().get("builtin.features")))
}

fn missing(name: &str, value: &str, features: &str) -> Option<&'static str> {
    let has = |feature: &str| features.split(',').any(|known| known.trim() == feature);
    let value = value.trim().to_ascii_uppercase();
    Some(match name {
        "security.protocol" if value.ends_with("SSL") && !has("ssl") => "TLS",
        "sasl.mechanism" | "sasl.mechanisms" if value == "GSSAPI" && !has("sasl_gssapi") => KERBEROS,
        "sasl.mechanism" | "sasl.mechanisms" if value.starts_with("SCRAM") && !has("sasl_scram") => "SCRAM",
        "sasl.mechanism" | "sasl.mechanisms" if value == "OAUTHBEARER" && !has("sasl_oauthbearer") => "OAUTHBEARER",
        _ => return None,
    })
}

/// A librdkafka configuration used only for checking.
struct Conf(*mut native::rd_kafka_conf_t);

impl Conf {
    fn new() -> Conf {
        // SAFETY: creates a default configuration; `drop` destroys it.
        Conf(unsafe { native::rd_kafka_conf_new() })
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), (RDKafkaConfRes, String)> {
        let (Ok(name), Ok(value)) = (CString::new(name), CString::new(value)) else {
            return Err((RDKafkaConfRes::RD_KAFKA_CONF_INVALID, "it holds a zero byte".into()));
        };
        let mut reason = [0 as c_char; 512];
        // SAFETY: the configuration and both texts are valid; the reason is written into the array with a final zero.
        let result = unsafe {
            native::rd_kafka_conf_set(self.0, name.as_ptr(), value.as_ptr(), reason.as_mut_ptr(), reason.len())
        };
        if result == RDKafkaConfRes::RD_KAFKA_CONF_OK {
            return Ok(());
        }
        // SAFETY: written above, or still zero.
        let reason = unsafe { CStr::from_ptr(reason.as_ptr()) };
        Err((result, reason.to_string_lossy().into_owned()))
    }

    fn get(&self, name: &str) -> String {
        let name = CString::new(name).expect("a name without a zero byte");
        let mut text = [0 as c_char; 512];
        let mut size = text.len();
        // SAFETY: the configuration and the name are valid; at most `size` bytes are written, including a zero.
        unsafe { native::rd_kafka_conf_get(self.0, name.as_ptr(), text.as_mut_ptr(), &raw mut size) };
        // SAFETY: written above, or still zero.
        unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned()
    }
}

impl Drop for Conf {
    fn drop(&mut self) {
        // SAFETY: made by `rd_kafka_conf_new`, destroyed once; no client has taken it.
        unsafe { native::rd_kafka_conf_destroy(self.0) };
    }
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
        let is_unknown = |name: &str| {
            let set = Conf::new().set(name, "x");
            set.is_err_and(|(kind, _)| kind == RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN)
        };
        let unknown: Vec<&str> = names().filter(|name| is_unknown(name)).collect();
        assert!(unknown.is_empty(), "properties.txt is of another version of librdkafka: {unknown:?}");
        for (java, ours) in JAVA_NAMES {
            assert!(!is_unknown(ours), "{java} is {ours}");
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
        for (name, value) in [("socket.timeout.ms", "soon"), ("socket.timeout.ms", "-5"), ("security.protocol", "tls")]
        {
            let refused = alone(name, value).expect(name);
            assert!(refused.is_value && refused.what.starts_with("does not accept this value ("), "{refused:?}");
            assert!(!refused.what.contains(&format!("\"{value}\"")), "{refused:?}");
        }
    }

    #[test]
    fn what_librdkafka_is_built_without() {
        for (name, value, features, expected) in [
            ("security.protocol", "SASL_SSL", "gzip,sasl_plain", Some("TLS")),
            ("security.protocol", "ssl", "gzip", Some("TLS")),
            ("security.protocol", "ssl", "gzip,ssl", None),
            ("security.protocol", "SASL_PLAINTEXT", "gzip", None),
            ("sasl.mechanism", "PLAIN", "gzip", None),
            ("sasl.mechanism", "SCRAM-SHA-512", "gzip", Some("SCRAM")),
            ("sasl.mechanisms", "GSSAPI", "gzip,sasl", Some(KERBEROS)),
        ] {
            assert_eq!(missing(name, value, features), expected, "{name} = {value} with {features}");
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

    #[test]
    fn no_password_is_shown() {
        let secret = "pass-word-8472";
        for name in PASSWORDS {
            let value = Secret::new(secret);
            let mut options = crate::KafkaOptions::new("localhost:1");
            options.client_options.push((name.into(), value.clone()));
            let made = crate::client::Handle::new(&options, &[], &[]);
            let told = [
                format!("{:?}", refused(&options, name, &value)),
                format!("{options:?}"),
                made.err().map(|error| format!("{error} {error:?}")).unwrap_or_default(),
                options.unreachable("a request", Some(format!("it said {secret}"))).to_string(),
            ];
            assert!(told.iter().all(|told| !told.contains(secret)), "{name}: {told:?}");
        }
    }
}
