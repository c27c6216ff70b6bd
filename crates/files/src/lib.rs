//! (room of files)
