//! Times what does not get on: a pod that does not start, a pod that does not go after its deletion, a container that
//! runs and does not become ready. It also holds back a configuration error that mostly passes in seconds.
//!
//! ```text
//! object: it hangs ─▶ Waits ── its time is over ─▶ Asks ── the events, or no answer in time ─▶ Over: reported
//!         it got on ─▶ forgotten
//! ```
//!
//! Only pods and containers that hang now have an entry here. What was reported is known by its incident id to the
//! [`PodTable`], so that an episode is reported once, over relists and restarts of the agent. A time of the kubelet says
//! since when the episode lasts, so that a restarted agent does not begin from zero.

use std::time::Duration;

use jiff::Timestamp;

use crate::core::Now;
use crate::core::case::{
    Case, ContainerKind, EventInfo, Gap, Hang, IncidentId, IncidentType, Part, Subject,
    bytes_together,
};
use crate::core::detect::classify;
use crate::core::detect::conditions;
use crate::core::detect::container::{Container, containers, finished};
use crate::core::detect::evidence::PodEvent;
use crate::core::detect::open::CaseOpener;
use crate::core::detect::pods::PodTable;
use crate::core::detect::settle::Lookup;
use crate::core::order::sort_by;
use crate::core::wire;
use crate::limits::{
    CACHE_SYNC_MAX, CLOCK_JUMP_MAX, EVENTS_PER_INCIDENT_MAX, HANG_EVENTS_MAX, HANG_LOOKUP_PACE,
    HANG_LOOKUPS, HANG_SEEN_MIN, HANGS_BYTES_MAX, HANGS_MAX, STUCK_AFTER, UNREADY_AFTER,
};

/// How long pods and containers may hang before they are reported. Zero: they are not reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// `BLACKBOX_STUCK_AFTER`.
    pub stuck: Duration,
    /// `BLACKBOX_UNREADY_AFTER`.
    pub unready: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { stuck: STUCK_AFTER, unready: UNREADY_AFTER }
    }
}

impl Patience {
    fn of(self, hang: Hang) -> Duration {
        match hang {
            Hang::Start | Hang::End => self.stuck,
            Hang::Ready => self.unready,
        }
    }
}

/// How the agent sees an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    /// True if this agent has seen no earlier object of the pod.
    pub(super) is_first: bool,
    /// True if the object is from a list whose content is history: what was overdue before it is not reported.
    pub(super) is_history: bool,
    /// True if the deletion of the pod was requested.
    pub(super) is_deleted: bool,
}

/// An episode that is to be reported.
#[derive(Debug)]
pub(super) struct Over {
    /// The key of the pod.
    pub(super) key: Box<str>,
    pub(super) case: Box<Case>,
}

#[derive(Debug)]
enum State {
    /// The episode may still end in time.
    Waits {
        /// When its time is over (monotonic).
        due: Duration,
        /// How long the episode will have lasted then.
        lasts: Duration,
    },
    /// The pod's events are looked up.
    Asks {
        since: Duration,
        lookups: usize,
        /// `None`: a lookup is on its way.
        lookup_at: Option<Duration>,
    },
}

#[derive(Debug)]
struct Entry {
    key: Box<str>,
    case: Box<Case>,
    /// What the case takes in memory without the description of its pod.
    own_bytes: usize,
    /// What the description of its pod takes, which the cases of one object share.
    pod_bytes: usize,
    since: Timestamp,
    state: State,
}

/// An episode that an object shows.
struct Shown<'p, 'a> {
    hang: Hang,
    container: Option<Container<'p, 'a>>,
    id: IncidentId,
    /// Since when it lasts, according to an agent that sees the pod for the first time.
    since: Option<Timestamp>,
    /// The pod did something at that time, so the episode did not begin before it.
    got_on: Option<Timestamp>,
}

/// What hangs now.
#[derive(Debug, Default)]
pub(super) struct Hangs {
    patience: Patience,
    entries: Vec<Entry>,
}

impl Hangs {
    pub(super) fn set_patience(&mut self, patience: Patience) {
        self.patience = patience;
    }

