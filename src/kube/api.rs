//! The requests that the agent sends to the API server. Each is counted and timed here, and what its answer says
//! about a permission is recorded here, whoever asks: the watch, the lookups, or the command `check`.
//!
//! | request | permission |
//! | --- | --- |
//! | [`ApiClient::list_pods`], [`ApiClient::pods_version`] | list pods |
//! | [`ApiClient::watch_pods`] | watch pods |
//! | [`ApiClient::list_events`] | list events |
//! | [`ApiClient::get_node`] | get nodes |
//! | [`ApiClient::review`], [`ApiClient::server`] | none: every authenticated client may ask |

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use log::debug;
use ureq::Timeout;

use crate::config::endpoint::Endpoint;
use crate::core::detect::evidence::PodEvent;
use crate::core::node::{self, NodeInfo};
use crate::core::stream::decode;
use crate::core::stream::list::{ListSplitter, Piece};
use crate::core::stream::reflector::Failure;
use crate::core::wire::Event;
use crate::core::wire::json::{self, Text, members};
use crate::kube::http::{
    HttpClient, HttpError, Interrupt, Post, Refusal, Response, ResponseTimeout,
};
use crate::limits::{CHECK_ANSWER_BYTES_MAX, EVENTS_PER_POD_MAX, NODE_BYTES_MAX, READ_BLOCK_BYTES};
use crate::metrics::{ErrorCode, Metrics, Permission, Verb};
use crate::runtime::clock::Clock;

/// A name that no pod can have: names of pods are in lower case.
const NO_POD: &str = "NONE";

/// Why a request to the API server failed.
#[derive(Debug)]
pub enum ApiError {
    /// The API server refused the request.
    Refused {
        /// The HTTP code.
        code: u16,
        /// How the reflector reacts.
        failure: Failure,
        /// The code, and the server's own words if there are any.
        text: String,
    },
    /// There was no answer, or it broke off.
    Http(HttpError),
    /// The answer is not what was asked for; the text gives the reason.
    Content(String),
}

impl ApiError {
    /// Returns the failure class, for the reflector.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Refused { failure, .. } => *failure,
            Self::Content(_) => Failure::Transient,
            Self::Http(error) => match error {
                HttpError::Connect(_) => Failure::Unreachable,
                HttpError::Timeout(_)
                | HttpError::Tls(_)
                | HttpError::NotTls
                | HttpError::Io(_) => Failure::Unavailable,
                HttpError::Status(_) | HttpError::Protocol(_) => Failure::Transient,
            },
        }
    }

    /// Returns the HTTP code, if the API server refused the request.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::Http(_) | Self::Content(_) => None,
        }
    }

    /// Returns true if the API server does not know the client (401), or denies it the right (403).
    pub fn is_denied(&self) -> bool {
        matches!(self.code(), Some(401 | 403))
    }

    /// Returns the phase of the timeout that ended the request, if it was a timeout.
    pub fn timeout(&self) -> Option<Timeout> {
        match self {
            Self::Http(HttpError::Timeout(phase)) => Some(*phase),
            _ => None,
        }
    }
}

impl From<HttpError> for ApiError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Status(Refusal { code, retry_after, body }) => {
                let (failure, text) = decode::answer(code, &body, retry_after);
                Self::Refused { code, failure, text }
            }
            error => Self::Http(error),
        }
    }
}

impl From<&ApiError> for ErrorCode {
    fn from(error: &ApiError) -> Self {
        match error {
            ApiError::Refused { code, .. } => Self::http(*code),
            ApiError::Http(error) => error.into(),
            ApiError::Content(_) => Self::Protocol,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { text, .. } => write!(f, "the server responded with {text}"),
            Self::Http(error) => error.fmt(f),
            Self::Content(text) => write!(f, "cannot use the response: {text}"),
        }
    }
}

impl std::error::Error for ApiError {}

/// What the API server says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerInfo {
    /// Its version, such as `v1.33.1`. `None` if it does not tell everybody.
    pub version: Option<String>,
    /// Its clock, in whole seconds. `None` if the answer has no date.
    pub date: Option<Timestamp>,
}

