use std::fs;

use super::*;
use crate::limits::LOG_LINES_MAX;
use crate::rounds;

const TIME: &str = "2026-11-23T04:07:52.123456789Z";

fn recorded() -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/logs/");
    fs::read(format!("{folder}logs_chatty_app_1.log")).unwrap()
}

fn whole(bytes: &[u8]) -> Tail<'_> {
    Tail { bytes, is_cut: false }
}

fn read(bytes: &[u8], lines_max: usize) -> LastWords {
    last_words(&[whole(bytes)], lines_max, true)
}

fn last_words(tails: &[Tail<'_>], lines_max: usize, is_masked: bool) -> LastWords {
    LogEnd::read(tails, is_masked).last_words(lines_max)
}

/// Makes a log of `stream tag content` lines.
fn log(lines: &[&str]) -> Vec<u8> {
    lines.iter().flat_map(|line| format!("{TIME} {line}\n").into_bytes()).collect()
}

fn texts(words: &LastWords) -> Vec<&str> {
    words.lines.iter().map(|line| line.text.as_str()).collect()
}

#[test]
fn the_recorded_log_ends_with_a_long_line_odd_bytes_and_a_panic() {
    let bytes = recorded();
    let words = read(&bytes, 5);
    let got = texts(&words);
    assert_eq!(got[..2], ["line 398 of ordinary output", "line 399 of ordinary output"]);
    assert!(got[2].starts_with("xxxx") && got[2].ends_with("x…"), "{}", got[2]);
    assert!(got[2].len() <= LOG_LINE_BYTES_MAX && got[2].len() > LOG_LINE_BYTES_MAX - 4);
    assert_eq!(got[3..], ["bytes \\xff\\xfe not utf8", "panic: index out of range"]);
    assert_eq!(words.lines[4].stream, LogStream::Stderr);
    assert_eq!(words.lines[4].time, "2026-11-23T04:07:52.267326159Z".parse().unwrap());
    // The line has the time of its first part.
    assert_eq!(words.lines[2].time, "2026-11-23T04:07:52.265986445Z".parse().unwrap());
    assert_eq!((words.skipped, words.truncated), (0, None));
}

#[test]
fn every_prefix_of_a_log_ends_with_what_was_written_last() {
    let bytes = recorded();
    let all = read(&bytes, usize::MAX);
    assert_eq!(all.truncated, Some(Truncation::Bytes));
    // Not all 67,000 prefixes are tested: some around line ends, and some within lines.
    let ends = bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at);
    let ends = ends.enumerate().filter(|(n, _)| n % 50 == 0 || *n >= 399).map(|(_, at)| at);
    let mut cuts: Vec<_> = ends.flat_map(|at| at.saturating_sub(40)..=at + 40).collect();
    cuts.extend((0..bytes.len()).step_by(997));
    cuts.retain(|at| *at <= bytes.len());
    cuts.dedup();
    let step = cuts.len() / rounds(cuts.len() as u64).max(1) as usize;
    for at in cuts.into_iter().step_by(step) {
        let words = read(&bytes[..at], 3);
        assert_eq!(words.skipped, 0, "{at}");
        let last = bytes[..at].split(|b| *b == b'\n').rfind(|line| cri::parse(line).is_some());
        let last = last.and_then(cri::parse).map_or("", |line| match line.stream {
            LogStream::Stdout if line.content.starts_with(b"x") => "xxxx",
            _ => std::str::from_utf8(line.content).unwrap_or("bytes "),
        });
        let got = words.lines.last().map_or("", |line| line.text.as_str());
        assert!(got.starts_with(last) || last == "xxxx" && got == "x…", "{at}: {got} {last}");
    }
}

#[test]
fn every_suffix_of_a_log_ends_with_its_last_words() {
    let bytes = recorded();
    let all = read(&bytes, 4);
    for at in (0..bytes.len()).filter(|at| at % 997 == 0 || bytes.len() - at < 300) {
        let tail = Tail { bytes: &bytes[at..], is_cut: at > 0 };
        let words = last_words(&[tail], 4, true);
        let same = words.lines.iter().rev().zip(all.lines.iter().rev());
        // A line in parts may lack its start.
        let same =
            same.filter(|(a, b)| a == b || a.text.starts_with("xx") && b.text.starts_with("xx"));
        assert_eq!(same.count(), words.lines.len(), "{at}");
        let is_short = words.lines.len() < 4;
        assert_eq!(words.truncated, is_short.then_some(Truncation::Tail), "{at}");
    }
}

