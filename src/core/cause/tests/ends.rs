//! What a program got over, and what ended it: the lines in time, on both streams.

use super::*;

/// A log that is being written.
#[derive(Clone, Default)]
struct Log {
    lines: Vec<(LogStream, i64, String)>,
    now_ms: i64,
}

impl Log {
    fn say(mut self, stream: LogStream, text: &str) -> Self {
        self.lines.extend(text.lines().map(|text| (stream, self.now_ms, text.to_owned())));
        self
    }

    fn out(self, text: &str) -> Self {
        self.say(LogStream::Stdout, text)
    }

    fn err(self, text: &str) -> Self {
        self.say(LogStream::Stderr, text)
    }

    fn wait(mut self, seconds: i64) -> Self {
        self.now_ms += 1000 * seconds;
        self
    }

    /// Writes so many lines of progress to stdout, one each so many seconds.
    fn work(mut self, lines: usize, seconds: i64) -> Self {
        for n in 0..lines {
            self = self
                .wait(seconds)
                .out(&format!("2026-11-26T10:00:00Z INFO request {n} served in 3 ms"));
        }
        self
    }

    /// Returns what the log says: as the runtime writes it, and as text without times.
    fn says(&self, exit_code: i32) -> [Option<(String, Option<String>)>; 2] {
        [true, false].map(|is_timed| {
            let line = |(stream, at_ms, text): &'_ (LogStream, i64, String)| Line {
                stream: *stream,
                at_ms: is_timed.then_some(*at_ms),
                text: text.clone().leak(),
            };
            let lines: Vec<Line<'_>> = self.lines.iter().map(line).collect();
            text_of(&lines, exit_code)
        })
    }

    #[track_caller]
    fn is_about(&self, words: &str) {
        for said in self.says(1) {
            let said = said.unwrap_or_else(|| panic!("nothing instead of {words}"));
            assert!(said.0.contains(words), "{said:?} instead of {words}");
        }
    }

    #[track_caller]
    fn is_about_nothing(&self) {
        assert_eq!(self.says(1), [None, None]);
    }
}

const LOGGED: &str = "2026-11-26T10:00:00Z ERROR poll failed
java.io.IOException: broken pipe
\tat com.acme.Poll.run(Poll.java:12)";

#[test]
fn words_on_stderr_count_near_the_end_of_both_streams() {
    let log = Log::default().err("Picked up JAVA_TOOL_OPTIONS: -Xmx64m");
    log.work(CAUSE_ERROR_WITHIN_LINES, 1).is_about_nothing();
    let denied = "ledger: cannot open /data/ledger.db: Permission denied";
    let log = Log::default().work(40, 1).err(denied);
    log.clone().work(3, 1).is_about("Permission denied");
    // What a program kept for stdout is written at its end.
    let flushed = log.work(40, 0);
    assert!(flushed.says(1)[0].is_some() && flushed.says(1)[1].is_none());
    // A busy program writes as much in a moment, to the stream that the error is on.
    let busy = Log::default().out("2026-11-26T10:00:00Z ERROR cannot reach 10.0.0.1: timeout");
    busy.work(CAUSE_ERROR_WITHIN_LINES, 0).is_about_nothing();
}

#[test]
fn a_crash_after_which_the_program_lived_on_is_not_why_it_ended() {
    let log = Log::default().err(TRACEBACK);
    log.clone().work(3, 1).is_about("KeyError: 'tray'");
    log.clone().work(CAUSE_CRASH_WITHIN_LINES - 1, 1).is_about("KeyError: 'tray'");
    let long = log.clone().work(CAUSE_CRASH_WITHIN_LINES, 1);
    long.is_about_nothing();
    assert!(long.err("app: broker not found").says(1)[0].as_ref().unwrap().0.contains("broker"));
    // A program that ends writes what it kept.
    assert!(log.work(CAUSE_CRASH_WITHIN_LINES, 0).says(1)[0].is_some());
}

#[test]
fn a_handled_error_is_not_why_another_one_came_later() {
    for last in ["FATAL licence /etc/licence has expired", "ERROR licence /etc/licence has expired"]
    {
        let last = format!("2026-11-26T10:01:00Z {last}");
        let log = Log::default().out(LOGGED);
        log.clone().work(CAUSE_WORK_LINES, 1).out(&last).is_about("licence");
        // Within one moment a few lines tell of the end.
        log.clone().work(1, 0).out(&last).is_about("broken pipe");
        assert!(log.work(1, 5).out(&last).says(1)[0].as_ref().unwrap().0.contains("licence"));
    }
    // These words have no reason of their own.
    for last in ["ERROR Application run failed", "FATAL giving up"] {
        let last = format!("2026-11-26T10:01:00Z {last}");
        Log::default().out(LOGGED).work(20, 1).out(&last).is_about("broken pipe");
    }
}

