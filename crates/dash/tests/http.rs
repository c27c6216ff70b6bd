//! The dashboard as a client sees it: raw HTTP over a socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;
use tidemill_dash::Dashboard;
use tidemill_model::FaultCounts;
use tidemill_model::pipeline::ScaleMode;
use tidemill_model::scale_change::ScaleChange;
use tidemill_model::status::{Command, DecisionLine, ExecutorStatus, ResultRows, Status};

fn start() -> (Dashboard, Receiver<Command>) {
    let (commands, commanded) = channel();
    (serve("127.0.0.1:0", commands).expect("a free port"), commanded)
}

/// A dashboard with its server on a thread.
fn serve(listen: &str, commands: mpsc::Sender<Command>) -> tidemill_model::Result<Dashboard> {
    let (dashboard, server) = Dashboard::bind(listen, commands)?;
    std::thread::spawn(|| server.run());
    Ok(dashboard)
}

fn channel() -> (mpsc::Sender<Command>, Receiver<Command>) {
    mpsc::channel()
}

/// Sends one request; `lines` are its header lines. Returns status code, head and body.
fn ask(address: SocketAddr, first: &str, lines: &[&str], body: &str) -> (u16, String, String) {
    let mut stream = connect(address);
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let request =
        format!("{first} HTTP/1.1\r\n{lines}Connection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).expect("the dashboard reads");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("the dashboard answers and closes");
    let (head, body) = reply.split_once("\r\n\r\n").expect("a head and a body");
    let code = head[9..12].parse().expect("a status code");
    (code, head.to_lowercase(), body.to_string())
}

fn get(dashboard: &Dashboard, path: &str) -> (u16, String, String) {
    ask(dashboard.address(), &format!("GET {path}"), &["Host: localhost"], "")
}

/// The timeout is generous: a hang fails the test, a slow machine does not.
fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the dashboard listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout above zero");
    stream
}

fn status() -> Status {
    let decision = DecisionLine { at_ms: 1_000, from: 0, to: 2, reason: "2 \"needed\"\nnow".into() };
    let executor = |id, state: &str| ExecutorStatus { id, pid: 70, state: state.into(), tasks_running: 2, records: 9 };
    Status {
        name: "say \"hi\"".into(),
        now_ms: 1_500,
        uptime_ms: 2_500,
        rate_in: 1234.5,
        backlog: 7,
        age_p50_ms: 40,
        age_p99_ms: 1_250,
        batch_id: Some(41),
        records: 1_000_000,
        faults: FaultCounts { late: 3, ..FaultCounts::default() },
        watermark_ms: Some(-2_500),
        executors_target: 2,
        executors: vec![executor(1, "ready"), executor(2, "starting")],
        executor_seconds: 3.25,
        always_on_executor_seconds: 10.5,
        decisions: vec![decision],
        windows: ResultRows { columns: vec!["course".into()], rows: vec![vec!["<b>é".into()]] },
        ..Status::default()
    }
}

#[test]
fn a_status_comes_back_as_it_was_published() {
    let (dashboard, _commanded) = start();
    assert_eq!(get(&dashboard, "/api/status").0, 503);
    dashboard.publish(&status());
    let (code, head, body) = get(&dashboard, "/api/status");
    assert_eq!(code, 200);
    assert!(head.contains("content-type: application/json"), "{head}");
    assert_eq!(serde_json::from_str::<Status>(&body).expect("JSON of a status"), status());
}

