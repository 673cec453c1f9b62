//! `explain`: the cause of a crash in any log.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

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

/// Returns the lines of a log in the kubelet's format, as plain text, if all are of one stream and none is in parts.
fn as_plain(log: &str) -> Option<String> {
    let mut streams = HashSet::new();
    let mut plain = String::new();
    for line in log.lines() {
        let mut words = line.splitn(4, ' ');
        let (_, stream, tag) = (words.next()?, words.next()?, words.next()?);
        streams.insert(stream);
        plain.push_str(words.next().filter(|_| tag == "F")?);
        plain.push('\n');
    }
    (streams.len() == 1).then_some(plain)
}

/// The exit codes of the logs under `fixtures/last-words/`.
fn exit_codes() -> HashMap<String, String> {
    let table = fs::read_to_string(fixture("last-words").join("expected.tsv")).unwrap();
    let rows = table.lines().filter(|line| !line.starts_with('#'));
    let cells = rows.map(|row| row.split('\t').map(str::to_owned).collect::<Vec<_>>());
    cells.map(|cells| (cells[0].clone(), cells[1].clone())).collect()
}

#[test]
fn each_log_of_stderr_says_the_same_as_plain_text() {
    let mut compared = 0;
    for (name, code) in exit_codes() {
        let log = fs::read_to_string(fixture("last-words").join(format!("{name}.log"))).unwrap();
        let Some(plain) = as_plain(&log).filter(|_| log.contains(" stderr ")) else { continue };
        let [one, other] = [&log, &plain].map(|text| {
            let mut said = answer(&explain(&["--json", "--exit-code", &code], text.as_bytes()));
            // Nothing tells when plain text was written.
            for line in said["lines"].as_array_mut().unwrap() {
                line["at"].take();
            }
            said
        });
        assert_eq!(one, other, "{name}");
        compared += 1;
    }
    assert!(compared >= 20, "{compared}");
}

#[test]
fn no_log_that_is_cut_anywhere_stops_the_command() {
    let log = fs::read(fixture("last-words").join("java-hs-err-a.log")).unwrap();
    for end in (0..log.len()).step_by(97) {
        let said = answer(&explain(&["--json", "--exit-code", "134"], &log[..end]));
        assert_eq!(said["cause"].is_null(), said["signature"].is_null());
    }
}

#[test]
fn an_answer_in_json_has_always_the_same_members() {
    let members = ["cause", "context", "error_type", "lines", "location", "message", "signature"];
    for (log, is_told) in [("", false), ("INFO ready", false), ("FATAL: no licence", true)] {
        let output = explain(&["--json"], log.as_bytes());
        assert_eq!(text(&output.stdout).lines().count(), 1, "one line");
        let said = answer(&output);
        let mut names: Vec<&String> = said.as_object().unwrap().keys().collect();
        names.sort_unstable();
        assert_eq!(names, members);
        for name in ["cause", "message", "signature"] {
            assert_eq!(said[name].is_string(), is_told, "{name} of {log}");
        }
        assert_eq!(said["lines"].as_array().unwrap().len(), usize::from(!log.is_empty()));
    }
    let said = answer(&explain(&["--json"], b"FATAL: no licence"));
    assert_eq!((&said["error_type"], &said["message"]), (&json!("FATAL"), &json!("no licence")));
    assert_eq!((&said["context"], &said["location"]), (&Value::Null, &Value::Null));
    let signature = said["signature"].as_str().unwrap();
    assert!(
        signature.len() == 16 && signature.bytes().all(|b| b.is_ascii_hexdigit()),
        "{signature}"
    );
}

#[test]
fn no_byte_of_a_log_is_an_order_to_the_terminal() {
    let log = b"\x1b[31mFATAL: no \x1b]0;title\x07 licence \xff\xfe \xe2\x80\xae\x00 for kestrel\x1b[0m\r\n";
    for arguments in [&[][..], &["--json"]] {
        let output = explain(arguments, log);
        assert_eq!(output.status.code(), Some(0));
        let said = text(&output.stdout);
        assert!(said.contains("FATAL: no") && said.contains("for kestrel"), "{said}");
        let is_harmful = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!said.contains(is_harmful), "{said:?}");
    }
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
fn a_compressed_log_is_named_with_the_command_for_it() {
    let output = explain(&[], b"\x1f\x8b\x08\0\0");
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), String::new()));
    let said = text(&output.stderr);
    assert!(said.contains("use: zcat FILE | blackbox-daemon explain -"), "{said}");
}

#[test]
fn wrong_usage_is_code_2_and_an_unreadable_log_code_1() {
    for arguments in [
        &["--exit-code", "300"][..],
        &["--exit-code"],
        &["--exit-code=x"],
        &["--fast"],
        &["-e"],
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
