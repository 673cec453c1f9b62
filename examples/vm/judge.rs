//! Compares the agent's incidents with what really happened.

use std::fmt;

use serde_json::Value;

/// The one incident that must be reported for a pod.
#[derive(Clone, Copy)]
pub(crate) enum Want {
    /// The container was killed by the OOM killer, at this limit in MiB.
    Oom {
        /// The limit in force.
        limit_mib: u64,
    },
    /// A child process was killed by the OOM killer, and the container continues to run.
    Survived,
    /// The container was killed with SIGKILL, and not by the OOM killer.
    Killed,
    /// The container exited with 1 after one of its processes was killed by the OOM killer.
    WorkerOom,
    /// The kernel ended the container with SIGSEGV, because it used an address that is not its own.
    Fault,
    /// The container exited with 1.
    Error,
    /// All containers of the node ended with its last boot.
    Reboot,
    /// Nothing happened.
    Nothing,
}

/// One row of the report.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) want: Want,
    /// What was measured about the pod.
    pub(crate) facts: String,
    pub(crate) incidents: Vec<Value>,
    /// What is wrong; nothing if the row is as it must be.
    pub(crate) flaws: Vec<String>,
}

/// All rows, and what the agent logged.
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    pub(crate) log: String,
}

impl Row {
    /// Judges the incidents that were reported for a pod. `flaws` are those that are already known.
    pub(crate) fn new(
        name: String,
        want: Want,
        facts: String,
        incidents: Vec<Value>,
        mut flaws: Vec<String>,
    ) -> Self {
        let count = if matches!(want, Want::Nothing) { 0 } else { 1 };
        if incidents.len() != count {
            flaws.push(format!("{} lines, not {count}", incidents.len()));
        }
        for incident in &incidents {
            flaws.extend(want.flaws(incident));
        }
        Self { name, want, facts, incidents, flaws }
    }
}

impl Report {
    /// Returns true if every row is as it must be.
    pub(crate) fn is_passed(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.flaws.is_empty())
    }
}

impl Want {
    /// Returns what is wrong with an incident.
    fn flaws(self, incident: &Value) -> Vec<String> {
        let mut flaws = Vec::new();
        let mut check = |is_right: bool, flaw: &str| {
            if !is_right {
                flaws.push(flaw.to_owned());
            }
        };
        let kind = text(&incident["type"]);
        let severity = text(&incident["severity"]);
        let said = format!("{} {}", incident["message"], incident["metadata"]["evidence"]);
        let survived = incident["metadata"]["survived"] == true;
        let is_confirmed = incident["metadata"]["confidence"] == "confirmed";
        check(survived == matches!(self, Self::Survived), "whether the container survived");
        match self {
            Self::Oom { limit_mib } => {
                check(kind == "oom", "the type");
                check(severity == "critical", "the severity");
                check(is_confirmed, "the confidence");
                let limit = format!("{limit_mib} MiB");
                check(
                    text(&incident["message"]).contains(&limit),
                    "the limit is not in the message",
                );
                let counted = &incident["telemetry"]["kernel"]["counters"]["oom_kills"];
                check(counted.as_u64() >= Some(1), "the kernel's own counter of OOM kills");
                // Each process of a killed group counts, but the OOM killer acted once.
                check(
                    !claims_several_kills(&said),
                    "the number of processes as the number of kills",
                );
            }
            Self::Survived => {
                check(kind == "oom", "the type");
                check(severity == "high", "the severity");
            }
            Self::Killed => check(kind == "killed", "the type"),
            Self::WorkerOom => {
                check(matches!(kind, "oom" | "error"), "the type");
                check(said.contains("OOM"), "the OOM kill is not named");
            }
            Self::Fault => check(kind == "signal", "the type"),
            Self::Error => check(kind == "error", "the type"),
            Self::Reboot => {
                check(kind == "node_reboot", "the type");
                check(severity == "high", "the severity");
                check(incident["container"].is_null(), "a container");
            }
            Self::Nothing => {}
        }
        flaws
    }
}

/// Returns true if a text contains "2 OOM kills" or another number above 1.
fn claims_several_kills(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_several = |word: &str| word.parse::<u64>().is_ok_and(|number| number > 1);
    words.windows(3).any(|w| is_several(w[0]) && w[1] == "OOM" && w[2].starts_with("kill"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Oom { limit_mib } => write!(f, "oom critical confirmed, \"{limit_mib} MiB\""),
            Self::Survived => f.write_str("oom high, survived"),
            Self::Killed => f.write_str("killed"),
            Self::WorkerOom => f.write_str("error or oom, names the OOM kill"),
            Self::Fault => f.write_str("signal"),
            Self::Error => f.write_str("error"),
            Self::Reboot => f.write_str("node_reboot high, container null"),
            Self::Nothing => f.write_str("no line"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            let result = if row.flaws.is_empty() { "ok" } else { "FAIL" };
            writeln!(f, "{result:<4} {:<24} {:<34} {}", row.name, row.want.to_string(), row.facts)?;
            if row.flaws.is_empty() {
                continue;
            }
            writeln!(f, "     wrong: {}", row.flaws.join("; "))?;
            for incident in &row.incidents {
                let metadata = &incident["metadata"];
                writeln!(
                    f,
                    "     line: {} {} {}, container {}, survived {}: {} {}, gaps {}",
                    text(&incident["type"]),
                    text(&incident["severity"]),
                    text(&metadata["confidence"]),
                    incident["container"],
                    metadata["survived"],
                    incident["message"],
                    metadata["evidence"],
                    incident["telemetry"]["gaps"],
                )?;
            }
        }
        let failed = self.rows.iter().filter(|row| !row.flaws.is_empty()).count();
        if failed > 0 && !self.log.is_empty() {
            writeln!(f, "the agent's log:\n{}", self.log)?;
        }
        writeln!(f, "{failed} of {} rows failed", self.rows.len())
    }
}
