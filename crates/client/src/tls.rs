//! TLS with rustls: certificates and keys from PEM texts, and readable messages for its failures.

use crate::fault::Fault;
use crate::settings::{Pem, TlsSettings};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error as TlsError,
    RootCertStore, SignatureScheme,
};
use std::io;
use std::sync::Arc;

/// The TLS configuration that all connections of a client share.
pub(crate) fn config(settings: &TlsSettings) -> Result<Arc<ClientConfig>, Fault> {
    let provider = provider();
    let verifier: Arc<dyn ServerCertVerifier> = if settings.unverified {
        Arc::new(Lenient { inner: None, provider: Arc::clone(&provider) })
    } else {
        let roots = Arc::new(roots(settings.ca.as_ref())?);
        let strict = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
        let strict =
            strict.map_err(|error| Fault::Setting(format!("no CA is trusted: {error}; set `ssl.ca.location`")))?;
        match settings.any_host_name {
            true => Arc::new(Lenient { inner: Some(strict), provider: Arc::clone(&provider) }),
            false => strict,
        }
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports the protocol versions")
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let (Some(certificate), Some(key)) = (&settings.certificate, &settings.key) else {
        return Ok(Arc::new(builder.with_no_client_auth()));
    };
    let config = builder.with_client_auth_cert(certificates(certificate)?, private_key(key)?);
    config.map(Arc::new).map_err(|error| {
        Fault::Setting(format!(
            "`{}` and `{}` do not match: {error}; give a certificate and its key",
            certificate.name(),
            key.name()
        ))
    })
}

/// The TLS session of one connection.
pub(crate) fn session(config: &Arc<ClientConfig>, host: &str) -> Result<ClientConnection, Fault> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| {
        Fault::Setting(format!("`{host}` is not a valid host name for a certificate; correct `bootstrap_servers`"))
    })?;
    ClientConnection::new(Arc::clone(config), name).map_err(|error| Fault::Lost(error.to_string()))
}

/// The trusted CAs: those of a PEM file or text, or the system's.
pub(crate) fn roots(ca: Option<&Pem>) -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(pem) => {
            for certificate in certificates(pem)? {
                roots.add(certificate).map_err(|error| pem.bad(&format!("a certificate is not a CA's: {error}")))?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                let why = "this system has no list of trusted certificates; set `ssl.ca.location` to the CA's PEM file";
                return Err(Fault::Setting(why.into()));
            }
        }
    }
    Ok(roots)
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The certificates of a PEM text, in order.
pub(crate) fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let text = pem.read()?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(pem.bad("it holds no PEM certificate")),
        Err(error) => Err(pem.bad(&error.to_string())),
    }
}

fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, Fault> {
    let text = pem.read()?;
    let is_encrypted = text.windows(9).any(|word| word == b"ENCRYPTED");
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => Ok(key),
        Err(_) if is_encrypted => Err(pem.bad(
            "the key is encrypted, which this client does not support; decrypt it: openssl pkey -in KEY -out PLAIN.pem",
        )),
        Err(_) => Err(pem.bad("it holds no PEM private key")),
    }
}

impl Pem {
    fn name(&self) -> &'static str {
        match self {
            Pem::Text(name, _) | Pem::File(name, _) => name,
        }
    }

    fn read(&self) -> Result<Vec<u8>, Fault> {
        match self {
            Pem::Text(_, text) => Ok(text.expose().as_bytes().to_vec()),
            Pem::File(_, path) => std::fs::read(path.expose()).map_err(|error| self.bad(&error.to_string())),
        }
    }

    fn bad(&self, why: &str) -> Fault {
        Fault::Setting(format!("`{}` cannot be used: {why}; correct it under `options`", self.name()))
    }
}

/// Explains a failed handshake, or a connection that the broker ended with an alert.
pub(crate) fn fault(broker: &str, error: &io::Error) -> Fault {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    let Some(inner) = inner else { return Fault::Lost(format!("{broker}: {error} (TLS)")) };
    let refused = |why: String| Fault::Refused(format!("{broker}: {why}"));
    match inner {
        TlsError::InvalidCertificate(why) => refused(certificate(why)),
        TlsError::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::HandshakeFailure => refused(format!(
                "the broker requires a client certificate, or refuses ours ({alert:?}); set `ssl.certificate.location` and \
                     `ssl.key.location` to one that it trusts"
            )),
            AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired => refused(format!(
                "the broker does not trust our certificate ({alert:?}); set `ssl.certificate.location` and \
                     `ssl.key.location` to one that is not expired and is signed by a CA in the broker's truststore"
            )),
            alert => refused(format!("the broker aborted the TLS handshake ({alert:?}); its log says why")),
        },
        TlsError::InvalidMessage(_) => refused(
            "the port does not speak TLS; set `security.protocol` to PLAINTEXT or SASL_PLAINTEXT, or use the port of \
             the TLS listener"
                .into(),
        ),
        TlsError::PeerIncompatible(why) => {
            refused(format!("the broker supports neither TLS 1.2 nor 1.3: {why:?}; enable one at the broker"))
        }
        other => Fault::Lost(format!("{broker}: {other} (TLS)")),
    }
}

/// The name in rustls' words for it: `DnsName("localhost")`, `IpAddress(127.0.0.1)`.
fn plain(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, inner)| inner.strip_suffix(')'));
    inner.map_or(name, |inner| inner.trim_matches('"'))
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is not signed by a CA that is trusted here; set `ssl.ca.location` to the PEM file of the \
             broker's CA"
                .into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            let names = match error {
                CertificateError::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
                    let names: Vec<&str> = presented.iter().map(|name| plain(name)).collect();
                    format!(" but for {}", names.join(", "))
                }
                _ => String::new(),
            };
            format!(
                "its certificate is not for this host name{names}; name the broker as the certificate does (bootstrap_servers \
                 here, advertised.listeners there), or give it a certificate for this name"
            )
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired; renew it at the broker, and check this machine's clock".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet; check the clocks of both machines".into()
        }
        CertificateError::Revoked => "its certificate is revoked; renew it at the broker".into(),
        other => format!("its certificate cannot be trusted: {other:?}; renew it at the broker"),
    }
}

/// Verifies the certificate's chain but not its host name, or nothing at all if there is no `inner` verifier.
#[derive(Debug)]
struct Lenient {
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        match inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
