//! Every bound of the agent, in one place, each with its reason.
//!
//! Memory does not grow with time, with events, or with what a pod or a server sends: whatever is
//! buffered, queued, kept, read or retried stops at one of these.

mod client;
mod people;

use std::time::Duration;

pub use self::client::*;
pub use self::people::*;

/// One line of the watch stream, and one pod of a LIST. etcd refuses objects over 1.5 MiB; written
/// as JSON with every `<` escaped that is about 9 MiB; client-go stops at 16 MiB as well.
pub const LINE_BYTES_MAX: usize = 16 << 20;

/// What a splitter keeps of its buffer after a large line: pod events are mostly under 20 kB.
pub const LINE_BYTES_KEPT: usize = 64 << 10;

const _: () = assert!(LINE_BYTES_KEPT < LINE_BYTES_MAX);

/// The first delay after a failure (client-go's reflector: 800 ms).
pub const BACKOFF_START_MAX: Duration = Duration::from_millis(800);

/// The longest delay, in retry intervals: 30 s at the default of 5 s, as in client-go. With jitter
/// that is one request in 30 to 60 s from each node while the API server is down.
pub const BACKOFF_STEPS_CAP: u32 = 6;

/// So long without a failure, and the next one starts over with a short delay (client-go: 2 min).
pub const BACKOFF_QUIET: Duration = Duration::from_secs(120);

/// `timeoutSeconds` of a watch on which bookmarks come is uniform between these, so that agents which started
/// together do not come back together (client-go: 5 to 10 min). It also bounds how long a lost right goes unseen.
pub const WATCH_TIMEOUT_SECONDS: (Duration, Duration) =
    (Duration::from_secs(300), Duration::from_secs(600));

/// A watch that ended sooner and brought nothing new counts as a failure (client-go's
/// VeryShortWatchError).
pub const VERY_SHORT_WATCH: Duration = Duration::from_secs(1);

/// Where bookmarks come at all, one comes within this time: each minute, give or take a second and a quarter, and
/// the line takes time. Watches of minutes need an idle timeout that is longer.
pub const BOOKMARK_DUE: Duration = Duration::from_secs(65);

/// So many watches in a row that ended on time and gave something, and the next ones may be long: one line each ten
/// minutes does not keep a watch of ten minutes from its idle timeout.
pub const LIVELY_WATCHES_MIN: u32 = 4;

/// After one silent watch, then after 2, 4, … and at last so many in a row, the server is asked for its version: it
/// accepts a watch from a version of the future and stays silent. At 75 s a watch that is each 40 minutes; whatever
/// else may have changed the server begins with 1 again.
pub const SILENT_WATCHES_MAX: u32 = 32;

/// A refused connection is tried again after this part of `BLACKBOX_K8S_RETRY_INTERVAL` to twice that, 1.5 to 3 s:
/// 2,000 nodes make 900 connects a second, each one packet that the kernel refuses, or that a node's own proxy
/// does. When the server is back they come within those 3 s: some 1,300 TLS handshakes and requests a second for one
/// and a half seconds, which it may answer with 429 and `Retry-After`. A refused request grows the backoff instead.
pub const RECONNECT_PARTS: (u32, u32) = (3, 10);

/// So many failed watches in a row at one version, and a LIST may find what the watch cannot say.
pub const STREAM_ERRORS_MAX: u32 = 5;

/// A LIST heals what no error shows (a watch cache that lost an event). It is answered from the
/// server's cache; two thousand nodes make about one a second.
pub const RELIST_INTERVAL_MIN: Duration = Duration::from_secs(30 * 60);

/// See [`RELIST_INTERVAL_MIN`].
pub const RELIST_INTERVAL_MAX: Duration = Duration::from_secs(60 * 60);

/// The longest `Retry-After` that is obeyed: the API server asks for 30 s at most; a proxy that asks
/// for a day must not blind the node for a day.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(120);

/// A Kubernetes event's message in the agent's memory and in the incident (upstream allows 1 kB).
pub const EVENT_MESSAGE_BYTES_MAX: usize = 512;

/// How far an event's time may lie behind the end it tells of: both come from the node's clock and
/// are cut to whole seconds.
pub const EVENT_SKEW: Duration = Duration::from_secs(1);

/// How much later than grace and probe period a kill may come after the last failure that was
/// recorded: the kubelet's own rounds, and a slow runtime.
pub const PROBE_SLACK: Duration = Duration::from_secs(5);

