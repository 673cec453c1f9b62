//! The rules: the type of a termination, of a waiting reason and of a failed pod, and what is not a crash.
//!
//! Each rule is one table without state. The seed's exit-code table is kept. Its example would report some
//! terminations that are not crashes (every 137 as out of memory, an exit during a rollout); the rules here go
//! further, and cite what the kubelet and the runtimes really do.

use crate::core::case::{ContainerKind, IncidentType, Severity};
use crate::core::detect::container::{Container, started};
use crate::core::wire;

/// What is known about the termination of a container instance.
#[derive(Clone, Copy, Debug)]
pub struct TerminationFacts<'a> {
    /// Exit code; 128 + n after signal n.
    pub exit_code: i32,
    /// Signal number; set by few runtimes, otherwise 0.
    pub signal: i32,
    /// Reason: `OOMKilled`, `Error`, `Completed`, …
    pub reason: &'a str,
    /// The list of the pod's spec that contains the container.
    pub kind: ContainerKind,
    /// True if the kubelet restarts the container whatever its exit code.
    pub restarts_always: bool,
    /// True if the pod's deletion was requested before the termination.
    pub under_deletion: bool,
    /// True for a sidecar that terminated after the pod's main containers were done.
    pub teardown: bool,
    /// True if the kubelet reports a failed postStart hook for this very instance.
    pub hook_failed: bool,
    /// True if the kubelet reports that this very instance could not be started.
    pub start_failed: bool,
}

/// The verdict of the rules on a termination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A crash.
    Incident(IncidentType, Severity),
    /// Not a crash.
    Quiet(Quiet),
}

/// Why a termination is not a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quiet {
    /// The pod was being deleted: a rollout, a scale-down, a drain.
    Deletion,
    /// The container finished its work.
    CleanExit,
    /// A sidecar terminated after the pod's work was done.
    SidecarTeardown,
    /// The kubelet made the record up; no instance terminated.
    Synthetic,
    /// The termination is part of the pod's own failure, which is reported.
    PodFailure,
    /// The kubelet restarted the container to apply a change of its spec.
    SpecChange,
    /// The container terminated before the agent started, longer ago than `BLACKBOX_LOOKBACK`.
    History,
}

/// Judges a termination by the pod's status.
pub fn termination(end: &TerminationFacts<'_>) -> Verdict {
    let (kind, severity) = exit_code(end.exit_code);
    if end.under_deletion && !is_fault(end.exit_code, end.signal) {
        // `OOMKilled` proves nothing here: containerd sets the reason on a *running* container that lost a child
        // process, and the reason stays (internal/cri/server/events.go).
        return Verdict::Quiet(Quiet::Deletion);
    }
    if end.teardown {
        return Verdict::Quiet(Quiet::SidecarTeardown);
    }
    if end.hook_failed {
        return Verdict::Incident(IncidentType::HookFailure, Severity::High);
    }
    if end.reason == "OOMKilled" && end.exit_code == 137 {
        return Verdict::Incident(IncidentType::Oom, Severity::Critical);
    }
    if end.start_failed || is_start_reason(end.reason) {
        return Verdict::Incident(IncidentType::StartError, Severity::High);
    }
    if kind == IncidentType::Graceful && !is_meant_to_run(end) {
        return Verdict::Quiet(Quiet::CleanExit);
    }
    Verdict::Incident(kind, severity)
}

/// Returns the type and severity of an exit code, by the seed's table. [`termination`] may give the termination
/// another type, and so may its evidence: an OOM kill that the kernel counted (`oom.rs`), a failed probe or hook
/// (`settle.rs`). Signals that mean a fault of the program have
/// a higher severity.
pub fn exit_code(code: i32) -> (IncidentType, Severity) {
    let kind = match code {
        0 => IncidentType::Graceful,
        1 => IncidentType::Error,
        2 => IncidentType::Misuse,
        125 => IncidentType::DockerError,
        126 => IncidentType::NotExecutable,
        127 => IncidentType::NotFound,
        128 => IncidentType::InvalidArg,
        130 => IncidentType::Interrupted,
        137 => IncidentType::Killed,
        143 => IncidentType::Terminated,
        129.. => IncidentType::Signal,
        _ => IncidentType::Unknown,
    };
    let severity = match kind {
        IncidentType::Signal if is_fault(code, 0) => Severity::High,
        IncidentType::Signal => Severity::Medium,
        _ => kind.severities()[0],
    };
    (kind, severity)
}

