//! Connection options of a Kafka cluster.

use crate::choice::ClientChoice;
use tidemill_client::settings::LetIn;
use tidemill_model::secret::scrubbed;
use tidemill_model::{Error, Secret};

/// The brokers, and further properties of the client.
#[derive(Clone, Debug, Default)]
pub struct KafkaOptions {
    /// `host:port`, several separated by commas.
    pub bootstrap_servers: String,
    /// The client's properties, by librdkafka's or Java's name. They override our defaults. Any of them may be a
    /// password, so no value is shown.
    pub client_options: Vec<(String, Secret)>,
    /// Which client reads.
    pub client: ClientChoice,
    /// Whether a broker has accepted these options before, so that a refusal is trouble that may pass. Clones share it.
    pub let_in: LetIn,
}

impl KafkaOptions {
    /// Options with the brokers only.
    pub fn new(bootstrap_servers: impl Into<String>) -> KafkaOptions {
        KafkaOptions {
            bootstrap_servers: bootstrap_servers.into(),
            client_options: Vec::new(),
            client: ClientChoice::Auto,
            let_in: LetIn::default(),
        }
    }

    /// A text from librdkafka with the properties' values masked.
    pub(crate) fn hidden(&self, text: &str) -> String {
        hidden(text, self.client_options.iter().map(|(_, value)| value))
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
