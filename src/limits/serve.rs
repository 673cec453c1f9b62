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
pub const RECENT_MAX: usize = 256;

/// Maximum size of the lines of those incidents: more than a hundred full ones, the older ones without the node's
/// samples. No other list of the agent holds that much for long; its limit of 32 MiB has room for it.
pub const RECENT_BYTES_MAX: usize = 1 << 20;

/// How many of the newest incidents keep the node's samples, however full the ring is.
pub const RECENT_WHOLE_MIN: usize = 16;

const _: () = assert!(RECENT_WHOLE_MIN * INCIDENT_LINE_BYTES_MAX <= RECENT_BYTES_MAX / 2);

/// Maximum number of answers of `/` and `/incidents` in progress at the same time: a reader has one tab, and a
/// second one while it reloads. A page takes up to [`PAGE_BYTES_MAX`]; lines are sent from the ring, not copied.
pub const READERS_MAX: usize = 2;

/// Maximum size of the page at `/`: a list of all incidents that are kept, or one incident in full; no more than a
/// slow link transfers in a few seconds.
pub const PAGE_BYTES_MAX: usize = 288 << 10;

/// Maximum size of one incident in full on its page. Each text of its line appears twice, and escaping makes it up to
/// five times as long; a sample takes ten times its bytes in its curve, and each chart two thousand for its axes.
pub const PAGE_INCIDENT_BYTES_MAX: usize = 14 * INCIDENT_LINE_BYTES_MAX;

/// Maximum number of rows of the page's table of groups, so that the newest incidents are not far below it. One node
/// rarely has more groups.
pub const PAGE_GROUPS_MAX: usize = 10;

/// Maximum size of that table. A row has about 700 bytes; one of the longest texts, all of it escaped, eight thousand.
pub const PAGE_GROUPS_BYTES_MAX: usize = 32 << 10;

/// Maximum number of links to other incidents of the same pod, and of the same fingerprint.
pub const PAGE_RELATED_MAX: usize = 20;

/// Maximum size of each of these two lists. A link has about 250 bytes.
pub const PAGE_RELATED_BYTES_MAX: usize = 8 << 10;

/// Maximum size of what stands around the incidents: the head, the style sheet, the form with its values, the links
/// with the same values, and the end.
pub const PAGE_FRAME_BYTES_MAX: usize = 40 << 10;

const _: () = assert!(
    PAGE_INCIDENT_BYTES_MAX + 2 * PAGE_RELATED_BYTES_MAX + PAGE_FRAME_BYTES_MAX <= PAGE_BYTES_MAX
);

/// Maximum size of the query in an address: some names of the longest that Kubernetes allows, which have 253 bytes.
pub const PAGE_QUERY_BYTES_MAX: usize = 1024;

/// How often the page may ask to be loaded again, in seconds: not more often than anyone reads, nor so rarely that it
/// looks alive and is not.
pub const PAGE_REFRESH_SECONDS: std::ops::RangeInclusive<u64> = 5..=3600;

/// Maximum number of samples in one chart; the newest are shown. An incident line has at most
/// [`WINDOW_SAMPLES_MAX`], and a screen shows no more points.
pub const CHART_SAMPLES_MAX: usize = WINDOW_SAMPLES_MAX as usize;
