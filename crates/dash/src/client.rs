//! A client of the dashboard: one request on one connection, as the dashboard's own page makes it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A dashboard that does not answer for so long is stuck.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP's status code.
    pub code: u16,
    /// The body.
    pub body: String,
}

/// Sends a request: method and path, such as `GET /api/status`, and a body of JSON or nothing.
///
/// # Errors
/// Nobody listens, the answer takes longer than 10 s, or it is no HTTP (`InvalidData`).
pub fn ask(address: SocketAddr, request: &str, body: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    let head = format!(
        "{request} HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    parse(&reply).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))
}

fn parse(reply: &str) -> Option<Answer> {
    let (head, body) = reply.split_once("\r\n\r\n")?;
    let code = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Answer { code, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let check = |reply, expected: Option<(u16, &str)>| {
            let expected = expected.map(|(code, body)| Answer { code, body: body.to_owned() });
            assert_eq!(parse(reply), expected, "{reply}");
        };
        check("HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\r\n\r\nmore", Some((200, "body\r\n\r\nmore")));
        check("HTTP/1.1 403 Forbidden\r\n\r\n", Some((403, "")));
        check("HTTP/1.1 200 OK\r\n", None);
        check("HTTP/1.1 2\r\n\r\n", None);
        check("SSH-2.0\r\n\r\n", None);
        check("", None);
    }
}
