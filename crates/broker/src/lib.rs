//! (room of broker)
