//! The rules together: which of a log's lines is the cause, and when there is none.

mod chains;
mod ends;
mod forms;
mod frames;
mod headlines;
mod places;
mod prefixes;
mod records;
mod templates;

use super::*;
use crate::limits::{CAUSE_CRASH_WITHIN_LINES, CAUSE_ERROR_WITHIN_LINES, CAUSE_WORK_LINES};

/// Returns lines of stderr.
fn stderr(text: &str) -> Vec<Line<'_>> {
    text.lines().map(|text| Line { stream: LogStream::Stderr, at_ms: None, text }).collect()
}

/// Returns what stderr says about an end: the cause in one line, and its place.
fn said(text: &str, exit_code: i32) -> Option<(String, Option<String>)> {
    let cause = find(&stderr(text), exit_code, Source::Log)?;
    Some((cause.text(), cause.location))
}

const TRACEBACK: &str = "Traceback (most recent call last):
  File \"/app/app.py\", line 9, in <module>
    charge(7)
  File \"/app/app.py\", line 7, in charge
    raise KeyError(\"tray\")
KeyError: 'tray'";

#[test]
fn an_end_that_was_asked_for_has_no_cause() {
    for exit_code in [0, 129, 130, 143] {
        assert_eq!(said(TRACEBACK, exit_code), None, "{exit_code}");
        assert_eq!(said("FATAL: no licence", exit_code), None, "{exit_code}");
    }
    let told = Some(("KeyError: 'tray'".to_owned(), Some("app.py:7 in charge".to_owned())));
    for exit_code in [1, 2, 70, 134, 255] {
        assert_eq!(said(TRACEBACK, exit_code), told, "{exit_code}");
    }
}

#[test]
fn only_a_shell_tells_of_a_kill_and_only_a_handler_of_a_fault() {
    assert_eq!(said(TRACEBACK, 137), None);
    let killed = "/app/start.sh: line 4:    20 Killed                  /app/work";
    assert_eq!(said(killed, 137), Some(("Killed".to_owned(), Some("start.sh:4".to_owned()))));
    for exit_code in [132, 135, 136, 139] {
        assert_eq!(said("ERROR: replica 2 is behind\nno rows", exit_code), None);
        let handler = "Fatal Python error: Segmentation fault\n\nCurrent thread 0x00007faed05fbb80 (most recent \
                       call first):\n  File \"/app/app.py\", line 7 in decode";
        let (text, place) = said(handler, exit_code).unwrap();
        assert_eq!(text, "Fatal Python error: Segmentation fault");
        assert_eq!(place.unwrap(), "app.py:7 in decode");
    }
}

#[test]
fn an_error_that_was_logged_and_survived_is_no_cause() {
    let error = "2026-11-26 17:40:01,958 ERROR [1] orders: sync failed";
    let (near, far) = (CAUSE_ERROR_WITHIN_LINES - 1, CAUSE_ERROR_WITHIN_LINES);
    for (lines, is_told) in [(0, true), (near, true), (far, false), (400, false)] {
        let later = "\n2026-11-26 17:40:02,000 INFO [1] orders: order accepted".repeat(lines);
        assert_eq!(said(&format!("{error}{later}"), 1).is_some(), is_told, "{lines} lines later");
    }
    // A stack trace that was logged as a warning was got over, unless it is the end of the log.
    let warning = format!("WARN retrying\n{TRACEBACK}");
    assert!(said(&warning, 1).is_some());
    assert_eq!(said(&format!("{warning}\nINFO ready\nINFO served\nINFO served"), 1), None);
    for harmless in [
        "ERROR metrics not reachable, going on without",
        "ERROR reporter ready",
        "errors: 0, panics: 0",
    ] {
        assert_eq!(said(harmless, 1), None, "{harmless}");
    }
}

#[test]
fn the_latest_crash_counts_and_of_the_words_behind_it_none() {
    let earlier = TRACEBACK.replace("tray", "drawer");
    let log = format!(
        "ERROR:root:first\n{earlier}\nINFO:root:goes on\nERROR:root:second\n{TRACEBACK}\nINFO:root:closing, 0 errors\nbye"
    );
    assert_eq!(said(&log, 1).unwrap().0, "KeyError: 'tray'");
    for behind in [
        "Exception ignored in: <function Pool.__del__>\nTraceback (most recent call last):\n  File \"/app/p.py\", line 3, in __del__\nValueError: late",
        "usage: app [-h]",
        "",
        "Aborting",
    ] {
        assert_eq!(
            said(&format!("{TRACEBACK}\n{behind}"), 1).unwrap().0,
            "KeyError: 'tray'",
            "{behind}"
        );
    }
}

#[test]
fn without_words_there_is_no_cause() {
    for log in [
        "",
        "2026/11/26 17:53:01 verify: errors: 0, panics: 0",
        "INFO leaving\nINFO fencing: no exception seen, failures=0",
        "usage: app [options]\n  --listen  address",
        "=====\n-----",
        "{\"level\":\"info\",\"msg\":\"panic: from ticket 44\"}",
        "\tat com.x.Main.depth(Main.java:7)\n\tat com.x.Main.depth(Main.java:7)",
    ] {
        assert_eq!(said(log, 1), None, "{log}");
    }
    // On stdout a sentence without a mark may be about anything.
    let line = Line { stream: LogStream::Stdout, at_ms: None, text: "tenants: kestrel, heron" };
    assert_eq!(find(&[line], 1, Source::Log), None);
    assert!(find(&[Line { stream: LogStream::Stderr, ..line }], 1, Source::Log).is_some());
}

/// Both streams arrive in any order, but each in its own.
#[test]
fn lines_of_the_other_stream_between_do_not_matter() {
    let chatter = ["INFO tick 1", "served order 7", "INFO errors=0"].map(|text| Line {
        stream: LogStream::Stdout,
        at_ms: None,
        text,
    });
    let block = stderr(TRACEBACK);
    let want = find(&block, 1, Source::Log);
    assert!(want.is_some());
    for first in 0..=block.len() {
        for second in first..=block.len() {
            let mut lines = block.clone();
            lines.insert(second, chatter[1]);
            lines.insert(first, chatter[0]);
            lines.push(chatter[2]);
            assert_eq!(find(&lines, 1, Source::Log), want, "{first} {second}");
        }
    }
}

#[test]
fn no_prefix_of_a_log_and_no_end_of_its_lines_is_a_fault() {
    for form in forms::FORMS {
        let text = form.log;
        for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
            let _ = said(&text[..end], form.exit_code);
        }
        let crlf = text.replace('\n', "\r\n");
        let whole = find(&stderr(text), form.exit_code, Source::Log);
        let lines: Vec<Line<'_>> = crlf
            .split('\n')
            .map(|text| Line { stream: LogStream::Stderr, at_ms: None, text })
            .collect();
        assert_eq!(
            find(&lines, form.exit_code, Source::Log).map(|cause| cause.text()),
            whole.map(|cause| cause.text())
        );
    }
}

