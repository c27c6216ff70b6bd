//! What a failed call means, and when it is tried again.
//!
//! As Spark's own clients: `UNAVAILABLE` and a lost cursor are tried again, from 50 ms up to 60 s apart, for ten
//! minutes at most; anything else ends the call. Our limit is lower (`os::retry`), so that a user hears of a server that is gone.

use spark_connect_proto as proto;
use std::time::Instant;
use tidemill_model::{Error, Result};
use tidemill_os::retry::Retry;
use tonic::{Code, Status};

/// A failed call.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Whether the same call may succeed later.
    pub(crate) again: bool,
    /// Whether the server does not know the operation, so that it must be started anew.
    pub(crate) unknown_operation: bool,
    code: Code,
    error_id: Option<String>,
    message: String,
    address: String,
}

impl Fault {
    pub(crate) fn of(status: &Status, address: &str) -> Fault {
        // What the connection says has a source; what the server says has none.
        let broken = std::error::Error::source(status).is_some();
        let message = told_by(status);
        let cursor = message.contains("INVALID_CURSOR.DISCONNECTED");
        let code = if broken { Code::Unavailable } else { status.code() };
        let again = code == Code::Unavailable || code == Code::DeadlineExceeded || cursor;
        Fault {
            again: again && !is_tls(&message),
            unknown_operation: message.contains("INVALID_HANDLE.OPERATION_NOT_FOUND")
                || message.contains("INVALID_HANDLE.SESSION_NOT_FOUND"),
            code,
            error_id: error_id(status),
            message,
            address: address.to_owned(),
        }
    }

    /// The id by which the server gives the whole message.
    pub(crate) fn error_id(&self) -> Option<&str> {
        self.error_id.as_deref()
    }

    /// With the message and its causes from the server.
    pub(crate) fn with_details(mut self, details: Option<proto::FetchErrorDetailsResponse>) -> Fault {
        let Some(details) = details else { return self };
        let mut at = details.root_error_idx;
        let mut parts: Vec<String> = Vec::new();
        while let Some(error) = at.and_then(|at| details.errors.get(usize::try_from(at).ok()?)) {
            // A cause often repeats what its effect says.
            if !error.message.is_empty() && !parts.iter().any(|part| part.contains(&error.message)) {
                parts.push(error.message.clone());
            }
            at = error.cause_idx.filter(|_| parts.len() < 5);
        }
        if !parts.is_empty() {
            self.message = parts.join("; caused by: ");
        }
        self
    }

    /// The error, with what to do.
    pub(crate) fn told(self) -> Error {
        let Fault { code, message, address, .. } = self;
        if let Some(error) = known(&message) {
            return error;
        }
        let said = essence(&message);
        match code {
            Code::Unauthenticated | Code::PermissionDenied => Error::user(format!(
                "{address} refuses the credentials: {said}; give the right token with --spark-remote 'sc://HOST:PORT/;token=…'"
            )),
            Code::Unimplemented => Error::user(format!(
                "{address} does not speak Spark Connect 4: {said}; give the address of the Connect server of a Spark 4.x"
            )),
            _ if is_tls(&said) => Error::user(format!(
                "{address}: the encrypted connection fails: {said}; the server may not use TLS (leave out use_ssl=true), or \
                 its certificate is not trusted here"
            )),
            Code::Unavailable | Code::DeadlineExceeded => Error::transient(format!(
                "{address} does not answer: {said}; see that the Connect server runs and can be reached from here, then \
                 start again: the query goes on from its checkpoint"
            )),
            _ => Error::external(format!("Spark: {said}")),
        }
    }
}

/// What a message of Spark says, without the names of exceptions before it, the plan of the query and the stack behind it.
pub(crate) fn essence(message: &str) -> String {
    let is_dump = |line: &&str| {
        line.starts_with("=== Streaming Query ===")
            || line.starts_with("\tat ")
            || line.starts_with("Driver stacktrace:")
    };
    let kept: Vec<&str> = message.lines().take_while(|line| !is_dump(line)).collect();
    let text = kept.join("\n");
    let mut said = text.trim().trim_end_matches('.');
    while let Some((name, rest)) = said.split_once(": ")
        && (name.ends_with("Exception") || name.ends_with("Error"))
        && !name.contains(' ')
    {
        said = rest;
    }
    said.to_owned()
}

