//! The API server: its streams, requests, retries, and what is read of its objects.

use std::time::Duration;

use crate::limits::detect::CONTAINERS_PER_POD_MAX;

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

/// How deep an object of the API may nest. Pods nest a dozen deep; `serde_json` has the same limit.
pub const JSON_DEPTH_MAX: u32 = 128;

/// Elements of one list in an object: each is half a kilobyte in memory, and a line of 16 MiB has
/// room for millions. More containers than are watched would be no use.
pub const LIST_ITEMS_MAX: usize = 4 * CONTAINERS_PER_POD_MAX;

/// A resourceVersion: a 64-bit number has 20 digits (etcd), other stores' are not much longer.
pub const VERSION_BYTES_MAX: usize = 64;

/// Kubernetes events of one pod that are kept of an answer: a pod has a dozen kinds of them.
pub const EVENTS_PER_POD_MAX: usize = 256;

/// What is said of a malformed line or a failed request, in a log line.
pub const FLAW_BYTES_MAX: usize = 400;

/// One read of a file or of an answer's body. A TLS record holds 16 KiB.
pub const READ_BLOCK_BYTES: usize = 16 << 10;

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

/// Tokens and certificates are read again when they are older than this (client-go: one minute for
/// tokens). The kubelet replaces a token with a fifth of its life left, twelve minutes at least.
pub const CREDENTIALS_READ_INTERVAL: Duration = Duration::from_secs(60);

/// A whole answer may take so many times `BLACKBOX_K8S_TIMEOUT`, as long as bytes keep coming: the
/// pods of a full node are 10 MB, and an edge node's link may be slow.
pub const LIST_TIMEOUTS: u32 = 5;

/// How much longer than its `timeoutSeconds` a watch may live, if the server does not end it.
pub const WATCH_OVERTIME: Duration = Duration::from_secs(30);

/// An unused connection older than this is not used again: load balancers drop them in silence.
pub const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(15);

/// The head of an answer. The API server's is under 1 kB; proxies add to it.
pub const RESPONSE_HEAD_BYTES_MAX: usize = 32 << 10;

/// The body of a failed answer, a `Status` of a few hundred bytes, or a proxy's page.
pub const STATUS_BODY_BYTES_MAX: usize = 16 << 10;

/// Addresses of the API server's name; the HTTP library has room for no more.
pub const RESOLVED_MAX: usize = 16;

/// The HTTP library's buffer for what comes in: two TLS records.
pub const HTTP_INPUT_BUFFER_BYTES: usize = 32 << 10;

/// What TLS is decrypted in: the largest record, which has 16,645 bytes (RFC 8446, 5.2), or 18,437 before TLS
/// 1.3 (RFC 5246, 6.2.3), and most of the next one, a part of which may have come with it.
pub const TLS_BUFFER_BYTES: usize = 32 << 10;

/// While hands are shaken it may grow so far: a message of a handshake has 64 KiB at most.
pub const TLS_BUFFER_BYTES_MAX: usize = 128 << 10;

/// The HTTP library's buffer for what goes out: one header, the token, must fit into it as a whole.
pub const HTTP_OUTPUT_BUFFER_BYTES: usize = 32 << 10;

/// The longest token. Those of service accounts have 1 to 2 kB, those of identity providers, with a
/// user's groups in them, some more.
pub const TOKEN_BYTES_MAX: usize = 24 << 10;

const _: () = assert!(TOKEN_BYTES_MAX < HTTP_OUTPUT_BUFFER_BYTES);

const _: () = assert!(RESPONSE_HEAD_BYTES_MAX <= HTTP_INPUT_BUFFER_BYTES);
