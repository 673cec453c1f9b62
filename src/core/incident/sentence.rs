//! The sentence of an incident: what terminated, how, after how long, with the numbers that matter.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;

use crate::core::case::{
    Case, ContainerKind, Hang, IncidentType, Losses, Reboot, Restarts, StopCause, StopKind,
    Subject, Termination,
};
use crate::core::cause::Cause;
use crate::core::detect::classify;
use crate::core::kernel::{FaultOf, KernelWords, LimitOf, OomVictim};
use crate::core::seen::First;
use crate::core::text::{bytes, cut, duration};
use crate::limits::{
    NEW_POD_WITHIN, REBOOT_NAMES_IN_SENTENCE, SENTENCE_PLACE_BYTES_MAX, SENTENCE_QUOTE_BYTES_MAX,
};

/// What is known about the time before the termination.
#[derive(Clone, Copy, Debug, Default)]
pub struct Course<'a> {
    /// How fast the memory grew, in bytes per second, if that matters.
    pub memory_growth_bytes_per_second: Option<f64>,
    /// How often the container terminated within `recent_within`, this termination included; 0 if not known.
    pub recent_ends: usize,
    /// The period of `recent_ends`.
    pub recent_within: Duration,
    /// What is known if this is the first crash of its kind.
    pub first: Option<First>,
    /// What the kernel's log says.
    pub words: Option<&'a KernelWords>,
}

/// Returns the sentence of a case whose verdict is final.
pub fn sentence(case: &Case, cause: Option<&Cause>, course: &Course<'_>) -> String {
    if let Subject::Node { reboot } = &case.subject {
        return describe_reboot(&case.pod.node.name, reboot);
    }
    if let Subject::Lost { losses } = &case.subject {
        return describe_losses(&case.pod.node.name, losses);
    }
    let pod = format!("{}/{}", case.pod.namespace, case.pod.name);
    let mut out = match case.container() {
        Some(container) => format!("{} {} of {pod} ", noun(container.kind), container.name),
        None => format!("pod {pod} "),
    };
    match &case.subject {
        Subject::Termination { end, .. } => {
            describe_termination(&mut out, case, end, cause, course);
            if let Some(words) = course.words {
                describe_words(&mut out, case, words);
            }
            describe_consequence(&mut out, case);
            if let Some(restarts) = case.restarts {
                describe_restarts(&mut out, restarts, course);
            }
            if let Some(first) = course.first {
                describe_first(&mut out, case, first);
            }
        }
        Subject::Waiting { reason, message, .. } => {
            match case.kind {
                IncidentType::ImagePull => {
                    let own = case.container().map_or("", |container| &*container.image);
                    _ = match other_image(message, own) {
                        Some(other) => write!(out, "cannot get the image {other}: {reason}"),
                        None => write!(out, "cannot get its image {own}: {reason}"),
                    };
                }
                IncidentType::ConfigError if names_missing(message) => {
                    out.push_str("lacks a part of its configuration");
                }
                _ => _ = write!(out, "cannot be created: {reason}"),
            }
            quote(&mut out, message);
            describe_consequence(&mut out, case);
        }
        Subject::Pod { reason, message, .. } => {
            describe_pod_failure(&mut out, case, reason, message)
        }
        Subject::Node { .. } | Subject::Lost { .. } => {}
        Subject::Hang { what, lasted, cause, .. } => {
            let lasted = duration(*lasted);
            _ = match what {
                Hang::Start => write!(out, "has not started for {lasted}"),
                Hang::End => write!(out, "is still there {lasted} after its grace period"),
                Hang::Ready => write!(out, "runs and has not been ready for {lasted}"),
            };
            quote(&mut out, cause);
        }
        Subject::Unseen { .. } => describe_unseen(&mut out, case),
        Subject::Survivor { .. } => {
            out.push_str("lost a process to the OOM killer and lives on");
            if let Some(victim) = course.words.and_then(|words| words.oom_kill.as_ref()) {
                describe_victim(&mut out, victim);
            }
        }
    }
    out
}

