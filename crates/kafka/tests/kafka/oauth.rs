//! OAUTHBEARER with client credentials. The test plays the identity provider. Its token lets the client in.

use crate::secure::Secure;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

/// Answers each request for a token with this status and body. Returns the address, and a channel with the head and
/// body of each request.
fn provider(status: &'static str, body: String) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/token", listener.local_addr().expect("an address"));
    let (asked, asks) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let (mut head, mut length) = (String::new(), 0);
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|count| count > 0) {
                let line = head.lines().last().unwrap_or_default().to_lowercase();
                length =
                    line.strip_prefix("content-length:").map_or(length, |text| text.trim().parse().expect("a number"));
            }
            let mut form = vec![0; length];
            reader.read_exact(&mut form).expect("the form");
            let _ = asked.send(head + &String::from_utf8_lossy(&form));
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = reader.get_mut().write_all(answer.as_bytes());
        }
    });
    (url, asks)
}

/// An unsigned token for a user, which the test broker accepts.
fn token(user: &str) -> String {
    token_of(user, 0)
}

/// One that is as old as this. It is valid for 10 minutes.
fn token_of(user: &str, age_seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() - age_seconds;
    let part = |json: String| {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let bits = |bytes: &[u8]| {
            bytes.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - bytes.len()))
        };
        let digits = |bytes: &[u8]| -> String {
            (0..=bytes.len()).map(|at| DIGITS[(bits(bytes) >> (18 - 6 * at)) as usize & 63] as char).collect()
        };
        json.as_bytes().chunks(3).map(digits).collect::<String>()
    };
    let claims = format!(r#"{{"sub":"{user}","iat":{now},"exp":{}}}"#, now + 600);
    format!("{}.{}.", part(r#"{"alg":"none"}"#.into()), part(claims))
}

fn options(secure: &Secure, url: &str) -> Vec<(&'static str, String)> {
    let mut options = secure.options("OAUTHBEARER");
    options.retain(|(name, _)| !["sasl.username", "sasl.password"].contains(name));
    options.extend([
        ("sasl.oauthbearer.token.endpoint.url", url.to_owned()),
        ("sasl.oauthbearer.client.id", "tidemill client".to_owned()),
        ("sasl.oauthbearer.client.secret", "oidc-secret".to_owned()),
        ("sasl.oauthbearer.scope", "kafka".to_owned()),
    ]);
    options
}

#[test]
fn a_token_of_the_identity_provider_lets_in() {
    let Some(secure) = Secure::new() else { return };
    let (url, asks) = provider("200 OK", format!(r#"{{"access_token":"{}","expires_in":600}}"#, token("alice")));
    let mut reader = secure.reader(&secure.address, options(&secure, &url)).expect("a reader");
    assert_eq!(secure.read(&mut reader, 0, 4).expect("let in"), 4);
    let asked = asks.recv().expect("one request");
    let expected =
        ["POST /token", "Basic dGlkZW1pbGwlMjBjbGllbnQ6b2lkYy1zZWNyZXQ=", "grant_type=client_credentials&scope=kafka"];
    assert!(expected.iter().all(|part| asked.contains(part)), "{asked}");
    assert!(asks.try_recv().is_err(), "all connections of a client share a token");
}

#[test]
fn who_gets_no_token_or_a_wrong_one_reads_what_to_do() {
    let Some(secure) = Secure::new() else { return };
    let fails = |url: &str| {
        let mut reader = secure.reader(&secure.address, options(&secure, url)).expect("a reader");
        let error = secure.read(&mut reader, 0, 4).expect_err("kept out");
        assert!(!error.retry && !error.to_string().contains("oidc-secret"), "{error}");
        error.to_string()
    };
    let (url, _asks) = provider("401 Unauthorized", r#"{"error":"invalid_client"}"#.into());
    let error = fails(&url);
    assert!(error.contains("issues no token: 401, invalid_client; correct `sasl.oauthbearer.client.id`"), "{error}");
    let (url, _asks) = provider("200 OK", r#"{"access_token":"no.token.at-all"}"#.into());
    let error = fails(&url);
    assert!(error.contains("refuses the credentials") && error.contains("issuer, audience and scope"), "{error}");
    // The broker's clock says that this one is over, whatever the provider says.
    let body = format!(r#"{{"access_token":"{}","expires_in":600}}"#, token_of("alice", 3_600));
    let (url, _asks) = provider("200 OK", body);
    let error = fails(&url);
    assert!(error.contains("refuses the credentials") && error.contains("not expired"), "{error}");
    // The token is valid, but its user may not read the topic.
    let (url, _asks) = provider("200 OK", format!(r#"{{"access_token":"{}"}}"#, token("bob")));
    let error = fails(&url);
    assert!(error.contains("TOPIC_AUTHORIZATION_FAILED"), "{error}");
}
