//! Maps a request to its response.

use super::access::Access;
use super::change::Resource;
use super::discovery;
use super::http::{Request, Response};
use super::list;
use super::selector::Selector;
use super::server::Shared;
use super::status;
use super::table;
use super::watch::WatchPlan;

/// What a request asks for, in the terms of Kubernetes authorization.
#[derive(Clone, Debug)]
pub struct Call {
    /// `list`, `watch`, `get` or `create`.
    pub verb: &'static str,
    /// The resource's path name, or the whole path if it is not a resource.
    pub resource: String,
    /// The namespace in the path.
    pub namespace: Option<String>,
    /// The object's name in the path.
    pub name: Option<String>,
}

/// The response to send.
pub enum Answer {
    /// A complete response.
    Whole(Response),
    /// A watch.
    Watch(WatchPlan),
}

impl Call {
    /// Reads a request's method, path and `watch` parameter.
    pub fn of(request: &Request) -> Self {
        let segments: Vec<&str> = request.path.split('/').filter(|part| !part.is_empty()).collect();
        let owned = |text: &str| Some(text.to_owned());
        let (resource, namespace, name) = match segments.as_slice() {
            ["api", "v1", "namespaces", namespace, resource] => (*resource, owned(namespace), None),
            ["api", "v1", "namespaces", namespace, resource, name] => {
                (*resource, owned(namespace), owned(name))
            }
            ["api", "v1", resource] => (*resource, None, None),
            ["api", "v1", resource, name] => (*resource, None, owned(name)),
            ["apis", "authorization.k8s.io", "v1", resource] => (*resource, None, None),
            _ => (request.path.as_str(), None, None),
        };
        let verb = match (request.method.as_str(), &name) {
            ("POST", _) => "create",
            ("GET", None) if request.flag("watch") => "watch",
            ("GET", None) if Resource::from_name(resource).is_some() => "list",
            _ => "get",
        };
        Self { verb, resource: resource.to_owned(), namespace, name }
    }

    /// Returns true for paths that need no token: health and version.
    pub fn is_public(&self) -> bool {
        matches!(self.resource.as_str(), "/healthz" | "/livez" | "/readyz" | "/version")
    }
}

/// Returns the response to a request, refusals included.
pub fn answer(shared: &Shared, call: &Call, request: &Request) -> Answer {
    if let Some(refusal) = shared.access.refusal(call, request) {
        return Answer::Whole(refusal);
    }
    match Resource::from_name(&call.resource) {
        Some(resource) if request.method == "GET" => stored(shared, call, request, resource),
        Some(_) => Answer::Whole(status::method_not_allowed()),
        None => Answer::Whole(other(&shared.access, call, request)),
    }
}

fn stored(shared: &Shared, call: &Call, request: &Request, resource: Resource) -> Answer {
    if let Some(name) = &call.name {
        return Answer::Whole(object(shared, call, request, resource, name));
    }
    let namespace = call.namespace.as_deref();
    let selector = match Selector::parse(resource, namespace, &request.param("fieldSelector")) {
        Ok(selector) => selector,
        Err(message) => return Answer::Whole(status::bad_request(&message)),
    };
    if call.verb == "watch" {
        match WatchPlan::new(resource, selector, request) {
            Ok(plan) => Answer::Watch(plan),
            Err(refusal) => Answer::Whole(refusal),
        }
    } else {
        Answer::Whole(list::list(shared, resource, &selector, request))
    }
}

fn object(
    shared: &Shared,
    call: &Call,
    request: &Request,
    resource: Resource,
    name: &str,
) -> Response {
    let namespace = call.namespace.as_deref().unwrap_or_default();
    match shared.store.object(resource, namespace, name) {
        None => status::not_found(resource.name(), name),
        Some(object) if table::is_wanted(request) => {
            Response::json(200, &table::table(resource, &[object], "", true))
        }
        Some(object) => Response::json(200, &object),
    }
}

fn other(access: &Access, call: &Call, request: &Request) -> Response {
    match (request.method.as_str(), call.resource.as_str()) {
        ("POST", "selfsubjectaccessreviews") => access.review(request),
        ("GET", path) => discovery::document(path).unwrap_or_else(status::no_such_path),
        _ => status::method_not_allowed(),
    }
}
