//! What the detection remembers and how long it waits.

use std::time::Duration;

use crate::limits::node::CGROUP_DIRECTORIES_MAX;

/// How far an event's time may lie behind the end it tells of: both come from the node's clock and
/// are cut to whole seconds.
pub const EVENT_SKEW: Duration = Duration::from_secs(1);

/// How much later than grace and probe period a kill may come after the last failure that was
/// recorded: the kubelet's own rounds, and a slow runtime.
pub const PROBE_SLACK: Duration = Duration::from_secs(5);

/// Pods of one node that are watched. The kubelet's default is 110, the largest nodes run 500.
pub const PODS_MAX: usize = 1024;

/// Containers of one pod that are watched. The API sets no number, only 1.5 MiB for the whole pod.
pub const CONTAINERS_PER_POD_MAX: usize = 128;

/// Ends and waiting episodes of one container that its record knows: the API shows two ends, a stale
/// view two others, and one episode of each sort may be under way.
pub const ENDS_KNOWN_PER_CONTAINER: usize = 6;

/// Ends that are remembered beyond the pods' own records, for pods that went, for histories that went
/// back, and from an earlier agent: 16 bytes each and a table, about 100 kB.
pub const ENDS_REMEMBERED_MAX: usize = 4096;

/// Containers of which the next agent is told: each takes up to 600 bytes of a state file. A full node has
/// a few hundred.
pub const LEDGER_CONTAINERS_MAX: usize = 4096;

/// Incidents delivered last that the state file names, should the incident file have lost them: a disk
/// that lies forgets some seconds.
pub const LEDGER_RECENT_MAX: usize = 64;

/// Addresses of a pod: one of each family.
pub const ADDRESSES_PER_POD_MAX: usize = 4;

/// Deleted pods that are remembered, against events which come after the deletion.
pub const PODS_GONE_REMEMBERED_MAX: usize = 1024;

/// Static pods whose mirror was deleted and may come back. A node has a handful.
pub const STATIC_PODS_REMEMBERED_MAX: usize = 64;

const _: () = assert!(ENDS_KNOWN_PER_CONTAINER <= u8::MAX as usize);

/// The longest grace or probe period that is believed.
pub const GRACE_MAX: Duration = Duration::from_secs(3600);

/// Ends that are held back for evidence at the same time. Each is an incident in memory, about
/// 2 kB; past it the oldest goes out with what is known.
pub const PENDING_MAX: usize = 256;

/// When the pod's events are looked up, from the detection on. The kubelet records a kill before it
/// kills, but posts events from a queue; the container dies up to a second before its status shows it.
pub const SETTLE_LOOKUPS: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(10)];

/// How long an end is held at most: the kubelet's status manager sends what it has each 10 s.
pub const SETTLE_MAX: Duration = Duration::from_secs(12);

/// How much longer than its grace a pod may take to fail, once the kubelet says that it stops it.
pub const SETTLE_STOPPING_MARGIN: Duration = Duration::from_secs(15);

/// And how long that is waited for at most.
pub const SETTLE_STOPPING_MAX: Duration = Duration::from_secs(120);

/// A wall clock that was set by more than this had never been right: a node without a battery begins
/// in 1970.
pub const CLOCK_JUMP_MAX: Duration = Duration::from_secs(24 * 60 * 60);

const _: () = assert!(CGROUP_DIRECTORIES_MAX > PODS_MAX);