/// Pods of one node that are watched. The kubelet's default is 110, the largest nodes run 500.
pub const PODS_MAX: usize = 1024;

/// How deep an object of the API may nest. Pods nest a dozen deep; `serde_json` has the same limit.
pub const JSON_DEPTH_MAX: u32 = 128;

/// Containers of one pod that are watched. The API sets no number, only 1.5 MiB for the whole pod.
pub const CONTAINERS_PER_POD_MAX: usize = 128;

/// Elements of one list in an object: each is half a kilobyte in memory, and a line of 16 MiB has
/// room for millions. More containers than are watched would be no use.
pub const LIST_ITEMS_MAX: usize = 4 * CONTAINERS_PER_POD_MAX;

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

/// Labels of a pod that an incident carries: those that Kubernetes recommends are six.
pub const LABELS_MAX: usize = 12;
/// Of a label's name and of its value: Kubernetes allows 317 and 63, and nearly all are short.
pub const LABEL_BYTES_MAX: usize = 64;
/// Of all labels as the API writes them; past that none is read.
pub const LABELS_BYTES_MAX: usize = 64 << 10;
/// Of all owners as the API writes them; past that none is read. Pods have one, of 200 bytes. They are read
/// for each incident, of which one object may hold hundreds.
pub const OWNERS_BYTES_MAX: usize = 64 << 10;

/// From this incident of one container on within [`BRIEF_WITHIN`], its telemetry is brief: a crash loop
/// says the same again and again.
pub const BRIEF_AFTER: usize = 6;
/// See [`BRIEF_AFTER`].
pub const BRIEF_WITHIN: Duration = Duration::from_secs(3600);
/// Samples of a container in brief telemetry: the last minute at the default interval.
pub const BRIEF_SAMPLES: usize = 12;
/// Log lines in brief telemetry.
pub const BRIEF_LOG_LINES: usize = 5;

/// Containers of which it is known when they crashed: each takes about 120 bytes, and a node that has
/// more of them in crash loops has other worries.
pub const RECURRENCES_MAX: usize = 2048;
/// Crashes of one container of which it is known when they were: enough to count to "tenth".
pub const RECURRENCE_TIMES_MAX: usize = 10;
const _: () = assert!(RECURRENCE_TIMES_MAX >= BRIEF_AFTER);

/// The time in which the sentence counts restarts: a crash loop's back-off is at most five minutes.
pub const RESTARTS_TOLD_WITHIN: Duration = Duration::from_secs(600);

/// From this incident of one container on within [`CRASH_LOOP_WITHIN`] it counts as one of a crash loop:
/// one crash may be chance, and a second one its consequence.
pub const CRASH_LOOP_AFTER: usize = 3;
/// See [`CRASH_LOOP_AFTER`]: the kubelet waits at most five minutes, and forgets that it waited once a
/// container ran for ten. Whatever it holds back thus ends each fifteen minutes or more often.
pub const CRASH_LOOP_WITHIN: Duration = Duration::from_secs(1800);
const _: () = assert!(CRASH_LOOP_WITHIN.as_secs() <= BRIEF_WITHIN.as_secs());
const _: () = assert!(RECURRENCE_TIMES_MAX >= CRASH_LOOP_AFTER);

/// The time before the end in which the memory's growth is looked at.
pub const GROWTH_WITHIN: Duration = Duration::from_secs(60);
/// Growth that is worth a word.
pub const GROWTH_MIN_BYTES_PER_SECOND: f64 = 65_536.0;

/// A resourceVersion: a 64-bit number has 20 digits (etcd), other stores' are not much longer.
pub const VERSION_BYTES_MAX: usize = 64;

/// Addresses of a pod: one of each family.
pub const ADDRESSES_PER_POD_MAX: usize = 4;

/// Deleted pods that are remembered, against events which come after the deletion.
pub const PODS_GONE_REMEMBERED_MAX: usize = 1024;

/// Static pods whose mirror was deleted and may come back. A node has a handful.
pub const STATIC_PODS_REMEMBERED_MAX: usize = 64;

const _: () = assert!(ENDS_KNOWN_PER_CONTAINER <= u8::MAX as usize);

/// Names, reasons, images and IDs in an incident. Kubernetes allows 253 for a name; images are the
/// longest, at 255 and a digest.
pub const NAME_BYTES_MAX: usize = 384;

/// A container's or pod's own message in an incident: a termination message is 4 kB at most, and
/// the line has 16,000 bytes for everything.
pub const STATUS_MESSAGE_BYTES_MAX: usize = 4096;

