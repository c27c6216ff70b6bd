//! The writing end of a pipe that says whether it takes a message without waiting for its reader.

use std::io::{PipeWriter, Write};
use std::process::ChildStdin;

/// The writing end of a pipe.
pub trait Inlet: Write + Send {
    /// Whether it takes this many bytes at once. `false` if that is not known.
    fn takes(&self, bytes: usize) -> bool;
}

impl Inlet for ChildStdin {
    fn takes(&self, bytes: usize) -> bool {
        system::takes(self, bytes)
    }
}

impl Inlet for PipeWriter {
    fn takes(&self, bytes: usize) -> bool {
        system::takes(self, bytes)
    }
}

#[cfg(unix)]
mod system {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::os::fd::AsFd;

    /// What a pipe that can be written takes: a page on Linux, and `PIPE_BUF` (POSIX: 512 or more) elsewhere.
    const AT_ONCE: usize = if cfg!(target_os = "linux") { 4_096 } else { 512 };

    pub(super) fn takes(pipe: &impl AsFd, bytes: usize) -> bool {
        let mut waited = [PollFd::new(pipe, PollFlags::OUT)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        bytes <= AT_ONCE && poll(&mut waited, Some(&now)).is_ok() && waited[0].revents().contains(PollFlags::OUT)
    }
}

#[cfg(not(unix))]
mod system {
    pub(super) fn takes<P>(_: &P, _: usize) -> bool {
        false
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::io::Read;

    /// A pipe that nobody reads fills up. What it takes until then does not block.
    #[test]
    fn a_full_pipe_takes_nothing() {
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        assert!(!writer.takes(1 << 20));
        let mut written = 0;
        while writer.takes(300) {
            writer.write_all(&[7; 300]).unwrap();
            written += 300;
        }
        assert!(written >= 512, "{written}");
        reader.read_exact(&mut vec![0; written]).unwrap();
        assert!(writer.takes(300));
    }
}
