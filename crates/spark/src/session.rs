//! A session with a Connect server: one channel, one user, one session id.
//!
//! ```text
//!   execute ─► ExecutePlan ─► responses … ─► stream ends ─┬─ after ResultComplete: release, done
//!                  ▲                                      └─ before it: ReattachExecute after the last response
//!                  └─ retried with backoff while the server cannot be reached (execute.rs, retry.rs)
//! ```
//! The server ends every stream on purpose after two minutes, so the end of a stream says nothing about the result.
//! Everything is async on the caller's runtime. Knows no pipelines.

use crate::execute::Execution;
use crate::relation;
use crate::remote::Remote;
use crate::retry::{Backoff, Fault};
use crate::rows;
use arrow_array::RecordBatch;
use spark_connect_proto as proto;
use spark_connect_proto::spark_connect_service_client::SparkConnectServiceClient;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tidemill_model::{Error, Result};
use tidemill_os::retry;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};
use uuid::Uuid;

/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How often an idle connection is probed; an answer that takes longer than [`PROBE_MAX`] ends it.
const PROBE_EVERY: Duration = Duration::from_secs(20);
const PROBE_MAX: Duration = Duration::from_secs(20);
/// How long a call that is no execution may take.
const CALL_MAX: Duration = Duration::from_secs(60);
/// The most that a response may hold; Spark's own clients take 128 MiB.
const RESPONSE_BYTES_MAX: usize = 128 << 20;

/// How many sessions of a checkpoint may expire while the server runs.
const ATTEMPTS: u8 = 8;

/// Whether the server has closed the session: nobody has asked for it for too long.
pub(crate) fn is_expired(error: &Error) -> bool {
    error.message().contains("SESSION_CLOSED")
}

/// The stub, with the token in every request.
pub(crate) type Stub = SparkConnectServiceClient<InterceptedService<Channel, Bearer>>;

/// Puts the token into the headers.
#[derive(Clone)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> std::result::Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// A session.
#[derive(Clone)]
pub struct Session {
    pub(crate) remote: Remote,
    pub(crate) stub: Stub,
    /// Whether the server has answered once. Until then it is not waited for for long.
    answered: Arc<AtomicBool>,
    /// Its id, a UUID.
    pub id: String,
}

impl Session {
    /// A session of the remote: the one that its address names, or a new one. Connects with the first call. Async, since a
    /// channel belongs to a runtime.
    ///
    /// # Errors
    /// User: the address or the token cannot be used.
    pub async fn open(remote: &Remote) -> Result<Session> {
        let scheme = if remote.tls { "https" } else { "http" };
        let host = if remote.host.contains(':') { format!("[{}]", remote.host) } else { remote.host.clone() };
        let wrong = |error: tonic::transport::Error| {
            Error::user(format!("--spark-remote: {} cannot be used: {error}; correct the address", remote.address()))
        };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{host}:{}", remote.port))
            .map_err(wrong)?
            .connect_timeout(CONNECT_MAX)
            .http2_keep_alive_interval(PROBE_EVERY)
            .keep_alive_timeout(PROBE_MAX)
            .keep_alive_while_idle(true)
            .tcp_nodelay(true);
        if remote.tls {
            endpoint = endpoint.tls_config(ClientTlsConfig::new().with_native_roots()).map_err(wrong)?;
        }
        let token = remote.token.as_ref().map(|token| format!("Bearer {}", token.expose()).parse()).transpose();
        let token: Option<MetadataValue<Ascii>> =
            token.map_err(|_| Error::user("--spark-remote: the token holds characters that a header cannot hold"))?;
        let stub = SparkConnectServiceClient::with_interceptor(endpoint.connect_lazy(), Bearer(token))
            .max_decoding_message_size(RESPONSE_BYTES_MAX)
            .max_encoding_message_size(RESPONSE_BYTES_MAX);
        let id = remote.session_id.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
        Ok(Session { remote: remote.clone(), stub, answered: Arc::default(), id })
    }

    /// The session that runs the query of a checkpoint: its id follows from the place, so that whoever runs the same file
    /// finds the query of a client that died. The server does not take the id of an expired session again; the next one is
    /// taken then. A place that nobody finds again has none.
    ///
    /// # Errors
    /// As every call. External: all ids are used up.
    pub async fn of_checkpoint(remote: &Remote, place: Option<&str>) -> Result<Session> {
        for attempt in 0..ATTEMPTS {
            let mut remote = remote.clone();
            if let (None, Some(place)) = (&remote.session_id, place) {
                remote.session_id = Some(Session::id_of(place, attempt));
            }
            let session = Session::open(&remote).await?;
            match session.check_version().await {
                Err(error) if is_expired(&error) => {}
                checked => return checked.map(|()| session),
            }
        }
        Err(Error::external("the Connect server has closed this query's sessions; restart it, or name a session_id"))
    }

