use super::*;
use crate::core::cause::{Cause, Line, Source, find};
use crate::core::logs::cri::LogStream;

/// The namespace, workload, container, type, exit code, reason and last log lines of a crash.
type Crash = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Option<i32>,
    &'static str,
    &'static str,
);

fn fingerprint((namespace, workload, container, kind, exit_code, reason, log): Crash) -> String {
    let lines: Vec<Line<'_>> =
        log.lines().map(|text| Line { stream: LogStream::Stderr, at_ms: None, text }).collect();
    let cause = find(&lines, exit_code.unwrap_or(0), Source::Log);
    let cause = cause.as_ref().map(Cause::signature);
    of(&Words { namespace, workload, container, kind, exit_code, reason, cause }).to_string()
}

fn with(mut crash: Crash, change: impl FnOnce(&mut Crash)) -> Crash {
    change(&mut crash);
    crash
}

const PYTHON: &str = "Traceback (most recent call last):\n  File \"/app/app.py\", line 7, in charge\n    raise \
                      KeyError(\"a\")\nKeyError: 'a'";
const GO: &str = "panic: order 7: negative total\n\ngoroutine 1 [running]:\nmain.total(0x1)\n\t/app/main.go:16 +0x79";
const JAVA: &str = "Exception in thread \"main\" java.io.IOException: short read of /data/7\n\tat com.x.Main.copy(Main.java:10)";
const NODE: &str = "TypeError: Cannot read properties of undefined (reading 'host')\n    at connect (/app/db.js:2:29)";
const RUST: &str = "thread 'main' (1) panicked at src/main.rs:4:63:\nno shard 7";
const NGINX: &str = "2026/11/26 17:58:50 [emerg] 1#1: unknown directive \"x\" in /app/nginx.conf:8";
const CURL: &str =
    "curl: (7) Failed to connect to 127.0.12.7 port 8080 after 0 ms: Couldn't connect to server";

/// Stores and pagers compare these with what older agents wrote. A change of the rules that changes one of them needs another
/// [`VERSION`], and this table stays as it is for version 1.
#[test]
fn twenty_fingerprints_are_the_same_for_ever() {
    let app = ("shop", "Deployment/api", "app");
    let error = |log| (app.0, app.1, app.2, "error", Some(1), "Error", log);
    let golden: [(Crash, &str); 20] = [
        (error(""), "f89935d9f1a83798"),
        (error(PYTHON), "15a04c9d93d2dacb"),
        (error(JAVA), "200198b82376710d"),
        (error(NODE), "c5cfb6ee6e597a07"),
        (error(NGINX), "6462ebf081006da3"),
        (error("FATAL: no licence for tenant 7"), "18e179ed8fc79b26"),
        (error("app: cannot open /srv/in.csv: No such file or directory"), "451f77e9012da79f"),
        ((app.0, app.1, app.2, "misuse", Some(2), "Error", GO), "9d1507c5aa4c9bb8"),
        ((app.0, app.1, app.2, "unknown", Some(101), "Error", RUST), "78a451ef2126f1dc"),
        ((app.0, app.1, app.2, "unknown", Some(7), "Error", CURL), "b7b6255d9590bc2c"),
        ((app.0, app.1, app.2, "oom", Some(137), "OOMKilled", ""), "7774bcc93f998831"),
        ((app.0, app.1, app.2, "killed", Some(137), "Error", ""), "cdf57cebe74bb589"),
        ((app.0, app.1, app.2, "probe_failure", Some(137), "Error", ""), "5ad09b8aae62bb61"),
        ((app.0, app.1, app.2, "signal", Some(139), "Error", ""), "d1c306e77f767524"),
        ((app.0, app.1, app.2, "image_pull", None, "ErrImagePull", ""), "e61715ee13ecf862"),
        (("shop", "CronJob/report", "app", "error", Some(1), "Error", PYTHON), "f548d504a70f76f5"),
        (("shop", "StatefulSet/db", "db", "error", Some(1), "Error", PYTHON), "c4f992f8468f6dff"),
        (
            ("kube-system", "DaemonSet/proxy", "proxy", "error", Some(1), "Error", PYTHON),
            "dc7d057b73a7af88",
        ),
        (("shop", "Deployment/api", "", "evicted", None, "Evicted", ""), "2b91a62cbb50725d"),
        (("", "", "", "node_reboot", None, "", ""), "c5a0a569220115d7"),
    ];
    let wrong: Vec<(usize, String)> = golden
        .iter()
        .enumerate()
        .map(|(n, (crash, want))| (n, fingerprint(*crash), *want))
        .filter(|(_, have, want)| have != want)
        .map(|(n, have, _)| (n, have))
        .collect();
    assert_eq!(wrong, []);
}

