//! The settings of a client, and the properties that set them. A property has librdkafka's name, or the Java client's
//! name if both mean the same.
//!
//! Nothing here connects or opens a file. `tidemill check` uses it to find out whether the native client supports a
//! pipeline's properties.

use crate::produce::Codec;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tidemill_model::Secret;
use tidemill_os::retry::{self, Retry};

/// The brokers, and how to talk to them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The bootstrap servers as the user wrote them, for messages.
    pub servers: String,
    /// The name of this client in the brokers' logs.
    pub client_id: String,
    /// TLS; `None` for plaintext.
    pub tls: Option<TlsSettings>,
    /// The credentials; `None` if the listener does not use SASL.
    pub sasl: Option<Sasl>,
    /// Longest time to connect, including authentication.
    pub connect_max: Duration,
    /// Longest wait for an answer, in addition to the wait that the request asks for.
    pub answer_max: Duration,
    /// Pauses between attempts to connect.
    pub backoff: Retry,
    /// Metadata of topics and leaders is read again after this time.
    pub metadata_age_max: Duration,
    /// Larger answers are refused.
    pub frame_bytes_max: usize,
    /// Whether the system probes idle connections.
    pub keepalive: bool,
    /// How to fetch.
    pub fetch: FetchSettings,
    /// How to produce.
    pub produce: ProduceSettings,
    /// Whether these settings were right once.
    pub let_in: LetIn,
}

/// Whether a broker has accepted our credentials before. Passwords and certificates may change while we run, so credentials
/// that worked once may work again: a refusal is then waited out. Clones share it, and so do all clients with the same
/// settings.
#[derive(Clone, Debug, Default)]
pub struct LetIn(Arc<AtomicBool>);

impl LetIn {
    /// A broker accepts us.
    pub fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether one has.
    pub fn was(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How to produce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProduceSettings {
    /// A batch that is not full waits this long for more records.
    pub linger: Duration,
    /// Bytes of a batch before compression. A larger record is a batch of its own.
    pub batch_bytes_max: usize,
    /// Bytes of one request. A single larger batch is sent nevertheless.
    pub request_bytes_max: usize,
    /// Most bytes of records that are not acknowledged. Beyond it the producer accepts no more.
    pub buffer_bytes_max: usize,
    /// A batch that is not acknowledged within this time is given up.
    pub delivery_max: Duration,
    /// The broker aborts a transaction that is open for longer.
    pub transaction_max: Duration,
    /// How batches are compressed.
    pub codec: Codec,
}

/// How to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchSettings {
    /// How long a broker waits for `bytes_min`.
    pub wait_max: Duration,
    /// The broker answers when it has this many bytes.
    pub bytes_min: u32,
    /// Bytes of one answer. A single larger batch is sent nevertheless.
    pub bytes_max: u32,
    /// Bytes of one partition in an answer.
    pub partition_bytes_max: u32,
    /// Skips the records of open and aborted transactions.
    pub committed_only: bool,
    /// Verifies checksums.
    pub check_crcs: bool,
}

/// Certificates and keys, as PEM texts or files.
#[derive(Clone, Debug, Default)]
pub struct TlsSettings {
    /// The trusted CAs; `None` for the system's.
    pub ca: Option<Pem>,
    /// Our certificate and its chain, for mutual TLS.
    pub certificate: Option<Pem>,
    /// The key of our certificate.
    pub key: Option<Pem>,
    /// Accepts a broker certificate for another host name.
    pub any_host_name: bool,
    /// Accepts any broker certificate.
    pub unverified: bool,
}

/// A PEM text, or the file that holds it, with the property that named it.
#[derive(Clone, Debug)]
pub enum Pem {
    /// The text itself.
    Text(&'static str, Secret),
    /// A file.
    File(&'static str, Secret),
}

/// A SASL mechanism with its credentials.
#[derive(Clone, Debug)]
pub enum Sasl {
    /// User name and password in plain text.
    Plain(Login),
    /// A proof that we know the password.
    Scram(ScramHash, Login),
    /// A token of an identity provider.
    OAuthBearer(Oidc),
}

/// The hash function of SCRAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScramHash {
    /// SCRAM-SHA-256
    Sha256,
    /// SCRAM-SHA-512
    Sha512,
}

/// User name and password.
#[derive(Clone, Debug)]
pub struct Login {
    /// `sasl.username`
    pub username: Secret,
    /// `sasl.password`
    pub password: Secret,
}

/// Client credentials for an identity provider.
#[derive(Clone, Debug, Default)]
pub struct Oidc {
    /// The token endpoint.
    pub token_url: String,
    /// `sasl.oauthbearer.client.id`
    pub client_id: Secret,
    /// `sasl.oauthbearer.client.secret`
    pub client_secret: Secret,
    /// `sasl.oauthbearer.scope`
    pub scope: Option<String>,
    /// `sasl.oauthbearer.extensions`: names and values for the broker.
    pub extensions: Vec<(String, String)>,
    /// The CAs that are trusted for the provider's certificate; `None` for the system's.
    pub ca: Option<Pem>,
}

/// Why a property is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The native client does not know the property.
    Unknown,
    /// The value is wrong. The text says which values are allowed.
    Value(String),
}

impl Settings {
    /// The default settings for these brokers.
    pub fn new(servers: impl Into<String>) -> Settings {
        Settings {
            servers: servers.into(),
            client_id: "tidemill".into(),
            tls: None,
            sasl: None,
            connect_max: Duration::from_secs(10),
            answer_max: Duration::from_secs(30),
            // Reconnects within a second after a broker is back.
            backoff: retry::CONNECTION,
            metadata_age_max: Duration::from_secs(300),
            frame_bytes_max: 100 << 20,
            keepalive: false,
            fetch: FetchSettings {
                wait_max: Duration::from_millis(500),
                bytes_min: 1,
                bytes_max: 4 << 20,
                partition_bytes_max: 1 << 20,
                committed_only: true,
                check_crcs: true,
            },
            produce: ProduceSettings {
                linger: Duration::from_millis(5),
                // The default limit of brokers and topics (`max.message.bytes`).
                batch_bytes_max: 1_000_000,
                request_bytes_max: 16 << 20,
                buffer_bytes_max: 64 << 20,
                // The Java producer's default.
                delivery_max: Duration::from_secs(120),
                // A broker's default limit is 15 minutes. Readers of committed records wait so long for a driver that dies
                // and does not come back.
                transaction_max: Duration::from_secs(300),
                codec: Codec::None,
            },
            let_in: LetIn::default(),
        }
    }

