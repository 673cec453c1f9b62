//! The pure part: bytes, values and `now` in, values out.
//!
//! Nothing below this module opens a file or a socket, reads a clock, spawns a thread or writes a
//! log line (`tests/tidy.rs` holds that).

pub mod backoff;
pub mod frame;
pub mod incident;
pub mod list;
pub mod quantity;
pub mod reflector;
pub mod wire;
