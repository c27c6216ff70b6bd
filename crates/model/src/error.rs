//! Errors: who can mend them, and whether a retry can help.
//!
//! Faults in the data are not errors ([`crate::fault`]). Bugs in our own code panic.

use std::fmt;

/// Who can mend an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// The input (file, option, SQL) is wrong: exit code 2.
    User,
    /// Something outside failed (broker, disk, network): exit code 1.
    External,
    /// A contract between parts of the program was broken: exit code 1.
    Internal,
}

/// An error. Its message ends by saying what to do.
#[derive(Debug)]
pub struct Error {
    /// Who can mend it.
    pub domain: Domain,
    /// Whether the same call may succeed later.
    pub retry: bool,
    message: String,
}

/// A result with Tidemill's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The input is wrong.
    pub fn user(message: impl Into<String>) -> Error {
        Error { domain: Domain::User, retry: false, message: message.into() }
    }

    /// Something outside failed for good.
    pub fn external(message: impl Into<String>) -> Error {
        Error { domain: Domain::External, retry: false, message: message.into() }
    }

    /// Something outside failed; the same call may succeed later.
    pub fn transient(message: impl Into<String>) -> Error {
        Error { domain: Domain::External, retry: true, message: message.into() }
    }

    /// A contract between parts of the program was broken.
    pub fn internal(message: impl Into<String>) -> Error {
        Error { domain: Domain::Internal, retry: false, message: message.into() }
    }

    /// Prefixes the message: `{context}: {message}`.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Error {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// What is wrong and what to do.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The process exit code that this error ends in: 2 for wrong input, 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self.domain {
            Domain::User => 2,
            Domain::External | Domain::Internal => 1,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        Error::external(error.to_string())
    }
}