    /// Takes in an object of a pod. Returns false if there is no room for an episode that it shows.
    pub(super) fn on_object(
        &mut self,
        opener: &CaseOpener<'_, '_>,
        sight: Sight,
        table: &mut PodTable,
    ) -> bool {
        let (key, now) = (opener.key, opener.now);
        let shown = shown(opener.pod, key, sight.is_deleted, self.patience);
        if shown.is_empty() && self.entries.is_empty() {
            return true;
        }
        self.entries.retain(|entry| {
            *entry.key != *key
                || entry.is_cache_sync()
                || shown.iter().any(|s| s.id == entry.case.id)
        });
        let mut has_room = true;
        for episode in shown {
            let name = episode.container.map(|container| &*container.status.name);
            if table.knows_episode(key, name, episode.id) {
                continue;
            }
            let after = self.patience.of(episode.hang);
            if let Some(at) = self.entries.iter().position(|e| e.case.id == episode.id) {
                self.entries[at].update(&episode, opener, after);
                // The object may say more than the one before.
                if self.bytes() > HANGS_BYTES_MAX {
                    self.entries.remove(at);
                    has_room = false;
                }
                continue;
            }
            let since = if sight.is_first { episode.since } else { None };
            let since = match episode.hang {
                Hang::End => episode.since,
                Hang::Start | Hang::Ready => since.max(episode.got_on.filter(|_| since.is_some())),
            };
            let (since, state) = time(since, episode.hang, after, now, sight.is_first);
            if sight.is_history && is_overdue(since, after, now) {
                table.learn_episode(key, name, episode.id);
            } else {
                let case = opener.hang(episode.container.as_ref(), episode.hang, episode.id);
                has_room &= self.push(key, case, since, state);
            }
        }
        has_room
    }

    /// Holds back a configuration error that mostly passes. Returns false if there is no room for it.
    pub(super) fn hold_cache_sync(&mut self, key: &str, case: Case, now: Now) -> bool {
        if self.entries.iter().any(|entry| entry.case.id == case.id) {
            return true;
        }
        let state = State::Waits { due: now.monotonic + CACHE_SYNC_MAX, lasts: CACHE_SYNC_MAX };
        self.push(key, case, now.wall, state)
    }

    /// Adds an entry, unless there is no room for it.
    fn push(&mut self, key: &str, case: Case, since: Timestamp, state: State) -> bool {
        if self.entries.len() >= HANGS_MAX {
            return false;
        }
        let (own_bytes, pod_bytes) = (case.own_bytes(), case.pod.bytes());
        let case = Box::new(case);
        self.entries.push(Entry { key: key.into(), case, own_bytes, pod_bytes, since, state });
        let has_room = self.bytes() <= HANGS_BYTES_MAX;
        if !has_room {
            self.entries.pop();
        }
        has_room
    }

    /// Returns what the entries take in memory.
    fn bytes(&self) -> usize {
        let entries = self.entries.iter();
        bytes_together(entries.map(|entry| (&entry.case.pod, entry.own_bytes, entry.pod_bytes)))
    }

    /// Forgets the configuration error of a container that is held back: it passed, or is another one now.
    pub(super) fn drop_cache_sync(&mut self, key: &str, container: &str) {
        self.entries.retain(|entry| {
            !(entry.is_cache_sync()
                && *entry.key == *key
                && entry.case.container_name() == Some(container))
        });
    }

    /// Takes in that the pod is gone.
    pub(super) fn on_gone(&mut self, key: &str) {
        self.entries.retain(|entry| *entry.key != *key);
    }

    /// Takes in the answer to a lookup of the pod's events.
    pub(super) fn on_events(&mut self, key: &str, lookup: &Lookup, over: &mut Vec<Over>) {
        let asks = |entry: &mut Entry| *entry.key == *key && entry.take(lookup);
        for Entry { key, case, .. } in self.entries.extract_if(.., asks) {
            over.push(Over { key, case });
        }
    }

