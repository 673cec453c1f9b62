//! The commands beside the agent.

use std::time::Duration;

/// Kubernetes events of a recording that a replay keeps for lookups. An hour of a busy node has a
/// few thousand.
pub const REPLAY_EVENTS_MAX: usize = 20_000;

/// How long `check` waits for one answer: whoever runs it sits before it.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// Containers whose logs `check` looks for: a node's default is 110 pods, most with one container.
pub const CHECK_LOGS_MAX: usize = 256;

/// The answer to a review or to a question for the version: a few hundred bytes each.
pub const CHECK_ANSWER_BYTES_MAX: usize = 64 << 10;

/// A clock that differs by more is worth a word: a `Date` has whole seconds, and the way takes its time.
pub const CLOCK_SKEW_TOLERATED_SECONDS: i64 = 5;

/// The width of a terminal that does not say its own.
pub const SHOW_COLUMNS: usize = 80;

/// A narrower one is written on as if it had so many.
pub const SHOW_COLUMNS_MIN: usize = 60;

/// A line that `show` reads: an incident's has 16,000 bytes at most, and what log pipelines put around
/// one is less than that again.
pub const SHOW_LINE_BYTES_MAX: usize = 64 << 10;

/// Incidents that `show` prints newest first: more is for a pipe.
pub const SHOWN_MAX: usize = 1000;

/// What it holds for that. It runs by `kubectl exec` within the agent's own memory limit, 32 MiB.
pub const SHOW_HELD_BYTES_MAX: usize = 2 << 20;

/// How often `show --follow` looks for more.
pub const SHOW_FOLLOW_INTERVAL: Duration = Duration::from_millis(250);
