//! Rust's panics.

use crate::core::cause::block::{PANICKED, Parsed};
use crate::core::cause::frame::{Frame, Row, is_foreign};
use crate::core::cause::place::{Place, place_at_start};
use crate::core::cause::search::split;
use crate::core::cause::{Entry, Location, Rank, Told};

/// Parses a Rust panic, or a row of them: the first one is the cause of the others.
pub(super) fn rust<'a>(lines: &[Entry<'a>], start: usize) -> Parsed<'a> {
    let (message, place) = rust_panic(lines, start)?;
    let (mut own, mut function) = (None, "");
    let mut at = start + 1;
    if place.is_some_and(|place| !is_foreign(place.file, "")) {
        own = place.map(Location::of_place);
    }
    let mut last = start;
    while at < lines.len() {
        let text = lines[at].text;
        match lines[at].row {
            Row::Frame(frame) => {
                if own.is_none() && !frame.is_foreign && !is_foreign("", function) {
                    own = Some(Location::of_frame(&Frame { function, ..frame }));
                }
            }
            Row::Function(name) => function = name,
            Row::Filler => {}
            Row::Other
                if PANICKED.find(text.as_bytes()).is_some() || text.starts_with("thread ") => {}
            Row::Other
                if at <= start + 1 || PANICKED.find(lines[at - 1].text.as_bytes()).is_some() => {}
            Row::Other => break,
        }
        last = at;
        at += 1;
    }
    let own = own.or_else(|| place.map(Location::of_place));
    let told = Told {
        error_type: "panic".into(),
        message: message.into(),
        context: None,
        location: own,
        line: lines[start].n,
        last: lines[last].n,
        rank: Rank::Crash,
    };
    Some((Some(told), at))
}

fn rust_panic<'a>(lines: &[Entry<'a>], start: usize) -> Option<(&'a str, Option<Place<'a>>)> {
    let (_, rest) = split(lines[start].text, &PANICKED)?;
    // Up to Rust 1.72 the message came first, in quotes.
    if let Some((message, place)) = rest.strip_prefix('\'').and_then(|rest| rest.rsplit_once("', "))
    {
        return Some((message, place_at_start(place).map(|found| found.place)));
    }
    let found = place_at_start(rest);
    let message = lines[start + 1..]
        .iter()
        .take(3)
        .map(|entry| entry.text.trim())
        .find(|text| !text.is_empty());
    Some((
        message.filter(|text| !text.starts_with("note: ")).unwrap_or(""),
        found.map(|found| found.place),
    ))
}
