//! What loggers write before the message.

use crate::core::cause::prefix::{Level, Spoken};
use crate::core::cause::template::template;

#[test]
fn what_a_logger_writes_before_the_message_is_taken_off() {
    let (fatal, error, warn, quiet) =
        (Some(Level::Fatal), Some(Level::Error), Some(Level::Warn), Some(Level::Quiet));
    let mut wrong = Vec::new();
    for (text, level, body) in [
        ("2026-11-26 18:05:37,488 ERROR [main] c.b.ledger.Main - loop died", error, "loop died"),
        ("18:06:01.868 ERROR [settle-8080] c.b.ledger.Main - loop died", error, "loop died"),
        (
            "2026-11-26T17:58:27.569Z ERROR 1 --- [main] c.x.Main          : run failed",
            error,
            "run failed",
        ),
        ("2026-11-26 17:58:06.172 INFO  [main] c.b.shop.Main - consuming", quiet, "consuming"),
        ("CRITICAL:shop.boot:licence ended", fatal, "licence ended"),
        ("2026-11-26 17:45:49,150 INFO [1] orders: renewing", quiet, "orders: renewing"),
        (
            "E1126 18:10:19.696680       1 run.go:72] \"command failed\"",
            error,
            "\"command failed\"",
        ),
        ("F1126 17:59:00.001234      20 ledgerd.cpp:13] Check failed", fatal, "Check failed"),
        ("2026/11/26 17:59:00 [emerg] 1#1: no file", fatal, "no file"),
        (
            "[Thu Nov 26 18:00:00.123456 2026] [core:error] [pid 7:tid 8] AH1: no file",
            error,
            "AH1: no file",
        ),
        ("1:M 26 Nov 2026 17:59:02.577 # Bad file", warn, "Bad file"),
        ("1:M 26 Nov 2026 17:59:02.577 * Ready", quiet, "Ready"),
        ("2026-11-26 17:59:07.682 UTC [1] FATAL:  no sockets", fatal, "no sockets"),
        ("<2>ledgerd[1]: journal is damaged", fatal, "journal is damaged"),
        ("<6>ledgerd[1]: journal opened", quiet, "journal opened"),
        ("F, [2026-11-26T17:55:48.994755 #1] FATAL -- : no tariff", fatal, "no tariff"),
        ("[18:05:37 ERR] no file", error, "no file"),
        ("ERRO[0001] no file", error, "no file"),
        ("[2026-11-26T18:08:37Z ERROR tariffd] cannot join", error, "cannot join"),
        ("2026-11-27 13:00:04.921390 C | etcdmain: no dir", fatal, "etcdmain: no dir"),
        ("[1795784465] unbound[8:0] error: no file", error, "no file"),
        ("1795784386: Error: unknown", error, "unknown"),
        ("27-Nov-2026 12:59:49.478 loading", None, "loading"),
        ("[27-Nov-2026 13:00:08] ERROR: no socket", error, "no socket"),
        ("fail: Microsoft.Hosting[11]", error, ""),
        ("ERROR:    [Errno 98] in use", error, "[Errno 98] in use"),
        ("[!] Configuration failed", error, "Configuration failed"),
        ("FATAL ERROR: Reached heap limit", fatal, "Reached heap limit"),
        ("ERROR 2002 (HY000): no server", error, "2002 (HY000): no server"),
        // These are the message.
        ("[Errno 2] No such file", None, "[Errno 2] No such file"),
        ("panic: no shard", None, "panic: no shard"),
        ("Error: no shard", None, "Error: no shard"),
        ("127.0.0.1:8080 refused", None, "127.0.0.1:8080 refused"),
        ("  2026-11-26 indented", None, "  2026-11-26 indented"),
        ("no such tenant: kestrel", None, "no such tenant: kestrel"),
        ("", None, ""),
    ] {
        let spoken = Spoken::new(text);
        if (spoken.level, spoken.body) != (level, body) {
            wrong.push((text, spoken.level, spoken.body));
        }
    }
    assert_eq!(wrong, []);
}

#[test]
fn a_template_keeps_the_words_and_drops_what_differs_from_run_to_run() {
    for (message, want) in [
        (
            "panic: runtime error: index out of range [5] with length 3",
            "panic runtime error index out of range # with length #",
        ),
        (
            "connect tcp 10.0.3.17:5432: connection refused id=550e8400-e29b",
            "connect tcp # connection refused id #",
        ),
        ("no such file '/etc/rates/kestrel.csv'", "no such file *"),
        ("open /etc/rates/kestrel.csv: no such file", "open # no such file"),
        ("lease 6b51648e80aa1d9b was taken", "lease # was taken"),
        ("key \"a\" \"b\" missing", "key * missing"),
        ("can't open", "can't open"),
        ("", ""),
        ("ünïcode wörds", "ünïcode wörds"),
    ] {
        assert_eq!(template(message), want, "{message}");
    }
    let long = "word ".repeat(500);
    assert_eq!(template(&long).split(' ').count(), crate::limits::TEMPLATE_WORDS_MAX);
    assert!(template(&"x".repeat(9999)).len() <= crate::limits::TEMPLATE_BYTES_MAX);
}
