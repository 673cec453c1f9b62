//! The rules: the type of a termination, of a waiting reason and of a failed pod, and what is not a crash.
//!
//! Each rule is one table without state. The seed's exit-code table is kept. Its example would report some
//! terminations that are not crashes (every 137 as out of memory, an exit during a rollout); the rules here go
//! further, and cite what the kubelet and the runtimes really do.

use crate::core::case::{ContainerKind, IncidentType, Severity};

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
    /// True if the kubelet restarts the container after this exit code.
    pub restarts: bool,
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
    /// A debugging session (an ephemeral container) was over.
    DebugSession,
    /// The node was started again, which is reported.
    Reboot,
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
    if end.kind == ContainerKind::Ephemeral {
        // The shell of `kubectl debug` exits with the code of its last command, and Ctrl-C gives 130.
        return Verdict::Quiet(Quiet::DebugSession);
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
    if is_lost_by_runtime(end.exit_code, end.reason) {
        return Verdict::Incident(IncidentType::RuntimeLost, Severity::Medium);
    }
    let is_lost_child =
        end.kind == ContainerKind::Init || end.exit_code == 0 && !is_meant_to_run(end);
    if end.reason == "OOMKilled" && is_lost_child {
        // A child of the first process was OOM-killed: what it worked on may be lost. The kubelet counts an init container
        // with this reason as failed, whatever its exit code (kuberuntime `helpers.go`, `isInitContainerFailed`).
        return Verdict::Incident(IncidentType::Oom, Severity::High);
    }
    if kind == IncidentType::Graceful && !is_meant_to_run(end) {
        return Verdict::Quiet(Quiet::CleanExit);
    }
    Verdict::Incident(kind, severity)
}

/// Returns the type and severity of an exit code, by the seed's table. [`termination`] may give the termination
/// another type, and so may its evidence: an OOM kill that the kernel counted (`oom.rs`), a failed probe or hook
/// (`settle.rs`). Signals that mean a fault of the program have a higher severity.
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
        // Linux has 64 signals. 255 is what a program or a runtime returns that knows no better.
        129..=192 => IncidentType::Signal,
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

/// Returns the number of a signal by its name, as a pod's spec gives it.
pub fn signal_number(name: &str) -> Option<i32> {
    (1..=64).find(|number| signal_name(*number) == Some(name))
}

/// Returns true for SIGILL, SIGABRT, SIGBUS, SIGFPE and SIGSEGV: nobody sends these to stop a container.
pub fn is_fault(exit_code: i32, number: i32) -> bool {
    matches!(signal(exit_code, number), Some(4 | 6 | 7 | 8 | 11))
}

/// Returns true for reasons of terminated records whose process never ran (containerd, dockershim).
pub fn is_start_reason(reason: &str) -> bool {
    matches!(reason, "StartError" | "ContainerCannotRun")
}

/// Returns true if the runtime found the instance dead and does not know how it ended (containerd
/// `internal/cri/server/restart.go`: exit code 255, reason Unknown, and the time of the discovery as its end): after a
/// reboot of the node, or after a restart of the runtime. CRI-O gives the exit code -1 where the file with the code is gone
/// (`server/container_status.go`).
pub fn is_lost_by_runtime(exit_code: i32, reason: &str) -> bool {
    exit_code == -1 || exit_code == 255 && reason == "Unknown"
}

/// Returns true for records that the kubelet makes up (`pkg/kubelet/kubelet_pods.go`); no instance terminated.
pub fn is_synthetic(reason: &str, container_id: &str) -> bool {
    container_id.is_empty()
        || matches!(reason, "RestartingAllContainers" | "ContainerStatusUnknown")
}

