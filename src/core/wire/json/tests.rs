use serde::de::IgnoredAny;
use serde_json::Value;

use super::*;
use crate::core::backoff::Jitter;
use crate::limits::JSON_DEPTH_MAX;

#[derive(Debug, Default, PartialEq)]
struct Thing<'a> {
    word: Text<'a>,
    count: i64,
    small: Option<i32>,
    flag: bool,
    inner: Option<Box<Inner<'a>>>,
    words: List<Text<'a>>,
    there: Option<Anything>,
}

members! { Thing<'a> {
    b"word" => word,
    b"count" => count,
    b"small" => small,
    b"flag" => flag,
    b"inner" => inner,
    b"words" => words,
    b"there" => there,
} }

#[derive(Debug, Default, PartialEq)]
struct Inner<'a> {
    name: Text<'a>,
}

members! { Box<Inner<'a>> {
    b"name" => name,
} }

impl<T: PartialEq> PartialEq for List<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

fn thing(text: &str) -> Result<Thing<'_>, Wrong> {
    from_slice(text.as_bytes())
}

fn skips(text: &[u8]) -> bool {
    from_slice::<Anything>(text).is_ok()
}

#[test]
fn what_is_asked_for_is_read_and_all_else_passed_over() {
    let text = r#" {"other":[{"word":"no"},1.5e-3,"\u00e9\\"],"word":"a","count":-7,"small":0,
        "flag":true,"inner":{"name":"n","x":{}},"words":["b",null,"c\n"],"there":{"a":[]}} "#;
    let words = List(vec!["b".into(), Text(Cow::Owned("c\n".to_owned()))]);
    let inner = Some(Box::new(Inner { name: "n".into() }));
    let there = Some(Anything);
    let want =
        Thing { word: "a".into(), count: -7, small: Some(0), flag: true, inner, words, there };
    assert_eq!(thing(text), Ok(want));
}

#[test]
fn null_and_nothing_are_the_same() {
    let nulls = r#"{"word":null,"count":null,"small":null,"flag":null,"inner":null,"words":null,
        "there":null}"#;
    for text in ["null", "{}", nulls] {
        assert_eq!(thing(text), Ok(Thing::default()), "{text}");
    }
}

