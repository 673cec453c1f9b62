//! The line that names an error.

use crate::core::cause::headline::{
    Headline, fatal_error, is_certain_type, last_part, of_ruby, place_in_words, without_place,
};

/// A line, the type and the message in it, and whether it says that nobody caught the error.
type Row = (&'static str, &'static str, &'static str, bool);

#[track_caller]
fn assert_rows(is_sure: bool, rows: &[Row]) {
    let mut wrong = Vec::new();
    for (text, error_type, message, is_uncaught) in rows {
        let headline = Headline::read(text, is_sure);
        let said = (headline.error_type, headline.message, headline.is_uncaught);
        if said != (*error_type, *message, *is_uncaught) {
            wrong.push(format!("{text:?} is {said:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_headline_names_its_type_and_its_message() {
    assert_rows(
        false,
        &[
            ("KeyError: 'tray'", "KeyError", "'tray'", false),
            ("KeyError", "KeyError", "", false),
            (
                "botocore.exceptions.ClientError: denied",
                "botocore.exceptions.ClientError",
                "denied",
                false,
            ),
            ("java.io.IOException: short read", "java.io.IOException", "short read", false),
            ("java.lang.NullPointerException", "java.lang.NullPointerException", "", false),
            ("com.x.Main$ClosedException: no", "com.x.Main$ClosedException", "no", false),
            ("TypeError [ERR_INVALID_ARG_TYPE]: no path", "TypeError", "no path", false),
            ("[TypeError: no path", "TypeError", "no path", false),
            ("[ioredis] Unhandled error event: Error: refused", "Error", "refused", true),
            ("Error: listen EADDRINUSE: in use", "Error", "listen EADDRINUSE: in use", false),
            ("Error: TypeError: no path", "TypeError", "no path", false),
            ("Shop\\StockException: only 3", "Shop\\StockException", "only 3", false),
            ("Errno::ECONNREFUSED: refused", "Errno::ECONNREFUSED", "refused", false),
            ("** (RuntimeError) no shard", "RuntimeError", "no shard", false),
            ("** (exit) shutdown", "exit", "shutdown", false),
            ("app.StaleLeaseException@app.d(5): lease", "app.StaleLeaseException", "lease", false),
            (
                "==1==ERROR: AddressSanitizer: heap-use-after-free",
                "AddressSanitizer",
                "heap-use-after-free",
                false,
            ),
            ("no rate [TariffError]", "TariffError", "no rate", false),
            ("period is closed (LedgerClosed)", "LedgerClosed", "period is closed", false),
            (
                "Fatal Python error: Segmentation fault",
                "Fatal Python error",
                "Segmentation fault",
                false,
            ),
            ("lua5.4: app.lua:3: attempt to call", "", "attempt to call", false),
            ("Caused by: java.io.IOException: short", "java.io.IOException", "short", false),
            // No types.
            ("no ledger: refused", "", "no ledger: refused", false),
            ("Listening: now", "", "Listening: now", false),
            ("DeprecationWarning: old", "", "DeprecationWarning: old", false),
            ("error: no", "", "error: no", false),
            ("is closed (see docs)", "", "is closed (see docs)", false),
            ("is closed (Docs)", "", "is closed (Docs)", false),
            ("https://x.example/Error: no", "", "https://x.example/Error: no", false),
            ("", "", "", false),
        ],
    );
}

#[test]
fn words_for_an_error_that_nobody_caught_are_taken_off() {
    assert_rows(
        false,
        &[
            (
                "Exception in thread \"main\" java.io.IOException: short",
                "java.io.IOException",
                "short",
                true,
            ),
            (
                "Unhandled exception. System.InvalidOperationException: bad",
                "System.InvalidOperationException",
                "bad",
                true,
            ),
            (
                "Unhandled Exception: System.IO.IOException: bad",
                "System.IO.IOException",
                "bad",
                true,
            ),
            (
                "PHP Fatal error:  Uncaught Shop\\StockException: only 3",
                "Shop\\StockException",
                "only 3",
                true,
            ),
            ("Uncaught TypeError: no path", "TypeError", "no path", true),
            ("error: Uncaught (in promise) TypeError: no path", "TypeError", "no path", true),
            ("uncaughtException: LeaseLost: gone", "LeaseLost", "gone", true),
            ("Unhandled promise rejection: Error: no", "Error", "no", true),
            ("Error: unhandled exception: no rate [TariffError]", "TariffError", "no rate", true),
            // These words stand within a sentence, or in a name.
            ("UnhandledPromiseRejection: no", "UnhandledPromiseRejection", "no", false),
            (
                "the ledger of this tenant: unhandled: no",
                "",
                "the ledger of this tenant: unhandled: no",
                false,
            ),
            ("the error was unhandled: no", "", "the error was unhandled: no", false),
        ],
    );
}

#[test]
fn before_a_stack_trace_any_name_is_a_type() {
    assert_rows(
        true,
        &[
            ("LeaseLost: gone", "LeaseLost", "gone", false),
            ("shop.LeaseLost: gone", "shop.LeaseLost", "gone", false),
            ("shop.LeaseLost", "shop.LeaseLost", "", false),
            // A word alone may be the message.
            ("Stopped", "", "Stopped", false),
            ("no lease: gone", "", "no lease: gone", false),
        ],
    );
    assert_rows(false, &[("LeaseLost: gone", "", "LeaseLost: gone", false)]);
}

#[test]
fn only_an_error_has_a_certain_name() {
    for name in [
        "KeyError",
        "a.b.IOException",
        "a::b::Failure",
        "A\\B\\Fault",
        "AddressSanitizer",
        "KeyboardInterrupt",
        "Errno::ENOENT",
        "_InternalError",
        "Outer$InnerError",
        "IOThrowable",
        "ExceptionGroup",
        "TypePanic",
        "CoreAbort",
        "StackOverflow",
        "RangeViolation",
        "PromiseRejection",
    ] {
        assert!(is_certain_type(name), "{name}");
    }
    for name in [
        "",
        "E",
        "error",
        "Errors",
        "UserWarning",
        "an Error",
        "LeaseLost",
        "x/Error://y",
        "Mirror",
    ] {
        assert!(!is_certain_type(name), "{name}");
    }
    let (long, longer) = (format!("{}Error", "x".repeat(122)), format!("{}Error", "x".repeat(124)));
    assert!(!is_certain_type(&longer), "no class has such a name");
    assert!(is_certain_type(&long.replacen('x', "X", 1)));
}

#[test]
fn the_last_part_of_a_type_is_its_name() {
    for (name, want) in [
        ("KeyError", "KeyError"),
        ("java.io.IOException", "IOException"),
        ("std::out_of_range", "out_of_range"),
        ("Shop\\StockException", "StockException"),
        ("com.x.Main$Closed", "Closed"),
        ("a/b.C", "C"),
        ("", ""),
    ] {
        assert_eq!(last_part(name), want, "{name}");
    }
}

#[test]
fn a_place_before_the_message_is_taken_off() {
    for (text, rest, line) in [
        ("app.rb:4:in `post': closed (LedgerClosed)", "closed (LedgerClosed)", Some(4)),
        ("ledgerd.c:9:14: runtime error: overflow", "runtime error: overflow", Some(9)),
        ("/app/start.sh: line 3: no such command", "no such command", Some(3)),
        ("src/app.ts(2,27): error TS2322: no", "error TS2322: no", Some(2)),
        ("main.go:7", "main.go:7", None),
        ("main.go:7 no", "main.go:7 no", None),
        ("no ledger: refused", "no ledger: refused", None),
    ] {
        let (have, found) = without_place(text);
        assert_eq!((have, found.map(|found| found.place.line)), (rest, line), "{text}");
    }
}

#[test]
fn fatal_errors_of_runtimes_are_told_by_their_words() {
    for (text, want) in [
        ("Fatal Python error: init failed", Some(("Fatal Python error", "init failed"))),
        ("fatal runtime error: stack overflow", Some(("fatal runtime error", "stack overflow"))),
        ("FATAL ERROR: heap limit", Some(("FATAL ERROR", "heap limit"))),
        ("runtime error: overflow", Some(("runtime error", "overflow"))),
        ("PHP Fatal error:  Allowed memory size", Some(("PHP Fatal error", "Allowed memory size"))),
        ("PHP Fatal error:  Uncaught Shop\\X: no", None),
        ("Fatal Python error: ", None),
        ("fatal: not a repository", None),
        ("error: fatal", None),
        ("a very long sentence about a fatal error: no", None),
        ("Syntax error: no", None),
    ] {
        assert_eq!(fatal_error(text), want, "{text}");
    }
}

#[test]
fn rubys_headline_ends_with_the_type() {
    for (text, error_type, message) in [
        ("closed (LedgerClosed)", "LedgerClosed", "closed"),
        (
            "Connection refused - connect(2) (Errno::ECONNREFUSED)",
            "Errno::ECONNREFUSED",
            "Connection refused - connect(2)",
        ),
        ("unhandled exception", "", ""),
        ("closed (by hand)", "", "closed (by hand)"),
    ] {
        let headline = of_ruby(text);
        assert_eq!((headline.error_type, headline.message), (error_type, message), "{text}");
    }
}

#[test]
fn an_address_is_no_place_in_the_words() {
    assert!(place_in_words("dial https://x.example/a.py:7").is_none());
    assert_eq!(place_in_words("in /app/a.conf:7").unwrap().place.line, 7);
}
