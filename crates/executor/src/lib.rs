//! The executor: takes tasks from its input, folds them on worker threads, and writes the partials to its output.
//!
//! ```text
//!  stdin ─reader thread─► Event::Message ─┐                  ┌─► worker ─┐ read → decode → filter → fold
//!                         Event::Closed  ─┼─► the loop ─pool─┤           │
//!                         Event::Ended  ◄─┘        │         └─► worker ─┘
//!                                     stdout ◄─────┘ answers
//! ```
//! A task goes to a free worker that has read up to the task's first record, if there is one: that worker's prefetched
//! data is used. An executor keeps no state between tasks, so a kill loses only unfinished tasks. It ends when its
//! input ends: a driver closes the input only when nothing runs, and a dead driver needs no answer. It does not know
//! state, watermark policy or scaling, nor which source it reads or where rows and dead letters go ([`Wiring`]).

#![forbid(unsafe_code)]

mod dead_letters;
mod limit;
mod output;
mod pool;
mod progress;
mod task;

use output::Output;
use pool::Pool;
use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use task::{Input, Worker};
use tidemill_flow::ports;
use tidemill_flow::setup::Setup;
use tidemill_link::{BEAT, Frame, FromExecutor, ToExecutor, VERSION, receive, send};
use tidemill_model::{Error, Result};
use tidemill_os::clock;
use tidemill_os::thread::{self, Panic};

/// Makes the readers and writers of the worker threads.
pub struct Wiring {
    /// Makes a worker thread's readers: one for each source of the query, in the plan's order.
    pub readers: Box<dyn Fn(&Setup) -> Result<Vec<Box<dyn ports::Read>>>>,
    /// Makes a worker thread's dead-letter writer; `None` if the pipeline keeps no dead letters.
    pub dead_letters: Box<dyn Fn(&Setup) -> Option<Box<dyn ports::DeadLetterWriter>>>,
    /// Makes a worker thread's halves of the sinks, in the pipeline's order.
    pub sinks: Box<dyn Fn(&Setup) -> Result<Vec<Box<dyn ports::SinkWriter>>>>,
}

/// Every event that wakes the loop.
enum Event {
    /// A message of the driver.
    Message(ToExecutor),
    /// The driver closed the pipe or is gone.
    Closed,
    /// The input is not a message.
    Broken(Error),
    /// The worker of this number has an answer.
    Ended(usize, Frame),
    /// A thread panicked: a bug. The panic is on stderr; the process ends.
    Panicked(Panic),
}

/// Runs until the input ends.
///
/// # Errors
/// Internal: the input is not a message, or a worker panicked. External: the output is closed.
pub fn run(input: impl Read + Send + 'static, mut output: impl Write, wiring: &Wiring) -> Result<()> {
    let (events, inbox) = channel();
    listen(input, &events)?;
    let Some(workers) = greet(&inbox, &mut output, wiring)? else { return Ok(()) };
    let mut pool = Pool::start(workers, &events)?;
    send(&mut output, &FromExecutor::Ready)?;
    let mut told = clock::now();
    loop {
        if pool.is_busy() && clock::since(told) >= BEAT {
            told = clock::now();
            send(&mut output, &FromExecutor::Alive { tasks: pool.beats() })?;
        }
        // Without tasks it sends no heartbeats: it waits for an event.
        let event = match pool.is_busy() {
            true => match clock::receive_until(&inbox, told + BEAT) {
                Err(RecvTimeoutError::Timeout) => continue,
                event => event.ok(),
            },
            false => clock::receive(&inbox),
        };
        match event.expect("this loop holds a sender itself") {
            Event::Message(ToExecutor::Task(task)) => pool.take(task),
            Event::Message(ToExecutor::Hello { .. }) => {
                return Err(Error::internal("the driver sent its hello message twice"));
            }
            Event::Ended(worker, answer) => {
                pool.ended(worker);
                answer.send(&mut output)?;
            }
            Event::Closed => return Ok(()),
            Event::Broken(error) => return Err(error),
            Event::Panicked(panic) => return Err(Error::internal(format!("a thread of the executor {panic}"))),
        }
    }
}

fn listen(mut input: impl Read + Send + 'static, events: &Sender<Event>) -> Result<()> {
    let (own, ended) = (events.clone(), events.clone());
    let body = move || {
        loop {
            let event = match receive(&mut input) {
                Ok(Some(message)) => Event::Message(message),
                Ok(None) => Event::Closed,
                Err(error) => Event::Broken(error),
            };
            let last = !matches!(event, Event::Message(_));
            if own.send(event).is_err() || last {
                return;
            }
        }
    };
    start("input", body, ended)
}

/// Starts a thread whose panic becomes an event.
fn start(name: &str, body: impl FnOnce() + Send + 'static, events: Sender<Event>) -> Result<()> {
    let ended = move |how: Result<(), Panic>| {
        if let Err(panic) = how {
            // If the loop has ended, so has the process.
            let _ = events.send(Event::Panicked(panic));
        }
    };
    thread::spawn(name, body, ended)?;
    Ok(())
}

/// Takes the first message and starts the workers; `None` if the executor had to refuse.
fn greet(inbox: &Receiver<Event>, output: &mut impl Write, wiring: &Wiring) -> Result<Option<Vec<Worker>>> {
    let hello = match clock::receive(inbox) {
        Some(Event::Message(hello @ ToExecutor::Hello { .. })) => hello,
        Some(Event::Message(ToExecutor::Task(_))) => {
            return Err(Error::internal("the driver sent a task before its hello message"));
        }
        Some(Event::Broken(error)) => return Err(error),
        _ => return Ok(None),
    };
    match prepare(&hello, wiring) {
        Ok(workers) => Ok(Some(workers)),
        Err(error) => {
            send(output, &FromExecutor::Refused { message: error.to_string() })?;
            Ok(None)
        }
    }
}

fn prepare(hello: &ToExecutor, wiring: &Wiring) -> Result<Vec<Worker>> {
    let ToExecutor::Hello { version, setup, cores, max_records_per_second_per_core } = hello else {
        unreachable!("greet passes a greeting");
    };
    if *version != VERSION {
        return Err(Error::internal(format!(
            "the driver uses protocol version {version}, this executor uses {VERSION}: was the program replaced while it ran? Start it again"
        )));
    }
    let setup = Setup::from_bytes(&setup.0.0)?;
    let plan = &setup.plan;
    let worker = |_| {
        let (readers, dead_letters) = ((wiring.readers)(&setup)?, (wiring.dead_letters)(&setup));
        assert_eq!(readers.len(), plan.branches.len(), "a reader for each branch");
        let inputs = readers.into_iter().zip(&plan.branches);
        let inputs = inputs.map(|(reader, branch)| Input::new(reader, branch.clone())).collect();
        let output = Output::new(plan, || (wiring.sinks)(&setup))?;
        Ok(Worker::new(inputs, output, dead_letters, setup.on_error, *max_records_per_second_per_core))
    };
    (0..*cores).map(worker).collect()
}
