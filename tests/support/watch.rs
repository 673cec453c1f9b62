//! WATCH: where it starts, what it sends, when it ends.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::change::{Change, ChangeKind, Resource, watch_line};
use super::clock;
use super::exchange::{Body, Flow};
use super::http::{Request, Response};
use super::script::Ending;
use super::selector::Selector;
use super::server::Shared;
use super::status;
use super::store::Waited;
use super::table;

/// How often a quiet watch checks whether its client is still connected.
const TICK: Duration = Duration::from_millis(100);
/// The last bookmark is sent this long before timeoutSeconds is over, or at half time if that is sooner.
const LAST_BOOKMARK_LEAD: Duration = Duration::from_secs(2);

/// A parsed watch request.
pub struct WatchPlan {
    resource: Resource,
    selector: Selector,
    start: Start,
    bookmarks: bool,
    timeout: Option<Duration>,
    table: bool,
}

enum Start {
    /// The changes after this version.
    After(u64),
    /// The current state as ADDED events, followed by a bookmark if requested.
    State { end_mark: bool },
}

struct Stream<'a, 'b> {
    shared: &'a Shared,
    plan: &'a WatchPlan,
    body: &'a mut Body<'b>,
    /// Everything up to this version has been sent or skipped.
    cursor: u64,
    /// The version at which the watch began: nothing at or below it is ever sent.
    floor: u64,
    bookmark_at: Option<Instant>,
    deadline: Option<Instant>,
    columns_sent: bool,
}

impl WatchPlan {
    /// Parses the parameters, or returns the refusal.
    pub fn new(
        resource: Resource,
        selector: Selector,
        request: &Request,
    ) -> Result<Self, Response> {
        let version = request.param("resourceVersion");
        let start = if request.flag("sendInitialEvents") {
            if request.param("resourceVersionMatch") != "NotOlderThan" {
                return Err(status::invalid(
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                ));
            }
            Start::State { end_mark: true }
        } else if matches!(version.as_str(), "" | "0") {
            Start::State { end_mark: false }
        } else {
            let message = || status::bad_request(&format!("invalid resource version: {version}"));
            Start::After(version.parse().map_err(|_| message())?)
        };
        let timeout = request.param("timeoutSeconds").parse().ok().filter(|seconds| *seconds > 0);
        Ok(Self {
            resource,
            selector,
            start,
            bookmarks: request.flag("allowWatchBookmarks"),
            timeout: timeout.map(Duration::from_secs),
            table: table::is_wanted(request),
        })
    }

    /// Sends the watch until it ends; returns how the connection ends.
    pub fn run(&self, shared: &Shared, body: &mut Body<'_>) -> io::Result<Ending> {
        let now = clock::now();
        let mut stream = Stream {
            shared,
            plan: self,
            body,
            cursor: 0,
            floor: 0,
            bookmark_at: None,
            deadline: self.timeout.map(|timeout| now + timeout),
            columns_sent: false,
        };
        stream.schedule_bookmark(now);
        match stream.begin()? {
            Flow::End(ending) => Ok(ending),
            Flow::Go => stream.follow(),
        }
    }
}

impl Stream<'_, '_> {
    fn begin(&mut self) -> io::Result<Flow> {
        let store = &self.shared.store;
        match self.plan.start {
            Start::After(version) => {
                let horizon = store.horizon(self.plan.resource);
                (self.cursor, self.floor) = (version, version);
                if version < horizon {
                    let error = watch_line("ERROR", &status::expired(version, horizon));
                    return Ok(match self.body.event(&error)? {
                        Flow::Go => Flow::End(Ending::Close),
                        scripted => scripted,
                    });
                }
                Ok(Flow::Go)
            }
            Start::State { end_mark } => {
                let (objects, version) = store.snapshot(self.plan.resource);
                for object in objects.iter().filter(|object| self.plan.selector.matches(object)) {
                    let line = self.line(ChangeKind::Added, object, None);
                    if let Flow::End(ending) = self.body.event(&line)? {
                        return Ok(Flow::End(ending));
                    }
                }
                self.cursor = version;
                if end_mark {
                    let mark = bookmark(self.plan.resource, version, true);
                    return self.body.event(&watch_line("BOOKMARK", &mark));
                }
                Ok(Flow::Go)
            }
        }
    }

    /// Follows the changes. The watch counts as open from here on: it has its start, so no later compaction can
    /// refuse it.
    fn follow(&mut self) -> io::Result<Ending> {
        // The order matters: a test that sees the watch counted must be able to end it.
        let epoch = self.shared.watch_epoch.load(Ordering::SeqCst);
        self.shared.open_watches.fetch_add(1, Ordering::SeqCst);
        let ending = self.follow_until_over(epoch);
        self.shared.open_watches.fetch_sub(1, Ordering::SeqCst);
        ending
    }

