//! (room of link)
