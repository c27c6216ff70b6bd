//! (room of scale)