/// Messages of Spark that have a remedy.
pub(crate) fn known(message: &str) -> Option<Error> {
    let (has, said) = (|part: &str| message.contains(part), essence(message));
    if has("Failed to find data source: kafka") || has("Failed to find the data source: kafka") {
        return Some(Error::user(
            "this Spark has no Kafka connector; start the Connect server with --packages \
             org.apache.spark:spark-sql-kafka-0-10_2.13:VERSION, VERSION being Spark's own, or put its jars into Spark's \
             folder `jars`",
        ));
    }
    if has("UnknownTopicOrPartition") {
        return Some(Error::external(format!(
            "Spark finds no such topic or partition: {said}; create the topic, then start again"
        )));
    }
    if has("INVALID_HANDLE.SESSION") {
        return Some(Error::transient(format!(
            "the Connect server does not know the session any more: {said}; start again: the query goes on from its \
             checkpoint"
        )));
    }
    None
}

/// The status's message with those of its sources.
fn told_by(status: &Status) -> String {
    let mut message = status.message().to_owned();
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        let text = error.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        source = error.source();
    }
    message
}

fn is_tls(message: &str) -> bool {
    message.contains("certificate") || message.contains("InvalidContentType") || message.contains("HandshakeFailure")
}

/// The `errorId` in the status's details: a `google.rpc.Status` with an `ErrorInfo`. The map's entry is found by its
/// key: length, `errorId`, tag, length, 36 characters.
fn error_id(status: &Status) -> Option<String> {
    const KEY: &[u8] = b"\x0a\x07errorId\x12\x24";
    let details = status.details();
    let at = details.windows(KEY.len()).position(|window| window == KEY)? + KEY.len();
    String::from_utf8(details.get(at..at + 36)?.to_vec()).ok()
}

/// Waits longer from failure to failure.
pub(crate) struct Backoff {
    policy: Retry,
    since: Option<Instant>,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(policy: Retry) -> Backoff {
        Backoff { policy, since: None, failures: 0 }
    }

    /// Waits before the next try.
    ///
    /// # Errors
    /// The fault, if another try would not help or the server has been away for too long.
    pub(crate) async fn after(&mut self, fault: Fault) -> Result<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        self.failures += 1;
        match self.policy.pause(self.failures, since.elapsed()) {
            Some(pause) if fault.again => tokio::time::sleep(pause).await,
            _ => return Err(fault.told()),
        }
        Ok(())
    }

    /// The server answered.
    pub(crate) fn reset(&mut self) {
        *self = Backoff::new(self.policy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: &Status, again: bool, says: &str) {
        let fault = Fault::of(status, "sc://h:1");
        assert_eq!(fault.again, again, "{status:?}");
        let told = fault.told();
        assert!(told.message().contains(says), "{told}");
    }

    #[test]
    fn what_a_status_means() {
        check(&Status::unavailable("tcp connect error"), true, "the query goes on from its checkpoint");
        check(&Status::unavailable("invalid peer certificate: UnknownIssuer"), false, "not trusted here");
        let broken = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        check(&Status::from_error(Box::new(broken)), true, "does not answer: broken pipe");
        check(&Status::unauthenticated("Invalid token"), false, "give the right token");
        check(&Status::internal("[INVALID_CURSOR.DISCONNECTED] x"), true, "Spark:");
        check(&Status::internal("[UNRESOLVED_COLUMN] no `x`."), false, "Spark: [UNRESOLVED_COLUMN] no `x`");
        check(&Status::internal("Failed to find data source: kafka."), false, "--packages");
        check(&Status::unimplemented("unknown service"), false, "Spark 4.x");
    }

    #[test]
    fn a_message_is_a_sentence() {
        let dump = "\n=== Streaming Query ===\nIdentifier: q\nCurrent State: ACTIVE\n\nLogical Plan:\n~Project [a]";
        let stack = "\n\tat org.apache.spark.A.b(A.scala:1)\n\nDriver stacktrace:\n\tat x";
        let topic = "org.apache.spark.sql.streaming.StreamingQueryException: org.apache.kafka.common.errors.\
                     UnknownTopicOrPartitionException: This server does not host this topic-partition.";
        for (message, expected) in [
            (format!("{topic}{dump}"), "This server does not host this topic-partition"),
            (
                format!("Job aborted: Lost task 0.0: a.b.CException: [X] no.{stack}"),
                "Job aborted: Lost task 0.0: a.b.CException: [X] no",
            ),
            (
                "[UNRESOLVED_COLUMN] no `x`.\n== SQL ==\nSELECT x".to_owned(),
                "[UNRESOLVED_COLUMN] no `x`.\n== SQL ==\nSELECT x",
            ),
        ] {
            assert_eq!(essence(&message), expected);
            check(&Status::internal(message), false, expected);
        }
    }

    #[test]
    fn the_id_of_the_whole_message() {
        let id = "0123456789-0123456789-0123456789-012";
        let details = [&b"xx\x1a\x2f\x0a\x07errorId\x12\x24"[..], id.as_bytes(), b"yy"].concat();
        let status = Status::with_details(Code::Internal, "m", details.into());
        assert_eq!(Fault::of(&status, "").error_id(), Some(id));
    }
}
