//! Properties that must hold for every input of the parsers that read outside data: one function per parser, which
//! panics if a property does not hold. `fuzz_targets/` calls them with the fuzzer's inputs, `tests/fuzz_corpus.rs`
//! with the corpus, the fixtures and mutations of them.

#![allow(dead_code, reason = "a fuzz target uses one of them")]
#![allow(unreachable_pub, reason = "pub is the interface to what includes this module")]
#![allow(clippy::unwrap_used, reason = "what does not hold is to panic")]

mod cause;
mod journal;

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;
use std::{env, fmt, fs, process};

use blackbox_daemon::config::Config;
use blackbox_daemon::config::endpoint::{Server, TokenSource};
use blackbox_daemon::core::Now;
use blackbox_daemon::core::case::IncidentId;
use blackbox_daemon::core::detect::evidence::PodEvent;
use blackbox_daemon::core::detect::settle::Lookup;
use blackbox_daemon::core::detect::{Detector, History, Output};
use blackbox_daemon::core::incident::recurrence::Recurrence;
use blackbox_daemon::core::incident::{Gathered, compose, line};
use blackbox_daemon::core::logs::cri::{LogLine, LogStream};
use blackbox_daemon::core::logs::last_words::{LastWords, LogEnd, Tail};
use blackbox_daemon::core::logs::mask::{MASK, Mask};
use blackbox_daemon::core::sidecar::Post;
use blackbox_daemon::core::stream::decode::{self, Decoded};
use blackbox_daemon::core::stream::frame::{FrameSplitter, LineTooLong, OverLong};
use blackbox_daemon::core::stream::list::{ListError, ListSplitter, Piece};
use blackbox_daemon::core::stream::reflector::{Reflector, Step, WatchEnd};
use blackbox_daemon::core::stream::{Flow, Stream};
use blackbox_daemon::core::wire;
use blackbox_daemon::core::wire::json;
use blackbox_daemon::limits::{
    EVENTS_PER_POD_MAX, INCIDENT_LINE_BYTES_MAX, LOG_BYTES_MAX, LOG_LINE_BYTES_MAX, LOG_LINES_MAX,
    PODS_MAX, TELEMETRY_NAME_BYTES_MAX, TELEMETRY_NAMES_MAX,
};
use blackbox_daemon::serve::http::request;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

pub use self::cause::cause;
pub use self::journal::{journal, kernel};

/// Cuts `data` into blocks in several ways: not at all, at each byte, and in three ways derived from the data.
fn cuts(data: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut ways = vec![vec![data]];
    if data.len() <= 4096 {
        ways.push(data.chunks(1).collect());
    }
    let hash = data.iter().fold(7_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
    let mut random = Random(hash | 1);
    for longest in [9, 100, 2000] {
        let mut rest = data;
        let mut blocks = Vec::new();
        while !rest.is_empty() {
            let (block, tail) = rest.split_at(random.below(longest).min(rest.len()));
            blocks.push(block);
            rest = tail;
        }
        ways.push(blocks);
    }
    ways
}

/// Xorshift generator: the same numbers in each run.
pub struct Random(pub u64);

impl Random {
    /// Returns a number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end.max(1)
    }
}

/// However a stream is cut into blocks, its lines are those between the newlines: up to one that is too long, or
/// without those that are too long. A stored partial line never exceeds the limit.
pub fn frames(data: &[u8]) {
    for (limit, over_long) in [0, 1, 16, 300, 1 << 20]
        .into_iter()
        .flat_map(|limit| [(limit, OverLong::Fail), (limit, OverLong::Skip)])
    {
        let (want, pending) = frames_at_once(data, limit, over_long);
        for blocks in cuts(data) {
            let mut splitter = FrameSplitter::new(limit, over_long);
            let mut got = Vec::new();
            let mut refused = false;
            for block in blocks {
                let mut frames = splitter.feed(block);
                while let Some(line) = frames.next() {
                    if !refused {
                        refused = line.is_err() && over_long == OverLong::Fail;
                        got.push(line.map(<[u8]>::to_vec));
                    }
                }
                assert!(splitter.pending() <= limit);
            }
            assert_eq!(got, want, "limit {limit}, {over_long:?}");
            assert!(refused || splitter.pending() == pending, "limit {limit}, {over_long:?}");
            splitter.reset();
            assert_eq!(splitter.pending(), 0);
        }
    }
}

