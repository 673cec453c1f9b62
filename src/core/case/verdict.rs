//! The parts of a verdict: type, severity and confidence.

use serde::Serialize;

/// How bad an incident is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The termination did no harm, but an operator should know about it.
    Low,
    /// A crash with an ordinary cause.
    Medium,
    /// A crash or failure that keeps a workload down.
    High,
    /// The kernel killed the process to get its memory back.
    Critical,
}

impl Severity {
    /// Every severity, worst first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Medium, Self::Low];

    /// Returns the name that is used in the incident line, in labels and in `BLACKBOX_MIN_SEVERITY`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// Returns the severity with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }
}

/// The type of an incident. The rules are in `core::detect::classify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentType {
    /// The kernel's out-of-memory killer killed the process.
    Oom,
    /// The kubelet stopped the container because a liveness or startup probe failed.
    ProbeFailure,
    /// The kubelet stopped the container because its postStart hook failed.
    HookFailure,
    /// The container could not be created or started.
    StartError,
    /// Exit code 1.
    Error,
    /// Exit code 2.
    Misuse,
    /// Exit code 125.
    DockerError,
    /// Exit code 126.
    NotExecutable,
    /// Exit code 127.
    NotFound,
    /// Exit code 128.
    InvalidArg,
    /// Exit code 130: SIGINT.
    Interrupted,
    /// Exit code 137: SIGKILL, not by the out-of-memory killer.
    Killed,
    /// Exit code 143: SIGTERM.
    Terminated,
    /// Another exit code over 128.
    Signal,
    /// Any other exit code.
    Unknown,
    /// Exit code 0 of a container that is meant to run for ever.
    Graceful,
    /// The image cannot be pulled.
    ImagePull,
    /// The container's configuration refers to an object that does not exist.
    ConfigError,
    /// The pod was evicted.
    Evicted,
    /// The pod ran past its deadline.
    Timeout,
    /// The pod was removed to make room for a pod with a higher priority.
    Preempted,
    /// The node shut down.
    NodeShutdown,
    /// The kubelet refused to run the pod.
    AdmissionRejected,
    /// The pod does not get to run, or does not terminate.
    Stuck,
    /// A container runs, but does not become ready.
    Unready,
    /// Instances of a container terminated, and no object of the API showed them.
    Unseen,
    /// The runtime lost the container: its own process, or the one that watches the container, was gone.
    RuntimeLost,
    /// The node was started again: by a reboot, a panic or a power cut.
    NodeReboot,
    /// A sink lost incidents: it was too slow, or failed for too long.
    Lost,
}

impl IncidentType {
    /// Every type, in the order of the documentation.
    pub const ALL: [Self; 29] = [
        Self::Oom,
        Self::ProbeFailure,
        Self::HookFailure,
        Self::StartError,
        Self::Error,
        Self::Misuse,
        Self::DockerError,
        Self::NotExecutable,
        Self::NotFound,
        Self::InvalidArg,
        Self::Interrupted,
        Self::Killed,
        Self::Terminated,
        Self::Signal,
        Self::Unknown,
        Self::Graceful,
        Self::ImagePull,
        Self::ConfigError,
        Self::Evicted,
        Self::Timeout,
        Self::Preempted,
        Self::NodeShutdown,
        Self::AdmissionRejected,
        Self::Stuck,
        Self::Unready,
        Self::Unseen,
        Self::RuntimeLost,
        Self::NodeReboot,
        Self::Lost,
    ];

    /// Returns the name that is used in the incident line and in labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Oom => "oom",
            Self::ProbeFailure => "probe_failure",
            Self::HookFailure => "hook_failure",
            Self::StartError => "start_error",
            Self::Error => "error",
            Self::Misuse => "misuse",
            Self::DockerError => "docker_error",
            Self::NotExecutable => "not_executable",
            Self::NotFound => "not_found",
            Self::InvalidArg => "invalid_arg",
            Self::Interrupted => "interrupted",
            Self::Killed => "killed",
            Self::Terminated => "terminated",
            Self::Signal => "signal",
            Self::Unknown => "unknown",
            Self::Graceful => "graceful",
            Self::ImagePull => "image_pull",
            Self::ConfigError => "config_error",
            Self::Evicted => "evicted",
            Self::Timeout => "timeout",
            Self::Preempted => "preempted",
            Self::NodeShutdown => "node_shutdown",
            Self::AdmissionRejected => "admission_rejected",
            Self::Stuck => "stuck",
            Self::Unready => "unready",
            Self::Unseen => "unseen",
            Self::RuntimeLost => "runtime_lost",
            Self::NodeReboot => "node_reboot",
            Self::Lost => "lost",
        }
    }

    /// Returns the severities that incidents of this type can have.
    pub fn severities(self) -> &'static [Severity] {
        match self {
            Self::Oom => &[Severity::Critical, Severity::High],
            Self::Signal | Self::NodeReboot => &[Severity::High, Severity::Medium],
            Self::Unseen => &[Severity::Medium, Severity::Low],
            Self::ProbeFailure
            | Self::HookFailure
            | Self::StartError
            | Self::DockerError
            | Self::NotExecutable
            | Self::NotFound
            | Self::Killed
            | Self::ImagePull
            | Self::ConfigError
            | Self::Evicted
            | Self::AdmissionRejected
            | Self::Stuck
            | Self::Lost => &[Severity::High],
            Self::Error
            | Self::Misuse
            | Self::InvalidArg
            | Self::Terminated
            | Self::Unknown
            | Self::Timeout
            | Self::Preempted
            | Self::NodeShutdown
            | Self::Unready
            | Self::RuntimeLost => &[Severity::Medium],
            Self::Interrupted | Self::Graceful => &[Severity::Low],
        }
    }
}

/// How certain the type is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// The evidence proves it.
    #[default]
    Confirmed,
    /// The evidence fits, but the evidence that would prove it is missing.
    Probable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_line() {
        for kind in IncidentType::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{}\"", kind.name()));
            assert!(!kind.severities().is_empty());
        }
        for severity in Severity::ALL {
            assert_eq!(
                serde_json::to_string(&severity).unwrap(),
                format!("\"{}\"", severity.name())
            );
            assert_eq!(Severity::from_name(severity.name()), Some(severity));
        }
        assert_eq!(Severity::from_name("High"), None);
    }
}
