//! What sentences are about, by the words in them. These lists are the part of the rules that knows a language.

use crate::core::cause::headline::without_place;
use crate::core::cause::search::Words;
use crate::limits::CAUSE_PREFIX_BYTES_MAX;

/// Returns true for words that say that the program ends or that something failed, and not why.
pub(super) fn is_vague(message: &str) -> bool {
    !message.contains(": ") && (gives_up(message) || is_general(message))
}

/// Returns true for words about the end of the program or of a part of it.
pub(super) fn ends_something(text: &str) -> bool {
    static WORDS: Words =
        Words::new(&["closing", "closed", "shutdown", "stopped", "clean", "disconnect"]);
    let head = &text[..text.floor_char_boundary(CAUSE_PREFIX_BYTES_MAX)];
    gives_up(text) || WORDS.is_in(head)
}

/// Returns true for words that only say that the program ends now.
pub(super) fn gives_up(body: &str) -> bool {
    static WORDS: Words = Words::new(&[
        "aborting",
        "exiting",
        "giving up",
        "shutting down",
        "shut down",
        "still could not",
        "fatal errors found",
        "program will exit",
        "could not create the java virtual machine",
        "compilation aborted",
        "compilation failed",
        "execution halted",
        "terminating",
        "aborted!",
        "configuration failed",
        "exit status",
        "configuration file test failed",
        "failed with result",
        "stopping",
        "command terminated",
        "bye",
        "quitting",
        "not starting",
        "exited with",
        "command failed",
        "failed to boot",
        "did not exit normally",
        "please correct",
        "initialization failed",
        "run failed",
    ]);
    body.len() <= 160 && WORDS.is_in(body)
}

/// Returns true for a line that helps its reader but names no failure: usage, hints, traced commands, drawings.
pub(super) fn is_noise(body: &str) -> bool {
    const STARTS: &[&str] = &[
        "usage",
        "try ",
        "for more ",
        "see ",
        "note:",
        "hint:",
        "help:",
        "run with ",
        "use ",
        "(use ",
        "did you mean",
        "options:",
        "flags:",
        "commands:",
        "arguments:",
        "examples:",
        "please ",
        "node.js v",
        "picked up ",
        "+ ",
        "exit status",
        "at ",
        "from ",
        "warning",
        "warn:",
        "calls:",
        "crash dump is being",
        "info:",
        "debug:",
        "=",
        "-",
        "#",
        "*** check failure",
    ];
    let trimmed = body.trim();
    let is_drawn = !trimmed.chars().any(char::is_alphabetic);
    let starts = |start: &&str| {
        trimmed.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
    };
    let is_indented = body.starts_with([' ', '\t']);
    let is_heading = trimmed.starts_with("***") && trimmed.ends_with("***");
    is_drawn
        || is_heading
        || is_indented
        || STARTS.iter().any(starts)
        || without_place(trimmed).0.split(' ').next().is_some_and(|word| word.ends_with("Warning:"))
        || trimmed.ends_with(": Success")
        || trimmed.ends_with('?')
}

/// Returns true for the words of a program that ran another one: that it failed, and how it was run.
pub(super) fn is_of_wrapper(body: &str) -> bool {
    const STARTS: &[&str] =
        &["npm err", "make: ***", "make[", "error command failed", "lerna err", "yarn run"];
    let starts =
        |start: &&str| body.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start));
    STARTS.iter().any(starts)
}

/// Returns true for words that say that something failed, but not why.
pub(super) fn is_general(message: &str) -> bool {
    let message = &message[..message.floor_char_boundary(CAUSE_PREFIX_BYTES_MAX)];
    static WORDS: Words = Words::new(&["fail", "could not", "cannot", "can't", "unable", "error"]);
    WORDS.is_in(message)
}

/// Returns true if the words speak of a failure.
pub(super) fn tells_failure(message: &str) -> bool {
    let head = &message[..message.floor_char_boundary(80)];
    static WORDS: Words = Words::new(&[
        "not ",
        "detected",
        "unrecognized",
        "undefined",
        "unexpected",
        "unknown",
        "exceeded",
        "timeout",
        "timed out",
        "expired",
        "killed",
        " lost",
        "violat",
        "damaged",
        "corrupt",
        "fail",
        "bad ",
        "cannot",
        "can't",
        "could not",
        "unable",
        "invalid",
        "error",
        "denied",
        "refused",
        "already in use",
        "not found",
        "missing",
        "no such",
    ]);
    WORDS.is_in(head)
}

/// Returns true for words that tell that a signal came that asks a program to stop.
pub(super) fn tells_signal(body: &str) -> bool {
    static NAMES: Words = Words::new(&["sigterm", "sigint", "sigquit"]);
    static SIGNAL: Words = Words::new(&["signal"]);
    static KINDS: Words = Words::new(&["terminat", "interrupt", " 15", "term", "shutdown", "stop"]);
    // It came for another process, or has not come yet.
    static OTHERS: Words = Words::new(&[
        "sending",
        "sent ",
        "forward",
        "kill ",
        "by signal",
        "by sig",
        "with signal",
        "handler",
        "register",
        "install",
        "waiting for",
        "listening",
        "press ",
        "send ",
    ]);
    let head = &body[..body.floor_char_boundary(CAUSE_PREFIX_BYTES_MAX)];
    (NAMES.is_in(head) || SIGNAL.is_in(head) && KINDS.is_in(head)) && !OTHERS.is_in(head)
}
