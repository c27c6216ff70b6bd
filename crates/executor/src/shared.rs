//! The pool and the output, which all threads of the executor use: the input thread takes tasks, a worker sends its answer and
//! takes the next one, the main thread sends heartbeats.

use crate::pool::Pool;
use crate::task::Worker;
use crate::{Event, start};
use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use tidemill_link::{FromExecutor, Task, ToExecutor, receive, send};
use tidemill_model::{Error, Result};
use tidemill_os::clock;

/// What the threads share.
#[derive(Clone)]
pub(crate) struct Shared {
    desk: Arc<Mutex<Desk>>,
    /// To the main thread. If it has ended, so has the process.
    events: Sender<Event>,
    /// Locked before the desk, never after it.
    output: Arc<Mutex<Box<dyn Write + Send>>>,
}

struct Desk {
    pool: Pool,
    /// Whether a task came since the main thread last looked.
    was_busy: bool,
    /// Whether the main thread waits for an event, and the next task has to wake it.
    rests: bool,
}

/// Ends the workers and closes the output when the main thread ends: where executors are threads, the driver then knows.
pub(crate) struct Closing(Shared);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.desk().pool.close();
        if let Ok(mut output) = self.0.output.lock() {
            *output = Box::new(std::io::sink());
        }
    }
}

impl Shared {
    /// Starts a thread for each worker.
    ///
    /// # Errors
    /// External: the system has no thread left.
    pub(crate) fn start(
        workers: Vec<Worker>,
        output: impl Write + Send + 'static,
        events: &Sender<Event>,
    ) -> Result<Shared> {
        let mut pool = Pool::default();
        let mut queues = Vec::new();
        for worker in workers {
            let (tasks, queue) = channel();
            pool.add(tasks, worker.progress());
            queues.push((worker, queue));
        }
        let desk = Arc::new(Mutex::new(Desk { pool, was_busy: false, rests: false }));
        let shared = Shared { desk, events: events.clone(), output: Arc::new(Mutex::new(Box::new(output))) };
        for (number, (worker, queue)) in queues.into_iter().enumerate() {
            let own = shared.clone();
            start(&format!("worker {number}"), move || own.work(number, worker, &queue), events.clone())?;
        }
        Ok(shared)
    }

    pub(crate) fn closing(&self) -> Closing {
        Closing(self.clone())
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().expect("no holder panics")
    }

    /// The input thread: takes tasks until the input ends.
    pub(crate) fn listen(&self, mut input: impl Read) {
        let last = loop {
            match receive(&mut input) {
                Ok(Some(ToExecutor::Task(task))) => self.take(task),
                Ok(Some(ToExecutor::Hello { .. })) => {
                    break Event::Broken(Error::internal("the driver sent its hello message twice"));
                }
                Ok(None) => break Event::Closed,
                Err(error) => break Event::Broken(error),
            }
        };
        let _ = self.events.send(last);
    }

    fn take(&self, task: Task) {
        let mut desk = self.desk();
        desk.pool.take(task);
        desk.was_busy = true;
        if std::mem::take(&mut desk.rests) {
            let _ = self.events.send(Event::Busy);
        }
    }

    /// A worker thread: answers its tasks. The pool gives it the next one.
    fn work(&self, number: usize, mut worker: Worker, queue: &Receiver<Task>) {
        while let Some(task) = clock::receive(queue) {
            let answer = worker.answer(&task);
            self.desk().pool.ended(number);
            let sent = answer.send(&mut *self.output.lock().expect("no holder panics"));
            if let Err(error) = sent {
                let _ = self.events.send(Event::Broken(error));
                return;
            }
        }
    }

    /// Whether no task came since the last look and none runs. The next task wakes the main thread then.
    pub(crate) fn rests(&self) -> bool {
        let mut desk = self.desk();
        let was_busy = std::mem::take(&mut desk.was_busy);
        desk.rests = !was_busy && !desk.pool.is_busy();
        desk.rests
    }

    /// Sends the progress of the running tasks, if there are any. No answer to one of them is sent before.
    ///
    /// # Errors
    /// External: the output is closed.
    pub(crate) fn beat(&self) -> Result<()> {
        let mut output = self.output.lock().expect("no holder panics");
        let tasks = self.desk().pool.beats();
        if tasks.is_empty() {
            return Ok(());
        }
        send(&mut *output, &FromExecutor::Alive { tasks })
    }
}