fn frames_at_once(
    data: &[u8],
    limit: usize,
    over_long: OverLong,
) -> (Vec<Result<Vec<u8>, LineTooLong>>, usize) {
    let mut lines = Vec::new();
    let last = data.iter().filter(|b| **b == b'\n').count();
    for (n, line) in data.split(|b| *b == b'\n').enumerate() {
        if line.len() > limit {
            lines.push(Err(LineTooLong { limit }));
            if over_long == OverLong::Fail {
                break;
            }
        } else if n == last {
            return (lines, line.len());
        } else if !line.trim_ascii().is_empty() {
            lines.push(Ok(line.to_vec()));
        }
    }
    (lines, 0)
}

/// Formats everything in a line except the fingerprint, which is computed from the original, unrepaired bytes.
fn said(decoded: &Decoded<'_>) -> String {
    let (kind, pod) = match decoded {
        Decoded::Applied(pod) => ("applied", pod),
        Decoded::Deleted(pod) => ("deleted", pod),
        other => return format!("{other:?}"),
    };
    format!("{kind} {:?} {:?} {:?}", pod.metadata, pod.spec, pod.status)
}

/// Every line is decoded, with the same result after invalid UTF-8 is replaced. Pods go through a whole detection,
/// whose deadlines pass and whose incidents fit into a line.
pub fn wire(data: &[u8]) {
    let mut bench = Bench::new(data);
    for line in data.split(|b| *b == b'\n').take(500) {
        let (mut scratch, mut repaired) = (String::new(), String::new());
        let (decoded, flaw) = decode::line(line, &mut scratch, |_, _| false);
        let lossy = String::from_utf8_lossy(line);
        let (same, _) = decode::line(lossy.as_bytes(), &mut repaired, |_, _| false);
        assert_eq!(said(&decoded), said(&same));
        assert!(flaw.is_some() || !matches!(decoded, Decoded::Nothing(_)), "it is said why");
        bench.step();
        match decoded {
            Decoded::Applied(pod) => bench.detector.on_applied(&pod, bench.now, &mut bench.out),
            Decoded::Deleted(pod) => bench.detector.on_deleted(&pod, bench.now, &mut bench.out),
            Decoded::Known(_) | Decoded::Bookmark(_) | Decoded::Error(..) => {}
            Decoded::Nothing(_) => bench.item(line),
        }
        bench.look_at_output();
        if data.len() % 5 > 1 {
            bench.detector.on_time(bench.now, &mut bench.out);
            bench.look_at_output();
        }
        let _ = decode::answer(200 + line.len() as u16 % 400, line, None);
    }
    bench.end();
}

/// A detection with a simulated clock.
struct Bench {
    detector: Detector,
    now: Now,
    out: Vec<Output>,
    events: Vec<PodEvent>,
    /// Whether lookups are answered at all.
    answers: bool,
    /// The ids of the terminations reported so far.
    ids: HashSet<IncidentId>,
}