#[test]
fn a_cause_is_bounded_and_nothing_in_it_is_an_order_to_a_terminal() {
    let long = "x".repeat(70_000);
    for log in [
        format!("FATAL: {long}"),
        format!("{long}Error: {long}\n    at {long} (/app/{long}.js:1:1)"),
        format!(
            "Traceback (most recent call last):\n  File \"/{long}.py\", line 1, in {long}\n{long}Error: {long}"
        ),
        format!(
            "{{\"level\":\"fatal\",\"err\":{{\"type\":\"{long}Error\",\"message\":\"{long}\"}},\"msg\":\"{long}\"}}"
        ),
        format!("panic: \u{202e}\u{1b}]0;x\u{7} {long}\n\ngoroutine 1 [running]:"),
    ] {
        let cause = find(&stderr(&log), 1, Source::Log).unwrap();
        assert!(cause.message.len() <= CAUSE_MESSAGE_BYTES_MAX);
        assert!(cause.error_type.as_ref().is_none_or(|name| name.len() <= CAUSE_TYPE_BYTES_MAX));
        assert!(
            cause.location.as_ref().is_none_or(|place| place.len() <= CAUSE_LOCATION_BYTES_MAX)
        );
        assert!(cause.context.as_ref().is_none_or(|text| text.len() <= CAUSE_MESSAGE_BYTES_MAX));
        assert!(cause.line.len() <= CAUSE_LINE_QUOTE_BYTES_MAX);
        let json = serde_json::to_string(&cause).unwrap();
        assert!(
            !json.contains(['\u{202e}', '\u{1b}', '\u{7}']) && !json.contains("\\u001b"),
            "{json}"
        );
    }
}

#[test]
fn only_the_newest_lines_are_searched() {
    // Help is no sign of a program that goes on.
    let help = "\nusage: app [-h]".repeat(CAUSE_LINES_MAX - 1);
    assert!(said(&format!("panic: first{help}"), 2).is_some());
    assert!(said(&format!("panic: first\nusage: app{help}"), 2).is_none());
    let wide = format!("\nINFO {}", "y".repeat(1018)).repeat(CAUSE_TEXT_BYTES_MAX >> 10);
    assert!(said(&format!("panic: first{wide}"), 2).is_none());
}

#[test]
fn a_log_that_mixes_both_streams_needs_words_of_a_failure() {
    for (line, is_told) in
        [("ready to serve", false), ("no such tenant: kestrel", true), ("cannot open /srv", true)]
    {
        let end = LogEnd::read_plain(line.as_bytes(), false);
        assert_eq!(find_in(&end, 1, Source::Log).is_some(), is_told, "{line}");
        // A program writes a termination message for no other purpose.
        assert!(find_in(&end, 1, Source::TerminationMessage).is_some(), "{line}");
    }
}

