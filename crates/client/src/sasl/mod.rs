//! SASL authentication: the messages of each mechanism, without a connection.

pub(crate) mod oauth;
mod scram;

use crate::fault::Fault;
use crate::settings::{Login, Sasl, ScramHash};
use oauth::Tokens;
use scram::Scram;
use std::time::Instant;

/// One authentication.
pub(crate) enum Exchange {
    /// A single message, which the broker only confirms.
    Once(Option<Vec<u8>>),
    /// A token. A refusal comes as JSON, which the client must acknowledge with one byte.
    Token(Option<Vec<u8>>),
    Scram(Box<Scram>),
}

/// The protocol's name of the mechanism.
pub(crate) fn mechanism(sasl: &Sasl) -> &'static str {
    match sasl {
        Sasl::Plain(_) => "PLAIN",
        Sasl::Scram(ScramHash::Sha256, _) => "SCRAM-SHA-256",
        Sasl::Scram(ScramHash::Sha512, _) => "SCRAM-SHA-512",
        Sasl::OAuthBearer(_) => "OAUTHBEARER",
    }
}

impl Exchange {
    /// Begins an exchange. Gets a token first if the mechanism needs one.
    pub(crate) fn begin(sasl: &Sasl, tokens: &Tokens, deadline: Instant) -> Result<Exchange, Fault> {
        Ok(match sasl {
            Sasl::Plain(login) => Exchange::Once(Some(plain(login))),
            Sasl::Scram(hash, login) => Exchange::Scram(Box::new(Scram::new(*hash, login)?)),
            Sasl::OAuthBearer(oidc) => Exchange::Token(Some(oauth::message(oidc, &tokens.get(oidc, deadline)?))),
        })
    }

    /// The next message for the broker, after its last message (empty at first). `None` if the exchange is over.
    pub(crate) fn step(&mut self, received: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        match self {
            Exchange::Once(message) => Ok(message.take()),
            Exchange::Token(message) => match message.take() {
                Some(message) => Ok(Some(message)),
                // The broker explains a refusal in JSON. It sends the error after our acknowledgement.
                None if !received.is_empty() => Ok(Some(vec![1])),
                None => Ok(None),
            },
            Exchange::Scram(scram) => scram.step(received),
        }
    }
}

/// `[authorization id] NUL user NUL password`
fn plain(login: &Login) -> Vec<u8> {
    ["", login.username.expose(), login.password.expose()].join("\0").into_bytes()
}

/// What to do when the broker refuses the credentials.
pub(crate) fn help(sasl: &Sasl) -> &'static str {
    match sasl {
        Sasl::Plain(_) => "correct `sasl.username` and `sasl.password`",
        Sasl::Scram(..) => {
            "correct `sasl.username` and `sasl.password`, or create the credentials at the broker (kafka-configs --alter \
             --add-config 'SCRAM-SHA-512=[password=…]' --entity-type users --entity-name NAME)"
        }
        Sasl::OAuthBearer(_) => {
            "check that the broker accepts the token: issuer, audience and scope, and that it is not expired"
        }
    }
}
