//! The faults between a client and a cluster, and the errors that users see.

use crate::settings::LetIn;
use kafka_protocol::ResponseError as Code;
use tidemill_model::Error;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no connection, it broke, or the broker is silent. A retry may help. The text names the broker.
    Lost(String),
    /// The broker refuses our credentials, or we do not trust the broker. A person must act. The text says how.
    Refused(String),
    /// The broker cannot do what we ask for. The text says what to do.
    Unable(String),
    /// A setting of the client is wrong. The text says what to do.
    Setting(String),
    /// The answer has an error code.
    Code {
        /// The request.
        what: String,
        /// The error code.
        code: Code,
        /// The broker's message, if any.
        message: Option<String>,
    },
    /// The broker sent an answer that cannot be read.
    Malformed(String),
}

impl Fault {
    /// A fault for an answer with an error code.
    pub fn code(what: impl Into<String>, code: Code) -> Fault {
        Fault::Code { what: what.into(), code, message: None }
    }

    /// Whether the same request may succeed later, by itself.
    pub fn is_transient(&self) -> bool {
        match self {
            Fault::Lost(_) => true,
            Fault::Code { code, .. } => is_transient(*code),
            Fault::Refused(_) | Fault::Unable(_) | Fault::Setting(_) | Fault::Malformed(_) => false,
        }
    }

    /// Whether to wait for it to pass: it may by itself, or it is a refusal of credentials that were accepted before.
    pub(crate) fn may_pass(&self, let_in: &LetIn) -> bool {
        self.is_transient() || let_in.was() && matches!(self, Fault::Refused(_))
    }

    /// Whether the cached leaders may be wrong.
    pub fn wants_metadata(&self) -> bool {
        match self {
            Fault::Lost(_) => true,
            Fault::Code { code, .. } => wants_metadata(*code),
            _ => false,
        }
    }
}

/// Whether the same request may succeed later, by itself.
pub fn is_transient(code: Code) -> bool {
    code.is_retriable()
        || matches!(
            code,
            Code::UnknownServerError
                | Code::ThrottlingQuotaExceeded
                | Code::ConcurrentTransactions
                | Code::FencedLeaderEpoch
                | Code::UnknownLeaderEpoch
        )
}

/// Whether this code means that a leader may have moved.
pub fn wants_metadata(code: Code) -> bool {
    matches!(
        code,
        Code::NotLeaderOrFollower
            | Code::LeaderNotAvailable
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::UnknownTopicOrPartition
            | Code::UnknownTopicId
            | Code::InconsistentTopicId
            | Code::ReplicaNotAvailable
            | Code::KafkaStorageError
            | Code::ListenerNotFound
            | Code::OffsetNotAvailable
    )
}

impl Fault {
    /// The error that the user sees. `servers` are the bootstrap servers as the user wrote them.
    pub fn into_error(self, servers: &str) -> Error {
        match self {
            Fault::Lost(why) => Error::transient(format!(
                "Kafka at {servers} cannot be reached: {why}; start it, or correct `bootstrap_servers`"
            )),
            Fault::Refused(why) | Fault::Unable(why) => Error::external(format!("Kafka at {servers}: {why}")),
            Fault::Setting(why) => Error::user(format!("the Kafka client refuses its properties: {why}")),
            Fault::Malformed(why) => Error::external(format!(
                "Kafka at {servers} sent an unreadable answer: {why}; check that the port is a Kafka broker's (2.7 or \
                 newer), or write client = \"librdkafka\""
            )),
            Fault::Code { what, code, message } => of_code(servers, &what, code, message.as_deref()),
        }
    }
}

fn of_code(servers: &str, what: &str, code: Code, message: Option<&str>) -> Error {
    let words = message.map(|words| words.trim_end_matches('.')).filter(|words| !words.is_empty());
    let words = words.map(|words| format!(" ({words})")).unwrap_or_default();
    if let Some(help) = help(code) {
        return Error::external(format!("Kafka at {servers} refuses {what}: {}{words}; {help}", name(code)));
    }
    match is_transient(code) {
        true => Error::transient(format!(
            "Kafka at {servers} cannot answer {what} now: {}{words}; it is tried again",
            name(code)
        )),
        false => Error::external(format!(
            "Kafka at {servers} refuses {what}: {}{words}; correct the topic, the options or the rights",
            name(code)
        )),
    }
}

/// What a person can do about a refusal.
fn help(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::TopicAuthorizationFailed => {
            "give the user the right (ACL): READ and DESCRIBE on the topic to read it, WRITE to write, READ too to write it \
            exactly once, CREATE or DELETE to create or delete it (kafka-acls --add --allow-principal User:NAME --operation \
            READ --topic TOPIC)"
        }
        Code::GroupAuthorizationFailed => "give the user the right (ACL) READ on the group",
        Code::UnknownMemberId | Code::IllegalGeneration | Code::RebalanceInProgress => {
            "consumers are members of the group: end them, or choose another `group_id`"
        }
        Code::ClusterAuthorizationFailed => {
            "give the user the right (ACL) on the cluster: CREATE to create topics, IDEMPOTENT_WRITE to write"
        }
        Code::TransactionalIdAuthorizationFailed => {
            "give the user the rights (ACL) WRITE and DESCRIBE on the transactional id"
        }
        Code::SaslAuthenticationFailed => "correct the user name and the password",
        Code::InvalidTopicException => "a topic's name has letters, digits, `.`, `_` and `-`, at most 249 of them",
        Code::ProducerFenced | Code::InvalidProducerEpoch => {
            "another producer has taken over this transactional id: end it, or choose another id"
        }
        _ => return None,
    })
}

/// The name of a code in Kafka's documentation: `TOPIC_AUTHORIZATION_FAILED`.
pub fn name(code: Code) -> String {
    let camel = format!("{code:?}");
    let mut name = String::with_capacity(camel.len() + 8);
    for (index, letter) in camel.char_indices() {
        if letter.is_ascii_uppercase() && index > 0 {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_errors_that_say_what_to_do() {
        for (code, retry, words) in [
            (Code::TopicAuthorizationFailed, false, "TOPIC_AUTHORIZATION_FAILED; give the user the right (ACL): READ"),
            (Code::NotLeaderOrFollower, true, "cannot answer a fetch now: NOT_LEADER_OR_FOLLOWER"),
            (Code::InvalidConfig, false, "refuses a fetch: INVALID_CONFIG; correct"),
        ] {
            let error = Fault::code("a fetch", code).into_error("k:1");
            assert_eq!(error.retry, retry, "{error}");
            assert!(error.message().contains(words), "{error}");
        }
        let (what, code) = ("a group".into(), Code::GroupAuthorizationFailed);
        let error = Fault::Code { what, code, message: Some(String::new()) }.into_error("k:1");
        assert!(error.message().contains("GROUP_AUTHORIZATION_FAILED; give"), "{error}");
    }
}
