//! One execution, read to its real end.
//!
//! Reattachable: the server keeps the responses until they are released, so a broken connection or the planned end of a
//! stream loses none. `ResultComplete` is the only end.

use crate::retry::Backoff;
use crate::session::{Session, client_type, timed};
use spark_connect_proto as proto;
use spark_connect_proto::execute_plan_response::ResponseType;
use std::time::{Duration, Instant};
use tidemill_model::{Error, Result};
use tonic::{Request, Status, Streaming};
use uuid::Uuid;

/// How many responses are kept by the server before they are released.
const RELEASE_EVERY: u32 = 16;

/// Streams that end at once without a response: so many within [`EMPTY_WITHIN`] are an error.
const EMPTY_MAX: u32 = 20;
const EMPTY_WITHIN: Duration = Duration::from_secs(60);

/// An execution on the server.
pub struct Execution {
    session: Session,
    plan: Option<proto::Plan>,
    operation_id: String,
    stream: Option<Streaming<proto::ExecutePlanResponse>>,
    last_response_id: Option<String>,
    unreleased: u32,
    complete: bool,
    backoff: Backoff,
    empty_streams: u32,
    first_empty: Option<Instant>,
    /// How often the stream was reattached.
    pub reattached: u32,
}

impl Execution {
    pub(crate) fn new(session: Session, plan: proto::Plan) -> Execution {
        let backoff = session.backoff();
        Execution {
            session,
            plan: Some(plan),
            operation_id: Uuid::new_v4().to_string(),
            stream: None,
            last_response_id: None,
            unreleased: 0,
            complete: false,
            backoff,
            empty_streams: 0,
            first_empty: None,
            reattached: 0,
        }
    }

    /// The next response; `None` after the last one.
    ///
    /// # Errors
    /// The server refuses the plan or the plan fails; or the server was away for too long.
    pub async fn next(&mut self) -> Result<Option<ResponseType>> {
        while !self.complete {
            let answer = match &mut self.stream {
                Some(stream) => stream.message().await,
                None => match self.attach().await {
                    Ok(stream) => {
                        self.stream = Some(stream);
                        continue;
                    }
                    Err(status) => Err(status),
                },
            };
            match answer {
                Ok(Some(response)) => {
                    if let Some(found) = self.take(response).await {
                        return Ok(Some(found));
                    }
                }
                Ok(None) => self.ended()?,
                Err(status) => self.failed(status).await?,
            }
        }
        Ok(None)
    }

    /// All responses.
    ///
    /// # Errors
    /// As [`Execution::next`].
    pub async fn all(mut self) -> Result<Vec<ResponseType>> {
        let mut found = Vec::new();
        while let Some(response) = self.next().await? {
            found.push(response);
        }
        Ok(found)
    }

    /// Starts the operation, or continues it after the last response.
    async fn attach(&mut self) -> std::result::Result<Streaming<proto::ExecutePlanResponse>, Status> {
        let mut stub = self.session.stub.clone();
        if let Some(plan) = &self.plan {
            let options = proto::execute_plan_request::RequestOption {
                request_option: Some(proto::execute_plan_request::request_option::RequestOption::ReattachOptions(
                    proto::ReattachOptions { reattachable: true },
                )),
            };
            let request = proto::ExecutePlanRequest {
                session_id: self.session.id.clone(),
                user_context: self.session.user(),
                operation_id: Some(self.operation_id.clone()),
                plan: Some(plan.clone()),
                client_type: client_type(),
                request_options: vec![options],
                ..Default::default()
            };
            return Ok(stub.execute_plan(Request::new(request)).await?.into_inner());
        }
        let request = proto::ReattachExecuteRequest {
            session_id: self.session.id.clone(),
            user_context: self.session.user(),
            operation_id: self.operation_id.clone(),
            client_type: client_type(),
            last_response_id: self.last_response_id.clone(),
            ..Default::default()
        };
        self.reattached += 1;
        Ok(stub.reattach_execute(Request::new(request)).await?.into_inner())
    }

    /// Notes a response; returns what it holds.
    async fn take(&mut self, response: proto::ExecutePlanResponse) -> Option<ResponseType> {
        // From here on the server knows the operation.
        self.plan = None;
        self.backoff.reset();
        self.empty_streams = 0;
        self.last_response_id = Some(response.response_id);
        self.unreleased += 1;
        match response.response_type {
            Some(ResponseType::ResultComplete(_)) => {
                self.complete = true;
                self.stream = None;
                self.release(None).await;
                None
            }
            found => {
                if self.unreleased >= RELEASE_EVERY {
                    self.unreleased = 0;
                    self.release(self.last_response_id.clone()).await;
                }
                found
            }
        }
    }

    /// The stream ended without `ResultComplete`.
    fn ended(&mut self) -> Result<()> {
        self.stream = None;
        self.plan = None;
        self.empty_streams += 1;
        let first = *self.first_empty.get_or_insert_with(Instant::now);
        if first.elapsed() > EMPTY_WITHIN {
            (self.empty_streams, self.first_empty) = (0, None);
        }
        match self.empty_streams < EMPTY_MAX {
            true => Ok(()),
            false => Err(Error::transient(format!(
                "{} ends its answers at once, again and again; see the server's log, then start again",
                self.session.remote.address()
            ))),
        }
    }

    /// The stream broke, or the server refused.
    async fn failed(&mut self, status: Status) -> Result<()> {
        self.stream = None;
        let fault = self.session.fault(status).await;
        if fault.unknown_operation && self.plan.is_none() && self.last_response_id.is_none() {
            return Err(fault.told());
        }
        let unreachable = fault.again;
        self.backoff.after(fault).await?;
        // The request may have arrived although its answer did not: the same operation id makes the server say so, and
        // the next try is a reattach.
        if unreachable && self.plan.is_some() && self.is_known().await {
            self.plan = None;
        }
        Ok(())
    }

    /// Whether the server has the operation already.
    async fn is_known(&self) -> bool {
        let request = proto::ReattachExecuteRequest {
            session_id: self.session.id.clone(),
            user_context: self.session.user(),
            operation_id: self.operation_id.clone(),
            client_type: client_type(),
            ..Default::default()
        };
        self.session.stub.clone().reattach_execute(timed(request)).await.is_ok()
    }

    /// Lets the server forget responses: those up to an id, or all. It forgets abandoned ones itself in the end, so a
    /// failure does not matter.
    async fn release(&self, until: Option<String>) {
        use proto::release_execute_request::{Release, ReleaseAll, ReleaseUntil};
        let release = match until {
            Some(response_id) => Release::ReleaseUntil(ReleaseUntil { response_id }),
            None => Release::ReleaseAll(ReleaseAll {}),
        };
        let request = proto::ReleaseExecuteRequest {
            session_id: self.session.id.clone(),
            user_context: self.session.user(),
            operation_id: self.operation_id.clone(),
            client_type: client_type(),
            release: Some(release),
            ..Default::default()
        };
        drop(self.session.stub.clone().release_execute(timed(request)).await);
    }
}
