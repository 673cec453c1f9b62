//! The newest incidents, in the order in which they occurred.
//!
//! Lines come in any order: of a file that was merged from those of many nodes, or from the pipe of many logs. What is
//! held is bounded by count and by bytes, and what is older than something that was dropped is not taken any more.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::core::display::parsed::Value;

/// An incident that waits to be shown.
#[derive(Debug)]
pub(super) struct Entry {
    /// When it occurred. A line without a time counts as the oldest.
    pub(super) at: Option<Timestamp>,
    /// The id, by which a line is known that comes twice.
    pub(super) id: String,
    /// The node.
    pub(super) node: String,
    /// The incident.
    pub(super) body: Body,
}

/// What is kept of an incident.
#[derive(Debug)]
pub(super) enum Body {
    /// The few fields that the list shows.
    Head(Value),
    /// The line, to be parsed once it is sure to be shown.
    Line(Box<[u8]>),
}

/// The newest incidents, the oldest of them first.
#[derive(Debug)]
pub(super) struct Held {
    entries: VecDeque<Entry>,
    count_max: usize,
    bytes: usize,
    bytes_max: usize,
    /// The time of the newest entry that was dropped.
    dropped_at: Option<Option<Timestamp>>,
    /// How many were dropped or not taken.
    pub(super) older: u64,
    /// How many came again while they were held.
    pub(super) repeated: u64,
}

impl Held {
    pub(super) fn new(count_max: usize, bytes_max: usize) -> Self {
        let (entries, dropped_at) = (VecDeque::new(), None);
        Self { entries, count_max, bytes: 0, bytes_max, dropped_at, older: 0, repeated: 0 }
    }

    /// Returns true if an incident of this time is among the newest so far. If it is not, it is counted.
    pub(super) fn wants(&mut self, at: Option<Timestamp>) -> bool {
        let is_older = self.dropped_at.is_some_and(|dropped| at < dropped);
        self.older += u64::from(is_older);
        !is_older
    }

    pub(super) fn add(&mut self, entry: Entry) {
        // Of the same time, the one that came later counts as newer.
        let place = self.entries.partition_point(|other| other.at <= entry.at);
        let mut same_time = self.entries.range(..place).rev().take_while(|o| o.at == entry.at);
        if !entry.id.is_empty() && same_time.any(|other| other.id == entry.id) {
            self.repeated += 1;
            return;
        }
        self.bytes += entry.bytes();
        self.entries.insert(place, entry);
        while self.entries.len() > self.count_max || self.bytes > self.bytes_max {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.bytes -= oldest.bytes();
            self.dropped_at = self.dropped_at.max(Some(oldest.at));
            self.older += 1;
        }
    }

    /// Returns true if the incidents are of more than one node.
    pub(super) fn has_nodes(&self) -> bool {
        let mut nodes = self.entries.iter().map(|entry| &entry.node).filter(|n| !n.is_empty());
        nodes.next().is_some_and(|first| nodes.any(|node| node != first))
    }

    /// Removes the newest.
    pub(super) fn pop_newest(&mut self) -> Option<Entry> {
        self.entries.pop_back()
    }
}

impl Entry {
    fn bytes(&self) -> usize {
        let body = match &self.body {
            Body::Head(Value::Object(fields)) => {
                let bytes = |(name, value): &(String, Value)| name.len() + value.as_text().len();
                fields.iter().map(|field| size_of_val(field) + bytes(field)).sum()
            }
            Body::Head(_) => 0,
            Body::Line(line) => line.len(),
        };
        size_of::<Self>() + self.id.len() + self.node.len() + body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(second: i64, node: &str) -> Entry {
        let at = Timestamp::from_second(second).ok();
        let body = Body::Line(vec![b'x'; 1000].into());
        Entry { at, id: String::new(), node: node.to_owned(), body }
    }

    fn seconds(mut held: Held) -> Vec<i64> {
        std::iter::from_fn(|| held.pop_newest()).map(|e| e.at.unwrap().as_second()).collect()
    }

    #[test]
    fn the_newest_of_any_order_stay_within_count_and_bytes() {
        let mut random = 1_u64;
        let mut times = Vec::new();
        for _ in 0..500 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            times.push((random >> 40) as i64);
        }
        let mut wanted = times.clone();
        wanted.sort_by(|a, b| b.cmp(a));
        for (count_max, bytes_max, kept) in
            [(7, usize::MAX, 7), (1000, usize::MAX, 500), (1000, 20_000, 18), (1, 0, 0)]
        {
            let mut held = Held::new(count_max, bytes_max);
            for second in &times {
                if held.wants(Timestamp::from_second(*second).ok()) {
                    held.add(entry(*second, ""));
                }
                assert!(held.bytes <= bytes_max && held.entries.len() <= count_max);
            }
            assert_eq!(held.older, 500 - kept as u64);
            assert_eq!(seconds(held), wanted[..kept]);
        }
    }

    #[test]
    fn a_line_that_comes_twice_is_held_once() {
        let mut held = Held::new(9, usize::MAX);
        for (second, id) in [(1, "a"), (2, "b"), (1, "c"), (1, "a"), (2, "b"), (3, "a"), (1, "")] {
            held.add(Entry { id: id.to_owned(), ..entry(second, "") });
        }
        held.add(entry(1, ""));
        assert_eq!(held.repeated, 2, "a line without an id may be any");
        assert_eq!(seconds(held), [3, 2, 1, 1, 1, 1]);
    }

    #[test]
    fn nodes_are_named_if_there_is_more_than_one() {
        for (nodes, want) in [
            (&["a", "a"][..], false),
            (&["a", "b"], true),
            (&["", "a"], false),
            (&["a", "", "b"], true),
            (&[], false),
        ] {
            let mut held = Held::new(9, usize::MAX);
            nodes.iter().for_each(|node| held.add(entry(1, node)));
            assert_eq!(held.has_nodes(), want, "{nodes:?}");
        }
    }
}
