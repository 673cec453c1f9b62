//! The arguments of `show`.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::commands::options::{self, Options};
use crate::commands::show::filter::{FIELDS, Filter};
use crate::config::duration;
use crate::core::case::{IncidentType, Severity};
use crate::core::display::groups::By;
use crate::core::glob::fits;
use crate::limits::SHOWN_MAX;

/// Each option with its argument, and what it does.
pub const OPTIONS: Options = &[
    ("--full", "also the minutes before: charts, the kernel's words, events, the log's end"),
    ("--logs", "like --full, with all log lines of the incident"),
    ("-f, --follow", "the oldest first, then each new incident as it arrives"),
    ("--by KEY", "groups, the largest first: fingerprint, workload, node, type or image"),
    (
        "-n, --namespace GLOB",
        "only these namespaces; in all GLOBs, * is any text, and a , joins several",
    ),
    ("--pod GLOB", "only these pods: checkout-* or shop/checkout-*"),
    ("--container GLOB", "only these containers"),
    ("--workload GLOB", "only these workloads: api, Deployment/api or shop/Deployment/api"),
    ("--node GLOB", "only these nodes"),
    ("--type GLOB", "only these types"),
    ("--not FIELD=GLOB", "without these; FIELD: namespace, pod, container, workload, node or type"),
    ("--severity NAME", "only this severity or a higher one: critical, high, medium or low"),
    ("--since WHEN", "only since then: 90s, 1h30m, 1d, 2026-11-23 or 2026-11-23T03:00:00Z"),
    ("--id ID", "only this incident; the first digits are enough"),
    ("--limit N", "at most N of the newest incidents, or of the largest groups"),
    ("-o, --output json", "the incident lines themselves, in the order in which they come"),
];

/// Where the lines come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Nothing is named: standard input, or the agent on this host if there is none.
    Unnamed,
    /// Standard input.
    Stdin,
    /// An incident file with its rotated predecessors.
    File(PathBuf),
}

/// The parsed arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) source: Source,
    /// Show the oldest first, then new incidents as they arrive.
    pub(super) is_following: bool,
    /// Show the minutes before each incident.
    pub(super) is_full: bool,
    /// Show all log lines.
    pub(super) has_all_logs: bool,
    /// Write the lines as they are.
    pub(super) is_json: bool,
    /// Show groups of incidents instead of incidents.
    pub(super) by: Option<By>,
    /// Show at most this many of the newest incidents, or of the largest groups.
    pub(super) limit: Option<usize>,
    /// Which incidents to show.
    pub(super) filter: Filter,
}

impl Arguments {
    /// Returns the arguments if there are none.
    pub(super) fn of(source: Source) -> Self {
        Self {
            source,
            is_following: false,
            is_full: false,
            has_all_logs: false,
            is_json: false,
            by: None,
            limit: None,
            filter: Filter::default(),
        }
    }

    /// Returns true if incidents are written as they come: there is nothing to order.
    pub(super) fn is_streaming(&self) -> bool {
        self.is_following || (self.is_json && self.limit.is_none())
    }

    /// Sets an option that has a value.
    fn set(&mut self, option: &str, value: &str, now: Timestamp) -> Result<(), String> {
        let refused = |allowed: &str| Err(format!("{option} {value:?}: allowed: {allowed}"));
        let lower = value.to_ascii_lowercase();
        match option {
            "--id" => self.filter.id = Some(lower),
            "--severity" => match Severity::from_name(&lower) {
                Some(severity) => self.filter.severity = Some(severity),
                None => return refused("critical, high, medium or low"),
            },
            "--since" => match since(value, now) {
                Some(since) => self.filter.since = Some(since),
                None => {
                    return refused(
                        "an age such as 90s, 1h30m or 1d, or a time such as 2026-11-23 or 2026-11-23T03:00:00Z",
                    );
                }
            },
            "--limit" => match value.parse() {
                Ok(limit) if (1..=SHOWN_MAX).contains(&limit) => self.limit = Some(limit),
                _ => return refused(&format!("1 to {SHOWN_MAX}")),
            },
            "--by" => match By::from_name(&lower) {
                Some(by) => self.by = Some(by),
                None => return refused(&By::ALL.map(By::name).join(", ")),
            },
            "--output" | "-o" => match lower.as_str() {
                "json" => self.is_json = true,
                _ => return refused("json"),
            },
            "--not" => match value.split_once('=') {
                Some((field, globs)) if FIELDS.contains(&field) => {
                    return self.condition(field, globs, true);
                }
                _ => return refused(&format!("FIELD=GLOB; FIELD: {}", FIELDS.join(", "))),
            },
            "-n" => return self.condition("namespace", value, false),
            field => return self.condition(field.trim_start_matches('-'), value, false),
        }
        Ok(())
    }

