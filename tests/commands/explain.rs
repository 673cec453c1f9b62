//! `explain`: the cause of a crash in any log.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::{Scratch, fixture};
use crate::{BINARY, text};

/// Runs `explain` with this log on standard input.
fn explain(arguments: &[&str], log: &[u8]) -> Output {
    let mut child = Command::new(BINARY)
        .arg("explain")
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(log);
    child.wait_with_output().unwrap()
}

fn answer(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The last words of real programs, and what they say.
#[test]
fn real_last_words_say_why() {
    let folder = fixture("last-words");
    let table = fs::read_to_string(folder.join("expected.tsv")).unwrap();
    let mut wrong = Vec::new();
    let rows: Vec<&str> = table.lines().filter(|line| !line.starts_with('#')).collect();
    for row in &rows {
        let [name, code, cause, location] = row.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{row}");
        };
        let log = folder.join(format!("{name}.log"));
        let output = explain(&["--json", "--exit-code", code, log.to_str().unwrap()], b"");
        let said = answer(&output);
        let text = said["cause"].as_str().unwrap_or("-");
        let place = said["location"].as_str().unwrap_or("-");
        if !text.starts_with(cause)
            || place != location
            || said["signature"].is_null() != (cause == "-")
        {
            wrong.push((name, text.to_owned(), place.to_owned()));
        }
    }
    assert_eq!(wrong, []);
    let logs = fs::read_dir(&folder).unwrap().count() - 1;
    assert_eq!(rows.len(), logs, "each log has its row");
}

#[test]
fn plain_text_says_the_same_as_the_kubelets_format() {
    let log = fs::read_to_string(fixture("last-words").join("go-panic-string-a.log")).unwrap();
    let plain: String =
        log.lines().map(|line| format!("{}\n", line.splitn(4, ' ').last().unwrap())).collect();
    let formatted = answer(&explain(&["--json", "--exit-code=2", "-"], log.as_bytes()));
    let said = answer(&explain(&["--exit-code", "2", "--json"], plain.as_bytes()));
    for key in ["cause", "error_type", "message", "location", "signature"] {
        assert_eq!(said[key], formatted[key], "{key}");
    }
    assert_eq!(said["error_type"], "panic");
    let words = text(&explain(&["--exit-code", "2"], plain.as_bytes()).stdout);
    assert!(
        words.starts_with(
            "panic: order 81723: negative total\n  location  main.go:16 in main.total\n"
        ),
        "{words}"
    );
    assert_eq!(
        text(&explain(&["--exit-code", "0"], plain.as_bytes()).stdout),
        "the log does not say why\n"
    );
}

#[test]
fn what_is_shown_is_masked() {
    let log = "FATAL: login with password=hunter2hunter2 was refused: not allowed";
    let said = text(&explain(&["--json"], log.as_bytes()).stdout);
    assert!(said.contains("FATAL") && !said.contains("hunter2"), "{said}");
}

#[test]
fn a_large_log_is_read_from_its_end() {
    let mut log = "panic: the first one\n".to_owned();
    while log.len() < 5 << 20 {
        log.push_str("INFO served an order\n");
    }
    assert!(answer(&explain(&["--json"], log.as_bytes()))["cause"].is_null());
    log.push_str("panic: the last one\n");
    assert_eq!(answer(&explain(&["--json"], log.as_bytes()))["cause"], "panic: the last one");
}

#[test]
fn wrong_usage_is_code_2_and_an_unreadable_log_code_1() {
    for arguments in [
        &["--exit-code", "300"][..],
        &["--exit-code"],
        &["--exit-code=x"],
        &["--fast"],
        &["a", "b"],
    ] {
        let output = explain(arguments, b"");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).starts_with("blackbox-daemon: explain: "), "{arguments:?}");
    }
    let nowhere = Scratch::new("explain").join("nowhere.log");
    let output = explain(&[nowhere.to_str().unwrap()], b"");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("nowhere.log"));
}