    /// Does what is due, and returns the namespaces and keys of the pods whose events are to be looked up now.
    pub(super) fn on_time(&mut self, now: Now, over: &mut Vec<Over>) -> Vec<(Box<str>, Box<str>)> {
        let asks = |entry: &Entry| matches!(entry.state, State::Asks { .. });
        let mut before = self.entries.iter().filter(|entry| asks(entry)).count();
        let mut lookups: Vec<(Box<str>, Box<str>)> = Vec::new();
        let overdue = |entry: &mut Entry| {
            let asked = asks(entry);
            if entry.is_over(now, before) {
                return true;
            }
            before += usize::from(!asked && asks(entry));
            if let State::Asks { lookup_at, .. } = &mut entry.state
                && lookup_at.is_some_and(|at| at <= now.monotonic)
            {
                *lookup_at = None;
                if !lookups.iter().any(|(_, key)| *key == entry.key) {
                    let namespace = entry.case.pod.namespace.as_str().into();
                    lookups.push((namespace, entry.key.clone()));
                }
            }
            false
        };
        for Entry { key, case, .. } in self.entries.extract_if(.., overdue) {
            over.push(Over { key, case });
        }
        lookups
    }

    /// Returns when [`Hangs::on_time`] has something to do.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        let deadline = |entry: &Entry| match &entry.state {
            State::Waits { due, .. } => *due,
            State::Asks { since, lookup_at, .. } => {
                lookup_at.unwrap_or(Duration::MAX).min(*since + HANG_EVENTS_MAX)
            }
        };
        self.entries.iter().map(deadline).min()
    }

    /// Forgets the episodes whose time is not over: no more time passes.
    pub(super) fn end_waits(&mut self) {
        self.entries.retain(|entry| matches!(entry.state, State::Asks { .. }));
    }

    /// Ends everything, because the agent terminates. What still waits is found again by the next agent.
    pub(super) fn finish(&mut self, over: &mut Vec<Over>) {
        self.end_waits();
        for Entry { key, mut case, .. } in self.entries.drain(..) {
            gap(&mut case, "the agent was stopped before they could be asked for");
            over.push(Over { key, case });
        }
    }
}

impl Entry {
    fn is_cache_sync(&self) -> bool {
        self.case.kind == IncidentType::ConfigError
    }

    /// Takes in another object that shows this episode.
    fn update(&mut self, episode: &Shown<'_, '_>, opener: &CaseOpener<'_, '_>, after: Duration) {
        if !matches!(self.state, State::Waits { .. }) {
            return;
        }
        let hang = episode.hang;
        *self.case = opener.hang(episode.container.as_ref(), hang, episode.id);
        (self.own_bytes, self.pod_bytes) = (self.case.own_bytes(), self.case.pod.bytes());
        // The grace period may have been shortened.
        let since = if hang == Hang::End { episode.since } else { episode.got_on };
        let is_later = since.is_some_and(|since| since > self.since);
        if is_later || hang == Hang::End && since != Some(self.since) {
            (self.since, self.state) = time(since, hang, after, opener.now, false);
        }
    }

    /// Takes in the events of the pod. Returns true if the episode can be reported.
    fn take(&mut self, lookup: &Lookup) -> bool {
        let State::Asks { since, lookups, lookup_at } = &mut self.state else {
            return false;
        };
        match lookup {
            Lookup::Found(events) => {
                explain(&mut self.case, events);
                return true;
            }
            Lookup::Denied => gap(&mut self.case, "no right to list them"),
            // The lookup of a termination of this pod failed; the own one is still to come.
            Lookup::Failed(_) if lookup_at.is_some() => return false,
            Lookup::Failed(why) => {
                *lookups += 1;
                if let Some(wait) = HANG_LOOKUPS.get(*lookups) {
                    *lookup_at = Some(*since + *wait);
                    return false;
                }
                gap(&mut self.case, why);
            }
        }
        true
    }

    /// Moves on to the lookup if the time of the episode is over. Returns true if it can be reported. `before`: number
    /// of episodes whose lookups come first.
    fn is_over(&mut self, now: Now, before: usize) -> bool {
        match &self.state {
            State::Waits { due, lasts } if *due <= now.monotonic => {
                let waited = *lasts + now.monotonic.saturating_sub(*due);
                self.case.detected_at = now.wall;
                if let Subject::Hang { lasted, .. } = &mut self.case.subject {
                    *lasted = waited;
                    self.case.occurred_at = self.since;
                }
                // A pod that hangs has time. The lookups of terminations, which have not, share the same queue.
                let turn = HANG_LOOKUP_PACE * u32::try_from(before).unwrap_or(u32::MAX);
                let since = now.monotonic + turn;
                self.state = State::Asks { since, lookups: 0, lookup_at: Some(since) };
                self.is_cache_sync()
            }
            State::Asks { since, .. } if *since + HANG_EVENTS_MAX <= now.monotonic => {
                gap(&mut self.case, "no answer in time");
                true
            }
            _ => false,
        }
    }
}

