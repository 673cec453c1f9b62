//! Logs in which the cause of a crash is hard to find: everywhere something begins that leads nowhere. Each is as large as
//! what is searched.

use std::iter;

use blackbox_daemon::core::cause::Line;
use blackbox_daemon::core::logs::cri::LogStream;
use blackbox_daemon::limits::{CAUSE_LINE_BYTES_MAX, CAUSE_LINES_MAX, CAUSE_TEXT_BYTES_MAX};

/// A log of one shape.
pub struct Log {
    pub name: String,
    lines: Vec<String>,
    is_mixed: bool,
}

impl Log {
    /// Makes a log of the newest of these lines.
    fn new(name: impl Into<String>, lines: impl IntoIterator<Item = String>) -> Self {
        let mut left = CAUSE_TEXT_BYTES_MAX;
        let fits = lines.into_iter().take(CAUSE_LINES_MAX).take_while(|line| {
            left = left.saturating_sub(line.len() + 1);
            left > 0
        });
        Self { name: name.into(), lines: fits.collect(), is_mixed: false }
    }

    /// Makes a log of one line, without end.
    fn of(name: impl Into<String>, line: impl Into<String>) -> Self {
        Self::new(name, iter::repeat(line.into()))
    }

    /// The same log, in which the lines come from both streams by turns.
    fn mixed(self) -> Self {
        Self { name: format!("{}/mixed", self.name), is_mixed: true, ..self }
    }

    /// Returns the lines as the rules take them.
    pub fn lines(&self) -> Vec<Line<'_>> {
        let stream = |n: usize| match self.is_mixed && n.is_multiple_of(2) {
            true => LogStream::Stdout,
            false => LogStream::Stderr,
        };
        let lines = self.lines.iter().enumerate();
        lines.map(|(n, text)| Line { stream: stream(n), at_ms: None, text }).collect()
    }
}

/// What is repeated within lines.
const PIECES: &[&str] = &[
    ": ",
    "1:",
    "1",
    "[",
    "[[]]",
    "a=",
    "a=b ",
    "a.py:1",
    "a.py:1 ",
    "/a/b.c:1:1: ",
    "/a/b.c:1:1:",
    "/a",
    "a.b.",
    "a@",
    "a@b.d(1) ",
    "line 1 of a",
    "line 1",
    "\"",
    "\", line ",
    "\" ",
    "'",
    "\\",
    "{",
    "(",
    " (a)",
    ")",
    "** (",
    "^",
    "~ ",
    "| ",
    "│",
    "─ ",
    "- ",
    "#1 ",
    "==1==",
    "ä",
    "\u{1f600}",
    "\u{85}",
    "a",
    "A",
    "aA",
    "uncaught ",
    "uncaught: ",
    "Unhandled exception: ",
    "Caused by: ",
    "Error: ",
    "ValueError: ",
    "fatal error: ",
    "panic: ",
    "panicked at ",
    "', ",
    " in ",
    " at ",
    " in /a.c:1",
    ":line 1",
    "node:a:1",
    "Traceback (most recent call last)",
    "Assertion failed ",
    " err=",
    " err=\"",
    "exiting ",
    "retrying ",
    "x error: ",
    "(0x",
    "ERROR ",
    "FATAL: ",
    "1 Nov ",
    "<3>",
];

