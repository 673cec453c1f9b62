//! Limits for the API server: streams, requests, retries, and what is read of API objects.

use std::time::Duration;

use crate::limits::detect::CONTAINERS_PER_POD_MAX;

/// Maximum size of one line of the watch stream, and of one pod in a LIST. etcd refuses objects over 1.5 MiB;
/// such an object written as JSON with every `<` escaped has about 9 MiB.
pub const LINE_BYTES_MAX: usize = 10 << 20;

/// A line longer than this gets a buffer of [`LINE_BYTES_MAX`] at once. A buffer that grows is copied again and again, and
/// takes up to three times the memory of the line; memory that was never written to costs nothing.
pub const LINE_BYTES_SMALL: usize = 1 << 20;

/// How much of its buffer a splitter keeps allocated after a large line. Pod events are mostly under 20 kB.
pub const LINE_BYTES_KEPT: usize = 64 << 10;

const _: () = assert!(LINE_BYTES_KEPT < LINE_BYTES_MAX);

/// The first delay after a failure (client-go's reflector: 800 ms).
pub const BACKOFF_START_MAX: Duration = Duration::from_millis(800);

/// The longest delay, in retry intervals: 30 s at the default interval of 5 s, as in client-go. With jitter,
/// each node sends one request every 30 to 60 s while the API server is down.
pub const BACKOFF_STEPS_CAP: u32 = 6;

/// After this long without a failure, the next failure starts again with the shortest delay (client-go: 2 min).
pub const BACKOFF_QUIET: Duration = Duration::from_secs(120);

/// Bounds of `timeoutSeconds` for a watch that receives bookmarks. The value is drawn uniformly from this
/// range, so that agents which started together do not reconnect together (client-go: 5 to 10 min). The upper
/// bound also limits how long a revoked permission goes unnoticed.
pub const WATCH_TIMEOUT_SECONDS: (Duration, Duration) =
    (Duration::from_secs(300), Duration::from_secs(600));

/// A watch that closes sooner than this and brought nothing new counts as a failure (client-go's
/// VeryShortWatchError).
pub const VERY_SHORT_WATCH: Duration = Duration::from_secs(1);

/// Where the API server sends bookmarks at all, the next one arrives within this time: the server sends one
/// every minute, give or take 1.25 s, and the transfer takes time. Watches of several minutes need an idle
/// timeout longer than this.
pub const BOOKMARK_DUE: Duration = Duration::from_secs(65);

/// After this many watches in a row that received a line and closed on time, the next watches may be long. A
/// single line every ten minutes would not keep a ten-minute watch below its idle timeout.
pub const LIVELY_WATCHES_MIN: u32 = 4;

/// The largest number of silent watches in a row before the server is asked for its version. The agent asks
/// after 1 silent watch, then after 2, 4, … up to this many, because a server accepts a watch from a version in
/// the future and then stays silent. With watches of 75 s the longest interval is 40 minutes. Whenever the
/// server may have changed, the count starts at 1 again.
pub const SILENT_WATCHES_MAX: u32 = 32;

/// A refused connection is retried after this fraction of `BLACKBOX_K8S_RETRY_INTERVAL` up to twice that: 1.5
/// to 3 s at the default. 2,000 nodes then attempt 900 connections a second; each is one packet that the kernel
/// or the node's own proxy refuses. When the server is back, all nodes connect within those 3 s: some 1,300 TLS
/// handshakes and requests a second for one and a half seconds, which the server may answer with 429 and
/// `Retry-After`. A refused request, unlike a refused connection, grows the backoff.
pub const RECONNECT_PARTS: (u32, u32) = (3, 10);

/// After this many failed watches in a row at one resourceVersion, the agent relists: a LIST may work where the
/// watch cannot.
pub const STREAM_ERRORS_MAX: u32 = 5;

/// After this many failed LISTs in a row at our own version, the agent lists at no version: the server may refuse the
/// version itself. Such a LIST reads etcd, so it is not the first choice.
pub const LIST_ERRORS_MAX: u32 = 3;

/// Lower bound of the interval between periodic relists. A relist repairs what no error reveals (a watch cache
/// that lost an event). The server answers it from its cache; two thousand nodes cause about one LIST a second.
pub const RELIST_INTERVAL_MIN: Duration = Duration::from_secs(30 * 60);

/// The upper bound; see [`RELIST_INTERVAL_MIN`].
pub const RELIST_INTERVAL_MAX: Duration = Duration::from_secs(60 * 60);

/// How long reading an answer may take that only acknowledges a request, as a collector's does. The body, a few
/// bytes, is read only so that the connection can be reused.
pub const RECEIPT_BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest `Retry-After` that is obeyed. The API server asks for 30 s at most; a proxy that asks for a day
/// must not blind the node for a day.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(120);

/// How deep an API object may nest. Pods nest a dozen levels deep; `serde_json` has the same limit.
pub const JSON_DEPTH_MAX: u32 = 128;

/// Maximum number of elements read of one list in an object. Each takes half a kilobyte of memory, and a line
/// of 16 MiB has room for millions. There is no use for more elements than containers that are watched.
pub const LIST_ITEMS_MAX: usize = 4 * CONTAINERS_PER_POD_MAX;

/// The longest resourceVersion. A 64-bit number has 20 digits (etcd); versions of other stores are not much
/// longer.
pub const VERSION_BYTES_MAX: usize = 64;