#[test]
fn parts_of_each_stream_are_joined_apart() {
    let bytes = log(&[
        "stdout P one ",
        "stderr P ERR ",
        "stdout P two ",
        "stderr F OR",
        "stdout F three",
        "stdout F ",
        "stderr P never",
        "stdout P ended",
    ]);
    let words = read(&bytes, 10);
    assert_eq!(texts(&words), ["ERR OR", "one two three", "", "ended", "never"]);
    let streams: Vec<_> = words.lines.iter().map(|line| line.stream.name()).collect();
    assert_eq!(streams, ["stderr", "stdout", "stdout", "stdout", "stderr"]);
}

#[test]
fn a_line_goes_on_from_one_file_to_the_next() {
    let (old, new) = (log(&["stdout F a", "stderr P be"]), log(&["stderr F gin", "stdout F z"]));
    let words = last_words(&[whole(&old), whole(&new)], 10, true);
    assert_eq!(texts(&words), ["a", "begin", "z"]);
    // A file without a newline at its end does not spoil the next file either.
    let words = last_words(&[whole(&old[..old.len() - 1]), whole(&new)], 10, true);
    assert_eq!(texts(&words), ["a", "begin", "z"]);
}

#[test]
fn what_is_no_line_is_counted_and_passed_over() {
    let mut bytes = b"\n\nnonsense\n{\"log\":1}\n{}\n\xff\n".to_vec();
    bytes.extend(log(&["stdout F a", "nowhere F b", "stdout F c"]));
    bytes.extend_from_slice(b"2026-11-23T04:0");
    let words = read(&bytes, 10);
    assert_eq!((texts(&words), words.skipped), (vec!["a", "c"], 5));
}

#[test]
fn lines_of_docker_are_read_as_well() {
    let lines = [
        r#"{"log":"be","stream":"stderr","time":"2026-11-23T04:07:52.1Z"}"#,
        r#"{"log":"gin\n","stream":"stderr","attrs":{"a":"b"},"time":"2026-11-23T04:07:52.2Z"}"#,
        r#"{"log":"\u001b[31mred\u001b[0m \"q\"\r\n","stream":"stdout","time":"2026-11-23T04:07:52Z"}"#,
        r#"{"log":"x\n","stream":"stdin","time":"2026-11-23T04:07:52Z"}"#,
        r#"{"log":"x\n","stream":"stdout","time":"today"}"#,
    ];
    let words = read(lines.join("\n").as_bytes(), 10);
    assert_eq!((texts(&words), words.skipped), (vec!["begin", "red \"q\""], 1));
    assert_eq!(words.lines[0].time, "2026-11-23T04:07:52.1Z".parse().unwrap());
}

#[test]
fn what_no_reader_should_meet_is_made_readable() {
    for (bytes, want) in [
        (&b"plain \xc3\xa4 \t tab"[..], "plain ä \t tab"),
        (b"\xff\xc3 \xe2\x82", "\\xff\\xc3 \\xe2\\x82"),
        (b"\x1b[1;31mERROR\x1b[0m \x1b[38:5:9mx\x1b[K\x1b[2J", "ERROR x"),
        (b"\x1b]0;title\x07 \x1b[", "\\x1b]0;title\\x07 \\x1b["),
        (b"\x1b[12\x1b[31mx", "\\x1b[12x"),
        (b"\xc2\x9b31mx\xc2\x85", "x\\u{85}"),
        (b"10%\r20%\r\r", "10%\\x0d20%"),
        (b"\0\x7f\n", "\\x00\\x7f\\x0a"),
        ("a\u{202e}b\u{2028}c\u{2066}".as_bytes(), "a\\u{202e}b\\u{2028}c\\u{2066}"),
        (b"C:\\x1b", "C:\\x1b"),
        (b"", ""),
    ] {
        assert_eq!(readable(bytes), want);
    }
}

#[test]
fn credentials_are_masked_unless_that_is_turned_off() {
    let bytes = log(&[
        "stdout F \x1b[1mpass\x1b[0mword=hunter2",
        "stderr P DB_PASS",
        "stdout P postgres://u:hun",
        "stderr F WORD=hunter2 x",
        "stdout F ter2@db",
        "stderr F -----BEGIN PRIVATE KEY-----",
        "stdout F Qw==",
        "stderr F Qw==",
    ]);
    let want =
        ["password=***", "DB_PASSWORD=*** x", "postgres://u:***@db", "-----BEGIN PRIVATE KEY-----"];
    let words = read(&bytes, 10);
    assert_eq!(texts(&words)[..4], want);
    // The other stream's lines do not belong to the key.
    assert_eq!(texts(&words)[4..], ["Qw==", "***"]);
    let plain = last_words(&[whole(&bytes)], 10, false);
    assert_eq!(texts(&plain)[..2], ["password=hunter2", "DB_PASSWORD=hunter2 x"]);
}