/// Returns the image that the message names, if it is not the container's own: the image of one of its volumes. The kubelet
/// reports a failed pull of either in the same words (`kuberuntime_manager.go`, `toKubeContainerImageVolumes`).
fn other_image<'m>(message: &'m str, own: &str) -> Option<&'m str> {
    let (_, rest) = message.split_once("image \"")?;
    let (named, _) = rest.split_once('"')?;
    // The runtime adds the registry and the tag that are not given.
    (!named.is_empty() && !named.contains(own) && !own.contains(named)).then_some(named)
}

/// Says how the pod failed as a whole, and what that explains.
fn describe_pod_failure(out: &mut String, case: &Case, reason: &str, message: &str) {
    match case.kind {
        IncidentType::Evicted => out.push_str("was evicted"),
        IncidentType::Timeout => out.push_str("ran past its activeDeadlineSeconds"),
        IncidentType::Preempted => out.push_str("had to make room for a critical pod"),
        IncidentType::NodeShutdown => out.push_str("was ended by the node's shutdown"),
        // A shutting-down node says so in the message.
        _ if matches!(reason, "NodeShutdown" | "Shutdown" | "Terminated") => {
            out.push_str("was refused by the node");
        }
        _ if is_refusal(reason, message) => {
            _ = write!(out, "was refused by the node: {reason}");
        }
        _ => _ = write!(out, "failed: {reason}"),
    }
    quote(out, message);
    match case.explains().len() {
        0 => {}
        1 => out.push_str("; that probably ended the container of the line before"),
        n => _ = write!(out, "; that probably ended the containers of {n} lines before"),
    }
    if let Some(refusals) = case.repeats().filter(|n| *n > 1) {
        let owner = case.pod.owner.as_ref();
        let (kind, name) = owner.map_or(("", ""), |owner| (&owner.kind, &owner.name));
        let _ =
            write!(out, "; {refusals} pods of {kind} {name} were refused so since the line before");
    }
}

/// Returns what a container of that list is called. Most are plain containers.
fn noun(kind: ContainerKind) -> &'static str {
    match kind {
        ContainerKind::App => "container",
        ContainerKind::Init => "init container",
        ContainerKind::Sidecar => "sidecar",
        ContainerKind::Ephemeral => "debug container",
    }
}

/// Returns true if the message says that an object, or a key of it, does not exist.
fn names_missing(message: &str) -> bool {
    message.contains("not found") || message.contains("couldn't find key")
}

/// Returns true for reasons with which the kubelet refuses a pod (`pkg/kubelet/lifecycle`).
fn is_refusal(reason: &str, message: &str) -> bool {
    message.starts_with("Pod was rejected")
        || reason.starts_with("OutOf")
        || reason.contains("Admission")
        || reason.contains("Affinity")
        || reason.contains("Topology")
        || reason.contains("Selector")
        || reason.contains("Forbidden")
}

/// Says until when the node lived, in UTC: the time of day, if it was on the day of the boot.
fn describe_last_alive(out: &mut String, at: Timestamp, booted_at: Timestamp) {
    let (at, booted_at) = (at.to_string(), booted_at.to_string());
    // RFC 3339, as in 2026-11-26T17:55:25Z.
    let is_same_day = at.get(..10) == booted_at.get(..10);
    let shown = at.get(11..19).filter(|_| is_same_day).unwrap_or(&at);
    let _ = write!(out, "; the node was last alive at {shown}");
}

fn describe_reboot(node_name: &str, reboot: &Reboot) -> String {
    let mut out = format!("node {node_name} ");
    match (&reboot.panic, reboot.is_orderly) {
        (Some(reason), _) => {
            out.push_str("was started again after its kernel panicked");
            quote(&mut out, reason);
        }
        (None, Some(true)) => out.push_str("was shut down and started again"),
        (None, _) => out.push_str("was started again, and no shutdown was seen"),
    }
    if let Some(at) = reboot.last_alive_at {
        describe_last_alive(&mut out, at, reboot.booted_at);
    }
    if let Some(minutes) = &reboot.minutes {
        minutes.tell(&mut out);
    }
    let _ = match reboot.containers {
        0 => return out,
        1 => write!(out, "; this ended 1 container: "),
        n => write!(out, "; this ended {n} containers: "),
    };
    let shown = reboot.names.len().min(REBOOT_NAMES_IN_SENTENCE);
    out.push_str(&reboot.names[..shown].join(", "));
    let more = reboot.containers.saturating_sub(shown as u64);
    if more > 0 {
        let _ = write!(out, " and {more} more");
    }
    out
}

