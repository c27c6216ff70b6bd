//! Kills executors that are threads: one of the living at any moment, or the next one in the middle of a message; and
//! counts in which phase each was hit.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// What an executor was doing when it was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It had not said yet that it is ready.
    Starting,
    /// It had said all that it had to say.
    Ready,
    /// It had been given something since it last spoke.
    Working,
    /// It was asked to end.
    Draining,
    /// It was in the middle of a message.
    Speaking,
}

const PHASES: [Phase; 4] = [Phase::Starting, Phase::Ready, Phase::Working, Phase::Draining];

/// Who is to be killed, and who was. Clones share it.
#[derive(Clone, Default)]
pub struct Kills(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    living: Vec<Victim>,
    fuses: VecDeque<usize>,
    counts: BTreeMap<Phase, u64>,
}

/// An executor's end of the line.
#[derive(Clone)]
pub(crate) struct Victim {
    /// From now on it says nothing more.
    pub(crate) killed: Arc<AtomicBool>,
    phase: Arc<AtomicU8>,
}

impl Kills {
    /// Kills one of the living, if there are any: the number modulo how many there are.
    pub fn kill_one(&self, which: usize) {
        let mut inner = self.inner();
        inner.living.retain(|victim| Arc::strong_count(&victim.phase) > 1 && !victim.killed.load(Ordering::SeqCst));
        let Some(victim) = which.checked_rem(inner.living.len()).map(|at| inner.living.swap_remove(at)) else {
            return;
        };
        victim.killed.store(true, Ordering::SeqCst);
        *inner.counts.entry(PHASES[victim.phase.load(Ordering::SeqCst) as usize]).or_default() += 1;
    }

    /// The next executor to be started dies when it has said so many bytes.
    pub fn next_dies_after(&self, bytes: usize) {
        self.inner().fuses.push_back(bytes);
    }

    /// Nobody is to die any more.
    pub fn disarm(&self) {
        self.inner().fuses.clear();
    }

    /// How many were killed in which phase.
    pub fn counts(&self) -> BTreeMap<Phase, u64> {
        self.inner().counts.clone()
    }

    /// An executor is started; what it reads and writes goes through the streams given back.
    pub(crate) fn enlist<I, O>(&self, killed: Arc<AtomicBool>, input: I, output: O) -> (Hearing<I>, Speaking<O>) {
        let victim = Victim { killed, phase: Arc::default() };
        let mut inner = self.inner();
        let fuse = inner.fuses.pop_front();
        inner.living.push(victim.clone());
        drop(inner);
        let speaking = Speaking { stream: output, victim: victim.clone(), fuse, kills: self.clone() };
        (Hearing { stream: input, phase: victim.phase }, speaking)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no holder panics")
    }
}

/// An executor's input, which tells its phase.
pub(crate) struct Hearing<I> {
    stream: I,
    phase: Arc<AtomicU8>,
}

impl<I: Read> Read for Hearing<I> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let count = self.stream.read(bytes)?;
        let phase = if count == 0 { Phase::Draining } else { Phase::Working };
        // What it hears before it has spoken is the greeting.
        if count == 0 || self.phase.load(Ordering::SeqCst) != Phase::Starting as u8 {
            self.phase.store(phase as u8, Ordering::SeqCst);
        }
        Ok(count)
    }
}

/// An executor's output, which ends in the middle of a message where it has a fuse.
pub(crate) struct Speaking<O> {
    stream: O,
    victim: Victim,
    fuse: Option<usize>,
    kills: Kills,
}

impl<O: Write> Write for Speaking<O> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let Some(left) = self.fuse else {
            let count = self.stream.write(bytes)?;
            let _ = self.victim.phase.compare_exchange(
                Phase::Working as u8,
                Phase::Ready as u8,
                Ordering::SeqCst,
                Ordering::SeqCst,
            );
            let _ = self.victim.phase.compare_exchange(
                Phase::Starting as u8,
                Phase::Ready as u8,
                Ordering::SeqCst,
                Ordering::SeqCst,
            );
            return Ok(count);
        };
        if bytes.len() <= left {
            self.fuse = Some(left - bytes.len());
            return self.stream.write(bytes);
        }
        let _ = self.stream.write(&bytes[..left]);
        let _ = self.stream.flush();
        if !self.victim.killed.swap(true, Ordering::SeqCst) {
            *self.kills.inner().counts.entry(Phase::Speaking).or_default() += 1;
        }
        Err(std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}
