//! Limits of delivery: queues, the incident file, the state file, the webhook.

use std::time::Duration;

/// Maximum number of incident lines queued for one sink.
pub const SINK_QUEUE_MAX: usize = 16_384;

/// Maximum number of bytes of incident lines queued for one sink: 7,500 lines without telemetry. When a runtime
/// dies that ran ten thousand containers, a sink that works takes the others meanwhile. An ordinary line has 2 to 3 kB. Sinks that
/// hang share the lines in memory: each queue holds the newest.
pub const SINK_QUEUE_BYTES_MAX: usize = 10 << 20;

/// Maximum number of incident lines written with one `fsync`. A slow disk takes 50 ms for an `fsync`.
pub const INCIDENT_BATCH_MAX: usize = 512;

/// Maximum number of bytes of these lines; they are no longer in the queue.
pub const INCIDENT_BATCH_BYTES_MAX: usize = 512 << 10;

/// Number of incident files, the current one and the rotated ones: with the default of 16 MiB each, 64 MiB in
/// all.
pub const INCIDENT_FILES_MAX: usize = 4;

/// How much is read from the end of the incident files at start, to learn which incidents were reported: some
/// thousand lines, read in a tenth of a second. The API shows at most the two newest terminations of each
/// container, so older lines describe nothing that can appear again.
pub const INCIDENT_TAIL_BYTES_MAX: u64 = 8 << 20;

/// How much of the incident file's end is searched for a line that was never completely written.
pub const INCIDENT_REPAIR_BYTES: usize = 64 << 10;

/// How often that repair is repeated: after a power cut some file systems show blocks of zeros.
pub const INCIDENT_REPAIRS_MAX: usize = 64;

/// The shortest wait before the file sink retries. A full disk stays full for a while, and each try costs a few
/// system calls.
pub const FILE_RETRY_MIN: Duration = Duration::from_millis(100);

/// The longest wait; see [`FILE_RETRY_MIN`].
pub const FILE_RETRY_MAX: Duration = Duration::from_secs(5);

/// The largest state file that is read: [`LEDGER_CONTAINERS_MAX`](crate::limits::LEDGER_CONTAINERS_MAX) containers with the longest names.
pub const STATE_FILE_BYTES_MAX: u64 = 4 << 20;

/// The shortest interval between two writes of the state file. Incidents delivered in between are reported
/// again if the agent is killed. The file has 20 kB for a node with a hundred pods, and flash memory wears out.
pub const STATE_WRITE_INTERVAL: Duration = Duration::from_millis(250);

/// How long the agent waits after a failed write of the state file before it retries.
pub const STATE_RETRY: Duration = Duration::from_secs(5);

/// How long a POST of an incident may take, from the name lookup to the head of the answer. A collector that
/// needs longer is as good as down, and all other lines wait behind this one.
pub const RECEIVER_TIMEOUT: Duration = Duration::from_secs(10);

/// Scales the backoff between the tries of one line, as `BLACKBOX_K8S_RETRY_INTERVAL` does for the API server:
/// from 0.8 s to 30 s, up to twice that with jitter.
pub const RECEIVER_RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Maximum number of tries for one line. With the backoff they take three to five minutes, as long as the
/// roll-out of a collector. After that the line is dropped and the next one is tried, since the line itself may
/// be what fails.
pub const RECEIVER_TRIES_MAX: u32 = 10;

/// The longest `Retry-After` of a collector that is obeyed. The queue has room for some minutes of incidents,
/// and a collector must not make it overflow with one header.
pub const RECEIVER_RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// Maximum number of bytes of incident lines in one request to a receiver that takes several. Meanwhile they are no longer in
/// the queue, and the request is about as long as they are. OTLP receivers accept 20 MiB by default.
pub const EXPORT_BATCH_BYTES_MAX: usize = 256 << 10;

/// Number of log lines in an alert: a pager's screen has room for few.
pub const ALERT_LOG_LINES: usize = 3;

/// Maximum number of bytes of these lines.
pub const ALERT_LOG_BYTES_MAX: usize = 1024;

/// Number of log lines in a chat message.
pub const CHAT_LOG_LINES: usize = 10;

/// Maximum number of bytes of these lines. Slack shows 4,000 characters of a message before it hides the rest.
pub const CHAT_LOG_BYTES_MAX: usize = 2500;

/// How long a chat gets no second message about a fingerprint; then it gets the number of the others.
pub const CHAT_QUIET: Duration = Duration::from_secs(600);

/// Maximum number of fingerprints that wait for that: more than a channel's readers can follow in ten minutes. Beyond it,
/// the number of the oldest one is told early.
pub const CHAT_FINGERPRINTS_MAX: usize = 128;

/// How long the sink lets an Alertmanager alone that did not accept alerts while another one did.
pub const RECEIVER_REST: Duration = Duration::from_secs(30);
