//! The rows of stack traces.

use crate::core::cause::frame::{Row, row, undecorated};

/// Returns a row in one word: the frame's file, line and function, and `foreign` if it is not the application's.
fn told(text: &str) -> String {
    match row(text) {
        Row::Frame(frame) => {
            let foreign = if frame.is_foreign { "foreign" } else { "" };
            let place = format!("{}:{}", frame.place.file, frame.place.line);
            let words = [&place, frame.function, foreign];
            words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
        }
        Row::Function(function) => format!("function {function}"),
        Row::Filler => "filler".to_owned(),
        Row::Other => "other".to_owned(),
    }
}

#[track_caller]
fn assert_rows(rows: &[(&str, &str)]) {
    let told = rows.iter().map(|(text, want)| (text, told(text), want));
    let wrong: Vec<String> = told
        .filter(|(_, have, want)| have != **want)
        .map(|(text, have, want)| format!("{text:?} is {have:?}, not {want:?}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn frames_of_python() {
    assert_rows(&[
        ("  File \"/app/app.py\", line 7, in charge", "/app/app.py:7 charge"),
        ("  File \"/app/app.py\", line 9, in <module>", "/app/app.py:9 <module>"),
        ("  File \"/app/app.py\", line 7 in decode", "/app/app.py:7 decode"),
        ("  File \"/app/app.py\", line 3", "/app/app.py:3"),
        (
            "  File \"<frozen importlib._bootstrap>\", line 4, in _find",
            "<frozen importlib._bootstrap>:4 _find foreign",
        ),
        (
            "  File \"/usr/local/lib/python3.11/json/decoder.py\", line 5, in decode",
            "/usr/local/lib/python3.11/json/decoder.py:5 decode foreign",
        ),
        (
            "  File \"/app/venv/lib64/site-packages/a/b.py\", line 5, in c",
            "/app/venv/lib64/site-packages/a/b.py:5 c foreign",
        ),
        ("  [Previous line repeated 996 more times]", "filler"),
        ("    ~~^^^~~", "filler"),
    ]);
}

#[test]
fn frames_of_the_jvm() {
    assert_rows(&[
        ("\tat com.x.Main.copy(Main.java:10)", "Main.java:10 com.x.Main.copy"),
        ("\tat com.x.Main.main(Main.java)", "function com.x.Main.main(Main.java)"),
        (
            "\tat java.base/java.util.ArrayList.get(ArrayList.java:427)",
            "ArrayList.java:427 java.util.ArrayList.get foreign",
        ),
        ("\tat app//com.x.Main.copy(Main.java:10)", "Main.java:10 com.x.Main.copy"),
        ("\tat com.x.Main$Inner.<init>(Main.java:10)", "Main.java:10 com.x.Main$Inner.<init>"),
        ("\tat com.x.MainKt.main(Main.kt:3)", "Main.kt:3 com.x.MainKt.main"),
        (
            "\tat com.x.Main.lambda$run$0(Main.java:10) ~[app.jar!/:1.0]",
            "Main.java:10 com.x.Main.lambda$run$0 foreign",
        ),
        (
            "\tat org.springframework.boot.SpringApplication.run(SpringApplication.java:317)",
            "SpringApplication.java:317 org.springframework.boot.SpringApplication.run foreign",
        ),
        (
            "\tat java.base/jdk.internal.reflect.DirectMethodHandleAccessor.invoke(Unknown Source)",
            "function java.base/jdk.internal.reflect.DirectMethodHandleAccessor.invoke(Unknown Source)",
        ),
        ("\t... 12 more", "filler"),
        ("\t... 12 common frames omitted", "filler"),
    ]);
}

#[test]
fn frames_of_javascript() {
    assert_rows(&[
        ("    at connect (/app/db.js:2:29)", "/app/db.js:2 connect"),
        ("    at async Server.open (/app/db.js:2:29)", "/app/db.js:2 Server.open"),
        ("    at async /app/db.js:2:29", "/app/db.js:2"),
        ("    at /app/db.js:2:29", "/app/db.js:2"),
        ("    at file:///app/db.mjs:2:29", "/app/db.mjs:2"),
        ("    at open (file:///app/db.mjs:2:29)", "/app/db.mjs:2 open"),
        ("    at Object.<anonymous> (/app/server.js:3:1)", "/app/server.js:3"),
        (
            "    at Module._compile (node:internal/modules/cjs/loader:1521:14)",
            "node:internal/modules/cjs/loader:1521 Module._compile foreign",
        ),
        (
            "    at new Pool (/app/node_modules/pg/lib/pool.js:9:1)",
            "/app/node_modules/pg/lib/pool.js:9 new Pool foreign",
        ),
        (
            "    at Server.setupListenHandle [as _listen2] (node:net:1908:16)",
            "node:net:1908 Server.setupListenHandle [as _listen2] foreign",
        ),
        ("    at ext:core/00_infra.js:9:1", "ext:core/00_infra.js:9 foreign"),
        ("  code: 'EADDRINUSE',", "filler"),
        ("}", "filler"),
        ("Require stack:", "filler"),
        ("- /app/server.js", "filler"),
    ]);
}

#[test]
fn frames_of_ruby_php_perl_and_lua() {
    assert_rows(&[
        ("\tfrom app.rb:10:in `<main>'", "app.rb:10 <main>"),
        ("\tfrom app.rb:10:in 'Ledger#post'", "app.rb:10 Ledger#post"),
        ("\tfrom app.rb:10:in `block in boot'", "app.rb:10 boot"),
        (
            "\tfrom /usr/local/lib/ruby/3.2.0/socket.rb:3:in `open'",
            "/usr/local/lib/ruby/3.2.0/socket.rb:3 open foreign",
        ),
        (
            "\tfrom /app/vendor/bundle/gems/pg-1.5/lib/pg.rb:3:in `open'",
            "/app/vendor/bundle/gems/pg-1.5/lib/pg.rb:3 open foreign",
        ),
        ("app.rb:10:in `boot'", "app.rb:10 boot"),
        ("#0 /app/app.php(13): Shop\\reserve()", "/app/app.php:13 Shop\\reserve"),
        ("#1 {main}", "function {main}"),
        ("\tmain::rate(\"GX\") called at app.pl line 5", "app.pl:5 main::rate"),
        ("\tapp.lua:3: in function 'charge'", "app.lua:3 charge"),
        ("\tapp.lua:3: in function <app.lua:1>", "app.lua:3 <app.lua:1>"),
        ("\tapp.lua:10: in main chunk", "app.lua:10 main chunk"),
        ("\t[C]: in ?", "filler"),
    ]);
}

#[test]
fn frames_of_go_rust_and_c() {
    assert_rows(&[
        ("\t/app/main.go:16 +0x79", "/app/main.go:16"),
        ("\t/app/main.go:10", "/app/main.go:10"),
        (
            "\t/usr/local/go/src/runtime/panic.go:860 +0x13a",
            "/usr/local/go/src/runtime/panic.go:860 foreign",
        ),
        ("\t/root/go/pkg/mod/a.b/c@v1/d.go:8 +0x1", "/root/go/pkg/mod/a.b/c@v1/d.go:8 foreign"),
        ("   3: orders::post", "function orders::post"),
        ("             at ./src/main.rs:9:5", "./src/main.rs:9"),
        (
            "             at /rustc/5980/library/std/src/panicking.rs:689:5",
            "/rustc/5980/library/std/src/panicking.rs:689 foreign",
        ),
        ("    #0 0x5597e2ead22f in amount /app/ledgerd.c:10", "/app/ledgerd.c:10 amount"),
        (
            "    #0 0x5597e2ead22f in amount(int) /app/ledgerd.cpp:10:3",
            "/app/ledgerd.cpp:10 amount",
        ),
        (
            "    #1 0x7ff4 in __libc_start_call_main ../sysdeps/nptl/libc_start_call_main.h:58",
            "../sysdeps/nptl/libc_start_call_main.h:58 __libc_start_call_main foreign",
        ),
        (
            "    #2 0x5597e2 in _start (/app/ledgerd+0x10c0)",
            "function _start (/app/ledgerd+0x10c0)",
        ),
        ("#0  0x00007f in raise () from /lib/libc.so.6", "function raise () from /lib/libc.so.6"),
        ("    @     0x7f83 google::LogMessage::Fail()", "other"),
        ("goroutine 1 [running]:", "filler"),
        ("created by main.main in goroutine 1", "filler"),
        ("stack backtrace:", "filler"),
        ("rax    0x0000000000000000", "filler"),
    ]);
}

#[test]
fn frames_of_dotnet_and_of_functional_languages() {
    assert_rows(&[
        (
            "   at Shop.Basket.Total(Int32 n) in /src/Basket.cs:line 31",
            "/src/Basket.cs:31 Shop.Basket.Total",
        ),
        ("   at Shop.Basket.Total(Int32 n)", "function Shop.Basket.Total(Int32 n)"),
        (
            "   at System.Linq.Enumerable.First() in /_/src/First.cs:line 9",
            "/_/src/First.cs:9 System.Linq.Enumerable.First foreign",
        ),
        (
            "    (shop 0.3.1) lib/shop/ledger.ex:18: Shop.Ledger.init/1",
            "lib/shop/ledger.ex:18 Shop.Ledger.init/1",
        ),
        (
            "    (stdlib 5.1) gen_server.erl:962: :gen_server.init_it/2",
            "gen_server.erl:962 :gen_server.init_it/2 foreign",
        ),
        ("    app.exs:3: (file)", "app.exs:3 (file)"),
        ("Called from App.main in file \"app.ml\", line 3, characters 2-9", "app.ml:3 App.main"),
        (
            "Raised at Stdlib.failwith in file \"stdlib.ml\", line 29, characters 17-33",
            "stdlib.ml:29 Stdlib.failwith foreign",
        ),
        ("  error, called at app.hs:4:9 in main:Main", "app.hs:4 error"),
        ("/app/app.nim(6)          rate", "/app/app.nim:6 rate"),
        ("/app/app.d:5 void app.renew(int) [0x5591]", "/app/app.d:5 void app.renew"),
        (" [1] fee(7) at app.R:3", "app.R:3 fee"),
        (" [2] top-level scope", "function top-level scope"),
    ]);
}

#[test]
fn other_lines_are_no_rows() {
    assert_rows(&[
        ("KeyError: 'tray'", "other"),
        ("at the end of the month", "other"),
        ("in the ledger", "other"),
        ("from now on", "function now on"),
        ("2026-11-26 17:58:27 ERROR no ledger", "other"),
        ("Listening on 0.0.0.0:8080", "other"),
        ("src/app.ts(2,27): error TS2322: Type 'string' is not assignable", "other"),
        ("/app/app.conf:8 is wrong", "other"),
        ("7: no ledger", "function no ledger"),
        ("", "filler"),
        ("   ", "filler"),
        ("----", "filler"),
        ("é", "other"),
    ]);
}

#[test]
fn what_is_drawn_around_a_line_is_taken_off() {
    for (text, want) in [
        (
            "  + Exception Group Traceback (most recent call last):",
            "Exception Group Traceback (most recent call last):",
        ),
        ("    | Traceback (most recent call last):", "Traceback (most recent call last):"),
        (
            "    |   File \"/app/app.py\", line 9, in poll",
            "  File \"/app/app.py\", line 9, in poll",
        ),
        ("  +-+---------------- 1 ----------------", "-+---------------- 1 ----------------"),
        ("│ /app/app.py:9 in <module>        │", "/app/app.py:9 in <module>"),
        ("│ ❱  9 quote(\"washer\",2)   │", " 9 quote(\"washer\",2)"),
        // Nothing is drawn around these.
        ("  File \"/app/app.py\", line 9", "  File \"/app/app.py\", line 9"),
        ("a | b", "a | b"),
        ("", ""),
        ("    ", "    "),
    ] {
        assert_eq!(undecorated(text), want, "{text}");
    }
}

#[test]
fn a_long_row_is_examined_only_at_its_start() {
    let long = format!("    at f (/app/{}.js:1:1)", "x".repeat(9000));
    assert!(!matches!(row(&long), Row::Frame(_)));
    let far = format!("    at f (/app/a.js:1:1) {}", "é".repeat(9000));
    assert_eq!(told(&far), "/app/a.js:1 f");
}
