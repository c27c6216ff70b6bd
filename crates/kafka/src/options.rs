//! Connection options of a Kafka cluster.

use crate::choice::ClientChoice;
use crate::properties::renamed;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use tidemill_model::secret::scrubbed;
use tidemill_model::{Error, Result, Secret};

/// The brokers, and further properties of the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KafkaOptions {
    /// `host:port`, several separated by commas.
    pub bootstrap_servers: String,
    /// The client's properties, by librdkafka's or Java's name. They override our defaults. Any of them may be a
    /// password, so no value is shown.
    pub client_options: Vec<(String, Secret)>,
    /// Which client reads.
    pub client: ClientChoice,
}

impl KafkaOptions {
    /// Options with the brokers only.
    pub fn new(bootstrap_servers: impl Into<String>) -> KafkaOptions {
        KafkaOptions {
            bootstrap_servers: bootstrap_servers.into(),
            client_options: Vec::new(),
            client: ClientChoice::Auto,
        }
    }

    /// A client's configuration: `defaults`, then the user's properties, then `must`, which this crate relies on.
    pub fn config(&self, defaults: &[(&str, &str)], must: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("client.id", "tidemill");
        // Reconnect within a second after a broker is back. librdkafka also waits for half of the least backoff between
        // its first connection and the connection to the broker that it discovered. This delays an executor's first
        // result.
        config.set("reconnect.backoff.ms", "20");
        config.set("reconnect.backoff.max.ms", "1000");
        for (name, value) in defaults {
            config.set(*name, *value);
        }
        for (name, value) in &self.client_options {
            config.set(renamed(name), value.expose());
        }
        config.set("bootstrap.servers", &self.bootstrap_servers);
        for (name, value) in must {
            config.set(*name, *value);
        }
        config
    }

    /// A text from librdkafka with the properties' values masked.
    pub(crate) fn hidden(&self, text: &str) -> String {
        hidden(text, self.client_options.iter().map(|(_, value)| value))
    }

    /// Converts the result of creating a client.
    ///
    /// # Errors
    /// User: names the wrong property.
    pub fn created<T>(&self, result: std::result::Result<T, KafkaError>) -> Result<T> {
        result.map_err(|error| self.creation_error(&error))
    }

    /// The error of a client that could not be created: a wrong property.
    fn creation_error(&self, error: &KafkaError) -> Error {
        match error {
            KafkaError::ClientConfig(_, reason, name, _) => {
                let reason = self.hidden(reason);
                Error::user(format!(
                    "the Kafka client refuses the property `{name}`: {reason}; correct it under `options`"
                ))
            }
            KafkaError::ClientCreation(reason) => {
                let reason = self.hidden(reason);
                Error::user(format!("the Kafka client refuses its properties: {reason}; correct them under `options`"))
            }
            other => {
                let reason = self.hidden(&other.to_string());
                Error::external(format!("the Kafka client cannot be created: {reason}; correct `options`"))
            }
        }
    }

    /// A transient error: the cluster did not answer. `reason` is librdkafka's last message about it, if any.
    pub fn unreachable(&self, what: &str, reason: Option<String>) -> Error {
        let reason = reason.map(|reason| format!(" ({})", self.hidden(&reason))).unwrap_or_default();
        Error::transient(format!(
            "Kafka at {} did not answer {what}{reason}; start it, or correct `bootstrap_servers`",
            self.bootstrap_servers
        ))
    }
}

/// A text with the secrets masked.
pub(crate) fn hidden<'a>(text: &str, secrets: impl IntoIterator<Item = &'a Secret>) -> String {
    scrubbed(text, secrets.into_iter().map(|secret| (secret, "***")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Handle;
    use tidemill_model::Domain;

    #[test]
    fn a_wrong_option_is_the_users_and_named() {
        for (name, value, words) in [
            ("fetch.wait.ms", "5", "refuses the property `fetch.wait.ms`"),
            ("socket.timeout.ms", "soon", "refuses the property `socket.timeout.ms`"),
        ] {
            let mut options = KafkaOptions::new("localhost:1");
            options.client_options.push((name.into(), Secret::new(value)));
            let error = Handle::new(&options, &[], &[]).err().expect(name);
            assert_eq!(error.domain, Domain::User);
            assert!(error.message().contains(words), "{error}");
        }
    }

    #[test]
    fn what_must_be_wins_over_the_user_and_the_user_over_defaults() {
        let mut options = KafkaOptions::new("a:1");
        options.client_options = ["x", "y"].map(|name| (name.into(), Secret::new("user"))).to_vec();
        let config = options.config(&[("x", "ours"), ("z", "ours")], &[("y", "must")]);
        for (name, value) in [("x", "user"), ("y", "must"), ("z", "ours"), ("bootstrap.servers", "a:1")] {
            assert_eq!(config.get(name), Some(value));
        }
    }
}
