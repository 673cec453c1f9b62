//! The last words of a kernel that panicked, from pstore.

use std::time::Duration;

use jiff::Timestamp;

use super::number;
use crate::core::text::{cut, escaped};
use crate::limits::{
    BOOT_TIME_MARGIN, PANIC_BEFORE_BOOT_MAX, PANIC_REASON_BYTES_MAX, PSTORE_MOVED_WITHIN,
};

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PanicRecord {
    /// When it was written; `None` if that is not known.
    pub written_at: Option<Timestamp>,
    /// When the file was made, which for a record that was moved is later.
    pub changed_at: Option<Timestamp>,
    /// Why the kernel gave up, in its own words.
    pub reason: String,
}

/// Returns true if a file has a part of the kernel's log, by its name.
pub fn is_record(name: &str) -> bool {
    name == "dmesg.txt" || name.starts_with("dmesg-")
}

impl PanicRecord {
    /// Reads a record: lines such as `<0>[   12.345678] Kernel panic - not syncing: …`, after a head such as `Panic#1 Part1`.
    /// `None` if the kernel did not give up: it also keeps what it said about smaller faults.
    pub fn read(
        written_at: Option<Timestamp>,
        changed_at: Option<Timestamp>,
        text: &str,
    ) -> Option<Self> {
        let mut reasons = text.lines().filter_map(|line| without_head(line).strip_prefix(PANIC));
        let reason = cut(&escaped(reasons.next_back()?.trim_ascii()), PANIC_REASON_BYTES_MAX);
        Some(Self { written_at, changed_at, reason })
    }
}

const PANIC: &str = "Kernel panic - not syncing: ";

/// Returns the reason of the panic that ended the boot before the one that began at `booted_at`. A record of that panic was
/// written before this boot, and not before the node was last seen alive, or was moved at the start of this boot.
pub fn panic_of(
    records: Vec<PanicRecord>,
    booted_at: Timestamp,
    seen_at: Option<Timestamp>,
) -> Option<String> {
    let since = |at: Timestamp, from: Timestamp| at.duration_since(from);
    let within = |at: Timestamp, before: Duration, after: Duration| {
        let apart = since(at, booted_at);
        apart.unsigned_abs() <= if apart.is_negative() { before } else { after }
    };
    let is_of_last = |record: &PanicRecord| {
        let is_moved =
            record.changed_at.is_some_and(|at| within(at, BOOT_TIME_MARGIN, PSTORE_MOVED_WITHIN));
        let is_since_seen = record.written_at.is_some_and(|at| match seen_at {
            Some(seen) => {
                let to = booted_at.saturating_add(BOOT_TIME_MARGIN).unwrap_or(booted_at);
                (seen..=to).contains(&at)
            }
            None => within(at, PANIC_BEFORE_BOOT_MAX, BOOT_TIME_MARGIN),
        });
        is_moved || is_since_seen
    };
    let own = records.into_iter().filter(is_of_last);
    own.max_by_key(|record| record.written_at).map(|record| record.reason)
}

/// Drops `<6>` and `[   12.345678] ` (also with the CPU or the thread behind the time) from a line.
fn without_head(line: &str) -> &str {
    let line = match line.strip_prefix('<').and_then(|rest| number(rest, 10)) {
        Some((_, rest)) => rest.strip_prefix('>').unwrap_or(line),
        None => line,
    };
    let is_time = |text: &str| text.trim_ascii_start().starts_with(|c: char| c.is_ascii_digit());
    match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((time, text)) if is_time(time) => text.trim_ascii_start(),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn record(written: Option<i64>, changed: Option<i64>, reason: &str) -> PanicRecord {
        PanicRecord {
            written_at: written.map(at),
            changed_at: changed.map(at),
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn the_reason_of_a_panic_is_read_from_every_form_of_record() {
        for (text, want) in [
            (
                "Panic#1 Part1\n<6>[   11.1] x\n<0>[   12.345678] Kernel panic - not syncing: sysrq triggered crash\n<4>[   12.4] CPU: 0",
                Some("sysrq triggered crash"),
            ),
            (
                "Panic#2 Part1\n<0>[  12.345678][    T1] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b",
                Some("Attempted to kill init! exitcode=0x0000000b"),
            ),
            (
                "Kernel panic - not syncing: System is deadlocked on memory\r\n",
                Some("System is deadlocked on memory"),
            ),
            ("Oops#1 Part1\n<1>[   12.3] BUG: kernel NULL pointer dereference, address: 0", None),
            ("<6>[ 1.0] x: Kernel panic - not syncing: said by a program", None),
            ("", None),
        ] {
            let found = PanicRecord::read(None, None, text).map(|record| record.reason);
            assert_eq!(found.as_deref(), want, "{text}");
        }
    }

    #[test]
    fn only_a_record_of_the_boot_before_counts() {
        let (booted, seen) = (at(0), Some(at(-4000)));
        for (written, changed, seen, is_own) in [
            (Some(-20), None, None, true),
            (Some(-20), None, seen, true),
            (Some(1), None, None, true),
            // The node stood still for an hour.
            (Some(-3600), None, seen, true),
            (Some(-3600), None, None, false),
            // It is older than the last sign of life, and nobody moved it.
            (Some(-5000), Some(-5000), seen, false),
            (Some(-5000), Some(5), seen, true),
            (None, Some(599), None, true),
            (None, Some(601), None, false),
            (Some(30), Some(30), seen, true),
            (None, None, seen, false),
        ] {
            let found = panic_of(vec![record(written, changed, "r")], booted, seen);
            assert_eq!(found.is_some(), is_own, "{written:?} {changed:?} {seen:?}");
        }
        let both = vec![record(Some(-9), None, "new"), record(Some(-99), None, "old")];
        assert_eq!(panic_of(both, booted, None).as_deref(), Some("new"));
    }
}
