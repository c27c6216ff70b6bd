//! (room of driver)
