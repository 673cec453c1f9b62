//! What a cause is recognized by again.

use crate::core::cause::template::{signature, template};
use crate::core::cause::{Location, Origin};
use crate::limits::{TEMPLATE_BYTES_MAX, TEMPLATE_WORDS_MAX};

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
        ("no answer from ledger-db:8081", "no answer from #"),
        ("ledger: refused", "ledger refused"),
        ("", ""),
        ("ünïcode wörds", "ünïcode wörds"),
    ] {
        assert_eq!(template(message), want, "{message}");
    }
    let long = "word ".repeat(500);
    assert_eq!(template(&long).split(' ').count(), TEMPLATE_WORDS_MAX);
    assert!(template(&"x".repeat(9999)).len() <= TEMPLATE_BYTES_MAX);
}

#[test]
fn words_of_every_kind_that_differ_are_replaced() {
    for (word, is_kept) in [
        ("refused", true),
        ("a.b", true),
        ("/", true),
        ("deadbeef", false),
        ("dead-beef", false),
        ("beef", true),
        ("a1", false),
        ("ledger/7", false),
        ("a/b", false),
        ("ledger.shop.svc", false),
        ("10.0.0.1:8080", false),
        ("550e8400-e29b-41d4", false),
        ("Größe", true),
        ("ada@ledger", false),
    ] {
        let want = if is_kept { word } else { "#" };
        assert_eq!(template(word), want, "{word}");
        assert_eq!(template(&format!("no {word} here")), format!("no {want} here"), "{word}");
    }
}

#[test]
fn quotations_are_replaced_and_apostrophes_are_none() {
    for (message, want) in [
        ("no key 'a' in \"b\"", "no key * in *"),
        ("no key `a' here", "no key * here"),
        ("no key `a` here", "no key * here"),
        ("can't open it, isn't there", "can't open it isn't there"),
        ("never 'ended", "never ended"),
        ("'a' 'b' 'c'", "*"),
        ("1 2 3", "#"),
        ("1 'a' 2", "# * #"),
        ("''", "*"),
        ("\"", ""),
    ] {
        assert_eq!(template(message), want, "{message}");
    }
}

#[test]
fn no_cut_of_a_message_is_a_fault() {
    let text = "é'ü\"ß` 7/8 ".repeat(60);
    for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
        let made = template(&text[..end]);
        assert!(made.split(' ').count() <= TEMPLATE_WORDS_MAX, "{made}");
    }
}

fn location(file: &str, function: &str, origin: Origin) -> Location {
    Location { file: file.to_owned(), line: 7, function: function.to_owned(), origin }
}

/// Returns type, place and template.
fn signed(error_type: Option<&str>, location: Option<Location>) -> [String; 3] {
    let signature = signature(error_type, "no tray 7", location.as_ref());
    [signature.error_type, signature.place, signature.template]
}

#[test]
fn a_type_at_a_place_is_enough() {
    let in_trace = |function| Some(location("lib/app.py", function, Origin::Trace));
    assert_eq!(signed(Some("a.b.KeyError"), in_trace("load")), ["KeyError", "app.py load", ""]);
    // The line moves with each release, but without a function there is nothing else.
    assert_eq!(signed(Some("KeyError"), in_trace("")), ["KeyError", "app.py:7", ""]);
    let moved = Location { line: 90, ..location("/srv/v2/app.py", "load", Origin::Trace) };
    assert_eq!(signed(Some("KeyError"), Some(moved)), ["KeyError", "app.py load", ""]);
}

#[test]
fn without_a_type_or_a_place_of_the_error_the_message_counts() {
    let template = "no tray #";
    let place = |origin| Some(location("a.conf", "", origin));
    assert_eq!(signed(None, place(Origin::Trace)), ["", "a.conf:7", template]);
    assert_eq!(signed(None, None), ["", "", template]);
    assert_eq!(signed(Some("FATAL"), None), ["FATAL", "", template]);
    assert_eq!(signed(Some("emerg"), place(Origin::Words)), ["emerg", "a.conf:7", template]);
    // A line that logs errors of every kind is no place of one.
    assert_eq!(signed(Some("FATAL"), place(Origin::Logger)), ["FATAL", "", template]);
}

#[test]
fn what_compilers_and_bundlers_number_is_left_out_of_a_place() {
    let place = |file: &str, function: &str| {
        let location = Location {
            file: file.to_owned(),
            line: 7,
            function: function.to_owned(),
            origin: Origin::Trace,
        };
        signature(Some("E"), "no", Some(&location)).place
    };
    for (function, want) in [
        ("charge", "a.js charge"),
        ("decode2", "a.js decode2"),
        ("com.x.Main.lambda$main$0", "a.js com.x.Main.lambda$main$#"),
        ("com.x.Main$1.run", "a.js com.x.Main$#.run"),
        ("main.main.func1.2", "a.js main.main.func#.#"),
        ("Program.<Run>b__0_1", "a.js Program.<Run>b__#_#"),
        // No function: the line tells.
        ("<module>", "a.js:7"),
        ("<main>", "a.js:7"),
        ("main chunk", "a.js:7"),
        ("<top (required)>", "a.js:7"),
        ("", "a.js:7"),
    ] {
        assert_eq!(place("/app/a.js", function), want);
    }
    for (file, want) in [
        ("dist/main.4f3c2b1a.js", "main.#.js f"),
        ("dist/index-BxF3k9aQ.js", "index-#.js f"),
        ("test_utf8_decode.py", "test_utf8_decode.py f"),
        ("4f3c2b1a.js", "4f3c2b1a.js f"),
        ("Größe.java", "Größe.java f"),
    ] {
        assert_eq!(place(file, "f"), want);
    }
}

#[test]
fn panics_of_gos_runtime_are_told_apart_by_its_words() {
    let location = Location {
        file: "main.go".to_owned(),
        line: 9,
        function: "main.pay".to_owned(),
        origin: Origin::Trace,
    };
    let of = |message: &str| signature(Some("panic"), message, Some(&location));
    let range = |n| format!("runtime error: index out of range [{n}] with length 3");
    assert_eq!(of(&range(5)), of(&range(7)));
    assert_ne!(of(&range(5)), of("runtime error: integer divide by zero"));
    // The application's own words have names in them.
    assert_eq!(of("no rate for kestrel"), of("no rate for heron"));
}
