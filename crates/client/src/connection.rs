//! One connection to one broker: requests out, answers in, in the same order.
//!
//! ```text
//!  open: connect ─► TLS ─► ApiVersions ─► SaslHandshake, SaslAuthenticate…        (all before one deadline)
//!  send     4 bytes of length, header, body ──►         answers come in the order of the requests
//!  receive  ◄── 4 bytes of length, correlation id, body    into one buffer that is reused
//! ```
//! A broker may limit the lifetime of an authentication (KIP-368). The connection authenticates again before that time
//! is over, when no answer is outstanding.

use crate::fault::Fault;
use crate::sasl::oauth::Tokens;
use crate::sasl::{self, Exchange};
use crate::settings::{Sasl, Settings};
use crate::stream::{Readiness, Stream, would_block};
use crate::tls;
use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, RequestHeader, SaslAuthenticateRequest, SaslHandshakeRequest,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes, VersionRange};
use rustls::ClientConfig;
use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::net::TcpStream;
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tidemill_wire::Bounds;

/// The buffer grows by this much while an answer arrives, so a claimed length alone takes no memory.
const GROWTH_BYTES: usize = 1 << 20;
/// A buffer that grew beyond this for one large answer is freed.
const KEPT_BYTES_MAX: usize = 16 << 20;
/// Longest throttle time that the client honours.
const THROTTLE_MAX: Duration = Duration::from_secs(60);
/// The start of a TLS alert, read as a length.
const TLS_ALERT: u32 = 0x1503_0000;

/// What all connections of a client share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub settings: Settings,
    pub tls: Option<Arc<ClientConfig>>,
    pub tokens: Tokens,
}

impl Shared {
    /// # Errors
    /// Certificates that cannot be read.
    pub(crate) fn new(settings: Settings) -> Result<Shared, Fault> {
        let tls = settings.tls.as_ref().map(tls::config).transpose()?;
        Ok(Shared { settings, tls, tokens: Tokens::default() })
    }
}

/// A connection that is ready for requests.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    stream: Stream,
    /// `host:port`, for messages.
    pub(crate) broker: String,
    versions: BTreeMap<i16, VersionRange>,
    /// The cluster's version of the transaction protocol.
    transaction_version: i16,
    correlation: i32,
    awaited: VecDeque<Awaited>,
    outbound: BytesMut,
    inbound: Inbound,
    /// When to authenticate again.
    renew_at: Option<Instant>,
    /// The broker wants no requests until then.
    muted_until: Option<Instant>,
    /// The broker has answered more than the request for its versions, which every listener answers.
    has_answered: bool,
}

struct Awaited {
    correlation: i32,
    header_version: i16,
    what: &'static str,
}

/// An answer while it arrives. The first four bytes are its length.
#[derive(Default)]
struct Inbound {
    buffer: Vec<u8>,
    filled: usize,
}

impl Connection {
    /// Connects and authenticates.
    pub(crate) fn open(shared: &Arc<Shared>, (host, port): (&str, u16)) -> Result<Connection, Fault> {
        let deadline = Instant::now() + shared.settings.connect_max;
        let mut connection = Connection {
            stream: Stream::connect(&shared.settings, shared.tls.as_ref(), (host, port), deadline)?,
            shared: Arc::clone(shared),
            broker: format!("{host}:{port}"),
            versions: BTreeMap::new(),
            transaction_version: 0,
            correlation: 0,
            awaited: VecDeque::new(),
            outbound: BytesMut::new(),
            inbound: Inbound::default(),
            renew_at: None,
            muted_until: None,
            has_answered: false,
        };
        connection.learn_versions(deadline)?;
        connection.authenticate(deadline)?;
        shared.settings.let_in.note();
        Ok(connection)
    }

