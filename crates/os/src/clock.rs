//! The time that a thread sees: the machine's, or a virtual time that a test has made.
//!
//! Code that is to be tested in virtual time takes its moments and waits from here, and starts its threads with
//! [`crate::thread::spawn`], which hands the parent's time on to the child. In virtual time only one thread runs at once,
//! and time moves on when all of them wait. So a run depends on nothing but its inputs, and a quiet hour takes no time.
//! Outside of tests a call costs one look at a thread-local variable. It does not know who makes a virtual time; the test
//! kit does.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A virtual time, and which of its threads runs next.
pub trait VirtualTime: Send + Sync {
    /// The moment.
    fn now(&self) -> Instant;

    /// The moment as milliseconds since 1970.
    fn wall_ms(&self) -> i64;

    /// A thread is about to be started; returns its number.
    fn announce(&self) -> u64;

    /// The thread of this number has started; returns when it is its turn.
    fn begin(&self, thread: u64);

    /// The thread of this number ends.
    fn end(&self, thread: u64);

    /// The thread of this number waits until `ready` returns true, or until the time is `until`. Without `ready` it sleeps.
    fn wait(&self, thread: u64, until: Option<Instant>, ready: Option<&mut dyn FnMut() -> bool>);
}

/// A thread's place in a virtual time.
pub struct Place {
    time: Arc<dyn VirtualTime>,
    thread: u64,
}

impl Place {
    /// A place for a thread that is about to be started.
    pub fn announce(time: Arc<dyn VirtualTime>) -> Place {
        let thread = time.announce();
        Place { time, thread }
    }

    /// Runs the thread's body in its place.
    pub fn run<T>(self, body: impl FnOnce() -> T) -> T {
        /// Gives the turn to others, also after a panic.
        struct Leave;
        impl Drop for Leave {
            fn drop(&mut self) {
                if let Some(place) = OWN.with_borrow_mut(Option::take) {
                    place.time.end(place.thread);
                }
            }
        }
        self.time.begin(self.thread);
        OWN.set(Some(self));
        let _leave = Leave;
        body()
    }
}

thread_local! {
    /// `None`: the thread lives in the machine's time.
    static OWN: RefCell<Option<Place>> = const { RefCell::new(None) };
}

/// The virtual time of this thread and its number there.
fn own() -> Option<(Arc<dyn VirtualTime>, u64)> {
    OWN.with_borrow(|own| own.as_ref().map(|place| (place.time.clone(), place.thread)))
}

/// A place beside this thread for one that it starts; `None` in the machine's time.
pub fn place_for_child() -> Option<Place> {
    own().map(|(time, _)| Place::announce(time))
}

/// Whether this thread lives in virtual time.
pub fn is_virtual() -> bool {
    OWN.with_borrow(Option::is_some)
}

/// The moment.
pub fn now() -> Instant {
    own().map_or_else(Instant::now, |(time, _)| time.now())
}

/// The time since an earlier moment.
pub fn since(moment: Instant) -> Duration {
    now().saturating_duration_since(moment)
}

/// The moment as milliseconds since 1970; 0 where the machine's clock is set before that.
pub fn wall_ms() -> i64 {
    if let Some((time, _)) = own() {
        return time.wall_ms();
    }
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64
}

/// Waits for this long.
pub fn sleep(pause: Duration) {
    match own() {
        Some((time, thread)) => time.wait(thread, Some(time.now() + pause), None),
        None => std::thread::sleep(pause),
    }
}

/// In virtual time: waits until `ready` returns true, or until the time is `until`. Call it only there: in the machine's
/// time nothing would wake the thread.
pub fn wait_until(until: Option<Instant>, ready: &mut dyn FnMut() -> bool) {
    let (time, thread) = own().expect("called in virtual time only");
    time.wait(thread, until, Some(ready));
}

/// The next message of a channel, or `Timeout` at `until`.
///
/// # Errors
/// As [`Receiver::recv_timeout`].
pub fn receive_until<T>(inbox: &Receiver<T>, until: Instant) -> Result<T, RecvTimeoutError> {
    match own() {
        Some((time, thread)) => receive_in(&*time, thread, inbox, Some(until)),
        None => inbox.recv_timeout(until.saturating_duration_since(Instant::now())),
    }
}

/// The next message of a channel; `None` when all senders are gone.
pub fn receive<T>(inbox: &Receiver<T>) -> Option<T> {
    match own() {
        Some((time, thread)) => receive_in(&*time, thread, inbox, None).ok(),
        None => inbox.recv().ok(),
    }
}

fn receive_in<T>(
    time: &dyn VirtualTime,
    thread: u64,
    inbox: &Receiver<T>,
    until: Option<Instant>,
) -> Result<T, RecvTimeoutError> {
    let mut got = Err(RecvTimeoutError::Timeout);
    let mut ready = || {
        got = match inbox.try_recv() {
            Ok(message) => Ok(message),
            Err(TryRecvError::Empty) => return false,
            Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
        };
        true
    };
    time.wait(thread, until, Some(&mut ready));
    got
}
