//! Structured records: JSON and logfmt.

use super::*;
use crate::core::cause::prefix::Level;

/// A record, its cause in one line, its place, and its context.
type Row = (&'static str, &'static str, &'static str, &'static str);

#[track_caller]
fn assert_rows(rows: &[Row]) {
    let mut wrong = Vec::new();
    for (log, text, place, context) in rows {
        // On stdout nothing but the record's level speaks for it.
        let line = Line { stream: LogStream::Stdout, at_ms: None, text: log };
        let Some(cause) = find(&[line], 1, Source::Log) else {
            wrong.push(format!("{log} says nothing"));
            continue;
        };
        let said =
            (cause.text(), cause.location.unwrap_or_default(), cause.context.unwrap_or_default());
        if (&*said.0, &*said.1, &*said.2) != (*text, *place, *context) {
            wrong.push(format!("{log} says {said:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn records_of_go() {
    assert_rows(&[
        // zap, in production and with an error that has a stack.
        (
            r#"{"level":"fatal","ts":1795784307.1,"caller":"shop/main.go:21","msg":"no ledger","error":"dial tcp: refused"}"#,
            "no ledger: dial tcp: refused",
            "shop/main.go:21",
            "",
        ),
        (
            r#"{"level":"error","ts":1795784307.1,"caller":"shop/main.go:21","msg":"no ledger","error":"refused","stacktrace":"main.dial\n\t/app/main.go:9\nmain.main\n\t/app/main.go:21"}"#,
            "no ledger: refused",
            "main.go:9 in main.dial",
            "",
        ),
        (r#"{"level":"dpanic","ts":1,"msg":"key without a value"}"#, "key without a value", "", ""),
        // logrus, zerolog, slog.
        (
            r#"{"error":"refused","level":"fatal","msg":"no ledger","time":"2026-11-26T17:52:29Z"}"#,
            "no ledger: refused",
            "",
            "",
        ),
        (
            r#"{"level":"fatal","error":"refused","time":"2026-11-26T17:52:29Z","message":"no ledger"}"#,
            "no ledger: refused",
            "",
            "",
        ),
        (
            r#"{"time":"2026-11-26T17:52:29Z","level":"ERROR","source":{"function":"main.dial","file":"/app/main.go","line":9},"msg":"no ledger","err":"refused"}"#,
            "no ledger: refused",
            "main.go:9 in main.dial",
            "",
        ),
        (
            r#"time=2026-11-26T17:52:31.497Z level=ERROR source=/app/main.go:9 msg="no ledger" err="dial tcp: refused" after=3s"#,
            "no ledger: dial tcp: refused",
            "main.go:9",
            "",
        ),
        (
            r#"level=error ts=2026-11-26T17:52:31.497Z caller=main.go:9 err="opening \"/data\": denied""#,
            r#"opening "/data": denied"#,
            "main.go:9",
            "",
        ),
        (
            r#"ts=2026-11-26T17:52:31.497Z caller=main.go:9 level=error msg=stopping"#,
            "stopping",
            "main.go:9",
            "",
        ),
    ]);
}

#[test]
fn records_of_node() {
    assert_rows(&[
        // pino and bunyan have numbers for levels.
        (
            r#"{"level":60,"time":1795784307,"pid":1,"err":{"type":"LeaseLost","message":"lease 7","stack":"LeaseLost: lease 7\n    at renew (/app/app.js:4:9)\n    at node:internal/main:1:1"},"msg":"renewal failed"}"#,
            "LeaseLost: lease 7",
            "app.js:4 in renew",
            "renewal failed",
        ),
        (
            r#"{"level":50,"time":1795784307,"pid":1,"msg":"renewal failed"}"#,
            "renewal failed",
            "",
            "",
        ),
        (
            r#"{"name":"shop","pid":1,"level":60,"err":{"message":"no partitions","name":"RangeError","stack":"RangeError: no partitions\n    at bind (/app/app.js:3:9)"},"msg":"no partitions","v":0}"#,
            "RangeError: no partitions",
            "app.js:3 in bind",
            "no partitions",
        ),
        // winston.
        (
            r#"{"level":"error","message":"no shard","stack":"TypeError: no shard\n    at pick (/app/app.js:3:9)"}"#,
            "TypeError: no shard",
            "app.js:3 in pick",
            "no shard",
        ),
        (r#"{"level":"error","message":"no shard","timestamp":"2026-11-26"}"#, "no shard", "", ""),
    ]);
}

#[test]
fn records_of_python() {
    assert_rows(&[
        // structlog, with the trace as text and as frames.
        (
            r#"{"event":"boot failed","level":"critical","exception":"Traceback (most recent call last):\n  File \"/app/app.py\", line 12, in load\n    x\nKeyError: 'A'"}"#,
            "KeyError: 'A'",
            "app.py:12 in load",
            "boot failed",
        ),
        (
            r#"{"event":"boot failed","level":"error","exception":[{"exc_type":"KeyError","exc_value":"'A'","frames":[{"filename":"/app/app.py","lineno":20,"name":"main"},{"filename":"/app/app.py","lineno":12,"name":"load"}]}]}"#,
            "KeyError: 'A'",
            "app.py:12 in load",
            "boot failed",
        ),
        // python-json-logger.
        (
            r#"{"levelname":"ERROR","message":"boot failed","exc_info":"Traceback (most recent call last):\n  File \"/app/app.py\", line 12, in load\n    x\nKeyError: 'A'"}"#,
            "KeyError: 'A'",
            "app.py:12 in load",
            "boot failed",
        ),
        // The sentence itself is the trace, as Google Cloud's logging wants it.
        (
            r#"{"severity":"ERROR","message":"Traceback (most recent call last):\n  File \"/app/app.py\", line 12, in load\n    x\nKeyError: 'A'"}"#,
            "KeyError: 'A'",
            "app.py:12 in load",
            "",
        ),
    ]);
}

#[test]
fn records_of_the_jvm_and_of_dotnet() {
    assert_rows(&[
        // logstash-logback-encoder.
        (
            r#"{"@timestamp":"2026-11-26","level":"ERROR","message":"loop died","logger_name":"c.x.Main","stack_trace":"java.io.UncheckedIOException: copy\n\tat com.x.Main.copy(Main.java:10)\nCaused by: java.io.EOFException: short read\n\tat com.x.Main.read(Main.java:4)\n\t... 1 more"}"#,
            "java.io.EOFException: short read",
            "Main.java:4 in com.x.Main.read",
            "java.io.UncheckedIOException: copy",
        ),
        // log4j2's JsonLayout, with the cause as an object.
        (
            r#"{"level":"FATAL","loggerName":"c.x.Main","message":"loop died","thrown":{"name":"com.x.BootException","message":"no boot","cause":{"name":"java.io.EOFException","message":"short read","extendedStackTrace":[{"class":"com.x.Main","method":"read","file":"Main.java","line":4}]},"extendedStackTrace":[{"class":"com.x.Main","method":"boot","file":"Main.java","line":10}]}}"#,
            "java.io.EOFException: short read",
            "Main.java:4 in com.x.Main.read",
            "loop died",
        ),
        // Elastic's common schema.
        (
            r#"{"log.level":"ERROR","message":"loop died","error.type":"java.io.EOFException","error.message":"short read","error.stack_trace":"java.io.EOFException: short read\n\tat com.x.Main.read(Main.java:4)"}"#,
            "java.io.EOFException: short read",
            "Main.java:4 in com.x.Main.read",
            "loop died",
        ),
        // GELF has syslog's severities.
        (
            r#"{"version":"1.1","host":"a","level":3,"short_message":"loop died"}"#,
            "loop died",
            "",
            "",
        ),
        // Serilog's compact form.
        (
            r#"{"@t":"2026-11-26","@m":"basket failed","@l":"Error","@x":"System.InvalidOperationException: bad\n   at Shop.Basket.Total(Int32 n) in /src/Basket.cs:line 31"}"#,
            "System.InvalidOperationException: bad",
            "Basket.cs:31 in Shop.Basket.Total",
            "basket failed",
        ),
    ]);
}

#[test]
fn of_nested_errors_the_innermost_tells() {
    assert_rows(&[
        (
            r#"{"level":"fatal","msg":"boot","err":{"type":"BootError","message":"no boot","cause":{"type":"LeaseError","message":"no lease","cause":{"type":"NetError","message":"refused"}}}}"#,
            "NetError: refused",
            "",
            "boot",
        ),
        (
            r#"{"level":"fatal","msg":"boot","errors":[{"type":"LeaseError","message":"no lease"}]}"#,
            "LeaseError: no lease",
            "",
            "boot",
        ),
        // What is no error is not looked into.
        (
            r#"{"level":"fatal","msg":"boot","request":{"error":{"type":"NetError","message":"refused"}}}"#,
            "boot",
            "",
            "",
        ),
    ]);
    // Deeper ones are not read, and that is no fault.
    let deep = (0..200).fold(r#"{"type":"DeepError","message":"deep"}"#.to_owned(), |inner, n| {
        format!(r#"{{"type":"E{n}Error","message":"m{n}","cause":{inner}}}"#)
    });
    let log = format!(r#"{{"level":"fatal","msg":"boot","err":{deep}}}"#);
    // serde_json refuses what is nested deeper than 128 times.
    let cause = find(&stderr(&log), 1, Source::Log);
    assert!(cause.is_none_or(|cause| !cause.text().contains("deep")));
    let deep = (0..20).fold(r#"{"type":"DeepError","message":"deep"}"#.to_owned(), |inner, n| {
        format!(r#"{{"type":"E{n}Error","message":"m{n}","cause":{inner}}}"#)
    });
    let log = format!(r#"{{"level":"fatal","msg":"boot","err":{deep}}}"#);
    let (text, _) = said(&log, 1).unwrap();
    assert!(text.starts_with('E') && !text.contains("deep"), "{text}");
}

#[test]
fn a_level_is_a_word_or_a_number_under_one_of_its_names() {
    let level = record::level;
    for (text, want) in [
        (r#"{"level":"fatal"}"#, Some(Level::Fatal)),
        (r#"{"lvl":"crit"}"#, Some(Level::Fatal)),
        (r#"{"SEVERITY":"EMERGENCY"}"#, Some(Level::Fatal)),
        (r#"{"level":60}"#, Some(Level::Fatal)),
        (r#"{"level":2}"#, Some(Level::Fatal)),
        (r#"{"levelname":"ERROR"}"#, Some(Level::Error)),
        (r#"{"log.level":"error"}"#, Some(Level::Error)),
        (r#"{"@l":"Error"}"#, Some(Level::Error)),
        (r#"{"level":50}"#, Some(Level::Error)),
        (r#"{"level":3}"#, Some(Level::Error)),
        (r#"{"level":40}"#, Some(Level::Warn)),
        (r#"{"level":4}"#, Some(Level::Warn)),
        (r#"{"level":"warning"}"#, Some(Level::Warn)),
        (r#"{"level":30}"#, Some(Level::Quiet)),
        (r#"{"level":"info","msg":"panic: fatal"}"#, Some(Level::Quiet)),
        // The first member that has one counts.
        (r#"{"s":"7f21","level":"error"}"#, Some(Level::Error)),
        (r#"{"level":"error","severity":"info"}"#, Some(Level::Error)),
        // A record without a level says nothing of an error.
        (r#"{"msg":"fatal"}"#, Some(Level::Quiet)),
        (r#"{}"#, Some(Level::Quiet)),
        (r#"{"level":null}"#, Some(Level::Quiet)),
        (r#"{"level":["error"]}"#, Some(Level::Quiet)),
        ("level=error msg=x", Some(Level::Error)),
        ("time=1 level=fatal", Some(Level::Fatal)),
        ("ts=1 lvl=info msg=\"level=error\"", Some(Level::Quiet)),
        // These are no records.
        (r#"{"level":"fatal","msg":"cut of"#, None),
        (r#"{"level":"fatal","msg":"cut of}"#, None),
        (r#"{"level":"fatal"} and more"#, None),
        (r#"{level: fatal}"#, None),
        (r#"["level","fatal"]"#, None),
        ("a=1 b=2", None),
        ("no level=error", None),
        ("=error level=error", None),
        ("{", None),
        ("", None),
    ] {
        assert_eq!(level(text), want, "{text}");
    }
}

#[test]
fn a_record_that_is_cut_or_of_a_quiet_level_says_nothing() {
    for log in [
        r#"{"level":"info","err":{"type":"KeyError","message":"x"}}"#,
        r#"{"level":"warn","err":{"type":"KeyError","message":"x"},"msg":"x"}"#,
        r#"{"level":"fatal","msg":"cut of"#,
        r#"{"level":"fatal","msg":""}"#,
        r#"{"level":"fatal"}"#,
        "level=info err=refused",
        "level=error",
    ] {
        let line = Line { stream: LogStream::Stdout, at_ms: None, text: log };
        assert_eq!(find(&[line], 1, Source::Log), None, "{log}");
    }
}

#[test]
fn escapes_and_other_alphabets_in_a_record_are_read() {
    assert_rows(&[
        (
            r#"{"level":"fatal","msg":"kein \"Lager\" f\u00fcr \u2603"}"#,
            r#"kein "Lager" für ☃"#,
            "",
            "",
        ),
        (r#"level=fatal msg="a\tb\\c \"d\"" x=1"#, r#"a b\c "d""#, "", ""),
        (r#"level=fatal msg="never ends"#, "never ends", "", ""),
    ]);
}

#[test]
fn the_newest_of_many_records_counts() {
    let mut log = String::new();
    for n in 0..100 {
        log.push_str(&format!(
            "{{\"level\":\"error\",\"msg\":\"sync failed\",\"err\":{{\"type\":\"SyncError\",\"message\":\"round {n}\"}}}}\n"
        ));
    }
    assert_eq!(said(&log, 1).unwrap().0, "SyncError: round 99");
    log.push_str("{\"level\":\"info\",\"msg\":\"bye\"}");
    assert_eq!(said(&log, 1).unwrap().0, "SyncError: round 99");
}

#[test]
fn a_level_within_log_counts_and_without_one_an_error_does() {
    assert_rows(&[
        // Elastic's common schema, nested and with dots.
        (
            r#"{"log":{"level":"ERROR","logger":"a"},"message":"no ledger","error":{"type":"java.io.IOException","message":"disk gone"}}"#,
            "java.io.IOException: disk gone",
            "",
            "no ledger",
        ),
        (
            r#"{"log.level":"ERROR","message":"no ledger","error.type":"java.io.IOException","error.message":"disk gone"}"#,
            "java.io.IOException: disk gone",
            "",
            "no ledger",
        ),
        // Python's stack without a headline: the newest call is the last one.
        (
            r#"{"log.level":"error","message":"loop died","error":{"message":"'ord-1'","stack_trace":"  File \"/app/a.py\", line 15, in <module>\n    f()\n  File \"/app/a.py\", line 11, in charge\n    return x\n","type":"KeyError"}}"#,
            "KeyError: 'ord-1'",
            "a.py:11 in charge",
            "loop died",
        ),
        (
            r#"{"ts":1,"msg":"start failed","err":"open /etc/x: no such file"}"#,
            "start failed: open /etc/x: no such file",
            "",
            "",
        ),
        (r#"ts=1 msg="start failed" err="no such file""#, "start failed: no such file", "", ""),
    ]);
    for quiet in [
        r#"{"ts":1,"msg":"no failure","err":""}"#,
        r#"{"ts":1,"msg":"no failure","error":null}"#,
        r#"{"ts":1,"msg":"no failure","error":0}"#,
        r#"{"level":"info","msg":"retry","err":"refused"}"#,
        r#"ts=1 msg="no failure" err="""#,
        r#"level=info msg="retry" err=refused"#,
        r#"{"log":"level","msg":"x"}"#,
    ] {
        let line = Line { stream: LogStream::Stdout, at_ms: None, text: quiet };
        assert_eq!(find(&[line], 1, Source::Log), None, "{quiet}");
    }
}
