//! A ring of the newest samples, and the columns that an incident shows.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::limits::RING_STEP;

/// Keeps the newest values, at most `max` of them, and never allocates memory for more.
#[derive(Clone, Debug)]
pub struct Ring<T> {
    values: VecDeque<T>,
    max: usize,
}

impl<T> Ring<T> {
    /// Creates an empty ring for `max` values.
    pub fn new(max: usize) -> Self {
        Self { values: VecDeque::new(), max }
    }

    /// Appends a value; if the ring is full, drops the oldest.
    pub fn push(&mut self, value: T) {
        if self.max == 0 {
            return;
        }
        if self.values.len() >= self.max {
            self.values.pop_front();
        } else if self.values.len() == self.values.capacity() {
            // Grow in one or few steps: hundreds of rings that grow side by side leave holes in memory.
            self.values.reserve_exact(RING_STEP.min(self.max - self.values.len()));
        }
        self.values.push_back(value);
    }

    /// Returns the values, the oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &T> + DoubleEndedIterator {
        self.values.iter()
    }

    /// Returns the newest value.
    pub fn last(&self) -> Option<&T> {
        self.values.back()
    }

    /// Returns the number of values.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns true if there is no value.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns the number of values for which memory is allocated.
    pub fn capacity(&self) -> usize {
        self.values.capacity()
    }
}

/// Samples as an incident shows them: one column for each quantity, the newest value last. Serialized as one
/// JSON object; numbers have at most one decimal, and `null` means that a value is unknown.
#[derive(Clone, Debug, PartialEq)]
pub struct Columns {
    /// Time between two samples, if they are regular.
    pub interval_seconds: f64,
    /// Time of the newest sample.
    pub ends_at: Timestamp,
    /// Names, which end with the unit, each with as many values as there are samples.
    pub columns: Vec<(&'static str, Vec<Option<f64>>)>,
}

impl Columns {
    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.columns.first().map_or(0, |(_, values)| values.len())
    }

    /// Returns true if there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops every other sample; the newest stays.
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

    /// Drops every other sample until at most `samples` are left. Returns true if any were dropped.
    pub fn thin_to(&mut self, samples: usize) -> bool {
        let len = self.len();
        while self.len() > samples.max(1) {
            self.thin();
        }
        self.len() < len
    }

    /// Keeps the newest `samples` samples.
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
        // A column without any known value is left out.
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

/// A number with at most one decimal.
struct Short(Option<f64>);

impl Serialize for Short {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Integers below this value are exact.
        const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
        match self.0.map(|value| (value * 10.0).round() / 10.0) {
            Some(value) if value.fract() == 0.0 && value.abs() < EXACT_MAX =>
            {
                #[allow(clippy::cast_possible_truncation, reason = "exact, as was just checked")]
                serializer.serialize_i64(value as i64)
            }
            // JSON cannot represent infinity and NaN.
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