/// What the sentence quotes of it.
pub const SENTENCE_QUOTE_BYTES_MAX: usize = 200;

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

/// Kubernetes events in one incident.
pub const EVENTS_PER_INCIDENT_MAX: usize = 10;

/// Kubernetes events of one pod that are kept of an answer: a pod has a dozen kinds of them.
pub const EVENTS_PER_POD_MAX: usize = 256;

// Configuration: what an operator may set, and how much of a file is read.

/// Most bytes of a kubeconfig, CA, certificate, key, token or namespace file. A bundle of every
/// public root is a quarter of this; something larger is the wrong file, not a bigger one.
pub const CONFIG_FILE_BYTES_MAX: usize = 1024 * 1024;
/// Most files in a `KUBECONFIG` list: people join a handful, each may take
/// [`CONFIG_FILE_BYTES_MAX`].
pub const KUBECONFIG_FILES_MAX: usize = 16;
/// Most YAML nodes that a kubeconfig's aliases may stand for, all together: kubectl writes none,
/// people who do repeat a user or a CA.
pub const YAML_ALIASED_NODES_MAX: usize = 10_000;
/// Most `<<` of a kubeconfig. Each copies what it merges.
pub const YAML_MERGES_MAX: usize = 100;
/// Most names an error lists when it says what a kubeconfig does have: enough to spot a typing
/// error.
pub const NAMES_SHOWN_MAX: usize = 12;
/// Most characters of a rejected value that an error repeats, so that it stays one readable line.
pub const SHOWN_VALUE_CHARS_MAX: usize = 200;
/// Most unknown variables that are warned about one by one.
pub const UNKNOWN_SETTINGS_SHOWN_MAX: usize = 20;

/// Bounds of `BLACKBOX_K8S_TIMEOUT`. Under a second a slow link never completes a TLS handshake;
/// over five minutes a dead API server looks like a slow one.
pub const API_TIMEOUT_MIN: Duration = Duration::from_secs(1);
/// See [`API_TIMEOUT_MIN`].
pub const API_TIMEOUT_MAX: Duration = Duration::from_secs(5 * 60);

/// Bounds of `BLACKBOX_K8S_RETRY_INTERVAL`. The backoff grows to six of these: 0.6 s on a test
/// cluster, half an hour where the API server must be spared.
pub const RETRY_INTERVAL_MIN: Duration = Duration::from_millis(100);
/// See [`RETRY_INTERVAL_MIN`].
pub const RETRY_INTERVAL_MAX: Duration = Duration::from_secs(5 * 60);

/// Bounds of `BLACKBOX_WATCH_IDLE_TIMEOUT`. The upper one is the longest watch that is asked for
/// (`timeoutSeconds` up to 600): past it the timeout could never fire.
pub const WATCH_IDLE_TIMEOUT_MIN: Duration = Duration::from_secs(1);
/// See [`WATCH_IDLE_TIMEOUT_MIN`].
pub const WATCH_IDLE_TIMEOUT_MAX: Duration = Duration::from_secs(10 * 60);

/// A wall clock that was set by more than this had never been right: a node without a battery begins
/// in 1970.
pub const CLOCK_JUMP_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Longest `BLACKBOX_LOOKBACK`: an incident of the day before is history, not news.
pub const LOOKBACK_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Bounds of `BLACKBOX_SAMPLE_INTERVAL`. Every sample reads some files for each container of the
/// node; more often than each second the recorder would be a load itself, less than once a minute
/// says nothing about a crash.
pub const SAMPLE_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// See [`SAMPLE_INTERVAL_MIN`].
pub const SAMPLE_INTERVAL_MAX: Duration = Duration::from_secs(60);
/// Bounds of `BLACKBOX_WINDOW`: from one sample to an hour.
pub const WINDOW_MIN: Duration = SAMPLE_INTERVAL_MIN;
/// See [`WINDOW_MIN`].
pub const WINDOW_MAX: Duration = Duration::from_secs(60 * 60);
/// Most samples in a window, so in every ring: five minutes of seconds. A ring exists for each
/// quantity of each container, and an incident line thins its columns far below this anyway.
pub const WINDOW_SAMPLES_MAX: u32 = 300;

/// Samples that a ring takes memory for at once: those of the default window.
pub const RING_STEP: usize = 60;

/// Most log lines kept of a dead container (`BLACKBOX_LOG_LINES`); an incident line of 16,000 bytes
/// has room for fewer.
pub const LOG_LINES_MAX: usize = 500;

