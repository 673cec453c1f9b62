//! Limits of settings and of the files that they name.

use std::time::Duration;

use crate::limits::api::{BOOKMARK_DUE, RECEIPT_OUTPUT_BUFFER_BYTES};

/// Maximum size of a kubeconfig, CA, certificate, key, token or namespace file. A bundle of every public root
/// is a quarter of this; a larger file is the wrong file, not a bigger one.
pub const CONFIG_FILE_BYTES_MAX: usize = 1024 * 1024;

/// Maximum number of files in a `KUBECONFIG` list. People join a handful, and each may take
/// [`CONFIG_FILE_BYTES_MAX`].
pub const KUBECONFIG_FILES_MAX: usize = 16;

/// Maximum number of YAML nodes that all aliases of a kubeconfig may expand to. kubectl writes no aliases;
/// people who write them repeat a user or a CA.
pub const YAML_ALIASED_NODES_MAX: usize = 10_000;

/// Maximum number of `<<` merge keys in a kubeconfig. Each one copies what it merges.
pub const YAML_MERGES_MAX: usize = 100;

/// Maximum number of names that an error lists when it shows what a kubeconfig contains: enough to spot a
/// typing error.
pub const NAMES_SHOWN_MAX: usize = 12;

/// Maximum number of characters of a rejected value that an error repeats, so that it stays one readable line.
pub const SHOWN_VALUE_CHARS_MAX: usize = 200;

/// Maximum number of unknown variables that get a warning each.
pub const UNKNOWN_SETTINGS_SHOWN_MAX: usize = 20;

/// Lower bound of `BLACKBOX_K8S_TIMEOUT`. Under a second a slow link never completes a TLS handshake; over five
/// minutes a dead API server looks like a slow one.
pub const API_TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// The upper bound; see [`API_TIMEOUT_MIN`].
pub const API_TIMEOUT_MAX: Duration = Duration::from_secs(5 * 60);

/// A thread that asks a server counts as hanging if it makes no progress for this long. Each of its steps has a timeout,
/// and the longest that can be set together stay below this.
pub const HEARTBEAT_NETWORK_MAX: Duration = Duration::from_secs(6 * API_TIMEOUT_MAX.as_secs());

/// Lower bound of `BLACKBOX_K8S_RETRY_INTERVAL`. The backoff grows to six intervals: 0.6 s on a test cluster,
/// half an hour where the API server must be spared.
pub const RETRY_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// The upper bound; see [`RETRY_INTERVAL_MIN`].
pub const RETRY_INTERVAL_MAX: Duration = Duration::from_secs(5 * 60);

/// Lower bound of `BLACKBOX_WATCH_IDLE_TIMEOUT`. The upper bound is the longest watch that the agent requests
/// (`timeoutSeconds` up to 600): a longer timeout could never fire.
pub const WATCH_IDLE_TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// The upper bound; see [`WATCH_IDLE_TIMEOUT_MIN`].
pub const WATCH_IDLE_TIMEOUT_MAX: Duration = Duration::from_secs(10 * 60);

/// Upper bound of `BLACKBOX_LOOKBACK`: an incident of the day before is history, not news.
pub const LOOKBACK_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Upper bound of `BLACKBOX_STUCK_AFTER` and `BLACKBOX_UNREADY_AFTER`: a time of the kubelet that is older than a day is
/// not used, because the clock may have been set since then.
pub const PATIENCE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Lower bound of `BLACKBOX_SAMPLE_INTERVAL`. Every sample reads several files for each container of the node.
/// More often than once a second the recorder would itself be a load; less often than once a minute the samples
/// show nothing about a crash.
pub const SAMPLE_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// The upper bound; see [`SAMPLE_INTERVAL_MIN`].
pub const SAMPLE_INTERVAL_MAX: Duration = Duration::from_secs(60);

/// Lower bound of `BLACKBOX_WINDOW`, which ranges from one sample to an hour.
pub const WINDOW_MIN: Duration = SAMPLE_INTERVAL_MIN;

/// The upper bound; see [`WINDOW_MIN`].
pub const WINDOW_MAX: Duration = Duration::from_secs(60 * 60);

/// Maximum number of log lines kept of a dead container (`BLACKBOX_LOG_LINES`). An incident line of 16,000
/// bytes has room for fewer.
pub const LOG_LINES_MAX: usize = 500;

/// Lower bound of `BLACKBOX_INCIDENT_FILE_MAX_BYTES`, which ranges from a few of the largest incident lines to
/// what a node's disk can spare.
pub const INCIDENT_FILE_BYTES_MIN: u64 = 64 * 1024;

/// The upper bound; see [`INCIDENT_FILE_BYTES_MIN`].
pub const INCIDENT_FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The longest `BLACKBOX_CLUSTER`. It is in each line. The longest names that clouds give are ARNs, with 150 bytes.
pub const CLUSTER_BYTES_MAX: usize = 253;

/// Maximum number of names in `BLACKBOX_IGNORE_NAMESPACES`. An operator with more needs a selector, not a list.
pub const IGNORED_NAMESPACES_MAX: usize = 256;

const _: () = assert!(BOOKMARK_DUE.as_secs() < WATCH_IDLE_TIMEOUT_MAX.as_secs());

const _: () = assert!(SAMPLE_INTERVAL_MAX.as_secs() <= WINDOW_MAX.as_secs());

/// The longest `BLACKBOX_WEBHOOK_URL`. Servers accept 8 KiB for the first line of a request, and a URL that
/// contains a signature has one or two.
pub const RECEIVER_URL_BYTES_MAX: usize = 4096;

/// The shortest time after which an alert is resolved: below it, Alertmanager's own waits would let it end before anybody was
/// notified (`group_wait` is 30 s by default).
pub const ALERT_DURATION_MIN: Duration = Duration::from_secs(60);

/// The longest time after which an alert is resolved.
pub const ALERT_DURATION_MAX: Duration = Duration::from_secs(86_400);

/// The longest header that the operator may add, its name and its value. Most servers refuse longer ones.
pub const HEADER_BYTES_MAX: usize = 8000;

// With `: ` and the line end.
const _: () = assert!(HEADER_BYTES_MAX + 4 <= RECEIPT_OUTPUT_BUFFER_BYTES);

/// Maximum number of headers that the operator may add, and of attributes.
pub const PAIRS_MAX: usize = 32;