/// Lines that are repeated, each with what makes another rule work.
const LINES: &[(&str, &str)] = &[
    ("empty", ""),
    ("indented", "    indented words without a sense of their own"),
    ("tabs", "\tindented words: of a message in several lines"),
    ("python_traceback", "Traceback (most recent call last):"),
    ("python_frame", "  File \"/app/a.py\", line 1, in f"),
    ("python_error", "ValueError: x"),
    ("go_panic", "panic: x"),
    ("go_panic_empty", "panic: "),
    ("go_goroutine", "goroutine 1 [running]:"),
    ("go_frame", "\t/app/main.go:1 +0x1d"),
    ("go_function", "main.main(0x1, 0x2)"),
    ("rust_panic", "thread 'main' panicked at src/main.rs:1:2:"),
    ("rust_panic_old", "thread 'main' panicked at 'x', src/main.rs:1:2"),
    ("rust_frame", "             at ./src/main.rs:1:2"),
    ("rust_function", "   1: main::f"),
    ("jvm_frame", "\tat com.example.A.f(A.java:1)"),
    ("jvm_frame_foreign", "\tat java.base/java.util.X.f(X.java:1)"),
    ("jvm_thread", "Exception in thread \"main\" java.lang.IllegalStateException: x"),
    ("caused_by", "Caused by: x"),
    ("caused_by_type", "Caused by: java.lang.IllegalStateException: x"),
    ("caused_by_list", "Caused by:"),
    ("suppressed", "\tSuppressed: java.lang.IllegalStateException: x"),
    ("net_frame", "   at A.F() in /src/A.cs:line 1"),
    ("net_cause", " ---> System.InvalidOperationException: x"),
    ("node_frame", "    at f (/app/a.js:1:2)"),
    ("node_place", "/app/a.js:1"),
    ("node_caret", "    ^^^^^"),
    ("ruby_frame", "\tfrom app.rb:1:in `f'"),
    ("ruby_error", "app.rb:1:in `f': x (RuntimeError)"),
    ("php_frame", "#0 /app/a.php(1): f()"),
    ("php_error", "PHP Fatal error:  Uncaught Exception: x in /app/a.php:1"),
    ("elixir_error", "** (RuntimeError) x"),
    ("elixir_frame", "    (app 0.1.0) lib/x.ex:3: X.f/1"),
    ("erlang", "    called from a:f/1 (/app/a.erl, line 1)"),
    ("lua_frame", "\t[C]: in function 'error'"),
    ("perl", "x at app.pl line 1."),
    ("tcl_quote", "\"f x\""),
    ("tcl_row", "    invoked from within"),
    ("haskell", "  error, called at app.hs:1:2 in main:Main"),
    ("sanitizer", "    #0 0x55d2a1b2c3d4 in f /app/a.c:1"),
    ("nim", "/app/a.nim(1) f"),
    ("nim_error", "Error: unhandled exception: x [ValueError]"),
    ("drawn", "  | x"),
    ("drawn_traceback", "  | Traceback (most recent call last):"),
    ("direct_cause", "The above exception was the direct cause of the following exception:"),
    ("terminate", "terminate called after throwing an instance of 'std::runtime_error'"),
    ("announced", "Unhandled exception:"),
    ("jvm_crash", "# A fatal error has been detected by the Java Runtime Environment:"),
    ("assertion", "a: a.c:1: f: Assertion `x == y' failed."),
    ("child", "/app/start.sh: line 1:    20 Segmentation fault      /app/crash"),
    ("error_level", "2026-11-23T03:31:41Z ERROR shop.orders - the order could not be placed"),
    ("fatal_level", "2026-11-23T03:31:41Z FATAL shop.orders - the order could not be placed"),
    ("error_gives_up", "2026-11-23T03:31:41Z ERROR exiting"),
    ("error_retried", "2026-11-23T03:31:41Z ERROR will retry"),
    ("warn_level", "2026-11-23T03:31:41Z WARN the order could not be placed"),
    ("info_level", "2026-11-23T03:31:41Z INFO the order is placed"),
    ("error_open", "ERROR:"),
    ("error_drawn", "ERROR: ====="),
    ("error_of_program", "awk: fatal: x"),
    ("usage", "usage: shop [--help]"),
    ("logfmt_error", "time=2026-11-23T03:31:41Z level=error msg=\"it failed\" err=\"x: y\""),
    ("logfmt_info", "time=2026-11-23T03:31:41Z level=info msg=\"it is placed\""),
    ("json_info", r#"{"level":"info","msg":"the order is placed","order":12}"#),
    (
        "json_error",
        r#"{"level":"error","msg":"the order is placed","error":{"type":"E","message":"x"}}"#,
    ),
    ("json_fatal", r#"{"level":"fatal","msg":"the order is placed","err":"x"}"#),
    ("json_truncated", r#"{"level":"error","msg":"the order is pl"#),
    ("json_brace", r#"{"level":"error","msg":"}"#),
];

/// Rows of lines that are repeated.
const ROWS: &[(&str, &[&str])] = &[
    ("plain_and_frame", &["words", "    at f (/app/a.js:1:2)"]),
    ("plain_and_frames", &["words", "\tat a.A.f(A.java:1)", "\tat a.A.f(A.java:1)"]),
    ("long_messages_and_frame", &["1 2 3", "  a", "  b", "  c", "    at f (/app/a.js:1:2)"]),
    (
        "traceback_and_frame",
        &["Traceback (most recent call last):", "  File \"a.py\", line 1, in f"],
    ),
    (
        "tracebacks_in_a_chain",
        &[
            "Traceback (most recent call last):",
            "  File \"a.py\", line 1, in f",
            "ValueError: x",
            "",
            "The above exception was the direct cause of the following exception:",
            "",
        ],
    ),
    ("panic_and_goroutine", &["panic: x", "goroutine 1 [running]:", "main.f()", "\t/a.go:1 +0x1"]),
    ("panics_of_rust", &["thread 'main' panicked at a.rs:1:2:", "words", "note: run with"]),
    ("caused_by_and_frame", &["Caused by: a.B: x", "\tat a.A.f(A.java:1)"]),
    ("place_and_caret", &["/app/a.js:1", "x", "^", ""]),
    ("place_and_plain", &["/app/a.js:1", "x", "y"]),
    ("quotes_of_tcl", &["\"f x\"", "    invoked from within"]),
    ("error_and_info", &["ERROR could not", "INFO exiting"]),
    ("error_and_plain", &["ERROR:", "A", "-"]),
    ("list_of_causes", &["Error: x", "", "Caused by:", "    0: x", "    1: y"]),
    ("json_and_plain", &[r#"{"level":"error","msg":"x"}"#, "words"]),
];

/// Returns every log.
pub fn all() -> Vec<Log> {
    let mut logs = vec![ordinary()];
    for piece in PIECES {
        // The lengths at which bounds lie: of a line, of what a runtime says in one line, of a prefix.
        for bytes in [CAUSE_LINE_BYTES_MAX - 1, 4096, CAUSE_TEXT_BYTES_MAX / CAUSE_LINES_MAX - 1] {
            let name = format!("{bytes}/{}", piece.escape_debug());
            logs.push(Log::of(name, piece.repeat(bytes / piece.len())));
        }
    }
    for (name, line) in LINES {
        logs.push(Log::of(*name, *line));
        // The same with much behind it.
        let rest = "x y".repeat(40);
        logs.push(Log::of(format!("{name}/long"), format!("{line} {rest}")));
    }
    for (name, row) in ROWS {
        let lines = || row.iter().map(|line| (*line).to_owned()).cycle();
        logs.push(Log::new(*name, lines()));
        logs.push(Log::new(*name, lines()).mixed());
    }
    logs.extend(records());
    logs.extend(long_lines());
    logs.push(noise());
    for shape in ["error_level", "jvm_frame", "json_error", "go_panic"] {
        let line = LINES.iter().find(|(name, _)| *name == shape).map_or("", |(_, line)| line);
        logs.push(Log::of(shape, line).mixed());
    }
    logs
}

/// Two thousand lines of a server, and a traceback.
fn ordinary() -> Log {
    let said = (0..CAUSE_LINES_MAX - 4).map(|n| {
        format!("2026-11-23 03:31:41,{:03} INFO  [worker-{}] shop.orders: order {n} placed in {} ms, total 12.50 EUR", n % 1000, n % 8, n % 90)
    });
    let crash = [
        "Traceback (most recent call last):",
        "  File \"/app/app.py\", line 12, in charge",
        "    card = cards[order]",
        "KeyError: 'DATABASE_URL'",
    ];
    Log::new("ordinary", said.chain(crash.map(str::to_owned)))
}

/// JSON and logfmt records that are large in one way each.
fn records() -> Vec<Log> {
    let members = |count: usize, member: &dyn Fn(usize) -> String| {
        (0..count).map(member).collect::<Vec<_>>().join(",")
    };
    let error = |inner: String| format!(r#"{{"level":"error","msg":"it failed",{inner}}}"#);
    let nested = |open: &str, close: &str, depth: usize| {
        format!("{}0{}", open.repeat(depth), close.repeat(depth))
    };
    let stack =
        |line: &str, count: usize| format!("Error: x\\n{}", format!("{line}\\n").repeat(count));
    let fill = |piece: &str| piece.repeat((CAUSE_LINE_BYTES_MAX - 200) / piece.len());
    vec![
        Log::of("json/1000_members", error(members(1000, &|n| format!("\"k{n}\":{n}")))),
        Log::of("json/full_of_members", error(members(6000, &|n| format!("\"{n}\":0")))),
        Log::of("json/same_members", error(members(6000, &|_| r#""err":1"#.to_owned()))),
        Log::of("json/deep", error(format!(r#""error":{}"#, nested(r#"{"error":"#, "}", 110)))),
        Log::of("json/deep_arrays", error(format!(r#""error":{}"#, nested("[", "]", 120)))),
        Log::of("json/too_deep", error(format!(r#""error":{}"#, nested("[", "]", 30_000)))),
        Log::of("json/arrays", error(format!(r#""error":[{}0]"#, fill("[[],[]],")))),
        Log::of("json/zeros", error(format!(r#""error":[{}0]"#, fill("0,")))),
        Log::of("json/objects", error(format!(r#""error":[{}0]"#, fill(r#"{"a":1},"#)))),
        Log::of("json/strings", error(format!(r#""error":[{}"x"]"#, fill(r#""x","#)))),
        Log::of(
            "json/frames",
            error(format!(r#""stack":[{}0]"#, fill(r#"{"file":"a.py","line":1},"#))),
        ),
        Log::of(
            "json/stack",
            error(format!(r#""stack":"{}""#, stack("    at f (/app/a.js:1:2)", 1000))),
        ),
        Log::of(
            "json/stack_of_many",
            error(format!(r#""stack":"{}""#, stack("\\tat a.B(A.java:1)", 2800))),
        ),
        Log::of("json/stack_of_plain", error(format!(r#""stack":"{}""#, stack("x", 20_000)))),
        Log::of(
            "json/stack_in_message",
            format!(r#"{{"level":"error","msg":"{}"}}"#, stack("    at f (/app/a.js:1:2)", 2000)),
        ),
        Log::of("json/newlines", error(format!(r#""stack":"traceback {}""#, fill("\\n")))),
        Log::of("json/panics", error(format!(r#""stack":"{}""#, stack("panic: x", 6000)))),
        Log::of(
            "json/tracebacks",
            error(format!(r#""stack":"{}""#, stack("Traceback (most recent call last):", 1700))),
        ),
        Log::of(
            "json/caused",
            error(format!(r#""stack":"    at f (/app/a.js:1:2)\n{}""#, fill("Caused by: x\\n"))),
        ),
        Log::of(
            "json/logging_call",
            error(format!(r#""stack":"{}""#, fill("a/zap\\n\\t/a.go:1\\n"))),
        ),
        Log::of("json/escapes", error(format!(r#""err":"{}""#, fill("\\u0041")))),
        Log::of("json/backslashes", error(format!(r#""err":"{}""#, fill("\\\\")))),
        Log::of("json/unfinished", format!(r#"{{"level":"error","a":{}}}"#, "[".repeat(60_000))),
        Log::of(
            "json/unfinished_string",
            format!(r#"{{"level":"error","a":"{}}}"#, "x".repeat(60_000)),
        ),
        Log::of("json/level_of_arrays", format!(r#"{{"level":[{}0]}}"#, fill("0,"))),
        Log::of("json/levels", format!(r#"{{{}"a":0}}"#, fill(r#""level":"x","#))),
        Log::of("json/message", format!(r#"{{"level":"fatal","msg":"{}"}}"#, fill("x: y "))),
        Log::of(
            "logfmt/pairs",
            format!("level=error {}", members(5000, &|n| format!("k{n}=v")).replace(',', " ")),
        ),
        Log::of("logfmt/quoted", format!("level=error msg=\"{}\"", fill("x: y "))),
        Log::of("logfmt/escaped", format!("level=error err=\"{}\"", fill("\\n"))),
        Log::of("logfmt/words", format!("level=error {}", fill("x "))),
        Log::of("logfmt/unfinished", format!("level=error msg=\"{}", fill("\\\""))),
    ]
}

/// Lines of each level with a message that has no end.
fn long_lines() -> Vec<Log> {
    let heads =
        ["", "ERROR ", "FATAL ", "Error: ", "panic: ", "  at ", "Caused by: ", "a: error: "];
    let pieces = [": ", "x: ", "a.py:1 ", "XError: ", " err=", "line ", "words ", "(A) "];
    let mut logs = Vec::new();
    for head in heads {
        for piece in pieces {
            for bytes in [CAUSE_LINE_BYTES_MAX - 100, 4000] {
                let name = format!("{bytes}/{head}/{piece}");
                logs.push(Log::of(name, format!("{head}{}", piece.repeat(bytes / piece.len()))));
            }
        }
    }
    logs
}

/// Random bytes as text, the same in each run.
fn noise() -> Log {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut byte = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    let lines = iter::repeat_with(move || {
        let bytes: Vec<u8> = (0..120).map(|_| byte()).filter(|b| *b != b'\n').collect();
        String::from_utf8_lossy(&bytes).into_owned()
    });
    Log::new("noise", lines)
}
