//! What the kubelet's events show about the termination of a container.
//!
//! A failed probe, a failed hook or an eviction leaves no trace in the container's status: the exit codes are those
//! of any SIGTERM or SIGKILL. Only the pod's events name them (kubelet `prober.go`, `kuberuntime_manager.go`). Two
//! facts about events matter here. A repeated event gets a new `lastTimestamp` and a higher count, so an earlier
//! occurrence is overwritten. The client's spam filter (25 events at once, then one in five minutes for each pod)
//! drops `Killing` events of noisy pods.

use std::time::Duration;

use jiff::Timestamp;

use crate::core::case::{
    Confidence, EventInfo, IncidentType, PodStop, ProbeTimes, Probes, Severity, StopKind,
    Termination,
};
use crate::core::detect::classify;
use crate::core::text::cut;
use crate::core::wire;
use crate::limits::{
    EVENT_MESSAGE_BYTES_MAX, EVENT_SKEW, PROBE_SLACK, SANDBOX_NOTICED, STOP_DELAY,
};

/// An event of a pod, copied out of the API's response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodEvent {
    /// The event as the incident shows it.
    pub info: EventInfo,
    /// The container that the event is about; `None` for the pod.
    pub container: Option<String>,
}

impl PodEvent {
    /// Copies the relevant fields of the API's event.
    pub fn from_wire(event: &wire::Event<'_>) -> Self {
        let path = &event.involved_object.field_path;
        let container = path.split_once('{').and_then(|(_, rest)| rest.strip_suffix('}'));
        let last = event.last_timestamp.time().or_else(|| event.event_time.time());
        // After ten events that differ in their words only, client-go sends one for all of the same kind, and puts this
        // before the newest words (`tools/record/events_cache.go`).
        let message = event.message.strip_prefix("(combined from similar events): ");
        Self {
            info: EventInfo {
                kind: cut(&event.kind, EVENT_MESSAGE_BYTES_MAX),
                reason: cut(&event.reason, EVENT_MESSAGE_BYTES_MAX),
                message: cut(message.unwrap_or(&event.message), EVENT_MESSAGE_BYTES_MAX),
                count: event.count.max(1),
                first_at: event.first_timestamp.time().or(last),
                last_at: last,
            },
            container: container.map(|name| cut(name, EVENT_MESSAGE_BYTES_MAX)),
        }
    }
}

/// The instance whose termination is judged.
#[derive(Clone, Copy, Debug)]
pub struct Instance<'a> {
    /// The container's name.
    pub container: &'a str,
    /// When the instance started; `None` if the process never ran.
    pub started: Option<Timestamp>,
    /// When the instance terminated.
    pub finished: Timestamp,
    /// The time from the first SIGTERM to SIGKILL.
    pub grace: Duration,
    /// The container's probes whose failure stops it.
    pub probes: Probes,
    /// True if a failed probe alone may explain the exit code. For the code of a program's own choice, or a clean exit,
    /// the kubelet must say that it stopped the container: a program that ends on its own also fails its probe.
    pub is_probe_enough: bool,
    /// True if the kubelet restarts the container after this end.
    pub restarts: bool,
}

impl<'a> Instance<'a> {
    /// Returns the instance that the events are compared with; `None` if the time of its termination is not known.
    pub fn of(container: &'a str, end: &Termination) -> Option<Self> {
        Some(Self {
            container,
            started: end.started,
            finished: end.finished?,
            grace: end.grace,
            probes: end.probes,
            is_probe_enough: end.may_be_a_stop,
            restarts: end.restarts,
        })
    }
}

/// What the events show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// What terminated the container.
    pub cause: Option<Cause>,
    /// True if the kubelet has restarted the container or announces it, so the pod as a whole did not fail.
    pub restarting: bool,
    /// True if the kubelet was stopping the whole pod: the pod's failure or deletion will follow.
    pub stopping_pod: bool,
    /// What the kubelet says about the pod if it stopped the pod for a failure: an eviction, a deadline, a shutdown.
    pub pod_failure: Option<((IncidentType, Severity), PodStop)>,
}

/// What terminated a container, according to the events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Why the kubelet terminated the container.
    pub kind: StopKind,
    /// Whether the kubelet reported it for this very instance.
    pub confidence: Confidence,
    /// When the kubelet reported it last.
    pub at: Option<Timestamp>,
    /// The fact, for the incident's evidence.
    pub fact: String,
    /// The failure in the words of the probe or hook.
    pub words: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// The event's last occurrence is within the instance's lifetime.
    During,
    /// The event occurred before and after the instance's termination; an occurrence in between is overwritten.
    Around,
    Elsewhere,
}

