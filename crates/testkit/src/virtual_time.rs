//! Virtual time for whole runs: the threads of driver, executors and test take turns, one at a time, in the order of their
//! numbers; when all of them wait, the time moves on to the first that waits for a moment. So a run with the same inputs
//! takes the same steps, whatever the machine does meanwhile. If all wait and none for a moment, the test fails: nothing
//! may wait for ever.
//!
//! Costs one hand-over of the turn per waiting thread and moment, some microseconds each.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tidemill_os::clock::{self, Place, VirtualTime};

/// The time at the start: 2026-01-01 00:00 UTC, in ms since 1970.
const EPOCH_MS: i64 = 1_767_225_600_000;

/// A virtual time. Clones are the same time.
#[derive(Clone)]
pub struct Timeline {
    inner: Arc<Inner>,
}

struct Inner {
    start: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    now: Duration,
    threads: BTreeMap<u64, Waiter>,
    next: u64,
    /// Whose turn it is.
    turn: Option<u64>,
    /// Threads in a row that had a look and went on waiting.
    quiet: usize,
    stuck: bool,
}

struct Waiter {
    until: Option<Duration>,
    /// It only waits for a moment: until then it needs no turn.
    sleeps: bool,
    wake: Arc<Condvar>,
}

impl Default for Timeline {
    fn default() -> Timeline {
        Timeline { inner: Arc::new(Inner { start: Instant::now(), state: Mutex::default() }) }
    }
}

impl Timeline {
    /// Starts a thread in this time.
    pub fn spawn<T: Send + 'static>(&self, body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let place = Place::announce(self.inner.clone());
        std::thread::spawn(move || place.run(body))
    }

    /// Runs `body` in this time and returns its result. Threads that it has started may outlive it.
    pub fn run<T: Send + 'static>(&self, body: impl FnOnce() -> T + Send + 'static) -> T {
        self.spawn(body).join().expect("the body does not panic")
    }

    /// The time since the start.
    pub fn now(&self) -> Duration {
        self.inner.state().now
    }
}

