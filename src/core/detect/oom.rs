//! The kernel's count of OOM kills, and what it says about the verdict of the status.

use crate::core::case::{Case, Confidence, IncidentType, OomCount, Severity};

/// Weighs a case with the kernel's count of OOM kills. The count overrides what the runtime reports: a runtime that
/// checks too late for an OOM kill reports `Error` (containerd and runc read the counter when the process is already
/// gone), and another reports `OOMKilled` for a container that only lost a child process.
pub fn weigh_oom_count(case: &mut Case, oom: OomCount) {
    let Some(end) = case.termination() else {
        return;
    };
    match (case.kind, oom) {
        (_, OomCount::Unknown) => {}
        (IncidentType::Oom, OomCount::Some(n)) => {
            case.confidence = Confidence::Confirmed;
            case.evidence.push(counted(n));
        }
        (IncidentType::Oom, OomCount::None) => {
            case.confidence = Confidence::Probable;
            case.evidence.push("the kernel counted no OOM kill in its cgroup".to_owned());
        }
        (IncidentType::Killed, OomCount::Some(n)) if end.exit_code == 137 => {
            case.kind = IncidentType::Oom;
            case.severity = Severity::Critical;
            case.confidence = Confidence::Confirmed;
            case.evidence.push(format!("{}, though the runtime calls it Error", counted(n)));
        }
        (_, OomCount::Some(n)) => case.evidence.push(counted(n)),
        (_, OomCount::None) => {}
    }
}

fn counted(kills: u64) -> String {
    let s = if kills == 1 { "" } else { "s" };
    format!("the kernel counted {kills} OOM kill{s} in its cgroup")
}
