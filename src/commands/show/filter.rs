//! Which incidents to show.

use jiff::Timestamp;

use crate::core::case::Severity;
use crate::core::display::parsed::Value;

/// What `--FIELD GLOB` and `--not FIELD=GLOB` compare.
pub(super) const FIELDS: [&str; 6] = ["namespace", "pod", "container", "workload", "node", "type"];

/// Which incidents to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    conditions: Vec<Condition>,
    /// At least this severity.
    pub(super) severity: Option<Severity>,
    /// Since this time.
    pub(super) since: Option<Timestamp>,
    /// The id, or its first digits.
    pub(super) id: Option<String>,
}

/// A field matches one of these, or none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    field: &'static str,
    globs: Vec<String>,
    is_not: bool,
}

impl Filter {
    /// Adds a condition. `globs` are joined by `,`. Of a field that is named twice, either value may match.
    pub(super) fn add(&mut self, field: &'static str, globs: &str, is_not: bool) {
        let globs = globs.split(',').map(str::to_owned);
        match self.conditions.iter_mut().find(|c| c.field == field && c.is_not == is_not) {
            Some(condition) => condition.globs.extend(globs),
            None => self.conditions.push(Condition { field, globs: globs.collect(), is_not }),
        }
    }

    /// Returns true if the incident matches.
    pub(super) fn takes(&self, incident: &Value) -> bool {
        self.conditions
            .iter()
            .all(|c| c.globs.iter().any(|glob| incident.fits(c.field, glob)) != c.is_not)
            && self.severity.is_none_or(|least| {
                Severity::from_name(incident.text("severity")).is_some_and(|own| own >= least)
            })
            && self.since.is_none_or(|since| {
                incident.time("occurred_at").is_some_and(|occurred| occurred >= since)
            })
            && self.id.as_ref().is_none_or(|id| incident.text("id").starts_with(id.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_named_in_one_two_or_three_parts() {
        let lines: [&[u8]; 2] = [
            br#"{"id":"a","namespace":"shop","pod_name":"web-1","workload":"Deployment/web"}"#,
            br#"{"id":"a","namespace":"shop","pod_name":"web-1",
                "metadata":{"workload":{"kind":"Deployment","name":"web"}}}"#,
        ];
        for line in lines {
            let incident = Value::parse(line).unwrap();
            for (field, glob, want) in [
                ("workload", "web", true),
                ("workload", "deployment/*", true),
                ("workload", "shop/Deployment/web", true),
                ("workload", "shop/*", false),
                ("workload", "Deployment", false),
                ("pod", "shop/web-*", true),
                ("pod", "other/web-*", false),
                ("pod", "api,web-1", true),
            ] {
                for is_not in [false, true] {
                    let mut filter = Filter::default();
                    filter.add(field, glob, is_not);
                    assert_eq!(filter.takes(&incident), want != is_not, "{field} {glob}");
                }
            }
        }
    }
}
