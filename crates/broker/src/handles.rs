//! Limits on open files and connections of this process.

/// Raises the soft limit to the hard limit and returns it; `None` if there is no limit.
#[cfg(unix)]
pub(crate) fn raise_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // If that fails, the soft limit stays as it is.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    getrlimit(Resource::Nofile).current
}

/// This system has no relevant limit.
#[cfg(not(unix))]
pub(crate) fn raise_limit() -> Option<u64> {
    None
}

/// Whether an error means that no handle is left.
pub(crate) fn none_left(error: &std::io::Error) -> bool {
    // EMFILE and ENFILE have the same numbers on every Unix. An error that names its file has them only in its text.
    let text = error.to_string();
    cfg!(unix) && ["(os error 23)", "(os error 24)"].iter().any(|code| text.contains(code))
}
