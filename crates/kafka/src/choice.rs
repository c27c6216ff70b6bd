//! Chooses the client: librdkafka, or the native client if the user asks for it or only it supports the options.

use crate::options::KafkaOptions;
use crate::properties::unspoken;
use tidemill_client::Settings;
pub use tidemill_model::pipeline::ClientChoice;
use tidemill_model::{Error, Result};

/// The chosen client, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Whether it is the native client.
    pub is_native: bool,
    /// The reason, as a main clause: ``client = "native" asks for it``.
    pub why: String,
}

impl Chosen {
    /// The name of the client.
    pub fn name(&self) -> &'static str {
        if self.is_native { "native" } else { "librdkafka" }
    }
}

/// Chooses the client for these options.
pub fn chosen(options: &KafkaOptions) -> Chosen {
    let (is_native, why) = match options.client {
        ClientChoice::Native => (true, "client = \"native\" asks for it".into()),
        ClientChoice::Librdkafka => (false, "client = \"librdkafka\" asks for it".into()),
        ClientChoice::Auto => match only_native(options) {
            Some((name, what)) => {
                (true, format!("`{name}` needs {what}, and this binary's librdkafka is built without it"))
            }
            None => (false, "client = \"auto\" chooses it; write \"native\" for the native client".into()),
        },
    };
    Chosen { is_native, why }
}

/// The property that the native client supports and this build of librdkafka does not, and what the property needs.
fn only_native(options: &KafkaOptions) -> Option<(&str, &'static str)> {
    options.client_options.iter().find_map(|(name, value)| {
        let missing = unspoken(name, value.expose())?;
        tidemill_client::settings::refusal(name, value).is_none().then_some((name.as_str(), missing))
    })
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
        for (client, property, expected) in [
            (ClientChoice::Auto, ("client.id", "x"), false),
            (ClientChoice::Auto, ("client.rack", "x"), false),
            (ClientChoice::Auto, ("security.protocol", "SASL_PLAINTEXT"), false),
            (ClientChoice::Auto, ("security.protocol", "sasl_ssl"), true),
            (ClientChoice::Auto, ("security.protocol", "SSL"), true),
            (ClientChoice::Auto, ("sasl.mechanism", "PLAIN"), false),
            (ClientChoice::Auto, ("sasl.mechanism", "SCRAM-SHA-256"), true),
            (ClientChoice::Auto, ("sasl.mechanism", "GSSAPI"), false),
            (ClientChoice::Native, ("client.rack", "x"), true),
            (ClientChoice::Librdkafka, ("security.protocol", "SSL"), false),
        ] {
            let mut options = KafkaOptions::new("k:1");
            options.client = client;
            options.client_options.push((property.0.into(), Secret::new(property.1)));
            assert_eq!(chosen(&options).is_native, expected, "{client:?} with {property:?}");
        }
        let mut options = KafkaOptions::new("k:1");
        options.client_options.push(("client.rack".into(), Secret::new("x")));
        let error = settings(&options).expect_err("unknown");
        assert!(error.message().contains("`client.rack` is not a property of the native client"), "{error}");
    }
}
