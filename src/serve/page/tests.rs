use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::limits::INCIDENT_LINE_BYTES_MAX;
use crate::sinks::Delivery;

#[path = "../../../tests/support/html.rs"]
#[allow(unreachable_pub, dead_code, clippy::expect_used, reason = "it is shared with the tests")]
mod checker;

#[path = "../../../tests/support/schema.rs"]
#[allow(unreachable_pub, reason = "it is shared with the tests")]
mod schema;

fn now() -> Timestamp {
    "2026-11-23T03:40:00Z".parse().unwrap()
}

fn render(node_name: &str, lines: &[String]) -> String {
    render_by(By::Fingerprint, node_name, lines)
}

fn render_by(by: By, node_name: &str, lines: &[String]) -> String {
    let items = lines.iter().map(|line| Arc::new(Delivery::of_line(line, 1))).collect::<Vec<_>>();
    let seen_total = items.len() as u64 + 3;
    let snapshot = Snapshot { items, seen_total, since: "2026-11-23T03:00:00Z".parse().unwrap() };
    let (alive, ready) = (Ok(()), Err(Unhealthy::NotSynced));
    Page { node_name, snapshot: &snapshot, by, alive, ready, now: now() }.render()
}

/// Returns an incident with every field set.
fn incident() -> Value {
    json!({
        "schema": "blackbox.incident/v1", "id": "5ef8f17055c73db4150bf65f57a4c97b",
        "timestamp": "2026-11-23T03:31:48Z", "occurred_at": "2026-11-23T03:31:47Z",
        "severity": "critical", "type": "oom", "message": "was OOM-killed at its 64 MiB limit",
        "fingerprint": "4c1d5d6f0a0b1c2d",
        "cluster": null, "namespace": "shop", "workload": "Deployment/web", "pod_name": "web-1",
        "pod_uid": "u", "node_name": "node1",
        "container": "app", "container_id": "containerd://9ca6", "image": "registry/app:1",
        "exit_code": 137, "signal": null, "reason": "OOMKilled",
        "containers": [
            {"name": "app", "kind": "app", "image": "registry/app:1", "state": "waiting",
             "restart_count": 4, "exit_code": 137, "signal": 9, "exit_class": "killed",
             "reason": "OOMKilled", "started_at": "2026-11-23T03:30:00Z",
             "finished_at": "2026-11-23T03:31:47Z", "message": "first\nsecond",
             "resources": {"memory_limit_bytes": 67_108_864, "cpu_limit_millicores": 500,
                           "memory_request_bytes": null, "cpu_request_millicores": null}},
            {"name": "proxy", "kind": "sidecar", "image": "registry/proxy:1", "state": "running",
             "restart_count": 0, "exit_code": null, "signal": null, "exit_class": null,
             "reason": null, "started_at": "2026-11-23T03:00:00Z", "finished_at": null,
             "message": null, "resources": {"memory_limit_bytes": null,
             "cpu_limit_millicores": null, "memory_request_bytes": null,
             "cpu_request_millicores": null}}],
        "metadata": {"owner": {"kind": "ReplicaSet", "name": "web"}, "labels": {"app": "web"},
            "qos_class": "Burstable", "restart_policy": "Always", "confidence": "confirmed",
            "evidence": ["exit code 137, reason OOMKilled"], "agent_version": "0.1.0",
            "restarts": {"total": 4, "unseen": 0, "ended": 5, "crash_loop": true}},
        "telemetry": {
            "container": {"interval_seconds": 5, "ends_at": "2026-11-23T03:31:45Z",
                "age_seconds": [15, 10, 5, 0], "memory_bytes": [1e7, 2e7, null, 6.5e7],
                "cpu_millicores": [100, 250, 500, 480], "cpu_throttled_percent": [0, 0, 12, 40],
                "memory_limit_bytes": 67_108_864, "memory_peak_bytes": 67_108_864, "oom_kills": 1},
            "logs": {"file": "app/4.log", "lines": [
                {"at": "2026-11-23T03:31:46.5Z", "stream": "stderr", "text": "no memory left"}]},
            "node": {"read_at": "2026-11-23T03:31:47Z", "conditions": [
                {"type": "Ready", "status": "True", "since": null},
                {"type": "MemoryPressure", "status": "True", "since": null}],
                "allocatable": {"cpu_millicores": 900, "memory_bytes": 1_000_000_000, "pods": 110}},
            "events": [{"type": "Warning", "reason": "BackOff", "message": "back-off restarting",
                "count": 3, "first_at": null, "last_at": "2026-11-23T03:31:47Z"}],
            "gaps": ["system: left out"]}
    })
}