#[test]
fn errors_with_progress_between_them_are_not_one() {
    let first = "2026-11-26T10:00:00Z ERROR cache miss of key a: not reachable";
    let second = "2026-11-26T10:00:09Z ERROR licence expired: /etc/licence";
    Log::default().out(first).work(1, 0).out(second).is_about("licence");
    Log::default().out(first).out(second).is_about("cache miss");
    // Seconds between them tell the same, where there are times.
    let apart = Log::default().out(first).wait(5).out(second);
    assert!(apart.says(1)[0].as_ref().unwrap().0.contains("licence"));
    let bind = "2026-11-26T10:00:00Z ERROR cannot bind port 80: in use";
    for end in ["shutting down", "closing the pool", "shutdown of 3 workers"] {
        let log = Log::default().out(bind).out(&format!("2026-11-26T10:00:00Z INFO {end}"));
        log.out("2026-11-26T10:00:00Z ERROR server stopped").is_about("cannot bind");
    }
}

#[test]
fn who_was_asked_to_stop_did_not_end_of_an_earlier_error() {
    let error = "2026-11-26T10:00:00Z ERROR cannot refresh token: timeout";
    for asked in [
        "2026-11-26T10:00:10Z INFO received SIGTERM, graceful shutdown",
        "Received signal 15, shutting down",
        "2026/11/26 10:00:10 signal terminated, draining",
        "caught SIGINT",
    ] {
        let log = Log::default().out(error).wait(1).out(asked);
        log.out("2026-11-26T10:00:10Z INFO closed").is_about_nothing();
        let log = Log::default().out("2026-11-26T10:00:00Z INFO up").wait(1).out(asked);
        log.out("2026-11-26T10:00:11Z ERROR cannot flush: disk full").is_about("disk full");
    }
    for others in [
        "child 7 was terminated by signal 15",
        "INFO registering the handler of SIGTERM",
        "press Ctrl-C to send an interrupt signal",
    ] {
        Log::default().out(error).wait(1).out(others).is_about("cannot refresh token");
    }
    // A supervisor stops the others, and a program may send the signal to itself.
    let log = Log::default().err("web.1: cannot open /etc/x.conf").wait(1);
    log.out("sending SIGTERM to all processes").is_about("x.conf");
    let own = Log::default().err(TRACEBACK).out("SIGTERM received, closing");
    own.is_about("KeyError: 'tray'");
}

#[test]
fn gos_http_server_survives_the_panic_of_a_request() {
    let panic = "2026/11/26 10:00:00 http: panic serving 10.0.0.1:1234: runtime error: index out of range [5]
goroutine 35 [running]:
net/http.(*conn).serve.func1()
\t/usr/local/go/src/net/http/server.go:1801 +0x12
panic({0x6a2b20?, 0xc0000b8000?})
\t/usr/local/go/src/runtime/panic.go:884 +0x1f
main.handle({0x75d0a8, 0xc000140000}, 0xc000134000)
\t/app/main.go:20 +0x1d";
    let log = Log::default().err(panic).wait(1).err("2026/11/26 10:00:01 request served");
    let later = log.err("2026/11/26 10:00:01 another one").wait(1);
    later.is_about_nothing();
    later.err("2026/11/26 10:00:09 lease of a lost: deadline exceeded").is_about("lease of a lost");
    // A call is no sentence.
    let end = Log::default().err(panic);
    end.is_about("http: panic serving 10.0.0.1:1234: runtime error: index out of range [5]");
    assert_eq!(end.says(2)[0].as_ref().unwrap().1.as_deref(), Some("main.go:20 in main.handle"));
}

#[test]
fn on_stdout_the_last_plain_line_counts_if_it_speaks_of_a_failure() {
    let log = Log::default().out("request 1 served").out("request 2 served").wait(1);
    let refused = log.clone().out("could not reach 10.0.0.1:5432: connection refused");
    refused.is_about("connection refused");
    refused.wait(1).out("request 3 served").is_about_nothing();
    log.clone().out("all 5 jobs done").is_about_nothing();
    log.clone().out("host: ok=5 failed=0").is_about_nothing();
    let memory = log.out("Terminating due to java.lang.OutOfMemoryError: Java heap space");
    memory.is_about("java.lang.OutOfMemoryError: Java heap space");
}

#[test]
fn what_ran_the_program_tells_less_than_the_program() {
    for wrapped in [
        "npm ERR! code ELIFECYCLE\nnpm ERR! errno 1\nnpm ERR! Failed at the shop@1.0.0 start script.",
        "npm error Lifecycle script `start` failed with error:\nnpm error code 1\nnpm error path /app",
        "error Command failed with exit code 1.",
        "make: *** [Makefile:4: run] Error 2",
    ] {
        let log = Log::default().err("ledger.db has vanished").err(wrapped);
        log.is_about("ledger.db has vanished");
    }
    Log::default().err("npm error Missing script: \"start\"").is_about("Missing script");
}