    /// The settings for these brokers and properties.
    ///
    /// # Errors
    /// Names the wrong property and says what is wrong.
    pub fn of(servers: &str, properties: &[(String, Secret)]) -> Result<Settings, String> {
        let mut builder = SettingsBuilder::new(servers);
        for (name, value) in properties {
            builder.set(name, value).map_err(|refusal| match refusal {
                Refusal::Unknown => format!(
                    "`{name}` is not a property of the native client; leave it out, or write client = \"librdkafka\""
                ),
                Refusal::Value(takes) => format!("`{name}` takes {takes}; correct it under `options`"),
            })?;
        }
        builder.finish()
    }
}

/// Why the native client refuses a property with this value; `None` if it accepts it.
pub fn refusal(name: &str, value: &Secret) -> Option<Refusal> {
    SettingsBuilder::new("").set(name, value).err()
}

/// What is wrong with the properties together; `None` if nothing is.
pub fn together(properties: &[(String, Secret)]) -> Option<String> {
    Settings::of("", properties).err()
}

/// Builds settings from properties, which come in any order.
struct SettingsBuilder {
    settings: Settings,
    tls: TlsSettings,
    with_tls: bool,
    with_sasl: bool,
    mechanism: Option<Mechanism>,
    login: (Option<Secret>, Option<Secret>),
    oidc: Oidc,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mechanism {
    Plain,
    Scram(ScramHash),
    OAuthBearer,
}

impl SettingsBuilder {
    fn new(servers: &str) -> SettingsBuilder {
        SettingsBuilder {
            settings: Settings::new(servers),
            tls: TlsSettings::default(),
            with_tls: false,
            with_sasl: false,
            mechanism: None,
            login: (None, None),
            oidc: Oidc::default(),
        }
    }