/// Weighs the events of the instance's pod.
pub fn judge(events: &[PodEvent], instance: &Instance<'_>) -> Judgement {
    let mut judgement = Judgement::default();
    let stopped_at = stopped_at(events, instance);
    for event in events {
        let info = &event.info;
        if event.container.as_deref().is_some_and(|c| c != instance.container) {
            continue;
        }
        let when = when(info, instance);
        if event.container.is_none() {
            if let Some(verdict) =
                classify::pod_stop(&info.reason).filter(|_| when != When::Elsewhere)
            {
                judgement.stopping_pod = true;
                judgement.pod_failure.get_or_insert_with(|| (verdict, pod_stop(info)));
            }
            if info.reason == "SandboxChanged" && is_lost_sandbox(info, stopped_at, instance) {
                judgement.add(Cause {
                    kind: StopKind::Sandbox,
                    confidence: Confidence::Confirmed,
                    at: info.last_at,
                    fact: fact(info),
                    words: String::new(),
                });
            }
            continue;
        }
        judgement.restarting |= is_restart(info) && info.last_at >= Some(instance.finished);
        if info.reason == "Killing" && info.message.starts_with("Stopping container") {
            judgement.stopping_pod |= when != When::Elsewhere;
        }
        if let Some(cause) = cause(info, when, stopped_at, events, instance) {
            judgement.add(cause);
        }
    }
    if let Some(cause) = &mut judgement.cause {
        cause.words = words(events, cause.kind, instance);
    }
    judgement
}

impl Judgement {
    /// Keeps the better cause: confirmed before probable, then a fixed order, so that the order of the events does not
    /// matter.
    fn add(&mut self, cause: Cause) {
        let rank = |cause: &Cause| (cause.confidence == Confidence::Probable, cause.kind);
        if self.cause.as_ref().is_none_or(|known| rank(&cause) < rank(known)) {
            self.cause = Some(cause);
        }
    }
}

fn pod_stop(info: &EventInfo) -> PodStop {
    PodStop { reason: info.reason.clone(), message: info.message.clone(), fact: fact(info) }
}

fn fact(info: &EventInfo) -> String {
    format!("kubelet event {}: {}", info.reason, info.message.trim_end())
}

fn cause(
    info: &EventInfo,
    when: When,
    stopped_at: Option<Timestamp>,
    events: &[PodEvent],
    instance: &Instance<'_>,
) -> Option<Cause> {
    let kind = match (&*info.reason, &*info.message) {
        ("Killing", m) if m.contains("failed liveness probe") => StopKind::LivenessProbe,
        ("Killing", m) if m.contains("failed startup probe") => StopKind::StartupProbe,
        ("Killing", m) if m.contains("FailedPostStartHook") => StopKind::Hook,
        ("FailedPostStartHook", _) => StopKind::Hook,
        ("Killing", m) if m.contains("definition changed") || m.contains("requires restart") => {
            StopKind::SpecChange
        }
        ("Unhealthy", m) => {
            let (kind, _) = failed_probe(m)?;
            let probe = instance.probes.of(kind)?;
            if !is_just_before(info, stopped_at, &probe, instance)
                || !may_have_failed(&failures(events, kind, instance), &probe, instance)
            {
                return None;
            }
            return Some(Cause {
                kind,
                confidence: Confidence::Probable,
                at: info.last_at,
                fact: format!("kubelet event Unhealthy just before: {}", m.trim_end()),
                words: String::new(),
            });
        }
        _ => return None,
    };
    let confidence = match when {
        When::During => Confidence::Confirmed,
        When::Around => Confidence::Probable,
        When::Elsewhere => return None,
    };
    Some(Cause { kind, confidence, at: info.last_at, fact: fact(info), words: String::new() })
}

/// Splits the message of an `Unhealthy` event into the probe, if its failure stops the container, and its words.
fn failed_probe(message: &str) -> Option<(StopKind, &str)> {
    let kinds = [("Liveness", StopKind::LivenessProbe), ("Startup", StopKind::StartupProbe)];
    kinds.into_iter().find_map(|(name, kind)| {
        // An attempt that "errored" counts for nothing (kubelet `prober/worker.go`); it hits containers that are going.
        let rest = message.strip_prefix(name)?.strip_prefix(" probe failed")?;
        Some((kind, rest.split_once(": ").map_or("", |(_, words)| words)))
    })
}

