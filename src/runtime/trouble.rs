//! Logs a problem once, and logs when it is over.
//!
//! A problem that comes and goes is one line a minute, however often it comes: the log also carries what an operator
//! must not miss.

use std::time::Duration;

use log::{debug, info, warn};

use crate::limits::{TROUBLE_INTERVAL, TROUBLE_TEXTS_MAX};
use crate::runtime::clock::Clock;

/// One kind of problem. The same message again is not worth another line in an operator's log.
#[derive(Debug)]
pub struct Trouble {
    /// The module that has the problem: what `RUST_LOG` selects log lines by.
    module: &'static str,
    about: &'static str,
    clock: Clock,
    history: History,
}

impl Trouble {
    /// Creates the log of a problem that has not occurred yet. `module` is the caller's `module_path!()`.
    pub fn new(module: &'static str, about: &'static str) -> Self {
        Self { module, about, clock: Clock::start(), history: History::default() }
    }

    /// Logs a warning, unless the message is the same as the last one, or was logged within the last minute.
    pub fn warn(&mut self, text: &str) {
        let (module, about) = (self.module, self.about);
        match self.history.warn(text, self.clock.monotonic()) {
            Told::Line { hidden: 0 } => warn!(target: module, "{about}: {text}"),
            Told::Line { hidden } => {
                warn!(target: module, "{about}: {text} (and {hidden} more since the last line)");
            }
            Told::Nothing => debug!(target: module, "{about}: {text} (again)"),
        }
    }

    /// Logs that the problem is over, if its last occurrence was logged. A problem that comes back again and again is
    /// not over.
    pub fn over(&mut self, text: &str) {
        let (module, about) = (self.module, self.about);
        if self.history.over(self.clock.monotonic()) {
            info!(target: module, "{about}: {text}");
        }
    }
}

/// What to do with a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// Log it, with the number of occurrences that were not logged before it.
    Line { hidden: u64 },
    /// Do not log it.
    Nothing,
}

/// Decides what is logged. Time passes in periods of [`TROUBLE_INTERVAL`], each of which begins with a line.
#[derive(Debug, Default)]
struct History {
    /// The current problem; empty if there is none.
    current: String,
    /// True if the current problem was logged.
    is_logged: bool,
    /// When the period began; `None` before the first line.
    since: Option<Duration>,
    /// The messages that were logged in the period.
    texts: Vec<String>,
    /// How many occurrences were not logged since the last line.
    hidden: u64,
    /// True if occurrences were not logged in the period before this one.
    is_flapping: bool,
}

impl History {
    fn warn(&mut self, text: &str, now: Duration) -> Told {
        let is_new = self.current != text;
        if is_new {
            self.current.clear();
            self.current.push_str(text);
            self.is_logged = false;
        } else if self.is_logged {
            return Told::Nothing;
        }
        if self.since.is_none_or(|since| now.saturating_sub(since) >= TROUBLE_INTERVAL) {
            self.texts.clear();
            self.since = Some(now);
            // An occurrence that was hidden and goes on is in the count, and it is the next line.
            self.hidden = self.hidden.saturating_sub(u64::from(!is_new));
            self.is_flapping = self.hidden > 0;
        }
        let texts_max = if self.is_flapping { 1 } else { TROUBLE_TEXTS_MAX };
        if self.texts.len() >= texts_max || self.texts.iter().any(|known| known == text) {
            self.hidden += u64::from(is_new);
            return Told::Nothing;
        }
        self.texts.push(text.to_owned());
        self.is_logged = true;
        Told::Line { hidden: std::mem::take(&mut self.hidden) }
    }

    /// Returns true if the end of the problem is to be logged.
    fn over(&mut self, now: Duration) -> bool {
        if self.current.is_empty() {
            return false;
        }
        self.current.clear();
        let is_old = self.since.is_none_or(|since| now.saturating_sub(since) >= TROUBLE_INTERVAL);
        std::mem::take(&mut self.is_logged) && (is_old || (!self.is_flapping && self.hidden == 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_trouble_is_told_once_and_its_end_once() {
        let mut history = History::default();
        assert!(!history.over(at(0.0)));
        assert_eq!(history.warn("a", at(1.0)), Told::Line { hidden: 0 });
        for second in 2..500 {
            assert_eq!(history.warn("a", at(f64::from(second))), Told::Nothing);
        }
        assert!(history.over(at(501.0)));
        assert!(!history.over(at(502.0)));
        // Long after the last time, it is told as before.
        assert_eq!(history.warn("a", at(503.0)), Told::Line { hidden: 0 });
        assert!(history.over(at(504.0)));
    }

    #[test]
    fn a_trouble_that_comes_and_goes_is_one_line_a_minute_with_a_number() {
        let (mut history, mut lines) = (History::default(), Vec::new());
        for step in 0..6000 {
            let now = at(f64::from(step) / 20.0);
            if let Told::Line { hidden } = history.warn("a", now) {
                lines.push((step / 20, Some(hidden)));
            }
            if history.over(now + at(0.01)) {
                lines.push((step / 20, None));
            }
        }
        assert_eq!(
            lines,
            [
                (0, Some(0)),
                (0, None),
                (60, Some(1199)),
                (120, Some(1199)),
                (180, Some(1199)),
                (240, Some(1199)),
            ]
        );
    }

    #[test]
    fn a_trouble_that_comes_back_and_stays_is_told_after_a_minute() {
        let mut history = History::default();
        assert_eq!(history.warn("a", at(1.0)), Told::Line { hidden: 0 });
        assert!(history.over(at(2.0)));
        for second in 3..61 {
            assert_eq!(history.warn("a", at(f64::from(second))), Told::Nothing, "{second}");
        }
        assert_eq!(history.warn("a", at(61.0)), Told::Line { hidden: 0 });
        // It lasted: its end is worth a line.
        assert!(history.over(at(200.0)));
    }

    #[test]
    fn a_trouble_with_many_faces_tells_each_once_a_minute_and_few_of_them() {
        let mut history = History::default();
        for (step, text) in ["a", "b", "a", "b", "c", "a"].into_iter().enumerate() {
            let is_first = !["a", "b"].contains(&text) || step < 2;
            let told = history.warn(text, at(step as f64));
            assert_eq!(told != Told::Nothing, is_first, "{step} {text}");
        }
        let mut lines = 0;
        for step in 0..10_000 {
            let told = history.warn(&format!("{step}"), at(6.0 + f64::from(step) / 100.0));
            lines += u32::from(told != Told::Nothing);
        }
        assert_eq!(lines, 2, "the fourth of the first minute, and one in the second");
    }
}
