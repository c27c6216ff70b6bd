//! The executors of an application, from Spark's REST API on the driver's page.
//!
//! ```text
//!   GET /api/v1/applications                    the driver's only application
//!   GET /api/v1/applications/ID/executors       its executors that live, and the driver
//! ```

use serde_json::Value;
use std::time::Duration;
use tidemill_model::{Error, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(3);
const ANSWER_BYTES_MAX: u64 = 16 << 20;
/// The port of the page where nothing else is said.
const PORT: u16 = 4040;
/// What Spark calls the driver in the list.
const DRIVER: &str = "driver";

/// An executor that lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Executor {
    /// Spark's name for it: a number.
    pub id: String,
    /// Tasks running.
    pub active_tasks: u32,
    /// Tasks ended.
    pub ended_tasks: u64,
    /// Time of its tasks that have ended, ms.
    pub busy_ms: u64,
}

impl Executor {
    /// Its id as a number.
    pub fn number(&self) -> u64 {
        self.id.parse().unwrap_or(u64::MAX)
    }
}

/// The executors that live.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The application's id.
    pub app: String,
    /// In the order of their numbers.
    pub executors: Vec<Executor>,
}

/// The page of a driver.
#[derive(Clone, Debug)]
pub struct RestApi {
    host: String,
    port: u16,
    app: Option<String>,
}

impl RestApi {
    /// `host[:port]`, or the same as `http://…`.
    ///
    /// # Errors
    /// User: the text has another form.
    pub fn parse(text: &str) -> Result<RestApi> {
        let address = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let wrong = || Error::user(format!("--spark-ui: `{text}` is not an address; write http://HOST:PORT"));
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
            None => (address, PORT),
        };
        let is_host = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._[]:".contains(c));
        if is_host { Ok(RestApi::at(host, port)) } else { Err(wrong()) }
    }

    /// The page at a port.
    pub fn at(host: &str, port: u16) -> RestApi {
        RestApi { host: host.into(), port, app: None }
    }

    /// The port of a page that takes Spark's default.
    pub fn default_port() -> u16 {
        PORT
    }

    /// Its address.
    pub fn address(&self) -> String {
        format!("http://{}:{}", self.host, self.port)
    }

    /// The executors that live now.
    ///
    /// # Errors
    /// Transient: the page does not answer, or not as Spark does.
    pub async fn executors(&mut self) -> Result<Listing> {
        let app = match &self.app {
            Some(app) => app.clone(),
            None => {
                let found = self.get("/api/v1/applications").await?;
                let id = found[0]["id"].as_str().ok_or_else(|| self.fault("it names no application"))?;
                self.app.insert(id.to_owned()).clone()
            }
        };
        match self.get(&format!("/api/v1/applications/{app}/executors")).await {
            Ok(found) => Ok(Listing { app, executors: executors(&found) }),
            Err(error) => {
                // The server may have been started again, with another application.
                self.app = None;
                Err(error)
            }
        }
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let answer = tokio::time::timeout(ANSWER_MAX, self.answer(path)).await;
        let answer = answer.map_err(|_| self.fault("no answer"))?.map_err(|error| self.fault(&error.to_string()))?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| self.fault("no HTTP"))?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        if status != "200" {
            return Err(self.fault(&format!("it answers with status {status}")));
        }
        serde_json::from_str(body).map_err(|_| self.fault("the answer is no JSON"))
    }

    /// HTTP/1.0, so that the answer ends with the connection and comes in one piece.
    async fn answer(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect((self.host.trim_matches(['[', ']']), self.port)).await?;
        let ask = format!("GET {path} HTTP/1.0\r\nHost: {}\r\nAccept: application/json\r\n\r\n", self.host);
        stream.write_all(ask.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    fn fault(&self, what: &str) -> Error {
        Error::transient(format!("Spark's REST API at {}: {what}; name it with --spark-ui", self.address()))
    }
}

fn executors(list: &Value) -> Vec<Executor> {
    let executor = |json: &Value| -> Option<Executor> {
        let id = json["id"].as_str().filter(|id| *id != DRIVER)?;
        let number = |name: &str| json[name].as_u64().unwrap_or(0);
        Some(Executor {
            id: id.to_owned(),
            active_tasks: u32::try_from(number("activeTasks")).unwrap_or(u32::MAX),
            ended_tasks: number("completedTasks") + number("failedTasks"),
            busy_ms: number("totalDuration"),
        })
    };
    let mut found: Vec<Executor> = list.as_array().into_iter().flatten().filter_map(executor).collect();
    found.sort_by_key(Executor::number);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    const APPLICATIONS: &str = r#"[{"id":"app-1","name":"x"}]"#;
    const EXECUTORS: &str = r#"[{"id":"driver","activeTasks":9},
        {"id":"10","activeTasks":1,"completedTasks":7,"failedTasks":1,"totalDuration":1500},{"id":"2"}]"#;

    #[test]
    fn executors_without_the_driver() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            for body in [APPLICATIONS, EXECUTORS] {
                let (mut stream, _) = listener.accept().unwrap();
                let read = stream.read(&mut [0; 1024]).unwrap();
                assert!(read > 0);
                write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}").unwrap();
            }
        });
        let mut api = RestApi::parse(&format!("http://127.0.0.1:{port}/")).unwrap();
        let listing = crate::block_on(api.executors()).unwrap().unwrap();
        server.join().unwrap();
        let ten = Executor { id: "10".into(), active_tasks: 1, ended_tasks: 8, busy_ms: 1_500 };
        let two = Executor { id: "2".into(), ..Executor::default() };
        assert_eq!(listing, Listing { app: "app-1".into(), executors: vec![two, ten] });
        let gone = crate::block_on(api.executors()).unwrap().unwrap_err();
        assert!(gone.message().contains("name it with --spark-ui"), "{gone}");
    }

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("h", Some("http://h:4040")),
            ("http://h:1/", Some("http://h:1")),
            ("h:x", None),
            ("", None),
            ("a b", None),
        ] {
            assert_eq!(RestApi::parse(text).ok().map(|api| api.address()).as_deref(), expected, "{text}");
        }
    }
}
