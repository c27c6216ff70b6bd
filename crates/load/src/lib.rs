//! (room of load)