/// Maximum number of Kubernetes events kept from one answer for one pod. A pod has a dozen kinds of events.
pub const EVENTS_PER_POD_MAX: usize = 256;

/// Maximum length of the description of a malformed line or a failed request, in a log line.
pub const FLAW_BYTES_MAX: usize = 400;

/// Size of one read from a file or a response body. A TLS record holds 16 KiB.
pub const READ_BLOCK_BYTES: usize = 16 << 10;

/// Capacity of the queue of event lookups. A lookup that does not fit is answered at once as failed; without
/// events the incident is judged from the pod's status.
pub const EVENT_LOOKUPS_MAX: usize = 64;

/// The average interval between event lookups, to protect etcd. If all 2,000 nodes of a cluster are in trouble
/// at once, the API server's own fairness queues take over.
pub const EVENT_LOOKUP_INTERVAL: Duration = Duration::from_millis(200);

/// Each lookup waits a random time up to this in addition: what makes pods crash is often the same on all nodes
/// and at the same time.
pub const EVENT_LOOKUP_JITTER: Duration = Duration::from_millis(300);

/// How many lookups may be sent at once before [`EVENT_LOOKUP_INTERVAL`] applies.
pub const EVENT_LOOKUP_BURST: u32 = 20;

/// The longest namespace or UID that is put into a request. Labels have at most 63 bytes, UIDs 36.
pub const PLAIN_WORD_BYTES_MAX: usize = 64;

/// How long a lookup waits for the API server. A termination is held back for [`SETTLE_MAX`](crate::limits::SETTLE_MAX), and all lookups
/// share one queue.
pub const EVENT_LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the agent waits after a denied event lookup before it tries again.
pub const EVENT_LOOKUP_DENIED_PAUSE: Duration = Duration::from_secs(300);

/// Maximum number of node conditions in an incident. The kubelet sets four, node-problem-detector adds a few.
pub const NODE_CONDITIONS_MAX: usize = 12;

/// Maximum length of one word taken from the Node object.
pub const NODE_WORD_BYTES_MAX: usize = 64;

/// Maximum size of the Node object. With fifty images and their names it has some 30 kB.
pub const NODE_BYTES_MAX: usize = 512 << 10;

/// When an incident needs the node's data and they are older than this, they are fetched again. The API server
/// answers from its cache.
pub const NODE_FRESH: Duration = Duration::from_secs(60);

/// Tokens and certificates are read again when they are older than this (client-go: one minute for tokens). The
/// kubelet replaces a token when a fifth of its lifetime is left, which is at least twelve minutes.
pub const CREDENTIALS_READ_INTERVAL: Duration = Duration::from_secs(60);

/// A whole answer may take this many times `BLACKBOX_K8S_TIMEOUT`, as long as bytes keep arriving. The pods of
/// a full node are 10 MB, and an edge node's link may be slow.
pub const LIST_TIMEOUTS: u32 = 5;

/// From this time on, the timeout of a read is in whole seconds, rounded up. A second more or less matters to no request
/// that has so much time left.
pub const TIMEOUT_COARSE_FROM: Duration = Duration::from_secs(10);

/// How much longer than its `timeoutSeconds` a watch may last if the server does not close it.
pub const WATCH_OVERTIME: Duration = Duration::from_secs(30);

/// An idle connection older than this is not reused: load balancers drop idle connections silently.
pub const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(15);

/// Maximum size of a response head, and size of the HTTP library's input buffer: two TLS records. The API server's head is
/// under 1 kB; proxies add to it.
pub const RESPONSE_HEAD_BYTES_MAX: usize = 32 << 10;

/// The same for the answers of receivers. Proxies take no longer heads from a server by default.
pub const RECEIPT_HEAD_BYTES_MAX: usize = 8 << 10;

/// Maximum size read of an error response's body: a `Status` of a few hundred bytes, or a proxy's page.
pub const STATUS_BODY_BYTES_MAX: usize = 16 << 10;

/// Maximum number of addresses used for the API server's name; the HTTP library has room for no more.
pub const RESOLVED_MAX: usize = 16;

/// Size of the buffer in which TLS records are decrypted: the largest record, which has 16,645 bytes (RFC 8446,
/// 5.2), or 18,437 before TLS 1.3 (RFC 5246, 6.2.3), plus most of the next record, part of which may have
/// arrived with it.
pub const TLS_BUFFER_BYTES: usize = 32 << 10;

/// How far that buffer may grow during the handshake: a handshake message has at most 64 KiB.
pub const TLS_BUFFER_BYTES_MAX: usize = 128 << 10;

/// The HTTP library's output buffer. One header, the token, must fit into it as a whole.
pub const HTTP_OUTPUT_BUFFER_BYTES: usize = 32 << 10;

/// The same for receivers without a token. One header must fit into it as a whole.
pub const RECEIPT_OUTPUT_BUFFER_BYTES: usize = 8 << 10;

/// The longest token. Service account tokens have 1 to 2 kB; tokens of identity providers, which may list a
/// user's groups, have somewhat more.
pub const TOKEN_BYTES_MAX: usize = 24 << 10;

const _: () = assert!(TOKEN_BYTES_MAX < HTTP_OUTPUT_BUFFER_BYTES);
