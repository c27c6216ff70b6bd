//! The executor: takes tasks from its input, folds them on worker threads, and writes the partials to its output.
//!
//! ```text
//!  stdin ─► input thread ─pool─┬─► worker ─┐ read → decode → filter → fold ─► stdout
//!                              └─► worker ─┘ an ended worker takes the next task from the pool
//!  main thread: heartbeats while tasks run; the end of the input, errors and panics as events
//! ```
//! Few threads wake each other for a task: the driver wakes the input thread, that wakes a worker, and its answer the driver.
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
mod shared;
mod task;

use output::Output;
use shared::Shared;
use std::io::{Read, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use task::{Input, Worker};
use tidemill_flow::ports;
use tidemill_flow::setup::Setup;
use tidemill_link::{BEAT, FromExecutor, ToExecutor, VERSION, receive, send};
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

/// Every event that wakes the main thread.
enum Event {
    /// A task came after a pause without tasks.
    Busy,
    /// The driver closed the pipe or is gone.
    Closed,
    /// The input is not a message, or the output is closed.
    Broken(Error),
    /// A thread panicked: a bug. The panic is on stderr; the process ends.
    Panicked(Panic),
}

/// Runs until the input ends.
///
/// # Errors
/// Internal: the input is not a message, or a worker panicked. External: the output is closed.
pub fn run(
    mut input: impl Read + Send + 'static,
    mut output: impl Write + Send + 'static,
    wiring: &Wiring,
) -> Result<()> {
    let Some(workers) = greet(&mut input, &mut output, wiring)? else { return Ok(()) };
    send(&mut output, &FromExecutor::Ready)?;
    let (events, inbox) = channel();
    let shared = Shared::start(workers, output, &events)?;
    let own = shared.clone();
    start("input", move || own.listen(input), events)?;
    let _closing = shared.closing();
    loop {
        // Without tasks it sends no heartbeats: it waits for an event.
        let event = match shared.rests() {
            false => match clock::receive_until(&inbox, clock::now() + BEAT) {
                Err(RecvTimeoutError::Timeout) => {
                    shared.beat()?;
                    continue;
                }
                event => event.ok(),
            },
            true => clock::receive(&inbox),
        };
        match event.expect("the workers hold senders") {
            Event::Busy => {}
            Event::Closed => return Ok(()),
            Event::Broken(error) => return Err(error),
            Event::Panicked(panic) => return Err(Error::internal(format!("a thread of the executor {panic}"))),
        }
    }
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

/// Takes the first message and makes the workers; `None` if the executor had to refuse, or nothing came.
fn greet(input: &mut impl Read, output: &mut impl Write, wiring: &Wiring) -> Result<Option<Vec<Worker>>> {
    let hello = match receive(input)? {
        Some(hello @ ToExecutor::Hello { .. }) => hello,
        Some(ToExecutor::Task(_)) => {
            return Err(Error::internal("the driver sent a task before its hello message"));
        }
        None => return Ok(None),
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
