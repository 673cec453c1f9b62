//! The command `show --by`: groups of the incidents of many nodes.

use std::fs;
use std::io::Write;
use std::process::Command;

use crate::show::{columns, command, show};
use crate::support::clock::now;
use crate::support::{Scratch, fixture};
use crate::{BINARY, text};
use blackbox_daemon::core::text::is_harmful;
use serde_json::{Value, json};

/// Returns the line of an incident with this number in this minute, as the agent of a node writes it.
fn line(n: u64, minute: u64, node: &str, workload: &str, kind: &str) -> Value {
    json!({
        "schema": "blackbox.incident/v1", "id": format!("{n:032x}"),
        "occurred_at": format!("2026-11-23T03:{minute:02}:00.5Z"), "severity": "high", "type": kind,
        "message": format!("container app of shop/{workload}-{n} ended in minute {minute}"),
        "fingerprint": format!("{:016x}", workload.len() + kind.len()),
        "namespace": "shop", "pod_name": format!("{workload}-{n}"), "node_name": node,
        "container": "app", "containers": [{"name": "app", "image": format!("r/{workload}:1")}],
        "metadata": {"workload": {"kind": "Deployment", "name": workload}}, "telemetry": {},
    })
}

/// Returns the output of `kubectl logs --prefix` for two nodes, out of order.
fn fleet() -> String {
    let log = "[pod/blackbox-daemon-a/agent] [2026-11-23T03:31:00Z INFO blackbox_daemon] listed\n";
    let lines = [
        line(1, 9, "node-a", "checkout", "oom"),
        line(2, 3, "node-b", "checkout", "oom"),
        line(3, 7, "node-b", "web", "error"),
        line(4, 5, "node-a", "checkout", "oom"),
    ];
    let prefixed = lines.map(|line| format!("[pod/blackbox-daemon-a/agent] {line}\n"));
    log.to_owned() + &prefixed.concat()
}

#[test]
fn the_lines_of_a_fleet_become_a_table() {
    let output = show(&["--by", "workload", "-"], fleet().as_bytes());
    let want = "\
COUNT  PODS  NODES  FIRST (UTC)     LAST (UTC)      KEY
    3     3      2  11-23 03:03:00  11-23 03:09:00  shop/Deployment/checkout
    container app of shop/checkout-1 ended in minute 9
    1     1      1  11-23 03:07:00  11-23 03:07:00  shop/Deployment/web
    container app of shop/web-3 ended in minute 7
";
    assert_eq!(text(&output.stdout), want);
    assert_eq!(text(&output.stderr), "1 line is not an incident\n");
    assert_eq!(output.status.code(), Some(0));
    // What has no room in its column stands on a line of its own.
    let output = show(&["--by=fingerprint", "--limit", "1", "-"], fleet().as_bytes());
    let want = "\
COUNT  PODS  NODES  FIRST (UTC)     LAST (UTC)      KEY
    3     3      2  11-23 03:03:00  11-23 03:09:00  000000000000000b
    shop Deployment/checkout app oom
    container app of shop/checkout-1 ended in minute 9
    1     -      -  11-23 03:07:00  11-23 03:07:00  (others)
    all other groups together; --since, --type and more options select fewer
";
    assert_eq!(text(&output.stdout), want);
}

#[test]
fn a_line_in_two_streams_counts_once() {
    let twice = fleet() + &fleet();
    let once = show(&["--by", "node", "-"], fleet().as_bytes());
    let output = show(&["--by", "node", "-"], twice.as_bytes());
    assert_eq!(text(&output.stdout), text(&once.stdout));
    let told = "2 lines are not incidents; 4 lines repeat an incident and were left out\n";
    assert_eq!(text(&output.stderr), told);
}

#[test]
fn filters_narrow_the_groups() {
    for (words, counts) in [
        (&["--by", "type"][..], &["3 oom", "1 error"][..]),
        (&["--by", "type", "--type", "error"], &["1 error"]),
        (&["--by", "node", "--pod", "checkout-*"], &["2 node-a", "1 node-b"]),
        (&["--by", "image", "--since", "2026-11-23T03:06:00Z"], &["1 r/checkout:1", "1 r/web:1"]),
        (&["--by", "node", "-n", "other"], &[]),
        (&["--by", "node", "--severity", "critical"], &[]),
    ] {
        let output = show(&[words, &["-"]].concat(), fleet().as_bytes());
        let shown = text(&output.stdout);
        let rows = shown.lines().skip(1).filter(|line| !line.starts_with("    c"));
        let of = |row: &str| {
            let mut words = row.split_whitespace();
            format!("{} {}", words.next().unwrap(), words.next_back().unwrap())
        };
        assert_eq!(rows.map(of).collect::<Vec<_>>(), counts, "{words:?}");
        assert_eq!(shown.is_empty(), counts.is_empty());
    }
}

#[test]
fn the_crashes_of_one_release_on_three_pods_are_one_group() {
    let story = fs::read(fixture("story.jsonl")).unwrap();
    let shown = text(&show(&["--by", "fingerprint", "-"], &story).stdout);
    let rows: Vec<_> = shown.lines().filter(|line| line.contains("  11-28 ")).collect();
    assert_eq!(rows.len(), 4, "{shown}");
    assert!(rows[0].trim_start().starts_with("3     3 "), "{shown}");
    assert!(shown.contains("shop Deployment/orders app error"), "{shown}");
}