#[test]
fn the_past_is_kept_for_those_who_come_late() {
    let (dashboard, _commanded) = start();
    for second in 0..3 {
        let decision = DecisionLine { at_ms: second, from: 0, to: 1, reason: format!("reason {second}") };
        dashboard.publish(&Status {
            now_ms: second * 1000,
            backlog: 5,
            decisions: vec![decision],
            ..Status::default()
        });
    }
    let (_, _, history) = get(&dashboard, "/api/history");
    assert!(history.starts_with(r#"{"age_p50_ms":[0,0,0],"#), "{history}");
    assert!(history.contains(r#""at_ms":[0,1000,2000],"backlog":[5,5,5],"#), "{history}");
    let (_, _, decisions) = get(&dashboard, "/api/decisions");
    let decisions: Vec<DecisionLine> = serde_json::from_str(&decisions).expect("JSON of decisions");
    let reasons: Vec<&str> = decisions.iter().map(|decision| decision.reason.as_str()).collect();
    assert_eq!(reasons, ["reason 0", "reason 1", "reason 2"]);
}

#[test]
fn metrics_are_as_prometheus_reads_them() {
    let (dashboard, _commanded) = start();
    assert_eq!(get(&dashboard, "/metrics").2, "");
    dashboard.publish(&status());
    let (code, head, body) = get(&dashboard, "/metrics");
    assert_eq!(code, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    for line in body.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        let name = name.split('{').next().expect("a name");
        assert!(name.starts_with("tidemill_") && value.parse::<f64>().is_ok(), "{line}");
        assert!(body.contains(&format!("# HELP {name} ")), "{name} without help");
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        assert!(body.contains(&format!("# TYPE {name} {kind}\n")), "{name} is no {kind}");
    }
    for expected in [
        r#"tidemill_pipeline_info{pipeline="say \"hi\""} 1"#,
        "tidemill_arrival_records_per_second 1234.5",
        r#"tidemill_record_age_seconds{quantile="0.99"} 1.25"#,
        "tidemill_processed_records_total 1000000",
        r#"tidemill_faulty_records_total{reason="late"} 3"#,
        "tidemill_committed_batches_total 42",
        "tidemill_watermark_timestamp_seconds -2.5",
        r#"tidemill_running_executors{state="starting"} 1"#,
        "tidemill_executor_seconds_total 3.25",
        "tidemill_always_on_executor_seconds_total 10.5",
    ] {
        assert!(body.lines().any(|line| line == expected), "no line `{expected}` in\n{body}");
    }
}

#[test]
fn the_page_is_whole_and_may_load_nothing_from_elsewhere() {
    let (dashboard, _commanded) = start();
    let (code, head, page) = get(&dashboard, "/");
    assert_eq!(code, 200);
    assert!(head.contains("content-security-policy: default-src 'none'; script-src 'self'"), "{head}");
    assert!(head.contains("x-content-type-options: nosniff"), "{head}");
    let parts: Vec<&str> = page
        .split(['"'])
        .filter(|part| part.ends_with(".js") || part.ends_with(".css") || part.ends_with(".svg"))
        .collect();
    assert!(parts.len() >= 3, "{parts:?}");
    for part in parts.into_iter().chain(["chart.js", "words.js"]) {
        let (code, head, body) = get(&dashboard, &format!("/{part}"));
        assert_eq!(code, 200, "{part}");
        assert!(!head.contains("content-type: text/plain"), "{part}: {head}");
        assert!(!body.contains("innerHTML"), "{part} makes markup of data");
    }
}

#[test]
fn wrong_requests_are_refused_with_the_right_code() {
    let (dashboard, _commanded) = start();
    let cases = [
        ("GET /nowhere", "Host: localhost", 404),
        ("GET /../Cargo.toml", "Host: localhost", 404),
        ("POST /api/status", "Host: localhost", 405),
        ("DELETE /", "Host: localhost", 405),
        ("GET /api/command", "Host: localhost", 405),
        ("GET /api/status", "Host: rebound.example", 403),
        ("GET /", "Host: rebound.example:8080", 403),
        ("GET /events", "Host: 10.0.0.1", 403),
        ("HEAD /metrics", "Host: [::1]:8080", 200),
    ];
    for (first, host, expected) in cases {
        let (code, _, _) = ask(dashboard.address(), first, &[host], "");
        assert_eq!(code, expected, "{first} {host}");
    }
}

#[test]
fn commands_come_through_from_our_own_page_only() {
    let (dashboard, commanded) = start();
    dashboard.publish(&Status { executors_min: 2, executors_max: 4, ..Status::default() });
    let json = "Content-Type: application/json";
    let own = format!("Origin: http://{}", dashboard.address());
    let cases = [
        (own.as_str(), json, r#"{"pin":2}"#, 200, Some(Command::Pin(2))),
        (own.as_str(), json, r#""unpin""#, 200, Some(Command::Unpin)),
        (own.as_str(), json, r#""stop""#, 200, Some(Command::Stop)),
        (
            own.as_str(),
            json,
            r#"{"scale":{"mode":"advisory","max_executors":3,"slo_ms":5000}}"#,
            200,
            Some(Command::Scale(ScaleChange {
                mode: Some(ScaleMode::Advisory),
                max_executors: Some(3),
                slo_ms: Some(5_000),
                ..ScaleChange::default()
            })),
        ),
        (own.as_str(), json, r#"{"scale":{}}"#, 400, None),
        (own.as_str(), json, r#"{"scale":{"max_executors":1}}"#, 400, None),
        (own.as_str(), json, r#"{"scale":{"mode":"sometimes"}}"#, 400, None),
        ("Origin: http://evil.example", json, r#"{"scale":{"slo_ms":5000}}"#, 403, None),
        (own.as_str(), json, r#"{"pin":1000}"#, 400, None),
        (own.as_str(), json, r#"{"format":"disk"}"#, 400, None),
        (own.as_str(), json, &" ".repeat(100_000), 400, None),
        (own.as_str(), "Content-Type: text/plain", r#""stop""#, 403, None),
        ("Origin: http://evil.example", json, r#""stop""#, 403, None),
        ("Accept: */*", json, r#""stop""#, 403, None),
    ];
    for (origin, content_type, body, expected, command) in cases {
        let host = format!("Host: {}", dashboard.address());
        let (code, _, _) = ask(dashboard.address(), "POST /api/command", &[&host, origin, content_type], body);
        assert_eq!((code, commanded.try_recv().ok()), (expected, command), "{origin} {content_type} {:.40}", body);
    }
    drop(commanded);
    let host = format!("Host: {}", dashboard.address());
    assert_eq!(ask(dashboard.address(), "POST /api/command", &[&host, &own, json], r#""stop""#).0, 503);
}

/// Reads one event: its name and its data.
fn event(lines: &mut impl Iterator<Item = std::io::Result<String>>) -> (String, serde_json::Value) {
    let mut next = |prefix: &str| loop {
        let line = lines.next().expect("more events").expect("an open stream");
        if let Some(rest) = line.strip_prefix(prefix) {
            return rest.to_string();
        }
    };
    let name = next("event: ");
    (name, serde_json::from_str(&next("data: ")).expect("JSON in an event"))
}

fn follow(dashboard: &Dashboard) -> TcpStream {
    let mut stream = connect(dashboard.address());
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("the dashboard reads");
    stream
}

#[test]
fn an_open_page_gets_the_past_and_then_each_status() {
    let (dashboard, _commanded) = start();
    dashboard.publish(&status());
    let mut lines = BufReader::new(follow(&dashboard)).lines();
    let (name, data) = event(&mut lines);
    assert_eq!((name.as_str(), &data["history"]["backlog"][0]), ("past", &7.into()));
    assert_eq!(data["decisions"][0]["to"], 2);
    let (name, data) = event(&mut lines);
    assert_eq!(
        (name.as_str(), &data["backlog"], &data["executors_pinned"]),
        ("status", &7.into(), &serde_json::Value::Null)
    );
    dashboard.publish(&Status { backlog: 8, executors_pinned: Some(3), ..status() });
    let (_, data) = event(&mut lines);
    assert_eq!((&data["backlog"], &data["executors_pinned"]), (&8.into(), &3.into()));
}

#[test]
fn a_page_that_does_not_read_holds_up_nobody() {
    let (dashboard, _commanded) = start();
    let mut wide = status();
    wide.windows.rows = vec![vec!["x".repeat(100_000)]; 10];
    dashboard.publish(&wide);
    let _asleep: Vec<TcpStream> = (0..8).map(|_| follow(&dashboard)).collect();
    for records in 0..500 {
        dashboard.publish(&Status { records, ..wide.clone() });
    }
    let (_, _, body) = get(&dashboard, "/api/status");
    assert_eq!(serde_json::from_str::<Status>(&body).expect("JSON of a status").records, 499);
}

#[test]
fn a_taken_port_is_stepped_over() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("a bound socket").port();
    let (commands, _commanded) = channel();
    let dashboard = serve(&format!("127.0.0.1:{port}"), commands).expect("a free port after it");
    assert!(dashboard.address().port() > port);
    assert_eq!(dashboard.url(), format!("http://127.0.0.1:{}/", dashboard.address().port()));
    assert_eq!(get(&dashboard, "/").0, 200);
}

#[test]
fn a_wrong_address_is_the_users_mistake() {
    for listen in ["nonsense", "127.0.0.1", "127.0.0.1:99999", "192.0.2.1:0"] {
        let (commands, _commanded) = channel();
        let Err(error) = serve(listen, commands) else { panic!("listens on {listen}") };
        assert_eq!(error.exit_code(), 2, "{error}");
        assert!(error.message().contains(listen), "{error}");
    }
}

#[test]
fn a_drop_closes_everything() {
    let (dashboard, _commanded) = start();
    dashboard.publish(&status());
    let address = dashboard.address();
    let mut open = follow(&dashboard);
    let mut first = [0; 12];
    open.read_exact(&mut first).expect("the events begin");
    drop(dashboard);
    let mut rest = Vec::new();
    // The end of the stream or a reset both count; an open stream would run into the timeout.
    if let Err(error) = open.read_to_end(&mut rest) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    }
    TcpListener::bind(address).expect("the port is free again");
}
