//! The posted numbers in an incident: `telemetry.sidecar`.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// Values of at least this size are shown without decimals, smaller ones with six digits: a curve needs no more,
/// and an incident line has 16,000 bytes for everything.
const WHOLE_MIN: f64 = 1e5;

/// Whole numbers below this value are exact in an `f64`.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// The numbers that a pod posted, one series for each name, sorted by name. Serialized as a JSON object,
/// `{"queue_depth": {"age_seconds": [10, 5, 0], "values": [3, 7, 12]}}`.
#[derive(Clone, Debug, PartialEq)]
pub struct SidecarSection {
    /// One series for each name.
    pub series: Vec<SidecarSeries>,
}

/// The values of one name, the newest last.
#[derive(Clone, Debug, PartialEq)]
pub struct SidecarSeries {
    /// The posted name.
    pub name: String,
    /// How long before the incident each value was posted, in whole seconds.
    pub age_seconds: Vec<u32>,
    /// The values, as many as ages.
    pub values: Vec<f64>,
}

impl SidecarSection {
    /// Returns the number of samples of the longest series.
    pub fn len(&self) -> usize {
        self.series.iter().map(|series| series.values.len()).max().unwrap_or(0)
    }

    /// Returns true if there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops every other sample; the newest sample of each name stays.
    pub fn thin(&mut self) {
        for series in &mut self.series {
            let newest = series.values.len().wrapping_sub(1);
            keep_every_other(&mut series.age_seconds, newest);
            keep_every_other(&mut series.values, newest);
        }
    }

    /// Keeps the newest `samples` of each name; with 0, no name is left.
    pub fn keep_newest(&mut self, samples: usize) {
        for series in &mut self.series {
            let old = series.values.len().saturating_sub(samples);
            series.age_seconds.drain(..old);
            series.values.drain(..old);
        }
        self.series.retain(|series| !series.values.is_empty());
    }
}

/// Keeps the values whose distance to `newest` is even.
fn keep_every_other<T>(values: &mut Vec<T>, newest: usize) {
    let mut at = 0;
    values.retain(|_| {
        at += 1;
        (at - 1) % 2 == newest % 2
    });
}

impl Serialize for SidecarSection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.series.iter().map(|series| (&series.name, Shown(series))))
    }
}

struct Shown<'a>(&'a SidecarSeries);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("age_seconds", &self.0.age_seconds)?;
        map.serialize_entry("values", &Row(&self.0.values))?;
        map.end()
    }
}

struct Row<'a>(&'a [f64]);

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|value| Number(*value)))
    }
}

/// A number, serialized with few characters.
struct Number(f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = if self.0.abs() >= WHOLE_MIN { self.0.round() } else { six_digits(self.0) };
        if value.fract() == 0.0 && value.abs() < EXACT_MAX {
            #[allow(clippy::cast_possible_truncation, reason = "exact, as was just checked")]
            return serializer.serialize_i64(value as i64);
        }
        serializer.serialize_f64(value)
    }
}

fn six_digits(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}
