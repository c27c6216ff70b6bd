//! (room of checkpoint)
