use serde_json::Value;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn line(fingerprint: &str, message: &str) -> String {
    serde_json::json!({
        "id": "1f", "occurred_at": "2026-11-23T03:31:46Z", "severity": "high", "type": "error",
        "message": message, "fingerprint": fingerprint, "namespace": "shop",
        "workload": "Deployment/api", "pod_name": "api-1", "node_name": "n1", "container": "app",
        "exit_code": 1, "metadata": {"restarts": {"total": 3}},
        "telemetry": {"logs": {"lines": [{"text": "one"}, {"text": "a ``` <b> & c"}]}},
    })
    .to_string()
}

fn number(counted: Option<(Vec<u8>, u64)>) -> Option<String> {
    let (body, number) = counted?;
    let text = text(Some(body));
    assert!(text.as_ref().is_some_and(|text| text.starts_with(&format!("*{number} more*"))));
    text
}

fn text(body: Option<Vec<u8>>) -> Option<String> {
    let body: Value = serde_json::from_slice(&body?).unwrap();
    Some(body["text"].as_str().unwrap().to_owned())
}

#[test]
fn a_message_has_the_sentence_the_facts_and_the_last_lines() {
    let mut chat = Chat::default();
    let message = chat.message(line("a", "exited <!channel> @here").as_bytes(), Duration::ZERO);
    assert_eq!(
        text(message).unwrap(),
        "*error*, high: exited &lt;!channel&gt; @ here\n\
         node n1, namespace shop, workload Deployment/api, pod api-1, container app, exit code 1, \
         restarts 3, at 2026-11-23T03:31:46Z, fingerprint a\n\
         ```\none\na ''' &lt;b&gt; &amp; c\n```"
    );
    assert_eq!(chat.message(b"{}", Duration::ZERO), None);
}

#[test]
fn a_fingerprint_gets_one_message_and_then_a_number_every_ten_minutes() {
    let mut chat = Chat::default();
    assert_eq!(chat.due(), None);
    let say = |chat: &mut Chat, minute: u32, fingerprint: &str| {
        text(chat.message(line(fingerprint, &format!("at {minute}")).as_bytes(), MINUTE * minute))
    };
    assert!(say(&mut chat, 0, "a").is_some());
    assert!(say(&mut chat, 1, "b").is_some());
    assert_eq!(say(&mut chat, 2, "a"), None);
    assert_eq!(say(&mut chat, 9, "a"), None);
    assert_eq!(chat.due(), Some(MINUTE * 10));
    assert_eq!(chat.count(MINUTE * 9, false), None);
    let count = number(chat.count(MINUTE * 10, false)).unwrap();
    assert_eq!(count, "*2 more* within 10 minutes. The last: at 9");
    assert_eq!(chat.count(MINUTE * 10, false), None, "b is not due");
    assert_eq!(say(&mut chat, 10, "a"), None, "it goes on");
    assert_eq!(chat.count(MINUTE * 11, false), None, "there were no more of b");
    assert!(say(&mut chat, 12, "b").is_some(), "and so the next one is told at once");
    assert!(number(chat.count(MINUTE * 20, false)).unwrap().starts_with("*1 more*"));
    assert_eq!(chat.count(MINUTE * 30, false), None);
    assert!(say(&mut chat, 31, "a").is_some(), "after ten quiet minutes as well");
}

#[test]
fn at_the_end_every_number_is_told() {
    let mut chat = Chat::default();
    for fingerprint in ["a", "b", "a", "c", "b", "b"] {
        chat.message(line(fingerprint, fingerprint).as_bytes(), Duration::ZERO);
    }
    let told = std::iter::from_fn(|| number(chat.count(Duration::ZERO, true)));
    let told: Vec<_> = told.map(|text| text[..8].to_owned()).collect();
    assert_eq!(told, ["*1 more*", "*2 more*"]);
}

#[test]
fn fingerprints_without_end_take_no_memory_without_end() {
    let mut chat = Chat::default();
    let mut told = 0;
    for n in 0..10 * CHAT_FINGERPRINTS_MAX {
        for _ in 0..3 {
            told +=
                usize::from(chat.message(line(&n.to_string(), "m").as_bytes(), MINUTE).is_some());
        }
        while chat.count(MINUTE, false).is_some() {
            told += 2;
        }
        assert!(chat.quiet.len() <= CHAT_FINGERPRINTS_MAX);
    }
    while chat.count(MINUTE, true).is_some() {
        told += 2;
    }
    assert_eq!(told, 3 * 10 * CHAT_FINGERPRINTS_MAX, "each is told or counted");
}

#[test]
fn a_mention_of_everybody_is_broken_up_in_capitals_too() {
    // Mattermost looks for mentions in lower case.
    for (said, want) in [
        ("@HERE and @Channel, @aLL", "@ HERE and @ Channel, @ aLL"),
        ("\u{e4}@Everyone\u{e4} @", "\u{e4}@ Everyone\u{e4} @"),
        ("web@sha256:ab, @al", "web@sha256:ab, @al"),
    ] {
        assert_eq!(escaped(said), want);
    }
}
