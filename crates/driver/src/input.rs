//! The way to an executor. The loop writes a message itself if the pipe takes it at once. A thread writes the others: a
//! stopped executor blocks that thread, not the loop.

use crate::supervisor::{Role, Supervisor};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use tidemill_link::{Frame, ToExecutor, send};
use tidemill_model::Result;
use tidemill_os::clock;
use tidemill_os::pipe::Inlet;

/// An executor's input. The pipe closes when this is dropped and the thread has written its messages.
pub(crate) struct Input {
    pipe: Arc<Pipe>,
    messages: Sender<ToExecutor>,
}

struct Pipe {
    inlet: Mutex<Box<dyn Inlet>>,
    /// Messages for the thread that are not written yet. Those that follow must wait, too.
    waiting: AtomicUsize,
}

impl Input {
    /// Starts the thread.
    ///
    /// # Errors
    /// External: the system has no thread left.
    pub(crate) fn start(name: String, inlet: Box<dyn Inlet>, supervisor: &mut Supervisor) -> Result<Input> {
        let pipe = Arc::new(Pipe { inlet: Mutex::new(inlet), waiting: AtomicUsize::new(0) });
        let (messages, inbox) = channel();
        let own = pipe.clone();
        supervisor.spawn(name, Role::Passing, move || {
            forward(&own, &inbox);
            Ok(())
        })?;
        Ok(Input { pipe, messages })
    }

    /// Sends a message. A broken pipe shows up as the end of the executor's output.
    pub(crate) fn send(&self, message: ToExecutor) {
        if self.pipe.waiting.load(Ordering::Acquire) == 0 && self.pipe.write_at_once(&message) {
            return;
        }
        self.pipe.waiting.fetch_add(1, Ordering::Relaxed);
        let _ = self.messages.send(message);
    }
}

impl Pipe {
    /// Writes a message unless that may block. Nobody else writes, as nothing waits. Returns whether it was written.
    fn write_at_once(&self, message: &ToExecutor) -> bool {
        let Some(frame) = Frame::of(message) else { return false };
        let mut inlet = self.inlet.lock().expect("no holder panics");
        let takes = inlet.takes(frame.bytes());
        if takes {
            let _ = frame.send(&mut *inlet);
        }
        takes
    }
}

/// Writes messages until there are no more or the pipe is broken.
fn forward(pipe: &Pipe, messages: &Receiver<ToExecutor>) {
    while let Some(message) = clock::receive(messages) {
        let sent = send(&mut *pipe.inlet.lock().expect("no holder panics"), &message);
        pipe.waiting.fetch_sub(1, Ordering::Release);
        if sent.is_err() {
            return;
        }
    }
}