/// Returns the events of the instance's container.
fn of_container<'e>(
    events: &'e [PodEvent],
    instance: &Instance<'_>,
) -> impl Iterator<Item = &'e EventInfo> {
    let own = events.iter().filter(|e| e.container.as_deref() == Some(instance.container));
    own.map(|event| &event.info)
}

/// What the events say about the failures of a probe.
#[derive(Default)]
struct Failures {
    count: i64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

/// Returns the failures of a probe. A probe that fails with other words is another event.
fn failures(events: &[PodEvent], kind: StopKind, instance: &Instance<'_>) -> Failures {
    let own = of_container(events, instance).filter(|info| info.reason == "Unhealthy");
    let own = own.filter(|info| failed_probe(&info.message).is_some_and(|(k, _)| k == kind));
    own.fold(Failures::default(), |sum, info| Failures {
        count: sum.count.saturating_add(info.count),
        first: sum.first.into_iter().chain(info.first_at).min(),
        last: sum.last.max(info.last_at),
    })
}

/// Returns true if the probe may have failed as often in a row as stops the instance. The count of an event says how often,
/// not when: those of earlier instances are in it, and those between which the probe succeeded (kubelet
/// `prober/worker.go` counts anew after both).
fn may_have_failed(failures: &Failures, probe: &ProbeTimes, instance: &Instance<'_>) -> bool {
    let (Some(first), Some(last)) = (failures.first, failures.last) else { return false };
    let threshold = u32::try_from(probe.threshold).unwrap_or(u32::MAX);
    let least = probe.period.saturating_mul(threshold.saturating_sub(1));
    let lived = |started: Timestamp| last.duration_since(started).unsigned_abs() + PROBE_SLACK;
    let is_own = instance.started.is_some_and(|started| first >= started);
    // A probe that hangs takes its time, and the events of a noisy pod are thinned out.
    let count = u32::try_from(failures.count).unwrap_or(u32::MAX);
    let longest = probe.period.saturating_mul(count).saturating_mul(2).saturating_add(PROBE_SLACK);
    failures.count >= probe.threshold
        && instance.started.is_none_or(|started| lived(started) >= least)
        && (!is_own || last.duration_since(first).unsigned_abs() <= longest)
}

/// Returns why a probe or hook failed, in its own words: from the newest event that has them.
fn words(events: &[PodEvent], kind: StopKind, instance: &Instance<'_>) -> String {
    let until = later(instance.finished, EVENT_SKEW);
    let own = of_container(events, instance).filter(|info| info.last_at <= Some(until));
    let said = own.filter_map(|info| {
        let words = match (kind, &*info.reason) {
            (StopKind::Hook, "FailedPostStartHook") => &*info.message,
            (_, "Unhealthy") => failed_probe(&info.message).filter(|(k, _)| *k == kind)?.1,
            _ => return None,
        };
        Some((info.last_at, words.trim())).filter(|(_, words)| !words.is_empty())
    });
    said.max_by_key(|(at, _)| *at).map(|(_, words)| words.to_owned()).unwrap_or_default()
}

/// Returns true if the kubelet lost the pod's sandbox around the termination. It says so when it notices, which may be
/// some time after the end, or before it stops the containers that outlived the sandbox.
fn is_lost_sandbox(
    info: &EventInfo,
    stopped_at: Option<Timestamp>,
    instance: &Instance<'_>,
) -> bool {
    let Some(last) = info.last_at else { return false };
    let with_it =
        earlier(instance.finished, EVENT_SKEW)..=later(instance.finished, SANDBOX_NOTICED);
    let stop = instance.grace.saturating_add(STOP_DELAY);
    let before_it = earlier(instance.finished, stop)..=instance.finished;
    let is_own = instance.started.is_none_or(|started| last >= started);
    with_it.contains(&last) || (stopped_at.is_some() && is_own && before_it.contains(&last))
}

fn when(info: &EventInfo, instance: &Instance<'_>) -> When {
    let (Some(first), Some(last)) = (info.first_at, info.last_at) else {
        return When::Elsewhere;
    };
    // What the kubelet began to stop ends a grace period later at the latest, so an older event is about the instance
    // before, even if that ended in the second in which this one started.
    let stop = instance.grace.saturating_add(STOP_DELAY);
    let began = instance.started.unwrap_or(instance.finished).max(earlier(instance.finished, stop));
    let ended = later(instance.finished, EVENT_SKEW);
    if last > ended {
        return if first <= ended { When::Around } else { When::Elsewhere };
    }
    if last >= began { When::During } else { When::Elsewhere }
}

/// Returns when the kubelet began to stop the container, if it says so without the reason. It does where it stops the
/// pod as a whole, also for the failed probe of a container that is not restarted.
fn stopped_at(events: &[PodEvent], instance: &Instance<'_>) -> Option<Timestamp> {
    let own = of_container(events, instance).filter(|info| info.reason == "Killing");
    own.filter(|info| when(info, instance) == When::During).filter_map(|info| info.last_at).max()
}

/// Returns true if the probe failed just before the termination. The kubelet kills at the last failure, and then
/// waits for the grace period at most. If the spam filter dropped the event of that last failure, the newest one left
/// is older by a period of the probe. Where the kubelet says when it began to stop the container, the time before that
/// counts: a slow node took 16 seconds from the failure to the stop.
fn is_just_before(
    info: &EventInfo,
    stopped_at: Option<Timestamp>,
    probe: &ProbeTimes,
    instance: &Instance<'_>,
) -> bool {
    let Some(last) = info.last_at else { return false };
    // For the failed probe of a container that it restarts, the kubelet gives the reason with the stop. A stop without
    // it is that of the whole pod.
    let is_explained = match stopped_at {
        Some(_) => !instance.restarts,
        None => instance.is_probe_enough,
    };
    if !is_explained {
        return false;
    }
    let reach = probe.period.saturating_mul(2).saturating_add(PROBE_SLACK);
    let from = match stopped_at {
        Some(stopped) => earlier(stopped, reach.saturating_add(STOP_DELAY)),
        None => earlier(instance.finished, reach.saturating_add(probe.grace)),
    };
    let from = instance.started.map_or(from, |started| started.max(from));
    last >= from && last <= later(instance.finished, EVENT_SKEW)
}

/// Returns true for events of a kubelet that goes on with this container.
fn is_restart(info: &EventInfo) -> bool {
    match &*info.reason {
        "BackOff" => info.message.starts_with("Back-off restarting"),
        "Created" | "Started" => true,
        _ => false,
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.saturating_add(by).unwrap_or(at)
}

fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    at.saturating_sub(by).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::wire::json;

    const PROBE: &str = "Container app failed liveness probe, will be restarted";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn event(reason: &str, message: &str, container: Option<&str>, times: (i64, i64)) -> PodEvent {
        PodEvent {
            info: EventInfo {
                kind: "Normal".into(),
                reason: reason.into(),
                message: message.into(),
                count: 2,
                first_at: Some(at(times.0)),
                last_at: Some(at(times.1)),
            },
            container: container.map(str::to_owned),
        }
    }

    /// Returns a liveness and a startup probe, every 2 s, with a grace period of 3 s.
    fn probes(threshold: i64) -> Probes {
        let period = Duration::from_secs(2);
        let probe = Some(ProbeTimes { period, threshold, grace: Duration::from_secs(3) });
        Probes { liveness: probe, startup: probe }
    }

    /// Returns an instance that ran from second 100 to second 110, with a probe every 2 s and a grace period of 3 s.
    fn instance() -> Instance<'static> {
        Instance {
            container: "app",
            started: Some(at(100)),
            finished: at(110),
            grace: Duration::from_secs(3),
            probes: probes(2),
            is_probe_enough: true,
            restarts: true,
        }
    }

