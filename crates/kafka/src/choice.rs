//! Chooses the client: the native one, or librdkafka if the user asks for it or only it knows the properties.

use crate::librdkafka;
use crate::options::KafkaOptions;
use crate::properties::KERBEROS;
use tidemill_client::Settings;
use tidemill_client::settings::{Refusal, refusal};
pub use tidemill_model::pipeline::ClientChoice;
use tidemill_model::{Error, Result, Secret};

/// Whether this binary has librdkafka.
pub const HAS_LIBRDKAFKA: bool = cfg!(feature = "librdkafka");

/// What is wrong with `client = "librdkafka"` in a binary that lacks it, and what to do.
pub const WITHOUT_LIBRDKAFKA: (&str, &str) = (
    "needs librdkafka, and this binary is built without it",
    "write \"auto\" or \"native\", or take a binary built with the cargo feature `librdkafka`",
);

/// The error of a client that this binary lacks.
pub fn without_librdkafka() -> Error {
    let (what, help) = WITHOUT_LIBRDKAFKA;
    Error::user(format!("client = \"librdkafka\" {what}; {help}"))
}

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
        ClientChoice::Auto => match only_librdkafka(options) {
            Some(why) => (false, why),
            None => (true, "client = \"auto\" takes it unless only librdkafka knows a property".into()),
        },
    };
    Chosen { is_native, why }
}

/// Why only librdkafka can serve these options, as a main clause; `None` if the native client can, or no client.
fn only_librdkafka(options: &KafkaOptions) -> Option<String> {
    let properties = &options.client_options;
    let native_only = |(name, value): &(String, Secret)| {
        librdkafka::unspoken(name, value.expose()).is_some() && refusal(name, value).is_none()
    };
    if !HAS_LIBRDKAFKA || properties.iter().any(native_only) {
        return None;
    }
    properties.iter().find_map(|(name, value)| {
        let refused = refusal(name, value)?;
        if librdkafka::unspoken(name, value.expose()) == Some(KERBEROS) {
            return Some(format!("`{name}` needs {KERBEROS}, which the native client does not speak"));
        }
        librdkafka::refused(name, value).is_none().then(|| match refused {
            Refusal::Unknown => format!("`{name}` is a property that only librdkafka has"),
            Refusal::Value(_) => format!("only librdkafka takes this value of `{name}`"),
        })
    })
}

/// The native client's settings.
///
/// # Errors
/// User: names the wrong property.
pub(crate) fn settings(options: &KafkaOptions) -> Result<Settings> {
    let settings = Settings::of(&options.bootstrap_servers, &options.client_options)
        .map_err(|why| Error::user(format!("the Kafka client refuses its properties: {}", options.hidden(&why))))?;
    Ok(Settings { let_in: options.let_in.clone(), ..settings })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_model::Secret;

    #[test]
    fn a_choice_is_kept() {
        for (client, property, expected) in [
            (ClientChoice::Auto, ("client.id", "x"), true),
            (ClientChoice::Auto, ("client.rack", "x"), !HAS_LIBRDKAFKA),
            (ClientChoice::Auto, ("acks", "1"), !HAS_LIBRDKAFKA),
            (ClientChoice::Auto, ("client.rak", "x"), true),
            (ClientChoice::Auto, ("request.timeout.ms", "soon"), true),
            (ClientChoice::Auto, ("security.protocol", "SASL_PLAINTEXT"), true),
            (ClientChoice::Auto, ("security.protocol", "sasl_ssl"), true),
            (ClientChoice::Auto, ("security.protocol", "SSL"), true),
            (ClientChoice::Auto, ("sasl.mechanism", "PLAIN"), true),
            (ClientChoice::Auto, ("sasl.mechanism", "SCRAM-SHA-256"), true),
            (ClientChoice::Auto, ("sasl.mechanism", "GSSAPI"), !HAS_LIBRDKAFKA),
            (ClientChoice::Native, ("client.rack", "x"), true),
            (ClientChoice::Librdkafka, ("security.protocol", "SSL"), false),
        ] {
            let mut options = KafkaOptions::new("k:1");
            options.client = client;
            options.client_options.push((property.0.into(), Secret::new(property.1)));
            assert_eq!(chosen(&options).is_native, expected, "{client:?} with {property:?}");
        }
        // What only the native client speaks beside what only librdkafka knows: no client can serve both.
        let mut options = KafkaOptions::new("k:1");
        for (name, value) in [("client.rack", "x"), ("security.protocol", "SSL")] {
            options.client_options.push((name.into(), Secret::new(value)));
        }
        assert!(chosen(&options).is_native);
        let error = settings(&options).expect_err("unknown");
        assert!(error.message().contains("`client.rack` is not a property of the native client"), "{error}");
    }
}
