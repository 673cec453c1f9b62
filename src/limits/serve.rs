//! Limits of the agent's HTTP server.

use std::time::Duration;

use crate::limits::incident::INCIDENT_LINE_BYTES_MAX;
use crate::limits::node::WINDOW_SAMPLES_MAX;

/// Maximum size of a request head. Prometheus and the kubelet send under 1 kB.
pub const HTTP_HEAD_BYTES_MAX: usize = 8 << 10;

/// How long a connection to the agent may last, from accept to close. The kubelet's probes wait 1 s by default,
/// a scrape 10 s; the agent makes the page in a millisecond.
pub const HTTP_CONNECTION_MAX: Duration = Duration::from_secs(2);

/// Maximum number of requests that are answered at the same time, each on a thread. A further request waits for a
/// thread; if a peer keeps one waiting, that connection is cut off.
pub const HTTP_CONNECTIONS_MAX: usize = 8;

/// Maximum number of requests that wait for a thread. The threads answer some thousand requests a second, so the
/// last one waits for some hundredths of a second.
pub const HTTP_READY_MAX: usize = 64;

/// Maximum number of connections that have not sent their request yet. A flood of 50,000 a second leaves each
/// of them 5 ms to send it; a client sends it in a fraction of a millisecond. A connection takes about 4 KiB of the
/// kernel's memory and a file descriptor.
pub const HTTP_WAITING_MAX: usize = 256;

/// Maximum number of connections that are accepted before the server looks at those that wait.
pub const HTTP_BATCH_MAX: usize = 64;

/// The shortest and the longest time between two looks at the connections that wait, and at the kernel's queue of new
/// ones. The queue holds 128, the number that Rust's standard library asks for; 50,000 a second fill it in 2.5 ms.
pub const HTTP_LOOK_MIN: Duration = Duration::from_micros(500);
/// See [`HTTP_LOOK_MIN`]. The longest one adds to the time of an answer if the request comes late.
pub const HTTP_LOOK_MAX: Duration = Duration::from_millis(8);

/// How often the connections that wait are looked at if they are many. A look at 256 of them takes a tenth of a
/// millisecond.
pub const HTTP_SWEEP_INTERVAL: Duration = Duration::from_millis(10);

/// How long the server waits before it retries when the process is out of file descriptors and has no connection to
/// give up for one: ten tries in the second that a probe waits, and no busy loop.
pub const HTTP_PAUSE: Duration = Duration::from_millis(100);

/// Maximum number of bytes still read from a peer after the answer was sent.
pub const HTTP_DRAIN_BYTES_MAX: usize = 64 << 10;

/// Stack size of a connection thread, which writes one page of text.
pub const HTTP_STACK_BYTES: usize = 128 << 10;

/// Maximum number of incidents kept for `/incidents` and the page: a bad night on one node. Older incidents are
/// in the log pipeline, in the incident file or at the collector.
pub const RECENT_MAX: usize = 128;

/// Maximum size of the lines of those incidents: 12 of the longest, or about a hundred without telemetry. This
/// is a twentieth of the agent's memory.
pub const RECENT_BYTES_MAX: usize = 192 << 10;

const _: () = assert!(INCIDENT_LINE_BYTES_MAX <= RECENT_BYTES_MAX);

/// Maximum number of answers of `/` and `/incidents` in progress at the same time: a reader has one tab, and a
/// second one while it reloads. Each takes up to [`PAGE_BYTES_MAX`] or [`RECENT_BYTES_MAX`].
pub const READERS_MAX: usize = 2;

/// Maximum size of the page at `/`: some forty incidents of a crash loop, and no more than a slow link
/// transfers in a few seconds. The rest of [`RECENT_BYTES_MAX`] is at `/incidents`.
pub const PAGE_BYTES_MAX: usize = 256 << 10;

/// Maximum size of one incident on the page. Each text of its line appears twice, and escaping makes it up to
/// five times as long; the charts have a limit of their own.
pub const PAGE_INCIDENT_BYTES_MAX: usize = 12 * INCIDENT_LINE_BYTES_MAX;

/// Maximum number of rows of the page's table of groups: a screenful. The page of one node rarely has more.
pub const PAGE_GROUPS_MAX: usize = 20;

/// Maximum size of that table. A row has about 500 bytes; one of the longest texts, all of it escaped, six thousand.
pub const PAGE_GROUPS_BYTES_MAX: usize = 32 << 10;

const _: () = assert!(PAGE_GROUPS_BYTES_MAX + PAGE_INCIDENT_BYTES_MAX < PAGE_BYTES_MAX);

/// Maximum number of samples in one chart; the newest are shown. An incident line has at most
/// [`WINDOW_SAMPLES_MAX`], and a screen shows no more points.
pub const CHART_SAMPLES_MAX: usize = WINDOW_SAMPLES_MAX as usize;