fn is_meant_to_run(end: &TerminationFacts<'_>) -> bool {
    match end.kind {
        ContainerKind::App | ContainerKind::Sidecar => end.restarts,
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

/// Returns true if the kubelet waits before it pulls an image again and does not say why the last try failed (before
/// Kubernetes 1.32). Then the cause is in the event of that try.
pub fn lacks_cause(reason: &str, message: &str) -> bool {
    reason == "ImagePullBackOff" && !message.contains("\": ")
}

/// Returns true for waiting reasons that refer to an instance that was created: `containerID` is the ID of that
/// instance, not of the one before (`kuberuntime_container.go`, `startContainer`).
pub fn is_made(reason: &str) -> bool {
    matches!(reason, "RunContainerError" | "PreStartHookError")
}

/// Returns what reason and message of a Failed pod mean. `None` for an empty reason: then the terminations of the
/// containers were the failure.
pub fn pod_failure(reason: &str, message: &str) -> Option<(IncidentType, Severity)> {
    let kind = match reason {
        "" => return None,
        // The same reason stands for a pod that was refused because the node shuts down (kubelet `nodeshutdown`).
        "NodeShutdown" | "Shutdown" | "Terminated"
            if message.contains("was rejected") || message.contains("not admitting") =>
        {
            IncidentType::AdmissionRejected
        }
        // Under disk or memory pressure, the node refuses pods with the reason of an eviction (kubelet
        // `eviction_manager.go`, `Admit`).
        "Evicted" if message.contains("The node had condition: ") => {
            IncidentType::AdmissionRejected
        }
        "Evicted" => IncidentType::Evicted,
        "DeadlineExceeded" => IncidentType::Timeout,
        "Preempting" => IncidentType::Preempted,
        "Terminated" | "NodeShutdown" | "Shutdown" => IncidentType::NodeShutdown,
        _ => IncidentType::AdmissionRejected,
    };
    Some((kind, kind.severities()[0]))
}

/// Returns what the condition `DisruptionTarget` of a pod means, where the kubelet itself terminates the pod. `None` for
/// the other reasons: there the API server was asked to delete the pod (kubelet `pkg/kubelet/eviction`,
/// `pkg/kubelet/nodeshutdown`, `pkg/kubelet/preemption`).
pub fn disruption(reason: &str, message: &str) -> Option<(IncidentType, Severity)> {
    if reason != "TerminationByKubelet" {
        return None;
    }
    let kind = match message {
        m if m.contains("node shutdown") => IncidentType::NodeShutdown,
        // "Pod was preempted by Kubelet to accommodate a critical pod.", "Preempted in order to admit critical pod"
        m if m.contains("reempted") => IncidentType::Preempted,
        _ => IncidentType::Evicted,
    };
    Some((kind, kind.severities()[0]))
}

/// Returns what an event of a pod means by which the kubelet says that it stops the pod (`eviction`, `preemption`,
/// `active_deadline`, `nodeshutdown`).
pub fn pod_stop(reason: &str) -> Option<(IncidentType, Severity)> {
    let kind = match reason {
        "Evicted" => IncidentType::Evicted,
        "Preempting" => IncidentType::Preempted,
        "DeadlineExceeded" => IncidentType::Timeout,
        "NodeShutdown" | "Shutdown" => IncidentType::NodeShutdown,
        _ => return None,
    };
    Some((kind, kind.severities()[0]))
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
        restarts: true,
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
            (192, T::Signal, S::Medium),
            (193, T::Unknown, S::Medium),
            (255, T::Unknown, S::Medium),
            (-1, T::Unknown, S::Medium),
            (i32::MIN, T::Unknown, S::Medium),
            (i32::MAX, T::Unknown, S::Medium),
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
        let debug = Verdict::Quiet(Quiet::DebugSession);
        for (kind, restarts, want) in [
            (ContainerKind::App, true, graceful),
            (ContainerKind::App, false, quiet),
            (ContainerKind::Sidecar, true, graceful),
            (ContainerKind::Init, true, quiet),
            (ContainerKind::Init, false, quiet),
            (ContainerKind::Ephemeral, false, debug),
        ] {
            let e = TerminationFacts { exit_code: 0, reason: "Completed", kind, restarts, ..APP };
            assert_eq!(termination(&e), want, "{kind:?} {restarts}");
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
    fn an_image_back_off_may_lack_its_cause() {
        for (reason, message, want) in [
            ("ImagePullBackOff", r#"Back-off pulling image "r/app:1""#, true),
            ("ImagePullBackOff", "", true),
            (
                "ImagePullBackOff",
                r#"Back-off pulling image "r/app:1": ErrImagePull: denied"#,
                false,
            ),
            ("ErrImagePull", "denied", false),
        ] {
            assert_eq!(lacks_cause(reason, message), want, "{reason} {message}");
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
            assert_eq!(pod_failure(reason, ""), want, "{reason}");
        }
        for (reason, message) in [
            ("NodeShutdown", "Pod was rejected as the node is shutting down."),
            ("NodeShutdown", "Pod Pod was rejected as the node is shutting down."),
            ("Shutdown", "Pod Node is in progress of shutting down, not admitting any new pods"),
            ("Evicted", "Pod The node had condition: [DiskPressure]. "),
            ("Evicted", "Pod was rejected: The node had condition: [MemoryPressure]. "),
        ] {
            let rejected = pod_failure(reason, message);
            assert_eq!(rejected, Some((T::AdmissionRejected, S::High)), "{reason} {message}");
        }
    }

    #[test]
    fn a_pod_that_the_kubelet_terminates_is_named_by_its_condition_or_its_event() {
        let kubelet = "TerminationByKubelet";
        for (reason, message, want) in [
            (
                kubelet,
                "Pod was terminated in response to imminent node shutdown.",
                Some(T::NodeShutdown),
            ),
            (kubelet, "The node was low on resource: memory.", Some(T::Evicted)),
            (kubelet, "Preempted in order to admit critical pod", Some(T::Preempted)),
            (
                kubelet,
                "Pod was preempted by Kubelet to accommodate a critical pod.",
                Some(T::Preempted),
            ),
            ("EvictionByEvictionAPI", "Eviction API: evicting", None),
            ("PreemptionByScheduler", "preempting to accommodate", None),
            ("DeletionByTaintManager", "deleting due to NoExecute taint", None),
        ] {
            assert_eq!(disruption(reason, message).map(|(kind, _)| kind), want, "{message}");
        }
        for (reason, want) in [
            ("Evicted", Some(T::Evicted)),
            ("Preempting", Some(T::Preempted)),
            ("DeadlineExceeded", Some(T::Timeout)),
            ("Shutdown", Some(T::NodeShutdown)),
            ("Scheduled", None),
        ] {
            assert_eq!(pod_stop(reason).map(|(kind, _)| kind), want, "{reason}");
        }
    }

    #[test]
    fn what_the_runtime_lost_is_not_a_signal_and_what_a_child_lost_is_oom() {
        for (exit_code, reason, kind, restarts, want) in [
            (
                255,
                "Unknown",
                ContainerKind::App,
                true,
                Verdict::Incident(T::RuntimeLost, S::Medium),
            ),
            (255, "Error", ContainerKind::App, true, Verdict::Incident(T::Unknown, S::Medium)),
            (0, "OOMKilled", ContainerKind::App, false, Verdict::Incident(T::Oom, S::High)),
            (0, "OOMKilled", ContainerKind::Init, true, Verdict::Incident(T::Oom, S::High)),
            (1, "OOMKilled", ContainerKind::Init, true, Verdict::Incident(T::Oom, S::High)),
            (1, "OOMKilled", ContainerKind::App, true, Verdict::Incident(T::Error, S::Medium)),
            (0, "OOMKilled", ContainerKind::App, true, Verdict::Incident(T::Graceful, S::Low)),
        ] {
            let e = TerminationFacts { exit_code, reason, kind, restarts, ..APP };
            assert_eq!(termination(&e), want, "{exit_code} {reason} {kind:?}");
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
