//! Routes: one request → one response. `answer` is the table of paths; [`crate::guard`] checks who may ask.

use crate::hub::Hub;
use crate::reply::{self, Reply};
use crate::{guard, metrics, page};
use hyper::body::{Body, Bytes, Incoming};
use hyper::{HeaderMap, Method, Request, StatusCode};
use serde_json::json;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use tidemill_model::scale_change::EXECUTORS_MAX;
use tidemill_model::status::Command;
use tokio::sync::mpsc;

/// A command is a few bytes; longer bodies are refused.
const COMMAND_BYTES_MAX: usize = 256;

/// The largest size that a command may set: a typing error must not start a thousand processes.
const PIN_MAX: u32 = 64;

/// Answers one request. Never fails: an error becomes a status code and a sentence.
pub async fn answer(request: Request<Incoming>, hub: Arc<Hub>) -> Result<Reply, Infallible> {
    if let Err(why) = guard::check_host(request.headers(), hub.loopback) {
        return Ok(reply::refuse(StatusCode::FORBIDDEN, why));
    }
    let path = request.uri().path();
    if path == "/api/command" {
        return Ok(match *request.method() {
            Method::POST => command(request, &hub).await,
            _ => reply::wrong_method("POST"),
        });
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let answer: fn(Arc<Hub>) -> Reply = match path {
        "/api/status" => status,
        "/api/history" => |hub| reply::json(StatusCode::OK, hub.history_json()),
        "/api/decisions" => |hub| reply::json(StatusCode::OK, hub.decisions_json()),
        "/metrics" => figures,
        "/events" => events,
        _ => match page::find(path) {
            Some(asset) if reads => return Ok(reply::text(StatusCode::OK, asset.content_type, asset.body)),
            Some(_) => return Ok(reply::wrong_method("GET, HEAD")),
            None => return Ok(reply::refuse(StatusCode::NOT_FOUND, "no such page; the dashboard is at /")),
        },
    };
    Ok(if reads { answer(hub) } else { reply::wrong_method("GET, HEAD") })
}

fn status(hub: Arc<Hub>) -> Reply {
    match hub.latest() {
        Some(snapshot) => reply::json(StatusCode::OK, json!(snapshot.status).to_string()),
        None => reply::refuse(StatusCode::SERVICE_UNAVAILABLE, "no status yet; ask again in a second"),
    }
}

/// The metrics. Before the first status the page is empty, which Prometheus does not count as a failure.
fn figures(hub: Arc<Hub>) -> Reply {
    let text = hub.latest().map_or_else(String::new, |snapshot| metrics::render(&snapshot.status));
    reply::text(StatusCode::OK, metrics::CONTENT_TYPE, text)
}

/// First the history, then each newest snapshot. A slow page gets fewer snapshots; a closed page is noticed at the next
/// one.
fn events(hub: Arc<Hub>) -> Reply {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut latest = hub.follow();
        latest.mark_changed();
        let mut next = Some(hub.past_event());
        loop {
            if let Some(event) = next
                && sender.send(event).await.is_err()
            {
                return;
            }
            if latest.changed().await.is_err() {
                return;
            }
            next = latest.borrow_and_update().as_ref().map(|snapshot| snapshot.event());
        }
    });
    reply::events(receiver)
}

async fn command(request: Request<Incoming>, hub: &Hub) -> Reply {
    let headers: &HeaderMap = request.headers();
    if let Err(why) = guard::check_command(headers, hub.loopback) {
        return reply::refuse(StatusCode::FORBIDDEN, why);
    }
    let wrong = "the command is one of \"stop\", {\"pin\": 2}, \"unpin\", {\"scale\": {\"mode\": \"active\", \"min_executors\": 0, \
                 \"max_executors\": 4, \"slo_ms\": 10000}}";
    let Some(body) = read(request.into_body()).await else {
        return reply::refuse(StatusCode::BAD_REQUEST, wrong);
    };
    match serde_json::from_slice::<Command>(&body) {
        Ok(Command::Pin(size)) if size > PIN_MAX => {
            reply::refuse(StatusCode::BAD_REQUEST, "that many executors are not allowed; pin a smaller number")
        }
        Ok(command) => match refused(&command, hub) {
            Some(why) => reply::refuse(StatusCode::BAD_REQUEST, &why),
            None if hub.command(command) => reply::json(StatusCode::OK, "{}"),
            None => reply::refuse(StatusCode::SERVICE_UNAVAILABLE, "this run accepts no commands"),
        },
        Err(_) => reply::refuse(StatusCode::BAD_REQUEST, wrong),
    }
}

/// Why a command is refused. The driver checks again, because the bounds may have changed by then.
fn refused(command: &Command, hub: &Hub) -> Option<String> {
    let Command::Scale(change) = command else { return None };
    let latest = hub.latest();
    let (min, max) =
        latest.map_or((0, EXECUTORS_MAX), |latest| (latest.status.executors_min, latest.status.executors_max));
    change.check(min, max).err()
}

/// The whole body, if it is short and complete.
async fn read(mut body: Incoming) -> Option<Bytes> {
    let mut bytes = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Ok(data) = frame.ok()?.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > COMMAND_BYTES_MAX {
            return None;
        }
    }
    Some(bytes.into())
}
