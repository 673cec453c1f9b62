//! The arguments of `show`.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::config::duration;
use crate::core::case::Severity;
use crate::core::display::groups::By;
use crate::core::display::parsed::Value;
use crate::limits::SHOWN_MAX;

/// The parsed arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arguments {
    /// The incident file; `None` for standard input.
    pub(super) file: Option<PathBuf>,
    /// Show the oldest first, then new incidents as they arrive.
    pub(super) is_following: bool,
    /// Show the minutes before each incident.
    pub(super) is_full: bool,
    /// Show groups of incidents instead of incidents.
    pub(super) by: Option<By>,
    /// Show at most this many of the newest incidents, or of the largest groups.
    pub(super) limit: usize,
    /// Which incidents to show.
    pub(super) filter: Filter,
}

/// Which incidents to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    namespace: Option<String>,
    /// A name, or the start of a name followed by `*`.
    pod: Option<String>,
    kinds: Vec<String>,
    severity: Option<Severity>,
    since: Option<Timestamp>,
    id: Option<String>,
}

impl Filter {
    /// Returns true if the incident matches.
    pub(super) fn takes(&self, incident: &Value) -> bool {
        let is = |wanted: &Option<String>, name: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == incident.text(name))
        };
        let pod = incident.text("pod_name");
        let is_pod = self.pod.as_ref().is_none_or(|wanted| match wanted.strip_suffix('*') {
            Some(start) => pod.starts_with(start),
            None => pod == wanted,
        });
        is(&self.namespace, "namespace")
            && is_pod
            && (self.kinds.is_empty() || self.kinds.iter().any(|k| k == incident.text("type")))
            && self.severity.is_none_or(|least| {
                Severity::from_name(incident.text("severity")).is_some_and(|own| own >= least)
            })
            && self.since.is_none_or(|since| {
                incident.time("occurred_at").is_some_and(|occurred| occurred >= since)
            })
            && self.id.as_ref().is_none_or(|id| incident.text("id").starts_with(id.as_str()))
    }
}

impl Arguments {
    /// Sets an option that has a value.
    fn set(&mut self, option: &str, value: &str, now: Timestamp) -> Result<(), String> {
        let refused = |allowed: &str| Err(format!("{option} {value:?}: allowed: {allowed}"));
        let filter = &mut self.filter;
        match option {
            "--pod" => filter.pod = Some(value.to_owned()),
            "--type" => filter.kinds.extend(value.split(',').map(str::to_owned)),
            "--id" => filter.id = Some(value.to_owned()),
            "--severity" => match Severity::from_name(value) {
                Some(severity) => filter.severity = Some(severity),
                None => return refused("critical, high, medium or low"),
            },
            "--since" => match since(value, now) {
                Some(since) => filter.since = Some(since),
                None => {
                    return refused(
                        "an age such as 90s or 1h30m, or a time such as 2026-11-23T03:00:00Z",
                    );
                }
            },
            "--limit" => match value.parse() {
                Ok(limit) if (1..=SHOWN_MAX).contains(&limit) => self.limit = limit,
                _ => return refused(&format!("1 to {SHOWN_MAX}")),
            },
            "--by" => match By::from_name(value) {
                Some(by) => self.by = Some(by),
                None => return refused(&By::ALL.map(By::name).join(", ")),
            },
            _ => filter.namespace = Some(value.to_owned()),
        }
        Ok(())
    }
}

