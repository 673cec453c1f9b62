//! The list/watch state machine: decides what to request next, from the outcome of the requests so far.
//!
//! ```text
//!            ┌────── 410, too large, periodic, the server's version is older ──────┐
//!            ▼                                                                     │
//!   ┌──▶ List(version) ──on_listed──▶ Watch(version) ──on_closed──▶ Watch(version) …
//!   │        │                          │   ▲    │
//!   │        │                          │   └────┴─ silent ─▶ Version ─on_version─▶ …
//!   └─ Wait ◀┴──────── on_failure ──────┴─▶ Wait, then retry
//! ```
//!
//! | state | problem | next step |
//! | --- | --- | --- |
//! | List at "0" or "" | anything | wait, retry |
//! | List at a version | 410, 504 ResourceVersionTooLarge | List at "" (newest) at once |
//! | List at a version | 400, 422: three times in a row | wait, List at "" |
//! | List at a version | any other failure | wait, retry |
//! | Watch | 410, as a status or as an event | wait, List at the last version |
//! | Watch | 401, 429, 502 to 504, a broken connection | wait, Watch at the last version |
//! | Watch | connection refused | a short wait that does not grow, Watch at the last version |
//! | Watch | 400, 403, 422, 500, an invalid response | wait, Watch; after the fifth in a row at one version: List |
//! | Watch | clean close, idle timeout, cut | Watch at the last version at once |
//! | Watch | very short and the version did not move, or cut while silent | wait, Watch at the last version |
//! | Watch | 1, then 2, 4, … 32 in a row without event and bookmark | Version |
//! | Version | the server's version is older than ours, or cannot be compared | List at the last version |
//! | Version | no response, 401, 429, 502 to 504 | wait, Watch at the last version |
//! | Version | any other failure | wait, List at the last version |
//! | Watch | 30 to 60 minutes since the last list | List at the last version when the watch ends |
//!
//! **Silence.** The API server sends a bookmark only if its version has moved since the watch began
//! (`storage/cacher/cache_watcher.go`, `process`). The version of pods moves with each change of any pod, and with
//! etcd's progress notices, which come every ten minutes by default. So in a quiet cluster a healthy watch sends
//! nothing at all. To distinguish it from a dead path, each watch asks for a timeout a little before the idle
//! timeout: a live API server closes it on time, and the next watch uses the same connection. Only where bookmarks do
//! arrive, watch after watch, are watches as long as client-go's.
//!
//! Resuming is better than relisting as long as the server still has the version: after a relist, several crashes of
//! one container are visible only as a jump of its restart count. The reference is client-go's
//! `tools/cache/reflector.go`. The differences are deliberate: here an HTTP-level 403 or 500 does not relist at once,
//! and client-go has neither the guards against silence nor the periodic list.

use std::time::Duration;

use crate::core::backoff::{Backoff, Jitter};
use crate::core::wire::{is_older, is_usable};
use crate::limits::{
    BOOKMARK_DUE, LIST_ERRORS_MAX, LIVELY_WATCHES_MIN, RELIST_INTERVAL_MAX, RELIST_INTERVAL_MIN,
    RETRY_AFTER_MAX, SILENT_WATCHES_MAX, STREAM_ERRORS_MAX, VERY_SHORT_WATCH,
    WATCH_TIMEOUT_SECONDS,
};

/// The next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// LIST at this version: `"0"` (whatever the cache has), `"N"` (at least N) or `""` (newest).
    List {
        /// The `resourceVersion` parameter.
        resource_version: String,
        /// Why the LIST is needed, for the metric and the log.
        reason: ListReason,
    },
    /// WATCH from this version on.
    Watch {
        /// The `resourceVersion` parameter.
        resource_version: String,
        /// The `timeoutSeconds` parameter.
        timeout_seconds: u64,
    },
    /// LIST at `"0"` with a selector that matches no pod: returns the server's version and nothing else.
    Version,
    /// Send no request before this time (monotonic).
    Wait {
        /// When to call [`Reflector::next`] again.
        until: Duration,
    },
}

/// Why a LIST is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListReason {
    /// Nothing has been listed yet.
    Start,
    /// The server no longer has our version.
    Expired,
    /// Watches were silent, and the server's version is older than ours or cannot be compared with it.
    Silent,
    /// Half an hour to an hour has passed since the last LIST.
    Periodic,
    /// The watch failed several times in a row.
    Error,
}

/// Why a request or a stream failed, grouped by the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// 410, reason Expired or Gone: the version is too old.
    Expired,
    /// 504 with cause ResourceVersionTooLarge: the version is too new for this server.
    VersionTooLarge,
    /// 429, or 5xx with a retry time: the server asks for a delay, of this length if it gives one.
    Throttled(Option<Duration>),
    /// No response, or one from a gateway or an authenticator: a broken connection, a timeout, 401, 502, 503, 504.
    /// This does not make our version invalid, and a LIST would fail in the same way.
    Unavailable,
    /// The connection was refused, or there is no route to the server: a retry is cheap.
    Unreachable,
    /// 400, 422: the server refuses the request itself; its version may be the reason.
    Rejected,
    /// Anything else that may not happen again at the next try: 403, 500, an invalid response.
    Transient,
}

