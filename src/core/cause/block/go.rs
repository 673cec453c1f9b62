//! Go's panics and fatal errors, with the dump of the goroutines.

use crate::core::cause::frame::{Frame, Row, is_foreign, is_go_call};
use crate::core::cause::place::place_at_start;
use crate::core::cause::{Entry, Location, Rank, Told};

/// Returns true for Go's words at the end of a program.
pub(super) fn is_go(text: &str) -> bool {
    let is_panic = text.starts_with("panic: ") || text.starts_with("fatal error: ");
    is_panic && !text.ends_with("[recovered]:")
}

/// Parses a Go dump: everything behind the first word belongs to it.
pub(super) fn go<'a>(lines: &[Entry<'a>], start: usize) -> (Option<Told<'a>>, usize) {
    let text = lines[start].text;
    let (name, message) = text.split_once(": ").unwrap_or((text, ""));
    let message = message.trim_end().trim_end_matches("[recovered]").trim_end();
    let message = message.strip_suffix(" [recovered, repanicked]").unwrap_or(message);
    let mut dump = Dump::default();
    let mut at = start + 1;
    while at < lines.len() && dump.line(&lines[at]) {
        at += 1;
    }
    let told = Told {
        error_type: name.into(),
        message: message.into(),
        context: None,
        location: dump.own.map(|frame| Location::of_frame(&frame)),
        line: lines[start].n,
        last: lines[at - 1].n,
        rank: Rank::Crash,
    };
    (Some(told), at)
}

/// The state of reading a Go dump.
#[derive(Default)]
struct Dump<'a> {
    /// The innermost frame of the application in the goroutine that ended the program.
    own: Option<Frame<'a>>,
    function: &'a str,
    goroutines: usize,
}

impl<'a> Dump<'a> {
    /// Reads one line. Returns false if it is behind the dump.
    fn line(&mut self, entry: &Entry<'a>) -> bool {
        let text = entry.text;
        let is_indented = text.starts_with(['\t', ' ']);
        let is_call = text.ends_with(')') && !text.contains(' ') || is_go_call(text);
        if text.starts_with("goroutine ") && text.ends_with(':') {
            self.goroutines += 1;
            self.function = "";
        } else if let Some(found) = place_at_start(text.trim_start()).filter(|_| is_indented) {
            let function = without_arguments(self.function);
            let is_foreign = function.is_empty() || is_foreign(found.place.file, function);
            if self.goroutines <= 1 && self.own.is_none() && !is_foreign {
                self.own = Some(Frame { place: found.place, function, is_foreign });
            }
        } else if self.goroutines == 1 && text.starts_with("panic(") {
            // The frames above are those of deferred functions.
            self.own = None;
            self.function = text;
        } else if text.starts_with("created by ") {
            self.function = "";
        } else if is_call {
            self.function = text;
        } else if entry.spoken.has_prefix {
            return matches!(entry.row, Row::Filler | Row::Function(_));
        }
        true
    }
}

/// Returns a Go function without its arguments; a receiver stands in parentheses too.
pub(super) fn without_arguments(function: &str) -> &str {
    function.rfind('(').map_or(function, |at| {
        let cut = &function[..at];
        // `main.(*T).f(...)` has been cut at the last parenthesis; nested arguments have braces.
        let first = cut.find("({").unwrap_or(cut.len());
        &cut[..first]
    })
}