    /// Runs until the server stops, the client closes, timeoutSeconds is over or the script ends it.
    fn follow_until_over(&mut self, epoch: u64) -> io::Result<Ending> {
        loop {
            let patience = self.patience();
            match self.shared.store.wait(self.plan.resource, self.cursor, patience) {
                // The client is too slow for the history: the server closes the watch cleanly.
                Waited::Lost => return Ok(Ending::Close),
                Waited::Quiet(version) if self.shared.options.progress_notices => {
                    self.cursor = self.cursor.max(version);
                }
                Waited::Quiet(_) => {}
                Waited::Changes(changes) => {
                    for change in changes {
                        self.cursor = change.version;
                        if let Flow::End(ending) = self.change(&change)? {
                            return Ok(ending);
                        }
                        // The rest is sent in the next round: a slow batch must not delay the timeout.
                        if self.patience().is_zero() {
                            break;
                        }
                    }
                }
            }
            let now = clock::now();
            if self.bookmark_at.is_some_and(|at| at <= now) {
                self.schedule_bookmark(now);
                if let Flow::End(ending) = self.bookmark()? {
                    return Ok(ending);
                }
            }
            if let Flow::End(ending) = self.body.scripted_end_at(now) {
                return Ok(ending);
            }
            let ended = self.shared.watch_epoch.load(Ordering::SeqCst) != epoch;
            if ended || self.deadline.is_some_and(|deadline| deadline <= now) {
                return Ok(Ending::Close);
            }
            if self.body.is_abandoned() {
                return Ok(Ending::Cut);
            }
        }
    }

    /// Returns how long to wait for changes before there is something else to do.
    fn patience(&self) -> Duration {
        let now = clock::now();
        let ends = [self.bookmark_at, self.deadline, self.body.scripted_end()];
        let next = ends.into_iter().flatten().map(|at| at.saturating_duration_since(now)).min();
        next.map_or(TICK, |next| next.min(TICK))
    }

    fn change(&mut self, change: &Change) -> io::Result<Flow> {
        let selector = &self.plan.selector;
        let is = change.kind != ChangeKind::Deleted && selector.matches(&change.object);
        let was = change.previous.as_ref().is_some_and(|previous| selector.matches(previous));
        // A recorded deletion may be of an object that was never stored here; then its own state counts.
        let was = was || change.previous.is_none() && selector.matches(&change.object);
        let kind = match (was, is) {
            (false, false) => return Ok(Flow::Go),
            (_, true) if change.previous.is_none() => change.kind,
            (false, true) => ChangeKind::Added,
            (true, true) => ChangeKind::Modified,
            (true, false) => ChangeKind::Deleted,
        };
        let line = self.line(kind, &change.object, Some(change));
        self.body.event(&line)
    }

    fn line(&mut self, kind: ChangeKind, object: &Arc<Value>, change: Option<&Change>) -> Arc<str> {
        match change {
            _ if self.plan.table => {
                let columns = !std::mem::replace(&mut self.columns_sent, true);
                let version = object["metadata"]["resourceVersion"].as_str().unwrap_or_default();
                let table = table::table(
                    self.plan.resource,
                    std::slice::from_ref(object),
                    version,
                    columns,
                );
                watch_line(kind.name(), &table).into()
            }
            Some(change) if change.kind == kind => Arc::clone(&change.line),
            _ => watch_line(kind.name(), object).into(),
        }
    }

    fn bookmark(&mut self) -> io::Result<Flow> {
        // Only a newer version than the watch's own is ever sent (`cacher/cache_watcher.go`, `process`). With
        // progress notices the real counter never stands still; so here, with notices, a version equal to the floor
        // counts as newer.
        let has_moved = if self.shared.options.progress_notices {
            self.shared.store.version() >= self.floor
        } else {
            self.cursor > self.floor
        };
        if !has_moved {
            return Ok(Flow::Go);
        }
        self.body.event(&watch_line("BOOKMARK", &bookmark(self.plan.resource, self.cursor, false)))
    }

    fn schedule_bookmark(&mut self, now: Instant) {
        // Events are not in the watch cache, and only the watch cache sends bookmarks.
        if !self.plan.bookmarks || self.plan.resource == Resource::Events {
            return;
        }
        let regular = now + self.shared.options.bookmark_interval;
        let last = self
            .deadline
            .zip(self.plan.timeout)
            .map(|(deadline, timeout)| deadline - LAST_BOOKMARK_LEAD.min(timeout / 2));
        self.bookmark_at =
            Some(last.filter(|last| *last > now).map_or(regular, |l| l.min(regular)));
    }
}

fn bookmark(resource: Resource, version: u64, end_mark: bool) -> Value {
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if end_mark {
        metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    let mut object = json!({"kind": resource.kind(), "apiVersion": "v1", "metadata": metadata});
    if resource == Resource::Pods {
        object["spec"] = json!({"containers": null});
        object["status"] = json!({});
    }
    object
}