    fn set(&mut self, name: &str, secret: &Secret) -> Result<(), Refusal> {
        let value = secret.expose().trim();
        match name {
            "client.id" => self.settings.client_id = value.to_owned(),
            "security.protocol" => {
                let protocol = value.to_ascii_uppercase();
                (self.with_sasl, self.with_tls) = match protocol.as_str() {
                    "PLAINTEXT" => (false, false),
                    "SSL" => (false, true),
                    "SASL_PLAINTEXT" => (true, false),
                    "SASL_SSL" => (true, true),
                    _ => return takes("PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"),
                };
            }
            "sasl.mechanism" | "sasl.mechanisms" => {
                self.mechanism = Some(match value.to_ascii_uppercase().as_str() {
                    "PLAIN" => Mechanism::Plain,
                    "SCRAM-SHA-256" => Mechanism::Scram(ScramHash::Sha256),
                    "SCRAM-SHA-512" => Mechanism::Scram(ScramHash::Sha512),
                    "OAUTHBEARER" => Mechanism::OAuthBearer,
                    "GSSAPI" => return Err(Refusal::Unknown),
                    _ => return takes("PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"),
                });
            }
            "sasl.username" => self.login.0 = Some(secret.clone()),
            "sasl.password" => self.login.1 = Some(secret.clone()),
            _ if name.starts_with("sasl.oauthbearer.") || name == "https.ca.location" => {
                return self.set_oidc(name, secret);
            }
            _ if name.starts_with("ssl.") || name == "enable.ssl.certificate.verification" => {
                return self.set_tls(name, secret);
            }
            _ => return self.set_number(name, value),
        }
        Ok(())
    }

    fn set_oidc(&mut self, name: &str, secret: &Secret) -> Result<(), Refusal> {
        let value = secret.expose().trim();
        match name {
            "sasl.oauthbearer.method" if value.eq_ignore_ascii_case("oidc") => {}
            "sasl.oauthbearer.method" => return takes("oidc"),
            "sasl.oauthbearer.token.endpoint.url" if value.starts_with("http://") || value.starts_with("https://") => {
                self.oidc.token_url = value.to_owned();
            }
            "sasl.oauthbearer.token.endpoint.url" => return takes("a URL that begins with https:// or http://"),
            "sasl.oauthbearer.client.id" | "sasl.oauthbearer.client.credentials.client.id" => {
                self.oidc.client_id = secret.clone();
            }
            "sasl.oauthbearer.client.secret" | "sasl.oauthbearer.client.credentials.client.secret" => {
                self.oidc.client_secret = secret.clone();
            }
            "sasl.oauthbearer.scope" => self.oidc.scope = (!value.is_empty()).then(|| value.to_owned()),
            "sasl.oauthbearer.extensions" => match extensions(value) {
                Some(extensions) => self.oidc.extensions = extensions,
                None => return takes("NAME=VALUE, several separated by commas"),
            },
            "https.ca.location" => self.oidc.ca = Some(Pem::File("https.ca.location", secret.clone())),
            _ => return Err(Refusal::Unknown),
        }
        Ok(())
    }

    fn set_tls(&mut self, name: &str, secret: &Secret) -> Result<(), Refusal> {
        let value = secret.expose().trim();
        let is_pem = |value: &str| value.is_empty() || value.eq_ignore_ascii_case("PEM");
        match name {
            "ssl.ca.location" | "ssl.truststore.location" if value == "probe" => self.tls.ca = None,
            "ssl.ca.location" | "ssl.truststore.location" => {
                self.tls.ca = Some(Pem::File("ssl.ca.location", secret.clone()))
            }
            "ssl.ca.pem" | "ssl.truststore.certificates" => self.tls.ca = Some(Pem::Text("ssl.ca.pem", secret.clone())),
            "ssl.certificate.location" => {
                self.tls.certificate = Some(Pem::File("ssl.certificate.location", secret.clone()));
            }
            "ssl.certificate.pem" | "ssl.keystore.certificate.chain" => {
                self.tls.certificate = Some(Pem::Text("ssl.certificate.pem", secret.clone()));
            }
            "ssl.key.location" => self.tls.key = Some(Pem::File("ssl.key.location", secret.clone())),
            "ssl.key.pem" | "ssl.keystore.key" => self.tls.key = Some(Pem::Text("ssl.key.pem", secret.clone())),
            "ssl.keystore.type" | "ssl.truststore.type" if is_pem(value) => {}
            "ssl.keystore.type" | "ssl.truststore.type" => {
                return takes("PEM (openssl pkcs12 -in STORE.p12 -out STORE.pem -nodes converts another store)");
            }
            "ssl.endpoint.identification.algorithm" => {
                self.tls.any_host_name = match value {
                    "https" | "HTTPS" => false,
                    "none" | "" => true,
                    _ => return takes("https or none"),
                }
            }
            "enable.ssl.certificate.verification" => self.tls.unverified = !boolean(value)?,
            _ => return Err(Refusal::Unknown),
        }
        Ok(())
    }

