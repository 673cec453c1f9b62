//! Terminations that no object of the API showed: only the restart count shows that they happened.
//!
//! They are reported when they are found. If the same object shows a termination of the container that is reported,
//! that incident carries their number; otherwise they get a line of their own. The terminations that have an incident,
//! the quiet ones and the unseen ones of all lines together are exact at any moment.

use crate::core::case::{Case, Confidence, IncidentType, Restarts, Severity, Subject};
use crate::limits::UNSEEN_LOW_MAX;

/// Returns the severity of this number of unseen terminations.
pub(super) fn severity(unseen: i64) -> Severity {
    if unseen > UNSEEN_LOW_MAX { Severity::Medium } else { Severity::Low }
}

/// Returns the fact that the line rests on, for the evidence.
pub(super) fn fact(restarts: i64) -> String {
    format!("restart count {restarts}, no record of these terminations")
}

/// Opens the case of the unseen terminations that a quiet case would have reported. `None`: there are none.
pub(super) fn left_by(quiet: &Case) -> Option<Case> {
    let restarts = quiet.restarts.filter(|restarts| restarts.unseen > 0)?;
    let container = Box::new(quiet.container()?.clone());
    Some(Case {
        subject: Subject::Unseen { container },
        occurred_at: quiet.detected_at,
        kind: IncidentType::Unseen,
        severity: severity(restarts.unseen),
        confidence: Confidence::Confirmed,
        evidence: vec![fact(restarts.total)],
        restarts: Some(Restarts { crash_loop: false, ..restarts }),
        stopped_for: None,
        events: Vec::new(),
        gaps: Vec::new(),
        ..quiet.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_five_unseen_terminations_are_medium() {
        for (unseen, want) in [
            (1, Severity::Low),
            (5, Severity::Low),
            (6, Severity::Medium),
            (i64::MAX, Severity::Medium),
        ] {
            assert_eq!(severity(unseen), want, "{unseen}");
            assert!(IncidentType::Unseen.severities().contains(&want));
        }
    }
}
