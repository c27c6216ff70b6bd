//! Executors as threads: the real executor's loop over pipes, in the test's process.

use crate::dead_letters::MemoryDeadLetters;
use crate::kills::Kills;
use crate::topic::Topic;
use crate::virtual_time::{self, Beside};
use std::io::{PipeReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tidemill_driver::{Handle, Spawn, Spawned};
use tidemill_executor::Wiring;
use tidemill_flow::encoded_rows::{Kept, RowsWriter};
use tidemill_flow::kafka_columns;
use tidemill_flow::ports::SinkWriter;
use tidemill_flow::setup::Setup;
use tidemill_model::Result;
use tidemill_os::clock;
use tidemill_sql::plan::BranchPlan;

/// Starts a scripted executor: `script` reads the driver's messages and answers anything. After a kill its output
/// accepts nothing more.
///
/// # Errors
/// The system has no pipe left.
pub fn scripted(script: impl FnOnce(PipeReader, Box<dyn Write + Send>) + Send + 'static) -> Result<Spawned> {
    let (input, to_executor) = std::io::pipe()?;
    let (from_executor, output) = std::io::pipe()?;
    let killed = Arc::new(AtomicBool::new(false));
    let output = KillableStream { stream: output, killed: killed.clone() };
    std::thread::spawn(move || script(input, Box::new(output)));
    Ok(Spawned {
        input: Box::new(to_executor),
        output: Box::new(KillableStream { stream: from_executor, killed: killed.clone() }),
        handle: Box::new(Thread { number: 0, killed, thread: None }),
    })
}

/// Starts executors that read these topics, one per source of the query, and write for so many sinks in memory, and dead letters
/// if a place is given.
/// `kills` decides when they are killed.
pub fn threads(topics: &[Topic], sinks: usize, dead_letters: Option<&MemoryDeadLetters>, kills: Kills) -> Spawn {
    let (topics, dead_letters) = (topics.to_vec(), dead_letters.cloned());
    let mut started = 0;
    Box::new(move || {
        let killed = Arc::new(AtomicBool::new(false));
        let (input, to_executor) = pipe(&killed)?;
        let (from_executor, output) = pipe(&killed)?;
        let (topics, dead_letters) = (topics.clone(), dead_letters.clone());
        let output = KillableStream { stream: output, killed: killed.clone() };
        let (input, output) = kills.enlist(killed.clone(), input, output);
        let thread = Beside::spawn(move || {
            let dead_letters = move |_: &_| dead_letters.as_ref().map(MemoryDeadLetters::writer);
            let readers = move |setup: &Setup| {
                let reader = |(topic, branch): (&Topic, &Arc<BranchPlan>)| {
                    topic.reader(kafka_columns::parts(branch.kafka_columns.as_ref()))
                };
                Ok(topics.iter().zip(&setup.plan.branches).map(reader).collect())
            };
            let sinks = move |_: &_| {
                let writer = |_| Box::new(RowsWriter::new(Kept::All)) as Box<dyn SinkWriter>;
                Ok((0..sinks).map(writer).collect())
            };
            let (readers, dead_letters, sinks) = (Box::new(readers), Box::new(dead_letters), Box::new(sinks));
            let wiring = Wiring { readers, dead_letters, sinks };
            tidemill_executor::run(input, output, &wiring)
        });
        started += 1;
        Ok(Spawned {
            input: Box::new(to_executor),
            output: Box::new(KillableStream { stream: from_executor, killed: killed.clone() }),
            handle: Box::new(Thread { number: started, killed, thread: Some(thread) }),
        })
    })
}

/// A pipe of the system, or in virtual time one in memory.
fn pipe(killed: &Arc<AtomicBool>) -> Result<(Box<dyn Read + Send>, Box<dyn Write + Send>)> {
    if clock::is_virtual() {
        let (reader, writer) = virtual_time::pipe(killed);
        return Ok((Box::new(reader), Box::new(writer)));
    }
    let (reader, writer) = std::io::pipe()?;
    Ok((Box::new(reader), Box::new(writer)))
}

/// A thread cannot be killed. After a kill its output accepts nothing more and has ended.
struct Thread {
    number: u32,
    killed: Arc<AtomicBool>,
    thread: Option<Beside<Result<()>>>,
}

impl Handle for Thread {
    fn pid(&self) -> u32 {
        self.number
    }

    fn kill(&mut self) {
        self.killed.store(true, Ordering::SeqCst);
    }

    fn wait(&mut self) -> String {
        match self.thread.take().map(Beside::join) {
            Some(Ok(Err(error))) => error.to_string(),
            Some(Err(_)) => "a panic".into(),
            _ => "no error".into(),
        }
    }
}

struct KillableStream<S> {
    stream: S,
    killed: Arc<AtomicBool>,
}

impl<S: Write> Write for KillableStream<S> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.killed.load(Ordering::SeqCst) {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

impl<S: Read> Read for KillableStream<S> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        if self.killed.load(Ordering::SeqCst) { Ok(0) } else { self.stream.read(bytes) }
    }
}
