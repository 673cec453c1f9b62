//! Every bound of the agent, in one place, each with its reason.
//!
//! Memory does not grow with time, with events, or with what a pod or a server sends: whatever is
//! buffered, queued, kept, read or retried stops at one of these.

/// One line of the watch stream, and one pod of a LIST. etcd refuses objects over 1.5 MiB; written
/// as JSON with every `<` escaped that is about 9 MiB; client-go stops at 16 MiB as well.
pub const LINE_BYTES_MAX: usize = 16 << 20;

/// What a splitter keeps of its buffer after a large line: pod events are mostly under 20 kB.
pub const LINE_BYTES_KEPT: usize = 64 << 10;

const _: () = assert!(LINE_BYTES_KEPT < LINE_BYTES_MAX);