    fn learn_versions(&mut self, deadline: Instant) -> Result<(), Fault> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("tidemill"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        // A broker that does not know version 3 answers in version 0, with the versions that it knows.
        let mut answer: ApiVersionsResponse = ApiVersionsResponse::default();
        for version in [3, 0] {
            self.send(ApiKey::ApiVersions, version, &request, deadline)?;
            let mut body = self.answer(deadline, "ApiVersions")?;
            let code = body.get(..2).map_or(0, |code| i16::from_be_bytes([code[0], code[1]]));
            let version = if code == Code::UnsupportedVersion.code() { 0 } else { version };
            answer = decode(&mut body, version, Bounds::NAMES, &self.broker)?;
            if answer.error_code != Code::UnsupportedVersion.code() {
                break;
            }
        }
        check("the supported versions", answer.error_code, None)?;
        self.versions = answer
            .api_keys
            .iter()
            .map(|key| (key.api_key, VersionRange { min: key.min_version, max: key.max_version }))
            .collect();
        let feature = answer.finalized_features.iter().find(|feature| feature.name.as_str() == "transaction.version");
        self.transaction_version = feature.map_or(0, |feature| feature.max_version_level);
        Ok(())
    }

    /// The cluster's version of the transaction protocol: 2 if it has KIP-890, less otherwise.
    pub(crate) fn transaction_version(&self) -> i16 {
        self.transaction_version
    }

    /// The newest version of a request that both sides support, within the range `ours`.
    pub(crate) fn version(&self, key: ApiKey, ours: VersionRange) -> Result<i16, Fault> {
        let theirs = self.versions.get(&(key as i16)).copied().unwrap_or(VersionRange { min: 0, max: -1 });
        let version = ours.max.min(theirs.max);
        if version < ours.min.max(theirs.min) {
            return Err(Fault::Unable(format!(
                "{} speaks no version of {key:?} from {} to {}; take a broker of Apache Kafka 2.7 or newer, or write client = \
                 \"librdkafka\"",
                self.broker, ours.min, ours.max
            )));
        }
        Ok(version)
    }

    /// Sends a request. The caller receives the answer later.
    pub(crate) fn send(
        &mut self,
        key: ApiKey,
        version: i16,
        body: &impl Encodable,
        deadline: Instant,
    ) -> Result<(), Fault> {
        self.begin(key, version);
        let encoded = body.encode(&mut self.outbound, version);
        encoded
            .map_err(|error| Fault::Malformed(format!("{key:?} cannot be encoded in version {version}: {error}")))?;
        self.finish(key, version, deadline)
    }

    /// Sends a request on a connection that may have been idle. The caller receives the answer later.
    pub(crate) fn send_later(
        &mut self,
        key: ApiKey,
        version: i16,
        body: &impl Encodable,
        deadline: Instant,
    ) -> Result<(), Fault> {
        self.renew(deadline)?;
        self.send(key, version, body, deadline)
    }

    /// Sends a request whose body the caller encodes.
    pub(crate) fn send_by_hand(
        &mut self,
        key: ApiKey,
        version: i16,
        deadline: Instant,
        write: impl FnOnce(&mut BytesMut),
    ) -> Result<(), Fault> {
        self.renew(deadline)?;
        self.begin(key, version);
        write(&mut self.outbound);
        self.finish(key, version, deadline)
    }