fn gap(case: &mut Case, why: &str) {
    Gap::new(Part::Events, why.to_owned()).add_to(&mut case.gaps);
}

/// Returns since when the episode lasts and when its time is over.
fn time(
    since: Option<Timestamp>,
    hang: Hang,
    after: Duration,
    now: Now,
    is_first: bool,
) -> (Timestamp, State) {
    let ahead = since.map(|since| since.duration_since(now.wall)).unwrap_or_default();
    if ahead.is_positive() && hang == Hang::End {
        // The grace period is not over yet.
        let due = now.monotonic.saturating_add(ahead.unsigned_abs()).saturating_add(after);
        return (since.unwrap_or(now.wall), State::Waits { due, lasts: after });
    }
    // A start in the future or before the last day was written by a clock that was set since then.
    let waited = ahead.unsigned_abs();
    let is_usable = !ahead.is_positive() && waited <= CLOCK_JUMP_MAX;
    let (since, waited) = match since.filter(|_| is_usable) {
        Some(since) => (since, waited),
        None => (now.wall, Duration::ZERO),
    };
    let least = if is_first { HANG_SEEN_MIN.min(after) } else { Duration::ZERO };
    let wait = after.saturating_sub(waited).max(least);
    let state = State::Waits {
        due: now.monotonic.saturating_add(wait),
        lasts: waited.saturating_add(wait),
    };
    (since, state)
}

fn is_overdue(since: Timestamp, after: Duration, now: Now) -> bool {
    now.wall.duration_since(since).try_into().is_ok_and(|waited: Duration| waited >= after)
}

/// Returns the episodes that an object shows.
fn shown<'p, 'a>(
    pod: &'p wire::Pod<'a>,
    key: &str,
    is_deleted: bool,
    patience: Patience,
) -> Vec<Shown<'p, 'a>> {
    let mut all = Vec::new();
    if !patience.stuck.is_zero() {
        if is_deleted {
            all.extend(no_end(pod, key));
        } else if hangs_at_start(pod) {
            all.push(no_start(pod, key));
        }
    }
    let status = &pod.status;
    let unready =
        |status: &wire::ContainerStatus<'_>| !status.ready && status.state.running.is_some();
    if !patience.unready.is_zero()
        && !is_deleted
        && (status.container_statuses.iter().any(unready)
            || status.init_container_statuses.iter().any(unready))
    {
        let has_probe = |container: &Container<'_, '_>| {
            container.spec.is_some_and(|spec| spec.readiness_probe.is_some())
        };
        let unready = containers(pod).filter(|c| unready(c.status) && has_probe(c));
        all.extend(unready.map(|container| not_ready(pod, key, container)));
    }
    all
}

/// Returns true for a pod in which nothing goes on although it is not over, and whose reason no other incident reports.
/// A pod that ran before stays in phase Running when it must start anew, after a reboot for example.
fn hangs_at_start(pod: &wire::Pod<'_>) -> bool {
    let is_new = match &*pod.status.phase {
        "Pending" => true,
        "Running" => false,
        _ => return false,
    };
    let has_no_sandbox = conditions::sandbox(&pod.status) == Some(false)
        && !conditions::is_phase_decided(&pod.status);
    let mut waits = is_new && pod.status.container_statuses.is_empty();
    for container in containers(pod) {
        let state = &container.status.state;
        if let Some(waiting) = &state.waiting {
            // The image, the configuration, or the crashes before are reported.
            if classify::waiting(&waiting.reason).is_some()
                || &*waiting.reason == "CrashLoopBackOff"
            {
                return false;
            }
            waits = true;
        }
        let end = state.terminated.as_ref();
        // Without a sandbox, a container that the kubelet would restart keeps the state of its end (kubelet
        // `convertToAPIContainerStatuses`).
        let lacks_start = has_no_sandbox && end.is_some_and(|e| container.restarts(e.exit_code));
        match container.kind {
            ContainerKind::Init => {
                let failed = end.is_some_and(|end| end.exit_code != 0);
                if state.running.is_some() || failed && !lacks_start {
                    return false;
                }
                waits |= failed;
            }
            ContainerKind::App => waits |= lacks_start,
            ContainerKind::Sidecar | ContainerKind::Ephemeral => {}
        }
        if let (ContainerKind::Sidecar, Some(_)) = (container.kind, &state.running)
            && !container.status.started
            && container.spec.is_some_and(|spec| spec.startup_probe.is_some())
        {
            // Its startup probe has its own time, and ends it if it fails.
            return false;
        }
        if !is_new && container.kind != ContainerKind::Ephemeral && state.running.is_some() {
            return false;
        }
    }
    waits
}

