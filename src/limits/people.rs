//! What people are shown: the page, `check`, `show`.

use std::time::Duration;

use super::{INCIDENT_LINE_BYTES_MAX, WINDOW_SAMPLES_MAX};

/// Incidents that the agent keeps for `/incidents` and the page: a bad night on one node. What is older
/// is in the log pipeline, the incident file or at the collector.
pub const RECENT_MAX: usize = 128;

/// Bytes of their lines: 12 of the longest, about a hundred without telemetry. A twentieth of the
/// agent's memory.
pub const RECENT_BYTES_MAX: usize = 192 << 10;

const _: () = assert!(INCIDENT_LINE_BYTES_MAX <= RECENT_BYTES_MAX);

/// Answers of `/` and `/incidents` under way at the same time: a reader has one tab, and a second one
/// while it reloads. Each takes up to [`PAGE_BYTES_MAX`], or [`RECENT_BYTES_MAX`].
pub const READERS_MAX: usize = 2;

/// The page at `/`: some forty incidents of a crash loop, and no more than a slow link carries in a
/// few seconds. The rest of [`RECENT_BYTES_MAX`] is at `/incidents`.
pub const PAGE_BYTES_MAX: usize = 256 << 10;

/// What one incident takes on the page at most: each text of its line stands there twice, and escaped
/// it takes up to five times as much; the charts have a bound of their own.
pub const PAGE_INCIDENT_BYTES_MAX: usize = 12 * INCIDENT_LINE_BYTES_MAX;

const _: () = assert!(PAGE_INCIDENT_BYTES_MAX < PAGE_BYTES_MAX);

/// Samples in one chart, the newest: a line has [`WINDOW_SAMPLES_MAX`] at most, and a screen no more
/// points.
pub const CHART_SAMPLES_MAX: usize = WINDOW_SAMPLES_MAX as usize;

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
