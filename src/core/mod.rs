//! The pure part: bytes, values and `now` in, values out.
//!
//! Nothing below this module opens a file or a socket, reads a clock, spawns a thread or writes a
//! log line (`tests/tidy.rs` holds that).

pub mod backoff;
pub mod cgroup;
pub mod classify;
pub mod cri;
pub mod decode;
pub mod detector;
pub mod draft;
pub mod enrich;
pub mod evidence;
pub mod frame;
pub mod incident;
pub mod json;
pub mod last_words;
pub mod ledger;
pub mod line;
pub mod list;
pub mod mask;
pub mod message;
pub mod node;
pub mod pods;
pub mod proc;
pub mod quantity;
pub mod reflector;
pub mod report;
pub mod ring;
pub mod roster;
pub mod settle;
pub mod sidecar;
pub mod stream;
pub mod timeline;
pub mod units;
mod view;
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
