//! librdkafka's configuration, from the options.

use crate::options::KafkaOptions;
use crate::properties::renamed;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use tidemill_model::{Error, Result};

impl KafkaOptions {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::librdkafka::client::Handle;
    use tidemill_model::{Domain, Secret};

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
