//! Decodes a line of the watch, an item of the LIST or an error response, and reports what is wrong with it.
//!
//! An unreadable line costs only that line. Its resourceVersion is still used if it can be found, so that the
//! stream resumes after it, and its pod's name is logged, so that the operator knows which pod was affected.

use std::time::Duration;

use crate::core::stream::reflector::Failure;
use crate::core::text::cut;
#[cfg(doc)]
use crate::core::wire::Outline;
use crate::core::wire::json::{self, Wrong};
use crate::core::wire::{Metadata, Pod, Salvage, SalvageObject, Status, StatusDetails, WatchLine};
use crate::limits::{FLAW_BYTES_MAX, LINE_BYTES_KEPT, LINE_BYTES_SMALL};

/// A decoded line of the watch.
#[derive(Debug)]
pub enum Decoded<'l> {
    /// The pod is new or has changed.
    Applied(Pod<'l>),
    /// The pod was deleted; this is its last state.
    Deleted(Pod<'l>),
    /// The pod has a new version, but nothing relevant in it has changed.
    Known(Metadata<'l>),
    /// A bookmark: no relevant change up to this version.
    Bookmark(Metadata<'l>),
    /// The server ended the stream with an `ERROR` event: the failure and its text.
    Error(Failure, String),
    /// Nothing usable, except the line's version if it has one (else empty).
    Nothing(String),
}

/// The kind of flaw in a line or an item, for the metric and for one log line per kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlawKind {
    /// It is not valid JSON.
    Json,
    /// It is JSON, but a field has the wrong type, or a required field is missing.
    Field,
    /// It contains bytes that are not UTF-8; they were replaced and the rest was used.
    Utf8,
    /// A line is longer than the limit.
    LineTooLong,
    /// The stream ended in the middle of a line.
    Truncated,
    /// The event type is not known to this version of the agent.
    UnknownType,
    /// An item of the LIST is unusable.
    ListItem,
}

/// A flaw in the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The kind of flaw.
    pub kind: FlawKind,
    /// The pod's name, if it could be found, and what is wrong.
    pub text: String,
}

impl Flaw {
    /// Creates a flaw; the text is cut to the size limit.
    pub fn new(kind: FlawKind, text: &str) -> Self {
        Self { kind, text: cut(text, FLAW_BYTES_MAX) }
    }
}

/// Decodes a line of the watch. `scratch` holds a repaired copy if one is needed. If `is_known` returns true for the
/// pod's metadata and fingerprint ([`Outline::fingerprint`]), the rest of the pod is not decoded.
pub fn line<'l>(
    line: &'l [u8],
    scratch: &'l mut String,
    mut is_known: impl FnMut(&Metadata<'_>, u64) -> bool,
) -> (Decoded<'l>, Option<Flaw>) {
    let error = match json::from_slice(line).and_then(|line| decode_event(line, &mut is_known)) {
        Ok(found) => return found,
        Err(error) => error,
    };
    let (text, is_repaired) = repair(line, scratch);
    if is_repaired && let Ok(line) = json::from_slice::<WatchLine<'_>>(text) {
        let name = name_of(&line.object.metadata);
        if let Ok((decoded, flaw)) = decode_event(line, &mut is_known) {
            let text = format!("{name}: bytes that are not UTF-8 were replaced");
            return (decoded, flaw.or_else(|| Some(Flaw::new(FlawKind::Utf8, &text))));
        }
    }
    let salvage: Salvage<'_> = json::from_slice(text).unwrap_or_default();
    let meta = &salvage.object.metadata;
    let kind = match error {
        Wrong::Syntax(_) => FlawKind::Json,
        Wrong::Form { .. } => FlawKind::Field,
    };
    let text = format!("{}: {error}", name_of(meta));
    (Decoded::Nothing(meta.resource_version.to_string()), Some(Flaw::new(kind, &text)))
}

