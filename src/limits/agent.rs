//! Limits of the agent's threads, of its memory for enrichment, and of its shutdown.

use std::time::Duration;

/// The detection thread counts as hanging if it shows no sign of life for this long. It wakes at least every
/// ten seconds.
pub const HEARTBEAT_MAX: Duration = Duration::from_secs(60);

/// How much longer than the idle timeout a watch may be silent before the agent reports not ready: the time
/// needed to open the watch again.
pub const FRESH_MARGIN: Duration = Duration::from_secs(30);

/// Capacity of the queue from the detection thread to the enrichment thread, which adds telemetry to incidents.
/// Incidents that do not fit into the queue are delivered without telemetry.
pub const ENRICH_QUEUE_MAX: usize = 256;

/// The memory of the incidents in that queue, with the descriptions of their pods: an ordinary one takes about 3 kB.
pub const ENRICH_QUEUE_BYTES_MAX: usize = 1 << 20;

/// An incident that has already waited this long in the queue is delivered without telemetry, because the
/// incidents behind it wait as well.
pub const ENRICH_QUEUE_AGE_MAX: Duration = Duration::from_secs(2);

/// The memory of the roster: the descriptions of all pods on the node and their running containers. An ordinary pod of two
/// containers takes 2 kB, so this has room for seven hundred.
pub const ROSTER_BYTES_MAX: usize = 3 << 19;

/// How long the enrichment thread may work on one incident. It reads a few small files, in milliseconds; on a slow disk
/// under load, in a second. After that, the incidents that it has are reported without it, within another
/// [`DETECT_TICK`].
pub const ENRICH_STALL_MAX: Duration = Duration::from_secs(5);

/// How long a thread waits for the recorder of the containers, which the sampler locks while it reads.
pub const RECORDER_LOCK_MAX: Duration = Duration::from_secs(1);

/// How often it looks whether the recorder is free.
pub const RECORDER_LOCK_POLL: Duration = Duration::from_millis(2);

/// Capacity of the queue to the handler that an embedder gave to the agent: as many calls as a storm makes in a second. A
/// call holds some kilobytes at most.
pub const HANDLER_CALLS_MAX: usize = 1024;

/// How often the enrichment thread wakes when no work arrives.
pub const ENRICH_IDLE: Duration = Duration::from_secs(60);

/// Maximum number of held-back terminations whose gathered telemetry is kept; each takes up to 20 kB. If there
/// are more, the oldest telemetry is dropped and gathered again when the incident is reported, as far as it is
/// still available then.
pub const GATHERED_KEPT_MAX: usize = 32;

/// How long after an OOM kill the agent looks whether the container still runs. A program that ends because it lost a
/// child process does so within seconds, and the kubelet mostly reports that within ten; the kill is then told with
/// the termination.
pub const SURVIVED_AFTER: Duration = Duration::from_secs(15);

/// How often the agent looks for the name of such a container, every [`SURVIVED_AFTER`]: for three minutes, since a busy
/// kubelet showed a status 150 s late.
pub const SURVIVED_TRIES_MAX: u8 = 12;

/// Maximum number of OOM kills that wait for [`SURVIVED_AFTER`] to pass.
pub const SURVIVED_WAITING_MAX: usize = 64;

/// The detection thread wakes at least this often, to show that it is alive.
pub const DETECT_TICK: Duration = Duration::from_secs(10);

/// How long an orderly shutdown may take. After that the process exits anyway.
pub const SHUTDOWN_MAX: Duration = Duration::from_millis(800);

/// The part of [`SHUTDOWN_MAX`] that is reserved for writing the state file, however long the sinks take.
pub const SHUTDOWN_STATE: Duration = Duration::from_millis(200);

/// Stack size of a thread. The JSON parser recurses as deep as JSON may nest (128 levels). TLS handshakes need
/// the most stack: about 60 kB measured in a release build, more in a debug build.
pub const THREAD_STACK_BYTES: usize = 512 << 10;

/// How much longer than [`SHUTDOWN_MAX`] the process may live after a signal, even if a thread hangs.
pub const SHUTDOWN_MARGIN: Duration = Duration::from_millis(100);

/// Longest single wait for a thread to terminate during shutdown, before the deadline is checked again.
pub const SHUTDOWN_POLL: Duration = Duration::from_millis(10);

/// Maximum number of bytes read from a file below `/proc`. `/proc/stat` grows with the number of CPUs and
/// interrupts.
pub const PROC_FILE_BYTES_MAX: u64 = 256 << 10;

/// Capacity of the queue of messages to the main thread: a signal, or the termination of a thread. There are
/// half a dozen threads.
pub const CONTROL_MAX: usize = 16;

/// How long the incident of an eviction waits for the node's conditions of now: a request takes milliseconds, and the
/// lookups before it a few seconds.
pub const NODE_AWAITED: Duration = Duration::from_secs(3);

/// How many incidents wait for that at once. More evictions at once are reported with what is known.
pub const NODE_AWAITED_MAX: usize = 16;

/// How often the thread looks whether the node's conditions have come.
pub const NODE_POLL: Duration = Duration::from_millis(100);

/// A problem that comes and goes is logged once in this time: a line a minute shows that it goes on, and leaves the log
/// to the incidents.
pub const TROUBLE_INTERVAL: Duration = Duration::from_secs(60);

/// Maximum number of different messages about one kind of problem in [`TROUBLE_INTERVAL`]: an outage shows several
/// errors in turn, and each says something else.
pub const TROUBLE_TEXTS_MAX: usize = 4;

/// The log lines that wait for a reader of standard error: some two thousand.
pub const LOG_QUEUE_BYTES_MAX: usize = 256 << 10;

/// Stack size of the thread that writes them. It formats nothing.
pub const LOG_THREAD_STACK_BYTES: usize = 64 << 10;

/// How long the process waits at its end for the last log lines to be written.
pub const LOG_FLUSH_MAX: Duration = Duration::from_millis(50);

/// The same, if the last line says why the process ends. A node in trouble may give the thread no time at once.
pub const FATAL_FLUSH_MAX: Duration = Duration::from_secs(1);
