//! The list/watch state machine: says what to ask the API server next, and learns from how it went.
//!
//! ```text
//!            ┌────────────── 410, too large, periodic, silent ──────────────┐
//!            ▼                                                              │
//!   ┌──▶ List(version) ──on_listed──▶ Watch(version) ──on_closed──▶ Watch(version) …
//!   │        │                            │
//!   └─ Wait ◀┴──────── on_failure ────────┴─▶ Wait, then the same again
//! ```
//!
//! | state | what goes wrong | what follows |
//! | --- | --- | --- |
//! | List at "0" | anything | wait, the same again |
//! | List at a version | 410, 504 ResourceVersionTooLarge | List at "" (newest) at once |
//! | Watch | 410 as a status or as an event | List at the last version |
//! | Watch | 401, 429, 502 to 504, no connection | wait, Watch at the last version |
//! | Watch | 403, 500, what makes no sense | the same; the fifth in a row at one version: List |
//! | Watch | clean end, idle end, cut | Watch at the last version at once, unless it was very short and for nothing |
//! | Watch | two in a row without event and bookmark | List at the last version |
//! | Watch | 30 to 60 minutes since the last list | List at the last version when the watch ends |
//!
//! Resuming beats relisting wherever the server still has the version: a relist folds many crashes of
//! one container into a jump of its restart count. The reference is client-go's
//! `tools/cache/reflector.go`; what differs is on purpose (an HTTP-level 403 or 500 does not relist
//! at once; the guards against silence and the periodic list do not exist there).

use std::time::Duration;

use crate::core::backoff::{Backoff, Jitter};
use crate::limits::{
    BOOKMARK_DUE, RELIST_INTERVAL_MAX, RELIST_INTERVAL_MIN, RETRY_AFTER_MAX, SILENT_WATCHES_MAX,
    STREAM_ERRORS_MAX, VERY_SHORT_WATCH, WATCH_TIMEOUT_SECONDS,
};

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// LIST at this version: `"0"` (whatever the cache has), `"N"` (at least N) or `""` (newest).
    List {
        /// The `resourceVersion` parameter.
        resource_version: String,
        /// Why, for the metric and the log.
        reason: ListReason,
    },
    /// WATCH from this version on.
    Watch {
        /// The `resourceVersion` parameter.
        resource_version: String,
        /// The `timeoutSeconds` parameter.
        timeout_seconds: u64,
    },
    /// Nothing before this time (monotonic).
    Wait {
        /// When to ask again.
        until: Duration,
    },
}

/// Why a LIST is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListReason {
    /// Nothing is known yet.
    Start,
    /// The server has forgotten our version.
    Expired,
    /// Two watches gave neither event nor bookmark: the version may lie in the future.
    Silent,
    /// Half an hour to an hour has passed.
    Periodic,
    /// The stream failed again and again.
    Error,
}

/// Why a request or a stream failed, grouped by what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// 410, reason Expired or Gone: the version is too old.
    Expired,
    /// 504 with cause ResourceVersionTooLarge: the version is too new for this server.
    VersionTooLarge,
    /// 429 or 5xx: the server asks for patience, perhaps for this long.
    Throttled(Option<Duration>),
    /// No answer, or one from a gateway or a gatekeeper: no connection, a timeout, 401, 502, 503, 504.
    /// Nothing is known against our version, and a LIST would fare no better.
    Unavailable,
    /// Anything else that the next try may not meet: 403, 500, an answer that makes no sense.
    Transient,
}

/// How a watch ended that had begun well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchEnd {
    /// The server ended it: at its timeout, at its shutdown, because we were slow.
    Clean,
    /// The connection broke.
    Cut,
    /// Nothing came for the idle timeout.
    Idle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    List(ListReason),
    Watch,
}

/// The state machine. It reads no clock: `now` is monotonic and passed in.
#[derive(Debug)]
pub struct Reflector {
    next: Next,
    /// The last version that was seen; empty until the first list.
    version: String,
    /// The version of the next LIST, when it is not the last one seen.
    list_at: Option<&'static str>,
    wait_until: Option<Duration>,
    relist_due: Duration,
    backoff: Backoff,
    jitter: Jitter,
    watch: WatchRecord,
    /// The version that the last watch was asked for.
    watched_from: String,
    silent_watches: u32,
    stream_errors: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct WatchRecord {
    opened: Duration,
    /// Lines of whatever kind: something is there and speaks.
    lines: u64,
}

impl Reflector {
    /// A reflector that knows nothing yet. The seed spreads agents over time.
    pub fn new(retry_interval: Duration, seed: u64) -> Self {
        Self {
            next: Next::List(ListReason::Start),
            version: String::new(),
            list_at: Some("0"),
            wait_until: None,
            relist_due: Duration::MAX,
            backoff: Backoff::new(retry_interval),
            jitter: Jitter::new(seed),
            watch: WatchRecord::default(),
            watched_from: String::new(),
            silent_watches: 0,
            stream_errors: 0,
        }
    }

