//! The pure part: bytes, values and `now` in, values out.
//!
//! Nothing below this module opens a file or a socket, reads a clock, spawns a thread or writes a
//! log line (`tests/tidy` holds that).

pub mod backoff;
pub mod case;
pub mod cgroup;
pub mod detect;
pub mod display;
pub mod incident;
pub mod logs;
pub mod node;
pub mod proc;
pub mod ring;
pub mod roster;
pub mod sidecar;
pub mod stream;
pub mod text;
pub mod wire;

use std::time::Duration;

use jiff::Timestamp;

/// The time, as the core is told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Since the agent's start; never jumps. All deadlines are on this one.
    pub monotonic: Duration,
    /// By the node's clock, which may jump. Incidents carry this one.
    pub wall: Timestamp,
}