impl Bench {
    fn new(data: &[u8]) -> Self {
        let events: Vec<_> = data
            .split(|b| *b == b'\n')
            .filter_map(|line| json::from_slice::<wire::EventLine<'_>>(line).ok())
            .filter(|line| !line.object.reason.is_empty())
            .map(|line| PodEvent::from_wire(&line.object))
            .take(EVENTS_PER_POD_MAX)
            .collect();
        let (now, ignored) = (Timestamp::from_second(1_795_404_701).unwrap(), "quiet".to_owned());
        let history = History::Before { started: now, lookback: Duration::from_secs(300) };
        let mut bench = Self {
            detector: Detector::new("node1", &[ignored], history),
            now: Now { monotonic: Duration::from_secs(5), wall: now },
            out: Vec::new(),
            answers: data.len().is_multiple_of(2),
            events,
            ids: HashSet::new(),
        };
        if !data.len().is_multiple_of(3) {
            bench.detector.begin_list(false);
            bench.detector.end_list(&mut bench.out);
        }
        bench
    }

    fn step(&mut self) {
        let second = Duration::from_secs(1);
        self.now = Now { monotonic: self.now.monotonic + second, wall: self.now.wall + second };
    }

    /// Reads a line that is not a watch event as an item of a list.
    fn item(&mut self, line: &[u8]) {
        let mut scratch = String::new();
        self.detector.begin_list(line.len().is_multiple_of(2));
        match decode::item(line, &mut scratch) {
            (Some(pod), _) => self.detector.on_listed(&pod, self.now, &mut self.out),
            (None, flaw) => {
                assert!(flaw.is_some(), "it is said why");
                decode::named(line, |meta| self.detector.on_unreadable(meta));
            }
        }
        if line.len().is_multiple_of(3) {
            self.detector.end_list(&mut self.out);
        } else {
            self.detector.abort_list();
        }
    }

    /// Checks all output, answers lookups, and checks the output of those.
    fn look_at_output(&mut self) {
        while !self.out.is_empty() {
            for output in std::mem::take(&mut self.out) {
                match output {
                    Output::Crash(case) => {
                        // A pod that left the LIST and comes back may wait, or have failed, again.
                        let is_new = case.termination().is_none() || self.ids.insert(case.id);
                        assert!(is_new, "reported twice: {case:?}");
                        let gathered = Gathered::default();
                        let incident = compose(*case, gathered, Recurrence::default());
                        check_line(&line::line(&incident));
                    }
                    Output::LookUp { key, .. } if self.answers => {
                        let found = Lookup::Found(self.events.clone());
                        self.detector.on_events(&key, &found, &mut self.out);
                    }
                    _ => {}
                }
            }
        }
        assert!(self.detector.pods() <= PODS_MAX);
    }

    /// Lets every deadline pass, then finishes the detection.
    fn end(&mut self) {
        if self.events.is_empty() {
            self.detector.finish(self.now, &mut self.out);
        }
        let mut at_once = 0;
        while let Some(deadline) = self.detector.next_deadline() {
            // An answer may come after the next deadline has passed, but only a limited number of times.
            at_once = if deadline > self.now.monotonic { 0 } else { at_once + 1 };
            assert!(at_once < 5, "a deadline that stays");
            self.now.monotonic = self.now.monotonic.max(deadline);
            self.detector.on_time(self.now, &mut self.out);
            self.look_at_output();
        }
        self.look_at_output();
        assert_eq!(self.detector.held(), 0);
    }
}

fn check_line(line: &[u8]) {
    assert!(line.len() <= INCIDENT_LINE_BYTES_MAX, "{} bytes", line.len());
    assert_eq!(line.iter().position(|b| *b == b'\n'), Some(line.len() - 1));
    let value: Value = serde_json::from_slice(line).unwrap();
    assert_eq!(value["schema"], "blackbox.incident/v1");
    assert!(value["message"].as_str().is_some_and(|message| !message.is_empty()));
}

/// However a LIST is cut into blocks, its pieces are the same; and for a valid JSON object they are what a JSON
/// parser finds.
pub fn list(data: &[u8]) {
    for limit in [1, 40, 1 << 20] {
        let ways = cuts(data);
        let want = pieces(&ways[0], limit);
        for blocks in &ways[1..] {
            assert_eq!(pieces(blocks, limit), want, "limit {limit}");
        }
    }
    let Ok(members) = serde_json::from_slice::<Members>(data) else {
        return;
    };
    let mut want = Vec::new();
    for (key, value) in members.0 {
        match (key.as_str(), value) {
            ("items", Value::Array(items)) => want.extend(items.into_iter().map(|i| (true, i))),
            ("metadata", value) => want.push((false, value)),
            _ => {}
        }
    }
    let (got, end) = pieces(&[data], 1 << 20);
    assert_eq!(end, Ok(()), "a JSON object");
    let parse = |(is_item, bytes): Sent| (is_item, serde_json::from_slice(&bytes));
    let got: Vec<(bool, Value)> =
        got.into_iter().map(parse).map(|(is_item, value)| (is_item, value.unwrap())).collect();
    // The server never writes a character of a key as a \u escape; the splitter takes such a key for another one.
    assert!(got == want || data.windows(2).any(|two| two == b"\\u"), "{got:?} {want:?}");
}

/// An item (`true`) or metadata (`false`), as sent.
type Sent = (bool, Vec<u8>);

fn pieces(blocks: &[&[u8]], limit: usize) -> (Vec<Sent>, Result<(), ListError>) {
    let mut splitter = ListSplitter::new(limit);
    let mut out = Vec::new();
    for block in blocks {
        let mut pieces = splitter.feed(block);
        while let Some(piece) = pieces.next() {
            let (is_item, bytes) = match piece {
                Ok(Piece::Item(bytes)) => (true, bytes),
                Ok(Piece::Metadata(bytes)) => (false, bytes),
                Err(error) => return (out, Err(error)),
            };
            assert!(!bytes.is_empty() && bytes.len() <= limit);
            out.push((is_item, bytes.to_vec()));
        }
    }
    (out, splitter.finish())
}

/// The members of an object in their order, including those with the same key.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

/// Units and thousandths agree with each other, and with floating point within its precision.
pub fn quantity(data: &[u8]) {
    use blackbox_daemon::core::wire::quantity::{milli, whole};
    let text = String::from_utf8_lossy(data);
    let (units, thousandths) = (whole(&text), milli(&text));
    assert_eq!(units.is_some(), thousandths.is_some(), "{text:?}");
    assert_eq!(units.is_some(), approximate(&text).is_some(), "{text:?}");
    let (Some(units), Some(thousandths), Some(about)) = (units, thousandths, approximate(&text))
    else {
        return;
    };
    if let Ok(number) = text.parse::<i64>() {
        assert_eq!((units, thousandths), (number, number.saturating_mul(1000)), "{text:?}");
    }
    if thousandths > i64::MIN && thousandths < i64::MAX {
        let up = i64::try_from(thousandths.unsigned_abs().div_ceil(1000)).unwrap();
        assert_eq!(units, up * thousandths.signum(), "{text:?}");
    }
    for (got, about) in [(units, about), (thousandths, about * 1000.0)] {
        let (got, about) = (got as f64, about.clamp(i64::MIN as f64, i64::MAX as f64));
        assert!((got - about).abs() <= 1.0 + about.abs() * 1e-9, "{text:?}: {got} {about}");
        assert!(got == 0.0 || got.signum() == about.signum(), "{text:?}: {got} {about}");
    }
}

/// Parses the quantity as floating point, which accepts the same numbers, and also `inf` and `nan`.
fn approximate(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && !"+-.".contains(c)).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let factor = match suffix {
        "" => 1.0,
        "Ki" | "Mi" | "Gi" | "Ti" | "Pi" | "Ei" => {
            1024_f64.powi(1 + "KMGTPE".find(&suffix[..1]).unwrap() as i32)
        }
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        _ if suffix.starts_with(['e', 'E']) => return text.parse().ok(),
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| number * factor)
}