fn describe_losses(node_name: &str, losses: &Losses) -> String {
    let (total, sink) = (losses.total(), losses.sink);
    let noun = if total == 1 { "incident" } else { "incidents" };
    let mut out = format!("the agent on node {node_name} lost {total} {noun} for the sink {sink}");
    for (n, (kind, count)) in losses.types.iter().enumerate() {
        let _ = write!(out, "{}{count} {kind}", if n == 0 { ": " } else { ", " });
    }
    out
}

fn describe_termination(
    out: &mut String,
    case: &Case,
    end: &Termination,
    cause: Option<&Cause>,
    course: &Course<'_>,
) {
    let code = end.exit_code;
    let own_limit = case.container().and_then(|container| container.resources.memory_limit_bytes);
    let pod_limit = case.pod.memory_limit_bytes;
    let victim = course.words.and_then(|words| words.oom_kill.as_ref());
    let limit_of = victim.and_then(|victim| victim.limit_of);
    let how = match (case.kind, &case.stopped_for) {
        (IncidentType::ProbeFailure, cause) => {
            let probe = match cause.as_ref().map(|cause| cause.kind) {
                Some(StopKind::StartupProbe) => "its startup probe",
                Some(StopKind::LivenessProbe) => "its liveness probe",
                _ => "a probe",
            };
            format!("was stopped by the kubelet: {probe} failed (exit code {code})")
        }
        (IncidentType::HookFailure, _) => {
            format!("was stopped by the kubelet: its postStart hook failed (exit code {code})")
        }
        (_, Some(StopCause { kind: StopKind::Sandbox, .. })) => {
            format!("was stopped by the kubelet: the pod's sandbox was lost (exit code {code})")
        }
        (IncidentType::Oom, _) if code != 137 => {
            format!("lost a process to the OOM killer and exited with code {code}")
        }
        (IncidentType::Oom, _) if limit_of == Some(LimitOf::Node) => {
            "was OOM-killed: the node had no memory left".to_owned()
        }
        (IncidentType::Oom, _) => match (own_limit, pod_limit) {
            (Some(own), pod)
                if limit_of != Some(LimitOf::Pod) && pod.is_none_or(|pod| own <= pod) =>
            {
                format!("was OOM-killed at its {} limit", bytes(own.unsigned_abs()))
            }
            (_, Some(pod)) => {
                format!("was OOM-killed at the pod's {} limit", bytes(pod.unsigned_abs()))
            }
            (_, None) => "was OOM-killed, without a memory limit of its own".to_owned(),
        },
        (IncidentType::StartError, _) => "could not be started".to_owned(),
        (IncidentType::RuntimeLost, _) => {
            "was found dead by the runtime after a restart; how it ended is not known".to_owned()
        }
        (IncidentType::Graceful, _) => "ended with exit code 0".to_owned(),
        _ => match end.signal.and_then(classify::signal_name) {
            Some(signal) => format!("was ended by {signal} (exit code {code})"),
            None => format!("exited with code {code}"),
        },
    };
    out.push_str(&how);
    // The time of a lost container's end is that of its discovery.
    if case.kind != IncidentType::RuntimeLost
        && let (Some(started), Some(finished)) = (end.started, end.finished)
    {
        let ran = finished.duration_since(started);
        let _ = write!(out, " after {}", duration(ran.try_into().unwrap_or_default()));
    }
    if case.kind == IncidentType::Graceful {
        out.push_str(", though it was meant to run on");
    }
    if let Some(growth) = course.memory_growth_bytes_per_second {
        // Whole bytes are precise enough, and growth is never negative.
        let _ = write!(out, " (memory grew {}/s)", bytes(growth.round() as u64));
    }
    match &case.stopped_for {
        Some(cause) if !cause.words.is_empty() => quote(out, &cause.words),
        _ => match cause {
            // A message of one line says it better than any rule about it.
            Some(cause) if end.message.is_empty() || end.message.trim_end().contains('\n') => {
                describe_cause(out, cause);
            }
            _ => quote(out, &end.message),
        },
    }
}