/// Bounds of `BLACKBOX_INCIDENT_FILE_MAX_BYTES`: from a few of the largest incident lines to what a
/// node's disk can spare.
pub const INCIDENT_FILE_BYTES_MIN: u64 = 64 * 1024;
/// See [`INCIDENT_FILE_BYTES_MIN`].
pub const INCIDENT_FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Most names in `BLACKBOX_IGNORE_NAMESPACES`: whoever needs more wants a selector, not a list.
pub const IGNORED_NAMESPACES_MAX: usize = 256;

const _: () = assert!(BOOKMARK_DUE.as_secs() < WATCH_IDLE_TIMEOUT_MAX.as_secs());
const _: () = assert!(SAMPLE_INTERVAL_MAX.as_secs() <= WINDOW_MAX.as_secs());

/// An incident line with its newline. Container runtimes split log lines at 16 KiB; below that a
/// line arrives whole, with some room for what a log pipeline puts around it.
pub const INCIDENT_LINE_BYTES_MAX: usize = 16_000;

/// What is said of a malformed line or a failed request, in a log line.
pub const FLAW_BYTES_MAX: usize = 400;

/// One read of a file or of an answer's body. A TLS record holds 16 KiB.
pub const READ_BLOCK_BYTES: usize = 16 << 10;

/// Kubernetes events of a recording that a replay keeps for lookups. An hour of a busy node has a
/// few thousand.
pub const REPLAY_EVENTS_MAX: usize = 20_000;

/// A detection without a sign of life for so long hangs: it wakes each ten seconds at the latest.
pub const HEARTBEAT_MAX: Duration = Duration::from_secs(60);

/// How much longer than the idle timeout a watch may be silent before the agent is not ready: the
/// time to open it anew.
pub const FRESH_MARGIN: Duration = Duration::from_secs(30);

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

const _: () = assert!(INCIDENT_REPAIR_BYTES > INCIDENT_LINE_BYTES_MAX);

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

/// `BLACKBOX_WEBHOOK_URL`. Servers take 8 KiB for a request's first line, and a URL with a signature
/// in it has one or two.
pub const WEBHOOK_URL_BYTES_MAX: usize = 4096;

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

/// Lookups of events that wait. More than that at once are answered from what the status says.
pub const EVENT_LOOKUPS_MAX: usize = 64;

/// The rate at which events are looked up, for the sake of etcd: with all 2,000 nodes of a cluster
/// in trouble at once that is what the API server's own fairness queues are for.
pub const EVENT_LOOKUP_INTERVAL: Duration = Duration::from_millis(200);

/// Each lookup waits up to that besides, by chance: what makes pods crash is often the same on all nodes
/// and at the same time.
pub const EVENT_LOOKUP_JITTER: Duration = Duration::from_millis(300);

/// So many lookups may come at once before the rate holds.
pub const EVENT_LOOKUP_BURST: u32 = 20;

/// The longest namespace or UID that goes into a request: labels have 63 at most, UIDs 36.
pub const PLAIN_WORD_BYTES_MAX: usize = 64;

/// How long a lookup waits for the API server: an end is held for [`SETTLE_MAX`], and all lookups wait
/// in one line.
pub const EVENT_LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// The right to list events is asked for again after so long without it.
pub const EVENT_LOOKUP_DENIED_PAUSE: Duration = Duration::from_secs(300);

/// Conditions of the node in an incident: the kubelet has four, node-problem-detector adds a few.
pub const NODE_CONDITIONS_MAX: usize = 12;

/// A word of the node's object.
pub const NODE_WORD_BYTES_MAX: usize = 64;

/// The node's object: with fifty images and their names some 30 kB.
pub const NODE_BYTES_MAX: usize = 512 << 10;

/// What is known of the node is asked for anew when an incident needs it and it is older than that. It is
/// answered from the API server's cache.
pub const NODE_FRESH: Duration = Duration::from_secs(60);

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

/// A file below `/proc`. `/proc/stat` grows with the number of CPUs and interrupts.
pub const PROC_FILE_BYTES_MAX: u64 = 256 << 10;

/// Words to main: a signal, or the end of a thread. There are half a dozen threads.
pub const CONTROL_MAX: usize = 16;

// --- container sampler ---

/// How far below the hierarchy's root the kubelet's own root (`--cgroup-root`) may lie. kind without a
/// cgroup namespace of its own has three levels (`docker/<id>/kubelet`), the kubelet nests no deeper by
/// itself.
pub const CGROUP_DEPTH_MAX: usize = 6;

