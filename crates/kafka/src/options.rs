//! How to reach a Kafka cluster.

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use tidemill_model::{Error, Result};

/// Where the brokers are, and what else librdkafka should know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KafkaOptions {
    /// `host:port`, several with commas between them.
    pub bootstrap_servers: String,
    /// librdkafka's own options by name, as in its `CONFIGURATION.md`; they win over our defaults.
    pub client_options: Vec<(String, String)>,
}

impl KafkaOptions {
    /// Options with nothing but the brokers.
    pub fn new(bootstrap_servers: impl Into<String>) -> KafkaOptions {
        KafkaOptions { bootstrap_servers: bootstrap_servers.into(), client_options: Vec::new() }
    }

    /// A client's configuration: `defaults`, then the user's options, then what `must` be so for us to be right.
    pub fn config(&self, defaults: &[(&str, &str)], must: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("client.id", "tidemill");
        // A broker that is back is noticed within a second. Half of the least backoff is also what librdkafka lets pass
        // between its first connection and that to the broker that it was told of: an executor's first result waits for it.
        config.set("reconnect.backoff.ms", "20");
        config.set("reconnect.backoff.max.ms", "1000");
        for (name, value) in defaults {
            config.set(*name, *value);
        }
        for (name, value) in &self.client_options {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.bootstrap_servers);
        for (name, value) in must {
            config.set(*name, *value);
        }
        config
    }

    /// A transient error: the cluster did not answer. `reason` is librdkafka's last word about it, where there is one.
    pub fn unreachable(&self, what: &str, reason: Option<String>) -> Error {
        let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        Error::transient(format!(
            "Kafka at {} did not answer to {what}{reason}; start it, or correct `bootstrap_servers`",
            self.bootstrap_servers
        ))
    }
}

/// A client that could not be made: a wrong option.
pub(crate) fn creation_error(error: &KafkaError) -> Error {
    match error {
        KafkaError::ClientConfig(_, reason, name, value) => Error::user(format!(
            "Kafka client option `{name} = {value}` is refused: {reason}; librdkafka's CONFIGURATION.md lists the options"
        )),
        KafkaError::ClientCreation(reason) => {
            Error::user(format!("the Kafka client refuses its options: {reason}; correct `client_options`"))
        }
        other => Error::external(format!("the Kafka client cannot be made: {other}; correct `client_options`")),
    }
}

/// Makes the result of a client's creation ours.
///
/// # Errors
/// A user error that names the option.
pub fn created<T>(result: std::result::Result<T, KafkaError>) -> Result<T> {
    result.map_err(|error| creation_error(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Handle;
    use tidemill_model::Domain;

    #[test]
    fn a_wrong_option_is_the_users_and_named() {
        for (name, value, words) in [
            ("fetch.wait.ms", "5", "`fetch.wait.ms = 5` is refused"),
            ("socket.timeout.ms", "soon", "`socket.timeout.ms = soon` is refused"),
        ] {
            let mut options = KafkaOptions::new("localhost:1");
            options.client_options.push((name.into(), value.into()));
            let error = Handle::new(&options, &[], &[]).err().expect(name);
            assert_eq!(error.domain, Domain::User);
            assert!(error.message().contains(words), "{error}");
        }
    }

    #[test]
    fn what_must_be_wins_over_the_user_and_the_user_over_defaults() {
        let mut options = KafkaOptions::new("a:1");
        options.client_options = vec![("x".into(), "user".into()), ("y".into(), "user".into())];
        let config = options.config(&[("x", "ours"), ("z", "ours")], &[("y", "must")]);
        for (name, value) in [("x", "user"), ("y", "must"), ("z", "ours"), ("bootstrap.servers", "a:1")] {
            assert_eq!(config.get(name), Some(value));
        }
    }
}