#[test]
fn an_incident_is_shown_with_its_charts_timeline_containers_and_line() {
    let line = incident().to_string();
    assert_eq!(schema::flaw(&line), None);
    let page = render("node1", &[line]);
    let html = checker::read(&page);
    for words in [
        "node1",
        "4 incidents since 2026-11-23 03:00:00 UTC (40 min ago)",
        "alive",
        "not ready (the agent has not listed the node's pods yet)",
        "8 min 13 s ago",
        "was OOM-killed at its 64 MiB limit",
        "limit 64 MiB",
        "peak 62 MiB",
        "limit 0.50 CPU",
        "peak 40 %",
        "\u{2212}107 s",
        "no memory left",
        "back-off restarting",
        "(3 times)",
        "exit code 137 OOMKilled",
        "first\nsecond",
        "registry/proxy:1",
        "system: left out",
        "MemoryPressure is",
        "5ef8f17055c73db4150bf65f57a4c97b",
        "\"schema\":\"blackbox.incident/v1\"",
        "3 older incidents are no longer",
    ] {
        assert!(html.text.contains(words), "no {words:?} in {}", html.text);
    }
    assert_eq!(html.tags.iter().filter(|tag| *tag == "figure").count(), 3);
    assert_eq!(html.style, STYLE);
}

#[test]
fn the_newest_comes_first() {
    let line = |n: u32| {
        let mut incident = incident();
        incident["message"] = format!("number {n}.").into();
        incident.to_string()
    };
    let text = checker::read(&render("node1", &[line(1), line(2), line(3)])).text;
    let at = |words: &str| text.rfind(words).unwrap();
    assert!(at("number 3.") < at("number 2.") && at("number 2.") < at("number 1."));
}

/// Collects the JSON pointer of every value in `value`.
fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                places(value, &format!("{at}/{name}"), out);
            }
        }
        Value::Array(items) => {
            for (n, value) in items.iter().enumerate() {
                places(value, &format!("{at}/{n}"), out);
            }
        }
        _ => out.push(at.to_owned()),
    }
}

const HOSTILE: [&str; 10] = [
    "\"><script>alert(1)</script>",
    "'><img src=x onerror=alert(1)>",
    "</style><script>alert(1)</script>",
    "</title></pre></details></main><script>alert(1)</script>",
    "'\"&<>&lt;&#60;",
    "gnp\u{202e}exe.\u{2066}\u{2069}\u{200f}",
    "a\0b\r\n\x1b[31mred\x1b]0;title\x07\u{9b}2J\u{7f}\u{feff}\u{2028}",
    "<!--",
    "]]><![CDATA[<svg/onload=alert(1)>",
    "javascript:alert(1)",
];

#[test]
fn whatever_a_value_says_it_stays_text() {
    let mut all = Vec::new();
    places(&incident(), "", &mut all);
    assert!(all.len() > 70, "{}", all.len());
    for place in &all {
        for value in HOSTILE {
            let mut incident = incident();
            *incident.pointer_mut(place).unwrap() = value.into();
            let page = render("node1", &[incident.to_string()]);
            checker::read(&page);
        }
    }
    for value in HOSTILE {
        checker::read(&render(value, &[]));
        let mut incident = incident();
        incident["metadata"]["labels"] = json!({value: value});
        let text = checker::read(&render("node1", &[incident.to_string()])).text;
        assert!(!value.contains("script") || text.contains(value), "{value} is not shown");
    }
}