#[test]
fn each_word_counts_and_numbers_names_and_addresses_in_the_log_do_not() {
    let first: Crash = ("shop", "Deployment/api", "app", "error", Some(1), "Error", PYTHON);
    let mut seen = std::collections::HashSet::from([fingerprint(first)]);
    for other in [
        with(first, |c| c.0 = "shop2"),
        with(first, |c| c.1 = "Deployment/web"),
        with(first, |c| c.2 = "proxy"),
        with(first, |c| c.3 = "unknown"),
        with(first, |c| c.4 = Some(2)),
        with(first, |c| c.5 = "ContainerCannotRun"),
        with(first, |c| c.6 = JAVA),
        with(first, |c| c.6 = ""),
        with(first, |c| (c.0, c.1) = ("shopDeployment/api", "")),
    ] {
        assert!(seen.insert(fingerprint(other)), "{other:?}");
    }
    for (one, other) in [
        (
            PYTHON,
            "Traceback (most recent call last):\n  File \"/srv/v2/app.py\", line 90, in charge\n    x\nKeyError: 'other'",
        ),
        (
            GO,
            "panic: order 81723: negative total\n\ngoroutine 7 [running]:\nmain.total(0x2)\n\t/build/main.go:19 +0x79",
        ),
        (
            CURL,
            "curl: (7) Failed to connect to 10.0.0.1 port 9 after 12 ms: Couldn't connect to server",
        ),
        ("2026-11-26 ERROR no licence for 'a'", "2027-01-01 ERROR no licence for 'b c'"),
    ] {
        let [one, other] = [one, other].map(|log| fingerprint(with(first, |c| c.6 = log)));
        assert_eq!(one, other);
    }
}

/// Logs, and the parts of a fingerprint that they give: type, place, template.
const PARTS: [(&str, [&str; 3]); 18] = [
    (
        "Traceback (most recent call last):\n  File \"/app/a.py\", line 7, in <module>\nKeyError: 'a'",
        ["KeyError", "a.py:7", ""],
    ),
    (
        "app.rb:8:in `fetch': key not found: \"A\" (KeyError)\n\tfrom app.rb:8:in `<main>'",
        ["KeyError", "app.rb fetch", ""],
    ),
    (
        "Exception in thread \"main\" a.b.C$BadException: no 7\n\tat a.b.C.lambda$run$3(C.java:9)",
        ["BadException", "C.java a.b.C.lambda$run$#", ""],
    ),
    (
        "RangeError: no 7\n    at f (/app/dist/main.4f3c2b1a.js:1:99)",
        ["RangeError", "main.#.js f", ""],
    ),
    (
        "panic: runtime error: index out of range [5] with length 3\n\ngoroutine 1 [running]:\nmain.f.func2(0x1)\n\t/app/m.go:9 +0x7",
        ["panic", "m.go main.f.func#", "runtime error index out of range # with length #"],
    ),
    (
        "Unhandled exception. System.InvalidOperationException: no 7\n   at A.B.C() in /src/A/B.cs:line 12",
        ["InvalidOperationException", "B.cs A.B.C", ""],
    ),
    ("thread 'main' panicked at src/main.rs:4:63:\nno 7", ["panic", "main.rs:4", ""]),
    (
        "PHP Fatal error:  Uncaught RuntimeException: no 7 in /app/a.php:3\nStack trace:\n#0 /app/a.php(9): f()\n#1 {main}",
        ["RuntimeException", "a.php f", ""],
    ),
    ("** (RuntimeError) no 7\n    (a 0.1.0) lib/a.ex:3: A.f/1", ["RuntimeError", "a.ex A.f/1", ""]),
    ("a.c:9: f: Assertion `x > 7' failed.", ["Assertion", "a.c f", ""]),
    (
        "terminate called after throwing an instance of 'std::length_error'\n  what():  no 7",
        ["length_error", "", "no #"],
    ),
    (
        "F1126 10:00:00.000001       1 main.go:10] no lease of a-7: refused",
        ["FATAL", "main.go:10", ""],
    ),
    (
        r#"{"level":"fatal","msg":"no ledger","err":"dial tcp 10.0.0.1:5432: refused"}"#,
        ["", "", "no ledger dial tcp # refused"],
    ),
    (
        r#"{"level":"error","err":{"type":"TypeError","message":"no 7","stack":"TypeError: no 7\n    at f (/app/a.js:3:1)"}}"#,
        ["TypeError", "a.js f", ""],
    ),
    (
        "level=fatal msg=\"no ledger\" error=\"no answer from ledger-db:8081\"",
        ["", "", "no ledger no answer from #"],
    ),
    (
        "2026-11-26 10:00:00 ERROR [main] shop.Db - no ledger 'a' for ada@x.y of 10.0.0.1",
        ["ERROR", "", "no ledger * for # of #"],
    ),
    (
        "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)",
        ["", "", "nginx emerg bind to # failed # Address already in use"],
    ),
    (
        "/app/start.sh: line 3: render: command not found",
        ["", "start.sh:3", "render command not found"],
    ),
];

/// Version 1 keeps these, as it keeps the fingerprints.
#[test]
fn the_parts_that_logs_of_each_kind_give_are_the_same_for_ever() {
    let wrong: Vec<(usize, [String; 3])> = PARTS
        .iter()
        .enumerate()
        .filter_map(|(n, (log, want))| {
            let lines = log.lines();
            let line = |text| Line { stream: LogStream::Stderr, at_ms: None, text };
            let cause = find(&lines.map(line).collect::<Vec<_>>(), 1, Source::Log);
            let Signature { error_type, place, template } =
                cause.map(|cause| cause.signature().clone()).unwrap_or_default();
            let have = [error_type, place, template];
            (have != *want).then_some((n, have))
        })
        .collect();
    assert_eq!(wrong, []);
}
