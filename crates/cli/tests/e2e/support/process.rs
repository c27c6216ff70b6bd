//! A process of the program under test: its output, signals, its end. Killed when dropped.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longer than any wait on a busy machine. Whoever reaches it hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// Waits for a condition; fails if it does not come.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A running process.
pub struct Process {
    command: String,
    child: Child,
    stdout: Option<Stream>,
    stderr: Stream,
}

/// A process that has ended, together with its children.
pub struct Ended {
    /// `None` after a signal that it did not handle.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Process {
    pub fn start(command: &mut Command) -> Process {
        let mut process = Process::start_unread(command);
        process.stdout = process.child.stdout.take().map(Stream::new);
        process
    }

    /// Starts a process whose standard output the test reads ([`Process::take_stdout`]).
    pub fn start_unread(command: &mut Command) -> Process {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let stderr = Stream::new(child.stderr.take().expect("piped above"));
        Process { command: format!("{command:?}"), child, stdout: None, stderr }
    }

    /// Standard output of a process that was started unread.
    pub fn take_stdout(&mut self) -> impl Read + use<> {
        self.child.stdout.take().expect("not taken before")
    }

    pub fn stdout(&self) -> String {
        self.stdout.as_ref().map_or_else(String::new, Stream::text)
    }

    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until a line with `words` is on stdout or stderr, and returns it.
    pub fn says(&self, words: &str) -> String {
        until(&format!("`{words}` from {}", self.command), || {
            let text = format!("{}\n{}", whole_lines(&self.stdout()), whole_lines(&self.stderr()));
            text.lines().find(|line| line.contains(words)).map(str::to_owned)
        })
    }

    /// Sends a signal by name, for instance `INT`.
    pub fn signal(&self, name: &str) {
        assert!(signal(self.child.id(), name), "{} is gone", self.command);
    }

    /// Sends a signal; returns whether the process was still there.
    pub fn try_signal(&mut self, name: &str) -> bool {
        self.child.try_wait().expect("our own child").is_none() && signal(self.child.id(), name)
    }

    /// SIGKILLs it. Its children must end by themselves.
    pub fn kill(mut self) -> Ended {
        self.child.kill().expect("our own child");
        self.end()
    }

    /// Waits for its end and for that of its children: they hold its stderr open.
    pub fn end(mut self) -> Ended {
        let status = until(&format!("the end of {}", self.command), || self.child.try_wait().expect("our own child"));
        until(&format!("the end of what {} started", self.command), || self.stderr.is_closed().then_some(()));
        self.ended(status)
    }

    fn ended(&mut self, status: ExitStatus) -> Ended {
        let stdout = self.stdout.take().map_or_else(String::new, Stream::join);
        Ended { code: status.code(), stdout, stderr: self.stderr.text() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {}\n{}\n{}", self.command, self.stdout(), self.stderr());
        }
    }
}

/// Sends a signal to any process; returns whether it was there.
pub fn signal(pid: u32, name: &str) -> bool {
    let mut kill = Command::new("kill");
    kill.args([&format!("-{name}"), &pid.to_string()]).stderr(Stdio::null());
    kill.status().expect("the system has `kill`").success()
}

/// The output of a pipe, read on a thread.
struct Stream {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Stream {
    fn new(mut pipe: impl Read + Send + 'static) -> Stream {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let shared = bytes.clone();
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 8_192];
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                shared.lock().expect("no holder panics").extend_from_slice(&buffer[..count]);
            }
        });
        Stream { bytes, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("no holder panics")).into_owned()
    }

    fn is_closed(&self) -> bool {
        self.reader.is_finished()
    }

    fn join(self) -> String {
        self.reader.join().expect("the reader does not panic");
        String::from_utf8(std::mem::take(&mut *self.bytes.lock().expect("no holder panics"))).expect("UTF-8")
    }
}

fn whole_lines(text: &str) -> &str {
    text.rfind('\n').map_or("", |end| &text[..end])
}
