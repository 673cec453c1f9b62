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
        (IncidentType::Oom, OomCount::Some(_) | OomCount::Logged) => {
            case.confidence = Confidence::Confirmed;
            case.evidence.push(killed(oom));
        }
        (IncidentType::Oom, OomCount::None) => {
            case.confidence = Confidence::Probable;
            case.evidence.push("the kernel counted no OOM kill in its cgroup".to_owned());
        }
        // A probe that failed before may have failed for want of memory.
        (
            IncidentType::Killed | IncidentType::ProbeFailure,
            OomCount::Some(_) | OomCount::Logged,
        ) if end.exit_code == 137
            && (case.kind == IncidentType::Killed || case.confidence == Confidence::Probable) =>
        {
            case.stopped_for = None;
            case.kind = IncidentType::Oom;
            case.severity = Severity::Critical;
            case.confidence = Confidence::Confirmed;
            case.evidence.push(format!("{}, though the runtime calls it Error", killed(oom)));
        }
        (IncidentType::Killed, OomCount::None) if end.exit_code == 137 => {
            // The kernel was asked. If the events could not be, something else may have sent the signal.
            if !case.gaps.iter().any(|gap| gap.part == Part::Events) {
                case.confidence = Confidence::Confirmed;
            }
            case.evidence.push("the kernel counted no OOM kill in its cgroup".to_owned());
        }
        (_, OomCount::Some(_) | OomCount::Logged) => case.evidence.push(killed(oom)),
        (_, OomCount::None) => {}
    }
}

/// Says that the kernel killed a process, and how that is known. One kill under `memory.oom.group` ends all processes of a cgroup, and raises the counter
/// once for each and once more for the chosen one, so a rise is no number of kills.
fn killed(oom: OomCount) -> String {
    match oom {
        OomCount::Some(n) if n > 1 => format!(
            "the kernel counted an OOM kill in its cgroup, by which its counter rose by {n}"
        ),
        OomCount::Some(_) => "the kernel counted 1 OOM kill in its cgroup".to_owned(),
        _ => "the kernel's log names its cgroup in an OOM kill".to_owned(),
    }
}
