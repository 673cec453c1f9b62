//! Parses the body of a post into checked names and numbers.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::core::sidecar::refusal::Refusal;
use crate::core::text::{cut, is_harmful};
use crate::limits::{FLAW_BYTES_MAX, TELEMETRY_NAME_BYTES_MAX, TELEMETRY_NAMES_MAX};

/// A pod, identified by its namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodName {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name in the namespace.
    pub name: String,
}

/// A post with valid names and finite values, at most [`TELEMETRY_NAMES_MAX`] of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Post {
    /// The pod that the post names as its sender, if it names one.
    pub pod: Option<PodName>,
    /// Names and values, in the order of the post.
    pub metrics: Vec<(String, f64)>,
}

impl Post {
    /// Parses a body with this Content-Type.
    ///
    /// # Errors
    /// The Content-Type is not JSON or is missing (a browser lets a page of any site post without one, or with that of
    /// a form), or the body is not valid JSON, has another shape or additional fields, or has
    /// names or values that cannot be kept. One bad name refuses the whole post: it is a mistake in the program,
    /// which is noticed sooner that way.
    pub fn parse(content_type: Option<&str>, body: &[u8]) -> Result<Self, Refusal> {
        if !content_type.is_some_and(is_json) {
            return Err(Refusal::ContentType);
        }
        let body: Body<'_> = serde_json::from_slice(body)
            .map_err(|flaw| Refusal::Shape(one_line(&flaw.to_string())))?;
        let Metrics { first, count } = body.metrics;
        if count > TELEMETRY_NAMES_MAX {
            return Err(Refusal::TooManyNames(count));
        }
        let mut metrics: Vec<(String, f64)> = Vec::with_capacity(first.len());
        for (name, value) in first {
            if !is_metric_name(&name) {
                return Err(Refusal::Name(cut(&name, TELEMETRY_NAME_BYTES_MAX)));
            }
            if metrics.iter().any(|(known, _)| *known == name) {
                return Err(Refusal::Twice(name));
            }
            match number(value.get()) {
                Some(value) => metrics.push((name, value)),
                None => return Err(Refusal::Value(name)),
            }
        }
        Ok(Self { pod: body.pod, metrics })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(borrow)]
    metrics: Metrics<'a>,
    #[serde(default)]
    pod: Option<PodName>,
}

/// The first names, at most [`TELEMETRY_NAMES_MAX`], with their values as they were written; and the number of
/// all names.
struct Metrics<'a> {
    first: Vec<(String, &'a RawValue)>,
    count: usize,
}

impl<'de: 'a, 'a> Deserialize<'de> for Metrics<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MetricsVisitor)
    }
}

struct MetricsVisitor;

impl<'de> Visitor<'de> for MetricsVisitor {
    type Value = Metrics<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of numbers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metrics<'de>, A::Error> {
        let mut metrics = Metrics { first: Vec::new(), count: 0 };
        loop {
            if metrics.count < TELEMETRY_NAMES_MAX {
                let Some(entry) = map.next_entry()? else { break };
                metrics.first.push(entry);
            } else if map.next_entry::<IgnoredAny, IgnoredAny>()?.is_none() {
                break;
            }
            metrics.count += 1;
        }
        Ok(metrics)
    }
}

/// Shortens the parser's message and replaces harmful characters, since it may quote the posted text.
fn one_line(text: &str) -> String {
    cut(text, FLAW_BYTES_MAX).replace(is_harmful, " ")
}

/// Returns true for `application/json`, with or without parameters.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

fn is_metric_name(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'.');
    name.len() <= TELEMETRY_NAME_BYTES_MAX
        && name.bytes().all(good)
        && name.starts_with(|c: char| !c.is_ascii_digit() && c != '.')
}

/// Returns the value of a JSON number, if the text is one and 64 bits can hold it.
fn number(json: &str) -> Option<f64> {
    // Rust parses words such as "inf" as numbers; the only words of JSON are true, false and null.
    let is_number = json.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    json.parse().ok().filter(|value: &f64| is_number && value.is_finite())
}