/// Returns true for exit codes that a stop by the kubelet may cause: SIGTERM handled (0), death by SIGTERM (143),
/// SIGKILL (137). The reason for the stop is shown later, or only in an event.
pub fn may_be_a_stop(exit_code: i32) -> bool {
    matches!(exit_code, 0 | 137 | 143)
}

/// Returns the number of the signal that terminated the process, if there was one.
pub fn signal(exit_code: i32, signal: i32) -> Option<i32> {
    if signal > 0 {
        return Some(signal);
    }
    // Linux has 64 signals; 255 is the runtime's "unknown", not a signal.
    (129..=192).contains(&exit_code).then(|| exit_code - 128)
}

/// Returns the name of a signal, for sentences.
pub fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return None,
    })
}

/// Returns true for SIGILL, SIGABRT, SIGBUS, SIGFPE and SIGSEGV: nobody sends these to stop a container.
fn is_fault(exit_code: i32, number: i32) -> bool {
    matches!(signal(exit_code, number), Some(4 | 6 | 7 | 8 | 11))
}

/// Returns true for reasons of terminated records whose process never ran (containerd, dockershim).
pub fn is_start_reason(reason: &str) -> bool {
    matches!(reason, "StartError" | "ContainerCannotRun")
}

/// Returns true for records that the kubelet makes up (`pkg/kubelet/kubelet_pods.go`); no instance terminated.
pub fn is_synthetic(reason: &str, container_id: &str) -> bool {
    container_id.is_empty()
        || matches!(reason, "RestartingAllContainers" | "ContainerStatusUnknown")
}

fn is_meant_to_run(end: &TerminationFacts<'_>) -> bool {
    match end.kind {
        ContainerKind::App | ContainerKind::Sidecar => end.restarts_always,
        ContainerKind::Init | ContainerKind::Ephemeral => false,
    }
}

/// A kind of waiting reason that is an incident by itself, one for each waiting episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Episode {
    /// The image cannot be pulled. The reason alternates between the attempt and the backoff.
    ImagePull,
    /// A config map, a secret or one of their keys is missing.
    ConfigError,
    /// The container cannot be created, and the status has no terminated instance for it.
    StartError,
}

impl Episode {
    /// Returns the type of the incident.
    pub fn kind(self) -> IncidentType {
        match self {
            Self::ImagePull => IncidentType::ImagePull,
            Self::ConfigError => IncidentType::ConfigError,
            Self::StartError => IncidentType::StartError,
        }
    }
}

/// Returns the episode that a waiting reason belongs to. `CrashLoopBackOff`, `ContainerCreating` and
/// `PodInitializing` belong to none: the terminations before them are the incidents.
///
/// Reasons: kubelet `pkg/kubelet/images/types.go`, `pkg/kubelet/container/sync_result.go`,
/// `pkg/kubelet/kuberuntime/kuberuntime_container.go`, cri-api `pkg/errors`.
pub fn waiting(reason: &str) -> Option<Episode> {
    Some(match reason {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "ErrImageNeverPull"
        | "InvalidImageName"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => Episode::ImagePull,
        "CreateContainerConfigError" => Episode::ConfigError,
        "RunContainerError"
        | "CreateContainerError"
        | "PreCreateHookError"
        | "PreStartHookError"
        | "CreatePodSandboxError"
        | "ConfigPodSandboxError"
        | "RROUnsupported"
        | "ImageVolumeMountFailed" => Episode::StartError,
        _ => return None,
    })
}

/// Returns true for waiting reasons that refer to an instance that was created: `containerID` is the ID of that
/// instance, not of the one before (`kuberuntime_container.go`, `startContainer`).
pub fn is_made(reason: &str) -> bool {
    matches!(reason, "RunContainerError" | "PreStartHookError")
}

