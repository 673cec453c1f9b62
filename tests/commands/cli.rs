//! The command line: its output and its exit codes.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Output};

use crate::support::tls::Authority;
use crate::support::{AgentOptions, Scratch, fixture, schema, zoo};
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
    assert!(text(&output.stderr).contains(
        "incidents: 197; the recording has 0 pods at its start and 622 changes after it"
    ));
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
    let told = "/nowhere is not a recording: there is no pods.list.json in it";
    assert!(text(&output.stderr).contains(told), "{}", text(&output.stderr));
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
        ("RUST_LOG", "verbose"),
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
fn a_wrong_log_level_is_a_problem_of_every_command_that_has_a_log() {
    let folder = fixture("crash-zoo");
    for words in [&["replay", folder.to_str().unwrap()][..], &["show", "-"]] {
        let output = run(words, &[("RUST_LOG", "info,verbose")]);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        let problem = text(&output.stderr);
        assert!(
            problem.contains("RUST_LOG=\"info,verbose\": \"verbose\" is not a level; allowed: ")
        );
        assert_eq!((problem.lines().count(), output.stdout.len()), (1, 0), "{problem}");
    }
}

#[test]
fn the_reason_why_the_agent_ends_is_told_whatever_the_log_has() {
    let (taken, folder) = (TcpListener::bind("127.0.0.1:0").unwrap(), Scratch::new("fatal"));
    let address = taken.local_addr().unwrap();
    for (name, content) in [("ca.crt", Authority::new("cluster").pem()), ("token", "t".to_owned())]
    {
        fs::write(folder.join(name), content).unwrap();
    }
    for level in ["info", "off", "blackbox_daemon=off"] {
        let options = AgentOptions::in_pod(address, folder.path())
            .env("BLACKBOX_LISTEN", address.to_string())
            .env("RUST_LOG", level);
        let output = options.run(&[]);
        assert_eq!(output.status.code(), Some(1), "{level}");
        let why = format!("blackbox-daemon: cannot listen on {address}");
        assert!(text(&output.stderr).contains(&why), "{level}: {}", text(&output.stderr));
    }
}

#[test]
fn every_command_has_a_help_whose_options_it_knows() {
    let overview = run(&["--help"], &[]);
    for words in [&["-h"][..], &["help"], &["help", "help"]] {
        assert_eq!(run(words, &[]).stdout, overview.stdout, "{words:?}");
    }
    for setting in blackbox_daemon::config::SETTINGS {
        assert!(text(&overview.stdout).contains(setting.key), "{}", setting.key);
    }
    for command in ["check", "show", "explain", "replay"] {
        assert!(text(&overview.stdout).contains(&format!("\n  {command}")), "{command}");
        let page = run(&["help", command], &[]);
        for words in [&[command, "--help"][..], &[command, "-h"], &[command, "x", "--help"]] {
            assert_eq!(run(words, &[]).stdout, page.stdout, "{words:?}");
        }
        // A wrong setting is no reason to keep the help.
        let output = run(&[command, "--help"], &[("NODE_NAME", "Node One"), ("RUST_LOG", "x")]);
        assert_eq!((output.status.code(), &output.stdout), (Some(0), &page.stdout));
        assert!(output.stderr.is_empty() && page.status.success());
        let page = text(&page.stdout);
        let section = |name: &str| {
            let start = page.find(&format!("\n{name}:\n")).unwrap() + name.len() + 3;
            page[start..].lines().take_while(|line| !line.is_empty()).map(str::to_owned)
        };
        assert_eq!(section("Examples").count(), 2, "{page}");
        assert_eq!(section("Exit codes").count(), 3, "{page}");
        for row in section("Options") {
            let option = row.split([' ', ',']).find(|word| word.starts_with('-')).unwrap();
            let output = run(&[command, option], &[]);
            assert!(!text(&output.stderr).contains("unknown"), "{row}: {}", text(&output.stderr));
        }
    }
    let version = run(&["--version"], &[]);
    assert_eq!(text(&version.stdout), concat!("blackbox-daemon ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn wrong_words_are_code_2_with_what_is_probably_meant() {
    for (words, told) in [
        (&["fly"][..], "unknown command or option \"fly\"; see blackbox-daemon --help"),
        (&["chek"], "did you mean check?"),
        (&["--hepl"], "did you mean --help?"),
        (&["chek", "--help"], "did you mean check?"),
        (&["help", "shwo"], "did you mean show?"),
        (&["check", "--outptu", "json"], "did you mean --output?"),
        (
            &["check", "-o"],
            "-o json, or -o text (the default), and nothing else; see blackbox-daemon help check",
        ),
        (&["show", "--sinze", "1h"], "did you mean --since?"),
        (&["explain", "--exitcode=3"], "did you mean --exit-code?"),
        (&["explain", "--jsn"], "see blackbox-daemon help explain"),
        (&["replay"], "a folder; see blackbox-daemon help replay"),
        (&["replay", "a", "b"], "a folder"),
        (&["replay", "--fast"], "unknown option \"--fast\""),
        (&["replay", "a", "--full"], "unknown option \"--full\""),
    ] {
        let output = run(words, &[]);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(text(&output.stderr).contains(told), "{words:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{words:?}");
    }
}
