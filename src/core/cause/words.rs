//! The words with which runtimes end a program in one line, without a stack trace.

use crate::core::cause::headline::{Headline, fatal_error, place_in_words, without_place};
use crate::core::cause::search::{Text, Words, behind, text};
use crate::core::cause::{Entry, Location, Rank, Told};

/// Returns the last of these words of one stream, the newest first: those that say that an error was logged, and one crash.
/// Nothing before it counts.
pub(super) fn words<'a>(stream: &[Entry<'a>]) -> Vec<Told<'a>> {
    let mut found = Vec::new();
    for (at, entry) in stream.iter().enumerate().rev() {
        if entry.text.len() > 4096 || entry.is_record || entry.text.starts_with([' ', '\t']) {
            continue;
        }
        let told = assertion(entry)
            .or_else(|| terminate(stream, at))
            .or_else(|| fatal(entry))
            .or_else(|| announced(stream, at))
            .or_else(|| child(entry));
        let is_crash = told.as_ref().is_some_and(|told| told.rank == Rank::Crash);
        found.extend(told);
        if is_crash {
            break;
        }
    }
    found
}

fn told<'a>(entry: &Entry<'a>, error_type: &'a str, message: &'a str) -> Told<'a> {
    let found = place_in_words(entry.text).map(|found| Location::of_place(found.place));
    let location = found.or_else(|| entry.spoken.place.map(Location::of_place));
    Told {
        error_type: error_type.into(),
        message: message.into(),
        context: None,
        location,
        line: entry.n,
        last: entry.n,
        rank: Rank::Crash,
    }
}

/// ``ledgerd: ledgerd.c:9: post: Assertion `debit == credit' failed.``, and musl's `Assertion failed: x (f.c: main: 9)`.
fn assertion<'a>(entry: &Entry<'a>) -> Option<Told<'a>> {
    static ASSERTION: Text = text!("Assertion ");
    let at = ASSERTION.find(entry.text.as_bytes())?;
    let message = &entry.text[at + "Assertion ".len()..];
    if !message.contains("failed") || entry.spoken.level.is_some() {
        return None;
    }
    let mut told = told(entry, "Assertion", message);
    // The function stands between the place and the words.
    let before = entry.text[..at].trim_end_matches([':', ' ']);
    if let (Some(place), Some((_, function))) = (&mut told.location, before.rsplit_once(": "))
        && !function.contains(".c")
    {
        place.function = function.split('(').next().unwrap_or(function).to_owned();
    }
    Some(told)
}

/// `terminate called after throwing an instance of 'std::runtime_error'`, and `  what():  …` in the next line.
fn terminate<'a>(stream: &[Entry<'a>], at: usize) -> Option<Told<'a>> {
    let entry = &stream[at];
    static OLD: Text = text!("terminate called after throwing an instance of '");
    static LIBCXX: Text = text!("terminating due to uncaught exception of type ");
    static LIBCXX_OLD: Text = text!("terminating with uncaught exception of type ");
    let text = entry.text;
    if let Some(name) = behind(text, &OLD) {
        let name = name.split('\'').next().unwrap_or(name);
        let what = stream.get(at + 1).and_then(|next| next.text.trim().strip_prefix("what():"));
        return Some(told(entry, name, what.map_or("", str::trim)));
    }
    if let Some(name) = behind(text, &LIBCXX).or_else(|| behind(text, &LIBCXX_OLD)) {
        let (name, message) = name.split_once(": ").unwrap_or((name, ""));
        return Some(told(entry, name, message));
    }
    text.starts_with("terminate called").then(|| told(entry, "", text))
}

/// `Fatal Python error: …`, `fatal runtime error: …`, `ledgerd.c:9:14: runtime error: …`.
fn fatal<'a>(entry: &Entry<'a>) -> Option<Told<'a>> {
    let (text, place) = without_place(entry.text);
    let (name, message) = fatal_error(text)?;
    let told = told(entry, name, message);
    let location = place.map(|found| Location::of_place(found.place)).or(told.location);
    Some(Told { location, ..told })
}

/// A headline that says nothing by itself: the next line with words tells. `# A fatal error has been detected by the Java Runtime
/// Environment:`, `Unhandled exception:`, `An unhandled exception occurred at $0000000000401000:`.
fn announced<'a>(stream: &[Entry<'a>], at: usize) -> Option<Told<'a>> {
    let entry = &stream[at];
    let bare = |entry: &Entry<'a>| entry.text.trim_start_matches(['#', '*', ' ']);
    let text = bare(entry);
    let next = || stream[at + 1..].iter().take(4).map(bare).find(|text| !text.is_empty());
    if text.starts_with("Error occurred during initialization of VM") {
        return Some(told(entry, "", next()?));
    }
    if text.starts_with("A fatal error has been detected by") {
        let name = next()?.split([' ', '(']).next().unwrap_or("");
        return Some(told(entry, name, text.trim_end_matches(':')));
    }
    // Clojure.
    if text.starts_with("Execution error") || text.starts_with("Syntax error") {
        let named = text
            .split_once('(')
            .and_then(|(_, rest)| rest.split_once(')'))
            .map_or("", |(name, _)| name);
        let is_headline = text.contains(" at ") && text.trim_end().ends_with(").");
        return is_headline.then(next).flatten().map(|message| told(entry, named, message));
    }
    // Erlang's supervisors.
    if text.starts_with("Reason for termination") {
        return Some(Told { rank: Rank::LoggedTrace, ..told(entry, "", next()?) });
    }
    let head = &text[..text.floor_char_boundary(24)];
    static UNCAUGHT: Words = Words::new(&["unhandled", "uncaught"]);
    if !UNCAUGHT.is_in(head) || !text.trim_end().ends_with(':') {
        return None;
    }
    let headline = Headline::read(next()?, true);
    // Lisp names the type in the announcement.
    let named = text.split(' ').nth(1).unwrap_or("").trim_end_matches(':');
    let is_name = named.len() > 3 && named.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
    let error_type =
        if headline.error_type.is_empty() && is_name { named } else { headline.error_type };
    let frame = stream[at + 1..].iter().take(12).find_map(Entry::own_place);
    let told = told(entry, error_type, headline.message);
    Some(Told { location: frame.or_else(|| told.location.clone()), ..told })
}

/// A shell's word about a child that a signal ended: `/app/start.sh: line 4:    20 Segmentation fault      /app/crash`.
fn child<'a>(entry: &Entry<'a>) -> Option<Told<'a>> {
    let (rest, place) = without_place(entry.text);
    let place = place?;
    let rest = rest.trim_start();
    let words = rest.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
    const ENDS: &[&str] = &[
        "Segmentation fault",
        "Aborted",
        "Illegal instruction",
        "Bus error",
        "Floating point exception",
        "Killed",
    ];
    let word = ENDS.iter().find(|word| words.starts_with(**word) && rest.len() > words.len())?;
    let mut told = told(entry, "", &words[..word.len()]);
    told.location = Some(Location::of_place(place.place));
    Some(told)
}

/// Returns a shell's word about a child that SIGKILL ended.
pub(super) fn killed_child<'a>(stream: &[Entry<'a>]) -> Option<Told<'a>> {
    let last = stream.iter().rev().take(5);
    last.filter_map(child).find(|told| told.message == "Killed")
}