    /// The last version seen, empty before the first list.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What to do now. After `List` or `Watch` the answer is due through one of the `on_` functions.
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
            Next::Watch => {
                self.watch = WatchRecord { opened: now, lines: 0 };
                self.version.clone_into(&mut self.watched_from);
                let (from, to) = WATCH_TIMEOUT_SECONDS;
                let timeout =
                    self.jitter.between(Duration::from_secs(from), Duration::from_secs(to));
                Step::Watch {
                    resource_version: self.version.clone(),
                    timeout_seconds: timeout.as_secs(),
                }
            }
        }
    }

    /// A LIST came to its end, with this version. Returns whether the server's history went back
    /// behind what was seen before (etcd restored, another cluster behind the same address).
    pub fn on_listed(&mut self, version: &str, now: Duration) -> bool {
        let went_back = is_older(version, &self.version);
        version.clone_into(&mut self.version);
        self.list_at = None;
        self.silent_watches = 0;
        self.stream_errors = 0;
        self.relist_due = now + self.jitter.between(RELIST_INTERVAL_MIN, RELIST_INTERVAL_MAX);
        self.next = Next::Watch;
        went_back
    }

    /// A line of the watch was taken in, with the version it carried (empty: none).
    pub fn on_line(&mut self, version: &str) {
        self.watch.lines += 1;
        // A late event must not throw the position away: the server may no longer have its version.
        if !version.is_empty() && version != self.version && !is_older(version, &self.version) {
            self.stream_errors = 0;
            version.clone_into(&mut self.version);
        }
    }

    /// The request failed, or an `ERROR` event came: that stream is over.
    pub fn on_failure(&mut self, failure: Failure, now: Duration) {
        match (failure, self.next) {
            (Failure::Expired | Failure::VersionTooLarge, Next::List(_))
                if self.list_at.is_none() =>
            {
                self.list_at = Some("");
            }
            (Failure::Expired | Failure::VersionTooLarge, Next::Watch) => {
                self.relist(ListReason::Expired);
                self.back_off(now, None);
            }
            (Failure::Throttled(after), _) => self.back_off(now, after),
            // The version is kept: a LIST would fold the crashes of the outage into a restart count.
            (Failure::Unavailable, _) => self.back_off(now, None),
            (_, Next::List(_)) => self.back_off(now, None),
            (Failure::Transient, Next::Watch) => {
                self.stream_errors += 1;
                if self.stream_errors >= STREAM_ERRORS_MAX {
                    self.stream_errors = 0;
                    self.relist(ListReason::Error);
                }
                self.back_off(now, None);
            }
        }
    }

    /// The watch ended without a failure of its own.
    pub fn on_closed(&mut self, end: WatchEnd, now: Duration) {
        let lived = now.saturating_sub(self.watch.opened);
        if self.watch.lines > 0 {
            self.silent_watches = 0;
        } else if end == WatchEnd::Idle || lived >= BOOKMARK_DUE {
            self.silent_watches += 1;
        }
        if self.silent_watches >= SILENT_WATCHES_MAX {
            self.relist(ListReason::Silent);
        } else if now >= self.relist_due {
            self.relist(ListReason::Periodic);
        }
        // Lines alone are no progress: a proxy's page is made of lines, too, and a server that forgets
        // what it was asked for begins anew each time.
        let stands_still = self.version == self.watched_from;
        if stands_still && lived < VERY_SHORT_WATCH || self.watch.lines == 0 && end == WatchEnd::Cut
        {
            self.back_off(now, None);
        }
    }

    fn relist(&mut self, reason: ListReason) {
        self.silent_watches = 0;
        self.next = Next::List(reason);
    }

    fn back_off(&mut self, now: Duration, at_least: Option<Duration>) {
        let step = self.backoff.step(now, &mut self.jitter);
        let asked = at_least.unwrap_or_default().min(RETRY_AFTER_MAX);
        // Everyone was told the same number: the jitter goes on top of it.
        let delay = if asked > step { self.jitter.between(asked, asked + step) } else { step };
        self.wait_until = Some(now + delay);
    }
}

/// Versions are opaque by contract before Kubernetes 1.35 and numbers in practice: only two numbers
/// are ever compared.
pub fn is_older(version: &str, than: &str) -> bool {
    match (version.parse::<u64>(), than.parse::<u64>()) {
        (Ok(version), Ok(than)) => version < than,
        _ => false,
    }
}

#[cfg(test)]
#[path = "reflector/tests.rs"]
mod tests;