    fn begin(&mut self, key: ApiKey, version: i16) {
        self.correlation = self.correlation.wrapping_add(1) & i32::MAX;
        self.outbound.clear();
        self.outbound.extend_from_slice(&[0; 4]);
        let header = RequestHeader::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(StrBytes::from_string(self.shared.settings.client_id.clone())));
        header.encode(&mut self.outbound, key.request_header_version(version)).expect("a header can be encoded");
    }

    fn finish(&mut self, key: ApiKey, version: i16, deadline: Instant) -> Result<(), Fault> {
        let length = (self.outbound.len() - 4) as u32;
        self.outbound[..4].copy_from_slice(&length.to_be_bytes());
        match self.stream.write_all(&self.outbound, deadline) {
            Ok(Some(())) => {}
            Ok(None) => return Err(Fault::Lost(format!("{} did not accept a request in time", self.broker))),
            Err(error) => return Err(self.broken(&error)),
        }
        let header_version = key.response_header_version(version);
        self.awaited.push_back(Awaited { correlation: self.correlation, header_version, what: api_name(key) });
        Ok(())
    }

    /// Reads what has arrived of the next answer. When the answer is complete, swaps its buffer with `frame` and
    /// returns the position of its body there.
    pub(crate) fn receive_into(&mut self, frame: &mut Vec<u8>) -> Result<Option<Range<usize>>, Fault> {
        if !self.fill()? {
            return Ok(None);
        }
        std::mem::swap(&mut self.inbound.buffer, frame);
        let whole = std::mem::take(&mut self.inbound.filled);
        let awaited = self.awaited.pop_front().ok_or_else(|| self.unreadable("an answer to no request"))?;
        self.has_answered |= awaited.what != api_name(ApiKey::ApiVersions);
        let malformed = |why: &str| Fault::Malformed(format!("{}: {why} ({})", self.broker, awaited.what));
        let Some((id, mut body)) = frame[4..whole].split_first_chunk() else {
            return Err(malformed("an answer without a header"));
        };
        if i32::from_be_bytes(*id) != awaited.correlation {
            return Err(malformed("the answer to another request"));
        }
        if awaited.header_version > 0 {
            // Tagged fields, which no version uses so far.
            body = skip_tags(body).ok_or_else(|| malformed("a header that does not end"))?;
        }
        Ok(Some(whole - body.len()..whole))
    }

    /// Reads from the socket. Returns whether the next answer is complete.
    fn fill(&mut self) -> Result<bool, Fault> {
        loop {
            let whole = self.whole_bytes()?;
            if self.inbound.filled == whole {
                return Ok(true);
            }
            let Inbound { buffer, filled } = &mut self.inbound;
            if *filled == 0 && buffer.len() > KEPT_BYTES_MAX {
                *buffer = Vec::new();
            }
            let room = whole.min(*filled + GROWTH_BYTES);
            if buffer.len() < room {
                buffer.resize(room, 0);
            }
            let to = whole.min(buffer.len());
            match self.stream.read(&mut buffer[*filled..to]) {
                Ok(0) => return Err(self.closed()),
                Ok(count) => self.inbound.filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if would_block(&error) => return Ok(false),
                Err(error) => return Err(self.broken(&error)),
            }
        }
    }

    /// Bytes of the next answer, including its length field. Before that field has arrived, only its size.
    fn whole_bytes(&self) -> Result<usize, Fault> {
        if self.inbound.filled < 4 {
            return Ok(4);
        }
        let length = u32::from_be_bytes(self.inbound.buffer[..4].try_into().expect("four bytes"));
        if length & 0xffff_0000 == TLS_ALERT && self.shared.tls.is_none() {
            return Err(Fault::Refused(format!(
                "{}: the listener speaks TLS; set `security.protocol` to SSL or SASL_SSL",
                self.broker
            )));
        }
        let most = self.shared.settings.frame_bytes_max;
        if length as usize > most {
            return Err(self.unreadable(&format!(
                "an answer of {length} bytes is larger than the {most} allowed (`receive.message.max.bytes`)"
            )));
        }
        Ok(4 + length as usize)
    }

    /// Waits for the next answer.
    fn answer(&mut self, deadline: Instant, what: &str) -> Result<Bytes, Fault> {
        let mut frame = Vec::new();
        loop {
            if let Some(body) = self.receive_into(&mut frame)? {
                let mut bytes = Bytes::from(frame);
                return Ok(bytes.split_off(body.start).split_to(body.len()));
            }
            if !self.stream.wait(Readiness::Read, deadline) {
                return Err(Fault::Lost(format!("{} did not answer {what} in time", self.broker)));
            }
        }
    }

    /// Sends a request in the newest version that both sides support, and waits for the answer.
    pub(crate) fn call<R: Request>(
        &mut self,
        ours: VersionRange,
        request: &R,
        bounds: Bounds,
    ) -> Result<R::Response, Fault> {
        self.call_within(ours, request, bounds, Duration::ZERO)
    }

    /// Like [`Connection::call`], for a request that lets the broker take longer.
    pub(crate) fn call_within<R: Request>(
        &mut self,
        ours: VersionRange,
        request: &R,
        bounds: Bounds,
        time: Duration,
    ) -> Result<R::Response, Fault> {
        let deadline = Instant::now() + self.shared.settings.answer_max + time;
        let key = ApiKey::try_from(R::KEY).expect("a request has a key");
        let version = self.version(key, ours)?;
        self.renew(deadline)?;
        self.wait_while_muted();
        self.send(key, version, request, deadline)?;
        let mut body = self.answer(deadline, api_name(key))?;
        decode(&mut body, version, bounds, &self.broker)
    }

    /// Honours a throttle time from the broker.
    pub(crate) fn throttle(&mut self, ms: i32) {
        if ms > 0 {
            self.muted_until = Some(Instant::now() + Duration::from_millis(ms as u64).min(THROTTLE_MAX));
        }
    }

    /// Whether no answer is outstanding.
    pub(crate) fn is_idle(&self) -> bool {
        self.awaited.is_empty()
    }

    /// The time until which the broker wants no requests.
    pub(crate) fn muted_until(&self) -> Option<Instant> {
        self.muted_until.filter(|until| *until > Instant::now())
    }

    fn wait_while_muted(&self) {
        if let Some(until) = self.muted_until() {
            thread::sleep(until.saturating_duration_since(Instant::now()));
        }
    }

    /// The socket, for [`crate::stream::wait`].
    pub(crate) fn socket(&self) -> &TcpStream {
        self.stream.socket()
    }

    /// Authenticates again if it is time and no answer is outstanding.
    fn renew(&mut self, deadline: Instant) -> Result<(), Fault> {
        if self.awaited.is_empty() && self.renew_at.is_some_and(|at| at <= Instant::now()) {
            self.authenticate(deadline)?;
        }
        Ok(())
    }

    fn authenticate(&mut self, deadline: Instant) -> Result<(), Fault> {
        let shared = Arc::clone(&self.shared);
        let Some(sasl) = &shared.settings.sasl else { return Ok(()) };
        let mechanism = sasl::mechanism(sasl);
        // Get the token first. The broker does not wait long for the rest of an authentication.
        let mut exchange = Exchange::begin(sasl, &shared.tokens, deadline)?;
        self.choose(mechanism, deadline)?;
        let version = self.version(ApiKey::SaslAuthenticate, VersionRange { min: 0, max: 2 })?;
        let (mut received, mut life_ms) = (Bytes::new(), 0);
        while let Some(message) = exchange.step(&received)? {
            let request = SaslAuthenticateRequest::default().with_auth_bytes(message.into());
            self.send(ApiKey::SaslAuthenticate, version, &request, deadline)?;
            let mut body = self.answer(deadline, "SaslAuthenticate").map_err(|fault| self.silent(fault, mechanism))?;
            let answer: kafka_protocol::messages::SaslAuthenticateResponse =
                decode(&mut body, version, Bounds::MEMBERS, &self.broker)?;
            if answer.error_code != 0 {
                shared.tokens.forget();
                return Err(self.refused(sasl, answer.error_message.as_deref()));
            }
            (received, life_ms) = (answer.auth_bytes, answer.session_lifetime_ms);
        }
        self.renew_at = u64::try_from(life_ms).ok().filter(|ms| *ms > 0).map(|ms| {
            // Renew early enough that a slow answer does not end the connection.
            Instant::now() + Duration::from_millis(ms).mul_f64(0.85)
        });
        Ok(())
    }

    fn choose(&mut self, mechanism: &'static str, deadline: Instant) -> Result<(), Fault> {
        if !self.versions.contains_key(&(ApiKey::SaslHandshake as i16)) {
            return Err(self.no_authentication());
        }
        let request = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(mechanism));
        let version = self.version(ApiKey::SaslHandshake, VersionRange { min: 1, max: 1 })?;
        self.send(ApiKey::SaslHandshake, version, &request, deadline)?;
        let mut body = self.answer(deadline, "SaslHandshake").map_err(|fault| self.silent(fault, mechanism))?;
        let answer: kafka_protocol::messages::SaslHandshakeResponse =
            decode(&mut body, version, Bounds::NAMES, &self.broker)?;
        if answer.error_code == Code::UnsupportedSaslMechanism.code() {
            let offered = answer.mechanisms.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(Fault::Refused(format!(
                "{} does not offer {mechanism}, only {offered}; set `sasl.mechanism` to one of these",
                self.broker
            )));
        }
        if answer.error_code == Code::IllegalSaslState.code() {
            return Err(self.no_authentication());
        }
        check("a SASL mechanism", answer.error_code, None)
    }

    fn no_authentication(&self) -> Fault {
        let right = if self.shared.tls.is_some() { "SSL" } else { "PLAINTEXT" };
        Fault::Refused(format!(
            "{}: the listener does not use authentication; set `security.protocol` to {right}",
            self.broker
        ))
    }

    fn refused(&self, sasl: &Sasl, message: Option<&str>) -> Fault {
        let words = message.unwrap_or("no reason given").trim_end_matches('.');
        Fault::Refused(format!("{} refuses the credentials: {words}; {}", self.broker, sasl::help(sasl)))
    }

    /// Explains a connection that ends during an authentication.
    fn silent(&self, fault: Fault, mechanism: &str) -> Fault {
        match fault {
            Fault::Lost(why) => Fault::Lost(format!("{why} (while authenticating with {mechanism})")),
            other => other,
        }
    }

    fn broken(&self, error: &std::io::Error) -> Fault {
        match self.shared.tls {
            Some(_) => tls::fault(&self.broker, error),
            None => Fault::Lost(format!("{}: {error}", self.broker)),
        }
    }

    fn closed(&self) -> Fault {
        let hint = match (self.shared.tls.is_some(), &self.shared.settings.sasl) {
            // A listener with TLS closes a plaintext connection without an answer.
            (false, _) if self.versions.is_empty() => {
                " before its first answer, as a TLS listener does; check `security.protocol`"
            }
            // A listener with authentication tells its versions and closes at any other request.
            (is_tls, None) if !self.versions.is_empty() && !self.has_answered => match is_tls {
                true => {
                    " at the first request, as a listener with authentication does; check whether `security.protocol` is to be SASL_SSL"
                }
                false => {
                    " at the first request, as a listener with authentication does; check whether `security.protocol` is to be SASL_PLAINTEXT"
                }
            },
            _ => "",
        };
        Fault::Lost(format!("{} has closed the connection{hint}", self.broker))
    }

    fn unreadable(&self, why: &str) -> Fault {
        Fault::Malformed(format!("{}: {why}", self.broker))
    }
}