/// Returns what a log says, or nothing.
fn text_of(lines: &[Line<'_>], exit_code: i32) -> Option<(String, Option<String>)> {
    find(lines, exit_code, Source::Log).map(|cause| (cause.text(), cause.location))
}

#[test]
fn chatter_before_and_behind_does_not_change_what_a_log_says_but_for_plain_last_words() {
    let chatter = "2026-11-26 17:40:02,000 INFO [1] orders: order accepted";
    let mut outlived = Vec::new();
    for form in forms::FORMS {
        let whole = said(form.log, form.exit_code);
        for lines in [1, 5, 300] {
            let before = format!("{}{}", format!("{chatter}\n").repeat(lines), form.log);
            assert_eq!(said(&before, form.exit_code), whole, "{before}");
        }
        for lines in [1, 3] {
            let behind = format!("{}{}", form.log, format!("\n{chatter}").repeat(lines));
            if said(&behind, form.exit_code) != whole {
                outlived.push(whole.as_ref().unwrap().0.clone());
            }
        }
    }
    // Plain words on stderr count as the last ones only: here the program went on.
    outlived.dedup();
    assert_eq!(
        outlived,
        [
            "Unrecognized VM option 'UseTurboGC'",
            "Can't locate Ledger/Client.pm in @INC",
            "free(): double free detected in tcache 2",
            "render-config: command not found",
            "exec: /app/server: Permission denied",
            "cat: /etc/token: No such file or directory",
            "AH00526: Syntax error on line 4 of /app/a.conf: Invalid command 'DocumentRot'",
            "unknown option 'recusion'",
            "flag provided but not defined: -lisen",
        ]
    );
}

#[test]
fn the_other_streams_lines_do_not_change_what_a_log_says() {
    let chatter = ["INFO tick 1", "served order 7", "2026-11-26 17:40:02,000 INFO ready"]
        .map(|text| Line { stream: LogStream::Stdout, at_ms: None, text });
    for form in forms::FORMS {
        let block = stderr(form.log);
        let whole = text_of(&block, form.exit_code);
        for at in 0..=block.len() {
            let mut lines = block.clone();
            lines.splice(at..at, chatter);
            assert_eq!(text_of(&lines, form.exit_code), whole, "{} at {at}", form.log);
        }
        // A line of the other stream behind each of its own.
        let pair = |line: &Line<'static>| [*line, chatter[1]];
        let woven: Vec<Line<'_>> = block.iter().flat_map(pair).collect();
        assert_eq!(text_of(&woven, form.exit_code), whole, "{} woven", form.log);
    }
}

#[test]
fn every_first_part_of_a_logs_lines_is_read_and_the_whole_says_the_same_again() {
    for form in forms::FORMS {
        let lines = stderr(form.log);
        for end in 0..lines.len() {
            // What the part says is not wrong either: it is in the part.
            if let Some(cause) = find(&lines[..end], form.exit_code, Source::Log) {
                let start: String = cause.line.chars().take(40).collect();
                let part: Vec<String> =
                    lines[..end].iter().map(|line| one_line(line.text)).collect();
                assert!(part.iter().any(|line| line.starts_with(&start)), "{} {start}", form.log);
            }
        }
        assert_eq!(text_of(&lines, form.exit_code), said(form.log, form.exit_code));
    }
}

#[test]
fn a_cause_is_shortened() {
    let mut cause = Cause::largest_of_test(|bytes| "é".repeat(bytes / 2)).unwrap();
    let bytes = serde_json::to_string(&cause).unwrap().len();
    assert!(bytes > CAUSE_MESSAGE_BYTES_MAX, "{bytes}");
    cause.shorten(20);
    assert!(cause.message.len() <= 20 && cause.line.len() <= 20, "{cause:?}");
    assert!(cause.location.as_ref().unwrap().len() <= 20);
    assert!(serde_json::to_string(&cause).unwrap().len() < bytes);
}

#[test]
fn a_status_is_told_as_it_is() {
    let cause = Cause::of_status("ErrImagePull", "no such\n  image \u{1b}[1m").unwrap();
    assert_eq!(
        (cause.text().as_str(), cause.source),
        ("ErrImagePull: no such image \\x1b[1m", Source::Status)
    );
    assert_eq!(Cause::of_status("ErrImagePull", " \n "), None);
    assert_eq!(Cause::of_status("", "no image").unwrap().text(), "no image");
}

#[test]
fn a_long_message_keeps_its_start_and_its_end() {
    for text in ["x".repeat(401), "é".repeat(300), format!("start {}end", "y ".repeat(5000))] {
        let cut = head_and_tail(&text, CAUSE_MESSAGE_BYTES_MAX);
        assert!(cut.len() <= CAUSE_MESSAGE_BYTES_MAX && cut.contains(" … "), "{cut}");
        assert_eq!(cut.chars().next(), text.chars().next());
        assert_eq!(cut.chars().next_back(), text.chars().next_back());
    }
    assert_eq!(head_and_tail(&"x".repeat(400), 400), "x".repeat(400));
}