/// The API server's answer to the question whether a request is permitted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Review {
    /// True if the request is permitted.
    pub is_allowed: bool,
    /// Why, in the authorizer's words.
    pub reason: Option<String>,
}

/// A client of the API server, for the pods of one node.
#[derive(Debug)]
pub struct ApiClient {
    http: HttpClient,
    node_name: String,
    metrics: Arc<Metrics>,
    clock: Clock,
}

impl ApiClient {
    /// Makes a client for the pods of that node. `timeout` (`BLACKBOX_K8S_TIMEOUT`) applies to each phase of a
    /// request up to the head of the answer.
    pub fn new(
        endpoint: &Endpoint,
        timeout: Duration,
        node_name: &str,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Self {
        let http = HttpClient::new(endpoint, timeout, clock);
        Self { http, node_name: node_name.to_owned(), metrics, clock }
    }

    /// Returns a handle that interrupts a wait from another thread.
    pub fn interrupt(&self) -> Interrupt {
        self.http.interrupt()
    }

    /// Lists the node's pods at this `resourceVersion`: `"0"`, `"N"` or `""`.
    ///
    /// # Errors
    /// Any failure of the request.
    pub fn list_pods(&mut self, resource_version: &str) -> Result<Answer, ApiError> {
        let version = encoded(resource_version);
        let path = format!("{}&resourceVersion={version}", self.pods_path());
        self.ask(Verb::List, Some(Permission::ListPods), &path, ResponseTimeout::Answer)
    }

    /// Lists no pods: the list is empty and has the newest version that the API server's cache has. It needs the
    /// same right as a LIST of the node's pods, but an authorizer may look at the selector, so its refusal says
    /// nothing about that right.
    ///
    /// # Errors
    /// Any failure of the request.
    pub fn pods_version(&mut self) -> Result<Answer, ApiError> {
        let path = format!("{}%2Cmetadata.name%3D{NO_POD}&resourceVersion=0", self.pods_path());
        self.ask(Verb::List, None, &path, ResponseTimeout::Answer)
    }

    /// Watches the node's pods from this `resourceVersion` on, with bookmarks. The server closes the watch after
    /// `timeout_seconds`; after a silence of `idle` the client does.
    ///
    /// # Errors
    /// Any failure of the request.
    pub fn watch_pods(
        &mut self,
        resource_version: &str,
        timeout_seconds: u64,
        idle: Duration,
    ) -> Result<Answer, ApiError> {
        let version = encoded(resource_version);
        let path = format!(
            "{}&watch=1&allowWatchBookmarks=true&resourceVersion={version}\
             &timeoutSeconds={timeout_seconds}",
            self.pods_path()
        );
        let timeout = ResponseTimeout::Stream { timeout_seconds, idle };
        self.ask(Verb::Watch, Some(Permission::WatchPods), &path, timeout)
    }

    /// Lists the events of the pod with this UID, at most as many as decide anything. Events that cannot be read are
    /// left out, because they prove nothing. Namespace and UID must not contain characters that mean something in a
    /// URL.
    ///
    /// # Errors
    /// Any failure of the request, and an answer that is no list.
    pub fn list_events(&mut self, namespace: &str, uid: &str) -> Result<Vec<PodEvent>, ApiError> {
        // `limit` is allowed here: without a resourceVersion the newest state is listed, and can be paged.
        let path = format!(
            "/api/v1/namespaces/{namespace}/events?fieldSelector=involvedObject.uid%3D{uid}\
             &limit={EVENTS_PER_POD_MAX}"
        );
        let permission = Some(Permission::ListEvents);
        let mut response = self.ask(Verb::List, permission, &path, ResponseTimeout::Answer)?;
        let mut events = Vec::new();
        response.read_items(|item| {
            if events.len() < EVENTS_PER_POD_MAX
                && let Ok(event) = json::from_slice::<Event<'_>>(item)
            {
                events.push(PodEvent::from_wire(&event));
            }
        })?;
        Ok(events)
    }

    /// Gets the node.
    ///
    /// # Errors
    /// Any failure of the request, and an answer that is no node.
    pub fn get_node(&mut self) -> Result<NodeInfo, ApiError> {
        // `resourceVersion=0`: served from the API server's cache, which is fresh enough because the kubelet reports
        // changes at once.
        let path = format!("/api/v1/nodes/{}?resourceVersion=0", self.node_name);
        let permission = Some(Permission::GetNodes);
        let response = self.ask(Verb::Get, permission, &path, ResponseTimeout::Answer)?;
        let json = response.read_all(NODE_BYTES_MAX)?;
        let node = node::parse(&json, self.clock.wall());
        node.ok_or_else(|| self.unusable("it is not a node"))
    }

    /// Asks the API server for its version.
    ///
    /// # Errors
    /// Any failure of the request, but for a 403: some servers tell their version to nobody.
    pub fn server(&mut self) -> Result<ServerInfo, ApiError> {
        #[derive(Default)]
        struct Version<'a> {
            git_version: Text<'a>,
        }

        members! { Version<'a> {
            b"gitVersion" => git_version,
        } }
        let response =
            match self.send(None, None, |http| http.get("/version", ResponseTimeout::Answer)) {
                Err(error) if error.code() == Some(403) => return Ok(ServerInfo::default()),
                response => response?,
            };
        let date = response.date();
        let json = response.read_all(CHECK_ANSWER_BYTES_MAX)?;
        let version: Version<'_> = json::from_slice(&json).unwrap_or_default();
        Ok(ServerInfo { version: version.git_version.some().map(str::to_owned), date })
    }

    /// Asks whether this client may send a request of this kind (`verb`, `resource`: a SelfSubjectAccessReview).
    ///
    /// # Errors
    /// Any failure of the request.
    pub fn review(&mut self, verb: &str, resource: &str) -> Result<Review, ApiError> {
        #[derive(Default)]
        struct Object<'a> {
            status: Status<'a>,
        }

        members! { Object<'a> {
            b"status" => status,
        } }
        #[derive(Default)]
        struct Status<'a> {
            allowed: bool,
            reason: Text<'a>,
        }

        members! { Status<'a> {
            b"allowed" => allowed,
            b"reason" => reason,
        } }
        let question = format!(
            r#"{{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{{"resourceAttributes":{{"verb":"{verb}","resource":"{resource}"}}}}}}"#
        );
        let post = Post {
            path: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            content_type: "application/json",
            body: question.as_bytes(),
            headers: &[],
            response_timeout: ResponseTimeout::Answer,
        };
        let response = self.send(None, None, |http| http.post(&post))?;
        let json = response.read_all(CHECK_ANSWER_BYTES_MAX)?;
        let object: Object<'_> = json::from_slice(&json).unwrap_or_default();
        let Status { allowed, reason } = object.status;
        Ok(Review { is_allowed: allowed, reason: reason.some().map(str::to_owned) })
    }

    /// Drops the connection, because an answer was not read to its end.
    pub fn renew(&mut self) {
        self.http.renew();
    }

    /// Returns the path of the node's pods. The selector is exactly the one that an authorizer which confines agents
    /// to their node looks for.
    fn pods_path(&self) -> String {
        format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}", self.node_name)
    }

    fn ask(
        &mut self,
        verb: Verb,
        permission: Option<Permission>,
        path: &str,
        timeout: ResponseTimeout,
    ) -> Result<Answer, ApiError> {
        debug!("{verb:?} {path}");
        self.send(Some(verb), permission, |http| http.get(path, timeout))
    }

    /// Sends one request: counts it, times it, counts its failure, and notes whether it was permitted. `verb` is
    /// `None` for a request that only the command `check` sends.
    fn send(
        &mut self,
        verb: Option<Verb>,
        permission: Option<Permission>,
        request: impl FnOnce(&mut HttpClient) -> Result<Response, HttpError>,
    ) -> Result<Answer, ApiError> {
        if let Some(verb) = verb {
            self.metrics.api_requests.add(verb);
        }
        let asked = self.clock.monotonic();
        let answer = request(&mut self.http).map_err(ApiError::from);
        self.metrics.api_request_duration.observe(self.clock.monotonic().saturating_sub(asked));
        // An API server answers these requests with 200 or 201 only.
        let answer = answer.and_then(|response| match response.code() {
            200 | 201 => Ok(response),
            code => {
                let (failure, text) = decode::answer(code, &[], None);
                Err(ApiError::Refused { code, failure, text })
            }
        });
        let is_permitted = match &answer {
            Ok(_) => Some(1),
            Err(error) => {
                self.metrics.api_errors.add(error.into());
                error.is_denied().then_some(0)
            }
        };
        if let (Some(permission), Some(value)) = (permission, is_permitted) {
            self.metrics.permission.set(permission, value);
        }
        answer.map(|response| Answer { response, metrics: self.metrics.clone() })
    }

    fn unusable(&self, why: &str) -> ApiError {
        let error = ApiError::Content(why.to_owned());
        self.metrics.api_errors.add((&error).into());
        error
    }
}