/// A parsed line has valid fields, and a line built from them parses to the same.
pub fn cri(data: &[u8]) {
    use blackbox_daemon::core::logs::cri::parse;
    let Some(line) = parse(data) else {
        // A line of the strictest form is parsed, whatever its content.
        let again = [b"2026-11-23T03:31:41.123456789Z stdout F ", data].concat();
        assert_eq!(parse(&again).unwrap().content, data);
        return;
    };
    let LogLine { time, stream, partial, content } = line;
    let stream = match stream {
        LogStream::Stdout => "stdout",
        LogStream::Stderr => "stderr",
    };
    let head = &data[..data.len() - content.len()];
    assert!(data.ends_with(content) && head.ends_with(b" "));
    let words: Vec<_> = head.split(|b| *b == b' ').collect();
    assert_eq!((words.len(), words[1]), (4, stream.as_bytes()));
    assert_eq!(partial, words[2].split(|b| *b == b':').next() == Some(b"P"));
    for at in 0..head.len() {
        assert_eq!(parse(&data[..at]), None, "a head that is not whole");
    }
    // An offset may lead to a year before 0, which cannot be written in this form.
    if time.as_second() < -62_167_219_200 {
        return;
    }
    let tag = if partial { "P" } else { "F" };
    let again = [format!("{time:.9} {stream} {tag} ").as_bytes(), content].concat();
    assert_eq!(parse(&again), Some(line));
}

/// However a log ends, its last words fit into an incident and are plain characters; fewer last words are the end of
/// more; and the result does not depend on how lines are distributed over files.
pub fn last_words_hold(data: &[u8]) {
    for is_masked in [true, false] {
        let tail = |is_cut| last_words(&[Tail { bytes: data, is_cut }], LOG_LINES_MAX, is_masked);
        let whole = tail(false);
        for words in [&whole, &tail(true)] {
            check_words(words);
        }
        for lines_max in [0, 1, 7] {
            let tail = Tail { bytes: data, is_cut: false };
            let few = last_words(&[tail], lines_max, is_masked);
            assert!(few.lines.len() <= lines_max);
            assert!(whole.lines.ends_with(&few.lines), "{few:?} {whole:?}");
            assert_eq!(few.lines.len(), whole.lines.len().min(lines_max));
            assert_eq!(few.skipped, whole.skipped);
        }
        let ends: Vec<_> = (0..data.len()).filter(|at| data[*at] == b'\n').collect();
        for at in ends.iter().step_by(ends.len() / 4 + 1) {
            let (old, new) = data.split_at(at + 1);
            let tails = [old, new].map(|bytes| Tail { bytes, is_cut: false });
            assert_eq!(last_words(&tails, LOG_LINES_MAX, is_masked), whole, "files cut at {at}");
        }
    }
}

