use super::*;
use crate::core::backoff::Jitter;
use crate::core::case::Case;
use crate::core::detect::History;
use crate::core::detect::evidence::PodEvent;
use crate::core::detect::settle::Lookup;
use crate::core::incident::recurrence::Recurrence;
use crate::core::incident::{Gathered, compose};
use jiff::Timestamp;

const SECOND: Duration = Duration::from_secs(1);

fn stream() -> Stream {
    let started = at(Duration::ZERO).wall;
    let history = History::Before { started, lookback: Duration::ZERO };
    let detector = Detector::new("node1", &[], history);
    Stream::new(Reflector::new(5 * SECOND, 90 * SECOND, 7), detector)
}

fn at(monotonic: Duration) -> Now {
    let start: Timestamp = "2026-11-23T03:31:00Z".parse().unwrap();
    Now { monotonic, wall: start.saturating_add(monotonic).unwrap() }
}

/// Feeds a body in blocks of the sizes that `sizes` returns.
fn feed(
    stream: &mut Stream,
    body: &[u8],
    sizes: &mut dyn FnMut() -> usize,
) -> (Vec<Output>, Vec<Note>, Flow) {
    let (mut out, mut notes, mut rest) = (Vec::new(), Vec::new(), body);
    while !rest.is_empty() {
        let (block, tail) = rest.split_at(sizes().clamp(1, rest.len()));
        rest = tail;
        if stream.on_block(block, at(SECOND), &mut out, &mut notes) == Flow::Stop {
            return (out, notes, Flow::Stop);
        }
    }
    (out, notes, Flow::Continue)
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/fixtures/crash-zoo/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Formats the incidents as in `expected.tsv`: pod, container, type, instance.
fn rows(out: &[Output]) -> Vec<String> {
    let mut rows: Vec<String> = out
        .iter()
        .filter_map(|o| match o {
            Output::Crash(case) => Some(row(case)),
            _ => None,
        })
        .collect();
    rows.sort();
    rows
}

fn row(case: &Case) -> String {
    let id = case.container_id().unwrap_or_default();
    let (pod, kind) = (&case.pod, case.kind.name());
    let instance = match kind {
        "image_pull" | "config_error" => "episode",
        _ if case.container().is_none() => &pod.uid,
        _ => &id[id.len() - 12..],
    };
    let container = case.container_name().unwrap_or("-");
    format!("{}/{}\t{container}\t{kind}\t{instance}", pod.namespace, pod.name)
}

/// Returns the recorded kubelet events, each with the UID of its pod.
fn recorded_events() -> Vec<(String, PodEvent)> {
    let text = String::from_utf8(fixture("events.watch.jsonl")).unwrap();
    let lines = text
        .lines()
        .map(|line| json::from_slice::<wire::EventLine<'_>>(line.as_bytes()).unwrap().object);
    lines.map(|e| (e.involved_object.uid.to_string(), PodEvent::from_wire(&e))).collect()
}

/// Feeds the zoo in blocks of these sizes and returns the rows of all its incidents.
fn zoo(events: &[(String, PodEvent)], sizes: &mut dyn FnMut() -> usize) -> Vec<String> {
    let mut s = stream();
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    assert!(matches!(s.next(SECOND), Step::List { .. }));
    feed(&mut s, &fixture("pods.list.json"), sizes);
    s.on_end(WatchEnd::Clean, at(SECOND), &mut out, &mut notes);
    assert_eq!(notes, [Note::Listed { went_back: false }]);
    assert!(matches!(s.next(SECOND), Step::Watch { .. }));
    let (mut out, notes, flow) = feed(&mut s, &fixture("pods.watch.jsonl"), sizes);
    assert_eq!(flow, Flow::Continue);
    assert_eq!(notes.len(), 622);
    assert!(notes.iter().all(|n| *n == Note::Line { used: true }));
    s.detector.end_waits(&mut out);
    while let Some(deadline) = s.detector.next_deadline() {
        let mut asked = Vec::new();
        s.detector.on_time(at(deadline), &mut asked);
        for output in asked {
            let Output::LookUp { key, .. } = &output else {
                out.push(output);
                continue;
            };
            let own = events.iter().filter(|(uid, _)| **uid == **key).map(|(_, e)| e.clone());
            s.detector.on_events(key, &Lookup::Found(own.collect()), &mut out);
        }
    }
    rows(&out)
}

#[test]
fn the_zoo_gives_its_197_incidents_byte_by_byte_and_cut_at_random_places() {
    let events = recorded_events();
    let text = String::from_utf8(fixture("expected.tsv")).unwrap();
    let mut expected: Vec<String> = text.lines().map(str::to_owned).collect();
    expected.sort();
    assert_eq!(expected.len(), 197);
    assert_eq!(zoo(&events, &mut || usize::MAX), expected, "whole");
    assert_eq!(zoo(&events, &mut || 1), expected, "byte by byte");
    for seed in 1..6 {
        let mut dice = Jitter::new(seed);
        let largest = 10_f64.powi(i32::try_from(seed).unwrap());
        let cut = zoo(&events, &mut || (dice.unit() * largest) as usize);
        assert_eq!(cut, expected, "seed {seed}");
    }
}

fn listed(stream: &mut Stream, body: &str) -> (Vec<Output>, Vec<Note>) {
    assert!(matches!(stream.next(SECOND), Step::List { .. }));
    let (mut out, mut notes, flow) = feed(stream, body.as_bytes(), &mut || 7);
    if flow == Flow::Continue {
        stream.on_end(WatchEnd::Clean, at(SECOND), &mut out, &mut notes);
    }
    (out, notes)
}

#[test]
fn a_list_that_cannot_be_used_is_asked_for_again() {
    for body in
        ["", "<html>", r#"{"items":[]}"#, r#"{"metadata":{"resourceVersion":"7"},"items":[{}"#]
    {
        let mut s = stream();
        let (_, notes) = listed(&mut s, body);
        assert!(matches!(notes.last(), Some(Note::ListFailed(_))), "{body}: {notes:?}");
        let Step::Wait { until } = s.next(SECOND) else { panic!("{body}: no wait") };
        assert!(matches!(s.next(until), Step::List { .. }), "{body}");
    }
}

#[test]
fn one_bad_item_costs_that_item() {
    let pod = |uid: &str, rest: &str| {
        format!(r#"{{"metadata":{{"namespace":"n","name":"{uid}","uid":"{uid}"}}{rest}}}"#)
    };
    let body = format!(
        r#"{{"metadata":{{"resourceVersion":"7"}},"items":[{},{},null,{}]}}"#,
        pod("a", ""),
        pod("b", r#","spec":{"containers":7}"#),
        pod("c", "")
    );
    let mut s = stream();
    let (_, notes) = listed(&mut s, &body);
    assert_eq!(s.detector.pods(), 2);
    let flaws: Vec<_> = notes.iter().filter(|n| matches!(n, Note::Flaw(_))).collect();
    assert_eq!(flaws.len(), 2, "{notes:?}");
}

#[test]
fn garbage_among_good_lines_is_counted_and_passed_over() {
    let mut s = stream();
    listed(&mut s, r#"{"metadata":{"resourceVersion":"7"},"items":[]}"#);
    s.next(SECOND);
    let good = |uid: &str| {
        format!(
            r#"{{"type":"ADDED","object":{{"metadata":{{"uid":"{uid}","resourceVersion":"8"}}}}}}"#
        )
    };
    let body = format!("{}\n\u{0}garbage\n[]\n{{\"type\":\"ADDED\"}}\n{}\n", good("a"), good("b"));
    let (_, notes, flow) = feed(&mut s, body.as_bytes(), &mut || 5);
    assert_eq!(flow, Flow::Continue);
    assert_eq!(s.detector.pods(), 2);
    assert_eq!(notes.iter().filter(|n| matches!(n, Note::Line { .. })).count(), 5);
    assert_eq!(notes.iter().filter(|n| matches!(n, Note::Flaw(_))).count(), 3);
}

#[test]
fn an_error_event_stops_the_stream_and_relists() {
    let mut s = stream();
    listed(&mut s, r#"{"metadata":{"resourceVersion":"7"},"items":[]}"#);
    s.next(SECOND);
    let body = br#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}
        {"type":"ADDED","object":{"metadata":{"uid":"late"}}}
"#;
    let (_, notes, flow) = feed(&mut s, body, &mut || 1000);
    assert_eq!(flow, Flow::Stop);
    assert!(matches!(notes.last(), Some(Note::Error(Failure::Expired, _))));
    assert_eq!(s.detector.pods(), 0);
    let Step::Wait { until } = s.next(SECOND) else { panic!() };
    let Step::List { resource_version, .. } = s.next(until) else { panic!() };
    assert_eq!(resource_version, "7");
}

#[test]
fn an_endless_line_stops_the_stream_and_it_is_resumed() {
    let mut s = stream();
    listed(&mut s, r#"{"metadata":{"resourceVersion":"7"},"items":[]}"#);
    s.next(SECOND);
    let block = vec![b'x'; 1 << 20];
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let mut blocks = 0;
    while s.on_block(&block, at(SECOND), &mut out, &mut notes) == Flow::Continue {
        blocks += 1;
        assert!(blocks <= 16);
    }
    assert!(matches!(&notes[..], [Note::Flaw(flaw)] if flaw.kind == FlawKind::LineTooLong));
    assert_eq!(s.frames.pending(), 0, "its memory is given back");
    let Step::Wait { until } = s.next(SECOND) else { panic!() };
    assert!(
        matches!(s.next(until), Step::Watch { resource_version, .. } if resource_version == "7")
    );
}

#[test]
fn a_half_line_at_the_end_is_counted_and_forgotten() {
    let mut s = stream();
    listed(&mut s, r#"{"metadata":{"resourceVersion":"7"},"items":[]}"#);
    s.next(SECOND);
    feed(&mut s, br#"{"type":"ADDED","object":{"meta"#, &mut || 3);
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    s.on_end(WatchEnd::Cut, at(2 * SECOND), &mut out, &mut notes);
    assert!(matches!(&notes[..], [Note::Flaw(flaw)] if flaw.kind == FlawKind::Truncated));
    while let Step::Wait { until } = s.next(3 * SECOND) {
        s.next(until);
    }
}

/// Feeds lines of the zoo with bytes replaced, removed and duplicated, and with numbers and times at the limits of
/// their ranges: nothing may panic, overflow or exceed its size limit.
#[test]
fn mutated_lines_never_panic() {
    let text = String::from_utf8(fixture("pods.watch.jsonl")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let odd = [
        ("\"restartCount\":", "\"restartCount\":9223372036854775807,\"x\":"),
        ("\"restartCount\":", "\"restartCount\":-9223372036854775808,\"x\":"),
        ("\"exitCode\":", "\"exitCode\":-2147483648,\"x\":"),
        ("\"exitCode\":", "\"exitCode\":2147483647,\"signal\":2147483647,\"x\":"),
        ("\"finishedAt\":\"2026", "\"finishedAt\":\"9999"),
        ("\"finishedAt\":\"2026", "\"finishedAt\":\"-009"),
        ("\"startedAt\":\"2026", "\"startedAt\":\"0001"),
        ("\"uid\":", "\"deletionGracePeriodSeconds\":-9223372036854775808,\"uid\":"),
        ("\"uid\":", "\"deletionTimestamp\":\"0001-01-01T00:00:00Z\",\"uid\":"),
        (
            "\"terminationGracePeriodSeconds\":",
            "\"terminationGracePeriodSeconds\":9223372036854775807,\"x\":",
        ),
        ("\"periodSeconds\":", "\"periodSeconds\":9223372036854775807,\"x\":"),
        ("\"memory\":\"", "\"memory\":\"99999999999999999999999E"),
        ("\"resourceVersion\":\"", "\"resourceVersion\":\"99999999999999999999999"),
        ("\"name\":\"app\"", "\"name\":\"\""),
    ];
    for seed in 1..40_u64 {
        let mut dice = Jitter::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut pick = move |n: usize| (dice.unit() * n as f64) as usize;
        let mut s = stream();
        listed(&mut s, r#"{"metadata":{"resourceVersion":"461"},"items":[]}"#);
        s.next(SECOND);
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        for _ in 0..200 {
            let line = lines[pick(lines.len())];
            let mut line = match pick(3) {
                0 => {
                    let (from, to) = odd[pick(odd.len())];
                    line.replacen(from, to, 1 + pick(3)).into_bytes()
                }
                _ => line.as_bytes().to_vec(),
            };
            for _ in 0..pick(4) {
                let at = pick(line.len());
                match pick(4) {
                    0 => line[at] = [0xff, b'"', b'}', b'9', 0][pick(5)],
                    1 => drop(line.drain(at..(at + pick(40)).min(line.len()))),
                    2 => line.extend_from_within(at..(at + 40).min(line.len())),
                    _ => {}
                }
                if line.is_empty() {
                    break;
                }
            }
            line.push(b'\n');
            let stopped = s.on_block(&line, at(SECOND), &mut out, &mut notes) == Flow::Stop;
            if stopped && let Step::Wait { until } = s.next(SECOND) {
                s.next(until);
            }
        }
        s.detector.on_time(at(100 * SECOND), &mut out);
        s.detector.finish(at(100 * SECOND), &mut out);
        for output in &out {
            if let Output::Crash(case) = output {
                let incident =
                    &compose(Case::clone(case), Gathered::default(), Recurrence::default());
                let line = crate::core::incident::line::line(incident);
                assert!(line.len() <= crate::limits::INCIDENT_LINE_BYTES_MAX, "seed {seed}");
            }
        }
    }
}

#[test]
fn an_item_that_cannot_be_read_takes_no_known_pod_away() {
    let mut s = stream();
    let good = r#"{"metadata":{"uid":"u1","resourceVersion":"1"},"status":{"phase":"Running"}}"#;
    let bad = r#"{"metadata":{"uid":"u1","resourceVersion":"6"},"status":{"phase":7}}"#;
    let list = |version: u32, items: &str| {
        format!(r#"{{"metadata":{{"resourceVersion":"{version}"}},"items":[{items}]}}"#)
    };
    listed(&mut s, &list(5, good));
    assert_eq!(s.detector.pods(), 1);
    s.reflector = Reflector::new(5 * SECOND, 90 * SECOND, 7);
    let (out, _) = listed(&mut s, &list(7, bad));
    assert_eq!((s.detector.pods(), out.len()), (1, 0), "it was there, only unreadable");
    s.reflector = Reflector::new(5 * SECOND, 90 * SECOND, 7);
    listed(&mut s, &list(8, ""));
    assert_eq!(s.detector.pods(), 0);
}

#[test]
fn a_proxys_page_instead_of_a_watch_is_no_hot_loop() {
    let mut s = stream();
    listed(&mut s, r#"{"metadata":{"resourceVersion":"5"},"items":[]}"#);
    let same = r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"5"}}}"#;
    for page in ["<html>\n<body>Sign in</body>\n</html>\n", &format!("{same}\n")] {
        let (mut now, mut watches) = (10 * SECOND, 0);
        while now < 70 * SECOND {
            match s.next(now) {
                Step::Wait { until } => now = until,
                step => {
                    watches += 1;
                    assert!(watches < 20, "{watches} watches by {now:?} with {page}: {step:?}");
                    feed(&mut s, page.as_bytes(), &mut || 1000);
                    now += Duration::from_millis(5);
                    s.on_end(WatchEnd::Clean, at(now), &mut Vec::new(), &mut Vec::new());
                }
            }
        }
        s = stream();
        listed(&mut s, r#"{"metadata":{"resourceVersion":"5"},"items":[]}"#);
    }
}

#[test]
fn an_event_that_says_nothing_new_moves_the_version_on() {
    let mut s = stream();
    assert!(matches!(s.next(SECOND), Step::List { .. }));
    listed(&mut s, r#"{"metadata":{"resourceVersion":"5"},"items":[]}"#);
    assert!(matches!(s.next(SECOND), Step::Watch { .. }));
    let lines: String = (6..9)
        .map(|version| {
            format!(
                r#"{{"type":"MODIFIED","object":{{"metadata":{{"name":"a","namespace":"shop","uid":"u",
                "resourceVersion":"{version}","labels":{{"version":"{version}"}}}},
                "status":{{"phase":"Running"}}}}}}"#
            )
            .replace('\n', "")
                + "\n"
        })
        .collect();
    let (out, notes, flow) = feed(&mut s, lines.as_bytes(), &mut || 64);
    assert_eq!((flow, notes.len()), (Flow::Continue, 3));
    let started = out.iter().filter(|out| matches!(out, Output::Started(_))).count();
    assert_eq!((started, s.detector.pods()), (1, 1));
    s.on_end(WatchEnd::Clean, at(SECOND), &mut Vec::new(), &mut Vec::new());
    let next = s.next(2 * SECOND);
    let resumes = matches!(&next, Step::Watch { resource_version, .. } if resource_version == "8");
    assert!(resumes, "{next:?}");
}
