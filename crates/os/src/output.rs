//! Standard output and standard error. Their readers may go away at any time; nothing here panics or fails then.
//!
//! `println!` and `eprintln!` panic when the pipe is closed. The tidy check forbids them in every crate.

use std::io::Write;

/// Writes a line to stdout. If nobody reads stdout, the line is lost.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Writes a line to stderr. If nobody reads stderr, the line is lost.
pub fn error_line(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// One of the two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// Whether the stream is a pipe without a reader (`| head`). One system call; writes nothing.
    pub fn is_abandoned(self) -> bool {
        unix::is_abandoned(self)
    }
}

/// Whether the process was started without a stdout (`>&-`). The standard library then opens `/dev/null` in its place.
pub fn stdout_was_closed() -> bool {
    unix::stdout_was_closed()
}

#[cfg(unix)]
mod unix {
    use super::Stream;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::sync::atomic::{AtomicBool, Ordering};

    /// The poll flag for a pipe without a reader: Linux sets ERR, the BSDs set HUP.
    const GONE: PollFlags = if cfg!(target_os = "linux") { PollFlags::ERR } else { PollFlags::HUP };

    pub(super) fn is_abandoned(stream: Stream) -> bool {
        let (out, err) = (std::io::stdout(), std::io::stderr());
        let fd = match stream {
            Stream::Out => PollFd::new(&out, PollFlags::empty()),
            Stream::Err => PollFd::new(&err, PollFlags::empty()),
        };
        let mut fds = [fd];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().intersects(GONE)
    }

    static STDOUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

    pub(super) fn stdout_was_closed() -> bool {
        STDOUT_WAS_CLOSED.load(Ordering::Relaxed)
    }

    extern "C" fn look() {
        // SAFETY: `fcntl` with `F_GETFD` takes any number as a descriptor and changes nothing.
        let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
        STDOUT_WAS_CLOSED.store(flags == -1, Ordering::Relaxed);
    }

    /// The loader calls this before `main`. Later it would be too late: the standard library replaces closed
    /// descriptors when it starts.
    #[used]
    // SAFETY: the loader calls each pointer of this section once, as `extern "C" fn()`; `look` needs nothing that the
    // standard library sets up.
    #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
    #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".init_array"))]
    static BEFORE_MAIN: extern "C" fn() = look;
}

#[cfg(not(unix))]
mod unix {
    use super::Stream;

    pub(super) fn is_abandoned(_stream: Stream) -> bool {
        false
    }

    pub(super) fn stdout_was_closed() -> bool {
        false
    }
}
