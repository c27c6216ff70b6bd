//! Asks librdkafka about a property: whether it knows the name and accepts the value, and what it is built without.

use crate::options::hidden;
use crate::properties::{KERBEROS, Refused, help_for_unknown, renamed};
use rdkafka::bindings as native;
use rdkafka::types::RDKafkaConfRes;
use std::ffi::{CStr, CString, c_char};
use std::sync::OnceLock;
use tidemill_model::Secret;

/// Why librdkafka refuses a property; `None` if it accepts it.
pub(crate) fn refused(name: &str, value: &Secret) -> Option<Refused> {
    if let Some(missing) = unspoken(name, value.expose()) {
        let help = match missing {
            KERBEROS => {
                "build with --features kerberos (docs/kafka.md), or use another mechanism such as SCRAM-SHA-512"
            }
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
pub(super) struct Conf(*mut native::rd_kafka_conf_t);

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
    use crate::properties::{JAVA_NAMES, names};

    #[test]
    fn the_list_of_names_is_that_of_this_version() {
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
    fn a_value_is_judged_and_not_shown() {
        for (name, value) in [("socket.timeout.ms", "soon"), ("socket.timeout.ms", "-5"), ("security.protocol", "tls")]
        {
            let refused = refused(name, &Secret::new(value)).expect(name);
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
}
