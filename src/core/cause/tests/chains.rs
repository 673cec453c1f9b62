//! Chains of errors, and the words of runtimes: what is the cause, what the context, and what stands behind it.

use super::*;

/// Returns the cause, the context and the place.
fn told(log: &str) -> [String; 3] {
    let Some(cause) = find(&stderr(log), 1, Source::Log) else { return Default::default() };
    [cause.text(), cause.context.unwrap_or_default(), cause.location.unwrap_or_default()]
}

#[track_caller]
fn assert_rows(rows: &[(&str, [&str; 3])]) {
    let mut wrong = Vec::new();
    for (log, want) in rows {
        let have = told(log);
        if have != *want {
            wrong.push(format!("{log}\nsays {have:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn the_context_is_the_outermost_error_of_a_chain() {
    assert_rows(&[
        (
            "Traceback (most recent call last):\n  File \"/app/a.py\", line 3, in dial\n    c()\nOSError: refused\n\n\
             The above exception was the direct cause of the following exception:\n\n\
             Traceback (most recent call last):\n  File \"/app/a.py\", line 6, in open\n    d()\nLedgerError: no dial\n\n\
             The above exception was the direct cause of the following exception:\n\n\
             Traceback (most recent call last):\n  File \"/app/a.py\", line 9, in <module>\n    b()\nBootError: no ledger",
            ["OSError: refused", "BootError: no ledger", "a.py:3 in dial"],
        ),
        (
            "java.lang.IllegalStateException: no boot\n\tat com.x.Main.boot(Main.java:9)\n\
             Caused by: com.x.LeaseException: no lease\n\tat com.x.Main.lease(Main.java:6)\n\t... 1 more\n\
             Caused by: java.io.EOFException: short read\n\tat com.x.Main.read(Main.java:3)\n\t... 2 more",
            [
                "java.io.EOFException: short read",
                "java.lang.IllegalStateException: no boot",
                "Main.java:3 in com.x.Main.read",
            ],
        ),
        (
            "Unhandled exception. System.AggregateException: One or more errors occurred. (bad)\n \
             ---> Shop.BasketException: bad\n ---> System.FormatException: no number\n   \
             at Shop.Basket.Parse(String s) in /src/Basket.cs:line 9\n   \
             --- End of inner exception stack trace ---\n   at Shop.Basket.Total() in /src/Basket.cs:line 31\n   \
             --- End of inner exception stack trace ---\n   at Shop.Program.Main() in /src/Program.cs:line 5",
            [
                "System.FormatException: no number",
                "System.AggregateException: One or more errors occurred. (bad)",
                "Basket.cs:9 in Shop.Basket.Parse",
            ],
        ),
        (
            "Error: no boot\n    at boot (/app/app.js:9:9) {\n  [cause]: Error: no lease\n      at lease (/app/app.js:6:9) {\n    \
             [cause]: RangeError: 7\n        at pick (/app/app.js:3:9)\n  }\n}",
            ["RangeError: 7", "Error: no boot", "app.js:3 in pick"],
        ),
        (
            "app.rb:8:in `rescue in boot': no ledger (BootError)\n\tfrom app.rb:10:in `<main>'\n\
             app.rb:4:in `dial': refused (Errno::ECONNREFUSED)\n\tfrom app.rb:6:in `boot'",
            ["Errno::ECONNREFUSED: refused", "BootError: no ledger", "app.rb:4 in dial"],
        ),
    ]);
}

#[test]
fn what_only_came_up_later_or_beside_it_is_no_cause() {
    assert_rows(&[
        // The last exception ended the program.
        (
            "Traceback (most recent call last):\n  File \"/app/a.py\", line 3, in get\n    x\nKeyError: 'a'\n\n\
             During handling of the above exception, another exception occurred:\n\n\
             Traceback (most recent call last):\n  File \"/app/a.py\", line 5, in get\n    y\nValueError: b",
            ["ValueError: b", "", "a.py:5 in get"],
        ),
        // A process that only ends because of it.
        (
            "Traceback (most recent call last):\n  File \"/app/a.py\", line 3, in get\n    x\nKeyError: 'a'\n\n\
             During handling of the above exception, another exception occurred:\n\n\
             Traceback (most recent call last):\n  File \"/app/a.py\", line 5, in run\n    y\nSystemExit: 3",
            ["KeyError: 'a'", "", "a.py:3 in get"],
        ),
        // A suppressed exception, with a cause of its own.
        (
            "java.io.UncheckedIOException: copy stopped\n\tat com.x.Main.copy(Main.java:10)\n\t\
             Suppressed: java.lang.IllegalStateException: close failed\n\t\tat com.x.Res.close(Main.java:7)\n\t\
             Caused by: java.io.IOException: busy\n\t\tat com.x.Res.flush(Main.java:8)",
            ["java.io.UncheckedIOException: copy stopped", "", "Main.java:10 in com.x.Main.copy"],
        ),
        // The deferred function's frames stand above those of the error.
        (
            "panic: nil map [recovered]\n\tpanic: rolled back\n\ngoroutine 1 [running]:\nmain.guard()\n\t/app/main.go:11 +0xa7\n\
             panic({0x4b79e0?, 0x58e2c0?})\n\t/usr/local/go/src/runtime/panic.go:860 +0x13a\n\
             main.work(0x6a8b74000f0?)\n\t/app/main.go:18 +0x46",
            ["panic: nil map", "", "main.go:18 in main.work"],
        ),
        // Other goroutines.
        (
            "panic: no\n\ngoroutine 7 [running]:\nsync.(*Mutex).Lock(...)\n\t/usr/local/go/src/sync/mutex.go:8\n\n\
             goroutine 1 [select]:\nmain.main()\n\t/app/main.go:23 +0x9f",
            ["panic: no", "", ""],
        ),
    ]);
}

#[test]
fn a_group_tells_its_first_part() {
    assert_rows(&[(
        "  + Exception Group Traceback (most recent call last):\n  |   File \"/app/app.py\", line 20, in <module>\n  \
         |     main()\n  | ExceptionGroup: two (2 sub-exceptions)\n  +-+---------------- 1 ----------------\n    \
         | Traceback (most recent call last):\n    |   File \"/app/app.py\", line 9, in poll\n    |     x\n    \
         | ConnectionResetError: hung up\n    +---------------- 2 ----------------\n    \
         | Traceback (most recent call last):\n    |   File \"/app/app.py\", line 12, in push\n    |     y\n    \
         | TimeoutError: slow\n    +------------------------------------",
        [
            "ConnectionResetError: hung up",
            "ExceptionGroup: two (2 sub-exceptions)",
            "app.py:9 in poll",
        ],
    )]);
}

#[test]
fn a_list_of_causes_is_one_message() {
    assert_rows(&[
        (
            "Error: load settings\n\nCaused by:\n    No such file",
            ["Error: load settings: No such file", "", ""],
        ),
        (
            "Error: load settings\n\nCaused by:\n    0: read /etc/t.toml\n    1: No such file\n\nStack backtrace:\n   0: x",
            ["Error: load settings: read /etc/t.toml: No such file", "", ""],
        ),
    ]);
}

#[test]
fn a_message_may_have_several_lines_and_the_first_one_counts() {
    let rows = [
        "Traceback (most recent call last):\n  File \"/app/a.py\", line 3, in get\n    x\nshop.DbError: no row\nSELECT 1\nFROM a",
        "com.x.DbError: no row\nSELECT 1\n\tat com.x.Main.get(Main.java:3)",
        "DbError: no row\nSELECT 1\n    at get (/app/app.js:3:9)",
    ];
    for log in rows {
        assert!(told(log)[0].ends_with("DbError: no row"), "{log} says {:?}", told(log));
        assert!(!told(log)[2].is_empty(), "{log}");
    }
}

#[test]
fn the_place_is_the_innermost_of_the_application() {
    assert_rows(&[
        (
            "Traceback (most recent call last):\n  File \"/app/a.py\", line 3, in get\n    x\n  \
             File \"/usr/local/lib/python3.11/json/__init__.py\", line 7, in loads\n    y\nValueError: bad",
            ["ValueError: bad", "", "a.py:3 in get"],
        ),
        (
            "ValueError: bad\n    at parse (/app/node_modules/a/b.js:1:1)\n    at get (/app/app.js:3:9)\n    at main (/app/app.js:9:9)",
            ["ValueError: bad", "", "app.js:3 in get"],
        ),
        // There is none where all of it is foreign.
        (
            "Exception in thread \"main\" java.lang.IllegalStateException: no\n\tat java.base/java.util.X.f(X.java:3)",
            ["java.lang.IllegalStateException: no", "", ""],
        ),
    ]);
}

#[test]
fn runtimes_end_a_program_in_one_line() {
    assert_rows(&[
        (
            "Assertion failed: a > 0 (a.c: main: 9)",
            ["Assertion: failed: a > 0 (a.c: main: 9)", "", ""],
        ),
        (
            "terminate called without an active exception",
            ["terminate called without an active exception", "", ""],
        ),
        ("terminate called after throwing an instance of 'shop::Closed'", ["shop::Closed", "", ""]),
        (
            "libc++abi: terminating due to uncaught exception of type shop::Closed: no",
            ["shop::Closed: no", "", ""],
        ),
        ("libc++abi: terminating with uncaught exception of type int", ["int", "", ""]),
        (
            "Fatal Python error: init_fs_encoding: failed to get the Python codec",
            ["Fatal Python error: init_fs_encoding: failed to get the Python codec", "", ""],
        ),
        (
            "/app/start.sh: line 4:    20 Segmentation fault      /app/crash",
            ["Segmentation fault", "", "start.sh:4"],
        ),
        (
            "Unhandled SIMPLE-ERROR in thread #<SB-THREAD:THREAD>:\n  no rate",
            ["SIMPLE-ERROR: no rate", "", ""],
        ),
        (
            "Error occurred during initialization of VM\nToo small maximum heap",
            ["Too small maximum heap", "", ""],
        ),
        (
            "Execution error (ExceptionInfo) at shop.core/boot (core.clj:7).\nno ledger",
            ["ExceptionInfo: no ledger", "", "core.clj:7"],
        ),
    ]);
}

#[test]
fn of_lines_that_speak_of_a_failure_the_telling_one_is_found() {
    assert_rows(&[
        // The first of a few fatal lines, and not that it gives up.
        ("FATAL: no ledger: refused\nFATAL: aborting", ["FATAL: no ledger: refused", "", ""]),
        ("FATAL: shutting down\nFATAL: no ledger", ["FATAL: no ledger", "", ""]),
        // A fatal line without a reason, and the error just before.
        ("ERROR: port 80 is taken\nFATAL: startup failed", ["ERROR: port 80 is taken", "", ""]),
        (
            "ERROR: port 80 is taken\nFATAL: no ledger: refused",
            ["FATAL: no ledger: refused", "", ""],
        ),
        // The same words at another level.
        ("WARN: ledger refused\nINFO: bye", ["WARN: ledger refused", "", ""]),
        // Level, message and error in one line.
        ("ERROR: cannot boot: OSError: refused", ["OSError: refused", "cannot boot", ""]),
        (
            "E1126 18:10:19.696680 1 run.go:72] \"no boot\" err=\"refused\"",
            ["no boot: refused", "", "run.go:72"],
        ),
        ("Options error: unknown option x", ["Options error: unknown option x", "", ""]),
        ("awk: fatal: no file", ["awk: fatal: no file", "", ""]),
        // What is open is completed.
        (
            "ERROR: these are missing:\n\n  - DATABASE_URL\n  - QUEUE",
            ["ERROR: these are missing: - DATABASE_URL", "", ""],
        ),
        ("ERROR: \n****\nno ledger\n****", ["ERROR: no ledger", "", ""]),
        ("FATAL: NO LICENCE\nINFO: bye, shop", ["FATAL: NO LICENCE", "", ""]),
        // A place at the start of a line stands above words.
        ("no such rule\n/app/a.conf:7: unknown word\nbad file", ["unknown word", "", "a.conf:7"]),
        ("first it failed\nthen it was sad", ["first it failed", "", ""]),
        ("one\ntwo", ["two", "", ""]),
        // Hints and words of leave-taking.
        ("no such tenant\nTry 'app --help'", ["no such tenant", "", ""]),
        ("no such tenant\nUsage: app", ["no such tenant", "", ""]),
        ("no such tenant\nGoodbye.", ["no such tenant", "", ""]),
        ("no such tenant\nHINT: look\n+ exit 1\n# x\n---\n  indented", ["no such tenant", "", ""]),
    ]);
}

#[test]
fn springs_banner_is_left_out_of_what_it_says() {
    let log = "2026-11-27T13:05:13.137Z ERROR 1 --- [main] o.s.b.d.LoggingFailureAnalysisReporter   : \n\n****\n\
               APPLICATION FAILED TO START\n****\n\nDescription:\n\nPort 7411 was already in use.\n\nAction:\n\n\
               Stop it.";
    let on_stdout = |line| Line { stream: LogStream::Stdout, ..line };
    let lines: Vec<Line<'_>> = stderr(log).into_iter().map(on_stdout).collect();
    let cause = find(&lines, 1, Source::Log).unwrap();
    assert_eq!(cause.text(), "ERROR: Description: Port 7411 was already in use.");
}

#[test]
fn the_words_of_a_runtime_tell_of_a_fault_and_hold_whatever_is_said_behind_them() {
    for words in [
        "terminate called without an active exception",
        "terminate called after throwing an instance of 'shop::Closed'",
        "libc++abi: terminating due to uncaught exception of type shop::Closed: no",
        "a: a.c:9: post: Assertion `a > 0' failed.",
        "Fatal Python error: Segmentation fault",
        "fatal runtime error: stack overflow",
        "/app/start.sh: line 4:    20 Segmentation fault      /app/crash",
        "# A fatal error has been detected by the Java Runtime Environment:\n#\n#  SIGSEGV (0xb) at pc=0x7f",
    ] {
        let told = said(words, 139);
        assert!(told.is_some(), "{words}");
        assert_eq!(
            said(&format!("{words}\nERROR: 2 of 3 are left\nINFO bye"), 139),
            told,
            "{words}"
        );
        assert_eq!(said(&format!("INFO up\nERROR: slow\n{words}\nINFO bye"), 1), told, "{words}");
    }
}