/// Parses the arguments of `show`. `file` is the default file: `BLACKBOX_INCIDENT_FILE`.
///
/// # Errors
/// One sentence for each problem.
pub(super) fn read(
    words: &[&str],
    file: Option<PathBuf>,
    now: Timestamp,
) -> Result<Arguments, Vec<String>> {
    let mut arguments = Arguments {
        file,
        is_following: false,
        is_full: false,
        by: None,
        limit: SHOWN_MAX,
        filter: Filter::default(),
    };
    let (mut problems, mut named) = (Vec::new(), false);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        // Both `--pod web` and `--pod=web` are accepted.
        let (option, own) = match word.split_once('=') {
            Some((option, value)) if word.starts_with("--") => (option, Some(value)),
            _ => (*word, None),
        };
        match option {
            "--follow" | "-f" => arguments.is_following = true,
            "--full" => arguments.is_full = true,
            "--namespace" | "-n" | "--pod" | "--type" | "--severity" | "--since" | "--limit"
            | "--id" | "--by" => {
                match own.or_else(|| words.next().copied()).filter(|v| !v.is_empty()) {
                    Some(value) => problems.extend(arguments.set(option, value, now).err()),
                    None => problems.push(format!("{option} needs a value")),
                }
            }
            "-" if !named => (arguments.file, named) = (None, true),
            file if !file.starts_with('-') && !named => {
                (arguments.file, named) = (Some(word.into()), true);
            }
            _ => problems.push(format!("{word:?} is an unknown option or a second file")),
        }
    }
    if arguments.by.is_some() && (arguments.is_following || arguments.is_full) {
        problems.push("--by cannot be combined with --follow or --full".to_owned());
    }
    if problems.is_empty() { Ok(arguments) } else { Err(problems) }
}

fn since(text: &str, now: Timestamp) -> Option<Timestamp> {
    match duration::parse(text) {
        Ok(ago) => now.checked_sub(ago).ok(),
        Err(_) => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-23T04:00:00Z";

    fn of(words: &[&str]) -> Result<Arguments, Vec<String>> {
        read(words, Some("/var/lib/i.jsonl".into()), NOW.parse().unwrap())
    }

    fn takes(words: &[&str]) -> bool {
        let line = br#"{"id":"5ef8aa","namespace":"shop","pod_name":"web-7f","type":"oom",
            "severity":"high","occurred_at":"2026-11-23T03:30:00Z"}"#;
        of(words).unwrap().filter.takes(&Value::parse(line).unwrap())
    }

    #[test]
    fn the_file_is_the_agents_unless_another_or_standard_input_is_named() {
        assert_eq!(of(&[]).unwrap().file, Some("/var/lib/i.jsonl".into()));
        assert_eq!(of(&["x", "-f"]).unwrap().file, Some("x".into()));
        assert_eq!(of(&["-"]).unwrap().file, None);
        assert!(of(&["x", "y"]).is_err());
    }

    #[test]
    fn filters_narrow_what_is_taken() {
        for words in [
            &[][..],
            &["--namespace", "shop", "--pod=web-7f"],
            &["-n", "shop", "--pod", "web-*"],
            &["--type", "error,oom", "--severity", "high"],
            &["--severity=medium", "--since", "1h"],
            &["--since", "2026-11-23T03:30:00Z", "--id", "5ef8"],
        ] {
            assert!(takes(words), "{words:?}");
        }
        for words in [
            &["-n", "sho"][..],
            &["--pod", "web"],
            &["--pod", "we"],
            &["--type", "error"],
            &["--severity", "critical"],
            &["--since", "29m"],
            &["--id", "ef8"],
        ] {
            assert!(!takes(words), "{words:?}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let wrong = of(&["--severity", "bad", "--since=then", "--limit", "0", "--what", "--pod"]);
        assert_eq!(wrong.unwrap_err().len(), 5);
    }

    #[test]
    fn groups_go_by_what_is_known_and_are_not_followed() {
        for by in By::ALL {
            assert_eq!(of(&["--by", by.name()]).unwrap().by, Some(by));
        }
        assert_eq!(of(&["--by=node", "--type", "oom", "--limit", "5"]).unwrap().limit, 5);
        let unknown = of(&["--by", "owner"]).unwrap_err();
        assert_eq!(unknown, ["--by \"owner\": allowed: fingerprint, workload, node, type, image"]);
        for other in ["--follow", "-f", "--full"] {
            assert!(of(&["--by", "node", other]).is_err(), "{other}");
        }
        assert!(of(&["--by"]).is_err());
    }
}