#[test]
fn a_heading_and_a_warning_are_no_cause() {
    let redis = "*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\nReading the configuration file, at line 4\n>>> \
                 'maxmemory-policy foo'\nargument(s) must be one of the following: volatile-lru";
    Log::default().err(redis).is_about("argument(s) must be one of the following");
    let warned =
        "/app/a.py:3: DeprecationWarning: error_handler is deprecated\n  warnings.warn(\"x\")";
    Log::default().err(warned).is_about_nothing();
}

#[test]
fn a_fatal_line_is_fatal_whatever_words_it_has() {
    for words in ["unknown key \"retrying\"", "this may not be ignored: --x", "will retry no more"]
    {
        Log::default().out(&format!("2026-11-26T10:00:00Z FATAL {words}")).is_about(words);
    }
}

#[test]
fn the_place_is_not_that_of_the_next_line() {
    let log = Log::default()
        .err("E1126 10:00:00.000000       1 main.go:10] cannot open ledger")
        .err("E1126 10:00:00.000001       1 other.go:99] bye");
    assert_eq!(log.says(1)[0].as_ref().unwrap().1.as_deref(), Some("main.go:10"));
    let log = Log::default()
        .out("2026-11-26T10:00:00Z ERROR cannot open ledger")
        .out("2026-11-26T10:00:00Z ERROR other.go:99: bye");
    assert_eq!(log.says(1)[0].as_ref().unwrap().1, None);
}

#[test]
fn a_headline_of_the_trace_behind_it_does_not_end_the_one_before() {
    let traces = "poll failed, retrying\njava.net.ConnectException: refused\n\tat com.x.Main.poll(Main.java:3)\nException in \
                  thread \"main\" java.lang.ClassCastException: no Integer\n\tat com.x.Main.rate(Main.java:4)";
    let said = Log::default().err(traces).says(1)[0].clone().unwrap();
    assert_eq!(said.1.as_deref(), Some("Main.java:4 in com.x.Main.rate"));
}

#[test]
fn the_place_in_a_drawn_box_is_that_of_its_headline() {
    let drawn = "╷\n│ Error: Unsupported argument\n│ \n│   on main.tf line 50, in resource \"a\" \"b\":\n│   50:   versionning = \
                 true\n╵";
    let said = Log::default().err(drawn).says(1)[0].clone().unwrap();
    assert_eq!((&*said.0, said.1.as_deref()), ("Error: Unsupported argument", Some("main.tf:50")));
}

#[test]
fn erlang_ends_with_a_term() {
    let end = "init terminating in do_boot ({{badmatch,{error,enoent}},[{init,do_boot,3,[]}]})\n\nCrash dump is being \
               written to: erl_crash.dump...done";
    Log::default().out("up").err(end).is_about("{badmatch,{error,enoent}}");
}

#[test]
fn a_message_with_many_lines_below_it_keeps_its_place() {
    let missing = format!(
        "lua5.4: app.lua:1: module 'cjson' not found:\n{}stack traceback:\n\t[C]: in function 'require'\n\tapp.lua:1: in \
         main chunk\n\t[C]: in ?",
        "\tno file './cjson.lua'\n".repeat(20)
    );
    let said = Log::default().err(&missing).says(1)[0].clone().unwrap();
    assert_eq!(said.1.as_deref(), Some("app.lua:1 in main chunk"));
}

#[test]
fn nets_logger_writes_the_error_below_its_line() {
    let crit = "crit: Microsoft.AspNetCore.Hosting.Diagnostics[6]\n      Application startup exception\n      \
                System.IO.IOException: Failed to bind to address http://[::]:9000: address already in use.\n       ---> \
                System.Net.Sockets.SocketException (98): Address already in use\n         at \
                System.Net.Sockets.Socket.DoBind(EndPoint a)\n         --- End of inner exception stack trace ---\n         at \
                Program.<Main>$(String[] args) in /src/Api/Program.cs:line 33";
    let said = Log::default().out(crit).says(1)[0].clone().unwrap();
    assert!(said.0.contains("Address already in use"), "{said:?}");
    assert_eq!(said.1.as_deref(), Some("Api/Program.cs:33 in Program.<Main>$"));
}

#[test]
fn a_try_that_is_not_the_last_one_is_no_cause() {
    for (line, is_told) in [
        ("connect: refused, retry 3/5", false),
        ("connect: refused, retry 5/5", true),
        ("attempt 1 of 3 failed", false),
        ("attempt 3 of 3 failed", true),
        ("retry limit reached", true),
        ("no key, ignored", false),
        ("ignoring the key", false),
        ("0 errors, 3 warnings", false),
        ("checked 8 files: 0 failed", false),
        ("10 errors, 3 warnings", true),
        ("port 8080 failed", true),
        ("the key, ignored or not, is damaged", true),
    ] {
        let log = Log::default().out(&format!("2026-11-26T10:00:00Z ERROR {line}"));
        assert_eq!(log.says(1)[0].is_some(), is_told, "{line}");
    }
}
