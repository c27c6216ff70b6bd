//! (room of dash)
