//! What the kernel says in its log about processes that it killed, and about the node's hardware and file systems.
//!
//! [`parse`] knows the lines that matter for a crash, as kernels from 4.x on write them; each has its source. [`OomKills`]
//! puts the lines of one OOM kill together, any of which may be missing: the kernel leaves out most of them if there are many
//! kills, and journald compresses the longest. [`plain`] takes the kernel's text out of `kern.log` and the like.
//! [`KernelRecord`] remembers what was said in the last minutes, and binds it to the end of a container.
//! [`counters`] knows what the kernel counts without a log.
//!
//! The names in the lines are chosen by processes, so they are bounded, and escaped where they are kept.

pub mod counters;
mod fault;
mod oom;
pub mod panic;
pub mod plain;
mod record;
mod trouble;

pub use fault::{Fault, FaultKind};
pub use oom::{OomKill, OomKills, OomScope, Place};
pub use record::{
    Ended, FaultOf, KernelRecord, KernelWords, LimitOf, OomVictim, Origin, TroubleOf,
};
pub use trouble::{Trouble, TroubleKind};

use crate::limits::KERNEL_NAME_BYTES_MAX;
use oom::OomLine;

/// A line of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A part of what it says about an OOM kill: for [`OomKills`].
    Oom(OomLine<'a>),
    /// A signal for a process that did what it must not.
    Fault(Fault<'a>),
    /// Something is wrong with the node.
    Trouble(Trouble<'a>),
}

/// Parses a line, without the time that the kernel may put in front of it. `None`: it says nothing that is looked for.
pub fn parse(text: &str) -> Option<Line<'_>> {
    oom::parse(text)
        .map(Line::Oom)
        .or_else(|| fault::parse(text).map(Line::Fault))
        .or_else(|| trouble::parse(text).map(Line::Trouble))
}

/// Takes a text apart by a form. The texts of the form must stand in it in that order, the first one at its start. Between
/// them, `*` is what stands before the first place of the next one, `%` what stands before its last place, and `~` what
/// nobody needs; at the end, they are the rest. One function for all lines is much smaller than code for each.
#[inline(never)]
fn parts<'a>(text: &'a str, form: &str) -> Option<[&'a str; 4]> {
    let is_mark = |byte| matches!(byte, b'*' | b'%' | b'~');
    let cut = |form: &str| form.bytes().position(is_mark).unwrap_or(form.len());
    let (first, mut form) = form.split_at(cut(form));
    let mut rest = text.strip_prefix(first)?;
    let (mut found, mut count) = ([""; 4], 0);
    while let Some((mark, after)) = form.split_at_checked(1) {
        let (next, tail) = after.split_at(cut(after));
        let (part, behind) = match (mark, next) {
            (_, "") => (rest, ""),
            _ => split(rest, next, mark == "%")?,
        };
        if mark != "~" {
            *found.get_mut(count)? = part;
            count += 1;
        }
        (rest, form) = (behind, tail);
    }
    Some(found)
}

/// Splits a text at the first or the last place where `mark` stands.
fn split<'a>(text: &'a str, mark: &str, is_last: bool) -> Option<(&'a str, &'a str)> {
    let is_there = |part: &[u8]| part == mark.as_bytes();
    let mut places = text.as_bytes().windows(mark.len().max(1));
    let at = if is_last { places.rposition(is_there) } else { places.position(is_there) }?;
    Some((text.get(..at)?, text.get(at + mark.len()..)?))
}

/// Takes the number that a text begins with.
fn number(text: &str, radix: u32) -> Option<(u64, &str)> {
    let (mut number, mut len) = (0_u64, 0);
    for digit in text.bytes().map_while(|byte| char::from(byte).to_digit(radix)) {
        number = number.checked_mul(radix.into())?.checked_add(digit.into())?;
        len += 1;
    }
    (len > 0).then_some((number, text.get(len..)?))
}

/// Takes apart `NAME[PID` or `NAME:PID`. A name may have any bytes, also that separator.
fn process<'a>(text: &'a str, separator: &str) -> Option<(&'a str, u64)> {
    let (name, pid) = split(text, separator, true)?;
    Some((named(name)?, number(pid, 10).filter(|(_, rest)| rest.is_empty())?.0))
}

/// Returns the name, unless it is longer than any in the kernel.
fn named(name: &str) -> Option<&str> {
    (name.len() <= KERNEL_NAME_BYTES_MAX).then_some(name)
}

#[cfg(test)]
mod tests;
