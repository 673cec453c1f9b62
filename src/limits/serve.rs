//! The HTTP server.

use std::time::Duration;

use crate::limits::incident::INCIDENT_LINE_BYTES_MAX;
use crate::limits::node::WINDOW_SAMPLES_MAX;

/// The head of a request to the agent. Prometheus and the kubelet send under 1 kB.
pub const HTTP_HEAD_BYTES_MAX: usize = 8 << 10;

/// How long a connection to the agent may take, from accept to close. The kubelet's probes wait 1 s
/// by default, a scrape 10 s; the page is made in a millisecond.
pub const HTTP_CONNECTION_MAX: Duration = Duration::from_secs(2);

/// Connections to the agent at the same time; past it the oldest is cut off.
pub const HTTP_CONNECTIONS_MAX: usize = 8;

/// Threads of connections, with those that were cut off and have not ended yet. They end at their
/// next read or write, so more than this means that the handler hangs: newcomers wait then.
pub const HTTP_THREADS_MAX: usize = 2 * HTTP_CONNECTIONS_MAX;

/// How long the server waits before it tries again, when it is out of file descriptors or threads:
/// ten tries in a probe's second, and no hot loop.
pub const HTTP_PAUSE: Duration = Duration::from_millis(100);

/// What is still taken in from a peer after the answer.
pub const HTTP_DRAIN_BYTES_MAX: usize = 64 << 10;

/// The stack of a connection's thread: it writes one page of text.
pub const HTTP_STACK_BYTES: usize = 128 << 10;

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
