//! The address of a Connect server: `sc://host:port/;token=…;use_ssl=true`.
//!
//! The form is that of Spark's own clients. The token is a [`Secret`].

use tidemill_model::{Error, Result, Secret};
use uuid::Uuid;

/// Spark's default port.
const PORT: u16 = 15002;

/// Where a Connect server is, and who asks.
#[derive(Clone, Debug)]
pub struct Remote {
    /// Name or address of the host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether the connection is encrypted: `use_ssl=true`.
    pub tls: bool,
    /// `token`: sent as a bearer token with every request.
    pub token: Option<Secret>,
    /// `user_id`: the same in every request. A session belongs to a user.
    pub user_id: String,
    /// `session_id`: a session that exists already. `None`: a new one.
    pub session_id: Option<String>,
    /// Whether somebody starts the server again when it ends, so that it is waited for.
    pub is_kept: bool,
}

impl Remote {
    /// Parses `sc://…`.
    ///
    /// # Errors
    /// User: the text has another form. The message does not repeat the token.
    pub fn parse(text: &str) -> Result<Remote> {
        let wrong = |what: &str| {
            Error::user(format!("--spark-remote: {what}; write sc://HOST:PORT[/;token=TOKEN][;use_ssl=true]"))
        };
        let rest = text.strip_prefix("sc://").ok_or_else(|| wrong("the address does not begin with sc://"))?;
        let (address, options) = match rest.split_once('/') {
            Some((address, options)) => (address, options),
            None => (rest, ""),
        };
        let (host, port) =
            host_and_port(address).ok_or_else(|| wrong("there is no host, or the port is not a number"))?;
        let user_id = std::env::var("SPARK_CONNECT_USER").or_else(|_| std::env::var("USER"));
        let mut remote = Remote {
            host,
            port,
            tls: false,
            token: None,
            user_id: user_id.unwrap_or_else(|_| "tidemill".into()),
            session_id: None,
            is_kept: false,
        };
        for option in options.split(';').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').ok_or_else(|| wrong("an option has no `=`"))?;
            remote.set(key, value, &wrong)?;
        }
        if remote.token.is_some() && !remote.tls && !remote.is_loopback() {
            return Err(wrong("a token over an unencrypted connection can be read by others; add use_ssl=true"));
        }
        Ok(remote)
    }

    fn set(&mut self, key: &str, value: &str, wrong: &dyn Fn(&str) -> Error) -> Result<()> {
        match (key, value) {
            ("token", _) => self.token = Some(Secret::new(value)),
            ("use_ssl", "true" | "false") => self.tls = value == "true",
            ("use_ssl", _) => return Err(wrong("use_ssl is true or false")),
            ("user_id", _) => self.user_id = value.into(),
            ("session_id", _) if Uuid::parse_str(value).is_ok() => self.session_id = Some(value.into()),
            ("session_id", _) => return Err(wrong("session_id is no UUID")),
            ("user_agent", _) => {}
            _ => {
                return Err(wrong(&format!(
                    "the option `{key}` is unknown; there are token, use_ssl, user_id and session_id"
                )));
            }
        }
        Ok(())
    }

    /// Whether the server is on this machine, by its address.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    }

    /// The address without the token and the session.
    pub fn address(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("sc://{host}:{}{}", self.port, if self.tls { "/;use_ssl=true" } else { "" })
    }

    /// The address with the token, for a command line.
    pub fn address_with_token(&self) -> String {
        let slash = if self.tls { "" } else { "/" };
        let token = self.token.as_ref().map_or(String::new(), |token| format!(";token={}", token.expose()));
        format!("{}{slash};user_id={}{token}", self.address(), self.user_id)
    }

    /// The address by which another client finds a session. It has no token.
    pub fn address_of(&self, session_id: &str) -> String {
        let address = self.address();
        let slash = if self.tls { "" } else { "/" };
        format!("{address}{slash};user_id={};session_id={session_id}", self.user_id)
    }
}

fn host_and_port(address: &str) -> Option<(String, u16)> {
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') && !port.contains(']') => (host, port.parse().ok()?),
        _ => (address, PORT),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(&str, u16, bool, bool), &str>) {
        let found = Remote::parse(text);
        match (found, expected) {
            (Ok(remote), Ok(expected)) => {
                assert_eq!((remote.host.as_str(), remote.port, remote.tls, remote.token.is_some()), expected, "{text}")
            }
            (Err(error), Err(part)) => {
                assert!(error.message().contains(part), "{text}: {error}");
                assert!(!error.message().contains("s3cret"), "{text}: {error}");
            }
            (found, expected) => panic!("{text}: {found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn addresses() {
        check("sc://h", Ok(("h", 15002, false, false)));
        check("sc://h:1", Ok(("h", 1, false, false)));
        check("sc://127.0.0.1:1/;token=s3cret", Ok(("127.0.0.1", 1, false, true)));
        check("sc://[::1]:7/;use_ssl=true;token=s3cret", Ok(("::1", 7, true, true)));
        check("sc://h:1/;use_ssl=true", Ok(("h", 1, true, false)));
        check("sc://h:1/;token=s3cret", Err("unencrypted"));
        check("http://h:1", Err("sc://"));
        check("sc://h:x", Err("port"));
        check("sc://:1", Err("host"));
        check("sc://h:1/;tokn=s3cret", Err("`tokn`"));
        check("sc://h:1/;use_ssl=s3cret", Err("true or false"));
        check("sc://h:1/;session_id=s3cret", Err("UUID"));
    }
}
