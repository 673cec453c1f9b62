use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::core::display::groups::By;
use crate::limits::INCIDENT_LINE_BYTES_MAX;

#[path = "../../../tests/support/html.rs"]
#[allow(unreachable_pub, dead_code, clippy::expect_used, reason = "it is shared with the tests")]
mod checker;

#[path = "../../../tests/support/schema.rs"]
#[allow(unreachable_pub, reason = "it is shared with the tests")]
mod schema;

fn now() -> Timestamp {
    "2026-11-23T03:40:00Z".parse().unwrap()
}

/// Returns the page for this query.
fn page(query: &str, node_name: &str, lines: &[String]) -> String {
    page_after(3, query, node_name, lines)
}

/// Returns the page of an agent that has forgotten this many incidents.
fn page_after(forgotten: u64, query: &str, node_name: &str, lines: &[String]) -> String {
    let lines: Vec<Arc<[u8]>> = lines.iter().map(|line| line.as_bytes().into()).collect();
    let seen_total = lines.len() as u64 + forgotten;
    let snapshot = Snapshot { lines, seen_total, since: "2026-11-23T03:00:00Z".parse().unwrap() };
    let (alive, ready) = (Ok(()), Err(Unhealthy::NotSynced));
    let query = &Query::parse(query, true).unwrap();
    let mut out = String::new();
    let page = Page { node_name, snapshot: &snapshot, query, alive, ready, now: now() };
    let shown = page.render(&mut out);
    assert_eq!(shown, out.contains("class=\"i "));
    out
}

/// Returns the page as it is opened first.
fn list(lines: &[String]) -> String {
    page("", "node1", lines)
}

/// Returns the page with all incidents in full.
fn full(lines: &[String]) -> String {
    page("id=*", "node1", lines)
}

fn text(page: &str) -> String {
    checker::read(page).text
}

/// Returns an incident with every field set.
fn incident() -> Value {
    json!({
        "schema": "blackbox.incident/v1", "id": "5ef8f17055c73db4150bf65f57a4c97b",
        "timestamp": "2026-11-23T03:31:48Z", "occurred_at": "2026-11-23T03:31:47Z",
        "severity": "critical", "type": "oom", "message": "was OOM-killed at its 64 MiB limit",
        "fingerprint": "4c1d5d6f0a0b1c2d",
        "cause": {"error_type": "MemoryError", "message": "no memory left", "context": "to sort",
            "location": "app.py:12 in sort", "source": "log", "line": "no memory left"},
        "cluster": "edge-7", "namespace": "shop", "workload": "Deployment/web", "pod_name": "web-1",
        "pod_uid": "u", "node_name": "node1",
        "container": "app", "container_id": "containerd://9ca6", "image": "registry/app:1",
        "exit_code": 137, "signal": 9, "reason": "OOMKilled",
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
        "metadata": metadata(),
        "telemetry": telemetry()
    })
}

fn metadata() -> Value {
    json!({"owner": {"kind": "ReplicaSet", "name": "web"}, "labels": {"app": "web"},
            "qos_class": "Burstable", "restart_policy": "Always", "confidence": "confirmed",
            "evidence": ["exit code 137, reason OOMKilled"], "agent_version": "0.1.0",
            "restarts": {"total": 4, "unseen": 0, "ended": 5, "crash_loop": true},
            "seen": {"count": 7, "first_at": "2026-11-22T01:00:00Z"},
            "reboot": {"boot_id": "b2", "booted_at": "2026-11-23T03:20:00Z",
                "previous_boot_id": "b1", "last_seen_at": "2026-11-23T03:19:00Z",
                "is_orderly": false, "last_alive_at": "2026-11-23T03:19:30Z",
                "panic": "Attempted to kill init", "containers": 2, "names": ["shop/web-0 app"]}})
}