#[test]
fn strings_are_borrowed_unless_escaped() {
    let read = |text: &'static str| thing(text).unwrap().word;
    assert!(matches!(read(r#"{"word":"app"}"#), Text(Cow::Borrowed("app"))));
    let escaped = read(r#"{"word":"a\u003cb"}"#);
    assert!(matches!(escaped, Text(Cow::Owned(text)) if text == "a<b"));
    assert_eq!(thing(r#"{"\u0077ord":"a"}"#).unwrap().word, "a".into(), "a name may be, too");
}

#[test]
fn the_last_of_two_members_counts() {
    assert_eq!(thing(r#"{"count":1,"count":2}"#).unwrap().count, 2);
    assert_eq!(thing(r#"{"words":["a"],"words":["b"]}"#).unwrap().words.len(), 1);
}

#[test]
fn another_form_is_told_from_what_is_no_json() {
    for (text, at, wanted) in [
        (r#"{"word":7}"#, 8, "a string"),
        (r#"{"count":"7"}"#, 9, "a whole number"),
        (r#"{"count":7.0}"#, 9, "a whole number"),
        (r#"{"count":9223372036854775808}"#, 9, "a whole number"),
        (r#"{"small":2147483648}"#, 9, "a whole number"),
        (r#"{"flag":"true"}"#, 8, "true or false"),
        (r#"{"inner":[]}"#, 9, "an object"),
        (r#"{"words":{}}"#, 9, "a list"),
        (r#" [1]"#, 1, "an object"),
    ] {
        assert_eq!(thing(text), Err(Wrong::Form { at, wanted }), "{text}");
    }
    for (text, at) in [
        ("", 0),
        ("{", 1),
        (r#"{"word":x}"#, 8),
        (r#"{"word":tru}"#, 8),
        (r#"{"count":01}"#, 10),
        (r#"{"count":1} {"#, 12),
        ("{\"count\":1}\0", 11),
        (r#"{"word":"a"#, 10),
        ("{\"word\":\"a\nb\"}", 10),
        (r#"{"word":"\ud800"}"#, 8),
        (r#"{"word":["a"}"#, 12),
    ] {
        assert_eq!(thing(text), Err(Wrong::Syntax(at)), "{text}");
    }
    let error = from_slice::<Thing<'_>>(b"{\"word\":\"a\xff\"}");
    assert_eq!(error, Err(Wrong::Syntax(10)), "not UTF-8");
}

#[test]
fn the_depth_has_a_limit() {
    for (depth, fits) in [(JSON_DEPTH_MAX, true), (JSON_DEPTH_MAX + 1, false)] {
        let depth = depth as usize;
        assert_eq!(skips(&[vec![b'['; depth], b"1".into(), vec![b']'; depth]].concat()), fits);
        let text = format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        assert_eq!(skips(text.as_bytes()), fits);
    }
    assert!(!skips(&[b'['; 1 << 20]));
}

#[test]
fn a_time_that_cannot_be_read_is_no_time() {
    for text in ["", "yesterday", "2026-13-01T00:00:00Z"] {
        assert_eq!(Text::from(text).time(), None, "{text}");
    }
    assert_eq!(Text::from("1970-01-01T00:00:00Z").time(), Some(Timestamp::UNIX_EPOCH));
}

/// Tests blocks of plain bytes with up to two bytes that end a run, or whose codes are near one that does.
#[test]
fn the_bytes_that_end_a_run_are_found_at_once() {
    let bytes = [0, b'\n', 0x1f, 0x20, 0x21, b'"', 0x23, 0x5b, b'\\', 0x5d, 0x7f, 0x80, 0xa2, 0xff];
    let ends = |byte: u8| byte == b'"' || byte == b'\\' || byte < 0x20;
    for (first, second) in bytes.iter().flat_map(|a| bytes.iter().map(move |b| (*a, *b))) {
        for (at, next) in (0..16).flat_map(|at| (0..16).map(move |next| (at, next))) {
            let mut block = [b'x'; 16];
            (block[at], block[next]) = (first, second);
            // A byte outside ASCII may be taken for an end, but none may be passed over.
            let end = block.iter().position(|byte| ends(*byte));
            let found = scan::plain(&block);
            match found {
                Some(len) if block[len] >= 0x80 => assert!(end.is_none_or(|end| len < end)),
                _ => assert_eq!(found, end, "{block:x?}"),
            }
        }
    }
}

#[test]
fn a_string_ends_at_its_quote_however_much_comes_before_and_behind() {
    for (before, behind) in (0..40).flat_map(|n| (0..40).map(move |m| (n, m))) {
        let text = |what: &str| format!("{}{what}{}", "x".repeat(before), "\u{e9}".repeat(behind));
        let behind = 2 * behind;
        for (what, is_plain) in [("\"", true), ("\\\"\"", false), ("\\u00e9\"", false)] {
            let text = text(what);
            let want = &text.as_bytes()[text.len() - behind..];
            assert_eq!(scan::string(text.as_bytes()), Ok((want, is_plain)), "{text}");
        }
        for (what, left) in
            [("", 0), ("\n\"", 2 + behind), ("\\x\"", 2 + behind), ("\\u00e\"", 5 + behind)]
        {
            let text = text(what);
            let want = &text.as_bytes()[text.len() - left..];
            assert_eq!(scan::string(text.as_bytes()), Err(want), "{text}");
        }
    }
}

/// Calls `then` with lines and lists as the API server sent them, and with random mutations of them.
fn with_mutants(rounds: u32, mut then: impl FnMut(&[u8])) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/");
    let recorded = std::fs::read(format!("{folder}crash-zoo/pods.watch.jsonl")).unwrap();
    let lines: Vec<&[u8]> = recorded.split(|byte| *byte == b'\n').step_by(37).take(40).collect();
    let small: [&[u8]; 4] = [
        br#"{"word":"a","count":-12,"small":3,"flag":false,"inner":{"name":"\ud83d\ude00"}}"#,
        br#"{"words":["a","b\\",null],"there":[],"x":[{"y":[[],{}]},-0.5E+7,true]}"#,
        br#"[0,-1,2.5,"",{"a":{"b":[1,{"c":null}]}},false]"#,
        br#" "\"\\\/\b\f\n\r\t\u00e9" "#,
    ];
    let mut dice = Jitter::new(20_261_123);
    let mut below = |n: usize| (dice.unit() * n as f64) as usize;
    for line in lines.into_iter().chain(small.into_iter().cycle().take(400)) {
        then(line);
        for _ in 0..rounds {
            let mut line = line.to_vec();
            for _ in 0..=below(3) {
                let at = below(line.len());
                match below(5) {
                    0 => line[at] = b"{}[]\",:\\ tn0-.e\n\x1fu"[below(18)],
                    1 => drop(line.remove(at)),
                    2 => line.insert(at, b"{}[]\",:\\ 1"[below(10)]),
                    3 => line[at] ^= 1 << below(8),
                    _ => line.truncate(at.max(1)),
                }
                if line.is_empty() {
                    break;
                }
            }
            then(&line);
        }
    }
}

#[test]
fn what_is_accepted_is_what_serde_json_accepts() {
    let (mut good, mut bad) = (0, 0);
    with_mutants(60, |text| {
        let want = serde_json::from_slice::<IgnoredAny>(text).is_ok();
        *(if want { &mut good } else { &mut bad }) += 1;
        assert_eq!(skips(text), want, "{}", String::from_utf8_lossy(text));
    });
    assert!(good > 1000 && bad > 1000, "{good} and {bad}");
}

/// The fields of a `Thing`: word, count, small, flag, words, and whether `there` is present.
type Said = (String, i64, Option<i64>, bool, Vec<String>, bool);

/// Reads a `Thing` the slow way, through a tree of all values. `None`: it has another form.
fn slowly(value: &Value) -> Option<Said> {
    let word = |value: &Value| match value {
        Value::Null => Some(String::new()),
        value => value.as_str().map(str::to_owned),
    };
    let number = |value: &Value| match value {
        Value::Null => Some(None),
        value => value.as_i64().map(Some),
    };
    if !value.is_object() && !value.is_null() {
        return None;
    }
    let flag = match &value["flag"] {
        Value::Null => false,
        value => value.as_bool()?,
    };
    let words = match &value["words"] {
        Value::Null => Vec::new(),
        words => {
            let words = words.as_array()?.iter().filter(|word| !word.is_null());
            words.map(word).collect::<Option<_>>()?
        }
    };
    match &value["inner"] {
        Value::Null => {}
        inner => drop((inner.as_object()?, word(&inner["name"])?)),
    }
    let small = number(&value["small"])?;
    small.is_none_or(|small| i32::try_from(small).is_ok()).then_some(())?;
    let count = number(&value["count"])?.unwrap_or(0);
    Some((word(&value["word"])?, count, small, flag, words, !value["there"].is_null()))
}

#[test]
fn what_is_read_is_what_a_tree_of_everything_holds() {
    let mut read = 0;
    with_mutants(60, |text| {
        // A tree has each member once, with the last value that the text gives it.
        let Ok(tree) = serde_json::from_slice::<Value>(text) else { return };
        let got = from_slice::<Thing<'_>>(text);
        let got = got.map(|thing| {
            let words = thing.words.iter().map(|word| word.to_string()).collect();
            let small = thing.small.map(i64::from);
            (thing.word.to_string(), thing.count, small, thing.flag, words, thing.there.is_some())
        });
        match slowly(&tree) {
            Some(want) => {
                read += 1;
                assert_eq!(got, Ok(want), "{}", String::from_utf8_lossy(text));
            }
            None => assert!(matches!(got, Err(Wrong::Form { .. })), "{tree}: {got:?}"),
        }
    });
    assert!(read > 1000, "{read}");
}

#[test]
fn a_count_has_the_whole_range_of_its_type_and_a_list_of_them_any_length() {
    let text = format!("[0,null,{}]", u64::MAX);
    assert_eq!(from_slice::<Vec<u64>>(text.as_bytes()).unwrap(), [0, u64::MAX]);
    for other in ["-1", "1.5", "\"1\"", "18446744073709551616", "{}"] {
        assert!(matches!(from_slice::<u64>(other.as_bytes()), Err(Wrong::Form { .. })), "{other}");
    }
    assert!(matches!(from_slice::<u64>(b"1x"), Err(Wrong::Syntax(_))));
    let long = format!("[{}7]", "7,".repeat(LIST_ITEMS_MAX));
    assert_eq!(from_slice::<Vec<u64>>(long.as_bytes()).unwrap().len(), LIST_ITEMS_MAX + 1);
    assert_eq!(from_slice::<List<u32>>(long.as_bytes()).unwrap().len(), LIST_ITEMS_MAX);
}