/// A thread beside the one that starts it, in its time.
pub(crate) struct Beside<T> {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Beside<T> {
    pub(crate) fn spawn(body: impl FnOnce() -> T + Send + 'static) -> Beside<T> {
        /// Tells the end also after a panic.
        struct End(Arc<AtomicBool>);
        impl Drop for End {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let ended = Arc::new(AtomicBool::new(false));
        let end = End(ended.clone());
        let all = move || {
            let _end = end;
            body()
        };
        let place = clock::place_for_child();
        let thread = std::thread::spawn(move || match place {
            Some(place) => place.run(all),
            None => all(),
        });
        Beside { ended, thread }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Its result, once it has ended.
    pub(crate) fn join(self) -> std::thread::Result<T> {
        if clock::is_virtual() {
            clock::wait_until(None, &mut || self.has_ended());
        }
        self.thread.join()
    }
}

/// A pipe in memory, for virtual time: both ends are closed when `killed` is set.
pub(crate) fn pipe(killed: &Arc<AtomicBool>) -> (PipeReader, PipeWriter) {
    let shared = Arc::new(Pipe { bytes: Mutex::default(), killed: killed.clone() });
    (PipeReader(shared.clone()), PipeWriter(shared))
}

struct Pipe {
    /// The bytes on the way, and whether an end was dropped.
    bytes: Mutex<(VecDeque<u8>, bool)>,
    killed: Arc<AtomicBool>,
}

impl Pipe {
    fn bytes(&self) -> MutexGuard<'_, (VecDeque<u8>, bool)> {
        self.bytes.lock().expect("no holder panics")
    }

    fn close(&self) {
        self.bytes().1 = true;
    }
}

pub(crate) struct PipeReader(Arc<Pipe>);
pub(crate) struct PipeWriter(Arc<Pipe>);

impl Read for PipeReader {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let pipe = &self.0;
        clock::wait_until(None, &mut || {
            let bytes = pipe.bytes();
            pipe.killed.load(Ordering::SeqCst) || bytes.1 || !bytes.0.is_empty()
        });
        if pipe.killed.load(Ordering::SeqCst) { Ok(0) } else { pipe.bytes().0.read(into) }
    }
}

impl Write for PipeWriter {
    fn write(&mut self, from: &[u8]) -> std::io::Result<usize> {
        let mut bytes = self.0.bytes();
        if bytes.1 || self.0.killed.load(Ordering::SeqCst) {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        bytes.0.write(from)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Drop for PipeWriter {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    /// Returns when it is the thread's turn.
    fn await_turn(&self, mut state: MutexGuard<'_, State>, thread: u64) {
        let wake = state.threads[&thread].wake.clone();
        while state.turn != Some(thread) && !state.stuck {
            state = wake.wait(state).expect("no holder panics");
        }
        let stuck = state.stuck;
        drop(state);
        assert!(!stuck, "all threads wait, and none for a moment: they wait for ever");
    }
}

impl State {
    /// Gives the turn to the next thread after this one that needs it; if all have looked and wait, to the first whose
    /// moment comes.
    fn pass(&mut self, from: u64) {
        let awake = self.threads.values().filter(|waiter| !waiter.sleeps).count();
        if self.quiet < awake {
            let mut others = self.threads.range(from + 1..).chain(self.threads.range(..=from));
            let (id, waiter) = others.find(|(_, waiter)| !waiter.sleeps).expect("one is awake");
            self.turn = Some(*id);
            waiter.wake.notify_all();
            return;
        }
        self.quiet = 0;
        let moments = self.threads.iter().filter_map(|(id, waiter)| Some((waiter.until?, *id)));
        if let Some((until, id)) = moments.min() {
            self.now = self.now.max(until);
            self.turn = Some(id);
            self.threads[&id].wake.notify_all();
        } else if !self.threads.is_empty() {
            self.stuck = true;
            self.threads.values().for_each(|waiter| waiter.wake.notify_all());
        }
    }
}

impl VirtualTime for Inner {
    fn now(&self) -> Instant {
        self.start + self.state().now
    }

    fn wall_ms(&self) -> i64 {
        EPOCH_MS + self.state().now.as_millis() as i64
    }

    fn announce(&self) -> u64 {
        let mut state = self.state();
        let (id, now) = (state.next, state.now);
        state.next += 1;
        state.threads.insert(id, Waiter { until: Some(now), sleeps: false, wake: Arc::default() });
        state.quiet = 0;
        // The first thread, or one that comes from outside while nobody is there: nobody could give it the turn.
        if state.turn.is_none() {
            state.turn = Some(id);
        }
        id
    }

    fn begin(&self, thread: u64) {
        self.await_turn(self.state(), thread);
        self.state().quiet = 0;
    }

    fn end(&self, thread: u64) {
        let mut state = self.state();
        state.threads.remove(&thread);
        state.quiet = 0;
        state.turn = None;
        if !state.threads.is_empty() {
            state.pass(thread);
        }
    }

    fn wait(&self, thread: u64, until: Option<Instant>, mut ready: Option<&mut dyn FnMut() -> bool>) {
        let until = until.map(|moment| moment.saturating_duration_since(self.start));
        loop {
            // It holds the turn: nobody else can make it ready or move the time meanwhile.
            let is_ready = ready.as_mut().is_some_and(|ready| ready());
            let mut state = self.state();
            if is_ready || until.is_some_and(|until| until <= state.now) {
                state.quiet = 0;
                return;
            }
            let waiter = state.threads.get_mut(&thread).expect("it has begun");
            (waiter.until, waiter.sleeps) = (until, ready.is_none());
            state.quiet += usize::from(ready.is_some());
            state.pass(thread);
            self.await_turn(state, thread);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn an_hour_takes_no_time_and_messages_arrive_at_their_moment() {
        let timeline = Timeline::default();
        let own = timeline.clone();
        let heard = timeline.run(move || {
            let (sender, inbox) = channel();
            for (name, pause_s) in [("slow", 3_600), ("fast", 60)] {
                let sender = sender.clone();
                own.spawn(move || {
                    clock::sleep(Duration::from_secs(pause_s));
                    sender.send(name).expect("somebody listens");
                });
            }
            drop(sender);
            let begin = clock::now();
            let mut heard = Vec::new();
            while let Some(name) = clock::receive(&inbox) {
                heard.push((name, clock::since(begin).as_secs()));
            }
            let quiet = clock::receive_until(&inbox, clock::now() + Duration::from_secs(5));
            assert!(quiet.is_err());
            heard
        });
        assert_eq!(heard, [("fast", 60), ("slow", 3_600)]);
        assert_eq!(timeline.now(), Duration::from_secs(3_600));
    }

    #[test]
    fn who_waits_for_ever_fails() {
        let timeline = Timeline::default();
        let waits = timeline.spawn(|| clock::wait_until(None, &mut || false));
        assert!(waits.join().is_err());
    }
}
