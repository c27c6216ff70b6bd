//! OAUTHBEARER (RFC 7628): gets a token from an identity provider with client credentials (RFC 6749, section 4.4).
//!
//! All connections of a client share a token. It is renewed after four fifths of its lifetime.

use crate::fault::Fault;
use crate::settings::Oidc;
use crate::tls;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tidemill_model::Secret;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// Lifetime of a token if the provider does not state it.
const LIFE_UNSAID: Duration = Duration::from_secs(300);
/// Longest answer of a provider.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// The token of a client, and when it must be renewed.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Mutex<Option<(Secret, Instant)>>);

impl Tokens {
    /// A valid token.
    pub(crate) fn get(&self, oidc: &Oidc, deadline: Instant) -> Result<Secret, Fault> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((token, until)) = &*kept
            && Instant::now() < *until
        {
            return Ok(token.clone());
        }
        let (token, life) = fetch(oidc, deadline)?;
        *kept = Some((token.clone(), Instant::now() + life * 4 / 5));
        Ok(token)
    }

    /// Drops a token that the broker refused. The next [`Tokens::get`] gets a new one.
    pub(crate) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The first message of the mechanism.
pub(crate) fn message(oidc: &Oidc, token: &Secret) -> Vec<u8> {
    let mut message = format!("n,,\x01auth=Bearer {}", token.expose());
    for (name, value) in &oidc.extensions {
        message.push_str(&format!("\x01{name}={value}"));
    }
    message.push_str("\x01\x01");
    message.into_bytes()
}

fn fetch(oidc: &Oidc, deadline: Instant) -> Result<(Secret, Duration), Fault> {
    let url = &oidc.token_url;
    let credentials = format!("{}:{}", encoded(oidc.client_id.expose()), encoded(oidc.client_secret.expose()));
    let mut form = "grant_type=client_credentials".to_owned();
    if let Some(scope) = &oidc.scope {
        form.push_str(&format!("&scope={}", encoded(scope)));
    }
    let sent = agent(oidc, deadline)?
        .post(url)
        .header("Authorization", format!("Basic {}", STANDARD.encode(credentials)))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Accept", "application/json")
        .send(form);
    let mut answer =
        sent.map_err(|error| Fault::Lost(format!("the identity provider at {url} does not answer: {error}")))?;
    let status = answer.status().as_u16();
    let text = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
    let text = text.map_err(|error| Fault::Lost(format!("the identity provider at {url} breaks off: {error}")))?;
    let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    if let Some(token) = json["access_token"].as_str().filter(|_| status == 200) {
        let life = json["expires_in"].as_u64().map_or(LIFE_UNSAID, |seconds| Duration::from_secs(seconds.min(86_400)));
        return Ok((Secret::new(token), life));
    }
    let word = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    let words = [status.to_string(), word("error"), word("error_description")];
    let words = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(", ");
    match status {
        429 | 500.. => Err(Fault::Lost(format!("the identity provider at {url} issues no token now: {words}"))),
        _ => Err(Fault::Refused(format!(
            "the identity provider at {url} issues no token: {words}; correct `sasl.oauthbearer.client.id`, \
             `sasl.oauthbearer.client.secret` and `sasl.oauthbearer.token.endpoint.url`"
        ))),
    }
}

fn agent(oidc: &Oidc, deadline: Instant) -> Result<ureq::Agent, Fault> {
    let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let mut config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(left));
    if oidc.token_url.starts_with("https:") {
        let roots: Vec<Certificate<'static>> = match &oidc.ca {
            Some(pem) => {
                let certificates = tls::certificates(pem)?;
                certificates.iter().map(|der| Certificate::from_der(der).to_owned()).collect()
            }
            None => {
                let found = rustls_native_certs::load_native_certs().certs;
                found.iter().map(|der| Certificate::from_der(der).to_owned()).collect()
            }
        };
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .unversioned_rustls_crypto_provider(tls::provider());
        config = config.tls_config(tls.build());
    }
    Ok(config.build().new_agent())
}

/// Percent-encodes a form value.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_carries_token_and_extensions() {
        let oidc = Oidc { extensions: vec![("logicalCluster".into(), "lkc-1".into())], ..Oidc::default() };
        let message = message(&oidc, &Secret::new("T.o-k"));
        assert_eq!(message, b"n,,\x01auth=Bearer T.o-k\x01logicalCluster=lkc-1\x01\x01");
        assert_eq!(encoded("a b&c=ü"), "a%20b%26c%3D%C3%BC");
    }
}
