//! The label values of every family.

use super::family::Label;
use crate::core::case::{IncidentType, Severity};
use crate::core::detect::classify::Quiet;
use crate::core::stream::decode::FlawKind;
use crate::core::stream::reflector::{Failure, ListReason};

/// Implements [`Label`] with one label of that name.
macro_rules! label {
    ($type:ty, $key:literal, { $($value:pat => $name:literal as $all:expr),+ $(,)? }) => {
        impl Label for $type {
            fn all() -> Vec<Self> {
                vec![$($all),+]
            }
            fn pairs(self) -> String {
                let name = match self { $($value => $name),+ };
                format!(concat!($key, "=\"{}\""), name)
            }
        }
    };
}

/// What happened to a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodEvent {
    /// An incident.
    Crash,
    /// Its first Running.
    Start,
    /// Its deletion or completion.
    Stop,
}
label!(PodEvent, "type", {
    Self::Crash => "crash" as Self::Crash,
    Self::Start => "start" as Self::Start,
    Self::Stop => "stop" as Self::Stop,
});

/// What was asked of the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// A whole list.
    List,
    /// A stream.
    Watch,
    /// One object.
    Get,
}
label!(Verb, "verb", {
    Self::List => "list" as Self::List,
    Self::Watch => "watch" as Self::Watch,
    Self::Get => "get" as Self::Get,
});

/// How a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// By one of the HTTP codes that an API server uses.
    Http(u16),
    /// By another one.
    Other,
    /// By a timeout.
    Timeout,
    /// For lack of a connection.
    Connect,
    /// For lack of trust.
    Tls,
    /// By a broken connection.
    Io,
    /// By an answer that is no HTTP.
    Protocol,
}

const CODES: [u16; 12] = [400, 401, 403, 404, 409, 410, 422, 429, 500, 502, 503, 504];

impl ErrorCode {
    /// The label for an HTTP code.
    pub fn http(code: u16) -> Self {
        if CODES.contains(&code) { Self::Http(code) } else { Self::Other }
    }
}

impl Label for ErrorCode {
    fn all() -> Vec<Self> {
        let rest = [Self::Other, Self::Timeout, Self::Connect, Self::Tls, Self::Io, Self::Protocol];
        CODES.into_iter().map(Self::Http).chain(rest).collect()
    }
    fn pairs(self) -> String {
        let name = match self {
            Self::Http(code) => return format!("code=\"{code}\""),
            Self::Other => "other",
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Io => "io",
            Self::Protocol => "protocol",
        };
        format!("code=\"{name}\"")
    }
}

/// The type and the severity of an incident: the pairs that occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncidentClass(pub IncidentType, pub Severity);

impl Label for IncidentClass {
    fn all() -> Vec<Self> {
        let with = |kind: IncidentType| kind.severities().iter().map(move |s| Self(kind, *s));
        IncidentType::ALL.into_iter().flat_map(with).collect()
    }
    fn pairs(self) -> String {
        format!("type=\"{}\",severity=\"{}\"", self.0.name(), self.1.name())
    }
}

label!(FlawKind, "kind", {
    Self::Json => "json" as Self::Json,
    Self::Field => "field" as Self::Field,
    Self::Utf8 => "utf8" as Self::Utf8,
    Self::LineTooLong => "line_too_long" as Self::LineTooLong,
    Self::Truncated => "truncated" as Self::Truncated,
    Self::UnknownType => "unknown_type" as Self::UnknownType,
    Self::ListItem => "list_item" as Self::ListItem,
});

label!(Failure, "reason", {
    Self::Expired => "expired" as Self::Expired,
    Self::VersionTooLarge => "version_too_large" as Self::VersionTooLarge,
    Self::Throttled(_) => "throttled" as Self::Throttled(None),
    Self::Unavailable | Self::Unreachable => "unavailable" as Self::Unavailable,
    Self::Transient => "other" as Self::Transient,
});

