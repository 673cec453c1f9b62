//! The list/watch state machine: says what to ask the API server next, and learns from how it went.
//!
//! ```text
//!            ┌────── 410, too large, periodic, the server's version is older ──────┐
//!            ▼                                                                     │
//!   ┌──▶ List(version) ──on_listed──▶ Watch(version) ──on_closed──▶ Watch(version) …
//!   │        │                          │   ▲    │
//!   │        │                          │   └────┴─ silent ─▶ Version ─on_version─▶ …
//!   └─ Wait ◀┴──────── on_failure ──────┴─▶ Wait, then the same again
//! ```
//!
//! | state | what goes wrong | what follows |
//! | --- | --- | --- |
//! | List at "0" | anything | wait, the same again |
//! | List at a version | 410, 504 ResourceVersionTooLarge | List at "" (newest) at once |
//! | Watch | 410 as a status or as an event | List at the last version |
//! | Watch | 401, 429, 502 to 504, a broken connection | wait, Watch at the last version |
//! | Watch | connection refused | a short wait that does not grow, Watch at the last version |
//! | Watch | 403, 500, what makes no sense | wait; the fifth in a row at one version: List |
//! | Watch | clean end, idle end, cut | Watch at the last version at once, unless it was very short and for nothing |
//! | Watch | 1, then 2, 4, … 32 in a row without event and bookmark | Version |
//! | Version | the server's version is older than ours, or cannot be compared | List at the last version |
//! | Version | no answer, 401, 429, 502 to 504 | wait, Watch at the last version |
//! | Watch | 30 to 60 minutes since the last list | List at the last version when the watch ends |
//!
//! **Silence.** The API server sends a bookmark only when its version has moved since the watch began
//! (`storage/cacher/cache_watcher.go`, `process`). That of pods moves with each change of any pod, and with etcd's
//! progress notices, which come each ten minutes by default. So in a quiet cluster a healthy watch says nothing at
//! all. To tell it from a dead path, a watch is asked to end a little before the idle timeout: an API server that
//! lives ends it on time, and the next one goes over the same connection. Only where bookmarks do come, watch after
//! watch, are watches as long as client-go's.
//!
//! Resuming beats relisting wherever the server still has the version: a relist folds many crashes of
//! one container into a jump of its restart count. The reference is client-go's
//! `tools/cache/reflector.go`; what differs is on purpose (an HTTP-level 403 or 500 does not relist
//! at once; the guards against silence and the periodic list do not exist there).

use std::time::Duration;

use crate::core::backoff::{Backoff, Jitter};
use crate::core::wire::is_older;
use crate::limits::{
    BOOKMARK_DUE, LIVELY_WATCHES_MIN, RELIST_INTERVAL_MAX, RELIST_INTERVAL_MIN, RETRY_AFTER_MAX,
    SILENT_WATCHES_MAX, STREAM_ERRORS_MAX, VERY_SHORT_WATCH, WATCH_TIMEOUT_SECONDS,
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
    /// LIST at `"0"`, with a selector that no pod matches: the server's version, and nothing else.
    Version,
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
    /// Watches were silent, and the server's version is older than ours, or cannot be compared with it.
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
    /// No answer, or one from a gateway or a gatekeeper: a broken connection, a timeout, 401, 502, 503, 504.
    /// Nothing is known against our version, and a LIST would fare no better.
    Unavailable,
    /// The connection was refused, or there is no way to the server: to try costs nobody much.
    Unreachable,
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
    Version,
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
    /// `BLACKBOX_WATCH_IDLE_TIMEOUT`: silence after which the watch's path counts as dead.
    idle_timeout: Duration,
    watch: WatchRecord,
    /// The version that the last watch was asked for.
    watched_from: String,
    /// Watches in a row that gave nothing.
    silent_watches: u32,
    /// After so many of them the server's version is asked for.
    check_after: u32,
    /// Watches in a row that gave something and lasted their time.
    lively_watches: u32,
    stream_errors: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct WatchRecord {
    opened: Duration,
    /// What was asked for.
    timeout: Duration,
    /// Lines of whatever kind: something is there and speaks.
    lines: u64,
}

impl Reflector {
    /// A reflector that knows nothing yet. `idle_timeout`: silence after which whoever reads a watch ends it
    /// ([`WatchEnd::Idle`]). The seed spreads agents over time.
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

    /// A long watch where bookmarks keep it from falling silent for the idle timeout, else one that the server
    /// ends before that.
    fn watch_timeout_seconds(&mut self) -> u64 {
        let is_lively = self.lively_watches >= LIVELY_WATCHES_MIN;
        let (from, to) = if is_lively && self.idle_timeout >= BOOKMARK_DUE {
            WATCH_TIMEOUT_SECONDS
        } else {
            (self.idle_timeout * 2 / 3, self.idle_timeout * 5 / 6)
        };
        self.jitter.between(from, to).as_secs().max(1)
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
            (Failure::Transient, Next::Watch) => {
                self.stream_errors += 1;
                if self.stream_errors >= STREAM_ERRORS_MAX {
                    self.stream_errors = 0;
                    self.relist(ListReason::Error);
                }
            }
            // The version is kept: a LIST would fold the crashes of the outage into a restart count.
            (
                Failure::Throttled(_) | Failure::Unavailable | Failure::Unreachable,
                Next::Watch | Next::Version,
            ) => self.next = Next::Watch,
            // A server that does not tell its version can still be asked for the pods.
            (_, Next::Version) => self.on_version(""),
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

    /// The watch ended without a failure of its own. Returns whether the server ended it when it was asked to: then
    /// it lives, and has told all that there was.
    pub fn on_closed(&mut self, end: WatchEnd, now: Duration) -> bool {
        let lived = now.saturating_sub(self.watch.opened);
        // The server counts from when the request reached it, by its own clock.
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
            // The next watch may meet another server, or this one with another history.
            self.check_after = 1;
        }
        if self.silent_watches >= self.check_after {
            self.next = Next::Version;
        } else if now >= self.relist_due {
            self.relist(ListReason::Periodic);
        }
        // Lines alone are no progress: a proxy's page is made of lines, too, and a server that forgets
        // what it was asked for begins anew each time.
        let stands_still = self.version == self.watched_from;
        if stands_still && lived < VERY_SHORT_WATCH && !is_on_time
            || is_silent && end == WatchEnd::Cut
        {
            self.back_off(now, None);
        }
        is_on_time
    }

    /// The answer to [`Step::Version`]. Only a server whose version is older than ours can be silent because it
    /// has yet to come to ours; each answer that says otherwise doubles the time to the next question.
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

    fn back_off(&mut self, now: Duration, at_least: Option<Duration>) {
        let step = self.backoff.step(now, &mut self.jitter);
        let asked = at_least.unwrap_or_default().min(RETRY_AFTER_MAX);
        // Everyone was told the same number: the jitter goes on top of it.
        let delay = if asked > step { self.jitter.between(asked, asked + step) } else { step };
        self.wait_until = Some(now + delay);
    }
}

#[cfg(test)]
mod tests;