fn no_start<'p, 'a>(pod: &'p wire::Pod<'a>, key: &str) -> Shown<'p, 'a> {
    // An instance that was created since then is another start.
    let ids: Vec<&str> = containers(pod).map(|container| &*container.status.container_id).collect();
    let mark = format!("start {}", ids.concat());
    let scheduled =
        pod.status.condition("PodScheduled").and_then(|c| c.last_transition_time.time());
    let got_on = containers(pod).filter_map(|container| {
        let (state, last) = (&container.status.state, &container.status.last_state);
        let ran = state.running.as_ref().and_then(|running| running.started_at.time());
        let ends = [&state.terminated, &last.terminated].into_iter().flatten();
        ran.max(ends.filter_map(finished).max())
    });
    let got_on = got_on.max();
    let is_new = &*pod.status.phase == "Pending";
    Shown {
        hang: Hang::Start,
        container: None,
        id: IncidentId::of_hang(key, "", IncidentType::Stuck, &mark),
        // A pod that ran before began to wait when its containers ended.
        since: if is_new { pod.status.start_time.time().or(scheduled) } else { got_on },
        got_on,
    }
}

fn no_end<'p, 'a>(pod: &'p wire::Pod<'a>, key: &str) -> Option<Shown<'p, 'a>> {
    // The node is done with it; a controller that has not removed its finalizer keeps the object.
    let is_over = matches!(&*pod.status.phase, "Succeeded" | "Failed");
    if is_over && pod.metadata.finalizers.is_some() {
        return None;
    }
    // The mirror of a static pod may be deleted again and again.
    let mark = format!("end {}", &*pod.metadata.uid);
    Some(Shown {
        hang: Hang::End,
        container: None,
        id: IncidentId::of_hang(key, "", IncidentType::Stuck, &mark),
        since: Some(pod.metadata.deletion_timestamp.time()?),
        got_on: None,
    })
}

fn not_ready<'p, 'a>(
    pod: &'p wire::Pod<'a>,
    key: &str,
    container: Container<'p, 'a>,
) -> Shown<'p, 'a> {
    let status = container.status;
    // While a container is not ready, this condition does not change. It changes when the container becomes ready and
    // then is not ready again.
    let changed =
        pod.status.condition("ContainersReady").and_then(|c| c.last_transition_time.time());
    let mark = format!("{} {}", &*status.container_id, changed.map_or(0, Timestamp::as_second));
    let started = status.state.running.as_ref().and_then(|running| running.started_at.time());
    Shown {
        hang: Hang::Ready,
        container: Some(container),
        id: IncidentId::of_hang(key, &status.name, IncidentType::Unready, &mark),
        since: started.max(changed),
        got_on: None,
    }
}

/// Adds to the case what the events say about the cause.
fn explain(case: &mut Case, events: &[PodEvent]) {
    let container = case.container_name().map(str::to_owned);
    let mut own: Vec<&EventInfo> = events
        .iter()
        .filter(|e| container.is_none() || e.container.is_none() || e.container == container)
        .map(|e| &e.info)
        .collect();
    sort_by(&mut own, |a, b| a.last_at.cmp(&b.last_at));
    if let Subject::Hang { what, cause, .. } = &mut case.subject
        && let Some(info) = telling(&own, *what)
    {
        let message = info.message.trim_end();
        *cause = match what {
            Hang::Ready => message.to_owned(),
            Hang::Start | Hang::End => format!("{}: {message}", info.reason),
        };
        case.evidence.push(format!("event {}: {message}", info.reason));
    }
    // An event that occurs again takes the place of its older form.
    let is_newest = |at: usize, info: &EventInfo| {
        let mut newer = own.iter().skip(at + 1);
        !newer.any(|other| (&other.reason, &other.message) == (&info.reason, &info.message))
    };
    let newest: Vec<&EventInfo> =
        own.iter().enumerate().filter(|(at, info)| is_newest(*at, info)).map(|(_, i)| *i).collect();
    let skip = newest.len().saturating_sub(EVENTS_PER_INCIDENT_MAX);
    case.events = newest.into_iter().skip(skip).cloned().collect();
}

