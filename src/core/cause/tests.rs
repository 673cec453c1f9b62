//! The rules together: which of a log's lines is the cause, and when there is none.

mod forms;
mod frames;
mod headlines;
mod places;
mod prefixes;
mod templates;

use super::*;
use crate::limits::CAUSE_ERROR_WITHIN_LINES;

/// Returns lines of stderr.
fn stderr(text: &str) -> Vec<Line<'_>> {
    text.lines().map(|text| Line { stream: LogStream::Stderr, text }).collect()
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
    let line = Line { stream: LogStream::Stdout, text: "no such tenant: kestrel" };
    assert_eq!(find(&[line], 1, Source::Log), None);
    assert!(find(&[Line { stream: LogStream::Stderr, ..line }], 1, Source::Log).is_some());
}

/// Both streams arrive in any order, but each in its own.
#[test]
fn lines_of_the_other_stream_between_do_not_matter() {
    let chatter = ["INFO tick 1", "served order 7", "INFO errors=0"]
        .map(|text| Line { stream: LogStream::Stdout, text });
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
        let lines: Vec<Line<'_>> =
            crlf.split('\n').map(|text| Line { stream: LogStream::Stderr, text }).collect();
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
    let chatter = "\nINFO served".repeat(CAUSE_LINES_MAX - 1);
    assert!(said(&format!("panic: first{chatter}"), 2).is_some());
    assert!(said(&format!("panic: first\nINFO served{chatter}"), 2).is_none());
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
