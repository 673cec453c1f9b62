//! Delivery: queues, the incident file, the state file, the webhook.

use std::time::Duration;

/// Incident lines that wait for one sink. A line has 2 to 3 kB, 16 at most: a storm on a full node
/// fits while a disk is slow for a second or two, and sinks that hang share the lines.
pub const SINK_QUEUE_MAX: usize = 1024;

/// Bytes of incident lines that wait for one sink.
pub const SINK_QUEUE_BYTES_MAX: usize = 1 << 20;

/// Incident lines that are written with one `fsync`: a slow disk takes 50 ms for one, and a storm
/// brings some hundreds a second.
pub const INCIDENT_BATCH_MAX: usize = 64;

/// The incident file and those that it was before: with the default of 16 MiB each, 64 MiB in all.
pub const INCIDENT_FILES_MAX: usize = 4;

/// What is read of the incident files' end at the start, to know what was told: some thousand
/// lines, read in a tenth of a second. Each container shows its two newest ends at most, so older
/// lines tell of nothing that could be met again.
pub const INCIDENT_TAIL_BYTES_MAX: u64 = 8 << 20;

/// How much of the incident file's end is looked at for a line that was never written to its end.
pub const INCIDENT_REPAIR_BYTES: usize = 64 << 10;

/// How often that is repeated: after a power cut some file systems show blocks of zeros.
pub const INCIDENT_REPAIRS_MAX: usize = 64;

/// How long the file sink waits before it tries again: a disk that is full stays so for a while, and
/// each try costs a few system calls.
pub const FILE_RETRY_MIN: Duration = Duration::from_millis(100);

/// See [`FILE_RETRY_MIN`].
pub const FILE_RETRY_MAX: Duration = Duration::from_secs(5);

/// The largest state file that is read: [`LEDGER_CONTAINERS_MAX`] containers with the longest names.
pub const STATE_FILE_BYTES_MAX: u64 = 4 << 20;

/// The state file is written at most this often; what was delivered meanwhile is told again after a
/// kill. It is 20 kB for a node with a hundred pods, and flash wears.
pub const STATE_WRITE_INTERVAL: Duration = Duration::from_millis(250);

/// How long the state file is left alone after it could not be written.
pub const STATE_RETRY: Duration = Duration::from_secs(5);

/// A POST of an incident, from the look-up of the name to the answer's head. A collector that needs
/// more is as good as down, and all other lines wait behind this one.
pub const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// And for the answer's body, which is read only so that the connection serves again: a few bytes.
pub const WEBHOOK_BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// Scales the backoff between the tries of one line, as `BLACKBOX_K8S_RETRY_INTERVAL` does for the
/// API server: from 0.8 s to 30 s, twice that with jitter.
pub const WEBHOOK_RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Tries for one line: with the backoff three to five minutes, which a collector's roll-out takes. Then
/// the line is lost and the next one gets its chance, since the line itself may be what it fails on.
pub const WEBHOOK_TRIES_MAX: u32 = 10;

/// The longest `Retry-After` of a collector that is obeyed: the queue has room for some minutes, and
/// no collector is to empty it by a word.
pub const WEBHOOK_RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
