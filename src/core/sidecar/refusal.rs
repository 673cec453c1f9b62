//! Reasons why a post is refused: an HTTP status, and a sentence that says what is allowed.

use core::net::IpAddr;
use std::fmt;
use std::time::Duration;

use crate::limits::{
    TELEMETRY_BODY_BYTES_MAX, TELEMETRY_BURST, TELEMETRY_FULL_RETRY, TELEMETRY_INTERVAL,
    TELEMETRY_NAME_BYTES_MAX, TELEMETRY_NAMES_MAX, TELEMETRY_SERIES_MAX,
};

/// The reason why a post is refused. Its text is one sentence for the sender of the post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The body is not valid JSON or has another shape; with the parser's message.
    Shape(String),
    /// No pod that runs on this node has this address.
    Unknown(IpAddr),
    /// More than one running pod has this address.
    Shared(IpAddr),
    /// The post names a pod that does not have the sender's address.
    NotYourself,
    /// A pod on the host's network does not name itself.
    Nameless,
    /// No running pod on the host's network has the posted name.
    NotOnHost,
    /// The body comes without a length.
    NoLength,
    /// The body is longer than the limit.
    TooLong,
    /// A page in a browser posts.
    Page,
    /// The Content-Type is not JSON.
    ContentType,
    /// The post has more names than are kept for a pod.
    TooManyNames(usize),
    /// A name is not valid; shortened.
    Name(String),
    /// A name occurs twice.
    Twice(String),
    /// The value of this name is not a number, or not a finite one.
    Value(String),
    /// The first name for which the pod has no room.
    NamesFull(String),
    /// Posts come too fast; the next one has to wait for this time.
    TooOften(Duration),
    /// All pods together have the maximum number of names.
    Full,
}

impl Refusal {
    /// Returns the HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::Shape(_) => 400,
            Self::Unknown(_)
            | Self::Shared(_)
            | Self::NotYourself
            | Self::Page
            | Self::Nameless
            | Self::NotOnHost => 403,
            Self::NoLength => 411,
            Self::TooLong => 413,
            Self::ContentType => 415,
            Self::TooManyNames(_)
            | Self::Name(_)
            | Self::Twice(_)
            | Self::Value(_)
            | Self::NamesFull(_) => 422,
            Self::TooOften(_) => 429,
            Self::Full => 503,
        }
    }

    /// Returns after how many whole seconds a retry makes sense. `None`: the same post will never be accepted.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::TooOften(wait) => Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)),
            Self::Full => Some(TELEMETRY_FULL_RETRY.as_secs()),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(flaw) => write!(
                f,
                "the body must look like {{\"metrics\": {{\"queue_depth\": 12}}}}; a pod on the host's network must \
                 add \"pod\": {{\"namespace\": \"…\", \"name\": \"…\"}}: {flaw}"
            ),
            Self::Unknown(address) => {
                write!(f, "the agent knows no running pod of this node with the address {address}")
            }
            Self::Shared(address) => {
                write!(f, "more than one running pod of this node has the address {address}")
            }
            Self::NotYourself => f.write_str("a pod may post only for itself"),
            Self::Page => f.write_str(
                "pages in a browser may not post: the request must have no Origin header, and on loopback the Host must be \
                 localhost, 127.0.0.1 or [::1]",
            ),
            Self::Nameless => f.write_str(
                "a pod on the host's network must name itself: \"pod\": {\"namespace\": \"…\", \"name\": \"…\"}",
            ),
            Self::NotOnHost => {
                f.write_str("the agent knows no running pod of that name on this node's host network")
            }
            Self::NoLength => f.write_str("the request needs a Content-Length; a chunked body is not accepted"),
            Self::TooLong => write!(f, "the body is too long; the limit is {TELEMETRY_BODY_BYTES_MAX} bytes"),
            Self::ContentType => f.write_str("the Content-Type must be application/json"),
            Self::TooManyNames(names) => {
                write!(f, "the post has {names} names; the limit is {TELEMETRY_NAMES_MAX}")
            }
            Self::Name(name) => write!(
                f,
                "the name {name:?} is invalid; names match [a-zA-Z_:][a-zA-Z0-9_:.]* and have at most {TELEMETRY_NAME_BYTES_MAX} bytes"
            ),
            Self::Twice(name) => write!(f, "the name {name} occurs twice"),
            Self::Value(name) => {
                write!(f, "the value of {name} is not a finite 64-bit number")
            }
            Self::NamesFull(name) => write!(
                f,
                "a pod can have at most {TELEMETRY_NAMES_MAX} different names over all its posts; the agent \
                 dropped {name} and kept the known names"
            ),
            Self::TooOften(_) => write!(
                f,
                "too many posts: a pod may post once every {} s, and {TELEMETRY_BURST} times at once",
                TELEMETRY_INTERVAL.as_secs()
            ),
            Self::Full => write!(
                f,
                "all pods of this node together can have at most {TELEMETRY_SERIES_MAX} names; the agent \
                 dropped the new names and kept the known ones"
            ),
        }
    }
}