fn telemetry() -> Value {
    json!({
            "container": {"interval_seconds": 5, "ends_at": "2026-11-23T03:31:45Z",
                "age_seconds": [15, 10, 5, 0], "memory_bytes": [1e7, 2e7, null, 6.5e7],
                "cpu_millicores": [100, 250, 500, 480], "cpu_throttled_percent": [0, 0, 12, 40],
                "pressure_memory_some_percent": [0, 0, 0, 81.5], "pids": [3, 3, 3, 3],
                "pressure_io_some_percent": [0, 0, 0, 0],
                "memory_limit_bytes": 67_108_864, "memory_peak_bytes": 67_108_864, "oom_kills": 1},
            "system": {"interval_seconds": 5, "ends_at": "2026-11-23T03:31:46Z",
                "memory_available_bytes": [8e8, 7e8, 6e8],
                "load_1m": [0.5, 1.25, 2.8], "swap_used_bytes": [0, 0, 0],
                "network_receive_bytes_per_second": [0, 2048, 1e6]},
            "before_reboot": {"interval_seconds": 5, "ends_at": "2026-11-23T03:19:30Z",
                "age_seconds": [5, 0], "memory_available_bytes": [4e8, 9e6],
                "containers": [{"namespace": "shop", "pod_name": "web-0", "container": "app",
                    "memory_limit_bytes": 67_108_864, "memory_bytes": [null, 6e7],
                    "cpu_millicores": [900, 20]}]},
            "sidecar": {"queue_depth": {"age_seconds": [9, 4, 0], "values": [3, 7.5, 12]},
                "balance": {"age_seconds": [4, 0], "values": [1, -3.5]}},
            "kernel": {"counters": {"oom_kills": 4, "disk_errors": 2},
                "oom_kill": {"at": "2026-11-23T03:31:47Z", "process": "python3", "pid": 4711,
                    "resident_bytes": 65_011_712, "limit_of": "pod", "asked_by": "gunicorn",
                    "processes": 2, "confidence": "confirmed"},
                "fault": {"at": "2026-11-23T03:31:47Z", "kind": "segfault", "process": "worker",
                    "pid": 4712, "file": "libc.so.6", "offset": "2a8f", "confidence": "probable"},
                "troubles": [{"kind": "io_error", "subject": "sda",
                    "first_at": "2026-11-23T03:30:00Z", "last_at": "2026-11-23T03:31:00Z",
                    "count": 3}]},
            "logs": {"file": "app/4.log", "truncated": "bytes", "lines": [
                {"at": "2026-11-23T03:31:46.2Z", "stream": "stdout", "text": "no  memory left"},
                {"at": "2026-11-23T03:31:46.5Z", "stream": "stderr", "text": "no memory left"},
                {"at": "2026-11-23T03:31:46.6Z", "stream": "stderr", "text": "good bye"}]},
            "node": {"read_at": "2026-11-23T03:31:47Z", "conditions": [
                {"type": "Ready", "status": "True", "since": null},
                {"type": "MemoryPressure", "status": "True", "since": null}],
                "allocatable": {"cpu_millicores": 900, "memory_bytes": 1_000_000_000, "pods": 110}},
            "events": [{"type": "Warning", "reason": "BackOff", "message": "back-off restarting",
                "count": 3, "first_at": null, "last_at": "2026-11-23T03:31:47Z"}],
            "gaps": ["system: left out"]
    })
}

#[test]
fn an_incident_is_shown_with_all_that_its_line_has() {
    let line = incident().to_string();
    assert_eq!(schema::flaw(&line), None);
    let page = full(std::slice::from_ref(&line));
    let html = checker::read(&page);
    for words in [
        "node1",
        "4 incidents since 2026-11-23 03:00:00 UTC (40 min ago)",
        "alive",
        "not ready (the agent has not listed the node's pods yet)",
        "8 min 13 s ago",
        "was OOM-killed at its 64 MiB limit",
        "MemoryError: no memory left\n; while: to sort; at app.py:12 in sort (from the log)",
        "Cluster\n edge-7",
        "Workload\n Deployment/web",
        "Image\n registry/app:1",
        "Exit code\n 137",
        "Signal\n 9",
        "Reason\n OOMKilled",
        "7 times, first 2026-11-22 01:00:00 UTC",
        "4, in crash loop back-off",
        "Log: the last 3 lines of app/4.log",
        "Older lines had no room in the incident.",
        "cause\nno memory left",
        "good bye",
        "limit 64 MiB",
        "peak 62 MiB",
        "limit 0.50 CPU",
        "peak 40 %",
        "82 % at the last sample",
        "The last sample is of 2026-11-23 03:31:46 UTC\n, \u{2212}1 s from the incident",
        "572.2 MiB at the last sample, between 572.2 MiB and 762.9 MiB",
        "3 all the time",
        "2.8 at the last sample, between 0.5 and 2.8",
        "976.6 KiB/s at the last sample",
        "Zero all the time: Swap in use",
        "Zero all the time: Waiting for a disk",
        "Node before the reboot",
        "shop/web-0 app, memory",
        "shop/web-0 app, CPU",
        "queue_depth",
        "12 at the last sample, between 3 and 12",
        "balance\n -3.5 at last",
        "oom kill asked by gunicorn\n, at 2026-11-23 03:31:47 UTC\n, confidence confirmed",
        "process python3",
        "resident 62 MiB",
        "limit of pod",
        "fault at 2026-11-23 03:31:47 UTC\n, confidence probable\n, file libc.so.6\n, kind segfault",
        "first at 2026-11-23 03:30:00 UTC\n, kind io_error",
        "subject sda",
        "counters disk errors 2, oom kills 4",
        "is orderly no",
        "panic Attempted to kill init",
        "names shop/web-0 app",
        "\u{2212}107 s",
        "back-off restarting",
        "(3 times)",
        "exit code 137 OOMKilled",
        "first\nsecond",
        "registry/proxy:1",
        "system: left out",
        "MemoryPressure is",
        &line,
    ] {
        assert!(html.text.contains(words), "no {words:?} in {}", html.text);
    }
    assert_eq!(html.tags.iter().filter(|tag| *tag == "figure").count(), 12);
    assert_eq!(html.tags.iter().filter(|tag| *tag == "mark").count(), 2);
    assert_eq!(html.style, STYLE);
}

