//! Problems with the configuration, described for the person who wrote it.

use std::fmt;

use crate::limits;

/// One reason why the start fails: which setting, its value, what is wrong with it, what to do.
///
/// `Display` prints one line, whatever the value contains: `BLACKBOX_LOOKBACK="5 minutes": not a duration;
/// allowed: 0s to 24h, written like 90s, 5m or 1h30m`. No field ever holds a secret: tokens, passwords and keys
/// are described, not quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The environment variable.
    pub key: String,
    /// The variable's value or, if it lists several files, the file at fault. `None`: not set, or not to be
    /// shown.
    pub value: Option<String>,
    /// What is wrong.
    pub wrong: String,
    /// What is allowed, or what to do about it.
    pub remedy: String,
}

impl Problem {
    /// Makes a problem with a value that can be shown.
    pub(super) fn new(
        key: &str,
        value: impl fmt::Display,
        wrong: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let value = Some(value.to_string());
        Self { key: key.to_owned(), value, wrong: wrong.into(), remedy: remedy.into() }
    }

    /// Makes a problem with something that is not set or must not be shown.
    pub(super) fn unset(key: &str, wrong: &str, remedy: impl Into<String>) -> Self {
        let (key, wrong) = (key.to_owned(), wrong.to_owned());
        Self { key, value: None, wrong, remedy: remedy.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(value) = &self.value {
            match value.char_indices().nth(limits::SHOWN_VALUE_CHARS_MAX) {
                None => write!(f, "={value:?}")?,
                Some((cut, _)) => write!(f, "={:?}...", &value[..cut])?,
            }
        }
        write!(f, ": {}; {}", self.wrong, self.remedy)
    }
}

/// All problems of the configuration. `Display` prints one line for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The problems, in the order in which the settings are read. Never empty.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Results of reading the configuration: problems make the start fail, warnings are logged.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
}

impl Findings {
    /// Returns the value, or records the problem and returns `None`, so that reading continues and finds the
    /// other problems too.
    pub(super) fn note<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.problems.push(problem)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line_whatever_the_value() {
        let problem = Problem::new("KEY", "a\nb\u{1b}[31m\"", "not a number", "allowed: 1 to 9");
        assert_eq!(problem.to_string(), r#"KEY="a\nb\u{1b}[31m\"": not a number; allowed: 1 to 9"#);
        let problem = Problem::unset("KEY", "not set", "allowed: 1 to 9");
        assert_eq!(problem.to_string(), "KEY: not set; allowed: 1 to 9");
    }

    #[test]
    fn a_long_value_is_cut_at_a_character() {
        let problem = Problem::new("KEY", "\u{e9}".repeat(5000), "too long", "allowed: less");
        let shown = "\u{e9}".repeat(limits::SHOWN_VALUE_CHARS_MAX);
        assert_eq!(problem.to_string(), format!("KEY=\"{shown}\"...: too long; allowed: less"));
    }

    #[test]
    fn errors_show_one_line_for_each_problem() {
        let problems = vec![
            Problem::unset("A", "not set", "set it"),
            Problem::new("B", 1, "odd", "allowed: 2"),
        ];
        let errors = ConfigErrors { problems };
        assert_eq!(errors.to_string(), "A: not set; set it\nB=\"1\": odd; allowed: 2");
    }
}