/// Turns the error code of an answer into a fault, if there is one.
pub(crate) fn check(what: &str, code: i16, message: Option<&str>) -> Result<(), Fault> {
    match Code::try_from_code(code) {
        None => Ok(()),
        Some(code) => Err(Fault::Code { what: what.to_owned(), code, message: message.map(str::to_owned) }),
    }
}

/// Decodes an answer without trusting its lengths.
pub(crate) fn decode<T: Decodable + HeaderVersion>(
    body: &mut Bytes,
    version: i16,
    bounds: Bounds,
    broker: &str,
) -> Result<T, Fault> {
    tidemill_wire::decode(body, version, bounds)
        .ok_or_else(|| Fault::Malformed(format!("{broker}: an answer does not decode in version {version}")))
}

fn skip_tags(body: &[u8]) -> Option<&[u8]> {
    let mut rest = body;
    let mut count = varint(&mut rest)?;
    while count > 0 {
        varint(&mut rest)?;
        let bytes = varint(&mut rest)? as usize;
        if rest.len() < bytes {
            return None;
        }
        rest.advance(bytes);
        count -= 1;
    }
    Some(rest)
}

fn varint(rest: &mut &[u8]) -> Option<u32> {
    let mut value = 0u32;
    for shift in [0, 7, 14, 21, 28] {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn api_name(key: ApiKey) -> &'static str {
    match key {
        ApiKey::Metadata => "Metadata",
        ApiKey::Fetch => "Fetch",
        ApiKey::Produce => "Produce",
        ApiKey::ListOffsets => "ListOffsets",
        ApiKey::CreateTopics => "CreateTopics",
        ApiKey::DeleteTopics => "DeleteTopics",
        ApiKey::InitProducerId => "InitProducerId",
        ApiKey::FindCoordinator => "FindCoordinator",
        ApiKey::AddPartitionsToTxn => "AddPartitionsToTxn",
        ApiKey::AddOffsetsToTxn => "AddOffsetsToTxn",
        ApiKey::TxnOffsetCommit => "TxnOffsetCommit",
        ApiKey::OffsetFetch => "OffsetFetch",
        ApiKey::EndTxn => "EndTxn",
        ApiKey::ApiVersions => "ApiVersions",
        ApiKey::SaslHandshake => "SaslHandshake",
        ApiKey::SaslAuthenticate => "SaslAuthenticate",
        _ => "a request",
    }
}
