//! Counters and histograms with fixed labels: every label value exists from the start, at 0.

use std::fmt::Write as _;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A family's name, type and help line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// The name in the Prometheus output.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// The help text, one sentence.
    pub help: &'static str,
}

impl Info {
    /// Writes the two comment lines that precede a family's samples.
    pub(super) fn head(&self, out: &mut String) {
        let Self { name, kind, help } = self;
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Writes one sample with these label pairs.
    pub(super) fn sample(&self, out: &mut String, pairs: &str, value: u64) {
        let _ = writeln!(out, "{}{{{pairs}}} {value}", self.name);
    }

    /// Writes a family with a single sample.
    pub(super) fn single(&self, out: &mut String, value: impl std::fmt::Display) {
        self.head(out);
        let _ = writeln!(out, "{} {value}", self.name);
    }
}

/// A closed set of label values.
pub trait Label: Copy + PartialEq + 'static {
    /// Returns all label values.
    fn all() -> Vec<Self>;
    /// Returns the label pairs as they are written between the braces. The values contain no characters that
    /// need escaping.
    fn pairs(self) -> String;
}

/// One number for each label value.
#[derive(Debug)]
pub struct Family<L> {
    values: Box<[(L, AtomicU64)]>,
    label: PhantomData<L>,
}

impl<L: Label> Default for Family<L> {
    fn default() -> Self {
        let values = L::all().into_iter().map(|label| (label, AtomicU64::new(0))).collect();
        Self { values, label: PhantomData }
    }
}

impl<L: Label> Family<L> {
    /// Adds 1.
    pub fn add(&self, label: L) {
        self.add_many(label, 1);
    }

    /// Adds `n`.
    pub fn add_many(&self, label: L, n: u64) {
        if let Some(value) = self.value(label) {
            value.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// Subtracts 1 from a gauge.
    pub fn take(&self, label: L) {
        if let Some(value) = self.value(label) {
            value.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Sets a gauge.
    pub fn set(&self, label: L, n: u64) {
        if let Some(value) = self.value(label) {
            value.store(n, Ordering::Relaxed);
        }
    }

    /// Returns the current number.
    pub fn get(&self, label: L) -> u64 {
        self.value(label).map_or(0, |value| value.load(Ordering::Relaxed))
    }

    fn value(&self, label: L) -> Option<&AtomicU64> {
        self.values.iter().find(|(l, _)| *l == label).map(|(_, value)| value)
    }

    pub(super) fn render(&self, info: &Info, out: &mut String) {
        info.head(out);
        for (label, value) in &self.values {
            info.sample(out, &label.pairs(), value.load(Ordering::Relaxed));
        }
    }
}

/// A histogram of durations.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    buckets: Box<[AtomicU64]>,
    count: AtomicU64,
    sum_micros: AtomicU64,
}

impl Histogram {
    /// Makes a histogram with these upper bounds, in seconds, in ascending order.
    pub fn new(bounds: &'static [f64]) -> Self {
        let buckets = bounds.iter().map(|_| AtomicU64::new(0)).collect();
        Self { bounds, buckets, count: AtomicU64::new(0), sum_micros: AtomicU64::new(0) }
    }

    /// Records a duration.
    pub fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        if let Some(at) = self.bounds.iter().position(|bound| seconds <= *bound) {
            self.buckets[at].fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn render(&self, info: &Info, out: &mut String) {
        info.head(out);
        let name = info.name;
        // The count is read first and limits the buckets: an observation made meanwhile must not make a bucket
        // larger than the count.
        let count = self.count.load(Ordering::Relaxed);
        let mut below = 0;
        for (bound, bucket) in self.bounds.iter().zip(&self.buckets) {
            below += bucket.load(Ordering::Relaxed);
            let _ = writeln!(out, "{name}_bucket{{le=\"{bound}\"}} {}", below.min(count));
        }
        let sum = self.sum_micros.load(Ordering::Relaxed) as f64 / 1e6;
        let _ = writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {count}");
        let _ = writeln!(out, "{name}_sum {sum}\n{name}_count {count}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: Info = Info { name: "x", kind: "histogram", help: "X." };

    #[test]
    fn a_histogram_counts_into_the_first_bound_that_holds() {
        let histogram = Histogram::new(&[0.1, 1.0, 10.0]);
        for millis in [0, 100, 101, 9_999, 60_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let mut out = String::new();
        histogram.render(&INFO, &mut out);
        assert_eq!(
            out,
            "# HELP x X.\n# TYPE x histogram\nx_bucket{le=\"0.1\"} 2\nx_bucket{le=\"1\"} 3\n\
             x_bucket{le=\"10\"} 4\nx_bucket{le=\"+Inf\"} 5\nx_sum 70.2\nx_count 5\n"
        );
    }
}