#[test]
fn what_a_line_does_not_have_leaves_no_empty_section() {
    let mut incident = incident();
    incident["containers"] = json!([]);
    incident["telemetry"] = json!({"events": [], "gaps": []});
    for name in ["cause", "workload", "image", "exit_code", "signal", "reason"] {
        incident[name] = Value::Null;
    }
    for name in ["reboot", "seen", "restarts"] {
        incident["metadata"][name] = Value::Null;
    }
    let html = checker::read(&full(&[incident.to_string()]));
    for words in ["Containers", "Log:", "Kernel", "Reboot", "Exit code", "Seen on", "Missing"] {
        assert!(!html.text.contains(words), "{words}: {}", html.text);
    }
    for tag in ["figure", "mark"] {
        assert!(!html.tags.contains(&tag.to_owned()), "{tag}");
    }
}

#[test]
fn the_newest_comes_first() {
    let line = |n: u64| numbered(n, &[]);
    for page in [list(&[line(1), line(2), line(3)]), full(&[line(1), line(2), line(3)])] {
        let text = text(&page);
        let text = text.split_once("Incidents").map_or(text.as_str(), |(_, list)| list);
        let at = |words: &str| text.find(words).unwrap();
        assert!(at("sentence 3.") < at("sentence 2.") && at("sentence 2.") < at("sentence 1."));
    }
}

#[test]
fn each_incident_has_a_link_to_itself_and_to_those_of_its_pod_and_its_fingerprint() {
    let pod = |name: &str, print: &str| [("pod_name", name.into()), ("fingerprint", print.into())];
    let lines = [
        numbered(1, &pod("web-1", "aa")),
        numbered(2, &pod("web-2", "aa")),
        numbered(3, &pod("web-1", "bb")),
        numbered(4, &pod("web-4", "cc")),
    ];
    let link = |n: u64| format!("<a href=\"/?id={n:032x}\">");
    let all = list(&lines);
    assert!((1..=4).all(|n| all.contains(&link(n))), "{all}");
    let one = page(&format!("id={:032x}", 1), "node1", &lines);
    for (words, want) in [
        // That of the page itself, to load it again.
        (link(1), 1),
        (link(2), 1),
        (link(3), 1),
        (link(4), 0),
        ("<a href=\"/?namespace=shop&amp;pod=web-1\">all of them".to_owned(), 1),
        ("<a href=\"/?fingerprint=aa\">all of them".to_owned(), 1),
    ] {
        assert_eq!(one.matches(&words).count(), want, "{words}");
    }
    checker::read(&one);
    let gone = page("id=gone", "node1", &lines);
    assert!(text(&gone).contains("No such incident"), "{gone}");
}

