//! What the detection remembers, and how long it waits for evidence.

use std::time::Duration;

use crate::limits::node::CGROUP_DIRECTORIES_MAX;

/// How much later than a termination the time of a Kubernetes event about it may be. Both times come from the
/// node's clock and are cut to whole seconds.
pub const EVENT_SKEW: Duration = Duration::from_secs(1);

/// How far the clocks of the node and of the API server may be apart in the comparison of an end with a deletion that was
/// known before. Both times are cut to whole seconds. A crash within this time before the deletion is silent.
pub const CLOCK_SKEW: Duration = Duration::from_secs(2);

/// How much later than the grace period plus two probe periods a kill may follow the last recorded probe
/// failure. It allows for the kubelet's own rounds and for a slow runtime.
pub const PROBE_SLACK: Duration = Duration::from_secs(5);

/// Maximum number of pods watched on one node. The kubelet's default is 110; the largest nodes run 500.
pub const PODS_MAX: usize = 1024;

/// Maximum number of containers watched in one pod. The API sets no number, only 1.5 MiB for the whole pod.
pub const CONTAINERS_PER_POD_MAX: usize = 128;

/// The memory of the records of all containers of the node: about six thousand, where the largest nodes run two or three
/// thousand. A container beyond that has no record. Its terminations are reported all the same; those that no object
/// shows are not counted.
pub const CONTAINER_RECORDS_BYTES_MAX: usize = 3 << 19;

/// Terminations and waiting episodes that the record of one container remembers: the API shows two
/// terminations, a stale view shows two others, and three episodes of waiting or of not being ready may follow each
/// other.
pub const TERMINATIONS_KNOWN_PER_CONTAINER: usize = 7;

/// Reported episodes that the record of a pod as a whole remembers: it does not start, and later does not go.
pub const EPISODES_KNOWN_PER_POD: usize = 4;

/// Terminations remembered outside the pods' own records: of deleted pods, for an API server whose history went
/// back, and from an earlier agent. Each takes 16 bytes plus its share of a table, about 100 kB in all.
pub const TERMINATIONS_REMEMBERED_MAX: usize = 4096;

/// Maximum number of containers recorded in the state file for the next agent; each takes up to 600 bytes. A
/// full node has a few hundred.
pub const LEDGER_CONTAINERS_MAX: usize = 4096;

/// Number of recently delivered incidents listed in the state file, in case the incident file lost them: a disk
/// that falsely reports writes as complete loses the last few seconds.
pub const LEDGER_RECENT_MAX: usize = 64;

/// Maximum number of addresses kept for one pod. A pod has one for each IP family.
pub const ADDRESSES_PER_POD_MAX: usize = 4;

/// Deleted pods that are remembered, so that events arriving after the deletion are recognized as stale.
pub const PODS_GONE_REMEMBERED_MAX: usize = 1024;

/// Static pods whose mirror pod was deleted and may come back. A node has a handful.
pub const STATIC_PODS_REMEMBERED_MAX: usize = 64;

const _: () = assert!(TERMINATIONS_KNOWN_PER_CONTAINER <= u8::MAX as usize);

/// The longest grace or probe period that is trusted; longer ones are cut to this.
pub const GRACE_MAX: Duration = Duration::from_secs(3600);

/// Maximum number of terminations held back for evidence at the same time. Each is an incident in memory, about
/// 2 kB. Above this, the oldest is reported with what is known.
pub const PENDING_MAX: usize = 256;

/// The memory of these terminations. An ordinary one takes about 3 kB, with the description of its pod; above this, the
/// oldest is reported with what is known.
pub const PENDING_BYTES_MAX: usize = 1 << 20;

/// When the pod's events are looked up, counted from the detection. The kubelet records a kill before it kills,
/// but sends events from a queue; the container dies up to a second before its status shows it.
pub const SETTLE_LOOKUPS: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(10)];

/// How exact the time of a boot is: whole seconds, derived from the uptime when it is read.
pub const BOOT_TIME_MARGIN: Duration = Duration::from_secs(2);

/// How long the incident of a reboot waits for the statuses of the containers that it ended. A slow node took a minute
/// for all of them.
pub const REBOOT_HELD: Duration = Duration::from_secs(60);

/// How long before a boot a shutdown may have begun: pods get their grace periods, then the firmware and the boot take
/// minutes.
pub const SHUTDOWN_BEFORE_BOOT_MAX: Duration = Duration::from_secs(900);

/// How long after a boot the agent takes every instance that the runtime lost for one that the reboot ended.
pub const BOOT_RECENT: Duration = Duration::from_secs(600);

/// The bytes of the containers' names in the incident of a reboot. Further containers are only counted.
pub const REBOOT_NAMES_BYTES_MAX: usize = 2048;

/// How long an instance must run for the kubelet to start the next one without delay: twice its longest delay of five
/// minutes.
pub const CRASH_LOOP_RESET: Duration = Duration::from_secs(600);

