//! What pods say of themselves.

use std::time::Duration;

use crate::limits::detect::PODS_MAX;

/// The body of a post: 16 names of 64 bytes, each with a number, and the pod's name are under 3 kB,
/// however they are indented. A thread reads one at a time, on a stack of [`HTTP_STACK_BYTES`].
pub const TELEMETRY_BODY_BYTES_MAX: usize = 8 << 10;

/// Different names of one pod, so in one post as well. An incident line has 16,000 bytes for everything:
/// with more there would be no room for a curve of each.
pub const TELEMETRY_NAMES_MAX: usize = 16;

/// Of one name; Prometheus' own are mostly under 50 bytes.
pub const TELEMETRY_NAME_BYTES_MAX: usize = 64;

/// Samples that are kept of one name: five minutes at a post each five seconds, which is the history that
/// an incident carries by default.
pub const TELEMETRY_SAMPLES_MAX: usize = 60;

/// Names of all pods together: eight for each pod of an ordinary full node (110), and for a node of 500
/// pods still more than one. With this the table stays below [`TELEMETRY_BYTES_MAX`].
pub const TELEMETRY_SERIES_MAX: usize = 896;

/// What the table of posted telemetry takes at most, whatever comes: a quarter of the agent's memory. It
/// follows from the other limits; a name with all its samples takes under 900 bytes, and a pod under 200.
pub const TELEMETRY_BYTES_MAX: usize = 1 << 20;

const _: () = assert!(TELEMETRY_SERIES_MAX * 900 + PODS_MAX * 200 <= TELEMETRY_BYTES_MAX);

/// Posts of one pod that may come at once, before [`TELEMETRY_INTERVAL`] holds: several containers of a
/// pod that start together.
pub const TELEMETRY_BURST: u32 = 10;

/// The rate of one pod's posts over time. More often than each second the recorder would be a load.
pub const TELEMETRY_INTERVAL: Duration = Duration::from_secs(1);

/// When to come back while the table is full: pods go in minutes, not in seconds.
pub const TELEMETRY_FULL_RETRY: Duration = Duration::from_secs(60);