/// Returns the event that names the cause best. `events`: oldest first.
fn telling<'e>(events: &[&'e EventInfo], hang: Hang) -> Option<&'e EventInfo> {
    let newest = |is_one: &dyn Fn(&EventInfo) -> bool| {
        events.iter().rev().copied().find(|info| is_one(info))
    };
    let is_warning = |info: &EventInfo| info.kind == "Warning";
    match hang {
        Hang::Ready => {
            let of = |words: &'static str| {
                move |info: &EventInfo| {
                    info.reason == "Unhealthy" && info.message.starts_with(words)
                }
            };
            newest(&of("Readiness probe")).or_else(|| newest(&of("Startup probe")))
        }
        // Other warnings are older than the deletion, or about something else.
        Hang::End => newest(&|info| {
            is_warning(info)
                && matches!(
                    &*info.reason,
                    "FailedKillPod" | "FailedPreStopHook" | "FailedSync" | "NodeNotReady"
                )
        }),
        Hang::Start => {
            // The kubelet says every two minutes that it waits for volumes; why it waits is said in other events.
            let is_general = |info: &EventInfo| {
                info.reason == "FailedMount"
                    && info.message.starts_with("Unable to attach or mount")
            };
            // The kubelet mounts the volumes and creates the sandbox before it does anything for a container.
            let began = newest(&|info| {
                matches!(&*info.reason, "Pulling" | "Pulled" | "Created" | "Started")
            });
            let has_passed = |info: &EventInfo| {
                let is_before = matches!(
                    &*info.reason,
                    "FailedMount"
                        | "FailedMapVolume"
                        | "FailedAttachVolume"
                        | "FailedCreatePodSandBox"
                        | "NetworkNotReady"
                );
                is_before && began.is_some_and(|began| info.last_at < began.last_at)
            };
            // Some warnings come again and again about pods that run well.
            let is_cause = |info: &EventInfo| {
                is_warning(info)
                    && !matches!(
                        &*info.reason,
                        "Unhealthy"
                            | "FailedScheduling"
                            | "DNSConfigForming"
                            | "FailedToRetrieveImagePullSecret"
                            | "PolicyViolation"
                    )
                    && !has_passed(info)
            };
            let pulled = newest(&|info| info.reason == "Pulled");
            let pulls = newest(&|info| info.reason == "Pulling");
            let pulls = pulls.filter(|p| pulled.is_none_or(|pulled| pulled.last_at < p.last_at));
            let cause = newest(&|info| is_cause(info) && !is_general(info));
            let cause = cause.or_else(|| newest(&|info| is_general(info) && !has_passed(info)));
            match (cause, pulls) {
                (Some(cause), Some(pulls)) if cause.last_at < pulls.last_at => Some(pulls),
                (cause, pulls) => cause.or(pulls),
            }
        }
    }
}

/// Returns true for a configuration error that mostly passes in seconds: nothing is missing, but the kubelet has not
/// received the objects yet (kubelet `pkg/kubelet/util/manager/watch_based_manager.go`), or the Services after its own
/// start (`kubelet_pods.go`, `makeEnvironmentVariables`).
pub(super) fn is_cache_sync(message: &str) -> bool {
    let synchronises = message.contains("failed to sync ") && message.contains(" cache");
    // `object "shop"/"settings" not registered`: the kubelet does not watch the object for this pod yet.
    let is_unregistered = message.contains("object \"") && message.contains(" not registered");
    synchronises
        || is_unregistered
        || message.contains("couldn't propagate object cache")
        || message.contains("services have not yet been read at least once")
}

#[cfg(test)]
mod tests;