/// Returns what the reason of a Failed pod means. `None` for an empty reason: then the terminations of the containers
/// were the failure.
pub fn pod_failure(reason: &str) -> Option<(IncidentType, Severity)> {
    let kind = match reason {
        "" => return None,
        "Evicted" => IncidentType::Evicted,
        "DeadlineExceeded" => IncidentType::Timeout,
        "Preempting" => IncidentType::Preempted,
        "Terminated" | "NodeShutdown" | "Shutdown" => IncidentType::NodeShutdown,
        _ => IncidentType::AdmissionRejected,
    };
    Some((kind, kind.severities()[0]))
}

/// Returns true if the kubelet reports a failed postStart hook for this instance.
pub fn hook_failed(container: &Container<'_, '_>, container_id: Option<&str>) -> bool {
    let status = container.status;
    let waits = status.state.waiting.as_ref().is_some_and(|w| &*w.reason == "PostStartHookError");
    let last = status.last_state.terminated.as_ref();
    waits && last.is_some_and(|t| Some(&*t.container_id) == container_id)
}

/// Returns true if the kubelet reports that this instance could not be started. The record of CRI-O does not show
/// the failed start: its reason is Error. False for an instance that ran.
pub fn start_failed(container: &Container<'_, '_>, end: &wire::Terminated<'_>) -> bool {
    let status = container.status;
    let waits = status.state.waiting.as_ref().is_some_and(|w| &*w.reason == "RunContainerError");
    let last = status.last_state.terminated.as_ref();
    let is_last = last.is_some_and(|l| *l.container_id == *end.container_id);
    let never_ran = started(end).is_none_or(|at| end.finished_at.time() <= Some(at));
    waits && is_last && *status.container_id == *end.container_id && never_ran
}

#[cfg(test)]
mod tests {
    use super::*;
    use IncidentType as T;
    use Severity as S;

