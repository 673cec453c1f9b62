//! One log for each form that the rules know, as real programs printed it.

use super::said;

/// A log on stderr, and what it says.
pub(super) struct Form {
    pub log: &'static str,
    pub exit_code: i32,
    /// The cause in one line; it may go on.
    text: &'static str,
    place: &'static str,
}

const fn form(log: &'static str, exit_code: i32, text: &'static str, place: &'static str) -> Form {
    Form { log, exit_code, text, place }
}

/// The table.
pub(super) const FORMS: &[Form] = &[
    // Python: the cause of a chain, what came up while another was handled, a group, a pool's worker.
    form(
        "Traceback (most recent call last):\n  File \"/app/a.py\", line 3, in dial\n    connect()\nOSError: refused\n\nThe above exception was the direct cause of the following exception:\n\nTraceback (most recent call last):\n  File \"/app/a.py\", line 9, in <module>\n    boot()\nBootError: no ledger",
        1,
        "OSError: refused",
        "a.py:3 in dial",
    ),
    form(
        "Traceback (most recent call last):\n  File \"/app/a.py\", line 3, in get\n    x\nKeyError: 'a'\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"/app/a.py\", line 5, in get\n    y\nValueError: b",
        1,
        "ValueError: b",
        "a.py:5 in get",
    ),
    form(
        "  + Exception Group Traceback (most recent call last):\n  |   File \"/app/app.py\", line 20, in <module>\n  |     asyncio.run(main())\n  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)\n  +-+---------------- 1 ----------------\n    | Traceback (most recent call last):\n    |   File \"/app/app.py\", line 9, in poll\n    |     raise ConnectionResetError(name)\n    | ConnectionResetError: peer hung up\n    +------------------------------------",
        1,
        "ConnectionResetError: peer hung up",
        "app.py:9 in poll",
    ),
    form(
        "multiprocessing.pool.RemoteTraceback: \n\"\"\"\nTraceback (most recent call last):\n  File \"/usr/local/lib/python3.11/multiprocessing/pool.py\", line 125, in worker\n    result = f()\n  File \"/app/app.py\", line 9, in price\n    raise ArithmeticError(s)\nArithmeticError: no price\n\"\"\"\n\nThe above exception was the direct cause of the following exception:\n\nTraceback (most recent call last):\n  File \"/app/app.py\", line 15, in <module>\n    p.map()\nArithmeticError: no price",
        1,
        "ArithmeticError: no price",
        "app.py:9 in price",
    ),
    form(
        "  File \"/app/app.py\", line 3\n    def handler(event:\n               ^\nSyntaxError: '(' was never closed",
        1,
        "SyntaxError: '(' was never closed",
        "app.py:3",
    ),
    form(
        "╭──────────── Traceback (most recent call last) ────────────╮\n│ /app/app.py:9 in <module>                                  │\n│                                                            │\n│ ❱  9 quote(\"washer\",2)                                     │\n│ /app/app.py:6 in quote                                     │\n╰────────────────────────────────────────────────────────────╯\nKeyError: 'washer'",
        1,
        "KeyError: 'washer'",
        "app.py:6 in quote",
    ),
    // Go: a panic, one that was recovered and thrown again, a deadlock.
    form(
        "panic: order 7: negative total\n\ngoroutine 1 [running]:\nmain.total({0x23520f85a026?, 0x5?})\n\t/app/main.go:16 +0x79\nmain.main()\n\t/app/main.go:23 +0x9f\nexit status 2",
        2,
        "panic: order 7: negative total",
        "main.go:16 in main.total",
    ),
    form(
        "panic: assignment to entry in nil map [recovered]\n\tpanic: unit of work rolled back\n\ngoroutine 1 [running]:\nmain.guard()\n\t/app/main.go:11 +0xa7\npanic({0x4b79e0?, 0x58e2c0?})\n\t/usr/local/go/src/runtime/panic.go:860 +0x13a\nmain.work(0x6a8b74000f0?)\n\t/app/main.go:18 +0x46",
        2,
        "panic: assignment to entry in nil map",
        "main.go:18 in main.work",
    ),
    form(
        "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\nmain.wait(...)\n\t/app/main.go:10\nmain.main()\n\t/app/main.go:15 +0xba",
        2,
        "fatal error: all goroutines are asleep - deadlock!",
        "main.go:10 in main.wait",
    ),
    // Rust: a panic in both layouts, a second one in a destructor, anyhow's list, main's error.
    form(
        "thread 'main' (1) panicked at src/main.rs:4:63:\ncalled `Result::unwrap()` on an `Err` value: X\nnote: run with `RUST_BACKTRACE=1`",
        101,
        "panic: called `Result::unwrap()` on an `Err` value: X",
        "src/main.rs:4",
    ),
    form(
        "thread 'main' panicked at 'no shard', src/main.rs:9:5",
        101,
        "panic: no shard",
        "src/main.rs:9",
    ),
    form(
        "thread 'main' (20) panicked at src/main.rs:7:16:\ncommit failed\nnote: run with `RUST_BACKTRACE=1`\n\nthread 'main' (20) panicked at src/main.rs:2:44:\nrollback failed too\nstack backtrace:\n   0: std::panicking::begin\n             at /rustc/59807616/library/std/src/panicking.rs:689:5\nthread caused non-unwinding panic. aborting.",
        134,
        "panic: commit failed",
        "src/main.rs:7",
    ),
    form(
        "Error: load settings\n\nCaused by:\n    0: read /etc/t.toml\n    1: No such file or directory (os error 2)",
        1,
        "Error: load settings: read /etc/t.toml: No such file or directory (os error 2)",
        "",
    ),
    form(
        "\nthread 'main' (20) has overflowed its stack\nfatal runtime error: stack overflow, aborting",
        134,
        "fatal runtime error: stack overflow, aborting",
        "",
    ),
    // The JVM: a chain, a suppressed exception, a log record before the trace, words of the launcher.
    form(
        "Exception in thread \"main\" java.util.concurrent.ExecutionException: java.lang.IllegalArgumentException: sku\n\tat java.base/java.util.concurrent.CompletableFuture.get(CompletableFuture.java:2073)\n\tat com.x.Main.main(Main.java:16)\nCaused by: java.lang.IllegalArgumentException: sku\n\tat com.x.Main.quote(Main.java:9)\n\t... 2 more",
        1,
        "java.lang.IllegalArgumentException: sku",
        "Main.java:9 in com.x.Main.quote",
    ),
    form(
        "Exception in thread \"main\" java.io.UncheckedIOException: copy stopped\n\tat com.x.Main.copy(Main.java:10)\n\tSuppressed: java.lang.IllegalStateException: close failed\n\t\tat com.x.Res.close(Main.java:7)\nCaused by: java.io.EOFException: short read\n\t... 2 more",
        1,
        "java.io.EOFException: short read",
        "Main.java:10 in com.x.Main.copy",
    ),
    form(
        "2026-11-26T17:58:27.569Z ERROR 1 --- [main] c.x.Main                    : Application run failed\n\njava.lang.SecurityException: vault is sealed\n\tat com.x.Main.lock(Main.java:9)",
        1,
        "java.lang.SecurityException: vault is sealed",
        "Main.java:9 in com.x.Main.lock",
    ),
    form(
        "#\n# A fatal error has been detected by the Java Runtime Environment:\n#\n#  SIGSEGV (0xb) at pc=0x00007f72eed13f94, pid=20, tid=21\n#",
        134,
        "SIGSEGV: A fatal error has been detected by the Java Runtime Environment",
        "",
    ),
    form(
        "Error occurred during initialization of VM\nInitial heap size set to a larger value than the maximum heap size",
        1,
        "Initial heap size set to a larger value",
        "",
    ),
    form(
        "Unrecognized VM option 'UseTurboGC'\nError: Could not create the Java Virtual Machine.\nError: A fatal exception has occurred. Program will exit.",
        1,
        "Unrecognized VM option 'UseTurboGC'",
        "",
    ),
    // JavaScript: the place above the mark, frames of the runtime, a cause, a thrown string.
    form(
        "/app/db.js:2\n  const host = conf.primary.host;\n                            ^\n\nTypeError: Cannot read properties of undefined (reading 'host')\n    at connect (/app/db.js:2:29)\n    at Object.<anonymous> (/app/server.js:3:1)\n    at Module._compile (node:internal/modules/cjs/loader:1521:14)\n\nNode.js v20.20.2",
        1,
        "TypeError: Cannot read properties of undefined (reading 'host')",
        "db.js:2 in connect",
    ),
    form(
        "node:events:502\n      throw er; // Unhandled 'error' event\n      ^\n\nError: listen EADDRINUSE: address already in use :::8080\n    at Server.setupListenHandle [as _listen2] (node:net:1908:16)\n    at Server.<anonymous> (/app/server.js:5:5) {\n  code: 'EADDRINUSE',\n  port: 8080\n}\n\nNode.js v20.20.2",
        1,
        "Error: listen EADDRINUSE: address already in use :::8080",
        "server.js:5",
    ),
    form(
        "/app/app.js:7\n  catch (e) { throw new Error('cannot open', { cause: e }); }\n              ^\n\nError: cannot open\n    at open (/app/app.js:7:21) {\n  [cause]: Error: connect ECONNREFUSED 127.0.0.1:8080\n      at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1611:16) {\n    errno: -111\n  }\n}",
        1,
        "Error: connect ECONNREFUSED 127.0.0.1:8080",
        "app.js:7 in open",
    ),
    form(
        "/app/app.js:2\n  throw 'no licence key';\n  ^\nno licence key\n(Use `node --trace-uncaught ...` to show where the exception was thrown)\n\nNode.js v20.20.2",
        1,
        "no licence key",
        "app.js:2",
    ),
    // Ruby, with the cause below.
    form(
        "app.rb:8:in `rescue in boot': ledger is not reachable (BootError)\n\tfrom app.rb:10:in `<main>'\napp.rb:4:in `dial': Connection refused (Errno::ECONNREFUSED)\n\tfrom app.rb:6:in `boot'",
        1,
        "Errno::ECONNREFUSED: Connection refused",
        "app.rb:4 in dial",
    ),
    // .NET, PHP, Perl, Lua, Elixir, Nim, Tcl, D.
    form(
        "Unhandled exception. System.AggregateException: One or more errors occurred. (bad)\n ---> System.InvalidOperationException: bad\n   at Shop.Basket.Total(Int32 n) in /src/Basket.cs:line 31\n   --- End of inner exception stack trace ---\n   at Shop.Program.Main() in /src/Program.cs:line 5",
        134,
        "System.InvalidOperationException: bad",
        "Basket.cs:31 in Shop.Basket.Total",
    ),
    form(
        "PHP Fatal error:  Uncaught Shop\\StockException: only 3 left in /app/app.php:8\nStack trace:\n#0 /app/app.php(13): Shop\\reserve()\n#1 {main}\n  thrown in /app/app.php on line 8",
        255,
        "Shop\\StockException: only 3 left",
        "app.php:8 in Shop\\reserve",
    ),
    form(
        "no rate for GX at app.pl line 4.\n\tmain::rate(\"GX\") called at app.pl line 5",
        255,
        "no rate for GX",
        "app.pl:4 in main::rate",
    ),
    form(
        "Can't locate Ledger/Client.pm in @INC\nBEGIN failed--compilation aborted at app.pl line 2.",
        2,
        "Can't locate Ledger/Client.pm in @INC",
        "app.pl:2",
    ),
    form(
        "lua5.4: app.lua:3: attempt to index a nil value (field 'rate')\nstack traceback:\n\tapp.lua:3: in function 'charge'\n\tapp.lua:10: in main chunk\n\t[C]: in ?",
        1,
        "attempt to index a nil value (field 'rate')",
        "app.lua:3 in charge",
    ),
    form(
        "** (RuntimeError) no shard\n    (shop 0.3.1) lib/shop/ledger.ex:18: Shop.Ledger.init/1\n    (stdlib 5.1) gen_server.erl:962: :gen_server.init_it/2",
        1,
        "RuntimeError: no shard",
        "lib/shop/ledger.ex:18 in Shop.Ledger.init/1",
    ),
    form(
        "/app/app.nim(11)         app\n/app/app.nim(6)          rate\nError: unhandled exception: no rate [TariffError]",
        1,
        "TariffError: no rate",
        "app.nim:6 in rate",
    ),
    form(
        "divide by zero\n    while executing\n\"expr {$a / $b}\"\n    (procedure \"fee\" line 2)\n    invoked from within\n\"fee 7\"\n    (file \"app.tcl\" line 6)",
        1,
        "divide by zero",
        "app.tcl:6",
    ),
    // C and C++: an assertion, glibc's words, what() of an exception, sanitizers, glog.
    form(
        "ledgerd: ledgerd.c:9: post: Assertion `debit == credit' failed.",
        134,
        "Assertion: `debit == credit' failed.",
        "ledgerd.c:9 in post",
    ),
    form(
        "free(): double free detected in tcache 2",
        134,
        "free(): double free detected in tcache 2",
        "",
    ),
    form(
        "terminate called after throwing an instance of 'std::out_of_range'\n  what():  map::at",
        134,
        "std::out_of_range: map::at",
        "",
    ),
    form(
        "=================================================================\n==1==ERROR: AddressSanitizer: heap-use-after-free on address 0x602000000014 at pc 0x5597e2ead230\nREAD of size 4 at 0x602000000014 thread T0\n    #0 0x5597e2ead22f in amount /app/ledgerd.c:10\n    #1 0x7ff464025249 in __libc_start_call_main ../sysdeps/nptl/libc_start_call_main.h:58\n\nSUMMARY: AddressSanitizer: heap-use-after-free /app/ledgerd.c:10 in amount\n==1==ABORTING",
        1,
        "AddressSanitizer: heap-use-after-free",
        "ledgerd.c:10 in amount",
    ),
    form(
        "ledgerd.c:9:14: runtime error: signed integer overflow: 4 * 1000",
        1,
        "runtime error: signed integer overflow: 4 * 1000",
        "ledgerd.c:9",
    ),
    form(
        "I1126 17:59:00.001234      20 ledgerd.cpp:11] Error budget: 0.1%\nF1126 17:59:00.001234      20 ledgerd.cpp:13] Check failed: shards > 0\n*** Check failure stack trace: ***",
        134,
        "FATAL: Check failed: shards > 0",
        "ledgerd.cpp:13",
    ),
    // Shells.
    form(
        "/app/start.sh: line 3: render-config: command not found",
        127,
        "render-config: command not found",
        "start.sh:3",
    ),
    form(
        "/app/start.sh: 3: exec: /app/server: Permission denied",
        126,
        "exec: /app/server: Permission denied",
        "start.sh:3",
    ),
    form(
        "+ cat /etc/token\ncat: /etc/token: No such file or directory",
        1,
        "cat: /etc/token: No such file or directory",
        "",
    ),
    // Servers that refuse to start: the first line of what failed, not the ones that it gives up.
    form(
        "2026/11/26 17:58:50 [emerg] 1#1: bind() to 0.0.0.0:8080 failed (98: Address already in use)\n2026/11/26 17:58:50 [notice] 1#1: try again to bind() after 500ms\n2026/11/26 17:58:50 [emerg] 1#1: still could not bind()",
        1,
        "emerg: bind() to 0.0.0.0:8080 failed (98: Address already in use)",
        "",
    ),
    form(
        "AH00526: Syntax error on line 4 of /app/a.conf:\nInvalid command 'DocumentRot'",
        1,
        "AH00526: Syntax error on line 4 of /app/a.conf: Invalid command 'DocumentRot'",
        "a.conf:4",
    ),
    form(
        "2026-11-26 17:59:07.682 UTC [1] LOG:  could not bind IPv4 address\n2026-11-26 17:59:07.682 UTC [1] FATAL:  could not create any TCP/IP sockets\n2026-11-26 17:59:07.686 UTC [1] LOG:  database system is shut down",
        1,
        "FATAL: could not create any TCP/IP sockets",
        "",
    ),
    form(
        "1:M 26 Nov 2026 17:59:02.577 # Server initialized\n1:M 26 Nov 2026 17:59:02.580 # Bad file format reading the append only file",
        1,
        "Bad file format reading the append only file",
        "",
    ),
    form(
        "27-Nov-2026 12:59:49.478 /app/named.conf:2: unknown option 'recusion'\n27-Nov-2026 12:59:49.478 loading configuration: failure\n27-Nov-2026 12:59:49.478 exiting (due to fatal error)",
        1,
        "unknown option 'recusion'",
        "named.conf:2",
    ),
    form(
        "E1126 18:10:19.696680       1 run.go:72] \"command failed\" err=\"context deadline exceeded\"",
        1,
        "command failed: context deadline exceeded",
        "run.go:72",
    ),
    form(
        "error: the following required arguments were not provided:\n  --config <CONFIG>\n\nUsage: tariffd --config <CONFIG>",
        2,
        "error: the following required arguments were not provided: --config <CONFIG>",
        "",
    ),
    form(
        "flag provided but not defined: -lisen\nUsage of ./orders:\n  -listen string\n    \taddress to listen on",
        2,
        "flag provided but not defined: -lisen",
        "",
    ),
    form(
        "psql: error: connection to server failed: Connection refused\n\tIs the server running on that host?",
        2,
        "psql: error: connection to server failed: Connection refused",
        "",
    ),
    // Records.
    form(
        "{\"level\":60,\"pid\":1,\"err\":{\"type\":\"LeaseLost\",\"message\":\"lease 7 was taken\",\"stack\":\"LeaseLost: lease 7 was taken\\n    at renew (/app/app.js:4:9)\"},\"msg\":\"renewal failed\"}",
        1,
        "LeaseLost: lease 7 was taken",
        "app.js:4 in renew",
    ),
    form(
        "{\"time\":\"2026-11-26T17:52:29Z\",\"level\":\"ERROR\",\"source\":{\"function\":\"main.main\",\"file\":\"/app/main.go\",\"line\":21},\"msg\":\"startup failed\",\"err\":\"connection refused\"}",
        1,
        "startup failed: connection refused",
        "main.go:21 in main.main",
    ),
    form(
        "{\"severity\":\"ERROR\",\"message\":\"could not read cache, starting cold\"}\n{\"severity\":\"CRITICAL\",\"message\":\"uncaught\",\"error\":{\"type\":\"NotImplementedError\",\"message\":\"queue kind\",\"stack\":\"Traceback (most recent call last):\\n  File \\\"/app/app.py\\\", line 12, in open_queue\\n    x\\nNotImplementedError: queue kind\"}}",
        70,
        "NotImplementedError: queue kind",
        "app.py:12 in open_queue",
    ),
    form(
        "time=2026-11-26T17:52:31.497Z level=ERROR msg=\"cannot elect a leader\" err=\"lease is held\" after=3s",
        3,
        "cannot elect a leader: lease is held",
        "",
    ),
    form(
        "{\"level\":\"fatal\",\"caller\":\"etcdmain/etcd.go:562\",\"msg\":\"failed to list data directory\",\"error\":\"not a directory\",\"stacktrace\":\"etcdmain.identify\\n\\tetcdmain/etcd.go:562\\nmain.main\\n\\t/app/main.go:28\"}",
        1,
        "failed to list data directory: not a directory",
        "etcdmain/etcd.go:562 in etcdmain.identify",
    ),
];

#[test]
fn each_form_says_its_cause_and_its_place() {
    let mut wrong = Vec::new();
    for form in FORMS {
        let (text, place) = said(form.log, form.exit_code).unwrap_or_default();
        let place = place.unwrap_or_default();
        if !text.starts_with(form.text) || place != form.place {
            wrong.push((form.log, text, place));
        }
    }
    assert_eq!(wrong, []);
}