/// Says why, in the words of the log, and where.
fn describe_cause(out: &mut String, cause: &Cause) {
    quote(out, &cause.text());
    if let Some(location) = &cause.location {
        // The function and the folders are in the line's `cause`.
        let place = location.split(" in ").next().unwrap_or(location);
        let _ = write!(out, " ({})", cut(place, SENTENCE_PLACE_BYTES_MAX));
    }
}

/// Says what the kernel's log says about the end.
fn describe_words(out: &mut String, case: &Case, words: &KernelWords) {
    match (case.kind, &words.oom_kill, &words.fault) {
        (IncidentType::Oom, Some(victim), _) => describe_victim(out, victim),
        (IncidentType::Oom, None, _) | (_, _, None) => {}
        (_, _, Some(fault)) => describe_fault(out, fault),
    }
}

fn describe_victim(out: &mut String, victim: &OomVictim) {
    let resident = bytes(victim.resident_bytes);
    let OomVictim { process, pid, processes, .. } = victim;
    let _ = write!(out, "; the kernel killed {process} (pid {pid}, {resident} resident)");
    let _ = match processes.saturating_sub(1) {
        0 => return,
        1 => write!(out, " and 1 more process"),
        more => write!(out, " and {more} more processes"),
    };
}

fn describe_fault(out: &mut String, fault: &FaultOf) {
    let what = fault.kind.name().replace('_', " ");
    let _ = write!(out, "; probably the {what} of {} (pid {})", fault.process, fault.pid);
    if let Some(file) = &fault.file {
        let _ = write!(out, " in {file}");
    }
    if let Some(offset) = &fault.offset {
        let _ = write!(out, " at {offset}");
    }
}

/// Says that a crash like this is new on the node, if its pod is new as well: then the release is the first suspect.
fn describe_first(out: &mut String, case: &Case, first: First) {
    let Some(created) = case.pod.created_at else { return };
    let age: Duration = case.occurred_at.duration_since(created).try_into().unwrap_or_default();
    if age <= NEW_POD_WITHIN {
        let age = duration(age);
        let seen = match first {
            First::OnNode => "on this node",
            First::SinceStart => "on this node since the agent started",
        };
        let _ = write!(out, "; first crash of its kind {seen}, {age} after the pod was made");
    }
}

/// Says what follows for the pod.
fn describe_consequence(out: &mut String, case: &Case) {
    let is_init = case.container().is_some_and(|container| container.kind == ContainerKind::Init);
    if is_init {
        out.push_str("; the pod cannot start without it");
    }
}

fn describe_unseen(out: &mut String, case: &Case) {
    let Some(restarts) = case.restarts else { return };
    let times = match restarts.unseen {
        1 => "once".to_owned(),
        n => format!("{n} times"),
    };
    let _ = write!(out, "terminated {times} unseen: only its restart count shows it");
    let _ = write!(out, "; restarts: {}", restarts.total);
}

fn describe_restarts(out: &mut String, restarts: Restarts, course: &Course<'_>) {
    if restarts.total > 0 {
        let _ = write!(out, "; restarts: {}", restarts.total);
    }
    if restarts.unseen > 0 {
        let s = if restarts.unseen == 1 { "" } else { "s" };
        let _ = write!(out, ", {} earlier termination{s} unseen", restarts.unseen);
    }
    if let Some(nth) = ORDINALS.get(course.recent_ends).filter(|nth| !nth.is_empty()) {
        let minutes = course.recent_within.as_secs() / 60;
        let _ = write!(out, "; {nth} crash in {minutes} min");
    }
}

/// Ordinals from the second crash on; the last one stands for more.
const ORDINALS: [&str; 11] = [
    "",
    "",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "at least tenth",
];

/// Appends a message from a pod or the runtime on one line. Of a long one the head and the tail are kept: programs put the
/// subject first, and Go wraps errors so that the cause comes last.
fn quote(out: &mut String, text: &str) {
    let line: Vec<&str> = text.split_whitespace().collect();
    let line = line.join(" ");
    if !line.is_empty() {
        let _ = write!(out, ": {}", head_and_tail(&line));
    }
}