    const APP: TerminationFacts<'_> = TerminationFacts {
        exit_code: 1,
        signal: 0,
        reason: "Error",
        kind: ContainerKind::App,
        restarts_always: true,
        under_deletion: false,
        teardown: false,
        hook_failed: false,
        start_failed: false,
    };

    #[test]
    fn exit_codes_follow_the_seeds_table() {
        for (code, kind, severity) in [
            (0, T::Graceful, S::Low),
            (1, T::Error, S::Medium),
            (2, T::Misuse, S::Medium),
            (3, T::Unknown, S::Medium),
            (124, T::Unknown, S::Medium),
            (125, T::DockerError, S::High),
            (126, T::NotExecutable, S::High),
            (127, T::NotFound, S::High),
            (128, T::InvalidArg, S::Medium),
            (129, T::Signal, S::Medium),
            (130, T::Interrupted, S::Low),
            (131, T::Signal, S::Medium),
            (132, T::Signal, S::High),
            (134, T::Signal, S::High),
            (135, T::Signal, S::High),
            (136, T::Signal, S::High),
            (137, T::Killed, S::High),
            (139, T::Signal, S::High),
            (143, T::Terminated, S::Medium),
            (255, T::Signal, S::Medium),
            (-1, T::Unknown, S::Medium),
            (i32::MIN, T::Unknown, S::Medium),
            (i32::MAX, T::Signal, S::Medium),
        ] {
            assert_eq!(exit_code(code), (kind, severity), "{code}");
            assert!(kind.severities().contains(&severity), "{code}");
        }
    }

    #[test]
    fn out_of_memory_needs_the_reason_and_the_code() {
        for (code, reason, want) in [
            (137, "OOMKilled", Verdict::Incident(T::Oom, S::Critical)),
            (137, "Error", Verdict::Incident(T::Killed, S::High)),
            (143, "OOMKilled", Verdict::Incident(T::Terminated, S::Medium)),
            (1, "OOMKilled", Verdict::Incident(T::Error, S::Medium)),
            (0, "OOMKilled", Verdict::Incident(T::Graceful, S::Low)),
        ] {
            assert_eq!(
                termination(&TerminationFacts { exit_code: code, reason, ..APP }),
                want,
                "{code} {reason}"
            );
        }
    }

    #[test]
    fn deletion_silences_everything_but_faults() {
        for code in [0, 1, 2, 130, 137, 143, 255] {
            for reason in ["Error", "OOMKilled", "Completed"] {
                let e = TerminationFacts { exit_code: code, reason, under_deletion: true, ..APP };
                assert_eq!(termination(&e), Verdict::Quiet(Quiet::Deletion), "{code} {reason}");
            }
        }
        for code in [132, 134, 135, 136, 139] {
            let e = TerminationFacts { exit_code: code, under_deletion: true, ..APP };
            assert_eq!(termination(&e), Verdict::Incident(T::Signal, S::High), "{code}");
        }
        let by_field = TerminationFacts { exit_code: 1, signal: 11, under_deletion: true, ..APP };
        assert!(matches!(termination(&by_field), Verdict::Incident(..)));
    }

    #[test]
    fn a_clean_exit_is_one_only_where_the_container_was_meant_to_run() {
        let graceful = Verdict::Incident(T::Graceful, S::Low);
        let quiet = Verdict::Quiet(Quiet::CleanExit);
        for (kind, restarts_always, want) in [
            (ContainerKind::App, true, graceful),
            (ContainerKind::App, false, quiet),
            (ContainerKind::Sidecar, true, graceful),
            (ContainerKind::Init, true, quiet),
            (ContainerKind::Init, false, quiet),
            (ContainerKind::Ephemeral, true, quiet),
        ] {
            let e = TerminationFacts {
                exit_code: 0,
                reason: "Completed",
                kind,
                restarts_always,
                ..APP
            };
            assert_eq!(termination(&e), want, "{kind:?} {restarts_always}");
        }
    }

    #[test]
    fn hooks_starts_and_teardown_are_told_apart() {
        let hook = TerminationFacts { exit_code: 137, hook_failed: true, ..APP };
        assert_eq!(termination(&hook), Verdict::Incident(T::HookFailure, S::High));
        for reason in ["StartError", "ContainerCannotRun"] {
            let start = TerminationFacts { exit_code: 128, reason, ..APP };
            assert_eq!(termination(&start), Verdict::Incident(T::StartError, S::High));
        }
        let sidecar = TerminationFacts { kind: ContainerKind::Sidecar, teardown: true, ..APP };
        assert_eq!(termination(&sidecar), Verdict::Quiet(Quiet::SidecarTeardown));
    }

    #[test]
    fn waiting_reasons_are_grouped_into_episodes() {
        for (reason, want) in [
            ("ErrImagePull", Some(T::ImagePull)),
            ("ImagePullBackOff", Some(T::ImagePull)),
            ("InvalidImageName", Some(T::ImagePull)),
            ("CreateContainerConfigError", Some(T::ConfigError)),
            ("CreateContainerError", Some(T::StartError)),
            ("CrashLoopBackOff", None),
            ("ContainerCreating", None),
            ("PodInitializing", None),
            ("PostStartHookError", None),
            ("RestartingAllContainers", None),
            ("", None),
        ] {
            assert_eq!(waiting(reason).map(Episode::kind), want, "{reason}");
        }
    }

    #[test]
    fn pod_failures_are_named_by_their_reason() {
        for (reason, want) in [
            ("", None),
            ("Evicted", Some((T::Evicted, S::High))),
            ("DeadlineExceeded", Some((T::Timeout, S::Medium))),
            ("Preempting", Some((T::Preempted, S::Medium))),
            ("Terminated", Some((T::NodeShutdown, S::Medium))),
            ("NodeShutdown", Some((T::NodeShutdown, S::Medium))),
            ("OutOfcpu", Some((T::AdmissionRejected, S::High))),
            ("NodeAffinity", Some((T::AdmissionRejected, S::High))),
            ("UnexpectedAdmissionError", Some((T::AdmissionRejected, S::High))),
            ("SomethingNew", Some((T::AdmissionRejected, S::High))),
        ] {
            assert_eq!(pod_failure(reason), want, "{reason}");
        }
    }

    #[test]
    fn signals_are_read_from_either_field() {
        for (code, number, want) in [
            (139, 0, Some(11)),
            (137, 9, Some(9)),
            (1, 15, Some(15)),
            (255, 0, None),
            (128, 0, None),
            (0, 0, None),
        ] {
            assert_eq!(signal(code, number), want, "{code} {number}");
        }
    }
}