/// The average interval between lookups of the events of jobs that finished well. Such a lookup only finds an eviction of
/// a job that exited with 0, so it must not weigh on etcd: at most ten a minute for a node.
pub const JOB_LOOKUP_INTERVAL: Duration = Duration::from_secs(6);

/// How many of these lookups there may be at once.
pub const JOB_LOOKUP_BURST: u32 = 5;

/// How long a slow node takes from the failure of a probe to the stop of the container: its kubelet handles one pod
/// after the other. 16 seconds were recorded.
pub const STOP_DELAY: Duration = Duration::from_secs(30);

/// How long after the end of a container the kubelet may notice that its sandbox is gone. It looks at every pod once a
/// minute, or sooner if the runtime reports an event.
pub const SANDBOX_NOTICED: Duration = Duration::from_secs(75);

/// How many of these lookups there are for a termination with an exit code of the program's own choice.
pub const OWN_CODE_LOOKUPS: usize = 2;

/// How long a termination is held back at most. The kubelet's status manager sends pending updates every 10 s.
pub const SETTLE_MAX: Duration = Duration::from_secs(12);

/// How much longer than its grace period a pod may take to fail after the kubelet reports that it stops the
/// pod.
pub const SETTLE_STOPPING_MARGIN: Duration = Duration::from_secs(15);

/// The longest time that the agent waits for a stopping pod to fail.
pub const SETTLE_STOPPING_MAX: Duration = Duration::from_secs(120);

/// Maximum number of earlier incidents that the line of a failed pod names: 35 bytes each. Few pods have more
/// containers.
pub const EXPLAINED_MAX: usize = 16;

/// The default of `BLACKBOX_STUCK_AFTER`. Volumes of a cloud are attached within one or two minutes, and the kubelet's
/// own wait for volumes ends after two minutes and three seconds.
pub const STUCK_AFTER: Duration = Duration::from_secs(5 * 60);

/// The default of `BLACKBOX_UNREADY_AFTER`: large programs fill their caches for some minutes before they are ready.
pub const UNREADY_AFTER: Duration = Duration::from_secs(10 * 60);

/// Maximum number of pods and containers that hang at the same time, or that may begin to: all pods of the largest node
/// while it starts, each with some containers that are not ready yet.
pub const HANGS_MAX: usize = 2048;

/// The memory of these episodes, with the descriptions of their pods.
pub const HANGS_BYTES_MAX: usize = 2 << 20;

/// How long an agent that has just started watches a pod before it reports that the pod hangs: a moment before, the
/// pod may have waited for something that another incident reported.
pub const HANG_SEEN_MIN: Duration = Duration::from_secs(30);

/// When the events of a pod that hangs are looked up, counted from the first lookup. Only a failed lookup is repeated.
pub const HANG_LOOKUPS: [Duration; 3] =
    [Duration::from_secs(0), Duration::from_secs(10), Duration::from_secs(30)];

/// The time between the first lookups of two pods whose time is over at the same moment: twice the average interval
/// of all lookups, so that the lookups of terminations keep half of the budget.
pub const HANG_LOOKUP_PACE: Duration = Duration::from_millis(400);

/// How long a pod that hangs waits for the answer to its lookups before it is reported without events.
pub const HANG_EVENTS_MAX: Duration = Duration::from_secs(60);

/// How long a container may wait for the kubelet's copy of a secret or config map before it is reported. The kubelet
/// waits a second for it, and tries again within 10 to 60 s; a real lack has another message.
pub const CACHE_SYNC_MAX: Duration = Duration::from_secs(60);

/// How long refusals of the pods of one workload are folded into one line. A controller creates a refused pod again
/// after one second, and later every few minutes; one line in ten minutes shows that it goes on.
pub const STORM_WITHIN: Duration = Duration::from_secs(10 * 60);

/// Maximum number of workloads whose refusals are folded at the same time, each with the newest case, about 1 kB. A
/// node that is full refuses the pods of all DaemonSets and of a few Deployments. Above this, the oldest gets its
/// line early.
pub const STORMS_MAX: usize = 64;

/// The largest number of unseen terminations in one line that has severity low: an outage of a minute hides about as
/// many of a container in a crash loop. More mean that the API cannot keep up with the container.
pub const UNSEEN_LOW_MAX: i64 = 5;

/// How many digits the CronJob controller puts behind the name of a Job, at least: the minutes since 1970 have eight
/// until the year 2160.
pub const SCHEDULE_DIGITS_MIN: usize = 8;

/// How many digits at most: before Kubernetes 1.21 it was the seconds, which have ten.
pub const SCHEDULE_DIGITS_MAX: usize = 10;

/// If the wall clock was set by more than this, it was never right before: a node without a battery-backed
/// clock starts in 1970.
pub const CLOCK_JUMP_MAX: Duration = Duration::from_secs(24 * 60 * 60);

const _: () = assert!(CGROUP_DIRECTORIES_MAX > PODS_MAX);