#[test]
fn whatever_a_number_is_the_page_is_one() {
    let mut all = Vec::new();
    places(&incident(), "", &mut all);
    for place in all {
        for number in ["-1", "0", "1e308", "-1e308", "18446744073709551616", "0.1", "null", "[]"] {
            let mut incident = incident();
            let value = serde_json::from_str(number).unwrap();
            *incident.pointer_mut(&place).unwrap() = value;
            let page = render("node1", &[incident.to_string()]);
            checker::read(&page);
        }
    }
}

#[test]
fn a_line_that_is_no_incident_is_shown_as_it_is() {
    for line in ["", "{}", "no json <b>", "{\"id\": \"<\"", "[1]", "\u{1}"] {
        let text = checker::read(&render("node1", &[line.to_owned()])).text;
        assert!(text.contains("a line that this page cannot read"), "{text}");
    }
}

/// Returns a line of nearly the maximum size, filled with text that takes the most room on the page.
fn large(fill: &str) -> String {
    let mut incident = incident();
    let fits = |incident: &Value| incident.to_string().len() < INCIDENT_LINE_BYTES_MAX - 200;
    while fits(&incident) {
        let lines = incident["telemetry"]["logs"]["lines"].as_array_mut().unwrap();
        let time = "2026-11-23T03:31:46Z";
        lines.push(json!({"at": time, "stream": "stdout", "text": fill.repeat(100)}));
    }
    incident.to_string()
}

#[test]
fn the_page_and_each_incident_on_it_have_a_bound() {
    for fill in ["'", "\"", "&", "\u{85}", "\u{202e}", "\0", "x"] {
        let line = large(fill);
        let one = render("node1", std::slice::from_ref(&line));
        assert!(one.contains("log"), "the incident itself is left out");
        assert!(one.len() - STYLE.len() < PAGE_INCIDENT_BYTES_MAX, "{fill:?}: {}", one.len());
        let all = render("node1", &vec![line; 12]);
        assert!(all.len() < PAGE_BYTES_MAX + 1000, "{fill:?}: {}", all.len());
        assert!(checker::read(&all).text.contains("older incidents are at"), "{fill:?}");
    }
}

#[test]
fn the_policy_names_the_style_sheet_that_the_page_has() {
    let suite = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let suite = suite.tls13().unwrap();
    let hash = suite.common.hash_provider.hash(STYLE.as_bytes());
    let hash = base64(hash.as_ref());
    assert!(HEADERS.contains(&format!("style-src 'sha256-{hash}'")), "it is sha256-{hash}");
    // The style sheet can neither close its element nor fetch anything.
    for words in ["</", "url(", "@import", "\\"] {
        assert!(!STYLE.contains(words), "{words}");
    }
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, n| bits << 8 | usize::from(*group.get(n).unwrap_or(&0)));
        for n in 0..4 {
            let letter = char::from(LETTERS[bits >> (18 - 6 * n) & 63]);
            out.push(if n <= group.len() { letter } else { '=' });
        }
    }
    out
}

#[test]
fn the_last_lines_stand_before_the_end_whose_time_has_whole_seconds() {
    let text = checker::read(&render("node1", &[incident().to_string()])).text;
    let (_, timeline) = text.split_once("Timeline").unwrap();
    let at =
        |words: &str| timeline.find(words).unwrap_or_else(|| panic!("no {words} in {timeline}"));
    let mut late = incident();
    late["telemetry"]["logs"]["lines"][0]["at"] = "2026-11-23T03:31:47.9Z".into();
    let late = checker::read(&render("node1", &[late.to_string()])).text;
    let (_, late) = late.split_once("Timeline").unwrap();
    assert!(late.find("no memory left").unwrap() < late.find("OOMKilled").unwrap(), "{late}");
    assert!(at("start") < at("no memory left") && at("no memory left") < at("OOMKilled"));
    assert!(at("back-off restarting") < at("incident") && at("incident") < at("detected"));
}

/// Returns an incident with this number, from another minute and pod.
fn numbered(n: u64, change: &[(&str, Value)]) -> String {
    let mut incident = incident();
    incident["id"] = format!("{n:032x}").into();
    incident["pod_name"] = format!("web-{n}").into();
    incident["occurred_at"] = format!("2026-11-23T03:{n:02}:00Z").into();
    incident["message"] = format!("sentence {n}.").into();
    for (name, value) in change {
        incident[*name] = value.clone();
    }
    incident.to_string()
}