/// How an established watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchEnd {
    /// The server closed it: at its timeout, at its shutdown, or because the agent read too slowly.
    Clean,
    /// The connection broke.
    Cut,
    /// Nothing arrived for the idle timeout.
    Idle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    List(ListReason),
    Watch,
    Version,
}

/// The state machine. It reads no clock: the caller passes `now`, a monotonic time.
#[derive(Debug)]
pub struct Reflector {
    next: Next,
    /// The last version seen; empty until the first list.
    version: String,
    /// The version for the next LIST if it is not the last version seen.
    list_at: Option<&'static str>,
    wait_until: Option<Duration>,
    relist_due: Duration,
    backoff: Backoff,
    jitter: Jitter,
    /// `BLACKBOX_WATCH_IDLE_TIMEOUT`: silence after which the watch's network path counts as dead.
    idle_timeout: Duration,
    watch: WatchRecord,
    /// The version from which the last watch started.
    watched_from: String,
    /// Number of consecutive watches without any line.
    silent_watches: u32,
    /// Number of consecutive silent watches after which the server's version is requested.
    check_after: u32,
    /// Number of consecutive watches with at least one line that lasted until their timeout.
    lively_watches: u32,
    stream_errors: u32,
    /// Number of consecutive LISTs at the last version seen that failed.
    list_errors: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct WatchRecord {
    opened: Duration,
    /// The requested timeout.
    timeout: Duration,
    /// Lines of any kind; one is enough to show that the server is alive.
    lines: u64,
}

impl Reflector {
    /// Creates a reflector that has listed nothing yet. `idle_timeout` is the silence after which the reader closes a
    /// watch ([`WatchEnd::Idle`]). The seed spreads the requests of different agents over time.
    pub fn new(retry_interval: Duration, idle_timeout: Duration, seed: u64) -> Self {
        Self {
            next: Next::List(ListReason::Start),
            version: String::new(),
            list_at: Some("0"),
            wait_until: None,
            relist_due: Duration::MAX,
            backoff: Backoff::new(retry_interval),
            jitter: Jitter::new(seed),
            idle_timeout,
            watch: WatchRecord::default(),
            watched_from: String::new(),
            silent_watches: 0,
            check_after: 1,
            lively_watches: 0,
            stream_errors: 0,
            list_errors: 0,
        }
    }

    /// Returns the last version seen; empty before the first list.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the next step. After `List` or `Watch` the caller must report the outcome with an `on_` function.
    pub fn next(&mut self, now: Duration) -> Step {
        if let Some(until) = self.wait_until {
            if now < until {
                return Step::Wait { until };
            }
            self.wait_until = None;
        }
        match self.next {
            Next::List(reason) => Step::List {
                resource_version: self.list_at.map_or_else(|| self.version.clone(), str::to_owned),
                reason,
            },
            Next::Version => Step::Version,
            Next::Watch => {
                let timeout_seconds = self.watch_timeout_seconds();
                let timeout = Duration::from_secs(timeout_seconds);
                self.watch = WatchRecord { opened: now, timeout, lines: 0 };
                self.version.clone_into(&mut self.watched_from);
                Step::Watch { resource_version: self.version.clone(), timeout_seconds }
            }
        }
    }

    /// Returns a long timeout if bookmarks arrive often enough that the watch is never silent for the idle timeout,
    /// otherwise one shorter than the idle timeout.
    fn watch_timeout_seconds(&mut self) -> u64 {
        let is_lively = self.lively_watches >= LIVELY_WATCHES_MIN;
        let (from, to) = if is_lively && self.idle_timeout >= BOOKMARK_DUE {
            WATCH_TIMEOUT_SECONDS
        } else {
            (self.idle_timeout * 2 / 3, self.idle_timeout * 5 / 6)
        };
        self.jitter.between(from, to).as_secs().max(1)
    }

    /// Reports a complete LIST with this version. Returns true if it is older than a version seen before (etcd was
    /// restored from a backup, or the address now leads to another cluster).
    pub fn on_listed(&mut self, version: &str, now: Duration) -> bool {
        let went_back = is_older(version, &self.version);
        version.clone_into(&mut self.version);
        self.list_at = None;
        self.silent_watches = 0;
        self.stream_errors = 0;
        self.list_errors = 0;
        self.relist_due = now + self.jitter.between(RELIST_INTERVAL_MIN, RELIST_INTERVAL_MAX);
        self.next = Next::Watch;
        went_back
    }

