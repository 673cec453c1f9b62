//! The command line: its output and its exit codes.

use std::process::{Command, Output};

use crate::support::{fixture, schema, zoo};
use crate::{BINARY, text};
use serde_json::Value;

fn run(arguments: &[&str], env: &[(&str, &str)]) -> Output {
    Command::new(BINARY).args(arguments).env_clear().envs(env.iter().copied()).output().unwrap()
}

#[test]
fn replay_prints_the_zoos_incidents_and_nothing_else() {
    let output = run(&["replay", fixture("crash-zoo").to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(0));
    let lines: Vec<Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    zoo::assert_all_and_nothing_else(&lines);
    assert!(text(&output.stdout).lines().all(|line| schema::flaw(line).is_none()));
    assert!(text(&output.stderr).contains("197 incidents in 0 listed pods and 622 watch lines"));
}

/// Queries take these facts from the top of a line, and people read them in its parts.
#[test]
fn the_facts_at_the_top_of_a_line_are_those_of_its_parts() {
    let output = run(&["replay", fixture("crash-zoo").to_str().unwrap()], &[]);
    let mut terminations = 0;
    for line in text(&output.stdout).lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let workload = &line["metadata"]["workload"];
        let [kind, name] = ["kind", "name"].map(|key| workload[key].as_str().unwrap());
        assert_eq!(line["workload"], format!("{kind}/{name}"));
        assert!(line["cluster"].is_null());
        let containers = line["containers"].as_array().unwrap();
        let own = containers.iter().find(|container| container["name"] == line["container"]);
        let Some(own) = own else {
            assert!(line["container"].is_null() && line["image"].is_null(), "{line}");
            continue;
        };
        assert_eq!(line["image"], own["image"]);
        if !line["exit_code"].is_null() {
            terminations += 1;
            for key in ["exit_code", "signal", "reason"] {
                assert_eq!(line[key], own[key], "{line}");
            }
        }
    }
    assert!(terminations > 100, "{terminations}");
}

#[test]
fn a_folder_that_is_no_recording_fails_with_its_path() {
    let output = run(&["replay", "/nowhere"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("/nowhere/pods.list.json"));
}

#[test]
fn every_configuration_problem_is_told_at_once_with_code_2() {
    let bad = [
        ("NODE_NAME", "Node One"),
        ("KUBECONFIG", "/nowhere"),
        ("BLACKBOX_LOOKBACK", "5 minutes"),
        ("BLACKBOX_LISTEN", "nowhere"),
        ("BLACKBOX_MIN_SEVERITY", "worst"),
        ("BLACKBOX_LOG_LINES", "-1"),
    ];
    let output = run(&[], &bad);
    assert_eq!(output.status.code(), Some(2));
    let problems = text(&output.stderr);
    assert_eq!(problems.lines().count(), bad.len(), "{problems}");
    for (key, _) in bad {
        let line = problems.lines().find(|line| line.contains(key)).unwrap();
        assert!(line.contains("allowed:") || key == "KUBECONFIG", "{line}");
    }
    assert!(output.stdout.is_empty());
}

#[test]
fn wrong_usage_is_code_2_and_help_names_every_setting() {
    for arguments in [&["fly"][..], &["replay"], &["replay", "a", "b"], &["--fast"]] {
        assert_eq!(run(arguments, &[]).status.code(), Some(2), "{arguments:?}");
    }
    let help = run(&["--help"], &[]);
    assert_eq!(help.status.code(), Some(0));
    for setting in blackbox_daemon::config::SETTINGS {
        assert!(text(&help.stdout).contains(setting.key), "{}", setting.key);
    }
    let version = run(&["--version"], &[]);
    assert_eq!(text(&version.stdout), concat!("blackbox-daemon ", env!("CARGO_PKG_VERSION"), "\n"));
}
