//! Responses: one body type for a text and for a stream of events, and the headers of both.

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// A response of the dashboard.
pub type Reply = Response<ReplyBody>;

/// The body of a response.
pub enum ReplyBody {
    /// A complete text; `None` once it is sent.
    Text(Option<Bytes>),
    /// Events, until either side closes.
    Events(mpsc::Receiver<Bytes>),
}

/// The page may load its own files and talk to its own server, nothing else; it may not be framed.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(&str, &str); 4] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// A text response.
pub fn text(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    make(status, content_type, ReplyBody::Text(Some(body.into())))
}

/// A response with JSON text.
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    text(status, "application/json", body)
}

/// A refusal with a sentence that says what to do.
pub fn refuse(status: StatusCode, sentence: &str) -> Reply {
    text(status, "text/plain; charset=utf-8", format!("{sentence}\n"))
}

/// A refusal of the method; names the allowed one.
pub fn wrong_method(allowed: &'static str) -> Reply {
    let mut reply = refuse(StatusCode::METHOD_NOT_ALLOWED, &format!("use {allowed} here"));
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    reply
}

/// A stream of server-sent events.
pub fn events(events: mpsc::Receiver<Bytes>) -> Reply {
    make(StatusCode::OK, "text/event-stream", ReplyBody::Events(events))
}

fn make(status: StatusCode, content_type: &'static str, body: ReplyBody) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    reply
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match self.get_mut() {
            ReplyBody::Text(text) => Poll::Ready(text.take()),
            ReplyBody::Events(events) => events.poll_recv(cx),
        };
        next.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ReplyBody::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            ReplyBody::Events(_) => SizeHint::default(),
        }
    }
}
