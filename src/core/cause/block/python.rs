//! Python's tracebacks, the newest call last, and how they follow from each other.

use crate::core::cause::block::{
    Link, Relation, TRACEBACK, indent_of, is_announcement, previous_words, rank_of, told,
};
use crate::core::cause::frame::{Frame, Row, undecorated};
use crate::core::cause::headline::{Headline, last_part};
use crate::core::cause::place::place_at_start;
use crate::core::cause::{Entry, Rank, Told};

/// Parses Python's chain of tracebacks, the newest call last.
pub(super) fn python<'a>(lines: &[Entry<'a>], start: usize) -> (Option<Told<'a>>, usize) {
    let mut chain: Vec<Link<'a>> = Vec::new();
    let mut relation = Relation::None;
    let mut at = start;
    let before = previous_words(lines, start);
    let is_ignored =
        before.is_some_and(|n| undecorated(lines[n].text).starts_with("Exception ignored in"));
    let mut end = start;
    while at < lines.len() {
        let (link, behind) = traceback(lines, at, relation);
        end = behind;
        chain.extend(link);
        // What is said between two tracebacks tells how they relate.
        match relation_between(lines, behind) {
            Some((next, between)) => (at, relation) = (next, between),
            None => break,
        }
    }
    if chain.is_empty() || is_ignored {
        return (None, end.max(start + 1));
    }
    let root = root_of(&chain);
    if passes_on(&chain[root]) {
        return (None, end);
    }
    // The thread ended; the program may go on.
    let is_thread = before.is_some_and(|n| lines[n].text.starts_with("Exception in thread "));
    let rank = match before.filter(|n| is_announcement(lines, *n, start)) {
        _ if is_thread => Rank::LoggedTrace,
        Some(n) => rank_of(&lines[n]),
        None => rank_of(&lines[start]),
    };
    (Some(told(lines, &chain, root, end.saturating_sub(1), rank)), end)
}

/// Returns the exception of Python's chain that says why: the first part of a group, otherwise the last exception, or the one
/// that caused it.
fn root_of(chain: &[Link<'_>]) -> usize {
    if let Some(part) = chain.iter().position(|link| link.relation == Relation::PartOfIt) {
        return part;
    }
    let mut root = chain.len() - 1;
    while root > 0 && (chain[root].relation == Relation::CausedByIt || passes_on(&chain[root])) {
        root -= 1;
    }
    root
}

/// Returns true for exceptions that only pass on that another one ended a part of the program.
fn passes_on(link: &Link<'_>) -> bool {
    matches!(last_part(link.headline.error_type), "SystemExit" | "HaltServer")
}

/// Parses one traceback; returns its exception and the index behind it.
fn traceback<'a>(
    lines: &[Entry<'a>],
    start: usize,
    relation: Relation,
) -> (Option<Link<'a>>, usize) {
    let (mut own, mut any) = (None, None);
    let opening = lines[start].text;
    let indent = indent_of(undecorated(opening));
    let is_boxed = opening.contains('╭');
    let is_drawn = undecorated(opening).len() < opening.trim_end().len();
    let mut at = start + 1;
    while at < lines.len() {
        let text = if is_drawn { undecorated(lines[at].text) } else { lines[at].text };
        // Loguru marks the frame in which the exception was caught.
        let text = text.strip_prefix('>').unwrap_or(text);
        let is_box = is_boxed && lines[at].text.trim_start().starts_with(['│', '╰']);
        if is_box || text.trim().is_empty() || indent_of(text) > indent || text.starts_with("  ") {
            if let Row::Frame(frame) = lines[at].row_of(text) {
                any = Some(frame);
                if !frame.is_foreign {
                    own = Some(frame);
                }
            } else if is_box && let Some(found) = place_at_start(text.trim()) {
                let function =
                    text.trim()[found.length..].trim_start().strip_prefix("in ").unwrap_or("");
                own = Some(Frame {
                    place: found.place,
                    function: function.trim(),
                    is_foreign: false,
                });
            }
            at += 1;
            continue;
        }
        let headline = Headline::read(text, true);
        if headline.error_type.is_empty() && any.is_none() {
            return (None, at);
        }
        return (Some(Link { headline, at, own, any, relation }), at + 1);
    }
    (None, at)
}

/// Returns where the next traceback of the chain begins, and how its exception relates to the one before.
fn relation_between(lines: &[Entry<'_>], from: usize) -> Option<(usize, Relation)> {
    const LINES_MAX: usize = 40;
    let mut relation = None;
    for (at, entry) in lines.iter().enumerate().skip(from).take(LINES_MAX) {
        let text = undecorated(entry.text);
        let is_member =
            || text.trim_start_matches(['-', '+', ' ']).starts_with(|c: char| c.is_ascii_digit());
        if text.contains("was the direct cause of the following exception") {
            relation = Some(Relation::CausedByIt);
        } else if text.starts_with("During handling of the above exception") {
            relation = Some(Relation::Later);
        } else if entry.text.contains("+----------------") && is_member() {
            relation = Some(Relation::PartOfIt);
        } else if TRACEBACK.find(text.as_bytes()).is_some() {
            return Some((at, relation?));
        } else if entry.spoken.level.is_some() {
            return None;
        }
    }
    None
}
