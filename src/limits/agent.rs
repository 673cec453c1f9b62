//! The threads.

use std::time::Duration;

/// A detection without a sign of life for so long hangs: it wakes each ten seconds at the latest.
pub const HEARTBEAT_MAX: Duration = Duration::from_secs(60);

/// How much longer than the idle timeout a watch may be silent before the agent is not ready: the
/// time to open it anew.
pub const FRESH_MARGIN: Duration = Duration::from_secs(30);

/// Incidents between the detection and the thread that puts telemetry around them. Past it they go out
/// without.
pub const ENRICH_QUEUE_MAX: usize = 256;

/// An incident that has waited so long already goes out without telemetry: those behind it wait, too.
pub const ENRICH_HURRY: Duration = Duration::from_secs(2);

/// How often that thread looks up when nothing comes.
pub const ENRICH_IDLE: Duration = Duration::from_secs(60);

/// What was gathered for ends that are held back: each has up to 20 kB. Of more at once the oldest are
/// gathered again when they are told, as far as is possible by then.
pub const GATHERED_KEPT_MAX: usize = 32;

/// So long after an OOM kill without an end of a container of the pod, it was a child's: the kubelet
/// sees an end within a second or two, and tells the API server of it within ten.
pub const SURVIVED_AFTER: Duration = Duration::from_secs(15);

/// OOM kills that wait for that.
pub const SURVIVED_WAITING_MAX: usize = 64;

/// The detect thread wakes at least this often, to show that it lives.
pub const DETECT_TICK: Duration = Duration::from_secs(10);

/// How long the agent's end may take, before the process ends anyway.
pub const SHUTDOWN_MAX: Duration = Duration::from_millis(800);

/// How much of that is kept for the state file, however long the sinks take.
pub const SHUTDOWN_STATE: Duration = Duration::from_millis(200);

/// A thread's stack. Parsing recurses as deep as JSON may nest (128 levels), TLS handshakes need
/// most: measured at about 60 kB in a release build, more in a debug one.
pub const THREAD_STACK_BYTES: usize = 512 << 10;

/// How much longer than [`SHUTDOWN_MAX`] the process has after a signal, whatever hangs.
pub const SHUTDOWN_MARGIN: Duration = Duration::from_millis(100);

/// How often the end looks whether the detection could be told.
pub const SHUTDOWN_POLL: Duration = Duration::from_millis(10);

/// A file below `/proc`. `/proc/stat` grows with the number of CPUs and interrupts.
pub const PROC_FILE_BYTES_MAX: u64 = 256 << 10;

/// Words to main: a signal, or the end of a thread. There are half a dozen threads.
pub const CONTROL_MAX: usize = 16;
