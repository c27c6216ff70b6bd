//! (room of executor)
