//! The incident: its types, severities and schema.

use serde::Serialize;

/// How bad an incident is, worst first in [`Severity::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing, no harm done.
    Low,
    /// A crash with an ordinary cause.
    Medium,
    /// A crash or failure that keeps a workload down.
    High,
    /// The kernel took memory back by force.
    Critical,
}

impl Severity {
    /// Every severity, worst first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Medium, Self::Low];

    /// The name used in the incident line, in labels and in `BLACKBOX_MIN_SEVERITY`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The severity of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }
}
