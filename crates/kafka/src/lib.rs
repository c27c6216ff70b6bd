//! (room of kafka)
