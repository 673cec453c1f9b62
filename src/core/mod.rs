//! The pure part of the agent: bytes, values and the current time go in, values come out.
//!
//! Nothing in this module opens a file or a socket, reads a clock, starts a thread or writes a log line (`tests/tidy`
//! checks that).

pub mod backoff;
pub mod case;
pub mod cause;
pub mod cgroup;
pub mod detect;
pub mod display;
pub mod export;
pub mod fingerprint;
pub mod glob;
pub mod incident;
pub mod journal;
pub mod kernel;
pub mod logs;
pub mod node;
pub mod order;
pub mod percent;
pub mod proc;
pub mod reader;
pub mod recorder;
pub mod ring;
pub mod roster;
pub mod seen;
pub mod sidecar;
pub mod stream;
pub mod text;
pub mod wire;

use std::time::Duration;

use jiff::Timestamp;

/// The current time, which the caller passes into the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Time since the agent's start; it never jumps. All deadlines use this clock.
    pub monotonic: Duration,
    /// Time of the node's wall clock, which may jump. Incidents carry this time.
    pub wall: Timestamp,
}