#[test]
fn what_is_cut_of_a_long_line_is_masked_first() {
    let filler = "x ".repeat(LOG_LINE_BYTES_MAX / 2 - 20);
    let line = format!("stdout F {filler} postgres://user:hunter2{}@db", "y".repeat(100));
    let words = read(&log(&[&line]), 1);
    assert!(words.lines[0].text.ends_with("postgres://user:***@db"), "{words:?}");
    let words = last_words(&[whole(&log(&[&line]))], 1, false);
    assert!(words.lines[0].text.ends_with('…') && words.lines[0].text.contains("hunter2"));
}

#[test]
fn the_lines_are_the_last_ones_within_the_bytes() {
    let lines: Vec<_> = (0..1000).map(|n| format!("stdout F {n:0>40}\"\\\t")).collect();
    let bytes = log(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    for max in [0, 1, 2, 50] {
        let words = read(&bytes, max);
        assert_eq!((words.lines.len(), words.truncated), (max, None));
        assert!(
            words.lines.last().is_none_or(|line| line.text.starts_with(&format!("{:0>40}", 999)))
        );
    }
    let mut words = read(&bytes, LOG_LINES_MAX);
    assert_eq!(words.truncated, Some(Truncation::Bytes));
    let most = words.json_bytes();
    assert!(most <= LOG_BYTES_MAX && most > LOG_BYTES_MAX - 200, "{most}");
    let json = serde_json::to_string(&words.lines).unwrap();
    assert!(json.len() <= most + 2 && json.len() + 8 * words.lines.len() > most, "{}", json.len());
    words.fit(1000);
    assert!(words.json_bytes() <= 1000 && words.json_bytes() > 800);
    assert!(words.lines[words.lines.len() - 1].text.starts_with(&format!("{:0>40}", 999)));
    words.fit(0);
    assert_eq!(words.lines, []);
}

#[test]
fn lines_that_fit_stay_and_nothing_is_said_of_it() {
    let mut words = read(&log(&["stdout F a", "stdout F b"]), 5);
    words.fit(words.json_bytes());
    assert_eq!((texts(&words), words.truncated), (vec!["a", "b"], None));
}

#[test]
fn the_longest_lines_fit_in_any_form() {
    for byte in [b"\"", b"\\", b"\t", b"\0", b"\xff", b"x"] {
        let content = byte.repeat(4 * LOG_JOIN_BYTES_MAX);
        let parts = content.chunks(16 << 10);
        let bytes: Vec<u8> = parts
            .flat_map(|part| [format!("{TIME} stderr P ").as_bytes(), part, b"\n"].concat())
            .collect();
        let words = read(&bytes, 5);
        assert_eq!(words.lines.len(), 1);
        assert!(words.lines[0].text.len() <= LOG_LINE_BYTES_MAX);
        assert!(words.lines[0].text.ends_with('…'));
        assert!(serde_json::to_string(&words.lines[0]).unwrap().len() < LOG_BYTES_MAX);
    }
}

#[test]
fn the_json_is_that_of_the_schema() {
    let mut words = read(&log(&["stderr F oh \"no\""]), 5);
    words.file = "app/3.log".to_owned();
    let line = r#"{"at":"2026-11-23T04:07:52.123Z","stream":"stderr","text":"oh \"no\""}"#;
    let want = format!(r#"{{"lines":[{line}],"file":"app/3.log"}}"#);
    assert_eq!(serde_json::to_string(&words).unwrap(), want);
    (words.skipped, words.truncated) = (2, Some(Truncation::Tail));
    let want = format!(r#"{{"lines":[{line}],"file":"app/3.log","skipped":2,"truncated":"tail"}}"#);
    assert_eq!(serde_json::to_string(&words).unwrap(), want);
}

#[test]
fn plain_text_is_read_line_by_line() {
    let read = |text: &str| {
        let end = LogEnd::read_plain(text.as_bytes(), true);
        texts(&end.last_words(10)).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    for (text, want) in [
        ("", &[][..]),
        ("\n", &[""]),
        ("a", &["a"]),
        ("a\n", &["a"]),
        ("a\r\nb\r\n", &["a", "b"]),
        ("a\n\nb\n\n", &["a", "", "b", ""]),
        ("password=hunter2\n", &["password=***"]),
    ] {
        assert_eq!(read(text), want, "{text:?}");
    }
    // The newline at the end takes no place of a line.
    let lines = "x\n".repeat(CAUSE_LINES_MAX);
    assert_eq!(LogEnd::read_plain(lines.as_bytes(), true).lines().count(), CAUSE_LINES_MAX);
}
