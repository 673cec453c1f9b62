//! What loggers write before the message.

use crate::core::cause::prefix::{Level, Spoken, level_of};
use crate::limits::CAUSE_PREFIX_BYTES_MAX;

const FATAL: Option<Level> = Some(Level::Fatal);
const ERROR: Option<Level> = Some(Level::Error);
const WARN: Option<Level> = Some(Level::Warn);
const QUIET: Option<Level> = Some(Level::Quiet);

#[test]
fn what_a_logger_writes_before_the_message_is_taken_off() {
    let (fatal, error, warn, quiet) =
        (Some(Level::Fatal), Some(Level::Error), Some(Level::Warn), Some(Level::Quiet));
    assert_prefixes(&[
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
    ]);
}

#[test]
fn the_order_of_a_prefixs_parts_does_not_matter() {
    let (fatal, error, quiet) = (Some(Level::Fatal), Some(Level::Error), Some(Level::Quiet));
    assert_prefixes(&[
        ("11/26/2026 10:00:00 AM ERROR no file", error, "no file"),
        ("Nov 26, 2026 10:00:00 AM SEVERE no file", error, "no file"),
        ("2026-11-26 10:00:00 +0100 [app] ERROR: no file", error, "no file"),
        ("2026-11-26 10:00:00,123 shop.db ERROR no file", error, "no file"),
        ("2026-11-26 10:00:00,123 planner ERROR no file", error, "no file"),
        ("[2026-11-26 10:00:00] production.ERROR: no file", error, "no file"),
        ("(ERROR) no file", error, "no file"),
        ("[E 2026-11-26 10:00:00.123 Server] no file", error, "no file"),
        ("2026-11-26T10:00:00.000+0000 E STORAGE  [init] no", error, "STORAGE  [init] no"),
        ("[Nest] 1  - 11/27/2026, 4:58:12 PM   ERROR [Handler] no file", error, "no file"),
        ("2026-11-26 10:00:00.123+00:00 [error] <0.132.0> no file", error, "no file"),
        ("2026-11-26 10:00:00.123 UTC [1] CONTEXT:  line 9", quiet, "line 9"),
        ("11/20/2026, 10:42:40 PM | Shop.Stock | Critical | no file", fatal, "no file"),
        ("Nov 05 22:49:15 web-1 vaultd[1]: <err> no file", error, "no file"),
        // A level's word is taken off once.
        ("ERROR ERROR no file", error, "ERROR no file"),
        ("<b> no file", None, "<b> no file"),
        ("Got ERROR from it", None, "Got ERROR from it"),
    ]);
}

#[track_caller]
fn assert_prefixes(rows: &[(&'static str, Option<Level>, &'static str)]) {
    let mut wrong = Vec::new();
    for (text, level, body) in rows {
        let spoken = Spoken::new(text);
        if (spoken.level, spoken.body) != (*level, *body) {
            wrong.push((text, spoken.level, spoken.body));
        }
    }
    assert_eq!(wrong, []);
}

/// A line, and its level, the level's label, the place of the logging call, and the message.
type Row = (&'static str, Option<Level>, &'static str, &'static str, &'static str);