/// Decodes an item of the LIST.
pub fn item<'l>(item: &'l [u8], scratch: &'l mut String) -> (Option<Pod<'l>>, Option<Flaw>) {
    let error = match json::from_slice::<Pod<'_>>(item) {
        Ok(pod) => return check_item(pod),
        Err(error) => error,
    };
    let (text, is_repaired) = repair(item, scratch);
    if is_repaired && let Ok(pod) = json::from_slice::<Pod<'_>>(text) {
        let text = format!("{}: bytes that are not UTF-8 were replaced", name(&pod));
        let (pod, flaw) = check_item(pod);
        return (pod, flaw.or_else(|| Some(Flaw::new(FlawKind::Utf8, &text))));
    }
    let salvage: SalvageObject<'_> = json::from_slice(text).unwrap_or_default();
    let meta = &salvage.metadata;
    let text = format!("{}: {error}", name_of(meta));
    (None, Some(Flaw::new(FlawKind::ListItem, &text)))
}

/// Calls `then` with the metadata of an otherwise unreadable item, if at least the metadata can be read.
pub fn named(item: &[u8], then: impl FnOnce(&Metadata<'_>)) {
    let mut scratch = String::new();
    let (text, _) = repair(item, &mut scratch);
    if let Ok(salvage) = json::from_slice::<SalvageObject<'_>>(text) {
        then(&salvage.metadata);
    }
}

/// Replaces bytes that are not UTF-8: one wrong byte in a message must not cost the crash that the line reports. Returns
/// true if there were any. A long line with such bytes is not repaired, since each of them takes three bytes; the API
/// server sends none.
fn repair<'l>(bytes: &'l [u8], scratch: &'l mut String) -> (&'l [u8], bool) {
    if scratch.capacity() > LINE_BYTES_KEPT {
        *scratch = String::new();
    }
    if std::str::from_utf8(bytes).is_ok() {
        return (bytes, false);
    }
    if bytes.len() > LINE_BYTES_SMALL {
        return (b"", false);
    }
    *scratch = String::from_utf8_lossy(bytes).into_owned();
    (scratch.as_bytes(), true)
}

fn check_item(pod: Pod<'_>) -> (Option<Pod<'_>>, Option<Flaw>) {
    if pod.metadata.uid.is_empty() {
        let text = format!("{}: the pod has no UID", name(&pod));
        return (None, Some(Flaw::new(FlawKind::ListItem, &text)));
    }
    (Some(pod), None)
}

/// Returns the pod's name as `namespace/name`.
pub fn name(pod: &Pod<'_>) -> String {
    name_of(&pod.metadata)
}

fn name_of(metadata: &Metadata<'_>) -> String {
    if metadata.name.is_empty() {
        return "a pod without a name".to_owned();
    }
    format!("{}/{}", metadata.namespace, metadata.name)
}

/// Decodes a line by its event type. `Stream::on_line` returns an `ERROR` event as an error;
/// `Reflector::on_failure` then decides the next request, and the thread that reads drops the connection.
fn decode_event<'l>(
    line: WatchLine<'l>,
    is_known: &mut impl FnMut(&Metadata<'_>, u64) -> bool,
) -> Result<(Decoded<'l>, Option<Flaw>), Wrong> {
    let object = line.object;
    let is_applied = match &*line.kind {
        "ADDED" | "MODIFIED" => true,
        "DELETED" => false,
        "BOOKMARK" => return Ok((Decoded::Bookmark(object.metadata), None)),
        "ERROR" => {
            let failure = failure(object.code, &object.reason, &object.details, None);
            let text = format!("{} {}: {}", object.code, object.reason, object.message);
            return Ok((Decoded::Error(failure, cut(&text, FLAW_BYTES_MAX)), None));
        }
        kind => {
            let text = format!("{}: unknown event type {kind:?}", name_of(&object.metadata));
            return Ok(nothing(&object.metadata, Flaw::new(FlawKind::UnknownType, &text)));
        }
    };
    if object.metadata.uid.is_empty() {
        let text = format!("{}: the pod has no UID", name_of(&object.metadata));
        return Ok(nothing(&object.metadata, Flaw::new(FlawKind::Field, &text)));
    }
    let fingerprint = object.fingerprint();
    let decoded = match is_applied {
        true if is_known(&object.metadata, fingerprint) => Decoded::Known(object.metadata),
        true => Decoded::Applied(object.pod(fingerprint)?),
        false => Decoded::Deleted(object.pod(fingerprint)?),
    };
    Ok((decoded, None))
}