label!(ListReason, "reason", {
    Self::Start => "start" as Self::Start,
    Self::Expired => "expired" as Self::Expired,
    Self::Silent => "silent" as Self::Silent,
    Self::Periodic => "periodic" as Self::Periodic,
    Self::Error => "error" as Self::Error,
});

label!(Quiet, "reason", {
    Self::Deletion => "deletion" as Self::Deletion,
    Self::CleanExit => "clean_exit" as Self::CleanExit,
    Self::SidecarTeardown => "sidecar_teardown" as Self::SidecarTeardown,
    Self::Synthetic => "synthetic" as Self::Synthetic,
    Self::PodFailure => "pod_failure" as Self::PodFailure,
    Self::SpecChange => "spec_change" as Self::SpecChange,
    Self::History => "history" as Self::History,
});

/// Where incidents go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkName {
    /// Standard output.
    Stdout,
    /// `BLACKBOX_INCIDENT_FILE`.
    File,
    /// `BLACKBOX_WEBHOOK_URL`.
    Webhook,
}
label!(SinkName, "sink", {
    Self::Stdout => "stdout" as Self::Stdout,
    Self::File => "file" as Self::File,
    Self::Webhook => "webhook" as Self::Webhook,
});

impl SinkName {
    /// The name, for threads and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::File => "file",
            Self::Webhook => "webhook",
        }
    }
}

/// How a write of the state file went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateWrite {
    /// It is on the disk.
    Ok,
    /// It is not.
    Error,
}
label!(StateWrite, "result", { Self::Ok => "ok" as Self::Ok, Self::Error => "error" as Self::Error });

/// What came of a lookup of a pod's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupResult {
    /// An answer.
    Ok,
    /// A failure.
    Error,
    /// No right.
    Denied,
    /// Not asked: too many at once.
    Skipped,
}
label!(LookupResult, "result", {
    Self::Ok => "ok" as Self::Ok,
    Self::Error => "error" as Self::Error,
    Self::Denied => "denied" as Self::Denied,
    Self::Skipped => "skipped" as Self::Skipped,
});

/// What came of a pod's post of telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostResult {
    /// All of it was kept.
    Ok,
    /// No good request: 400, 411, 413, 415.
    Malformed,
    /// Not the pod's own: 403.
    Forbidden,
    /// Names or values that are not kept, or too many: 422.
    Refused,
    /// Too fast: 429.
    Throttled,
    /// No room on this node: 503.
    Full,
}
label!(PostResult, "result", {
    Self::Ok => "ok" as Self::Ok,
    Self::Malformed => "malformed" as Self::Malformed,
    Self::Forbidden => "forbidden" as Self::Forbidden,
    Self::Refused => "refused" as Self::Refused,
    Self::Throttled => "throttled" as Self::Throttled,
    Self::Full => "full" as Self::Full,
});

impl PostResult {
    /// The label for the status that was answered.
    pub fn of_status(status: u16) -> Self {
        match status {
            204 => Self::Ok,
            403 => Self::Forbidden,
            422 => Self::Refused,
            429 => Self::Throttled,
            503 => Self::Full,
            _ => Self::Malformed,
        }
    }
}

/// A right that the agent uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Needed.
    ListPods,
    /// Needed.
    WatchPods,
    /// Without it probe and hook kills keep the names of their exit codes.
    ListEvents,
    /// Without it incidents say nothing of the node's conditions.
    GetNodes,
}

impl Label for Permission {
    fn all() -> Vec<Self> {
        vec![Self::ListPods, Self::WatchPods, Self::ListEvents, Self::GetNodes]
    }
    fn pairs(self) -> String {
        let (resource, verb) = match self {
            Self::ListPods => ("pods", "list"),
            Self::WatchPods => ("pods", "watch"),
            Self::ListEvents => ("events", "list"),
            Self::GetNodes => ("nodes", "get"),
        };
        format!("resource=\"{resource}\",verb=\"{verb}\"")
    }
}