fn last_words(tails: &[Tail<'_>], lines_max: usize, is_masked: bool) -> LastWords {
    LogEnd::read(tails, is_masked).last_words(lines_max)
}

fn check_words(words: &LastWords) {
    let json = serde_json::to_string(&words.lines).unwrap();
    assert!(words.json_bytes() <= LOG_BYTES_MAX && json.len() <= words.json_bytes() + 2);
    for line in &words.lines {
        assert!(line.text.len() <= LOG_LINE_BYTES_MAX);
        assert!(!line.text.contains(|c: char| c.is_control() && c != '\t'), "{line:?}");
    }
    let mut fitted = words.clone();
    fitted.fit(words.json_bytes() / 2);
    assert!(fitted.json_bytes() <= words.json_bytes() / 2);
    assert!(words.lines.ends_with(&fitted.lines));
}

/// Masking keeps every byte that it does not mask, adds at most three for each that it does, two more around a bare value of
/// JSON, and masking twice gives the same result. (Quotes beside a mask are not compared.)
pub fn mask(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut mask = Mask::default();
    for line in text.split('\n') {
        let masked = mask.line(line);
        // Each line is masked on its own: of a multi-line key, the first line may be gone the second time.
        let once = Mask::default().line(line).into_owned();
        assert_eq!(Mask::default().line(&once), once, "{line:?}");
        let mut rest = line;
        // Asterisks of the original line may be next to those of a mask.
        let pieces: Vec<_> = masked.split('*').filter(|piece| !piece.is_empty()).collect();
        assert!(masked.len() <= line.len() + (MASK.len() + 2) * masked.matches(MASK).count());
        for piece in pieces {
            // A number has no quotes, its mask has.
            let piece = piece.strip_prefix('"').unwrap_or(piece);
            let piece = piece.strip_suffix('"').unwrap_or(piece);
            let at = rest.find(piece);
            rest = &rest[at.unwrap_or_else(|| panic!("{line:?} {masked:?}")) + piece.len()..];
        }
    }
}

/// A verdict does not change with more bytes, and a head with its end is never reported as incomplete.
pub fn http_head(data: &[u8]) {
    let verdict = request::parse(data);
    let shortest = data.len().saturating_sub(64);
    for at in (0..data.len().min(128)).chain(shortest..data.len()) {
        if let Some(early) = request::parse(&data[..at]) {
            assert_eq!(verdict, Some(early), "at {at}");
        }
    }
    let ended = [data, b"\n\n"].concat();
    let last = request::parse(&ended);
    assert!(last.is_some() && verdict.is_none_or(|verdict| Some(verdict) == last));
    if let Some(Ok(head)) = verdict {
        if head.method != request::Method::Other {
            let method = format!("{:?} /", head.method).to_uppercase();
            assert!(data.starts_with(method.as_bytes()));
        }
        assert!(head.bytes <= data.len() && data[..head.bytes].ends_with(b"\n"));
        assert!(head.method == request::Method::Post || head.body == request::BodyHead::default());
        assert!(head.path.starts_with('/') && !head.path.contains(['?', '#', ' ']));
        assert!(head.path.bytes().all(|byte| byte.is_ascii_graphic()));
    }
}

const JSON: Option<&str> = Some("application/json");

/// A post is accepted with a few valid names and finite values, which are the same in the JSON input; or it is
/// refused with a 4xx status and one short line.
pub fn telemetry(data: &[u8]) {
    match Post::parse(JSON, data) {
        Ok(post) => {
            assert!(post.metrics.len() <= TELEMETRY_NAMES_MAX);
            let shown: BTreeMap<String, &RawValue> = serde_json::from_slice(data).unwrap();
            let shown: BTreeMap<String, &RawValue> =
                serde_json::from_str(shown["metrics"].get()).unwrap();
            assert_eq!(shown.len(), post.metrics.len());
            for (name, value) in &post.metrics {
                assert!(!name.is_empty() && name.len() <= TELEMETRY_NAME_BYTES_MAX);
                assert!(name.bytes().all(|b| b.is_ascii_graphic()) && value.is_finite());
                // This JSON parser is sometimes off by the last digit, and so refuses the largest numbers.
                match serde_json::from_str::<f64>(shown[name].get()) {
                    Ok(shown) => {
                        assert!((shown - value).abs() <= value.abs() * 1e-15, "{shown} {value}");
                    }
                    Err(error) => assert!(value.abs() >= f64::MAX * (1.0 - 1e-15), "{error}"),
                }
            }
        }
        Err(refusal) => {
            assert!((400..500).contains(&refusal.status()));
            let sentence = refusal.to_string();
            assert!(sentence.len() < 700 && !sentence.contains(char::is_control), "{sentence:?}");
        }
    }
}

/// A kubeconfig is accepted or refused, the same way each time, in single lines that show no token.
pub fn kubeconfig(data: &[u8]) {
    // The files it names are opened, so skip paths whose opening may block or have effects.
    if data.windows(4).any(|word| matches!(word, b"/dev" | b"/pro" | b"/sys")) {
        return;
    }
    let path = kubeconfig_path();
    fs::write(&path, data).unwrap();
    let vars = BTreeMap::from([
        ("KUBECONFIG", path.into_os_string()),
        ("NODE_NAME", "node1".into()),
        ("POD_NAMESPACE", "shop".into()),
    ]);
    let read = || Config::from_env(vars.iter().map(|(k, v)| (OsString::from(k), v.clone())));
    let config = match read() {
        Ok(config) => config,
        Err(errors) => {
            assert_eq!(read().err(), Some(errors.clone()));
            let shown = errors.to_string();
            assert_eq!(shown.lines().count(), errors.problems.len());
            assert!(!shown.lines().any(|line| line.contains(char::is_control)), "{shown}");
            return;
        }
    };
    assert_eq!(read().as_ref(), Ok(&config));
    assert!(config.warnings.iter().all(|line| !line.contains(char::is_control)));
    let server = &config.api_server.server;
    assert_eq!(Server::parse(&server.url()).as_ref(), Ok(server));
    if let TokenSource::Inline(token) = &config.api_server.credentials.token {
        let token = token.expose();
        assert!(!token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic()));
        // A name may contain the same letters, and a short token is part of many words.
        let written = String::from_utf8_lossy(data).matches(token).count();
        assert!(token.len() < 12 || written != 1 || !format!("{config:?}").contains(token));
    }
}