    /// The id of the session that runs the query of a checkpoint. `attempt` makes further ones.
    fn id_of(checkpoint: &str, attempt: u8) -> String {
        const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        const PRIME: u128 = 0x0100_0000_0000_0000_0000_013b;
        let bytes = checkpoint.bytes().chain([attempt]);
        // 128-bit FNV-1a.
        let hash = bytes.fold(BASIS, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
        uuid::Builder::from_custom_bytes(hash.to_be_bytes()).into_uuid().to_string()
    }

    /// The address by which another client finds this session. It has no token.
    pub fn address(&self) -> String {
        self.remote.address_of(&self.id)
    }

    /// Spark's version.
    ///
    /// # Errors
    /// As every call: see [`Fault::told`].
    pub async fn version(&self) -> Result<String> {
        use proto::analyze_plan_request::{Analyze, SparkVersion};
        use proto::analyze_plan_response::Result as Answer;
        match self.analyze(Analyze::SparkVersion(SparkVersion {})).await? {
            Some(Answer::SparkVersion(found)) => Ok(found.version),
            _ => Err(self.unexpected("the version")),
        }
    }

    /// Fails unless the server is a Spark 4.
    ///
    /// # Errors
    /// User: it is another version. Otherwise as every call.
    pub async fn check_version(&self) -> Result<()> {
        let version = self.version().await?;
        match version.split('.').next().and_then(|major| major.parse().ok()) {
            Some(4) => Ok(()),
            _ => Err(Error::user(format!(
                "{} is Spark {version}; Tidemill needs Spark 4.x: give the address of one",
                self.remote.address()
            ))),
        }
    }

    /// The schema of a plan as the server understands it.
    ///
    /// # Errors
    /// As every call. The server's analyser refuses the plan.
    pub async fn schema(&self, relation: proto::Relation) -> Result<proto::DataType> {
        use proto::analyze_plan_request::{Analyze, Schema};
        use proto::analyze_plan_response::Result as Answer;
        let plan = proto::Plan { op_type: Some(proto::plan::OpType::Root(relation)) };
        match self.analyze(Analyze::Schema(Schema { plan: Some(plan) })).await? {
            Some(Answer::Schema(found)) => found.schema.ok_or_else(|| self.unexpected("a schema")),
            _ => Err(self.unexpected("a schema")),
        }
    }

    async fn analyze(
        &self,
        analyze: proto::analyze_plan_request::Analyze,
    ) -> Result<Option<proto::analyze_plan_response::Result>> {
        let request = proto::AnalyzePlanRequest {
            session_id: self.id.clone(),
            user_context: self.user(),
            client_type: client_type(),
            analyze: Some(analyze),
            ..Default::default()
        };
        let answer = self.call(async |mut stub: Stub| stub.analyze_plan(timed(request.clone())).await).await?;
        Ok(answer.result)
    }

    /// Sets options of the session.
    ///
    /// # Errors
    /// As every call.
    pub async fn configure(&self, options: &[(&str, &str)]) -> Result<()> {
        use proto::config_request::operation::OpType;
        let pair = |(key, value): &(&str, &str)| proto::KeyValue { key: (*key).into(), value: Some((*value).into()) };
        let set = proto::config_request::Set { pairs: options.iter().map(pair).collect(), silent: None };
        self.config(OpType::Set(set)).await.map(drop)
    }

    /// An option of the session; `None` if it is not set.
    ///
    /// # Errors
    /// As every call.
    pub async fn option(&self, key: &str) -> Result<Option<String>> {
        use proto::config_request::operation::OpType;
        let get = proto::config_request::GetOption { keys: vec![key.into()] };
        let pairs = self.config(OpType::GetOption(get)).await?;
        Ok(pairs.into_iter().next().and_then(|pair| pair.value))
    }

    async fn config(&self, operation: proto::config_request::operation::OpType) -> Result<Vec<proto::KeyValue>> {
        let request = proto::ConfigRequest {
            session_id: self.id.clone(),
            user_context: self.user(),
            client_type: client_type(),
            operation: Some(proto::config_request::Operation { op_type: Some(operation) }),
            ..Default::default()
        };
        Ok(self.call(async |mut stub: Stub| stub.config(timed(request.clone())).await).await?.pairs)
    }

    /// Gives the session a jar. A jar of this name that the session has already stays.
    ///
    /// # Errors
    /// As every call.
    pub async fn add_jar(&self, name: &str, jar: &'static [u8]) -> Result<()> {
        use proto::add_artifacts_request::{ArtifactChunk, Batch, Payload, SingleChunkArtifact};
        let name = format!("jars/{name}");
        let asked = proto::ArtifactStatusesRequest {
            session_id: self.id.clone(),
            user_context: self.user(),
            client_type: client_type(),
            names: vec![name.clone()],
            ..Default::default()
        };
        let found = self.call(async |mut stub: Stub| stub.artifact_status(timed(asked.clone())).await).await?;
        if found.statuses.get(&name).is_some_and(|status| status.exists) {
            return Ok(());
        }
        let chunk = ArtifactChunk { data: jar.into(), crc: i64::from(crc32(jar)) };
        let artifacts = vec![SingleChunkArtifact { name: name.clone(), data: Some(chunk) }];
        let request = proto::AddArtifactsRequest {
            session_id: self.id.clone(),
            user_context: self.user(),
            client_type: client_type(),
            payload: Some(Payload::Batch(Batch { artifacts })),
            ..Default::default()
        };
        let sent = self.call(async |mut stub: Stub| stub.add_artifacts(Once(Some(request.clone()))).await).await?;
        match sent.artifacts.iter().all(|artifact| artifact.is_crc_successful) {
            true => Ok(()),
            false => Err(Error::transient(format!("{name} did not reach the server whole; start again"))),
        }
    }

    /// Interrupts every execution of the session.
    ///
    /// # Errors
    /// As every call.
    pub async fn interrupt(&self) -> Result<()> {
        let request = proto::InterruptRequest {
            session_id: self.id.clone(),
            user_context: self.user(),
            client_type: client_type(),
            interrupt_type: proto::interrupt_request::InterruptType::All.into(),
            ..Default::default()
        };
        self.call(async |mut stub: Stub| stub.interrupt(timed(request.clone())).await).await.map(drop)
    }

    /// Ends the session; its queries are stopped. A session of the same id may be opened again.
    ///
    /// # Errors
    /// As every call.
    pub async fn release(&self) -> Result<()> {
        let request = proto::ReleaseSessionRequest {
            session_id: self.id.clone(),
            user_context: self.user(),
            client_type: client_type(),
            allow_reconnect: true,
        };
        self.call(async |mut stub: Stub| stub.release_session(timed(request.clone())).await).await.map(drop)
    }

    /// Runs a plan. The responses are read with [`Execution::next`].
    pub fn execute(&self, plan: proto::Plan) -> Execution {
        Execution::new(self.clone(), plan)
    }

    /// The rows of a SELECT, and how often its stream was reattached.
    ///
    /// # Errors
    /// As every call.
    pub async fn select(&self, sql: &str) -> Result<(Vec<RecordBatch>, u32)> {
        let mut execution = self.execute(relation::rows(relation::sql(sql)));
        let mut responses = Vec::new();
        while let Some(response) = execution.next().await? {
            responses.push(response);
        }
        Ok((rows::batches(&responses)?, execution.reattached))
    }

    /// One call, retried while the server cannot be reached.
    pub(crate) async fn call<T>(
        &self,
        call: impl AsyncFn(Stub) -> std::result::Result<tonic::Response<T>, Status>,
    ) -> Result<T> {
        let mut backoff = self.backoff();
        loop {
            match call(self.stub.clone()).await {
                Ok(response) => {
                    self.answered.store(true, Ordering::Relaxed);
                    return Ok(response.into_inner());
                }
                Err(status) => backoff.after(self.fault(status).await).await?,
            }
        }
    }

    /// What a status means. Asks the server for the whole message: a status holds its beginning only.
    pub(crate) async fn fault(&self, status: Status) -> Fault {
        let fault = Fault::of(&status, &self.remote.address());
        match fault.error_id() {
            Some(error_id) => {
                let request = proto::FetchErrorDetailsRequest {
                    session_id: self.id.clone(),
                    user_context: self.user(),
                    error_id: error_id.into(),
                    client_type: client_type(),
                    ..Default::default()
                };
                let details = self.stub.clone().fetch_error_details(timed(request)).await;
                fault.with_details(details.ok().map(tonic::Response::into_inner))
            }
            None => fault,
        }
    }

    pub(crate) fn backoff(&self) -> Backoff {
        Backoff::new(match (self.remote.is_kept, self.answered.load(Ordering::Relaxed)) {
            (true, _) => retry::SPARK_KEPT,
            (false, true) => retry::SPARK,
            (false, false) => retry::SPARK_FIRST,
        })
    }

    pub(crate) fn user(&self) -> Option<proto::UserContext> {
        let (user_id, user_name) = (self.remote.user_id.clone(), self.remote.user_id.clone());
        Some(proto::UserContext { user_id, user_name, extensions: Vec::new() })
    }

    pub(crate) fn unexpected(&self, what: &str) -> Error {
        Error::external(format!(
            "{} did not answer with {what}; it may not be a Spark Connect server of version 4",
            self.remote.address()
        ))
    }
}

/// What the server's logs call this client.
#[expect(clippy::unnecessary_wraps, reason = "the messages' field is optional")]
pub(crate) fn client_type() -> Option<String> {
    Some(concat!("tidemill/", env!("CARGO_PKG_VERSION")).into())
}

/// A request with a deadline.
pub(crate) fn timed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_MAX);
    request
}

/// The checksum of artifacts: CRC-32 of IEEE 802.3, bit by bit. Artifacts are small.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1)))
    })
}

/// A stream of one message.
struct Once<T>(Option<T>);

impl<T: Unpin> tokio_stream::Stream for Once<T> {
    type Item = T;

    fn poll_next(mut self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Option<T>> {
        std::task::Poll::Ready(self.0.take())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_checksum_of_the_standards_example() {
        assert_eq!(super::crc32(b"123456789"), 0xcbf4_3926);
    }
}