    fn condition(&mut self, field: &str, globs: &str, is_not: bool) -> Result<(), String> {
        let Some(field) = FIELDS.into_iter().find(|known| *known == field) else { return Ok(()) };
        let types = IncidentType::ALL.map(IncidentType::name);
        let is_known = |glob: &&str| types.iter().any(|name| fits(glob, name));
        if field == "type"
            && let Some(unknown) = globs.split(',').find(|glob| !is_known(glob))
        {
            return Err(format!("no type is {unknown:?}; the types: {}", types.join(", ")));
        }
        self.filter.add(field, globs, is_not);
        Ok(())
    }
}

/// Returns the names of this option and whether it takes a value; `None` for an unknown one.
fn takes_value(option: &str) -> Option<bool> {
    let words = |form: &'static str| form.split(' ').map(|word| word.trim_end_matches(','));
    let form = OPTIONS.iter().find(|(form, _)| words(form).any(|word| word == option))?.0;
    words(form).next_back().map(|last| !last.starts_with('-'))
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
    let mut arguments = Arguments::of(file.map_or(Source::Unnamed, Source::File));
    let (mut problems, mut named, mut unknown) = (Vec::new(), false, false);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        // Both `--pod web` and `--pod=web` are accepted.
        let (option, own) = match word.split_once('=') {
            Some((option, value)) if word.starts_with("--") => (option, Some(value)),
            _ => (*word, None),
        };
        let is_option = option.starts_with('-') && option != "-";
        match takes_value(option) {
            Some(true) if is_option => {
                let next = || words.next().copied().filter(|word| !word.starts_with("--"));
                match own.or_else(next).filter(|v| !v.is_empty()) {
                    Some(value) => problems.extend(arguments.set(option, value, now).err()),
                    None => problems.push(format!("{option} needs a value")),
                }
            }
            Some(false) if is_option && own.is_none() => match option {
                "--full" => arguments.is_full = true,
                "--logs" => (arguments.is_full, arguments.has_all_logs) = (true, true),
                _ => arguments.is_following = true,
            },
            Some(_) if is_option => problems.push(format!("{option} takes no value")),
            _ if is_option => {
                problems.push(options::unknown(word, OPTIONS));
                unknown = true;
            }
            _ if !named => {
                named = true;
                arguments.source = match *word {
                    "-" => Source::Stdin,
                    file => Source::File(file.into()),
                };
            }
            // It may be the value of the unknown option, or a third file.
            _ if unknown => {}
            _ => {
                problems.push(format!(
                    "{word:?} is a second file; use: cat FILES | blackbox-daemon show -"
                ));
                unknown = true;
            }
        }
    }
    let Arguments { is_following, is_full, is_json, .. } = arguments;
    let is_limited = arguments.limit.is_some();
    for (is_wrong, both) in [
        (
            arguments.by.is_some() && (is_following || is_full || is_json),
            "--by cannot be combined with --follow, --full, --logs or -o",
        ),
        (is_following && is_limited, "--limit cannot be combined with --follow"),
        (is_json && is_full, "-o json cannot be combined with --full or --logs"),
    ] {
        problems.extend(is_wrong.then(|| both.to_owned()));
    }
    if problems.is_empty() { Ok(arguments) } else { Err(problems) }
}

