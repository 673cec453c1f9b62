//! The kernel's count of OOM kills, and what it says about the verdict of the status.

use crate::core::case::{Case, Confidence, Gap, IncidentType, OomCount, Part, Severity};

/// Weighs a case with the kernel's count of OOM kills. The count overrides what the runtime reports: a runtime that
/// checks too late for an OOM kill reports `Error` (containerd and runc read the counter when the process is already
/// gone), and another reports `OOMKilled` for a container that only lost a child process.
pub fn weigh_oom_count(case: &mut Case, oom: OomCount) {
    let Some(end) = case.termination() else {
        return;
    };
    match (case.kind, oom) {
        (IncidentType::Killed, OomCount::Unknown) if end.exit_code == 137 => {
            // It may have been an OOM kill: a runtime may call that Error, too.
            case.confidence = Confidence::Probable;
            let why = "the kernel's count of OOM kills in its cgroup is not known";
            case.gaps.push(Gap::new(Part::Container, why));
        }
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

/// The kernel counts processes: one kill under `memory.oom.group` takes all of a cgroup's, and counts each.
fn counted(processes: u64) -> String {
    match processes {
        1 => "the kernel counted 1 OOM kill in its cgroup".to_owned(),
        n => format!("the kernel counted {n} processes of its cgroup that an OOM kill ended"),
    }
}
