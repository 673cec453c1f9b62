//! The newest samples of one kind, and the columns that an incident shows of them.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::limits::RING_STEP;

/// Keeps the newest values, up to its size; never takes memory for more than that.
#[derive(Clone, Debug)]
pub struct Ring<T> {
    values: VecDeque<T>,
    max: usize,
}

impl<T> Ring<T> {
    /// An empty ring for `max` values.
    pub fn new(max: usize) -> Self {
        Self { values: VecDeque::new(), max }
    }

    /// Appends a value; the oldest one goes when there is no room.
    pub fn push(&mut self, value: T) {
        if self.max == 0 {
            return;
        }
        if self.values.len() >= self.max {
            self.values.pop_front();
        } else if self.values.len() == self.values.capacity() {
            // In one step or few: hundreds of rings that grow side by side leave holes where they were.
            self.values.reserve_exact(RING_STEP.min(self.max - self.values.len()));
        }
        self.values.push_back(value);
    }

    /// The values, the oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &T> + DoubleEndedIterator {
        self.values.iter()
    }

    /// The newest value.
    pub fn last(&self) -> Option<&T> {
        self.values.back()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// How many it has taken memory for.
    pub fn capacity(&self) -> usize {
        self.values.capacity()
    }
}

/// Samples as an incident shows them: a column a quantity, the newest value last. Written as one JSON
/// object; numbers have one decimal at most, `null` stands for what could not be had.
#[derive(Clone, Debug, PartialEq)]
pub struct Columns {
    /// Time between two samples, where they are regular.
    pub interval_seconds: f64,
    /// When the newest was taken.
    pub ends_at: Timestamp,
    /// Names, with the unit last, and as many values each.
    pub columns: Vec<(&'static str, Vec<Option<f64>>)>,
}

impl Columns {
    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.columns.first().map_or(0, |(_, values)| values.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Leaves out every other sample; the newest stays.
    pub fn thin(&mut self) {
        let newest = self.len().wrapping_sub(1);
        self.interval_seconds *= 2.0;
        for (_, values) in &mut self.columns {
            let mut at = 0;
            values.retain(|_| {
                at += 1;
                (at - 1) % 2 == newest % 2
            });
        }
    }

    /// Leaves out every other sample until there are `samples` at most; whether any had to go.
    pub fn thin_to(&mut self, samples: usize) -> bool {
        let len = self.len();
        while self.len() > samples.max(1) {
            self.thin();
        }
        self.len() < len
    }

    /// Keeps the newest `samples`.
    pub fn keep_newest(&mut self, samples: usize) {
        for (_, values) in &mut self.columns {
            values.drain(..values.len().saturating_sub(samples));
        }
    }
}

impl Serialize for Columns {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("interval_seconds", &Short(Some(self.interval_seconds)))?;
        map.serialize_entry("ends_at", &format_args!("{}", self.ends_at))?;
        // A column of nothing says nothing.
        let known = |values: &[Option<f64>]| values.iter().any(Option::is_some);
        for (name, values) in self.columns.iter().filter(|(_, values)| known(values)) {
            map.serialize_entry(name, &Row(values))?;
        }
        map.end()
    }
}

struct Row<'a>(&'a [Option<f64>]);

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|value| Short(*value)))
    }
}

/// A number in as few letters as one decimal takes.
struct Short(Option<f64>);

impl Serialize for Short {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Integers up to here are exact.
        const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
        match self.0.map(|value| (value * 10.0).round() / 10.0) {
            Some(value) if value.fract() == 0.0 && value.abs() < EXACT_MAX =>
            {
                #[allow(clippy::cast_possible_truncation, reason = "exact, as was just checked")]
                serializer.serialize_i64(value as i64)
            }
            // JSON has no other numbers.
            Some(value) if value.is_finite() => serializer.serialize_f64(value),
            _ => serializer.serialize_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_keeps_the_newest_and_takes_no_more_than_its_size() {
        let mut ring = Ring::new(60);
        for n in 0..200 {
            ring.push(n);
            assert!(ring.len() <= 60 && ring.values.capacity() <= 60, "{}", ring.values.capacity());
        }
        assert_eq!(ring.iter().copied().collect::<Vec<_>>(), (140..200).collect::<Vec<_>>());
        assert_eq!(ring.last(), Some(&199));
        let mut none = Ring::new(0);
        none.push(1);
        assert!(none.is_empty());
    }

    fn columns(values: &[Option<f64>]) -> Columns {
        Columns {
            interval_seconds: 5.0,
            ends_at: "2026-11-23T03:31:41Z".parse().unwrap(),
            columns: vec![("memory_bytes", values.to_vec()), ("none", vec![None; values.len()])],
        }
    }

    fn json(columns: &Columns) -> String {
        serde_json::to_string(columns).unwrap()
    }

    #[test]
    fn numbers_are_short_and_what_is_not_known_is_null() {
        let values = [Some(1.0), Some(2.25), None, Some(-0.04), Some(f64::NAN), Some(1e300)];
        assert_eq!(
            json(&columns(&values)),
            r#"{"interval_seconds":5,"ends_at":"2026-11-23T03:31:41Z","memory_bytes":[1,2.3,null,0,null,1e+300]}"#
        );
    }

    #[test]
    fn thinning_keeps_the_newest() {
        for (len, want) in [(0, vec![]), (1, vec![0]), (4, vec![1, 3]), (5, vec![0, 2, 4])] {
            let values: Vec<_> = (0..len).map(|n| Some(f64::from(n))).collect();
            let mut columns = columns(&values);
            columns.thin();
            let left: Vec<_> = columns.columns[0].1.iter().flatten().map(|v| *v as i32).collect();
            assert_eq!(left, want);
            assert_eq!(columns.interval_seconds, 10.0);
        }
        let mut columns = columns(&[Some(1.0), Some(2.0), Some(3.0)]);
        columns.keep_newest(2);
        assert_eq!(columns.columns[0].1, [Some(2.0), Some(3.0)]);
    }
}