    /// Reports a line of the watch, with the version it carried (empty if none). Returns false if that version is none
    /// that a watch can begin at: the position stays.
    pub fn on_line(&mut self, version: &str) -> bool {
        self.watch.lines += 1;
        if version.is_empty() {
            return true;
        }
        // The versions of a server have one form. A word among numbers would only be refused.
        if !is_usable(version) || is_number(&self.version) && !is_number(version) {
            return false;
        }
        // A late event must not move our position back: the server may no longer have its version.
        if version != self.version && !is_older(version, &self.version) {
            self.stream_errors = 0;
            version.clone_into(&mut self.version);
        }
        true
    }

    /// Reports that the request failed or an `ERROR` event arrived: that stream is over.
    pub fn on_failure(&mut self, failure: Failure, now: Duration) {
        self.check_after = 1;
        self.lively_watches = 0;
        match (failure, self.next) {
            (Failure::Expired | Failure::VersionTooLarge, Next::List(_))
                if self.list_at.is_none() =>
            {
                self.list_at = Some("");
                return;
            }
            (Failure::Expired | Failure::VersionTooLarge, Next::Watch) => {
                self.relist(ListReason::Expired);
            }
            (Failure::Transient | Failure::Rejected, Next::Watch) => {
                self.stream_errors += 1;
                if self.stream_errors >= STREAM_ERRORS_MAX {
                    self.stream_errors = 0;
                    self.relist(ListReason::Error);
                }
            }
            // Keep the version: a LIST would merge the crashes during the outage into one restart count.
            (
                Failure::Throttled(_) | Failure::Unavailable | Failure::Unreachable,
                Next::Watch | Next::Version,
            ) => self.next = Next::Watch,
            // A server that does not report its version may still answer a LIST of the pods.
            (_, Next::Version) => self.on_version(""),
            (Failure::Rejected, Next::List(_)) if self.list_at.is_none() => {
                // Our version itself may be what the server refuses.
                self.list_errors += 1;
                if self.list_errors >= LIST_ERRORS_MAX {
                    self.list_errors = 0;
                    self.list_at = Some("");
                }
            }
            (_, Next::List(_)) => {}
        }
        match failure {
            Failure::Throttled(after) => self.back_off(now, after),
            Failure::Unreachable => {
                self.wait_until = Some(now + self.backoff.reconnect(&mut self.jitter));
            }
            _ => self.back_off(now, None),
        }
    }

    /// Reports that the watch ended without a failure. Returns true if the server closed it at the requested timeout:
    /// then the server is alive and has sent everything.
    pub fn on_closed(&mut self, end: WatchEnd, now: Duration) -> bool {
        let lived = now.saturating_sub(self.watch.opened);
        // The server counts from the arrival of the request, by its own clock; hence the tolerance.
        let is_on_time = end == WatchEnd::Clean && lived >= self.watch.timeout * 9 / 10;
        let is_silent = self.watch.lines == 0;
        if !is_silent {
            self.silent_watches = 0;
        } else if is_on_time || end == WatchEnd::Idle {
            self.silent_watches += 1;
        }
        self.lively_watches =
            if is_on_time && !is_silent { self.lively_watches.saturating_add(1) } else { 0 };
        if !is_on_time {
            // The next watch may reach another server, or this one with another history.
            self.check_after = 1;
        }
        if self.silent_watches >= self.check_after {
            self.next = Next::Version;
        } else if now >= self.relist_due {
            self.relist(ListReason::Periodic);
        }
        // Lines alone are not progress: a proxy's error page has lines too, and a server that ignores the requested
        // version sends the same lines again on each watch.
        let stands_still = self.version == self.watched_from;
        if stands_still && lived < VERY_SHORT_WATCH && !is_on_time
            || is_silent && end == WatchEnd::Cut
        {
            self.back_off(now, None);
        }
        is_on_time
    }

    /// Takes in the response to [`Step::Version`]. A server whose version is older than ours may be silent because it
    /// has not caught up yet, so an older version leads to a relist. Each response doubles the number of silent
    /// watches before the next check.
    pub fn on_version(&mut self, version: &str) {
        self.silent_watches = 0;
        self.check_after = (self.check_after * 2).min(SILENT_WATCHES_MAX);
        let is_comparable = version.parse::<u64>().is_ok() && self.version.parse::<u64>().is_ok();
        if version == self.version || is_comparable && !is_older(version, &self.version) {
            self.next = Next::Watch;
        } else {
            self.relist(ListReason::Silent);
        }
    }

    fn relist(&mut self, reason: ListReason) {
        self.silent_watches = 0;
        self.next = Next::List(reason);
    }

    fn back_off(&mut self, now: Duration, asked: Option<Duration>) {
        let asked = asked.map(|asked| asked.min(RETRY_AFTER_MAX));
        let delay = self.backoff.delay(now, &mut self.jitter, asked);
        self.wait_until = Some(now + delay);
    }
}

fn is_number(version: &str) -> bool {
    !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests;