#[test]
fn what_is_chosen_stands_on_the_page_and_can_be_taken_back() {
    let lines: Vec<String> = (1..=3).map(|n| numbered(n, &[])).collect();
    let query = "pod=web-2&type=oom&severity=high&by=type&refresh=30";
    let page = page(query, "node1", &lines);
    let text = text(&page);
    assert!(text.contains("1 of 3 in memory"), "{text}");
    assert!(text.contains("sentence 2.") && !text.contains("sentence 1."), "{text}");
    for words in [
        "<meta http-equiv=\"refresh\" content=\"30\">",
        "<input name=\"pod\" value=\"web-2\" ",
        "<option value=\"oom\" selected=\"selected\">",
        "<option value=\"high\" selected=\"selected\">",
        "<input type=\"hidden\" name=\"refresh\" value=\"30\">",
        "<a href=\"/?type=oom&amp;severity=high&amp;by=type&amp;refresh=30\">remove",
        "<a href=\"/?pod=web-2&amp;type=oom&amp;severity=high&amp;by=type\">Stop reloading",
        "<a href=\"/?pod=web-2&amp;type=oom&amp;severity=high&amp;refresh=30&amp;by=node\">by node",
        "<a href=\"/incidents?pod=web-2&amp;type=oom&amp;severity=high\">",
    ] {
        assert!(page.contains(words), "no {words} in {page}");
    }
    let none = self::page("pod=web", "node1", &lines);
    assert!(checker::read(&none).text.contains("None of the 3 incidents in memory fits."));
    assert!(!list(&lines).contains("http-equiv"));
    assert!(checker::read(&list(&[])).text.contains("No incidents in memory."));
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
    assert!(all.len() > 140, "{}", all.len());
    for place in &all {
        for value in HOSTILE {
            let mut incident = incident();
            *incident.pointer_mut(place).unwrap() = value.into();
            checker::read(&list(&[incident.to_string()]));
            checker::read(&full(&[incident.to_string()]));
        }
    }
    for value in HOSTILE {
        checker::read(&page("", value, &[]));
        let mut incident = incident();
        incident["metadata"]["labels"] = json!({value: value});
        let text = text(&full(&[incident.to_string()]));
        assert!(!value.contains("script") || text.contains(value), "{value} is not shown");
        // What a reader, or a link that somebody sent, puts into the address.
        for name in ["pod", "workload", "text", "fingerprint", "image", "id"] {
            let query = crate::serve::query::page(&[(name, value)]);
            checker::read(&page(&query[2..], "node1", &[incident.to_string()]));
        }
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
            checker::read(&list(&[incident.to_string()]));
            checker::read(&full(&[incident.to_string()]));
        }
    }
}

