//! Limits of the commands other than the agent.

use std::time::Duration;

/// Maximum number of Kubernetes events from a recording that a replay keeps for lookups. One hour of a busy
/// node has a few thousand.
pub const REPLAY_EVENTS_MAX: usize = 20_000;

/// How long `check` waits for one answer; a person waits for the result.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of containers whose logs `check` looks for. A node's default is 110 pods, most with one
/// container.
pub const CHECK_LOGS_MAX: usize = 256;

/// Maximum size of the answer to an access review or to a version request. Each has a few hundred bytes.
pub const CHECK_ANSWER_BYTES_MAX: usize = 64 << 10;

/// `check` warns if the clocks differ by more than this: a `Date` header has whole seconds, and the answer
/// takes time to arrive.
pub const CLOCK_SKEW_TOLERATED_SECONDS: i64 = 5;

/// The width assumed for a terminal that does not report one.
pub const SHOW_COLUMNS: usize = 80;

/// Output for a narrower terminal is formatted as if it had this width.
pub const SHOW_COLUMNS_MIN: usize = 40;

/// The longest line that `show` reads. An incident line has at most 16,000 bytes, and what log pipelines put
/// around it is shorter than that.
pub const SHOW_LINE_BYTES_MAX: usize = 64 << 10;

/// Maximum number of incidents that `show` prints newest first. For more, use a pipe.
pub const SHOWN_MAX: usize = 1000;

/// Maximum memory that `show` uses to hold them: the few fields of a thousand, or with `--full` some three hundred whole
/// lines of the longest. It runs through `kubectl exec` within the agent's own memory limit, 32 MiB.
pub const SHOW_HELD_BYTES_MAX: usize = 4 << 20;

/// How often `show --follow` looks for new lines.
pub const SHOW_FOLLOW_INTERVAL: Duration = Duration::from_millis(250);

/// How many boots of the node `replay` reads from a recording. A node boots a few times a week.
pub const REPLAY_BOOTS_MAX: usize = 100;

/// How much of the end of a log `explain` reads: twice what the agent reads, so that a file with the kubelet's times around
/// each line tells as much.
pub const EXPLAIN_BYTES_MAX: usize = 512 << 10;

/// How many log lines `explain --json` prints, as the agent does by default.
pub const EXPLAIN_LINES: usize = 40;
