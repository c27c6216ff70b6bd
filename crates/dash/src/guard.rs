//! Request checks: a page of another web site, open in the same browser, must neither read nor command.
//!
//! - **DNS rebinding** (a foreign name that suddenly resolves to 127.0.0.1): the `Host` header of such a request
//!   carries the foreign name. A loopback listener accepts loopback names only. Any other listener also accepts IP
//!   addresses and names without a dot; nobody can register those.
//! - **Forged posts**: browsers set the `Origin` header themselves, and pages cannot change it. It must be the host
//!   that was asked. The content type must be JSON, which a form cannot send.
//!
//! The port is not compared: behind `ssh -L 9000:127.0.0.1:8080` it differs legitimately.

use hyper::HeaderMap;
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, ORIGIN};
use std::net::IpAddr;

/// The reason to refuse a request, as the error.
pub fn check_host(headers: &HeaderMap, loopback: bool) -> Result<(), &'static str> {
    let host = text(headers, HOST).map(host_name).ok_or("the request has no Host header; send one")?;
    let address = host.parse::<IpAddr>().ok();
    let local = address.is_some_and(|address| address.is_loopback()) || host.eq_ignore_ascii_case("localhost");
    let open = !loopback && (address.is_some() || !host.contains('.'));
    if local || open { Ok(()) } else { Err("this dashboard is not served under that name; open it by its address") }
}

/// The reason to refuse a command, as the error. Only our own page may send commands.
pub fn check_command(headers: &HeaderMap, loopback: bool) -> Result<(), &'static str> {
    if !loopback {
        return Err("commands are accepted on a loopback address only; listen on 127.0.0.1 and tunnel to it");
    }
    let host = text(headers, HOST).unwrap_or_default();
    let own = text(headers, ORIGIN).and_then(|origin| origin.strip_prefix("http://")) == Some(host);
    if !own {
        return Err("commands are accepted from the dashboard's own page only; send its address as Origin");
    }
    let json = text(headers, CONTENT_TYPE).is_some_and(|value| value.split(';').next() == Some("application/json"));
    if json { Ok(()) } else { Err("a command is JSON; send it as application/json") }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// `[::1]:8080` → `::1`, `localhost:8080` → `localhost`.
fn host_name(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `listener` is `loopback` or `open`; `expected` lists the hosts that are accepted.
    fn check(listener: &str, hosts: &str, expected: &str) {
        let let_in: Vec<&str> = hosts
            .split(' ')
            .filter(|host| {
                let headers = HeaderMap::from_iter([(HOST, host.parse().expect("a header value"))]);
                check_host(&headers, listener == "loopback").is_ok()
            })
            .collect();
        assert_eq!(let_in.join(" "), expected, "{listener}");
    }

    #[test]
    fn a_foreign_name_is_refused() {
        let hosts = "localhost localhost:8080 LOCALHOST 127.0.0.1:8080 127.8.9.1 [::1]:8080 \
                     evil.example evil.example:8080 localhost.evil.example 127.0.0.1.evil.example 10.0.0.7:8080 lab7 [2001:db8::1]";
        check("loopback", hosts, "localhost localhost:8080 LOCALHOST 127.0.0.1:8080 127.8.9.1 [::1]:8080");
        check(
            "open",
            hosts,
            "localhost localhost:8080 LOCALHOST 127.0.0.1:8080 127.8.9.1 [::1]:8080 10.0.0.7:8080 lab7 [2001:db8::1]",
        );
        assert!(check_host(&HeaderMap::new(), true).is_err());
    }

    #[test]
    fn a_command_comes_from_our_own_page() {
        let cases = [
            ("http://127.0.0.1:8080", "application/json", true, true),
            ("http://127.0.0.1:8080", "application/json; charset=utf-8", true, true),
            ("http://127.0.0.1:9999", "application/json", true, false),
            ("http://evil.example", "application/json", true, false),
            ("https://127.0.0.1:8080", "application/json", true, false),
            ("null", "application/json", true, false),
            ("", "application/json", true, false),
            ("http://127.0.0.1:8080", "text/plain", true, false),
            ("http://127.0.0.1:8080", "application/json", false, false),
        ];
        for (origin, content_type, loopback, expected) in cases {
            let mut headers = HeaderMap::from_iter([(HOST, "127.0.0.1:8080".parse().expect("a header value"))]);
            headers.insert(CONTENT_TYPE, content_type.parse().expect("a header value"));
            if !origin.is_empty() {
                headers.insert(ORIGIN, origin.parse().expect("a header value"));
            }
            assert_eq!(check_command(&headers, loopback).is_ok(), expected, "{origin} {content_type} {loopback}");
        }
    }
}
