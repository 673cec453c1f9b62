//! The label values of every family.

use super::family::Label;
use super::heartbeat::Worker;
use crate::core::case::{IncidentType, Severity};
use crate::core::detect::classify::Quiet;
use crate::core::kernel::counters::Counter;
use crate::core::stream::decode::FlawKind;
use crate::core::stream::reflector::{Failure, ListReason};

/// Implements [`Label`] for a type with one label of that name.
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
    /// An incident was detected.
    Crash,
    /// The pod is running for the first time.
    Start,
    /// The pod was deleted or has completed.
    Stop,
}
label!(PodEvent, "type", {
    Self::Crash => "crash" as Self::Crash,
    Self::Start => "start" as Self::Start,
    Self::Stop => "stop" as Self::Stop,
});

/// The kind of a request to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// A LIST.
    List,
    /// A WATCH, a stream.
    Watch,
    /// A GET of one object.
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
    /// One of the HTTP codes that an API server uses.
    Http(u16),
    /// Any other HTTP code.
    Other,
    /// A timeout.
    Timeout,
    /// No connection could be established.
    Connect,
    /// The TLS handshake or the verification of the certificate failed.
    Tls,
    /// The connection broke.
    Io,
    /// The answer was not valid HTTP.
    Protocol,
}

const CODES: [u16; 12] = [400, 401, 403, 404, 409, 410, 422, 429, 500, 502, 503, 504];

impl ErrorCode {
    /// Returns the label for an HTTP code.
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

/// The type and the severity of an incident. Only pairs that occur are listed.
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
    Self::Transient | Self::Rejected => "other" as Self::Transient,
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
    Self::DebugSession => "debug_session" as Self::DebugSession,
    Self::Reboot => "reboot" as Self::Reboot,
    Self::SidecarTeardown => "sidecar_teardown" as Self::SidecarTeardown,
    Self::Synthetic => "synthetic" as Self::Synthetic,
    Self::PodFailure => "pod_failure" as Self::PodFailure,
    Self::SpecChange => "spec_change" as Self::SpecChange,
    Self::History => "history" as Self::History,
});

/// Where incidents are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkName {
    /// Standard output.
    Stdout,
    /// The file of `BLACKBOX_INCIDENT_FILE`.
    File,
    /// The collector of `BLACKBOX_WEBHOOK_URL`.
    Webhook,
    /// The OpenTelemetry receiver of `BLACKBOX_OTLP_ENDPOINT`.
    Otlp,
    /// The Alertmanager of `BLACKBOX_ALERTMANAGER_URL`.
    Alertmanager,
}
label!(SinkName, "sink", {
    Self::Stdout => "stdout" as Self::Stdout,
    Self::File => "file" as Self::File,
    Self::Webhook => "webhook" as Self::Webhook,
    Self::Otlp => "otlp" as Self::Otlp,
    Self::Alertmanager => "alertmanager" as Self::Alertmanager,
});

impl SinkName {
    /// Returns the sink's name, for threads and logs.
    pub fn name(self) -> &'static str {
        self.worker().name()
    }

    /// Returns the sink's thread.
    pub fn worker(self) -> Worker {
        match self {
            Self::Stdout => Worker::Stdout,
            Self::File => Worker::File,
            Self::Webhook => Worker::Webhook,
            Self::Otlp => Worker::Otlp,
            Self::Alertmanager => Worker::Alertmanager,
        }
    }
}

impl Label for Counter {
    fn all() -> Vec<Self> {
        Self::ALL.to_vec()
    }

    fn pairs(self) -> String {
        format!("counter=\"{}\"", self.name())
    }
}

/// The result of a write of the state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateWrite {
    /// The file is on the disk.
    Ok,
    /// The write failed.
    Error,
}
label!(StateWrite, "result", { Self::Ok => "ok" as Self::Ok, Self::Error => "error" as Self::Error });

/// The result of a lookup of a pod's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupResult {
    /// The API server answered.
    Ok,
    /// The request failed.
    Error,
    /// The agent has no permission to list events.
    Denied,
    /// The lookup was not sent: the queue was full, the lookup waited too long, the agent pauses after a failed
    /// lookup, or the pod's namespace or UID is not plain.
    Skipped,
}
label!(LookupResult, "result", {
    Self::Ok => "ok" as Self::Ok,
    Self::Error => "error" as Self::Error,
    Self::Denied => "denied" as Self::Denied,
    Self::Skipped => "skipped" as Self::Skipped,
});

/// The result of a telemetry post by a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostResult {
    /// Everything in the post was kept.
    Ok,
    /// The request is not valid: 400, 411, 413, 415.
    Malformed,
    /// The pod may not post this, because it is not about the pod itself: 403.
    Forbidden,
    /// The post has names or values that are not accepted, or too many names: 422.
    Refused,
    /// The pod posts too often: 429.
    Throttled,
    /// The node's table is full: 503.
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
    /// Returns the label for the status of the answer.
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

/// A permission that the agent uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// The agent cannot work without this permission.
    ListPods,
    /// The agent cannot work without this permission.
    WatchPods,
    /// Without this permission, a probe or hook kill is classified by its exit code only.
    ListEvents,
    /// Without this permission, incidents do not contain the node's conditions.
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
