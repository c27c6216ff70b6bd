//! Properties of the Kafka client as Spark takes them: the Java client's names, with the prefix `kafka.`.
//!
//! A pipeline names them as librdkafka or as the Java client does. Those that the Java client has under another name are
//! renamed; those that it has not are refused by `check`.

use tidemill_model::pipeline::ClientOption;

/// librdkafka's name and Java's.
const RENAMED: [(&str, &str); 6] = [
    ("fetch.wait.max.ms", "fetch.max.wait.ms"),
    ("socket.receive.buffer.bytes", "receive.buffer.bytes"),
    ("socket.timeout.ms", "request.timeout.ms"),
    ("socket.send.buffer.bytes", "send.buffer.bytes"),
    ("fetch.message.max.bytes", "max.partition.fetch.bytes"),
    ("sasl.mechanisms", "sasl.mechanism"),
];

/// Properties with one name and meaning in both clients.
const SAME: [&str; 24] = [
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "check.crcs",
    "connections.max.idle.ms",
    "fetch.max.bytes",
    "fetch.max.wait.ms",
    "fetch.min.bytes",
    "isolation.level",
    "max.partition.fetch.bytes",
    "metadata.max.age.ms",
    "receive.buffer.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "sasl.kerberos.service.name",
    "sasl.mechanism",
    "security.protocol",
    "send.buffer.bytes",
    "socket.connection.setup.timeout.ms",
    "ssl.cipher.suites",
    "ssl.endpoint.identification.algorithm",
];

/// PEM texts and files: Java takes them with a type.
const PEM: [(&str, &str, &str); 4] = [
    ("ssl.ca.location", "ssl.truststore.location", "ssl.truststore.type"),
    ("ssl.truststore.location", "ssl.truststore.location", "ssl.truststore.type"),
    ("ssl.ca.pem", "ssl.truststore.certificates", "ssl.truststore.type"),
    ("ssl.truststore.certificates", "ssl.truststore.certificates", "ssl.truststore.type"),
];

const USER: &str = "sasl.username";
const PASSWORD: &str = "sasl.password";

/// Whether Spark takes a property.
pub(crate) fn is_known(name: &str) -> bool {
    [USER, PASSWORD].contains(&name)
        || SAME.contains(&name)
        || RENAMED.iter().any(|(ours, _)| *ours == name)
        || PEM.iter().any(|(ours, ..)| *ours == name)
}

/// The options of Spark's source.
pub(crate) fn for_java(options: &[ClientOption]) -> Vec<(String, String)> {
    let value = |name: &str| options.iter().find(|option| option.name == name).map(|option| option.value.expose());
    let mut found = Vec::new();
    for option in options {
        let text = option.value.expose().to_owned();
        let name = option.name.as_str();
        if let Some((_, java, kind)) = PEM.iter().find(|(ours, ..)| *ours == name) {
            found.push((format!("kafka.{java}"), text));
            found.push((format!("kafka.{kind}"), "PEM".into()));
        } else if SAME.contains(&name) || RENAMED.iter().any(|(ours, _)| *ours == name) {
            let java = RENAMED.iter().find(|(ours, _)| *ours == name).map_or(name, |(_, java)| java);
            found.push((format!("kafka.{java}"), protocol(java, text)));
        }
    }
    if let (Some(user), Some(password)) = (value(USER), value(PASSWORD)) {
        let mechanism = value("sasl.mechanism").or(value("sasl.mechanisms")).unwrap_or("PLAIN");
        found.push(("kafka.sasl.jaas.config".into(), login(mechanism, user, password)));
    }
    found
}

/// librdkafka takes the protocol in any case, Java in capitals only.
fn protocol(name: &str, value: String) -> String {
    if name == "security.protocol" { value.trim().to_ascii_uppercase() } else { value }
}

fn login(mechanism: &str, user: &str, password: &str) -> String {
    let module = match mechanism.starts_with("SCRAM") {
        true => "org.apache.kafka.common.security.scram.ScramLoginModule",
        false => "org.apache.kafka.common.security.plain.PlainLoginModule",
    };
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    format!("{module} required username={} password={};", quoted(user), quoted(password))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_model::Secret;

    fn check(options: &[(&str, &str)], expected: &[(&str, &str)]) {
        let option = |(name, value): &(&str, &str)| ClientOption {
            name: (*name).into(),
            key: String::new(),
            key_span: 0..0,
            value: Secret::new(*value),
            value_span: 0..0,
        };
        let options: Vec<_> = options.iter().map(option).collect();
        assert!(options.iter().all(|option| is_known(&option.name)));
        let expected: Vec<_> = expected.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        assert_eq!(for_java(&options), expected);
    }

    #[test]
    fn names_of_the_java_client() {
        check(&[("client.id", "me")], &[("kafka.client.id", "me")]);
        check(&[("fetch.wait.max.ms", "5")], &[("kafka.fetch.max.wait.ms", "5")]);
        check(
            &[("ssl.ca.location", "/ca.pem")],
            &[("kafka.ssl.truststore.location", "/ca.pem"), ("kafka.ssl.truststore.type", "PEM")],
        );
        check(
            &[("security.protocol", "sasl_plaintext"), ("sasl.username", "u"), ("sasl.password", "p\"q")],
            &[
                ("kafka.security.protocol", "SASL_PLAINTEXT"),
                (
                    "kafka.sasl.jaas.config",
                    "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" password=\"p\\\"q\";",
                ),
            ],
        );
        assert!(!is_known("queued.min.messages"));
    }
}
