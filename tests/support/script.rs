//! Faults on demand: which requests get a different response, and which one.
//!
//! ```ignore
//! api.once(Target::LIST_PODS, Behaviour::answer(503, "").header("Retry-After", "1"));
//! api.once(Target::WATCH_PODS, Behaviour::api().chunks(7).ends(Point::Events(3), Ending::Reset));
//! api.always(Target::ANY, Behaviour::api().delay(Duration::from_millis(50)));
//! ```

use std::sync::Mutex;
use std::time::Duration;

use super::answer::Call;
use super::http::Response;

/// The requests that a behaviour applies to.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    verb: Option<&'static str>,
    resource: Option<&'static str>,
}

/// How an exchange ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Cleanly: with the terminal chunk, and the connection can be reused.
    Close,
    /// With FIN but without the terminal chunk, as from a dying proxy.
    Cut,
    /// With silence on an open connection.
    Hang,
    /// With RST.
    Reset,
}

/// When a scripted ending happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// This long after the head of a watch. A complete response is not started; the exchange ends instead.
    After(Duration),
    /// After this many bytes of the body; 0 is after the head.
    Bytes(usize),
    /// After this many lines of a watch; a complete response counts as one line.
    Events(usize),
    /// Before the status line.
    Head,
}

/// Something that does not belong to the response.
#[derive(Clone, Debug)]
pub enum Insertion {
    /// These bytes, unchanged.
    Bytes(Vec<u8>),
    /// A JSON line of this many bytes, with or without its newline.
    GiantLine {
        /// The length of the line.
        bytes: usize,
        /// Whether the line has a newline.
        newline: bool,
    },
    /// Single bytes of a line that never ends.
    Trickle {
        /// Number of bytes.
        bytes: usize,
        /// The time between two of them.
        every: Duration,
    },
}

/// How a request is answered.
#[derive(Clone, Debug, Default)]
pub struct Behaviour {
    pub(super) answer: Option<Response>,
    pub(super) delay: Duration,
    pub(super) endless_head: bool,
    pub(super) chunk_bytes: Option<usize>,
    pub(super) pause: Duration,
    pub(super) insertions: Vec<(usize, Insertion)>,
    pub(super) truncated: Option<(usize, usize)>,
    pub(super) parting: Vec<u8>,
    pub(super) ending: Option<(Point, Ending)>,
}

/// The behaviours that wait for their requests.
#[derive(Default)]
pub struct Script(Mutex<Vec<Entry>>);

struct Entry {
    target: Target,
    /// Number of requests left; `None` for no limit.
    left: Option<usize>,
    behaviour: Behaviour,
}

impl Target {
    /// Every request.
    pub const ANY: Self = Self { verb: None, resource: None };
    /// Lists of pods.
    pub const LIST_PODS: Self = Self::new("list", "pods");
    /// Watches of pods.
    pub const WATCH_PODS: Self = Self::new("watch", "pods");
    /// Lists of events.
    pub const LIST_EVENTS: Self = Self::new("list", "events");
    /// SelfSubjectAccessReviews.
    pub const REVIEW: Self = Self::new("create", "selfsubjectaccessreviews");

    /// Requests of one verb on one resource.
    pub const fn new(verb: &'static str, resource: &'static str) -> Self {
        Self { verb: Some(verb), resource: Some(resource) }
    }

    fn matches(self, call: &Call) -> bool {
        self.verb.is_none_or(|verb| verb == call.verb)
            && self.resource.is_none_or(|resource| resource == call.resource)
    }
}

impl Behaviour {
    /// The normal response of the API, as a base for the faults below.
    pub fn api() -> Self {
        Self::default()
    }

    /// This status and body instead of the normal response.
    pub fn answer(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { answer: Some(Response::text(status, body)), ..Self::default() }
    }

    /// Silence from the first byte on.
    pub fn hang() -> Self {
        Self::default().ends(Point::Head, Ending::Hang)
    }

    /// Adds a header to an [`Behaviour::answer`].
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.answer = self.answer.map(|answer| answer.header(name, value));
        self
    }

    /// Waits before the head.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sends header lines without end.
    pub fn endless_head(mut self) -> Self {
        self.endless_head = true;
        self
    }

    /// Sends the body in chunks of this many bytes, which cut lines anywhere.
    pub fn chunks(mut self, bytes: usize) -> Self {
        self.chunk_bytes = Some(bytes.max(1));
        self
    }

    /// Waits after each line of a watch.
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Inserts something into a watch after this many lines.
    pub fn insert(mut self, after_events: usize, insertion: Insertion) -> Self {
        self.insertions.push((after_events, insertion));
        self
    }

    /// Inserts a line that is not valid JSON into a watch after this many lines.
    pub fn garbage_line(self, after_events: usize) -> Self {
        let garbage = b"{\"type\":\"MODIFIED\",\"obj<html>\xFF\xFE\n".to_vec();
        self.insert(after_events, Insertion::Bytes(garbage))
    }

    /// Cuts a watch's line number `event` (from 0) after `bytes`, followed by a newline.
    pub fn truncated_line(mut self, event: usize, bytes: usize) -> Self {
        self.truncated = Some((event, bytes));
        self
    }

    /// Writes these bytes outside of any chunk right before a [`Point::Bytes`] ending.
    pub fn parting(mut self, bytes: &[u8]) -> Self {
        self.parting = bytes.to_vec();
        self
    }

    /// Ends the exchange early.
    pub fn ends(mut self, point: Point, ending: Ending) -> Self {
        self.ending = Some((point, ending));
        self
    }
}

impl Script {
    /// Adds a behaviour for the next `times` requests, or for all.
    pub fn push(&self, target: Target, times: Option<usize>, behaviour: Behaviour) {
        self.0.lock().unwrap().push(Entry { target, left: times, behaviour });
    }

    /// Removes all waiting behaviours.
    pub fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    /// Returns the behaviour for a request: counted ones first, in order, then the latest permanent one.
    pub fn take(&self, call: &Call) -> Behaviour {
        let mut entries = self.0.lock().unwrap();
        let fits = |entry: &Entry| entry.target.matches(call);
        if let Some(index) = entries.iter().position(|e| e.left.is_some() && fits(e)) {
            let entry = &mut entries[index];
            let behaviour = entry.behaviour.clone();
            entry.left = entry.left.map(|left| left.saturating_sub(1));
            if entry.left == Some(0) {
                entries.remove(index);
            }
            return behaviour;
        }
        let permanent = entries.iter().rev().find(|entry| entry.left.is_none() && fits(entry));
        permanent.map(|entry| entry.behaviour.clone()).unwrap_or_default()
    }

    /// Returns how many uses of counted behaviours are left.
    pub fn waiting(&self) -> usize {
        self.0.lock().unwrap().iter().filter_map(|entry| entry.left).sum()
    }
}