/// Directories that one scan reads of the pods: one for each, and a few above. A full node has
/// [`PODS_MAX`].
pub const CGROUP_DIRECTORIES_MAX: usize = 2048;

const _: () = assert!(CGROUP_DIRECTORIES_MAX > PODS_MAX);

/// Directories in which the pods' own root is looked for, the upper ones first. A node has some hundred
/// of the system's and of its users.
pub const CGROUP_SEARCH_DIRECTORIES_MAX: usize = 2048;

/// Entries of one directory that a scan looks at: 500 pods, and up to a hundred files.
pub const CGROUP_ENTRIES_MAX: usize = 4096;

/// Roots of pods that a scan keeps. A node has one; several kind nodes that see each other have more.
pub const CGROUP_ROOTS_MAX: usize = 16;

/// Containers whose directories a scan remembers, sandboxes included: about 250 bytes each.
pub const CGROUP_CONTAINERS_MAX: usize = 4096;

/// What is read of a file of a control group. `memory.stat` is the longest, with 1.5 to 4 kB.
pub const CGROUP_FILE_BYTES_MAX: usize = 8 << 10;

/// Containers that have samples at the same time, those that are gone included. A full node has a few
/// hundred; each takes about 2.4 kB with a window of 60 samples, when it is full.
pub const RECORDED_CONTAINERS_MAX: usize = 1024;

/// Samples of the fast phase that a container keeps besides its regular ones, 8 s at the default
/// interval: how steep the last rise was. They have a ring of their own, or a container that lives near
/// its limit would lose the minutes before.
pub const FAST_SAMPLES_MAX: usize = 16;

/// The limit of a container or a pod is read each so many readings: it changes when a pod is resized in place.
pub const LIMIT_READ_EVERY: u8 = 6;

/// Containers that are sampled fast at the same time, those nearest to their limits: 8 of them twice a
/// second cost less than 100 each five seconds.
pub const FAST_CONTAINERS_MAX: usize = 8;

/// A container whose working set takes so much of its limit is sampled fast.
pub const FAST_FROM_PERCENT: u64 = 90;

/// How many fast samples fit into the interval of regular ones.
pub const FAST_SAMPLES_PER_INTERVAL: u32 = 10;

/// But no more often than this.
pub const FAST_INTERVAL_MIN: Duration = Duration::from_millis(500);

/// How long the samples of a container that is gone are kept: the API tells of an end within seconds,
/// after a partition within a minute or two, and the incident may wait for [`SETTLE_STOPPING_MAX`].
pub const RECORDS_KEPT: Duration = Duration::from_secs(120);

/// The pause between two scans, however many containers are looked for.
pub const CGROUP_SCAN_PAUSE: Duration = Duration::from_secs(3);

/// So many scans without a container, and it is not looked for any more: it has ended, or the runtime
/// calls its directory something else.
pub const CGROUP_SCAN_TRIES_MAX: u8 = 5;

/// Times at which an OOM counter rose that are remembered, of each container and pod. A child that is
/// killed over and over brings one a sample; past this the oldest is forgotten.
pub const OOM_RISES_MAX: usize = 8;

/// How long before an incident an OOM counter may have risen to have to do with it: a killed process's
/// container ends within its grace, 30 s by default, and the API may tell of it some seconds later.
pub const OOM_RISES_RECENT: Duration = Duration::from_secs(60);

// --- last words ---

/// What is read of a log file's end. Five hundred lines of half a kilobyte; a container may write
/// gigabytes, and the file before it is read as well where this one is short.
pub const LOG_TAIL_BYTES_MAX: usize = 256 << 10;

/// What is kept of one line while its parts are joined, as the container wrote it. Runtimes cut at
/// 16 KiB, so that a line in one part is never cut here; what is shown of it is far less.
pub const LOG_JOIN_BYTES_MAX: usize = 16 << 10;

/// What is shown of one log line, in bytes of its readable form: a structured line with a stack trace
/// in it has one or two kilobytes, and at least two of the longest have to fit.
pub const LOG_LINE_BYTES_MAX: usize = 2 << 10;

/// Log lines in one incident, in bytes of the incident line, quotes and times included. The rest of
/// the 16,000 is for the facts, the containers, the events and the samples.
pub const LOG_BYTES_MAX: usize = 6 << 10;