/// The body of an answer. Its failures are counted as those of requests are.
#[derive(Debug)]
pub struct Answer {
    response: Response,
    metrics: Arc<Metrics>,
}

impl Answer {
    /// Returns when the API server answered, by its own clock. `None` if the answer has no date.
    pub fn date(&self) -> Option<Timestamp> {
        self.response.date()
    }

    /// Reads the bytes that have arrived, at most as many as fit into `block`. Returns 0 at the end.
    ///
    /// # Errors
    /// If the connection breaks or the answer takes too long.
    pub fn read(&mut self, block: &mut [u8]) -> Result<usize, ApiError> {
        self.response.read(block).map_err(|error| self.counted(error.into()))
    }

    /// Reads a LIST to its end, and passes on its items one by one.
    ///
    /// # Errors
    /// If the answer breaks off, takes too long, or is no list.
    pub fn read_items(&mut self, mut on_item: impl FnMut(&[u8])) -> Result<(), ApiError> {
        let no_list = |error| ApiError::Content(error);
        let mut splitter = ListSplitter::default();
        let mut block = vec![0; READ_BLOCK_BYTES];
        loop {
            let len = self.read(&mut block)?;
            if len == 0 {
                break;
            }
            let mut pieces = splitter.feed(&block[..len]);
            while let Some(piece) = pieces.next() {
                match piece {
                    Ok(Piece::Item(item)) => on_item(item),
                    Ok(_) => {}
                    Err(error) => return Err(self.counted(no_list(error.to_string()))),
                }
            }
        }
        splitter.finish().map_err(|error| self.counted(no_list(error.to_string())))
    }

    /// Reads the whole body, if it has no more than `bytes_max`.
    fn read_all(mut self, bytes_max: usize) -> Result<Vec<u8>, ApiError> {
        let (mut all, mut len) = (vec![0; READ_BLOCK_BYTES.min(bytes_max)], 0);
        loop {
            if len == all.len() {
                if len >= bytes_max {
                    let why = format!("it has more than {bytes_max} bytes");
                    return Err(self.counted(ApiError::Content(why)));
                }
                all.resize((2 * len).min(bytes_max), 0);
            }
            match self.read(&mut all[len..])? {
                0 => {
                    all.truncate(len);
                    return Ok(all);
                }
                n => len += n,
            }
        }
    }

    fn counted(&self, error: ApiError) -> ApiError {
        self.metrics.api_errors.add((&error).into());
        error
    }
}

/// Returns the text as a part of a URL's query (RFC 3986, 2.3).
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_one_value_of_the_query() {
        for (version, want) in [
            ("123", "123"),
            ("a-b.c_d~e", "a-b.c_d~e"),
            ("1&watch=1#x", "1%26watch%3D1%23x"),
            ("%20+/?", "%2520%2B%2F%3F"),
        ] {
            assert_eq!(encoded(version), want);
        }
    }
}