/// Parses an age, which may begin with days, or a time, of which seconds, time of day and zone may be missing.
fn since(text: &str, now: Timestamp) -> Option<Timestamp> {
    let whole = text.split_once('d').and_then(|(days, rest)| Some((days.parse().ok()?, rest)));
    let (days, rest) = whole.unwrap_or((0_u32, text));
    let rest = if rest.is_empty() { "0" } else { rest };
    if let Ok(ago) = duration::parse(rest) {
        let ago = ago.checked_add(std::time::Duration::from_secs(u64::from(days) * 86_400))?;
        return now.checked_sub(ago).ok();
    }
    // As the list and the page write it.
    let text = text.strip_suffix(" UTC").unwrap_or(text).replace(' ', "T");
    ["", "Z", ":00Z", "T00:00:00Z"].iter().find_map(|end| format!("{text}{end}").parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::display::parsed::Value;

    const NOW: &str = "2026-11-23T04:00:00Z";

    fn of(words: &[&str]) -> Result<Arguments, Vec<String>> {
        read(words, Some("/var/lib/i.jsonl".into()), NOW.parse().unwrap())
    }

    fn takes(words: &[&str]) -> bool {
        let line = br#"{"id":"5ef8aa","namespace":"shop","pod_name":"web-7f","type":"oom",
            "severity":"high","occurred_at":"2026-11-23T03:30:00Z","node_name":"edge-7",
            "container":"app","workload":"Deployment/web"}"#;
        of(words).unwrap().filter.takes(&Value::parse(line).unwrap())
    }

    #[test]
    fn the_file_is_the_agents_unless_another_or_standard_input_is_named() {
        let file = |name: &str| Source::File(name.into());
        assert_eq!(of(&[]).unwrap().source, file("/var/lib/i.jsonl"));
        assert_eq!(of(&["x", "-f"]).unwrap().source, file("x"));
        assert_eq!(of(&["-"]).unwrap().source, Source::Stdin);
        // What a shell makes of `*.jsonl` is one mistake.
        let problems = of(&["x", "y", "z"]).unwrap_err();
        assert_eq!(problems, ["\"y\" is a second file; use: cat FILES | blackbox-daemon show -"]);
        assert_eq!(read(&[], None, NOW.parse().unwrap()).unwrap().source, Source::Unnamed);
    }

    #[test]
    fn filters_narrow_what_is_taken() {
        for words in [
            &[][..],
            &["--namespace", "shop", "--pod=web-7f"],
            &["-n", "shop", "--pod", "web-*"],
            &["--type", "error,oom", "--severity", "high"],
            &["--type", "OOM", "--severity", "HIGH", "--id", "5EF8"],
            &["--type", "error", "--type", "oom"],
            &["--severity=medium", "--since", "1h"],
            &["--since", "2026-11-23T03:30:00Z", "--id", "5ef8"],
            &["--since", "1d"],
            &["--since", "2026-11-23"],
            &["--since", "2026-11-23 03:30"],
            &["--since", "2026-11-23 03:30:00 UTC"],
            &["--since", "2026-11-23 03:30:00Z"],
            &["--pod", "*eb*", "--node", "edge-*", "--container", "app"],
            &["--workload", "web", "--not", "type=graceful,*error"],
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
            &["--since", "0d29m"],
            &["--since", "2026-11-24"],
            &["--id", "ef8"],
            &["--node", "edge-8"],
            &["--not", "node=edge*"],
            &["--not=pod=x", "--not", "pod=web*"],
        ] {
            assert!(!takes(words), "{words:?}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let words = ["--severity", "bad", "--since=then", "--limit", "0", "--what", "x", "y", "-q"];
        let wrong = of(&[&words[..], &["--full=1", "--not", "owner=x", "--pod"]].concat());
        assert_eq!(wrong.unwrap_err().len(), 8);
        let unknown = of(&["--type", "oom,crash"]).unwrap_err();
        assert!(unknown[0].starts_with("no type is \"crash\"; the types: oom, probe_failure, "));
        assert!(of(&["--type", "*_*"]).is_ok());
        assert!(of(&["--not", "type=x"]).is_err());
        assert!(of(&["-o", "yaml"]).is_err() && of(&["-o", "json", "--full"]).is_err());
    }

    #[test]
    fn every_option_of_the_table_is_understood() {
        for (form, _) in OPTIONS {
            let words: Vec<&str> = form.split([' ', ',']).filter(|w| !w.is_empty()).collect();
            let takes_value = !words.last().unwrap().starts_with('-');
            let name = words.iter().find(|word| word.starts_with("--")).unwrap();
            let value = match *name {
                "--by" => "node",
                "--type" => "oom",
                "--not" => "pod=x",
                "--severity" => "low",
                "--since" => "1d",
                "--limit" => "5",
                "--output" => "json",
                _ => "x",
            };
            for option in words.iter().filter(|word| word.starts_with('-')) {
                let words = if takes_value { vec![*option, value] } else { vec![*option] };
                let arguments = of(&words).unwrap();
                assert_ne!(arguments, of(&[]).unwrap(), "{option} changes nothing");
            }
        }
        assert!(of(&["GLOB"]).is_ok(), "the name of an argument is no option");
    }

    #[test]
    fn groups_go_by_what_is_known_and_are_not_followed() {
        for by in By::ALL {
            assert_eq!(of(&["--by", by.name()]).unwrap().by, Some(by));
        }
        assert_eq!(of(&["--by=node", "--type", "oom", "--limit", "5"]).unwrap().limit, Some(5));
        let unknown = of(&["--by", "owner"]).unwrap_err();
        assert_eq!(unknown, ["--by \"owner\": allowed: fingerprint, workload, node, type, image"]);
        for other in [&["--follow"][..], &["-f"], &["--full"], &["-o", "json"]] {
            assert!(of(&[&["--by", "node"], other].concat()).is_err(), "{other:?}");
        }
        assert!(of(&["--by"]).is_err());
    }

    #[test]
    fn what_would_not_be_done_is_refused() {
        assert!(of(&["--follow", "--limit", "5"]).is_err(), "all are shown as they arrive");
        for words in [&["--pod", "--full"][..], &["-n", "--pod=web", "x"], &["--since", "--full"]] {
            let problems = of(words).unwrap_err();
            assert_eq!(problems, [format!("{} needs a value", words[0])], "an option is no value");
        }
    }
}