    fn set_number(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let ms = |least, most| number(value, least, most).map(Duration::from_millis);
        let bytes = |least| number(value, least, 1_000_000_000).map(|bytes| bytes as u32);
        let (settings, day) = (&mut self.settings, 86_400_000);
        match name {
            "socket.timeout.ms" | "request.timeout.ms" => settings.answer_max = ms(10, 300_000)?,
            "socket.connection.setup.timeout.ms" => settings.connect_max = ms(10, 300_000)?,
            "reconnect.backoff.ms" => settings.backoff.first = ms(0, day)?,
            "reconnect.backoff.max.ms" => settings.backoff.longest = ms(0, day)?,
            "metadata.max.age.ms" | "topic.metadata.refresh.interval.ms" => settings.metadata_age_max = ms(1, day)?,
            "receive.message.max.bytes" => settings.frame_bytes_max = bytes(1_000)? as usize,
            "socket.keepalive.enable" => settings.keepalive = boolean(value)?,
            "fetch.wait.max.ms" | "fetch.max.wait.ms" => settings.fetch.wait_max = ms(0, 300_000)?,
            "fetch.min.bytes" => settings.fetch.bytes_min = bytes(0)?,
            "fetch.max.bytes" => settings.fetch.bytes_max = bytes(1)?,
            "max.partition.fetch.bytes" | "fetch.message.max.bytes" => settings.fetch.partition_bytes_max = bytes(1)?,
            "check.crcs" => settings.fetch.check_crcs = boolean(value)?,
            "isolation.level" => {
                settings.fetch.committed_only = match value {
                    "read_committed" => true,
                    "read_uncommitted" => false,
                    _ => return takes("read_committed or read_uncommitted"),
                }
            }
            _ => return self.set_produce(name, value),
        }
        Ok(())
    }

