//! The sentence of an incident: what terminated, how, after how long, with the numbers that matter.

use std::fmt::Write as _;
use std::time::Duration;

use crate::core::case::{Case, Hang, IncidentType, Restarts, Subject, Termination};
use crate::core::detect::classify;
use crate::core::text::{bytes, cut, duration};
use crate::limits::SENTENCE_QUOTE_BYTES_MAX;

/// What is known about the time before the termination.
#[derive(Clone, Copy, Debug, Default)]
pub struct Course {
    /// How fast the memory grew, in bytes per second, if that matters.
    pub memory_growth_bytes_per_second: Option<f64>,
    /// How often the container terminated within `recent_within`, this termination included; 0 if not known.
    pub recent_ends: usize,
    /// The period of `recent_ends`.
    pub recent_within: Duration,
}

/// Returns the sentence of a case whose verdict is final.
pub fn sentence(case: &Case, course: &Course) -> String {
    let pod = format!("{}/{}", case.pod.namespace, case.pod.name);
    let mut out = match case.container_name() {
        Some(container) => format!("container {container} of {pod} "),
        None => format!("pod {pod} "),
    };
    match &case.subject {
        Subject::Termination { end, .. } => {
            describe_termination(&mut out, case, end, course);
            if let Some(restarts) = case.restarts {
                describe_restarts(&mut out, restarts, course);
            }
        }
        Subject::Waiting { reason, message, .. } => {
            match case.kind {
                IncidentType::ImagePull => {
                    let image = case.container().map_or("", |container| &*container.image);
                    _ = write!(out, "cannot get its image {image}: {reason}");
                }
                IncidentType::ConfigError => _ = write!(out, "lacks a part of its configuration"),
                _ => _ = write!(out, "cannot be created: {reason}"),
            }
            quote(&mut out, message);
        }
        Subject::Pod { reason, message, repeats } => {
            match case.kind {
                IncidentType::Evicted => out.push_str("was evicted"),
                IncidentType::Timeout => out.push_str("ran past its activeDeadlineSeconds"),
                IncidentType::Preempted => out.push_str("had to make room for a critical pod"),
                IncidentType::NodeShutdown => out.push_str("was ended by the node's shutdown"),
                _ => _ = write!(out, "was refused by the node: {reason}"),
            }
            quote(&mut out, message);
            if let Some(refusals) = repeats.filter(|n| *n > 1) {
                let owner = case.pod.owner.as_ref();
                let (kind, name) = owner.map_or(("", ""), |owner| (&owner.kind, &owner.name));
                let _ = write!(
                    out,
                    "; {refusals} pods of {kind} {name} were refused so since the line before"
                );
            }
        }
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
        Subject::Survivor { .. } => out.push_str("lost a process to the OOM killer and lives on"),
    }
    out
}

fn describe_termination(out: &mut String, case: &Case, end: &Termination, course: &Course) {
    let code = end.exit_code;
    let limit = case.container().and_then(|container| container.resources.memory_limit_bytes);
    let how = match case.kind {
        IncidentType::Oom => match limit {
            Some(limit) => format!("was OOM-killed at its {} limit", bytes(limit.unsigned_abs())),
            None => "was OOM-killed, without a memory limit of its own".to_owned(),
        },
        IncidentType::ProbeFailure => {
            format!("was stopped by the kubelet: a probe failed (exit code {code})")
        }
        IncidentType::HookFailure => {
            format!("was stopped by the kubelet: its postStart hook failed (exit code {code})")
        }
        IncidentType::StartError => "could not be started".to_owned(),
        IncidentType::Graceful => "ended with exit code 0, though meant to run on".to_owned(),
        _ => match end.signal.and_then(classify::signal_name) {
            Some(signal) => format!("was ended by {signal} (exit code {code})"),
            None => format!("exited with code {code}"),
        },
    };
    out.push_str(&how);
    if let (Some(started), Some(finished)) = (end.started, end.finished) {
        let ran = finished.duration_since(started);
        let _ = write!(out, " after {}", duration(ran.try_into().unwrap_or_default()));
    }
    if let Some(growth) = course.memory_growth_bytes_per_second {
        // Whole bytes are precise enough, and growth is never negative.
        let _ = write!(out, " (memory grew {}/s)", bytes(growth.round() as u64));
    }
    quote(out, &end.message);
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

fn describe_restarts(out: &mut String, restarts: Restarts, course: &Course) {
    if restarts.total > 0 {
        let _ = write!(out, "; restarts: {}", restarts.total);
    }
    if restarts.unseen > 0 {
        let _ = write!(out, ", {} ends before it went unseen", restarts.unseen);
    }
    if let Some(nth) = ORDINALS.get(course.recent_ends).filter(|nth| !nth.is_empty()) {
        let minutes = course.recent_within.as_secs() / 60;
        let _ = write!(out, "; {nth} crash in {minutes} min");
    }
    if restarts.crash_loop {
        out.push_str("; in crash loop back-off");
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

/// Appends the first words of a message from a pod or the runtime, on one line.
fn quote(out: &mut String, text: &str) {
    let line: Vec<&str> = text.split_whitespace().collect();
    let line = line.join(" ");
    if !line.is_empty() {
        let _ = write!(out, ": {}", cut(&line, SENTENCE_QUOTE_BYTES_MAX));
    }
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
}