// Every byte of a line may need a backslash in JSON, and some 70 stand around it.
const _: () = assert!(2 * LOG_LINE_BYTES_MAX + 128 <= LOG_BYTES_MAX);
const _: () = assert!(LOG_BYTES_MAX < INCIDENT_LINE_BYTES_MAX / 2);
const _: () = assert!(LOG_LINE_BYTES_MAX < LOG_JOIN_BYTES_MAX);

/// Entries of a container's log folder that are looked at: five files for each of the instances kept
/// (the kubelet's default), and 50 where an operator keeps more.
pub const LOG_FOLDER_ENTRIES_MAX: usize = 1024;

/// How often a log file is opened anew that was replaced between being looked at and being opened:
/// the kubelet rotates once in ten seconds at most.
pub const LOG_OPEN_TRIES_MAX: usize = 3;

/// The longest name on the way to a log file. File systems allow 255 bytes.
pub const LOG_NAME_BYTES_MAX: usize = 255;

/// Lines of a private key behind its first one that are masked while its end does not come: a key of
/// 16,384 bits has 200.
pub const MASK_KEY_LINES_MAX: usize = 256;

/// How far the `@` of a URL may be from its `://`, for a password before it to be masked. It keeps
/// the time for a line of nothing but `://` in bounds.
pub const MASK_USERINFO_BYTES_MAX: usize = 512;

// --- telemetry that pods post ---

/// The body of a post: 16 names of 64 bytes, each with a number, and the pod's name are under 3 kB,
/// however they are indented. A thread reads one at a time, on a stack of [`HTTP_STACK_BYTES`].
pub const TELEMETRY_BODY_BYTES_MAX: usize = 8 << 10;

/// Different names of one pod, so in one post as well. An incident line has 16,000 bytes for everything:
/// with more there would be no room for a curve of each.
pub const TELEMETRY_NAMES_MAX: usize = 16;

/// Of one name; Prometheus' own are mostly under 50 bytes.
pub const TELEMETRY_NAME_BYTES_MAX: usize = 64;

/// Samples that are kept of one name: five minutes at a post each five seconds, which is the history that
/// an incident carries by default.
pub const TELEMETRY_SAMPLES_MAX: usize = 60;

/// Names of all pods together: eight for each pod of an ordinary full node (110), and for a node of 500
/// pods still more than one. With this the table stays below [`TELEMETRY_BYTES_MAX`].
pub const TELEMETRY_SERIES_MAX: usize = 896;

/// What the table of posted telemetry takes at most, whatever comes: a quarter of the agent's memory. It
/// follows from the other limits; a name with all its samples takes under 900 bytes, and a pod under 200.
pub const TELEMETRY_BYTES_MAX: usize = 1 << 20;

const _: () = assert!(TELEMETRY_SERIES_MAX * 900 + PODS_MAX * 200 <= TELEMETRY_BYTES_MAX);

/// Posts of one pod that may come at once, before [`TELEMETRY_INTERVAL`] holds: several containers of a
/// pod that start together.
pub const TELEMETRY_BURST: u32 = 10;

/// The rate of one pod's posts over time. More often than each second the recorder would be a load.
pub const TELEMETRY_INTERVAL: Duration = Duration::from_secs(1);

/// When to come back while the table is full: pods go in minutes, not in seconds.
pub const TELEMETRY_FULL_RETRY: Duration = Duration::from_secs(60);
// --- system sampler ---

/// A file of the node's procfs with a known, short content: `loadavg`, `meminfo` and `pressure/*` have
/// 2 kB at most; of `stat`, which grows with CPUs and interrupts, the first line is all that is used.
pub const PROC_SHORT_BYTES_MAX: usize = 4 << 10;

/// A table of the node's procfs, `diskstats` and `net/dev`: some 130 bytes for each disk, partition
/// and interface, the pods' interfaces too. Room for about two thousand.
pub const PROC_TABLE_BYTES_MAX: usize = PROC_FILE_BYTES_MAX as usize;

/// Whole disks of a node. Storage servers have about a hundred; so do nodes with many volumes from a
/// storage network.
pub const DISKS_MAX: usize = 128;

/// Interfaces of a node that lead outside, without those of its pods. Large servers have a dozen.
pub const INTERFACES_MAX: usize = 64;

/// The name of a disk or an interface: `DISK_NAME_LEN` of include/linux/blkdev.h; interfaces have half
/// of that (`IFNAMSIZ`).
pub const DEVICE_NAME_BYTES_MAX: usize = 32;