/// Returns the path of a file of this process's own, in a folder created once.
fn kubeconfig_path() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let folder = env::temp_dir().join(format!("blackbox-fuzz-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder.join("config")
    })
    .clone()
}

/// Whatever a server sends, and however it is cut into blocks: the position stays one that a request can be made with, the
/// tables keep their limits, and each line has its own. `data` is the answer to every LIST but the first and to every
/// WATCH.
pub fn stream(data: &[u8]) {
    const LIST: &[u8] = br#"{"metadata":{"resourceVersion":"5"},"items":[]}"#;
    for blocks in cuts(data) {
        let reflector = Reflector::new(Duration::from_secs(5), Duration::from_secs(90), 7);
        let mut stream = Stream::new(reflector, Detector::new("node1", &[], History::All));
        let mut now = Now { monotonic: Duration::from_secs(1), wall: Timestamp::UNIX_EPOCH };
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        for round in 0..12 {
            let step = match stream.next(now.monotonic) {
                Step::Wait { until } => {
                    now.monotonic = until;
                    stream.next(now.monotonic)
                }
                step => step,
            };
            let version = match &step {
                Step::List { resource_version, .. } | Step::Watch { resource_version, .. } => {
                    resource_version
                }
                Step::Version | Step::Wait { .. } => "0",
            };
            assert!(version.is_empty() || wire::is_usable(version), "{version:?}");
            let blocks = if round == 0 { vec![LIST] } else { blocks.clone() };
            let is_wanted =
                |block: &&[u8]| stream.on_block(block, now, &mut out, &mut notes) == Flow::Continue;
            if blocks.iter().all(is_wanted) {
                stream.on_end(WatchEnd::Clean, now, &mut out, &mut notes);
            }
            assert!(stream.detector.pods() <= PODS_MAX);
            for output in out.drain(..) {
                if let Output::Crash(case) = output {
                    let line =
                        line::line(&compose(*case, Gathered::default(), Recurrence::default()));
                    assert!(line.len() <= INCIDENT_LINE_BYTES_MAX);
                }
            }
            notes.clear();
            now.monotonic += Duration::from_secs(1);
        }
    }
}
