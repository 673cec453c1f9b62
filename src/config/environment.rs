//! The environment variables, read one setting at a time.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::core::text::nearest;
use crate::limits;

use super::problem::{Findings, Problem};
use super::settings::{SETTINGS, Setting};

/// The prefix of the agent's own variables.
const PREFIX: &str = "BLACKBOX_";

/// The variables, and the problems found in them so far.
pub(super) struct Environment {
    vars: BTreeMap<String, OsString>,
    pub(super) findings: Findings,
}

impl Environment {
    /// Collects the variables. If a variable occurs twice, the first one counts, as in `getenv`. Variables
    /// whose names are not UTF-8 are ignored, since no setting has such a name.
    pub(super) fn new(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut first = BTreeMap::new();
        for (key, value) in vars {
            if let Ok(key) = key.into_string() {
                first.entry(key).or_insert(value);
            }
        }
        Self { vars: first, findings: Findings::default() }
    }

    /// Returns the value of a variable without the blanks around it (a trailing line break is left over when a
    /// value comes from a file). Returns `None` if it is unset, empty, or not UTF-8; the last of these is
    /// recorded as a problem.
    pub(super) fn value(&mut self, key: &str, remedy: &str) -> Option<String> {
        let Some(value) = self.vars.get(key)?.to_str() else {
            self.findings.problems.push(Problem::unset(key, "not UTF-8", remedy));
            return None;
        };
        Some(value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// Returns true if the variable has a value, of whatever kind.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.vars.get(key).is_some_and(|value| !value.as_encoded_bytes().trim_ascii().is_empty())
    }

    /// Returns the text of a setting: its value, or else its default.
    pub(super) fn text(&mut self, setting: &Setting) -> String {
        self.value(setting.key, &allowed(setting)).unwrap_or_else(|| setting.default.to_owned())
    }

    /// Reads a setting that may be left out. Returns `None` if it is left out or invalid; an invalid value is
    /// recorded as a problem.
    pub(super) fn optional<T>(
        &mut self,
        setting: &Setting,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(setting);
        if text.is_empty() {
            return None;
        }
        let parsed =
            parse(&text).map_err(|wrong| Problem::new(setting.key, &text, wrong, allowed(setting)));
        self.findings.note(parsed)
    }

    /// Reads a required setting. Returns `None` and records the problem if it is missing or invalid.
    pub(super) fn required<T>(
        &mut self,
        setting: &Setting,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let problems = self.findings.problems.len();
        let parsed = self.optional(setting, parse);
        if parsed.is_none() && self.findings.problems.len() == problems {
            let problem = Problem::unset(setting.key, "not set", allowed(setting));
            self.findings.problems.push(problem);
        }
        parsed
    }

    /// Warns about variables that have the prefix of a setting but are unknown. Otherwise a mistyped name would
    /// look like a setting without effect.
    pub(super) fn warn_of_unknown(&mut self) {
        let mut unknown = self
            .vars
            .iter()
            .filter(|(key, _)| key.starts_with(PREFIX))
            .filter(|(key, _)| !SETTINGS.iter().any(|setting| setting.key == key.as_str()))
            .filter(|(key, value)| !is_injected_by_kubernetes(key, value.to_str().unwrap_or("")))
            .map(|(key, _)| {
                let mut known = SETTINGS.iter().map(|setting| setting.key);
                let meant =
                    nearest(key, &mut known).map(|known| format!("; did you mean {known}?"));
                format!(
                    "{}: this version has no such setting; the agent ignores it{}",
                    shown_key(key),
                    meant.unwrap_or_default()
                )
            });
        let shown = unknown.by_ref().take(limits::UNKNOWN_SETTINGS_SHOWN_MAX);
        self.findings.warnings.extend(shown);
        let rest = unknown.count();
        if rest > 0 {
            let warning = format!(
                "{rest} more {PREFIX}* variables are not settings of this version; the agent \
                 ignores them"
            );
            self.findings.warnings.push(warning);
        }
    }
}

/// Returns the remedy for a value that a setting does not allow.
pub(super) fn allowed(setting: &Setting) -> String {
    format!("allowed: {}", setting.allowed)
}

/// Returns the variable's name, quoted if it is unusual or long, so that it stays one plain line.
fn shown_key(key: &str) -> String {
    let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain && key.len() <= limits::SHOWN_VALUE_CHARS_MAX {
        key.to_owned()
    } else {
        format!("{:?}", key.chars().take(limits::SHOWN_VALUE_CHARS_MAX).collect::<String>())
    }
}

/// Returns true if the kubelet sets this variable for a Service whose name starts with `blackbox` (service
/// links): `X_SERVICE_HOST`, `X_SERVICE_PORT`, `X_SERVICE_PORT_NAME`, and for Docker compatibility `X_PORT` and
/// `X_PORT_9464_TCP[_PROTO|_PORT|_ADDR]`. The kubelet sets `X_PORT` to a URL. A person who tries to set the
/// port with that variable writes a number; the result is then false, so that the warning is logged.
fn is_injected_by_kubernetes(key: &str, value: &str) -> bool {
    if key.ends_with("_SERVICE_HOST")
        || key.ends_with("_SERVICE_PORT")
        || key.contains("_SERVICE_PORT_")
    {
        return true;
    }
    if key.ends_with("_PORT") && value.contains("://") {
        return true;
    }
    let mut after_port = key.match_indices("_PORT_").map(|(at, word)| &key[at + word.len()..]);
    after_port.any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_sets_for_a_service_is_not_a_setting() {
        for (key, value, injected) in [
            ("BLACKBOX_SERVICE_HOST", "10.0.0.1", true),
            ("BLACKBOX_SERVICE_PORT", "9464", true),
            ("BLACKBOX_SERVICE_PORT_METRICS", "9464", true),
            ("BLACKBOX_PORT", "tcp://10.0.0.1:9464", true),
            ("BLACKBOX_PORT_9464_TCP", "tcp://10.0.0.1:9464", true),
            ("BLACKBOX_PORT_9464_TCP_PROTO", "tcp", true),
            ("BLACKBOX_PORT_9464_TCP_PORT", "9464", true),
            ("BLACKBOX_PORT_9464_TCP_ADDR", "10.0.0.1", true),
            ("BLACKBOX_DAEMON_SERVICE_HOST", "10.0.0.1", true),
            ("BLACKBOX_DAEMON_PORT_9464_TCP", "tcp://10.0.0.1:9464", true),
            ("BLACKBOX_PORT", "9464", false),
            ("BLACKBOX_PORT_NAME", "metrics", false),
            ("BLACKBOX_LOOKBAK", "5m", false),
        ] {
            assert_eq!(is_injected_by_kubernetes(key, value), injected, "{key}={value}");
        }
    }

    #[test]
    fn no_setting_has_a_name_that_kubernetes_injects() {
        for setting in SETTINGS {
            assert!(!is_injected_by_kubernetes(setting.key, "tcp://"), "{}", setting.key);
        }
    }

    #[test]
    fn the_first_of_two_values_counts() {
        let vars = [("KEY", "1"), ("KEY", "2")].map(|(key, value)| (key.into(), value.into()));
        assert_eq!(Environment::new(vars).value("KEY", "").as_deref(), Some("1"));
    }

    #[test]
    fn warnings_about_unknown_variables_end() {
        let count = limits::UNKNOWN_SETTINGS_SHOWN_MAX + 5;
        let vars = (0..count).map(|n| (format!("BLACKBOX_X{n:03}").into(), "1".into()));
        let mut environment = Environment::new(vars);
        environment.warn_of_unknown();
        let warnings = environment.findings.warnings;
        assert_eq!(warnings.len(), limits::UNKNOWN_SETTINGS_SHOWN_MAX + 1);
        assert_eq!(
            warnings[0],
            "BLACKBOX_X000: this version has no such setting; the agent ignores it"
        );
        assert!(warnings.last().unwrap().starts_with("5 more BLACKBOX_* "), "{warnings:?}");
    }
}