#[track_caller]
fn assert_rows(rows: &[Row]) {
    let mut wrong = Vec::new();
    for (text, level, label, place, body) in rows {
        let spoken = Spoken::new(text);
        let logged_at =
            spoken.place.map_or(String::new(), |place| format!("{}:{}", place.file, place.line));
        let said = (spoken.level, spoken.label, &*logged_at, spoken.body);
        if said != (*level, *label, *place, *body) {
            wrong.push(format!("{text:?} is {said:?}"));
        }
        assert_eq!(spoken.has_prefix, *body != text.trim_end(), "{text}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const JVM_AND_DOTNET: &[Row] = &[
    ("18:05:37.488 [main] ERROR com.x.Main -- loop died", ERROR, "ERROR", "", "loop died"),
    ("18:05:37.488 [main] ERROR com.x.Main - loop died", ERROR, "ERROR", "", "loop died"),
    (
        "2026-11-26 17:58:27.569 ERROR 1 --- [           main] o.s.boot.SpringApplication               : Application run failed",
        ERROR,
        "ERROR",
        "",
        "Application run failed",
    ),
    (
        "2026-11-26T17:58:27.569+01:00 ERROR 1 --- [shop] [nio-8080-exec-1] o.a.c.c.C.[.[.[/] : Servlet failed",
        ERROR,
        "ERROR",
        "",
        "Servlet failed",
    ),
    ("2026-11-26 17:58:27,569 FATAL [main] com.x.Main: no ledger", FATAL, "FATAL", "", "no ledger"),
    (
        "[2026-11-26 17:58:27,569] ERROR Exiting Kafka due to fatal exception (kafka.Kafka$)",
        ERROR,
        "ERROR",
        "",
        "Exiting Kafka due to fatal exception (kafka.Kafka$)",
    ),
    (
        "[2026-11-26T17:58:27,569][ERROR][o.e.b.Bootstrap          ] [node-0] fatal exception while booting",
        ERROR,
        "ERROR",
        "",
        "fatal exception while booting",
    ),
    (
        "26-Nov-2026 17:58:27.569 SEVERE [main] org.apache.catalina.core.StandardService.initInternal Failed to initialize connector",
        ERROR,
        "SEVERE",
        "",
        "org.apache.catalina.core.StandardService.initInternal Failed to initialize connector",
    ),
    ("SEVERE: no ledger", ERROR, "SEVERE", "", "no ledger"),
    ("fail: Microsoft.Extensions.Hosting.Internal.Host[9]", ERROR, "fail", "", ""),
    ("crit: Shop.Worker[0]", FATAL, "crit", "", ""),
    ("info: Shop.Worker[0]", QUIET, "info", "", ""),
    (
        "[17:58:27 FTL] Host terminated unexpectedly",
        FATAL,
        "FTL",
        "",
        "Host terminated unexpectedly",
    ),
    ("2026-11-26 17:58:27.569 +00:00 [ERR] no ledger", ERROR, "ERR", "", "no ledger"),
];

#[test]
fn loggers_of_the_jvm_and_of_dotnet() {
    assert_rows(JVM_AND_DOTNET);
}

const GO_AND_RUST: &[Row] = &[
    (
        "E1126 18:10:19.696680       1 leaderelection.go:330] error retrieving lock: refused",
        ERROR,
        "",
        "leaderelection.go:330",
        "error retrieving lock: refused",
    ),
    (
        "F1126 18:10:19.696680       1 main.go:72] no config",
        FATAL,
        "FATAL",
        "main.go:72",
        "no config",
    ),
    ("W1126 18:10:19.696680       1 main.go:72] slow", WARN, "", "main.go:72", "slow"),
    ("I20261126 18:10:19.696680     1 ledger.cc:7] opened", QUIET, "", "ledger.cc:7", "opened"),
    ("2026/11/26 17:58:27 main.go:12: no ledger", None, "", "main.go:12", "no ledger"),
    ("2026/11/26 17:58:27.569123 no ledger", None, "", "", "no ledger"),
    (
        "2026/11/26 17:58:27 ERROR no ledger err=refused",
        ERROR,
        "ERROR",
        "",
        "no ledger err=refused",
    ),
    ("FATA[0003] no ledger", FATAL, "FATA", "", "no ledger"),
    (
        "2026-11-26T17:58:27.569Z\tERROR\tshop/main.go:12\tno ledger",
        ERROR,
        "ERROR",
        "shop/main.go:12",
        "no ledger",
    ),
    (
        "2026-11-26T17:58:27.569Z\tFATAL\tno ledger\t{\"tenant\": 7}",
        FATAL,
        "FATAL",
        "",
        "no ledger\t{\"tenant\": 7}",
    ),
    (
        "2026-11-26T17:58:27Z FTL no ledger error=\"refused\"",
        FATAL,
        "FTL",
        "",
        "no ledger error=\"refused\"",
    ),
    ("5:58PM FTL no ledger", FATAL, "FTL", "", "no ledger"),
    ("2026-11-26 17:58:27.569123 E | etcdserver: no space", ERROR, "", "", "etcdserver: no space"),
    ("2026-11-26 17:58:27.569123 I | embed: ready", QUIET, "", "", "embed: ready"),
    (
        "2026-11-26T17:58:27.569123Z ERROR shop::ledger: no ledger tenant=7",
        ERROR,
        "ERROR",
        "",
        "no ledger tenant=7",
    ),
    (
        "2026-11-26T17:58:27.569123Z  WARN ThreadId(01) shop: slow",
        WARN,
        "WARN",
        "",
        "ThreadId(01) shop: slow",
    ),
    ("[2026-11-26T17:58:27Z ERROR shop::ledger] no ledger", ERROR, "ERROR", "", "no ledger"),
    ("Nov 26 17:58:27.569 CRIT no ledger, tenant: 7", FATAL, "CRIT", "", "no ledger, tenant: 7"),
];

#[test]
fn loggers_of_go_and_rust() {
    assert_rows(GO_AND_RUST);
}

const PYTHON_RUBY_AND_NODE: &[Row] = &[
    ("ERROR:root:no ledger", ERROR, "ERROR", "", "no ledger"),
    ("WARNING:shop.db:slow", WARN, "WARNING", "", "slow"),
    ("2026-11-26 17:58:27,569 - shop.db - ERROR - no ledger", ERROR, "ERROR", "", "no ledger"),
    ("2026-11-26 17:58:27,569 CRITICAL shop.db: no ledger", FATAL, "CRITICAL", "", "no ledger"),
    (
        "2026-11-26 17:58:27.569 | ERROR    | shop.db:dial:12 - no ledger",
        ERROR,
        "ERROR",
        "",
        "no ledger",
    ),
    (
        "[2026-11-26 17:58:27 +0000] [7] [ERROR] Exception in worker process",
        ERROR,
        "ERROR",
        "",
        "Exception in worker process",
    ),
    (
        "[2026-11-26 17:58:27,569: CRITICAL/MainProcess] Unrecoverable error",
        FATAL,
        "CRITICAL",
        "",
        "Unrecoverable error",
    ),
    (
        "[2026-11-26, 17:58:27 UTC] {taskinstance.py:1824} ERROR - Task failed",
        ERROR,
        "ERROR",
        "taskinstance.py:1824",
        "Task failed",
    ),
    (
        "ERROR:    Application startup failed. Exiting.",
        ERROR,
        "ERROR",
        "",
        "Application startup failed. Exiting.",
    ),
    (
        "INFO:     Uvicorn running on http://0.0.0.0:8000",
        QUIET,
        "INFO",
        "",
        "Uvicorn running on http://0.0.0.0:8000",
    ),
    (
        "E, [2026-11-26T17:58:27.569123 #7] ERROR -- shop: no ledger",
        ERROR,
        "",
        "",
        "shop: no ledger",
    ),
    ("W, [2026-11-26T17:58:27.569123 #7]  WARN -- : slow", WARN, "", "", "slow"),
    ("2026-11-26T17:58:27.569Z error: no ledger", ERROR, "error", "", "no ledger"),
    ("[17:58:27.569] FATAL (7): no ledger", FATAL, "FATAL", "", "no ledger"),
    ("[error] no ledger", ERROR, "error", "", "no ledger"),
    (
        "17:58:27.569 [error] GenServer Shop terminating",
        ERROR,
        "error",
        "",
        "GenServer Shop terminating",
    ),
];

#[test]
fn loggers_of_python_and_ruby_and_node() {
    assert_rows(PYTHON_RUBY_AND_NODE);
}

const SERVERS: &[Row] = &[
    ("2026/11/26 17:58:50 [error] 7#7: *3 open() failed", ERROR, "error", "", "*3 open() failed"),
    ("2026/11/26 17:58:50 [alert] 1#1: no sockets", FATAL, "alert", "", "no sockets"),
    (
        "2026/11/26 17:58:50 [notice] 1#1: start worker process 7",
        QUIET,
        "notice",
        "",
        "start worker process 7",
    ),
    (
        "[Thu Nov 26 18:00:00.123456 2026] [mpm_event:notice] [pid 7:tid 8] AH00489: ready",
        QUIET,
        "notice",
        "",
        "AH00489: ready",
    ),
    (
        "[Thu Nov 26 18:00:00 2026] [error] [client 10.0.0.1] no file",
        ERROR,
        "error",
        "",
        "[client 10.0.0.1] no file",
    ),
    (
        "2026-11-26 17:59:07.682 UTC [1] PANIC:  could not locate a valid checkpoint record",
        FATAL,
        "PANIC",
        "",
        "could not locate a valid checkpoint record",
    ),
    (
        "2026-11-26 17:59:07.682 UTC [61] postgres@shop ERROR:  relation \"a\" does not exist",
        ERROR,
        "ERROR",
        "",
        "relation \"a\" does not exist",
    ),
    (
        "2026-11-26 17:59:07.682 UTC [1] HINT:  Is another postmaster running?",
        QUIET,
        "HINT",
        "",
        "Is another postmaster running?",
    ),
    (
        "2026-11-26T17:59:07.682123Z 0 [ERROR] [MY-010119] [Server] Aborting",
        ERROR,
        "ERROR",
        "",
        "Aborting",
    ),
    ("2026-11-26 17:59:07 0 [ERROR] mariadbd: no space", ERROR, "ERROR", "", "mariadbd: no space"),
    (
        "1:C 26 Nov 2026 17:59:02.577 # Fatal error, can't open config file",
        WARN,
        "",
        "",
        "Fatal error, can't open config file",
    ),
    (
        "[ALERT]    (1) : config : parsing [/app/haproxy.cfg:7] : unknown keyword",
        FATAL,
        "ALERT",
        "",
        "config : parsing [/app/haproxy.cfg:7] : unknown keyword",
    ),
    ("<3>ledgerd[7]: no ledger", ERROR, "", "", "no ledger"),
    ("<11>no ledger", ERROR, "", "", "no ledger"),
    ("<0>no ledger", FATAL, "FATAL", "", "no ledger"),
    ("Nov 26 17:58:27 node1 ledgerd[7]: no ledger", None, "", "", "no ledger"),
    (
        "1795784386: Error: Unknown configuration variable \"lisener\".",
        ERROR,
        "Error",
        "",
        "Unknown configuration variable \"lisener\".",
    ),
    (
        "[1795784465] unbound[8:0] fatal error: no interfaces",
        FATAL,
        "fatal error",
        "",
        "no interfaces",
    ),
    ("[emerg] no file", FATAL, "emerg", "", "no file"),
    ("level=error ts=2026-11-26 no ledger", None, "", "", "level=error ts=2026-11-26 no ledger"),
];

#[test]
fn logs_of_servers_and_of_the_system() {
    assert_rows(SERVERS);
}

#[test]
fn a_line_without_a_prefix_stays_whole() {
    for line in [
        "[Errno 98] Address already in use",
        "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed",
        "[ledger] no such tenant",
        "{\"level\": \"error\"}",
        "error while loading shared libraries: libx.so: cannot open",
        "Error response from daemon: no",
        "Fatal Python",
        "Fine words",
        "c",
        "info",
        "10.0.0.1:8080: refused",
        "2 tenants are lost",
        "3.5 seconds are too long",
        "Mon repos",
        "May fail",
        "<nil> is no ledger",
        "<999>x",
        "-- begin",
        "# no",
        "[",
        "[]x[",
        "\u{2028}ERROR: x",
        "\tERROR: x",
    ] {
        let spoken = Spoken::new(line);
        assert_eq!((spoken.body, spoken.level), (line, None), "{line}");
        assert!(!spoken.has_prefix && spoken.label.is_empty() && spoken.place.is_none(), "{line}");
    }
}

#[test]
fn a_prefix_is_examined_only_so_far() {
    let threads = "[t-1] ".repeat(100);
    let line = format!("2026-11-26 17:58:27 {threads}ERROR no ledger");
    let spoken = Spoken::new(&line);
    assert_eq!(spoken.level, None);
    assert!(line.len() - spoken.body.len() < CAUSE_PREFIX_BYTES_MAX);
    // A multi-byte character where the examination ends is no fault.
    for bytes in 240..260 {
        let line = format!("2026-11-26 [{}é] ERROR x", "é".repeat(bytes / 2));
        assert!(line.ends_with(Spoken::new(&line).body), "{bytes}");
    }
}

#[test]
fn every_word_for_a_level_has_one_whatever_its_case() {
    for (words, level) in [
        ("fatal critical crit emerg emergency alert panic FTL FATA PNC DPANIC", FATAL),
        ("error err severe fail ERRO EROR", ERROR),
        ("warn warning WRN", WARN),
        ("info notice debug trace log hint detail verbose fine config audit", QUIET),
        ("ok ready errors fatally warned informations é 2", None),
    ] {
        for word in words.split(' ') {
            assert_eq!(level_of(word), level, "{word}");
            assert_eq!(level_of(&word.to_uppercase()), level, "{word}");
            assert_eq!(level_of(&word.to_lowercase()), level, "{word}");
        }
    }
    assert!(FATAL > ERROR && ERROR > WARN && WARN > QUIET && QUIET > None);
}
