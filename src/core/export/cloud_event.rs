//! The headers that make a POST of a line an event by CloudEvents 1.0, in the binary content mode: the body stays the line.

use crate::core::percent;
use crate::core::wire::json::{self, Text, members};

/// What the headers tell of a line. They are made for each line, so that only these members are parsed.
#[derive(Default)]
struct Facts<'a> {
    id: Text<'a>,
    occurred_at: Text<'a>,
    severity: Text<'a>,
    kind: Text<'a>,
    fingerprint: Text<'a>,
    cluster: Text<'a>,
    node: Text<'a>,
    namespace: Text<'a>,
    pod: Text<'a>,
    container: Text<'a>,
}
members!(Facts<'a> {
    b"id" => id,
    b"occurred_at" => occurred_at,
    b"severity" => severity,
    b"type" => kind,
    b"fingerprint" => fingerprint,
    b"cluster" => cluster,
    b"node_name" => node,
    b"namespace" => namespace,
    b"pod_name" => pod,
    b"container" => container,
});

/// Returns the headers of an event for this line; none if the line is not an incident.
pub fn headers(line: &[u8]) -> Vec<(&'static str, String)> {
    let Ok(facts) = json::from_slice::<Facts<'_>>(line) else { return Vec::new() };
    if facts.id.is_empty() {
        return Vec::new();
    }
    let path = |segments: &[&str]| {
        let named = segments.iter().filter(|segment| !segment.is_empty());
        named.map(|segment| encoded(segment)).collect::<Vec<_>>().join("/")
    };
    let mut headers = vec![
        ("ce-specversion", "1.0".to_owned()),
        ("ce-id", encoded(&facts.id)),
        ("ce-source", format!("/blackbox-daemon/{}", path(&[&*facts.cluster, &*facts.node]))),
        ("ce-type", "io.blackbox-daemon.incident.v1".to_owned()),
        ("ce-subject", path(&[&*facts.namespace, &*facts.pod, &*facts.container])),
        ("ce-time", encoded(&facts.occurred_at)),
        ("ce-incidenttype", encoded(&facts.kind)),
        ("ce-severity", encoded(&facts.severity)),
        ("ce-fingerprint", encoded(&facts.fingerprint)),
    ];
    headers.retain(|(_, value)| !value.is_empty());
    headers
}

/// Returns the text with all bytes percent-encoded that may not stand in a header (CloudEvents HTTP binding, 3.1.3.2) or in
/// a segment of a URI.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    percent::encode(&mut out, text, |byte| byte.is_ascii_graphic() && !b"%\"/?#".contains(&byte));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_event_with_a_source_and_a_subject() {
        let line = br#"{"id":"1f","occurred_at":"2026-11-23T03:31:46Z","severity":"high","type":"oom","fingerprint":"ab",
            "cluster":"prod eu","namespace":"shop","pod_name":"api-1","node_name":"n1","container":"app"}"#;
        let headers = headers(line);
        let want = [
            ("ce-specversion", "1.0"),
            ("ce-id", "1f"),
            ("ce-source", "/blackbox-daemon/prod%20eu/n1"),
            ("ce-type", "io.blackbox-daemon.incident.v1"),
            ("ce-subject", "shop/api-1/app"),
            ("ce-time", "2026-11-23T03:31:46Z"),
            ("ce-incidenttype", "oom"),
            ("ce-severity", "high"),
            ("ce-fingerprint", "ab"),
        ];
        assert_eq!(headers.iter().map(|(k, v)| (*k, &**v)).collect::<Vec<_>>(), want);
    }

    #[test]
    fn what_does_not_apply_has_no_header_and_no_name_breaks_one() {
        let line = "{\"id\":\"1\",\"type\":\"node_reboot\",\"node_name\":\"n\\r\\nX: y\u{e9}/%\"}"
            .as_bytes();
        let headers = headers(line);
        let find =
            |name| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value);
        assert_eq!(find("ce-source"), Some("/blackbox-daemon/n%0D%0AX:%20y%C3%A9%2F%25"));
        assert_eq!(find("ce-subject"), None);
        assert_eq!(super::headers(b"{}"), []);
    }
}
