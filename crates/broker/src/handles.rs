//! How many files and connections this process may have open at once.

/// Raises the soft limit to the hard one, and returns it; `None` where there is no such limit.
#[cfg(unix)]
pub(crate) fn raise_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Where that is refused, the soft limit stays what it is.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    getrlimit(Resource::Nofile).current
}

/// There is no limit that a broker would meet.
#[cfg(not(unix))]
pub(crate) fn raise_limit() -> Option<u64> {
    None
}

/// Whether an error says that no handle is left.
pub(crate) fn none_left(error: &std::io::Error) -> bool {
    // EMFILE and ENFILE, the same numbers on every Unix; an error that names its file carries them in its text only.
    let text = error.to_string();
    cfg!(unix) && ["(os error 23)", "(os error 24)"].iter().any(|code| text.contains(code))
}
