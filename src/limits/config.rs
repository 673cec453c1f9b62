//! Settings.

use std::time::Duration;

use crate::limits::api::BOOKMARK_DUE;

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

/// `BLACKBOX_WEBHOOK_URL`. Servers take 8 KiB for a request's first line, and a URL with a signature
/// in it has one or two.
pub const WEBHOOK_URL_BYTES_MAX: usize = 4096;
