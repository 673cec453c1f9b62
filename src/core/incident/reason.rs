//! Why a case happened, in somebody's words, and the fingerprint that groups it with others.

use crate::core::case::{Case, IncidentType, Subject};
use crate::core::cause::{Cause, Source, find_in};
use crate::core::fingerprint::{self, Fingerprint, Words};
use crate::core::incident::Gathered;
use crate::core::logs::last_words::LogEnd;
use crate::limits::TERMINATION_LOG_BYTES;

/// Decides the cause of a case, once, and returns the fingerprint: the sentence needs to know how often it was seen.
pub fn fingerprint(case: &Case, gathered: &mut Gathered) -> Fingerprint {
    gathered.cause = cause(case, gathered.cause.take());
    gathered.is_judged = true;
    fingerprint_of(case, gathered.cause.as_ref())
}

/// Returns the cause of a case: what the container's termination message says, what its log says, or what the status says.
pub(super) fn cause(case: &Case, logged: Option<Cause>) -> Option<Cause> {
    match &case.subject {
        Subject::Waiting { reason, message, .. } => Cause::of_status(reason, message),
        Subject::Pod { reason, message, .. } if case.kind == IncidentType::AdmissionRejected => {
            Cause::of_status(reason, message)
        }
        Subject::Termination { end, .. } if case.kind == IncidentType::StartError => {
            Cause::of_status(&end.reason, &end.message)
        }
        Subject::Termination { end, .. } if ends_itself(case) => {
            let (message, is_cut) = whole_lines(&end.message);
            let said = || {
                let text = LogEnd::read_plain(message.as_bytes(), true);
                find_in(&text, end.exit_code, Source::TerminationMessage)
            };
            // A message of several lines is the end of the log, and the log itself has more of it.
            match is_cut || message.contains('\n') {
                true => logged.or_else(said),
                false => said().or(logged),
            }
        }
        _ => None,
    }
}

/// Returns a termination message without the line at its start that the kubelet has cut: of a container's log it takes the last
/// [`TERMINATION_LOG_BYTES`] bytes, wherever they begin. The name of a credential may be in what is gone. Returns also whether
/// there was such a line.
fn whole_lines(message: &str) -> (&str, bool) {
    // A character that was cut in two became a longer one.
    let is_cut = message.len() + "\u{fffd}".len() > TERMINATION_LOG_BYTES;
    let message = message.trim_end();
    match is_cut {
        true => (message.split_once('\n').map_or("", |(_, whole)| whole), true),
        false => (message, false),
    }
}

/// Returns true for ends that can have a cause in the log. What the kernel or the kubelet ended has none: its last words are
/// accident.
fn ends_itself(case: &Case) -> bool {
    matches!(
        case.kind,
        IncidentType::Error
            | IncidentType::Misuse
            | IncidentType::DockerError
            | IncidentType::NotExecutable
            | IncidentType::NotFound
            | IncidentType::InvalidArg
            | IncidentType::Killed
            | IncidentType::Signal
            | IncidentType::Unknown
    )
}

/// Returns the fingerprint of a case with this cause.
pub(super) fn fingerprint_of(case: &Case, cause: Option<&Cause>) -> Fingerprint {
    let (exit_code, reason) = match &case.subject {
        Subject::Termination { end, .. } => (Some(end.exit_code), end.reason.as_str()),
        Subject::Waiting { reason, .. } | Subject::Pod { reason, .. } => (None, reason.as_str()),
        _ => (None, ""),
    };
    let workload = match case.pod.workload.kind.is_empty() {
        true => String::new(),
        false => case.pod.workload.to_string(),
    };
    fingerprint::of(&Words {
        namespace: &case.pod.namespace,
        workload: &workload,
        container: case.container_name().unwrap_or(""),
        kind: case.kind.name(),
        exit_code,
        reason,
        cause: cause.map(Cause::signature),
    })
}

#[cfg(test)]
mod tests;