fn head_and_tail(line: &str) -> String {
    if line.len() <= SENTENCE_QUOTE_BYTES_MAX {
        return line.to_owned();
    }
    // Both parts end at a blank if there is one near, so that words stay whole.
    let head_bytes = SENTENCE_QUOTE_BYTES_MAX * 2 / 5;
    let head = &line[..line.floor_char_boundary(head_bytes)];
    let head = head.rfind(' ').filter(|at| *at > head_bytes / 2).map_or(head, |at| &head[..at]);
    let tail_bytes = SENTENCE_QUOTE_BYTES_MAX - head.len() - " … ".len();
    // Behind an HTTP status there may be advice of the server, which is longer than the cause.
    if let Some(at) =
        http_status(line).filter(|at| (head.len()..line.len() - tail_bytes).contains(at))
    {
        return format!("{head} … {}", cut(&line[at..], tail_bytes));
    }
    let tail = &line[line.ceil_char_boundary(line.len() - tail_bytes)..];
    let tail = tail.find(' ').filter(|at| *at < tail_bytes / 2).map_or(tail, |at| &tail[at + 1..]);
    format!("{head} … {tail}")
}

/// Returns where the last HTTP status of a failure stands in a text: `429 Too Many Requests`.
fn http_status(line: &str) -> Option<usize> {
    let is_status = |at: &usize| {
        let bytes = &line.as_bytes()[*at..];
        matches!(bytes, [b' ', b'4' | b'5', b'0'..=b'9', b'0'..=b'9', b' ', b'A'..=b'Z', ..])
    };
    line.rmatch_indices(' ').map(|(at, _)| at).find(is_status).map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_one_short_line() {
        let mut out = String::new();
        quote(&mut out, &format!("a\n\t b\u{0}{}", "x".repeat(9999)));
        assert!(!out.contains('\n') && out.len() <= SENTENCE_QUOTE_BYTES_MAX + 2, "{out}");
        let mut none = String::new();
        quote(&mut none, " \n ");
        assert_eq!(none, "");
    }

    #[test]
    fn the_image_of_a_volume_is_not_the_containers() {
        for (message, own, want) in [
            (
                "failed to pull and unpack image \"r/model:v9\": not found",
                "r/app:1",
                Some("r/model:v9"),
            ),
            ("Container image \"r/model:v9\" is not present", "r/app:1", Some("r/model:v9")),
            ("Back-off pulling image \"r/app:1\"", "r/app:1", None),
            ("failed to pull image \"docker.io/library/nginx:latest\": denied", "nginx", None),
            ("failed to pull image \"nginx\": denied", "docker.io/library/nginx:latest", None),
            ("failed to pull image \"", "nginx", None),
            ("manifest unknown", "nginx", None),
        ] {
            assert_eq!(other_image(message, own), want, "{message}");
        }
    }

    #[test]
    fn a_long_quote_keeps_its_subject_and_its_cause() {
        let pull = format!(
            "failed to pull and unpack image \"registry.example/{}\": failed to copy: httpReadSeeker: failed \
             open: unexpected status code 429 Too Many Requests",
            "team/".repeat(60)
        );
        let advice =
            format!("{pull}: increase the limit at {}", "x".repeat(SENTENCE_QUOTE_BYTES_MAX));
        let quoted = head_and_tail(&advice);
        assert!(quoted.contains(" … 429 Too Many Requests: inc"), "{quoted}");
        assert!(quoted.len() <= SENTENCE_QUOTE_BYTES_MAX, "{quoted}");
        for text in [pull, format!("{} no such file", "x".repeat(999)), "é".repeat(500)] {
            let quoted = head_and_tail(&text);
            assert!(quoted.len() <= SENTENCE_QUOTE_BYTES_MAX, "{quoted}");
            assert_eq!(quoted.chars().next(), text.chars().next());
            assert!(
                quoted.ends_with(&text[text.ceil_char_boundary(text.len() - 12)..]),
                "{quoted}"
            );
        }
    }
}
