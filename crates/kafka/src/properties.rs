//! The client's properties: their names and allowed values. Used by `check`; connects to nothing.
//!
//! A name may be librdkafka's or, if it means the same, the Java client's ([`renamed`]). Some properties are set by
//! Tidemill, and some have no meaning here; the message says what to write instead. librdkafka checks the values, since
//! it knows types and ranges. Values are never shown.

use crate::options::hidden;
use rdkafka::bindings as native;
use rdkafka::types::RDKafkaConfRes;
use std::ffi::{CStr, CString, c_char};
use tidemill_model::Secret;
use tidemill_model::diagnostic::nearest;

/// A property that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What is wrong; follows the property's name: `is not a property of the client`.
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

/// Java's names of properties that librdkafka has under another name: (Java's, librdkafka's).
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
    ("group.id", "leave it out: which partitions are read is decided by the query, and kept in the checkpoint"),
    ("enable.auto.commit", "leave it out: offsets are kept in the checkpoint"),
    ("enable.auto.offset.store", "leave it out: offsets are kept in the checkpoint"),
    ("auto.offset.reset", "write `starting_offsets` = \"earliest\" or \"latest\""),
    ("enable.partition.eof", "leave it out"),
    ("allow.auto.create.topics", "leave it out: a topic that is read is not made by reading"),
    ("interceptor.classes", "leave it out: there are no classes here"),
];

/// Properties of the Java client that have no meaning here.
pub const WITHOUT_MEANING: [(&str, &str); 11] = [
    ("key.deserializer", "leave it out: the value's form is that of `format`"),
    ("value.deserializer", "leave it out: the value's form is that of `format`"),
    ("key.serializer", "leave it out: records are bytes"),
    ("value.serializer", "leave it out: records are bytes"),
    ("max.poll.records", "leave it out; `max_offsets_per_trigger` bounds a batch"),
    ("max.poll.interval.ms", "leave it out: there is no consumer group"),
    ("session.timeout.ms", "leave it out: there is no consumer group"),
    ("heartbeat.interval.ms", "leave it out: there is no consumer group"),
    ("group.instance.id", "leave it out: there is no group"),
    ("sasl.jaas.config", "write \"sasl.username\" and \"sasl.password\""),
    ("ssl.truststore.password", "leave it out: certificates in PEM form have no password"),
];

/// Why a property is refused; `None` if it is fine.
pub fn refused(name: &str, value: &Secret) -> Option<Refused> {
    let among =
        |table: &[(&str, &str)]| table.iter().find(|(known, _)| *known == name).map(|(_, help)| help.to_string());
    if let Some(help) = among(&OWN) {
        return Some(Refused::name("is set by Tidemill itself", help));
    }
    if let Some(help) = among(&WITHOUT_MEANING) {
        return Some(Refused::name("has no meaning here", help));
    }
    let mut conf = Conf::new();
    if let Some(refused) = unspoken(name, value.expose(), &conf.get("builtin.features")) {
        return Some(refused);
    }
    match conf.set(renamed(name), value.expose()) {
        Ok(()) => None,
        Err((RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _)) => {
            Some(Refused::name("is not a property of the client", help_for_unknown(name)))
        }
        Err((_, reason))
            if reason.contains("not supported in this build") || reason.contains("not available at build") =>
        {
            let help = "use a binary that was built with it, or leave the property out";
            Some(Refused::name("needs something that this binary was built without (TLS or a SASL library)", help))
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
        return "leave the `kafka.` out".into();
    }
    match nearest(name, names().chain(JAVA_NAMES.iter().map(|(java, _)| *java))).first() {
        Some(first) => format!("did you mean `{first}`?"),
        None => "docs/kafka.md says which there are".into(),
    }
}

/// librdkafka's properties, including those that this binary was built without.
fn names() -> impl Iterator<Item = &'static str> {
    include_str!("properties.txt").lines()
}

/// Refuses a protocol or mechanism that librdkafka knows but this binary was built without.
fn unspoken(name: &str, value: &str, features: &str) -> Option<Refused> {
    let has = |feature: &str| features.split(',').any(|known| known.trim() == feature);
    let value = value.trim().to_ascii_uppercase();
    let missing = match name {
        "security.protocol" if value.ends_with("SSL") && !has("ssl") => "TLS",
        "sasl.mechanism" | "sasl.mechanisms" if value == "GSSAPI" && !has("sasl_gssapi") => "Kerberos",
        "sasl.mechanism" | "sasl.mechanisms" if value.starts_with("SCRAM") && !has("sasl_scram") => "TLS's digests",
        "sasl.mechanism" | "sasl.mechanisms" if value == "OAUTHBEARER" && !has("sasl_oauthbearer") => "OAUTHBEARER",
        _ => return None,
    };
    let help = match missing {
        "TLS" => "use a binary that was built with TLS, or a listener without (PLAINTEXT, SASL_PLAINTEXT)",
        _ => "use a binary that was built with it, or another mechanism, such as PLAIN",
    };
    Some(Refused::value(format!("needs {missing}, which this binary was built without"), help))
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

    fn check(name: &str, value: &str, expected: Option<(&str, &str)>) {
        let refused = refused(name, &Secret::new(value));
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
            Some(("is not a property of the client", "docs/kafka.md says which there are")),
        );
        check("kafka.client.id", "5", Some(("is not a property of the client", "leave the `kafka.` out")));
        check("sasl.pasword", "x", Some(("is not a property of the client", "did you mean `sasl.password`?")));
        check("group.id", "g", Some(("is set by Tidemill itself", OWN[2].1)));
        check("value.deserializer", "x", Some(("has no meaning here", WITHOUT_MEANING[1].1)));
        for (name, value) in [("socket.timeout.ms", "soon"), ("socket.timeout.ms", "-5"), ("security.protocol", "tls")]
        {
            let refused = refused(name, &Secret::new(value)).expect(name);
            assert!(refused.is_value && refused.what.starts_with("does not accept this value ("), "{refused:?}");
            assert!(!refused.what.contains(&format!("\"{value}\"")), "{refused:?}");
        }
    }

    #[test]
    fn protocols_that_the_binary_does_not_speak() {
        let missing =
            |name: &str, value: &str, features: &str| unspoken(name, value, features).map(|refused| refused.what);
        let tls = Some("needs TLS, which this binary was built without".to_owned());
        assert_eq!(missing("security.protocol", "SASL_SSL", "gzip,sasl_plain"), tls);
        assert_eq!(missing("security.protocol", "ssl", "gzip"), tls);
        assert_eq!(missing("security.protocol", "ssl", "gzip,ssl"), None);
        assert_eq!(missing("security.protocol", "SASL_PLAINTEXT", "gzip"), None);
        assert_eq!(missing("sasl.mechanism", "PLAIN", "gzip"), None);
        assert!(missing("sasl.mechanism", "SCRAM-SHA-512", "gzip").is_some());
        assert!(missing("sasl.mechanisms", "GSSAPI", "gzip,sasl").is_some());
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
                format!("{:?}", refused(name, &value)),
                format!("{options:?}"),
                made.err().map(|error| format!("{error} {error:?}")).unwrap_or_default(),
                options.unreachable("a request", Some(format!("it said {secret}"))).to_string(),
            ];
            assert!(told.iter().all(|told| !told.contains(secret)), "{name}: {told:?}");
        }
    }
}
