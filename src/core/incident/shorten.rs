//! Makes a line shorter that is kept in memory for readers of the page: without the node's samples, which are half of
//! a full line.
//!
//! They are cut out of the text, so that every other byte is as it was written.

use crate::core::case::{Gap, Part};
use crate::core::wire::json::{Span, from_slice, members};

/// Why the samples are missing in such a line.
const WHY: &str = "no longer in the agent's memory; the line as it was written has the samples";

/// The places of a line.
#[derive(Debug, Default)]
struct Line<'a> {
    telemetry: Telemetry<'a>,
}

members! { Line<'a> {
    b"telemetry" => telemetry,
} }

#[derive(Debug, Default)]
struct Telemetry<'a> {
    system: Span<'a>,
    gaps: Span<'a>,
}

members! { Telemetry<'a> {
    b"system" => system,
    b"gaps" => gaps,
} }

/// Returns the line without the node's samples, and with a gap that says so; `None` if it has none.
pub fn without_node_samples(line: &[u8]) -> Option<Vec<u8>> {
    let Line { telemetry } = from_slice(line).ok()?;
    let (system, gaps) = (telemetry.system.place()?, telemetry.gaps.place()?);
    // The agent writes the gaps behind all samples, and no space.
    let (before, rest) = line.split_at_checked(system.start)?;
    let before = before.strip_suffix(b"\"system\":")?;
    let between = rest.get(system.len()..gaps.end.checked_sub(system.start + 1)?)?;
    let between = between.strip_prefix(b",")?;
    let gap = serde_json::to_string(&Gap::new(Part::System, WHY)).ok()?;
    let comma: &[u8] = if gaps.len() > "[]".len() { b"," } else { b"" };
    Some([before, between, comma, gap.as_bytes(), &line[gaps.end - 1..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_samples_and_the_gaps_changes() {
        let gap = format!("\"system: {WHY}\"");
        for (line, want) in [
            (
                r#"{"id":"a","telemetry":{"system":{"load_1m":[1,2]},"events":[],"gaps":[]}}"#,
                Some(r#"{"id":"a","telemetry":{"events":[],"gaps":[GAP]}}"#),
            ),
            (
                "{\"id\":\"a\",\"telemetry\":{\"container\":{\"x\":\"\\u0001}\"},\"system\":{},\
                 \"gaps\":[\"logs: none\"]},\"z\":1}\n",
                Some(
                    "{\"id\":\"a\",\"telemetry\":{\"container\":{\"x\":\"\\u0001}\"},\
                     \"gaps\":[\"logs: none\",GAP]},\"z\":1}\n",
                ),
            ),
            (r#"{"id":"a","system":{},"telemetry":{"gaps":[]}}"#, None),
            (r#"{"id":"a","telemetry":{"system":{},"events":[]}}"#, None),
            (r#"{"id":"a","telemetry":{"gaps":[],"system":{}}}"#, None),
            (r#"{"id":"a","telemetry":{"system":{},"gaps":[]}"#, None),
            (r#"{"telemetry":{"system" : {},"gaps":[]}}"#, None),
            (r#"{"telemetry":null}"#, None),
            ("no json", None),
            ("", None),
        ] {
            let short =
                without_node_samples(line.as_bytes()).map(|l| String::from_utf8(l).unwrap());
            assert_eq!(short, want.map(|want| want.replace("GAP", &gap)), "{line}");
        }
    }

    #[test]
    fn the_agents_own_lines_become_shorter_and_stay_what_they_are() {
        let lines = include_str!("../../../fixtures/incidents.jsonl");
        for line in lines.lines() {
            let short = without_node_samples(line.as_bytes()).unwrap();
            let mut want: serde_json::Value = serde_json::from_str(line).unwrap();
            want["telemetry"].as_object_mut().unwrap().remove("system").unwrap();
            let gaps = want["telemetry"]["gaps"].as_array_mut().unwrap();
            gaps.push(format!("system: {WHY}").into());
            assert_eq!(serde_json::from_slice::<serde_json::Value>(&short).unwrap(), want);
            assert!(short.len() < line.len() - 800, "{} of {}", short.len(), line.len());
            assert_eq!(without_node_samples(&short), None);
        }
    }
}