    #[track_caller]
    fn caused(events: &[PodEvent]) -> Option<(StopKind, Confidence)> {
        let judged = judge(events, &instance()).cause.map(|c| (c.kind, c.confidence));
        let mut reversed = events.to_vec();
        reversed.reverse();
        assert_eq!(judge(&reversed, &instance()).cause.map(|c| (c.kind, c.confidence)), judged);
        judged
    }

    #[test]
    fn a_killing_event_counts_for_the_instance_it_falls_into() {
        use Confidence::{Confirmed, Probable};
        for (times, want) in [
            ((90, 99), None),
            ((100, 100), Some((StopKind::LivenessProbe, Confirmed))),
            ((50, 107), Some((StopKind::LivenessProbe, Confirmed))),
            ((111, 111), Some((StopKind::LivenessProbe, Confirmed))),
            ((50, 118), Some((StopKind::LivenessProbe, Probable))),
            ((112, 118), None),
        ] {
            assert_eq!(caused(&[event("Killing", PROBE, Some("app"), times)]), want, "{times:?}");
        }
        assert_eq!(caused(&[event("Killing", PROBE, Some("other"), (107, 107))]), None);
    }

    #[test]
    fn an_unhealthy_event_counts_just_before_the_end_of_a_probed_container() {
        let probable = Some((StopKind::LivenessProbe, Confidence::Probable));
        for (last, want) in [(97, None), (100, probable), (108, probable), (112, None)] {
            let unhealthy = event("Unhealthy", "Liveness probe failed: ", Some("app"), (90, last));
            assert_eq!(caused(&[unhealthy]), want, "{last}");
        }
        let long = Instance { started: Some(at(0)), ..instance() };
        let early = event("Unhealthy", "Startup probe failed: x", Some("app"), (50, 90));
        assert_eq!(judge(&[early], &long).cause, None, "a probe that failed long ago");
        let ready = event("Unhealthy", "Readiness probe failed: x", Some("app"), (108, 108));
        assert_eq!(caused(&[ready]), None);
        let unprobed = Instance { probes: Probes::default(), ..instance() };
        let stray = event("Unhealthy", "Liveness probe failed: ", Some("app"), (108, 108));
        assert_eq!(judge(&[stray], &unprobed).cause, None);
    }

