//! Limits of the telemetry that pods post about themselves.

use std::time::Duration;

use crate::limits::detect::PODS_MAX;

/// Maximum size of a post's body. 16 names of 64 bytes, each with a number, and the pod's name are under 3 kB,
/// however they are indented. A thread reads one body at a time, on a stack of [`HTTP_STACK_BYTES`](crate::limits::HTTP_STACK_BYTES).
pub const TELEMETRY_BODY_BYTES_MAX: usize = 8 << 10;

/// Maximum number of different names of one pod, and so of one post. An incident line has 16,000 bytes for
/// everything; with more names there would be no room for a curve of each.
pub const TELEMETRY_NAMES_MAX: usize = 16;

/// The longest name. Prometheus' own names are mostly under 50 bytes.
pub const TELEMETRY_NAME_BYTES_MAX: usize = 64;

/// Number of samples kept for one name: five minutes at one post every five seconds, which is the history that
/// an incident carries by default.
pub const TELEMETRY_SAMPLES_MAX: usize = 60;

/// Maximum number of names of all pods together: eight for each pod of an ordinary full node (110), and still
/// more than one each on a node of 500 pods. With this limit the table stays below [`TELEMETRY_BYTES_MAX`].
pub const TELEMETRY_SERIES_MAX: usize = 896;

/// Maximum memory for the table of posted telemetry, whatever pods send: a quarter of the agent's memory. It
/// follows from the other limits: a name with all its samples takes under 900 bytes, and a pod under 200.
pub const TELEMETRY_BYTES_MAX: usize = 1 << 20;

const _: () = assert!(TELEMETRY_SERIES_MAX * 900 + PODS_MAX * 200 <= TELEMETRY_BYTES_MAX);

/// How many posts of one pod may arrive at once before [`TELEMETRY_INTERVAL`] applies: several containers of a
/// pod may start together.
pub const TELEMETRY_BURST: u32 = 10;

/// The average interval between posts of one pod. More often than once a second, recording would become a load.
pub const TELEMETRY_INTERVAL: Duration = Duration::from_secs(1);

/// When a pod should retry if the table is full: pods come and go in minutes, not in seconds.
pub const TELEMETRY_FULL_RETRY: Duration = Duration::from_secs(60);