fn nothing<'l>(metadata: &Metadata<'_>, flaw: Flaw) -> (Decoded<'l>, Option<Flaw>) {
    (Decoded::Nothing(metadata.resource_version.to_string()), Some(flaw))
}

/// Classifies a response other than 200 by its code, its body (if that is a `Status`) and its `Retry-After` header.
pub fn answer(code: u16, body: &[u8], retry_after: Option<Duration>) -> (Failure, String) {
    let status: Status<'_> = json::from_slice(body).unwrap_or_default();
    let text = match status.message.some() {
        Some(message) => format!("{code} {}: {message}", status.reason),
        None => format!("{code}"),
    };
    let failure = failure(code, &status.reason, &status.details, retry_after);
    (failure, cut(&text, FLAW_BYTES_MAX))
}

/// Follows client-go's `isExpiredError` and `isTooLargeResourceVersionError` (`tools/cache/reflector.go`,
/// apimachinery `pkg/api/errors`). Both code and reason count, because servers differ in which of them they set.
fn failure(
    code: u16,
    reason: &str,
    details: &StatusDetails<'_>,
    retry_after: Option<Duration>,
) -> Failure {
    if code == 410 || matches!(reason, "Expired" | "Gone") {
        return Failure::Expired;
    }
    if details.causes.iter().any(|cause| &*cause.reason == "ResourceVersionTooLarge") {
        return Failure::VersionTooLarge;
    }
    let asked = u64::from(details.retry_after_seconds);
    let wait = retry_after.or_else(|| (asked > 0).then(|| Duration::from_secs(asked)));
    match code {
        429 => Failure::Throttled(wait),
        500.. if wait.is_some() => Failure::Throttled(wait),
        401 | 502..=504 => Failure::Unavailable,
        400 | 422 => Failure::Rejected,
        _ => Failure::Transient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &[u8]) -> (String, Option<FlawKind>) {
        let mut scratch = String::new();
        let (decoded, flaw) = line(text, &mut scratch, |_, _| false);
        let shown = match decoded {
            Decoded::Applied(pod) => format!("applied {}", name(&pod)),
            Decoded::Deleted(pod) => format!("deleted {}", name(&pod)),
            Decoded::Known(meta) => format!("known {}", meta.resource_version),
            Decoded::Bookmark(meta) => format!("bookmark {}", meta.resource_version),
            Decoded::Error(failure, text) => format!("{failure:?} {text}"),
            Decoded::Nothing(version) => format!("nothing {version}"),
        };
        (shown, flaw.map(|f| f.kind))
    }

    #[test]
    fn lines_are_told_apart_and_bad_ones_give_their_version() {
        use FlawKind::{Field, Json, UnknownType, Utf8};
        let pod = r#""metadata":{"namespace":"shop","name":"a","uid":"u","resourceVersion":"7"}"#;
        let cases: Vec<(String, &str, Option<FlawKind>)> = vec![
            (format!(r#"{{"type":"ADDED","object":{{{pod}}}}}"#), "applied shop/a", None),
            (format!(r#"{{"object":{{{pod}}},"type":"MODIFIED"}}"#), "applied shop/a", None),
            (format!(r#"{{"type":"DELETED","object":{{{pod}}}}}"#), "deleted shop/a", None),
            (format!(r#"{{"type":"BOOKMARK","object":{{{pod}}}}}"#), "bookmark 7", None),
            (format!(r#"{{"type":"SYNCED","object":{{{pod}}}}}"#), "nothing 7", Some(UnknownType)),
            (
                format!(r#"{{"type":"ADDED","object":{{{pod},"status":{{"phase":[]}}}}}}"#),
                "nothing 7",
                Some(Field),
            ),
            (
                format!(r#"{{"type":"ADDED","object":{{{pod},"spec":{{"containers":{{}}}}}}}}"#),
                "nothing 7",
                Some(Field),
            ),
            (
                r#"{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"8"}}}"#
                    .into(),
                "nothing 8",
                Some(Field),
            ),
            (format!(r#"{{"type":"ADDED","object":{{{pod}}}"#), "nothing ", Some(Json)),
            ("garbage".into(), "nothing ", Some(Json)),
            ("[1]".into(), "nothing ", Some(Field)),
            ("{}".into(), "nothing ", Some(UnknownType)),
            ("null".into(), "nothing ", Some(UnknownType)),
        ];
        for (text, want, flaw) in cases {
            assert_eq!(decode(text.as_bytes()), (want.to_owned(), flaw), "{text}");
        }
        let mut broken = format!(
            r#"{{"type":"ADDED","object":{{{pod},"status":{{"message":"x?y","qosClass":"?"}}}}}}"#
        )
        .into_bytes();
        for byte in broken.iter_mut().filter(|b| **b == b'?') {
            *byte = 0xff;
        }
        assert_eq!(decode(&broken), ("applied shop/a".to_owned(), Some(Utf8)));
    }

    #[test]
    fn flaws_name_the_pod() {
        let text =
            br#"{"type":"ADDED","object":{"metadata":{"namespace":"shop","name":"a","uid":"u"},
            "status":{"containerStatuses":[{"restartCount":"many"}]}}}"#;
        let mut scratch = String::new();
        let (_, flaw) = line(text, &mut scratch, |_, _| false);
        assert!(flaw.unwrap().text.starts_with("shop/a: "));
        let (pod, flaw) = item(br#"{"metadata":{"name":"b"},"spec":7}"#, &mut scratch);
        assert!(pod.is_none());
        assert!(flaw.unwrap().text.starts_with("/b: "));
        assert!(item(b"null", &mut String::new()).1.is_some());
    }

    #[test]
    fn failures_are_grouped_by_what_follows() {
        let second = |n| Some(Duration::from_secs(n));
        for (code, body, header, want) in [
            (410, "", None, Failure::Expired),
            (200, r#"{"reason":"Expired"}"#, None, Failure::Expired),
            (500, r#"{"reason":"Gone"}"#, None, Failure::Expired),
            (
                504,
                r#"{"reason":"Timeout","details":{"causes":[{"reason":"ResourceVersionTooLarge",
                "message":"Too large resource version"}],"retryAfterSeconds":1}}"#,
                second(1),
                Failure::VersionTooLarge,
            ),
            (504, r#"{"reason":"Timeout"}"#, None, Failure::Unavailable),
            (429, "", second(7), Failure::Throttled(second(7))),
            (429, r#"{"details":{"retryAfterSeconds":3}}"#, None, Failure::Throttled(second(3))),
            (429, "<html>", None, Failure::Throttled(None)),
            (503, "", second(2), Failure::Throttled(second(2))),
            (502, "<html>bad gateway</html>", None, Failure::Unavailable),
            (500, "", None, Failure::Transient),
            (401, "", None, Failure::Unavailable),
            (400, "", None, Failure::Rejected),
            (422, "", second(5), Failure::Rejected),
            (403, "", second(5), Failure::Transient),
        ] {
            assert_eq!(answer(code, body.as_bytes(), header).0, want, "{code} {body}");
        }
    }

    #[test]
    fn the_recorded_answers_are_understood() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/http/");
        for (file, code, want, says) in [
            ("401.txt", 401, Failure::Unavailable, "401 Unauthorized: Unauthorized"),
            ("403.txt", 403, Failure::Transient, "403 Forbidden: pods is forbidden"),
            ("400-continue.txt", 400, Failure::Rejected, "400 BadRequest: invalid continue"),
        ] {
            let text = std::fs::read_to_string(format!("{folder}{file}")).unwrap();
            let body = text.split_once("\n{").map(|(_, b)| format!("{{{b}")).unwrap();
            let (failure, text) = answer(code, body.as_bytes(), None);
            assert_eq!(failure, want, "{file}");
            assert!(text.starts_with(says), "{file}: {text}");
        }
        let gone = std::fs::read_to_string(format!("{folder}watch-rv1.txt")).unwrap();
        let event = gone.lines().find(|l| l.starts_with('{')).unwrap();
        let (shown, flaw) = decode(event.as_bytes());
        assert_eq!(shown, "Expired 410 Expired: too old resource version: 1 (2280)");
        assert_eq!(flaw, None);
    }
}
