//! Which client reads: librdkafka, or the native one where it is asked for.

use crate::options::KafkaOptions;
use tidemill_client::Settings;
pub use tidemill_model::pipeline::ClientChoice;
use tidemill_model::{Error, Result};

/// A choice made, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Whether it is the native client.
    pub is_native: bool,
    /// Ends the sentence "it is used, for …".
    pub why: String,
}

impl Chosen {
    /// What the client is called.
    pub fn name(&self) -> &'static str {
        if self.is_native { "native" } else { "librdkafka" }
    }
}

/// Which client reads with these options.
pub fn chosen(options: &KafkaOptions) -> Chosen {
    let (is_native, why) = match options.client {
        ClientChoice::Native => (true, "client = \"native\" asks for it".into()),
        ClientChoice::Librdkafka => (false, "client = \"librdkafka\" asks for it".into()),
        ClientChoice::Auto => (false, "client = \"auto\" takes it; \"native\" would take the native client".into()),
    };
    Chosen { is_native, why }
}

/// The native client's settings.
///
/// # Errors
/// User: names the wrong property.
pub(crate) fn settings(options: &KafkaOptions) -> Result<Settings> {
    Settings::of(&options.bootstrap_servers, &options.client_options)
        .map_err(|why| Error::user(format!("the Kafka client refuses its properties: {}", options.hidden(&why))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_model::Secret;

    #[test]
    fn a_choice_is_kept() {
        for (client, name, expected) in [
            (ClientChoice::Auto, "client.id", false),
            (ClientChoice::Auto, "client.rack", false),
            (ClientChoice::Native, "client.rack", true),
            (ClientChoice::Librdkafka, "client.id", false),
        ] {
            let mut options = KafkaOptions::new("k:1");
            options.client = client;
            options.client_options.push((name.into(), Secret::new("x")));
            assert_eq!(chosen(&options).is_native, expected, "{client:?} with {name}");
        }
        let mut options = KafkaOptions::new("k:1");
        options.client_options.push(("client.rack".into(), Secret::new("x")));
        let error = settings(&options).expect_err("unknown");
        assert!(error.message().contains("`client.rack` is not a property of the native client"), "{error}");
    }
}
