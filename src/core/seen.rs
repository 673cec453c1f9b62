//! Which crashes this node has seen before, by fingerprint.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::core::fingerprint::Fingerprint;
use crate::core::order::sort_by;
use crate::core::text::time;
use crate::core::wire::json::members;
use crate::limits::{BRIEF_AFTER, BRIEF_WITHIN, SEEN_BYTES_MAX};

/// The crashes with one fingerprint on this node, this one included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sighting {
    /// Number of the incidents.
    pub count: u64,
    /// When the first of them happened.
    #[serde(serialize_with = "time")]
    pub first_at: Timestamp,
    /// Number of them within [`BRIEF_WITHIN`], as far as they are remembered.
    #[serde(skip)]
    pub within_hour: usize,
    /// What is known if this is the first one; `None` if it is not, or if an earlier one may have been forgotten.
    #[serde(skip)]
    pub first: Option<First>,
}

/// In what a crash is the first of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// In all that the agents of this node have seen.
    OnNode,
    /// In what this agent has seen: no earlier one left what it had seen.
    SinceStart,
}

/// What is remembered of one fingerprint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Known {
    /// The fingerprint.
    fingerprint: Fingerprint,
    /// Number of incidents.
    count: u64,
    /// The second in which the first one happened.
    first: i64,
    /// The seconds in which the last few were reported, oldest first.
    recent: Vec<i64>,
}

members! { Known {
    b"fingerprint" => fingerprint,
    b"count" => count,
    b"first" => first,
    b"recent" => recent,
} }

/// Memory of one entry: the entry in its table, and its times.
const ENTRY_BYTES: usize = 2 * size_of::<(u64, Known)>() + TIMES_MAX * size_of::<i64>();

/// The most fingerprints that are remembered.
const SEEN_MAX: usize = SEEN_BYTES_MAX / ENTRY_BYTES;

/// Times of one fingerprint: as many as decide whether the next line is brief.
const TIMES_MAX: usize = BRIEF_AFTER;

/// The fingerprints that were seen on this node, at most [`SEEN_BYTES_MAX`] bytes. The ones that were not seen for the longest
/// time are forgotten first.
#[derive(Debug, Default)]
pub struct Seen {
    known: HashMap<u64, Known>,
    /// True if something was forgotten, so that what seems to be the first of its kind may not be.
    has_forgotten: bool,
    /// True if an earlier agent left what it had seen.
    is_restored: bool,
}

impl Seen {
    /// Goes on from what an earlier agent left.
    pub fn restore(&mut self, known: Vec<Known>) {
        self.is_restored = true;
        for mut entry in known.into_iter().take(SEEN_MAX) {
            let excess = entry.recent.len().saturating_sub(TIMES_MAX);
            entry.recent.drain(..excess);
            self.known.insert(entry.fingerprint.0, entry);
        }
        // A table that was once full may have forgotten a quarter.
        self.has_forgotten |= self.known.len() >= SEEN_MAX / 2;
    }

    /// Records a crash that happened at `occurred_at` and is reported at `now`.
    pub fn note(
        &mut self,
        fingerprint: Fingerprint,
        occurred_at: Timestamp,
        now: Timestamp,
    ) -> Sighting {
        if self.known.len() >= SEEN_MAX && !self.known.contains_key(&fingerprint.0) {
            self.forget_oldest();
        }
        let at = occurred_at.as_second();
        let new = || Known { fingerprint, count: 0, first: at, recent: Vec::new() };
        let entry = self.known.entry(fingerprint.0).or_insert_with(new);
        entry.count = entry.count.saturating_add(1);
        entry.first = entry.first.min(at);
        let excess = (entry.recent.len() + 1).saturating_sub(TIMES_MAX);
        entry.recent.drain(..excess);
        entry.recent.push(now.as_second());
        let first = if self.is_restored { First::OnNode } else { First::SinceStart };
        let since = now.as_second().saturating_sub_unsigned(BRIEF_WITHIN.as_secs());
        Sighting {
            count: entry.count,
            first_at: Timestamp::from_second(entry.first).unwrap_or(occurred_at),
            within_hour: entry.recent.iter().filter(|at| **at >= since).count(),
            first: (entry.count == 1 && !self.has_forgotten).then_some(first),
        }
    }

    /// Forgets a quarter of the table at once: to look for the oldest one each time would cost more.
    fn forget_oldest(&mut self) {
        let mut last: Vec<i64> =
            self.known.values().filter_map(|known| known.recent.last().copied()).collect();
        sort_by(&mut last, i64::cmp);
        let limit = last.get(last.len() / 4).copied().unwrap_or(i64::MAX);
        self.known.retain(|_, known| known.recent.last().is_some_and(|at| *at > limit));
        self.has_forgotten = true;
    }

    /// Returns what the next agent goes on from, in the order of the fingerprints.
    pub fn entries(&self) -> Vec<Known> {
        let mut entries: Vec<Known> = self.known.values().cloned().collect();
        sort_by(&mut entries, |a, b| a.fingerprint.cmp(&b.fingerprint));
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::wire::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn crashes_of_one_kind_are_counted_from_the_first_on() {
        let mut seen = Seen::default();
        let first = seen.note(Fingerprint(1), at(100), at(160));
        assert_eq!(
            (first.count, first.first_at, first.first, first.within_hour),
            (1, at(100), Some(First::SinceStart), 1)
        );
        let second = seen.note(Fingerprint(1), at(90), at(161));
        assert_eq!(
            (second.count, second.first_at, second.first, second.within_hour),
            (2, at(90), None, 2)
        );
        assert!(seen.note(Fingerprint(2), at(200), at(200)).first.is_some());
        // After an hour without one the lines are long again, and the count goes on.
        let later = seen.note(Fingerprint(1), at(10_000), at(10_000));
        assert_eq!((later.count, later.within_hour), (3, 1));
    }

    #[test]
    fn the_next_agent_goes_on_from_the_entries() {
        let mut seen = Seen::default();
        for n in 0..20 {
            seen.note(Fingerprint(n % 3), at(100), at(100));
        }
        let text = serde_json::to_string(&seen.entries()).unwrap();
        let mut next = Seen::default();
        assert!(text.starts_with(r#"[{"fingerprint":"0000000000000000","count":7,"#), "{text}");
        next.restore(json::from_slice(text.as_bytes()).unwrap());
        assert_eq!(next.entries(), seen.entries());
        assert_eq!(next.note(Fingerprint(0), at(101), at(101)).count, 8);
        assert_eq!(next.note(Fingerprint(7), at(101), at(101)).first, Some(First::OnNode));
    }

    #[test]
    fn the_table_is_bounded_and_says_first_only_while_it_remembers_all() {
        let mut seen = Seen::default();
        for n in 0..3 * SEEN_MAX as u64 {
            let sighting = seen.note(Fingerprint(n), at(n as i64), at(n as i64));
            assert!(seen.known.len() <= SEEN_MAX);
            assert_eq!(sighting.first.is_some(), n < SEEN_MAX as u64, "{n}");
        }
        // The newest ones are kept.
        assert!(seen.known.contains_key(&(3 * SEEN_MAX as u64 - 1)));
        // Thousands at once have one time, and still there is room for the next.
        let mut seen = Seen::default();
        for n in 0..3 * SEEN_MAX as u64 {
            seen.note(Fingerprint(n), at(5), at(5));
            assert!(seen.known.len() <= SEEN_MAX);
        }
    }
}