    fn set_produce(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let ms = |most| number(value, 0, most).map(Duration::from_millis);
        let bytes = || number(value, 1, 1_000_000_000).map(|bytes| bytes as usize);
        let produce = &mut self.settings.produce;
        match name {
            "linger.ms" | "queue.buffering.max.ms" => produce.linger = ms(900_000)?,
            "batch.size" => produce.batch_bytes_max = bytes()?,
            "message.max.bytes" | "max.request.size" => produce.request_bytes_max = bytes()?,
            "buffer.memory" => produce.buffer_bytes_max = bytes()?,
            "queue.buffering.max.kbytes" => produce.buffer_bytes_max = bytes()?.saturating_mul(1024),
            "message.timeout.ms" | "delivery.timeout.ms" => produce.delivery_max = ms(86_400_000)?,
            "transaction.timeout.ms" => {
                produce.transaction_max = number(value, 1_000, 2_147_483_647).map(Duration::from_millis)?;
            }
            "compression.type" | "compression.codec" => {
                produce.codec = match Codec::of(value) {
                    Some(codec) => codec,
                    None => return takes("none, gzip, snappy, lz4 or zstd"),
                }
            }
            // The producer is always idempotent and waits for all in-sync replicas.
            "acks" | "request.required.acks" if matches!(value, "all" | "-1") => {}
            "acks" | "request.required.acks" => return takes("all"),
            "enable.idempotence" if boolean(value)? => {}
            "enable.idempotence" => return takes("true"),
            _ => return Err(Refusal::Unknown),
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Settings, String> {
        if self.with_tls {
            if self.tls.certificate.is_some() != self.tls.key.is_some() {
                return Err(
                    "`ssl.certificate.location` and `ssl.key.location` belong together; give both or none".into()
                );
            }
            self.settings.tls = Some(self.tls);
        }
        if self.with_sasl {
            self.settings.sasl = Some(match self.mechanism {
                None => {
                    return Err(
                        "`sasl.mechanism` is missing; give PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER".into()
                    );
                }
                Some(Mechanism::OAuthBearer) => Sasl::OAuthBearer(whole(self.oidc)?),
                Some(mechanism) => {
                    let (Some(username), Some(password)) = self.login else {
                        return Err("`sasl.username` or `sasl.password` is missing; give both".into());
                    };
                    let login = Login { username, password };
                    match mechanism {
                        Mechanism::Scram(hash) => Sasl::Scram(hash, login),
                        _ => Sasl::Plain(login),
                    }
                }
            });
        }
        Ok(self.settings)
    }
}

fn whole(oidc: Oidc) -> Result<Oidc, String> {
    for (name, is_missing) in [
        ("sasl.oauthbearer.token.endpoint.url", oidc.token_url.is_empty()),
        ("sasl.oauthbearer.client.id", oidc.client_id.expose().is_empty()),
        ("sasl.oauthbearer.client.secret", oidc.client_secret.expose().is_empty()),
    ] {
        if is_missing {
            return Err(format!("`{name}` is missing; OAUTHBEARER needs it to get a token"));
        }
    }
    Ok(oidc)
}

fn extensions(value: &str) -> Option<Vec<(String, String)>> {
    let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    value.split(',').filter(|part| !part.trim().is_empty()).map(pair).collect()
}

fn takes<T>(what: &str) -> Result<T, Refusal> {
    Err(Refusal::Value(what.to_owned()))
}

fn number(value: &str, least: u64, most: u64) -> Result<u64, Refusal> {
    let number = value.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| Refusal::Value(format!("a whole number from {least} to {most}")))
}

fn boolean(value: &str) -> Result<bool, Refusal> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => takes("true or false"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(properties: &[(&str, &str)]) -> Result<Settings, String> {
        let owned: Vec<_> = properties.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect();
        Settings::of("k:1", &owned)
    }

    #[test]
    fn properties_by_both_names_in_any_order() {
        let found = settings(&[
            ("sasl.password", "secret-8472"),
            ("security.protocol", "sasl_ssl"),
            ("sasl.username", "u"),
            ("sasl.mechanisms", "SCRAM-SHA-512"),
            ("ssl.truststore.location", "/ca.pem"),
            ("request.timeout.ms", "1500"),
            ("isolation.level", "read_uncommitted"),
        ])
        .expect("sound");
        assert!(matches!(found.sasl, Some(Sasl::Scram(ScramHash::Sha512, _))));
        assert!(matches!(found.tls, Some(TlsSettings { ca: Some(Pem::File(..)), .. })));
        assert_eq!((found.answer_max, found.fetch.committed_only), (Duration::from_millis(1_500), false));
        assert!(!format!("{found:?}").contains("secret-8472"), "passwords are not shown");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (properties, words) in [
            (&[("what.is.this", "5")][..], "`what.is.this` is not a property of the native client"),
            (&[("socket.timeout.ms", "soon")], "`socket.timeout.ms` takes a whole number from 10 to 300000"),
            (&[("security.protocol", "SASL_SSL")], "`sasl.mechanism` is missing"),
            (&[("security.protocol", "SASL_SSL"), ("sasl.mechanism", "PLAIN")], "`sasl.username` or `sasl.password`"),
            (&[("security.protocol", "SSL"), ("ssl.key.pem", "x")], "belong together"),
            (
                &[("security.protocol", "sasl_plaintext"), ("sasl.mechanism", "OAUTHBEARER")],
                "token.endpoint.url` is missing",
            ),
            (&[("ssl.keystore.type", "JKS")], "takes PEM (openssl"),
        ] {
            let why = settings(properties).expect_err(words);
            assert!(why.contains(words), "{why}");
        }
        assert_eq!(refusal("client.rack", &Secret::new("a")), Some(Refusal::Unknown));
        assert_eq!(refusal("sasl.mechanism", &Secret::new("GSSAPI")), Some(Refusal::Unknown));
        assert_eq!(refusal("client.id", &Secret::new("a")), None);
    }
}