#[test]
fn the_lines_of_an_older_version_are_a_group_of_their_own() {
    let old = fs::read(fixture("incidents.jsonl")).unwrap();
    let incidents = text(&old).lines().count();
    for by in ["fingerprint", "workload"] {
        let shown = text(&show(&["--by", by, "-"], &old).stdout);
        let row = shown.lines().nth(1).unwrap();
        assert!(row.trim_start().starts_with(&format!("{incidents} ")), "{row}");
        assert!(row.ends_with("  (none)"), "{row}");
    }
}

#[test]
fn an_unknown_key_is_told_with_the_known_ones() {
    for words in [&["--by", "owner", "-"][..], &["--by", "-"], &["--by=node", "--follow"]] {
        let output = show(words, b"");
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(output.stdout.is_empty());
    }
    let told = text(&show(&["--by", "owner\u{1b}[2J"], b"").stderr);
    assert!(told.contains("allowed: fingerprint, workload, node, type, image"), "{told}");
    assert!(!told.contains('\u{1b}'), "{told:?}");
}

#[test]
fn no_row_is_wider_than_the_terminal_and_nothing_in_one_is_an_order_to_it() {
    let zoo = Command::new(BINARY)
        .args(["replay", fixture("crash-zoo").to_str().unwrap()])
        .output()
        .unwrap()
        .stdout;
    let hostile = "cls\u{1b}[2J gnp\u{202e}exe\u{2066}\n\r\u{feff}漢".repeat(30);
    let mut bad = line(99, 1, "n", "w", "oom");
    for field in ["message", "fingerprint", "type", "node_name", "namespace", "container"] {
        bad[field] = hostile.clone().into();
    }
    bad["metadata"]["workload"]["name"] = hostile.clone().into();
    bad["containers"][0] = json!({"name": hostile, "image": hostile});
    let scratch = Scratch::new("groups-width");
    let path = scratch.join("i");
    fs::write(&path, text(&zoo) + &fleet() + &format!("{bad}\n")).unwrap();
    for by in ["fingerprint", "workload", "node", "type", "image"] {
        for width in [60, 80, 200] {
            let mut command = command(&["--by", by, path.to_str().unwrap()]);
            let output = command.env("COLUMNS", width.to_string()).output().unwrap();
            assert_eq!(output.status.code(), Some(0));
            let shown = text(&output.stdout);
            assert!(shown.contains("gnp·exe"), "{shown}");
            for line in shown.lines() {
                assert!(columns(line) <= width, "{} columns: {line}", columns(line));
                assert!(!line.chars().any(is_harmful), "{line:?}");
                assert_eq!(line.trim_end(), line);
            }
        }
    }
}

#[test]
fn rotated_files_are_grouped_together() {
    let scratch = Scratch::new("groups-rotated");
    let lines: Vec<String> = fleet().lines().map(|line| format!("{line}\n")).collect();
    fs::write(scratch.join("i.1"), lines[..3].concat()).unwrap();
    fs::write(scratch.join("i"), lines[2..].concat()).unwrap();
    let path = scratch.join("i");
    let output = command(&["--by", "type", path.to_str().unwrap()]).output().unwrap();
    let piped = show(&["--by", "type", "-"], fleet().as_bytes());
    assert_eq!(text(&output.stdout), text(&piped.stdout));
}

/// Returns the peak memory of a process in KiB.
fn peak_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
#[ignore = "a measurement: cargo test --release --test commands -- --ignored --nocapture hundred"]
fn a_hundred_thousand_lines_take_two_seconds_at_most() {
    let recorded = text(&fs::read(fixture("incidents.jsonl")).unwrap());
    let telemetry: Vec<Value> = recorded
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["telemetry"].take())
        .collect();
    let mut input = Vec::new();
    for n in 0..100_000 {
        // As spread as can be: 2,000 nodes, 10,000 workloads, each incident of a pod of its own.
        let (node, workload) = (format!("node-{}", n % 2000), format!("workload-{}", n % 10_000));
        let mut line = line(n, n / 7 % 60, &node, &workload, "oom");
        line["fingerprint"] = format!("{:016x}", n % 10_000).into();
        line["telemetry"] = telemetry[n as usize % telemetry.len()].clone();
        writeln!(input, "{line}").unwrap();
    }
    for by in ["fingerprint", "workload", "node", "type", "image"] {
        let mut child = command(&["--by", by, "-"]).spawn().unwrap();
        let (pid, mut stdin) = (child.id(), child.stdin.take().unwrap());
        let start = now();
        stdin.write_all(&input).unwrap();
        let peak = peak_kib(pid);
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let seconds = start.elapsed().as_secs_f64();
        assert_eq!(output.status.code(), Some(0));
        println!("| {by} | {} MB | {seconds:.2} s | {peak} KiB |", input.len() / 1_000_000);
        assert!(peak < 24 << 10, "{peak} KiB");
        assert!(cfg!(debug_assertions) || seconds < 2.0, "{seconds} s");
    }
}