/// Returns the text of the section of the groups.
fn section(page: &str) -> String {
    let text = checker::read(page).text;
    let (_, section) = text.split_once("The last incidents").expect("no groups");
    section.split_once("critical").map_or(section, |(section, _)| section).to_owned()
}

#[test]
fn the_groups_stand_at_the_top_with_links_to_their_newest_incidents() {
    let print = |print: &str| ("fingerprint", Value::from(print));
    let mut own = vec![numbered(9, &[print("4f1c2a9be07d3355")]), numbered(7, &[print("00aa")])];
    own.push(numbered(8, &[print("4f1c2a9be07d3355")]));
    // One that came again, and one that the page cannot read.
    own.push(own[2].clone());
    own.push("no json".to_owned());
    let page = render("node1", &own);
    let words = section(&page).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains(
            "2 2 2026-11-23 03:08:00 UTC 2026-11-23 03:09:00 UTC 4f1c2a9be07d3355 shop \
             Deployment/web app oom sentence 9. newest 1 1 2026-11-23 03:07:00 UTC"
        ),
        "{words}"
    );
    // Three incidents came before these.
    for words in ["<a href=\"#i3\">newest</a>", "<details id=\"i3\" ", "<a href=\"#i4\">newest"] {
        assert_eq!(page.matches(words).count(), 1, "{words}");
    }
}

#[test]
fn the_groups_go_by_what_is_asked_for() {
    for (by, words) in [
        (By::Fingerprint, "4c1d5d6f0a0b1c2d"),
        (By::Workload, "shop/Deployment/web"),
        (By::Node, "node1"),
        (By::Type, "oom"),
        (By::Image, "registry/app:1"),
    ] {
        let page = render_by(by, "node1", &[numbered(1, &[])]);
        let section = section(&page);
        assert!(section.starts_with(&format!(" by {}\n", by.name())), "{section}");
        assert!(section.contains(words), "{section}");
        for other in By::ALL {
            let link = format!("<a href=\"/?by={}\">", other.name());
            assert_eq!(page.contains(&link), other != by, "{link}");
        }
        assert!(!checker::read(&render_by(by, "node1", &[])).text.contains("count"));
    }
}

#[test]
fn hostile_groups_stay_text_within_their_bound() {
    for value in HOSTILE {
        let mut all: Vec<String> = (0..40)
            .map(|n| {
                let long = |name: &str| format!("{n}{name}{}", value.repeat(40)).into();
                let fields = ["fingerprint", "message", "namespace", "container", "type"];
                numbered(n, &fields.map(|name| (name, long(name))))
            })
            .collect();
        for by in By::ALL {
            let page = render_by(by, value, &all);
            checker::read(&page);
            assert!(page.len() < PAGE_BYTES_MAX + 1000, "{}", page.len());
            let entries = page.find("<details").unwrap();
            let start = page.find("<h2>The last incidents").unwrap();
            assert!(entries - start <= crate::limits::PAGE_GROUPS_BYTES_MAX);
        }
        // What has no row is counted.
        all.truncate(25);
        let text = section(&render("node1", &all));
        assert!(text.contains("(others)"), "{text}");
    }
}

#[test]
fn a_group_whose_newest_incident_is_not_on_the_page_has_no_link() {
    let mut lines = vec![large("'")];
    let old = numbered(1, &[("type", "error".into())]);
    lines.insert(0, old);
    let fill: Value = serde_json::from_str(&large("'")).unwrap();
    for n in 2..12 {
        let mut line = fill.clone();
        line["id"] = n.to_string().into();
        line["occurred_at"] = format!("2026-11-23T03:32:{n:02}Z").into();
        lines.push(line.to_string());
    }
    let page = render_by(By::Type, "node1", &lines);
    assert_eq!(page.matches("\">newest</a>").count(), 1);
    for link in page.split("<a href=\"#").skip(1) {
        let id = link.split('"').next().unwrap();
        assert!(page.contains(&format!("<details id=\"{id}\"")), "{id}");
    }
    assert!(page.len() < PAGE_BYTES_MAX + 1000);
}