    #[test]
    fn events_that_client_go_combined_keep_their_words() {
        let text = r#"{"reason": "Unhealthy", "involvedObject": {"fieldPath": "spec.containers{app}"},
            "message": "(combined from similar events): Liveness probe failed: connection refused"}"#;
        let event = PodEvent::from_wire(&json::from_slice(text.as_bytes()).unwrap());
        let words = failed_probe(&event.info.message);
        assert_eq!(words, Some((StopKind::LivenessProbe, "connection refused")));
    }

    #[test]
    fn a_probe_may_have_failed_only_as_often_as_there_was_time_and_without_gaps() {
        let period = Duration::from_secs(10);
        let probe = ProbeTimes { period, threshold: 3, grace: Duration::from_secs(30) };
        for (started, count, first, last, want) in [
            (0, 3, 100, 120, true),
            (0, 2, 100, 110, false),
            // Each try takes longer than the period.
            (0, 3, 100, 155, true),
            // It succeeded in between: three failures in three hours.
            (0, 3, 100, 10_900, false),
            // Failures of earlier instances, and a life in which three fit, or do not.
            (880, 40, 100, 905, true),
            (900, 40, 100, 907, false),
        ] {
            let (first, last) = (Some(at(first)), Some(at(last)));
            let instance = Instance { started: Some(at(started)), ..instance() };
            let may = may_have_failed(&Failures { count, first, last }, &probe, &instance);
            assert_eq!(may, want, "{started} {count} {last:?}");
        }
    }

    #[test]
    fn each_probe_has_a_threshold_and_a_grace_period_of_its_own() {
        let times = |threshold, grace| {
            let period = Duration::from_secs(2);
            Some(ProbeTimes { period, threshold, grace: Duration::from_secs(grace) })
        };
        let probes = Probes { liveness: times(2, 3), startup: times(30, 3) };
        let instance = Instance { probes, ..instance() };
        for (words, want) in [
            ("Liveness probe failed: x", Some(StopKind::LivenessProbe)),
            ("Startup probe failed: x", None),
        ] {
            let events = [event("Unhealthy", words, Some("app"), (106, 108))];
            assert_eq!(judge(&events, &instance).cause.map(|cause| cause.kind), want, "{words}");
        }
        // A kill by this probe takes three seconds, whatever the pod's grace period.
        let patient =
            Instance { grace: Duration::from_secs(3600), started: Some(at(0)), ..instance };
        let events = [event("Unhealthy", "Liveness probe failed: x", Some("app"), (58, 60))];
        assert_eq!(judge(&events, &patient).cause, None);
    }

    #[test]
    fn a_failed_probe_alone_explains_only_what_it_may_have_caused() {
        use StopKind::{LivenessProbe, Sandbox};
        let unhealthy = event("Unhealthy", "Liveness probe failed: ", Some("app"), (90, 108));
        let refused = event("Unhealthy", "Liveness probe failed: x", Some("app"), (90, 106));
        let errored = event("Unhealthy", "Liveness probe errored: ", Some("app"), (90, 108));
        let stopped = event("Killing", "Stopping container app", Some("app"), (109, 109));
        let lost = event("SandboxChanged", "Pod sandbox changed", None, (108, 108));
        let twice = instance();
        let thrice = Instance { probes: probes(3), ..instance() };
        let own_code = Instance { is_probe_enough: false, ..instance() };
        let never = Instance { restarts: false, ..instance() };
        for (case, events, instance, want) in [
            ("as often as it may fail", vec![&unhealthy], &twice, Some(LivenessProbe)),
            ("once too few", vec![&unhealthy], &thrice, None),
            (
                "often enough, in different words",
                vec![&unhealthy, &refused],
                &thrice,
                Some(LivenessProbe),
            ),
            ("often enough, but mostly errors", vec![&unhealthy, &errored], &thrice, None),
            ("an attempt that counts for nothing", vec![&errored], &twice, None),
            ("a code of the program's choice", vec![&unhealthy], &own_code, None),
            ("the same, and stopped", vec![&unhealthy, &stopped], &never, Some(LivenessProbe)),
            ("a stop of the whole pod", vec![&unhealthy, &stopped], &twice, None),
            ("the sandbox went, then it was stopped", vec![&lost, &stopped], &twice, Some(Sandbox)),
            ("the sandbox went, it ended on its own", vec![&lost], &own_code, None),
        ] {
            let events: Vec<_> = events.into_iter().cloned().collect();
            let kind = judge(&events, instance).cause.map(|cause| cause.kind);
            assert_eq!(kind, want, "{case}");
        }
    }

    #[test]
    fn hooks_and_spec_changes_are_named() {
        let hook = event("Killing", "FailedPostStartHook", Some("app"), (101, 101));
        assert_eq!(caused(&[hook]), Some((StopKind::Hook, Confidence::Confirmed)));
        let failed = event("FailedPostStartHook", "PostStartHook failed", Some("app"), (101, 101));
        assert_eq!(caused(&[failed]), Some((StopKind::Hook, Confidence::Confirmed)));
        for text in [
            "Container app definition changed, will be restarted",
            "Container app resize requires restart",
        ] {
            let change = event("Killing", text, Some("app"), (107, 107));
            assert_eq!(caused(&[change]), Some((StopKind::SpecChange, Confidence::Confirmed)));
        }
    }

    #[test]
    fn what_is_confirmed_goes_before_what_is_probable() {
        let events = [
            event("Unhealthy", "Liveness probe failed: ", Some("app"), (108, 108)),
            event("Killing", "FailedPostStartHook", Some("app"), (101, 101)),
        ];
        assert_eq!(caused(&events), Some((StopKind::Hook, Confidence::Confirmed)));
    }

    #[test]
    fn a_restart_and_a_stop_of_the_pod_are_seen() {
        for (e, restarting, stopping_pod) in [
            (
                event(
                    "BackOff",
                    "Back-off restarting failed container app",
                    Some("app"),
                    (50, 110),
                ),
                true,
                false,
            ),
            (
                event(
                    "BackOff",
                    "Back-off restarting failed container app",
                    Some("app"),
                    (50, 109),
                ),
                false,
                false,
            ),
            (event("BackOff", "Back-off pulling image", Some("app"), (110, 110)), false, false),
            (event("Started", "Container started", Some("app"), (50, 111)), true, false),
            (event("Killing", "Stopping container app", Some("app"), (107, 107)), false, true),
            (event("Killing", "Stopping container app", Some("b"), (107, 107)), false, false),
            (event("Evicted", "low on memory", None, (107, 107)), false, true),
            (event("Evicted", "low on memory", None, (20, 20)), false, false),
            (event("Scheduled", "ok", None, (107, 107)), false, false),
        ] {
            let judged = judge(std::slice::from_ref(&e), &instance());
            assert_eq!(
                (judged.restarting, judged.stopping_pod),
                (restarting, stopping_pod),
                "{e:?}"
            );
        }
    }

    #[test]
    fn an_event_without_times_says_nothing() {
        let mut e = event("Killing", PROBE, Some("app"), (107, 107));
        e.info.first_at = None;
        e.info.last_at = None;
        assert_eq!(judge(&[e], &instance()), Judgement::default());
    }

    #[test]
    fn the_container_comes_from_the_field_path() {
        for (path, want) in [
            ("spec.containers{app}", Some("app")),
            ("spec.initContainers{migrate}", Some("migrate")),
            ("spec.containers{", None),
            ("", None),
        ] {
            let text = format!(r#"{{"involvedObject":{{"fieldPath":"{path}"}},"count":null}}"#);
            let event: wire::Event<'_> = json::from_slice(text.as_bytes()).unwrap();
            assert_eq!(PodEvent::from_wire(&event).container.as_deref(), want, "{path}");
        }
    }
}