#[test]
fn a_line_that_is_no_incident_harms_no_other() {
    for line in ["", "{}", "no json <b>", "{\"id\": \"<\"", "[1]", "\u{1}"] {
        for page in
            [list(&[line.to_owned(), numbered(1, &[])]), full(&[line.to_owned(), numbered(1, &[])])]
        {
            assert!(text(&page).contains("sentence 1."), "{page}");
        }
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
fn the_page_of_an_incident_has_a_bound_and_room_for_each() {
    for fill in ["'", "\"", "&", "\u{85}", "\u{202e}", "\0", "x"] {
        let line = large(fill);
        let all = full(&vec![line; 3]);
        assert!(checker::read(&all).text.contains("Log: "), "{fill:?}: the incident is left out");
        assert!(all.len() < PAGE_BYTES_MAX, "{fill:?}: {}", all.len());
    }
}

#[test]
fn curves_of_the_most_samples_have_room() {
    let mut incident = incident();
    let numbers = vec![1; 500];
    for section in ["container", "system", "before_reboot"] {
        let names: Vec<String> =
            incident["telemetry"][section].as_object().unwrap().keys().cloned().collect();
        for name in names {
            if incident["telemetry"][section][&name].is_array() && name != "containers" {
                incident["telemetry"][section][name] = json!(numbers);
            }
        }
    }
    let line = incident.to_string();
    assert!(line.len() > INCIDENT_LINE_BYTES_MAX, "{}", line.len());
    let page = full(&[line]);
    checker::read(&page);
    assert!(page.contains("<figure>") && page.len() < PAGE_BYTES_MAX, "{}", page.len());
}

#[test]
fn a_list_has_a_bound_and_counts_what_it_leaves_out() {
    let long = "'".repeat(400);
    let lines: Vec<String> =
        (0..256).map(|n| numbered(n, &[("message", long.as_str().into())])).collect();
    let page = list(&lines);
    assert!(page.len() < PAGE_BYTES_MAX, "{}", page.len());
    assert!(text(&page).contains("older incidents have no room here"));
    let usual: Vec<String> = (0..256).map(|n| numbered(n, &[])).collect();
    let page = list(&usual);
    assert_eq!(page.matches("<li class=\"i ").count(), 256, "{}", page.len());
    assert!(!text(&page).contains("no room"));
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
fn the_timeline_is_in_order() {
    let text = text(&full(&[incident().to_string()]));
    let (_, timeline) = text.split_once("Timeline").unwrap();
    let (_, timeline) = timeline.split_once("from the incident").unwrap();
    let at =
        |words: &str| timeline.find(words).unwrap_or_else(|| panic!("no {words} in {timeline}"));
    assert!(at("start") < at("back-off restarting") && at("back-off restarting") < at("OOMKilled"));
    assert!(at("back-off restarting") < at("incident") && at("incident") < at("detected"));
}

/// Returns an incident with this number, from another minute and pod.
fn numbered(n: u64, change: &[(&str, Value)]) -> String {
    let mut incident = incident();
    incident["id"] = format!("{n:032x}").into();
    incident["pod_name"] = format!("web-{n}").into();
    incident["occurred_at"] = format!("2026-11-23T{:02}:{:02}:00Z", 3 + n / 60, n % 60).into();
    incident["message"] = format!("sentence {n}.").into();
    for (name, value) in change {
        incident[*name] = value.clone();
    }
    incident.to_string()
}

/// Returns the text of the section of the groups.
fn section(page: &str) -> String {
    let text = text(page);
    let (_, section) = text.split_once("The last incidents").expect("no groups");
    section.split_once("Incidents").map_or(section, |(section, _)| section).to_owned()
}

#[test]
fn the_groups_stand_at_the_top_with_links_to_their_incidents() {
    let print = |print: &str| ("fingerprint", Value::from(print));
    let mut own = vec![numbered(9, &[print("4f1c2a9be07d3355")]), numbered(7, &[print("00aa")])];
    own.push(numbered(8, &[print("4f1c2a9be07d3355")]));
    // One that came again, and one that the page cannot read.
    own.push(own[2].clone());
    own.push("no json".to_owned());
    let page = list(&own);
    let words = section(&page).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains(
            "count 2 pods 2 first 2026-11-23 03:08:00 UTC last 2026-11-23 03:09:00 UTC shop \
             Deployment/web app oom 4f1c2a9be07d3355 sentence 9. count 1 pods 1 first 2026-11-23 03:07:00 UTC"
        ),
        "{words}"
    );
    for words in [
        "<a href=\"/?fingerprint=4f1c2a9be07d3355\">",
        &format!("<a href=\"/?id={:032x}\"><bdi>sentence 9.", 9),
        &format!("<a href=\"/?id={:032x}\"><bdi>sentence 7.", 7),
    ] {
        assert_eq!(page.matches(words).count(), 1, "{words}");
    }
}

#[test]
fn the_groups_go_by_what_is_asked_for_and_lead_to_their_incidents() {
    let mut line: Value = serde_json::from_str(&numbered(1, &[])).unwrap();
    line["metadata"]["workload"] = json!({"kind": "Deployment", "name": "web"});
    let lines = [line.to_string()];
    for (by, key, link) in [
        ("fingerprint", "4c1d5d6f0a0b1c2d", "/?fingerprint=4c1d5d6f0a0b1c2d"),
        ("workload", "shop/Deployment/web", "/?namespace=shop&amp;workload=Deployment/web"),
        ("node", "node1", ""),
        ("type", "oom", "/?type=oom"),
        ("image", "registry/app:1", "/?image=registry/app%3A1"),
    ] {
        let page = page(&format!("by={by}"), "node1", &lines);
        let section = section(&page);
        assert!(section.starts_with(&format!(" by {by}\n")), "{section}");
        assert!(section.contains(key), "{section}");
        assert!(
            page.contains(&format!("<a href=\"{link}\"><bdi><b>")) != link.is_empty(),
            "{page}"
        );
        if !link.is_empty() {
            let query = link[2..].replace("&amp;", "&");
            let found = self::page(&query, "node1", &lines);
            assert!(found.contains("<li class=\"i "), "{query}");
        }
        for other in By::ALL.map(By::name) {
            let link = format!("<a href=\"/?by={other}\">by ");
            assert_eq!(page.contains(&link), other != by, "{link}");
        }
        assert!(!text(&self::page(&format!("by={by}"), "node1", &[])).contains("count"));
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
            let page = page(&format!("by={}", by.name()), value, &all);
            checker::read(&page);
            assert!(page.len() < PAGE_BYTES_MAX, "{}", page.len());
            let (start, end) = (page.find("<section>").unwrap(), page.find("</section>").unwrap());
            assert!(end - start <= PAGE_GROUPS_BYTES_MAX);
        }
        // What has no row is counted.
        all.truncate(25);
        let text = section(&list(&all));
        assert!(text.contains("(others)"), "{text}");
    }
}

#[test]
fn a_reader_who_does_not_see_the_page_is_told_what_columns_are_and_reaches_all_of_them() {
    let page = full(&[incident().to_string()]);
    let tags = checker::read(&page).tags;
    let count = |name: &str| tags.iter().filter(|tag| *tag == name).count();
    assert_eq!((count("table"), count("thead")), (3, 3));
    // What scrolls sideways must take the focus of the keyboard.
    assert_eq!(page.matches("<div class=\"w\" tabindex=\"0\" role=\"region\" ").count(), 1);
}

#[test]
fn the_title_says_which_incident_the_page_is_about() {
    let lines = [incident().to_string()];
    for (query, want) in [
        ("", "<title>node1 \u{b7} blackbox-daemon</title>"),
        ("id=5ef8*", "<title>oom shop/web-1 \u{b7} node1 \u{b7} blackbox-daemon</title>"),
        ("id=gone", "<title>node1 \u{b7} blackbox-daemon</title>"),
    ] {
        let page = page(query, "node1", &lines);
        assert!(page.contains(want), "{query}");
    }
}

#[test]
fn an_incident_of_a_node_has_no_section_of_a_pod() {
    let heads = |pod: Value| {
        let mut incident = incident();
        incident["pod_name"] = pod;
        let page = full(&[incident.to_string()]);
        (page.contains("<h3>Pod</h3>"), page.contains("<h3>Type</h3>"))
    };
    assert_eq!(heads(json!("web-1")), (true, false));
    assert_eq!(heads(Value::Null), (false, true));
}

#[test]
fn one_is_told_as_one() {
    let mut one = incident();
    let log = &mut one["telemetry"]["logs"]["lines"];
    *log = json!([log[0]]);
    let lines = [one.to_string()];
    let list = text(&page_after(1, "", "node1", &lines));
    assert!(list.contains("1 older incident is no longer in memory; look for it on"), "{list}");
    let none = text(&page("pod=x", "node1", &lines));
    assert!(none.contains("The one incident in memory does not fit."), "{none}");
    assert!(text(&full(&lines)).contains("Log: the last line of"));
}

/// Not a test: writes pages into the folder that `BLACKBOX_PAGES` names, for a person to look at.
#[test]
#[ignore = "draws"]
fn pages_to_look_at() {
    let folder = std::path::PathBuf::from(std::env::var("BLACKBOX_PAGES").unwrap());
    let write = |name: &str, page: String| {
        checker::read(&page);
        std::fs::write(folder.join(name), page).unwrap();
    };
    let recorded = include_str!("../../../fixtures/incidents.jsonl");
    let recorded: Vec<String> = recorded.lines().map(str::to_owned).collect();
    let kinds = ["oom", "error", "probe_failure", "image_pull"];
    let many: Vec<String> = (0..200)
        .map(|n| {
            let mut line: Value = serde_json::from_str(&recorded[n % recorded.len()]).unwrap();
            line["id"] = format!("{n:032x}").into();
            line["fingerprint"] = format!("{:016x}", n % 30).into();
            line["occurred_at"] = format!("2026-11-23T{:02}:{:02}:07Z", n / 60, n % 60).into();
            line["severity"] = ["critical", "high", "medium", "low"][n % 4].into();
            line["type"] = kinds[n % 7 % 4].into();
            line.to_string()
        })
        .collect();
    let hostile: Vec<String> = (0..10)
        .map(|n| {
            let mut all = Vec::new();
            let mut line = incident();
            places(&line, "", &mut all);
            for place in all.iter().filter(|place| {
                !["_at", "/at", "timestamp", "/severity"].iter().any(|end| place.ends_with(end))
            }) {
                let value = line.pointer_mut(place).unwrap();
                if value.is_string() {
                    *value = format!("{}{}", HOSTILE[n], "W".repeat(if n == 4 { 200 } else { 0 }))
                        .into();
                }
            }
            line.to_string()
        })
        .collect();
    let one = [incident().to_string()];
    write("0.html", list(&[]));
    write("1.html", list(&one));
    write("1-full.html", full(&one));
    write("200.html", list(&many));
    write("200-chosen.html", page("type=oom&severity=high&text=memory&refresh=10", "node1", &many));
    write("recorded-full.html", full(&recorded[recorded.len() - 1..]));
    write("hostile.html", page("by=type", HOSTILE[0], &hostile));
    write("hostile-full.html", page("id=*&limit=1", "node1", &hostile[4..5]));
    write("gone.html", page("id=gone", "node1", &many));
}
