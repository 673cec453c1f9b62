//! Files with lines, as languages and servers write them.

use crate::core::cause::place::{find, is_source_file, place_at_start};
use crate::core::cause::short_file;

/// A text, the first place in it, and whether the text begins with it.
type Row = (&'static str, Option<(&'static str, u32)>, bool);

#[test]
fn a_place_is_found_as_each_language_writes_it() {
    let rows: &[Row] = &[
        ("src/main.rs:7:16", Some(("src/main.rs", 7)), true),
        ("main.go:562", Some(("main.go", 562)), true),
        ("./app.js:3:1", Some(("./app.js", 3)), true),
        ("/app/app.php(13): Shop\\reserve()", Some(("/app/app.php", 13)), true),
        ("app.ts(2,27): error TS2322", Some(("app.ts", 2)), true),
        ("app.StaleLease@app.d(5): lease", Some(("app.d", 5)), false),
        ("File \"/app/app.py\", line 7, in charge", Some(("/app/app.py", 7)), false),
        ("/app/start.sh: line 3: no", Some(("/app/start.sh", 3)), true),
        ("/app/start.sh: 3: exec: no", Some(("/app/start.sh", 3)), true),
        ("no rate at app.pl line 4.", Some(("app.pl", 4)), false),
        ("thrown in /app/app.php on line 8", Some(("/app/app.php", 8)), false),
        ("unknown directive \"x\" in /app/nginx.conf:8", Some(("/app/nginx.conf", 8)), false),
        ("Syntax error on line 4 of /app/a.conf:", Some(("/app/a.conf", 4)), false),
        ("line 4 of /app/a.conf: no", Some(("/app/a.conf", 4)), true),
        ("bad option at line 2 of /app/d.conf", Some(("/app/d.conf", 2)), false),
        ("in 'app.lua' line 3", Some(("app.lua", 3)), false),
        ("Main.java:9", Some(("Main.java", 9)), true),
        ("C:\\app\\Main.cs:9", Some(("\\app\\Main.cs", 9)), false),
        ("/usr/bin/ledgerd:7", Some(("/usr/bin/ledgerd", 7)), true),
        ("größe.py:7", Some(("größe.py", 7)), true),
        ("/app/radiusd.conf[6]: EOF", Some(("/app/radiusd.conf", 6)), true),
        ("source: /app/l.conf line: 3 pos: 0", Some(("/app/l.conf", 3)), false),
        // The first place of several counts.
        ("a.c:1 b.c:2", Some(("a.c", 1)), true),
        ("no b.c but a.c:1", Some(("a.c", 1)), false),
    ];
    for (text, want, is_at_start) in rows {
        let found = find(text);
        assert_eq!(found.map(|found| (found.place.file, found.place.line)), *want, "{text}");
        assert_eq!(place_at_start(text).is_some(), *is_at_start, "{text}");
        if let (Some(found), Some(at_start)) = (found, place_at_start(text)) {
            assert_eq!((found.place, found.length), (at_start.place, at_start.length), "{text}");
        }
    }
}

#[test]
fn what_looks_like_a_place_is_none() {
    for text in [
        "",
        "127.0.0.1:8080 refused",
        "ledger.shop.svc:5432",
        "ledger.shop.svc.cluster.local:5432",
        "https://ledger.example.com:443",
        "//ledger:80",
        "at 17:59:07",
        "error: 3 tenants",
        "app.py",
        "app.py:",
        "app.py:0",
        "app.py:x",
        "app.py:12345678",
        ".py:3",
        "/app/:3",
        "line 4",
        "line 4 of",
        "line x of /app/a.conf",
        "line 4 of the ledger",
        "on line 4",
    ] {
        assert_eq!(find(text).map(|found| found.place), None, "{text}");
        assert_eq!(place_at_start(text).map(|found| found.place), None, "{text}");
    }
}

#[test]
fn a_place_ends_behind_its_line_and_column() {
    for (text, behind) in [
        ("src/main.rs:7:16: no", ": no"),
        ("main.go:7: no", ": no"),
        ("main.go:7 +0x79", " +0x79"),
        ("app.ts(2,27): no", "): no"),
        ("app.php(13): no", "): no"),
        ("/app/start.sh: line 3: no", ": no"),
        ("/app/start.sh: 3: no", ": no"),
        ("line 4 of /app/a.conf: no", ": no"),
        ("app.js:3:x", ":x"),
    ] {
        let found = place_at_start(text).unwrap();
        assert_eq!((found.start, &text[found.length..]), (0, behind), "{text}");
    }
}

#[test]
fn source_and_configuration_files_are_known_by_their_ending() {
    for file in ["a.py", "/a/b.rs", "a.b.c", "src\\Main.cs", "x.R", "nginx.conf", "a.yaml", "é.go"]
    {
        assert!(is_source_file(file), "{file}");
    }
    for file in ["", "py", ".py", "/a/.py", "a.", "a.b/c", "a.com", "a.svc", "a.PY", "a.log"] {
        assert!(!is_source_file(file), "{file}");
    }
}

#[test]
fn the_folder_of_the_image_is_left_out() {
    for (file, want) in [
        ("/app/app.py", "app.py"),
        ("/usr/src/app/lib/db.js", "lib/db.js"),
        ("file:///app/app.mjs", "app.mjs"),
        ("./app.pl", "app.pl"),
        ("/src/Basket.cs", "Basket.cs"),
        ("src/main.rs", "src/main.rs"),
        ("/opt/app/app.py", "/opt/app/app.py"),
        ("/apps/app.py", "/apps/app.py"),
        ("/app/app/app.py", "app/app.py"),
    ] {
        assert_eq!(short_file(file), want, "{file}");
    }
}
